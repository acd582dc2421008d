//! What invokes the functions: messages and events that nobody of ours has sent.

use super::json::near;
use super::{check_async, runtime};
use crate::api::{Api, router_with, send};
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use axum::body::Body;
use chrono::TimeDelta;
use dispatch_sweep::{SweepEvent, Sweeper};
use lambda_runtime::LambdaEvent;
use log_roller::{LogRoller, RollEvent};
use proptest::prelude::*;
use recurring_expander::Expander;
use rules::activity::Status;
use serde_json::Value;
use shared::queue::DueMessage;
use shared::telemetry::Metrics;
use std::cell::Cell;
use tests::World;

fn event(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn message(id: &str, body: String) -> SqsMessage {
    let mut message = SqsMessage::default();
    message.message_id = Some(id.to_owned());
    message.body = Some(body);
    message
}

/// Nonsense goes back to the queue, whose dead-letter queue somebody looks into; what came with it is delivered.
#[test]
fn strangers_messages_keep_nobody_from_delivery() {
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    let tenant = runtime.block_on(world.tenant("acme", 1));
    let body = event(
        r#"{"v":1,"company":"acme","due":[["main","A:call","a1",1800000000000],["main","A:call","a2",1]]}"#,
    );
    let (worker, count) = (world.worker(), Cell::new(0));
    check_async(200, &near(&body), &runtime, async |text: String| {
        count.set(count.get() + 1);
        let id = format!("a{}", count.get());
        world.accept(vec![world.activity(&tenant, &id, TimeDelta::zero())]).await;
        let own = world.receive().await;
        let mut batch = own.clone();
        batch.records.insert(0, message("strange", text.clone()));
        let response = worker.handle(batch).await;
        world.delete(&own).await;
        let back: Vec<&str> =
            response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect();
        let expect: &[&str] = if DueMessage::parse(&text).is_err() { &["strange"] } else { &[] };
        prop_assert_eq!(back, expect, "{}", text);
        prop_assert_eq!(world.state(&tenant, &id).await.status, Status::Dispatched);
        Ok(())
    });
}

/// An invocation by hand with anything: read as what it is not, or refused; the next schedule works as ever.
#[test]
fn strangers_invocations_are_refused_or_harmless() {
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    runtime.block_on(world.tenant("acme", 1));
    let samples = [
        include_str!("../../../../events/dispatch-sweep/schedule.json"),
        include_str!("../../../../events/dispatch-sweep/requeue-all.json"),
        include_str!("../../../../events/log-roller/continue.json"),
        include_str!("../../../../events/reminder-sender/pending-send.json"),
        include_str!("../../../../events/reminder-sender/send.json"),
        include_str!("../../../../events/delivery-worker/sqs.json"),
    ];
    let sender = world.sender();
    for sample in samples {
        check_async(40, &near(&event(sample)), &runtime, async |text: String| {
            // The runtime refuses what is no JSON.
            let Ok(payload) = serde_json::from_str::<Value>(&text) else { return Ok(()) };
            if let Ok(event) = serde_json::from_value::<SweepEvent>(payload.clone()) {
                let swept = Sweeper::new(world.process(), Metrics::off()).handle(event).await;
                prop_assert!(swept.is_ok(), "{swept:?}");
            }
            if let Ok(event) = serde_json::from_value::<RollEvent>(payload.clone()) {
                let rolled = LogRoller::new(world.process(), tests::world::http()).handle(event).await;
                prop_assert!(rolled.is_ok(), "{rolled:?}");
            }
            if let Ok(event) = serde_json::from_value::<SqsEvent>(payload.clone()) {
                let ids = event
                    .records
                    .iter()
                    .map(|record| record.message_id.clone().unwrap_or_default())
                    .collect::<Vec<_>>();
                let response = world.worker().handle(event).await;
                let named =
                    response.batch_item_failures.iter().all(|failure| ids.contains(&failure.item_identifier));
                prop_assert!(named, "{response:?}");
            }
            let expanded = Expander::new(world.process()).handle(payload.clone()).await;
            prop_assert!(expanded.is_ok(), "{expanded:?}");
            // An error is what the runtime reports; an answer is no 500.
            let answer = sender.invoke(LambdaEvent::new(payload, lambda_runtime::Context::default())).await;
            let status = answer.ok().and_then(|answer| answer["statusCode"].as_i64()).unwrap_or(200);
            prop_assert!(status != 500, "{text}");
            Ok(())
        });
    }
}

/// The HTTP API's own events, bent: no request, or one that is answered.
#[test]
fn strangers_http_events_are_answered() {
    let runtime = runtime();
    let api = runtime.block_on(Api::seeded());
    let router = router_with(api.world.ctx.clone(), "sample-admin-key-for-local-use");
    for sample in [
        include_str!("../../../../events/api-ingest/create-activity.json"),
        include_str!("../../../../events/api-ingest/get-activity.json"),
        include_str!("../../../../events/api-ingest/put-reminder.json"),
    ] {
        check_async(60, &near(&event(sample)), &runtime, async |text: String| {
            let Ok(request) = lambda_http::request::from_str(&text) else { return Ok(()) };
            let answer = send(router.clone(), request.map(|body| Body::from(body.to_vec()))).await;
            prop_assert!(answer.status < 500, "{}", answer.text);
            Ok(())
        });
    }
}
