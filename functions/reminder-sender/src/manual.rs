//! One reminder, now (seed 001, "Manual Send Trigger").
//!
//! It is sent as the processor would send it: the attempt counts at the next send
//! time, is recorded and reported, and success goes on to the one after it. One
//! whose attempts are exhausted is tried once more, and completed if that succeeds. It takes
//! no part in the groups: whoever asks for it now gets it now.

use crate::attempt::{CLAIM_LEASE, Made};
use crate::call::CallError;
use crate::{Sender, SenderError};
use rules::names::{ActivityId, Tenant};
use rules::reminder::Refusal;
use shared::items::reminder::{ManualClaim, Reminder};

/// How often an expired claim is accounted for before another is begun.
const TRIES: usize = 3;

/// What came of it.
#[derive(Debug)]
pub enum Sent {
    /// The attempt was made.
    Attempt(Box<Made>),
    /// There is no such thing.
    NotFound(&'static str),
    /// Something is missing: where, and what is wrong.
    Missing(Vec<(&'static str, String)>),
    /// Its state, or that of its solution, does not allow it.
    Refused(String),
}

impl Sender {
    /// Sends one reminder now.
    ///
    /// # Errors
    /// [`SenderError`] when it could not be read or written.
    pub async fn send_manually(&self, tenant: &Tenant, id: &ActivityId) -> Result<Sent, SenderError> {
        let configuration = self.ctx.tenancy.reminder_configuration_fresh(tenant).await?;
        let Some(configuration) = configuration else {
            return Ok(Sent::NotFound("reminder configuration"));
        };
        let Some(reminder) = self.ctx.reminders.get(tenant, id).await? else {
            return Ok(Sent::NotFound("reminder"));
        };
        let mut missing = missing(&reminder);
        match self.request(&reminder, Some(&configuration)).await {
            Err(CallError::Ours(error)) => return Err(error.into()),
            Err(error @ CallError::NoService) => missing.push(("dialogServiceUri", error.to_string())),
            Err(error @ CallError::Key(_)) => missing.push(("notificationKey", error.to_string())),
            Err(error @ CallError::Definition(_)) => missing.push(("templateParameters", error.to_string())),
            Ok(_) => {}
        }
        if !missing.is_empty() {
            return Ok(Sent::Missing(missing));
        }
        let solution = self.ctx.tenancy.solution_fresh(tenant).await?;
        if solution.is_none_or(|solution| solution.is_paused()) {
            return Ok(Sent::Refused("the solution is paused".to_owned()));
        }
        for _ in 0..TRIES {
            match self.ctx.reminders.claim_manually(tenant, id, CLAIM_LEASE).await? {
                ManualClaim::Ours(record) => {
                    return Ok(match self.attempt(&record, None).await? {
                        Made::Not(reason) => Sent::Refused(format!("the reminder was not sent: {reason}")),
                        made @ Made::Attempt(..) => Sent::Attempt(Box::new(made)),
                    });
                }
                ManualClaim::Expired(record) => {
                    self.recover(&record).await?;
                }
                ManualClaim::NotFound => return Ok(Sent::NotFound("reminder")),
                ManualClaim::Refused(refusal) => return Ok(Sent::Refused(refusal.to_string())),
            }
        }
        Ok(Sent::Refused(Refusal::InFlight.to_string()))
    }
}

/// The seed's validations of the reminder itself.
fn missing(reminder: &Reminder) -> Vec<(&'static str, String)> {
    let definition = &reminder.definition;
    let required =
        [("phoneNumber", &definition.phone_number), ("notificationTemplateName", &definition.template)];
    required
        .into_iter()
        .filter(|(_, value)| value.trim().is_empty())
        .map(|(name, _)| (name, "is missing from the reminder".to_owned()))
        .collect()
}
