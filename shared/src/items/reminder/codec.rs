//! The state of reminders as items of the work table: small, since every attempt writes it.

use crate::engine::Kept;
use crate::engine::attributes::{Attributes, DecodeError, Item, n, s, t};
use crate::engine::guard::Guard;
use crate::engine::guard::held_by;
use crate::engine::item::{DueItem, Encoded, WorkItem, encode_claim};
use crate::items::reminder::{attr, keys};
use crate::table::attr as work;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use rules::claim::{Claim, Claimable, Trigger};
use rules::names::{ActivityId, Tenant};
use rules::reminder::{Done, Index, State, index};

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
    /// The same at another state, which it comes to at `now`. One that needs review stays until its owner has looked;
    /// what is over is kept for `retention`, and never goes by DynamoDB's time to live, since its definition and its
    /// history lie beside it.
    pub(crate) fn at(&self, state: State, retention: Option<TimeDelta>, now: DateTime<Utc>) -> Self {
        let kept = match index(&state) {
            place if place == index(&self.state) => self.kept,
            place => kept(place, retention, now),
        };
        Self { state, kept, ..self.clone() }
    }

    /// The attributes that place it in its index: exactly one of `due` and `done`.
    fn place(&self, now: DateTime<Utc>) -> [(&'static str, AttributeValue); 2] {
        match index(&self.state) {
            Index::Due(due) => [
                (work::DUE_PARTITION, s(keys::due_partition(&self.tenant, self.shard))),
                (work::DUE_SORT, s(keys::due_sort(due, &self.recipient, &self.id))),
            ],
            Index::Done(done) => [
                (work::DONE_PARTITION, s(keys::done_partition(&self.tenant, done, self.done_shard))),
                (work::DONE_SORT, s(keys::done_sort(now, &self.id))),
            ],
        }
    }

    /// The whole item, in a fixed order.
    pub(crate) fn encode(&self, now: DateTime<Utc>) -> Encoded {
        let mut item = vec![
            (work::PK, s(self.pk())),
            (work::SK, s(work::ITEM)),
            (work::CREATED, t(self.created_at)),
            (work::BODY_HASH, s(&self.body_hash)),
            (attr::FIRST, t(self.span.0)),
            (attr::LAST, t(self.span.1)),
            (attr::RECIPIENT, s(&self.recipient)),
            (work::OBJECT_PARTITION, s(&self.phone)),
            (work::SHARD, n(self.shard)),
            (work::DONE_SHARD, n(self.done_shard)),
            (attr::FENCE, n(self.fence)),
        ];
        item.extend(self.changing(now));
        item
    }
}

/// Until when a reminder is kept that comes to `place` at `now`.
pub(crate) fn kept(place: Index, retention: Option<TimeDelta>, now: DateTime<Utc>) -> Option<Kept> {
    match place {
        Index::Done(Done::Completed | Done::Cancelled) => {
            Some(Kept::new(now.checked_add_signed(retention?)?, false))
        }
        Index::Done(Done::Review) | Index::Due(_) => None,
    }
}

impl DueItem for Record {
    const COUNTERS: &'static [&'static str] = &[attr::ATTEMPTS, attr::SEQUENCE];

    fn claimable(&self, lead: TimeDelta, now: DateTime<Utc>) -> Claimable {
        self.state.claimable(Trigger::Due, now + lead)
    }
}

impl WorkItem for Record {
    fn pk(&self) -> String {
        keys::reminder(&self.tenant, &self.id)
    }

    fn changing(&self, now: DateTime<Utc>) -> Encoded {
        let state = &self.state;
        let mut item = vec![
            (work::STATUS, s(state.status.as_str())),
            (attr::ATTEMPTS, n(state.attempts)),
            (attr::SEQUENCE, n(state.sequence)),
            (attr::REVISION, n(self.revision)),
            (attr::UPDATED, t(self.updated_at)),
        ];
        item.extend(self.place(now));
        item.extend(self.kept.map(Kept::attribute));
        item.extend(encode_claim(state.claim.as_ref()));
        let mut option = |name, at: Option<DateTime<Utc>>| item.extend(at.map(|at| (name, t(at))));
        option(attr::NEXT, state.next);
        option(attr::HANDLED, state.handled);
        option(attr::LAST_SENT, state.last_sent_at);
        option(attr::COMPLETED, state.completed_at);
        item
    }

    fn decode(item: &Item) -> Result<Self, DecodeError> {
        let read = Attributes::new(item)?;
        let (tenant, id) = keys::parse_reminder(read.text(work::PK)?).ok_or_else(|| read.error(work::PK))?;
        Ok(Self {
            state: State {
                status: read.parsed(work::STATUS)?,
                next: read.instant_option(attr::NEXT)?,
                handled: read.instant_option(attr::HANDLED)?,
                attempts: read.number(attr::ATTEMPTS)?,
                sequence: read.number(attr::SEQUENCE)?,
                last_sent_at: read.instant_option(attr::LAST_SENT)?,
                completed_at: read.instant_option(attr::COMPLETED)?,
                claim: read.claim()?,
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

    fn claim(&self) -> Option<&Claim> {
        self.state.claim.as_ref()
    }

    fn kept(&self) -> Option<Kept> {
        self.kept
    }

    /// All there is to tell states apart: claims raise the sequence, owners the revision, and a settle ends a claim.
    fn guards(&self, _: &Self) -> Vec<Guard> {
        vec![
            held_by(self.claim()),
            Guard::Equals(attr::SEQUENCE, n(self.state.sequence)),
            Guard::Equals(attr::REVISION, n(self.revision)),
        ]
    }

    fn is_left_by(&self, to: &Self) -> bool {
        (&self.state, self.revision, self.updated_at) == (&to.state, to.revision, to.updated_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::items::reminder::definition::tests::definition;
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
        let claim = |trigger| Claim { trigger, ..Claim::due("t", record().created_at) };
        let base = record().state;
        let at = Some(record().created_at);
        let states = [
            base.clone(),
            State { claim: Some(claim(Trigger::Due)), handled: at, last_sent_at: at, ..base.clone() },
            State { claim: Some(claim(Trigger::Manual)), ..base.clone() },
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
            Some(Claim { trigger: Trigger::Manual, ..Claim::due("0123456789abcdef", record.created_at) });
        let size: usize = record
            .encode(record.created_at)
            .iter()
            .map(|(name, value)| name.len() + value.as_s().map_or(10, String::len))
            .sum();
        assert!(size <= 640, "{size}");
    }
}
