//! A channel activity: what its creator says of it, and what its provider gets.

use rules::names::{ActivityId, Channel};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::str::FromStr;

/// What a provider is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ActivityType {
    /// Something for an operator to do.
    Task,
    /// Something to be sent.
    Message,
}

impl ActivityType {
    /// The name as SPEC §4 writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            ActivityType::Task => "TASK",
            ActivityType::Message => "MESSAGE",
        }
    }
}

impl FromStr for ActivityType {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "TASK" => Ok(ActivityType::Task),
            "MESSAGE" => Ok(ActivityType::Message),
            _ => Err("must be TASK or MESSAGE"),
        }
    }
}

/// A channel activity as it is stored, as its parameter. JSON of the creator's stays as it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChannelActivity {
    /// What the provider is to do.
    #[serde(rename = "type")]
    pub activity_type: ActivityType,
    /// Why.
    pub reason: String,
    /// Whom it is about.
    pub commerce: Commerce,
    /// What is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Box<RawValue>>,
    /// Who is to do it; always there for a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Box<RawValue>>,
    /// Whatever else the provider is to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Box<RawValue>>,
}

/// Whom an activity is about.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Commerce {
    /// The assignment.
    pub assignment: Box<RawValue>,
    /// The users.
    pub target_users: Vec<Box<RawValue>>,
}

/// What a provider gets: the same on every attempt.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Payload<'a> {
    activity: Head<'a>,
    commerce: &'a Commerce,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a RawValue>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    id: &'a ActivityId,
    #[serde(rename = "type")]
    activity_type: ActivityType,
    channel: Channel,
    reason: &'a str,
    scheduling: Scheduling,
}

#[derive(Debug, Serialize)]
struct Scheduling {
    /// The instant its creator asked for.
    #[serde(with = "rules::time::rfc3339")]
    date: chrono::DateTime<chrono::Utc>,
}

impl<'a> Payload<'a> {
    /// The payload of an activity that is due at `date`.
    pub fn new(
        id: &'a ActivityId,
        channel: Channel,
        date: chrono::DateTime<chrono::Utc>,
        activity: &'a ChannelActivity,
    ) -> Self {
        let ChannelActivity { activity_type, reason, commerce, task, operator, attributes } = activity;
        // A message has nobody who does it.
        let operator = operator.as_deref().filter(|_| *activity_type == ActivityType::Task);
        Self {
            activity: Head {
                id,
                activity_type: *activity_type,
                channel,
                reason,
                scheduling: Scheduling { date },
            },
            commerce,
            operator,
            task: task.as_deref(),
            attributes: attributes.as_deref(),
        }
    }
}
