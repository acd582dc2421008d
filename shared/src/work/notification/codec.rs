//! Notifications as items of the work table.

use crate::work::codec::{Attributes, DecodeError, Item, Success, n, s, t};
use crate::work::{HistoryEntry, Kept, SUCCESS, attr, keys};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use rules::activity::{Claim, Index};
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
    /// The item's partition key.
    pub fn pk(&self) -> String {
        keys::notification(&self.tenant, &self.id)
    }

    /// What a receiver knows its attempts by: the same on every attempt of a run.
    pub fn call_id(&self) -> String {
        format!("{}:{}", self.id, self.state.run)
    }

    /// Whether it is gone for readers.
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.kept.is_some_and(|kept| kept.is_over(now))
    }

    /// The same once it has been published, kept for `retention` then: from when it stands in the index. One that is not
    /// published in the end stays until its owner deletes it or sends it again.
    pub(super) fn kept_for(self, retention: Option<TimeDelta>) -> Self {
        let is_alone = self.payload.is_some() && self.state.sends <= 1;
        let period = retention.filter(|_| self.state.status == Status::Published);
        let until = period.and_then(|period| self.state.due.checked_add_signed(period));
        Self { kept: until.map(|until| Kept::new(until, is_alone)), ..self }
    }

    /// The history entry of the attempt that published it.
    pub(super) fn success_entry(&self) -> Option<HistoryEntry> {
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
    pub(super) fn encode(&self) -> Vec<(&'static str, AttributeValue)> {
        let state = &self.state;
        let mut item = vec![
            (attr::PK, s(self.pk())),
            (attr::SK, s(attr::ITEM)),
            (attr::STATUS, s(state.status.as_str())),
            (attr::KIND, s(self.name.as_str())),
            (attr::DUE, t(state.due)),
            (attr::ATTEMPTS, n(state.attempts)),
            (attr::MAX_ATTEMPTS, n(state.retries)),
            (attr::RUN, n(state.run)),
            (attr::SENDS, n(state.sends)),
            (attr::CREATED, t(self.created_at)),
            (attr::SHARD, n(self.shard)),
            (attr::BODY_HASH, s(&self.body_hash)),
        ];
        let (tenant, name, shard) = (&self.tenant, &self.name, self.shard);
        item.extend(match index(state) {
            Index::Due(due) => [
                (attr::DUE_PARTITION, s(keys::notification_due_partition(tenant, name, shard))),
                (attr::DUE_SORT, s(keys::done_sort(due, &self.id))),
            ],
            Index::Done => [
                (
                    attr::DONE_PARTITION,
                    s(keys::notification_done_partition(tenant, name, state.status, shard)),
                ),
                (attr::DONE_SORT, s(keys::done_sort(state.due, &self.id))),
            ],
        });
        let mut option = |name, value: Option<AttributeValue>| item.extend(value.map(|value| (name, value)));
        option(attr::PARAMETER, self.payload.as_ref().map(s));
        option(attr::EXECUTED, state.last_attempt_at.map(t));
        option(attr::TOKEN, state.claim.as_ref().map(|claim| s(&claim.token)));
        option(attr::LEASE, state.claim.as_ref().map(|claim| t(claim.lease_until)));
        option(attr::SUCCESS_MILLIS, self.success.map(|success| n(success.duration_ms)));
        option(attr::SUCCESS_STATUS, self.success.and_then(|success| success.http_status).map(n));
        item.extend(self.kept.map(Kept::attribute));
        item
    }

    /// Reads an item.
    ///
    /// # Errors
    /// [`DecodeError`] naming what cannot be read.
    pub fn decode(item: &Item) -> Result<Self, DecodeError> {
        let read = Attributes::new(item)?;
        let pk = read.text(attr::PK)?;
        let (tenant, id) = keys::parse_notification(pk)
            .ok_or_else(|| DecodeError { pk: pk.to_owned(), attribute: attr::PK })?;
        let claim = match (read.text_option(attr::TOKEN)?, read.instant_option(attr::LEASE)?) {
            (Some(token), Some(lease_until)) => Some(Claim { token: token.to_owned(), lease_until }),
            (None, None) => None,
            _ => return Err(DecodeError { pk: pk.to_owned(), attribute: attr::TOKEN }),
        };
        let success = read.number_option(attr::SUCCESS_MILLIS)?.map(|duration_ms| {
            read.number_option(attr::SUCCESS_STATUS).map(|http_status| Success { http_status, duration_ms })
        });
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
                claim,
            },
            created_at: read.instant(attr::CREATED)?,
            payload: read.text_option(attr::PARAMETER)?.map(str::to_owned),
            body_hash: read.text(attr::BODY_HASH)?.to_owned(),
            shard: read.number(attr::SHARD)?,
            success: success.transpose()?,
            kept: read.kept()?,
            tenant,
            id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::notification::{begun, held};

    #[test]
    fn notifications_round_trip_and_stand_in_one_index() {
        let now = DateTime::from_timestamp_millis(1_700_000_000_000).unwrap();
        let claim = Claim { token: "t".into(), lease_until: now };
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
