//! `/v1/companies/{company}/api-keys`: SPEC §3.

use crate::ApiContext;
use crate::auth::{InCompany, KeyInCompany};
use crate::http::openapi::{Change, Delete, Read};
use crate::http::{Answer, Items, JsonText, Listing, Object, Problem, answer, body, doc, idempotency, text};
use rules::names::{CompanyName, ids};
use serde::Serialize;
use shared::tenancy::{ApiKey, Company, KeyCreated, NewApiKey};
use utoipa::ToSchema;

/// Most characters of a label.
const LABEL_MAX_CHARS: usize = 128;

body! {
    /// A key to be made.
    pub struct ApiKeyBody = api_key(CompanyName) -> NewApiKey;
}

fn api_key(f: &mut Object<'_>, company: Option<CompanyName>) -> Option<NewApiKey> {
    let label = f.required("label", text(LABEL_MAX_CHARS), doc("What its owner calls it.").example("CI"));
    let id = idempotency::id(f, ids::given);
    Some(NewApiKey { company: company?, id, label: label?, request_hash: f.hash_without_id() })
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
    params(("Idempotency-Key" = Option<String>, Header)), request_body = ApiKeyBody,
    responses((status = 201, body = ApiKeyView), (status = 200, body = ApiKeyView, description = "Made before by the same request; without the key"), Change)
)]
pub async fn post(context: ApiContext, InCompany { caller, company }: InCompany, body: JsonText) -> Answer {
    let new = body.read::<ApiKeyBody>(company)?;
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
    responses((status = 200, body = Items<ApiKeyView>), Read)
)]
pub async fn list(context: ApiContext, InCompany { company, .. }: InCompany, list: Listing) -> Answer {
    if context.tenancy.cached::<Company>(&company).await?.is_none() {
        return Err(Problem::not_found("company"));
    }
    let page = context.tenancy.api_keys(&company, &list.request).await?;
    Ok(list.show(page, |key| ApiKeyView::of(&key, None)))
}

/// Deletes a key: it opens nothing any more.
#[utoipa::path(
    delete, path = "/v1/companies/{company}/api-keys/{id}", operation_id = "deleteApiKey", tag = "companies",
    responses((status = 204), Delete)
)]
pub async fn delete(context: ApiContext, KeyInCompany { actor, company, id }: KeyInCompany) -> Answer {
    context.tenancy.delete_api_key(&actor, &company, id.as_str()).await?;
    Ok(answer::nothing())
}
