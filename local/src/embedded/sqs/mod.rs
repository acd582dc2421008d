//! The embedded SQS: standard queues, in memory, on a clock that can be moved.
//!
//! The messages of a restarted process are gone; Punctual's tables are the
//! truth, and the runner asks the sweep to fill the queue again at start.

mod attributes;
mod checksum;
mod limits;
mod messages;
mod queue;
mod queues;
mod wire;

#[cfg(test)]
mod tests;

use super::answer::Answer;
use super::{ACCOUNT, Door, REGION};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use queue::{Message, Queue, Ticket};
use serde::de::DeserializeOwned;
use shared::clock::SharedClock;
use shared::entropy::SharedEntropy;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use wire::SqsError;

pub use queue::Counts;

/// The service: all queues of the one account and region there is.
pub struct Sqs {
    clock: SharedClock,
    entropy: SharedEntropy,
    /// Where the queues' URLs point, such as `http://127.0.0.1:4566`.
    base_url: String,
    /// Sets this process's receipt handles apart from those of an earlier one.
    process: String,
    queues: Mutex<BTreeMap<String, Entry>>,
}

struct Entry {
    queue: Queue,
    /// Wakes the long polls of this queue.
    arrivals: Arc<Notify>,
    created: DateTime<Utc>,
    modified: DateTime<Utc>,
}

impl Sqs {
    /// A service without queues whose URLs begin with `base_url`.
    pub fn new(base_url: String, clock: SharedClock, entropy: SharedEntropy) -> Self {
        let process = entropy.uuid_v7(clock.now()).simple().to_string();
        Self { clock, entropy, base_url, process, queues: Mutex::default() }
    }

    /// Answers one request; a receive with a wait takes as long as that.
    pub async fn handle(&self, door: Door, operation: &str, body: &Bytes) -> Answer {
        let answer = match operation {
            "ReceiveMessage" => self.receive(door, body).await,
            "SendMessage" => self.send(body),
            "SendMessageBatch" => self.send_batch(body),
            "DeleteMessage" => self.delete(body),
            "DeleteMessageBatch" => self.delete_batch(body),
            "ChangeMessageVisibility" => self.change_visibility(body),
            "ChangeMessageVisibilityBatch" => self.change_visibility_batch(body),
            _ => self.manage(operation, body),
        };
        answer.unwrap_or_else(|error| error.answer())
    }

    /// How many messages are where in the queue called `name`; `None` if there is no such queue.
    pub fn counts(&self, name: &str) -> Option<Counts> {
        let now = self.now_millis();
        self.lock().get_mut(name).map(|entry| entry.queue.counts(now))
    }

    /// The instant at which the next hidden message of the queue becomes visible.
    pub fn next_visible(&self, name: &str) -> Option<DateTime<Utc>> {
        self.lock().get(name)?.queue.next_visible_millis().and_then(DateTime::from_timestamp_millis)
    }

    /// The names of all queues.
    pub fn queue_names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    fn now_millis(&self) -> i64 {
        self.clock.now().timestamp_millis()
    }

    /// No step under this lock can leave a queue half changed, so a panic of
    /// another thread is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_queue<T>(
        &self,
        url: Option<&str>,
        act: impl FnOnce(&mut Entry, i64) -> Result<T, SqsError>,
    ) -> Result<T, SqsError> {
        let name = queue_name(url)?;
        let now = self.now_millis();
        act(self.lock().get_mut(name).ok_or_else(SqsError::no_queue)?, now)
    }

    fn url(&self, name: &str) -> String {
        format!("{}/{ACCOUNT}/{name}", self.base_url)
    }

    fn receipt(&self, ticket: Ticket) -> String {
        format!("{}.{}.{}", self.process, ticket.key, ticket.receive)
    }

    /// The ticket in a receipt handle; `None` for one of an earlier process,
    /// whose messages are all gone.
    fn ticket(&self, receipt: Option<&str>) -> Result<Option<Ticket>, SqsError> {
        let receipt = receipt.ok_or_else(|| SqsError::missing("ReceiptHandle"))?;
        let mut parts = receipt.splitn(3, '.');
        let mut number = || -> Option<(&str, u64, u32)> {
            Some((parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
        };
        let (process, key, receive) = number().ok_or_else(SqsError::receipt_handle)?;
        Ok((process == self.process).then_some(Ticket { key, receive }))
    }
}

fn arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}

/// A queue's name from its URL. Only the last segment counts, so a URL works
/// through whatever address this machine is reached.
fn queue_name(url: Option<&str>) -> Result<&str, SqsError> {
    let url = url.ok_or_else(|| SqsError::missing("QueueUrl"))?;
    Ok(url.rsplit('/').next().unwrap_or(url))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, SqsError> {
    serde_json::from_slice(body)
        .map_err(|error| SqsError::parameter(format!("The request is malformed: {error}")))
}

fn answer(value: &impl serde::Serialize) -> Result<Answer, SqsError> {
    // The wire types are plain structs of text and numbers, which always serialize.
    let body = serde_json::to_vec(value).map_err(|error| SqsError::parameter(error.to_string()))?;
    Ok(Answer::ok(body))
}
