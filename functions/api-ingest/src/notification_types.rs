//! `S/notification-types`: SPEC §7.

use crate::ApiContext;
use crate::auth::{In, InSolution};
use crate::deletion;
use crate::http::openapi::{Change, Delete, Read};
use crate::http::{Answer, Items, JsonText, Listing, Object, Problem, answer, body, doc, fixed_uri, integer};
use crate::parts::call_headers::call_headers;
use crate::parts::reschedule_rules::{RescheduleRule, reschedule_rules};
use rules::names::{Tenant, TypeName};
use rules::notification::{ATTEMPTS_MAX, MAX_RETRIES_DEFAULT, warnings};
use serde::Serialize;
use shared::tenancy::{NotificationType, ParentKind};
use utoipa::ToSchema;

body! {
    /// What a notification type is made of. The seed's names, `max_retries` and `retry_after_s`, are taken too.
    pub struct NotificationTypeBody = notification_type((TypeName, u32)) -> NotificationType;
}

/// Its name, and `maxRetries` of types that do not say.
fn notification_type(f: &mut Object<'_>, beside: Option<(TypeName, u32)>) -> Option<NotificationType> {
    let uri =
        f.required("uri", fixed_uri(), "Where its notifications are published: an absolute http(s) URL.");
    let headers = f.optional("headers", call_headers(), "Headers of every call.");
    let retries = || integer(0..=ATTEMPTS_MAX);
    let meaning = doc("Re-sends go on while this is at least one more than the attempts made.");
    let camel = f.optional("maxRetries", retries(), meaning.default(MAX_RETRIES_DEFAULT));
    let snake = f.optional("max_retries", retries(), "The seed's name of `maxRetries`.");
    if camel.is_some() && snake.is_some() {
        f.fault("max_retries", "is the same as maxRetries; give one of them");
    }
    let rules = f.optional(
        "rules",
        reschedule_rules(),
        "Named rules `{attempt?, retries?, retryAfterS?}`; the first that matches, in the order written,\n\
         says how long to wait after a failed re-send, and how many there are. Without a match: 600 seconds\n\
         times the attempts made.",
    );
    let (name, max_retries) = beside?;
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
    #[serde(serialize_with = "crate::parts::call_headers::in_order")]
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
    request_body = NotificationTypeBody,
    responses((status = 201, body = NotificationTypeView), (status = 200, body = NotificationTypeView), Change)
)]
pub async fn put(context: ApiContext, In { actor, tenant, name }: In<TypeName>, body: JsonText) -> Answer {
    let location = answer::path(&tenant, format_args!("notification-types/{name}"));
    let wanted = body.read::<NotificationTypeBody>((name, context.max_retries()))?;
    let changed = context.tenancy.put_notification_type(&actor, &tenant, wanted).await?;
    Ok(answer::put(&location, changed, NotificationTypeView::of))
}

/// A notification type.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/notification-types/{type}",
    operation_id = "getNotificationType", tag = "notifications",
    responses((status = 200, body = NotificationTypeView), Read)
)]
pub async fn get(context: ApiContext, In { tenant, name, .. }: In<TypeName>) -> Answer {
    let found = context.tenancy.fresh::<NotificationType>(&(tenant.clone(), name.clone())).await?;
    answer::found(found, "notification type", |found| {
        NotificationTypeView::of(NotificationType::clone(&found))
    })
}

/// Deletes a notification type; refused while notifications of it are pending. Takes about 9 s, in which whatever is being
/// published is waited for: either that is refused, or the deletion is.
#[utoipa::path(
    delete, path = "/v1/companies/{company}/solutions/{solution}/notification-types/{type}",
    operation_id = "deleteNotificationType", tag = "notifications",
    responses((status = 204), Delete)
)]
pub async fn delete(context: ApiContext, In { actor, tenant, name }: In<TypeName>) -> Answer {
    let refuse = || refuse_while_pending(&context, &tenant, &name);
    deletion::delete(&context, &actor, &tenant, ParentKind::NotificationType(name.clone()), refuse).await?;
    Ok(answer::nothing())
}

/// # Errors
/// 409 while notifications of the type are pending.
async fn refuse_while_pending(context: &ApiContext, tenant: &Tenant, name: &TypeName) -> Result<(), Problem> {
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
    responses((status = 200, body = Items<NotificationTypeView>), Read)
)]
pub async fn list(context: ApiContext, InSolution { tenant, .. }: InSolution, list: Listing) -> Answer {
    context.solution(&tenant).await?;
    let page = context.tenancy.list::<NotificationType>(&tenant, &list.request).await?;
    Ok(list.show(page, NotificationTypeView::of))
}
