//! What callers may have called, and what is never called for them (SPEC §11): every way to name an address that is
//! refused, through every kind of call, from the API to the function that makes it.

use crate::api::{ADMIN, Answer, Api};
use api_ingest::{ApiContext, router};
use axum::Router;
use axum::body::Body;
use chrono::TimeDelta;
use delivery_worker::Worker;
use http::Request;
use log_roller::LogRoller;
use reminder_sender::{Sender, SenderSettings};
use serde_json::{Value, json};
use shared::outbound::{Lookup, Outbound};
use shared::telemetry::Metrics;
use shared::tenancy::SecretHash;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tests::{Reply, World};

/// Hosts that lead to this machine, or where nobody from outside has anything to look for. `1` is an address.
const HOSTS: [&str; 44] = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0177.0.0.1",
    "0177.1",
    "017700000001",
    "127.0.0.0x1",
    "0",
    "0.0.0.0",
    "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1",
    "127。0。0。1",
    "127．0．0．1",
    "１２７.0.0.1",
    "①②⑦.⓪.⓪.①",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[::1%25lo]",
    "[fd00:ec2::254]",
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "10.0.0.1",
    "user:secret@127.0.0.1",
    "public.example@127.0.0.1",
    "localhost",
    "LOCALHOST.",
    "inside.example",
    "public.example",
];

/// Names as this resolver knows them: nothing is asked of any other.
fn lookup() -> Lookup {
    Arc::new(|host: String| {
        let found: &[&str] = match host.trim_end_matches('.') {
            "localhost" => &["127.0.0.1", "::1"],
            "inside.example" => &["127.0.0.1"],
            // One that is public, and one that is not.
            "public.example" => &["127.0.0.3", "127.0.0.1"],
            _ => &[],
        };
        let found: Vec<IpAddr> = found.iter().map(|ip| ip.parse().unwrap()).collect();
        Box::pin(async move { Ok(found) })
    })
}

/// A way out to what is public; 127.0.0.3, where nobody listens, stands for that.
fn closed() -> Outbound {
    Outbound::with_lookup(vec!["127.0.0.3/32".parse().unwrap()], lookup()).unwrap()
}

/// The functions that call, with a way out of their own.
struct Functions {
    worker: Worker,
    roller: LogRoller,
    router: Router,
}

impl Functions {
    fn on(world: &World, http: &Outbound) -> Self {
        let ctx = world.process();
        let variables = world.embedded.settings("reminder-sender");
        let own = |name: &str| match name {
            "PUNCTUAL_ADMIN_KEY" => Some(ADMIN.to_owned()),
            _ => variables.get(name).cloned(),
        };
        let settings = SenderSettings::read(&own).unwrap();
        let sender = Sender::new(ctx.clone(), http.clone(), Metrics::off(), settings).routes();
        let api =
            ApiContext::new(ctx.clone(), SecretHash::of(ADMIN)).with_notifications(http.clone(), 3, 600);
        Self {
            worker: Worker::new(ctx.clone(), http.clone(), Metrics::off()),
            roller: LogRoller::new(ctx, http.clone()),
            router: sender.fallback_service(router(api)),
        }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        let request = Request::builder().method(method).uri(path).header("x-api-key", ADMIN);
        let body = if body.is_null() { Body::empty() } else { body.to_string().into() };
        let request = request.header("content-type", "application/json").body(body).unwrap();
        crate::api::send(self.router.clone(), request).await
    }

    /// Takes the body, or refuses it for what it has at `pointer`: whether it took it.
    async fn takes(&self, method: &str, path: &str, pointer: &str, body: Value) -> bool {
        let answer = self.call(method, path, body).await;
        if (200..300).contains(&answer.status) {
            return true;
        }
        let answer = answer.problem(400);
        assert!(answer.faults().iter().all(|fault| fault.starts_with(pointer)), "{path} {}", answer.text);
        false
    }

