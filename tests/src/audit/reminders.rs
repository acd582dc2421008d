//! Reminders: every send time is brought to its end, one message at a time for a recipient, and each attempt is
//! told (SPEC §6).

use super::activities::rolled;
use super::catch_up::CatchUp;
use super::duplicates::{Told, unexplained};
use super::evidence::{Arrival, Evidence, Exchange, Finding, Subject};
use super::items::{Entity, Item, Table};
use super::wishes::Wishes;
use chrono::DateTime;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Failures after which the next send time follows.
const FAILURES_MAX: usize = 5;

/// What was asked of one reminder.
#[derive(Default)]
struct Asked<'a> {
    /// Writes that may have been done.
    puts: Vec<&'a Exchange>,
    /// Deletes that may have been done.
    deletes: Vec<&'a Exchange>,
}

impl Asked<'_> {
    fn is_accepted(&self) -> bool {
        self.puts.iter().any(|put| put.is_done())
    }

    /// It was called off for certain, and nothing was written since. What was not answered may take effect later.
    fn is_called_off(&self) -> bool {
        let stands =
            |delete: &Exchange| self.puts.iter().all(|put| put.is_done() && put.answered < delete.asked);
        self.deletes.iter().any(|delete| delete.is_done() && stands(delete))
    }

    /// Its send times, in milliseconds; `None` if it was written anew, with others.
    fn times(&self) -> Option<BTreeSet<i64>> {
        let (first, rest) = self.puts.split_first()?;
        let times = first.body["sendTimes"].as_array()?;
        let time = |time: &Value| Some(DateTime::parse_from_rfc3339(time.as_str()?).ok()?.timestamp_millis());
        if rest.iter().any(|put| put.body != first.body) {
            return None;
        }
        times.iter().map(time).collect()
    }
}

/// Checks reminders.
pub fn check(evidence: &Evidence, table: &Table, wishes: &Wishes, findings: &mut Vec<Finding>) {
    let asked = asked(&evidence.exchanges);
    let hooked = hooked(&evidence.exchanges);
    let rolled = rolled(evidence);
    let mut report = |subject: &Subject, what: String| {
        findings.push(Finding { property: "reminder", subject: subject.clone(), what });
    };
    for (subject, _) in asked.iter().filter(|(_, asked)| asked.is_accepted()) {
        if table.get('R', subject).is_none_or(|entity| entity.item.is_none()) {
            report(subject, "was accepted, and is gone".to_owned());
        }
    }
    let by_hand = evidence.exchanges.iter().any(|one| one.path.starts_with("/api/reminder/item/send"));
    for (subject, entity) in table.all('R') {
        let Some(item) = &entity.item else { continue };
        let Some(asked) = asked.get(subject) else {
            report(subject, "is in the table, and nobody asked for it".to_owned());
            continue;
        };
        let arrivals: Vec<&Arrival> = dialogs(evidence, subject).collect();
        let (times, skipped) = history(entity);
        let states = wishes.states.get(&subject.tenant).map_or(&[][..], Vec::as_slice);
        wrong_skips(evidence, asked, item, &times, &skipped, states)
            .into_iter()
            .for_each(|what| report(subject, what));
        wrong_end(asked, item, &times, &skipped).into_iter().for_each(|what| report(subject, what));
        wrong_history(item, entity, &times, by_hand).into_iter().for_each(|what| report(subject, what));
        faults(evidence, item, &times, &arrivals).into_iter().for_each(|what| report(subject, what));
        if !hooked.contains(&subject.tenant) {
            continue;
        }
        for (sequence, entry) in entity.beside("H#") {
            let number = sequence.trim_start_matches('0');
            let id = format!("reminder-webhook:{}:{number}", subject.id);
            let hook = Subject { tenant: subject.tenant.clone(), id };
            let is_told =
                table.get('A', &hook).is_some_and(|entity| entity.item.is_some()) || rolled.contains(&hook);
            if is_told == is_skip(entry) {
                report(subject, format!("entry {number} is told by a webhook: {is_told}"));
            }
        }
    }
    one_at_a_time(evidence, findings);
}

/// Its attempts, by the send time that they were about, in the order in which they began.
type Attempts<'a> = BTreeMap<i64, Vec<&'a Item>>;

/// Its attempts, and the send times that were skipped.
fn history(entity: &Entity) -> (Attempts<'_>, BTreeSet<i64>) {
    let (mut times, mut skipped) = (Attempts::new(), BTreeSet::new());
    for (_, entry) in entity.beside("H#") {
        match is_skip(entry) {
            true => drop(skipped.insert(entry.number("t"))),
            false => times.entry(entry.number("t")).or_default().push(entry),
        }
    }
    (times, skipped)
}

