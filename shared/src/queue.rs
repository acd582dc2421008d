//! The queue of what is due within the horizon.
//!
//! A message is a hint, never the truth: it names activities that may be due,
//! and a claim decides. One message names up to 25 activities of one company
//! due in the same second (DESIGN "Time"). It carries the company as its
//! message group, by which SQS's fair queues keep a tenant with a backlog from
//! delaying the others.

use crate::clock::SharedClock;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use rules::due;
use rules::names::{ActivityId, CompanyName, Kind, SolutionId, Tenant};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most messages of one `SendMessageBatch` (an SQS limit).
pub const SEND_BATCH_MAX: usize = 10;
/// Send calls of one operation under way at a time.
const SENDS_IN_FLIGHT: usize = 8;
/// The version of the message format.
const VERSION: u8 = 1;

/// Messages could not be sent. Their activities are late, not lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("SQS did not take {failed} messages: {reason}")]
pub struct QueueError {
    /// How many.
    pub failed: usize,
    /// Why, of the first.
    pub reason: String,
}

/// An activity that is due at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueActivity {
    /// Whose it is.
    pub tenant: Tenant,
    /// What makes its call.
    pub kind: Kind,
    /// Its id.
    pub id: ActivityId,
    /// When it is due.
    pub due: DateTime<Utc>,
}

/// The body of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueMessage {
    /// The format's version.
    pub v: u8,
    /// The company of all its activities.
    pub company: CompanyName,
    /// Each activity: solution, kind, id, and the instant it was due at when this was sent, in Unix milliseconds.
    pub due: Vec<(SolutionId, String, ActivityId, i64)>,
    /// Since when its company has had no slot left for it, in Unix milliseconds, if that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<i64>,
}

/// A message body that is none of ours.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Not the format.
    #[error("not a message of ours: {0}")]
    Json(#[from] serde_json::Error),
    /// A version we do not know.
    #[error("message version {0} is not known")]
    Version(u8),
    /// A kind or an instant that cannot be read.
    #[error("activity {0} is malformed")]
    Activity(ActivityId),
}

impl DueMessage {
    /// Reads a body, and what it names.
    ///
    /// # Errors
    /// [`MessageError`]; such a message can never be handled.
    pub fn parse(body: &str) -> Result<(Self, Vec<DueActivity>), MessageError> {
        let message: Self = serde_json::from_str(body)?;
        if message.v != VERSION {
            return Err(MessageError::Version(message.v));
        }
        let activities = message.activities()?;
        Ok((message, activities))
    }

    fn activities(&self) -> Result<Vec<DueActivity>, MessageError> {
        let activity = |(solution, kind, id, due): &(SolutionId, String, ActivityId, i64)| {
            let tenant = Tenant { company: self.company.clone(), solution: solution.clone() };
            match (kind.parse(), rules::time::from_millis(*due)) {
                (Ok(kind), Ok(due)) => Ok(DueActivity { tenant, kind, id: id.clone(), due }),
                _ => Err(MessageError::Activity(id.clone())),
            }
        };
        self.due.iter().map(activity).collect()
    }
}

/// Groups activities into messages: one company, one second, up to 25, with the delay of each message.
///
/// What lies past the horizon is left out: it is the sweep's.
fn messages(activities: &[DueActivity], now: DateTime<Utc>) -> Vec<(u16, DueMessage)> {
    // What is due already is one group, however old it is.
    let mut groups: BTreeMap<(&CompanyName, i64), Vec<&DueActivity>> = BTreeMap::new();
    for activity in activities {
        let second = activity.due.max(now).timestamp();
        groups.entry((&activity.tenant.company, second)).or_default().push(activity);
    }
    let mut messages = Vec::new();
    for ((company, _), group) in groups {
        for chunk in group.chunks(due::MESSAGE_ACTIVITIES_MAX) {
            let first = chunk.iter().map(|activity| activity.due).min().unwrap_or(now);
            let Some(delay) = due::delay_seconds(now, first, chunk.len()) else { continue };
            let line = |activity: &&DueActivity| {
                let DueActivity { tenant, kind, id, due } = activity;
                (tenant.solution.clone(), kind.to_string(), id.clone(), due.timestamp_millis())
            };
            let due = chunk.iter().map(line).collect();
            let message = DueMessage { v: VERSION, company: company.clone(), due, waiting_since: None };
            messages.push((delay, message));
        }
    }
    messages
}

/// The queue.
pub struct DueQueue {
    client: Client,
    url: String,
    clock: SharedClock,
}

impl DueQueue {
    /// The queue at `url`.
    pub fn new(client: Client, url: String, clock: SharedClock) -> Self {
        Self { client, url, clock }
    }

