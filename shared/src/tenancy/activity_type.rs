//! Activity types: how an activity's call is made (SPEC §3).

use super::cache::Cache;
use super::item::{DecodeError, Item, Key, Reader, Writer};
use super::quota::Quota;
use super::slice::SliceEntry;
use super::store::{Decision, Setting, listing, name_in};
use super::{Actor, AuditScope, ChangeError, Changed, Meta, Tenancy, TenancyError};
use crate::shards::Shards;
use rules::field::FieldPath;
use rules::names::{Kind, Tenant, TypeName};
use rules::retry::RescheduleRules;
use rules::uri::UriPattern;
use serde_json::{Value, json};
use std::sync::Arc;

const WHAT: &str = "activity type";
const VERB: &str = "verb";
const URI_PATTERN: &str = "uriPattern";
const PARAMETER_EXPECTED: &str = "parameterExpected";
const RETRIES: &str = "retries";
const OBJECT_ID_REF: &str = "objectIdRef";
const HEADERS: &str = "headers";
const TIMEOUT_SECONDS: &str = "timeoutSeconds";
const RESCHEDULE_RULES: &str = "rescheduleRules";
const DUE_SHARDS: &str = "dueShards";

/// The HTTP method of a call.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::Display, strum::EnumString,
)]
#[allow(missing_docs, reason = "the names say it")]
#[strum(serialize_all = "UPPERCASE", parse_err_ty = rules::names::UnknownName, parse_err_fn = refused_verb)]
pub enum Verb {
    Post,
    Put,
    Delete,
    Get,
}

impl Verb {
    /// Every verb, as SPEC §3 lists them.
    pub const ALL: [Verb; 4] = [Verb::Post, Verb::Put, Verb::Delete, Verb::Get];

    /// The method's name.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether the call carries the parameter as its JSON body.
    pub fn has_body(self) -> bool {
        matches!(self, Verb::Post | Verb::Put)
    }
}

fn refused_verb(_: &str) -> rules::names::UnknownName {
    rules::names::UnknownName("must be POST, PUT, DELETE or GET")
}

/// An activity type of a solution.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivityType {
    /// Its name.
    pub name: TypeName,
    /// How it is called.
    pub verb: Verb,
    /// What is called.
    pub uri_pattern: UriPattern,
    /// For readers: what parameter is expected. Any JSON, as text.
    pub parameter_expected: Option<String>,
    /// Executions in all, where the activity does not say otherwise; 0 counts as 1.
    pub retries: u32,
    /// The fields of the parameter that name the object an activity is about.
    pub object_id_ref: Vec<FieldPath>,
    /// Headers of every call, in the order written.
    pub headers: Vec<(String, String)>,
    /// The whole call's time limit.
    pub timeout_seconds: u32,
    /// Waits between executions.
    pub reschedule_rules: RescheduleRules,
    /// Shards of its work; never lowered. The store sets it.
    pub shards: Shards,
    /// When it was made and changed. The store sets it.
    pub meta: Meta,
}

/// Executions in all, where a type does not say otherwise (SPEC §3).
pub const RETRIES_DEFAULT: u32 = 3;
/// Time limit of a call, where a type does not say otherwise (SPEC §3).
pub const TIMEOUT_SECONDS_DEFAULT: u32 = 30;

impl ActivityType {
    /// A type with SPEC §3's defaults, not yet stored.
    pub fn new(name: TypeName, verb: Verb, uri_pattern: UriPattern) -> Self {
        Self {
            name,
            verb,
            uri_pattern,
            parameter_expected: None,
            retries: RETRIES_DEFAULT,
            object_id_ref: Vec::new(),
            headers: Vec::new(),
            timeout_seconds: TIMEOUT_SECONDS_DEFAULT,
            reschedule_rules: RescheduleRules::default(),
            shards: Shards::default(),
            meta: Meta::default(),
        }
    }

    /// Its kind in keys.
    pub fn kind(&self) -> Kind {
        Kind::Type(self.name.clone())
    }
}

impl Setting for ActivityType {
    type Id = (Tenant, TypeName);
    type Parent = Tenant;
    const WHAT: &'static str = WHAT;
    const ACTION: &'static str = "activityType";
    const PREFIX: &'static str = "A:";
    const QUOTA: Option<Quota> = Some(Quota::ActivityTypes);

    fn partition(tenant: &Tenant) -> String {
        format!("T#{tenant}")
    }

    fn key((tenant, name): &Self::Id) -> Key {
        Key::new(Self::partition(tenant), format!("{}{name}", Self::PREFIX))
    }

    fn encode(&self, id: &Self::Id) -> Result<Item, TenancyError> {
        let json = |error| TenancyError::Encode { what: WHAT, source: error };
        let writer = Writer::new(&Self::key(id))
            .text(VERB, self.verb)
            .text(URI_PATTERN, &self.uri_pattern)
            .optional_text(PARAMETER_EXPECTED, self.parameter_expected.as_ref())
            .number(RETRIES, self.retries)
            .texts(OBJECT_ID_REF, &self.object_id_ref)
            // As JSON text, which keeps the order that an item's maps lose.
            .text(HEADERS, serde_json::to_string(&self.headers).map_err(json)?)
            .number(TIMEOUT_SECONDS, self.timeout_seconds)
            .text(RESCHEDULE_RULES, serde_json::to_string(&self.reschedule_rules).map_err(json)?);
        Ok(self.meta.write(self.shards.write(DUE_SHARDS, writer)).finish())
    }

