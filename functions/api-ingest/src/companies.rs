//! `/v1/companies`: SPEC §3.

use crate::ApiContext;
use crate::answer::{self, Items};
use crate::auth::{Caller, InCompany};
use crate::body::JsonText;
use crate::faults::Faults;
use crate::object::Object;
use crate::openapi::{Change, Delete, ListParameters, Read, Whole};
use crate::problem::Problem;
use crate::query::{Query, Scope};
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;
use shared::tenancy::Company;
use utoipa::ToSchema;

/// Slots of the sweep, least and most (SPEC §3).
pub const QOS_LEVEL: std::ops::RangeInclusive<u64> = 1..=100;
/// Slots of the sweep, if the caller does not say.
pub const QOS_LEVEL_DEFAULT: u32 = 1;

/// What a company is made of.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct CompanyBody {
    /// Slots a round of the sweep gives it.
    #[schema(minimum = 1, maximum = 100, default = 1, required = false)]
    qos_level: u32,
}

impl CompanyBody {
    fn read(body: &mut Object<'_, '_>) -> Option<Self> {
        Some(Self { qos_level: qos_level(body) })
    }
}

/// The field `qosLevel` of companies and solutions.
pub fn qos_level(body: &mut Object<'_, '_>) -> u32 {
    let level = body.integer("qosLevel", QOS_LEVEL).and_then(|level| u32::try_from(level).ok());
    level.unwrap_or(QOS_LEVEL_DEFAULT)
}

/// A company.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompanyView {
    /// Its name.
    company: String,
    /// Slots a round of the sweep gives it.
    #[schema(minimum = 1, maximum = 100)]
    qos_level: u32,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was changed last.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl CompanyView {
    fn of(company: &Company) -> Self {
        Self {
            company: company.name.to_string(),
            qos_level: company.qos_level,
            created_at: answer::time(company.meta.created_at),
            updated_at: answer::time(company.meta.updated_at),
        }
    }
}

/// Makes or replaces a company. Needs the admin key.
#[utoipa::path(
    put, path = "/v1/companies/{company}", operation_id = "putCompany", tag = "companies",
    params(("company" = String, Path)), request_body = CompanyBody,
    responses((status = 201, body = CompanyView), (status = 200, body = CompanyView), Change)
)]
pub async fn put(
    State(context): State<ApiContext>,
    InCompany { caller, company }: InCompany,
    body: JsonText,
) -> Result<Response, Problem> {
    caller.require_admin()?;
    let CompanyBody { qos_level } = body.read(CompanyBody::read)?;
    let location = format!("/v1/companies/{company}");
    let changed = context.tenancy.put_company(&caller.actor, Company::new(company, qos_level)).await?;
    Ok(answer::put(&location, changed, |company| CompanyView::of(&company)))
}

/// A company.
#[utoipa::path(
    get, path = "/v1/companies/{company}", operation_id = "getCompany", tag = "companies",
    params(("company" = String, Path)), responses((status = 200, body = CompanyView), Read)
)]
pub async fn get(
    State(context): State<ApiContext>,
    InCompany { company, .. }: InCompany,
) -> Result<Response, Problem> {
    match context.tenancy.fresh::<Company>(&company).await? {
        Some(company) => Ok(answer::ok(&CompanyView::of(&company))),
        None => Err(Problem::not_found("company")),
    }
}

/// Deletes a company and its API keys; refused while it has solutions. Needs the admin key.
#[utoipa::path(
    delete, path = "/v1/companies/{company}", operation_id = "deleteCompany", tag = "companies",
    params(("company" = String, Path)), responses((status = 204), Delete)
)]
pub async fn delete(
    State(context): State<ApiContext>,
    InCompany { caller, company }: InCompany,
) -> Result<Response, Problem> {
    caller.require_admin()?;
    context.tenancy.delete_company(&caller.actor, &company).await?;
    Ok(answer::nothing())
}

/// All companies, by name. Needs the admin key.
#[utoipa::path(
    get, path = "/v1/companies", operation_id = "listCompanies", tag = "companies",
    params(ListParameters), responses((status = 200, body = Items<CompanyView>), Whole)
)]
pub async fn list(State(context): State<ApiContext>, caller: Caller, uri: Uri) -> Result<Response, Problem> {
    caller.require_admin()?;
    let scope = Scope::of(&context, &uri).await?;
    let request = only_page(&uri, &scope)?;
    let page = context.tenancy.list::<Company>(&(), &request).await?;
    Ok(answer::page(&scope, page, |company| CompanyView::of(&company)))
}

/// The page of a list that has no filter.
pub fn only_page(uri: &Uri, scope: &Scope) -> Result<shared::tenancy::PageRequest, Problem> {
    let faults = Faults::default();
    let mut query = Query::read(uri, &faults);
    let request = query.page(scope);
    query.finish();
    faults.finish(Some(request))
}
