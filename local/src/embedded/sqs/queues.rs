//! Creating, describing, changing and deleting queues, and moving dead letters back.

use super::attributes::QueueAttributes;
use super::wire::{QueueRequest, SqsError};
use super::{Answer, Entry, Queue, Sqs, answer, arn, parse, queue_name};
use bytes::Bytes;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Notify;

const NAME_LENGTH_MAX: usize = 80;

impl Sqs {
    pub(super) fn manage(&self, operation: &str, body: &Bytes) -> Result<Answer, SqsError> {
        let request: QueueRequest = parse(body)?;
        match operation {
            "CreateQueue" => self.create(request),
            "DeleteQueue" => self.delete_queue(&request),
            "GetQueueUrl" => self.queue_url(&request),
            "ListQueues" => self.list(&request),
            "GetQueueAttributes" => self.describe_queue(&request),
            "SetQueueAttributes" => self.change_queue(request),
            "PurgeQueue" => self.at(&request, |entry| entry.queue.purge()),
            "TagQueue" => {
                self.at(&request, |entry| entry.queue.tags.extend(request.tags.clone().unwrap_or_default()))
            }
            "UntagQueue" => self.at(&request, |entry| {
                entry.queue.tags.retain(|key, _| !request.tag_keys.iter().flatten().any(|gone| gone == key));
            }),
            "ListQueueTags" => {
                let tags =
                    self.with_queue(request.queue_url.as_deref(), |entry, _| Ok(entry.queue.tags.clone()))?;
                answer(&json!({ "Tags": tags }))
            }
            "ListDeadLetterSourceQueues" => self.dead_letter_sources(&request),
            "StartMessageMoveTask" => self.move_dead_letters(&request),
            _ => Err(SqsError::unsupported(format!(
                "The embedded SQS does not know the operation {operation}."
            ))),
        }
    }

    fn create(&self, request: QueueRequest) -> Result<Answer, SqsError> {
        let name = request.queue_name.ok_or_else(|| SqsError::missing("QueueName"))?;
        check_name(&name)?;
        let wanted = request.attributes.unwrap_or_default();
        let now = self.clock.now();
        let mut queues = self.lock();
        if let Some(existing) = queues.get(&name) {
            // As in AWS: creating it again is fine, unless it is to be another one.
            if existing.queue.attributes.with(&wanted)? != existing.queue.attributes {
                return Err(SqsError::queue_exists());
            }
        } else {
            let queue =
                Queue::new(QueueAttributes::default().with(&wanted)?, request.tags.unwrap_or_default());
            let entry = Entry { queue, arrivals: Arc::new(Notify::new()), created: now, modified: now };
            queues.insert(name.clone(), entry);
        }
        answer(&json!({ "QueueUrl": self.url(&name) }))
    }

    fn delete_queue(&self, request: &QueueRequest) -> Result<Answer, SqsError> {
        let name = queue_name(request.queue_url.as_deref())?;
        let gone = self.lock().remove(name).ok_or_else(SqsError::no_queue)?;
        gone.arrivals.notify_waiters();
        Ok(Answer::ok("{}"))
    }

    fn queue_url(&self, request: &QueueRequest) -> Result<Answer, SqsError> {
        let name = request.queue_name.as_deref().ok_or_else(|| SqsError::missing("QueueName"))?;
        if !self.lock().contains_key(name) {
            return Err(SqsError::no_queue());
        }
        answer(&json!({ "QueueUrl": self.url(name) }))
    }

    fn list(&self, request: &QueueRequest) -> Result<Answer, SqsError> {
        let prefix = request.queue_name_prefix.as_deref().unwrap_or_default();
        let names = self.queue_names();
        let urls: Vec<_> =
            names.iter().filter(|name| name.starts_with(prefix)).map(|name| self.url(name)).collect();
        answer(&json!({ "QueueUrls": urls }))
    }

