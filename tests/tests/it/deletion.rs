//! Deleted data is shown to nobody again, and is gone from the tables within a day (SPEC §3).

use crate::api::{ADMIN, Api, send};
use crate::api_story::Story;
use axum::body::Body;
use chrono::TimeDelta;
use http::Request;
use log_roller::{LogRoller, RollEvent};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::context::Context;
use tests::steps::{Steps, Stop};
use tests::{Reply, World};

const COMPANY: &str = "/v1/companies/acme";
const MUSIC: &str = "/v1/companies/acme/solutions/music";
const REMINDERS: &str = "/api/reminder/acme/music";
/// More service calls than removing what a test made takes; a loop ends when a stop is not reached.
const CALLS_MAX: usize = 400;

pub async fn invoke(ctx: Context) -> usize {
    let event: RollEvent =
        serde_json::from_str(include_str!("../../../events/log-roller/continue.json")).unwrap();
    LogRoller::new(ctx, tests::world::http()).handle(event).await.unwrap().deletions_left
}

/// A day of the roller's schedule.
async fn a_day(world: &World) {
    for _ in 0..96 {
        world.clock.advance(TimeDelta::minutes(15));
        invoke(world.process()).await;
    }
}

/// Every item of both tables, as text.
async fn items(world: &World) -> Vec<String> {
    let mut found: Vec<String> = world.dump().await.iter().map(|item| format!("{item:?}")).collect();
    let table = world.embedded.settings("api-ingest")["PUNCTUAL_CONFIG_TABLE"].clone();
    let config = world.embedded.clients().dynamodb.scan().table_name(table).send().await.unwrap();
    assert!(config.last_evaluated_key.is_none(), "more than one page");
    found.extend(config.items.unwrap_or_default().iter().map(|item| format!("{item:?}")));
    found
}

/// The items that hold a text.
pub async fn holding(world: &World, text: &str) -> Vec<String> {
    items(world).await.into_iter().filter(|item| item.contains(text)).collect()
}

fn result(target: Value) -> Value {
    let mut body =
        json!({"occurredAt": "2027-01-15T07:59:00Z", "status": "COMPLETED", "comment": "secret-comment"});
    body.as_object_mut().unwrap().extend(target.as_object().unwrap().clone());
    body
}

/// A company with one of everything, of which nothing waits any more, and results that met no activity.
async fn with_finished_work() -> Api {
    let api = Story::told(Api::new().await, "acme").await.api;
    // The one is not there, the other due later.
    for (id, hard_override) in [("early-1", false), ("example-1", true)] {
        let target = json!({"activityId": id, "hardOverride": hard_override});
        api.post(&format!("{MUSIC}/activity-results"), result(target)).await.expect(201);
    }
    let unknown = json!({"providerActivityId": "unknown-1"});
    api.post(&format!("{MUSIC}/activity-results"), result(unknown)).await.expect(201);
    let email = json!({"id": "mail-1", "channel": "EMAIL", "type": "MESSAGE", "reason": "r",
        "commerce": {"assignment": "x", "targetUsers": []}});
    api.put(&format!("{MUSIC}/dispatch-configs/EMAIL"), json!({"provider": "MOCK"})).await.expect(200);
    api.post(&format!("{MUSIC}/activities"), email).await.expect(201);
    let now = json!({"id": "done-1", "activityType": "publish-song", "parameter": {"SongId": 42}});
    api.world.receiver.reply([Reply::status(500)]);
    api.post(&format!("{MUSIC}/activities"), now).await.expect(201);
    let (clock, worker) = (api.world.clock.clone(), api.world.worker());
    api.world.work(&worker).await;
    api.world.run(clock.now() + TimeDelta::minutes(10)).await;
    let send = "/api/reminder/item/send?agentId=acme&configurationId=music&reminderId=example-1";
    api.post(send, json!({})).await;
    api.delete(&format!("{REMINDERS}/example-1")).await;
    api.world.run(clock.now() + TimeDelta::minutes(10)).await;
    let rules = api.get(&format!("{MUSIC}/recurring-activities?limit=100")).await.expect(200).json;
    for rule in rules["items"].as_array().unwrap() {
        let name = rule["name"].as_str().unwrap();
        api.delete(&format!("{MUSIC}/recurring-activities/{name}")).await.expect(204);
    }
    let all = json!({"filter": {"status": "READY"}, "action": "cancel"});
    api.post(&format!("{MUSIC}/activities/bulk"), all).await.expect(200);
    let notifications = api.get(&format!("{MUSIC}/notifications?status=PENDING")).await.expect(200).json;
    for one in notifications["items"].as_array().unwrap() {
        api.delete(&format!("{MUSIC}/notifications/{}", one["id"].as_str().unwrap())).await.expect(204);
    }
    api
}

async fn delete(api: &Api) {
    api.delete(MUSIC).await.expect(204);
    api.delete(COMPANY).await.expect(204);
}

