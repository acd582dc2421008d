//! What the description of all endpoints (OpenAPI 3.1) says of the whole.

use crate::http::openapi::schemas;
use crate::http::problem::ProblemBody;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

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
        crate::http::faults::Fault,
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
