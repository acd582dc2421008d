//! `GET /openapi.json` describes every endpoint with every answer.

use crate::api::Api;
use crate::api_conventions::endpoints;
use serde_json::Value;
use std::collections::BTreeSet;

async fn document() -> Value {
    Api::new().await.get("/openapi.json").await.expect(200).json
}

/// The operations as `METHOD path`.
fn operations(document: &Value) -> Vec<(String, Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((format!("{} {path}", method.to_uppercase()), operation.clone()));
        }
    }
    operations
}

#[tokio::test]
async fn every_endpoint_is_described_and_every_described_one_is_tested() {
    let document = document().await;
    assert_eq!(document["openapi"], "3.1.0");
    let described: BTreeSet<String> = operations(&document).into_iter().map(|(name, _)| name).collect();
    // The providers are the same for all, and nothing is read for them.
    let open = ["GET /health", "GET /v1/dispatch-providers"].map(str::to_owned);
    // Served by reminder-sender.
    let elsewhere = ["pending/send", "send"].map(|path| format!("POST /api/reminder/item/{path}"));
    let tested = endpoints().into_iter().map(|endpoint| format!("{} {}", endpoint.method, endpoint.template));
    assert_eq!(described, tested.chain(open).chain(elsewhere).collect());
}

#[tokio::test]
async fn operations_have_names_of_their_own() {
    let operations = operations(&document().await);
    let names: BTreeSet<&str> =
        operations.iter().map(|(_, operation)| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(names.len(), operations.len());
}

#[tokio::test]
async fn every_operation_describes_its_body_its_parameters_and_its_problems() {
    let document = document().await;
    let endpoints = endpoints();
    for (name, operation) in operations(&document) {
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{name}");
        let Some(endpoint) =
            endpoints.iter().find(|other| format!("{} {}", other.method, other.template) == name)
        else {
            continue;
        };
        let mut expect = vec!["400", "401", "403", "404", "405", "429", "500"];
        if endpoint.method != "GET" {
            expect.extend(["409", "413", "415"]);
        }
        for status in expect {
            let content = &answers.get(status).unwrap_or_else(|| panic!("{name} has no {status}"))["content"];
            let schema = &content["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{name} {status}");
        }
        let has_fields = endpoint.body.as_ref().is_some_and(|_| !name.ends_with("rotate"))
            && !name.ends_with("refresh-keys")
            && !name.ends_with("dispatch")
            && !name.ends_with("/retry")
            && !name.ends_with("/resend");
        assert_eq!(operation.get("requestBody").is_some(), has_fields, "{name}");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
        assert_eq!(in_path, endpoint.template.matches('{').count(), "{name}");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| match value {
                Value::String(text) if name == "$ref" => found.push(text),
                value => references(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = document().await;
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn it_says_what_its_users_must_know() {
    let document = document().await;
    let text = |pointer: &str| {
        let text = document.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
        text.as_str().unwrap().replace('\n', " ")
    };
    for schema in ["ActivityTypeBody", "ActivityTypeView"] {
        let headers = text(&format!("/components/schemas/{schema}/properties/headers/description"));
        assert!(headers.contains("no place for secrets"), "{headers}");
        assert!(headers.contains("webhook-signature"), "{headers}");
    }
    let delete = "/paths/~1v1~1companies~1{company}~1solutions~1{solution}/delete/description";
    let delete = text(delete);
    assert!(delete.contains("finished activities stay until"), "{delete}");
}
