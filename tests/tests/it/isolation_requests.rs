//! Requests that wait for a company's receivers hold its share of the requests and no more (ARCHITECTURE.md, "Isolation").

use crate::api::{ADMIN, Answer, Api, S, send};
use crate::fairness::Receivers;
use crate::isolation::ONE;
use api_ingest::{ApiContext, router};
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use chrono::TimeDelta;
use notification_resender::{Resender, ResenderSettings};
use reminder_sender::{Sender, SenderSettings};
use rules::names::Tenant;
use rules::slots::{GRACE, Shares};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::telemetry::Metrics;
use shared::tenancy::SecretHash;
use tests::world::beginning;
use tokio::task::JoinHandle;

const QUICK: &str = "/v1/companies/quick/solutions/main";

/// Two companies with a notification type each; the receiver of `acme` hangs.
struct Two {
    api: Api,
    receivers: Receivers,
}

impl Two {
    async fn new() -> Self {
        let api = Api::seeded().await;
        api.put("/v1/companies/quick", json!({})).await.expect(201);
        api.put(QUICK, json!({})).await.expect(201);
        for (solution, name) in [(S, "slow"), (QUICK, "quick")] {
            let of = json!({"uri": format!("http://127.0.0.1:9/{name}")});
            api.put(&format!("{solution}/notification-types/news"), of).await.expect(201);
        }
        let receivers = Receivers::default();
        receivers.hang("/slow");
        Self { api, receivers }
    }

    /// The API in a process of its own.
    fn process(&self, shares: Shares) -> Router {
        let api = ApiContext::new(self.api.world.process(), SecretHash::of(ADMIN));
        router(api.with_notifications(self.receivers.outbound(), 3, 600).with_shares(Some(shares)))
    }

    /// A request that waits for a receiver.
    async fn hangs(&self, router: &Router, path: &str, body: Option<Value>) -> JoinHandle<Answer> {
        let (hanging, request) = (self.receivers.hanging(), post(path, body));
        let mut begun = tokio::spawn(send(router.clone(), request));
        tokio::select! {
            () = self.receivers.hang_at_least(hanging + 1) => begun,
            answer = &mut begun => panic!("answered already: {}", answer.unwrap().text),
        }
    }

    async fn status(&self, path: &str) -> Value {
        self.api.get(path).await.expect(200).json
    }

    async fn resend_due(&self) {
        self.api.world.clock.advance(GRACE);
        let http = self.receivers.outbound();
        let settings = ResenderSettings::read(&|_| None).unwrap();
        let resender = Resender::new(self.api.world.process(), http, Metrics::off(), settings);
        resender.handle(json!({})).await.unwrap();
    }
}

fn post(path: &str, body: Option<Value>) -> Request<Body> {
    let request = Request::builder().method("POST").uri(path).header("x-api-key", ADMIN);
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    request.header("content-type", "application/json").body(body).unwrap()
}

fn notification(id: &str) -> Option<Value> {
    Some(json!({"type": "news", "payload": {"n": 1}, "id": id}))
}

/// The second of a company whose share is taken is accepted without a call, and nothing counts as its attempt; another company's
/// is published at once. In one process and in two.
#[tokio::test]
async fn a_company_whose_receiver_hangs_leaves_the_requests_to_others() {
    for processes in [1, 2] {
        let two = Two::new().await;
        let first = two.process(ONE);
        let second = if processes == 1 { first.clone() } else { two.process(ONE) };
        let begun = two.hangs(&first, &format!("{S}/notifications"), notification("n1")).await;
        let held =
            send(second.clone(), post(&format!("{S}/notifications"), notification("n2"))).await.expect(202);
        assert_eq!((&held.json["status"], &held.json["attempts"]), (&json!("PENDING"), &json!(0)));
        assert_eq!(held.json["history"], json!([]));
        assert_eq!(held.json["nextAttemptAt"], held.json["createdAt"], "due at once");
        let quick = send(second.clone(), post(&format!("{QUICK}/notifications"), notification("q"))).await;
        assert_eq!(quick.expect(201).json["status"], "PUBLISHED");
        let resend = post(&format!("{S}/notifications/n2/resend"), None);
        send(second.clone(), resend).await.problem(429);
        assert_eq!(two.receivers.called("/slow"), 1);

        two.receivers.hang("nobody");
        two.receivers.let_go();
        begun.await.unwrap().expect(202);
        two.resend_due().await;
        let published = two.status(&format!("{S}/notifications/n2")).await;
        assert_eq!((&published["status"], &published["attempts"]), (&json!("PUBLISHED"), &json!(1)));
        let now = send(second, post(&format!("{S}/notifications"), notification("n3"))).await;
        assert_eq!(now.expect(201).json["status"], "PUBLISHED", "the share is free again");
    }
}

