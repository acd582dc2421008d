//! Activities as items of the work table. Decoding is strict: what cannot be
//! read is an error that names the attribute, never a default.

pub use crate::engine::attributes::{Attributes, DecodeError, Item, n, s, t};

use crate::engine::attempt::{Success, encode_success};
use crate::engine::guard::Guard;
use crate::engine::guard::held_by;
use crate::engine::item::{DueItem, Encoded, WorkItem, encode_claim};
use crate::engine::kept::Kept;
use crate::table::attr;
use crate::table::keys;
use crate::tenancy::REMINDER_WEBHOOK;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use rules::activity::{Index, State, index};
use rules::claim::{Claim, Claimable};
use rules::due::Mark;
use rules::names::{ActivityId, Kind, Tenant, ids};

/// What the `body_hash` of activities that rules created begins with. A caller's begins with something else.
/// Before there were incarnations it was no more than this.
pub const RULE_BODY_HASH: &str = "recurring";

/// The `body_hash` of what a rule creates: its incarnation.
pub(crate) fn rule_body_hash(created_at: DateTime<Utc>) -> String {
    format!("{RULE_BODY_HASH}:{}", ids::incarnation(created_at))
}

/// An activity as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Whose it is.
    pub tenant: Tenant,
    /// What makes its call.
    pub kind: Kind,
    /// Its id.
    pub id: ActivityId,
    /// What is written often.
    pub state: State,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// The parameter as JSON text; `None` where it is in the item `PAYLOAD`.
    pub parameter: Option<String>,
    /// The caller's own URI pattern.
    pub uri: Option<String>,
    /// Hash of the body it was created from.
    pub body_hash: String,
    /// Shard of the index `due`.
    pub shard: u32,
    /// Shard of the index `done`; of an activity that was accepted before that had shards of its own, the same.
    pub done_shard: u32,
    /// Partition in the index `object`.
    pub object: Option<String>,
    /// When the type was changed last that it was judged by.
    pub type_changed_at: Option<DateTime<Utc>>,
    /// The successful attempt.
    pub success: Option<Success>,
    /// What its provider made of it, for one that was dispatched through a channel.
    pub dispatch: Option<Dispatch>,
    /// Whether a large parameter, object values or results lie beside it, or may: of one that was accepted before this was
    /// noted.
    pub has_companions: bool,
    /// Until when it is kept, if it goes by itself.
    pub kept: Option<Kept>,
}

/// An activity as its provider has it (SPEC §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispatch {
    /// The provider's id of it.
    pub provider_activity_id: String,
    /// The dispatch config it went by.
    pub dispatch_config_id: String,
}

impl Record {
    /// Whether its creator named it; only such an id can have been known before the activity was.
    pub(crate) fn has_callers_id(&self) -> bool {
        !self.body_hash.is_empty()
    }

    /// Whether the system made it itself: an occurrence of a rule, or the webhook of a reminder.
    pub fn is_own(&self) -> bool {
        let is_webhook = matches!(&self.kind, Kind::Type(name) if name.as_str() == REMINDER_WEBHOOK);
        is_webhook || self.body_hash.starts_with(RULE_BODY_HASH)
    }

    /// The attributes that place it in its index: exactly one of `due` and `done`.
    fn place(&self, now: DateTime<Utc>) -> [(&'static str, AttributeValue); 2] {
        let state = &self.state;
        match index(state) {
            Index::Due(due) => [
                (attr::DUE_PARTITION, s(keys::due_partition(&self.tenant, &self.kind, self.shard))),
                (attr::DUE_SORT, s(keys::due_sort(due, Mark::of(now, due), &self.id))),
            ],
            Index::Done => [
                (attr::DONE_PARTITION, s(keys::done_partition(&self.tenant, state.status, self.done_shard))),
                // A result that comes days later leaves it where its execution put it: logs are rolled by that.
                (attr::DONE_SORT, s(keys::done_sort(state.executed_at.unwrap_or(now), &self.id))),
            ],
        }
    }

    /// The attributes of a new item, in a fixed order.
    pub fn encode(&self, now: DateTime<Utc>) -> Encoded {
        let mut item = vec![
            (attr::PK, s(self.pk())),
            (attr::SK, s(attr::ITEM)),
            (attr::KIND, s(self.kind.to_string())),
            (attr::CREATED, t(self.created_at)),
            (attr::SHARD, n(self.shard)),
            (attr::DONE_SHARD, n(self.done_shard)),
            (attr::BODY_HASH, s(&self.body_hash)),
        ];
        let mut option = |name, value: Option<AttributeValue>| item.extend(value.map(|value| (name, value)));
        option(attr::PARAMETER, self.parameter.as_ref().map(s));
        option(attr::TYPE_CHANGED, self.type_changed_at.map(t));
        option(attr::OBJECT_PARTITION, self.object.as_ref().map(s));
        item.extend(self.changing(now));
        item
    }
}

impl DueItem for Record {
    const COUNTERS: &'static [&'static str] = &[attr::ATTEMPTS];

