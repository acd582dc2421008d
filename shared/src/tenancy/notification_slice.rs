//! The registry of notification types: every type there was, by tenant, for the re-sender and for lists.

use super::change::{Commit, When};
use super::item::{DecodeError, Item, Key, Reader, SK, Writer};
use super::page::Listing;
use super::retired::LATE_WRITES;
use super::store::Setting;
use super::{NotificationType, Tenancy, TenancyError};
use chrono::{DateTime, Utc};
use rules::names::{Tenant, TypeName};

/// The registry's partition.
pub(super) const REGISTRY: &str = "NOTIFICATIONS";
const SHARDS: &str = "shards";
const RETIRED_AT: &str = "retiredAt";

/// A type that has or had notifications: where the re-sender looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationSlice {
    /// Whose.
    pub tenant: Tenant,
    /// Of which type. It may have been deleted: what was accepted in that moment has to end somehow.
    pub name: TypeName,
    /// Over how many shards its notifications are spread.
    pub shards: u32,
    /// When the type was deleted, as far as that was noted.
    pub retired_at: Option<DateTime<Utc>>,
}

impl NotificationSlice {
    fn key(tenant: &Tenant, name: &TypeName) -> Key {
        Key::new(REGISTRY, format!("{tenant}/{name}"))
    }

    pub(super) fn encode(&self) -> Item {
        Writer::new(&Self::key(&self.tenant, &self.name))
            .number(SHARDS, self.shards)
            .optional_number(RETIRED_AT, self.retired_at.map(|at| at.timestamp_millis()))
            .finish()
    }

    fn decode(item: &Item) -> Result<Self, DecodeError> {
        let reader = Reader::new("registered notification type", item);
        let parse = || {
            let (tenant, name) = reader.text(SK).ok()?.rsplit_once('/')?;
            Some((tenant.parse().ok()?, name.parse().ok()?))
        };
        let (tenant, name) = parse().ok_or_else(|| reader.error(SK, "names no notification type"))?;
        Ok(Self {
            tenant,
            name,
            shards: reader.number(SHARDS)?,
            retired_at: reader.optional_time(RETIRED_AT)?,
        })
    }
}

impl Tenancy {
    /// Every notification type of every tenant, deleted ones too, for the re-sender. Not cached.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn notification_slices(&self) -> Result<Vec<NotificationSlice>, TenancyError> {
        self.registered("").await
    }

    /// Every notification type a solution has or had: for its lists and counts. Not cached.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn notification_slices_of(
        &self,
        tenant: &Tenant,
    ) -> Result<Vec<NotificationSlice>, TenancyError> {
        self.registered(&format!("{tenant}/")).await
    }

    async fn registered(&self, prefix: &str) -> Result<Vec<NotificationSlice>, TenancyError> {
        let listing = Listing {
            operation: "list registered notification types".into(),
            pk: REGISTRY.to_owned(),
            prefix,
            newest_first: false,
        };
        self.all(&listing, NotificationSlice::decode).await
    }

    /// Over how many shards the notifications of a type are registered to be spread; `None` if it is not registered, or
    /// its registration cannot be decoded.
    pub(super) async fn registered_notification_shards(
        &self,
        tenant: &Tenant,
        name: &TypeName,
    ) -> Result<Option<u32>, TenancyError> {
        let item = self.read("read registry", &NotificationSlice::key(tenant, name)).await?;
        let slice = item.and_then(|item| self.unreadable.skip(NotificationSlice::decode(&item)));
        Ok(slice.map(|slice| slice.shards))
    }

    /// Removes the registration of a type that was deleted more than [`LATE_WRITES`] ago, and of which nothing is left, or
    /// notes that it was deleted where that was not noted. Whether it was removed; not while the type is there.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read or written.
    pub async fn remove_retired_notification_slice(
        &self,
        slice: &NotificationSlice,
        now: DateTime<Utc>,
    ) -> Result<bool, TenancyError> {
        let key = NotificationSlice::key(&slice.tenant, &slice.name);
        let gone =
            self.check(&NotificationType::key(&(slice.tenant.clone(), slice.name.clone())), When::Absent);
        let Some(retired_at) = slice.retired_at else {
            let noted = NotificationSlice { retired_at: Some(now), ..slice.clone() };
            self.commit("retire notification type", vec![gone, self.put(noted.encode(), None)]).await?;
            return Ok(false);
        };
        if now < rules::time::after(retired_at, LATE_WRITES) {
            return Ok(false);
        }
        let delete = self.delete_unchanged(&key, RETIRED_AT, retired_at);
        Ok(self.commit("remove notification type", vec![gone, delete]).await? == Commit::Applied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registrations_round_trip() {
        for retired_at in [None, Some(DateTime::UNIX_EPOCH)] {
            let tenant = Tenant { company: "acme".parse().unwrap(), solution: "music".parse().unwrap() };
            let slice =
                NotificationSlice { tenant, name: "voicemail.new".parse().unwrap(), shards: 4, retired_at };
            assert_eq!(NotificationSlice::decode(&slice.encode()), Ok(slice));
        }
    }
}
