//! The body of a dispatch config, judged by the definition of its provider (SPEC §4).

use crate::http::{Described, Object, Place, at, body, boolean, checked, doc, fixed_uri, kind, number, text};
use http::HeaderValue;
use rules::names::Channel;
use serde_json::{Map, Value};
use shared::dispatch::{self, Credentials, DispatchProvider, Field, FieldType, PROVIDERS};
use shared::tenancy::NewDispatchConfig;

/// Most characters of a text.
const TEXT_MAX_CHARS: usize = 4_096;
const PROVIDER: &str = "provider";
const BASE_URL: &str = "baseUrl";

body! {
    /// What a dispatch config is made of.
    pub struct DispatchConfigBody = dispatch_config(&'b str) -> NewDispatchConfig;
}

/// The channel as the path has it: a wrong one is named together with the body's faults.
fn dispatch_config(f: &mut Object<'_>, channel: Option<&str>) -> Option<NewDispatchConfig> {
    let channel = channel.and_then(|channel| f.faults().check("path:channel", channel.parse::<Channel>()));
    let provider = provider(f, channel);
    let base_url = base_url(f, provider);
    let is_active = f.or("isActive", boolean(), true, "Whether anything is dispatched by it.");
    // Where the channel is not known, the fields of any are as good to name faults by.
    let definition = provider.and_then(|provider| {
        let wanted = channel.and_then(|channel| dispatch::definition(provider, channel));
        wanted.or(provider.channels().first())
    });
    let credentials = values(
        f,
        "credentials",
        definition.map(|definition| definition.credentials),
        "What the provider's `credentialSchema` asks for. Sealed, and never shown again.",
    );
    let settings = values(
        f,
        "settings",
        definition.map(|definition| definition.settings),
        "What the provider's `settingsSchema` asks for.",
    );
    let mut sealed = Credentials::default();
    for (key, value) in credentials? {
        if let Value::String(text) = value {
            sealed.insert(&key, text);
        }
    }
    Some(NewDispatchConfig {
        channel: channel?,
        provider: provider?.code().to_owned(),
        base_url,
        credentials: sealed,
        settings: settings?,
        is_active,
    })
}

fn provider(f: &mut Object<'_>, channel: Option<Channel>) -> Option<&'static dyn DispatchProvider> {
    let codes = || PROVIDERS.iter().map(|provider| provider.code()).collect::<Vec<_>>();
    let known = |code: &str| {
        let unknown = || format!("names no dispatch provider; there are {}", codes().join(", "));
        dispatch::provider(code).ok_or_else(unknown)
    };
    let meaning = doc("Code of the provider; see `/v1/dispatch-providers`.").example("YOM");
    let meaning = meaning.with("pattern", format!("^({})$", codes().join("|")));
    let provider = f.required(PROVIDER, checked(known, || Described::of("string")), meaning)?;
    if let Some(channel) = channel
        && dispatch::definition(provider, channel).is_none()
    {
        f.fault(PROVIDER, format!("takes no activities of {channel}"));
    }
    Some(provider)
}

fn base_url(f: &mut Object<'_>, provider: Option<&dyn DispatchProvider>) -> Option<String> {
    let url = f.required_if(
        provider.is_some_and(DispatchProvider::needs_base_url),
        BASE_URL,
        fixed_uri(),
        "Where the provider is: an absolute http(s) URL without a query. Not needed by a provider that is not called.",
    )?;
    if url.contains('?') {
        f.fault(BASE_URL, "must have no query: paths are added to it");
    }
    Some(url.trim_end_matches('/').to_owned())
}

/// The member `name`: the values of `fields`, as far as they are as a definition asks. Of an unknown provider nothing is known
/// but that it is an object.
fn values(
    f: &mut Object<'_>,
    name: &str,
    fields: Option<&'static [Field]>,
    meaning: &'static str,
) -> Option<Map<String, Value>> {
    let read = |raw: &str, place: &Place<'_>| {
        let mut object = Object::read(raw, &place.pointer, place.faults)?;
        let mut values = Map::new();
        for field in fields? {
            let value = value(&mut object, field);
            object.require(field.required, field.key);
            values.extend(value.map(|value| (field.key.to_owned(), value)));
        }
        object.finish();
        Some(values)
    };
    let values = f.optional(name, kind(read, || Described::of("object")), meaning);
    if f.has(name) {
        return values;
    }
    for field in fields?.iter().filter(|field| field.required) {
        f.faults().add(at(&f.at(name), field.key), "is required");
    }
    // An object of nothing is as good as none.
    Some(Map::new())
}

fn value(object: &mut Object<'_>, field: &Field) -> Option<Value> {
    match field.field_type {
        FieldType::Text => object.optional(field.key, text(TEXT_MAX_CHARS), "").map(Value::from),
        FieldType::HeaderText => {
            let text = object.optional(field.key, text(TEXT_MAX_CHARS), "")?;
            // What the text is goes into no fault: it may be a credential.
            if !text.is_ascii() || text.trim() != text || HeaderValue::from_str(&text).is_err() {
                object.fault(field.key, "must be visible ASCII, with spaces inside alone");
            }
            Some(text.into())
        }
        FieldType::Number { from, to } => {
            // One text for each value, so that a config in another spelling is no other config.
            let number = object.optional(field.key, number(from..=to), "")?;
            number.canonical().parse::<serde_json::Number>().ok().map(Value::Number)
        }
        FieldType::Boolean => object.optional(field.key, boolean(), "").map(Value::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::body;

    fn faults(text: &str) -> Vec<String> {
        let (_, faults) = body::read::<DispatchConfigBody>(text, None, "EMAIL");
        faults.into_vec().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_fault_of_a_config_is_named() {
        let good =
            r#"{"provider": "YOM", "baseUrl": "https://x.example/v1/", "credentials": {"apiKey": "k 1"}}"#;
        assert_eq!(faults(good), [""; 0]);
        assert_eq!(faults(r#"{"provider": "MOCK", "settings": {"failureRate": 0.5}}"#), [""; 0]);
        let codes: Vec<&str> = PROVIDERS.iter().map(|provider| provider.code()).collect();
        let unknown = format!("/provider names no dispatch provider; there are {}", codes.join(", "));
        for (text, expect) in [
            ("{}", vec!["/provider is required"]),
            (
                r#"{"provider": "FAX", "baseUrl": "x", "credentials": [], "settings": {"a": 1}, "z": 1}"#,
                vec![
                    unknown.as_str(),
                    "/baseUrl must be an absolute http or https URL, such as https://api.example.com/items/1",
                    "/credentials must be an object",
                    "/z is no field of this",
                ],
            ),
            (
                r#"{"provider": "YOM", "credentials": {"apikey": "s3cret"}, "settings": {"timeoutSeconds": "1"}, "isActive": "yes"}"#,
                vec![
                    "/baseUrl is required",
                    "/isActive must be true or false",
                    "/credentials/apiKey is required",
                    "/credentials/apikey is no field of this",
                    "/settings/timeoutSeconds must be a number from 1 to 120",
                ],
            ),
            (
                r#"{"provider": "YOM", "baseUrl": "https://x.example/?a=b", "credentials": {"apiKey": 7}}"#,
                vec![
                    "/baseUrl must have no query: paths are added to it",
                    "/credentials/apiKey must be a string",
                ],
            ),
            (
                r#"{"provider": "YOM", "baseUrl": "https://u:p@x.example", "credentials": {"apiKey": "a\nb"}}"#,
                vec![
                    "/baseUrl must not contain a user name or password; use a header",
                    "/credentials/apiKey must be visible ASCII, with spaces inside alone",
                ],
            ),
            (
                r#"{"provider": "YOM", "baseUrl": "https://x.example"}"#,
                vec!["/credentials/apiKey is required"],
            ),
            (
                r#"{"provider": "MOCK", "credentials": {"apiKey": "x"}, "settings": {"failureRate": 1.5}}"#,
                vec![
                    "/credentials/apiKey is no field of this",
                    "/settings/failureRate must be a number from 0 to 1",
                ],
            ),
        ] {
            assert_eq!(faults(text), expect, "{text}");
        }
    }
}
