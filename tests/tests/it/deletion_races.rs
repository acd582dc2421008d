//! What is deleted while something is created below it: exactly one of the two wins, whoever is stopped where
//! ([`rules::parent`]).

use crate::api::{ADMIN, Answer, Api, S, send};
use axum::Router;
use axum::body::Body;
use chrono::TimeDelta;
use http::Request;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::context::Context;
use tests::steps::{Steps, Stop};
use tests::{Reply, World};

/// More service calls than a deletion or a creation makes; a loop ends when a stop is not reached.
pub const CALLS_MAX: usize = 60;
/// The id of what is created.
pub const CHILD: &str = "child-1";
const SOLUTION: &str = S;
pub const CONFIGURATION: &str = "/api/reminder/configuration/acme/main";

/// A parent, and a request by which something below it waits.
#[derive(Clone)]
pub struct Pair {
    pub parent: String,
    method: &'static str,
    pub path: String,
    body: Value,
    /// Whether the child is there already, and over.
    revived: bool,
}

pub fn pair(parent: &str, method: &'static str, path: &str, body: Value) -> Pair {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("{S}/{path}") };
    let parent = if parent.starts_with('/') { parent.to_owned() } else { format!("{S}/{parent}") };
    Pair { parent, method, path, body, revived: false }
}

pub fn activity() -> Value {
    json!({"id": CHILD, "activityType": "play", "parameter": {"SongId": 1}})
}

pub fn rule() -> Value {
    json!({"activityType": "play", "parameter": {"SongId": 1}, "expression": "* * * * *"})
}

pub fn reminder() -> Value {
    json!({"countryCode": "55", "phoneNumber": "11999990000", "notificationTemplateName": "t",
        "sendTimes": ["2031-01-31T09:30:00Z"]})
}

pub fn notification() -> Value {
    json!({"id": CHILD, "type": "news", "payload": {"a": 1}})
}

fn channel() -> Value {
    json!({"id": CHILD, "channel": "EMAIL", "type": "MESSAGE", "reason": "r",
        "commerce": {"assignment": "x", "targetUsers": []}})
}

/// A world with a parent of each kind, and for a revived child the child that is over.
pub async fn staged(pair: &Pair) -> Api {
    let api = Api::seeded().await;
    let once =
        json!({"verb": "POST", "uriPattern": format!("{}/once", api.world.receiver.url()), "retries": 1});
    api.put(&format!("{S}/activity-types/once"), once).await.expect(201);
    let news = json!({"uri": format!("{}/news", api.world.receiver.url()), "maxRetries": 1});
    api.put(&format!("{S}/notification-types/news"), news).await.expect(201);
    let configuration =
        json!({"notificationKey": "k", "accountCode": "a", "dialogServiceUri": "https://d.example"});
    api.put(CONFIGURATION, configuration).await.expect(201);
    if pair.revived {
        api.world.receiver.reply([Reply::status(500), Reply::status(500)]);
        publish_once(&api).await;
        api.world.receiver.reply([Reply::status(500)]);
        let once = json!({"id": CHILD, "activityType": "once"});
        api.post(&format!("{S}/activities"), once).await.expect(201);
        api.world.work(&api.world.worker()).await;
    }
    // What is tried at once fails, so that it waits.
    api.world.receiver.reply([Reply::status(500), Reply::status(500)]);
    // No read of before is in the cache of the process that the tests ask.
    api.world.clock.advance(TimeDelta::seconds(4));
    api
}

pub async fn ask(router: Router, method: &str, path: &str, body: &Value) -> Answer {
    let request = Request::builder().method(method).uri(path).header("x-api-key", ADMIN);
    let request = request.header("content-type", "application/json");
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    send(router, request.body(body).unwrap()).await
}

pub async fn create(ctx: Context, pair: &Pair) -> Answer {
    ask(Api::router_on(ctx), pair.method, &pair.path, &pair.body).await
}

pub async fn delete(ctx: Context, pair: &Pair) -> Answer {
    ask(Api::router_on(ctx), "DELETE", &pair.parent, &Value::Null).await
}