fn is_skip(entry: &Item) -> bool {
    entry.text("o") == "Skipped"
}

/// What is wrong with what was skipped: more or less than `catchUp` leaves out, or sent all the same.
fn wrong_skips(
    evidence: &Evidence,
    asked: &Asked<'_>,
    item: &Item,
    times: &Attempts<'_>,
    skipped: &BTreeSet<i64>,
    states: &[super::wishes::StateChange],
) -> Vec<String> {
    let mut faults = Vec::new();
    let (Some(of), Some(put)) = (asked.times(), asked.puts.first()) else { return faults };
    let choice = put.body["catchUp"].as_str().unwrap_or("all");
    let catch_up = CatchUp::of(evidence, choice, &of, &asked.puts, states);
    for time in &of {
        let (attempted, is_skipped) = (times.contains_key(time), skipped.contains(time));
        if is_skipped && attempted {
            faults.push(format!("the send time {time} was skipped, and attempted"));
        }
        if is_skipped && !catch_up.may_skip(*time) {
            faults.push(format!("the send time {time} was skipped, and catchUp is {choice}"));
        }
        if attempted && catch_up.must_skip(*time) {
            faults.push(format!("the send time {time} was missed and attempted, and catchUp is {choice}"));
        }
        // One that was cancelled may have been cancelled before.
        if !is_skipped && catch_up.must_skip(*time) && item.text("st") == "completed" {
            faults
                .push(format!("nothing is told of the send time {time}, which catchUp {choice} leaves out"));
        }
    }
    faults
}

fn is_sent(entries: &[&Item]) -> bool {
    entries.iter().any(|entry| entry.text("o") == "Sent")
}

/// What is wrong with how it stands: completed or in review before every send time was sent, given up or skipped, or in the
/// other one's place; cancelled though nobody asked, or not though somebody did.
fn wrong_end(asked: &Asked<'_>, item: &Item, times: &Attempts<'_>, skipped: &BTreeSet<i64>) -> Vec<String> {
    let mut faults = Vec::new();
    let status = item.text("st");
    match status {
        "cancelled" if asked.deletes.is_empty() => {
            faults.push("cancelled, and nobody asked for it".to_owned());
        }
        "cancelled" => {}
        _ if asked.is_called_off() => faults.push(format!("{status}, and it was called off")),
        _ => {}
    }
    let (done, wanted) = match (status, item.has("n")) {
        ("completed", _) => ("completed", true),
        ("active", false) => ("in review", false),
        _ => return faults,
    };
    let Some(asked) = asked.times() else { return faults };
    for time in &asked {
        let entries = times.get(time).map_or(&[][..], Vec::as_slice);
        if !is_sent(entries) && entries.len() < FAILURES_MAX && !skipped.contains(time) {
            faults.push(format!("{done}, and the send time {time} was tried {} times", entries.len()));
        }
    }
    // The last send time says which of the two it is.
    let last = asked.last().and_then(|last| times.get(last));
    if last.is_some_and(|entries| is_sent(entries) != wanted) {
        faults.push(format!("{done}, and its last send time was {}sent", if wanted { "not " } else { "" }));
    }
    faults
}

/// What is wrong with what is told: each send time's attempts are numbered without a gap, none follows one that was sent,
/// and the item counts as many. Numbers of attempts that were not made are used up, so the sequence itself may have gaps.
fn wrong_history(item: &Item, entity: &Entity, times: &Attempts<'_>, by_hand: bool) -> Vec<String> {
    let mut faults = Vec::new();
    for (time, entries) in times {
        if entries.len() > FAILURES_MAX {
            faults.push(format!("{} attempts at the send time {time}", entries.len()));
        }
        let sent = entries.iter().position(|entry| entry.text("o") == "Sent");
        if sent.is_some_and(|sent| sent + 1 < entries.len()) {
            faults.push(format!("attempts at the send time {time} after it was sent"));
        }
        let numbers: Vec<i64> = entries.iter().map(|entry| entry.number("a")).collect();
        // One that is sent by hand in review is counted anew.
        if !by_hand && numbers != (1..=numbers.len() as i64).collect::<Vec<_>>() {
            faults.push(format!("the attempts at the send time {time} have the numbers {numbers:?}"));
        }
    }
    let last = entity.beside("H#").last().and_then(|(sequence, _)| sequence.parse::<i64>().ok());
    if last.is_some_and(|last| last > item.number("q")) {
        faults.push(format!("attempt {last:?} is told, and {} were begun", item.number("q")));
    }
    if item.text("st") == "active" && item.has("n") && !item.has("tk") {
        let told = times.get(&item.number("n")).map_or(0, Vec::len) as i64;
        if told != item.number("a") {
            faults.push(format!("{} attempts at its next send time, and {told} are told", item.number("a")));
        }
    }
    faults
}

