//! The body of a dispatch config, judged by the definition of its provider (SPEC §4).

use crate::object::Object;
use crate::openapi::schemas::HttpUrl;
use http::HeaderValue;
use rules::names::Channel;
use serde_json::{Map, Number, Value};
use shared::dispatch::{self, Credentials, DispatchProvider, Field, FieldType, PROVIDERS};
use shared::tenancy::NewDispatchConfig;
use utoipa::ToSchema;

/// Most characters of a text.
const TEXT_MAX_CHARS: usize = 4_096;
const PROVIDER: &str = "provider";
const BASE_URL: &str = "baseUrl";
const CREDENTIALS: &str = "credentials";
const SETTINGS: &str = "settings";

/// What a dispatch config is made of.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the body; the fields are read by hand")]
pub struct DispatchConfigBody {
    /// Code of the provider; see `/v1/dispatch-providers`.
    #[schema(example = "YOM", pattern = "^(MOCK|YOM)$")]
    provider: String,
    /// Where the provider is: an absolute http(s) URL without a query. Not needed by a provider that is not called.
    #[schema(value_type = Option<HttpUrl>)]
    base_url: Option<String>,
    /// What the provider's `credentialSchema` asks for. Sealed, and never shown again.
    #[schema(value_type = Option<Object>)]
    credentials: Option<()>,
    /// What the provider's `settingsSchema` asks for.
    #[schema(value_type = Option<Object>)]
    settings: Option<()>,
    /// Whether anything is dispatched by it.
    #[schema(default = true, required = false)]
    is_active: bool,
}

/// Reads a config for the channel, which is `None` if the path names none: a fault already.
pub fn read(body: &mut Object<'_, '_>, channel: Option<Channel>) -> Option<NewDispatchConfig> {
    let provider = provider(body, channel);
    let base_url = base_url(body, provider);
    let is_active = body.boolean("isActive");
    // Where the channel is not known, the fields of any are as good to name faults by.
    let definition = provider.and_then(|provider| {
        let wanted = channel.and_then(|channel| dispatch::definition(provider, channel));
        wanted.or(provider.channels().first())
    });
    let (credentials, settings) = match definition {
        Some(definition) => {
            (fields(body, CREDENTIALS, definition.credentials)?, fields(body, SETTINGS, definition.settings)?)
        }
        // Of an unknown provider nothing is known but that these are objects.
        None => {
            for name in [CREDENTIALS, SETTINGS] {
                body.object(name);
            }
            return None;
        }
    };
    let mut sealed = Credentials::default();
    for (key, value) in credentials {
        if let Value::String(text) = value {
            sealed.insert(&key, text);
        }
    }
    Some(NewDispatchConfig {
        channel: channel?,
        provider: provider?.code().to_owned(),
        base_url,
        credentials: sealed,
        settings,
        is_active: is_active.unwrap_or(true),
    })
}

fn provider(body: &mut Object<'_, '_>, channel: Option<Channel>) -> Option<&'static dyn DispatchProvider> {
    let code = body.text(PROVIDER);
    let code = body.require(PROVIDER, code)?;
    let Some(provider) = dispatch::provider(&code) else {
        let codes: Vec<&str> = PROVIDERS.iter().map(|provider| provider.code()).collect();
        body.faults()
            .add(body.at(PROVIDER), format!("names no dispatch provider; there are {}", codes.join(", ")));
        return None;
    };
    if let Some(channel) = channel
        && dispatch::definition(provider, channel).is_none()
    {
        body.faults().add(body.at(PROVIDER), format!("takes no activities of {channel}"));
    }
    Some(provider)
}

fn base_url(body: &mut Object<'_, '_>, provider: Option<&dyn DispatchProvider>) -> Option<String> {
    let url = body.text(BASE_URL);
    if provider.is_some_and(DispatchProvider::needs_base_url) {
        body.require(BASE_URL, url.as_ref());
    }
    let (url, pointer) = (url?, body.at(BASE_URL));
    body.faults().check(&pointer, rules::uri::fixed(&url))?;
    if url.contains('?') {
        body.faults().add(pointer, "must have no query: paths are added to it");
    }
    Some(url.trim_end_matches('/').to_owned())
}

/// The values of a definition's fields, as far as they are as it asks.
fn fields(body: &mut Object<'_, '_>, name: &str, fields: &[Field]) -> Option<Map<String, Value>> {
    let mut values = Map::new();
    let pointer = body.at(name);
    if !body.has(name) {
        for field in fields.iter().filter(|field| field.required) {
            body.faults().add(crate::object::at(&pointer, field.key), "is required");
        }
        // An object of nothing is as good as none, but not a null where something is required.
        body.raw(name);
        return Some(values);
    }
    let mut object = body.object(name)?;
    for field in fields {
        let value = value(&mut object, field);
        if field.required {
            object.require(field.key, value.as_ref());
        }
        values.extend(value.map(|value| (field.key.to_owned(), value)));
    }
    object.finish();
    Some(values)
}

fn value(object: &mut Object<'_, '_>, field: &Field) -> Option<Value> {
    match field.field_type {
        FieldType::Text => object.short_text(field.key, TEXT_MAX_CHARS).map(Value::from),
        FieldType::HeaderText => {
            let text = object.short_text(field.key, TEXT_MAX_CHARS)?;
            // What the text is goes into no fault: it may be a credential.
            if !text.is_ascii() || text.trim() != text || HeaderValue::from_str(&text).is_err() {
                object.faults().add(object.at(field.key), "must be visible ASCII, with spaces inside alone");
            }
            Some(text.into())
        }
        FieldType::Number { from, to } => {
            // One text for each value, so that a config in another spelling is no other config.
            let number = object.number(field.key, from..=to)?;
            number.canonical().parse::<Number>().ok().map(Value::Number)
        }
        FieldType::Boolean => object.boolean(field.key).map(Value::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Faults;

    fn faults(text: &str) -> Vec<String> {
        let faults = Faults::default();
        if let Some(mut body) = Object::read(text, "", &faults) {
            read(&mut body, Some(Channel::Email));
            body.finish();
        }
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