    fn describe_queue(&self, request: &QueueRequest) -> Result<Answer, SqsError> {
        let name = queue_name(request.queue_url.as_deref())?;
        let mut all = self.with_queue(request.queue_url.as_deref(), |entry, now| {
            let counts = entry.queue.counts(now);
            let mut all = entry.queue.attributes.describe();
            let computed = [
                ("ApproximateNumberOfMessages", counts.visible.to_string()),
                ("ApproximateNumberOfMessagesNotVisible", counts.in_flight.to_string()),
                ("ApproximateNumberOfMessagesDelayed", counts.delayed.to_string()),
                ("CreatedTimestamp", entry.created.timestamp().to_string()),
                ("LastModifiedTimestamp", entry.modified.timestamp().to_string()),
                ("QueueArn", arn(name)),
            ];
            all.extend(computed.map(|(name, value)| (name.to_owned(), value)));
            Ok(all)
        })?;
        let wanted = request.attribute_names.clone().unwrap_or_default();
        all.retain(|name, _| wanted.iter().any(|wanted| wanted == "All" || wanted == name));
        answer(&json!({ "Attributes": all }))
    }

    fn change_queue(&self, request: QueueRequest) -> Result<Answer, SqsError> {
        let changes = request.attributes.ok_or_else(|| SqsError::missing("Attributes"))?;
        self.with_queue(request.queue_url.as_deref(), |entry, _| {
            entry.queue.attributes = entry.queue.attributes.with(&changes)?;
            entry.modified = self.clock.now();
            Ok(())
        })?;
        Ok(Answer::ok("{}"))
    }

    fn dead_letter_sources(&self, request: &QueueRequest) -> Result<Answer, SqsError> {
        let target = arn(queue_name(request.queue_url.as_deref())?);
        let queues = self.lock();
        let sources = queues.iter().filter(|(_, entry)| {
            entry.queue.attributes.redrive.as_ref().is_some_and(|redrive| redrive.target_arn == target)
        });
        let urls: Vec<_> = sources.map(|(name, _)| self.url(name)).collect();
        // The one answer whose field AWS writes in lower case.
        answer(&json!({ "queueUrls": urls }))
    }

    /// Moves the messages of a dead-letter queue to where they came from, or
    /// to the destination given. It is done when this answers.
    fn move_dead_letters(&self, request: &QueueRequest) -> Result<Answer, SqsError> {
        let source = request.source_arn.as_deref().ok_or_else(|| SqsError::missing("SourceArn"))?;
        let now = self.now_millis();
        let mut queues = self.lock();
        let dead = queues.get_mut(name_in(source)).ok_or_else(SqsError::no_queue)?.queue.drain_visible(now);
        let mut unplaced = Vec::new();
        for mut message in dead {
            let target = request.destination_arn.as_deref().or(message.dead_letter_source.as_deref());
            let target = target.map(name_in).map(str::to_owned).and_then(|name| queues.get_mut(&name));
            let Some(target) = target else {
                unplaced.push(message);
                continue;
            };
            message.dead_letter_source = None;
            target.queue.send(now, 0, message);
            target.arrivals.notify_waiters();
        }
        if let Some(entry) = queues.get_mut(name_in(source)) {
            unplaced.into_iter().for_each(|message| entry.queue.send(now, 0, message));
        }
        let handle = self.entropy.uuid_v7(self.clock.now()).to_string();
        answer(&BTreeMap::from([("TaskHandle", handle)]))
    }

    fn at(&self, request: &QueueRequest, act: impl FnOnce(&mut Entry)) -> Result<Answer, SqsError> {
        self.with_queue(request.queue_url.as_deref(), |entry, _| {
            act(entry);
            Ok(Answer::ok("{}"))
        })
    }
}

fn name_in(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

fn check_name(name: &str) -> Result<(), SqsError> {
    if name.ends_with(".fifo") {
        return Err(SqsError::no_fifo());
    }
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if name.is_empty() || name.len() > NAME_LENGTH_MAX || !letters {
        return Err(SqsError::parameter(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        ));
    }
    Ok(())
}