/// What is wrong with what arrived.
fn faults(evidence: &Evidence, item: &Item, times: &Attempts<'_>, arrivals: &[&Arrival]) -> Vec<String> {
    let mut faults = Vec::new();
    if item.has("dp") && item.instant("n").is_none_or(|next| next + evidence.tolerance() < evidence.ended) {
        faults.push(format!("still pending at the end, for {:?}", item.instant("n")));
    }
    let mut keys: BTreeMap<&str, Vec<&Arrival>> = BTreeMap::new();
    arrivals.iter().for_each(|one| keys.entry(one.key()).or_default().push(one));
    for (key, arrivals) in keys {
        let time = key.split_once(':').map_or("", |(_, time)| time);
        let Some(time) = DateTime::parse_from_rfc3339(time).ok().map(|time| time.to_utc()) else {
            faults.push(format!("arrived under the key {key}"));
            continue;
        };
        let entries = times.get(&time.timestamp_millis()).map_or(&[][..], Vec::as_slice);
        if arrivals.len() > entries.len() + usize::from(item.has("tk")) {
            faults.push(format!(
                "arrived {} times for {time}, and {} are told",
                arrivals.len(),
                entries.len()
            ));
        }
        if arrivals.first().is_some_and(|first| first.at + evidence.tolerance() < time) {
            faults.push(format!("arrived before its send time {time}"));
        }
        let told: Vec<Told> = entries
            .iter()
            .filter_map(|entry| Some(Told { at: entry.instant("at")?, outcome: entry.text("o").to_owned() }))
            .collect();
        faults.extend(unexplained(&arrivals, &told, &["SendError"], evidence.tolerance()));
    }
    faults
}

/// A recipient gets one message at a time, however the reminders spell it.
fn one_at_a_time(evidence: &Evidence, findings: &mut Vec<Finding>) {
    let mut recipients: BTreeMap<(String, String), Vec<&Arrival>> = BTreeMap::new();
    for arrival in evidence.arrivals.iter().filter(|one| one.place().starts_with("dialog")) {
        let body: Value = serde_json::from_str(&arrival.body).unwrap_or_default();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let number = number(&text("countryCode"), &text("phoneNumber"));
        recipients.entry((arrival.tenant(), number)).or_default().push(arrival);
    }
    for ((tenant, id), arrivals) in recipients {
        for pair in arrivals.windows(2) {
            if pair[1].at < pair[0].until {
                let what = format!("a message at {} while that of {} was under way", pair[1].at, pair[0].at);
                let subject = Subject { tenant: tenant.clone(), id: id.clone() };
                findings.push(Finding { property: "reminder", subject, what });
            }
        }
    }
}

/// The number that is dialled: what follows a `+` is whole, all else follows the country code.
fn number(country_code: &str, phone_number: &str) -> String {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    match phone_number.starts_with('+') {
        true => digits(phone_number),
        false => digits(country_code) + &digits(phone_number),
    }
}

fn dialogs<'a>(evidence: &'a Evidence, subject: &'a Subject) -> impl Iterator<Item = &'a Arrival> {
    let prefix = format!("{}:", subject.id);
    evidence.arrivals.iter().filter(move |one| {
        one.place().starts_with("dialog") && one.tenant() == subject.tenant && one.key().starts_with(&prefix)
    })
}

fn asked(exchanges: &[Exchange]) -> BTreeMap<Subject, Asked<'_>> {
    let mut all: BTreeMap<Subject, Asked<'_>> = BTreeMap::new();
    for exchange in exchanges.iter().filter(|one| one.may_be_done()) {
        let path = exchange.path.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let ["api", "reminder", company, solution, id] = parts.as_slice() else { continue };
        if matches!(*company, "configuration" | "item") {
            continue;
        }
        let subject = Subject { tenant: format!("{company}/{solution}"), id: (*id).to_owned() };
        let asked = all.entry(subject).or_default();
        match exchange.method.as_str() {
            "PUT" => asked.puts.push(exchange),
            "DELETE" => asked.deletes.push(exchange),
            _ => {}
        }
    }
    all
}

/// Tenants with a webhook.
fn hooked(exchanges: &[Exchange]) -> BTreeSet<String> {
    let mut hooked = BTreeSet::new();
    for exchange in exchanges.iter().filter(|one| one.method == "PUT" && one.is_done()) {
        let Some(tenant) = exchange.path.strip_prefix("/api/reminder/configuration/") else { continue };
        // The last one stands.
        if exchange.body["webhookUrl"].is_null() {
            hooked.remove(tenant);
        } else {
            hooked.insert(tenant.to_owned());
        }
    }
    hooked
}
