//! Log rolling: what leaves, when, in which batches, and nothing unacknowledged (SPEC §8).

use chrono::TimeDelta;
use log_roller::{LogRoller, RollEvent, RollReport};
use rules::activity::{Event, Status};
use rules::names::Tenant;
use rules::rolling::OWN_KEPT_MIN;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::context::Context;
use shared::items::activity::NewActivity;
use shared::items::recurring::RULE_BODY_HASH;
use shared::tenancy::{Actor, Rolling, ServerState};
use std::collections::BTreeSet;
use tests::world::http;
use tests::{Reply, World};

pub const DAY: TimeDelta = TimeDelta::days(1);

fn event(text: &str) -> RollEvent {
    serde_json::from_str(text).unwrap()
}

pub async fn roll_on(ctx: Context) -> RollReport {
    let daily = event(include_str!("../../../events/log-roller/schedule.json"));
    LogRoller::new(ctx, http()).handle(daily).await.unwrap()
}

pub async fn roll(world: &World) -> RollReport {
    roll_on(world.process()).await
}

/// Sets where logs go and how long they are kept. The receiver's path tells the roller.
pub async fn set(world: &World, tenant: &Tenant, edit: impl FnOnce(&mut Rolling)) {
    let mut rolling = Rolling {
        success_uri: Some(format!("{}/logs/success", world.receiver.url())),
        success_period_days: "1".parse().ok(),
        dead_letter_uri: Some(format!("{}/logs/dead", world.receiver.url())),
        dead_letter_period_days: "1".parse().ok(),
    };
    edit(&mut rolling);
    world.ctx.tenancy.put_solution(&Actor::Admin, tenant, 1, rolling).await.unwrap();
}

/// Accepts activities that are due now, and has them called.
pub async fn finish(world: &World, tenant: &Tenant, ids: impl IntoIterator<Item = String>) {
    let activities: Vec<_> =
        ids.into_iter().map(|id| world.activity(tenant, &id, TimeDelta::zero())).collect();
    for chunk in activities.chunks(100) {
        world.accept(chunk.to_vec()).await;
    }
    world.work(&world.worker()).await;
}

/// The batches that arrived: key, path and body.
pub fn batches(world: &World) -> Vec<(String, String, Value)> {
    let arrivals = world.receiver.arrivals().into_iter();
    let logs = arrivals.filter(|arrival| arrival.uri.path().starts_with("/logs/"));
    logs.map(|arrival| {
        let body = serde_json::from_slice(&arrival.body).unwrap();
        (arrival.idempotency_key().to_owned(), arrival.uri.path().to_owned(), body)
    })
    .collect()
}

pub fn ids(body: &Value) -> Vec<String> {
    let ids = body["activities"].as_array().unwrap().iter();
    ids.map(|activity| activity["id"].as_str().unwrap().to_owned()).collect()
}

/// The ids of the activities that are still there.
pub async fn left(world: &World, tenant: &Tenant) -> BTreeSet<String> {
    let prefix = format!("A#{tenant}#");
    let items = world.dump().await.into_iter();
    items.filter_map(|item| item["PK"].as_s().unwrap().strip_prefix(&prefix).map(str::to_owned)).collect()
}

