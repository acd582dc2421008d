//! Activity injection: channel activities are dispatched to providers (SPEC §4, seed 000).

use crate::api::{Api, S};
use chrono::TimeDelta;
use rules::activity::{Event, Status};
use rules::names::{Channel, Tenant};
use serde_json::{Value, json};
use shared::engine::HistoryEntry;
use shared::items::activity::ActivityView;
use shared::tenancy::NewDispatchConfig;
use tests::provider::API_KEY;
use tests::steps::{Steps, Stop};
use tests::world::beginning;
use tests::{Reply, World};

/// A world with a tenant whose e-mails go to the receiver.
async fn world() -> (World, Tenant, String) {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let config = world.put_config(&tenant, world.yom(Channel::Email)).await;
    (world, tenant, config)
}

/// Each attempt: seconds since the beginning, outcome, HTTP status, detail.
fn outcomes(view: &ActivityView) -> Vec<(i64, &str, Option<u16>, &str)> {
    let entry = |entry: &'_ HistoryEntry| (entry.at - beginning()).num_seconds();
    let parts = view.history.iter().map(|found| {
        let detail = found.detail.as_deref().unwrap_or_default();
        (entry(found), found.outcome.as_str(), found.http_status, detail)
    });
    parts.collect()
}

#[tokio::test]
async fn a_task_is_dispatched_with_all_that_its_provider_needs() {
    let api = Api::seeded().await;
    let config = json!({
        "provider": "YOM", "baseUrl": format!("{}/v1/", api.world.receiver.url()), "credentials": {"apiKey": API_KEY},
    });
    let put = api.put(&format!("{S}/dispatch-configs/CALLCENTER"), config).await.expect(201).json;
    api.world.receiver.reply([Reply::taken("yom-77")]);
    let date = "2027-01-15T08:00:00.000Z";
    let task = json!({
        "channel": "CALLCENTER", "type": "TASK", "reason": "churn risk", "date": date, "id": "call-1",
        "commerce": {"assignment": {"id": 7}, "targetUsers": ["u1", "u2"]},
        "task": {"script": "hello"}, "operator": {"id": "op-1"}, "attributes": {"tier": "gold", "spent": 10.50},
    });
    let made = api.post(&format!("{S}/activities"), task.clone()).await.expect(201);
    assert_eq!(made.header("location"), format!("{S}/activities/call-1"));
    assert_eq!(made.json["maxAttempts"], 3);
    api.world.work(&api.world.worker()).await;

    let [arrival] = <[_; 1]>::try_from(api.world.receiver.arrivals()).unwrap();
    assert_eq!((arrival.method.as_str(), arrival.uri.path()), ("POST", "/v1/activities"));
    assert_eq!(arrival.headers["x-api-key"], API_KEY);
    assert_eq!(arrival.headers["content-type"], "application/json");
    assert_eq!(arrival.idempotency_key(), "call-1:0");
    assert_eq!(
        serde_json::from_slice::<Value>(&arrival.body).unwrap(),
        json!({
            "activity": {
                "id": "call-1", "type": "TASK", "channel": "CALLCENTER", "reason": "churn risk",
                "scheduling": {"date": date},
            },
            "commerce": {"assignment": {"id": 7}, "targetUsers": ["u1", "u2"]},
            "task": {"script": "hello"}, "operator": {"id": "op-1"}, "attributes": {"tier": "gold", "spent": 10.5},
        })
    );
    let tenant = Tenant { company: "acme".parse().unwrap(), solution: "main".parse().unwrap() };
    let secrets = api.world.ctx.tenancy.signing_secrets(&tenant).await.unwrap().unwrap();
    let webhook = standardwebhooks::Webhook::new(secrets.at(beginning())[0]).unwrap();
    let signature = webhook.sign("call-1:0", beginning().timestamp(), &arrival.body).unwrap();
    assert_eq!(arrival.headers["webhook-signature"], signature);

    let seen = api.get(&format!("{S}/activities/call-1")).await.expect(200).json;
    for name in ["channel", "type", "reason", "date", "commerce", "task", "operator", "attributes"] {
        let expect =
            if name == "attributes" { json!({"tier": "gold", "spent": 10.5}) } else { task[name].clone() };
        assert_eq!(seen[name], expect, "{name}");
    }
    assert_eq!(
        (&seen["status"], &seen["providerActivityId"], &seen["dispatchConfigId"]),
        (&json!("DISPATCHED"), &json!("yom-77"), &put["id"])
    );
    assert_eq!((&seen["results"], seen.get("activityType"), seen.get("parameter")), (&json!([]), None, None));
    // Found again by its creator, and not mistaken for another.
    api.post(&format!("{S}/activities"), task.clone()).await.expect(200);
    let mut other = task;
    other["reason"] = json!("another");
    api.post(&format!("{S}/activities"), other).await.problem(409);
    let listed = api.get(&format!("{S}/activities?channel=CALLCENTER")).await.expect(200).json;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed["items"][0]["providerActivityId"], "yom-77");
    for none in ["channel=EMAIL", "activityType=play"] {
        let listed = api.get(&format!("{S}/activities?{none}")).await.expect(200).json;
        assert_eq!(listed["items"], json!([]), "{none}");
    }
}

