//! Metrics of one function, gathered over an invocation and written at its end.

use super::AttemptRecord;
use super::catalog::{
    ACTIVITIES_ROLLED, ATTEMPTS, BATCHES_REFUSED, DURATION, GIVEN_UP, HELD_BACK, LATENESS, MetricKind,
    OCCURRENCES_CREATED, OCCURRENCES_SKIPPED, OLDEST_OVERDUE, SWEEP_BACKLOG, UNREADABLE_ITEMS, WITHOUT_SLOT,
};
use super::emf::{Metric, documents};
use crate::settings::environment;
use crate::unreadable::Unreadable;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Takes one line without its end.
pub type Sink = Arc<dyn Fn(&str) + Send + Sync>;

/// The dimension that tells functions and stacks apart.
const FUNCTION: &str = "FunctionName";
const OUTCOME: &str = "Outcome";
/// Where Lambda says under which name the function is deployed.
const DEPLOYED_AS: &str = "AWS_LAMBDA_FUNCTION_NAME";

/// Gathers metrics. Cheap to clone; clones gather together.
#[derive(Clone)]
pub struct Metrics(Option<Arc<Inner>>);

struct Inner {
    function: String,
    sink: Sink,
    attempts: Mutex<BTreeMap<&'static str, Attempts>>,
    given_up: AtomicU64,
    held_back: AtomicU64,
    without_slot: AtomicU64,
}

/// What there is to tell about the attempts with one outcome.
#[derive(Default)]
struct Attempts {
    lateness_ms: Vec<Value>,
    duration_ms: Vec<Value>,
}

impl Metrics {
    /// To stdout, where CloudWatch finds them, under the function's name as deployed, so that two stacks in one
    /// account do not mix.
    pub fn of_this_function() -> Self {
        let sink = |line: &str| {
            // A log that cannot be written is no reason to stop delivering.
            let _ = writeln!(std::io::stdout().lock(), "{line}");
        };
        Self::to(environment(DEPLOYED_AS).unwrap_or_default(), Arc::new(sink))
    }

    /// To a sink of one's own.
    pub fn to(function: impl Into<String>, sink: Sink) -> Self {
        Self(Some(Arc::new(Inner {
            function: function.into(),
            sink,
            attempts: Mutex::default(),
            given_up: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
            without_slot: AtomicU64::new(0),
        })))
    }

    /// To nowhere, as in local mode.
    pub fn off() -> Self {
        Self(None)
    }

    /// Counts an attempt, by outcome.
    pub fn attempt(&self, record: &AttemptRecord<'_>) {
        let Some(inner) = &self.0 else { return };
        let mut attempts = inner.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let attempts = attempts.entry(record.outcome).or_default();
        attempts.lateness_ms.extend(record.lateness_ms.map(|lateness| json!(lateness)));
        attempts.duration_ms.push(json!(record.duration_ms));
    }

