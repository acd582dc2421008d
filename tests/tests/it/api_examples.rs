//! The description's examples: each is of its schema, the real router takes every body of them, and no answer has
//! a field that is not described.

use crate::api_endpoints::{examples, operations};
use crate::api_story::{Story, in_order};
use api_ingest::description;
use jsonschema::Validator;
use serde_json::{Value, json};

/// Judges values by the description's schemas, every field that these do not name refused.
struct Judge {
    components: Value,
}

impl Judge {
    fn new() -> Self {
        let mut components = description()["components"].clone();
        let schemas = components["schemas"].as_object_mut().unwrap();
        for (name, schema) in schemas {
            // What a result has beside is laid into it.
            let whole =
                if schema.get("allOf").is_some() { "unevaluatedProperties" } else { "additionalProperties" };
            if name != "Details" && (schema.get("properties").is_some() || schema.get("allOf").is_some()) {
                schema[whole] = json!(false);
            }
        }
        Self { components }
    }

    #[track_caller]
    fn judge(&self, what: &str, schema: &Value, value: &Value) {
        let mut whole = json!({"components": self.components, "allOf": [schema]});
        whole["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
        let judge: Validator = jsonschema::options().should_validate_formats(true).build(&whole).unwrap();
        let faults: Vec<String> =
            judge.iter_errors(value).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
        assert!(faults.is_empty(), "{what}: {faults:#?} in {value:#}");
    }
}

#[test]
fn every_body_and_every_success_has_examples_of_its_schema() {
    let judge = Judge::new();
    for found in operations() {
        let mut contents = vec![("body".to_owned(), found.operation["requestBody"].clone())];
        let answers = found.operation["responses"].as_object().unwrap();
        contents.extend(answers.iter().map(|(status, answer)| (status.clone(), answer.clone())));
        for (what, content) in contents {
            let (json, problem) =
                (&content["content"]["application/json"], &content["content"]["application/problem+json"]);
            for content in [json, problem].into_iter().filter(|content| content.is_object()) {
                let examples = examples(content);
                assert!(!examples.is_empty() || found.id() == "getDescription", "{} {what}", found.id());
                for example in examples {
                    judge.judge(&format!("{} {what}", found.id()), &content["schema"], &example);
                }
            }
        }
        for parameter in ["path", "query", "header"].iter().flat_map(|place| found.parameters(place)) {
            if let Some(example) = parameter.get("example") {
                judge.judge(found.id(), &parameter["schema"], example);
            }
        }
    }
}

/// The status with which an example is refused, and why that is right.
fn refused(id: &str) -> Option<u16> {
    match id {
        // The one is no dead letter, the other was published at once.
        "retryActivity" | "resendNotification" => Some(409),
        _ => None,
    }
}

#[tokio::test]
async fn the_router_takes_every_example_and_answers_as_described() {
    let (story, judge) = (Story::new("acme").await, Judge::new());
    for found in in_order() {
        for (body, answer) in story.tell(&found).await {
            let what = format!("{} {body:?}: {} {}", found.id(), answer.status, answer.text);
            match refused(found.id()) {
                Some(status) => assert_eq!(answer.status, status, "{what}"),
                None => assert!((200..400).contains(&answer.status), "{what}"),
            }
            let described = &found.operation["responses"][answer.status.to_string()];
            assert!(described.is_object(), "{what}");
            let content = described["content"].as_object().and_then(|content| content.iter().next());
            let Some((media_type, content)) = content.filter(|_| answer.status != 303) else {
                assert_eq!(answer.text, "", "{what}");
                continue;
            };
            assert_eq!(answer.header("content-type"), media_type, "{what}");
            judge.judge(&what, &content["schema"], &answer.json);
            for (name, header) in described["headers"].as_object().into_iter().flatten() {
                let there = answer.headers.contains_key(name.to_lowercase());
                assert!(there || header["required"] != true, "{what} {name}");
            }
        }
    }
}
