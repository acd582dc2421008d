//! Accepting activities, one or up to a hundred at a time (SPEC §3).

use super::draft::{ActivityBody, Draft, Maker, Refused};
use super::view::ActivityView;
use crate::ApiContext;
use crate::auth::InSolution;
use crate::http::idempotency::IDEMPOTENCY_KEY;
use crate::http::openapi::Change;
use crate::http::problem::ProblemBody;
use crate::http::{Answer, Fault, JsonText, Object, Problem, answer, apart, body, list_of};
use futures::{StreamExt, stream};
use http::{HeaderMap, StatusCode};
use rules::names::{ActivityId, Kind, Tenant};
use serde::{Serialize, Serializer};
use shared::engine::StoreError;
use shared::items::activity::{Created, NewActivity};
use std::collections::{HashMap, HashSet};
use utoipa::ToSchema;

/// Most activities of a batch.
const BATCH_MAX: usize = 100;
/// Most activities that are looked up at a time.
const LOOKUPS_IN_FLIGHT: usize = 8;

body! {
    /// Activities to be made.
    pub struct BatchBody = drafts(()) -> Vec<Draft>;
}

/// The drafts, each with its faults.
fn drafts(f: &mut Object<'_>, _: Option<()>) -> Option<Vec<Draft>> {
    let activities = list_of(1..=BATCH_MAX, "activities", apart::<ActivityBody>());
    let drafts = f.required("activities", activities, "1 to 100 of them.")?;
    Some(drafts.into_iter().map(Draft::of).collect())
}

/// Accepts an activity. Accepted means kept: it will be attempted until it is over.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/activities", operation_id = "createActivity", tag = "activities",
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = ActivityBody,
    responses((status = 201, body = ActivityView), (status = 200, body = ActivityView, description = "Accepted before by the same request"), Change)
)]
pub async fn post(context: ApiContext, InSolution { tenant, .. }: InSolution, body: JsonText) -> Answer {
    let solution = context.solution(&tenant).await?;
    let draft = Draft::of(body.read_apart::<ActivityBody>(()));
    let named = draft.named();
    let maker = Makers::new(&context, &tenant).of(named).await?;
    let activity = match draft.judge(&context, &solution, &maker) {
        Ok(activity) => activity,
        Err(refused) => {
            let made = made_before(&context, &tenant, refused).await?;
            return Ok(answer::ok(&ActivityView::whole(&context, made).await?));
        }
    };
    let location = answer::path(&tenant, format_args!("activities/{}", activity.id));
    match context.work.create(vec![activity]).await.pop() {
        Some(Ok(Created::New(view))) => {
            Ok(answer::created(&location, &ActivityView::whole(&context, view).await?))
        }
        Some(Ok(Created::Existing(view))) => Ok(answer::ok(&ActivityView::whole(&context, view).await?)),
        Some(Ok(Created::Conflict)) => Err(taken()),
        Some(Ok(Created::ParentGone(gone))) => Err(gone.into()),
        Some(Err(error)) => Err(error.into()),
        None => Err(Problem::internal("the store gave no answer")),
    }
}

/// The activity that the same request made when it was still acceptable: its type may have been changed since, or
/// deleted after the activity had ended, which makes nothing of what was accepted undone.
///
/// # Errors
/// What the request is refused for, if it made none.
async fn made_before(
    context: &ApiContext,
    tenant: &Tenant,
    refused: Refused,
) -> Result<shared::items::activity::ActivityView, Problem> {
    let Refused { problem, repeated } = refused;
    let Some(repeated) = repeated else { return Err(problem) };
    match context.work.get(tenant, &repeated.id).await? {
        Some(made)
            if repeated.hash.is_of_activity(&made.record.body_hash, made.record.state.max_attempts)
                && context.work.stands(&made.record).await? =>
        {
            Ok(made)
        }
        _ => Err(problem),
    }
}

fn taken() -> Problem {
    Problem::conflict("another activity has this id")
}

/// What makes the calls of one request's activities, each looked up once.
struct Makers<'a> {
    context: &'a ApiContext,
    tenant: &'a Tenant,
    found: HashMap<Kind, Maker>,
}

impl<'a> Makers<'a> {
    fn new(context: &'a ApiContext, tenant: &'a Tenant) -> Self {
        Self { context, tenant, found: HashMap::new() }
    }

    /// What is made by a kind that a draft names, or by none.
    async fn of(&mut self, named: Option<Kind>) -> Result<Maker, Problem> {
        let Some(kind) = named else { return Ok(Maker::None) };
        if let Some(found) = self.found.get(&kind) {
            return Ok(found.clone());
        }
        let tenancy = &self.context.tenancy;
        let found = match &kind {
            Kind::Type(name) => {
                tenancy.activity_type(self.tenant, name).await?.map_or(Maker::None, Maker::Type)
            }
            Kind::Channel(channel) => Maker::Channel(tenancy.channel_shards(self.tenant, *channel).await?),
        };
        self.found.insert(kind, found.clone());
        Ok(found)
    }
}

