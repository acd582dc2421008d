//! Activity types: how an activity's call is made (SPEC §3).

use super::change::{Commit, TRIES_MAX, When};
use super::item::{DecodeError, Item, Key, Reader, SK, Writer};
use super::page::Listing;
use super::quota::{Place, Quota};
use super::slice::{Shards, SliceEntry};
use super::{
    Actor, AuditEntry, AuditScope, ChangeError, Changed, Meta, Page, PageRequest, Solution, Tenancy,
    TenancyError,
};
use rules::field::FieldPath;
use rules::names::{Kind, Tenant, TypeName};
use rules::retry::RescheduleRules;
use rules::uri::UriPattern;
use serde_json::{Value, json};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

const WHAT: &str = "activity type";
const PREFIX: &str = "A:";
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
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
        match self {
            Verb::Post => "POST",
            Verb::Put => "PUT",
            Verb::Delete => "DELETE",
            Verb::Get => "GET",
        }
    }

    /// Whether the call carries the parameter as its JSON body.
    pub fn has_body(self) -> bool {
        matches!(self, Verb::Post | Verb::Put)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Verb {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Verb::ALL.into_iter().find(|verb| verb.as_str() == text).ok_or("must be POST, PUT, DELETE or GET")
    }
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

    pub(super) fn key(tenant: &Tenant, name: &TypeName) -> Key {
        Key::new(format!("T#{tenant}"), format!("{PREFIX}{name}"))
    }

    fn encode(&self, tenant: &Tenant) -> Result<Item, TenancyError> {
        let json = |error| TenancyError::Encode { what: WHAT, source: error };
        let writer = Writer::new(&Self::key(tenant, &self.name))
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

    fn name_in(item: &Item) -> Result<TypeName, DecodeError> {
        let reader = Reader::new(WHAT, item);
        let name = reader.text(SK)?.strip_prefix(PREFIX).and_then(|name| name.parse().ok());
        name.ok_or_else(|| reader.error(SK, "names no activity type"))
    }

    fn decode(item: &Item) -> Result<Self, DecodeError> {
        let reader = Reader::new(WHAT, item);
        Ok(Self {
            name: Self::name_in(item)?,
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

    /// For the audit log: the values of headers are often credentials, so their names alone.
    fn audited(&self) -> Value {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        json!({
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
        let key = (tenant.clone(), name.clone());
        self.types.get_or(&key, self.activity_type_fresh(tenant, name)).await
    }

    /// An activity type, read past the cache.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn activity_type_fresh(
        &self,
        tenant: &Tenant,
        name: &TypeName,
    ) -> Result<Option<Arc<ActivityType>>, TenancyError> {
        let begun = self.types.begin();
        let item = self.read("read activity type", &ActivityType::key(tenant, name)).await?;
        let Some(item) = item else { return Ok(None) };
        let mut found = ActivityType::decode(&item)?;
        found.meta.read_at = begun.at();
        let found = Arc::new(found);
        self.types.keep(&begun, (tenant.clone(), name.clone()), found.clone());
        Ok(Some(found))
    }

    /// A page of a solution's activity types, by name.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn activity_types(
        &self,
        tenant: &Tenant,
        request: &PageRequest,
    ) -> Result<Page<ActivityType>, TenancyError> {
        self.page(&Self::types_of(tenant), request, ActivityType::decode).await
    }

    fn types_of(tenant: &Tenant) -> Listing<'static> {
        Listing {
            operation: "list activity types",
            pk: format!("T#{tenant}"),
            prefix: PREFIX,
            newest_first: false,
        }
    }

    /// Makes or replaces an activity type, and with it the slice of the due index.
    pub(super) async fn write_activity_type(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        wanted: ActivityType,
        place: &mut Place<'_>,
    ) -> Result<Changed<ActivityType>, ChangeError> {
        let scope = AuditScope::Solution(tenant.clone());
        for _ in 0..TRIES_MAX {
            let now = rules::time::truncate(self.clock.now());
            let old = self.activity_type_fresh(tenant, &wanted.name).await?;
            // A type deleted and made again may still have work in the shards it had.
            let registered = self.registered_shards(tenant, &wanted.kind()).await?;
            let had = old.as_ref().map_or(Shards::default(), |old| old.shards);
            let shards = registered.unwrap_or_default().max(had).max(self.shards);
            let (meta, when, action) = match &old {
                Some(old) => (old.meta.changed(now), When::Unchanged(old.meta), "activityType.updated"),
                None => (Meta::new(now), When::Absent, "activityType.created"),
            };
            let new = ActivityType { shards, meta, ..wanted.clone() };
            if let Some(old) = &old
                && !old.meta.deleting
                && registered.is_some()
                && **old == (ActivityType { meta: old.meta, ..new.clone() })
            {
                return Ok(Changed::Unchanged(ActivityType::clone(old)));
            }
            let entry = AuditEntry::new(now, actor, action)
                .from(old.as_deref().map(|old| named(&old.name, old.audited())))
                .to(named(&new.name, new.audited()));
            let slice = SliceEntry { tenant: tenant.clone(), kind: new.kind(), shards, retired_at: None };
            let mut writes = vec![
                self.put(new.encode(tenant)?, Some(when)),
                self.put(slice.encode(), None),
                self.audit(&scope, &entry),
            ];
            if old.is_none() {
                if self.solution_fresh(tenant).await?.is_none() {
                    return Err(ChangeError::NotFound("solution"));
                }
                place.take().await?;
                writes.push(self.touch(&Solution::key(tenant), When::Exists));
            }
            let commit = self.commit("write activity type", writes).await;
            self.types.forget(&(tenant.clone(), new.name.clone()));
            if commit? == Commit::Applied {
                return Ok(if old.is_some() { Changed::Replaced(new) } else { Changed::Created(new) });
            }
        }
        Err(ChangeError::contended())
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
        for _ in 0..TRIES_MAX {
            let key = ActivityType::key(tenant, name);
            let Some(old) = self.found("read activity type", &key, ActivityType::decode).await? else {
                return Err(ChangeError::NotFound(WHAT));
            };
            old.check(marked)?;
            let now = rules::time::truncate(self.clock.now());
            let kind = Kind::Type(name.clone());
            let shards = match &old.value {
                Some(old) => old.shards,
                None => self.registered_shards(tenant, &kind).await?.unwrap_or(self.shards),
            };
            let slice = SliceEntry { tenant: tenant.clone(), kind, shards, retired_at: Some(now) };
            let was = old.audited("activityType", name, |old| named(name, old.audited()));
            let entry = AuditEntry::new(now, actor, "activityType.deleted").from(was);
            let writes = vec![
                self.delete(&key, Some(old.when())),
                self.put(slice.encode(), None),
                self.audit(&AuditScope::Solution(tenant.clone()), &entry),
            ];
            let commit = self.commit("delete activity type", writes).await;
            self.types.forget(&(tenant.clone(), name.clone()));
            if commit? == Commit::Applied {
                self.release(&tenant.company, Quota::ActivityTypes, 1).await;
                return Ok(());
            }
        }
        Err(ChangeError::contended())
    }

    /// Deletes every activity type of a solution, each with its own audit entry.
    pub(super) async fn delete_activity_types(
        &self,
        actor: &Actor,
        tenant: &Tenant,
    ) -> Result<(), ChangeError> {
        for name in self.all(&Self::types_of(tenant), ActivityType::name_in).await? {
            match self.delete_activity_type(actor, tenant, &name).await {
                Ok(()) | Err(ChangeError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The audited form with the type's name, since the log is the whole solution's.
fn named(name: &TypeName, mut audited: Value) -> Value {
    audited["activityType"] = json!(name);
    audited
}
