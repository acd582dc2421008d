//! Notification types: where notifications are published, and how often (SPEC §7).

use super::cache::Cache;
use super::item::{DecodeError, Item, Key, Reader, Writer};
use super::quota::Quota;
use super::store::{Decision, Setting, name_in};
use super::{Actor, AuditScope, ChangeError, Changed, Meta, NotificationSlice, Tenancy, TenancyError};
use rules::names::{Tenant, TypeName};
use rules::retry::RescheduleRules;
use serde_json::{Value, json};
use std::sync::Arc;

const WHAT: &str = "notification type";
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
}

impl Setting for NotificationType {
    type Id = (Tenant, TypeName);
    type Parent = Tenant;
    const WHAT: &'static str = WHAT;
    const ACTION: &'static str = "notificationType";
    const PREFIX: &'static str = "N:";
    const QUOTA: Option<Quota> = Some(Quota::NotificationTypes);

    fn partition(tenant: &Tenant) -> String {
        format!("T#{tenant}")
    }

    fn key((tenant, name): &Self::Id) -> Key {
        Key::new(Self::partition(tenant), format!("{}{name}", Self::PREFIX))
    }

    fn encode(&self, id: &Self::Id) -> Result<Item, TenancyError> {
        let json = |error| TenancyError::Encode { what: WHAT, source: error };
        let writer = Writer::new(&Self::key(id))
            .text(URI, &self.uri)
            // As JSON text, which keeps the order that an item's maps lose.
            .text(HEADERS, serde_json::to_string(&self.headers).map_err(json)?)
            .number(MAX_RETRIES, self.max_retries)
            .text(RULES, serde_json::to_string(&self.rules).map_err(json)?)
            .number(SHARDS, self.shards);
        Ok(self.meta.write(writer).finish())
    }

    fn decode(item: &Item) -> Result<Self, DecodeError> {
        let reader = Reader::new(WHAT, item);
        Ok(Self {
            name: name_in::<Self, _>(item)?,
            uri: reader.text(URI)?.to_owned(),
            headers: reader.json(HEADERS)?,
            max_retries: reader.number(MAX_RETRIES)?,
            rules: reader.json(RULES)?,
            shards: reader.number(SHARDS)?,
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
            "notificationType": self.name,
            "uri": self.uri,
            "headerNames": headers,
            "maxRetries": self.max_retries,
            // As text: a JSON value of ours need not keep the order that the rules live by.
            "rules": serde_json::to_string(&self.rules).unwrap_or_default(),
        })
    }

    fn cache(tenancy: &Tenancy) -> &Cache<Self::Id, Self> {
        &tenancy.notification_types
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
        self.cached(&(tenant.clone(), name.clone())).await
    }

    /// Makes or replaces a notification type, and registers it.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`] without the solution, [`ChangeError::Conflict`] over the quota, or the table failed.
    pub async fn put_notification_type(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        wanted: NotificationType,
    ) -> Result<Changed<NotificationType>, ChangeError> {
        let id = &(tenant.clone(), wanted.name.clone());
        let decide = async |old: Option<Arc<NotificationType>>| {
            // A type deleted and made again may still have notifications in the shards it had.
            let registered = self.registered_notification_shards(tenant, &id.1).await?;
            let had = old.as_ref().map_or(0, |old| old.shards);
            let shards = registered.unwrap_or_default().max(had).max(self.shards.due);
            let meta = old.as_ref().map_or_else(Meta::default, |old| old.meta);
            let new = NotificationType { shards, meta, ..wanted.clone() };
            if !meta.deleting && registered.is_some() && old.as_deref() == Some(&new) {
                return Ok(None);
            }
            let (tenant, name) = id.clone();
            let slice = NotificationSlice { tenant, name, shards, retired_at: None };
            Ok(Some(Decision { new, beside: vec![self.put(slice.encode(), None)], note: None }))
        };
        self.change(actor, (AuditScope::Solution(tenant.clone()), id), decide).await
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
        let id = &(tenant.clone(), name.clone());
        let retire = async |old: Option<NotificationType>, now| {
            let shards = match old {
                Some(old) => Some(old.shards),
                None => self.registered_notification_shards(tenant, name).await?,
            };
            let (shards, retired_at) = (shards.unwrap_or(self.shards.due), Some(now));
            let (tenant, name) = id.clone();
            Ok(vec![self.put(NotificationSlice { tenant, name, shards, retired_at }.encode(), None)])
        };
        self.discard(actor, (AuditScope::Solution(tenant.clone()), id), marked, retire).await
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
            assert_eq!(
                NotificationType::decode(&found.encode(&(tenant.clone(), found.name.clone())).unwrap()),
                Ok(found)
            );
        }
    }
}