#[tokio::test]
async fn what_was_kept_for_its_period_leaves_with_its_log() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    set(&world, &tenant, |_| {}).await;
    world.receiver.reply([Reply::status(500), Reply::status(200)]);
    finish(&world, &tenant, ["ok".to_owned()]).await;
    world.run(world.clock.now() + TimeDelta::minutes(1)).await;
    world.receiver.reply(
        (0..3).map(|_| Reply::Status(404, vec![("content-type", "text/plain".into())], "gone".into())),
    );
    finish(&world, &tenant, ["dead".to_owned()]).await;
    world.run(world.clock.now() + TimeDelta::minutes(2)).await;
    finish(&world, &tenant, []).await;
    assert_eq!(roll(&world).await.batches, 0, "not yet");
    world.clock.advance(DAY - TimeDelta::minutes(3));
    assert_eq!(roll(&world).await, RollReport { solutions: 1, ..RollReport::default() });
    world.clock.advance(TimeDelta::minutes(3));
    finish(&world, &tenant, ["young".to_owned()]).await;
    let report = roll(&world).await;
    assert_eq!((report.batches, report.deleted, report.refused, report.left), (2, 2, 0, false));

    let [(ok_key, ok_path, ok), (dead_key, dead_path, dead)] = <[_; 2]>::try_from(batches(&world)).unwrap();
    assert_eq!((ok_path.as_str(), dead_path.as_str()), ("/logs/success", "/logs/dead"));
    assert_ne!(ok_key, dead_key);
    assert_eq!(
        (&ok["company"], &ok["solution"], &ok["kind"], &dead["kind"]),
        (&json!("acme"), &json!("main"), &json!("success"), &json!("deadLetter"))
    );
    let activity = &ok["activities"][0];
    assert_eq!(
        (&activity["id"], &activity["activityType"], &activity["status"], &activity["attempts"]),
        (&json!("ok"), &json!("call"), &json!("DISPATCHED"), &json!(2))
    );
    assert_eq!(activity["parameter"], json!({"id": "ok"}));
    let outcomes = |activity: &Value| {
        let details = activity["logDetails"].as_array().unwrap().iter();
        details.map(|entry| (entry["outcome"].clone(), entry["httpStatus"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(activity), [(json!("FAILURE"), json!(500)), (json!("SUCCESS"), json!(200))]);
    let failure = (json!("FAILURE"), json!(404));
    assert_eq!(outcomes(&dead["activities"][0]), [failure.clone(), failure.clone(), failure]);
    assert_eq!(dead["activities"][0]["logDetails"][2]["detail"], "gone");
    assert_eq!(left(&world, &tenant).await, BTreeSet::from(["young".to_owned()]), "with their histories");
    let signed = world.receiver.arrivals().pop().unwrap();
    assert_eq!(signed.headers["webhook-id"], dead_key.as_str());
}

/// What has no roller goes by itself; the roller removes it later where that did not happen, as of what ended before ends
/// were noted.
#[tokio::test]
async fn without_a_uri_deleted_after_the_period_and_without_a_period_after_a_year() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let roll_with = async |edit: fn(&mut Rolling)| {
        set(&world, &tenant, edit).await;
        roll(&world).await.deleted
    };
    // They end while a roller is to hand them on.
    set(&world, &tenant, |_| {}).await;
    finish(&world, &tenant, ["a".to_owned(), "b".to_owned()]).await;
    world.clock.advance(DAY * 300);
    assert_eq!(roll_with(|rolling| *rolling = Rolling::default()).await, 0, "neither: kept for a year");
    assert_eq!(roll_with(|rolling| rolling.success_period_days = None).await, 0, "no period: for a year");
    let without_uri = |days: &'static str| {
        move |rolling: &mut Rolling| {
            (rolling.success_uri, rolling.success_period_days) = (None, days.parse().ok());
        }
    };
    set(&world, &tenant, without_uri("296.5")).await;
    assert_eq!(roll(&world).await.deleted, 0, "the time to live has some days for it");
    set(&world, &tenant, without_uri("296")).await;
    assert_eq!(roll(&world).await.deleted, 2, "a period and no URI: deleted");
    assert!(batches(&world).is_empty() && left(&world, &tenant).await.is_empty());
    set(&world, &tenant, |_| {}).await;
    finish(&world, &tenant, ["old".to_owned()]).await;
    world.clock.advance(DAY * 369);
    assert_eq!(roll_with(|rolling| rolling.success_period_days = None).await, 1, "a year is over");
    // A period of 0: whatever is finished goes with the next round.
    finish(&world, &tenant, ["c".to_owned()]).await;
    assert_eq!(roll_with(|rolling| rolling.success_period_days = "0".parse().ok()).await, 1);
    assert_eq!(ids(&batches(&world)[0].2), ["c"]);
}

/// Whoever made one may have died before it wrote that down, and finds it by its id.
#[tokio::test]
async fn what_the_system_made_itself_is_kept_for_an_hour_at_least() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    set(&world, &tenant, |rolling| rolling.success_period_days = "0".parse().ok()).await;
    let occurrence = NewActivity {
        body_hash: RULE_BODY_HASH.into(),
        ..world.activity(&tenant, "daily@1700000000", TimeDelta::zero())
    };
    world.accept(vec![occurrence]).await;
    finish(&world, &tenant, ["mine".to_owned()]).await;
    roll(&world).await;
    assert_eq!(left(&world, &tenant).await, BTreeSet::from(["daily@1700000000".to_owned()]));
    world.clock.advance(OWN_KEPT_MIN - TimeDelta::seconds(1));
    assert_eq!(roll(&world).await.deleted, 0);
    world.clock.advance(TimeDelta::seconds(1));
    assert_eq!(roll(&world).await.deleted, 1);
}

