//! What earlier releases stored is read and worked off. Each directory below `tests/stored` was written by one
//! (see [`tests::stored`]).

use crate::notifications::{cycle, get};
use chrono::TimeDelta;
use rules::activity::Status;
use rules::names::{Channel, Tenant};
use rules::notification::Status as NotificationStatus;
use shared::clock::Clock;
use shared::items::activity::{Reported, Target};
use shared::tenancy::{Actor, NotificationType, ServerState};
use std::path::Path;
use tests::stored::{options, result, stopped, tenant};
use tests::{Reply, World};

/// How far apart the processes of these tests run.
const TICK: TimeDelta = TimeDelta::minutes(10);

/// The world of a past release, an hour after its processes stopped, with receivers that listen.
async fn world_of(release: &Path, dir: &Path) -> World {
    for file in std::fs::read_dir(release).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), dir.join(file.file_name())).unwrap();
    }
    let world = World::open(options(dir), stopped() + TimeDelta::hours(1)).await;
    let main = tenant("acme/main");
    for (of, names) in [("acme/main", ["call", "object"].as_slice()), ("acme/paused", &["call"])] {
        for name in names {
            let stored = world.ctx.tenancy.activity_type(&tenant(of), &name.parse().unwrap()).await;
            let stored = stored.unwrap().unwrap();
            world.put_type(&tenant(of), name, |new| new.object_id_ref = stored.object_id_ref.clone()).await;
        }
    }
    world.put_config(&main, world.yom(Channel::Email)).await;
    world.configure(&tenant("clinic/clinic"), |_| {}).await;
    let uri = format!("{}/notify", world.receiver.url());
    for name in ["thrice", "once"] {
        let stored = world.ctx.tenancy.notification_type(&main, &name.parse().unwrap()).await.unwrap();
        let kind = NotificationType { uri: uri.clone(), ..NotificationType::clone(&stored.unwrap()) };
        world.ctx.tenancy.put_notification_type(&Actor::Admin, &main, kind).await.unwrap();
    }
    world
}

/// Lets all processes work for 26 hours.
async fn work_off(world: &World) {
    let until = world.clock.now() + TimeDelta::hours(26);
    while world.clock.now() < until {
        world.expand().await;
        cycle(world).await;
        world.live(world.clock.now() + TICK).await;
    }
}

async fn activity(world: &World, of: &Tenant, id: &str) -> (Status, u32, Vec<String>) {
    let view = world.get(of, id).await;
    let outcomes = view.history.into_iter().map(|entry| entry.outcome).collect();
    (view.record.state.status, view.record.state.attempts, outcomes)
}

#[tokio::test]
async fn everything_that_was_stored_is_worked_off() {
    let releases = std::fs::read_dir("stored").unwrap().map(|release| release.unwrap().path());
    for release in releases {
        let dir = tempfile::tempdir().unwrap();
        let world = world_of(&release, dir.path()).await;
        let (main, paused) = (tenant("acme/main"), tenant("acme/paused"));
        let linked = Target::Provider("p-linked".to_owned());
        let reported = world.ctx.work.report(&main, &linked, result(&world, "linked")).await.unwrap();
        assert!(matches!(reported, Reported::New(Some((_, Status::Completed)))), "{reported:?}");
        world.receiver.reply([Reply::taken("p-early")]);
        world.accept(vec![world.message(&main, Channel::Email, "early")]).await;
        world.work(&world.worker()).await;
        world.ctx.tenancy.set_server_state(&Actor::Admin, &paused, ServerState::Running, None).await.unwrap();
        work_off(&world).await;
        activities_ended(&world).await;
        notifications_and_reminders_ended(&world).await;
        calls_are_those_that_were_due(&world);
    }
}

async fn activities_ended(world: &World) {
    use Status::{Canceled, Completed, Dispatched, Failed};
    let main = tenant("acme/main");
    for (id, status, attempts, outcomes) in [
        ("delivered", Dispatched, 1, ["SUCCESS"].as_slice()),
        ("completed", Completed, 1, &["SUCCESS"]),
        ("retrying", Dispatched, 2, &["FAILURE", "SUCCESS"]),
        ("dead", Failed, 1, &["FAILURE"]),
        ("linked", Completed, 1, &["SUCCESS"]),
        ("large", Dispatched, 1, &["SUCCESS"]),
        ("soon", Dispatched, 1, &["SUCCESS"]),
        ("waits", Dispatched, 1, &["SUCCESS"]),
        ("canceled", Canceled, 0, &[]),
        ("claimed", Dispatched, 2, &["CRASHED", "SUCCESS"]),
        ("noted", Completed, 1, &["CRASHED"]),
        ("early", Completed, 1, &["SUCCESS"]),
    ] {
        let outcomes = outcomes.iter().map(ToString::to_string).collect();
        assert_eq!(activity(world, &main, id).await, (status, attempts, outcomes), "{id}");
    }
    assert_eq!(activity(world, &tenant("acme/paused"), "held").await.0, Dispatched);
    for (name, created) in [("hourly", 27), ("paused", 0), ("ended", 1)] {
        assert_eq!(world.created(&main, name).await.len(), created, "{name}");
    }
}

async fn notifications_and_reminders_ended(world: &World) {
    use NotificationStatus::{MaxRetried, Published};
    for (id, status, attempts) in [
        ("published", Published, 1),
        ("failed", Published, 2),
        ("saved", Published, 1),
        ("claimed", Published, 2),
        ("exhausted", MaxRetried, 1),
    ] {
        let state = get(world, &tenant("acme/main"), id).await.notification.state;
        assert_eq!((state.status, state.attempts), (status, attempts), "{id}");
    }
    for (id, outcomes) in [
        ("review", ["SendFailed"; 5].as_slice()),
        ("completed", &["Sent"]),
        ("midway", &["Sent", "Sent"]),
        ("waiting", &["Sent"]),
        ("cancelled", &[]),
        ("claimed", &["SendError", "Sent"]),
        ("manual", &["SendError", "Sent"]),
    ] {
        assert_eq!(world.outcomes(&tenant("clinic/clinic"), id).await, outcomes, "{id}");
    }
}

/// What was called by the release before is called by this one only if it was lost or has failed.
fn calls_are_those_that_were_due(world: &World) {
    let (mut hourly, mut keys): (Vec<_>, Vec<_>) =
        world.receiver.keys().into_iter().partition(|key| key.starts_with("hourly@"));
    let (first, second) = ("2027-01-15T08:07:03.000Z", "2027-01-15T10:07:03.000Z");
    let reminders = [("claimed", first), ("manual", second), ("midway", second), ("waiting", second)];
    let activities = ["claimed", "early", "ended@1800000060", "held", "large", "retrying", "soon", "waits"];
    let notifications = ["claimed", "failed", "saved"];
    let calls = activities.into_iter().chain(notifications).map(|id| format!("{id}:0"));
    let mut expected: Vec<_> = calls.chain(reminders.map(|(id, at)| format!("{id}:{at}"))).collect();
    keys.sort();
    expected.sort();
    assert_eq!(keys, expected);
    hourly.dedup();
    assert_eq!(hourly.len(), 27, "each hour's, once");
}
