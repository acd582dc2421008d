//! A data directory as a release leaves it, with items of every kind in the states in which work stops: what is stored by one
//! release is read and worked off by the next.
//!
//! `stored DIR` writes one. Those of past releases are kept below `tests/stored`, and a test opens each.

use crate::receiver::Reply;
use crate::recurring::spec;
use crate::world::{World, beginning, http};
use chrono::{DateTime, TimeDelta, Utc};
use local::embedded::Options;
use rules::activity::Event;
use rules::names::{Channel, Tenant};
use serde_json::Value;
use shared::clock::Clock;
use shared::items::activity::{ActivityResult, NewActivity, Target};
use shared::items::notification::NewNotification;
use shared::publisher::Publisher;
use shared::tenancy::{Actor, NotificationType, Rolling, ServerState};
use std::path::Path;

/// When the processes of a stored world stop.
pub fn stopped() -> DateTime<Utc> {
    beginning() + TimeDelta::minutes(30)
}

/// The options of services whose state is in `dir`.
pub fn options(dir: &Path) -> Options {
    Options { data_dir: Some(dir.to_owned()), ..Options::in_memory().unwrap() }
}

/// A tenant of a stored world: its company's name, and `main`, or the solution of its reminders.
pub fn tenant(name: &str) -> Tenant {
    name.parse().unwrap()
}

/// Makes a world in `dir`, which is empty, and stops it in the middle of its work.
pub async fn write(dir: &Path) {
    let world = World::open(options(dir), beginning()).await;
    let tenant = world.tenant("acme", 2).await;
    world.ctx.tenancy.rotate_signing_secret(&Actor::Admin, &tenant).await.unwrap();
    world.put_config(&tenant, world.yom(Channel::Email)).await;
    activities(&world, &tenant).await;
    paused(&world).await;
    rules(&world, &tenant).await;
    notifications(&world, &tenant).await;
    reminders(&world).await;
    assert!(world.clock.now() < stopped());
}

async fn activities(world: &World, tenant: &Tenant) {
    let due = |id: &str, minutes| world.activity(tenant, id, TimeDelta::minutes(minutes));
    for (id, reply) in [("delivered", 200), ("completed", 200), ("retrying", 500)] {
        world.receiver.reply([Reply::status(reply)]);
        world.accept(vec![due(id, 0)]).await;
        world.work(&world.worker()).await;
    }
    world.receiver.reply([Reply::status(500)]);
    world.accept(vec![NewActivity { max_attempts: 1, ..due("dead", 0) }]).await;
    world.work(&world.worker()).await;
    world.receiver.reply([Reply::taken("p-linked")]);
    world.accept(vec![world.message(tenant, Channel::Email, "linked")]).await;
    world.work(&world.worker()).await;
    world.put_type(tenant, "object", |kind| kind.object_id_ref = vec!["id".parse().unwrap()]).await;
    let large = NewActivity {
        kind: "A:object".parse().unwrap(),
        parameter: format!("{{\"id\":\"large\",\"more\":\"{}\"}}", "x".repeat(2_000)),
        objects: ["one", "two"].map(|object| format!("{tenant}/object/={object}")).into(),
        ..due("large", 60)
    };
    world.accept(vec![large, due("soon", 5), due("waits", 24 * 60), due("canceled", 60)]).await;
    let canceled = world.ctx.work.change(tenant, &"canceled".parse().unwrap(), Event::Cancel).await;
    canceled.unwrap();
    for id in ["claimed", "noted"] {
        world.accept(vec![due(id, 0)]).await;
        world.claim(tenant, id, TimeDelta::seconds(50)).await;
    }
    for id in ["completed", "noted", "early"] {
        let target = Target::Activity(id.parse().unwrap());
        world.ctx.work.report(tenant, &target, result(world, id)).await.unwrap();
    }
}

/// That the activity or message `of` was completed.
pub fn result(world: &World, of: &str) -> ActivityResult {
    ActivityResult {
        id: format!("result-of-{of}").parse().unwrap(),
        status: "COMPLETED".parse().unwrap(),
        provider_activity_id: None,
        occurred_at: world.clock.now(),
        received_at: world.clock.now(),
        hard_override: false,
        details: "{}".into(),
        body_hash: of.into(),
        standalone: false,
    }
}

