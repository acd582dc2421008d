//! No occurrence of a rule is missing, and none is there twice (SPEC §5).
//!
//! The auditor knows one kind of rule: every so many minutes (`*/5 * * * *`), in UTC, with a begin and an end,
//! and with everything missed made up for.

use super::activities::rolled;
use super::evidence::{Evidence, Finding, Subject};
use super::items::Table;
use super::paths::{Path, tenant_path};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

struct Rule {
    /// From when on it certainly was there.
    known: Option<DateTime<Utc>>,
    start: i64,
    end: i64,
    every: i64,
    /// When its state was last asked for, and whether it certainly runs since then.
    state: Option<(DateTime<Utc>, bool)>,
}

/// Checks the occurrences of rules.
pub fn check(evidence: &Evidence, table: &Table, findings: &mut Vec<Finding>) {
    let rolled = rolled(evidence);
    let rules = rules(evidence);
    let mut report = |subject: &Subject, what: String| {
        findings.push(Finding { property: "occurrences", subject: subject.clone(), what });
    };
    for (rule, Rule { known, start, end, every, state }) in &rules {
        let Some(known) = known else { continue };
        // One that may be paused at the end keeps back what is still to come of it, and that alone.
        let item = table.get('Q', rule).and_then(|entity| entity.item.as_ref());
        let next = item.filter(|_| state.is_some_and(|(_, runs)| !runs)).and_then(|item| item.instant("n"));
        let first = start.div_euclid(*every) * every;
        let from = *start.max(&(known.timestamp() + 1));
        for at in (first..=*end)
            .step_by(*every as usize)
            .filter(|at| *at >= from && *at <= evidence.ended.timestamp())
            .filter(|at| next.is_none_or(|next| *at < next.timestamp()))
        {
            let subject = Subject { tenant: rule.tenant.clone(), id: format!("{}@{at}", rule.id) };
            let there = table.get('A', &subject).is_some_and(|entity| entity.item.is_some());
            if !there && !rolled.contains(&subject) {
                report(&subject, "an occurrence is missing".to_owned());
            }
        }
    }
    let made = table.all('A').filter(|(_, entity)| entity.item.is_some()).map(|(subject, _)| subject);
    let all: BTreeSet<&Subject> = made.chain(&rolled).filter(|subject| subject.id.contains('@')).collect();
    for subject in all {
        let (name, at) = subject.id.split_once('@').unwrap_or((&subject.id, ""));
        let rule = rules.get(&Subject { tenant: subject.tenant.clone(), id: name.to_owned() });
        let fits = |rule: &Rule, at: i64| at >= rule.start && at <= rule.end && at % rule.every == 0;
        if !rule.zip(at.parse().ok()).is_some_and(|(rule, at)| fits(rule, at)) {
            report(subject, "is no occurrence of any rule".to_owned());
        }
    }
}

fn rules(evidence: &Evidence) -> BTreeMap<Subject, Rule> {
    let mut rules: BTreeMap<Subject, Rule> = BTreeMap::new();
    for exchange in evidence.exchanges.iter().filter(|one| one.method == "PUT" && one.may_be_done()) {
        let Some(Path { tenant, rest }) = tenant_path(exchange) else { continue };
        let ["recurring-activities", name] = rest.as_slice() else { continue };
        let seconds = |value: &Value| {
            let at = DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
            Some(at.timestamp() + i64::from(at.timestamp_subsec_nanos() > 0))
        };
        let every = exchange.body["expression"]
            .as_str()
            .and_then(|text| text.strip_prefix("*/")?.split(' ').next()?.parse::<i64>().ok());
        let (Some(start), Some(end), Some(every)) =
            (seconds(&exchange.body["startAt"]), seconds(&exchange.body["endAt"]), every)
        else {
            continue;
        };
        let rule = rules.entry(Subject { tenant, id: (*name).to_owned() });
        let rule = rule.or_insert(Rule { known: None, start, end, every: every * 60, state: None });
        if exchange.is_done() {
            rule.known = rule.known.into_iter().chain([exchange.answered]).min();
        }
    }
    let puts = evidence.exchanges.iter().filter(|one| one.method == "PUT" && one.may_be_done());
    for exchange in puts {
        let Some(Path { tenant, rest }) = tenant_path(exchange) else { continue };
        let ["recurring-activities", name, "server-state"] = rest.as_slice() else { continue };
        let Some(rule) = rules.get_mut(&Subject { tenant, id: (*name).to_owned() }) else { continue };
        let runs = exchange.is_done() && exchange.body["serverState"] == "running";
        rule.state = rule.state.into_iter().chain([(exchange.answered, runs)]).max();
    }
    rules
}
