//! Notifications as items of the work table.

use crate::engine::attempt::{Success, encode_success};
use crate::engine::attributes::{Attributes, DecodeError, Item, n, s, t};
use crate::engine::guard::Guard;
use crate::engine::guard::held_by;
use crate::engine::item::{Encoded, WorkItem, encode_claim};
use crate::engine::{HistoryEntry, Kept, SUCCESS};
use crate::table::{attr, keys};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use rules::activity::Index;
use rules::claim::Claim;
use rules::names::{ActivityId, Tenant, TypeName};
use rules::notification::{State, Status, index};

/// A notification as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its type.
    pub name: TypeName,
    /// Its id.
    pub id: ActivityId,
    /// What is written often.
    pub state: State,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// The payload as JSON text; `None` where it is in the item `PAYLOAD`.
    pub payload: Option<String>,
    /// Hash of the body it was created from.
    pub body_hash: String,
    /// Shard of its indexes.
    pub shard: u32,
    /// The attempt that published it.
    pub success: Option<Success>,
    /// Until when it is kept, if it goes by itself.
    pub kept: Option<Kept>,
}

impl Notification {
    /// What a receiver knows its attempts by: the same on every attempt of a run.
    pub fn call_id(&self) -> String {
        format!("{}:{}", self.id, self.state.run)
    }

    /// The same once it has been published, kept for `retention` then: from when it stands in the index. One that is not
    /// published in the end stays until its owner deletes it or sends it again.
    pub(crate) fn kept_for(self, retention: Option<TimeDelta>) -> Self {
        let is_alone = self.payload.is_some() && self.state.sends <= 1;
        let period = retention.filter(|_| self.state.status == Status::Published);
        let until = period.and_then(|period| self.state.due.checked_add_signed(period));
        Self { kept: until.map(|until| Kept::new(until, is_alone)), ..self }
    }

    /// The history entry of the attempt that published it.
    pub(crate) fn success_entry(&self) -> Option<HistoryEntry> {
        let (success, at) = (self.success?, self.state.last_attempt_at?);
        Some(HistoryEntry {
            at,
            outcome: SUCCESS.to_owned(),
            http_status: success.http_status,
            duration_ms: success.duration_ms,
            detail: None,
        })
    }

    /// Its attributes, in a fixed order.
    pub(crate) fn encode(&self) -> Encoded {
        let mut item = vec![
            (attr::PK, s(self.pk())),
            (attr::SK, s(attr::ITEM)),
            (attr::KIND, s(self.name.as_str())),
            (attr::CREATED, t(self.created_at)),
            (attr::SHARD, n(self.shard)),
            (attr::BODY_HASH, s(&self.body_hash)),
        ];
        item.extend(self.payload.as_ref().map(|payload| (attr::PARAMETER, s(payload))));
        // Where it stands follows from its state alone.
        item.extend(self.changing(self.created_at));
        item
    }

    /// The attributes that place it in its index: exactly one of `due` and `done`.
    fn place(&self) -> [(&'static str, AttributeValue); 2] {
        let Self { tenant, name, shard, state, .. } = self;
        match index(state) {
            Index::Due(due) => [
                (attr::DUE_PARTITION, s(keys::notification_due_partition(tenant, name, *shard))),
                (attr::DUE_SORT, s(keys::done_sort(due, &self.id))),
            ],
            Index::Done => {
                let partition = keys::notification_done_partition(tenant, name, state.status, *shard);
                [
                    (attr::DONE_PARTITION, s(partition)),
                    (attr::DONE_SORT, s(keys::done_sort(state.due, &self.id))),
                ]
            }
        }
    }
}

impl WorkItem for Notification {
    fn pk(&self) -> String {
        keys::notification(&self.tenant, &self.id)
    }

