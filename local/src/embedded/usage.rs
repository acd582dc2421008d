//! What the embedded services were asked for: requests and capacity units.
//!
//! DynamoDB's units are those its answers report, asked for on every request.
//! A write refused by its condition reports none, yet AWS charges it; it is
//! counted as one unit, which is right for items up to 1 KiB.

use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Operation names come from the request, so their number needs a bound.
const OPERATIONS_MAX: usize = 100;
/// Linux reports CPU time to user space in hundredths of a second (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Counters of one mount.
#[derive(Debug, Default)]
pub struct Usage {
    counted: Mutex<Counted>,
}

/// The services, as in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    DynamoDb,
    Sqs,
    Kms,
}

/// Which capacity a request uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Units {
    Read,
    Write,
}

/// The report of `GET /local/usage`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub dynamodb: DynamoDbUsage,
    pub sqs: Requests,
    pub kms: Requests,
    /// CPU time of this process since the last reset; absent where the system does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<f64>,
    /// Largest resident memory of this process since it started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_rss_bytes: Option<u64>,
}

#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DynamoDbUsage {
    pub read_units: f64,
    pub write_units: f64,
    /// Writes refused by their condition; each is in `write_units` as one.
    pub failed_conditions: u64,
    pub requests: BTreeMap<String, u64>,
    pub tables: BTreeMap<String, TableUsage>,
}

#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableUsage {
    pub read_units: f64,
    pub write_units: f64,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Requests {
    pub requests: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
struct Counted {
    report: Report,
    cpu_seconds_before: f64,
}

impl Usage {
    /// Counts a request.
    pub fn request(&self, service: Service, operation: &str) {
        let mut counted = self.lock();
        let requests = match service {
            Service::DynamoDb => &mut counted.report.dynamodb.requests,
            Service::Sqs => &mut counted.report.sqs.requests,
            Service::Kms => &mut counted.report.kms.requests,
        };
        if let Some(count) = requests.get_mut(operation) {
            *count += 1;
        } else if requests.len() < OPERATIONS_MAX {
            requests.insert(operation.to_owned(), 1);
        }
    }

    /// Adds capacity that a request on `table` consumed.
    pub fn capacity(&self, units: Units, table: &str, amount: f64) {
        let mut counted = self.lock();
        let dynamodb = &mut counted.report.dynamodb;
        if !dynamodb.tables.contains_key(table) {
            dynamodb.tables.insert(table.to_owned(), TableUsage::default());
        }
        let Some(of_table) = dynamodb.tables.get_mut(table) else { return };
        match units {
            Units::Read => {
                of_table.read_units += amount;
                dynamodb.read_units += amount;
            }
            Units::Write => {
                of_table.write_units += amount;
                dynamodb.write_units += amount;
            }
        }
    }

    /// Counts a write that its condition refused.
    pub fn failed_condition(&self) {
        let mut counted = self.lock();
        counted.report.dynamodb.failed_conditions += 1;
        counted.report.dynamodb.write_units += 1.0;
    }

    /// Everything since the start or the last reset.
    pub fn report(&self) -> Report {
        let counted = self.lock();
        Report {
            cpu_seconds: process_cpu_seconds().map(|seconds| seconds - counted.cpu_seconds_before),
            peak_rss_bytes: peak_rss_bytes(),
            ..counted.report.clone()
        }
    }

    /// Begins counting from zero.
    pub fn reset(&self) {
        let cpu_seconds_before = process_cpu_seconds().unwrap_or_default();
        *self.lock() = Counted { report: Report::default(), cpu_seconds_before };
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// CPU time of this process, user and system, in seconds. Linux alone.
pub fn process_cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may hold spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

/// Largest resident set of this process, in bytes. Linux alone.
pub fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_resets() {
        let usage = Usage::default();
        usage.request(Service::Sqs, "SendMessage");
        usage.request(Service::Sqs, "SendMessage");
        usage.capacity(Units::Write, "work", 2.0);
        usage.capacity(Units::Read, "work", 0.5);
        usage.failed_condition();
        let report = usage.report();
        assert_eq!(report.sqs.requests["SendMessage"], 2);
        assert_eq!((report.dynamodb.write_units, report.dynamodb.read_units), (3.0, 0.5));
        assert_eq!(report.dynamodb.tables["work"].write_units, 2.0);
        usage.reset();
        assert!(usage.report().sqs.requests.is_empty());
    }

    #[test]
    fn operations_are_bounded() {
        let usage = Usage::default();
        (0..2 * OPERATIONS_MAX).for_each(|n| usage.request(Service::Kms, &n.to_string()));
        assert_eq!(usage.report().kms.requests.len(), OPERATIONS_MAX);
    }
}
