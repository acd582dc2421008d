//! Log rolling: what leaves, when, in which batches, and nothing unacknowledged (SPEC §8).

use chrono::TimeDelta;
use log_roller::{LogRoller, RollEvent, RollReport};
use rules::activity::{Event, Status};
use rules::names::Tenant;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::context::Context;
use shared::tenancy::{Actor, Rolling, ServerState};
use std::collections::{BTreeMap, BTreeSet};
use tests::steps::{Steps, Stop};
use tests::world::http;
use tests::{Reply, World};

/// More service calls than a roller makes here; a loop ends when a stop is not reached.
const CALLS_MAX: usize = 80;
const DAY: TimeDelta = TimeDelta::days(1);

fn event(text: &str) -> RollEvent {
    serde_json::from_str(text).unwrap()
}

async fn roll_on(ctx: Context) -> RollReport {
    let daily = event(include_str!("../../../events/log-roller/schedule.json"));
    LogRoller::new(ctx, http()).handle(daily).await.unwrap()
}

async fn roll(world: &World) -> RollReport {
    roll_on(world.process()).await
}

/// Sets where logs go and how long they are kept. The receiver's path tells the roller.
async fn set(world: &World, tenant: &Tenant, edit: impl FnOnce(&mut Rolling)) {
    let mut rolling = Rolling {
        success_uri: Some(format!("{}/logs/success", world.receiver.url())),
        success_period_days: Some(1.0),
        dead_letter_uri: Some(format!("{}/logs/dead", world.receiver.url())),
        dead_letter_period_days: Some(1.0),
    };
    edit(&mut rolling);
    world.ctx.tenancy.put_solution(&Actor::Admin, tenant, 1, rolling).await.unwrap();
}

/// Accepts activities that are due now, and has them called.
async fn finish(world: &World, tenant: &Tenant, ids: impl IntoIterator<Item = String>) {
    let activities: Vec<_> =
        ids.into_iter().map(|id| world.activity(tenant, &id, TimeDelta::zero())).collect();
    for chunk in activities.chunks(100) {
        world.accept(chunk.to_vec()).await;
    }
    world.work(&world.worker()).await;
}

/// The batches that arrived: key, path and body.
fn batches(world: &World) -> Vec<(String, String, Value)> {
    let arrivals = world.receiver.arrivals().into_iter();
    let logs = arrivals.filter(|arrival| arrival.uri.path().starts_with("/logs/"));
    logs.map(|arrival| {
        let body = serde_json::from_slice(&arrival.body).unwrap();
        (arrival.idempotency_key().to_owned(), arrival.uri.path().to_owned(), body)
    })
    .collect()
}

fn ids(body: &Value) -> Vec<String> {
    let ids = body["activities"].as_array().unwrap().iter();
    ids.map(|activity| activity["id"].as_str().unwrap().to_owned()).collect()
}

