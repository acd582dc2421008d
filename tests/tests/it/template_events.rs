//! The samples in `events/`: one at least for each function and each kind of its triggers, each invoked in CI.

use crate::template::{document, file, functions, root, text};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What an operator may send a function by hand, beside its triggers (docs/operate.md).
const BY_HAND: [(&str, &str); 2] = [("dispatch-sweep", r#"{"requeue":"all"}"#), ("log-roller", "{}")];

/// The samples: function, name, event.
fn samples() -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(root().join("events")).unwrap().map(|entry| entry.unwrap()) {
        let function = folder.file_name().into_string().unwrap();
        for sample in std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
            let name = sample.file_stem().unwrap().to_str().unwrap().to_owned();
            let event = file(&format!("events/{function}/{name}.json"));
            let event = serde_json::from_str(&event).unwrap_or_else(|error| panic!("{sample:?}: {error}"));
            found.push((function.clone(), name, event));
        }
    }
    found
}

/// By what a sample would be sent: the route, the schedule or the queue; or the event itself, if somebody sends it.
fn trigger(event: &Value) -> String {
    if let Some(route) = event.pointer("/requestContext/http") {
        assert_eq!(event["version"], "2.0");
        assert_eq!(
            (&route["path"], &event["requestContext"]["routeKey"]),
            (&event["rawPath"], &event["routeKey"])
        );
        return format!("route {}", event["routeKey"].as_str().unwrap());
    }
    if event["source"] == "aws.scheduler" {
        let name = event["resources"][0].as_str().unwrap().rsplit('/').next().unwrap();
        // EventBridge Scheduler sends the detail as text.
        assert_eq!(event["detail"], "{}");
        return format!("schedule {name}");
    }
    if event["Records"][0]["eventSource"] == "aws:sqs" {
        return "queue".to_owned();
    }
    format!("event {event}")
}

/// By what the template would send a function events.
fn triggers(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for (binary, id) in functions(document) {
        let events = document["Resources"][&id]["Properties"]["Events"].as_object().unwrap();
        let sent = |event: &Value| {
            let properties = &event["Properties"];
            match (event["Type"].as_str().unwrap(), properties["Path"].as_str(), properties["Input"].as_str())
            {
                ("HttpApi", None, _) => "route $default".to_owned(),
                ("HttpApi", Some(path), _) => format!("route {} {path}", text(&properties["Method"])),
                ("ScheduleV2", _, None) => {
                    format!("schedule {}", text(&properties["Name"]).replace("${AWS::StackName}", "punctual"))
                }
                ("ScheduleV2", _, Some(input)) => {
                    format!("event {}", serde_json::from_str::<Value>(input).unwrap())
                }
                ("SQS", ..) => "queue".to_owned(),
                (other, ..) => panic!("{other}"),
            }
        };
        let by_hand =
            BY_HAND.iter().filter(|(name, _)| *name == binary).map(|(_, event)| format!("event {event}"));
        all.insert(binary.clone(), events.values().map(sent).chain(by_hand).collect());
    }
    all
}

#[test]
fn each_trigger_has_a_sample_and_each_sample_a_trigger() {
    let mut sampled: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (function, _, event) in samples() {
        sampled.entry(function).or_default().insert(trigger(&event));
    }
    assert_eq!(sampled, triggers(&document()));
}

#[test]
fn each_sample_is_invoked_in_ci_and_its_answer_is_looked_at() {
    let ci = file(".ci/run");
    for (function, name, _) in samples() {
        let invocation = format!("invoke \"$port\" {function} {name} '");
        let condition =
            ci.split(&invocation).nth(1).unwrap_or_else(|| panic!("{function} {name} is not invoked"));
        assert!(condition.split('\'').next().unwrap().contains("answer["), "{function} {name}");
    }
}