/// The company and its solution once more, with a key that the first owner did not have.
async fn make_anew(api: &Api) -> String {
    api.put(COMPANY, json!({})).await.expect(201);
    let key = api.key("acme").await;
    let made = api.call_as(&key, "PUT", MUSIC, Some(json!({}))).await.expect(201);
    assert_eq!((&made.json["company"], &made.json["solution"]), (&json!("acme"), &json!("music")));
    key
}

/// What lists of a new solution show.
const LISTS: [&str; 6] = [
    "activities",
    "notifications",
    "recurring-activities",
    "activity-types",
    "notification-types",
    "dispatch-configs",
];

#[tokio::test]
async fn whoever_makes_a_name_anew_sees_nothing_of_the_first_owner() {
    let api = with_finished_work().await;
    let old_key = api.key("acme").await;
    for list in LISTS.into_iter().filter(|list| *list != "recurring-activities") {
        let before = api.get(&format!("{MUSIC}/{list}")).await.expect(200).json;
        assert_ne!(before["items"], json!([]), "{list} has something to be seen");
    }
    delete(&api).await;
    let key = make_anew(&api).await;
    api.call_as(&old_key, "GET", MUSIC, None).await.problem(401);
    for list in LISTS {
        let seen = api.call_as(&key, "GET", &format!("{MUSIC}/{list}"), None).await.expect(200);
        assert_eq!(seen.json, json!({"items": []}), "{list}");
    }
    for one in ["activities/done-1", "activities/mail-1", "notifications/example-1"] {
        api.call_as(&key, "GET", &format!("{MUSIC}/{one}"), None).await.problem(404);
    }
    let found = api.call_as(&key, "GET", &format!("{MUSIC}/activities?objectId=42"), None).await.expect(200);
    assert_eq!(found.json, json!({"items": []}));
    let log = api.call_as(&key, "GET", &format!("{MUSIC}/audit-log"), None).await.expect(200).json;
    let actions: Vec<&Value> =
        log["items"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["solution.created"]);
    let log = api.call_as(&key, "GET", &format!("{COMPANY}/audit-log"), None).await.expect(200).json;
    let actions: Vec<&Value> =
        log["items"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["apiKey.created", "company.created"]);
    let stats = api.call_as(&key, "GET", &format!("{MUSIC}/stats"), None).await.expect(200).json;
    assert!(!stats.to_string().contains("DISPATCHED\":1"), "{stats}");

    // Reminders, too, and the ids that the first owner's results wait for.
    let configuration =
        json!({"notificationKey": "k", "accountCode": "a", "dialogServiceUri": api.world.receiver.url()});
    api.put("/api/reminder/configuration/acme/music", configuration).await.expect(201);
    assert_eq!(api.get(REMINDERS).await.expect(200).json, json!({"items": []}));
    api.get(&format!("{REMINDERS}/example-1")).await.problem(404);
    api.put(
        &format!("{MUSIC}/dispatch-configs/EMAIL"),
        json!({"provider": "YOM", "baseUrl": api.world.receiver.url(),
        "credentials": {"apiKey": "k"}}),
    )
    .await
    .expect(201);
    for (id, provider) in [("early-1", "p-1"), ("other", "unknown-1")] {
        let email = json!({"id": id, "channel": "EMAIL", "type": "MESSAGE", "reason": "r",
            "commerce": {"assignment": "x", "targetUsers": []}});
        api.post(&format!("{MUSIC}/activities"), email).await.expect(201);
        api.world.receiver.reply([Reply::taken(provider)]);
        api.world.work(&api.world.worker()).await;
        let seen = api.get(&format!("{MUSIC}/activities/{id}")).await.expect(200).json;
        assert_eq!(seen["status"], "DISPATCHED", "{seen}");
        assert!(!seen.to_string().contains("secret-comment"), "{seen}");
    }
}

#[tokio::test]
async fn what_was_deleted_is_gone_from_the_tables_within_a_day() {
    let api = with_finished_work().await;
    delete(&api).await;
    let before = items(&api.world).await.len();
    assert!(before > 20, "{before} items are left to remove");
    a_day(&api.world).await;
    let left = items(&api.world).await;
    let what_may_stay = |item: &&String| {
        // How often a name was deleted, and what is of the whole deployment.
        !["D#music", "LEASE#log-roller", "CURSORS"].iter().any(|kept| item.contains(kept))
    };
    let left: Vec<&String> = left.iter().filter(what_may_stay).collect();
    assert!(left.is_empty(), "{left:#?}");
}

#[tokio::test]
async fn the_next_owner_keeps_what_is_made_while_the_first_owners_is_removed() {
    let api = with_finished_work().await;
    delete(&api).await;
    make_anew(&api).await;
    let play = json!({"verb": "POST", "uriPattern": format!("{}/x", api.world.receiver.url())});
    api.put(&format!("{MUSIC}/activity-types/play"), play).await.expect(201);
    for id in ["done-1", "early-1"] {
        let body = json!({"id": id, "activityType": "play", "date": "2030-01-01T00:00:00Z"});
        api.post(&format!("{MUSIC}/activities"), body).await.expect(201);
    }
    a_day(&api.world).await;
    let listed = api.get(&format!("{MUSIC}/activities")).await.expect(200).json;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    assert_eq!(
        api.get(&format!("{MUSIC}/audit-log")).await.expect(200).json["items"].as_array().unwrap().len(),
        2
    );
    let log = api.get(&format!("{COMPANY}/audit-log")).await.expect(200).json;
    assert_eq!(log["items"].as_array().unwrap().len(), 2, "{log}");
    assert!(holding(&api.world, "secret-comment").await.is_empty());
    // The third of the name sees neither.
    api.post(&format!("{MUSIC}/activities/bulk"), json!({"filter": {}, "action": "cancel"}))
        .await
        .expect(200);
    api.delete(MUSIC).await.expect(204);
    api.put(MUSIC, json!({})).await.expect(201);
    assert_eq!(api.get(&format!("{MUSIC}/activities")).await.expect(200).json, json!({"items": []}));
}

