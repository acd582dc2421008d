//! The re-sender: waits by the rules, locks, pauses, lists (SPEC §7).

use chrono::{DateTime, TimeDelta, Utc};
use notification_resender::{ResendReport, Resender, ResenderSettings};
use rules::names::Tenant;
use rules::notification::Status;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::context::Context;
use shared::items::notification::{NewNotification, NotificationView};
use shared::publisher::{Published, Publisher};
use shared::telemetry::Metrics;
use shared::tenancy::{Actor, NotificationType, ServerState};
use tests::world::{beginning, http};
use tests::{Reply, World};

pub const FIVE_MINUTES: TimeDelta = TimeDelta::minutes(5);

pub fn resender_on(ctx: Context, variables: &[(&str, &str)]) -> Resender {
    let lookup = |wanted: &str| {
        variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned())
    };
    Resender::new(ctx, http(), Metrics::off(), ResenderSettings::read(&lookup).unwrap())
}

pub async fn cycle(world: &World) -> ResendReport {
    resender_on(world.process(), &[]).handle(event()).await.unwrap()
}

pub fn event() -> Value {
    serde_json::from_str(include_str!("../../../events/notification-resender/schedule.json")).unwrap()
}

pub async fn put_type(world: &World, tenant: &Tenant, name: &str, max_retries: u32, rules: Value) {
    let uri = format!("{}/{name}", world.receiver.url());
    let wanted = NotificationType {
        rules: serde_json::from_str(&rules.to_string()).unwrap(),
        ..NotificationType::new(name.parse().unwrap(), uri, max_retries)
    };
    world.ctx.tenancy.put_notification_type(&Actor::Admin, tenant, wanted).await.unwrap();
}

fn new(tenant: &Tenant, id: &str) -> NewNotification {
    NewNotification {
        tenant: tenant.clone(),
        id: id.parse().unwrap(),
        payload: format!("{{\"about\":\"{id}\"}}"),
        body_hash: format!("hash of {id}"),
        parents: Vec::new(),
    }
}

/// Publishes through a process of its own.
pub async fn publish_on(ctx: Context, tenant: &Tenant, kind: &str, id: &str) -> Published {
    let of = ctx.tenancy.notification_type(tenant, &kind.parse().unwrap()).await.unwrap().unwrap();
    let paused = ctx.tenancy.solution(tenant).await.unwrap().unwrap().is_paused();
    Publisher::new(ctx, http(), 600).publish(new(tenant, id), &of, paused).await.unwrap()
}

pub async fn publish(world: &World, tenant: &Tenant, kind: &str, id: &str) -> Status {
    match publish_on(world.process(), tenant, kind, id).await {
        Published::New(notification) => notification.state.status,
        other => panic!("{other:?}"),
    }
}

pub async fn get(world: &World, tenant: &Tenant, id: &str) -> NotificationView {
    world.ctx.work.notification(tenant, &id.parse().unwrap()).await.unwrap().unwrap()
}

/// Cycles every five minutes until nothing is due any more; when each attempt was made, in seconds.
pub async fn run_to_the_end(world: &World, tenant: &Tenant, id: &str) -> (Vec<i64>, NotificationView) {
    for _ in 0..2_000 {
        let view = get(world, tenant, id).await;
        if view.notification.state.status != Status::Pending {
            let seconds = |at: DateTime<Utc>| (at - beginning()).num_seconds();
            return (view.history.iter().map(|entry| seconds(entry.at)).collect(), view);
        }
        world.clock.advance(FIVE_MINUTES);
        cycle(world).await;
    }
    panic!("it never ends");
}

