//! Least privilege, both ways: what a function asks for it is granted, and what it is granted it asks for.

use crate::template::{document, functions, list, of_type, text};
use crate::template_scenes::{Stage, everything};
use crate::template_scenes_api;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tests::steps::Asked;

/// An action on a resource, as `dynamodb:Query on WorkTable/index/due`.
type Grants = BTreeSet<String>;

/// What Lambda itself does in a function's role, beside writing its log.
const OF_LAMBDA: &[(&str, &str)] = &[
    ("delivery-worker", "sqs:ReceiveMessage on DueQueue"),
    ("delivery-worker", "sqs:DeleteMessage on DueQueue"),
    ("delivery-worker", "sqs:GetQueueAttributes on DueQueue"),
    ("log-roller", "sqs:SendMessage on TickDeadLetters"),
];

/// What the stack calls a resource that the embedded services call `punctual-…`.
fn logical(name: &str) -> String {
    name.rsplit('/').next().unwrap().trim_start_matches("punctual-").to_owned()
}

/// What IAM asks of a caller of this. For PartiQL and transactions: what they do to each item.
fn needed(asked: &Asked) -> Vec<String> {
    let (service, operation) = asked.target.split_once('.').unwrap();
    let body = &asked.body;
    let on =
        |action: &str, table: &Value| format!("dynamodb:{action} on {}", logical(table.as_str().unwrap()));
    match (service, operation) {
        ("DynamoDB_20120810", "BatchGetItem") => {
            let tables = body["RequestItems"].as_object().unwrap().keys();
            tables.map(|table| on("BatchGetItem", &Value::from(table.as_str()))).collect()
        }
        ("DynamoDB_20120810", "TransactWriteItems") => {
            let items = body["TransactItems"].as_array().unwrap().iter();
            let item = |item: &Value| {
                let (kind, write) =
                    item.as_object().unwrap().iter().find(|(_, write)| !write.is_null()).unwrap();
                let action = if kind == "ConditionCheck" {
                    "ConditionCheckItem".to_owned()
                } else {
                    format!("{kind}Item")
                };
                on(&action, &write["TableName"])
            };
            items.map(item).collect()
        }
        ("DynamoDB_20120810", "BatchExecuteStatement" | "ExecuteTransaction") => {
            let statements = list(&body["Statements"]).into_iter().chain(list(&body["TransactStatements"]));
            let statement = |statement: Value| {
                let statement = statement["Statement"].as_str().unwrap().to_owned();
                let action = match statement.split(' ').next().unwrap() {
                    "INSERT" => "PartiQLInsert",
                    "UPDATE" => "PartiQLUpdate",
                    "DELETE" => "PartiQLDelete",
                    "SELECT" => "PartiQLSelect",
                    other => panic!("{other}"),
                };
                on(action, &Value::from(statement.split('"').nth(1).unwrap()))
            };
            statements.map(statement).collect()
        }
        ("DynamoDB_20120810", "Query") => {
            let index = body["IndexName"].as_str().map(|index| format!("/index/{index}")).unwrap_or_default();
            vec![on("Query", &body["TableName"]) + &index]
        }
        ("DynamoDB_20120810", "GetItem" | "PutItem" | "UpdateItem" | "DeleteItem") => {
            vec![on(operation, &body["TableName"])]
        }
        ("AmazonSQS", "SendMessageBatch") => {
            vec![format!("sqs:SendMessage on {}", logical(body["QueueUrl"].as_str().unwrap()))]
        }
        ("TrentService", _) => Vec::new(),
        _ => panic!("{} is in no list", asked.target),
    }
}

/// What a role grants, without its own log.
fn granted(document: &Value, function: &str) -> Grants {
    let id = &functions(document)[function];
    let role = &document["Resources"][format!("{id}Role")]["Properties"];
    let mut grants = Grants::new();
    for policy in list(&role["Policies"]) {
        for statement in list(&policy["PolicyDocument"]["Statement"]) {
            assert_eq!(statement["Effect"], "Allow");
            for action in list(&statement["Action"]) {
                for resource in list(&statement["Resource"]) {
                    let (action, resource) = (text(&action), text(&resource));
                    assert!(
                        !action.contains('*') && !resource.contains('*'),
                        "{function}: {action} on {resource}"
                    );
                    assert!(!action.starts_with("kms:"), "the key's own policy says who may use it");
                    if action.starts_with("logs:") {
                        assert_eq!(resource, format!("{id}Log.Arn"), "{function}");
                        continue;
                    }
                    let resource = resource.replace("${", "").replace('}', "").replace(".Arn", "");
                    assert!(
                        grants.insert(format!("{action} on {resource}")),
                        "{function}: {action} on {resource} twice"
                    );
                }
            }
        }
    }
    grants
}

