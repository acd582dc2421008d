//! Notification types: where notifications are published, and how often (SPEC §7).

use super::change::{Commit, TRIES_MAX, When};
use super::item::{DecodeError, Item, Key, Reader, SK, Writer};
use super::page::Listing;
use super::quota::{Place, Quota};
use super::{
    Actor, AuditEntry, AuditScope, ChangeError, Changed, Meta, NotificationSlice, Page, PageRequest,
    Solution, Tenancy, TenancyError,
};
use rules::names::{Tenant, TypeName};
use rules::retry::RescheduleRules;
use serde_json::{Value, json};
use std::sync::Arc;

const WHAT: &str = "notification type";
const PREFIX: &str = "N:";
const URI: &str = "uri";
const HEADERS: &str = "headers";
const MAX_RETRIES: &str = "maxRetries";
const RULES: &str = "rules";
const SHARDS: &str = "shards";

/// A notification type of a solution.
#[derive(Debug, Clone, PartialEq)]
pub struct NotificationType {
    /// Its name.
    pub name: TypeName,
    /// What is called: an absolute http(s) URL.
    pub uri: String,
    /// Headers of every call, in the order written.
    pub headers: Vec<(String, String)>,
    /// Re-sends go on while this is at least one more than the attempts made.
    pub max_retries: u32,
    /// Waits between attempts.
    pub rules: RescheduleRules,
    /// Shards of its due notifications; never lowered. The store sets it.
    pub shards: u32,
    /// When it was made and changed. The store sets it.
    pub meta: Meta,
}

impl NotificationType {
    /// A type without headers and rules, not yet stored.
    pub fn new(name: TypeName, uri: String, max_retries: u32) -> Self {
        Self {
            name,
            uri,
            headers: Vec::new(),
            max_retries,
            rules: RescheduleRules::default(),
            shards: 0,
            meta: Meta::default(),
        }
    }

    pub(super) fn key(tenant: &Tenant, name: &TypeName) -> Key {
        Key::new(format!("T#{tenant}"), format!("{PREFIX}{name}"))
    }

    fn encode(&self, tenant: &Tenant) -> Result<Item, TenancyError> {
        let json = |error| TenancyError::Encode { what: WHAT, source: error };
        let writer = Writer::new(&Self::key(tenant, &self.name))
            .text(URI, &self.uri)
            // As JSON text, which keeps the order that an item's maps lose.
            .text(HEADERS, serde_json::to_string(&self.headers).map_err(json)?)
            .number(MAX_RETRIES, self.max_retries)
            .text(RULES, serde_json::to_string(&self.rules).map_err(json)?)
            .number(SHARDS, self.shards);
        Ok(self.meta.write(writer).finish())
    }

    pub(super) fn name_in(item: &Item) -> Result<TypeName, DecodeError> {
        let reader = Reader::new(WHAT, item);
        let name = reader.text(SK)?.strip_prefix(PREFIX).and_then(|name| name.parse().ok());
        name.ok_or_else(|| reader.error(SK, "names no notification type"))
    }

    fn decode(item: &Item) -> Result<Self, DecodeError> {
        let reader = Reader::new(WHAT, item);
        Ok(Self {
            name: Self::name_in(item)?,
            uri: reader.text(URI)?.to_owned(),
            headers: reader.json(HEADERS)?,
            max_retries: reader.number(MAX_RETRIES)?,
            rules: reader.json(RULES)?,
            shards: reader.number(SHARDS)?,
            meta: Meta::read(&reader)?,
        })
    }

    /// For the audit log: the values of headers are often credentials, so their names alone.
    fn audited(&self) -> Value {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        json!({
            "notificationType": self.name,
            "uri": self.uri,
            "headerNames": headers,
            "maxRetries": self.max_retries,
            // As text: a JSON value of ours need not keep the order that the rules live by.
            "rules": serde_json::to_string(&self.rules).unwrap_or_default(),
        })
    }
}