#[tokio::test]
async fn published_at_once_it_is_signed_and_carries_a_stable_key() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    put_type(&world, &tenant, "voicemail", 3, json!({})).await;
    assert_eq!(publish(&world, &tenant, "voicemail", "a").await, Status::Published);
    let [arrival] = <[_; 1]>::try_from(world.receiver.arrivals()).unwrap();
    assert_eq!((arrival.method.as_str(), arrival.uri.path()), ("POST", "/voicemail"));
    assert_eq!((arrival.idempotency_key(), &arrival.body[..]), ("a:0", &br#"{"about":"a"}"#[..]));
    let secrets = world.ctx.tenancy.signing_secrets(&tenant).await.unwrap().unwrap();
    let webhook = standardwebhooks::Webhook::new(secrets.at(beginning())[0]).unwrap();
    assert_eq!(
        arrival.headers["webhook-signature"],
        webhook.sign("a:0", beginning().timestamp(), &arrival.body).unwrap()
    );
    let view = get(&world, &tenant, "a").await;
    assert_eq!((view.notification.state.attempts, view.history.len()), (1, 1));
    assert_eq!((view.history[0].outcome.as_str(), view.history[0].http_status), ("SUCCESS", Some(200)));
    assert_eq!(cycle(&world).await, ResendReport::default(), "nothing is due");
}

/// The waits of each rule shape, under the test clock; cycles come every five minutes.
#[tokio::test]
async fn the_waits_of_each_rule_shape() {
    for (max_retries, rules, waits) in [
        (3, json!({}), &[600, 600, 1_200][..]),
        (1, json!({}), &[600]),
        (0, json!({}), &[600]),
        (3, json!({"all": {"retryAfterS": 300}}), &[600, 300, 300]),
        (3, json!({"all": {}}), &[600, 600, 600]),
        (1, json!({"first": {"attempt": 1, "retries": 3, "retryAfterS": 900}}), &[600, 900, 1_200]),
        (4, json!({"never": {"attempt": 2, "retries": 2}}), &[600, 600]),
        (
            3,
            json!({
                "after_one_day": {"retry_after_s": 86_400, "retries": 4, "attempt": 4},
                "after_two_hours": {"retry_after_s": 7_200, "retries": 4, "attempt": 3},
                "after_45_mins": {"retry_after_s": 2_700, "retries": 4, "attempt": 2},
                "after_15_mins": {"retry_after_s": 900, "retries": 4, "attempt": 1},
            }),
            &[600, 900, 2_700, 7_200],
        ),
    ] {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        put_type(&world, &tenant, "voicemail", max_retries, rules.clone()).await;
        world.receiver.reply((0..9).map(|_| Reply::status(503)));
        assert_eq!(publish(&world, &tenant, "voicemail", "a").await, Status::Pending);
        let saved = get(&world, &tenant, "a").await;
        assert_eq!(
            (saved.notification.state.attempts, saved.next_attempt_at()),
            (1, Some(beginning() + TimeDelta::seconds(600)))
        );
        let (attempts, end) = run_to_the_end(&world, &tenant, "a").await;
        let expect: Vec<i64> = waits.iter().scan(0, |at, wait| Some((*at += wait, *at).1)).collect();
        assert_eq!(attempts, [vec![0], expect].concat(), "{rules}");
        assert_eq!(end.notification.state.status, Status::MaxRetried);
        assert!(end.history.iter().all(|entry| entry.http_status == Some(503)));
        let keys = world.receiver.keys();
        assert!(keys.len() == waits.len() + 1 && keys.iter().all(|key| key == "a:0"), "{keys:?}");
    }
}

#[tokio::test]
async fn by_hand_one_that_is_over_begins_anew() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    put_type(&world, &tenant, "voicemail", 0, json!({})).await;
    world.receiver.reply((0..3).map(|_| Reply::status(500)));
    publish(&world, &tenant, "voicemail", "a").await;
    let (attempts, _) = run_to_the_end(&world, &tenant, "a").await;
    assert_eq!(attempts, [0, 600]);
    let publisher = Publisher::new(world.process(), http(), 600);
    let id = "a".parse().unwrap();
    publisher.resend(&tenant, &id).await.unwrap();
    let anew = get(&world, &tenant, "a").await.notification.state;
    assert_eq!((anew.status, anew.run, anew.attempts), (Status::Pending, 1, 1));
    publisher.resend(&tenant, &id).await.unwrap();
    let view = get(&world, &tenant, "a").await;
    assert_eq!((view.notification.state.status, view.notification.state.attempts), (Status::Published, 2));
    let outcomes: Vec<&str> = view.history.iter().map(|entry| entry.outcome.as_str()).collect();
    assert_eq!(outcomes, ["FAILURE", "FAILURE", "FAILURE", "SUCCESS"], "the history is kept");
    assert_eq!(world.receiver.keys(), ["a:0", "a:0", "a:1", "a:1"]);
}

