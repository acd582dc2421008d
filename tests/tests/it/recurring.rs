//! Recurring rules: on time, once, made up for, paused, changed (SPEC §5).

use chrono::{DateTime, TimeDelta, Utc};
use rules::activity::Status;
use rules::recurring::{CatchUp, LOOK_AHEAD, SkipReason};
use rules::zoned::Tz;
use shared::clock::Clock;
use shared::items::activity::NewActivity;
use shared::tenancy::{Actor, ServerState};
use tests::World;
use tests::recurring::spec;
use tests::world::beginning;

/// Seconds from the beginning.
fn seconds(ats: &[DateTime<Utc>]) -> Vec<i64> {
    ats.iter().map(|at| (*at - beginning()).num_seconds()).collect()
}

fn at(seconds: i64) -> DateTime<Utc> {
    beginning() + TimeDelta::seconds(seconds)
}

#[tokio::test]
async fn occurrences_are_called_at_their_instants_once_each() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.put_rule(&tenant, "often", spec("*/20 * * * * *")).await;
    world.put_rule(&tenant, "hourly", spec("30 * * * *")).await;
    world.run_recurring(at(3_600)).await;
    let created = world.created(&tenant, "often").await;
    let due: Vec<i64> = (0..=3_600 + LOOK_AHEAD.num_seconds()).step_by(20).collect();
    assert_eq!(seconds(&created), due);
    assert_eq!(seconds(&world.created(&tenant, "hourly").await), [1_800]);
    for at in created.iter().filter(|at| **at <= world.clock.now()) {
        let id = format!("often@{}", at.timestamp());
        let state = world.state(&tenant, &id).await;
        assert_eq!((state.status, state.attempts), (Status::Dispatched, 1), "{id}");
        assert_eq!(state.executed_at, Some(*at), "to the instant, the first ones too: {id}");
    }
    let arrivals = world.receiver.arrivals();
    assert_eq!(arrivals.iter().filter(|one| one.body == r#"{"id":"often"}"#).count(), 181);
    assert_eq!(arrivals.len(), 182);
    assert!(world.skipped(&tenant, "often").await.is_empty());
}

#[tokio::test]
async fn a_rule_speaks_of_the_clocks_of_its_zone() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    // 2027-01-15 and 2027-07-15 in Berlin are an hour apart in UTC.
    let mut berlin = spec("0 9 15 1,7 *");
    berlin.zone = Tz::Europe__Berlin;
    world.put_rule(&tenant, "berlin", berlin).await;
    world.expand().await;
    assert_eq!(seconds(&world.created(&tenant, "berlin").await), [0], "2027-01-15T08:00:00Z");
    let next = world.rule(&tenant, "berlin").await.next.unwrap();
    assert_eq!(rules::time::format(next), "2027-07-15T07:00:00.000Z");
}

/// Only rules with something due are read: the others cost nothing, whoever many they are.
#[tokio::test]
async fn rules_with_nothing_due_are_not_read() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    for n in 0..60 {
        world.put_rule(&tenant, &format!("yearly-{n}"), spec("0 0 1 1 *")).await;
    }
    world.put_rule(&tenant, "soon", spec("5 8 * * *")).await;
    world.clock.advance(TimeDelta::minutes(1));
    let usage = || world.embedded.mount().usage().dynamodb.requests.get("BatchGetItem").copied().unwrap_or(0);
    let before = usage();
    assert_eq!(world.expand().await.created, 0);
    assert_eq!(usage(), before, "nothing is due, so no rule is read");
    world.clock.advance(TimeDelta::minutes(1));
    let report = world.expand().await;
    assert_eq!((report.rules, report.created, report.left), (1, 1, false));
    assert_eq!(usage(), before + 1);
    assert_eq!(report.next_due_at, Some("2027-01-16T08:05:00Z".parse().unwrap()));
}

/// A clock that jumps 10 hours forward: each rule by its catchUp, and everything skipped is told.
#[tokio::test]
async fn a_clock_that_jumps_forward_ten_hours() {
    for (choice, made_up, skips) in [
        (CatchUp::All, 6, vec![(600, 32_400, 54, SkipReason::OutsideWindow)]),
        (
            CatchUp::Latest,
            1,
            vec![(600, 32_400, 54, SkipReason::OutsideWindow), (33_000, 35_400, 5, SkipReason::NotLatest)],
        ),
        (
            CatchUp::None,
            0,
            vec![(600, 32_400, 54, SkipReason::OutsideWindow), (33_000, 36_000, 6, SkipReason::NoCatchUp)],
        ),
    ] {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        let mut every_ten = spec("*/10 * * * *");
        every_ten.catch_up = choice;
        world.put_rule(&tenant, "rule", every_ten).await;
        world.run_recurring(at(60)).await;
        world.clock.advance(TimeDelta::seconds(36_300 - 60));
        world.run_recurring(at(37_000)).await;
        let created = seconds(&world.created(&tenant, "rule").await);
        assert_eq!(created.iter().filter(|at| (1..=36_000).contains(*at)).count(), made_up, "{choice}");
        assert!(created.contains(&0) && created.contains(&36_600), "{choice}: {created:?}");
        let told: Vec<_> = world
            .skipped(&tenant, "rule")
            .await
            .into_iter()
            .map(|(from, to, count, reason)| (seconds(&[from])[0], seconds(&[to])[0], count, reason))
            .collect();
        assert_eq!(told, skips, "{choice}");
        // Each occurrence was created or skipped, and none is both.
        for second in (600..=36_000).step_by(600) {
            let skipped = told.iter().any(|(from, to, ..)| (*from..=*to).contains(&second));
            assert!(created.contains(&second) != skipped, "{choice}: {second}");
        }
        let keys = world.receiver.keys();
        assert_eq!(keys.len(), made_up + 2, "{choice}: {keys:?}");
    }
}

