//! `S/activity-results`: what providers report of activities (SPEC §4).

use crate::ApiContext;
use crate::answer;
use crate::auth::InSolution;
use crate::body::JsonText;
use crate::idempotency::{self, IDEMPOTENCY_KEY};
use crate::json;
use crate::object::Object;
use crate::openapi::Change;
use crate::openapi::schemas::Id;
use crate::problem::Problem;
use crate::solutions::existing;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode};
use rules::activity::{Refusal, Status};
use rules::names::{ActivityId, Tenant};
use rules::number::Decimal;
use rules::verdict::ResultStatus;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::body_hash::BodyHash;
use shared::dispatch::PROVIDER_ACTIVITY_ID_MAX_BYTES;
use shared::items::activity::{ActivityResult, Reported, Target};
use utoipa::ToSchema;

/// Most characters of a comment.
const COMMENT_MAX_CHARS: usize = 4_096;
/// Most characters of an external status.
const EXTERNAL_STATUS_MAX_CHARS: usize = 256;
const ACTIVITY_ID: &str = "activityId";
const PROVIDER_ACTIVITY_ID: &str = "providerActivityId";
const STATUS: &str = "status";
const OCCURRED_AT: &str = "occurredAt";
const HARD_OVERRIDE: &str = "hardOverride";

/// What is reported.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the body; the fields are read by hand")]
pub struct ResultBody {
    /// The activity. Either this or `providerActivityId` is required.
    #[schema(value_type = Option<Id>)]
    activity_id: Option<String>,
    /// The provider's id of the activity.
    provider_activity_id: Option<String>,
    /// When it happened.
    #[schema(format = DateTime)]
    occurred_at: String,
    /// `COMPLETED`, `TRANSFERRED`, `NOT_EXECUTED`, `CANCELED` or `PENDING`.
    #[schema(pattern = "^(COMPLETED|TRANSFERRED|NOT_EXECUTED|CANCELED|PENDING)$")]
    status: String,
    /// What came of it, in the provider's terms.
    #[schema(value_type = Option<serde_json::Value>)]
    result: Option<()>,
    /// Something for people to read.
    #[schema(min_length = 1, max_length = 4096)]
    comment: Option<String>,
    /// Whatever else there is to keep.
    #[schema(value_type = Option<serde_json::Value>)]
    payload: Option<()>,
    /// The provider's own status.
    #[schema(min_length = 1, max_length = 256)]
    external_status: Option<String>,
    /// Whether it replaces a final result.
    hard_override: Option<bool>,
    /// Its id, if the caller gives one; makes the request idempotent.
    #[schema(value_type = Option<Id>)]
    id: Option<String>,
}

/// A result.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ActivityResult)]
pub struct ResultView {
    /// Its id.
    id: String,
    /// `LINKED` to an activity, or `STANDALONE` until its activity is known.
    #[schema(example = "LINKED")]
    link_status: &'static str,
    /// The activity.
    #[serde(skip_serializing_if = "Option::is_none")]
    activity_id: Option<String>,
    /// How the activity stands now; in the answer to a report.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "COMPLETED")]
    activity_status: Option<&'static str>,
    /// The provider's id that it was reported under.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_activity_id: Option<String>,
    /// What was reported.
    #[schema(example = "COMPLETED")]
    status: &'static str,
    /// When it happened.
    #[schema(format = DateTime)]
    occurred_at: String,
    /// When it was reported.
    #[schema(format = DateTime)]
    received_at: String,
    /// Whether it was to replace a final result.
    hard_override: bool,
    /// What came of it.
    #[serde(flatten)]
    details: Details,
}

/// What is kept of a result beside what decides.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// What came of it, in the provider's terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    result: Option<Box<RawValue>>,
    /// Something for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    /// Whatever else there is to keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    payload: Option<Box<RawValue>>,
    /// The provider's own status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    external_status: Option<String>,
}

impl ResultView {
    /// A result of the activity, or of one that is not known.
    pub fn of(result: ActivityResult, activity: Option<&ActivityId>) -> Self {
        Self {
            id: result.id.to_string(),
            link_status: if result.standalone { "STANDALONE" } else { "LINKED" },
            activity_id: activity.map(ToString::to_string),
            activity_status: None,
            provider_activity_id: result.provider_activity_id,
            status: result.status.as_str(),
            occurred_at: answer::time(result.occurred_at),
            received_at: answer::time(result.received_at),
            hard_override: result.hard_override,
            details: serde_json::from_str(&result.details).unwrap_or_default(),
        }
    }

    fn reported(result: ActivityResult, target: &Target, linked: Option<&(ActivityId, Status)>) -> Self {
        let given = match target {
            Target::Activity(id) => Some(id),
            Target::Provider(_) => None,
        };
        let result = ActivityResult { standalone: linked.is_none(), ..result };
        Self {
            activity_status: linked.map(|(_, status)| status.as_str()),
            ..Self::of(result, linked.map(|(id, _)| id).or(given))
        }
    }
}

