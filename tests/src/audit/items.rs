//! The auditor's own reading of the work table.

use super::evidence::{Finding, Subject};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::BTreeMap;

/// One item, flat: attribute to text.
#[derive(Debug, Clone, Default)]
pub struct Item(BTreeMap<String, String>);

impl Item {
    /// Reads DynamoDB's JSON.
    pub fn of(value: &Value) -> Self {
        let attributes = value.as_object().into_iter().flatten();
        let flat = attributes.filter_map(|(name, typed)| {
            let text = typed.as_object()?.values().next()?;
            Some((name.clone(), text.as_str().map_or_else(|| text.to_string(), str::to_owned)))
        });
        Self(flat.collect())
    }

    /// An attribute's text; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Whether it has the attribute.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A number; 0 if there is none.
    pub fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or_default()
    }

    /// An instant in Unix milliseconds.
    pub fn instant(&self, name: &str) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.0.get(name)?.parse().ok()?)
    }
}

/// An item with what lies beside it, by sort key.
#[derive(Debug, Clone, Default)]
pub struct Entity {
    /// The item that carries the state.
    pub item: Option<Item>,
    /// Everything else of its partition.
    pub beside: BTreeMap<String, Item>,
}

impl Entity {
    /// What lies beside it under a prefix, in order of the sort keys.
    pub fn beside<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Item)> {
        let all = self.beside.iter().filter_map(move |(sk, item)| Some((sk.strip_prefix(prefix)?, item)));
        all.filter(|(rest, _)| !rest.is_empty())
    }
}

/// The work table by letter (`A` activities, `N` notifications, `R` reminders, `Q` rules) and subject.
#[derive(Debug, Default)]
pub struct Table(BTreeMap<(char, Subject), Entity>);

impl Table {
    /// Reads the items of a dump.
    pub fn read(items: &[Value]) -> Self {
        let mut table = Self::default();
        for item in items.iter().map(Item::of) {
            let Some((letter, subject)) = subject(item.text("PK")) else { continue };
            let entity = table.0.entry((letter, subject)).or_default();
            match item.text("SK") {
                "ITEM" => entity.item = Some(item),
                sk => drop(entity.beside.insert(sk.to_owned(), item.clone())),
            }
        }
        table
    }

    /// One.
    pub fn get(&self, letter: char, subject: &Subject) -> Option<&Entity> {
        self.0.get(&(letter, subject.clone()))
    }

    /// All of a letter.
    pub fn all(&self, letter: char) -> impl Iterator<Item = (&Subject, &Entity)> {
        self.0
            .iter()
            .filter(move |((of, _), _)| *of == letter)
            .map(|((_, subject), entity)| (subject, entity))
    }
}

/// `A#company/solution#id`.
fn subject(pk: &str) -> Option<(char, Subject)> {
    let mut parts = pk.splitn(3, '#');
    let letter = parts.next()?.chars().next()?;
    Some((letter, Subject { tenant: parts.next()?.to_owned(), id: parts.next()?.to_owned() }))
}

/// Each item stands in exactly one of the indexes `due` and `done`, and in the one where its state belongs.
pub fn places(table: &Table, findings: &mut Vec<Finding>) {
    for letter in ['A', 'N', 'R', 'Q'] {
        for (subject, entity) in table.all(letter) {
            let Some(item) = &entity.item else {
                if letter == 'A' && entity.beside.keys().any(|sk| sk.starts_with("H#")) {
                    findings.push(found(subject, "history or parameter without its item".to_owned()));
                }
                continue;
            };
            let due = [item.has("dp"), item.has("ds")];
            let done = [item.has("fp"), item.has("fs")];
            if due == done || due[0] != due[1] || done[0] != done[1] {
                findings.push(found(subject, format!("in `due` {due:?}, in `done` {done:?}")));
            }
            let waits = match letter {
                'A' => item.text("st") == "READY",
                'N' => item.text("st") == "PENDING",
                // One that was completed or cancelled under its sender's hands waits for what comes of that.
                'R' => item.has("tk") || (item.text("st") == "active" && item.has("n")),
                // A rule is paused, or has ended, or has an occurrence to come.
                _ => item.text("st") == "running" && item.has("n"),
            };
            if letter == 'Q' && !is_rule(item) {
                let next = item.instant("n");
                findings.push(found(subject, format!("a rule that is {}, next {next:?}", item.text("st"))));
            }
            if waits != due[0] {
                findings.push(found(subject, format!("{} stands in the wrong index", item.text("st"))));
            }
        }
    }
}

/// What waits never expires; and what DynamoDB removes by itself has nothing beside it that would be left.
pub fn expiry(table: &Table, findings: &mut Vec<Finding>) {
    for letter in ['A', 'N', 'R', 'Q'] {
        for (subject, entity) in table.all(letter) {
            let Some(item) = &entity.item else { continue };
            let mut report = |what: String| {
                findings.push(Finding { property: "expiry", subject: subject.clone(), what });
            };
            let (by_ttl, by_roller) = (item.has("xp"), item.has("ku"));
            if item.has("dp") && (by_ttl || by_roller) {
                report(format!("{} waits, and expires", item.text("st")));
            }
            if by_ttl && by_roller {
                report("expires in two ways".to_owned());
            }
            // A result that met no activity expires by itself, wherever it lies.
            let left = entity.beside.iter().find(|(sk, item)| !item.has("xp") && *sk != "EARLY");
            if let Some((sk, _)) = left.filter(|_| by_ttl) {
                report(format!("expires, and would leave {sk} behind"));
            }
            // Whole days, of which one is the least.
            let ended = item.instant("x");
            let expires = item.number("xp").max(item.number("ku"));
            if letter == 'A' && expires > 0 && ended.is_some_and(|at| expires < at.timestamp() + 86_400) {
                report(format!("ended at {ended:?}, and expires at {expires}"));
            }
        }
    }
}

/// Whether a rule's state and its next occurrence fit: one that runs has one, one that has ended has none.
fn is_rule(item: &Item) -> bool {
    match item.text("st") {
        "running" => item.has("n"),
        "ended" => !item.has("n"),
        status => status == "paused",
    }
}

fn found(subject: &Subject, what: String) -> Finding {
    Finding { property: "one-index", subject: subject.clone(), what }
}
