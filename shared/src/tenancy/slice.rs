//! The slice registry: which partitions of the due index there are (SPEC §9.5).

use super::change::{Commit, TRIES_MAX, When};
use super::item::{DecodeError, Item, Key, Reader, SK, Writer};
use super::page::Listing;
use super::{ActivityType, ChangeError, DispatchConfig, Page, PageRequest, Solution, Tenancy, TenancyError};
use crate::shards::{DEFAULT_DONE_SHARDS, Shards};
use aws_sdk_dynamodb::types::TransactWriteItem;
use chrono::{DateTime, TimeDelta, Utc};
use rules::names::{Channel, Kind, Tenant};
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

const WHAT: &str = "slice";
pub(super) const PARTITION: &str = "SLICES";
const SHARDS: &str = "shards";
const DONE_SHARDS: &str = "doneShards";
const RETIRED_AT: &str = "retiredAt";

impl Shards {
    /// `writer` with both, that of `due` under its own name.
    pub(super) fn write(self, due_name: &'static str, writer: Writer) -> Writer {
        writer.number(due_name, self.due).number(DONE_SHARDS, self.done)
    }

    /// Reads what [`Shards::write`] wrote. Where a kind was written before `done` had shards of its own, it is spread
    /// over the fewest that there are; what had finished by then stands in the shards of `due`.
    pub(super) fn read(reader: &Reader<'_>, due_name: &'static str) -> Result<Self, DecodeError> {
        let done = match reader.has(DONE_SHARDS) {
            true => reader.number(DONE_SHARDS)?,
            false => DEFAULT_DONE_SHARDS,
        };
        Ok(Self { due: reader.number(due_name)?, done })
    }
}

/// How much longer than the work of its type a retired slice stays: more than any attempt, and than what goes by itself is
/// kept beyond its time.
const RETIRED_MARGIN: TimeDelta = TimeDelta::days(30);

/// A kind of a solution and over how many shards its work is spread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindEntry {
    /// The activity type or channel.
    pub kind: Kind,
    /// Shards of the indexes.
    pub shards: Shards,
}

/// A partition of the due index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceEntry {
    /// Whose work.
    pub tenant: Tenant,
    /// Which kind of it.
    pub kind: Kind,
    /// Over how many shards it is spread.
    pub shards: Shards,
    /// When its activity type was deleted. The slice stays: work that was accepted in the moment of the
    /// delete has to end somehow, and finished work is listed and rolled by its kind.
    pub retired_at: Option<DateTime<Utc>>,
}

impl SliceEntry {
    pub(super) fn key(tenant: &Tenant, kind: &Kind) -> Key {
        Key::new(PARTITION, format!("{tenant}/{kind}"))
    }

    /// Its place in the registry.
    pub(crate) fn sort_key(&self) -> String {
        Self::key(&self.tenant, &self.kind).sk
    }

    /// Whether it is one of an activity type that was deleted so long ago that all it had finished has gone by itself, in
    /// a solution that keeps nothing longer than `longest`; `None` if something stays for good. A channel's is always needed:
    /// its activities are accepted without a config too.
    pub fn is_over(&self, longest: Option<TimeDelta>, now: DateTime<Utc>) -> bool {
        let kept = longest.and_then(|longest| longest.checked_add(&RETIRED_MARGIN));
        let until = self.retired_at.zip(kept).and_then(|(at, kept)| at.checked_add_signed(kept));
        matches!(self.kind, Kind::Type(_)) && until.is_some_and(|until| until <= now)
    }

    pub(super) fn encode(&self) -> Item {
        let writer = Writer::new(&Self::key(&self.tenant, &self.kind));
        self.shards
            .write(SHARDS, writer)
            .optional_number(RETIRED_AT, self.retired_at.map(|at| at.timestamp_millis()))
            .finish()
    }

    fn decode(item: &Item) -> Result<Self, DecodeError> {
        let reader = Reader::new(WHAT, item);
        let (tenant, kind) = reader.text(SK)?.rsplit_once('/').unwrap_or_default();
        Ok(Self {
            tenant: named(&reader, tenant)?,
            kind: named(&reader, kind)?,
            shards: Shards::read(&reader, SHARDS)?,
            retired_at: reader.optional_time(RETIRED_AT)?,
        })
    }
}

fn named<T: FromStr<Err: Display>>(reader: &Reader<'_>, text: &str) -> Result<T, DecodeError> {
    text.parse().map_err(|error: T::Err| reader.error(SK, error.to_string()))
}

