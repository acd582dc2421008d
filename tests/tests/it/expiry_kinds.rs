//! Until when everything else is kept that would grow for ever (SPEC §8).

use crate::api::{Api, S};
use crate::notifications::{publish, put_type};
use crate::rolling::{DAY, roll};
use chrono::TimeDelta;
use rules::notification::Status;
use serde_json::json;
use shared::clock::Clock;
use shared::engine::attributes::Item;
use shared::items::reminder::Put;
use shared::settings::Settings;
use shared::tenancy::Actor;
use tests::{Reply, World};

const YEAR: i32 = 365;

fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// The sort keys of partitions that begin so.
async fn stored(world: &World, prefix: &str) -> Vec<String> {
    let items = world.dump().await.into_iter().filter(|item| text(item, "PK").starts_with(prefix));
    items.map(|item| text(&item, "SK").to_owned()).collect()
}

/// The items of the configuration table whose partition begins so.
async fn configured(world: &World, prefix: &str) -> Vec<Item> {
    let table = world.embedded.settings("api-ingest")["PUNCTUAL_CONFIG_TABLE"].clone();
    let found = world.embedded.clients().dynamodb.scan().table_name(table).send().await.unwrap();
    found.items.unwrap_or_default().into_iter().filter(|item| text(item, "PK").starts_with(prefix)).collect()
}

#[tokio::test]
async fn completed_and_cancelled_reminders_go_with_their_history() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    for (id, minutes) in [("sent", 1), ("cancelled", 60), ("waits", 1_000_000)] {
        world.remind(world.reminder(&tenant, id, "1199", &[minutes])).await;
    }
    world.ctx.reminders.cancel(&tenant, &"cancelled".parse().unwrap()).await.unwrap();
    world.live(world.clock.now() + TimeDelta::minutes(3)).await;
    let counts = async || {
        let stats = world.reminder_stats(&tenant).await;
        (stats.completed, stats.cancelled, stats.waiting)
    };
    assert_eq!(counts().await, (1, 1, 1));
    world.clock.advance(DAY * YEAR);
    let found =
        async |id: &str| world.ctx.reminders.get(&tenant, &id.parse().unwrap()).await.unwrap().is_some();
    assert!(!found("sent").await && !found("cancelled").await && found("waits").await);
    assert_eq!(counts().await, (0, 0, 1));
    // One of the same id begins anew, with nothing of the other one's.
    let anew = world.ctx.reminders.put(world.reminder(&tenant, "sent", "1199", &[60])).await.unwrap();
    assert!(matches!(&anew, Put::Created(reminder) if reminder.record.state.sequence == 0), "{anew:?}");
    assert_eq!(stored(&world, &format!("R#{tenant}#sent")).await, ["ITEM", "PAYLOAD"]);
    assert_eq!(stored(&world, &format!("R#{tenant}#cancelled")).await.len(), 2, "still stored");
    world.clock.advance(DAY * 4);
    roll(&world).await;
    assert!(stored(&world, &format!("R#{tenant}#cancelled")).await.is_empty());
    assert_eq!(stored(&world, &format!("R#{tenant}#waits")).await.len(), 2);
    assert_eq!(stored(&world, &format!("R#{tenant}#sent")).await.len(), 2);
}

#[tokio::test]
async fn published_notifications_go_and_those_that_wait_for_somebody_stay() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    put_type(&world, &tenant, "mail", 1, json!({})).await;
    assert_eq!(publish(&world, &tenant, "mail", "once").await, Status::Published);
    world.receiver.reply([Reply::status(500)]);
    assert_eq!(publish(&world, &tenant, "mail", "later").await, Status::Pending);
    world.clock.advance(TimeDelta::minutes(11));
    crate::notifications::cycle(&world).await;
    world.receiver.reply([Reply::status(500), Reply::status(500)]);
    assert_eq!(publish(&world, &tenant, "mail", "stuck").await, Status::Pending);
    world.clock.advance(TimeDelta::minutes(11));
    crate::notifications::cycle(&world).await;
    let count = async || {
        let slices = world.ctx.tenancy.notification_slices_of(&tenant).await.unwrap();
        let counts = world.ctx.work.count_notifications(&slices).await.unwrap();
        let of = |status| counts[&"mail".parse().unwrap()].get(&status).copied().unwrap_or_default();
        (of(Status::Published), of(Status::MaxRetried))
    };
    assert_eq!(count().await, (2, 1));
    world.clock.advance(DAY * YEAR);
    assert_eq!(count().await, (0, 1), "gone for readers");
    for (id, shown) in [("once", false), ("later", false), ("stuck", true)] {
        let found = world.ctx.work.notification(&tenant, &id.parse().unwrap()).await.unwrap();
        assert_eq!(found.is_some(), shown, "{id}");
    }
    world.clock.advance(DAY * 4);
    world.expire().await;
    assert!(stored(&world, &format!("N#{tenant}#once")).await.is_empty(), "by the time to live");
    assert_eq!(stored(&world, &format!("N#{tenant}#later")).await.len(), 2);
    roll(&world).await;
    assert!(stored(&world, &format!("N#{tenant}#later")).await.is_empty(), "by the roller");
    assert!(!stored(&world, &format!("N#{tenant}#stuck")).await.is_empty());
    assert_eq!(publish(&world, &tenant, "mail", "later").await, Status::Published, "the id is free");
}

