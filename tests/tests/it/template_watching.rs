//! What is told, what is documented of it, and what alarms and the dashboard look at: one and the same.

use crate::template::{document, file, functions, list, of_type, root, text};
use crate::template_alarms::{alarms_on, scheduled};
use crate::template_loops::in_loops;
use crate::template_scenes::everything;
use serde_json::Value;
use shared::telemetry::catalog::{METRICS, MetricKind};
use shared::telemetry::{AttemptRecord, CallTarget, NAMESPACE};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

pub const OBSERVE: &str = "docs/observe.md";

/// The rows of the table that follows a heading: their cells without the marks of code.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let text = file(page);
    let (_, section) = text.split_once(&format!("## {heading}\n")).unwrap_or_else(|| panic!("{heading}"));
    let lines =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| {
        let cells = line.trim_matches('|').split(" | ").map(|cell| cell.replace('`', "").trim().to_owned());
        cells.collect::<Vec<_>>()
    };
    lines.skip(2).map(cells).collect()
}

fn names(cell: &str) -> BTreeSet<String> {
    cell.split(", ").map(str::to_owned).collect()
}

fn dimensions(kind: &MetricKind) -> &'static str {
    if kind.by_outcome { "FunctionName; FunctionName, Outcome" } else { "FunctionName" }
}

/// Which functions tell of each metric, as the page has it.
pub fn documented() -> BTreeMap<String, BTreeSet<String>> {
    table(OBSERVE, "Metrics").into_iter().map(|row| (row[0].clone(), names(&row[3]))).collect()
}

#[tokio::test]
async fn metrics_are_told_as_they_are_documented() {
    let rows = table(OBSERVE, "Metrics");
    let listed: Vec<_> = rows.iter().map(|row| (row[0].as_str(), row[1].as_str(), row[2].as_str())).collect();
    let known: Vec<_> = METRICS.iter().map(|kind| (kind.name, kind.unit, dimensions(kind))).collect();
    assert_eq!(listed, known);

    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (function, document) in &everything().await.told {
        let directive = &document["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], NAMESPACE);
        assert_eq!(document["FunctionName"], *function);
        for metric in directive["Metrics"].as_array().unwrap() {
            let kind = METRICS.iter().find(|kind| metric["Name"] == kind.name).unwrap();
            assert_eq!(metric["Unit"], kind.unit);
            let sets: Vec<String> = list(&directive["Dimensions"])
                .iter()
                .map(|set| list(set).iter().map(text).collect::<Vec<_>>().join(", "))
                .collect();
            assert_eq!(sets.join("; "), dimensions(kind), "{}", kind.name);
            told.entry(kind.name.to_owned()).or_default().insert((*function).to_owned());
        }
    }
    assert_eq!(told, documented());
}

#[tokio::test]
async fn every_outcome_that_is_told_is_documented() {
    let page = file(OBSERVE);
    let (_, outcomes) = page.split_once("`Outcome` is one of:").unwrap();
    let outcomes = outcomes.split("\n\n").next().unwrap();
    let told = everything().await.told.iter().filter_map(|(_, document)| document["Outcome"].as_str());
    let told: BTreeSet<&str> = told.collect();
    assert!(told.len() >= 5, "{told:?}");
    for outcome in told {
        assert!(outcomes.contains(&format!("`{outcome}`")), "{outcome}");
    }
}

#[derive(Clone, Default)]
struct Fields(Arc<Mutex<BTreeSet<String>>>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, _: &dyn std::fmt::Debug) {
        self.0.lock().unwrap().insert(field.name().to_owned());
    }
}

impl<S: tracing::Subscriber> Layer<S> for Fields {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        event.record(&mut self.clone());
    }
}

#[test]
fn the_line_of_an_attempt_has_the_documented_fields() {
    let tenant = rules::names::Tenant { company: "acme".parse().unwrap(), solution: "main".parse().unwrap() };
    let record = AttemptRecord {
        tenant: &tenant,
        id: "a",
        kind: "R",
        run: 0,
        attempt: 1,
        outcome: "SUCCESS",
        http_status: Some(200),
        lateness_ms: Some(1),
        duration_ms: 1,
        target: Some(&CallTarget { method: reqwest::Method::POST, url: "http://h.example/".to_owned() }),
        retry_at: Some(tests::world::beginning()),
    };
    let fields = Fields::default();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(fields.clone()), || record.log());
    let mut logged = fields.0.lock().unwrap().clone();
    assert!(logged.remove("message"));
    let documented = table(OBSERVE, "The line of an attempt").into_iter().flat_map(|row| names(&row[0]));
    assert_eq!(documented.collect::<BTreeSet<_>>(), logged);
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
}

