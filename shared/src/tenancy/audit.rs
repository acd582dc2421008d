//! The audit log: who changed what, from what, to what (SPEC §3). Never a secret.

use super::item::{DecodeError, Item, Key, Reader, Writer};
use super::page::Listing;
use super::{Page, PageRequest, Tenancy, TenancyError};
use aws_sdk_dynamodb::types::TransactWriteItem;
use chrono::{DateTime, TimeDelta, Utc};
use rules::names::{CompanyName, Tenant};
use serde_json::Value;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::Ordering;

const WHAT: &str = "audit entry";
const AT: &str = "at";
const ACTOR: &str = "actor";
const ACTION: &str = "action";
const FROM: &str = "from";
const TO: &str = "to";
const REASON: &str = "reason";

/// Who makes a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// The holder of the admin key.
    Admin,
    /// The holder of the company's API key with this id.
    Key(String),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Admin => f.write_str("admin"),
            Actor::Key(id) => write!(f, "key:{id}"),
        }
    }
}

impl FromStr for Actor {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "admin" => Ok(Actor::Admin),
            Some(("key", id)) => Ok(Actor::Key(id.to_owned())),
            _ => Err("is neither admin nor key:{id}"),
        }
    }
}

/// Whose log an entry belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditScope {
    /// The company itself and its API keys.
    Company(CompanyName),
    /// A solution and everything in it.
    Solution(Tenant),
}

/// What is greater than the sort keys of all entries up to `at`, and less than those of later ones.
pub(super) fn sort_key_after(at: DateTime<Utc>) -> String {
    format!("{:015}~", at.timestamp_millis())
}

impl AuditScope {
    pub(super) fn company(&self) -> &CompanyName {
        match self {
            AuditScope::Company(company) | AuditScope::Solution(Tenant { company, .. }) => company,
        }
    }

    fn partition(&self) -> String {
        match self {
            AuditScope::Company(company) => format!("AUDIT#{company}"),
            AuditScope::Solution(tenant) => format!("AUDIT#{tenant}"),
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// When.
    pub at: DateTime<Utc>,
    /// By whom.
    pub actor: Actor,
    /// What was done, such as `solution.updated`.
    pub action: String,
    /// What was before; absent for what was made.
    pub from: Option<Value>,
    /// What is now; absent for what was deleted.
    pub to: Option<Value>,
    /// Why, in the actor's words.
    pub reason: Option<String>,
}

impl AuditEntry {
    pub(super) fn new(at: DateTime<Utc>, actor: &Actor, action: &str) -> Self {
        let (actor, action) = (actor.clone(), action.to_owned());
        Self { at, actor, action, from: None, to: None, reason: None }
    }

    pub(super) fn from(self, from: Option<Value>) -> Self {
        Self { from, ..self }
    }

    pub(super) fn to(self, to: Value) -> Self {
        Self { to: Some(to), ..self }
    }

    fn encode(&self, key: &Key, retention: Option<TimeDelta>) -> Item {
        Writer::new(key)
            .expires(self.at, retention)
            .time(AT, self.at)
            .text(ACTOR, &self.actor)
            .text(ACTION, &self.action)
            .optional_text(FROM, self.from.as_ref())
            .optional_text(TO, self.to.as_ref())
            .optional_text(REASON, self.reason.as_ref())
            .finish()
    }

    fn decode(item: &Item) -> Result<Self, DecodeError> {
        let reader = Reader::new(WHAT, item);
        let json = |name| reader.has(name).then(|| reader.parsed::<Value>(name)).transpose();
        Ok(Self {
            at: reader.time(AT)?,
            actor: reader.parsed(ACTOR)?,
            action: reader.text(ACTION)?.to_owned(),
            from: json(FROM)?,
            to: json(TO)?,
            reason: reader.optional_text(REASON)?,
        })
    }
}

impl Tenancy {
    /// The write of an entry, for the transaction of the change it tells of.
    pub(super) fn audit(&self, scope: &AuditScope, entry: &AuditEntry) -> TransactWriteItem {
        // Changes of one millisecond stand in the order in which this process made them.
        let turn = self.audit_turns.fetch_add(1, Ordering::Relaxed);
        let id = self.entropy.uuid_v7(entry.at);
        let sk = format!("{:015}#{turn:08x}-{id}", entry.at.timestamp_millis());
        self.put(entry.encode(&Key::new(scope.partition(), sk), self.retention), None)
    }

    /// A page of a log, newest first.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn audit_log(
        &self,
        scope: &AuditScope,
        request: &PageRequest,
    ) -> Result<Page<AuditEntry>, TenancyError> {
        let listing = Listing {
            operation: "read audit log".into(),
            pk: scope.partition(),
            prefix: "",
            newest_first: true,
        };
        let mut page = self.page(&listing, request, AuditEntry::decode).await?;
        // DynamoDB removes what has expired within days. All that is older has expired too.
        let now = self.clock.now();
        let is_kept = |entry: &AuditEntry| self.retention.is_none_or(|retention| now < entry.at + retention);
        let kept = page.items.iter().take_while(|entry| is_kept(entry)).count();
        page.end_behind(kept);
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn entries_round_trip() {
        let at = rules::time::parse("2026-01-31T09:30:00.123Z").unwrap();
        let whole = AuditEntry {
            at,
            actor: Actor::Key("a:b".to_owned()),
            action: "serverState.changed".to_owned(),
            from: Some(json!("running")),
            to: Some(json!({"x": [1, null]})),
            reason: Some("night".to_owned()),
        };
        for entry in [whole, AuditEntry::new(at, &Actor::Admin, "company.deleted")] {
            let item = entry.encode(&Key::new("AUDIT#acme", "1"), Some(TimeDelta::days(365)));
            assert_eq!(AuditEntry::decode(&item), Ok(entry));
        }
    }
}
