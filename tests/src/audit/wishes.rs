//! What callers asked for, sorted by whom it is about.

use super::evidence::{Exchange, Subject};
use super::policy::Policies;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What was asked of one activity.
#[derive(Debug, Default)]
pub struct Wished {
    /// When its acceptance was answered first.
    pub accepted: Option<DateTime<Utc>>,
    /// The executions that it may have by what was asked, in all of its acceptances.
    pub executions: BTreeSet<i64>,
    /// What answers said that it may have.
    pub told: Vec<Told>,
    /// Acceptances that may have been done without an answer that says so.
    pub maybe_accepted: bool,
    /// The earliest date that was ever asked for it; `None` if it was to be sent at once.
    pub dates: Vec<Option<DateTime<Utc>>>,
    /// When cancels were asked and answered; a bulk's too, which may have met others only.
    pub cancels: Vec<Cancel>,
    /// Retries that may have begun a run.
    pub retries: usize,
    /// Results that may have been recorded: their status.
    pub results: Vec<String>,
}

/// What an answer said of the executions.
#[derive(Debug, Clone)]
pub struct Told {
    /// As it was answered.
    pub executions: i64,
    /// It was the answer to the creation itself, so that no rule can have changed it yet.
    pub created: bool,
}

/// A cancel.
#[derive(Debug, Clone, Copy)]
pub struct Cancel {
    /// When its answer came.
    pub answered: DateTime<Utc>,
    /// It was answered that this one is canceled.
    pub certain: bool,
}

/// A change of a solution's state.
#[derive(Debug, Clone)]
pub struct StateChange {
    /// Paused, or running.
    pub paused: bool,
    /// When it was asked for.
    pub asked: DateTime<Utc>,
    /// When its answer came.
    pub answered: DateTime<Utc>,
    /// It was answered that it is done.
    pub certain: bool,
}

/// Everything that callers asked for.
#[derive(Debug, Default)]
pub struct Wishes {
    /// By activity.
    pub activities: BTreeMap<Subject, Wished>,
    /// By `company/solution`, in order of the answers.
    pub states: BTreeMap<String, Vec<StateChange>>,
    /// What bulk changes asked of all of a tenant's activities, those included that the system made itself.
    pub bulk: BTreeMap<String, Wished>,
    /// How many executions activities may have.
    pub policies: Policies,
    /// Rollers' URIs, by `company/solution`: the last that was put.
    pub rolling: BTreeMap<String, Value>,
}

impl Wishes {
    /// Sorts the exchanges.
    pub fn of(exchanges: &[Exchange]) -> Self {
        let mut wishes = Self { policies: Policies::of(exchanges), ..Self::default() };
        // Bulk changes meet what was accepted whenever, so they come last.
        let (bulk, single): (Vec<_>, Vec<_>) = exchanges
            .iter()
            .filter(|one| one.may_be_done())
            .partition(|one| one.path.contains("/activities/bulk"));
        single.into_iter().for_each(|exchange| wishes.note(exchange));
        bulk.into_iter().for_each(|exchange| wishes.note_bulk(exchange));
        wishes
    }

    fn activity(&mut self, tenant: &str, id: &str) -> &mut Wished {
        let subject = Subject { tenant: tenant.to_owned(), id: id.to_owned() };
        self.activities.entry(subject).or_default()
    }