    /// Enqueues each activity with the exact delay; what lies past the horizon is left to the sweep.
    ///
    /// # Errors
    /// [`QueueError`] where SQS did not take some; the others are sent all the same.
    pub async fn enqueue(&self, activities: &[DueActivity]) -> Result<(), QueueError> {
        self.enqueue_in_order(std::iter::once(activities)).await
    }

    /// The same for one slot after the other: those of a later slot are sent after those of an earlier one, nearly.
    ///
    /// # Errors
    /// See [`DueQueue::enqueue`].
    pub async fn enqueue_in_order<'a>(
        &self,
        slots: impl Iterator<Item = &'a [DueActivity]>,
    ) -> Result<(), QueueError> {
        let now = self.clock.now();
        self.send_all(slots.flat_map(|slot| messages(slot, now)).collect()).await
    }

    /// Sends messages, each with its delay in seconds.
    ///
    /// # Errors
    /// See [`DueQueue::enqueue`].
    pub async fn send_all(&self, messages: Vec<(u16, DueMessage)>) -> Result<(), QueueError> {
        let calls = messages.chunks(SEND_BATCH_MAX).map(|chunk| {
            let entries =
                chunk.iter().enumerate().map(|(index, (delay, message))| entry(index, *delay, message));
            let entries: Result<Vec<_>, _> = entries.collect();
            async move { self.send(entries?).await }
        });
        let calls: Vec<_> = calls.collect();
        let mut results = stream::iter(calls).buffer_unordered(SENDS_IN_FLIGHT);
        let mut failed: Option<QueueError> = None;
        while let Some(result) = results.next().await {
            if let Err(error) = result {
                failed = Some(match failed {
                    Some(first) => QueueError { failed: first.failed + error.failed, ..first },
                    None => error,
                });
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn send(&self, entries: Vec<SendMessageBatchRequestEntry>) -> Result<(), QueueError> {
        let count = entries.len();
        let call = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
        let output = call
            .send()
            .await
            .map_err(|error| QueueError { failed: count, reason: DisplayErrorContext(&error).to_string() })?;
        match output.failed.first() {
            None => Ok(()),
            Some(first) => Err(QueueError { failed: output.failed.len(), reason: first.code.clone() }),
        }
    }
}

fn entry(index: usize, delay: u16, message: &DueMessage) -> Result<SendMessageBatchRequestEntry, QueueError> {
    let refused = |reason: String| QueueError { failed: 1, reason };
    SendMessageBatchRequestEntry::builder()
        .id(index.to_string())
        .message_body(serde_json::to_string(message).map_err(|error| refused(error.to_string()))?)
        .delay_seconds(i32::from(delay))
        .message_group_id(message.company.as_str())
        .build()
        .map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    fn activity(company: &str, id: usize, due: DateTime<Utc>) -> DueActivity {
        let tenant = Tenant { company: company.parse().unwrap(), solution: "shop".parse().unwrap() };
        DueActivity { tenant, kind: "A:play".parse().unwrap(), id: format!("id{id}").parse().unwrap(), due }
    }

    #[test]
    fn one_company_one_second_up_to_twenty_five() {
        let now = DateTime::from_timestamp(1_000_000_000, 0).unwrap();
        let mut all: Vec<_> =
            (0..60).map(|id| activity("a", id, now + TimeDelta::milliseconds(9_999))).collect();
        all.push(activity("b", 1, now + TimeDelta::seconds(9)));
        all.push(activity("a", 2, now - TimeDelta::days(1)));
        all.push(activity("a", 3, now - TimeDelta::days(2)));
        all.push(activity("a", 4, now + TimeDelta::minutes(16)));
        let seen: Vec<_> = messages(&all, now)
            .iter()
            .map(|(delay, message)| (message.company.to_string(), *delay, message.due.len()))
            .collect();
        let expect = [("a", 0, 2), ("a", 4, 25), ("a", 4, 25), ("a", 8, 10), ("b", 8, 1)];
        assert_eq!(seen, expect.map(|(company, delay, count)| (company.to_owned(), delay, count)));
    }

    #[test]
    fn messages_are_read_back_and_nonsense_is_refused() {
        let now = DateTime::from_timestamp(1_000_000_000, 0).unwrap();
        let one = activity("a", 1, now);
        let (_, message) = messages(std::slice::from_ref(&one), now).remove(0);
        let body = serde_json::to_string(&message).unwrap();
        assert!(!body.contains("waiting"), "as every version reads it: {body}");
        assert_eq!(DueMessage::parse(&body).unwrap(), (message, vec![one]));
        for bad in ["", "{}", "[]", &body.replace("\"v\":1", "\"v\":2"), &body.replace("A:play", "Z:play")] {
            assert!(DueMessage::parse(bad).is_err(), "{bad}");
        }
    }
}