/// A notification that has ended, of a type that from now on has further attempts.
async fn publish_once(api: &Api) {
    let path = format!("{S}/notification-types/news");
    let news =
        |retries: u32| json!({"uri": format!("{}/news", api.world.receiver.url()), "maxRetries": retries});
    api.put(&path, news(0)).await.expect(200);
    api.post(&format!("{S}/notifications"), notification()).await.expect(202);
    let ended = api.post(&format!("{S}/notifications/{CHILD}/resend"), json!({})).await;
    assert_eq!(ended.json["status"], "MAX_RETRIED", "{}", ended.text);
    api.put(&path, news(3)).await.expect(200);
}

/// Whether a creation was accepted. A batch and a bulk change are answered with 200 whatever becomes of each.
pub fn is_accepted(answer: &Answer) -> bool {
    let each = answer.json["results"][0]["status"].as_u64().is_none_or(|status| status < 300);
    let changed = answer.json["changed"].as_u64().is_none_or(|changed| changed > 0);
    answer.status < 300 && each && changed
}

/// A process of the API that has read what it needs lately.
pub async fn warm(ctx: &Context) {
    let tenant = "acme/main".parse().unwrap();
    let tenancy = &ctx.tenancy;
    tenancy.solution(&tenant).await.unwrap();
    for name in ["play", "once"] {
        tenancy.activity_type(&tenant, &name.parse().unwrap()).await.unwrap();
    }
    tenancy.notification_type(&tenant, &"news".parse().unwrap()).await.unwrap();
    tenancy.reminder_configuration(&tenant).await.unwrap();
}

/// The children that wait, by their keys.
pub async fn waiting(world: &World) -> Vec<String> {
    let dump = world.dump().await;
    let due = dump.iter().filter(|item| item.contains_key("dp"));
    let keys = due.map(|item| item["PK"].as_s().unwrap().clone());
    keys.filter(|pk| pk.contains(CHILD)).collect()
}

/// What has to hold, whoever answered: `None` was killed.
pub async fn judge(api: &Api, pair: &Pair, deleted: Option<Answer>, created: Option<Answer>, what: &str) {
    let status = |answer: &Option<Answer>| answer.as_ref().map(|answer| answer.status);
    let what = format!("{what}: deleted {:?} created {:?}", status(&deleted), status(&created));
    for answered in [&deleted, &created].into_iter().flatten() {
        assert!(answered.status < 500, "{what}");
    }
    let was_deleted = deleted.as_ref().is_some_and(|answer| answer.status == 204);
    let was_created = created.as_ref().is_some_and(is_accepted);
    if deleted.is_some() && created.is_some() {
        assert!(was_deleted != was_created, "exactly one wins: {what}");
    }
    let calls = api.world.receiver.arrivals().len();
    let exists = api.get(&pair.parent).await.status == 200;
    assert!(!(exists && was_deleted), "{what}");
    let waits = !waiting(&api.world).await.is_empty();
    if created.is_some() {
        assert_eq!(waits, was_created, "a child that was refused is not there: {what}");
        assert!(exists || !was_created, "no child without a parent: {what}");
    }
    if exists {
        // Whatever died has left nothing behind that anybody is stuck with.
        create(api.world.process(), pair).await;
        assert!(!waiting(&api.world).await.is_empty(), "{what}");
        assert_eq!(delete(api.world.process(), pair).await.status, 409, "{what}");
        return;
    }
    // A repeated request is not answered as made: that would be both having won after all.
    if created.is_none() {
        let repeated = create(api.world.process(), pair).await;
        assert!(!is_accepted(&repeated), "{} {what}", repeated.text);
    }
    api.world.run_recurring(api.world.clock.now() + TimeDelta::minutes(3)).await;
    assert_eq!(api.world.receiver.arrivals().len(), calls, "nothing is called for it: {what}");
    let left = waiting(&api.world).await;
    // A creator that died in this very moment, late, may leave what ends by itself; rules and reminders are seen by nobody.
    let is_orphan = |pk: &String| created.is_none() && !pk.starts_with("A#");
    assert!(left.iter().all(is_orphan), "{left:?} {what}");
}

