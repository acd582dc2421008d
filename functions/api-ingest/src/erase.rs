//! `S/erase`: deletes all that is kept of an object or a recipient (SPEC §3).

use crate::ApiContext;
use crate::answer;
use crate::auth::InSolution;
use crate::body::JsonText;
use crate::object::Object;
use crate::openapi::Change;
use crate::openapi::schemas::ObjectId;
use crate::problem::Problem;
use crate::solutions::existing_now;
use axum::extract::State;
use axum::response::Response;
use chrono::TimeDelta;
use rules::recipient::{Recipient, RecipientError};
use serde::Serialize;
use shared::removal::{self, RemovalError};
use shared::tenancy::ErasureSubject;
use utoipa::ToSchema;

/// How long one call works; an HTTP API of AWS waits 30 s for a response.
const CALL_TIME: TimeDelta = TimeDelta::seconds(20);

/// Whose data: an object's, or a recipient's.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the body; the fields are read one by one")]
pub struct EraseBody {
    /// The object: the value that activities have in their type's `objectIdRef` fields; a number in any spelling.
    #[schema(value_type = Option<ObjectId>)]
    object_id: Option<String>,
    /// The recipient, as a reminder has it; together with `phoneNumber`.
    #[schema(pattern = r"^\+?[0-9]{1,4}$")]
    country_code: Option<String>,
    /// The recipient's number, compared by its digits.
    #[schema(max_length = 32, pattern = r"^\+?[ .()-]*[0-9][0-9 .()-]*$")]
    phone_number: Option<String>,
}

/// What was deleted; what is in flight is counted, and deleted once it is settled.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EraseView {
    /// Activities of the object, or webhooks about the recipient's reminders.
    activities: usize,
    /// Reminders to the recipient.
    reminders: usize,
    /// Notifications whose payload has `objectId`, or `countryCode` and `phoneNumber`, of that value.
    notifications: usize,
    /// Recurring activities whose parameter names the object.
    recurring_activities: usize,
}

impl From<RemovalError> for Problem {
    fn from(error: RemovalError) -> Self {
        match error {
            RemovalError::Tenancy(error) => error.into(),
            RemovalError::Store(error) => error.into(),
            RemovalError::Recurring(error) => error.into(),
        }
    }
}

/// Deletes all that is kept of an object or a recipient: what waits, what is finished, with histories and results.
///
/// What does not fit into one call, or is in flight, is deleted afterwards, within a day. The audit log has one entry
/// without the data. Earlier entries, and what was rolled or sent, are not changed.
#[utoipa::path(
    post, path = "/v1/companies/{company}/solutions/{solution}/erase", operation_id = "erase", tag = "solutions",
    params(("company" = String, Path), ("solution" = String, Path)), request_body = EraseBody,
    responses((status = 200, body = EraseView), Change)
)]
pub async fn post(
    State(context): State<ApiContext>,
    InSolution { actor, tenant }: InSolution,
    body: JsonText,
) -> Result<Response, Problem> {
    let subject = body.read(subject)?;
    existing_now(&context, &tenant).await?;
    let deadline = context.clock.now() + CALL_TIME;
    // Written down first: whoever dies on the way leaves it to the next pass.
    let erasure = context.tenancy.begin_erasure(&actor, &tenant, subject.clone()).await?;
    let erasing = Box::pin(removal::erase(&context, &actor, &tenant, &subject, deadline));
    let report = erasing.await?;
    if !report.left {
        context.tenancy.forget_retired(&erasure).await?;
    }
    Ok(answer::ok(&EraseView {
        activities: report.activities,
        reminders: report.reminders,
        notifications: report.notifications,
        recurring_activities: report.recurring_activities,
    }))
}

fn subject(body: &mut Object<'_, '_>) -> Option<ErasureSubject> {
    let faults = body.faults();
    let object_id = body.scalar("objectId").map(|value| value.as_str().to_owned());
    let (country_code, phone_number) = (body.text("countryCode"), body.text("phoneNumber"));
    match (body.has("objectId"), body.has("countryCode") || body.has("phoneNumber")) {
        (true, true) => {
            faults.add(body.at("objectId"), "must not be given together with a recipient");
            None
        }
        (false, false) => {
            faults.add(body.at("objectId"), "is required, unless countryCode and phoneNumber are given");
            None
        }
        (true, false) => object_id.map(ErasureSubject::Object),
        (false, true) => {
            let country_code = body.require("countryCode", country_code)?;
            let phone_number = body.require("phoneNumber", phone_number)?;
            if let Err(error) = Recipient::parse(&country_code, &phone_number) {
                let field = match error {
                    RecipientError::CountryCode => "countryCode",
                    _ => "phoneNumber",
                };
                faults.add(body.at(field), error.to_string());
                return None;
            }
            Some(ErasureSubject::Recipient { country_code, phone_number })
        }
    }
}