    fn claimable(&self, lead: TimeDelta, now: DateTime<Utc>) -> Claimable {
        self.state.claimable(lead, now)
    }
}

impl WorkItem for Record {
    fn pk(&self) -> String {
        keys::activity(&self.tenant, &self.id)
    }

    fn changing(&self, now: DateTime<Utc>) -> Encoded {
        let state = &self.state;
        let mut item = vec![
            (attr::STATUS, s(state.status.as_str())),
            (attr::DATE, t(state.date)),
            (attr::DUE, t(state.due)),
            (attr::ATTEMPTS, n(state.attempts)),
            (attr::MAX_ATTEMPTS, n(state.max_attempts)),
            (attr::RUN, n(state.run)),
        ];
        item.extend(self.place(now));
        item.extend(encode_claim(state.claim.as_ref()));
        let mut option = |name, value: Option<AttributeValue>| item.extend(value.map(|value| (name, value)));
        option(attr::URI, self.uri.as_ref().map(s));
        option(attr::EXECUTED, state.executed_at.map(t));
        option(attr::VERDICT, state.verdict.as_ref().map(|verdict| s(verdict.to_string())));
        let dispatch = self.dispatch.as_ref();
        option(attr::PROVIDER_ACTIVITY, dispatch.map(|dispatch| s(&dispatch.provider_activity_id)));
        option(attr::DISPATCH_CONFIG, dispatch.map(|dispatch| s(&dispatch.dispatch_config_id)));
        option(attr::COMPANIONS, self.has_companions.then(|| n(1)));
        item.extend(self.kept.map(Kept::attribute));
        item.extend(encode_success(self.success));
        item
    }

