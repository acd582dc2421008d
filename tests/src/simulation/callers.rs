//! Callers of the API: they wait so long, and ask again if no good answer comes.

use super::plan::Op;
use super::process::{Role, Work};
use super::world::{Asking, Event, World};
use crate::audit::Exchange;
use chrono::TimeDelta;
use serde_json::Value;

/// The longest time that a caller waits for an answer, as API Gateway does.
const CALLER_PATIENCE: TimeDelta = TimeDelta::seconds(30);

impl World {
    pub(super) fn ask_api(&mut self, op: Box<Op>, tries: u32) {
        let key = op.company.and_then(|company| self.keys.get(company).cloned());
        let key = key.unwrap_or_else(|| local::embedded::TEST_ADMIN_KEY.to_owned());
        let request = http::Request::builder()
            .method(op.method)
            .uri(&op.path)
            .header("x-api-key", key)
            .header("content-type", "application/json");
        let body = if op.body.is_null() { String::new() } else { op.body.to_string() };
        let request =
            request.body(axum::body::Body::from(body.clone())).expect("the plan's requests are well-formed");
        self.note(&format!("asked: {} {} {body}", op.method, op.path));
        let asked = self.time.now();
        // The template routes these two to the function that sends.
        let role = if op.path.starts_with("/api/reminder/item/") { Role::Sender } else { Role::Api };
        let (_, number) = self.begin(role, Work::Request(Box::new(request)));
        self.asking.insert(number, Asking { op, tries, asked, given_up: false });
        self.post(asked + CALLER_PATIENCE, Event::GiveUp(number));
    }

    pub(super) fn answered(&mut self, asking: Asking, status: Option<u16>, answer: Value) {
        let Asking { op, tries, asked, given_up } = asking;
        let (now, status) = (self.time.now(), status.filter(|_| !given_up));
        let good = status.is_some_and(|status| status < 500 && status != 429);
        if op.path.ends_with("/api-keys")
            && let Some(key) = answer["key"].as_str()
        {
            let company =
                ["acme", "beta", "gamma"].into_iter().find(|name| op.path.contains(&format!("/{name}/")));
            self.keys.extend(company.map(|company| (company, key.to_owned())));
        }
        let exchange = Exchange {
            company: op.company.map(str::to_owned),
            method: op.method.to_owned(),
            path: op.path.clone(),
            body: op.body.clone(),
            asked,
            answered: now,
            status,
            answer: if status.is_some() { answer } else { Value::Null },
        };
        if op.company.is_none() && !exchange.is_done() {
            self.failure = Some(format!("setup: {exchange:?}"));
        }
        self.exchanges.push(exchange);
        if !good && tries < op.repeats {
            let at = now + TimeDelta::milliseconds(self.dice.between(200, 8_000));
            self.post(at, Event::Ask(op, tries + 1));
        }
    }
}
