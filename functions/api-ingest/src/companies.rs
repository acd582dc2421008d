//! `/v1/companies`: SPEC §3.

use crate::ApiContext;
use crate::auth::{Caller, InCompany};
use crate::http::openapi::{Change, Delete, Read, Whole};
use crate::http::{Answer, Items, JsonText, Listing, Object, answer, body, integer};
use crate::parts::limits::{QOS_LEVEL, QOS_LEVEL_DEFAULT};
use http::Uri;
use serde::Serialize;
use shared::tenancy::Company;
use utoipa::ToSchema;

body! {
    /// What a company is made of.
    pub struct CompanyBody = company(()) -> u32;
}

/// Its `qosLevel`.
fn company(f: &mut Object<'_>, _: Option<()>) -> Option<u32> {
    Some(f.or("qosLevel", integer(QOS_LEVEL), QOS_LEVEL_DEFAULT, "Slots a round of the sweep gives it."))
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
    request_body = CompanyBody,
    responses((status = 201, body = CompanyView), (status = 200, body = CompanyView), Change)
)]
pub async fn put(context: ApiContext, InCompany { caller, company }: InCompany, body: JsonText) -> Answer {
    caller.require_admin()?;
    let qos_level = body.read::<CompanyBody>(())?;
    let location = format!("/v1/companies/{company}");
    let changed = context.tenancy.put_company(&caller.actor, Company::new(company, qos_level)).await?;
    Ok(answer::put(&location, changed, |company| CompanyView::of(&company)))
}

/// A company.
#[utoipa::path(
    get, path = "/v1/companies/{company}", operation_id = "getCompany", tag = "companies",
    responses((status = 200, body = CompanyView), Read)
)]
pub async fn get(context: ApiContext, InCompany { company, .. }: InCompany) -> Answer {
    let found = context.tenancy.fresh::<Company>(&company).await?;
    answer::found(found, "company", |company| CompanyView::of(&company))
}

/// Deletes a company and its API keys; refused while it has solutions. Needs the admin key.
#[utoipa::path(
    delete, path = "/v1/companies/{company}", operation_id = "deleteCompany", tag = "companies",
    responses((status = 204), Delete)
)]
pub async fn delete(context: ApiContext, InCompany { caller, company }: InCompany) -> Answer {
    caller.require_admin()?;
    context.tenancy.delete_company(&caller.actor, &company).await?;
    Ok(answer::nothing())
}

/// All companies, by name. Needs the admin key.
#[utoipa::path(
    get, path = "/v1/companies", operation_id = "listCompanies", tag = "companies",
    responses((status = 200, body = Items<CompanyView>), Whole)
)]
pub async fn list(context: ApiContext, caller: Caller, uri: Uri) -> Answer {
    caller.require_admin()?;
    let (list, ()) = Listing::of(&context, &uri, |_| ()).await?;
    let page = context.tenancy.list::<Company>(&(), &list.request).await?;
    Ok(list.show(page, |company| CompanyView::of(&company)))
}