impl Tenancy {
    /// A notification type; cached.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn notification_type(
        &self,
        tenant: &Tenant,
        name: &TypeName,
    ) -> Result<Option<Arc<NotificationType>>, TenancyError> {
        match self.notification_types.get(&(tenant.clone(), name.clone())) {
            Some(found) => Ok(Some(found)),
            None => self.notification_type_fresh(tenant, name).await,
        }
    }

    /// A notification type, read past the cache.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn notification_type_fresh(
        &self,
        tenant: &Tenant,
        name: &TypeName,
    ) -> Result<Option<Arc<NotificationType>>, TenancyError> {
        let begun = self.notification_types.begin();
        let item = self.read("read notification type", &NotificationType::key(tenant, name)).await?;
        let Some(item) = item else { return Ok(None) };
        let mut found = NotificationType::decode(&item)?;
        found.meta.read_at = begun.at();
        let found = Arc::new(found);
        self.notification_types.keep(&begun, (tenant.clone(), name.clone()), found.clone());
        Ok(Some(found))
    }

    /// A page of a solution's notification types, by name.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn notification_types(
        &self,
        tenant: &Tenant,
        request: &PageRequest,
    ) -> Result<Page<NotificationType>, TenancyError> {
        self.page(&Self::notification_types_of(tenant), request, NotificationType::decode).await
    }

    pub(super) fn notification_types_of(tenant: &Tenant) -> Listing<'static> {
        Listing {
            operation: "list notification types",
            pk: format!("T#{tenant}"),
            prefix: PREFIX,
            newest_first: false,
        }
    }

    /// Makes or replaces a notification type, and registers it.
    pub(super) async fn write_notification_type(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        wanted: NotificationType,
        place: &mut Place<'_>,
    ) -> Result<Changed<NotificationType>, ChangeError> {
        let key = (tenant.clone(), wanted.name.clone());
        for _ in 0..TRIES_MAX {
            let now = rules::time::truncate(self.clock.now());
            let old = self.notification_type_fresh(tenant, &wanted.name).await?;
            // A type deleted and made again may still have notifications in the shards it had.
            let registered = self.registered_notification_shards(tenant, &wanted.name).await?;
            let had = old.as_ref().map_or(0, |old| old.shards);
            let shards = registered.unwrap_or_default().max(had).max(self.shards.due);
            let (meta, when, action) = match &old {
                Some(old) => (old.meta.changed(now), When::Unchanged(old.meta), "notificationType.updated"),
                None => (Meta::new(now), When::Absent, "notificationType.created"),
            };
            let new = NotificationType { shards, meta, ..wanted.clone() };
            if let Some(old) = &old
                && !old.meta.deleting
                && registered.is_some()
                && **old == (NotificationType { meta: old.meta, ..new.clone() })
            {
                return Ok(Changed::Unchanged(NotificationType::clone(old)));
            }
            let entry = AuditEntry::new(now, actor, action)
                .from(old.as_deref().map(NotificationType::audited))
                .to(new.audited());
            let slice = NotificationSlice {
                tenant: tenant.clone(),
                name: new.name.clone(),
                shards,
                retired_at: None,
            };
            let mut writes = vec![
                self.put(new.encode(tenant)?, Some(when)),
                self.put(slice.encode(), None),
                self.audit(&AuditScope::Solution(tenant.clone()), &entry),
            ];
            if old.is_none() {
                if self.solution_fresh(tenant).await?.is_none() {
                    return Err(ChangeError::NotFound("solution"));
                }
                place.take().await?;
                writes.push(self.touch(&Solution::key(tenant), When::Exists));
            }
            let commit = self.commit("write notification type", writes).await;
            self.notification_types.forget(&key);
            if commit? == Commit::Applied {
                return Ok(if old.is_some() { Changed::Replaced(new) } else { Changed::Created(new) });
            }
        }
        Err(ChangeError::contended())
    }

    /// Deletes a notification type. That none of it is pending is the caller's to see to.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`], or the table failed.
    pub async fn delete_notification_type(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        name: &TypeName,
    ) -> Result<(), ChangeError> {
        self.delete_notification_type_at(actor, tenant, name, None).await
    }

    /// The same of one that is as it was when it was `marked`, where it was.
    pub(super) async fn delete_notification_type_at(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        name: &TypeName,
        marked: Option<Meta>,
    ) -> Result<(), ChangeError> {
        for _ in 0..TRIES_MAX {
            let key = NotificationType::key(tenant, name);
            let Some(old) = self.found("read notification type", &key, NotificationType::decode).await?
            else {
                return Err(ChangeError::NotFound(WHAT));
            };
            old.check(marked)?;
            let now = rules::time::truncate(self.clock.now());
            let was = old.audited("notificationType", name, NotificationType::audited);
            let entry = AuditEntry::new(now, actor, "notificationType.deleted").from(was);
            let shards = match &old.value {
                Some(old) => old.shards,
                None => {
                    let registered = self.registered_notification_shards(tenant, name).await?;
                    registered.unwrap_or(self.shards.due)
                }
            };
            let slice = NotificationSlice {
                tenant: tenant.clone(),
                name: name.clone(),
                shards,
                retired_at: Some(now),
            };
            let writes = vec![
                self.delete(&key, Some(old.when())),
                self.put(slice.encode(), None),
                self.audit(&AuditScope::Solution(tenant.clone()), &entry),
            ];
            let commit = self.commit("delete notification type", writes).await;
            self.notification_types.forget(&(tenant.clone(), name.clone()));
            if commit? == Commit::Applied {
                self.release(&tenant.company, Quota::NotificationTypes, 1).await;
                return Ok(());
            }
        }
        Err(ChangeError::contended())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_round_trips() {
        let tenant = Tenant { company: "acme".parse().unwrap(), solution: "music".parse().unwrap() };
        let bare = NotificationType::new("voicemail.new".parse().unwrap(), "https://a.example/n".into(), 3);
        let whole = NotificationType {
            headers: vec![("X-B".into(), "1".into()), ("X-A".into(), "2".into())],
            rules: serde_json::from_str(r#"{"z": {"attempt": 1}, "a": {"retryAfterS": 5}}"#).unwrap(),
            shards: 4,
            ..bare.clone()
        };
        for found in [bare, whole] {
            assert_eq!(NotificationType::decode(&found.encode(&tenant).unwrap()), Ok(found));
        }
    }
}
