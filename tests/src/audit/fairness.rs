//! Fairness of notifications (SPEC §7): what of one solution is due waits for its own backlog alone, whatever becomes of
//! others' receivers.

use super::evidence::{Evidence, Exchange, Finding, Resending, Subject};
use super::items::{Entity, Table};
use super::paths::{Path, tenant_path};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use std::collections::BTreeMap;

/// One send of a notification: when it could begin, and by when it was over.
struct Send {
    subject: Subject,
    due: DateTime<Utc>,
    over: DateTime<Utc>,
}

/// Checks how late re-sends were.
pub fn check(evidence: &Evidence, table: &Table, findings: &mut Vec<Finding>) {
    let Some(resending) = &evidence.resending else { return };
    let rules = rules(&evidence.exchanges);
    let sends: Vec<Send> = table
        .all('N')
        .flat_map(|(subject, entity)| resends(evidence, resending, &rules, subject, entity))
        .collect();
    for send in &sends {
        let own = sends.iter().filter(|other| {
            other.subject.tenant == send.subject.tenant
                && other.subject.id != send.subject.id
                && (send.due..send.over).contains(&other.over)
        });
        // Each cycle sends so many of a solution, one after the other.
        let cycles = 1 + own.count() as i64 / resending.page;
        let cycle = resending.tick() + resending.call() * i32::try_from(resending.page).unwrap_or(i32::MAX);
        let allowed = cycle * i32::try_from(cycles).unwrap_or(i32::MAX) + resending.call();
        if send.over > send.due + allowed + evidence.tolerance() {
            let late = (send.over - send.due).num_seconds();
            let what = format!(
                "was due at {}, and its send over {late} s later; its own backlog is {cycles} cycles",
                send.due
            );
            findings.push(Finding { property: "fairness", subject: send.subject.clone(), what });
        }
    }
}

/// The sends after the first one, of a notification that nobody touched, the one that is still to come included.
fn resends(
    evidence: &Evidence,
    resending: &Resending,
    rules: &BTreeMap<(String, String), Value>,
    subject: &Subject,
    entity: &Entity,
) -> Vec<Send> {
    let Some(item) = &entity.item else { return Vec::new() };
    let kind = item.text("k").trim_start_matches("N:").to_owned();
    let Some(rules) = rules.get(&(subject.tenant.clone(), kind)) else { return Vec::new() };
    let mut over: Vec<DateTime<Utc>> =
        entity.beside("H#").filter_map(|(_, entry)| entry.instant("at")).collect();
    let failed = over.len();
    match item.text("st") {
        "PUBLISHED" => {
            let prefix = format!("{}:", subject.id);
            let taken = evidence.arrivals.iter().filter(|one| {
                one.is_taken() && one.tenant() == subject.tenant && one.key().starts_with(&prefix)
            });
            over.extend(taken.map(|one| one.until).next_back());
        }
        // Nothing more was seen of it until the end.
        "PENDING" => over.push(evidence.ended),
        _ => {}
    }
    let following = over.iter().skip(1).zip(&over).zip(1..=failed);
    let send = |((over, before), failures): ((&DateTime<Utc>, &DateTime<Utc>), usize)| Send {
        subject: subject.clone(),
        due: *before + wait(resending, rules, failures),
        over: *over,
    };
    following.map(send).filter(|send| send.due <= send.over).collect()
}

/// The wait after so many failures: the first is the same whatever the rules.
fn wait(resending: &Resending, rules: &Value, failures: usize) -> TimeDelta {
    let attempts = failures as i64 - 1;
    if attempts == 0 {
        return TimeDelta::seconds(resending.first_wait_s);
    }
    let mut of = rules.as_object().into_iter().flatten().map(|(_, rule)| rule);
    let rule = of.find(|rule| rule["attempt"].as_i64().is_none_or(|at| at == attempts));
    let seconds = match rule {
        Some(rule) => rule["retryAfterS"].as_i64().unwrap_or(resending.first_wait_s),
        None => resending.first_wait_s * attempts,
    };
    TimeDelta::seconds(seconds)
}

