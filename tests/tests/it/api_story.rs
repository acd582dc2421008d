//! The description's examples as a story: a company with one of everything.

use crate::api::{ADMIN, Answer, Api};
use crate::api_endpoints::{Endpoint, operations};
use chrono::TimeDelta;
use serde_json::{Value, json};

/// The order in which the examples are a story: what is needed first comes first, what is deleted last.
const FIRST: [&str; 9] = [
    "putCompany",
    "putSolution",
    "putActivityType",
    "putNotificationType",
    "putDispatchConfig",
    "putReminderConfiguration",
    "createActivity",
    "putReminder",
    "putRecurringActivity",
];

/// What comes in between is asked in the order of the description; these in this order, at the end.
const LAST: [&str; 15] = [
    "putServerState",
    "putReminderServerState",
    "setRecurringActivityState",
    "cancelActivity",
    "cancelReminder",
    "deleteNotification",
    "deleteRecurringActivity",
    "deleteReminderConfiguration",
    "deleteDispatchConfig",
    "deleteNotificationType",
    "deleteActivityType",
    "deleteApiKey",
    "deleteSolution",
    "deleteCompany",
    "getDocumentation",
];

/// Its path with the parameters' own examples, in a company.
pub fn path(found: &Endpoint, company: &str) -> String {
    let mut path = found.template.clone();
    for parameter in found.parameters("path") {
        let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
        path = path.replace(&name, parameter["example"].as_str().unwrap());
    }
    let path = path.replace("/acme", &format!("/{company}"));
    let query = found.path().split_once('?').map(|(_, query)| {
        query
            .replace("=acme", &format!("={company}"))
            .replace("=main", "=music")
            .replace("=some-id", "=example-1")
    });
    query.map_or(path.clone(), |query| format!("{path}?{query}"))
}

/// Every operation, in an order in which each has what it needs.
pub fn in_order() -> Vec<Endpoint> {
    let mut found = operations();
    let place = |id: &str| {
        let first = FIRST.iter().position(|name| *name == id);
        let last = LAST.iter().position(|name| *name == id);
        first.or(last.map(|place| 1_000 + place)).unwrap_or(100)
    };
    found.sort_by_key(|found| place(found.id()));
    found
}

/// A body whose receivers are all the test's own.
fn at_home(body: Value, receiver: &str) -> Value {
    let text = body.to_string();
    let mut parts = text.split("https://");
    let first = parts.next().unwrap().to_owned();
    let home = parts.map(|part| {
        let end = part.find(['/', '"']).unwrap();
        format!("{receiver}{}", &part[end..])
    });
    serde_json::from_str(&home.fold(first, |text, part| text + &part)).unwrap()
}

/// A company, and the API that it is told to.
pub struct Story {
    pub api: Api,
    company: String,
}

impl Story {
    /// One that has not begun.
    pub async fn new(company: &str) -> Self {
        Self { api: Api::new().await, company: company.to_owned() }
    }

    /// One of everything, made by the admin; nothing is deleted.
    pub async fn told(api: Api, company: &str) -> Self {
        let story = Self { api, company: company.to_owned() };
        let also = ["createApiKey", "publishNotification"];
        let made =
            in_order().into_iter().filter(|found| FIRST.contains(&found.id()) || also.contains(&found.id()));
        for found in made {
            for (body, answer) in story.tell(&found).await {
                assert!(matches!(answer.status, 200 | 201), "{} {body:?} {}", found.id(), answer.text);
            }
        }
        story
    }

    /// The operation with each of its examples, by the admin.
    pub async fn tell(&self, found: &Endpoint) -> Vec<(Option<Value>, Answer)> {
        let (receiver, mut told) = (self.api.world.receiver.url(), Vec::new());
        let solution = format!("/v1/companies/{}/solutions/music", self.company);
        match found.id() {
            // What still waits for the type, and is in the solution.
            "deleteActivityType" => {
                let all = json!({"filter": {}, "action": "cancel"});
                self.api.post(&format!("{solution}/activities/bulk"), all).await.expect(200);
            }
            // Both endpoints pause the solution, and what is paused is not changed by pausing it.
            "putReminderServerState" => {
                let running = json!({"serverState": "running"});
                self.api.put(&format!("{solution}/server-state"), running).await.expect(200);
            }
            _ => {}
        }
        let mut bodies: Vec<Option<Value>> = found.bodies().into_iter().map(Some).collect();
        if bodies.is_empty() {
            bodies.push(found.body.clone());
        }
        for body in bodies {
            self.api.world.clock.advance(TimeDelta::seconds(5));
            let body = body.map(|body| at_home(body, &receiver));
            let answer =
                self.api.call_as(ADMIN, &found.method, &path(found, &self.company), body.clone()).await;
            told.push((body, answer));
        }
        told
    }
}
