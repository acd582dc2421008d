//! Every endpoint as the description has it, so that a new one is tested without being listed anywhere.

use serde_json::{Value, json};

/// An endpoint, with a body that it accepts if it takes one.
#[derive(Clone)]
pub struct Endpoint {
    pub method: String,
    /// With the parameters' names.
    pub template: String,
    pub body: Option<Value>,
    /// Whether the admin key alone opens it.
    pub admin_only: bool,
    /// As it is described.
    pub operation: Value,
}

impl Endpoint {
    /// Its name.
    pub fn id(&self) -> &str {
        self.operation["operationId"].as_str().unwrap()
    }

    /// The path in `acme`, below which only `main` and `play` exist.
    pub fn path(&self) -> String {
        let path = filled(&self.template);
        let required = self.parameters("query").filter(|parameter| parameter["required"] == true);
        let query = required.map(|parameter| {
            let name = parameter["name"].as_str().unwrap();
            let filled = filled(&format!("{{{name}}}"));
            let own = || parameter["schema"]["example"].as_str().or(parameter["example"].as_str());
            let value = if filled.starts_with('{') { own().unwrap().to_owned() } else { filled };
            format!("{name}={value}")
        });
        let query = query.collect::<Vec<_>>().join("&");
        if query.is_empty() { path } else { format!("{path}?{query}") }
    }

    /// Its parameters in `place`.
    pub fn parameters(&self, place: &str) -> impl Iterator<Item = &Value> {
        let all = self.operation["parameters"].as_array().into_iter().flatten();
        all.filter(move |parameter| parameter["in"] == place)
    }

    /// Whether it is below one company.
    pub fn in_company(&self) -> bool {
        self.path().contains("acme")
    }

    /// Whether this way of presenting a key opens it.
    pub fn takes(&self, scheme: &str) -> bool {
        let ways = self.operation["security"].as_array();
        ways.is_none_or(|ways| ways.iter().any(|way| way.get(scheme).is_some()))
            && (ways.is_some() || matches!(scheme, "bearer" | "apiKey"))
    }

    /// The examples of its body.
    pub fn bodies(&self) -> Vec<Value> {
        examples(&self.operation["requestBody"]["content"]["application/json"])
    }
}

/// The examples of a content.
pub fn examples(content: &Value) -> Vec<Value> {
    let named = content["examples"].as_object().into_iter().flat_map(|named| named.values());
    let named = named.map(|example| example["value"].clone());
    content.get("example").cloned().into_iter().chain(named).collect()
}

/// A path with the names of what the tests make in place of its parameters.
pub fn filled(template: &str) -> String {
    let parameters = [
        ("{company}", "acme"),
        ("{solution}", "main"),
        ("{type}", "play"),
        ("{channel}", "EMAIL"),
        ("{id}", "some-id"),
        ("{name}", "nightly"),
        ("{agentId}", "acme"),
        ("{configurationId}", "main"),
        ("{reminderId}", "some-id"),
    ];
    parameters.iter().fold(template.to_owned(), |path, (name, value)| path.replace(name, value))
}

/// `value` with the components in place of what refers to them, apart from schemas.
fn resolved(document: &Value, value: &Value) -> Value {
    match value {
        Value::Object(members) => match members.get("$ref").and_then(Value::as_str) {
            Some(reference) if !reference.starts_with("#/components/schemas/") => {
                resolved(document, document.pointer(&reference[1..]).unwrap_or_else(|| panic!("{reference}")))
            }
            _ => members.iter().map(|(name, value)| (name.clone(), resolved(document, value))).collect(),
        },
        Value::Array(items) => items.iter().map(|item| resolved(document, item)).collect(),
        other => other.clone(),
    }
}

/// Every operation of the description, with what it refers to in it.
pub fn operations() -> Vec<Endpoint> {
    let document = api_ingest::description();
    let mut found = Vec::new();
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let operation = resolved(&document, operation);
            let said = operation["description"].as_str().unwrap_or_default();
            let mut endpoint = Endpoint {
                method: method.to_uppercase(),
                template: template.clone(),
                body: None,
                admin_only: said.contains("Needs the admin key"),
                operation,
            };
            // What reads a body but has nothing to be told takes an empty object.
            let reads = endpoint.operation["responses"].get("415").is_some();
            endpoint.body = endpoint.bodies().first().cloned().or(reads.then(|| json!({})));
            found.push(endpoint);
        }
    }
    found
}

/// Operations that anybody may call. Every other one needs a key, so that a new route cannot be left out by mistake.
const OPEN: [&str; 3] = ["getHealth", "getDescription", "getDocumentation"];

/// Every operation that needs a key.
pub fn keyed() -> Vec<Endpoint> {
    let is_open = |endpoint: &Endpoint| OPEN.iter().any(|id| endpoint.operation["operationId"] == *id);
    operations().into_iter().filter(|endpoint| !is_open(endpoint)).collect()
}

/// Every operation that needs a key and that `api-ingest` asks its tables for.
pub fn endpoints() -> Vec<Endpoint> {
    let apart = |endpoint: &Endpoint| {
        endpoint.template.starts_with("/api/reminder/item/") || endpoint.template == "/v1/dispatch-providers"
    };
    keyed().into_iter().filter(|endpoint| !apart(endpoint)).collect()
}