/// Reports what became of an activity. A final result ends it; another one is refused then, unless it is a
/// hard override. A result whose activity is not known is kept, and linked once its dispatch is recorded.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/activity-results",
    operation_id = "reportActivityResult", tag = "channels",
    params(("company" = String, Path), ("solution" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = ResultBody,
    responses((status = 201, body = ResultView), (status = 200, body = ResultView, description = "Reported before by the same request"), Change)
)]
pub async fn post(
    State(context): State<ApiContext>,
    InSolution { tenant, .. }: InSolution,
    headers: HeaderMap,
    body: JsonText,
) -> Result<Response, Problem> {
    existing(&context, &tenant).await?;
    let (target, result) = body.read(|body| read(&context, body, headers.get(IDEMPOTENCY_KEY)))?;
    match context.work.report(&tenant, &target, result.clone()).await? {
        Reported::New(linked) => Ok(created(&tenant, result, &target, linked)),
        Reported::Existing(known, linked) => {
            Ok(answer::ok(&ResultView::reported(*known, &target, linked.as_ref())))
        }
        Reported::Conflict => Err(Problem::conflict("another result has this id")),
        Reported::Refused(Refusal::HasResult) => Err(Problem::conflict(
            "the activity has a final result already; a result with hardOverride replaces it",
        )),
        Reported::Refused(refusal) => Err(Problem::conflict(refusal.to_string())),
        Reported::Ambiguous => {
            Err(Problem::conflict("several activities have this providerActivityId; give the activityId"))
        }
    }
}

fn created(
    tenant: &Tenant,
    result: ActivityResult,
    target: &Target,
    linked: Option<(ActivityId, Status)>,
) -> Response {
    let view = ResultView::reported(result, target, linked.as_ref());
    match linked {
        // It is found with its activity.
        Some((id, _)) => {
            let (company, solution) = (&tenant.company, tenant.solution.name());
            let location = format!("/v1/companies/{company}/solutions/{solution}/activities/{id}");
            answer::created(&location, &view)
        }
        None => answer::json(StatusCode::CREATED, &view),
    }
}

fn read(
    context: &ApiContext,
    body: &mut Object<'_, '_>,
    header: Option<&HeaderValue>,
) -> Option<(Target, ActivityResult)> {
    let id = idempotency::id(body, header, rules::names::ids::given);
    let target = target(body);
    let occurred_at = body.time(OCCURRED_AT);
    let occurred_at = body.require(OCCURRED_AT, occurred_at);
    let status = body.parsed::<ResultStatus>(STATUS);
    let status = body.require(STATUS, status);
    let hard_override = body.boolean(HARD_OVERRIDE);
    body.defaults_to(HARD_OVERRIDE, false);
    let details = Details {
        result: any(body, "result"),
        comment: body.short_text("comment", COMMENT_MAX_CHARS),
        payload: any(body, "payload"),
        external_status: body.short_text("externalStatus", EXTERNAL_STATUS_MAX_CHARS),
    };
    // Without an id of the caller's nobody can ask for the same again.
    let body_hash = if id.is_some() { body.body_hash(None) } else { BodyHash::default() };
    let received_at = rules::time::truncate(context.clock.now());
    let id = id.or_else(|| context.entropy.uuid_v7(received_at).to_string().parse().ok());
    let target = target?;
    let result = ActivityResult {
        id: id?,
        status: status?,
        provider_activity_id: match &target {
            Target::Provider(id) => Some(id.clone()),
            Target::Activity(_) => None,
        },
        occurred_at: occurred_at?,
        received_at,
        hard_override: hard_override.unwrap_or_default(),
        details: serde_json::to_string(&details).ok()?,
        body_hash,
        standalone: false,
    };
    Some((target, result))
}

fn target(body: &mut Object<'_, '_>) -> Option<Target> {
    let activity = body.parsed::<ActivityId>(ACTIVITY_ID);
    let provider = provider_activity_id(body);
    match (body.has(ACTIVITY_ID), body.has(PROVIDER_ACTIVITY_ID)) {
        (true, true) => {
            body.faults().add(body.at(PROVIDER_ACTIVITY_ID), "cannot go with activityId; give one of them");
            None
        }
        (true, false) => activity.map(Target::Activity),
        (false, true) => provider.map(Target::Provider),
        (false, false) => {
            body.faults().add(body.at(ACTIVITY_ID), "is required, unless providerActivityId is given");
            None
        }
    }
}

/// The provider's id, as it is read from its answer to a dispatch: a number is as good as the text of its value.
fn provider_activity_id(body: &mut Object<'_, '_>) -> Option<String> {
    let text = match body.raw(PROVIDER_ACTIVITY_ID)?.parse::<Decimal>() {
        Ok(number) => number.canonical(),
        Err(_) => body.text(PROVIDER_ACTIVITY_ID)?.trim().to_owned(),
    };
    body.means(PROVIDER_ACTIVITY_ID, text.as_str().into());
    if (1..=PROVIDER_ACTIVITY_ID_MAX_BYTES).contains(&text.len()) {
        return Some(text);
    }
    let detail = format!("must have 1 to {PROVIDER_ACTIVITY_ID_MAX_BYTES} bytes");
    body.faults().add(body.at(PROVIDER_ACTIVITY_ID), detail);
    None
}

/// Any JSON, as it was written.
fn any(body: &mut Object<'_, '_>, name: &str) -> Option<Box<RawValue>> {
    let raw = body.raw(name)?;
    body.faults().check(&body.at(name), json::strict(raw))?;
    RawValue::from_string(json::compact(raw)).ok()
}
