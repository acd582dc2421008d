//! `S/notification-types`: SPEC §7.

use crate::ApiContext;
use crate::answer::{self, Items};
use crate::auth::{In, InSolution};
use crate::body::JsonText;
use crate::companies::only_page;
use crate::deletion;
use crate::object::Object;
use crate::openapi::schemas::{HttpUrl, RescheduleRule};
use crate::openapi::{Change, Delete, ListParameters, Read};
use crate::problem::Problem;
use crate::query::Scope;
use crate::solutions::{existing, fixed_uri};
use crate::{reschedule_rules, type_headers};
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use rules::names::{Tenant, TypeName};
use rules::notification::{ATTEMPTS_MAX, warnings};
use serde::Serialize;
use shared::tenancy::{NotificationType, ParentKind};
use std::collections::HashMap;
use utoipa::ToSchema;

/// What a notification type is made of. The seed's names, `max_retries` and `retry_after_s`, are taken too.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the body; the fields are read by hand")]
pub struct NotificationTypeBody {
    /// Where its notifications are published: an absolute http(s) URL.
    #[schema(value_type = HttpUrl)]
    uri: String,
    /// Headers of every call.
    headers: Option<HashMap<String, String>>,
    /// Re-sends go on while this is at least one more than the attempts made.
    #[schema(minimum = 0, maximum = 1000, default = 3, required = false)]
    max_retries: u32,
    /// Named rules `{attempt?, retries?, retryAfterS?}`; the first that matches, in the order written,
    /// says how long to wait after a failed re-send, and how many there are. Without a match: 600 seconds
    /// times the attempts made.
    #[schema(value_type = Option<HashMap<String, RescheduleRule>>)]
    rules: Option<String>,
    /// The seed's name of `maxRetries`.
    #[schema(rename = "max_retries", minimum = 0, maximum = 1000)]
    seeds_max_retries: Option<u32>,
}

fn read(body: &mut Object<'_, '_>, name: TypeName, max_retries: u32) -> Option<NotificationType> {
    let uri = fixed_uri(body, "uri");
    let uri = body.require("uri", uri);
    let headers = type_headers::read(body, "headers");
    let mut retries = |field| {
        let retries = body.integer(field, 0..=u64::from(ATTEMPTS_MAX));
        retries.and_then(|retries| u32::try_from(retries).ok())
    };
    let (camel, snake) = (retries("maxRetries"), retries("max_retries"));
    if camel.is_some() && snake.is_some() {
        body.faults().add(body.at("max_retries"), "is the same as maxRetries; give one of them");
    }
    let rules = reschedule_rules::read(body, "rules");
    Some(NotificationType {
        headers: headers.unwrap_or_default(),
        rules: rules.unwrap_or_default(),
        ..NotificationType::new(name, uri?, camel.or(snake).unwrap_or(max_retries))
    })
}