/// The rules of the types, where they have one at most: of several the order decides, which is lost here.
fn rules(exchanges: &[Exchange]) -> BTreeMap<(String, String), Value> {
    let mut rules = BTreeMap::new();
    for exchange in exchanges.iter().filter(|one| one.method == "PUT" && one.is_done()) {
        let Some(Path { tenant, rest }) = tenant_path(exchange) else { continue };
        if let ["notification-types", name] = rest.as_slice()
            && exchange.body["rules"].as_object().is_none_or(|rules| rules.len() <= 1)
        {
            rules.insert((tenant, (*name).to_owned()), exchange.body["rules"].clone());
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const BEGAN: i64 = 1_800_000_000;

    fn evidence(work: Vec<Value>, ended: i64) -> Evidence {
        let put = |tenant: &str| Exchange {
            company: None,
            method: "PUT".to_owned(),
            path: format!("/v1/companies/{}/notification-types/note", tenant.replace('/', "/solutions/")),
            body: json!({"rules": {"soon": {"attempt": 1, "retryAfterS": 30}}}),
            asked: at(0),
            answered: at(0),
            status: Some(201),
            answer: Value::Null,
        };
        Evidence {
            ended: at(ended),
            tolerance_ms: 5_000,
            exchanges: vec![put("acme/main"), put("beta/main")],
            arrivals: Vec::new(),
            work,
            undisturbed: false,
            resending: Some(Resending { tick_s: 60, page: 3, call_s: 10, first_wait_s: 60 }),
            hanging_company: None,
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(BEGAN + seconds, 0).unwrap()
    }

    /// The items of one whose sends failed so many seconds after the beginning.
    fn failed(tenant: &str, id: &str, status: &str, ends: &[i64]) -> Vec<Value> {
        let pk = json!({"S": format!("N#{tenant}#{id}")});
        let mut items =
            vec![json!({"PK": pk, "SK": {"S": "ITEM"}, "st": {"S": status}, "k": {"S": "N:note"}})];
        items.extend(ends.iter().enumerate().map(|(number, end)| {
            let millis = ((BEGAN + end) * 1_000).to_string();
            json!({"PK": pk, "SK": {"S": format!("H#00000#{number:05}")}, "at": {"N": millis}})
        }));
        items
    }

    fn late(work: Vec<Vec<Value>>, ended: i64) -> Vec<String> {
        let evidence = evidence(work.concat(), ended);
        let mut findings = Vec::new();
        check(&evidence, &Table::read(&evidence.work), &mut findings);
        findings.into_iter().map(|finding| finding.subject.to_string()).collect()
    }

    #[test]
    fn one_may_be_as_late_as_a_cycle_and_its_own_backlog() {
        let beta = |over| failed("beta/main", "one", "MAX_RETRIED", &[0, over]);
        assert!(late(vec![beta(60 + 100)], 999).is_empty());
        assert_eq!(late(vec![beta(60 + 106)], 999), ["beta/main one"]);
        let backlog = |tenant: &str| -> Vec<Value> {
            let others = (0..7).map(|n| failed(tenant, &format!("o{n}"), "MAX_RETRIED", &[0, 100 + n]));
            others.flatten().collect()
        };
        assert!(late(vec![beta(60 + 270), backlog("beta/main")], 999).is_empty(), "its own");
        assert_eq!(late(vec![beta(60 + 270), backlog("acme/main")], 999), ["beta/main one"], "another's");
    }

    #[test]
    fn what_is_still_pending_at_the_end_counts() {
        let pending = failed("beta/main", "one", "PENDING", &[0, 60]);
        assert!(late(vec![pending.clone()], 90 + 100).is_empty());
        assert_eq!(late(vec![pending], 90 + 120), ["beta/main one"]);
    }
}