    /// One activity of each kind that calls `base`, in a solution of its own; how many there are.
    async fn ask(&self, s: &str, base: &str) -> usize {
        self.call("PUT", s, json!({})).await.expect(201);
        let activities = format!("{s}/activities");
        let fixed = json!({"verb": "POST", "uriPattern": "http://127.0.0.1:9/fixed", "retries": 1});
        self.call("PUT", &format!("{s}/activity-types/fixed"), fixed).await.expect(201);
        let mut asked = 0;
        // By its type.
        let by_type = json!({"verb": "POST", "uriPattern": format!("{base}/{{x}}"), "retries": 1});
        if self.takes("PUT", &format!("{s}/activity-types/own"), "/uriPattern", by_type).await {
            let activity = json!({"activityType": "own", "parameter": {"x": 1}, "id": "by-type"});
            self.call("POST", &activities, activity).await.expect(201);
            asked += 1;
        }
        // By its own URI, and by one that it is given later.
        let own = json!({"activityType": "fixed", "uri": format!("{base}/own"), "id": "by-uri"});
        asked += usize::from(self.takes("POST", &activities, "/uri", own).await);
        let later = json!({"activityType": "fixed", "id": "by-bulk", "date": "2027-01-15T08:14:00Z"});
        self.call("POST", &activities, later).await.expect(201);
        let set = json!({"filter": {"status": "READY", "from": "2027-01-15T08:14:00Z"}, "action": "setUri", "uri": format!("{base}/bulk")});
        if self.takes("POST", &format!("{activities}/bulk"), "/uri", set).await {
            asked += 1;
        } else {
            self.call("DELETE", &format!("{activities}/by-bulk"), Value::Null).await.expect(200);
        }
        // Through a channel.
        let config = json!({"provider": "YOM", "baseUrl": base, "credentials": {"apiKey": "k"}});
        if self.takes("PUT", &format!("{s}/dispatch-configs/EMAIL"), "/baseUrl", config).await {
            let commerce = json!({"assignment": "a", "targetUsers": []});
            let message = json!({"channel": "EMAIL", "type": "MESSAGE", "reason": "r", "commerce": commerce, "id": "by-channel"});
            self.call("POST", &activities, message).await.expect(201);
            asked += 1;
        }
        asked
    }

    /// A notification: `true` once it was tried and is pending, with the reason.
    async fn notify(&self, s: &str, base: &str) -> Option<Value> {
        let kind = json!({"uri": format!("{base}/notified")});
        if !self.takes("PUT", &format!("{s}/notification-types/own"), "/uri", kind).await {
            return None;
        }
        let notification = json!({"type": "own", "payload": {}});
        Some(self.call("POST", &format!("{s}/notifications"), notification).await.json)
    }

    /// A reminder's Dialog service and its webhook: what the answer says of the former.
    async fn remind(&self, at: &str, base: &str) -> Option<Answer> {
        let path = format!("/api/reminder/configuration/{at}");
        let both = |service: &str, hook: &str| json!({"notificationKey": "k", "accountCode": "a", "dialogServiceUri": service, "webhookUrl": hook});
        let wanted = both(base, &format!("{base}/hook"));
        let answer = self.call("PUT", &path, wanted).await;
        if answer.status == 400 {
            let faults = answer.faults();
            assert!(
                faults[0].starts_with("/dialogServiceUri") && faults[1].starts_with("/webhookUrl"),
                "{faults:?}"
            );
            return None;
        }
        answer.expect(201);
        let reminder = json!({"countryCode": "1", "phoneNumber": "2", "notificationTemplateName": "t", "sendTimes": ["2030-01-01T00:00:00Z"]});
        self.call("PUT", &format!("/api/reminder/{at}/visit"), reminder).await.expect(201);
        let (company, solution) = at.split_once('/').unwrap();
        let send = format!("agentId={company}&configurationId={solution}&reminderId=visit");
        Some(self.call("POST", &format!("/api/reminder/item/send?{send}"), Value::Null).await)
    }
}

