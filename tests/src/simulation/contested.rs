//! Seeds in which parents are deleted and put again while others create below them. Everything may go wrong, as in other
//! seeds. What is created is due when all of that is over, so that it waits throughout: either a creation is refused, or
//! the deletion.

use super::dice::Dice;
use super::plan::{Op, Plan, RECEIVERS, TENANTS, admin, base, owner};
use super::process::Role;
use chrono::{DateTime, TimeDelta, Utc};
use rules::parent::DELETION_WAIT;
use serde_json::{Value, json};

/// One in so many seeds is one of these.
const EVERY: u64 = 10;
/// And which of them.
const REMAINDER: u64 = 8;
/// What belongs to types is created here.
const TENANT: (&str, &str) = TENANTS[0];
/// Seconds between the deletions of two parents.
const APART: i64 = 45;

/// Whether the seed is one of these.
pub fn is(seed: u64) -> bool {
    seed % EVERY == REMAINDER
}

/// What is deleted, and what is created below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pair {
    TypeAndActivity,
    TypeAndRule,
    TypeAndNotification,
    ConfigurationAndReminder,
    SolutionAndActivity,
}

use Pair::{
    ConfigurationAndReminder, SolutionAndActivity, TypeAndActivity, TypeAndNotification, TypeAndRule,
};

/// Some parents, one after the other, each with those who want to delete it, to create below it and to put it again.
pub fn plan(dice: &mut Dice, began: DateTime<Utc>) -> Plan {
    let mut setup = Vec::new();
    for company in ["acme", "beta"] {
        setup.push(admin("PUT", format!("/v1/companies/{company}"), json!({})));
        let label = json!({"label": "simulated"});
        setup.push(admin("POST", format!("/v1/companies/{company}/api-keys"), label));
    }
    setup.push(admin("PUT", base(TENANT), json!({})));
    if dice.chance(700) {
        // What is published there is held back, and so waits as well.
        let paused = json!({"serverState": "paused"});
        setup.push(admin("PUT", format!("{}/server-state", base(TENANT)), paused));
    }
    let rounds = dice.between(6, 10);
    let ends = began + TimeDelta::seconds((rounds + 1) * APART);
    let mut story = Story { dice, began, ends, ops: Vec::new() };
    let mut roles = vec![Role::Sweep];
    for number in 0..rounds {
        let pair = story.dice.pick(&[
            TypeAndActivity,
            TypeAndActivity,
            TypeAndRule,
            TypeAndNotification,
            ConfigurationAndReminder,
            SolutionAndActivity,
        ]);
        let parent = Parent::of(pair, number);
        setup.extend(parent.puts(0).into_iter().map(|(path, body)| admin("PUT", path, body)));
        roles.extend(parent.role());
        story.round(number * APART, number, &parent);
    }
    let mut ops = story.ops;
    ops.sort_by_key(|(at, _)| *at);
    roles.sort_unstable();
    roles.dedup();
    Plan { roles, setup, ops, calm: ends + TimeDelta::seconds(APART) }
}

/// A parent, and whose it is.
struct Parent {
    pair: Pair,
    company: &'static str,
    solution: String,
    name: String,
}

impl Parent {
    fn of(pair: Pair, number: i64) -> Self {
        let (company, solution) = match pair {
            SolutionAndActivity => ("beta", format!("s{number}")),
            ConfigurationAndReminder => (TENANT.0, format!("c{number}")),
            TypeAndActivity | TypeAndRule | TypeAndNotification => (TENANT.0, TENANT.1.to_owned()),
        };
        let name = if pair == SolutionAndActivity { "call".to_owned() } else { format!("t{number}") };
        Self { pair, company, solution, name }
    }

    fn role(&self) -> Option<Role> {
        match self.pair {
            TypeAndActivity => None,
            TypeAndRule => Some(Role::Expander),
            TypeAndNotification => Some(Role::Resender),
            ConfigurationAndReminder => Some(Role::Sender),
            SolutionAndActivity => Some(Role::Roller),
        }
    }

    fn tenant(&self) -> (&str, &str) {
        (self.company, &self.solution)
    }

    fn path(&self) -> String {
        let Self { company, solution, name, .. } = self;
        let base = base(self.tenant());
        match self.pair {
            TypeAndActivity | TypeAndRule => format!("{base}/activity-types/{name}"),
            TypeAndNotification => format!("{base}/notification-types/{name}"),
            ConfigurationAndReminder => format!("/api/reminder/configuration/{company}/{solution}"),
            SolutionAndActivity => base,
        }
    }

    /// What makes it, in its `version`, and with it what is needed to create below it.
    fn puts(&self, version: i64) -> Vec<(String, Value)> {
        let place = format!("{RECEIVERS}/{}", owner(self.tenant()));
        let of_type = json!({
            "verb": "POST", "uriPattern": format!("{place}/call/{{id}}"), "retries": 3, "timeoutSeconds": 10 + version,
        });
        let body = match self.pair {
            TypeAndActivity | TypeAndRule => of_type,
            TypeAndNotification => {
                json!({"uri": format!("{place}/note"), "maxRetries": 3, "headers": {"x-version": version.to_string()}})
            }
            ConfigurationAndReminder => json!({
                "notificationKey": "simulated", "accountCode": format!("simulated-{version}"),
                "dialogServiceUri": format!("{place}/dialog"),
            }),
            SolutionAndActivity => {
                let path = format!("{}/activity-types/{}", self.path(), self.name);
                return vec![(self.path(), json!({"qosLevel": 1 + version})), (path, of_type)];
            }
        };
        vec![(self.path(), body)]
    }

