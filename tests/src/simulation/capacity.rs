//! How much is written a second, as DynamoDB limits it: a bucket of tokens for the table, one for each of its four
//! partitions, and one for each partition key of an index.
//!
//! The proportions are those of a new on-demand table: 4,000 write units a second, 1,000 a partition, and an index has
//! partitions of its own. The rates are scaled down, since a seed has tens of activities where a burst has thousands.
//! A bucket holds what a second brings. Some indexes' partitions are told apart by tenant alone, as a statement that
//! removes an item from one does not name it.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use std::collections::BTreeMap;

/// Partitions of a new table.
const PARTITIONS: u64 = 4;
/// A write unit, in thousandths.
const UNIT: i64 = 1_000;

/// The buckets.
#[derive(Debug)]
pub struct Capacity {
    /// Write units a second of one partition.
    partition_rate: i64,
    /// What is left in each, in thousandths of a unit, and when that was so.
    buckets: BTreeMap<String, (i64, DateTime<Utc>)>,
}

impl Capacity {
    /// Full buckets; a partition brings `partition_rate` write units a second, the table four times that.
    pub fn new(partition_rate: u32) -> Self {
        Self { partition_rate: i64::from(partition_rate), buckets: BTreeMap::new() }
    }

    /// Takes what `statement` writes, at `times` the price, if all buckets have it.
    pub fn admits(&mut self, statement: &Value, times: i64, now: DateTime<Utc>) -> bool {
        let units = units(statement);
        for (bucket, _) in &units {
            let most = self.most(bucket);
            let entry = self.buckets.entry(bucket.clone()).or_insert((most, now));
            let brought =
                (now - entry.1).max(TimeDelta::zero()).num_milliseconds().saturating_mul(most) / 1_000;
            *entry = (entry.0.saturating_add(brought).min(most), now.max(entry.1));
        }
        let has = |(bucket, _): &(String, i64)| self.buckets.get(bucket).is_some_and(|(left, _)| *left > 0);
        if !units.iter().all(has) {
            return false;
        }
        // It may go below nothing: DynamoDB too admits a write while anything is left.
        for (bucket, units) in units {
            self.buckets.entry(bucket).and_modify(|(left, _)| *left -= units * times * UNIT);
        }
        true
    }

    /// What a second brings to a bucket.
    fn most(&self, bucket: &str) -> i64 {
        let partitions = if bucket == "table" { PARTITIONS as i64 } else { 1 };
        self.partition_rate * partitions * UNIT
    }
}

/// What a statement writes, by bucket.
fn units(statement: &Value) -> Vec<(String, i64)> {
    let text = statement["Statement"].as_str().unwrap_or_default();
    if text.starts_with("SELECT") {
        return Vec::new();
    }
    let value = |name: &str| {
        let at = [format!("'{name}':?"), format!("\"{name}\"=?")]
            .iter()
            .find_map(|part| text.find(part.as_str()))?;
        statement["Parameters"][text[..at].matches('?').count()]["S"].as_str()
    };
    let pk = value("PK").unwrap_or_default();
    let hash = pk.bytes().fold(0u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut units = vec![("table".to_owned(), 1), (format!("table {}", hash % PARTITIONS), 1)];
    let tenant = pk.split('#').nth(1).unwrap_or_default();
    let touches_due = ["dp", "ds"].iter().filter(|name| value(name).is_some()).count();
    if text.contains("REMOVE \"dp\"") || touches_due > 0 {
        // A row whose sort key changes is removed and written anew.
        let moves = !text.starts_with("INSERT") && touches_due > 0;
        units.push((format!("due {tenant}"), 1 + i64::from(moves)));
    }
    match value("fp") {
        Some(partition) => units.push((format!("done {partition}"), 1)),
        None if text.contains("REMOVE \"fp\"") => units.push((format!("done {tenant}"), 1)),
        None => {}
    }
    units
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claim(pk: &str) -> Value {
        let text = "UPDATE \"t\" SET a=a+1 SET \"tk\"=? WHERE \"PK\"=? AND \"SK\"=?";
        json!({"Statement": text, "Parameters": [{"S": "token"}, {"S": pk}, {"S": "ITEM"}]})
    }

    #[test]
    fn a_partition_takes_its_rate_and_the_table_four_times_that() {
        let now = crate::world::beginning();
        let mut capacity = Capacity::new(2);
        let admitted = |capacity: &mut Capacity, pk: &str, now| {
            (0..20).filter(|_| capacity.admits(&claim(pk), 1, now)).count()
        };
        assert_eq!(admitted(&mut capacity, "A#a/b#x", now), 2);
        assert_eq!(admitted(&mut capacity, "A#a/b#x", now), 0);
        assert_eq!(admitted(&mut capacity, "A#a/b#x", now + TimeDelta::milliseconds(500)), 1);
        let all: usize =
            (0..40).map(|n| admitted(&mut Capacity::new(2), &format!("A#a/b#{n}"), now).min(1)).sum();
        assert_eq!(all, 40);
        let mut shared = Capacity::new(2);
        let all: usize = (0..40).map(|n| admitted(&mut shared, &format!("A#a/b#{n}"), now)).sum();
        assert_eq!(all, 8);
    }

    #[test]
    fn what_is_written_where() {
        let of = |text: &str, parameters: &[&str]| {
            let parameters: Vec<Value> = parameters.iter().map(|text| json!({"S": text})).collect();
            let units = units(&json!({"Statement": text, "Parameters": parameters}));
            units.into_iter().skip(2).collect::<Vec<_>>()
        };
        let due = |units| (("due a/b").to_owned(), units);
        let insert = "INSERT INTO \"t\" VALUE {'PK':?,'SK':?,'dp':?,'ds':?}";
        assert_eq!(of(insert, &["A#a/b#x", "ITEM", "a/b/A:call#0", "1"]), [due(1)]);
        let moved = "UPDATE \"t\" SET \"ds\"=? REMOVE \"tk\" WHERE \"PK\"=? AND \"SK\"=?";
        assert_eq!(of(moved, &["2", "A#a/b#x", "ITEM"]), [due(2)]);
        let done =
            "UPDATE \"t\" SET \"fp\"=? SET \"fs\"=? REMOVE \"dp\" REMOVE \"ds\" WHERE \"PK\"=? AND \"SK\"=?";
        assert_eq!(of(done, &["a/b#A#0", "3", "A#a/b#x", "ITEM"]), [due(1), ("done a/b#A#0".to_owned(), 1)]);
        assert_eq!(units(&json!({"Statement": "SELECT * FROM \"t\" WHERE \"PK\"=?"})), []);
    }
}