fn says_so(detail: &Value) -> bool {
    detail.as_str().is_some_and(|text| text.contains("refused:") || text.contains("could not be resolved"))
}

#[tokio::test]
async fn no_notation_of_a_refused_address_is_called_by_anything() {
    let api = Api::new().await;
    let world = &api.world;
    let port = world.receiver.url().rsplit(':').next().unwrap().to_owned();
    let closed = Functions::on(world, &closed());
    api.put("/v1/companies/acme", json!({})).await.expect(201);
    let (mut asked, mut notified, mut reminded) = (0, 0, 0);
    for (index, host) in HOSTS.iter().enumerate() {
        let (s, at) = (format!("/v1/companies/acme/solutions/s{index}"), format!("acme/s{index}"));
        let base = format!("http://{host}:{port}");
        asked += closed.ask(&s, &base).await;
        if let Some(answer) = closed.notify(&s, &base).await {
            assert_eq!(answer["status"], "PENDING", "{host} {answer}");
            assert!(says_so(&answer["history"][0]["detail"]), "{host} {answer}");
            notified += 1;
        }
        if let Some(answer) = closed.remind(&at, &base).await {
            let answer = answer.problem(502);
            assert!(says_so(&answer.json["detail"]), "{host} {}", answer.text);
            reminded += 1;
        }
    }
    world.work(&closed.worker).await;
    world.clock.advance(TimeDelta::minutes(15));
    world.work(&closed.worker).await;
    let mut failed = 0;
    for (index, host) in HOSTS.iter().enumerate() {
        let list = format!("/v1/companies/acme/solutions/s{index}/activities?limit=100");
        let all = closed.call("GET", &list, Value::Null).await.expect(200);
        for activity in all.json["items"].as_array().unwrap() {
            let id = activity["id"].as_str().unwrap();
            // The webhook of the reminder is one, by its own type; it has executions left.
            let hook = activity["activityType"] == "reminder-webhook";
            let path = format!("/v1/companies/acme/solutions/s{index}/activities/{id}");
            let whole = closed.call("GET", &path, Value::Null).await.expect(200).json;
            if whole["status"] == "CANCELED" {
                continue;
            }
            assert!(
                hook || activity["attempts"] == activity["maxAttempts"] || activity["channel"] == "EMAIL",
                "{whole:#}"
            );
            assert!(says_so(&whole["history"][0]["detail"]), "{host} {whole:#}");
            failed += 1;
        }
    }
    assert_eq!(failed, asked + reminded);
    // Most notations get as far as the call; what names a user, or is no URL at all, is refused when it is given.
    assert!(asked >= 4 * 36 && notified >= 36 && reminded >= 36, "{asked} {notified} {reminded}");
    assert!(world.receiver.arrivals().is_empty(), "{:?}", world.receiver.arrivals());

    // The same with this machine opened arrives, by every kind: so it was the guard that kept it away.
    world.clock.step_back(TimeDelta::minutes(15));
    let open = Functions::on(world, &tests::world::http());
    let base = world.receiver.url();
    assert_eq!(open.ask("/v1/companies/acme/solutions/open", &base).await, 4);
    open.notify("/v1/companies/acme/solutions/open", &base).await.unwrap();
    open.remind("acme/open", &base).await.unwrap().expect(200);
    world.clock.advance(TimeDelta::minutes(15));
    world.work(&open.worker).await;
    let paths: BTreeSet<String> =
        world.receiver.arrivals().iter().map(|arrival| arrival.uri.path().to_owned()).collect();
    for path in ["/1", "/own", "/bulk", "/activities", "/notified", "/api/autotrigger", "/hook"] {
        assert!(paths.contains(path), "{path} {paths:?}");
    }
}