/// Stops the one at each of its calls, while the other runs through: frozen, and then going on, or killed.
async fn race(pair: Pair) {
    let mut reached = 0;
    // Whoever is stopped reads all there is to read; a creator that runs through has read it before the deletion began.
    for (stops_creator, is_warm) in [(true, false), (false, true)] {
        for stop in Stop::all(CALLS_MAX) {
            let api = staged(&pair).await;
            let (steps, clients) = Steps::of(api.world.embedded.clients(), stop);
            let (stopping, other) = (api.world.process_with(clients), api.world.process());
            if is_warm {
                warm(&other).await;
            }
            let first = async {
                match stops_creator {
                    true => create(stopping.clone(), &pair).await,
                    false => delete(stopping.clone(), &pair).await,
                }
            };
            let mut first = Box::pin(first);
            let stopped = tokio::select! {
                biased;
                () = steps.stopped() => None,
                answer = &mut first => Some(answer),
            };
            let what =
                format!("{} {} warm {is_warm} creator {stops_creator} {stop:?}", pair.parent, pair.path);
            if let Some(answer) = stopped {
                let (deleted, created) = match stops_creator {
                    true => (delete(other, &pair).await, answer),
                    false => (answer, create(other, &pair).await),
                };
                judge(&api, &pair, Some(deleted), Some(created), &what).await;
                if !stop.after {
                    break;
                }
                continue;
            }
            reached += 1;
            let second = match stops_creator {
                true => delete(other, &pair).await,
                false => create(other, &pair).await,
            };
            // Killed after a call is killed before the next, and so with the frozen.
            let answer = match stop.after {
                true => {
                    drop(first);
                    None
                }
                false => {
                    steps.go_on();
                    Some(first.await)
                }
            };
            let (deleted, created) =
                if stops_creator { (Some(second), answer) } else { (answer, Some(second)) };
            judge(&api, &pair, deleted, created, &what).await;
        }
    }
    assert!(reached > 20, "{reached}");
}

#[tokio::test]
async fn type_and_activity() {
    race(pair("activity-types/play", "POST", "activities", activity())).await;
}

#[tokio::test]
async fn type_and_batch() {
    let large =
        json!({"id": CHILD, "activityType": "play", "parameter": {"SongId": 1, "x": "y".repeat(2_000)}});
    let batch = json!({"activities": [large]});
    race(pair("activity-types/play", "POST", "activities/batch", batch)).await;
}

#[tokio::test]
async fn type_and_rule() {
    race(pair("activity-types/play", "PUT", &format!("recurring-activities/{CHILD}"), rule())).await;
}

#[tokio::test]
async fn type_and_retry() {
    let retry = pair("activity-types/once", "POST", &format!("activities/{CHILD}/retry"), json!({}));
    race(Pair { revived: true, ..retry }).await;
}

#[tokio::test]
async fn type_and_bulk_retry() {
    let body = json!({"filter": {"status": "FAILED"}, "action": "retry"});
    let retry = pair("activity-types/once", "POST", "activities/bulk", body);
    race(Pair { revived: true, ..retry }).await;
}

#[tokio::test]
async fn notification_type_and_manual_send() {
    let path = format!("notifications/{CHILD}/resend");
    let resend = pair("notification-types/news", "POST", &path, Value::Null);
    race(Pair { revived: true, ..resend }).await;
}

#[tokio::test]
async fn configuration_and_reminder() {
    race(pair(CONFIGURATION, "PUT", &format!("/api/reminder/acme/main/{CHILD}"), reminder())).await;
}

#[tokio::test]
async fn notification_type_and_notification() {
    race(pair("notification-types/news", "POST", "notifications", notification())).await;
}

#[tokio::test]
async fn solution_and_activity() {
    race(pair(SOLUTION, "POST", "activities", activity())).await;
}

#[tokio::test]
async fn solution_and_channel() {
    race(pair(SOLUTION, "POST", "activities", channel())).await;
}

#[tokio::test]
async fn solution_and_rule() {
    race(pair(SOLUTION, "PUT", &format!("recurring-activities/{CHILD}"), rule())).await;
}

#[tokio::test]
async fn solution_and_reminder() {
    race(pair(SOLUTION, "PUT", &format!("/api/reminder/acme/main/{CHILD}"), reminder())).await;
}

#[tokio::test]
async fn solution_and_notification() {
    race(pair(SOLUTION, "POST", "notifications", notification())).await;
}
