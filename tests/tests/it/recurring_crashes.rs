//! Exactly once: two expanders at a time, and one that dies before or after any of its service calls.

use chrono::{DateTime, TimeDelta, Utc};
use rules::names::Tenant;
use rules::recurring::CatchUp;
use shared::tenancy::{Actor, AuditScope, PageRequest, ServerState};
use tests::World;
use tests::recurring::spec;
use tests::steps::{Steps, Stop};
use tests::world::beginning;

/// More service calls than an expansion makes; a loop ends when a stop is not reached.
const CALLS_MAX: usize = 80;

fn at(seconds: i64) -> DateTime<Utc> {
    beginning() + TimeDelta::seconds(seconds)
}

/// A world in which rules, one of each catchUp asked for, missed an hour and a half, with a window of an hour.
async fn after_an_outage(choices: &[CatchUp]) -> (World, Tenant) {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    for choice in choices {
        let mut rule = spec("*/10 * * * *");
        rule.catch_up = *choice;
        world.put_rule(&tenant, choice.as_str(), rule).await;
    }
    world.clock.advance(TimeDelta::seconds(5_400));
    (world, tenant)
}

/// Every occurrence up to now was created or is told as skipped, never both; what was created was sent once.
async fn audit(world: &World, tenant: &Tenant, choices: &[CatchUp], what: &str) {
    for choice in choices {
        let (created, skips) =
            (world.created(tenant, choice.as_str()).await, world.skipped(tenant, choice.as_str()).await);
        for second in (0..=5_400).step_by(600) {
            let occurrence = at(second);
            let skipped = skips.iter().filter(|(from, to, ..)| (*from..=*to).contains(&occurrence)).count();
            let created = usize::from(created.contains(&occurrence));
            assert_eq!(created + skipped, 1, "{what}: {choice} at {second}: {skips:?}");
        }
    }
    let mut keys = world.receiver.keys();
    let all = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), all, "{what}: each is sent once");
}

/// Two more runs, and everything that is due is called.
async fn come_to_rest(world: &World) {
    let worker = world.worker();
    for _ in 0..2 {
        world.clock.advance(TimeDelta::minutes(2));
        world.expand().await;
        world.sweep().await;
        world.work(&worker).await;
    }
}

#[tokio::test]
async fn an_expander_killed_at_any_step_creates_each_occurrence_once_or_tells_why_not() {
    let mut reached = 0;
    for stop in Stop::all(CALLS_MAX) {
        // One after the other, so that a world is small.
        let choices = &CatchUp::ALL[stop.call % 3..][..1];
        let (world, tenant) = after_an_outage(choices).await;
        let (steps, clients) = Steps::of(world.embedded.clients(), stop);
        let process = world.process_with(clients);
        let killed = tokio::select! {
            biased;
            () = steps.stopped() => true,
            _ = world.expand_on(process) => false,
        };
        reached += usize::from(killed);
        // The next run is minutes later, when more would be out of the window.
        world.clock.advance(TimeDelta::minutes(25));
        come_to_rest(&world).await;
        audit(&world, &tenant, choices, &format!("{stop:?}")).await;
        if !killed && !stop.after {
            break;
        }
    }
    assert!(reached > 30, "{reached}");
}

/// Two expand the same rules, as no lease lets them: the one is stopped at each step while the other runs
/// through, then it goes on, at once or minutes later.
#[tokio::test]
async fn two_expanders_interleaved_at_any_step() {
    let mut reached = 0;
    for late in [false, true] {
        for stop in Stop::all(CALLS_MAX) {
            let (world, tenant) = after_an_outage(&CatchUp::ALL).await;
            let (steps, clients) = Steps::of(world.embedded.clients(), stop);
            let process = world.process_with(clients);
            let mut rules = Vec::new();
            for choice in CatchUp::ALL {
                rules.push(world.rule(&tenant, choice.as_str()).await);
            }
            let deadline = at(100_000);
            let mut first = std::pin::pin!(shared::recurring::expand(&process, rules.clone(), deadline));
            let stopped = tokio::select! {
                biased;
                () = steps.stopped() => true,
                _ = &mut first => false,
            };
            reached += usize::from(stopped);
            if stopped {
                if late {
                    world.clock.advance(TimeDelta::minutes(12));
                }
                shared::recurring::expand(&world.process(), rules, deadline).await.unwrap();
                steps.go_on();
                first.await.unwrap();
            }
            come_to_rest(&world).await;
            audit(&world, &tenant, &CatchUp::ALL, &format!("late {late} {stop:?}")).await;
            if !stopped && !stop.after {
                break;
            }
        }
    }
    assert!(reached > 20, "{reached}");
}

#[tokio::test]
async fn many_expanders_at_once_create_each_occurrence_once() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    for n in 0..50 {
        world.put_rule(&tenant, &format!("rule-{n}"), spec("5 8 * * *")).await;
    }
    world.clock.advance(TimeDelta::minutes(3));
    let (a, b, c) = tokio::join!(world.expand(), world.expand(), world.expand());
    assert_eq!(a.created + b.created + c.created, 50, "{a:?} {b:?} {c:?}");
    world.run_recurring(at(600)).await;
    let mut keys = world.receiver.keys();
    keys.dedup();
    assert_eq!((keys.len(), world.receiver.arrivals().len()), (50, 50));
}

/// Whoever makes, changes, pauses or deletes a rule and dies on the way leaves nothing that is half done.
#[tokio::test]
async fn owners_killed_at_any_step() {
    for stop in Stop::all(CALLS_MAX) {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        let (steps, clients) = Steps::of(world.embedded.clients(), stop);
        let process = world.process_with(clients);
        let name = "rule".parse().unwrap();
        let parameter = || r#"{"id":"rule"}"#.to_owned();
        let owner = async {
            let actor = Actor::Admin;
            let put =
                |text| shared::recurring::put(&process, &actor, &tenant, &name, spec(text), parameter());
            put("* * * * *").await.unwrap();
            put("*/30 * * * * *").await.unwrap();
            let paused = ServerState::Paused;
            shared::recurring::set_server_state(&process, &actor, &tenant, &name, paused, None)
                .await
                .unwrap();
        };
        let killed = tokio::select! {
            biased;
            () = steps.stopped() => true,
            () = owner => false,
        };
        let what = format!("{stop:?}");
        world.run_recurring(at(150)).await;
        let Some(view) = world.ctx.work.rule(&tenant, &name).await.unwrap() else {
            assert!(killed && world.receiver.keys().is_empty(), "{what}");
            continue;
        };
        let keys = world.receiver.keys().len();
        let rule = view.rule;
        match (rule.is_paused(), rule.spec.cron.to_string().starts_with("0 ")) {
            // Whoever dies between the pause and taking back leaves what was created ahead, and no more.
            (true, _) => assert!(keys <= 6, "{what}: {keys}"),
            (false, true) => assert_eq!(keys, 3, "{what}"),
            (false, false) => assert_eq!(keys, 6, "{what}"),
        }
        let scope = AuditScope::Solution(tenant.clone());
        let request = PageRequest { after: None, limit: 100 };
        let changes = world.ctx.tenancy.audit_log(&scope, &request).await.unwrap().items;
        let changes = changes.iter().filter(|entry| entry.action.starts_with("recurringActivity.")).count();
        assert_eq!(changes as u64, rule.revision, "each change is told: {what}");
        if !killed && !stop.after {
            assert!(rule.is_paused() && keys == 0, "all of it is taken back: {keys}");
            break;
        }
    }
}