#[tokio::test]
async fn logs_are_not_rolled_to_an_address_that_is_refused() {
    let api = Api::seeded().await;
    let world = &api.world;
    let port = world.receiver.url().rsplit(':').next().unwrap().to_owned();
    api.activity("1", json!({})).await;
    world.work(&world.worker()).await;
    assert_eq!(world.receiver.arrivals().len(), 1);
    let event = || serde_json::from_str(include_str!("../../../events/log-roller/schedule.json")).unwrap();
    let roll = async |host: &str, http: &Outbound| {
        let uri = format!("http://{host}:{port}/logs");
        let body =
            json!({"successUri": uri, "successPeriod": 0, "deadLetterUri": uri, "deadLetterPeriod": 0});
        let answer = api.put("/v1/companies/acme/solutions/main", body).await;
        if answer.status == 400 {
            let faults = answer.faults();
            assert!(
                faults[0].starts_with("/successUri") && faults[1].starts_with("/deadLetterUri"),
                "{faults:?}"
            );
            return None;
        }
        answer.expect(200);
        world.clock.advance(TimeDelta::hours(1));
        Some(Functions::on(world, http).roller.handle(event()).await.unwrap())
    };
    let closed = closed();
    let mut tried = 0;
    for host in HOSTS {
        if let Some(report) = roll(host, &closed).await {
            assert_eq!((report.refused, report.deleted), (1, 0), "{host} {report:?}");
            tried += 1;
        }
    }
    assert!(tried >= 36, "{tried}");
    assert_eq!(world.receiver.arrivals().len(), 1);
    let report = roll("127.0.0.1", &tests::world::http()).await.unwrap();
    assert_eq!((report.refused, report.deleted, world.receiver.arrivals().len()), (0, 1, 2), "{report:?}");
}

/// A name whose first answer is an address that may be called, and whose next ones are this machine's own: what the
/// first was good for, the second is not.
#[tokio::test]
async fn a_name_that_changes_its_address_between_attempts_is_judged_anew() {
    let api = Api::new().await;
    let world = &api.world;
    let port = world.receiver.url().rsplit(':').next().unwrap().to_owned();
    let lookups = Arc::new(AtomicUsize::new(0));
    let counted = lookups.clone();
    // 127.0.0.1 stands for what is public, and 127.0.0.2 for what is not: where the receiver listens too.
    let changing: Lookup = Arc::new(move |_| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        let address: IpAddr = if first { [127, 0, 0, 1] } else { [127, 0, 0, 2] }.into();
        Box::pin(async move { Ok(vec![address]) })
    });
    let http = Outbound::with_lookup(vec!["127.0.0.1/32".parse().unwrap()], changing).unwrap();
    let functions = Functions::on(world, &http);
    api.put("/v1/companies/acme", json!({})).await.expect(201);
    let s = "/v1/companies/acme/solutions/main";
    api.put(s, json!({})).await.expect(201);
    let play =
        json!({"verb": "POST", "uriPattern": format!("http://rebinding.example:{port}/"), "retries": 2});
    api.put(&format!("{s}/activity-types/play"), play).await.expect(201);
    // A redirect is an answer like another: where it leads is not called.
    let location =
        vec![("location", format!("http://127.0.0.1:{port}/elsewhere")), ("connection", "close".to_owned())];
    world.receiver.reply([Reply::Status(307, location, String::new())]);
    api.post(&format!("{s}/activities"), json!({"activityType": "play", "id": "one"})).await.expect(201);
    world.work(&functions.worker).await;
    assert_eq!((world.receiver.arrivals().len(), lookups.load(Ordering::SeqCst)), (1, 1));
    world.clock.advance(TimeDelta::minutes(5));
    world.work(&functions.worker).await;
    let seen = api.get(&format!("{s}/activities/one")).await.expect(200).json;
    assert_eq!((&seen["status"], &seen["attempts"]), (&json!("FAILED"), &json!(2)), "{seen:#}");
    assert_eq!(seen["history"][0]["httpStatus"], 307, "{seen:#}");
    assert_eq!(seen["history"][1]["detail"], "host rebinding.example is refused: loopback", "{seen:#}");
    assert_eq!((world.receiver.arrivals().len(), lookups.load(Ordering::SeqCst)), (1, 2));
}
