//! `/v1/dispatch-providers`: who takes activities of which channels, and what a config needs (SPEC §4).

use crate::auth::Caller;
use crate::http::answer;
use crate::http::openapi::Keyed;
use axum::response::Response;
use serde::Serialize;
use shared::dispatch::{ChannelDefinition, DispatchProvider, Field, FieldType, PROVIDERS};
use utoipa::ToSchema;

/// A provider.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DispatchProvider)]
pub struct ProviderView {
    /// The name by which configs know it.
    #[schema(example = "YOM")]
    code: &'static str,
    /// The name for people.
    name: &'static str,
    /// How it is reached; `NONE` where no call is made.
    #[schema(example = "REST")]
    protocol_type: &'static str,
    /// The channels it takes activities of.
    channels: Vec<ChannelView>,
}

/// What a config for a channel needs.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DispatchChannel)]
pub struct ChannelView {
    /// The channel.
    #[schema(example = "EMAIL")]
    channel: &'static str,
    /// Secrets: sealed, and never shown again.
    credential_schema: Vec<FieldView>,
    /// Everything else.
    settings_schema: Vec<FieldView>,
}

/// A field of a config.
#[derive(Serialize, ToSchema)]
#[schema(as = DispatchField)]
pub struct FieldView {
    /// Its name.
    #[schema(example = "apiKey")]
    key: &'static str,
    /// Its name for people.
    label: &'static str,
    /// `string`, `number` or `boolean`.
    #[serde(rename = "type")]
    field_type: &'static str,
    /// Whether it has to be there.
    required: bool,
    /// The smallest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum: Option<u64>,
    /// The largest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    maximum: Option<u64>,
}

impl ProviderView {
    fn of(provider: &dyn DispatchProvider) -> Self {
        Self {
            code: provider.code(),
            name: provider.name(),
            protocol_type: provider.protocol_type(),
            channels: provider.channels().iter().map(ChannelView::of).collect(),
        }
    }
}

impl ChannelView {
    fn of(definition: &ChannelDefinition) -> Self {
        Self {
            channel: definition.channel.as_str(),
            credential_schema: definition.credentials.iter().map(FieldView::of).collect(),
            settings_schema: definition.settings.iter().map(FieldView::of).collect(),
        }
    }
}

impl FieldView {
    fn of(field: &Field) -> Self {
        let (minimum, maximum) = match field.field_type {
            FieldType::Number { from, to } => (Some(from), Some(to)),
            FieldType::Text | FieldType::HeaderText | FieldType::Boolean => (None, None),
        };
        let Field { key, label, field_type, required } = *field;
        Self { key, label, field_type: field_type.as_str(), required, minimum, maximum }
    }
}

/// The providers that activities can be dispatched to, and what a dispatch config needs for each.
#[utoipa::path(
    get, path = "/v1/dispatch-providers", operation_id = "listDispatchProviders", tag = "channels",
    responses((status = 200, body = Vec<ProviderView>), Keyed)
)]
pub async fn list(_: Caller) -> Response {
    let providers: Vec<ProviderView> = PROVIDERS.iter().copied().map(ProviderView::of).collect();
    answer::ok(&providers)
}
