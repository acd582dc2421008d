//! The words in which reminders are told of: SPEC §6 and the seed have them.

use serde::{Deserialize, Serialize};

/// Where a reminder stands, as its owner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Something is still to be sent, or to be looked at.
    Active,
    /// Every send time is done with, and the last one was sent.
    Completed,
    /// Called off by its owner.
    Cancelled,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 3] = [Status::Active, Status::Completed, Status::Cancelled];

    /// The name as SPEC §6 writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Active => "active",
            Status::Completed => "completed",
            Status::Cancelled => "cancelled",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Status {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Status::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or("must be active, completed or cancelled")
    }
}

/// What came of an attempt, or of a send time without one (seed 001; SPEC §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// The Dialog service took it.
    Sent,
    /// The Dialog service answered, and not with 2xx.
    SendFailed,
    /// The Dialog service did not answer, or could not be called.
    SendError,
    /// No attempt: the send time had passed, and `catchUp` leaves it out.
    Skipped,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 4] = [Outcome::Sent, Outcome::SendFailed, Outcome::SendError, Outcome::Skipped];

    /// The name as the seed writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Sent => "Sent",
            Outcome::SendFailed => "SendFailed",
            Outcome::SendError => "SendError",
            Outcome::Skipped => "Skipped",
        }
    }
}

impl std::str::FromStr for Outcome {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Outcome::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
            .ok_or("must be Sent, SendFailed, SendError or Skipped")
    }
}
