//! `YOM`: REST dispatch, `POST {baseUrl}/activities` with an API key (seed 000).

use crate::dispatch::{
    ChannelDefinition, DispatchProvider, Dispatching, Field, FieldType, HttpCall, ProviderCall, Refused,
    TIMEOUT,
};
use http::{HeaderName, HeaderValue, Method};

const API_KEY: Field =
    Field { key: "apiKey", label: "API key", field_type: FieldType::HeaderText, required: true };
const API_KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");
static CHANNELS: &[ChannelDefinition] = &ChannelDefinition::for_all(&[API_KEY], &[TIMEOUT]);

/// The provider.
pub struct Yom;

impl DispatchProvider for Yom {
    fn code(&self) -> &'static str {
        "YOM"
    }

    fn name(&self) -> &'static str {
        "YOM"
    }

    fn protocol_type(&self) -> &'static str {
        "REST"
    }

    fn channels(&self) -> &'static [ChannelDefinition] {
        CHANNELS
    }

    fn call(&self, dispatch: &Dispatching<'_>) -> Result<ProviderCall, Refused> {
        let key = dispatch.credentials.get(API_KEY.key);
        let key = key.ok_or_else(|| Refused::Config("has no credential apiKey".to_owned()))?;
        let mut key = HeaderValue::from_str(key)
            .map_err(|_| Refused::Config("has a credential apiKey that is no header".to_owned()))?;
        key.set_sensitive(true);
        let body = serde_json::to_vec(dispatch.payload)
            .map_err(|error| Refused::Config(format!("cannot be sent: {error}")))?;
        Ok(ProviderCall::Http(HttpCall {
            method: Method::POST,
            url: format!("{}/activities", dispatch.base_url),
            headers: vec![(API_KEY_HEADER, key)],
            body: body.into(),
        }))
    }
}
