//! What must not go unseen: functions that stop, and calls that are late.

use crate::template::{document, file, functions, list, of_type, text};
use crate::template_watching::{OBSERVE, documented};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The functions that a schedule starts.
pub fn scheduled(document: &Value) -> BTreeSet<String> {
    let is_scheduled = |function: &Value| {
        function["Events"].as_object().unwrap().values().any(|event| event["Type"] == "ScheduleV2")
    };
    let functions = of_type(document, "AWS::Serverless::Function").into_iter();
    functions.filter(|(_, function)| is_scheduled(function)).map(|(id, _)| id).collect()
}

/// The alarms on one metric: the function of each, and the alarm.
pub fn alarms_on(document: &Value, metric: &str) -> BTreeMap<String, Value> {
    let alarms = of_type(document, "AWS::CloudWatch::Alarm").into_values();
    let on = alarms.filter(|alarm| alarm["MetricName"] == metric);
    on.map(|alarm| (text(&alarm["Dimensions"][0]["Value"]), alarm)).collect()
}

/// A schedule that stops leaves no error behind: only its silence shows.
#[test]
fn the_silence_of_each_scheduled_function_is_an_alarm() {
    let document = document();
    let alarms = alarms_on(&document, "Invocations");
    assert_eq!(alarms.keys().cloned().collect::<BTreeSet<_>>(), scheduled(&document));
    for (function, alarm) in alarms {
        let fires = (&alarm["Statistic"], &alarm["Threshold"], &alarm["ComparisonOperator"]);
        assert_eq!(fires, (&"Sum".into(), &1.into(), &"LessThanThreshold".into()), "{function}");
        assert_eq!(alarm["TreatMissingData"], "breaching", "{function}");
        // A tick may be a minute late: each period has to hold one all the same, or several must be missed.
        assert!(alarm["EvaluationPeriods"].as_u64().unwrap() >= 3, "{function}");
    }
}

/// What is promised is measured where it is kept, each by a threshold of the deployment's own.
#[test]
fn lateness_has_an_alarm_for_each_function_that_keeps_a_promise() {
    let document = document();
    let alarms = alarms_on(&document, "Lateness");
    // The API publishes at once: what it tells is never late.
    let (documented, functions) = (documented(), functions(&document));
    let told = documented["Lateness"].iter().filter(|binary| *binary != "api-ingest");
    let expected: BTreeSet<String> = told.map(|binary| functions[binary].clone()).collect();
    assert_eq!(alarms.keys().cloned().collect::<BTreeSet<_>>(), expected);
    let thresholds: BTreeSet<String> = alarms.values().map(|alarm| text(&alarm["Threshold"])).collect();
    assert_eq!(thresholds.len(), alarms.len());
    for (function, alarm) in alarms {
        assert_eq!(alarm["ExtendedStatistic"], "p99", "{function}");
        assert!(document["Parameters"][text(&alarm["Threshold"])]["Default"].is_u64(), "{function}");
    }
}

/// The costs that follow from the template and from the metrics are as docs/deploy.md has them.
#[test]
fn the_costs_count_the_alarms_and_the_metrics_that_there_are() {
    let costs = file("docs/deploy.md");
    let alarms = of_type(&document(), "AWS::CloudWatch::Alarm");
    let stats =
        |alarm: &Value| list(&alarm["Metrics"]).iter().filter(|one| one.get("MetricStat").is_some()).count();
    let metrics: usize = alarms.values().map(|alarm| stats(alarm).max(1)).sum();
    let cost = metrics as u64 * 10;
    let row =
        format!("{} alarms on {metrics} metrics × 0.10 | {}.{:02} |", alarms.len(), cost / 100, cost % 100);
    assert!(costs.contains(&row), "{row}");

    let page = file(OBSERVE);
    let (_, outcomes) = page.split_once("`Outcome` is one of:").unwrap();
    let (calls, rest) = outcomes.split_once("Of reminders:").unwrap();
    let count = |text: &str| text.split("\n\n").next().unwrap().matches('`').count() / 2;
    // `AllowedCidrs` is named among the outcomes of calls, and is none.
    let (of_calls, of_reminders) = (count(calls) - 1, count(rest));
    let by_outcome = |name: &str| ["Lateness", "Duration", "Attempts"].contains(&name);
    let told = |name: &str, function: &str| match (by_outcome(name), function) {
        (false, _) => 1,
        (true, "reminder-sender") => 1 + of_reminders,
        (true, _) => 1 + of_calls,
    };
    let custom: usize = documented()
        .iter()
        .map(|(name, functions)| functions.iter().map(|function| told(name, function)).sum::<usize>())
        .sum();
    assert!(costs.contains(&format!("At most {custom} custom metrics")), "{custom}");
    let cost = custom as u64 * 30;
    assert!(costs.contains(&format!("–{}.{:02} |", cost / 100, cost % 100)), "{cost}");
}
