//! `S/activity-types`: SPEC §3.

use crate::ApiContext;
use crate::answer::{self, Items};
use crate::auth::{In, InSolution};
use crate::body::JsonText;
use crate::companies::only_page;
use crate::deletion;
use crate::json;
use crate::object::Object;
use crate::openapi::schemas::{FieldPathOrMany, RescheduleRule, UrlPattern as UrlPatternText};
use crate::openapi::{Change, Delete, ListParameters, Read};
use crate::problem::Problem;
use crate::query::Scope;
use crate::solutions::existing;
use crate::{reschedule_rules, type_headers};
use axum::extract::State;
use axum::response::Response;
use http::Uri;
use rules::field::FieldPath;
use rules::names::{Kind, Tenant, TypeName};
use rules::uri::UriPattern;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;
use shared::tenancy::{ActivityType, ParentKind, REMINDER_WEBHOOK, Verb};
use shared::tenancy::{RETRIES_DEFAULT, TIMEOUT_SECONDS_DEFAULT};
use std::collections::HashMap;
use utoipa::ToSchema;

/// Executions that a caller may ask for.
pub const RETRIES: std::ops::RangeInclusive<u64> = 0..=100;
const TIMEOUT_SECONDS: std::ops::RangeInclusive<u64> = 1..=120;
/// Most bytes of the description of a parameter.
const PARAMETER_EXPECTED_MAX_BYTES: usize = 4_096;
/// Most fields that name an object.
const OBJECT_ID_REFS_MAX: usize = 10;

/// What an activity type is made of.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the body; the fields are read by hand")]
pub struct ActivityTypeBody {
    /// `POST`, `PUT`, `DELETE` or `GET`. `POST` and `PUT` carry the parameter as their JSON body.
    #[schema(example = "POST", pattern = "^(POST|PUT|DELETE|GET)$")]
    verb: String,
    /// An absolute http(s) URL; `{Field}` and `{a.b}` in its path and query are filled from the parameter.
    #[schema(value_type = UrlPatternText)]
    uri_pattern: String,
    /// For readers: what parameter is expected. Any JSON of at most 4 KiB.
    #[schema(value_type = Option<serde_json::Value>)]
    parameter_expected: Option<String>,
    /// Executions in all; 0 and 1 both mean one.
    #[schema(minimum = 0, maximum = 100, default = 3, required = false)]
    retries: u32,
    /// The field of the parameter that names the object an activity is about, or a list of them.
    #[schema(value_type = Option<FieldPathOrMany>)]
    object_id_ref: Option<Vec<String>>,
    /// Headers of every call. Whoever may read the type is shown their values, so they are no place for
    /// secrets: a receiver knows a call for ours by its signature, `webhook-signature`.
    headers: Option<HashMap<String, String>>,
    /// The whole call's time limit.
    #[schema(minimum = 1, maximum = 120, default = 30, required = false)]
    timeout_seconds: u32,
    /// Named rules `{attempt?, retries?, retryAfterS?}`; the first that matches, in the order written,
    /// says how long to wait after a failed execution. Without a match: 30 seconds. `Retry-After` of a 429 or
    /// 503 lengthens the wait, to a day at most, and never shortens it.
    #[schema(value_type = Option<HashMap<String, RescheduleRule>>)]
    reschedule_rules: Option<String>,
}

fn read(body: &mut Object<'_, '_>, name: TypeName) -> Option<ActivityType> {
    let verb = body.parsed::<Verb>("verb");
    let verb = body.require("verb", verb);
    let uri_pattern = body.parsed::<UriPattern>("uriPattern");
    let uri_pattern = body.require("uriPattern", uri_pattern);
    let parameter_expected = parameter_expected(body);
    let retries = body.integer("retries", RETRIES).and_then(|retries| u32::try_from(retries).ok());
    let timeout =
        body.integer("timeoutSeconds", TIMEOUT_SECONDS).and_then(|seconds| u32::try_from(seconds).ok());
    let object_id_ref = object_id_ref(body);
    let headers = type_headers::read(body, "headers");
    let reschedule_rules = reschedule_rules::read(body, "rescheduleRules");
    Some(ActivityType {
        parameter_expected,
        retries: retries.unwrap_or(RETRIES_DEFAULT),
        object_id_ref,
        headers: headers.unwrap_or_default(),
        timeout_seconds: timeout.unwrap_or(TIMEOUT_SECONDS_DEFAULT),
        reschedule_rules: reschedule_rules.unwrap_or_default(),
        ..ActivityType::new(name, verb?, uri_pattern?)
    })
}