#[tokio::test]
async fn a_process_with_the_deleted_solution_in_its_cache_neither_shows_it_nor_loses_new_work() {
    let api = with_finished_work().await;
    let other = api.other_process();
    let request = |method: &str, path: &str, body: Option<Value>| {
        let request = Request::builder().method(method).uri(path).header("x-api-key", ADMIN);
        let request = request.header("content-type", "application/json");
        request.body(body.map_or(Body::empty(), |body| Body::from(body.to_string()))).unwrap()
    };
    let list = format!("{MUSIC}/activities");
    let seen = send(other.clone(), request("GET", &list, None)).await.expect(200);
    assert_ne!(seen.json, json!({"items": []}));
    api.delete(MUSIC).await.expect(204);
    api.put(MUSIC, json!({})).await.expect(201);
    let play = json!({"verb": "POST", "uriPattern": format!("{}/x", api.world.receiver.url())});
    api.put(&format!("{MUSIC}/activity-types/play"), play).await.expect(201);
    let seen = send(other.clone(), request("GET", &list, None)).await.expect(200);
    assert_eq!(seen.json, json!({"items": []}));
    let body = json!({"id": "new", "activityType": "play"});
    send(other, request("POST", &list, Some(body))).await.expect(201);
    api.get(&format!("{list}/new")).await.expect(200);
}

#[tokio::test]
async fn a_message_of_a_deleted_solution_calls_nothing_of_the_next_one() {
    let api = Api::seeded().await;
    let song = "/v1/companies/acme/solutions/main";
    let later =
        json!({"id": "same", "date": rules::time::format(api.world.clock.now() + TimeDelta::minutes(10))});
    api.activity("1", later.clone()).await;
    // Its message stays in the queue.
    api.delete(&format!("{song}/activities/same")).await.expect(200);
    api.delete(song).await.expect(204);
    api.put(song, json!({})).await.expect(201);
    let uri = format!("{}/songs/{{SongId}}", api.world.receiver.url());
    let play = json!({"verb": "POST", "uriPattern": uri, "objectIdRef": "SongId"});
    api.put(&format!("{song}/activity-types/play"), play).await.expect(201);
    api.activity("2", json!({"id": "same", "date": "2030-01-01T00:00:00Z"})).await;
    api.world.run(api.world.clock.now() + TimeDelta::minutes(30)).await;
    assert!(api.world.receiver.arrivals().is_empty());
    let seen = api.get(&format!("{song}/activities/same")).await.expect(200).json;
    assert_eq!((&seen["status"], &seen["attempts"]), (&json!("READY"), &json!(0)));
}

/// Kills whoever removes a deleted solution before and after its service calls; the next invocations end it.
#[tokio::test]
async fn a_removal_killed_at_any_step_is_finished_by_the_next() {
    let mut reached = 0;
    // Every seventh call: the rest are the same calls on other partitions.
    for stop in Stop::all(CALLS_MAX).filter(|stop| stop.call % 7 == 0) {
        let api = Api::seeded().await;
        let main = "/v1/companies/acme/solutions/main";
        let early =
            json!({"activityId": "early", "occurredAt": "2027-01-15T07:59:00Z", "status": "COMPLETED"});
        api.post(&format!("{main}/activity-results"), early).await.expect(201);
        api.activity("1", json!({"id": "a"})).await;
        api.world.work(&api.world.worker()).await;
        delete_main(&api).await;
        api.world.clock.advance(TimeDelta::hours(2));
        let (steps, clients) = Steps::of(api.world.embedded.clients(), stop);
        let killed = tokio::select! {
            biased;
            () = steps.stopped() => true,
            _ = invoke(api.world.process_with(clients)) => false,
        };
        reached += usize::from(killed);
        api.world.clock.advance(TimeDelta::minutes(15));
        invoke(api.world.process()).await;
        assert_eq!(invoke(api.world.process()).await, 0, "{stop:?}");
        let left = holding(&api.world, "main").await;
        assert!(left.iter().all(|item| item.contains("D#main")), "{stop:?}: {left:#?}");
        if !killed && !stop.after {
            break;
        }
    }
    assert!(reached > 10, "{reached}");
}

async fn delete_main(api: &Api) {
    api.delete("/v1/companies/acme/solutions/main").await.expect(204);
    api.delete(COMPANY).await.expect(204);
}
