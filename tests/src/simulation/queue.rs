//! The trigger of the worker, and everything that a queue may do to messages.

use super::process::{Role, Work};
use super::world::{Event, World};
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

/// Messages of one invocation at most.
const BATCH_MAX: i64 = 4;

impl World {
    fn queue_name(&self) -> &str {
        self.queue_url.rsplit('/').next().unwrap_or_default()
    }

    /// Messages that can be received now.
    pub fn visible(&self) -> usize {
        self.embedded.mount().queue_counts(self.queue_name()).map_or(0, |counts| counts.visible)
    }

    /// When the next message can be received.
    pub fn next_visible(&self) -> Option<DateTime<Utc>> {
        self.embedded.mount().next_visible(self.queue_name())
    }

    /// Hands messages to a worker, but not all of them, nor in order, nor once.
    pub async fn poll(&mut self) {
        let count = self.dice.between(1, BATCH_MAX);
        let body = json!({"QueueUrl": self.queue_url, "MaxNumberOfMessages": count});
        let answer = self.perform("AmazonSQS.ReceiveMessage", body.to_string().into()).await;
        let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let mut taken: Vec<(String, String)> = Vec::new();
        for message in answer["Messages"].as_array().into_iter().flatten() {
            let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
            let (body, receipt) = (text("Body"), text("ReceiptHandle"));
            let now = self.time.now();
            if self.dice.chance(self.faults.lost) {
                self.note(&format!("a message is lost: {body}"));
                self.delete_message(&receipt).await;
                continue;
            }
            if self.dice.chance(self.faults.late) {
                let at = now + TimeDelta::milliseconds(self.dice.between(100, 90_000));
                self.note(&format!("a message comes late, at {}: {body}", at.format("%H:%M:%S")));
                self.delete_message(&receipt).await;
                self.post(at, Event::Message(body));
                continue;
            }
            if self.dice.chance(self.faults.twice) {
                let at = now + TimeDelta::milliseconds(self.dice.between(0, 30_000));
                self.post(at, Event::Message(body.clone()));
            }
            let at = self.dice.below(taken.len() + 1);
            taken.insert(at, (body, receipt));
        }
        if !taken.is_empty() {
            self.hand_over(taken);
        }
    }

    fn hand_over(&mut self, taken: Vec<(String, String)>) {
        let record = |(number, (body, _)): (usize, &(String, String))| {
            let mut message = SqsMessage::default();
            message.message_id = Some(number.to_string());
            message.body = Some(body.clone());
            message
        };
        let mut event = SqsEvent::default();
        event.records = taken.iter().enumerate().map(record).collect();
        let bodies: Vec<&str> = taken.iter().map(|(body, _)| body.as_str()).collect();
        self.note(&format!("messages {}", bodies.join(" ")));
        let (_, number) = self.begin(Role::Worker, Work::Messages(event));
        self.handling.insert(number, taken);
    }

    /// A worker is done: what was handled is deleted, as the trigger does.
    pub async fn handled(&mut self, invocation: u64, failed: &[String]) {
        self.note(&format!("messages of {invocation} handled, {} come again", failed.len()));
        for (number, (_, receipt)) in self.handling.remove(&invocation).unwrap_or_default().iter().enumerate()
        {
            if !failed.contains(&number.to_string()) && !self.dice.chance(self.faults.kept) {
                self.delete_message(receipt).await;
            }
        }
    }

    /// A message that was held back goes to a worker by itself.
    pub async fn deliver_again(&mut self, body: String) {
        if self.can_poll() {
            self.hand_over(vec![(body, String::new())]);
        } else {
            self.post(self.time.now() + TimeDelta::seconds(1), Event::Message(body));
        }
    }

    async fn delete_message(&mut self, receipt: &str) {
        if receipt.is_empty() {
            return;
        }
        let body = json!({"QueueUrl": self.queue_url, "ReceiptHandle": receipt});
        self.perform("AmazonSQS.DeleteMessage", body.to_string().into()).await;
    }
}
