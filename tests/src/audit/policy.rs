//! How many executions an activity may have, worked out from what callers asked (SPEC §3): never from what the system
//! says of it.

use super::evidence::{Exchange, Subject};
use super::paths::{Path, tenant_path};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// `retries` of a type that does not say.
const RETRIES_DEFAULT: i64 = 3;
/// Attempts of what goes through a channel.
const CHANNEL_ATTEMPTS: i64 = 3;
/// The type of reminders' webhooks, which the system makes itself and which so has every default.
const WEBHOOK_TYPE: &str = "reminder-webhook";

/// What was said of types and rules. Where several things were said of one, all are known: any may be what held.
#[derive(Debug, Default)]
pub struct Policies {
    /// Executions, by `company/solution` and type.
    types: BTreeMap<(String, String), BTreeSet<i64>>,
    /// Executions that its reschedule rules may have set after a failure.
    granted: BTreeMap<(String, String), BTreeSet<i64>>,
    /// Reschedule rules, as they were put.
    rules: BTreeMap<(String, String), Vec<Value>>,
    /// Bodies of recurring rules.
    recurring: BTreeMap<Subject, Vec<Value>>,
}

impl Policies {
    /// Sorts the exchanges.
    pub fn of(exchanges: &[Exchange]) -> Self {
        let mut policies = Self::default();
        for exchange in exchanges.iter().filter(|one| one.method == "PUT" && one.may_be_done()) {
            let Some(Path { tenant, rest }) = tenant_path(exchange) else { continue };
            match rest.as_slice() {
                ["activity-types", name] => policies.note_type((tenant, (*name).to_owned()), &exchange.body),
                ["recurring-activities", name] => {
                    let rule = Subject { tenant, id: (*name).to_owned() };
                    policies.recurring.entry(rule).or_default().push(exchange.body.clone());
                }
                _ => {}
            }
        }
        policies
    }

    fn note_type(&mut self, of: (String, String), body: &Value) {
        let rules = body["rescheduleRules"].as_object().into_iter().flatten();
        let granted = rules.filter_map(|(_, rule)| rule["retries"].as_i64());
        self.granted.entry(of.clone()).or_default().extend(granted);
        self.rules.entry(of.clone()).or_default().push(body["rescheduleRules"].clone());
        let retries = body["retries"].as_i64().unwrap_or(RETRIES_DEFAULT);
        self.types.entry(of).or_default().insert(executions(retries));
    }

    /// The executions that an activity may have that was asked for with `body`; nothing if nobody can know.
    pub fn asked(&self, tenant: &str, body: &Value) -> BTreeSet<i64> {
        if body["channel"].is_string() {
            return [CHANNEL_ATTEMPTS].into();
        }
        match body["retries"].as_i64() {
            Some(retries) => [executions(retries)].into(),
            None => self.of_type(tenant, body["activityType"].as_str().unwrap_or_default()),
        }
    }

    /// The same for one that the system made itself: an occurrence of a rule, or a reminder's webhook.
    pub fn of_own(&self, subject: &Subject) -> BTreeSet<i64> {
        if subject.id.starts_with(WEBHOOK_TYPE) {
            let own = self.of_type(&subject.tenant, WEBHOOK_TYPE);
            return own.into_iter().chain([RETRIES_DEFAULT]).collect();
        }
        let name = subject.id.split_once('@').map_or("", |(name, _)| name);
        let rule = Subject { tenant: subject.tenant.clone(), id: name.to_owned() };
        let bodies = self.recurring.get(&rule).into_iter().flatten();
        bodies.flat_map(|body| self.asked(&subject.tenant, body)).collect()
    }

    fn of_type(&self, tenant: &str, name: &str) -> BTreeSet<i64> {
        self.types.get(&(tenant.to_owned(), name.to_owned())).cloned().unwrap_or_default()
    }

    /// What the rules of a kind (`A:` and a type) may have made of that, once an attempt had failed.
    pub fn granted(&self, tenant: &str, kind: &str) -> BTreeSet<i64> {
        let name = kind.strip_prefix("A:").unwrap_or_default();
        self.granted.get(&(tenant.to_owned(), name.to_owned())).cloned().unwrap_or_default()
    }

    /// The fewest executions that there are after the `attempts`-th of a first run has failed, where all that was put of
    /// the type agrees. Of several rules that match, the one that was written first decides, and which that was is not
    /// known any more.
    pub fn fewest_after(&self, tenant: &str, kind: &str, asked: i64, attempts: i64) -> Option<i64> {
        let name = kind.strip_prefix("A:").unwrap_or_default();
        let (first, rest) = self.rules.get(&(tenant.to_owned(), name.to_owned()))?.split_first()?;
        if rest.iter().any(|rules| rules != first) {
            return None;
        }
        let mut may_be = BTreeSet::from([asked]);
        for attempt in 1..=attempts {
            let rules = first.as_object().into_iter().flatten().map(|(_, rule)| rule);
            let matching = rules.filter(|rule| rule["attempt"].as_i64().is_none_or(|at| at == attempt));
            let says: Vec<Option<i64>> = matching.map(|rule| rule["retries"].as_i64()).collect();
            let kept = if says.iter().all(Option::is_some) && !says.is_empty() { None } else { Some(may_be) };
            may_be = kept.into_iter().flatten().chain(says.into_iter().flatten()).collect();
        }
        may_be.first().copied()
    }

    /// The most that a rule of any of the tenant's types grants.
    pub fn granted_most(&self, tenant: &str) -> Option<i64> {
        let of_tenant = self.granted.iter().filter(|((of, _), _)| of == tenant);
        of_tenant.flat_map(|(_, granted)| granted).copied().max()
    }
}

/// `retries` counts executions: it is lowered on each failure, and at or below zero none is left.
fn executions(retries: i64) -> i64 {
    retries.max(1)
}
