//! CloudWatch's embedded metric format: documents, built and nothing more.
//!
//! A document is one line on stdout that CloudWatch Logs turns into metrics. Its limits
//! are those of the specification (CloudWatch user guide, "Embedded metric format").

use super::catalog::MetricKind;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

/// Where all metrics are.
pub const NAMESPACE: &str = "Punctual";
/// Most values of one metric in one document.
pub(super) const VALUES_MAX: usize = 100;

/// A metric and its values.
pub(super) struct Metric {
    pub kind: &'static MetricKind,
    pub values: Vec<Value>,
}

/// The documents for these metrics: one, and one more for every further [`VALUES_MAX`] values.
///
/// `dimensions` are names and values, the general one first: metrics are found under the first,
/// under the first two, and so on.
pub(super) fn documents(
    now: DateTime<Utc>,
    dimensions: &[(&'static str, &str)],
    metrics: &[Metric],
) -> impl Iterator<Item = Value> {
    let longest = metrics.iter().map(|metric| metric.values.len()).max().unwrap_or_default();
    (0..longest).step_by(VALUES_MAX).map(move |start| document(now, dimensions, metrics, start))
}

fn document(
    now: DateTime<Utc>,
    dimensions: &[(&'static str, &str)],
    metrics: &[Metric],
    start: usize,
) -> Value {
    let names: Vec<_> = dimensions.iter().map(|(name, _)| *name).collect();
    let sets: Vec<_> = (1..=names.len()).map(|length| &names[..length]).collect();
    let mut root = Map::new();
    root.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    let mut directives = Vec::new();
    for metric in metrics {
        let values: Vec<_> = metric.values.iter().skip(start).take(VALUES_MAX).cloned().collect();
        if !values.is_empty() {
            directives.push(json!({"Name": metric.kind.name, "Unit": metric.kind.unit}));
            root.insert(metric.kind.name.to_owned(), Value::Array(values));
        }
    }
    let directive = json!({"Namespace": NAMESPACE, "Dimensions": sets, "Metrics": directives});
    root.insert(
        "_aws".to_owned(),
        json!({"Timestamp": now.timestamp_millis(), "CloudWatchMetrics": [directive]}),
    );
    Value::Object(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::catalog::{ATTEMPTS, LATENESS};

    #[test]
    fn a_document_is_as_the_specification_says() {
        let now = DateTime::from_timestamp_millis(1_800_000_000_123).unwrap();
        let metrics = [
            Metric { kind: &LATENESS, values: vec![json!(1), json!(2.5)] },
            Metric { kind: &ATTEMPTS, values: vec![json!(2)] },
        ];
        let built: Vec<_> =
            documents(now, &[("FunctionName", "w"), ("Outcome", "SUCCESS")], &metrics).collect();
        let expect = json!({
            "_aws": {
                "Timestamp": 1_800_000_000_123_i64,
                "CloudWatchMetrics": [{
                    "Namespace": "Punctual",
                    "Dimensions": [["FunctionName"], ["FunctionName", "Outcome"]],
                    "Metrics": [
                        {"Name": "Lateness", "Unit": "Milliseconds"},
                        {"Name": "Attempts", "Unit": "Count"},
                    ],
                }],
            },
            "FunctionName": "w",
            "Outcome": "SUCCESS",
            "Lateness": [1, 2.5],
            "Attempts": [2],
        });
        assert_eq!(built, [expect]);
    }

    #[test]
    fn more_than_a_hundred_values_are_several_documents() {
        let values: Vec<_> = (0..250).map(|value| json!(value)).collect();
        let metrics = [
            Metric { kind: &LATENESS, values: values.clone() },
            Metric { kind: &ATTEMPTS, values: vec![json!(250)] },
        ];
        let built: Vec<_> = documents(DateTime::UNIX_EPOCH, &[("FunctionName", "w")], &metrics).collect();
        let sent: Vec<_> = built.iter().flat_map(|one| one["Lateness"].as_array().unwrap().clone()).collect();
        assert_eq!((built.len(), sent), (3, values));
        assert!(built.iter().all(|one| one["Lateness"].as_array().unwrap().len() <= VALUES_MAX));
        // What is not in a document is not declared in it.
        let declared = |one: &Value| one["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap().len();
        assert_eq!(built.iter().map(declared).collect::<Vec<_>>(), [2, 1, 1]);
        assert_eq!(built[1].get("Attempts"), None);
    }

    #[test]
    fn nothing_is_no_document() {
        assert_eq!(documents(DateTime::UNIX_EPOCH, &[("FunctionName", "w")], &[]).count(), 0);
    }
}