    fn decode(item: &Item) -> Result<Self, DecodeError> {
        let read = Attributes::new(item)?;
        let (tenant, id) = keys::parse_activity(read.pk()).ok_or_else(|| read.error(attr::PK))?;
        let text = |attribute| read.text_option(attribute).map(|text| text.map(str::to_owned));
        let dispatch = match (text(attr::PROVIDER_ACTIVITY)?, text(attr::DISPATCH_CONFIG)?) {
            (Some(provider_activity_id), Some(dispatch_config_id)) => {
                Some(Dispatch { provider_activity_id, dispatch_config_id })
            }
            (None, None) => None,
            _ => return Err(read.error(attr::PROVIDER_ACTIVITY)),
        };
        Ok(Self {
            kind: read.parsed(attr::KIND)?,
            state: State {
                status: read.parsed(attr::STATUS)?,
                date: read.instant(attr::DATE)?,
                due: read.instant(attr::DUE)?,
                attempts: read.number(attr::ATTEMPTS)?,
                max_attempts: read.number(attr::MAX_ATTEMPTS)?,
                run: read.number(attr::RUN)?,
                executed_at: read.instant_option(attr::EXECUTED)?,
                claim: read.claim()?,
                verdict: read.parsed_option(attr::VERDICT)?,
            },
            created_at: read.instant(attr::CREATED)?,
            parameter: text(attr::PARAMETER)?,
            uri: text(attr::URI)?,
            body_hash: read.text(attr::BODY_HASH)?.to_owned(),
            shard: read.number(attr::SHARD)?,
            done_shard: read.done_shard()?,
            type_changed_at: read.instant_option(attr::TYPE_CHANGED)?,
            object: text(attr::OBJECT_PARTITION)?,
            has_companions: item.contains_key(attr::COMPANIONS) || !item.contains_key(attr::DONE_SHARD),
            kept: read.kept()?,
            success: read.success()?,
            dispatch,
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

    fn guards(&self, to: &Self) -> Vec<Guard> {
        let state = &self.state;
        let mut guards = vec![held_by(state.claim.as_ref())];
        guards.push(match &state.verdict {
            Some(verdict) => Guard::Equals(attr::VERDICT, s(verdict.to_string())),
            None => Guard::Missing(attr::VERDICT),
        });
        if state.claim.is_none() {
            guards.extend([
                Guard::Equals(attr::STATUS, s(state.status.as_str())),
                Guard::Equals(attr::ATTEMPTS, n(state.attempts)),
                Guard::Equals(attr::RUN, n(state.run)),
                Guard::Equals(attr::DUE, t(state.due)),
            ]);
        }
        if to.kept.is_some_and(|kept| kept.by_ttl) {
            // A result that came meanwhile would be left behind.
            guards.push(Guard::Missing(attr::COMPANIONS));
        }
        guards
    }

    fn is_left_by(&self, to: &Self) -> bool {
        self.state == to.state
    }

    fn is_success(&self) -> bool {
        self.success.is_some()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use chrono::TimeDelta;
    use rules::activity::{Status, accepted};
    use rules::verdict::{ResultStatus, Verdict};

    pub(crate) fn record() -> Record {
        let now = DateTime::from_timestamp_millis(1_700_000_000_000).unwrap();
        Record {
            tenant: Tenant { company: "acme".parse().unwrap(), solution: "shop".parse().unwrap() },
            kind: "A:play".parse().unwrap(),
            id: "order:1".parse().unwrap(),
            state: accepted(now + TimeDelta::hours(1), 3, now),
            created_at: now,
            parameter: Some("{}".into()),
            uri: None,
            body_hash: "hash".into(),
            shard: 2,
            done_shard: 13,
            object: None,
            success: None,
            type_changed_at: Some(now),
            dispatch: None,
            has_companions: false,
            kept: None,
        }
    }

    fn round_trip(record: &Record) {
        let item: Item = record
            .encode(record.created_at)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        assert_eq!(Record::decode(&item).as_ref(), Ok(record));
        let due = item.contains_key(attr::DUE_PARTITION) && item.contains_key(attr::DUE_SORT);
        let done = item.contains_key(attr::DONE_PARTITION) && item.contains_key(attr::DONE_SORT);
        assert!(due != done, "in exactly one of due and done");
    }

    #[test]
    fn records_round_trip() {
        round_trip(&record());
        let mut full = record();
        full.uri = Some("https://example.com/{a}".into());
        full.object = Some("acme/shop/play/=7".into());
        full.parameter = None;
        full.state.claim = Some(Claim::due("t", full.created_at));
        round_trip(&full);
        full.state.status = Status::Dispatched;
        full.state.claim = None;
        full.state.executed_at = Some(full.created_at);
        full.success = Some(Success { http_status: Some(204), duration_ms: 12 });
        round_trip(&full);
        full.success = Some(Success { http_status: None, duration_ms: 0 });
        full.dispatch =
            Some(Dispatch { provider_activity_id: "p 1".into(), dispatch_config_id: "EMAIL-1".into() });
        full.state.verdict = Verdict::of(ResultStatus::NotExecuted, "r:1");
        full.has_companions = true;
        for by_ttl in [true, false] {
            full.kept = Some(Kept::new(full.created_at, by_ttl));
            round_trip(&full);
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let whole: Item = record()
            .encode(record().created_at)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        for attribute in [attr::STATUS, attr::KIND, attr::DUE, attr::ATTEMPTS, attr::CREATED] {
            let mut item = whole.clone();
            item.remove(attribute);
            assert_eq!(Record::decode(&item).unwrap_err().attribute, attribute);
            item.insert(attribute.to_owned(), AttributeValue::Bool(true));
            assert_eq!(Record::decode(&item).unwrap_err().attribute, attribute);
        }
    }

    /// A small activity with 500 bytes of parameter stays within the KiB that one write unit buys, at every step.
    #[test]
    fn a_small_activity_is_one_write_unit() {
        let mut record = record();
        record.tenant = Tenant {
            company: "company-of-20-chars-".parse().unwrap(),
            solution: "s".repeat(20).parse().unwrap(),
        };
        record.id = "0190c0de-0000-7000-8000-000000000000".parse().unwrap();
        record.parameter = Some("x".repeat(500));
        record.body_hash = "x".repeat(22);
        record.state.claim = Some(Claim::due("0123456789abcdef", record.created_at));
        record.success = Some(Success { http_status: Some(200), duration_ms: 1_000 });
        record.kept = Some(Kept::new(record.created_at, true));
        let size: usize = record
            .encode(record.created_at)
            .iter()
            .map(|(name, value)| {
                name.len()
                    + match value {
                        AttributeValue::S(text) => text.len(),
                        AttributeValue::N(digits) => digits.len() / 2 + 2,
                        _ => unreachable!("strings and numbers alone"),
                    }
            })
            .sum();
        assert!(size <= 1_024, "{size}");
    }
}
