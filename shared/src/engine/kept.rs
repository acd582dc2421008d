//! Until when finished items are kept, and who removes them then (SPEC §8).
//!
//! An item that has nothing beside it goes by DynamoDB's time to live, which costs nothing. One that has (attempts, results, a
//! large parameter) would leave that behind, and none of it can have a time of its own: it is needed until the item's end,
//! which nobody knows when it is written, and again if the item is retried. So it is removed as a whole by the log roller,
//! at about the same time. For readers both are gone when their time has come: DynamoDB removes within days, not at once.

use crate::engine::attributes::{Attributes, DecodeError, Item, n};
use crate::table::attr;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use rules::rolling::EXPIRY_GRACE;

/// Until when an item is kept, in whole seconds, and how it goes then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// From then on it is gone for readers.
    pub until: DateTime<Utc>,
    /// Whether DynamoDB removes it; else the log roller does.
    pub by_ttl: bool,
}

impl Kept {
    /// Until `until`.
    pub fn new(until: DateTime<Utc>, by_ttl: bool) -> Self {
        let seconds = until.timestamp() + i64::from(until.timestamp_subsec_nanos() > 0);
        Self { until: DateTime::from_timestamp(seconds, 0).unwrap_or(until), by_ttl }
    }

    /// Whether its time has come.
    pub fn is_over(self, now: DateTime<Utc>) -> bool {
        self.until <= now
    }

    /// As an attribute.
    pub fn attribute(self) -> (&'static str, AttributeValue) {
        match self.by_ttl {
            true => (attr::EXPIRES, n((self.until + EXPIRY_GRACE).timestamp())),
            false => (attr::KEPT_UNTIL, n(self.until.timestamp())),
        }
    }
}

/// The attribute by which DynamoDB removes an item that is kept for `retention` from `at`; none without one.
pub(crate) fn expires(
    at: DateTime<Utc>,
    retention: Option<TimeDelta>,
) -> Option<(&'static str, AttributeValue)> {
    let until = at.checked_add_signed(retention?)?;
    Some(Kept::new(until, true).attribute())
}

/// Whether an item of any kind is gone for readers.
pub(crate) fn is_over(item: &Item, now: DateTime<Utc>) -> Result<bool, DecodeError> {
    Ok(Attributes::new(item)?.kept()?.is_some_and(|kept| kept.is_over(now)))
}

impl Attributes<'_> {
    /// Until when the item is kept, if that is known.
    pub fn kept(&self) -> Result<Option<Kept>, DecodeError> {
        let instant = |attribute| -> Result<Option<DateTime<Utc>>, DecodeError> {
            let seconds: Option<i64> = self.number_option(attribute)?;
            let at = |seconds| DateTime::from_timestamp(seconds, 0).ok_or_else(|| self.error(attribute));
            seconds.map(at).transpose()
        };
        if let Some(expires) = instant(attr::EXPIRES)? {
            return Ok(Some(Kept { until: expires - EXPIRY_GRACE, by_ttl: true }));
        }
        Ok(instant(attr::KEPT_UNTIL)?.map(|until| Kept { until, by_ttl: false }))
    }
}
