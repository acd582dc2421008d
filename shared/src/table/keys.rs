//! Keys of the work table. Each needs the tenant; none can be built without one.
//!
//! Names and ids have neither `#` nor `/`, so keys are read back without doubt.

use chrono::{DateTime, Utc};
use rules::activity::Status;
use rules::due::{Mark, shard};
use rules::names::{ActivityId, CompanyName, Kind, RecurringName, Tenant, TypeName};
use rules::notification;
use rules::recurring::SkipReason;
use rules::rolling::LogKind;
use sha2::{Digest, Sha256};
use std::str::FromStr;

/// An object value longer than this stands in the index as its hash: DynamoDB keys end at 2,048 bytes.
const OBJECT_VALUE_MAX_BYTES: usize = 256;

/// Shards of [`early_partition`]: of no type, so that nothing keeps a number of them that could be raised.
const EARLY_SHARDS: u32 = 16;

/// Partition key of an activity and all that belongs to it.
pub fn activity(tenant: &Tenant, id: &ActivityId) -> String {
    format!("A#{tenant}#{id}")
}

/// Reads [`activity`] back.
pub fn parse_activity(pk: &str) -> Option<(Tenant, ActivityId)> {
    parse(pk, "A#")
}

/// Partition key of a notification and all that belongs to it.
pub fn notification(tenant: &Tenant, id: &ActivityId) -> String {
    format!("N#{tenant}#{id}")
}

/// Reads [`notification`] back.
pub fn parse_notification(pk: &str) -> Option<(Tenant, ActivityId)> {
    parse(pk, "N#")
}

/// Partition key of a company's slots of the delivery workers.
pub fn worker_slots(company: &CompanyName) -> String {
    format!("W#{company}")
}

/// Partition key of a company's slots of the requests to `api-ingest` that call its receivers.
pub fn request_slots(company: &CompanyName) -> String {
    format!("{}#request", worker_slots(company))
}

/// Partition key of a company's slots of the requests to `reminder-sender` that call its Dialog services.
pub fn manual_send_slots(company: &CompanyName) -> String {
    format!("{}#manual-send", worker_slots(company))
}

/// Partition key of a recurring rule and all that belongs to it.
pub fn rule(tenant: &Tenant, name: &RecurringName) -> String {
    format!("{}{name}", rules_prefix(tenant))
}

/// What the partition keys of all recurring rules of a tenant begin with.
pub fn rules_prefix(tenant: &Tenant) -> String {
    format!("Q#{tenant}#")
}

/// Reads [`rule`] back.
pub fn parse_rule(pk: &str) -> Option<(Tenant, RecurringName)> {
    parse(pk, "Q#")
}

/// Partition of the index `due` for recurring rules, of all tenants: no other partition's name lacks a `/`.
pub fn rule_due_partition(shard: u32) -> String {
    format!("Q#{shard}")
}

/// Partition of the index `done` for recurring rules that nothing expands.
pub fn rule_done_partition(tenant: &Tenant, status: &str) -> String {
    format!("{tenant}#Q#{status}")
}

/// Partition of the index `object` in which a tenant's recurring rules stand by name.
pub fn rule_list_partition(tenant: &Tenant) -> String {
    format!("{tenant}#Q")
}

/// Sort key of a record of skipped occurrences.
pub fn skip(from: DateTime<Utc>, reason: SkipReason) -> String {
    format!("{}{}#{reason}", crate::table::attr::SKIP_PREFIX, instant(from))
}

fn parse<T: FromStr>(pk: &str, letter: &str) -> Option<(Tenant, T)> {
    let (tenant, id) = pk.strip_prefix(letter)?.split_once('#')?;
    Some((tenant.parse().ok()?, id.parse().ok()?))
}

/// Partition of the index `due` for notifications of a type.
pub fn notification_due_partition(tenant: &Tenant, name: &TypeName, shard: u32) -> String {
    format!("{tenant}/N:{name}#{shard}")
}

/// Partition of the index `done` for notifications of a type.
pub fn notification_done_partition(
    tenant: &Tenant,
    name: &TypeName,
    status: notification::Status,
    shard: u32,
) -> String {
    format!("{tenant}#N:{name}#{status}#{shard}")
}

/// Sort key of a history entry: in order of run and attempt.
pub fn history(run: u32, attempt: u32) -> String {
    format!("{}{run:05}#{attempt:05}", crate::table::attr::HISTORY_PREFIX)
}

/// Sort key of a result.
pub fn result(id: &ActivityId) -> String {
    format!("{}{id}", crate::table::attr::RESULT_PREFIX)
}