/// The messages of all lines that the functions may log, with their levels, as the code has them.
fn logged() -> BTreeSet<(String, String)> {
    let mut files = Vec::new();
    for dir in ["functions", "shared/src"] {
        sources(&root().join(dir), &mut files);
    }
    let mut messages = BTreeSet::new();
    for path in files {
        let source = std::fs::read_to_string(&path).unwrap();
        let production = source.split("#[cfg(test)]").next().unwrap();
        for level in ["info", "warn", "error"] {
            for call in production.split(&format!("tracing::{level}!(")).skip(1) {
                // The message is the last text of the call.
                let call = call.split(");").next().unwrap();
                let message = call.rsplit('"').nth(1).unwrap_or_else(|| panic!("{path:?}: {call}"));
                let message = message.replace("{REMINDER_WEBHOOK}", "reminder-webhook");
                messages.insert((message, level.to_uppercase()));
            }
        }
    }
    messages
}

#[test]
fn every_line_is_documented() {
    let mut expected = logged();
    assert!(expected.remove(&("attempt".to_owned(), "INFO".to_owned())));
    let rows = table(OBSERVE, "Every other line");
    let documented: BTreeSet<_> = rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(documented, expected);
    let functions: BTreeSet<String> = functions(&document()).into_keys().chain(["any".to_owned()]).collect();
    assert!(rows.iter().all(|row| names(&row[2]).is_subset(&functions)));
}

/// A metric of ours is looked at where a function tells of it, by the dimensions that it has.
#[track_caller]
fn assert_told(metric: &str, names: &[&str], function: &str) {
    let kind =
        METRICS.iter().find(|kind| kind.name == metric).unwrap_or_else(|| panic!("nobody tells of {metric}"));
    assert!(
        names == ["FunctionName"] || (names == ["FunctionName", "Outcome"] && kind.by_outcome),
        "{metric}"
    );
    let document = document();
    let binary = functions(&document).into_iter().find(|(_, id)| id == function).unwrap().0;
    assert!(documented()[metric].contains(&binary), "{binary} does not tell of {metric}");
}

/// What AWS tells, as far as it is looked at: namespace, metric, dimension, and the type of resource.
const OF_AWS: &[(&str, &[&str], &str, &[&str])] = &[
    (
        "AWS/Lambda",
        &[
            "Errors",
            "Throttles",
            "ConcurrentExecutions",
            "Duration",
            "RecursiveInvocationsDropped",
            "Invocations",
            "AsyncEventsDropped",
        ],
        "FunctionName",
        &["AWS::Serverless::Function"],
    ),
    (
        "AWS/SQS",
        &[
            "ApproximateNumberOfMessagesVisible",
            "ApproximateNumberOfMessagesVisibleInQuietGroups",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
            "ApproximateNumberOfNoisyGroups",
            "ApproximateAgeOfOldestMessage",
            "ApproximateAgeOfOldestMessageInQuietGroups",
        ],
        "QueueName",
        &["AWS::SQS::Queue"],
    ),
    ("AWS/ApiGateway", &["Count", "4xx", "5xx", "Latency"], "ApiId", &["AWS::Serverless::HttpApi"]),
    (
        "AWS/DynamoDB",
        &[
            "ReadKeyRangeThroughputThrottleEvents",
            "WriteKeyRangeThroughputThrottleEvents",
            "ReadMaxOnDemandThroughputThrottleEvents",
            "WriteMaxOnDemandThroughputThrottleEvents",
            "ReadAccountLimitThrottleEvents",
            "WriteAccountLimitThrottleEvents",
            "ReadThrottleEvents",
            "WriteThrottleEvents",
            "ConsumedReadCapacityUnits",
            "ConsumedWriteCapacityUnits",
        ],
        "TableName",
        &["AWS::DynamoDB::Table"],
    ),
];

/// One metric that an alarm or the dashboard looks at; the dimension's value names a resource.
#[track_caller]
fn assert_known(namespace: &str, metric: &str, dimension: &str, value: &str) {
    let resource =
        value.trim_start_matches("${").trim_end_matches('}').trim_end_matches(".QueueName").to_owned();
    if namespace == NAMESPACE {
        return assert_told(metric, &[dimension], &resource);
    }
    let known =
        OF_AWS.iter().find(|(known, ..)| *known == namespace).unwrap_or_else(|| panic!("{namespace}"));
    let kind = &document()["Resources"][&resource]["Type"];
    assert!(known.1.contains(&metric) && known.2 == dimension, "{namespace} {metric} {dimension}");
    assert!(known.3.iter().any(|known| kind == known), "{value} is a {kind}");
}

const INDEX: &str = "GlobalSecondaryIndexName";

