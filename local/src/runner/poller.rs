//! A queue trigger: receives messages, invokes the function, deletes what succeeded.
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>

use super::event::sqs_event;
use super::functions::QueueHandler;
use super::work::{Work, invoke};
use crate::gateway::PAYLOAD_MAX_BYTES;
use crate::template::QueueTrigger;
use aws_lambda_events::event::sqs::SqsBatchResponse;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName};
use chrono::TimeDelta;
use shared::clients::long_poll_timeouts;
use shared::clock::{Clock, SystemClock};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// Receives under way at a time for one trigger; Lambda begins with five.
const POLLERS: usize = 5;
/// The longest wait of a receive that SQS allows.
const WAIT_SECONDS: u16 = 20;
/// Pause after a receive that failed: the queue's service is away or starting.
const RETRY_PAUSE: TimeDelta = TimeDelta::milliseconds(500);

/// A trigger and its function.
pub struct Source {
    pub trigger: QueueTrigger,
    pub queue_url: String,
    pub function: String,
    /// After this an invocation is given up, and its messages come back.
    pub timeout: Duration,
    pub handler: QueueHandler,
    pub sqs: aws_sdk_sqs::Client,
    pub work: Arc<Work>,
}

impl Source {
    /// Polls until `stop` turns true. Invocations in hand then go on; see [`Work::idle`].
    pub fn start(self, stop: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
        let source = Arc::new(self);
        let slots = Arc::new(Semaphore::new(source.trigger.maximum_concurrency));
        let pollers = POLLERS.min(source.trigger.maximum_concurrency);
        let poll = |_| tokio::spawn(Arc::clone(&source).poll(Arc::clone(&slots), stop.clone()));
        (0..pollers).map(poll).collect()
    }

