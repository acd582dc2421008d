//! What the auditor is told, and what it says.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// What could be seen from outside. Times are those of one true clock.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Evidence {
    /// When everything was looked at: nothing was left to do that was due by then.
    pub ended: DateTime<Utc>,
    /// By how much the clocks of the system's processes may differ from the true one, and calls be under way.
    pub tolerance_ms: i64,
    /// Requests to the API, in order of their answers.
    pub exchanges: Vec<Exchange>,
    /// Requests that arrived at receivers, in order.
    pub arrivals: Vec<Arrival>,
    /// The items of the work table at the end, as DynamoDB's JSON has them (`{"PK": {"S": ..}, ..}`).
    pub work: Vec<Value>,
    /// No process died or stood still, and none waited for an answer for longer than its own time limits.
    #[serde(default)]
    pub undisturbed: bool,
    /// How notifications are re-sent, where nothing but receivers went wrong. Then lateness is what backlogs explain.
    #[serde(default)]
    pub resending: Option<Resending>,
    /// The company whose receivers hang, where nothing else went wrong: then no other company's activities wait for it.
    #[serde(default)]
    pub hanging_company: Option<String>,
}

/// How the re-sender works, as it is configured.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Resending {
    /// Seconds from one tick of its schedule to the next.
    pub tick_s: i64,
    /// `max_doc_read`: notifications of one solution in a cycle.
    pub page: i64,
    /// The longest time of a call, in seconds.
    pub call_s: i64,
    /// `retry_after_fudge_s`.
    pub first_wait_s: i64,
}

impl Resending {
    /// The tick as a span.
    pub fn tick(&self) -> TimeDelta {
        TimeDelta::seconds(self.tick_s)
    }

    /// The longest call as a span.
    pub fn call(&self) -> TimeDelta {
        TimeDelta::seconds(self.call_s)
    }
}

impl Evidence {
    /// The tolerance as a span.
    pub fn tolerance(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.tolerance_ms)
    }
}

/// A request to the API and its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Exchange {
    /// The company whose key was used; `None` for the admin key.
    pub company: Option<String>,
    /// `POST`, ...
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// The body, or null.
    pub body: Value,
    /// When it was sent.
    pub asked: DateTime<Utc>,
    /// When its answer came, or it was known that none would.
    pub answered: DateTime<Utc>,
    /// The status; `None` if no answer came.
    pub status: Option<u16>,
    /// The answer's body, or null.
    pub answer: Value,
}

impl Exchange {
    /// It was done.
    pub fn is_done(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// It was done, or may have been: no answer, or one that does not say (5xx, and 409, which a repetition
    /// of what was done gets).
    pub fn may_be_done(&self) -> bool {
        self.is_done() || self.status.is_none_or(|status| status >= 500 || status == 409 || status == 429)
    }
}

/// A request that arrived at a receiver.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Arrival {
    /// When.
    pub at: DateTime<Utc>,
    /// `POST`, ...
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// By lower-case names.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
    /// The status that the receiver answered, if it did.
    pub status: Option<u16>,
    /// Until when the receiver was at it: when it answered, or gave up.
    pub until: DateTime<Utc>,
    /// The activity's item in the table at that instant, if anybody looked (null if there was none).
    pub item: Option<Value>,
}

impl Arrival {
    /// The receiver's path.
    pub fn path(&self) -> &str {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        rest.find('/').map_or("", |at| &rest[at..])
    }

    /// Whose it is, by its path.
    pub fn tenant(&self) -> String {
        let mut parts = self.path().trim_start_matches('/').split('/');
        format!("{}/{}", parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
    }

    /// What the path has after the tenant.
    pub fn place(&self) -> &str {
        self.path().trim_start_matches('/').splitn(3, '/').nth(2).unwrap_or_default()
    }

    /// The `Idempotency-Key`.
    pub fn key(&self) -> &str {
        self.headers.get("idempotency-key").map_or("", String::as_str)
    }

    /// The receiver took it.
    pub fn is_taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

/// What something is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// `company/solution`.
    pub tenant: String,
    /// The id within it.
    pub id: String,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.tenant, self.id)
    }
}

/// A promise that was not kept.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Which promise, in one word.
    pub property: &'static str,
    /// Whose.
    pub subject: Subject,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.property, self.subject, self.what)
    }
}
