//! Keys of reminders in the work table. Each needs the tenant; none can be built without one.

use crate::table::attr::HISTORY_PREFIX;
use crate::table::keys::instant;
use chrono::{DateTime, Utc};
use rules::names::{ActivityId, Tenant};
use rules::recipient::Recipient;
use rules::reminder::Done;
use sha2::{Digest, Sha256};

/// Hexadecimal digits of a recipient's hash: 64 bits, so that two recipients do not meet by chance.
const RECIPIENT_DIGITS: usize = 16;

/// Partition key of a reminder and all that belongs to it.
pub fn reminder(tenant: &Tenant, id: &ActivityId) -> String {
    format!("R#{tenant}#{id}")
}

/// Reads [`reminder`] back.
pub fn parse_reminder(pk: &str) -> Option<(Tenant, ActivityId)> {
    let (tenant, id) = pk.strip_prefix("R#")?.split_once('#')?;
    Some((tenant.parse().ok()?, id.parse().ok()?))
}

/// Sort key of a history entry: in the order the attempts began.
pub fn history(sequence: u32) -> String {
    format!("{HISTORY_PREFIX}{sequence:010}")
}

/// Partition of the index `due`. Kinds of activities have a colon, so no partition of theirs is the same.
pub fn due_partition(tenant: &Tenant, shard: u32) -> String {
    format!("{tenant}/R#{shard}")
}

/// Sort of the index `due`: with the recipient, so that the processor groups by it without reading items.
pub fn due_sort(due: DateTime<Utc>, recipient: &str, id: &ActivityId) -> String {
    format!("{}#{recipient}#{id}", instant(due))
}

/// Reads [`due_sort`] back: the instant and the recipient.
pub fn parse_due_sort(sort: &str) -> Option<(DateTime<Utc>, &str)> {
    let mut parts = sort.splitn(3, '#');
    let millis = parts.next()?.parse().ok()?;
    Some((DateTime::from_timestamp_millis(millis)?, parts.next()?))
}

/// Partition of the index `done`.
pub fn done_partition(tenant: &Tenant, done: Done, shard: u32) -> String {
    format!("{tenant}#R#{}#{shard}", done.as_str())
}

/// Sort of the index `done`.
pub fn done_sort(at: DateTime<Utc>, id: &ActivityId) -> String {
    format!("{}#{id}", instant(at))
}

/// Partition of the index `object`: a tenant's reminders to one national number (see
/// [`Recipient::national`]). Where to look for a recipient or a number, their `stored_as` says.
pub fn phone_partition(tenant: &Tenant, national: &str) -> String {
    format!("{tenant}/R={national}")
}

/// Whom a reminder is for, as a hash: the part of a group's key below the configuration (SPEC §6). All spellings
/// of one recipient have the same.
///
/// Hashed, because keys turn up where bodies do not.
pub fn recipient(recipient: &Recipient) -> String {
    let hash = Sha256::digest(recipient.full());
    hash.iter().take(RECIPIENT_DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back() {
        let tenant = Tenant { company: "acme".parse().unwrap(), solution: "shop.eu".parse().unwrap() };
        let id: ActivityId = "visit:1@x".parse().unwrap();
        assert_eq!(parse_reminder(&reminder(&tenant, &id)), Some((tenant, id.clone())));
        for bad in ["", "A#acme/shop#x", "R#acme#x", "R#acme/shop#"] {
            assert_eq!(parse_reminder(bad), None, "{bad}");
        }
        let at = DateTime::from_timestamp_millis(1_800_000_000_123).unwrap();
        let who = recipient(&Recipient::stored("55", "11999"));
        assert_eq!(parse_due_sort(&due_sort(at, &who, &id)), Some((at, who.as_str())));
        assert_eq!(who.len(), RECIPIENT_DIGITS);
        assert_eq!(who, recipient(&Recipient::stored("+55", "+55 11-999")), "spelled differently");
        assert_ne!(who, recipient(&Recipient::stored("55", "11990")));
    }
}