/// Everything of which an alarm on this metric has to speak: namespace, metric, resource, and index if it is one's.
fn all_of(
    document: &Value,
    namespace: &str,
    name: &str,
) -> BTreeSet<(String, String, String, Option<String>)> {
    let of = |name: &str, resource: &str, index: Option<String>| {
        (namespace.to_owned(), name.to_owned(), resource.to_owned(), index)
    };
    let functions = functions(document).into_iter();
    match namespace {
        "AWS/DynamoDB" => {
            // One alarm for each reason, over reads and writes.
            let reason = name.trim_start_matches("Read").trim_start_matches("Write");
            let names = ["Read", "Write"].map(|access| format!("{access}{reason}"));
            let tables = of_type(document, "AWS::DynamoDB::Table");
            let indexed = |(id, table): (String, Value)| {
                let indexes = table["GlobalSecondaryIndexes"].as_array().cloned().unwrap_or_default();
                let indexes = indexes.iter().map(|index| Some(text(&index["IndexName"])));
                let each: Vec<_> = [None].into_iter().chain(indexes).collect();
                let both = |index: Option<String>| names.clone().map(|name| of(&name, &id, index.clone()));
                each.into_iter().flat_map(both).collect::<Vec<_>>()
            };
            tables.into_iter().flat_map(indexed).collect()
        }
        NAMESPACE => {
            let told = documented();
            functions
                .filter(|(binary, _)| told[name].contains(binary))
                .map(|(_, id)| of(name, &id, None))
                .collect()
        }
        _ => {
            // Events of schedules are asynchronous, and no others.
            let scheduled = scheduled(document);
            functions
                .filter(|(_, id)| name != "AsyncEventsDropped" || scheduled.contains(id))
                .map(|(_, id)| of(name, &id, None))
                .collect()
        }
    }
}

#[test]
fn alarms_look_at_what_is_told_and_tell_the_topic() {
    let document = document();
    let alarms = of_type(&document, "AWS::CloudWatch::Alarm");
    let dropped: BTreeSet<String> = alarms_on(&document, "RecursiveInvocationsDropped").into_keys().collect();
    assert_eq!(dropped, in_loops(&document));
    for (id, alarm) in &alarms {
        for action in ["AlarmActions", "OKActions"] {
            let expected =
                serde_json::json!(["HasAlarmTopic", [{"!Ref": "AlarmTopicArn"}], {"!Ref": "AWS::NoValue"}]);
            assert_eq!(alarm[action]["!If"], expected, "{id}");
        }
        let metric = |metric: &Value| {
            let (namespace, name) = (text(&metric["Namespace"]), text(&metric["MetricName"]));
            let mut dimensions = list(&metric["Dimensions"]).into_iter();
            let first = dimensions.next().unwrap();
            let value = text(&first["Value"]);
            assert_known(&namespace, &name, &text(&first["Name"]), &value);
            // An index counts as its own.
            let index = dimensions.next().map(|second| {
                assert_eq!((namespace.as_str(), text(&second["Name"])), ("AWS/DynamoDB", INDEX.to_owned()));
                text(&second["Value"])
            });
            (namespace, name, value, index)
        };
        match alarm["Metrics"].as_array() {
            None => drop(metric(alarm)),
            Some(metrics) => {
                let stats = metrics.iter().filter_map(|one| one.get("MetricStat"));
                let watched: BTreeSet<_> = stats.map(|stat| metric(&stat["Metric"])).collect();
                let (namespace, name, ..) = watched.first().unwrap();
                assert_eq!(watched, all_of(&document, namespace, name), "{id} leaves some out");
            }
        }
    }
    // Why DynamoDB turns requests to on-demand tables away; the fourth reason is that of provisioned ones.
    for reason in ["KeyRangeThroughput", "MaxOnDemandThroughput", "AccountLimit"] {
        let metric = format!("Write{reason}ThrottleEvents");
        let watches = |alarm: &Value| alarm["Metrics"].to_string().contains(&format!("\"{metric}\""));
        assert_eq!(alarms.values().filter(|alarm| watches(alarm)).count(), 1, "{reason}");
    }
    // Silence of the sweep is what its alarm is there for, and the page says of each alarm what to do.
    assert_eq!(alarms["OldestOverdueAlarm"]["TreatMissingData"], "breaching");
    let operate = file("docs/operate.md");
    let headings: BTreeSet<&str> = operate
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .flat_map(|line| line.split(", "))
        .collect();
    for id in alarms.keys() {
        assert!(headings.contains(id.as_str()), "docs/operate.md does not speak of {id}");
    }
}

#[test]
fn the_dashboard_shows_what_is_told() {
    let document = document();
    let body = text(&document["Resources"]["Dashboard"]["Properties"]["DashboardBody"]);
    let body: Value = serde_json::from_str(&body).unwrap();
    let mut shown = BTreeSet::new();
    for widget in list(&body["widgets"]) {
        for metric in list(&widget["properties"]["metrics"]) {
            if let Some(search) = metric[0]["expression"].as_str() {
                // SEARCH('{Punctual,FunctionName,Outcome} MetricName="Attempts" FunctionName="${X}"', …)
                assert!(
                    search.starts_with("SEARCH('{Punctual,FunctionName,Outcome} MetricName=\""),
                    "{search}"
                );
                let quoted: Vec<&str> = search.split('"').collect();
                let function = quoted[3].trim_start_matches("${").trim_end_matches('}');
                assert_told(quoted[1], &["FunctionName", "Outcome"], function);
                shown.insert(quoted[1].to_owned());
                continue;
            }
            let cell = |index: usize| metric[index].as_str().unwrap();
            assert_known(cell(0), cell(1), cell(2), cell(3));
            shown.insert(cell(1).to_owned());
        }
    }
    // Everything of SPEC §12 is there to be seen.
    let all: BTreeSet<String> = METRICS.iter().map(|kind| kind.name.to_owned()).collect();
    assert!(all.is_subset(&shown), "{:?}", all.difference(&shown));
}