    fn changing(&self, _: DateTime<Utc>) -> Encoded {
        let state = &self.state;
        let mut item = vec![
            (attr::STATUS, s(state.status.as_str())),
            (attr::DUE, t(state.due)),
            (attr::ATTEMPTS, n(state.attempts)),
            (attr::MAX_ATTEMPTS, n(state.retries)),
            (attr::RUN, n(state.run)),
            (attr::SENDS, n(state.sends)),
        ];
        item.extend(self.place());
        item.extend(state.last_attempt_at.map(|at| (attr::EXECUTED, t(at))));
        item.extend(encode_claim(state.claim.as_ref()));
        item.extend(encode_success(self.success));
        item.extend(self.kept.map(Kept::attribute));
        item
    }

    fn decode(item: &Item) -> Result<Self, DecodeError> {
        let read = Attributes::new(item)?;
        let (tenant, id) = keys::parse_notification(read.pk()).ok_or_else(|| read.error(attr::PK))?;
        Ok(Self {
            name: read.parsed(attr::KIND)?,
            state: State {
                status: read.parsed(attr::STATUS)?,
                attempts: read.number(attr::ATTEMPTS)?,
                retries: read.number(attr::MAX_ATTEMPTS)?,
                run: read.number(attr::RUN)?,
                sends: read.number(attr::SENDS)?,
                due: read.instant(attr::DUE)?,
                last_attempt_at: read.instant_option(attr::EXECUTED)?,
                claim: read.claim()?,
            },
            created_at: read.instant(attr::CREATED)?,
            payload: read.text_option(attr::PARAMETER)?.map(str::to_owned),
            body_hash: read.text(attr::BODY_HASH)?.to_owned(),
            shard: read.number(attr::SHARD)?,
            success: read.success()?,
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

    fn guards(&self, _: &Self) -> Vec<Guard> {
        let state = &self.state;
        let mut guards = vec![held_by(self.claim())];
        if state.claim.is_none() {
            guards.extend([
                Guard::Equals(attr::STATUS, s(state.status.as_str())),
                Guard::Equals(attr::SENDS, n(state.sends)),
                Guard::Equals(attr::ATTEMPTS, n(state.attempts)),
                Guard::Equals(attr::DUE, t(state.due)),
            ]);
        }
        guards
    }

    fn is_success(&self) -> bool {
        self.success.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::notification::{begun, held};

    #[test]
    fn notifications_round_trip_and_stand_in_one_index() {
        let now = DateTime::from_timestamp_millis(1_700_000_000_000).unwrap();
        let claim = Claim::due("t", now);
        let whole = Notification {
            tenant: Tenant { company: "acme".parse().unwrap(), solution: "shop".parse().unwrap() },
            name: "voicemail_new".parse().unwrap(),
            id: "n:1".parse().unwrap(),
            state: begun(claim, 3),
            created_at: now,
            payload: Some("[1]".into()),
            body_hash: "hash".into(),
            shard: 2,
            success: None,
            kept: None,
        };
        let free = Notification { state: held(3, now), payload: None, ..whole.clone() };
        let over = |status, success| Notification {
            state: State { status, last_attempt_at: Some(now), ..free.state.clone() },
            success,
            ..free.clone()
        };
        let success = Some(Success { http_status: Some(204), duration_ms: 7 });
        for one in [
            whole.clone(),
            free.clone(),
            over(Status::MaxRetried, None),
            over(Status::Published, success),
            over(Status::Published, success).kept_for(Some(TimeDelta::days(365))),
            Notification { payload: None, ..over(Status::Published, success) }
                .kept_for(Some(TimeDelta::days(1))),
            over(Status::Published, Some(Success { http_status: None, duration_ms: 0 })),
        ] {
            let item: Item = one.encode().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            assert_eq!(Notification::decode(&item).as_ref(), Ok(&one));
            let due = item.contains_key(attr::DUE_PARTITION) && item.contains_key(attr::DUE_SORT);
            let done = item.contains_key(attr::DONE_PARTITION) && item.contains_key(attr::DONE_SORT);
            assert!(due != done, "{one:?}");
            for attribute in [attr::STATUS, attr::KIND, attr::SENDS, attr::DUE] {
                let mut broken = item.clone();
                broken.remove(attribute);
                assert_eq!(Notification::decode(&broken).unwrap_err().attribute, attribute);
            }
        }
    }
}