#[tokio::test]
async fn results_that_met_no_activity_expire_and_so_do_audit_entries_and_skips() {
    let api = Api::seeded().await;
    let results = format!("{S}/activity-results");
    let report =
        |key: &str, id: &str| json!({key: id, "occurredAt": "2027-01-15T07:59:00Z", "status": "COMPLETED"});
    api.post(&results, report("activityId", "nobody")).await.expect(201);
    api.post(&results, report("providerActivityId", "nobody-either")).await.expect(201);
    let rule = json!({"activityType": "play", "parameter": {"SongId": 1}, "expression": "0 * * * *", "catchUp": "none"});
    api.put(&format!("{S}/recurring-activities/hourly"), rule).await.expect(201);
    let world = &api.world;
    world.clock.advance(TimeDelta::hours(5));
    world.expand().await;
    let skipped = async || stored(world, "Q#").await.iter().filter(|sk| sk.starts_with("S#")).count();
    assert!(skipped().await > 0);
    assert_eq!(stored(world, "A#acme/main#nobody").await.len(), 2);
    assert_eq!(stored(world, "P#").await.len(), 2);
    let entries =
        api.get(&format!("{S}/audit-log")).await.expect(200).json["items"].as_array().unwrap().len();
    assert!(entries >= 2 && !configured(world, "AUDIT#acme/main").await.is_empty());
    // One of then, which comes at the end of that time.
    world.clock.advance(DAY * (YEAR - 1));
    api.post(&results, report("activityId", "nobody")).await.expect(409);
    api.put(S, json!({"qosLevel": 2})).await.expect(200);
    world.clock.advance(DAY);
    let shown = api.get(&format!("{S}/audit-log")).await.expect(200).json;
    assert_eq!(shown["items"].as_array().unwrap().len(), 1, "the rest is gone for readers");
    assert!(shown.get("nextCursor").is_none());
    world.clock.advance(DAY * 2);
    world.expire().await;
    assert_eq!(configured(world, "AUDIT#acme/main").await.len(), 1);
    assert!(stored(world, "A#acme/main#nobody").await.is_empty() && stored(world, "P#").await.is_empty());
    assert_eq!(skipped().await, 0);
    assert!(stored(world, "Q#").await.contains(&"ITEM".to_owned()), "the rule stays");
}

/// A result that finds its activity in the end goes with it, not by itself.
#[tokio::test]
async fn a_result_that_came_early_stays_with_its_activity() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let one = shared::items::activity::ActivityResult {
        id: "r".parse().unwrap(),
        status: "PENDING".parse().unwrap(),
        provider_activity_id: None,
        occurred_at: world.clock.now(),
        received_at: world.clock.now(),
        hard_override: false,
        details: "{}".into(),
        body_hash: "r".into(),
        standalone: false,
    };
    let target = shared::items::activity::Target::Activity("a".parse().unwrap());
    world.ctx.work.report(&tenant, &target, one.clone()).await.unwrap();
    let item = async |sk: &str| {
        let found = world.dump().await.into_iter().find(|item| text(item, "SK") == sk);
        found.map(|item| (item.contains_key("xp"), item.contains_key("ku")))
    };
    assert_eq!(item("R#r").await, Some((true, false)));
    world.clock.advance(DAY * 300);
    crate::rolling::finish(&world, &tenant, ["a".to_owned()]).await;
    assert_eq!(item("ITEM").await, Some((true, false)));
    // Reported again, it finds its activity.
    world.ctx.work.report(&tenant, &target, one).await.unwrap();
    assert_eq!((item("R#r").await, item("ITEM").await), (Some((false, false)), Some((false, true))));
    world.clock.advance(DAY * 367);
    world.expire().await;
    assert!(item("R#r").await.is_some());
    world.clock.advance(DAY * 2);
    assert_eq!(roll(&world).await.deleted, 1);
    assert_eq!((item("R#r").await, item("ITEM").await), (None, None));
}

