//! Completes the description with what holds for all operations alike, so that no handler has to repeat it; and no
//! operation either: what several have in common is a component to which they refer.

use super::examples;
use super::responses::PROBLEMS;
use crate::http::cursor::{CURSOR, LIMIT};
use crate::http::describe::{Described, WHOLE};
use crate::http::kind::Kind;
use crate::http::kinds::integer;
use crate::http::problem::{self, PROBLEM_JSON};
use crate::http::query::{LIMIT_DEFAULT, LIMIT_MAX};
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

const SCHEMAS: &str = "/components/schemas/";
const METHODS: [&str; 4] = ["get", "put", "post", "delete"];

/// What the routes are described as, completed.
pub fn complete(description: OpenApi) -> Value {
    let mut document = serde_json::to_value(description).unwrap_or_default();
    for (template, item) in object(&mut document, "paths") {
        let operations = item.as_object_mut().into_iter().flatten();
        for (_, operation) in operations.filter(|(method, _)| METHODS.contains(&method.as_str())) {
            first_sentence(operation);
            add_parameters(template, operation);
            for parameter in array(operation, "parameters") {
                describe_parameter(parameter);
            }
            let own = object(operation, "responses").filter(|(_, answer)| answer.get("$ref").is_none());
            for (status, answer) in own {
                describe_answer(status, answer);
            }
            examples::add(operation);
        }
    }
    for schema in objects(&mut document["components"]["schemas"]) {
        if let Some(Value::Object(whole)) = schema.remove(WHOLE) {
            *schema = whole;
        }
    }
    document["components"]["responses"] = problems();
    share(&mut document, "headers", |operation, found| {
        for (_, response) in object(operation, "responses") {
            object(response, "headers").for_each(|(name, header)| found(name, header));
        }
    });
    share(&mut document, "parameters", |operation, found| {
        for parameter in array(operation, "parameters") {
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            found(&name, parameter);
        }
    });
    document
}

/// The responses that are no success, by the names under which operations refer to them.
fn problems() -> Value {
    let response = |(status, name, meaning): &(&str, &str, &str)| {
        let schema = json!({"$ref": format!("#{SCHEMAS}Problem")});
        let mut response = json!({"description": meaning, "content": {PROBLEM_JSON: {"schema": schema}}});
        describe_answer(status, &mut response);
        ((*name).to_owned(), response)
    };
    PROBLEMS.iter().map(response).collect::<Map<_, _>>().into()
}

/// Moves into the components of a `kind` what `each` finds in more than one operation, by its name and as often as
/// it differs by a number behind; the operations refer to it.
fn share(document: &mut Value, kind: &str, each: impl Fn(&mut Value, &mut dyn FnMut(&str, &mut Value))) {
    let mut visit = |found: &mut dyn FnMut(&str, &mut Value)| {
        for item in objects(&mut document["paths"]) {
            let operations = item.iter_mut().filter(|(method, _)| METHODS.contains(&method.as_str()));
            operations.for_each(|(_, operation)| each(operation, found));
        }
    };
    let mut uses: Vec<(String, Value, usize)> = Vec::new();
    visit(&mut |name, value| match uses.iter_mut().find(|(other, same, _)| other == name && same == value) {
        Some((_, _, count)) => *count += 1,
        None => uses.push((name.to_owned(), value.clone(), 1)),
    });
    let mut components = Map::new();
    for (name, value, _) in uses.into_iter().filter(|(_, _, count)| *count > 1) {
        let same = components.keys().filter(|other| other.trim_end_matches(char::is_numeric) == name).count();
        let component = if same == 0 { name.clone() } else { format!("{name}{}", same + 1) };
        let reference = json!({"$ref": format!("#/components/{kind}/{component}")});
        visit(&mut |other, found| {
            if other == name && *found == value {
                *found = reference.clone();
            }
        });
        components.insert(component, value);
    }
    document["components"][kind] = components.into();
}

fn objects(value: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    value.as_object_mut().into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut)
}

// Indexing a member that is not there would make one.
fn array<'v>(value: &'v mut Value, name: &str) -> impl Iterator<Item = &'v mut Value> {
    value.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

fn object<'v>(value: &'v mut Value, name: &str) -> impl Iterator<Item = (&'v String, &'v mut Value)> {
    value.get_mut(name).and_then(Value::as_object_mut).into_iter().flatten()
}