fn parameter_expected(body: &mut Object<'_, '_>) -> Option<String> {
    let raw = body.raw("parameterExpected")?;
    let pointer = body.at("parameterExpected");
    body.faults().check(&pointer, json::strict(raw))?;
    let text = json::compact(raw);
    if text.len() > PARAMETER_EXPECTED_MAX_BYTES {
        body.faults().add(pointer, format!("has at most {PARAMETER_EXPECTED_MAX_BYTES} bytes"));
    }
    Some(text)
}

/// One field path, or a list of them.
fn object_id_ref(body: &mut Object<'_, '_>) -> Vec<FieldPath> {
    const FIELD: &str = "objectIdRef";
    let (pointer, faults) = (body.at(FIELD), body.faults());
    let Some(raw) = body.raw(FIELD) else { return Vec::new() };
    if !raw.starts_with('[') {
        if raw.starts_with('"') {
            return body.parsed(FIELD).into_iter().collect();
        }
        faults.add(pointer, "must be a field path or a list of them");
        return Vec::new();
    }
    let items = body.list(FIELD).unwrap_or_default();
    if items.len() > OBJECT_ID_REFS_MAX {
        faults.add(pointer.as_str(), format!("has at most {OBJECT_ID_REFS_MAX} field paths"));
    }
    let mut paths: Vec<FieldPath> = Vec::new();
    for (index, item) in items.iter().take(OBJECT_ID_REFS_MAX).enumerate() {
        let pointer = format!("{pointer}/{index}");
        let text = serde_json::from_str::<String>(item).map_err(|_| "must be a string");
        let path =
            faults.check(&pointer, text).and_then(|text| faults.check(&pointer, text.parse::<FieldPath>()));
        let Some(path) = path else { continue };
        if paths.contains(&path) {
            faults.add(pointer, "is given twice");
        }
        paths.push(path);
    }
    paths
}

/// An activity type.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActivityTypeView {
    /// Its name.
    activity_type: String,
    /// How it is called.
    #[schema(example = "POST")]
    verb: &'static str,
    /// What is called.
    uri_pattern: String,
    /// What parameter is expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    parameter_expected: Option<Box<RawValue>>,
    /// Executions in all.
    retries: u32,
    /// The field of the parameter that names the object, or a list of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<FieldPathOrMany>)]
    object_id_ref: Option<OneOrMany>,
    /// Headers of every call, as they were given: no place for secrets. A receiver knows a call for ours by
    /// its signature, `webhook-signature`.
    #[serde(serialize_with = "in_order")]
    #[schema(value_type = HashMap<String, String>)]
    headers: Vec<(String, String)>,
    /// The whole call's time limit.
    timeout_seconds: u32,
    /// Waits between executions.
    #[schema(value_type = HashMap<String, RescheduleRule>)]
    reschedule_rules: rules::retry::RescheduleRules,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was changed last.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// As it is most often written: one path alone is no list.
#[derive(Serialize)]
#[serde(untagged)]
enum OneOrMany {
    One(FieldPath),
    Many(Vec<FieldPath>),
}

/// Headers as an object, in the order written.
pub fn in_order<S: Serializer>(headers: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(headers.len()))?;
    for (name, value) in headers {
        map.serialize_entry(name, value)?;
    }
    map.end()
}