#[tokio::test]
async fn slices_of_deleted_types_and_leases_of_tenants_go() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    for name in ["gone", "waits"] {
        world.put_type(&tenant, name, |_| {}).await;
    }
    let mut waits = world.activity(&tenant, "w", TimeDelta::days(3_000));
    waits.kind = "A:waits".parse().unwrap();
    world.accept(vec![waits]).await;
    for name in ["gone", "waits"] {
        world.ctx.tenancy.delete_activity_type(&Actor::Admin, &tenant, &name.parse().unwrap()).await.unwrap();
    }
    for name in ["acme/main/A:call#0", "log-roller"] {
        let lease = world.ctx.leases.acquire(name, TimeDelta::minutes(1)).await.unwrap().unwrap();
        world.ctx.leases.release(lease, Default::default()).await.unwrap();
    }
    let slices = async || configured(&world, "SLICES").await.len();
    world.clock.advance(DAY * (YEAR + 29));
    roll(&world).await;
    assert_eq!(slices().await, 3);
    world.clock.advance(DAY);
    roll(&world).await;
    let left: Vec<_> =
        configured(&world, "SLICES").await.iter().map(|item| text(item, "SK").to_owned()).collect();
    assert_eq!(left, ["acme/main/A:call", "acme/main/A:waits"], "an activity of the other one waits");
    world.expire().await;
    let leases = configured(&world, "LEASE#").await;
    assert!(leases.iter().any(|item| text(item, "PK") == "LEASE#log-roller"));
    assert!(!leases.iter().any(|item| text(item, "PK") == "LEASE#acme/main/A:call#0"), "{leases:?}");
}

/// `PUNCTUAL_RETENTION_DAYS` of 0: nothing goes that has no period.
#[tokio::test]
async fn a_retention_of_nothing_keeps_for_ever() {
    let mut world = World::new().await;
    let variables = world.embedded.settings("delivery-worker");
    let lookup = |name: &str| match name {
        "PUNCTUAL_RETENTION_DAYS" => Some("0".to_owned()),
        _ => variables.get(name).cloned(),
    };
    world.set_settings(Settings::read(&lookup).unwrap());
    let tenant = world.tenant("acme", 1).await;
    crate::rolling::finish(&world, &tenant, ["a".to_owned()]).await;
    world.clock.advance(DAY * 3_650);
    world.expire().await;
    assert_eq!(roll(&world).await.deleted, 0);
    assert_eq!(world.get(&tenant, "a").await.record.kept, None);
    let settings = |days: &str| {
        Settings::read(&|name: &str| match name {
            "PUNCTUAL_RETENTION_DAYS" => Some(days.to_owned()),
            _ => variables.get(name).cloned(),
        })
    };
    assert_eq!(settings("").unwrap().retention_days, 365);
    let fault = settings("36501").unwrap_err().to_string();
    assert!(fault.contains("PUNCTUAL_RETENTION_DAYS must be a whole number from 0 to 36500"), "{fault}");
}

/// A deleted type's registration goes once nothing of it is left, and an hour has passed; not that of one made again.
#[tokio::test]
async fn the_registrations_of_deleted_notification_types_are_removed() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    for name in ["used", "empty", "again"] {
        put_type(&world, &tenant, name, 1, json!({})).await;
    }
    publish(&world, &tenant, "used", "once").await;
    let registered = async || -> Vec<String> {
        let slices = world.ctx.tenancy.notification_slices_of(&tenant).await.unwrap();
        slices.into_iter().map(|slice| slice.name.to_string()).collect()
    };
    for name in ["used", "empty", "again"] {
        let name = name.parse().unwrap();
        world.ctx.tenancy.delete_notification_type(&Actor::Admin, &tenant, &name).await.unwrap();
    }
    roll(&world).await;
    assert_eq!(registered().await, ["again", "empty", "used"], "what is accepted in this moment is found");
    put_type(&world, &tenant, "again", 1, json!({})).await;
    world.clock.advance(TimeDelta::hours(2));
    roll(&world).await;
    assert_eq!(registered().await, ["again", "used"]);
    world.clock.advance(DAY * (YEAR + 4));
    world.expire().await;
    roll(&world).await;
    assert_eq!(registered().await, ["again"]);
}