#[tokio::test]
async fn a_clock_that_steps_back_creates_nothing_twice() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.put_rule(&tenant, "rule", spec("*/15 * * * * *")).await;
    world.run_recurring(at(120)).await;
    let sent = world.receiver.arrivals().len();
    world.clock.step_back(TimeDelta::minutes(1));
    let report = world.expand().await;
    assert_eq!((report.created, report.skipped), (0, 0));
    world.run_recurring(at(600)).await;
    let expect: Vec<i64> = (0..=600 + LOOK_AHEAD.num_seconds()).step_by(15).collect();
    assert_eq!(seconds(&world.created(&tenant, "rule").await), expect);
    let mut keys = world.receiver.keys();
    assert!(sent > 0 && keys.len() == 41, "{}", keys.len());
    keys.dedup();
    assert_eq!(keys.len(), 41, "each once");
}

#[tokio::test]
async fn starts_ends_and_spreads() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let mut bounded = spec("*/5 * * * *");
    (bounded.start_at, bounded.end_at) = (Some(at(600)), Some(at(1_200)));
    world.put_rule(&tenant, "bounded", bounded.clone()).await;
    bounded.spread_seconds = 120;
    world.put_rule(&tenant, "spread", bounded).await;
    world.run_recurring(at(3_600)).await;
    assert_eq!(seconds(&world.created(&tenant, "bounded").await), [600, 900, 1_200]);
    let spread = seconds(&world.created(&tenant, "spread").await);
    let shift = spread[0] - 600;
    assert!((1..120).contains(&shift), "{shift}");
    assert_eq!(spread, [600 + shift, 900 + shift], "one shift for all, and nothing after the end");
    let rule = world.rule(&tenant, "bounded").await;
    assert_eq!(rule.next, None);
    assert_eq!(world.expand().await.next_due_at, None, "what has ended is not looked at any more");
}

#[tokio::test]
async fn a_pause_takes_back_what_was_created_ahead_and_resuming_makes_up() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.put_rule(&tenant, "rule", spec("* * * * *")).await;
    world.run_recurring(at(90)).await;
    assert_eq!(seconds(&world.created(&tenant, "rule").await), [0, 60, 120, 180, 240]);
    world.set_rule_state(&tenant, "rule", ServerState::Paused).await;
    assert_eq!(seconds(&world.created(&tenant, "rule").await), [0, 60], "what is not begun is taken back");
    world.run_recurring(at(630)).await;
    assert_eq!(world.receiver.keys().len(), 2, "nothing of it is sent");
    world.set_rule_state(&tenant, "rule", ServerState::Running).await;
    world.run_recurring(at(720)).await;
    let expect: Vec<i64> = (0..=840).step_by(60).collect();
    assert_eq!(seconds(&world.created(&tenant, "rule").await), expect, "catchUp is all");
    assert_eq!(world.receiver.keys().len(), 13);

    let name = "rule".parse().unwrap();
    shared::recurring::delete(&world.process(), &Actor::Admin, &tenant, &name).await.unwrap();
    let expect: Vec<i64> = (0..=720).step_by(60).collect();
    assert_eq!(seconds(&world.created(&tenant, "rule").await), expect);
    world.run_recurring(at(1_200)).await;
    assert_eq!(world.receiver.keys().len(), 13, "a rule that is deleted does not go on");
    // Made again within the look-ahead, it is as good as new.
    world.put_rule(&tenant, "rule", spec("* * * * *")).await;
    world.run_recurring(at(1_260)).await;
    assert_eq!(world.receiver.keys().len(), 15);
}

/// While its solution is paused a rule goes on: what it creates waits, and nothing is lost.
#[tokio::test]
async fn a_paused_solution_loses_no_occurrence() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.put_rule(&tenant, "rule", spec("* * * * *")).await;
    let set = |state| world.ctx.tenancy.set_server_state(&Actor::Admin, &tenant, state, None);
    set(ServerState::Paused).await.unwrap();
    world.run_recurring(at(7_200)).await;
    assert!(world.receiver.keys().is_empty());
    set(ServerState::Running).await.unwrap();
    shared::sweep::resume(&world.ctx, &tenant).await.unwrap();
    world.work(&world.worker()).await;
    assert_eq!(world.receiver.keys().len(), 121);
}

