//! The configuration table: companies, API keys, solutions, activity types, audit log.
//!
//! | item | PK | SK |
//! | --- | --- | --- |
//! | company | `COMPANY` | `{company}` |
//! | API key | `C#{company}` | `KEY#{id}` |
//! | solution, server state, signing secrets | `C#{company}` | `S#{solution}` |
//! | activity type | `T#{company}/{solution}` | `A:{type}` |
//! | dispatch config | `T#{company}/{solution}` | `C:{CHANNEL}` |
//! | notification type | `T#{company}/{solution}` | `N:{type}` |
//! | notification registry | `NOTIFICATIONS` | `{company}/{solution}/{type}` |
//! | deletions whose items are to be removed | see `retired.rs` | |
//! | reminder configuration | `REMINDERS` | `{company}/{solution}` |
//! | slice registry | `SLICES` | `{company}/{solution}/{kind}` |
//! | secret of cursors | `CURSORS` | `SECRET` |
//! | count of a quota | `C#{company}` | `COUNT#{parameter}` |
//! | audit entry | `AUDIT#{company}` or `AUDIT#{company}/{solution}` | `{millis:015}#{turn:08x}-{uuid}` |
//!
//! Every change is one transaction: the item under a condition on its revision, and the audit entry
//! that tells of it, so that no change is unaudited and none is lost under another one made at the
//! same time. Reads that the hot path makes are cached for [`CACHE_TTL`], which is short enough for
//! a pause to be in effect everywhere within 5 s (SPEC §3).

mod activity_type;
mod api_key;
mod audit;
mod cache;
mod change;
mod company;
mod counted;
mod cursor_secret;
mod dispatch_config;
mod dispatch_config_change;
mod error;
mod found;
mod item;
mod notification_slice;
mod notification_type;
mod page;
mod parent;
mod quota;
mod reminder_configuration;
mod reminder_configuration_deletion;
mod reminder_secret;
mod reminder_webhook;
mod retired;
mod rolling;
mod server_state;
mod signing_secret;
mod slice;
mod solution;
mod solution_deletion;
mod store;

pub use crate::page::{Page, PageRequest};
pub use crate::secret_hash::{AcceptedSecret, SecretHash};
pub use crate::shards::Shards;
pub use activity_type::{ActivityType, RETRIES_DEFAULT, TIMEOUT_SECONDS_DEFAULT, Verb};
pub use api_key::{ApiKey, KeyCreated, NewApiKey};
pub use audit::{Actor, AuditEntry, AuditScope};
pub use change::{ChangeError, Changed, Meta};
pub use company::Company;
pub use cursor_secret::CursorSecret;
pub use dispatch_config::{DispatchConfig, NewDispatchConfig};
pub use error::TenancyError;
pub use item::DecodeError;
pub(crate) use item::EXPIRES_AT;
pub use notification_slice::NotificationSlice;
pub use notification_type::NotificationType;
pub use parent::{Deletion, Looked, Parent, ParentKind};
pub(crate) use quota::Place;
pub use quota::Quota;
pub use reminder_configuration::{ReminderConfiguration, ReminderSettings};
pub use reminder_secret::{ReminderSecrets, SecretKind};
pub use reminder_webhook::REMINDER_WEBHOOK;
pub use retired::{ErasureSubject, LATE_WRITES, Retired, RetiredSubject};
pub use rolling::Rolling;
pub use server_state::ServerState;
pub use signing_secret::{ROTATION_OVERLAP, SealedSecrets, SigningSecrets};
pub use slice::{KindEntry, SliceEntry};
pub use solution::Solution;
pub use store::Setting;

use crate::clock::SharedClock;
use crate::crypto::Envelope;
use crate::entropy::SharedEntropy;
use crate::settings::Quotas;
use crate::settings::Settings;
use crate::unreadable::Unreadable;
use cache::Cache;
use chrono::TimeDelta;
use rules::names::{Channel, CompanyName, SolutionName, Tenant, TypeName};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

/// How long a cached read may be used.
pub const CACHE_TTL: TimeDelta = rules::parent::READ_AGE_MAX;

/// The configuration table and this process's cache of it. One for a process; shared by `Arc`.
pub struct Tenancy {
    dynamodb: aws_sdk_dynamodb::Client,
    table: String,
    /// Of the activities, where recurring rules are counted.
    work_table: String,
    quotas: Quotas,
    clock: SharedClock,
    entropy: SharedEntropy,
    envelope: Arc<Envelope>,
    /// Shards of the indexes that a new activity type gets.
    shards: Shards,
    /// How long what is over is kept; `None` for ever.
    retention: Option<TimeDelta>,
    companies: Cache<CompanyName, Company>,
    solutions: Cache<(CompanyName, SolutionName), Solution>,
    types: Cache<(Tenant, TypeName), ActivityType>,
    dispatch_configs: Cache<(Tenant, Channel), DispatchConfig>,
    channel_shards: Cache<(Tenant, Channel), Shards>,
    notification_types: Cache<(Tenant, TypeName), NotificationType>,
    keys: Cache<(CompanyName, String), ApiKey>,
    secrets: Cache<Tenant, SigningSecrets>,
    reminders: Cache<Tenant, ReminderConfiguration>,
    /// Read or made when it is first needed.
    cursor_secret: tokio::sync::OnceCell<CursorSecret>,
    /// Audit entries made by this process.
    audit_turns: AtomicU32,
    /// Items of both tables that could not be read.
    pub(crate) unreadable: Unreadable,
}

impl Tenancy {
    /// The configuration in the table of `settings`, whose shards a new activity type gets; one that has more keeps them.
    pub fn new(
        dynamodb: aws_sdk_dynamodb::Client,
        settings: &Settings,
        clock: SharedClock,
        entropy: SharedEntropy,
        envelope: Arc<Envelope>,
    ) -> Self {
        Self {
            dynamodb,
            table: settings.config_table.clone(),
            work_table: settings.work_table.clone(),
            quotas: settings.quotas,
            companies: Cache::new(clock.clone()),
            solutions: Cache::new(clock.clone()),
            types: Cache::new(clock.clone()),
            dispatch_configs: Cache::new(clock.clone()),
            channel_shards: Cache::new(clock.clone()),
            notification_types: Cache::new(clock.clone()),
            keys: Cache::new(clock.clone()),
            secrets: Cache::new(clock.clone()),
            reminders: Cache::new(clock.clone()),
            cursor_secret: tokio::sync::OnceCell::new(),
            audit_turns: AtomicU32::new(0),
            unreadable: Unreadable::default(),
            clock,
            entropy,
            envelope,
            shards: settings.shards(),
            retention: settings.retention(),
        }
    }
}