#[tokio::test]
async fn what_is_not_acknowledged_is_kept_and_sent_again_with_the_same_key() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    set(&world, &tenant, |_| {}).await;
    finish(&world, &tenant, (0..3).map(|n| format!("a{n}"))).await;
    world.clock.advance(DAY);
    for status in [500, 302, 404] {
        world.receiver.reply([Reply::status(status)]);
        let report = roll(&world).await;
        assert_eq!((report.refused, report.deleted, report.left), (1, 0, false), "{status}: the next day's");
        world.clock.advance(DAY);
        finish(&world, &tenant, [format!("later-{status}")]).await;
    }
    assert_eq!(left(&world, &tenant).await.len(), 6);
    let report = roll(&world).await;
    assert_eq!((report.batches, report.deleted), (2, 5), "the batch of then, and what is due since");
    let sent = batches(&world);
    let first: Vec<_> = sent.iter().take(4).map(|(key, _, body)| (key, ids(body))).collect();
    assert!(first.iter().all(|one| *one == first[0]), "{first:?}");
    assert_eq!(left(&world, &tenant).await, BTreeSet::from(["later-404".to_owned()]));
}

#[tokio::test]
async fn a_paused_solution_is_not_rolled_and_canceled_ones_are_kept() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    set(&world, &tenant, |_| {}).await;
    world.accept(vec![world.activity(&tenant, "canceled", TimeDelta::hours(1))]).await;
    world.ctx.work.change(&tenant, &"canceled".parse().unwrap(), Event::Cancel).await.unwrap();
    finish(&world, &tenant, ["a".to_owned()]).await;
    world.clock.advance(DAY * 2);
    let state = |state| world.ctx.tenancy.set_server_state(&Actor::Admin, &tenant, state, None);
    state(ServerState::Paused).await.unwrap();
    assert_eq!(roll(&world).await, RollReport::default());
    state(ServerState::Running).await.unwrap();
    assert_eq!(roll(&world).await.deleted, 1);
    assert_eq!(left(&world, &tenant).await, BTreeSet::from(["canceled".to_owned()]));
}

/// Five hundred activities and one MiB, whichever comes first.
#[tokio::test]
async fn batches_have_their_limits() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    set(&world, &tenant, |_| {}).await;
    for part in 0..11 {
        finish(&world, &tenant, (0..100).map(|n| format!("p{part}n{n}"))).await;
    }
    world.clock.advance(DAY);
    assert_eq!(roll(&world).await.batches, 3);
    let sizes = |world: &World| batches(world).iter().map(|(_, _, body)| ids(body).len()).collect::<Vec<_>>();
    assert_eq!(sizes(&world), [500, 500, 100]);

    let large = |id: &str| {
        let mut activity = world.activity(&tenant, id, TimeDelta::zero());
        activity.parameter = format!("{{\"id\":\"{id}\",\"x\":\"{}\"}}", "x".repeat(200_000));
        activity
    };
    world.accept((0..7).map(|n| large(&format!("big{n}"))).collect()).await;
    world.work(&world.worker()).await;
    world.clock.advance(DAY);
    assert_eq!(roll(&world).await.deleted, 7);
    assert_eq!(sizes(&world)[3..], [5, 2], "five of 200 KB in a MiB");
    for arrival in world.receiver.arrivals().iter().filter(|arrival| arrival.uri.path() == "/logs/success") {
        assert!(arrival.body.len() <= 1 << 20, "{}", arrival.body.len());
    }
    assert!(left(&world, &tenant).await.is_empty());
}