/// The summary is the first sentence; the description has the others.
fn first_sentence(operation: &mut Value) {
    let text = operation["summary"].as_str().unwrap_or_default().replace('\n', " ");
    let more = operation["description"].as_str().unwrap_or_default().to_owned();
    let (first, rest) = text.split_once(". ").unwrap_or((&text, ""));
    operation["summary"] = first.trim_end_matches('.').into();
    let description = [rest, &more].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
    if !description.is_empty() {
        operation["description"] = description.join("\n\n").into();
    }
}

/// The parameters that the path has, before the others, and those of lists, after them.
fn add_parameters(template: &str, operation: &mut Value) {
    let names = template.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let mut parameters: Vec<Value> =
        names.map(|name| json!({"name": name, "in": "path", "required": true})).collect();
    parameters.extend(array(operation, "parameters").map(|parameter| parameter.take()));
    let answer = &operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
    if answer.as_str().is_some_and(|schema| schema.starts_with(&format!("#{SCHEMAS}Items_"))) {
        let query = |name: &str, schema: Described, description: &str| json!({"name": name, "in": "query", "required": false, "schema": schema.into_schema(), "description": description});
        let limit = integer(1..=LIMIT_MAX as u32).describe().with("default", LIMIT_DEFAULT);
        parameters.push(query(LIMIT, limit, "Items of the page."));
        let cursor = "`nextCursor` of the page before; of no use in another list.";
        parameters.push(query(CURSOR, Described::of("string"), cursor));
    }
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
}

/// What a parameter means and takes, by its name.
fn describe_parameter(parameter: &mut Value) {
    let name = parameter["name"].as_str().unwrap_or_default().to_owned();
    let (schema, example, description) = match (name.as_str(), parameter["in"].as_str()) {
        ("company", _) => ("Name", "acme", "The company. `configuration` and `item` are reserved."),
        ("agentId", _) => ("Name", "acme", "The company: the seed's agent."),
        ("solution", _) => ("Name", "music", "The solution."),
        ("configurationId", _) => ("Name", "music", "The solution: the seed's configuration."),
        ("type", Some("path")) => ("Name", "publish-song", "The type."),
        ("name", _) => ("Name", "nightly", "The recurring activity."),
        ("channel", Some("path")) => ("Channel", "EMAIL", "The channel."),
        ("id", _) => ("Id", "example-1", "Its id."),
        ("reminderId", _) => ("Id", "example-1", "The reminder."),
        ("Idempotency-Key", _) => {
            ("Id", "example-1", "As good as `id` in the body; if both, the same. In quotes or without.")
        }
        _ => return,
    };
    let reference = json!({"$ref": format!("#{SCHEMAS}{schema}")});
    parameter["schema"] = match name.as_str() {
        "company" | "agentId" => {
            json!({"allOf": [reference], "not": {"enum": rules::names::RESERVED_COMPANIES}})
        }
        _ => reference,
    };
    parameter["example"] = example.into();
    parameter["description"] = description.into();
}

/// The headers of an answer, and what it says where its handler is silent.
fn describe_answer(status: &str, answer: &mut Value) {
    if answer["description"].as_str().is_none_or(str::is_empty) {
        answer["description"] = match status {
            "200" => "As it is now",
            "201" => "Made",
            "204" => "Done; there is nothing to say",
            _ => "Another place",
        }
        .into();
    }
    let header = |required: bool, example: &str, description: &str| json!({"required": required, "description": description, "schema": {"type": "string"}, "example": example});
    let (name, header) = match status {
        "201" | "202" => ("Location", header(false, "/v1/companies/acme", "Where it is found")),
        "303" => ("Location", header(true, "/docs/", "Where it is found")),
        "401" => ("WWW-Authenticate", header(true, problem::CHALLENGE, "What key is wanted")),
        "405" => ("Allow", header(true, "GET,HEAD", "The methods allowed here")),
        "429" => ("Retry-After", header(true, problem::RETRY_AFTER_SECONDS, "Seconds to wait")),
        _ => return example_problem(status, answer),
    };
    answer["headers"] = json!({name: header});
    example_problem(status, answer);
}

fn example_problem(status: &str, answer: &mut Value) {
    if let Some(content) = answer.get_mut("content").and_then(|content| content.get_mut(PROBLEM_JSON))
        && let Some(example) = problem::example(status)
    {
        content["example"] = example;
    }
}
