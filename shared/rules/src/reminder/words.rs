//! The words in which reminders are told of: SPEC §6 and the seed have them.

use serde::{Deserialize, Serialize};

/// Where a reminder stands, as its owner sees it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::IntoStaticStr,
    strum::Display,
    strum::EnumString,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", parse_err_ty = crate::names::UnknownName, parse_err_fn = refused_status)]
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
        self.into()
    }
}

fn refused_status(_: &str) -> crate::names::UnknownName {
    crate::names::UnknownName("must be active, completed or cancelled")
}

/// What came of an attempt, or of a send time without one (seed 001; SPEC §6).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, strum::IntoStaticStr, strum::EnumString,
)]
#[strum(serialize_all = "PascalCase", parse_err_ty = crate::names::UnknownName, parse_err_fn = refused_outcome)]
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
        self.into()
    }
}

fn refused_outcome(_: &str) -> crate::names::UnknownName {
    crate::names::UnknownName("must be Sent, SendFailed, SendError or Skipped")
}