/// A notification type.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NotificationType)]
pub struct NotificationTypeView {
    /// Its name.
    #[serde(rename = "type")]
    name: String,
    /// Where its notifications are published.
    uri: String,
    /// Headers of every call.
    #[serde(serialize_with = "crate::activity_types::in_order")]
    #[schema(value_type = HashMap<String, String>)]
    headers: Vec<(String, String)>,
    /// Re-sends go on while this is at least one more than the attempts made.
    max_retries: u32,
    /// Waits between attempts.
    #[schema(value_type = HashMap<String, RescheduleRule>)]
    rules: rules::retry::RescheduleRules,
    /// What is to be said of rules that can never cause a wait.
    warnings: Vec<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was changed last.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl NotificationTypeView {
    fn of(found: NotificationType) -> Self {
        Self {
            name: found.name.to_string(),
            uri: found.uri,
            headers: found.headers,
            max_retries: found.max_retries,
            warnings: warnings(&found.rules, found.max_retries),
            rules: found.rules,
            created_at: answer::time(found.meta.created_at),
            updated_at: answer::time(found.meta.updated_at),
        }
    }
}

/// Makes or replaces a notification type. Rules that can never cause a wait are taken, and named in `warnings`.
#[utoipa::path(
    put, path = "/v1/companies/{company}/solutions/{solution}/notification-types/{type}",
    operation_id = "putNotificationType", tag = "notifications",
    params(("company" = String, Path), ("solution" = String, Path), ("type" = String, Path)),
    request_body = NotificationTypeBody,
    responses((status = 201, body = NotificationTypeView), (status = 200, body = NotificationTypeView), Change)
)]
pub async fn put(
    State(context): State<ApiContext>,
    In { actor, tenant, name }: In<TypeName>,
    body: JsonText,
) -> Result<Response, Problem> {
    let location = format!(
        "/v1/companies/{}/solutions/{}/notification-types/{name}",
        tenant.company,
        tenant.solution.name()
    );
    let wanted = body.read(|body| read(body, name, context.max_retries()))?;
    let changed = context.tenancy.put_notification_type(&actor, &tenant, wanted).await?;
    Ok(answer::put(&location, changed, NotificationTypeView::of))
}

/// A notification type.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/notification-types/{type}",
    operation_id = "getNotificationType", tag = "notifications",
    params(("company" = String, Path), ("solution" = String, Path), ("type" = String, Path)),
    responses((status = 200, body = NotificationTypeView), Read)
)]
pub async fn get(
    State(context): State<ApiContext>,
    In { tenant, name, .. }: In<TypeName>,
) -> Result<Response, Problem> {
    match context.tenancy.fresh::<NotificationType>(&(tenant.clone(), name.clone())).await? {
        Some(found) => Ok(answer::ok(&NotificationTypeView::of(NotificationType::clone(&found)))),
        None => Err(Problem::not_found("notification type")),
    }
}

/// Deletes a notification type; refused while notifications of it are pending. Takes about 9 s, in which whatever is being
/// published is waited for: either that is refused, or the deletion is.
#[utoipa::path(
    delete, path = "/v1/companies/{company}/solutions/{solution}/notification-types/{type}",
    operation_id = "deleteNotificationType", tag = "notifications",
    params(("company" = String, Path), ("solution" = String, Path), ("type" = String, Path)),
    responses((status = 204), Delete)
)]
pub async fn delete(
    State(context): State<ApiContext>,
    In { actor, tenant, name }: In<TypeName>,
) -> Result<Response, Problem> {
    deletion::delete(&context, &actor, &tenant, ParentKind::NotificationType(name)).await?;
    Ok(answer::nothing())
}

/// # Errors
/// 409 while notifications of the type are pending.
pub async fn refuse_while_pending(
    context: &ApiContext,
    tenant: &Tenant,
    name: &TypeName,
) -> Result<(), Problem> {
    let mut slices = context.tenancy.notification_slices_of(tenant).await?;
    slices.retain(|slice| slice.name == *name);
    if context.work.has_pending_notifications(&slices).await? {
        return Err(Problem::conflict("notifications of this type are pending; delete them or let them end"));
    }
    Ok(())
}

/// The solution's notification types, by name.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/notification-types",
    operation_id = "listNotificationTypes", tag = "notifications",
    params(("company" = String, Path), ("solution" = String, Path), ListParameters),
    responses((status = 200, body = Items<NotificationTypeView>), Read)
)]
pub async fn list(
    State(context): State<ApiContext>,
    InSolution { tenant, .. }: InSolution,
    uri: Uri,
) -> Result<Response, Problem> {
    let scope = Scope::of(&context, &uri).await?;
    let request = only_page(&uri, &scope)?;
    existing(&context, &tenant).await?;
    let page = context.tenancy.list::<NotificationType>(&tenant, &request).await?;
    Ok(answer::page(&scope, page, NotificationTypeView::of))
}
