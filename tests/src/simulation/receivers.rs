//! Receivers: they answer well, badly, late, or never.

use super::gate::{Asked, Call, Reply};
use super::plan::{Op, RECEIVERS, TENANTS, base};
use super::world::{Event, World};
use crate::audit::{Arrival, executed};
use bytes::Bytes;
use chrono::TimeDelta;
use http::StatusCode;
use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use serde_json::{Value, json};
use shared::outbound::{Answer, BodyEnd, OutboundRequest, OutboundResult, SendError};

/// What a receiver does with a call.
enum Conduct {
    /// Answers with a status after so many milliseconds.
    Answers(u16, i64),
    /// Is not there.
    Away,
    /// Takes it and hangs up before the answer is through; with the status that it would have had.
    Cuts(u16),
    /// Answers after the caller gave up, or never.
    Hangs(Option<u16>),
}

impl World {
    /// A call goes out to a receiver.
    pub async fn receive(&mut self, call: Call) {
        let Call { process, asked, reply, .. } = call;
        let (Asked::Receiver(request), Reply::Receiver(reply)) = (asked, reply) else { return };
        let request = match self.mutation {
            Some(mutation) => mutation.outgoing(self.arrivals.len(), request),
            None => request,
        };
        let now = self.time.now();
        let conduct = self.conduct(&request.url);
        let timeout = TimeDelta::from_std(request.timeout).unwrap_or(TimeDelta::MAX);
        let (arrives, status, answered, result) = match conduct {
            Conduct::Answers(status, after) if TimeDelta::milliseconds(after) < timeout => {
                let answered = now + TimeDelta::milliseconds(after);
                (true, Some(status), answered, answer(status, &request, self.arrivals.len()))
            }
            Conduct::Away => (false, None, now, Err(SendError::Connect("connection refused".to_owned()))),
            Conduct::Cuts(status) => {
                let answered = now + TimeDelta::milliseconds(50);
                let result = Err(SendError::Protocol("connection reset".to_owned()));
                (true, Some(status), answered, result)
            }
            Conduct::Answers(..) => {
                (true, Some(200), now + timeout, Err(SendError::Timeout(request.timeout)))
            }
            Conduct::Hangs(status) => (true, status, now + timeout, Err(SendError::Timeout(request.timeout))),
        };
        let mut arrival = arrival(&request, now, status, answered);
        arrival.item = self.item_called(&arrival).await;
        let kind = if arrives { "arrives" } else { "does not arrive" };
        self.note(&format!(
            "p{process} calls {} [{}] -- {kind}, {status:?} at {}",
            request.url,
            arrival.key(),
            answered.format("%H:%M:%S%.3f")
        ));
        if arrives {
            self.arrivals.push(arrival);
        }
        if let Ok(answer) = &result
            && arrives
            && request.url.contains("/yom/")
        {
            let told = answer.body().clone();
            self.provider_reports(&request, &told);
        }
        let result = match self.mutation {
            Some(mutation) => mutation.answered(&request.url, result),
            None => result,
        };
        self.post(answered, Event::Told(process, reply, result));
    }

    /// The item of the activity that is called, as the table has it now.
    async fn item_called(&mut self, arrival: &Arrival) -> Option<Value> {
        let subject = executed(arrival)?;
        let key = json!({"PK": {"S": format!("A#{}#{}", subject.tenant, subject.id)}, "SK": {"S": "ITEM"}});
        let body = json!({"TableName": self.settings.work_table, "ConsistentRead": true, "Key": key});
        let answer = self.perform("DynamoDB_20120810.GetItem", body.to_string().into()).await;
        let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        Some(answer["Item"].clone())
    }

    /// A provider tells later, or at once, or twice, what came of an activity that it took.
    fn provider_reports(&mut self, request: &OutboundRequest, told: &Bytes) {
        let told: Value = serde_json::from_slice(told).unwrap_or_default();
        let Some(provided) = told["id"].as_str() else { return };
        let Some(tenant) = TENANTS.into_iter().find(|(company, solution)| {
            request.url.starts_with(&format!("{RECEIVERS}/{company}/{solution}/"))
        }) else {
            return;
        };
        for number in 0..self.dice.pick(&[0, 1, 1, 2]) {
            let after = self.dice.pick(&[0, 200, 1_500, 40_000]);
            let at = self.time.now() + TimeDelta::milliseconds(after);
            let status = self.dice.pick(&[
                "COMPLETED",
                "COMPLETED",
                "NOT_EXECUTED",
                "CANCELED",
                "PENDING",
                "TRANSFERRED",
            ]);
            let id = format!("res-{provided}-{number}");
            let mut body = json!({"id": id, "occurredAt": at.to_rfc3339(), "status": status});
            if self.dice.chance(600) {
                body["providerActivityId"] = json!(provided);
            } else {
                let named = provided.strip_prefix("p-").and_then(|id| id.rsplit_once('-'));
                body["activityId"] = json!(named.map_or("", |(id, _)| id));
            }
            let path = format!("{}/activity-results", base(tenant));
            let op = Op { company: Some(tenant.0), method: "POST", path, body, repeats: 4 };
            self.post(at, Event::Ask(Box::new(op), 0));
        }
    }

    fn conduct(&mut self, url: &str) -> Conduct {
        let soon = self.dice.between(1, 900);
        let fails = self.crowd.filter(|_| !self.is_calm);
        if fails.is_some_and(|(company, solution)| url.contains(&format!("/{company}/{solution}/"))) {
            return if self.dice.chance(500) { Conduct::Hangs(None) } else { Conduct::Answers(503, soon) };
        }
        if !self.dice.chance(self.faults.receiver) {
            return Conduct::Answers(self.dice.pick(&[200, 201, 204]), soon);
        }
        match self.dice.below(8) {
            0 => Conduct::Away,
            1 => Conduct::Cuts(200),
            2 => Conduct::Hangs(None),
            3 => Conduct::Hangs(Some(200)),
            4 => Conduct::Answers(200, self.dice.between(900, 12_000)),
            5 => Conduct::Answers(self.dice.pick(&[429, 503]), soon),
            _ => Conduct::Answers(self.dice.pick(&[400, 404, 500, 302]), soon),
        }
    }
}

fn answer(status: u16, request: &OutboundRequest, number: usize) -> OutboundResult {
    // Longer than the wait of most policies, which it may not shorten.
    let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("45"))]);
    let status = StatusCode::from_u16(status).unwrap_or_default();
    let body = if request.url.contains("/yom/") {
        let asked: Value =
            serde_json::from_slice(request.body.as_deref().unwrap_or_default()).unwrap_or_default();
        let id = asked["activity"]["id"].as_str().unwrap_or_default();
        json!({"id": format!("p-{id}-{number}")}).to_string()
    } else {
        String::new()
    };
    Ok(Answer::new(status, &headers, Bytes::from(body), BodyEnd::Complete))
}

fn arrival(
    request: &OutboundRequest,
    at: chrono::DateTime<chrono::Utc>,
    status: Option<u16>,
    until: chrono::DateTime<chrono::Utc>,
) -> Arrival {
    let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    Arrival {
        at,
        method: request.method.to_string(),
        url: request.url.clone(),
        headers: request.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: request
            .body
            .as_ref()
            .map(|body| String::from_utf8_lossy(body).into_owned())
            .unwrap_or_default(),
        status,
        until,
        item: None,
    }
}
