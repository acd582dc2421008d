//! Examples of every body and every successful answer, by the schema they are of. A test sends the bodies to the
//! real router and holds both against their schemas.

use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// `{schema: example}`; under `operations`, what an operation shows in place of its schema's:
/// `{operationId: {request | status: {name: example}}}`.
static EXAMPLES: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("examples.json")).unwrap_or_default());

/// Adds the examples of an operation.
pub fn add(operation: &mut Value) {
    let own = EXAMPLES["operations"][operation["operationId"].as_str().unwrap_or_default()].clone();
    if let Some(content) = operation.get_mut("requestBody").and_then(json_content) {
        show(content, &own["request"]);
    }
    for (status, answer) in
        operation.get_mut("responses").and_then(Value::as_object_mut).into_iter().flatten()
    {
        if let Some(content) = json_content(answer) {
            show(content, &own[status]);
        }
    }
}

fn json_content(value: &mut Value) -> Option<&mut Value> {
    value.get_mut("content")?.get_mut("application/json")
}

fn show(content: &mut Value, own: &Value) {
    if let Some(own) = own.as_object() {
        let named = own.iter().map(|(name, value)| (name.clone(), json!({"value": value})));
        content["examples"] = Value::Object(named.collect::<Map<_, _>>());
    } else if let Some(example) = of_schema(&content["schema"]) {
        content["example"] = example;
    }
}

fn of_schema(schema: &Value) -> Option<Value> {
    if let Some(items) = schema.get("items") {
        return Some(json!([of_schema(items)?]));
    }
    let name = schema["$ref"].as_str()?.rsplit('/').next()?;
    match name.strip_prefix("Items_") {
        Some(item) => Some(json!({"items": [EXAMPLES.get(item)?]})),
        None => EXAMPLES.get(name).cloned(),
    }
}