#[tokio::test]
async fn another_schedule_neither_doubles_nor_loses_what_was_created() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.put_rule(&tenant, "rule", spec("* * * * *")).await;
    world.run_recurring(at(90)).await;
    // Every 30 s: half of its first occurrences are there already.
    world.put_rule(&tenant, "rule", spec("*/30 * * * * *")).await;
    let expect = [0, 60, 90, 120, 150, 180, 210, 240, 270];
    assert_eq!(seconds(&world.created(&tenant, "rule").await), expect);
    // Another parameter or type leaves the schedule where it stands.
    let before = world.rule(&tenant, "rule").await;
    let mut other = spec("*/30 * * * * *");
    other.retries = Some(7);
    world.put_rule(&tenant, "rule", other).await;
    let after = world.rule(&tenant, "rule").await;
    assert_eq!((after.next, after.revision), (before.next, before.revision + 1));
    world.run_recurring(at(600)).await;
    assert_eq!(world.receiver.keys().len(), 1 + 1 + 18);
    assert_eq!(world.state(&tenant, &format!("rule@{}", at(600).timestamp())).await.max_attempts, 7);

    // What the old schedule missed is made up for before it goes.
    world.clock.advance(TimeDelta::minutes(30));
    world.put_rule(&tenant, "rule", spec("0 0 1 1 *")).await;
    let created = seconds(&world.created(&tenant, "rule").await);
    assert!((600..=2_400).step_by(30).all(|second| created.contains(&second)), "{created:?}");
    // Of a paused rule it is given up, and that is told.
    world.put_rule(&tenant, "paused", spec("* * * * *")).await;
    world.set_rule_state(&tenant, "paused", ServerState::Paused).await;
    world.clock.advance(TimeDelta::minutes(5));
    world.put_rule(&tenant, "paused", spec("0 0 1 1 *")).await;
    let [(.., count, reason)] = <[_; 1]>::try_from(world.skipped(&tenant, "paused").await).unwrap();
    assert_eq!((count, reason), (5, SkipReason::RuleChanged));
}

#[tokio::test]
async fn what_cannot_be_created_is_skipped_with_its_reason() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    // Activities that are none of the rule's have both ids of an occurrence.
    let plain = rules::names::ids::occurrence(&"rule".parse().unwrap(), at(600));
    for id in [rules::names::ids::of_incarnation(&plain, beginning()), plain] {
        let taken = NewActivity { id, ..world.activity(&tenant, "x", TimeDelta::hours(1)) };
        world.accept(vec![taken]).await;
    }
    world.put_rule(&tenant, "rule", spec("*/5 * * * *")).await;
    world.run_recurring(at(700)).await;
    assert_eq!(world.skipped(&tenant, "rule").await, [(at(600), at(600), 1, SkipReason::IdTaken)]);

    world.put_type(&tenant, "other", |_| {}).await;
    let mut of_other = spec("*/10 * * * *");
    of_other.activity_type = "other".parse().unwrap();
    world.put_rule(&tenant, "orphan", of_other).await;
    world.ctx.tenancy.delete_activity_type(&Actor::Admin, &tenant, &"other".parse().unwrap()).await.unwrap();
    world.run_recurring(at(2_400)).await;
    let skips = world.skipped(&tenant, "orphan").await;
    assert!(skips.iter().all(|(.., reason)| *reason == SkipReason::TypeGone), "{skips:?}");
    assert_eq!(skips.iter().map(|(.., count, _)| count).sum::<u64>(), 3, "at 20, 30 and 40 minutes");
}

#[tokio::test]
async fn large_parameters_and_object_values_come_along() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world
        .put_type(&tenant, "call", |call| {
            call.object_id_ref = vec!["id".parse().unwrap(), "note".parse().unwrap()];
        })
        .await;
    let parameter = format!("{{\"id\":\"big\",\"note\":\"{}\"}}", "x".repeat(5_000));
    let name = "big".parse().unwrap();
    let put = |parameter: String| {
        let (spec, name) = (spec("*/5 * * * *"), &name);
        let (ctx, tenant) = (world.process(), &tenant);
        async move {
            shared::recurring::put(&ctx, &Actor::Admin, tenant, name, spec, parameter).await.unwrap();
        }
    };
    put(parameter.clone()).await;
    let id = format!("big@{}", at(0).timestamp());
    assert_eq!(world.get(&tenant, &id).await.parameter, parameter);
    world.work(&world.worker()).await;
    assert_eq!(world.receiver.arrivals()[0].body, parameter);
    put(r#"{"id":"small"}"#.to_owned()).await;
    let view = world.ctx.work.rule(&tenant, &name).await.unwrap().unwrap();
    assert_eq!(view.parameter, r#"{"id":"small"}"#);
    put(parameter.clone()).await;
    assert_eq!(world.ctx.work.rule(&tenant, &name).await.unwrap().unwrap().parameter, parameter);
    shared::recurring::delete(&world.process(), &Actor::Admin, &tenant, &name).await.unwrap();
    let left = world.dump().await.into_iter().filter(|item| item["PK"].as_s().unwrap().starts_with("Q#"));
    assert_eq!(left.count(), 0);
}