    /// Counts what ran out of attempts with the last one.
    pub fn given_up(&self) {
        if let Some(inner) = &self.0 {
            inner.given_up.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts messages that wait for a slot of their company.
    pub fn held_back(&self, messages: u64) {
        if let Some(inner) = &self.0 {
            inner.held_back.fetch_add(messages, Ordering::Relaxed);
        }
    }

    /// Counts deliveries without a slot.
    pub fn without_slot(&self) {
        if let Some(inner) = &self.0 {
            inner.without_slot.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes what a sweep found: slices with work left, and how long the oldest activity has been due. Nothing to
    /// tell is told too: an alarm watches for silence.
    pub fn sweep(&self, now: DateTime<Utc>, backlog: u64, oldest_overdue_seconds: u64) {
        self.write(now, &[(&SWEEP_BACKLOG, backlog), (&OLDEST_OVERDUE, oldest_overdue_seconds)]);
    }

    /// Writes what a run of recurring rules did, if it did anything.
    pub fn expansion(&self, now: DateTime<Utc>, created: u64, skipped: u64) {
        if created > 0 || skipped > 0 {
            self.write(now, &[(&OCCURRENCES_CREATED, created), (&OCCURRENCES_SKIPPED, skipped)]);
        }
    }

    /// Writes what a run of the log roller did, if it did anything.
    pub fn rolling(&self, now: DateTime<Utc>, deleted: u64, refused: u64) {
        if deleted > 0 || refused > 0 {
            self.write(now, &[(&ACTIVITIES_ROLLED, deleted), (&BATCHES_REFUSED, refused)]);
        }
    }

    /// Writes how many stored items could not be read since the last time, if any.
    pub fn unreadable(&self, now: DateTime<Utc>, unreadable: &Unreadable) {
        if self.0.is_none() {
            return;
        }
        let count = unreadable.take();
        if count > 0 {
            self.write(now, &[(&UNREADABLE_ITEMS, count)]);
        }
    }

    fn write(&self, now: DateTime<Utc>, values: &[(&'static MetricKind, u64)]) {
        let Some(inner) = &self.0 else { return };
        let metric = |(kind, value): &(&'static MetricKind, u64)| Metric { kind, values: vec![json!(value)] };
        inner.write(now, &[], &values.iter().map(metric).collect::<Vec<_>>());
    }

    /// Writes what was counted since the last time: a line per outcome and hundred attempts.
    /// To be called at the end of an invocation, since Lambda may freeze or end the process after it.
    pub fn flush(&self, now: DateTime<Utc>) {
        let Some(inner) = &self.0 else { return };
        let gathered = std::mem::take(&mut *inner.attempts.lock().unwrap_or_else(PoisonError::into_inner));
        for (outcome, attempts) in gathered {
            let count = attempts.duration_ms.len();
            let metrics = [
                Metric { kind: &LATENESS, values: attempts.lateness_ms },
                Metric { kind: &DURATION, values: attempts.duration_ms },
                Metric { kind: &ATTEMPTS, values: vec![json!(count)] },
            ];
            inner.write(now, &[(OUTCOME, outcome)], &metrics);
        }
        let counts = [
            (&GIVEN_UP, &inner.given_up),
            (&HELD_BACK, &inner.held_back),
            (&WITHOUT_SLOT, &inner.without_slot),
        ];
        for (kind, count) in counts {
            let count = count.swap(0, Ordering::Relaxed);
            if count > 0 {
                self.write(now, &[(kind, count)]);
            }
        }
    }
}

impl Inner {
    fn write(&self, now: DateTime<Utc>, dimensions: &[(&'static str, &str)], metrics: &[Metric]) {
        let dimensions = [&[(FUNCTION, self.function.as_str())], dimensions].concat();
        for document in documents(now, &dimensions, metrics) {
            (self.sink)(&document.to_string());
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metrics").field(&self.0.as_ref().map(|inner| &inner.function)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::names::Tenant;

    fn captured() -> (Metrics, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        let sink = move |line: &str| kept.lock().unwrap().push(line.to_owned());
        (Metrics::to("worker", Arc::new(sink)), lines)
    }

    fn attempt(metrics: &Metrics, outcome: &'static str, lateness_ms: i64) {
        let tenant = Tenant { company: "acme".parse().unwrap(), solution: "shop".parse().unwrap() };
        metrics.attempt(&AttemptRecord {
            tenant: &tenant,
            id: "a",
            kind: "A:t",
            run: 0,
            attempt: 1,
            outcome,
            http_status: None,
            lateness_ms: Some(lateness_ms),
            duration_ms: 7,
            target: None,
            retry_at: None,
        });
    }

    #[test]
    fn attempts_of_an_invocation_are_a_line_per_outcome() {
        let (metrics, lines) = captured();
        for (outcome, lateness) in [("SUCCESS", 1), ("TIMEOUT", 2), ("SUCCESS", 3)] {
            attempt(&metrics.clone(), outcome, lateness);
        }
        assert!(lines.lock().unwrap().is_empty());
        metrics.flush(DateTime::UNIX_EPOCH);
        metrics.flush(DateTime::UNIX_EPOCH);
        let lines = lines.lock().unwrap();
        let documents: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let told: Vec<_> = documents
            .iter()
            .map(|one| {
                json!([
                    one["FunctionName"],
                    one["Outcome"],
                    one["Lateness"],
                    one["Duration"],
                    one["Attempts"]
                ])
            })
            .collect();
        assert_eq!(
            told,
            [json!(["worker", "SUCCESS", [1, 3], [7, 7], [2]]), json!(["worker", "TIMEOUT", [2], [7], [1]]),]
        );
        assert!(lines.iter().all(|line| !line.contains('\n') && !line.contains("acme")));
    }

    #[test]
    fn a_sweep_is_a_line_of_its_own() {
        let (metrics, lines) = captured();
        metrics.sweep(DateTime::UNIX_EPOCH, 12, 34);
        let document: Value = serde_json::from_str(&lines.lock().unwrap()[0]).unwrap();
        assert_eq!((&document["SweepBacklog"], &document["OldestOverdue"]), (&json!([12]), &json!([34])));
        assert_eq!(document["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["FunctionName"]]));
    }

    #[test]
    fn what_did_nothing_tells_nothing() {
        let (metrics, lines) = captured();
        metrics.expansion(DateTime::UNIX_EPOCH, 0, 0);
        metrics.rolling(DateTime::UNIX_EPOCH, 0, 0);
        assert!(lines.lock().unwrap().is_empty());
        metrics.expansion(DateTime::UNIX_EPOCH, 3, 0);
        metrics.rolling(DateTime::UNIX_EPOCH, 0, 1);
        let lines = lines.lock().unwrap();
        let documents: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (&documents[0]["OccurrencesCreated"], &documents[1]["BatchesRefused"]),
            (&json!([3]), &json!([1]))
        );
    }

    #[test]
    fn what_is_off_gathers_nothing() {
        let metrics = Metrics::off();
        attempt(&metrics, "SUCCESS", 1);
        metrics.sweep(DateTime::UNIX_EPOCH, 1, 1);
        metrics.flush(DateTime::UNIX_EPOCH);
        assert!(metrics.0.is_none());
    }
}
