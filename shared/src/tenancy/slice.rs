//! The slice registry: which partitions of the due index there are (SPEC §9.5).

use super::change::{TRIES_MAX, When};
use super::item::{DecodeError, Item, Key, Reader, SK, Writer};
use super::page::Listing;
use super::{ChangeError, Solution, Tenancy, TenancyError};
use chrono::{DateTime, Utc};
use rules::names::{Channel, Kind, Tenant};
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

const WHAT: &str = "slice";
pub(super) const PARTITION: &str = "SLICES";
const SHARDS: &str = "shards";
const RETIRED_AT: &str = "retiredAt";

/// A kind of a solution and over how many shards its due work is spread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindEntry {
    /// The activity type or channel.
    pub kind: Kind,
    /// Shards of the due index.
    pub shards: u32,
}

/// A partition of the due index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceEntry {
    /// Whose work.
    pub tenant: Tenant,
    /// Which kind of it.
    pub kind: Kind,
    /// Over how many shards it is spread.
    pub shards: u32,
    /// When its activity type was deleted. The slice stays: work that was accepted in the moment of the
    /// delete has to end somehow, and finished work is listed and rolled by its kind.
    pub retired_at: Option<DateTime<Utc>>,
}

impl SliceEntry {
    pub(super) fn key(tenant: &Tenant, kind: &Kind) -> Key {
        Key::new(PARTITION, format!("{tenant}/{kind}"))
    }

    pub(super) fn encode(&self) -> Item {
        Writer::new(&Self::key(&self.tenant, &self.kind))
            .number(SHARDS, self.shards)
            .optional_number(RETIRED_AT, self.retired_at.map(|at| at.timestamp_millis()))
            .finish()
    }

    fn decode(item: &Item) -> Result<Self, DecodeError> {
        let reader = Reader::new(WHAT, item);
        let (tenant, kind) = reader.text(SK)?.rsplit_once('/').unwrap_or_default();
        Ok(Self {
            tenant: named(&reader, tenant)?,
            kind: named(&reader, kind)?,
            shards: reader.number(SHARDS)?,
            retired_at: reader.optional_time(RETIRED_AT)?,
        })
    }
}

fn named<T: FromStr<Err: Display>>(reader: &Reader<'_>, text: &str) -> Result<T, DecodeError> {
    text.parse().map_err(|error: T::Err| reader.error(SK, error.to_string()))
}

impl Tenancy {
    /// Every slice of every tenant, for the sweep. Not cached.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn slices(&self) -> Result<Vec<SliceEntry>, TenancyError> {
        let listing =
            Listing { operation: "list slices", pk: PARTITION.to_owned(), prefix: "", newest_first: false };
        self.all(&listing, SliceEntry::decode).await
    }

    /// Whatever a solution's activities were made by, deleted types too: for its lists, counts and
    /// sweeps. Not cached.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn kinds(&self, tenant: &Tenant) -> Result<Vec<KindEntry>, TenancyError> {
        let prefix = format!("{tenant}/");
        let listing = Listing {
            operation: "list kinds",
            pk: PARTITION.to_owned(),
            prefix: &prefix,
            newest_first: false,
        };
        let slices = self.all(&listing, SliceEntry::decode).await?;
        Ok(slices.into_iter().map(|slice| KindEntry { kind: slice.kind, shards: slice.shards }).collect())
    }

    /// Shards of a channel's due work. A channel without a config has some too: its activities are
    /// accepted, and each attempt fails by saying that there is none.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`] without the solution, or the table failed.
    pub async fn channel_shards(&self, tenant: &Tenant, channel: Channel) -> Result<u32, ChangeError> {
        let key = (tenant.clone(), channel);
        if let Some(shards) = self.channel_shards.get(&key) {
            return Ok(*shards);
        }
        let kind = Kind::Channel(channel);
        for _ in 0..TRIES_MAX {
            let begun = self.channel_shards.begin();
            if let Some(slice) = self.slice(tenant, &kind).await? {
                self.channel_shards.keep(&begun, key, Arc::new(slice.shards));
                return Ok(slice.shards);
            }
            if self.solution_fresh(tenant).await?.is_none() {
                return Err(ChangeError::NotFound("solution"));
            }
            let slice = SliceEntry {
                tenant: tenant.clone(),
                kind: kind.clone(),
                shards: self.due_shards,
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

    /// The slice of one kind, retired or not.
    pub(super) async fn slice(
        &self,
        tenant: &Tenant,
        kind: &Kind,
    ) -> Result<Option<SliceEntry>, TenancyError> {
        let item = self.read("read slice", &SliceEntry::key(tenant, kind)).await?;
        Ok(item.as_ref().map(SliceEntry::decode).transpose()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_round_trip() {
        let tenant = Tenant { company: "acme".parse().unwrap(), solution: "music".parse().unwrap() };
        for retired_at in [None, Some(DateTime::UNIX_EPOCH)] {
            for kind in ["A:republish", "C:EMAIL"] {
                let slice =
                    SliceEntry { tenant: tenant.clone(), kind: kind.parse().unwrap(), shards: 4, retired_at };
                assert_eq!(SliceEntry::decode(&slice.encode()), Ok(slice));
            }
        }
    }
}
