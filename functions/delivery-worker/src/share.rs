//! A company's share of the workers: its messages of one invocation, under one slot (ARCHITECTURE.md, "Isolation").
//!
//! An invocation lasts as long as the slowest of its calls. So what a company may hold at a time is not calls but
//! workers: this one works for it only while it holds one of its slots. Without a slot its messages go back to the
//! queue with a short delay, and nothing is claimed: no attempt counts. Other companies' messages go on.

use crate::Worker;
use crate::deliver::DeliveryError;
use chrono::{DateTime, TimeDelta};
use futures::future::join_all;
use rules::names::CompanyName;
use rules::{due, slots};
use shared::engine::StoreError;
use shared::queue::{DueActivity, DueMessage};

/// A message of an invocation.
pub struct Message {
    /// The id by which the trigger knows it.
    pub id: String,
    /// Its body.
    pub body: DueMessage,
    /// What that names.
    pub due: Vec<DueActivity>,
}

/// Messages that go back to the queue as they are, by their ids, each with the reason.
pub type Failed = Vec<(String, DeliveryError)>;

impl Worker {
    /// Delivers what is due of a company's messages, in its slot.
    pub(crate) async fn company(&self, company: CompanyName, messages: Vec<Message>) -> Failed {
        let dues = messages.iter().flat_map(|message| &message.due).map(|activity| activity.due);
        let last_due = dues.max().unwrap_or_else(|| self.ctx.clock.now());
        let Some(place) = self.ctx.slots.place(&self.pool, &company, last_due).await else {
            return self.hold_back(&company, messages).await;
        };
        let deliver = |message: Message| async move {
            let delivered = self.deliver(message.due).await;
            delivered.err().map(|error| (message.id, error))
        };
        let failed = place.during(join_all(messages.into_iter().map(deliver))).await;
        failed.into_iter().flatten().collect()
    }

    /// Sends messages to the queue once more, for later. Those whose activities the recovery pass has enqueued again
    /// meanwhile are left out, so that a company's backlog stays as long as it is.
    async fn hold_back(&self, company: &CompanyName, messages: Vec<Message>) -> Failed {
        let now = self.ctx.clock.now();
        let mut later = Vec::with_capacity(messages.len());
        for Message { body, due, .. } in &messages {
            let since = body.waiting_since.and_then(DateTime::from_timestamp_millis).unwrap_or(now).min(now);
            if due.iter().all(|activity| due::is_enqueued_again(activity.due, since, now)) {
                continue;
            }
            let body = DueMessage { waiting_since: Some(since.timestamp_millis()), ..body.clone() };
            // Until they are due, and a little longer, a slot may be free at any second.
            let first_due = due.iter().map(|activity| activity.due).min().unwrap_or(since);
            later.push((self.wait_seconds(now - since.max(first_due)), body));
        }
        let count = later.len();
        tracing::info!(
            company = company.as_str(),
            messages = count,
            "company holds its share of the workers"
        );
        self.metrics.held_back(count as u64);
        match self.ctx.queue.send_all(later).await {
            Ok(()) => Vec::new(),
            Err(error) => {
                let error = StoreError::from(error);
                messages.into_iter().map(|message| (message.id, error.clone().into())).collect()
            }
        }
    }

    fn wait_seconds(&self, waited: TimeDelta) -> u16 {
        slots::wait_seconds(waited, u64::from_le_bytes(self.ctx.entropy.bytes()))
    }
}
