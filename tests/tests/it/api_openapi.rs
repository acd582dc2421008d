//! `GET /openapi.json` describes every endpoint with every answer.

use crate::api::{Api, router_with};
use crate::api_endpoints::{Endpoint, operations};
use api_ingest::description;
use http::Request;
use serde_json::Value;
use std::collections::BTreeSet;
use tests::World;

#[tokio::test]
async fn it_is_served_as_it_is_and_needs_no_key() {
    let api = Api::new().await;
    let get = |path: &str| Request::builder().uri(path).body(axum::body::Body::empty()).unwrap();
    let document = api.send(get("/openapi.json")).await.expect(200);
    assert_eq!(document.json, description());
    assert_eq!(document.json["openapi"], "3.1.0");
}

/// The paths that a router has, as its `Debug` shows them: there is no other way to ask it.
fn paths(shown: &str) -> BTreeSet<String> {
    let quoted = shown.split('"').skip(1).step_by(2);
    quoted.filter(|text| text.starts_with('/')).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_route_is_described_and_every_description_has_a_route() {
    let world = World::new().await;
    let mut routes = paths(&format!("{:?}", router_with(world.ctx.clone(), crate::api::ADMIN)));
    routes.extend(paths(&format!("{:?}", world.sender().routes())));
    // What is none of them (a test of the conventions sees to it that `/` is one of these), and the page's files.
    for other in ["/", "/{*__private__axum_fallback}", "/docs/", "/docs/{*rest}"] {
        assert!(routes.remove(other), "{other} {routes:?}");
    }
    let described: BTreeSet<String> = operations().into_iter().map(|found| found.template).collect();
    assert_eq!(routes, described);
    // Of each path every method: a route tells by `Allow` what it takes.
    let api = Api::new().await;
    for template in &described {
        let same = operations().into_iter().filter(|found| found.template == *template);
        let mut expect: BTreeSet<String> = same.map(|found| found.method).collect();
        if expect.contains("GET") {
            expect.insert("HEAD".to_owned());
        }
        let answer = api.call("PATCH", &crate::api_endpoints::filled(template), None).await.problem(405);
        let allowed: BTreeSet<String> = answer.header("allow").split(',').map(str::to_owned).collect();
        assert_eq!(allowed, expect, "{template}");
    }
}

#[test]
fn operations_have_names_of_their_own() {
    let operations = operations();
    let names: BTreeSet<&str> = operations.iter().map(Endpoint::id).collect();
    assert_eq!(names.len(), operations.len());
}

#[test]
fn every_operation_describes_its_parameters_its_body_and_its_answers() {
    for found in operations() {
        let (name, operation) = (format!("{} {}", found.method, found.template), &found.operation);
        for text in [&operation["summary"], &operation["operationId"], &operation["tags"][0]] {
            assert!(text.as_str().is_some_and(|text| !text.is_empty()), "{name}");
        }
        assert_eq!(found.parameters("path").count(), found.template.matches('{').count(), "{name}");
        for parameter in ["path", "query", "header"].iter().flat_map(|place| found.parameters(place)) {
            let said = parameter["description"].as_str();
            assert!(said.is_some_and(|text| text.ends_with('.')), "{name} {parameter}");
            let schema = parameter["schema"].as_object().unwrap();
            assert!(
                schema.contains_key("$ref") || schema.len() > 1 || is_free(parameter),
                "{name} {parameter}"
            );
        }
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{name}");
        for (status, answer) in answers {
            assert!(answer["description"].as_str().is_some_and(|text| !text.is_empty()), "{name} {status}");
            if matches!(status.as_str(), "200" | "201" | "202" | "204" | "303") {
                continue;
            }
            let content = &answer["content"]["application/problem+json"];
            assert_eq!(content["schema"]["$ref"], "#/components/schemas/Problem", "{name} {status}");
            assert_eq!(content["example"]["status"].to_string(), *status, "{name}");
            let header = match status.as_str() {
                "401" => "WWW-Authenticate",
                "405" => "Allow",
                "429" => "Retry-After",
                _ => continue,
            };
            assert_eq!(answer["headers"][header]["required"], true, "{name} {status}");
        }
        // Whoever reads a body says what is wrong with one.
        let reads = operation.get("requestBody").is_some();
        for status in ["400", "413", "415"] {
            assert!(!reads || answers.contains_key(status), "{name} {status}");
        }
    }
}

/// Texts that may be anything.
fn is_free(parameter: &Value) -> bool {
    ["cursor", "objectId"].iter().any(|name| parameter["name"] == **name)
}

/// Nothing that OpenAPI has is null; examples are JSON of any kind.
#[test]
fn nothing_is_null() {
    fn nulls(value: &Value, at: &str, found: &mut Vec<String>) {
        match value {
            Value::Null => found.push(at.to_owned()),
            Value::Array(items) => items.iter().for_each(|item| nulls(item, at, found)),
            Value::Object(members) => {
                let said = members.iter().filter(|(name, _)| !name.starts_with("example"));
                said.for_each(|(name, member)| nulls(member, &format!("{at}/{name}"), found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    nulls(&description(), "", &mut found);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn every_reference_leads_somewhere() {
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
    let document = description();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn it_says_what_its_users_must_know() {
    let document = description();
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
    assert!(delete.contains("removed within a day"), "{delete}");
}

/// What operations have in common stands once, and they refer to it.
#[test]
fn nothing_is_described_twice() {
    let document = description();
    let mut seen: Vec<(&Value, String)> = Vec::new();
    let mut problems = 0;
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {template}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let is_problem = status.starts_with(['4', '5']);
                let refers = response.get("$ref").is_some() && response.as_object().unwrap().len() == 1;
                assert_eq!(is_problem, refers, "{name} {status}");
                problems += usize::from(is_problem);
                let headers = response["headers"].as_object().into_iter().flatten();
                seen.extend(headers.map(|(header, said)| (said, format!("{name} {status} {header}"))));
            }
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            seen.extend(parameters.map(|said| (said, format!("{name} {}", said["name"]))));
        }
    }
    assert!(problems > 300, "{problems}");
    for (index, (value, name)) in
        seen.iter().enumerate().filter(|(_, (value, _))| value.get("$ref").is_none())
    {
        let other = seen[..index].iter().find(|(other, _)| other == value);
        assert!(other.is_none(), "{name} is as {}", other.unwrap().1);
    }
    let bytes = document.to_string().len();
    assert!(bytes < 250_000, "{bytes}");
}