/// Partition key of what a provider calls `id`: the activities dispatched under it, and results that
/// came before them.
pub fn provider(tenant: &Tenant, id: &str) -> String {
    format!("P#{tenant}#{}", bounded(id))
}

/// Partition of the index `done` for results that met no activity when they came: by it they are found when their
/// solution is deleted. `pk` is what they lie with.
pub fn early_partition(tenant: &Tenant, pk: &str) -> String {
    format!("{tenant}#P#{}", shard(pk, EARLY_SHARDS))
}

/// All of [`early_partition`], and the one that there was before it had shards.
pub fn early_partitions(tenant: &Tenant) -> Vec<String> {
    let sharded = (0..EARLY_SHARDS).map(|shard| format!("{tenant}#P#{shard}"));
    std::iter::once(format!("{tenant}#P")).chain(sharded).collect()
}

/// The lease of one of a solution's log rollers.
pub fn roller_lease(tenant: &Tenant, kind: LogKind) -> String {
    format!("roll/{tenant}/{kind}")
}

/// Partition of the index `due`: one slice of the sweep.
pub fn due_partition(tenant: &Tenant, kind: &Kind, shard: u32) -> String {
    format!("{tenant}/{kind}#{shard}")
}

/// Sort of the index `due`.
pub fn due_sort(due: DateTime<Utc>, mark: Mark, id: &ActivityId) -> String {
    format!("{}{}{id}", instant(due), mark.letter())
}

/// Reads [`due_sort`] back: the instant and the mark.
pub fn parse_due_sort(sort: &str) -> Option<(DateTime<Utc>, Mark)> {
    let millis = sort.get(..15)?.parse().ok()?;
    let mark = match sort.get(15..16)? {
        "q" => Mark::Queued,
        "w" => Mark::Waiting,
        _ => return None,
    };
    Some((DateTime::from_timestamp_millis(millis)?, mark))
}

/// Partition of the index `done`.
pub fn done_partition(tenant: &Tenant, status: Status, shard: u32) -> String {
    format!("{tenant}#A#{status}#{shard}")
}

/// Sort of the index `done`, and of `due` for what is not sent through the queue.
pub fn done_sort(finished: DateTime<Utc>, id: &ActivityId) -> String {
    format!("{}#{id}", instant(finished))
}

/// An instant as a sort key has it: 15 digits of Unix milliseconds.
pub fn instant(at: DateTime<Utc>) -> String {
    format!("{:015}", at.timestamp_millis().max(0))
}

/// Partition of the index `object`; `value` is what [`rules::field::Scalar::object_id`] gives.
pub fn object_partition(tenant: &Tenant, activity_type: &TypeName, value: &str) -> String {
    format!("{tenant}/{activity_type}/{}", bounded(value))
}

/// A value of any length and characters as the end of a key.
fn bounded(value: &str) -> String {
    if value.len() <= OBJECT_VALUE_MAX_BYTES {
        return format!("={value}");
    }
    let hash: String = Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("#{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> Tenant {
        Tenant { company: "acme".parse().unwrap(), solution: "shop.eu".parse().unwrap() }
    }

    #[test]
    fn keys_are_read_back() {
        let id: ActivityId = "rule@170:x".parse().unwrap();
        let pk = activity(&tenant(), &id);
        assert_eq!(pk, "A#acme/shop.eu#rule@170:x");
        assert_eq!(parse_activity(&pk), Some((tenant(), id.clone())));
        let at = DateTime::from_timestamp_millis(1_700_000_000_123).unwrap();
        let sort = due_sort(at, Mark::Waiting, &id);
        assert_eq!(sort, "001700000000123wrule@170:x");
        assert_eq!(parse_due_sort(&sort), Some((at, Mark::Waiting)));
        for bad in ["", "A#acme#x", "R#acme/shop#x", "A#acme/shop#a/b"] {
            assert_eq!(parse_activity(bad), None, "{bad}");
        }
        let pk = notification(&tenant(), &id);
        assert_eq!(parse_notification(&pk), Some((tenant(), id)));
        assert_eq!(parse_activity(&pk), None);
    }

    #[test]
    fn long_object_values_fit_a_key() {
        let short = object_partition(&tenant(), &"t".parse().unwrap(), "42");
        assert_eq!(short, "acme/shop.eu/t/=42");
        let long = object_partition(&tenant(), &"t".parse().unwrap(), &"x".repeat(100_000));
        assert!(long.len() < 300);
    }
}
