//! The two endpoints that send (SPEC §6). Their description is in `api-ingest`, which describes the whole API.

use crate::event::HTTP_TIME;
use crate::{Made, Sender, Sent};
use api_ingest::ApiContext;
use api_ingest::auth::reminders as access;
use api_ingest::auth::{Caller, has_key};
use api_ingest::http::{Fault, Problem, SECRET, answer, headers, problem, query};
use api_ingest::reminders::sending::{LOCKED, PENDING_PATH, RunView, SEND_PATH, SentView};
use axum::extract::{FromRequestParts, State};
use axum::http::Uri;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::post;
use axum::{Router, middleware};
use rules::names::{ActivityId, CompanyName, SolutionName};
use rules::reminder::Outcome;
use shared::slots::RequestPlaces;

/// What the handlers need.
#[derive(Clone)]
struct Endpoints {
    sender: Sender,
    api: ApiContext,
    places: RequestPlaces,
}

/// The routes.
pub fn routes(sender: Sender) -> Router {
    let api = ApiContext::new(sender.ctx.clone(), sender.settings.admin_key);
    Router::new()
        .route(PENDING_PATH, post(pending_send))
        .route(SEND_PATH, post(send))
        .method_not_allowed_fallback(problem::no_method)
        .layer(middleware::from_fn_with_state(sender.ctx.clone(), problem::record))
        .layer(middleware::map_response(headers::add))
        .with_state(Endpoints { places: sender.places.clone(), sender, api })
}

/// Runs the processor.
async fn pending_send(
    State(Endpoints { sender, api, .. }): State<Endpoints>,
    mut parts: Parts,
) -> Result<Response, Problem> {
    let mut secret = None;
    let asked = query::read(&parts.uri, |query| {
        secret = query.text(SECRET);
        Some(())
    });
    may_process(&sender, &api, &mut parts, secret).await?;
    asked?;
    let until = api.clock.now() + HTTP_TIME;
    match Box::pin(sender.run(until)).await.map_err(internal)? {
        Some(report) => Ok(answer::ok(&RunView {
            processed: report.processed,
            sent: report.sent,
            failed: report.failed,
            skipped: report.skipped,
        })),
        None => Ok(answer::ok(&LOCKED)),
    }
}

/// The admin's key opens the processor, which is nobody's alone, and so does its own secret.
async fn may_process(
    sender: &Sender,
    api: &ApiContext,
    parts: &mut Parts,
    secret: Option<String>,
) -> Result<(), Problem> {
    if has_key(&parts.headers) {
        return Caller::from_request_parts(parts, api).await?.require_admin();
    }
    let known = sender.settings.processor_secret;
    match (secret.as_deref(), known) {
        (Some(given), Some(known)) if known.opens(given) => Ok(()),
        _ => Err(Problem::unauthorized("send the processor's secret as ?secret=, or the admin key")),
    }
}

/// Sends one reminder now.
async fn send(
    State(Endpoints { sender, api, places }): State<Endpoints>,
    mut parts: Parts,
) -> Result<Response, Problem> {
    let uri: Uri = parts.uri.clone();
    let asked = query::read(&uri, |query| {
        for name in ["agentId", "configurationId", "reminderId"] {
            if !query.has(name) {
                query.fault(name, "is required");
            }
        }
        let company: Option<CompanyName> = query.parsed("agentId");
        let solution: Option<SolutionName> = query.parsed("configurationId");
        let id: Option<ActivityId> = query.parsed("reminderId");
        query.text(SECRET);
        company.zip(solution).zip(id)
    });
    let ((company, solution), id) = match asked {
        Ok(asked) => asked,
        // Nobody without a key or a secret is told what is wrong.
        Err(problem) => {
            access::any(&mut parts, &api).await?;
            return Err(problem);
        }
    };
    let tenant = api.tenancy.tenant(company, solution).await?;
    access::actor(&mut parts, &api, &tenant).await?;
    let place = places.place(&tenant.company).await.ok_or_else(Problem::share_is_taken)?;
    match place.during(Box::pin(sender.send_manually(&tenant, &id))).await.map_err(internal)? {
        Sent::Attempt(made) => attempted(&id, *made),
        Sent::NotFound(what) => Err(Problem::not_found(what)),
        Sent::Refused(detail) => Err(Problem::conflict(detail)),
        Sent::Missing(missing) => {
            let fault = |(name, detail): (&str, String)| Fault::new(name, detail);
            Err(Problem::invalid(missing.into_iter().map(fault).collect()))
        }
    }
}

fn attempted(id: &ActivityId, made: Made) -> Result<Response, Problem> {
    let Made::Attempt(entry, settled) = made else {
        return Err(Problem::internal("an attempt that was not made is told as one"));
    };
    match entry.outcome {
        Outcome::SendError => Err(Problem::no_answer(entry.detail)),
        Outcome::Sent | Outcome::SendFailed | Outcome::Skipped => {
            Ok(answer::ok(&SentView::of(id, &entry, &settled)))
        }
    }
}

fn internal(error: crate::SenderError) -> Problem {
    match error {
        crate::SenderError::Tenancy(error) => error.into(),
        crate::SenderError::Store(error) => error.into(),
    }
}
