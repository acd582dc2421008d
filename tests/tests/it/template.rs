//! template.yaml as a document, and what must hold in it beyond what linters see.

use rules::names::CompanyName;
use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Seconds of Lambda's and EventBridge's shortest memory of an event.
const EVENT_AGE_MIN: u64 = 60;
/// What the worker's timeout has to exceed the longest that it may be at a message by: its start, the claim, the reads.
const TIMEOUT_SLACK: i64 = 20;
/// By how much a queue's visibility timeout has to exceed the timeout of what takes its messages (AWS's advice).
const VISIBILITY_FACTOR: u64 = 6;

/// The project's directory.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A file of the project.
pub fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The template: `!Ref X` is `{"!Ref": "X"}`, and so on.
pub fn document() -> Value {
    plain(serde_yaml_ng::from_str(&file("template.yaml")).unwrap())
}

fn plain(value: Yaml) -> Value {
    match value {
        Yaml::Tagged(tagged) => json!({ tagged.tag.to_string(): plain(tagged.value) }),
        Yaml::Mapping(map) => {
            let text = |key: Yaml| key.as_str().expect("keys are text").to_owned();
            Value::Object(map.into_iter().map(|(key, value)| (text(key), plain(value))).collect())
        }
        Yaml::Sequence(items) => items.into_iter().map(plain).collect(),
        scalar => serde_json::to_value(scalar).unwrap(),
    }
}

/// What a value refers to or says: the same text for `!Ref A`, `!GetAtt A.Arn` and `!Sub "${A.Arn}"` as in them.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(call) => {
            let called = ["!Ref", "!GetAtt", "!Sub"].into_iter().find_map(|name| call.get(name));
            text(called.unwrap_or_else(|| panic!("{value} is no text")))
        }
        other => other.to_string(),
    }
}

/// One or several, as a list.
pub fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    }
}

/// The properties of the resources of a type, by their logical ids.
pub fn of_type(document: &Value, kind: &str) -> BTreeMap<String, Value> {
    let resources = document["Resources"].as_object().unwrap().iter();
    let found = resources.filter(|(_, resource)| resource["Type"] == kind);
    found.map(|(id, resource)| (id.clone(), resource["Properties"].clone())).collect()
}

/// The binary's name of a function's logical id.
pub fn binary(document: &Value, id: &str) -> String {
    text(&document["Resources"][id]["Metadata"]["BuildProperties"]["Binary"])
}

/// The functions' logical ids by their binaries' names.
pub fn functions(document: &Value) -> BTreeMap<String, String> {
    let ids = of_type(document, "AWS::Serverless::Function").into_keys();
    ids.map(|id| (binary(document, &id), id)).collect()
}

/// The events of all functions: function, event, definition.
fn events(document: &Value) -> Vec<(String, String, Value)> {
    let functions = of_type(document, "AWS::Serverless::Function").into_iter();
    let of = |(id, function): (String, Value)| {
        let events: Map<String, Value> = function["Events"].as_object().unwrap().clone();
        events.into_iter().map(move |(name, event)| (id.clone(), name, event))
    };
    functions.flat_map(of).collect()
}

