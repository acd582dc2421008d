//! Reminder configurations: how the reminders of a solution are sent (SPEC §6).
//!
//! All of them are in one partition, so that the processor finds with one query
//! whose reminders to look at. A deleted one stays there, retired: a reminder that
//! was accepted in the moment of the delete has to end somehow.

use super::change::{Commit, TRIES_MAX, When};
use super::item::{DecodeError, Item, Key, Reader, SK, Writer};
use super::page::Listing;
use super::reminder_secret::{ReminderSecrets, SecretKind};
use super::{Actor, AuditEntry, AuditScope, ChangeError, Changed, Meta, Solution, Tenancy, TenancyError};
use crate::secret_hash::SecretHash;
use crate::shards::Shards;
use chrono::{DateTime, Utc};
use rules::names::Tenant;
use serde_json::{Value, json};
use std::sync::Arc;
use zeroize::Zeroizing;

pub(super) const WHAT: &str = "reminder configuration";
const PARTITION: &str = "REMINDERS";
const NOTIFICATION_KEY: &str = "notificationKey";
const ACCOUNT_CODE: &str = "accountCode";
const DIALOG_SERVICE_URI: &str = "dialogServiceUri";
const WEBHOOK_URL: &str = "webhookUrl";
const PRIMARY: &str = "primaryHash";
const SECONDARY: &str = "secondaryHash";
const DUE_SHARDS: &str = "dueShards";
const RETIRED_AT: &str = "retiredAt";
/// What the notification key is sealed for; a ciphertext moved to another field does not open.
const PURPOSE: &str = "reminder/notification-key";

/// How a solution's reminders are sent, as its owner writes it.
#[derive(Clone, PartialEq, Eq)]
pub struct ReminderSettings {
    /// What the Dialog service wants as `authorization`.
    pub notification_key: Zeroizing<String>,
    /// The messaging account.
    pub account_code: String,
    /// The Dialog service; the processor's own, if absent.
    pub dialog_service_uri: Option<String>,
    /// What is called after every attempt.
    pub webhook_url: Option<String>,
}

/// The same as it is kept.
#[derive(Debug, Clone)]
pub struct ReminderConfiguration {
    /// Whose reminders: the seed's `agentId` and `configurationId`.
    pub tenant: Tenant,
    /// The messaging account.
    pub account_code: String,
    /// The Dialog service; the processor's own, if absent.
    pub dialog_service_uri: Option<String>,
    /// What is called after every attempt.
    pub webhook_url: Option<String>,
    /// Shards of the indexes; never lowered.
    pub shards: Shards,
    /// When it was deleted.
    pub retired_at: Option<DateTime<Utc>>,
    /// When it was made and changed.
    pub meta: Meta,
    notification_key: String,
    pub(super) primary: SecretHash,
    pub(super) secondary: SecretHash,
}

impl ReminderConfiguration {
    /// Which of its secrets `secret` is, if any; takes the same time whatever the answer.
    pub fn opened_by(&self, secret: &str) -> Option<SecretKind> {
        let hash = SecretHash::of(secret);
        let (primary, secondary) = (hash.matches(&self.primary), hash.matches(&self.secondary));
        if primary {
            return Some(SecretKind::Primary);
        }
        secondary.then_some(SecretKind::Secondary)
    }

    pub(super) fn key(tenant: &Tenant) -> Key {
        Key::new(PARTITION, tenant.to_string())
    }

    /// Whether the item is one of a configuration that was deleted.
    pub(super) fn is_retired(item: &Item) -> bool {
        item.contains_key(RETIRED_AT)
    }

    pub(super) fn encode(&self) -> Item {
        let writer = Writer::new(&Self::key(&self.tenant))
            .text(NOTIFICATION_KEY, &self.notification_key)
            .text(ACCOUNT_CODE, &self.account_code)
            .optional_text(DIALOG_SERVICE_URI, self.dialog_service_uri.as_ref())
            .optional_text(WEBHOOK_URL, self.webhook_url.as_ref())
            .text(PRIMARY, self.primary)
            .text(SECONDARY, self.secondary)
            .optional_number(RETIRED_AT, self.retired_at.map(|at| at.timestamp_millis()));
        self.meta.write(self.shards.write(DUE_SHARDS, writer)).finish()
    }

    pub(super) fn decode(item: &Item) -> Result<Self, DecodeError> {
        let reader = Reader::new(WHAT, item);
        Ok(Self {
            tenant: reader.parsed(SK)?,
            notification_key: reader.text(NOTIFICATION_KEY)?.to_owned(),
            account_code: reader.text(ACCOUNT_CODE)?.to_owned(),
            dialog_service_uri: reader.optional_text(DIALOG_SERVICE_URI)?,
            webhook_url: reader.optional_text(WEBHOOK_URL)?,
            primary: reader.parsed(PRIMARY)?,
            secondary: reader.parsed(SECONDARY)?,
            shards: Shards::read(&reader, DUE_SHARDS)?,
            retired_at: reader.optional_time(RETIRED_AT)?,
            meta: Meta::read(&reader)?,
        })
    }

