//! Sending, receiving, deleting, hiding: the operations on messages.

use super::queue::{Received, Taken};
use super::wire::{
    Batch, BatchAnswer, BatchSuccess, Handled, Receive, ReceivedMessage, Send, Sent, SqsError,
};
use super::{Answer, Entry, Message, Sqs, answer, arn, checksum, limits, parse, queue_name};
use crate::embedded::{ACCOUNT, Door};
use bytes::Bytes;
use chrono::TimeDelta;
use shared::clock::{Clock, SystemClock};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

impl Sqs {
    pub(super) fn send(&self, body: &Bytes) -> Result<Answer, SqsError> {
        let request: Send = parse(body)?;
        let url = request.queue_url.clone();
        let sent = self.with_queue(url.as_deref(), |entry, now| self.send_one(entry, now, request))?;
        answer(&sent)
    }

    pub(super) fn send_batch(&self, body: &Bytes) -> Result<Answer, SqsError> {
        let request: Batch<Send> = parse(body)?;
        limits::batch(request.entries.iter().map(|entry| entry.id.as_str()))?;
        limits::batch_bytes(&request.entries)?;
        let answered = self.with_queue(request.queue_url.as_deref(), |queue, now| {
            Ok(each(request.entries, |entry| entry.id.clone(), |_, entry| self.send_one(queue, now, entry)))
        })?;
        answer(&answered)
    }

    fn send_one(&self, entry: &mut Entry, now: i64, send: Send) -> Result<Sent, SqsError> {
        let delay = limits::send(&send, &entry.queue.attributes)?;
        let body = send.message_body.unwrap_or_default();
        let message = Message {
            id: self.entropy.uuid_v7(self.clock.now()).to_string(),
            body_md5: checksum::body(&body),
            body,
            group: send.message_group_id.map(Arc::from),
            deduplication_id: send.message_deduplication_id,
            attributes: send.message_attributes,
            system_attributes: send.message_system_attributes,
            sent_millis: now,
            first_received_millis: None,
            receives: 0,
            dead_letter_source: None,
        };
        let sent = Sent {
            id: send.id,
            message_id: message.id.clone(),
            body_md5: message.body_md5.clone(),
            attributes_md5: checksum::attributes(&message.attributes),
        };
        entry.queue.send(now, delay, message);
        entry.arrivals.notify_waiters();
        Ok(sent)
    }