#[tokio::test]
async fn a_cycle_takes_the_oldest_due_of_each_solution_and_stops_on_a_held_lock() {
    let world = World::new().await;
    let tenants = [world.tenant("acme", 1).await, world.tenant("beta", 1).await];
    for tenant in &tenants {
        put_type(&world, tenant, "voicemail", 3, json!({})).await;
    }
    world.receiver.reply((0..60).map(|_| Reply::status(500)));
    for n in 0..60 {
        publish(&world, &tenants[n % 2], "voicemail", &format!("n{n:02}")).await;
        world.clock.advance(TimeDelta::seconds(1));
    }
    let sent = || world.receiver.arrivals().len();
    world.clock.advance(TimeDelta::minutes(15));
    let lock =
        world.ctx.leases.acquire("notification-resender", TimeDelta::minutes(5)).await.unwrap().unwrap();
    let report = cycle(&world).await;
    assert!(report.locked && report.read == 0 && sent() == 60, "{report:?}");
    world.ctx.leases.release(lock, Default::default()).await.unwrap();

    let report = cycle(&world).await;
    assert_eq!((report.read, report.published, report.left), (40, 40, true));
    let arrived: Vec<String> =
        world.receiver.arrivals()[60..].iter().map(|arrival| arrival.idempotency_key().to_owned()).collect();
    for half in 0..2 {
        let of_tenant = |n: &usize| n % 2 == half;
        let expect: Vec<String> = (0..40).filter(of_tenant).map(|n| format!("n{n:02}:0")).collect();
        let order: Vec<String> = arrived.iter().filter(|key| expect.contains(key)).cloned().collect();
        assert_eq!(order, expect, "the oldest of each solution, in order");
    }
    let report = cycle(&world).await;
    assert_eq!((report.read, report.published, report.left), (20, 20, false));
}

#[tokio::test]
async fn the_configuration_has_the_seeds_names() {
    let read = |variables: &[(&str, &str)]| {
        let lookup = |wanted: &str| {
            variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned())
        };
        ResenderSettings::read(&lookup)
    };
    let defaults = read(&[]).unwrap();
    assert_eq!(
        (defaults.max_doc_read, defaults.retry_after_fudge_s, defaults.cycle_delay_time_ms),
        (20, 600, 300_000)
    );
    let faults = read(&[("max_doc_read", "0"), ("retry_after_fudge_s", "x")]).unwrap_err().0;
    assert_eq!(faults.len(), 2, "{faults:?}");

    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    put_type(&world, &tenant, "voicemail", 3, json!({})).await;
    world.receiver.reply((0..9).map(|_| Reply::status(500)));
    for id in ["a", "b", "c"] {
        publish(&world, &tenant, "voicemail", id).await;
    }
    let slow = [("max_doc_read", "2"), ("cycle_delay_time_ms", "3600000"), ("retry_after_fudge_s", "60")];
    let resender = resender_on(world.process(), &slow);
    world.clock.advance(TimeDelta::minutes(10));
    assert_eq!(resender.handle(event()).await.unwrap().read, 2);
    let wait = get(&world, &tenant, "a").await.next_attempt_at().unwrap() - world.clock.now();
    assert_eq!(wait.num_seconds(), 60, "retry_after_fudge_s times attempts");
    world.clock.advance(FIVE_MINUTES);
    let early = resender.handle(event()).await.unwrap();
    assert_eq!((early.read, early.left), (0, true), "cycle_delay_time_ms have not passed");
    world.clock.advance(TimeDelta::minutes(55));
    assert_eq!(resender.handle(event()).await.unwrap().read, 2);
}

