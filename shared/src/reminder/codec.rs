//! The state of reminders as items of the work table: small, since every attempt writes it.

use super::{attr, keys};
use crate::work::Kept;
use crate::work::attr as work;
use crate::work::codec::{Attributes, DecodeError, Item, n, s, t};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use rules::names::{ActivityId, Tenant};
use rules::reminder::{By, Claim, Done, Index, State, index};

/// A reminder as it is stored, but for its definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its id.
    pub id: ActivityId,
    /// What is written often.
    pub state: State,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When its owner last wrote it.
    pub updated_at: DateTime<Utc>,
    /// Counts what its owner wrote, from 1.
    pub revision: u32,
    /// Hash of the body it was written from.
    pub body_hash: String,
    /// The first and the last of its send times.
    pub span: (DateTime<Utc>, DateTime<Utc>),
    /// Whom it is for (see [`keys::recipient`]).
    pub recipient: String,
    /// Partition in the index `object`.
    pub phone: String,
    /// Shard of the index `due`.
    pub shard: u32,
    /// Shard of the index `done`; of a reminder that was written before that had shards of its own, the same.
    pub done_shard: u32,
    /// Until when it is kept, if it is over.
    pub kept: Option<Kept>,
    /// The processor's fence when it last claimed; 0 before.
    pub fence: u64,
}

impl Record {
    /// The item's partition key.
    pub fn pk(&self) -> String {
        keys::reminder(&self.tenant, &self.id)
    }

    /// Whether it is gone for readers.
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.kept.is_some_and(|kept| kept.is_over(now))
    }

    /// The attributes that place `state` in its index: exactly one of `due` and `done`.
    pub(super) fn index_attributes(&self, state: &State, now: DateTime<Utc>) -> [(&'static str, String); 2] {
        match index(state) {
            Index::Due(due) => [
                (work::DUE_PARTITION, keys::due_partition(&self.tenant, self.shard)),
                (work::DUE_SORT, keys::due_sort(due, &self.recipient, &self.id)),
            ],
            Index::Done(done) => [
                (work::DONE_PARTITION, keys::done_partition(&self.tenant, done, self.done_shard)),
                (work::DONE_SORT, keys::done_sort(now, &self.id)),
            ],
        }
    }

    /// The whole item, in a fixed order.
    pub(super) fn encode(&self, now: DateTime<Utc>) -> Vec<(&'static str, AttributeValue)> {
        let state = &self.state;
        let mut item = vec![
            (work::PK, s(self.pk())),
            (work::SK, s(work::ITEM)),
            (work::STATUS, s(state.status.as_str())),
            (attr::ATTEMPTS, n(state.attempts)),
            (attr::SEQUENCE, n(state.sequence)),
            (attr::REVISION, n(self.revision)),
            (work::CREATED, t(self.created_at)),
            (attr::UPDATED, t(self.updated_at)),
            (work::BODY_HASH, s(&self.body_hash)),
            (attr::FIRST, t(self.span.0)),
            (attr::LAST, t(self.span.1)),
            (attr::RECIPIENT, s(&self.recipient)),
            (work::OBJECT_PARTITION, s(&self.phone)),
            (work::SHARD, n(self.shard)),
            (work::DONE_SHARD, n(self.done_shard)),
            (attr::FENCE, n(self.fence)),
        ];
        item.extend(self.index_attributes(state, now).map(|(name, value)| (name, s(value))));
        item.extend(self.kept.map(Kept::attribute));
        item.extend(optional(state).into_iter().filter_map(|(name, value)| Some((name, value?))));
        item
    }

    /// Reads an item.
    ///
    /// # Errors
    /// [`DecodeError`] naming what cannot be read.
    pub(super) fn decode(item: &Item) -> Result<Self, DecodeError> {
        let read = Attributes::new(item)?;
        let (tenant, id) = keys::parse_reminder(read.text(work::PK)?).ok_or_else(|| read.error(work::PK))?;
        let by = if item.contains_key(attr::BY_HAND) { By::Hand } else { By::Processor };
        let claim = match (read.text_option(work::TOKEN)?, read.instant_option(work::LEASE)?) {
            (Some(token), Some(lease_until)) => Some(Claim { token: token.to_owned(), lease_until, by }),
            (None, None) => None,
            _ => return Err(read.error(work::TOKEN)),
        };
        Ok(Self {
            state: State {
                status: read.parsed(work::STATUS)?,
                next: read.instant_option(attr::NEXT)?,
                handled: read.instant_option(attr::HANDLED)?,
                attempts: read.number(attr::ATTEMPTS)?,
                sequence: read.number(attr::SEQUENCE)?,
                last_sent_at: read.instant_option(attr::LAST_SENT)?,
                completed_at: read.instant_option(attr::COMPLETED)?,
                claim,
            },
            created_at: read.instant(work::CREATED)?,
            updated_at: read.instant(attr::UPDATED)?,
            revision: read.number(attr::REVISION)?,
            body_hash: read.text(work::BODY_HASH)?.to_owned(),
            span: (read.instant(attr::FIRST)?, read.instant(attr::LAST)?),
            recipient: read.text(attr::RECIPIENT)?.to_owned(),
            phone: read.text(work::OBJECT_PARTITION)?.to_owned(),
            shard: read.number(work::SHARD)?,
            done_shard: read.done_shard()?,
            fence: read.number(attr::FENCE)?,
            kept: read.kept()?,
            tenant,
            id,
        })
    }
}

