//! What callers do in a seed: who they are, what they set up, and what they ask for when.

use super::dice::Dice;
use super::process::Role;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

/// Where receivers are; nothing listens there, the calls never leave the process.
pub const RECEIVERS: &str = "http://127.0.0.1:9";

/// A request that a caller makes.
#[derive(Debug, Clone)]
pub struct Op {
    /// Whose key: a company's, or the admin's.
    pub company: Option<&'static str>,
    pub method: &'static str,
    pub path: String,
    pub body: Value,
    /// How often it is repeated if no good answer comes.
    pub repeats: u32,
}

/// A seed's story.
#[derive(Debug)]
pub struct Plan {
    /// The functions whose schedules tick.
    pub roles: Vec<Role>,
    /// Before anything goes wrong, one after the other.
    pub setup: Vec<Op>,
    /// While everything does.
    pub ops: Vec<(DateTime<Utc>, Op)>,
    /// When things calm down.
    pub calm: DateTime<Utc>,
}

/// The tenants: two of one company, one of another.
pub const TENANTS: [(&str, &str); 3] = [("acme", "main"), ("acme", "side"), ("beta", "main")];

pub fn base((company, solution): (&str, &str)) -> String {
    format!("/v1/companies/{company}/solutions/{solution}")
}

/// Whose a body is, as it says itself.
pub fn owner((company, solution): (&str, &str)) -> String {
    format!("{company}/{solution}")
}

impl Plan {
    /// By lot. With `reborn`, a solution is deleted and made again as well.
    pub fn of(dice: &mut Dice, began: DateTime<Utc>, reborn: Option<&mut Dice>) -> Self {
        let tenants = &TENANTS[..dice.pick(&[1, 3, 3])];
        let mut setup = Vec::new();
        for company in ["acme", "beta"] {
            setup.push(admin("PUT", format!("/v1/companies/{company}"), json!({})));
            setup.push(admin(
                "POST",
                format!("/v1/companies/{company}/api-keys"),
                json!({"label": "simulated"}),
            ));
        }
        for tenant in tenants {
            setup.push(admin("PUT", base(*tenant), json!({})));
            setup.push(admin(
                "PUT",
                format!("{}/activity-types/call", base(*tenant)),
                activity_type(dice, *tenant),
            ));
        }
        let minutes = dice.between(4, 25);
        let seconds = minutes * 60;
        let mut script =
            Script { dice, began, seconds, ids: Vec::new(), ops: Vec::new(), roles: vec![Role::Sweep] };
        let extras = script.dice.pick(&[0, 1, 1, 1, 2]);
        for _ in 0..extras {
            let tenant = tenants[script.dice.below(tenants.len())];
            script.extra(tenant, &mut setup);
        }
        let count = script.dice.between(6, 24);
        for number in 0..count {
            let tenant = tenants[script.dice.below(tenants.len())];
            script.something(tenant, number);
        }
        let (mut ops, mut roles) = (script.ops, script.roles);
        if let Some(dice) = reborn {
            setup.extend(super::reborn::setup());
            ops.extend(super::reborn::ops(dice, began));
            if !roles.contains(&Role::Roller) {
                roles.push(Role::Roller);
            }
        }
        ops.sort_by_key(|(at, _)| *at);
        Self { roles, setup, ops, calm: began + TimeDelta::minutes(minutes) }
    }
}

pub(super) fn admin(method: &'static str, path: String, body: Value) -> Op {
    Op { company: None, method, path, body, repeats: 0 }
}

fn activity_type(dice: &mut Dice, (company, solution): (&str, &str)) -> Value {
    let mut body = json!({
        "verb": "POST",
        "uriPattern": format!("{RECEIVERS}/{company}/{solution}/call/{{id}}"),
        "retries": dice.between(0, 4),
        "timeoutSeconds": dice.pick(&[2, 10, 30]),
        "objectIdRef": "object",
    });
    if dice.chance(400) {
        body["rescheduleRules"] = json!({
            "first": {"attempt": 1, "retryAfterS": dice.between(0, 90)},
            "then": {"retryAfterS": dice.between(0, 20), "retries": dice.between(2, 5)},
        });
    }
    body
}

pub(super) struct Script<'a> {
    pub(super) dice: &'a mut Dice,
    pub(super) began: DateTime<Utc>,
    pub(super) seconds: i64,
    /// What was asked for so far: tenant, id, when.
    pub(super) ids: Vec<((&'static str, &'static str), String, i64)>,
    pub(super) ops: Vec<(DateTime<Utc>, Op)>,
    pub(super) roles: Vec<Role>,
}

