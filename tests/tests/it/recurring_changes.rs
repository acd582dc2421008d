//! What a change of a rule, and changes of its occurrences, mean for what it missed and what it created (SPEC §5).

use chrono::{DateTime, TimeDelta, Utc};
use rules::activity::{Event, Status};
use rules::names::Tenant;
use rules::recurring::{CatchUp, SkipReason};
use shared::clock::Clock;
use shared::items::activity::Change;
use shared::items::recurring::RuleSpec;
use shared::tenancy::{Actor, ServerState};
use std::pin::pin;
use tests::recurring::spec;
use tests::steps::{Steps, Stop};
use tests::world::beginning;
use tests::{Reply, World};

/// More service calls than the deletion of a rule takes; a loop ends when a stop is not reached.
const CALLS_MAX: usize = 60;

fn at(seconds: i64) -> DateTime<Utc> {
    beginning() + TimeDelta::seconds(seconds)
}

async fn put(world: &World, tenant: &Tenant, spec: RuleSpec, parameter: &str) {
    let (process, name) = (world.process(), "rule".parse().unwrap());
    shared::recurring::put(&process, &Actor::Admin, tenant, &name, spec, parameter.to_owned()).await.unwrap();
}

/// Which occurrences were called, in seconds, each with the path at which it was.
fn called(world: &World) -> Vec<(i64, String)> {
    let arrivals = world.receiver.arrivals().into_iter();
    let mut called: Vec<(i64, String)> = arrivals
        .map(|arrival| {
            let key = arrival.idempotency_key();
            let instant: i64 = key.split(['@', ':']).nth(1).unwrap().parse().unwrap();
            (instant - beginning().timestamp(), arrival.uri.path().to_owned())
        })
        .collect();
    called.sort();
    called
}

fn every_ten_minutes() -> RuleSpec {
    spec("*/10 * * * *")
}