#[tokio::test]
async fn paused_nothing_is_sent_and_resumed_what_is_due_goes_out_at_once() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let other = world.tenant("beta", 1).await;
    for tenant in [&tenant, &other] {
        put_type(&world, tenant, "voicemail", 3, json!({})).await;
    }
    world.receiver.reply((0..26).map(|_| Reply::status(500)));
    for n in 0..25 {
        publish(&world, &tenant, "voicemail", &format!("n{n}")).await;
    }
    publish(&world, &other, "voicemail", "other").await;
    let set = |state| world.ctx.tenancy.set_server_state(&Actor::Admin, &tenant, state, None);
    set(ServerState::Paused).await.unwrap();
    assert_eq!(publish(&world, &tenant, "voicemail", "held").await, Status::Pending);
    world.clock.advance(TimeDelta::hours(1));
    let report = cycle(&world).await;
    assert_eq!((report.read, report.published), (1, 1), "the paused one's do not stand in the way");
    let held = get(&world, &tenant, "held").await;
    assert_eq!((held.notification.state.attempts, held.history.len()), (0, 0), "nothing counts");
    assert_eq!(world.receiver.arrivals().len(), 27);

    set(ServerState::Running).await.unwrap();
    Publisher::new(world.process(), http(), 600).resume(&tenant).await.unwrap();
    assert_eq!(world.receiver.arrivals().len(), 47);
    let report = cycle(&world).await;
    assert_eq!((report.read, report.published, report.left), (6, 6, false));
    assert_eq!(get(&world, &tenant, "held").await.notification.state.attempts, 1);
}

/// Counts and lists come from the indexes, and an item stands in exactly one of them.
#[tokio::test]
async fn notifications_are_listed_counted_and_deleted() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    put_type(&world, &tenant, "voicemail", 0, json!({})).await;
    put_type(&world, &tenant, "fax", 3, json!({})).await;
    world.receiver.reply((0..4).map(|_| Reply::status(500)));
    publish(&world, &tenant, "voicemail", "over").await;
    world.clock.advance(TimeDelta::minutes(10));
    cycle(&world).await;
    publish(&world, &tenant, "fax", "pending-1").await;
    publish(&world, &tenant, "fax", "pending-2").await;
    for n in 0..30 {
        publish(&world, &tenant, "fax", &format!("sent-{n:02}")).await;
    }
    for item in world.dump().await.iter().filter(|item| item.contains_key("st")) {
        let index = |names: [&str; 2]| names.iter().filter(|name| item.contains_key(**name)).count();
        assert_eq!((index(["dp", "ds"]) + index(["fp", "fs"]), index(["dp", "ds"]) % 2), (2, 0), "{item:?}");
    }
    let work = &world.ctx.work;
    let slices = world.ctx.tenancy.notification_slices_of(&tenant).await.unwrap();
    let counts = work.count_notifications(&slices).await.unwrap();
    let count = |name: &str, status| counts[&name.parse().unwrap()][&status];
    assert_eq!((count("voicemail", Status::MaxRetried), count("voicemail", Status::Pending)), (1, 0));
    assert_eq!((count("fax", Status::Pending), count("fax", Status::Published)), (2, 30));

    let walk = async |status: Option<Status>, name: Option<&str>, limit: usize| {
        let name = name.map(|name| name.parse().unwrap());
        let filter = shared::items::notification::NotificationFilter { status, name };
        let (mut ids, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = work.notifications(&slices, &filter, cursor.as_deref(), limit).await.unwrap();
            assert!(page.items.len() <= limit);
            ids.extend(page.items.iter().map(|view| view.notification.id.to_string()));
            cursor = page.next;
            if cursor.is_none() {
                return ids;
            }
        }
    };
    for limit in [1, 7, 100] {
        assert_eq!(walk(Some(Status::Pending), None, limit).await, ["pending-1", "pending-2"]);
        assert_eq!(walk(None, Some("voicemail"), limit).await, ["over"]);
        assert_eq!(walk(None, None, limit).await.len(), 33);
        assert_eq!(walk(Some(Status::MaxRetried), Some("fax"), limit).await.len(), 0);
    }
    assert!(work.has_pending_notifications(&slices).await.unwrap());
    for view in ["over", "pending-1", "pending-2"] {
        let deleted = work.delete_notification(&tenant, &view.parse().unwrap()).await.unwrap();
        assert_eq!(deleted, shared::items::notification::Deleted::Yes);
    }
    assert!(!work.has_pending_notifications(&slices).await.unwrap());
    let left = world.dump().await.into_iter().filter(|item| !item["PK"].as_s().unwrap().contains("#sent-"));
    assert_eq!(left.count(), 0, "with their histories");
}
