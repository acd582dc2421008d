//! Ids that the system gives are no caller's, and belong to the incarnation of the rule or reminder that they are made by.

use crate::api::{Api, S};
use axum::body::Body;
use chrono::TimeDelta;
use http::Request;
use rules::activity::Event;
use rules::names::Tenant;
use serde_json::json;
use shared::items::activity::Change;
use shared::tenancy::Actor;
use tests::World;
use tests::recurring::spec;
use tests::steps::{Steps, Stop};
use tests::world::beginning;

/// More service calls than making a rule takes; a loop ends when a stop is not reached.
const CALLS_MAX: usize = 80;

#[tokio::test]
async fn a_callers_id_of_the_systems_own_form_is_refused_by_name() {
    let api = Api::seeded().await;
    let activity = |id: &str| json!({"id": id, "activityType": "play", "parameter": {"SongId": 1}});
    let occurrence =
        "has the form {name}@{digits}, which is reserved for occurrences of recurring activities";
    let webhook = "begins with reminder-webhook:, which is reserved for webhooks of reminders";
    let path = format!("{S}/activities");
    for (id, why) in [("rule@1800000060", occurrence), ("reminder-webhook:m1:1", webhook)] {
        let refused = api.post(&path, activity(id)).await.problem(400);
        assert_eq!(refused.faults(), [format!("/id {why}")]);
        let batch = json!({"activities": [activity("mine"), activity(id)]});
        let answer = api.post(&format!("{path}/batch"), batch).await.expect(200);
        let refused = &answer.json["results"][1];
        assert_eq!(
            (&refused["status"], &refused["problem"]["errors"][0]["pointer"]),
            (&json!(400), &json!("/id"))
        );
        let mut channel = json!({"channel": "EMAIL", "type": "MESSAGE", "reason": "r",
            "commerce": {"assignment": "x", "targetUsers": []}});
        channel["id"] = json!(id);
        assert_eq!(api.post(&path, channel).await.problem(400).faults(), [format!("/id {why}")]);
        let body = json!({"activityType": "play", "parameter": {"SongId": 1}}).to_string();
        let request =
            Request::post(&path).header("x-api-key", crate::api::ADMIN).header("idempotency-key", id);
        let request = request.header("content-type", "application/json").body(Body::from(body)).unwrap();
        let refused = api.send(request).await.problem(400);
        assert_eq!(refused.faults(), [format!("header:idempotency-key {why}")]);
    }
    let mail = activity("bob@example.com");
    api.post(&path, mail).await.expect(201);
}

/// A world in which the first occurrence of a rule was canceled, and the rule deleted.
async fn deleted_with_a_canceled_occurrence() -> (World, Tenant, String) {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.put_rule(&tenant, "rule", spec("* * * * *")).await;
    let first = format!("rule@{}", beginning().timestamp() + 60);
    let canceled = world.ctx.work.change(&tenant, &first.parse().unwrap(), Event::Cancel).await.unwrap();
    assert!(matches!(canceled, Change::Applied(_)), "{canceled:?}");
    let name = "rule".parse().unwrap();
    shared::recurring::delete(&world.process(), &Actor::Admin, &tenant, &name).await.unwrap();
    (world, tenant, first)
}

/// How often an occurrence was called.
fn calls(world: &World, id: &str) -> usize {
    world.receiver.arrivals().iter().filter(|arrival| arrival.idempotency_key().starts_with(id)).count()
}

/// Whoever makes the rule anew dies at each step; somebody makes it again, if it is not there, and all goes on.
#[tokio::test]
async fn a_rule_made_anew_fires_where_an_occurrence_of_the_one_before_was_canceled() {
    let mut reached = 0;
    for stop in Stop::all(CALLS_MAX) {
        let (world, tenant, first) = deleted_with_a_canceled_occurrence().await;
        let (steps, clients) = Steps::of(world.embedded.clients(), stop);
        let process = world.process_with(clients);
        let name = "rule".parse().unwrap();
        let parameter = r#"{"id":"rule"}"#.to_owned();
        let put =
            shared::recurring::put(&process, &Actor::Admin, &tenant, &name, spec("* * * * *"), parameter);
        let killed = tokio::select! {
            biased;
            () = steps.stopped() => true,
            put = put => { put.unwrap(); false },
        };
        reached += usize::from(killed);
        if world.ctx.work.rule(&tenant, &name).await.unwrap().is_none() {
            world.put_rule(&tenant, "rule", spec("* * * * *")).await;
        }
        world.run_recurring(beginning() + TimeDelta::seconds(150)).await;
        let second = format!("rule@{}", beginning().timestamp() + 120);
        assert_eq!((calls(&world, &first), calls(&world, &second)), (1, 1), "{stop:?}");
        if !killed && !stop.after {
            break;
        }
    }
    assert!(reached > 10, "{reached}");
}

/// What a rule made anew has created beside what was left is taken back with it.
#[tokio::test]
async fn a_rule_made_anew_takes_back_its_own() {
    let (world, tenant, first) = deleted_with_a_canceled_occurrence().await;
    world.put_rule(&tenant, "rule", spec("* * * * *")).await;
    let name = "rule".parse().unwrap();
    shared::recurring::delete(&world.process(), &Actor::Admin, &tenant, &name).await.unwrap();
    world.run_recurring(beginning() + TimeDelta::seconds(150)).await;
    assert_eq!(world.receiver.keys(), Vec::<String>::new());
    assert_eq!(world.created(&tenant, "rule").await.len(), 1, "{first} alone is left");
}

/// A webhook of a reminder that had this id before is no reason not to send the next one's.
#[tokio::test]
async fn a_webhook_whose_id_is_taken_is_sent_under_another() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    let taken = world.activity(&tenant, "reminder-webhook:r1:1", TimeDelta::days(1));
    world.accept(vec![taken]).await;
    world.remind(world.reminder(&tenant, "r1", "1", &[0])).await;
    world.process_pending().await.unwrap();
    world.run(beginning() + TimeDelta::minutes(2)).await;
    let hooks = world.hooks.keys();
    assert_eq!(hooks.len(), 1, "{hooks:?}");
    assert!(hooks[0].starts_with("reminder-webhook:r1:1~"), "{hooks:?}");
}