/// A round that is longer than an invocation goes on with the second schedule; otherwise that does nothing.
#[tokio::test]
async fn a_large_backlog_goes_on_in_the_next_invocation() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    set(&world, &tenant, |_| {}).await;
    for part in 0..6 {
        finish(&world, &tenant, (0..100).map(|n| format!("p{part}n{n}"))).await;
    }
    world.clock.advance(DAY);
    let goes_on = || event(include_str!("../../../events/log-roller/continue.json"));
    let roller = LogRoller::new(world.process(), http());
    assert_eq!(roller.handle(goes_on()).await.unwrap(), RollReport::default(), "no round is unfinished");
    // Another roller has the solution: the round is left.
    let lease =
        world.ctx.leases.acquire("roll/acme/main/success", TimeDelta::minutes(3)).await.unwrap().unwrap();
    let report = roll(&world).await;
    assert!(report.left && report.deleted == 0, "{report:?}");
    world.ctx.leases.release(lease, Default::default()).await.unwrap();
    let report = roller.handle(goes_on()).await.unwrap();
    assert_eq!((report.deleted, report.batches, report.left), (600, 2, false));
    finish(&world, &tenant, ["later".to_owned()]).await;
    world.clock.advance(DAY);
    assert_eq!(roller.handle(goes_on()).await.unwrap(), RollReport::default(), "the round is over");
    assert_eq!(roll(&world).await.deleted, 1);
}

/// Rolling while new ones finish: each is in one acknowledged batch or kept.
#[tokio::test]
async fn rolling_while_new_ones_finish() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    set(&world, &tenant, |rolling| rolling.success_period_days = "0".parse().ok()).await;
    let mut given = BTreeSet::new();
    for part in 0..8 {
        let new: Vec<String> = (0..150).map(|n| format!("p{part}n{n}")).collect();
        given.extend(new.iter().cloned());
        let (report, ()) = tokio::join!(roll(&world), finish(&world, &tenant, new));
        assert_eq!(report.refused, 0);
        world.clock.advance(TimeDelta::seconds(1));
    }
    // Two rollers at a time, with a backlog: what one takes the other leaves.
    let last: Vec<String> = (0..600).map(|n| format!("last{n}")).collect();
    given.extend(last.iter().cloned());
    finish(&world, &tenant, last).await;
    let backlog = left(&world, &tenant).await.len();
    let (one, two) = tokio::join!(roll(&world), roll(&world));
    assert_eq!(one.deleted + two.deleted, backlog);
    let sent: Vec<String> = batches(&world).iter().flat_map(|(_, _, body)| ids(body)).collect();
    assert_eq!(sent.len(), given.len(), "each once");
    assert_eq!(sent.into_iter().collect::<BTreeSet<_>>(), given);
    assert!(left(&world, &tenant).await.is_empty());
    assert_eq!(
        world
            .ctx
            .work
            .list(
                &tenant,
                &world.ctx.tenancy.kinds(&tenant).await.unwrap(),
                &shared::items::activity::Filter { status: Some(Status::Dispatched), ..Default::default() },
                None,
                10,
            )
            .await
            .unwrap()
            .items
            .len(),
        0
    );
}

/// Sizes of the batches that arrived.
fn sizes(world: &World) -> Vec<usize> {
    batches(world).iter().map(|(_, _, body)| ids(body).len()).collect()
}

#[tokio::test]
async fn a_batch_that_is_too_large_for_its_receiver_is_halved_until_it_passes() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    set(&world, &tenant, |_| {}).await;
    finish(&world, &tenant, (0..8).map(|n| format!("a{n}"))).await;
    world.clock.advance(DAY + TimeDelta::minutes(1));
    world.receiver.reply([413, 413, 200, 413].map(Reply::status));
    let report = roll(&world).await;
    assert_eq!((report.batches, report.deleted, report.refused, report.left), (3, 8, 0, false));
    assert_eq!(sizes(&world), [8, 4, 2, 6, 3, 3]);
    let keys: BTreeSet<String> = batches(&world).into_iter().map(|(key, ..)| key).collect();
    assert_eq!(keys.len(), 6, "a receiver that knew the first key would take none of it");
    assert!(left(&world, &tenant).await.is_empty());
}

#[tokio::test]
async fn one_that_is_too_large_alone_is_kept_and_sent_alone_the_next_day() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    set(&world, &tenant, |_| {}).await;
    finish(&world, &tenant, ["a".to_owned(), "b".to_owned()]).await;
    world.clock.advance(DAY + TimeDelta::minutes(1));
    world.receiver.reply([413, 413, 413].map(Reply::status));
    for _ in 0..2 {
        let report = roll(&world).await;
        assert_eq!((report.batches, report.deleted, report.refused), (0, 0, 1));
        world.clock.advance(DAY);
    }
    assert_eq!(sizes(&world), [2, 1, 1]);
    assert_eq!(roll(&world).await.deleted, 2);
    assert_eq!(sizes(&world), [2, 1, 1, 1, 1]);
}