    /// As it stays when it is deleted.
    pub(super) fn retired(&self, now: DateTime<Utc>) -> Self {
        Self { retired_at: Some(now), meta: self.meta.changed(now), ..self.clone() }
    }

    /// What stays of a deleted one that cannot be decoded: where its reminders are.
    pub(super) fn remains(tenant: &Tenant, shards: Shards, secret: &str, meta: Meta) -> Self {
        Self {
            tenant: tenant.clone(),
            account_code: String::new(),
            dialog_service_uri: None,
            webhook_url: None,
            shards,
            retired_at: Some(meta.updated_at),
            meta,
            notification_key: String::new(),
            primary: SecretHash::of(secret),
            secondary: SecretHash::of(secret),
        }
    }

    /// For the audit log: no key, and no secret.
    pub(super) fn audited(&self) -> Value {
        json!({
            "accountCode": self.account_code,
            "dialogServiceUri": self.dialog_service_uri,
            "webhookUrl": self.webhook_url,
        })
    }
}

impl Tenancy {
    /// A configuration; cached. A deleted one is none.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn reminder_configuration(
        &self,
        tenant: &Tenant,
    ) -> Result<Option<Arc<ReminderConfiguration>>, TenancyError> {
        self.reminders.get_or(tenant, self.reminder_configuration_fresh(tenant)).await
    }

    /// A configuration, read past the cache. A deleted one is none.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn reminder_configuration_fresh(
        &self,
        tenant: &Tenant,
    ) -> Result<Option<Arc<ReminderConfiguration>>, TenancyError> {
        let begun = self.reminders.begin();
        let found = self.reminder_configuration_kept(tenant).await?;
        let Some(mut found) = found.filter(|found| found.retired_at.is_none()) else {
            return Ok(None);
        };
        found.meta.read_at = begun.at();
        let found = Arc::new(found);
        self.reminders.keep(&begun, tenant.clone(), found.clone());
        Ok(Some(found))
    }

    /// Over how many shards a solution's reminders are spread, of a deleted configuration too; none if it had none.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn reminder_shards(&self, tenant: &Tenant) -> Result<Shards, TenancyError> {
        let item = self.read("read reminder configuration", &ReminderConfiguration::key(tenant)).await?;
        Ok(item.map_or(Shards::default(), |item| self.shards_in(&item)))
    }

    /// Over how many shards the reminders of a configuration are spread; where that cannot be decoded, those of a new one.
    pub(super) fn shards_in(&self, item: &Item) -> Shards {
        let shards = Shards::read(&Reader::new(WHAT, item), DUE_SHARDS);
        self.unreadable.skip(shards).unwrap_or(self.shards)
    }

    /// Every configuration, deleted ones too, for the processor. Not cached.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn reminder_configurations(&self) -> Result<Vec<ReminderConfiguration>, TenancyError> {
        let listing = Listing {
            operation: "list reminder configurations".into(),
            pk: PARTITION.to_owned(),
            prefix: "",
            newest_first: false,
        };
        self.all(&listing, ReminderConfiguration::decode).await
    }

    /// The key that the Dialog service wants.
    ///
    /// # Errors
    /// [`TenancyError::Crypto`] if it cannot be opened.
    pub async fn notification_key(
        &self,
        configuration: &ReminderConfiguration,
    ) -> Result<Zeroizing<String>, TenancyError> {
        let bytes =
            self.envelope.open(&configuration.tenant, PURPOSE, &configuration.notification_key).await?;
        let text = std::str::from_utf8(&bytes).map_err(|_| TenancyError::NotText { what: PURPOSE })?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// Makes or replaces a configuration; the secrets of a new one are answered this once.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`] without the solution, or the table or KMS failed.
    pub async fn put_reminder_configuration(
        &self,
        actor: &Actor,
        tenant: &Tenant,
        wanted: &ReminderSettings,
    ) -> Result<(Changed<ReminderConfiguration>, Option<ReminderSecrets>), ChangeError> {
        let scope = AuditScope::Solution(tenant.clone());
        for _ in 0..TRIES_MAX {
            let now = rules::time::truncate(self.clock.now());
            let kept = self.reminder_configuration_kept(tenant).await?;
            let old = kept.as_ref().filter(|kept| kept.retired_at.is_none());
            let notification_key = self.sealed_again(old, tenant, wanted).await?;
            let fresh = (self.new_reminder_secret(), self.new_reminder_secret());
            let (primary, secondary) = match old {
                Some(old) => (old.primary, old.secondary),
                None => (SecretHash::of(&fresh.0), SecretHash::of(&fresh.1)),
            };
            let meta = match (old, &kept) {
                (Some(old), _) => old.meta.changed(now),
                (None, Some(kept)) => Meta { created_at: now, ..kept.meta.changed(now) },
                (None, None) => Meta::new(now),
            };
            let new = ReminderConfiguration {
                tenant: tenant.clone(),
                notification_key,
                account_code: wanted.account_code.clone(),
                dialog_service_uri: wanted.dialog_service_uri.clone(),
                webhook_url: wanted.webhook_url.clone(),
                primary,
                secondary,
                // Reminders of a deleted one may be in the shards it had.
                shards: kept.as_ref().map_or(self.shards, |kept| kept.shards.max(self.shards)),
                retired_at: None,
                meta,
            };
            if let Some(old) = old
                && !old.meta.deleting
                && old.notification_key == new.notification_key
                && old.audited() == new.audited()
                && old.shards == new.shards
            {
                return Ok((Changed::Unchanged(old.clone()), None));
            }
            let action =
                if old.is_some() { "reminderConfiguration.updated" } else { "reminderConfiguration.created" };
            let entry = AuditEntry::new(now, actor, action)
                .from(old.map(ReminderConfiguration::audited))
                .to(new.audited());
            let when = kept.as_ref().map_or(When::Absent, |kept| When::Unchanged(kept.meta));
            let mut writes = vec![self.put(new.encode(), Some(when)), self.audit(&scope, &entry)];
            if old.is_none() {
                if self.solution_fresh(tenant).await?.is_none() {
                    return Err(ChangeError::NotFound("solution"));
                }
                writes.push(self.touch(&Solution::key(tenant), When::Exists));
            }
            if new.webhook_url.is_some() {
                // The type by which webhooks are sent is not deleted meanwhile: then this is refused, or its deletion.
                writes.push(self.touch_reminder_webhook(tenant)?);
            }
            let commit = self.commit("write reminder configuration", writes).await;
            self.reminders.forget(tenant);
            if commit? == Commit::Applied {
                return Ok(match old {
                    Some(_) => (Changed::Replaced(new), None),
                    None => {
                        let secrets = ReminderSecrets { primary: fresh.0, secondary: fresh.1 };
                        (Changed::Created(new), Some(secrets))
                    }
                });
            }
        }
        Err(ChangeError::contended())
    }

    /// Changes a configuration.
    pub(super) async fn change_reminder_configuration(
        &self,
        tenant: &Tenant,
        change: impl Fn(&ReminderConfiguration, DateTime<Utc>) -> (ReminderConfiguration, AuditEntry),
    ) -> Result<(), ChangeError> {
        let scope = AuditScope::Solution(tenant.clone());
        for _ in 0..TRIES_MAX {
            let Some(old) = self.reminder_configuration_fresh(tenant).await? else {
                return Err(ChangeError::NotFound(WHAT));
            };
            let (new, entry) = change(&old, rules::time::truncate(self.clock.now()));
            let when = When::Unchanged(old.meta);
            let writes = vec![self.put(new.encode(), Some(when)), self.audit(&scope, &entry)];
            let commit = self.commit("write reminder configuration", writes).await;
            self.reminders.forget(tenant);
            if commit? == Commit::Applied {
                return Ok(());
            }
        }
        Err(ChangeError::contended())
    }

    async fn reminder_configuration_kept(
        &self,
        tenant: &Tenant,
    ) -> Result<Option<ReminderConfiguration>, TenancyError> {
        let item = self.read("read reminder configuration", &ReminderConfiguration::key(tenant)).await?;
        Ok(item.as_ref().map(ReminderConfiguration::decode).transpose()?)
    }

    /// The wanted key sealed; as it was sealed before, if it is the same key.
    async fn sealed_again(
        &self,
        old: Option<&ReminderConfiguration>,
        tenant: &Tenant,
        wanted: &ReminderSettings,
    ) -> Result<String, TenancyError> {
        if let Some(old) = old
            && let Ok(key) = self.notification_key(old).await
            && key == wanted.notification_key
        {
            return Ok(old.notification_key.clone());
        }
        Ok(self.envelope.seal(tenant, PURPOSE, wanted.notification_key.as_bytes()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_round_trips_and_its_secrets_are_told_apart() {
        let at = DateTime::UNIX_EPOCH;
        let whole = ReminderConfiguration {
            tenant: Tenant { company: "acme".parse().unwrap(), solution: "clinic".parse().unwrap() },
            account_code: "a1".to_owned(),
            dialog_service_uri: Some("https://dialog.example".to_owned()),
            webhook_url: Some("https://hook.example".to_owned()),
            shards: Shards { due: 4, done: 16 },
            retired_at: Some(at),
            meta: Meta { revision: 9, deleting: true, ..Meta::new(at) },
            notification_key: "sealed".to_owned(),
            primary: SecretHash::of("one"),
            secondary: SecretHash::of("two"),
        };
        let bare = ReminderConfiguration {
            dialog_service_uri: None,
            webhook_url: None,
            retired_at: None,
            ..whole.clone()
        };
        for configuration in [whole, bare] {
            let item = configuration.encode();
            let read = ReminderConfiguration::decode(&item).unwrap();
            assert_eq!(read.encode(), item);
            assert_eq!(read.opened_by("one"), Some(SecretKind::Primary));
            assert_eq!(read.opened_by("two"), Some(SecretKind::Secondary));
            assert_eq!(read.opened_by("three"), None);
            assert!(!format!("{item:?}").contains("\"one\""));
        }
    }
}