/// A solution that is resumed while its company's share is taken leaves what is due to the re-sender.
#[tokio::test]
async fn a_resumed_solution_without_a_place_leaves_its_notifications_to_the_resender() {
    let two = Two::new().await;
    let router = two.process(ONE);
    let state = format!("{S}/server-state");
    two.api.put(&state, json!({"serverState": "paused"})).await.expect(200);
    two.api.post(&format!("{S}/notifications"), notification("n1").unwrap()).await.expect(202);
    let other = "/v1/companies/acme/solutions/other";
    two.api.put(other, json!({})).await.expect(201);
    two.api
        .put(&format!("{other}/notification-types/news"), json!({"uri": "http://127.0.0.1:9/slow"}))
        .await
        .expect(201);
    let begun = two.hangs(&router, &format!("{other}/notifications"), notification("o")).await;
    let resume = Request::builder().method("PUT").uri(&state).header("x-api-key", ADMIN);
    let resume = resume.header("content-type", "application/json");
    let body = json!({"serverState": "running"}).to_string();
    send(router, resume.body(Body::from(body)).unwrap()).await.expect(200);
    assert_eq!(two.receivers.called("/slow"), 1);
    two.receivers.hang("nobody");
    two.receivers.let_go();
    begun.await.unwrap().expect(202);
    two.resend_due().await;
    assert_eq!(two.status(&format!("{S}/notifications/n1")).await["status"], "PUBLISHED");
}

/// Requests that send a reminder now, of a company whose Dialog service hangs.
#[tokio::test]
async fn manual_sends_to_a_dialog_service_that_hangs_hold_their_companys_share() {
    let two = Two::new().await;
    let world = &two.api.world;
    let [slow, quick] = [world.reminders("slowly").await, world.reminders("quickly").await];
    for (tenant, name) in [(&slow, "slow"), (&quick, "quick")] {
        let uri = format!("http://127.0.0.1:9/{name}");
        world.configure(tenant, |settings| settings.dialog_service_uri = Some(uri)).await;
        for id in ["r1", "r2"] {
            world.remind(world.reminder(tenant, id, "1", &[1])).await;
        }
    }
    let variables = world.embedded.settings("reminder-sender");
    let lookup = |name: &str| match name {
        "PUNCTUAL_ADMIN_KEY" => Some(ADMIN.to_owned()),
        "PUNCTUAL_REQUESTS" | "PUNCTUAL_COMPANY_REQUESTS_PERCENT" => Some("1".to_owned()),
        name => variables.get(name).cloned(),
    };
    let settings = SenderSettings::read(&lookup).unwrap();
    assert_eq!(settings.shares, Some(ONE));
    let sender = Sender::new(world.process(), two.receivers.outbound(), Metrics::off(), settings);
    let router = sender.routes();
    let path = |of: &Tenant, id: &str| {
        let (company, solution) = (&of.company, of.solution.name());
        format!("/api/reminder/item/send?agentId={company}&configurationId={solution}&reminderId={id}")
    };
    let begun = two.hangs(&router, &path(&slow, "r1"), None).await;
    send(router.clone(), post(&path(&slow, "r2"), None)).await.problem(429);
    send(router.clone(), post(&path(&quick, "r1"), None)).await.expect(200);
    assert_eq!(two.receivers.called("/slow"), 1);
    two.receivers.hang("nobody");
    two.receivers.let_go();
    begun.await.unwrap().problem(502);
    world.clock.advance(GRACE);
    send(router, post(&path(&slow, "r2"), None)).await.expect(200);
    assert!(world.clock.now() - beginning() < TimeDelta::minutes(1));
}