impl ActivityTypeView {
    fn of(found: ActivityType) -> Self {
        let mut paths = found.object_id_ref;
        let object_id_ref = match paths.len() {
            0 => None,
            1 => paths.pop().map(OneOrMany::One),
            _ => Some(OneOrMany::Many(paths)),
        };
        Self {
            activity_type: found.name.to_string(),
            verb: found.verb.as_str(),
            uri_pattern: found.uri_pattern.to_string(),
            parameter_expected: found.parameter_expected.and_then(|text| RawValue::from_string(text).ok()),
            retries: found.retries,
            object_id_ref,
            headers: found.headers,
            timeout_seconds: found.timeout_seconds,
            reschedule_rules: found.reschedule_rules,
            created_at: answer::time(found.meta.created_at),
            updated_at: answer::time(found.meta.updated_at),
        }
    }
}

/// Makes or replaces an activity type. Activities that wait already are called by it as it is now.
#[utoipa::path(
    put, path = "/v1/companies/{company}/solutions/{solution}/activity-types/{type}", operation_id = "putActivityType", tag = "activity types",
    params(("company" = String, Path), ("solution" = String, Path), ("type" = String, Path)),
    request_body = ActivityTypeBody,
    responses((status = 201, body = ActivityTypeView), (status = 200, body = ActivityTypeView), Change)
)]
pub async fn put(
    State(context): State<ApiContext>,
    In { actor, tenant, name }: In<TypeName>,
    body: JsonText,
) -> Result<Response, Problem> {
    let location = format!(
        "/v1/companies/{}/solutions/{}/activity-types/{name}",
        tenant.company,
        tenant.solution.name()
    );
    let wanted = body.read(|body| read(body, name))?;
    let changed = context.tenancy.put_activity_type(&actor, &tenant, wanted).await?;
    Ok(answer::put(&location, changed, ActivityTypeView::of))
}

/// An activity type.
#[utoipa::path(
    get, path = "/v1/companies/{company}/solutions/{solution}/activity-types/{type}", operation_id = "getActivityType", tag = "activity types",
    params(("company" = String, Path), ("solution" = String, Path), ("type" = String, Path)),
    responses((status = 200, body = ActivityTypeView), Read)
)]
pub async fn get(
    State(context): State<ApiContext>,
    In { tenant, name, .. }: In<TypeName>,
) -> Result<Response, Problem> {
    match context.tenancy.fresh::<ActivityType>(&(tenant.clone(), name.clone())).await? {
        Some(found) => Ok(answer::ok(&ActivityTypeView::of(ActivityType::clone(&found)))),
        None => Err(Problem::not_found("activity type")),
    }
}

/// Deletes an activity type; refused while activities of it wait, and while recurring activities are of it. Takes about
/// 9 s, in which whatever is being created of it is waited for: either that is refused, or the deletion is.
#[utoipa::path(
    delete, path = "/v1/companies/{company}/solutions/{solution}/activity-types/{type}", operation_id = "deleteActivityType", tag = "activity types",
    params(("company" = String, Path), ("solution" = String, Path), ("type" = String, Path)),
    responses((status = 204), Delete)
)]
pub async fn delete(
    State(context): State<ApiContext>,
    In { actor, tenant, name }: In<TypeName>,
) -> Result<Response, Problem> {
    deletion::delete(&context, &actor, &tenant, ParentKind::ActivityType(name)).await?;
    Ok(answer::nothing())
}

/// # Errors
/// 409 while the type has work, or something that makes work of it.
pub async fn refuse_while_needed(
    context: &ApiContext,
    tenant: &Tenant,
    name: &TypeName,
) -> Result<(), Problem> {
    let kind = context.tenancy.existing_kind(tenant, Kind::Type(name.clone())).await?;
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
    params(("company" = String, Path), ("solution" = String, Path), ListParameters),
    responses((status = 200, body = Items<ActivityTypeView>), Read)
)]
pub async fn list(
    State(context): State<ApiContext>,
    InSolution { tenant, .. }: InSolution,
    uri: Uri,
) -> Result<Response, Problem> {
    let scope = Scope::of(&context, &uri).await?;
    let request = only_page(&uri, &scope)?;
    existing(&context, &tenant).await?;
    let page = context.tenancy.list::<ActivityType>(&tenant, &request).await?;
    Ok(answer::page(&scope, page, ActivityTypeView::of))
}
