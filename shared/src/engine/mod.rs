//! The protocol that moves work of every kind, on DynamoDB (SPEC §9).
//!
//! Claim, then send, then settle: every write is conditional on what the
//! decision was made from, so a lost condition is a normal outcome. A kind of work
//! ([`crate::items`]) brings its state, its decisions and its codec.

pub mod attributes;
pub mod batcher;
pub mod claim;
pub mod item;
pub mod patience;
pub mod statements;

pub(crate) mod attempt;
pub(crate) mod erase;
pub(crate) mod fetch;
pub(crate) mod kept;
mod merge;
pub(crate) mod partition;
pub(crate) mod scan;
pub(crate) mod step;
pub(crate) mod transaction;

pub use attempt::{CRASHED, HistoryEntry, SUCCESS, Success};
pub use claim::Claimed;
pub use erase::Erased;
pub use item::WorkItem;
pub use kept::{Kept, Swept};
pub use step::{Settled, Step};

use crate::clock::SharedClock;
use crate::engine::patience::Patience;
use crate::entropy::SharedEntropy;
use crate::queue::{DueQueue, QueueError};
use crate::settings::Settings;
use crate::tenancy::{Shards, Tenancy, TenancyError};
use crate::unreadable::{ReadError, Unreadable};
use attributes::DecodeError;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use batcher::Batcher;
use std::sync::Arc;

/// Why the work table could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Too much at once: worth another try a little later.
    #[error("DynamoDB throttles")]
    Throttled,
    /// DynamoDB could not be reached or failed; a write may or may not have happened.
    #[error("DynamoDB is unavailable: {0}")]
    Unavailable(String),
    /// DynamoDB refused the request: a defect or a missing permission.
    #[error("DynamoDB refused: {0}")]
    Refused(String),
    /// Whoever ran the call for several statements is gone; a write may or may not have happened.
    #[error("the call was abandoned")]
    Abandoned,
    /// An item that cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The item is written, but its message is not: the recovery pass makes up for it.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The configuration table, without which it is not known whether what is written belongs to anything.
    #[error("configuration: {0}")]
    Configuration(String),
    /// A cursor that is not one of ours.
    #[error("the cursor is not valid here")]
    Cursor,
}

impl From<TenancyError> for StoreError {
    fn from(error: TenancyError) -> Self {
        if error.is_throttled() { Self::Throttled } else { Self::Configuration(error.to_string()) }
    }
}

impl ReadError for StoreError {
    fn is_unreadable(&self) -> bool {
        matches!(self, Self::Decode(_))
    }
}

impl StoreError {
    /// Whether the same call may succeed if it is made again.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable(_) | Self::Abandoned | Self::Configuration(_))
    }

    /// Sorts an SDK error by what a caller can do about it.
    pub fn from_sdk<E, R>(error: SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug + 'static,
    {
        const THROTTLES: [&str; 4] = [
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
            "ThrottlingException",
            "TransactionConflictException",
        ];
        match &error {
            SdkError::ServiceError(service) => match service.err().code() {
                Some(code) if THROTTLES.contains(&code) => Self::Throttled,
                Some("InternalServerError") | None => {
                    Self::Unavailable(DisplayErrorContext(&error).to_string())
                }
                Some(code) => {
                    Self::Refused(format!("{code}: {}", service.err().message().unwrap_or("no message")))
                }
            },
            _ => Self::Unavailable(DisplayErrorContext(&error).to_string()),
        }
    }
}

/// The work table.
pub struct WorkStore {
    pub(crate) client: Client,
    pub(crate) table: String,
    pub(crate) clock: SharedClock,
    pub(crate) entropy: SharedEntropy,
    pub(crate) queue: Arc<DueQueue>,
    pub(crate) batcher: Batcher,
    pub(crate) reads: Batcher,
    pub(crate) patience: Patience,
    pub(crate) shards: Shards,
    pub(crate) tenancy: Arc<Tenancy>,
    pub(crate) unreadable: Unreadable,
    pub(crate) retention_days: u32,
}

impl WorkStore {
    /// The table `table`; what becomes due within the horizon goes to `queue`.
    ///
    /// `settings` say its name, in how many shards something may stand beside those of its own kind, and how long what has no
    /// period is kept. `tenancy` knows the periods.
    pub fn new(
        client: Client,
        settings: &Settings,
        tenancy: Arc<Tenancy>,
        queue: Arc<DueQueue>,
        clock: SharedClock,
        entropy: SharedEntropy,
    ) -> Self {
        // Apart, since one call of DynamoDB's either reads or writes.
        let patience = Patience::new(clock.clone(), entropy.clone());
        let (table, shards, retention_days) =
            (settings.work_table.clone(), settings.shards(), settings.retention_days);
        let [batcher, reads] = [(); 2].map(|()| Batcher::new(&client, table.clone(), patience.clone()));
        let unreadable = tenancy.unreadable.clone();
        Self {
            client,
            table,
            clock,
            entropy,
            queue,
            batcher,
            reads,
            patience,
            shards,
            tenancy,
            unreadable,
            retention_days,
        }
    }
}