fn seconds(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn the_functions_are_the_workspaces() {
    let document = document();
    let crates: BTreeSet<String> = std::fs::read_dir(root().join("functions"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let functions = functions(&document);
    assert_eq!(functions.keys().cloned().collect::<BTreeSet<_>>(), crates);
    let workspace = file("Cargo.toml");
    for (binary, id) in &functions {
        let manifest = file(&format!("functions/{binary}/Cargo.toml"));
        assert!(manifest.contains(&format!("name = \"{binary}\"")) && !manifest.contains("[[bin]]"));
        assert!(workspace.contains(&format!("\"functions/{binary}\"")));
        let main = file(&format!("functions/{binary}/src/main.rs"));
        assert!(main.contains("telemetry::init();"), "{binary} logs nothing");
        assert!(main.contains("Metrics::of_this_function()"), "{binary} counts nothing");
        assert!(main.lines().count() < 40, "{binary}'s main is more than wiring");
        let properties = &document["Resources"][id]["Properties"];
        assert_eq!(text(&properties["FunctionName"]), format!("${{AWS::StackName}}-{binary}"));
    }
    let global = &document["Globals"]["Function"];
    assert_eq!(global["Runtime"], "provided.al2023");
    assert_eq!(global["Architectures"], json!([{"!Ref": "Architecture"}]));
    assert_eq!(document["Parameters"]["Architecture"]["Default"], "arm64");
}

#[test]
fn each_function_has_its_own_role_and_its_own_log() {
    let document = document();
    for (binary, id) in functions(&document) {
        let properties = &document["Resources"][&id]["Properties"];
        // With a role of its own SAM adds nothing to it: not logs:* on all groups, nor sqs:* on all queues.
        assert_eq!(text(&properties["Role"]), format!("{id}Role.Arn"));
        assert!(properties.get("Policies").is_none(), "{id}: policies beside a role are ignored");
        let log = text(&properties["LoggingConfig"]["LogGroup"]);
        let group = &document["Resources"][&log]["Properties"];
        assert_eq!(text(&group["LogGroupName"]), format!("/aws/lambda/${{AWS::StackName}}-{binary}"));
    }
    for (id, group) in of_type(&document, "AWS::Logs::LogGroup") {
        assert_eq!(text(&group["RetentionInDays"]), "LogRetentionDays", "{id} is kept for ever");
    }
    // What is logged of a request never holds its query, where reminders' endpoints have their secrets.
    let api = &document["Resources"]["Api"]["Properties"];
    assert_eq!(text(&api["AccessLogSettings"]["DestinationArn"]), "ApiLog.Arn");
    let format = text(&api["AccessLogSettings"]["Format"]);
    let format: BTreeMap<String, String> = serde_json::from_str(&format).unwrap();
    let logged: BTreeSet<&str> = format.values().map(String::as_str).collect();
    let open = ["$context.path", "$context.identity.sourceIp", "$context.status", "$context.httpMethod"];
    assert!(open.iter().all(|variable| logged.contains(variable)));
    assert!(logged.iter().all(|variable| !variable.to_lowercase().contains("query")), "{logged:?}");
    for limit in ["ThrottlingRateLimit", "ThrottlingBurstLimit"] {
        assert_eq!(text(&api["DefaultRouteSettings"][limit]), limit);
    }
}

/// `rate(1 minutes)` passes every linter, and fails when it is deployed.
fn is_rate(expression: &str) -> bool {
    let inner = expression.strip_prefix("rate(").and_then(|rest| rest.strip_suffix(')'));
    let Some((count, unit)) = inner.and_then(|inner| inner.split_once(' ')) else { return false };
    let singular = ["minute", "hour", "day"].contains(&unit);
    let plural = ["minutes", "hours", "days"].contains(&unit);
    match count.parse::<u32>() {
        Ok(1) => singular,
        Ok(2..) => plural,
        _ => false,
    }
}

#[test]
fn a_rate_is_one_minute_or_several_minutes() {
    for good in ["rate(1 minute)", "rate(5 minutes)", "rate(1 day)", "rate(2 hours)"] {
        assert!(is_rate(good), "{good}");
    }
    for bad in
        ["rate(1 minutes)", "rate(5 minute)", "rate(0 minutes)", "rate(1 week)", "rate(1minute)", "1 minute"]
    {
        assert!(!is_rate(bad), "{bad}");
    }
}

#[test]
fn schedules_are_right_and_what_fails_of_them_is_not_lost() {
    let document = document();
    let mut names = BTreeSet::new();
    for (function, name, event) in events(&document) {
        if event["Type"] != "ScheduleV2" {
            assert!(event["Type"] == "HttpApi" || event["Type"] == "SQS", "{function}.{name}");
            continue;
        }
        let event = &event["Properties"];
        assert!(is_rate(&text(&event["ScheduleExpression"])), "{function}.{name}");
        // The default group of an account holds the schedules of all its stacks.
        let own = text(&event["Name"]);
        assert!(own.starts_with("${AWS::StackName}-") && names.insert(own), "{function}.{name}");
        assert_eq!(text(&event["DeadLetterConfig"]["Arn"]), "TickDeadLetters.Arn", "{function}.{name}");
        let age = seconds(&event["RetryPolicy"]["MaximumEventAgeInSeconds"]);
        assert!((EVENT_AGE_MIN..=86_400).contains(&age), "{function}.{name}");
        let invoke = &document["Resources"][&function]["Properties"]["EventInvokeConfig"];
        let age = seconds(&invoke["MaximumEventAgeInSeconds"]);
        assert!((EVENT_AGE_MIN..=21_600).contains(&age), "{function}");
        let repeated = seconds(&invoke["MaximumRetryAttempts"]);
        // What is not tried again soon by itself is tried again by Lambda, and then told.
        let told = !invoke["DestinationConfig"]["OnFailure"].is_null();
        assert_eq!((repeated > 0, told), (function == "LogRoller", function == "LogRoller"), "{function}");
    }
    assert_eq!(names.len(), 6);
}

#[test]
fn the_queue_waits_longer_than_its_worker_takes() {
    let document = document();
    let queues = of_type(&document, "AWS::SQS::Queue");
    let mut triggers = 0;
    for (function, name, event) in events(&document) {
        if event["Type"] != "SQS" {
            continue;
        }
        triggers += 1;
        let event = &event["Properties"];
        let queue = text(&event["Queue"]);
        let queue = &queues[queue.strip_suffix(".Arn").unwrap()];
        let timeout = seconds(&document["Resources"][&function]["Properties"]["Timeout"]);
        let visibility = seconds(&queue["VisibilityTimeout"]);
        assert!(
            visibility >= VISIBILITY_FACTOR * timeout,
            "{function}.{name}: {visibility} s for {timeout} s"
        );
        assert_eq!(event["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]));
        assert_eq!(text(&event["ScalingConfig"]["MaximumConcurrency"]), "WorkerConcurrency");
        assert_eq!(event.get("MaximumBatchingWindowInSeconds"), None, "it would make everything late");
        assert_eq!(text(&queue["RedrivePolicy"]["deadLetterTargetArn"]), "DueDeadLetters.Arn");
    }
    assert_eq!(triggers, 1);
    let policies = of_type(&document, "AWS::SQS::QueuePolicy");
    let [(_, policy)] = policies.iter().collect::<Vec<_>>()[..] else { panic!("one policy for all queues") };
    let statement = &policy["PolicyDocument"]["Statement"][0];
    assert_eq!(
        (&statement["Effect"], &statement["Principal"], &statement["Condition"]["Bool"]),
        (&json!("Deny"), &json!("*"), &json!({"aws:SecureTransport": "false"}))
    );
    let named = |list: &Value, suffix: &str| {
        let names = crate::template::list(list);
        names.iter().map(|name| text(name).trim_end_matches(suffix).to_owned()).collect::<BTreeSet<_>>()
    };
    let all: BTreeSet<String> = queues.keys().cloned().collect();
    assert_eq!(named(&policy["Queues"], ""), all);
    assert_eq!(named(&statement["Resource"], ".Arn"), all);
    for (id, queue) in queues {
        assert_eq!(queue["SqsManagedSseEnabled"], true, "{id}");
        assert_eq!(queue.get("FifoQueue"), None, "{id}: fair queues are standard queues");
    }
    // A message group is what makes the queue fair; a company's name has to be one.
    let longest: CompanyName = "a".repeat(64).parse().unwrap();
    assert!(longest.as_str().len() <= 128, "SQS's limit of MessageGroupId");
    assert!(file("shared/src/queue.rs").contains(".message_group_id(message.company.as_str())"));
}

#[test]
fn tables_and_the_key_survive_mistakes() {
    let document = document();
    for (id, table) in of_type(&document, "AWS::DynamoDB::Table") {
        assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true, "{id}");
        assert_eq!(table["SSESpecification"]["SSEEnabled"], true, "{id}");
        assert_eq!(text(&table["DeletionProtectionEnabled"]), "DeletionProtection", "{id}");
        assert_eq!(table["BillingMode"], "PAY_PER_REQUEST", "{id}");
        // An index counts apart, and without a limit of its own spends what the table may not.
        for limited in list(&table["GlobalSecondaryIndexes"]).iter().chain([&table]) {
            let limit = &limited["OnDemandThroughput"]["!If"];
            assert_eq!(limit[0], "HasMaxUnits", "{id}");
            for (name, parameter) in
                [("MaxReadRequestUnits", "MaxReadUnits"), ("MaxWriteRequestUnits", "MaxWriteUnits")]
            {
                assert_eq!(text(&limit[1][name]["!If"][1]), parameter, "{id}");
                assert_eq!(document["Parameters"][parameter]["Default"], 0);
            }
        }
    }
    assert_eq!(document["Parameters"]["DeletionProtection"]["Default"], "true");
    for id in ["ConfigTable", "WorkTable", "SecretsKey"] {
        let resource = &document["Resources"][id];
        assert_eq!(
            (&resource["DeletionPolicy"], &resource["UpdateReplacePolicy"]),
            // Of a first deployment that failed nothing is left to pay for.
            (&json!("RetainExceptOnCreate"), &json!("Retain"))
        );
    }
    assert_eq!(document["Resources"]["SecretsKey"]["Properties"]["EnableKeyRotation"], true);
}

#[test]
fn every_parameter_and_condition_is_used_and_no_secret_has_a_default() {
    let template = file("template.yaml");
    let document = document();
    let used = |name: &str| {
        ["!Ref NAME\n", "- NAME\n", "!Ref NAME]", "!Ref NAME }", "!Ref NAME,", "${NAME}", "[NAME,"]
            .iter()
            .any(|form| template.contains(&form.replace("NAME", name)))
    };
    for kind in ["Parameters", "Conditions"] {
        for name in document[kind].as_object().unwrap().keys() {
            assert!(used(name), "{kind}: {name} is used nowhere");
        }
    }
    for secret in ["AdminKeySha256", "ProcessorSecretSha256"] {
        let parameter = &document["Parameters"][secret];
        assert_eq!(parameter["AllowedPattern"], "[0-9a-f]{64}");
        assert_eq!(parameter.get("Default"), None);
        let previous = &document["Parameters"][format!("Previous{secret}")];
        assert_eq!(
            (&previous["AllowedPattern"], &previous["Default"]),
            (&json!("|[0-9a-f]{64}"), &json!(""))
        );
    }
}

/// What an operator sets apart from the code: each reaches what it is for.
#[test]
fn parameters_reach_what_they_are_for() {
    let document = document();
    let global = &document["Globals"]["Function"];
    assert_eq!(text(&global["Environment"]["Variables"]["RUST_LOG"]), "LogFilter");
    let vpc = &global["VpcConfig"]["!If"];
    assert_eq!((&vpc[0], text(&vpc[1]["SubnetIds"])), (&json!("IsInVpc"), "SubnetIds".to_owned()));
    assert_eq!(text(&vpc[1]["SecurityGroupIds"]), "SecurityGroupIds");
    let resources = &document["Resources"];
    assert_eq!(text(&resources["DeliveryWorker"]["Properties"]["MemorySize"]), "WorkerMemory");
    let api = &resources["Api"]["Properties"]["DisableExecuteApiEndpoint"]["!If"];
    assert_eq!(*api, json!(["IsExecuteApiDisabled", true, false]));
    // API Gateway's policy on other names of log groups is limited to some hundred of them.
    let log = text(&resources["ApiLog"]["Properties"]["LogGroupName"]);
    assert!(log.starts_with("/aws/vendedlogs/"), "{log}");
    // What a new account allows, 10, has to be asked for before: a template cannot.
    assert!(file("docs/deploy.md").contains("aws lambda get-account-settings"));
    let ignored = file(".gitignore");
    assert!([".aws-sam/", "samconfig.toml"].iter().all(|name| ignored.lines().any(|line| line == *name)));
}

/// The worker is ended in the middle of a call, and so calls twice, if all that may take its time takes it.
#[test]
fn the_worker_has_more_time_than_a_message_may_take() {
    use delivery_worker::{EARLY_MAX, SETTLE_TIME, TIMEOUT_MAX};
    let longest = EARLY_MAX + rules::due::CROWD_LEAD + TIMEOUT_MAX + SETTLE_TIME;
    let timeout = seconds(&document()["Resources"]["DeliveryWorker"]["Properties"]["Timeout"]);
    let timeout = i64::try_from(timeout).unwrap();
    assert!(timeout >= longest.num_seconds() + TIMEOUT_SLACK, "{timeout} s for {longest}");
}

#[test]
fn the_api_has_every_route_and_the_sender_its_two() {
    use api_ingest::reminders::sending::{PENDING_PATH, SEND_PATH};
    let mut routes = BTreeSet::new();
    for (function, _, event) in events(&document()) {
        if event["Type"] == "HttpApi" {
            let event = &event["Properties"];
            assert_eq!(text(&event["ApiId"]), "Api");
            let route =
                [&event["Method"], &event["Path"]].map(|part| part.as_str().unwrap_or("*").to_owned());
            routes.insert((function, route));
        }
    }
    let sender = |path: &str| ("ReminderSender".to_owned(), ["ANY".to_owned(), path.to_owned()]);
    // Without a path, an event is the route of everything that has none.
    let api = ("ApiIngest".to_owned(), ["*".to_owned(), "*".to_owned()]);
    assert_eq!(routes, BTreeSet::from([api, sender(PENDING_PATH), sender(SEND_PATH)]));
}