#[tokio::test]
async fn three_attempts_and_then_a_dead_letter() {
    let (world, tenant, config) = world().await;
    world.receiver.reply([
        Reply::json(500, json!({"error": "down"})),
        Reply::json(200, json!({"ok": true})),
        Reply::Status(429, vec![("retry-after", "5".into())], String::new()),
    ]);
    world.accept(vec![world.message(&tenant, Channel::Email, "a")]).await;
    world.run(beginning() + TimeDelta::minutes(5)).await;
    let view = world.get(&tenant, "a").await;
    assert_eq!((view.record.state.status, view.record.state.attempts), (Status::Failed, 3));
    assert_eq!(
        outcomes(&view),
        [
            (0, "FAILURE", Some(500), r#"{"error":"down"}"#),
            (30, "FAILURE", Some(200), "the answer (200) has neither providerActivityId nor id"),
            (60, "FAILURE", Some(429), ""),
        ]
    );
    assert_eq!(world.receiver.keys(), ["a:0", "a:0", "a:0"]);

    // By hand it begins anew, and this time the provider takes it.
    world.receiver.reply([Reply::taken("p1")]);
    world.ctx.work.change(&tenant, &"a".parse().unwrap(), Event::Retry).await.unwrap();
    world.run(beginning() + TimeDelta::minutes(6)).await;
    let view = world.get(&tenant, "a").await;
    let dispatch = view.record.dispatch.unwrap();
    assert_eq!((dispatch.provider_activity_id.as_str(), dispatch.dispatch_config_id), ("p1", config));
    assert_eq!((view.record.state.status, view.history.len()), (Status::Dispatched, 4));
    assert_eq!(world.receiver.keys()[3], "a:1");
}

#[tokio::test]
async fn without_a_usable_config_each_attempt_says_why() {
    let (world, tenant, _) = world().await;
    let inactive = NewDispatchConfig { is_active: false, ..world.yom(Channel::Push) };
    world.put_config(&tenant, inactive.clone()).await;
    world
        .accept(vec![
            world.message(&tenant, Channel::Sms, "none"),
            world.message(&tenant, Channel::Push, "inactive"),
        ])
        .await;
    world.work(&world.worker()).await;
    for (id, detail) in [
        ("none", "the solution has no dispatch config for SMS"),
        ("inactive", "the dispatch config for PUSH is not active"),
    ] {
        let view = world.get(&tenant, id).await;
        assert_eq!(view.record.state.status, Status::Ready, "{id}");
        assert_eq!(outcomes(&view), [(0, "CONFIGURATION", None, detail)], "{id}");
    }
    // What is put right before the last attempt makes it succeed.
    world.put_config(&tenant, world.yom(Channel::Sms)).await;
    world.put_config(&tenant, NewDispatchConfig { is_active: true, ..inactive }).await;
    world.receiver.reply([Reply::taken("p1"), Reply::taken("p2")]);
    world.run(beginning() + TimeDelta::minutes(2)).await;
    for id in ["none", "inactive"] {
        assert_eq!(world.state(&tenant, id).await.status, Status::Dispatched, "{id}");
    }
}

/// The sweep finds what is due later, also of a channel that never had a config.
#[tokio::test]
async fn what_lies_past_the_horizon_is_dispatched_at_its_instant() {
    let api = Api::seeded().await;
    api.put(&format!("{S}/dispatch-configs/EMAIL"), json!({"provider": "MOCK"})).await.expect(201);
    let commerce = json!({"assignment": "x", "targetUsers": []});
    for (id, channel) in [("known", "EMAIL"), ("unknown", "SALESMAN")] {
        let body = json!({"id": id, "channel": channel, "type": "MESSAGE", "reason": "r", "date": "2027-01-15T10:00:00Z", "commerce": commerce});
        api.post(&format!("{S}/activities"), body).await.expect(201);
    }
    let stats = api.get(&format!("{S}/stats")).await.expect(200).json;
    let kinds = [json!({"channel": "SALESMAN", "ready": 1}), json!({"channel": "EMAIL", "ready": 1})];
    assert!(kinds.iter().all(|kind| stats["byKind"].as_array().unwrap().contains(kind)), "{stats}");
    api.world.run(beginning() + TimeDelta::hours(3)).await;
    let known = api.get(&format!("{S}/activities/known")).await.expect(200).json;
    assert_eq!(
        (&known["status"], &known["executedAt"]),
        (&json!("DISPATCHED"), &json!("2027-01-15T10:00:00.000Z"))
    );
    let unknown = api.get(&format!("{S}/activities/unknown")).await.expect(200).json;
    assert_eq!((&unknown["status"], &unknown["attempts"]), (&json!("FAILED"), &json!(3)));
}

/// Seed 000: up to 100 activities of a tenant in one batch.
#[tokio::test]
async fn a_batch_is_at_most_a_hundred_of_a_tenant_and_slot() {
    let world = World::new().await;
    let tenants = [world.tenant("one", 1).await, world.tenant("two", 1).await];
    for tenant in &tenants {
        // All in one shard, so that one slice could fill more than a slot.
        for part in 0..3 {
            let later = |n: usize| {
                let mut message = world.message(tenant, Channel::Email, &format!("p{part}n{n}"));
                message.date = beginning() + TimeDelta::minutes(20);
                message.shards.due = 1;
                message
            };
            world.put_config(tenant, world.yom(Channel::Email)).await;
            world.accept((0..90).map(later).collect()).await;
        }
    }
    world.clock.advance(TimeDelta::minutes(10));
    let (steps, clients) = Steps::of(world.embedded.clients(), Stop::NEVER);
    shared::sweep::sweep(&world.process_with(clients)).await.unwrap();
    let mut runs: Vec<(String, usize)> = Vec::new();
    for body in steps.sent() {
        for due in shared::queue::DueMessage::parse(&body).unwrap().1 {
            let company = due.tenant.company.to_string();
            match runs.last_mut() {
                Some((last, count)) if *last == company => *count += 1,
                _ => runs.push((company, 1)),
            }
        }
    }
    assert_eq!(runs.iter().map(|(_, count)| count).sum::<usize>(), 540);
    // At the end the one that has work left has its slots in a row.
    assert!(runs[..4].iter().all(|(_, count)| *count <= 100), "{runs:?}");
    assert!(runs.len() >= 5, "{runs:?}");
}

/// Two workers with the same message: what one took, the conditional write hides from the other.
#[tokio::test]
async fn an_attempt_that_another_process_took_is_skipped() {
    let (world, tenant, _) = world().await;
    let messages: Vec<_> =
        (0..20).map(|n| world.message(&tenant, Channel::Email, &format!("m{n}"))).collect();
    world.receiver.reply((0..40).map(|n| Reply::taken(&format!("p{n}"))));
    world.accept(messages).await;
    let event = world.receive().await;
    let (one, two) = (world.worker(), world.worker());
    tokio::join!(one.handle(event.clone()), two.handle(event.clone()));
    world.delete(&event).await;
    assert_eq!(world.receiver.keys().len(), 20, "each was dispatched once");
    for n in 0..20 {
        let state = world.state(&tenant, &format!("m{n}")).await;
        assert_eq!((state.status, state.attempts), (Status::Dispatched, 1));
    }
}

/// Kills a worker before and after each of its service calls; the provider, as it should, answers
/// the same key with the same id.
#[tokio::test]
async fn a_worker_killed_at_any_step_of_a_dispatch_loses_nothing() {
    let mut reached = 0;
    for stop in Stop::all(60) {
        let (world, tenant, _) = world().await;
        world.accept(vec![world.message(&tenant, Channel::Email, "a")]).await;
        world.receiver.reply((0..3).map(|_| Reply::taken("p1")));
        let (steps, clients) = Steps::of(world.embedded.clients(), stop);
        let worker = world.worker_on(world.process_with(clients));
        let event = world.receive().await;
        let killed = tokio::select! {
            biased;
            () = steps.stopped() => true,
            _ = worker.handle(event.clone()) => false,
        };
        if !killed {
            world.delete(&event).await;
        }
        reached += usize::from(killed);
        world.run(beginning() + TimeDelta::minutes(20)).await;
        let view = world.get(&tenant, "a").await;
        assert_eq!(view.record.state.status, Status::Dispatched, "{stop:?}");
        assert_eq!(view.history.len(), view.record.state.attempts as usize, "{stop:?} {:?}", view.history);
        assert!(world.receiver.keys().iter().all(|key| key == "a:0"), "{stop:?}");
        assert!(world.receiver.keys().len() <= 1 + usize::from(killed), "{stop:?}");
        if !killed && !stop.after {
            break;
        }
    }
    assert!(reached >= 10, "the claim, the config, the credentials, the link and the settle: {reached}");
}