impl Tenancy {
    /// Every slice of every tenant. Not cached.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn slices(&self) -> Result<Vec<SliceEntry>, TenancyError> {
        let listing = Listing {
            operation: "list slices".into(),
            pk: PARTITION.to_owned(),
            prefix: "",
            newest_first: false,
        };
        self.all(&listing, SliceEntry::decode).await
    }

    /// A page of the slices whose key in the registry, `{company}/{solution}/{kind}`, begins with `prefix`, for the sweep.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub(crate) async fn slice_page(
        &self,
        prefix: &str,
        request: &PageRequest,
    ) -> Result<Page<SliceEntry>, TenancyError> {
        let listing = Listing {
            operation: "list slices".into(),
            pk: PARTITION.to_owned(),
            prefix,
            newest_first: false,
        };
        self.page(&listing, request, SliceEntry::decode).await
    }

    /// Whatever a solution's activities were made by, deleted types too: for its lists, counts and
    /// sweeps. Not cached.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn kinds(&self, tenant: &Tenant) -> Result<Vec<KindEntry>, TenancyError> {
        let prefix = format!("{tenant}/");
        let listing = Listing {
            operation: "list kinds".into(),
            pk: PARTITION.to_owned(),
            prefix: &prefix,
            newest_first: false,
        };
        let slices = self.all(&listing, SliceEntry::decode).await?;
        Ok(slices.into_iter().map(|slice| KindEntry { kind: slice.kind, shards: slice.shards }).collect())
    }

    /// Shards of a channel's work. A channel without a config has some too: its activities are
    /// accepted, and each attempt fails by saying that there is none.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`] without the solution, or the table failed.
    pub async fn channel_shards(&self, tenant: &Tenant, channel: Channel) -> Result<Shards, ChangeError> {
        let key = (tenant.clone(), channel);
        if let Some(shards) = self.channel_shards.get(&key) {
            return Ok(*shards);
        }
        let kind = Kind::Channel(channel);
        for _ in 0..TRIES_MAX {
            let begun = self.channel_shards.begin();
            let item = self.read("read slice", &SliceEntry::key(tenant, &kind)).await?;
            if let Some(slice) = item.as_ref().map(SliceEntry::decode).transpose()? {
                self.channel_shards.keep(&begun, key, Arc::new(slice.shards));
                return Ok(slice.shards);
            }
            if self.solution_fresh(tenant).await?.is_none() {
                return Err(ChangeError::NotFound("solution"));
            }
            let slice = SliceEntry {
                tenant: tenant.clone(),
                kind: kind.clone(),
                shards: self.shards,
                retired_at: None,
            };
            let writes = vec![
                self.put(slice.encode(), Some(When::Absent)),
                self.touch(&Solution::key(tenant), When::Exists),
            ];
            self.commit("open channel", writes).await?;
        }
        Err(ChangeError::contended())
    }

    /// Removes the slice of an activity type that is over ([`SliceEntry::is_over`]) and of which nothing waits. Whether it was
    /// as it had been read, and had no more shards than are read without it.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read or written.
    pub async fn remove_retired_slice(&self, slice: &SliceEntry) -> Result<bool, TenancyError> {
        let Some(retired_at) = slice.retired_at.filter(|_| slice.shards.max(self.shards) == self.shards)
        else {
            return Ok(false);
        };
        let delete =
            self.delete_unchanged(&SliceEntry::key(&slice.tenant, &slice.kind), RETIRED_AT, retired_at);
        Ok(self.commit("remove slice", vec![delete]).await? == Commit::Applied)
    }

    /// Over how many shards the work of a kind is registered to be spread, of a retired one too; `None` if it is not
    /// registered, or its slice cannot be decoded.
    pub(super) async fn registered_shards(
        &self,
        tenant: &Tenant,
        kind: &Kind,
    ) -> Result<Option<Shards>, TenancyError> {
        let item = self.read("read slice", &SliceEntry::key(tenant, kind)).await?;
        let slice = item.and_then(|item| self.unreadable.skip(SliceEntry::decode(&item)));
        Ok(slice.map(|slice| slice.shards))
    }

    /// The write by which the slice of a kind is retired `now`: over the shards that the kind had, or, where it cannot be decoded,
    /// those that are registered.
    pub(super) async fn retire_slice(
        &self,
        tenant: &Tenant,
        kind: &Kind,
        had: Option<Shards>,
        now: DateTime<Utc>,
    ) -> Result<Vec<TransactWriteItem>, TenancyError> {
        let shards = match had {
            Some(shards) => shards,
            None => self.registered_shards(tenant, kind).await?.unwrap_or(self.shards),
        };
        let slice = SliceEntry { tenant: tenant.clone(), kind: kind.clone(), shards, retired_at: Some(now) };
        Ok(vec![self.put(slice.encode(), None)])
    }

    /// The kind of an activity type or dispatch config that there is, read past the cache; of one that cannot be decoded
    /// with the shards that are registered.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn existing_kind(
        &self,
        tenant: &Tenant,
        kind: Kind,
    ) -> Result<Option<KindEntry>, TenancyError> {
        let found = match &kind {
            Kind::Type(name) => {
                let found = self.fresh::<ActivityType>(&(tenant.clone(), name.clone())).await;
                found.map(|found| found.map(|found| found.shards))
            }
            Kind::Channel(channel) => {
                let found = self.fresh::<DispatchConfig>(&(tenant.clone(), *channel)).await;
                found.map(|found| found.map(|found| found.shards))
            }
        };
        let shards = match self.unreadable.leave_out(found)? {
            Some(shards) => shards,
            None => Some(self.registered_shards(tenant, &kind).await?.unwrap_or(self.shards)),
        };
        Ok(shards.map(|shards| KindEntry { kind, shards }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_round_trip() {
        let tenant = Tenant { company: "acme".parse().unwrap(), solution: "music".parse().unwrap() };
        let shards = Shards { due: 4, done: 32 };
        for retired_at in [None, Some(DateTime::UNIX_EPOCH)] {
            for kind in ["A:republish", "C:EMAIL"] {
                let slice =
                    SliceEntry { tenant: tenant.clone(), kind: kind.parse().unwrap(), shards, retired_at };
                assert_eq!(SliceEntry::decode(&slice.encode()), Ok(slice));
            }
        }
    }

    /// One that was written before `done` had shards of its own is spread as all are now.
    #[test]
    fn slices_of_before_are_read() {
        let tenant = Tenant { company: "acme".parse().unwrap(), solution: "music".parse().unwrap() };
        let shards = Shards { due: 4, done: DEFAULT_DONE_SHARDS };
        let slice = SliceEntry { tenant, kind: "A:republish".parse().unwrap(), shards, retired_at: None };
        let mut item = slice.encode();
        item.remove(DONE_SHARDS);
        assert_eq!(SliceEntry::decode(&item), Ok(slice));
    }
}