/// The ids of the activities that are still there.
async fn left(world: &World, tenant: &Tenant) -> BTreeSet<String> {
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

#[tokio::test]
async fn without_a_uri_kept_or_deleted_and_without_a_period_kept() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let roll_with = async |edit: fn(&mut Rolling)| {
        set(&world, &tenant, edit).await;
        roll(&world).await.deleted
    };
    finish(&world, &tenant, ["a".to_owned(), "b".to_owned()]).await;
    world.clock.advance(DAY * 400);
    assert_eq!(roll_with(|rolling| *rolling = Rolling::default()).await, 0, "neither: kept");
    assert_eq!(roll_with(|rolling| rolling.success_period_days = None).await, 0, "no period: kept for good");
    let deleted =
        roll_with(|rolling| (rolling.success_uri, rolling.success_period_days) = (None, Some(399.5)));
    assert_eq!(deleted.await, 2, "a period and no URI: deleted");
    assert!(batches(&world).is_empty() && left(&world, &tenant).await.is_empty());
    // A period of 0: whatever is finished goes with the next round.
    finish(&world, &tenant, ["c".to_owned()]).await;
    assert_eq!(roll_with(|rolling| rolling.success_period_days = Some(0.0)).await, 1);
    assert_eq!(ids(&batches(&world)[0].2), ["c"]);
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

/// Kills the roller before and after each of its service calls. Whatever is deleted was acknowledged, and a
/// batch that is sent again has the same key and the same activities.
#[tokio::test]
async fn a_roller_killed_at_any_step_deletes_nothing_unacknowledged() {
    let mut reached = 0;
    for stop in Stop::all(CALLS_MAX) {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        set(&world, &tenant, |_| {}).await;
        world.receiver.reply((0..3).map(|_| Reply::status(500)));
        finish(&world, &tenant, ["dead".to_owned()]).await;
        world.run(world.clock.now() + TimeDelta::minutes(2)).await;
        finish(&world, &tenant, (0..3).map(|n| format!("a{n}"))).await;
        world.clock.advance(DAY);
        let (steps, clients) = Steps::of(world.embedded.clients(), stop);
        let killed = tokio::select! {
            biased;
            () = steps.stopped() => true,
            _ = roll_on(world.process_with(clients)) => false,
        };
        reached += usize::from(killed);
        let what = format!("{stop:?}");
        let acknowledged: BTreeSet<String> =
            batches(&world).iter().flat_map(|(_, _, body)| ids(body)).collect();
        let everything = ["a0", "a1", "a2", "dead"].map(str::to_owned);
        for id in &everything {
            let is_left = left(&world, &tenant).await.contains(id);
            assert!(is_left || acknowledged.contains(id), "{what}: {id} is gone unsent");
        }
        // More finishes meanwhile; the next day's round goes on.
        finish(&world, &tenant, ["new".to_owned()]).await;
        world.clock.advance(DAY);
        assert_eq!(roll(&world).await.refused, 0, "{what}");
        assert!(left(&world, &tenant).await.is_empty(), "{what}");
        let mut by_key: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
        for (key, _, body) in batches(&world) {
            by_key.entry(key).or_default().push(ids(&body));
        }
        for (key, sent) in &by_key {
            assert!(sent.iter().all(|ids| *ids == sent[0]), "{what}: {key} {sent:?}");
            assert!(sent.len() <= 1 + usize::from(killed), "{what}: {sent:?}");
        }
        let mut once: Vec<String> = by_key.into_values().flat_map(|mut sent| sent.remove(0)).collect();
        once.sort();
        assert_eq!(once, ["a0", "a1", "a2", "dead", "new"], "{what}: each in one batch");
        assert!(
            !world
                .dump()
                .await
                .iter()
                .any(|item| item.get("SK").and_then(|sk| sk.as_s().ok()).is_some_and(|sk| sk == "BATCH")),
            "{what}"
        );
        if !killed && !stop.after {
            break;
        }
    }
    assert!(reached > 30, "{reached}");
}

/// A dead letter that is retried by hand between the answer and its delete stays, and goes with its new run.
#[tokio::test]
async fn what_is_retried_between_the_answer_and_the_delete_stays() {
    let mut seen = false;
    for call in 0..CALLS_MAX {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        set(&world, &tenant, |rolling| rolling.dead_letter_period_days = Some(0.0)).await;
        world.receiver.reply((0..3).map(|_| Reply::status(500)));
        finish(&world, &tenant, ["dead".to_owned()]).await;
        world.run(world.clock.now() + TimeDelta::minutes(2)).await;
        let (steps, clients) = Steps::of(world.embedded.clients(), Stop { call, after: true });
        let first = roll_on(world.process_with(clients));
        let mut first = std::pin::pin!(first);
        let stopped = tokio::select! {
            biased;
            () = steps.stopped() => true,
            _ = &mut first => false,
        };
        if !stopped {
            break;
        }
        let was_sent = !batches(&world).is_empty();
        let retried = world.ctx.work.change(&tenant, &"dead".parse().unwrap(), Event::Retry).await.unwrap();
        let is_retried = matches!(retried, shared::work::Change::Applied(_));
        seen |= was_sent && is_retried;
        steps.go_on();
        first.await;
        let what = format!("after call {call}");
        assert_eq!(left(&world, &tenant).await.contains("dead"), is_retried, "{what}");
        world.receiver.reply((0..3).map(|_| Reply::status(500)));
        world.work(&world.worker()).await;
        world.run(world.clock.now() + TimeDelta::minutes(2)).await;
        roll(&world).await;
        assert!(left(&world, &tenant).await.is_empty(), "{what}");
        let sent = batches(&world);
        let runs: BTreeSet<i64> =
            sent.iter().map(|(_, _, body)| body["activities"][0]["run"].as_i64().unwrap()).collect();
        assert!(runs.contains(&i64::from(is_retried)), "{what}: {runs:?}");
    }
    assert!(seen, "the retry came between an answer and its delete");
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
    set(&world, &tenant, |rolling| rolling.success_period_days = Some(0.0)).await;
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
                &shared::work::Filter { status: Some(Status::Dispatched), ..Default::default() },
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
