//! `S/activity-types`: making, showing and deleting them.

use super::body::ActivityTypeBody;
use super::view::ActivityTypeView;
use crate::auth::{In, InSolution};
use crate::http::openapi::{Change, Delete, Read};
use crate::http::{Answer, Items, JsonText, Listing, Problem, answer};
use crate::{ApiContext, deletion};
use rules::names::{self, Tenant, TypeName};
use shared::tenancy::{ActivityType, ParentKind, REMINDER_WEBHOOK};

/// Makes or replaces an activity type. Activities that wait already are called by it as it is now.
#[utoipa::path(
    put, path = "/v1/companies/{company}/solutions/{solution}/activity-types/{type}", operation_id = "putActivityType", tag = "activity types",
    request_body = ActivityTypeBody,
    responses((status = 201, body = ActivityTypeView), (status = 200, body = ActivityTypeView), Change)
)]
pub async fn put(context: ApiContext, In { actor, tenant, name }: In<TypeName>, body: JsonText) -> Answer {
    let location = answer::path(&tenant, format_args!("activity-types/{name}"));
    let wanted = body.read::<ActivityTypeBody>(name)?;
    let changed = context.tenancy.put_activity_type(&actor, &tenant, wanted).await?;
    Ok(answer::put(&location, changed, ActivityTypeView::of))
}

/// An activity type.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/activity-types/{type}", operation_id = "getActivityType", tag = "activity types",
    responses((status = 200, body = ActivityTypeView), Read)
)]
pub async fn get(context: ApiContext, In { tenant, name, .. }: In<TypeName>) -> Answer {
    let found = context.tenancy.fresh::<ActivityType>(&(tenant.clone(), name.clone())).await?;
    answer::found(found, "activity type", |found| ActivityTypeView::of(ActivityType::clone(&found)))
}

/// Deletes an activity type; refused while activities of it wait, and while recurring activities are of it. Takes about
/// 9 s, in which whatever is being created of it is waited for: either that is refused, or the deletion is.
#[utoipa::path(
    delete, path = "/v1/companies/{company}/solutions/{solution}/activity-types/{type}", operation_id = "deleteActivityType", tag = "activity types",
    responses((status = 204), Delete)
)]
pub async fn delete(context: ApiContext, In { actor, tenant, name }: In<TypeName>) -> Answer {
    let refuse = || refuse_while_needed(&context, &tenant, &name);
    deletion::delete(&context, &actor, &tenant, ParentKind::ActivityType(name.clone()), refuse).await?;
    Ok(answer::nothing())
}

/// # Errors
/// 409 while the type has work, or something that makes work of it.
async fn refuse_while_needed(context: &ApiContext, tenant: &Tenant, name: &TypeName) -> Result<(), Problem> {
    let kind = context.tenancy.existing_kind(tenant, names::Kind::Type(name.clone())).await?;
    let kinds = Vec::from_iter(kind);
    if name.as_str() == REMINDER_WEBHOOK {
        let configuration = context.tenancy.reminder_configuration_fresh(tenant).await;
        let has_webhook = match context.unreadable.leave_out(configuration)? {
            Some(configuration) => configuration.is_some_and(|found| found.webhook_url.is_some()),
            // It may have one.
            None => true,
        };
        if has_webhook {
            return Err(Problem::conflict(
                "the reminder configuration has a webhookUrl, which needs this type",
            ));
        }
    }
    if context.work.has_waiting(tenant, &kinds).await? {
        return Err(Problem::conflict("activities of this type wait; cancel them or let them finish first"));
    }
    if !kinds.is_empty() && context.work.has_rules_of(tenant, name).await? {
        return Err(Problem::conflict("recurring activities of this type exist; delete them first"));
    }
    Ok(())
}

/// The solution's activity types, by name.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/activity-types", operation_id = "listActivityTypes", tag = "activity types",
    responses((status = 200, body = Items<ActivityTypeView>), Read)
)]
pub async fn list(context: ApiContext, InSolution { tenant, .. }: InSolution, list: Listing) -> Answer {
    context.solution(&tenant).await?;
    let page = context.tenancy.list::<ActivityType>(&tenant, &list.request).await?;
    Ok(list.show(page, ActivityTypeView::of))
}
