//! The description of every endpoint (OpenAPI 3.1), made from the handlers, and the page that shows it.

mod complete;
mod examples;
pub mod schemas;

pub use complete::complete;

use crate::problem::ProblemBody;
use std::collections::BTreeMap;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Ref, RefOr, Response};
use utoipa::{IntoParams, IntoResponses, Modify, OpenApi};

/// What the description says of the whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Punctual",
        description = "Say what to call and when; it is called on time, retried by your rules, recorded, and never lost.\n\nOn AWS the HTTP API in front answers 429 and 503 by itself where requests are too many, with `{\"message\"}` and no problem."
    ),
    // The first two are served by reminder-sender, the others are made of what the routes are.
    paths(
        crate::reminders::sending::pending_send,
        crate::reminders::sending::send,
        crate::service::document,
        crate::service::page
    ),
    components(schemas(
        ProblemBody<'static>,
        crate::faults::Fault,
        schemas::Name,
        schemas::Id,
        schemas::Channel,
        schemas::ActivityStatus,
        schemas::NotificationStatus,
        schemas::ReminderStatus
    )),
    security(("bearer" = []), ("apiKey" = [])),
    modifiers(&Keys),
    tags(
        (name = "companies", description = "Companies and their API keys"),
        (name = "solutions", description = "Solutions, their state, secrets and audit log"),
        (name = "activity types", description = "How an activity's call is made"),
        (name = "activities", description = "Calls that are due at an instant"),
        (name = "channels", description = "Activities that go to external providers, and their results"),
        (name = "recurring activities", description = "Rules that create activities"),
        (name = "notifications", description = "Messages published at once, and again by rules if that failed"),
        (name = "reminders", description = "Messages to recipients at a list of send times"),
        (name = "service", description = "The service itself")
    )
)]
pub struct Description;

/// The ways to present a key or a secret (SPEC §1).
struct Keys;

impl Modify for Keys {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let header = ApiKey::Header(ApiKeyValue::new("x-api-key"));
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        components.add_security_scheme("apiKey", SecurityScheme::ApiKey(header));
        let secret =
            |meaning| SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description("secret", meaning)));
        components.add_security_scheme(
            "reminderSecret",
            secret("A reminder configuration's primary or secondary key, in place of an API key."),
        );
        components.add_security_scheme(
            "processorSecret",
            secret("The processor's secret (`PUNCTUAL_PROCESSOR_SECRET`), in place of the admin key."),
        );
    }
}

/// The page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query; it is read by hand")]
pub struct ListParameters {
    /// Items of the page.
    #[param(minimum = 1, maximum = 100, default = 25)]
    limit: Option<u32>,
    /// `nextCursor` of the page before; of no use in another list.
    cursor: Option<String>,
}

/// The problems that reading may answer.
pub struct Read;

/// The problems that changing may answer.
pub struct Change;

/// The problems that changing without a body may answer.
pub struct Delete;

/// The problems that what is below no name may answer.
pub struct Whole;

/// The problems that what only needs a key may answer.
pub struct Keyed;

/// The problems that a path without a key may answer.
pub struct Open;

/// The problem that calling somebody at once may answer.
pub struct Unanswered;

impl IntoResponses for Unanswered {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&["502"])
    }
}

impl IntoResponses for Read {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&["400", "401", "403", "404", "405", "429", "500"])
    }
}

impl IntoResponses for Change {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&["400", "401", "403", "404", "405", "409", "413", "415", "429", "500"])
    }
}

impl IntoResponses for Delete {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&["400", "401", "403", "404", "405", "409", "429", "500"])
    }
}

impl IntoResponses for Whole {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&["400", "401", "403", "405", "429", "500"])
    }
}

impl IntoResponses for Keyed {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&["401", "405", "429", "500"])
    }
}

impl IntoResponses for Open {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&["405", "500"])
    }
}

/// The responses that are no success, by status: the names of their components, and what they mean.
const PROBLEMS: [(&str, &str, &str); 11] = [
    ("400", "BadRequest", "Malformed or unacceptable input; every fault is named"),
    ("401", "Unauthorized", "No key, or an unknown one"),
    ("403", "Forbidden", "A valid key outside its company, or not the admin key"),
    ("404", "NotFound", "There is no such thing"),
    ("405", "MethodNotAllowed", "Not this method"),
    ("409", "Conflict", "The state does not allow it"),
    ("413", "ContentTooLarge", "The body has more than 256 KiB"),
    ("415", "UnsupportedMediaType", "The body is no JSON"),
    (
        "429",
        "TooManyRequests",
        "Over a limit; `Retry-After` says when to try again. As after a 500, what was asked may have been done: repeat it with the same id",
    ),
    ("500", "InternalServerError", "Our fault; `instance` names the occurrence"),
    ("502", "BadGateway", "The service to be called did not answer"),
];

fn problems(statuses: &[&str]) -> BTreeMap<String, RefOr<Response>> {
    let wanted = PROBLEMS.iter().filter(|(status, _, _)| statuses.contains(status));
    wanted
        .map(|(status, name, _)| ((*status).to_owned(), RefOr::Ref(Ref::from_response_name(*name))))
        .collect()
}
