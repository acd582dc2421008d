//! `S/erase`: deletes all that is kept of an object or a recipient (SPEC §3).

use crate::ApiContext;
use crate::auth::InSolution;
use crate::http::openapi::Change;
use crate::http::{Answer, JsonText, Object, Problem, answer, any_text, body, object_id};
use crate::parts::recipient;
use chrono::TimeDelta;
use rules::recipient::{Recipient, RecipientError};
use serde::Serialize;
use shared::removal::{self, RemovalError};
use shared::tenancy::ErasureSubject;
use utoipa::ToSchema;

const OBJECT_ID: &str = "objectId";
const COUNTRY_CODE: &str = "countryCode";
const PHONE_NUMBER: &str = "phoneNumber";
/// How long one call works; an HTTP API of AWS waits 30 s for a response.
const CALL_TIME: TimeDelta = TimeDelta::seconds(20);

body! {
    /// Whose data: an object's, or a recipient's.
    pub struct EraseBody = subject(()) -> ErasureSubject;
}

fn subject(f: &mut Object<'_>, _: Option<()>) -> Option<ErasureSubject> {
    let object = f.optional(
        OBJECT_ID,
        object_id(),
        "The object: the value that activities have in their type's `objectIdRef` fields; a number in any spelling.",
    );
    let by_recipient = f.has(COUNTRY_CODE) || f.has(PHONE_NUMBER);
    let doc = recipient::country_code("The recipient, as a reminder has it; together with `phoneNumber`.");
    let country_code = f.optional(COUNTRY_CODE, any_text(), doc);
    let doc = recipient::phone_number("The recipient's number, compared by its digits.");
    let phone_number = f.optional(PHONE_NUMBER, any_text(), doc);
    match (f.has(OBJECT_ID), by_recipient) {
        (true, true) => {
            f.fault(OBJECT_ID, "must not be given together with a recipient");
            None
        }
        (false, false) => {
            f.fault(OBJECT_ID, "is required, unless countryCode and phoneNumber are given");
            None
        }
        (true, false) => object.map(ErasureSubject::Object),
        (false, true) => {
            f.require(true, COUNTRY_CODE);
            let country_code = country_code?;
            f.require(true, PHONE_NUMBER);
            let phone_number = phone_number?;
            if let Err(error) = Recipient::parse(&country_code, &phone_number) {
                let field = match error {
                    RecipientError::CountryCode => COUNTRY_CODE,
                    _ => PHONE_NUMBER,
                };
                f.fault(field, error.to_string());
                return None;
            }
            Some(ErasureSubject::Recipient { country_code, phone_number })
        }
    }
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
    request_body = EraseBody,
    responses((status = 200, body = EraseView), Change)
)]
pub async fn post(context: ApiContext, InSolution { actor, tenant }: InSolution, body: JsonText) -> Answer {
    let subject = body.read::<EraseBody>(())?;
    context.solution_now(&tenant).await?;
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
