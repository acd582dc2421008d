//! `/v1/companies/{company}/api-keys`: SPEC §3.

use crate::ApiContext;
use crate::answer::{self, Items};
use crate::auth::{InCompany, KeyInCompany};
use crate::body::JsonText;
use crate::companies::only_page;
use crate::idempotency::{self, IDEMPOTENCY_KEY};
use crate::openapi::schemas::Id;
use crate::openapi::{Change, Delete, ListParameters, Read};
use crate::problem::Problem;
use crate::query::Scope;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Uri};
use serde::Serialize;
use shared::tenancy::{ApiKey, KeyCreated, NewApiKey};
use utoipa::ToSchema;

/// Most characters of a label.
const LABEL_MAX_CHARS: usize = 128;

/// A key to be made.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body; the fields are read by hand")]
pub struct ApiKeyBody {
    /// What its owner calls it.
    #[schema(min_length = 1, max_length = 128, example = "CI")]
    label: String,
    /// Its id, if the caller gives one; makes the request idempotent.
    #[schema(value_type = Option<Id>)]
    id: Option<String>,
}

/// A key, without its text.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyView {
    /// Its id.
    id: String,
    /// What its owner calls it.
    label: String,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// The key itself: answered once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl ApiKeyView {
    fn of(key: &ApiKey, text: Option<&str>) -> Self {
        Self {
            id: key.id.clone(),
            label: key.label.clone(),
            created_at: answer::time(key.created_at),
            key: text.map(str::to_owned),
        }
    }
}

/// Makes a key that opens everything below the company. The key is shown this once.
#[utoipa::path(
    post, path = "/v1/companies/{company}/api-keys", operation_id = "createApiKey", tag = "companies",
    params(("company" = String, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = ApiKeyBody,
    responses((status = 201, body = ApiKeyView), (status = 200, body = ApiKeyView, description = "Made before by the same request; without the key"), Change)
)]
pub async fn post(
    State(context): State<ApiContext>,
    InCompany { caller, company }: InCompany,
    headers: HeaderMap,
    body: JsonText,
) -> Result<Response, Problem> {
    let new = body.read(|body| {
        let label = body.short_text("label", LABEL_MAX_CHARS);
        let label = body.require("label", label);
        let id = idempotency::id(body, headers.get(IDEMPOTENCY_KEY), rules::names::ids::given);
        Some(NewApiKey { company, id, label: label?, request_hash: body.hash_without_id() })
    })?;
    match context.tenancy.create_api_key(&caller.actor, &new).await? {
        KeyCreated::New(key, text) => {
            let location = format!("/v1/companies/{}/api-keys/{}", key.company, key.id);
            Ok(answer::created(&location, &ApiKeyView::of(&key, Some(&text))))
        }
        KeyCreated::Existing(key) => Ok(answer::ok(&ApiKeyView::of(&key, None))),
    }
}

/// The company's keys by id, without the keys themselves.
#[utoipa::path(
    get, path = "/v1/companies/{company}/api-keys", operation_id = "listApiKeys", tag = "companies",
    params(("company" = String, Path), ListParameters), responses((status = 200, body = Items<ApiKeyView>), Read)
)]
pub async fn list(
    State(context): State<ApiContext>,
    InCompany { company, .. }: InCompany,
    uri: Uri,
) -> Result<Response, Problem> {
    let scope = Scope::of(&context, &uri).await?;
    let request = only_page(&uri, &scope)?;
    if context.tenancy.cached::<shared::tenancy::Company>(&company).await?.is_none() {
        return Err(Problem::not_found("company"));
    }
    let page = context.tenancy.api_keys(&company, &request).await?;
    Ok(answer::page(&scope, page, |key| ApiKeyView::of(&key, None)))
}

/// Deletes a key: it opens nothing any more.
#[utoipa::path(
    delete, path = "/v1/companies/{company}/api-keys/{id}", operation_id = "deleteApiKey", tag = "companies",
    params(("company" = String, Path), ("id" = String, Path)), responses((status = 204), Delete)
)]
pub async fn delete(
    State(context): State<ApiContext>,
    KeyInCompany { actor, company, id }: KeyInCompany,
) -> Result<Response, Problem> {
    context.tenancy.delete_api_key(&actor, &company, id.as_str()).await?;
    Ok(answer::nothing())
}