/// Until when a reminder is kept that stands at `state` from `now` on. One that needs review stays until its owner has
/// looked. Never by DynamoDB's time to live, since its definition and its history lie beside it.
pub(super) fn kept(state: &State, now: DateTime<Utc>, retention: Option<TimeDelta>) -> Option<Kept> {
    match index(state) {
        Index::Done(Done::Completed | Done::Cancelled) => {
            Some(Kept::new(now.checked_add_signed(retention?)?, false))
        }
        Index::Done(Done::Review) | Index::Due(_) => None,
    }
}

/// The attributes that a state may have or not.
pub(super) fn optional(state: &State) -> [(&'static str, Option<AttributeValue>); 7] {
    let claim = state.claim.as_ref();
    [
        (attr::NEXT, state.next.map(t)),
        (attr::HANDLED, state.handled.map(t)),
        (attr::LAST_SENT, state.last_sent_at.map(t)),
        (attr::COMPLETED, state.completed_at.map(t)),
        (work::TOKEN, claim.map(|claim| s(&claim.token))),
        (work::LEASE, claim.map(|claim| t(claim.lease_until))),
        (attr::BY_HAND, claim.filter(|claim| claim.by == By::Hand).map(|_| n(1))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reminder::definition::tests::definition;
    use rules::reminder::Status;

    fn record() -> Record {
        let now = DateTime::from_timestamp_millis(1_700_000_000_000).unwrap();
        let tenant = Tenant { company: "acme".parse().unwrap(), solution: "shop".parse().unwrap() };
        Record {
            phone: keys::phone_partition(&tenant, "11999990000"),
            tenant,
            id: "visit:1".parse().unwrap(),
            state: State::accepted(&definition().send_times),
            created_at: now,
            updated_at: now,
            revision: 1,
            body_hash: "x".repeat(22),
            span: (now, now),
            recipient: keys::recipient(&definition().recipient()),
            shard: 2,
            done_shard: 13,
            fence: 0,
            kept: None,
        }
    }

    fn item(record: &Record) -> Item {
        let encoded = record.encode(record.created_at);
        encoded.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    #[test]
    fn records_round_trip_in_exactly_one_index() {
        let claim = |by| Claim { token: "t".into(), lease_until: record().created_at, by };
        let base = record().state;
        let at = Some(record().created_at);
        let states = [
            base.clone(),
            State { claim: Some(claim(By::Processor)), handled: at, last_sent_at: at, ..base.clone() },
            State { claim: Some(claim(By::Hand)), ..base.clone() },
            State { next: None, handled: at, ..base.clone() },
            State { status: Status::Completed, next: None, completed_at: at, ..base.clone() },
            State { status: Status::Cancelled, ..base },
        ];
        for state in states {
            let record = Record { state, ..record() };
            let item = item(&record);
            assert_eq!(Record::decode(&item).as_ref(), Ok(&record));
            let has = |names: [&str; 2]| names.map(|name| item.contains_key(name));
            let (due, done) = (has(["dp", "ds"]), has(["fp", "fs"]));
            assert!(due != done && due[0] == due[1] && done[0] == done[1], "{item:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for attribute in [work::STATUS, attr::ATTEMPTS, attr::SEQUENCE, attr::RECIPIENT, attr::FENCE] {
            let mut item = item(&record());
            item.remove(attribute);
            assert_eq!(Record::decode(&item).unwrap_err().attribute, attribute);
        }
    }

    /// Names of 20 characters and a UUID for an id: within half the KiB that one write unit buys, at every step.
    #[test]
    fn the_state_is_one_write_unit() {
        let mut record = record();
        let name = "x".repeat(20);
        record.tenant = Tenant { company: name.parse().unwrap(), solution: name.parse().unwrap() };
        record.id = "0190c0de-0000-7000-8000-000000000000".parse().unwrap();
        record.phone = keys::phone_partition(&record.tenant, "11999990000");
        let at = Some(record.created_at);
        record.state = State { handled: at, last_sent_at: at, completed_at: at, ..record.state };
        record.state.claim =
            Some(Claim { token: "0123456789abcdef".into(), lease_until: record.created_at, by: By::Hand });
        let size: usize = record
            .encode(record.created_at)
            .iter()
            .map(|(name, value)| name.len() + value.as_s().map_or(10, String::len))
            .sum();
        assert!(size <= 640, "{size}");
    }
}
