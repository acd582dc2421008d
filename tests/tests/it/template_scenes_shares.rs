//! Companies that hold their share of a pool, and functions that cannot ask for one.

use crate::api::send;
use crate::isolation::ONE;
use crate::template_scenes::{ADMIN, Stage};
use crate::template_scenes_functions::worker;
use api_ingest::{ApiContext, router};
use axum::body::Body;
use chrono::TimeDelta;
use delivery_worker::Worker;
use http::Request;
use lambda_runtime::LambdaEvent;
use local::embedded::TEST_ADMIN_KEY;
use reminder_sender::{Sender, SenderSettings};
use rules::names::CompanyName;
use rules::slots::AHEAD_MAX;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::context::Context;
use shared::slots::{Slots, Taken};
use shared::table::keys;
use shared::tenancy::SecretHash;
use std::sync::Arc;

pub async fn play(stage: &Stage) {
    worker_invocations(stage).await;
    notifications(stage).await;
    manual_sends(stage).await;
}

/// Another process takes a company's only slot.
async fn take(stage: &Stage, key: fn(&CompanyName) -> String, company: &str) {
    let name = key(&company.parse().unwrap());
    // For longer than a worker waits for messages of other scenes.
    let last_due = stage.world.clock.now() + AHEAD_MAX;
    let taken = stage.world.ctx.slots.take(&name, ONE, last_due).await;
    assert!(matches!(taken, Ok(Taken::Held(_))));
}

/// A process that cannot ask who has slots.
fn without_slots(stage: &Stage, function: &'static str) -> Context {
    let world = &stage.world;
    let dynamodb = world.embedded.clients().dynamodb.clone();
    let slots = Slots::new(dynamodb, "gone".to_owned(), world.clock.clone(), world.entropy.clone());
    Context { slots: Arc::new(slots), ..stage.process(function) }
}

async fn worker_invocations(stage: &Stage) {
    let world = &stage.world;
    let tenant = world.tenant("beyond", 1).await;
    take(stage, keys::worker_slots, "beyond").await;
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
    world.work(&worker(stage).with_shares(Some(ONE))).await;
    assert_eq!(world.state(&tenant, "a").await.attempts, 0);
    world.clock.advance(TimeDelta::minutes(1));
    let process = without_slots(stage, "delivery-worker");
    world.work(&Worker::new(process, stage.http.clone(), stage.metrics("delivery-worker"))).await;
    assert_eq!(world.state(&tenant, "a").await.attempts, 1);
}

async fn notifications(stage: &Stage) {
    stage.world.tenant("beyond", 1).await;
    let of = "/v1/companies/beyond/solutions/main";
    let uri = stage.world.receiver.url();
    stage.call("PUT", &format!("{of}/notification-types/news"), Some(json!({"uri": uri})), 201).await;
    let publish = async |process: Context| {
        let api = ApiContext::new(process, SecretHash::of(ADMIN)).with_shares(Some(ONE));
        let api =
            api.with_notifications(stage.http.clone(), 3, 600).with_metrics(stage.metrics("api-ingest"));
        let request = Request::builder().method("POST").uri(format!("{of}/notifications"));
        let body = Body::from(json!({"type": "news", "payload": {}}).to_string());
        let request = request.header("x-api-key", ADMIN).header("content-type", "application/json");
        send(router(api), request.body(body).unwrap()).await
    };
    publish(stage.process("api-ingest")).await.expect(201);
    stage.world.clock.advance(TimeDelta::minutes(1));
    take(stage, keys::request_slots, "beyond").await;
    publish(stage.process("api-ingest")).await.expect(202);
    publish(without_slots(stage, "api-ingest")).await.expect(201);
}

/// The sample of `events/reminder-sender`, for a reminder that was sent before.
async fn manual_sends(stage: &Stage) {
    let sample = include_str!("../../../events/reminder-sender/send.json");
    let sample: Value =
        serde_json::from_str(&sample.replace("sample-admin-key-for-local-use", TEST_ADMIN_KEY)).unwrap();
    let variables = stage.world.embedded.settings("reminder-sender");
    let one = |name: &str| match name {
        "PUNCTUAL_REQUESTS" | "PUNCTUAL_COMPANY_REQUESTS_PERCENT" => Some("1".to_owned()),
        name => variables.get(name).cloned(),
    };
    let send = async |process: Context| {
        let settings = SenderSettings::read(&one).unwrap();
        let sender = Sender::new(process, stage.http.clone(), stage.metrics("reminder-sender"), settings);
        let answer = sender.invoke(LambdaEvent::new(sample.clone(), Default::default())).await.unwrap();
        answer["statusCode"].clone()
    };
    stage.world.clock.advance(TimeDelta::minutes(1));
    take(stage, keys::manual_send_slots, "acme").await;
    assert_eq!(send(stage.process("reminder-sender")).await, 429);
    assert_ne!(send(without_slots(stage, "reminder-sender")).await, 429);
}
