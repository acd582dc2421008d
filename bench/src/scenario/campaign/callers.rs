//! Callers that note every request and its answer, and repeat what was not answered, as good callers do.

use crate::api::TYPE;
use crate::system::Addresses;
use anyhow::{Context, Result};
use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::clock::{Clock, SystemClock};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tests::audit::Exchange;
use tests::simulation::dice::Dice;
use tokio::sync::watch;

/// The solution of all of them.
pub const SOLUTION: &str = "/v1/companies/campaign/solutions/main";
/// A caller gives up waiting for an answer after this, as for one that was cut.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two requests of one caller.
const PAUSE: TimeDelta = TimeDelta::milliseconds(40);
/// Pause before a repetition.
const AGAIN: TimeDelta = TimeDelta::milliseconds(150);
/// Activities of a batch.
const BATCH: usize = 10;
/// The latest date that is asked for, after now.
const AHEAD_MAX_MILLIS: i64 = 4_000;
/// Of a thousand requests, so many are batches, so many are not repeated, and so many are followed by a cancel.
const SELDOM: u32 = 125;

/// Sends requests to wherever the system is now, and notes them.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    place: watch::Receiver<Option<Addresses>>,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
    over: Arc<AtomicBool>,
}

impl Client {
    /// A client of the system, whose place changes with each start.
    pub fn new(place: watch::Receiver<Option<Addresses>>) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        Ok(Self { http, place, exchanges: Arc::default(), over: Arc::default() })
    }

    /// No caller begins anything new.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Every request so far, in order of the answers.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One request; its status, if it was answered in full.
    pub async fn ask(&self, method: &str, path: &str, body: Value) -> Result<(Option<u16>, Value)> {
        let asked = SystemClock.now();
        let place = self.place.borrow().clone();
        let answered = match place {
            None => None,
            Some(place) => self.send(&place, method, path, &body).await.ok(),
        };
        let (status, answer) = match answered {
            Some((status, answer)) => (Some(status), answer),
            None => (None, Value::Null),
        };
        let exchange = Exchange {
            company: None,
            method: method.to_owned(),
            path: path.to_owned(),
            body,
            asked,
            answered: SystemClock.now(),
            status,
            answer: answer.clone(),
        };
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
        Ok((status, answer))
    }

    async fn send(&self, place: &Addresses, method: &str, path: &str, body: &Value) -> Result<(u16, Value)> {
        let url = format!("{}{path}", place.api);
        let mut request = self.http.request(method.parse()?, url).bearer_auth(place.admin_key);
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or_default()))
    }

    /// The same request until it is answered, and not with a failure of the server's; its answer.
    pub async fn insist(&self, method: &str, path: &str, body: Value) -> Result<(u16, Value)> {
        loop {
            match self.ask(method, path, body.clone()).await? {
                (Some(status), answer) if status < 500 && status != 429 => return Ok((status, answer)),
                _ => SystemClock.sleep_until(SystemClock.now() + AGAIN).await,
            }
        }
    }

    /// The campaign's company, solution and type, which posts to `uri` and is retried at once and often.
    pub async fn prepare(&self, uri: &str) -> Result<()> {
        self.insist("PUT", "/v1/companies/campaign", json!({})).await?;
        self.insist("PUT", SOLUTION, json!({})).await?;
        let call = json!({
            "verb": "POST", "uriPattern": format!("{uri}/campaign/main/call/{{id}}"), "timeoutSeconds": 2, "retries": 30,
            "rescheduleRules": { "soon": { "retryAfterS": 1 } },
        });
        let (status, answer) = self.insist("PUT", &format!("{SOLUTION}/activity-types/{TYPE}"), call).await?;
        anyhow::ensure!(status < 300, "the type was refused: {status} {answer}");
        Ok(())
    }

    /// One caller, until the end: gives activities, and now and then calls one off.
    pub async fn live(&self, number: u64, seed: u64) -> Result<()> {
        let mut dice = Dice::new(seed ^ (number << 32));
        let mut given = 0_u64;
        while !self.is_over() {
            let ids: Vec<String> = (0..if dice.chance(SELDOM) { BATCH } else { 1 })
                .map(|_| {
                    given += 1;
                    format!("c{number}-{given}")
                })
                .collect();
            let mut bodies: Vec<Value> = ids.iter().map(|id| activity(id, &mut dice)).collect();
            let (path, body) = match bodies.len() {
                1 => (format!("{SOLUTION}/activities"), bodies.remove(0)),
                _ => (format!("{SOLUTION}/activities/batch"), json!({ "activities": bodies })),
            };
            if dice.chance(SELDOM) {
                self.ask("POST", &path, body).await?;
            } else {
                let (status, answer) = self.insist("POST", &path, body).await?;
                anyhow::ensure!(status < 300, "refused: {status} {answer}");
            }
            if dice.chance(SELDOM) {
                let id = ids.first().context("there is one")?;
                self.ask("DELETE", &format!("{SOLUTION}/activities/{id}"), Value::Null).await?;
            }
            SystemClock.sleep_until(SystemClock.now() + PAUSE).await;
        }
        Ok(())
    }
}

fn activity(id: &str, dice: &mut Dice) -> Value {
    let mut body =
        json!({ "activityType": TYPE, "id": id, "parameter": { "id": id, "owner": "campaign/main" } });
    if dice.chance(500) {
        let ahead = TimeDelta::milliseconds(dice.between(0, AHEAD_MAX_MILLIS));
        body["date"] = json!(rules::time::format(SystemClock.now() + ahead));
    }
    body
}