/// What became of a batch.
#[derive(Serialize, ToSchema)]
pub struct BatchView {
    /// One for each activity, in their order.
    results: Vec<BatchResult>,
}

/// What became of one activity of a batch.
#[derive(Serialize, ToSchema)]
pub struct BatchResult {
    /// The status that the activity alone would have been answered with.
    #[schema(example = 201)]
    status: u16,
    /// Its id; absent if it was refused and the caller gave none.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_body")]
    #[schema(value_type = Option<ProblemBody<'static>>)]
    problem: Option<Problem>,
}

fn as_body<S: Serializer>(problem: &Option<Problem>, serializer: S) -> Result<S::Ok, S::Error> {
    problem.as_ref().map(Problem::body).serialize(serializer)
}

impl BatchResult {
    fn accepted(status: StatusCode, id: &ActivityId) -> Self {
        Self { status: status.as_u16(), id: Some(id.to_string()), problem: None }
    }

    fn refused(problem: Problem, id: Option<&ActivityId>) -> Self {
        Self { status: problem.status().as_u16(), id: id.map(ToString::to_string), problem: Some(problem) }
    }

    fn of(created: Result<Created, StoreError>, id: &ActivityId, context: &ApiContext) -> Self {
        match created {
            Ok(Created::New(_)) => Self::accepted(StatusCode::CREATED, id),
            Ok(Created::Existing(_)) => Self::accepted(StatusCode::OK, id),
            Ok(Created::Conflict) => Self::refused(taken(), Some(id)),
            Ok(Created::ParentGone(gone)) => Self::refused(gone.into(), Some(id)),
            Err(error) => Self::refused(Problem::from(error).recorded(context), Some(id)),
        }
    }
}

/// Accepts up to 100 activities, each judged alone: one that is refused does not hold up the others.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/activities/batch", operation_id = "createActivities", tag = "activities",
    request_body = BatchBody,
    responses((status = 200, body = BatchView), Change)
)]
pub async fn batch(
    context: ApiContext,
    InSolution { tenant, .. }: InSolution,
    headers: HeaderMap,
    body: JsonText,
) -> Answer {
    let solution = context.solution(&tenant).await?;
    if headers.contains_key(IDEMPOTENCY_KEY) {
        let detail = "is not for batches; give each activity its own id";
        return Err(Problem::invalid(vec![Fault::new("header:idempotency-key", detail)]));
    }
    let drafts = body.read::<BatchBody>(())?;
    let mut makers = Makers::new(&context, &tenant);
    let mut results: Vec<Option<BatchResult>> = Vec::with_capacity(drafts.len());
    let mut accepted: Vec<(usize, NewActivity)> = Vec::with_capacity(drafts.len());
    let mut refused = Vec::new();
    for (index, draft) in drafts.into_iter().enumerate() {
        let id = draft.id.clone();
        let named = draft.named();
        results.push(match makers.of(named).await {
            Ok(maker) => {
                match draft.judge(&context, &solution, &maker) {
                    Ok(activity) => accepted.push((index, activity)),
                    Err(refusal) => refused.push((index, id, refusal)),
                }
                None
            }
            Err(problem) => Some(BatchResult::refused(problem.recorded(&context), id.as_ref())),
        });
    }
    let looked_up = refused.into_iter().map(|(index, id, refusal)| {
        let made = made_before(&context, &tenant, refusal);
        async move { (index, id, made.await) }
    });
    let mut looked_up = stream::iter(looked_up.collect::<Vec<_>>()).buffer_unordered(LOOKUPS_IN_FLIGHT);
    while let Some((index, id, made)) = looked_up.next().await {
        results[index] = Some(match made {
            Ok(made) => BatchResult::accepted(StatusCode::OK, &made.record.id),
            Err(problem) => BatchResult::refused(problem.recorded(&context), id.as_ref()),
        });
    }
    create_in_order(&context, accepted, &mut results).await;
    let missing =
        || BatchResult::refused(Problem::internal("no answer of the store").recorded(&context), None);
    let results = results.into_iter().map(|result| result.unwrap_or_else(missing)).collect();
    Ok(answer::ok(&BatchView { results }))
}

/// One call of the store for all of them; a second one only for what repeats an id, since the first
/// of that id in the batch is the one that counts.
async fn create_in_order(
    context: &ApiContext,
    mut waiting: Vec<(usize, NewActivity)>,
    results: &mut [Option<BatchResult>],
) {
    while !waiting.is_empty() {
        let mut ids = HashSet::with_capacity(waiting.len());
        let (now, later): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(_, activity)| ids.insert(activity.id.clone()));
        let places: Vec<(usize, ActivityId)> =
            now.iter().map(|(index, activity)| (*index, activity.id.clone())).collect();
        let created = context.work.create(now.into_iter().map(|(_, activity)| activity).collect()).await;
        for ((index, id), created) in places.into_iter().zip(created) {
            results[index] = Some(BatchResult::of(created, &id, context));
        }
        waiting = later;
    }
}