    fn decode(item: &Item) -> Result<Self, DecodeError> {
        let reader = Reader::new(WHAT, item);
        Ok(Self {
            name: name_in::<Self, _>(item)?,
            verb: reader.parsed(VERB)?,
            uri_pattern: reader.parsed(URI_PATTERN)?,
            parameter_expected: reader.optional_text(PARAMETER_EXPECTED)?,
            retries: reader.number(RETRIES)?,
            object_id_ref: reader.parsed_list(OBJECT_ID_REF)?,
            headers: reader.json(HEADERS)?,
            timeout_seconds: reader.number(TIMEOUT_SECONDS)?,
            reschedule_rules: reader.json(RESCHEDULE_RULES)?,
            shards: Shards::read(&reader, DUE_SHARDS)?,
            meta: Meta::read(&reader)?,
        })
    }

    fn meta(&self) -> Meta {
        self.meta
    }

    fn with_meta(self, meta: Meta) -> Self {
        Self { meta, ..self }
    }

    /// The values of headers are often credentials, so their names alone.
    fn audited(&self) -> Value {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        json!({
            "activityType": self.name,
            "verb": self.verb.as_str(),
            "uriPattern": self.uri_pattern,
            "parameterExpected": self.parameter_expected,
            "retries": self.retries,
            "objectIdRef": self.object_id_ref,
            "headerNames": headers,
            "timeoutSeconds": self.timeout_seconds,
            // As text: a JSON value of ours need not keep the order that the rules live by.
            "rescheduleRules": serde_json::to_string(&self.reschedule_rules).unwrap_or_default(),
        })
    }

    fn cache(tenancy: &Tenancy) -> &Cache<Self::Id, Self> {
        &tenancy.types
    }
}

impl Tenancy {
    /// An activity type; cached.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn activity_type(
        &self,
        tenant: &Tenant,
        name: &TypeName,
    ) -> Result<Option<Arc<ActivityType>>, TenancyError> {
        self.cached(&(tenant.clone(), name.clone())).await
    }

    /// Makes or replaces an activity type, and with it the slice of the due index.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`] without the solution, [`ChangeError::Conflict`] over the quota, or the table failed.
    pub async fn put_activity_type(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        wanted: ActivityType,
    ) -> Result<Changed<ActivityType>, ChangeError> {
        let (kind, id) = (&wanted.kind(), (tenant.clone(), wanted.name.clone()));
        let decide = async |old: Option<Arc<ActivityType>>| {
            // A type deleted and made again may still have work in the shards it had.
            let registered = self.registered_shards(tenant, kind).await?;
            let had = old.as_ref().map_or(Shards::default(), |old| old.shards);
            let shards = registered.unwrap_or_default().max(had).max(self.shards);
            let meta = old.as_ref().map_or_else(Meta::default, |old| old.meta);
            let new = ActivityType { shards, meta, ..wanted.clone() };
            if !meta.deleting && registered.is_some() && old.as_deref() == Some(&new) {
                return Ok(None);
            }
            let slice = SliceEntry { tenant: tenant.clone(), kind: kind.clone(), shards, retired_at: None };
            Ok(Some(Decision { new, beside: vec![self.put(slice.encode(), None)], note: None }))
        };
        self.change(actor, (AuditScope::Solution(tenant.clone()), &id), decide).await
    }

    /// Deletes an activity type. That no work waits in it is the caller's to see to; its slice
    /// stays, retired.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`], or the table failed.
    pub async fn delete_activity_type(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        name: &TypeName,
    ) -> Result<(), ChangeError> {
        self.delete_activity_type_at(actor, tenant, name, None).await
    }

    /// The same of one that is as it was when it was `marked`, where it was.
    pub(super) async fn delete_activity_type_at(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        name: &TypeName,
        marked: Option<Meta>,
    ) -> Result<(), ChangeError> {
        let (kind, id) = (&Kind::Type(name.clone()), (tenant.clone(), name.clone()));
        let retire = async |old: Option<ActivityType>, now| {
            self.retire_slice(tenant, kind, old.map(|old| old.shards), now).await
        };
        self.discard(actor, (AuditScope::Solution(tenant.clone()), &id), marked, retire).await
    }

    /// Deletes every activity type of a solution, each with its own audit entry.
    pub(super) async fn delete_activity_types(
        &self,
        actor: &Actor,
        tenant: &Tenant,
    ) -> Result<(), ChangeError> {
        for name in self.all(&listing::<ActivityType>(tenant), name_in::<ActivityType, TypeName>).await? {
            match self.delete_activity_type(actor, tenant, &name).await {
                Ok(()) | Err(ChangeError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