    /// Answers as soon as there is a message: at once, when one is sent, or
    /// when a delay or a visibility timeout ends. The wait itself is the
    /// connection's and goes by the machine's clock: moving Punctual's does
    /// not end it.
    pub(super) async fn receive(&self, door: Door, body: &Bytes) -> Result<Answer, SqsError> {
        let request: Receive = parse(body)?;
        let name = queue_name(request.queue_url.as_deref())?;
        let (limits, arrivals) = self.with_queue(Some(name), |entry, _| {
            Ok((limits::receive(&request, &entry.queue.attributes)?, Arc::clone(&entry.arrivals)))
        })?;
        let deadline = SystemClock.now() + TimeDelta::seconds(i64::from(limits.wait_seconds));
        loop {
            // Listening begins before looking, so that no arrival falls between.
            let mut arrival = pin!(arrivals.notified());
            arrival.as_mut().enable();
            let taken = self.take(door, name, limits.max, limits.visibility_seconds)?;
            if !taken.is_empty() || SystemClock.now() >= deadline {
                let messages: Vec<_> =
                    taken.into_iter().map(|taken| self.describe(taken, &request)).collect();
                return answer(&BTreeMap::from([("Messages", messages)]));
            }
            let next_visible = self.next_visible(name);
            tokio::select! {
                () = arrival => {}
                () = SystemClock.sleep_until(deadline) => {}
                () = async {
                    match next_visible {
                        Some(at) => self.clock.sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                } => {}
            }
        }
    }

    fn take(&self, door: Door, name: &str, max: usize, visibility: u32) -> Result<Vec<Received>, SqsError> {
        let now = self.now_millis();
        let mut queues = self.lock();
        let entry = queues.get_mut(name).ok_or_else(SqsError::no_queue)?;
        let Taken { received, dead } = entry.queue.receive(now, max, visibility);
        if door == Door::InProcess {
            entry.queue.handed_out += received.len() as u64;
        }
        let target = entry.queue.attributes.redrive.as_ref().map(|redrive| redrive.target_arn.clone());
        let target = target.and_then(|target| queues.get_mut(target.rsplit(':').next().unwrap_or_default()));
        if let Some(target) = target {
            for mut message in dead {
                tracing::warn!(
                    queue = name,
                    message_id = message.id,
                    receives = message.receives,
                    "message moved to the dead-letter queue"
                );
                message.dead_letter_source = Some(arn(name));
                target.queue.send(now, 0, message);
                target.arrivals.notify_waiters();
            }
        }
        Ok(received)
    }

    fn describe(&self, received: Received, request: &Receive) -> ReceivedMessage {
        let message = received.message;
        let wanted_system = |name: &str| {
            request
                .attribute_names
                .iter()
                .chain(&request.message_system_attribute_names)
                .any(|wanted| wanted == "All" || wanted == name)
        };
        let trace =
            message.system_attributes.get("AWSTraceHeader").and_then(|trace| trace.string_value.clone());
        let attributes = [
            ("SenderId", Some(ACCOUNT.to_owned())),
            ("SentTimestamp", Some(message.sent_millis.to_string())),
            ("ApproximateReceiveCount", Some(message.receives.to_string())),
            ("ApproximateFirstReceiveTimestamp", message.first_received_millis.map(|at| at.to_string())),
            ("MessageGroupId", message.group.as_deref().map(str::to_owned)),
            ("MessageDeduplicationId", message.deduplication_id),
            ("DeadLetterQueueSourceArn", message.dead_letter_source),
            ("AWSTraceHeader", trace),
        ];
        let attributes = attributes.into_iter().filter(|(name, _)| wanted_system(name));
        let mut message_attributes = message.attributes;
        message_attributes
            .retain(|name, _| request.message_attribute_names.iter().any(|wanted| selects(wanted, name)));
        ReceivedMessage {
            receipt_handle: self.receipt(received.ticket),
            message_id: message.id,
            body_md5: message.body_md5,
            body: message.body,
            attributes: attributes.filter_map(|(name, value)| Some((name, value?))).collect(),
            attributes_md5: checksum::attributes(&message_attributes),
            message_attributes,
        }
    }

    pub(super) fn delete(&self, body: &Bytes) -> Result<Answer, SqsError> {
        let request: Handled = parse(body)?;
        self.with_queue(request.queue_url.as_deref(), |entry, _| self.delete_one(entry, &request))?;
        Ok(Answer::ok("{}"))
    }

    pub(super) fn delete_batch(&self, body: &Bytes) -> Result<Answer, SqsError> {
        self.handled_batch(body, |entry, _, handled| self.delete_one(entry, handled))
    }

    fn delete_one(&self, entry: &mut Entry, handled: &Handled) -> Result<(), SqsError> {
        if let Some(ticket) = self.ticket(handled.receipt_handle.as_deref())? {
            entry.queue.delete(ticket);
        }
        Ok(())
    }

    pub(super) fn change_visibility(&self, body: &Bytes) -> Result<Answer, SqsError> {
        let request: Handled = parse(body)?;
        self.with_queue(request.queue_url.as_deref(), |entry, now| self.change_one(entry, now, &request))?;
        Ok(Answer::ok("{}"))
    }

    pub(super) fn change_visibility_batch(&self, body: &Bytes) -> Result<Answer, SqsError> {
        self.handled_batch(body, |entry, now, handled| self.change_one(entry, now, handled))
    }

    fn change_one(&self, entry: &mut Entry, now: i64, handled: &Handled) -> Result<(), SqsError> {
        let seconds = limits::visibility(handled.visibility_timeout)?;
        let seconds = seconds.ok_or_else(|| SqsError::missing("VisibilityTimeout"))?;
        let ticket = self.ticket(handled.receipt_handle.as_deref())?;
        if !ticket.is_some_and(|ticket| entry.queue.change_visibility(now, ticket, seconds)) {
            return Err(SqsError::not_in_flight());
        }
        // The waiters' next instant may be an earlier one now.
        entry.arrivals.notify_waiters();
        Ok(())
    }

    fn handled_batch(
        &self,
        body: &Bytes,
        act: impl Fn(&mut Entry, i64, &Handled) -> Result<(), SqsError>,
    ) -> Result<Answer, SqsError> {
        let request: Batch<Handled> = parse(body)?;
        limits::batch(request.entries.iter().map(|entry| entry.id.as_str()))?;
        let answered = self.with_queue(request.queue_url.as_deref(), |queue, now| {
            Ok(each(
                request.entries,
                |entry| entry.id.clone(),
                |id, entry| act(queue, now, &entry).map(|()| BatchSuccess { id: id.to_owned() }),
            ))
        })?;
        answer(&answered)
    }
}

/// Judges every entry of a batch alone.
fn each<E, S>(
    entries: Vec<E>,
    id: impl Fn(&E) -> String,
    mut act: impl FnMut(&str, E) -> Result<S, SqsError>,
) -> BatchAnswer<S> {
    let mut answer = BatchAnswer { successful: Vec::with_capacity(entries.len()), failed: Vec::new() };
    for entry in entries {
        let id = id(&entry);
        match act(&id, entry) {
            Ok(done) => answer.successful.push(done),
            Err(error) => answer.failed.push(error.entry(id)),
        }
    }
    answer
}

/// A wanted attribute: its name, `All`, `.*`, or a prefix with `.*`.
fn selects(wanted: &str, name: &str) -> bool {
    wanted == name
        || wanted == "All"
        || wanted.strip_suffix(".*").is_some_and(|prefix| name.starts_with(prefix))
}