impl Script<'_> {
    pub(super) fn at(&self, second: i64) -> DateTime<Utc> {
        self.began + TimeDelta::seconds(second)
    }

    pub(super) fn add(
        &mut self,
        second: i64,
        tenant: (&'static str, &'static str),
        method: &'static str,
        path: &str,
        body: Value,
    ) {
        self.add_path(second, tenant, method, format!("{}{path}", base(tenant)), body);
    }

    /// The same for a path of its own.
    pub(super) fn add_path(
        &mut self,
        second: i64,
        (company, _): (&'static str, &'static str),
        method: &'static str,
        path: String,
        body: Value,
    ) {
        let at = self.at(second) + TimeDelta::milliseconds(self.dice.between(0, 999));
        let repeats = self.dice.pick(&[0, 2, 5]);
        self.ops.push((at, Op { company: Some(company), method, path, body, repeats }));
    }

    fn something(&mut self, tenant: (&'static str, &'static str), number: i64) {
        let second = self.dice.between(0, self.seconds * 4 / 5);
        match self.dice.below(20) {
            0..=8 => self.create(tenant, second, &format!("a{number}")),
            9 => self.batch(tenant, second, number),
            10 | 11 => self.pause(tenant, second),
            12 => self.bulk(tenant, second),
            13 => self.add(second, tenant, "GET", "/activities?limit=100", Value::Null),
            _ => self.change(second),
        }
    }

    fn create(&mut self, tenant: (&'static str, &'static str), second: i64, id: &str) {
        let body = self.activity(tenant, second, id);
        self.add(second, tenant, "POST", "/activities", body);
    }

    fn activity(&mut self, tenant: (&'static str, &'static str), second: i64, id: &str) -> Value {
        self.ids.push((tenant, id.to_owned(), second));
        let object = format!("o{}", self.dice.below(3));
        let mut parameter = json!({"id": id, "owner": owner(tenant), "object": object});
        if self.dice.chance(150) {
            parameter["large"] = json!("x".repeat(700));
        }
        let mut body = json!({"activityType": "call", "id": id, "parameter": parameter});
        if self.dice.chance(200) {
            body["retries"] = json!(self.dice.between(0, 5));
        }
        if self.dice.chance(700) {
            let after = self.dice.pick(&[0, 1, 2, 30, 60, 300, 900, 1_000]);
            let date = self.at(second + after) + TimeDelta::milliseconds(self.dice.between(0, 999));
            body["date"] = json!(date.to_rfc3339());
        }
        body
    }

    fn batch(&mut self, tenant: (&'static str, &'static str), second: i64, number: i64) {
        let count = self.dice.between(2, 5);
        let activities: Vec<Value> =
            (0..count).map(|index| self.activity(tenant, second, &format!("b{number}-{index}"))).collect();
        self.add(second, tenant, "POST", "/activities/batch", json!({"activities": activities}));
    }

    fn pause(&mut self, tenant: (&'static str, &'static str), second: i64) {
        self.add(second, tenant, "PUT", "/server-state", json!({"serverState": "paused"}));
        let resumed = second + self.dice.pick(&[3, 20, 120, 400]);
        self.add(resumed, tenant, "PUT", "/server-state", json!({"serverState": "running"}));
    }

    fn bulk(&mut self, tenant: (&'static str, &'static str), second: i64) {
        let action = self.dice.pick(&["reschedule", "cancel", "retry"]);
        let mut body = json!({"filter": {"objectId": format!("o{}", self.dice.below(3))}, "action": action});
        if action == "reschedule" {
            let after = self.dice.pick(&[1, 60]);
            body["date"] = json!(self.at(second + after).to_rfc3339());
        }
        self.add(second, tenant, "POST", "/activities/bulk", body);
    }

    fn change(&mut self, second: i64) {
        if self.ids.is_empty() {
            return;
        }
        let (tenant, id, created) = self.ids[self.dice.below(self.ids.len())].clone();
        let second = second.max(created + self.dice.between(0, 120));
        let path = format!("/activities/{id}");
        match self.dice.below(6) {
            0 => self.add(second, tenant, "DELETE", &path, Value::Null),
            1 => {
                let after = self.dice.pick(&[-5, 1, 40, 1_000]);
                let date = self.at(second + after);
                let body = json!({"date": date.to_rfc3339()});
                self.add(second, tenant, "POST", &format!("{path}/reschedule"), body);
            }
            2 => self.add(second, tenant, "POST", &format!("{path}/dispatch"), Value::Null),
            3 | 4 => self.add(second, tenant, "POST", &format!("{path}/retry"), Value::Null),
            _ => self.add(second, tenant, "GET", &path, Value::Null),
        }
    }
}