    async fn poll(self: Arc<Self>, slots: Arc<Semaphore>, mut stop: watch::Receiver<bool>) {
        loop {
            let received = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                received = self.receive(&slots) => received,
            };
            match received {
                Ok((messages, _)) if messages.is_empty() => {}
                Ok((messages, slot)) => {
                    let source = Arc::clone(&self);
                    tokio::spawn(async move {
                        for messages in invocations(&source.trigger, messages) {
                            source.run(messages).await;
                        }
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(function = self.function, error, "cannot receive; trying again");
                    SystemClock.sleep_until(SystemClock.now() + RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Receives once there is room for an invocation, so that no message is
    /// taken that nobody handles.
    async fn receive(
        &self,
        slots: &Arc<Semaphore>,
    ) -> Result<(Vec<Message>, tokio::sync::OwnedSemaphorePermit), String> {
        let slot = Arc::clone(slots).acquire_owned().await.map_err(|error| error.to_string())?;
        let request = self.sqs.receive_message().queue_url(&self.queue_url);
        let request = request
            .max_number_of_messages(self.trigger.batch_size as i32)
            .wait_time_seconds(WAIT_SECONDS.into());
        let request = request.message_system_attribute_names(MessageSystemAttributeName::All);
        let received = request.message_attribute_names("All").customize();
        let timeouts = long_poll_timeouts(Duration::from_secs(WAIT_SECONDS.into()));
        let config = aws_sdk_sqs::config::Config::builder().timeout_config(timeouts);
        let received = received.config_override(config).send().await;
        let received = received.map_err(|error| DisplayErrorContext(&error).to_string())?;
        Ok((received.messages.unwrap_or_default(), slot))
    }

    /// One invocation. Messages that failed stay in the queue and become
    /// visible when their timeout ends, as with Lambda.
    async fn run(&self, messages: Vec<Message>) {
        let _in_hand = self.work.begin(messages.len());
        let invocation = (self.handler)(sqs_event(&self.trigger, &messages));
        match invoke(self.timeout, invocation).await {
            Ok(answer) => {
                let succeeded = succeeded(&self.trigger, &messages, &answer);
                if succeeded.len() < messages.len() {
                    let failed = messages.len() - succeeded.len();
                    tracing::warn!(function = self.function, failed, "messages failed and will come back");
                }
                self.delete(&succeeded).await;
            }
            Err(error) => {
                tracing::error!(function = self.function, messages = messages.len(), %error, "invocation failed");
            }
        }
    }

    async fn delete(&self, messages: &[&Message]) {
        if messages.is_empty() {
            return;
        }
        let entries = messages.iter().enumerate().filter_map(|(index, message)| {
            let receipt = message.receipt_handle.as_deref()?;
            DeleteMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(receipt)
                .build()
                .ok()
        });
        let request = self.sqs.delete_message_batch().queue_url(&self.queue_url);
        if let Err(error) = request.set_entries(Some(entries.collect())).send().await {
            // They come again, and the function finds that there is nothing to do.
            let error = DisplayErrorContext(&error).to_string();
            tracing::warn!(function = self.function, error, "cannot delete messages");
        }
    }
}

/// The messages of one receive, by invocation: Lambda begins another one where the event would outgrow its payload.
fn invocations(trigger: &QueueTrigger, messages: Vec<Message>) -> Vec<Vec<Message>> {
    let body_bytes = |message: &Message| message.body.as_ref().map_or(0, String::len);
    // JSON makes a character six at most; nearly no receive has to be measured.
    if messages.iter().map(body_bytes).sum::<usize>() < PAYLOAD_MAX_BYTES / 12 {
        return vec![messages];
    }
    let mut invocations: Vec<Vec<Message>> = Vec::new();
    let mut room = 0;
    for message in messages {
        let event = serde_json::to_vec(&sqs_event(trigger, std::slice::from_ref(&message)));
        let bytes = event.map_or(PAYLOAD_MAX_BYTES, |event| event.len());
        match invocations.last_mut().filter(|_| bytes <= room) {
            Some(invocation) => invocation.push(message),
            None => {
                invocations.push(vec![message]);
                room = PAYLOAD_MAX_BYTES;
            }
        }
        room = room.saturating_sub(bytes);
    }
    invocations
}

/// The messages that the answer does not name as failed. An answer that names
/// something else failed as a whole, as with Lambda.
fn succeeded<'a>(
    trigger: &QueueTrigger,
    messages: &'a [Message],
    answer: &SqsBatchResponse,
) -> Vec<&'a Message> {
    let all: Vec<_> = messages.iter().collect();
    if !trigger.partial_responses {
        return all;
    }
    let failed: HashSet<_> =
        answer.batch_item_failures.iter().map(|item| item.item_identifier.as_str()).collect();
    let id = |message: &&Message| message.message_id.clone().unwrap_or_default();
    let known: HashSet<_> = all.iter().map(id).collect();
    if failed.iter().any(|failed| !known.contains(*failed)) {
        return Vec::new();
    }
    all.into_iter().filter(|message| !failed.contains(id(message).as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lambda_events::event::sqs::BatchItemFailure;

    fn trigger(partial_responses: bool) -> QueueTrigger {
        QueueTrigger {
            queue: "q".to_owned(),
            arn: "arn".to_owned(),
            batch_size: 10,
            maximum_concurrency: 2,
            partial_responses,
        }
    }

    #[test]
    fn an_event_has_six_megabytes() {
        const MIB: usize = 1024 * 1024;
        for (bodies, expect) in [
            (vec!["x".repeat(100); 10], &[10][..]),
            (vec!["x".repeat(MIB - 1024); 10], &[6, 4]),
            (vec!["\"".repeat(MIB - 1024); 10], &[3, 3, 3, 1]),
            (vec!["x".repeat(MIB - 1024), "y".to_owned()], &[2]),
        ] {
            let messages: Vec<_> = bodies.iter().map(|body| Message::builder().body(body).build()).collect();
            let invocations = invocations(&trigger(true), messages.clone());
            assert_eq!(invocations.iter().map(Vec::len).collect::<Vec<_>>(), expect);
            assert_eq!(invocations.concat(), messages);
            for messages in invocations {
                let event = serde_json::to_vec(&sqs_event(&trigger(true), &messages)).unwrap();
                assert!(event.len() <= PAYLOAD_MAX_BYTES, "{}", event.len());
            }
        }
    }

    fn check(partial_responses: bool, failed: &[&str], expect: &[&str]) {
        let trigger = trigger(partial_responses);
        let messages = ["a", "b", "c"].map(|id| Message::builder().message_id(id).build());
        let mut answer = SqsBatchResponse::default();
        for id in failed {
            let mut item = BatchItemFailure::default();
            item.item_identifier = (*id).to_owned();
            answer.batch_item_failures.push(item);
        }
        let left = succeeded(&trigger, &messages, &answer);
        let left: Vec<_> = left.iter().filter_map(|message| message.message_id.as_deref()).collect();
        assert_eq!(left, expect);
    }

    #[test]
    fn what_is_deleted() {
        check(true, &[], &["a", "b", "c"]);
        check(true, &["b"], &["a", "c"]);
        check(true, &["a", "b", "c"], &[]);
        check(true, &[""], &[]);
        check(true, &["a", "other"], &[]);
        check(false, &["a"], &["a", "b", "c"]);
    }
}