#[tokio::test]
async fn each_role_grants_what_its_function_asks_for_and_nothing_else() {
    let document = document();
    let asked = &everything().await.asked;
    let mut faults = Vec::new();
    for function in functions(&document).keys() {
        let needed: Grants = asked[function.as_str()].iter().flat_map(needed).collect();
        let granted = granted(&document, function);
        let of_lambda: Grants = OF_LAMBDA
            .iter()
            .filter(|(name, _)| name == function)
            .map(|(_, grant)| (*grant).to_owned())
            .collect();
        assert!(of_lambda.is_subset(&granted), "{function}");
        faults.extend(needed.difference(&granted).map(|grant| format!("{function} lacks {grant}")));
        let unused = granted.difference(&needed).filter(|grant| !of_lambda.contains(*grant));
        faults.extend(unused.map(|grant| format!("{function} never uses {grant}")));
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The key's policy: function, action, purpose pattern.
fn key_grants(document: &Value) -> BTreeSet<(String, String, String)> {
    let key = &document["Resources"]["SecretsKey"]["Properties"]["KeyPolicy"];
    let mut grants = BTreeSet::new();
    for statement in list(&key["Statement"]) {
        assert_eq!(
            (&statement["Effect"], &statement["Resource"]),
            (&Value::from("Allow"), &Value::from("*"))
        );
        let actions: Vec<String> = list(&statement["Action"]).iter().map(text).collect();
        if statement["Sid"] == "Administration" {
            let uses = ["Decrypt", "Encrypt", "GenerateDataKey", "ReEncrypt", "CreateGrant", "*"];
            let is_use = |action: &&String| uses.iter().any(|used| action.contains(used));
            assert_eq!(actions.iter().find(is_use), None, "administrators cannot open secrets");
            // Without it the key could never be changed again.
            assert!(actions.contains(&"kms:PutKeyPolicy".to_owned()));
            continue;
        }
        for name in ["company", "solution"] {
            let key = format!("kms:EncryptionContext:{name}");
            assert_eq!(statement["Condition"]["Null"][&key], "false", "{}", statement["Sid"]);
        }
        let purposes = &statement["Condition"]["StringLike"]["kms:EncryptionContext:purpose"];
        for principal in list(&statement["Principal"]["AWS"]) {
            let role = text(&principal);
            let id = role.strip_suffix("Role.Arn").unwrap();
            for action in &actions {
                for purpose in list(purposes) {
                    let function = crate::template::binary(document, id);
                    assert!(
                        grants.insert((function, action.clone(), text(&purpose))),
                        "{role} {action} {purpose}"
                    );
                }
            }
        }
    }
    grants
}

#[tokio::test]
async fn the_keys_policy_grants_each_purpose_that_is_used_and_no_other() {
    let grants = key_grants(&document());
    let mut used = BTreeSet::new();
    for (function, asked) in &everything().await.asked {
        for call in asked.iter().filter(|asked| asked.target.starts_with("TrentService.")) {
            let action = call.target.replace("TrentService.", "kms:");
            let context: BTreeMap<String, String> =
                serde_json::from_value(call.body["EncryptionContext"].clone()).unwrap();
            assert_eq!(context.keys().collect::<Vec<_>>(), ["company", "purpose", "solution"]);
            let purpose = &context["purpose"];
            let matches = |pattern: &str| match pattern.strip_suffix('*') {
                Some(beginning) => purpose.starts_with(beginning),
                None => purpose == pattern,
            };
            let grant = grants
                .iter()
                .find(|(name, granted, pattern)| name == function && *granted == action && matches(pattern));
            used.insert(grant.unwrap_or_else(|| panic!("{function} lacks {action} for {purpose}")).clone());
        }
    }
    let unused: Vec<_> = grants.difference(&used).collect();
    assert!(unused.is_empty(), "never used: {unused:#?}");
}

#[test]
fn roles_are_the_functions_and_trust_lambda_alone() {
    let document = document();
    let roles = of_type(&document, "AWS::IAM::Role");
    let expected: BTreeSet<String> = functions(&document).values().map(|id| format!("{id}Role")).collect();
    assert_eq!(roles.keys().cloned().collect::<BTreeSet<_>>(), expected);
    for (id, role) in roles {
        let trust = &role["AssumeRolePolicyDocument"]["Statement"];
        assert_eq!(trust[0]["Principal"], serde_json::json!({"Service": "lambda.amazonaws.com"}), "{id}");
        // In a VPC, Lambda makes network interfaces in the function's role: AWS's own policy for that alone.
        let managed = &role["ManagedPolicyArns"]["!If"];
        assert_eq!((&managed[0], &managed[2]["!Ref"]), (&"IsInVpc".into(), &"AWS::NoValue".into()), "{id}");
        assert_eq!(list(&managed[1]).len(), 1, "{id}");
        assert!(text(&managed[1][0]).ends_with(":policy/service-role/AWSLambdaENIManagementAccess"), "{id}");
    }
}

#[tokio::test]
async fn the_scenes_call_every_operation_of_the_api() {
    let stage = Stage::new().await;
    template_scenes_api::play(&stage).await;
    let called = stage.called.lock().unwrap().clone();
    let description = stage.call("GET", "/openapi.json", None, 200).await.json;
    let mut missing = Vec::new();
    for (template, operations) in description["paths"].as_object().unwrap() {
        // These two are the reminder sender's.
        if template.starts_with("/api/reminder/item/") {
            continue;
        }
        for method in operations.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            let is_call =
                |(verb, path): &(String, String)| verb.eq_ignore_ascii_case(method) && fits(template, path);
            if !called.iter().any(is_call) {
                missing.push(format!("{method} {template}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Whether a path is one of a template's. Fixed segments go before parameters where both would fit.
fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let fixed = ["batch", "bulk", "configuration", "item"];
    template.len() == path.len()
        && template.iter().zip(&path).all(|(expected, segment)| {
            expected == segment || (expected.starts_with('{') && !fixed.contains(segment))
        })
}
