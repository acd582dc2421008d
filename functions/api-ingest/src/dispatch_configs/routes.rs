//! `S/dispatch-configs`: by which provider a channel's activities go out (SPEC §4).

use super::body::DispatchConfigBody;
use crate::ApiContext;
use crate::auth::{In, InSolution, PathName};
use crate::http::openapi::{Change, Delete, Read};
use crate::http::{Answer, Items, JsonText, Listing, Problem, answer};
use rules::names::{Channel, Kind, Tenant};
use serde::Serialize;
use serde_json::{Map, Value};
use shared::tenancy::{Actor, DispatchConfig};
use std::convert::Infallible;
use std::str::FromStr;
use utoipa::ToSchema;

/// A channel as the path has it.
pub struct ChannelText(String);

impl FromStr for ChannelText {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl PathName for ChannelText {
    const PARAMETER: &'static str = "channel";
}

impl PathName for Channel {
    const PARAMETER: &'static str = "channel";
}

/// A dispatch config.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DispatchConfig)]
pub struct DispatchConfigView {
    /// The channel.
    #[schema(example = "EMAIL")]
    channel: &'static str,
    /// Names the config in the activities that were dispatched by it.
    #[schema(example = "EMAIL-5c1f02a9")]
    id: String,
    /// Code of the provider.
    #[schema(example = "YOM")]
    provider: String,
    /// Where the provider is.
    #[serde(skip_serializing_if = "Option::is_none")]
    base_url: Option<String>,
    /// Which credentials are set; what they are is never shown.
    credential_keys: Vec<String>,
    /// Everything else.
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
    /// Whether anything is dispatched by it.
    is_active: bool,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was changed last.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl DispatchConfigView {
    fn of(config: DispatchConfig) -> Self {
        Self {
            channel: config.channel.as_str(),
            id: config.id,
            provider: config.provider,
            base_url: config.base_url,
            credential_keys: config.credential_keys,
            settings: config.settings,
            is_active: config.is_active,
            created_at: answer::time(config.meta.created_at),
            updated_at: answer::time(config.meta.updated_at),
        }
    }
}

/// Makes or replaces a channel's config. Activities that wait already are dispatched by it as it is now.
#[utoipa::path(
    put, path = "/v1/companies/{company}/solutions/{solution}/dispatch-configs/{channel}",
    operation_id = "putDispatchConfig", tag = "channels",
    request_body = DispatchConfigBody,
    responses((status = 201, body = DispatchConfigView), (status = 200, body = DispatchConfigView), Change)
)]
pub async fn put(
    context: ApiContext,
    In { actor, tenant, name: ChannelText(channel) }: In<ChannelText>,
    body: JsonText,
) -> Answer {
    let location = answer::path(&tenant, format_args!("dispatch-configs/{channel}"));
    let wanted = body.read::<DispatchConfigBody>(&channel)?;
    let changed = context.tenancy.put_dispatch_config(&actor, &tenant, wanted).await?;
    Ok(answer::put(&location, changed, DispatchConfigView::of))
}

/// A channel's config. It never shows a credential, only which are set.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/dispatch-configs/{channel}",
    operation_id = "getDispatchConfig", tag = "channels",
    responses((status = 200, body = DispatchConfigView), Read)
)]
pub async fn get(context: ApiContext, In { actor, tenant, name }: In<Channel>) -> Answer {
    match context.tenancy.fresh::<DispatchConfig>(&(tenant.clone(), name)).await? {
        Some(found) => {
            reseal(&context, &actor, &tenant, &found).await;
            Ok(answer::ok(&DispatchConfigView::of(DispatchConfig::clone(&found))))
        }
        None => Err(Problem::not_found("dispatch config")),
    }
}

/// Deletes a channel's config; refused while activities wait for it.
#[utoipa::path(
    delete, path = "/v1/companies/{company}/solutions/{solution}/dispatch-configs/{channel}",
    operation_id = "deleteDispatchConfig", tag = "channels",
    responses((status = 204), Delete)
)]
pub async fn delete(context: ApiContext, In { actor, tenant, name }: In<Channel>) -> Answer {
    if let Some(kind) = context.tenancy.existing_kind(&tenant, Kind::Channel(name)).await?
        && context.work.has_waiting(&tenant, &[kind]).await?
    {
        let detail = "activities of this channel wait; cancel them or let them finish first";
        return Err(Problem::conflict(detail));
    }
    context.tenancy.delete_dispatch_config(&actor, &tenant, name).await?;
    Ok(answer::nothing())
}

/// The solution's dispatch configs, by channel.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/dispatch-configs",
    operation_id = "listDispatchConfigs", tag = "channels",
    responses((status = 200, body = Items<DispatchConfigView>), Read)
)]
pub async fn list(context: ApiContext, InSolution { actor, tenant }: InSolution, list: Listing) -> Answer {
    context.solution(&tenant).await?;
    let page = context.tenancy.list::<DispatchConfig>(&tenant, &list.request).await?;
    for config in &page.items {
        reseal(&context, &actor, &tenant, config).await;
    }
    Ok(list.show(page, DispatchConfigView::of))
}

/// What is read is sealed anew where it is sealed in an earlier way, or under a KMS key that was replaced:
/// listing a solution's configs is how an operator moves them. Reading goes on if it fails.
async fn reseal(context: &ApiContext, actor: &Actor, tenant: &Tenant, config: &DispatchConfig) {
    if let Err(error) = context.tenancy.reseal_dispatch_config(actor, tenant, config).await {
        tracing::warn!(%error, channel = %config.channel, "credentials stay sealed as they were");
    }
}