    fn note(&mut self, exchange: &Exchange) {
        let path = exchange.path.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let ["v1", "companies", company, "solutions", solution, rest @ ..] = parts.as_slice() else { return };
        let tenant = format!("{company}/{solution}");
        match (exchange.method.as_str(), rest) {
            ("PUT", []) => drop(self.rolling.insert(tenant, exchange.body.clone())),
            ("PUT", ["server-state"]) => self.states.entry(tenant).or_default().push(StateChange {
                paused: exchange.body["serverState"] == "paused",
                asked: exchange.asked,
                answered: exchange.answered,
                certain: exchange.is_done(),
            }),
            ("POST", ["activities"]) => {
                self.accept(&tenant, exchange, &exchange.body, exchange.status, &exchange.answer)
            }
            ("POST", ["activities", "batch"]) => {
                let asked = exchange.body["activities"].as_array().into_iter().flatten();
                for (number, body) in asked.enumerate() {
                    let result = &exchange.answer["results"][number];
                    let status = result["status"].as_u64().and_then(|status| u16::try_from(status).ok());
                    self.accept(&tenant, exchange, body, status, &Value::Null);
                }
            }
            ("DELETE", ["activities", id]) => {
                let cancel = Cancel { answered: exchange.answered, certain: exchange.is_done() };
                self.activity(&tenant, id).cancels.push(cancel);
            }
            ("POST", ["activities", id, "reschedule"]) => {
                let date = time(&exchange.body["date"]);
                self.activity(&tenant, id).dates.push(date);
            }
            ("POST", ["activities", id, "dispatch"]) => self.activity(&tenant, id).dates.push(None),
            ("POST", ["activities", id, "retry"]) => {
                let wished = self.activity(&tenant, id);
                wished.retries += 1;
                wished.dates.push(None);
            }
            ("POST", ["activity-results"]) => self.result(&tenant, exchange),
            _ => {}
        }
    }

    fn accept(
        &mut self,
        tenant: &str,
        exchange: &Exchange,
        body: &Value,
        status: Option<u16>,
        answer: &Value,
    ) {
        let Some(id) = body["id"].as_str().or_else(|| answer["id"].as_str()) else { return };
        let asked = self.policies.asked(tenant, body);
        let wished = self.activity(tenant, id);
        match status {
            Some(status @ (200 | 201)) => {
                wished.accepted.get_or_insert(exchange.answered);
                wished.executions.extend(asked);
                if let Some(executions) = answer["maxAttempts"].as_i64() {
                    wished.told.push(Told { executions, created: status == 201 });
                }
                wished.dates.push(time(&body["date"]));
            }
            // One that was throttled may have been tried before, without an answer.
            Some(status) if (400..500).contains(&status) && status != 429 => {}
            _ => {
                wished.maybe_accepted = true;
                wished.executions.extend(asked);
                wished.dates.push(time(&body["date"]));
            }
        }
    }

    fn result(&mut self, tenant: &str, exchange: &Exchange) {
        let status = exchange.body["status"].as_str().unwrap_or_default().to_owned();
        // One reported under the provider's id names its activity there: `{id}` and what the provider adds.
        let named = exchange.body["activityId"].as_str().map(str::to_owned);
        let provided = exchange.body["providerActivityId"].as_str();
        let provided =
            provided.and_then(|id| id.strip_prefix("p-")?.rsplit_once('-').map(|(id, _)| id.to_owned()));
        if let Some(id) = named.or(provided) {
            self.activity(tenant, &id).results.push(status);
        }
    }

    fn note_bulk(&mut self, exchange: &Exchange) {
        let parts: Vec<&str> = exchange.path.trim_start_matches('/').split('/').collect();
        let ["v1", "companies", company, "solutions", solution, ..] = parts.as_slice() else { return };
        let tenant = format!("{company}/{solution}");
        let all = self.bulk.entry(tenant.clone()).or_default();
        let known = self.activities.iter_mut().filter(|(subject, _)| subject.tenant == tenant);
        for wished in known.map(|(_, wished)| wished).chain([all]) {
            match exchange.body["action"].as_str() {
                Some("cancel") => wished.cancels.push(Cancel { answered: exchange.answered, certain: false }),
                Some("reschedule") => wished.dates.push(time(&exchange.body["date"])),
                Some("retry") => {
                    wished.retries += 1;
                    wished.dates.push(None);
                }
                _ => {}
            }
        }
    }

    /// What was asked of an activity; of one that the system made itself, what was asked of all.
    pub fn of_activity(&self, subject: &Subject) -> Option<&Wished> {
        self.activities.get(subject).or_else(|| self.bulk.get(&subject.tenant))
    }
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(value.as_str()?).ok()?.to_utc())
}