/// Paused for an hour and changed in the middle of it: what was missed before the change is not made of what was written later.
#[tokio::test]
async fn what_a_paused_rule_missed_before_a_change_is_not_made_by_it() {
    let of_other = RuleSpec { activity_type: "other".parse().unwrap(), ..every_ten_minutes() };
    let retries = RuleSpec { retries: Some(1), ..every_ten_minutes() };
    for (name, changed, parameter, path) in [
        ("parameter", every_ten_minutes(), r#"{"id":"new"}"#, "/call/new"),
        ("type", of_other, r#"{"id":"old"}"#, "/other/old"),
        ("retries", retries, r#"{"id":"old"}"#, "/call/old"),
    ] {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        world.put_type(&tenant, "other", |_| {}).await;
        put(&world, &tenant, every_ten_minutes(), r#"{"id":"old"}"#).await;
        world.run_recurring(at(30)).await;
        world.set_rule_state(&tenant, "rule", ServerState::Paused).await;
        world.run_recurring(at(1_830)).await;
        put(&world, &tenant, changed.clone(), parameter).await;
        assert_eq!(world.rule(&tenant, "rule").await.next, Some(at(2_400)), "{name}");
        let skipped = [(at(600), at(1_800), 3, SkipReason::RuleChanged)];
        assert_eq!(world.skipped(&tenant, "rule").await, skipped, "{name}");
        // A second change that changes nothing skips nothing.
        put(&world, &tenant, changed, parameter).await;
        world.run_recurring(at(3_630)).await;
        world.set_rule_state(&tenant, "rule", ServerState::Running).await;
        world.run_recurring(at(4_260)).await;
        let expect: Vec<(i64, String)> = [(0, "/call/old")]
            .into_iter()
            .chain([2_400, 3_000, 3_600, 4_200].map(|second| (second, path)))
            .map(|(second, path)| (second, path.to_owned()))
            .collect();
        assert_eq!(called(&world), expect, "{name}");
        assert_eq!(world.skipped(&tenant, "rule").await, skipped, "{name}");
    }
}

/// What was missed is made up for by the `catchUp` that the rule has then; and a parameter in another order is the same.
#[tokio::test]
async fn a_change_that_leaves_its_occurrences_as_they_were_skips_none() {
    for catch_up in [CatchUp::All, CatchUp::Latest] {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        let old = r#"{"id":"old","n":[1]}"#;
        put(&world, &tenant, every_ten_minutes(), old).await;
        world.run_recurring(at(30)).await;
        world.set_rule_state(&tenant, "rule", ServerState::Paused).await;
        world.run_recurring(at(1_830)).await;
        let before = world.rule(&tenant, "rule").await;
        put(&world, &tenant, every_ten_minutes(), r#"{"n":[1],"id":"old"}"#).await;
        assert_eq!(world.rule(&tenant, "rule").await, before, "nothing has changed");
        put(&world, &tenant, RuleSpec { catch_up, ..every_ten_minutes() }, old).await;
        assert_eq!(world.rule(&tenant, "rule").await.next, before.next);
        world.set_rule_state(&tenant, "rule", ServerState::Running).await;
        world.run_recurring(at(1_900)).await;
        let seconds: Vec<i64> = called(&world).into_iter().map(|(second, _)| second).collect();
        let expect: &[i64] =
            if catch_up == CatchUp::All { &[0, 600, 1_200, 1_800] } else { &[0, 1_200, 1_800] };
        assert_eq!(seconds, expect, "the last is on time: {catch_up}");
    }
}

/// What a running rule has missed, as nothing expanded it, is made up for with what it said then.
#[tokio::test]
async fn what_a_running_rule_missed_is_made_as_it_was() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    put(&world, &tenant, every_ten_minutes(), r#"{"id":"old"}"#).await;
    world.run_recurring(at(30)).await;
    world.clock.advance_to(at(1_830));
    put(&world, &tenant, every_ten_minutes(), r#"{"id":"new"}"#).await;
    world.run_recurring(at(2_430)).await;
    let expect = [(0, "old"), (600, "old"), (1_200, "old"), (1_800, "old"), (2_400, "new")];
    assert_eq!(called(&world), expect.map(|(second, id)| (second, format!("/call/{id}"))));
    assert!(world.skipped(&tenant, "rule").await.is_empty());
}

/// An occurrence that somebody has rescheduled, dispatched or retried was asked for as an activity of its own: it stays when
/// its rule is deleted or paused, and is made once.
#[tokio::test]
async fn what_somebody_has_changed_of_an_occurrence_is_not_taken_back_with_its_rule() {
    for is_paused in [false, true] {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        let once = RuleSpec { retries: Some(1), ..spec("*/30 * * * * *") };
        put(&world, &tenant, once, r#"{"id":"x"}"#).await;
        world.expand().await;
        let worker = world.worker();
        world.work(&worker).await;
        let id = |second: i64| format!("rule@{}", at(second).timestamp());
        let change = async |second: i64, event: Event<'_>| {
            let changed = world.ctx.work.change(&tenant, &id(second).parse().unwrap(), event).await.unwrap();
            assert!(matches!(changed, Change::Applied(_)), "{second} {changed:?}");
        };
        change(60, Event::Reschedule(at(7_200))).await;
        world.receiver.reply([Reply::status(500)]);
        change(120, Event::DispatchNow).await;
        world.work(&worker).await;
        assert_eq!(world.state(&tenant, &id(120)).await.status, Status::Failed);
        change(120, Event::Retry).await;
        change(180, Event::DispatchNow).await;
        if is_paused {
            world.set_rule_state(&tenant, "rule", ServerState::Paused).await;
        } else {
            let name = "rule".parse().unwrap();
            shared::recurring::delete(&world.process(), &Actor::Admin, &tenant, &name).await.unwrap();
        }
        for (second, stays) in [(30, false), (60, true), (90, false), (120, true), (150, false), (180, true)]
        {
            let found = world.ctx.work.get(&tenant, &id(second).parse().unwrap()).await.unwrap();
            assert_eq!(found.is_some(), stays, "{second} {is_paused}");
        }
        world.run_recurring(at(20)).await;
        let seconds = || called(&world).into_iter().map(|(second, _)| second).collect::<Vec<_>>();
        assert_eq!(seconds(), [0, 120, 120, 180], "{is_paused}");
        if is_paused {
            world.set_rule_state(&tenant, "rule", ServerState::Running).await;
        }
        world.run_recurring(at(205)).await;
        let until = world.clock.now();
        let expect: &[i64] = if is_paused { &[0, 30, 90, 120, 120, 150, 180] } else { &[0, 120, 120, 180] };
        assert_eq!(seconds(), expect, "each once, and the rescheduled one later: {until}");
        if is_paused {
            world.set_rule_state(&tenant, "rule", ServerState::Paused).await;
        }
        world.run_recurring(at(7_230)).await;
        assert_eq!(seconds().into_iter().filter(|second| *second == 60).count(), 1, "{is_paused}");
        assert_eq!(world.state(&tenant, &id(60)).await.executed_at, Some(at(7_200)));
    }
}

/// Whatever a deletion is about to do when somebody reschedules an occurrence: it is kept if that was accepted, else gone.
#[tokio::test]
async fn an_occurrence_that_is_rescheduled_while_its_rule_is_deleted_is_not_lost() {
    let mut kept = 0;
    for stop in Stop::all(CALLS_MAX) {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        put(&world, &tenant, spec("* * * * *"), r#"{"id":"x"}"#).await;
        world.expand().await;
        let (steps, clients) = Steps::of(world.embedded.clients(), stop);
        let (process, name) = (world.process_with(clients), "rule".parse().unwrap());
        let mut deletion = pin!(shared::recurring::delete(&process, &Actor::Admin, &tenant, &name));
        let is_stopped = tokio::select! {
            biased;
            () = steps.stopped() => true,
            deleted = &mut deletion => { deleted.unwrap(); false },
        };
        if !is_stopped {
            break;
        }
        let id = format!("rule@{}", at(120).timestamp()).parse().unwrap();
        let changed = world.ctx.work.change(&tenant, &id, Event::Reschedule(at(7_200))).await.unwrap();
        steps.go_on();
        deletion.await.unwrap();
        let is_there = world.ctx.work.get(&tenant, &id).await.unwrap().is_some();
        assert_eq!(is_there, matches!(changed, Change::Applied(_)), "{stop:?} {changed:?}");
        kept += usize::from(is_there);
    }
    assert!(kept > 4, "{kept}");
}