async fn paused(world: &World) {
    let tenant = Tenant { solution: "paused".parse().unwrap(), ..tenant("acme/main") };
    let tenancy = &world.ctx.tenancy;
    tenancy.put_solution(&Actor::Admin, &tenant, 1, Rolling::default()).await.unwrap();
    world.put_type(&tenant, "call", |_| {}).await;
    world.accept(vec![world.activity(&tenant, "held", TimeDelta::minutes(1))]).await;
    let reason = Some("maintenance");
    tenancy.set_server_state(&Actor::Admin, &tenant, ServerState::Paused, reason).await.unwrap();
}

async fn rules(world: &World, tenant: &Tenant) {
    for name in ["hourly", "paused"] {
        world.put_rule(tenant, name, spec("30 * * * *")).await;
    }
    world.set_rule_state(tenant, "paused", ServerState::Paused).await;
    let mut ending = spec("* * * * *");
    ending.end_at = Some(world.clock.now() + TimeDelta::minutes(1));
    world.put_rule(tenant, "ended", ending).await;
}

async fn notifications(world: &World, tenant: &Tenant) {
    let uri = format!("{}/notify", world.receiver.url());
    for (name, retries) in [("thrice", 3), ("once", 0)] {
        let kind = NotificationType::new(name.parse().unwrap(), uri.clone(), retries);
        world.ctx.tenancy.put_notification_type(&Actor::Admin, tenant, kind).await.unwrap();
    }
    let publisher = Publisher::new(world.process(), http(), 60);
    for (kind, id, reply) in [
        ("thrice", "published", Some(200)),
        ("thrice", "failed", Some(500)),
        ("thrice", "saved", None),
        ("once", "exhausted", Some(500)),
    ] {
        world.receiver.reply(reply.map(Reply::status));
        let of = world.ctx.tenancy.notification_type(tenant, &kind.parse().unwrap()).await.unwrap().unwrap();
        publisher.publish(notification(tenant, id), &of, reply.is_none()).await.unwrap();
    }
    world.clock.advance(TimeDelta::minutes(2));
    // Of those due, one fails for the last time; the others stay as they are.
    world.receiver.reply([Reply::status(500)]);
    publisher.turn(&format!("N#{tenant}#exhausted")).await.unwrap();
    let of = world.ctx.tenancy.notification_type(tenant, &"thrice".parse().unwrap()).await.unwrap().unwrap();
    let lease_until = Some(world.clock.now() + TimeDelta::seconds(30));
    world.ctx.work.save_notification(notification(tenant, "claimed"), &of, lease_until).await.unwrap();
}

fn notification(tenant: &Tenant, id: &str) -> NewNotification {
    NewNotification {
        tenant: tenant.clone(),
        id: id.parse().unwrap(),
        payload: Value::from(id).to_string(),
        body_hash: id.to_owned(),
        parents: Vec::new(),
    }
}

async fn reminders(world: &World) {
    let tenant = world.reminders("clinic").await;
    for (number, id) in
        ["review", "completed", "midway", "waiting", "cancelled", "claimed", "manual"].into_iter().enumerate()
    {
        let minutes: &[i64] = match id {
            "review" | "completed" | "claimed" => &[0],
            "midway" => &[0, 120],
            _ => &[120],
        };
        world.remind(world.reminder(&tenant, id, &format!("1190000000{number}"), minutes)).await;
        match id {
            "review" => {
                for _ in 0..rules::reminder::ATTEMPTS_MAX {
                    world.receiver.reply([Reply::status(500)]);
                    assert_eq!(world.counts().await, (0, 1, 0));
                    world.clock.advance(TimeDelta::minutes(1));
                }
            }
            "completed" | "midway" => assert_eq!(world.counts().await, (1, 0, 0)),
            _ => {}
        }
    }
    let (reminders, lease) = (&world.ctx.reminders, TimeDelta::seconds(60));
    let id = |id: &str| id.parse().unwrap();
    reminders.cancel(&tenant, &id("cancelled")).await.unwrap();
    reminders.claim(&tenant, &id("claimed"), 1, lease).await.unwrap();
    reminders.claim_manually(&tenant, &id("manual"), lease).await.unwrap();
}