    /// What creates `id` below it, due at `due`.
    fn child(&self, id: &str, due: DateTime<Utc>) -> (&'static str, String, Value) {
        let (base, ends) = (base(self.tenant()), (due + TimeDelta::minutes(3)).to_rfc3339());
        let due = due.to_rfc3339();
        let parameter = json!({"id": id, "owner": owner(self.tenant())});
        match self.pair {
            TypeAndActivity | SolutionAndActivity => {
                let body = json!({"activityType": self.name, "id": id, "parameter": parameter, "date": due});
                ("POST", format!("{base}/activities"), body)
            }
            TypeAndRule => {
                let body = json!({
                    "activityType": self.name, "parameter": parameter, "expression": "*/2 * * * *",
                    "startAt": due, "endAt": ends,
                });
                ("PUT", format!("{base}/recurring-activities/{id}"), body)
            }
            TypeAndNotification => {
                let body = json!({"type": self.name, "id": id, "payload": parameter});
                ("POST", format!("{base}/notifications"), body)
            }
            ConfigurationAndReminder => {
                let body = json!({
                    "countryCode": "1", "phoneNumber": "202555010", "notificationTemplateName": "visit",
                    "templateParameters": [{"owner": owner(self.tenant())}], "sendTimes": [due],
                });
                ("PUT", format!("/api/reminder/{}/{}/{id}", self.company, self.solution), body)
            }
        }
    }

    /// A creation that is refused for its body, after the parent was read: the process has it in its cache.
    fn refused(&self) -> (&'static str, String, Value) {
        let body = json!({"activityType": self.name, "id": "refused", "parameter": {}});
        ("POST", format!("{}/activities", base(self.tenant())), body)
    }
}

struct Story<'a> {
    dice: &'a mut Dice,
    began: DateTime<Utc>,
    /// When nothing is deleted any more.
    ends: DateTime<Utc>,
    ops: Vec<(DateTime<Utc>, Op)>,
}

impl Story<'_> {
    fn add(&mut self, after_ms: i64, of: &Parent, (method, path, body): (&'static str, String, Value)) {
        let repeats = self.dice.pick(&[1, 3, 6]);
        let at = self.began + TimeDelta::milliseconds(after_ms);
        self.ops.push((at, Op { company: Some(of.company), method, path, body, repeats }));
    }

    fn put(&mut self, after_ms: i64, of: &Parent, version: i64) {
        for (number, (path, body)) in (0_i64..).zip(of.puts(version)) {
            self.add(after_ms + number * 2_000, of, ("PUT", path, body));
            self.ops.last_mut().into_iter().for_each(|(_, put)| put.repeats = 9);
        }
    }

    fn round(&mut self, second: i64, number: i64, parent: &Parent) {
        let begins = (second + 10) * 1_000;
        let delete = ("DELETE", parent.path(), Value::Null);
        self.add(begins, parent, delete.clone());
        if self.dice.chance(400) {
            let after = self.dice.between(0, 2 * DELETION_WAIT.num_milliseconds());
            self.add(begins + after, parent, delete);
        }
        let wait = DELETION_WAIT.num_milliseconds();
        for child in 0..self.dice.between(1, 2) {
            // When a process is to read the parent, and when a child is to be created; both in relation to the deletion.
            let (read, created) = match self.dice.below(4) {
                // From a cache that has the parent as it was before the mark.
                0 => (-self.dice.between(0, 1_500), self.dice.between(0, 3_500)),
                // About when the deletion ends, and for as long after it as a cache has the parent.
                1 | 2 => (wait - self.dice.between(0, 2_500), wait + self.dice.between(-200, 2_500)),
                _ => (self.dice.between(0, wait), self.dice.between(-200, wait + 4_000)),
            };
            if matches!(parent.pair, TypeAndActivity | SolutionAndActivity) {
                self.add(begins + read, parent, parent.refused());
            }
            self.child(begins + created, parent, &format!("x{number}-{child}"));
        }
        if self.dice.chance(500) {
            let after = wait + self.dice.between(1_000, 15_000);
            self.put(begins + after, parent, 1);
            let after = after + self.dice.between(0, 5_000);
            self.child(begins + after, parent, &format!("x{number}-again"));
            if self.dice.chance(300) {
                self.put(begins + after, parent, 2);
            }
        }
        // So that whatever was accepted, and stands without it, is called or ends.
        self.put((self.ends - self.began).num_milliseconds(), parent, 3);
    }

    fn child(&mut self, after_ms: i64, parent: &Parent, id: &str) {
        let due = self.ends + TimeDelta::seconds(self.dice.between(60, 240));
        self.add(after_ms, parent, parent.child(id, due));
    }
}
