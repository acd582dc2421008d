//! Results as items of the work table. Each lies with what it is about: its
//! activity, or, while nobody knows that one, the provider's id of it.

use crate::body_hash::BodyHash;
use crate::engine::attributes::{Attributes, DecodeError, Item, n, s, t};
use crate::engine::kept::expires;
use crate::table::attr;
use crate::table::keys;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use rules::names::ActivityId;
use rules::verdict::ResultStatus;

/// A result as it was reported (SPEC §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityResult {
    /// Its id: the caller's, or one of ours.
    pub id: ActivityId,
    /// What is reported.
    pub status: ResultStatus,
    /// The id it was reported under, where that was the provider's.
    pub provider_activity_id: Option<String>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was reported.
    pub received_at: DateTime<Utc>,
    /// Whether it replaces a final result.
    pub hard_override: bool,
    /// What else was reported: a JSON object as text.
    pub details: String,
    /// Hash of the request body, by which the same report is known again.
    pub body_hash: BodyHash,
    /// Whether it came before what it is about, and has not been linked since.
    pub standalone: bool,
}

/// What a result is, without what it says: no longer than its id.
pub(crate) struct Head {
    pub(crate) id: ActivityId,
    pub(crate) status: ResultStatus,
    pub(crate) received_at: DateTime<Utc>,
    pub(crate) standalone: bool,
}

impl Head {
    /// Reads as much of an item.
    ///
    /// # Errors
    /// [`DecodeError`] naming what cannot be read.
    pub(crate) fn decode(item: &Item) -> Result<Self, DecodeError> {
        let read = Attributes::new(item)?;
        let id = read.text(attr::SK)?.strip_prefix(attr::RESULT_PREFIX).and_then(|id| id.parse().ok());
        Ok(Self {
            id: id.ok_or_else(|| read.error(attr::SK))?,
            status: read.parsed(attr::STATUS)?,
            received_at: read.instant(attr::RESULT_RECEIVED)?,
            standalone: read.number_option::<u8>(attr::RESULT_STANDALONE)?.is_some(),
        })
    }
}

impl ActivityResult {
    /// Whether the same report has made `known`.
    pub(crate) fn is_repeated_by(&self, known: &Self) -> bool {
        self.body_hash.is_of(&known.body_hash.to_string())
    }

    /// The attributes of a new item that lies with `pk`. One that met no activity is kept for `retention`.
    pub(crate) fn encode(
        &self,
        pk: &str,
        retention: Option<TimeDelta>,
    ) -> Vec<(&'static str, AttributeValue)> {
        let mut item = vec![
            (attr::PK, s(pk)),
            (attr::SK, s(keys::result(&self.id))),
            (attr::STATUS, s(self.status.as_str())),
            (attr::RESULT_OCCURRED, t(self.occurred_at)),
            (attr::RESULT_RECEIVED, t(self.received_at)),
            (attr::PARAMETER, s(&self.details)),
            (attr::BODY_HASH, s(self.body_hash.to_string())),
        ];
        item.extend(self.provider_activity_id.as_ref().map(|id| (attr::PROVIDER_ACTIVITY, s(id))));
        item.extend(self.hard_override.then(|| (attr::RESULT_OVERRIDE, n(1))));
        if self.standalone {
            item.push((attr::RESULT_STANDALONE, n(1)));
            item.extend(expires(self.received_at, retention));
        }
        item
    }

    /// Reads an item.
    ///
    /// # Errors
    /// [`DecodeError`] naming what cannot be read.
    pub(crate) fn decode(item: &Item) -> Result<Self, DecodeError> {
        let read = Attributes::new(item)?;
        let Head { id, status, received_at, standalone } = Head::decode(item)?;
        Ok(Self {
            id,
            status,
            received_at,
            standalone,
            provider_activity_id: read.text_option(attr::PROVIDER_ACTIVITY)?.map(str::to_owned),
            occurred_at: read.instant(attr::RESULT_OCCURRED)?,
            hard_override: read.number_option::<u8>(attr::RESULT_OVERRIDE)?.is_some(),
            details: read.text(attr::PARAMETER)?.to_owned(),
            body_hash: read.text(attr::BODY_HASH)?.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_round_trip() {
        let whole = ActivityResult {
            id: "r:1".parse().unwrap(),
            status: ResultStatus::NotExecuted,
            provider_activity_id: Some("prov #1".into()),
            occurred_at: DateTime::UNIX_EPOCH,
            received_at: DateTime::from_timestamp_millis(1_700_000_000_123).unwrap(),
            hard_override: true,
            details: r#"{"comment":"x"}"#.into(),
            body_hash: "h".into(),
            standalone: true,
        };
        let bare = ActivityResult {
            provider_activity_id: None,
            hard_override: false,
            standalone: false,
            details: "{}".into(),
            ..whole.clone()
        };
        for result in [whole, bare] {
            let item: Item = result
                .encode("A#acme/shop#a", Some(TimeDelta::days(365)))
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            assert_eq!(ActivityResult::decode(&item), Ok(result));
        }
    }
}
