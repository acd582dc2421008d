//! Claim, then send, then settle, with a process stopped at every step of it.

use chrono::TimeDelta;
use dispatch_sweep::{Requeue, SweepEvent};
use rules::activity::{Event, Status};
use shared::clock::Clock;
use shared::items::activity::{ActivityView, Change};
use tests::steps::{Steps, Stop};
use tests::world::beginning;
use tests::{Reply, World};

/// More service calls than a worker makes for one message; the loop ends when a stop is not reached.
const CALLS_MAX: usize = 40;

/// What must hold when all has come to rest, however often a process died.
fn audit(world: &World, view: &ActivityView, crashes: usize, what: &str) {
    let state = &view.record.state;
    assert_eq!(state.status, Status::Dispatched, "{what}");
    assert!(state.claim.is_none(), "{what}");
    assert!(state.attempts <= state.max_attempts, "{what}");
    assert_eq!(
        view.history.len(),
        state.attempts as usize,
        "each attempt is recorded: {what} {:?}",
        view.history
    );
    assert!(view.history.windows(2).all(|pair| pair[0].at <= pair[1].at), "in order: {what}");
    let keys = world.receiver.keys();
    assert!(!keys.is_empty() && keys.len() <= 1 + crashes, "{what}: {keys:?}");
    assert!(keys.iter().all(|key| key == "a:0"), "a duplicate carries the same key: {what}");
}

/// Lets a worker handle what is visible, and kills it at `stop`; whether it got there.
async fn work_killed_at(world: &World, stop: Stop) -> bool {
    let (steps, clients) = Steps::of(world.embedded.clients(), stop);
    let worker = world.worker_on(world.process_with(clients));
    let event = world.receive().await;
    tokio::select! {
        biased;
        () = steps.stopped() => true,
        _ = worker.handle(event.clone()) => {
            world.delete(&event).await;
            false
        }
    }
}

/// Kills a worker before and after each of its service calls. Others find what it left.
#[tokio::test]
async fn a_worker_killed_at_any_step_loses_nothing() {
    let mut reached = 0;
    for stop in Stop::all(CALLS_MAX) {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
        let killed = work_killed_at(&world, stop).await;
        reached += usize::from(killed);
        // The message comes back after its visibility timeout, the recovery pass is earlier.
        world.run(beginning() + TimeDelta::minutes(20)).await;
        audit(&world, &world.get(&tenant, "a").await, usize::from(killed), &format!("{stop:?}"));
        if !killed && !stop.after {
            break;
        }
    }
    assert!(reached >= 6, "the claim, the settle and the reads around them: {reached}");
}

/// The same with a receiver that fails first: the history entry and the retry have steps of their own.
#[tokio::test]
async fn a_worker_killed_while_settling_a_failure_loses_nothing() {
    for stop in Stop::all(CALLS_MAX) {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        world.receiver.reply([Reply::status(500)]);
        world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
        let killed = work_killed_at(&world, stop).await;
        world.run(beginning() + TimeDelta::minutes(20)).await;
        let what = format!("{stop:?}");
        // One failed call, one that succeeded, and one more if the crash hid the first from the history.
        audit(&world, &world.get(&tenant, "a").await, 1 + usize::from(killed), &what);
        if !killed && !stop.after {
            break;
        }
    }
}

/// Two workers with the same message, the one stopped at each step while the other runs through;
/// then the first goes on, in time or after its lease.
#[tokio::test]
async fn two_workers_interleaved_at_any_step_send_once_or_with_the_same_key() {
    for late in [false, true] {
        for stop in Stop::all(CALLS_MAX) {
            let world = World::new().await;
            let tenant = world.tenant("acme", 1).await;
            world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
            let (steps, clients) = Steps::of(world.embedded.clients(), stop);
            let first = world.worker_on(world.process_with(clients));
            let second = world.worker();
            let event = world.receive().await;
            let mut handled = std::pin::pin!(first.handle(event.clone()));
            let stopped = tokio::select! {
                biased;
                () = steps.stopped() => true,
                _ = &mut handled => false,
            };
            if stopped {
                if late {
                    world.clock.advance(TimeDelta::minutes(2));
                }
                second.handle(event.clone()).await;
                steps.go_on();
                handled.await;
            } else {
                second.handle(event.clone()).await;
            }
            world.delete(&event).await;
            world.run(beginning() + TimeDelta::minutes(20)).await;
            let what = format!("late {late} {stop:?}");
            // Frozen past its lease, its attempt counts as crashed although its call may still be made.
            audit(&world, &world.get(&tenant, "a").await, usize::from(stopped && late), &what);
            if !stopped && !stop.after {
                break;
            }
        }
    }
}

/// A worker that is frozen between claim and call until its lease ran out does not call: its activity may have been
/// called off meanwhile, or be in other hands.
#[tokio::test]
async fn a_worker_held_up_past_its_lease_does_not_call() {
    for canceled in [true, false] {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
        let event = world.receive().await;
        let (mut call, mut claimed) = (0, false);
        while !claimed {
            let (steps, clients) = Steps::of(world.embedded.clients(), Stop { call, after: true });
            let worker = world.worker_on(world.process_with(clients));
            let mut handled = std::pin::pin!(worker.handle(event.clone()));
            tokio::select! {
                biased;
                () = steps.stopped() => {}
                _ = &mut handled => panic!("handled without a claim"),
            }
            claimed = world.state(&tenant, "a").await.claim.is_some();
            if claimed {
                world.clock.advance(TimeDelta::minutes(2));
                if canceled {
                    let id = "a".parse().unwrap();
                    let change = world.ctx.work.change(&tenant, &id, Event::Cancel).await.unwrap();
                    assert!(matches!(change, Change::Applied(_)), "{change:?}");
                }
                steps.go_on();
                assert!(handled.await.batch_item_failures.is_empty());
                assert_eq!(world.receiver.keys(), [""; 0], "called under a lease that ran out");
            }
            call += 1;
        }
        world.delete(&event).await;
        world.run(world.clock.now() + TimeDelta::minutes(2)).await;
        let view = world.get(&tenant, "a").await;
        let outcomes: Vec<_> = view.history.iter().map(|entry| entry.outcome.as_str()).collect();
        if canceled {
            assert_eq!(view.record.state.status, Status::Canceled);
            assert_eq!((view.record.state.attempts, outcomes.as_slice()), (1, &["CRASHED"][..]));
        } else {
            // Others may take its lease for lost by then, so it is left to them, as an attempt like any lost one.
            audit(&world, &view, 0, "left to others");
            assert_eq!(outcomes, ["CRASHED", "SUCCESS"]);
            assert_eq!(view.record.state.attempts, 2);
        }
    }
}

/// A worker is frozen between call and settle until its lease ran out, and settles at any point of its recovery.
#[tokio::test]
async fn a_settle_that_comes_late_and_its_recovery_tell_the_attempt_once() {
    for stop in Stop::all(CALLS_MAX) {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
        let event = world.receive().await;
        let first = world.worker();
        // Held by the receiver, it wakes when its lease has long run out.
        world.receiver.hold_bodies_with("a");
        let mut handled = std::pin::pin!(first.handle(event.clone()));
        tokio::select! {
            biased;
            () = world.receiver.came(1) => {}
            _ = &mut handled => panic!("the receiver holds it"),
        }
        world.clock.advance(TimeDelta::minutes(2));
        let (steps, clients) = Steps::of(world.embedded.clients(), stop);
        let second = world.worker_on(world.process_with(clients));
        let mut recovered = std::pin::pin!(second.handle(event.clone()));
        let stopped = tokio::select! {
            biased;
            () = steps.stopped() => true,
            _ = &mut recovered => false,
        };
        world.receiver.let_go();
        handled.await;
        if stopped {
            steps.go_on();
            recovered.await;
        }
        world.delete(&event).await;
        world.run(world.clock.now() + TimeDelta::minutes(20)).await;
        audit(&world, &world.get(&tenant, "a").await, 1, &format!("{stop:?}"));
        if !stopped && !stop.after {
            break;
        }
    }
}

/// Crashes use up attempts: an activity whose every worker dies ends as a dead letter that says so.
#[tokio::test]
async fn one_whose_every_worker_dies_ends_as_a_dead_letter() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.receiver.reply((0..3).map(|_| Reply::Hang));
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
    for _ in 0..200 {
        // Each worker is killed as soon as its claim has taken effect.
        let event = world.receive().await;
        if event.records.is_empty() {
            world.clock.advance(TimeDelta::seconds(20));
            world.sweep().await;
            continue;
        }
        let before = world.state(&tenant, "a").await.attempts;
        for call in 0..CALLS_MAX {
            let (steps, clients) = Steps::of(world.embedded.clients(), Stop { call, after: true });
            let worker = world.worker_on(world.process_with(clients));
            tokio::select! {
                biased;
                () = steps.stopped() => {}
                _ = worker.handle(event.clone()) => break,
            }
            if world.state(&tenant, "a").await.attempts != before {
                break;
            }
        }
        world.delete(&event).await;
        if world.state(&tenant, "a").await.status != Status::Ready {
            break;
        }
    }
    let view = world.get(&tenant, "a").await;
    let outcomes: Vec<&str> = view.history.iter().map(|entry| entry.outcome.as_str()).collect();
    assert_eq!(view.record.state.status, Status::Failed);
    assert_eq!(outcomes, ["CRASHED", "CRASHED", "CRASHED"]);
}

/// A creator that dies at any step: what it was answered for is kept, and what is written is delivered.
#[tokio::test]
async fn a_creator_killed_at_any_step_loses_nothing_it_accepted() {
    for stop in Stop::all(CALLS_MAX) {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        let (steps, clients) = Steps::of(world.embedded.clients(), stop);
        let process = world.process_with(clients);
        let killed = tokio::select! {
            biased;
            () = steps.stopped() => true,
            _ = process.work.create(vec![world.activity(&tenant, "a", TimeDelta::zero())]) => false,
        };
        world.run(beginning() + TimeDelta::minutes(10)).await;
        let written = world.ctx.work.get(&tenant, &"a".parse().unwrap()).await.unwrap();
        match written {
            Some(view) => audit(&world, &view, 0, &format!("{stop:?}")),
            None => assert!(killed && world.receiver.keys().is_empty(), "{stop:?}"),
        }
        if !killed {
            break;
        }
    }
}

/// A sweep that dies at any step leaves its slices to the next one.
#[tokio::test]
async fn a_sweep_killed_at_any_step_loses_nothing() {
    for stop in Stop::all(CALLS_MAX) {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        world.put_type(&tenant, "call", |_| {}).await;
        world.accept(vec![world.activity(&tenant, "a", TimeDelta::minutes(16))]).await;
        world.clock.advance(TimeDelta::minutes(5));
        let (steps, clients) = Steps::of(world.embedded.clients(), stop);
        let process = world.process_with(clients);
        let killed = tokio::select! {
            biased;
            () = steps.stopped() => true,
            report = shared::sweep::sweep(&process) => report.is_err(),
        };
        world.run(beginning() + TimeDelta::minutes(30)).await;
        audit(&world, &world.get(&tenant, "a").await, 0, &format!("{stop:?}"));
        if !killed {
            break;
        }
    }
}

/// However long overdue: who finds an activity in other hands comes back when those must have let go.
#[tokio::test]
async fn an_old_one_whose_worker_dies_is_recovered_as_soon_as_a_young_one() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
    world.purge_queue().await;
    world.clock.advance(TimeDelta::days(20));
    let resumed = world.clock.now();
    shared::sweep::resume(&world.ctx, &tenant).await.unwrap();
    let killed = work_killed_at(&world, Stop { call: 3, after: true }).await;
    assert!(killed && world.state(&tenant, "a").await.claim.is_some());
    // The queue is lost with the process; the start enqueues all, and finds this one in dead hands.
    world.purge_queue().await;
    world.sweep_with(SweepEvent::Requeue { requeue: Requeue::All }).await;
    world.run(resumed + TimeDelta::minutes(2)).await;
    audit(&world, &world.get(&tenant, "a").await, 1, "an old one");
}

/// What could not be enqueued is not noted as swept.
#[tokio::test]
async fn a_sweep_whose_queue_fails_goes_on_where_it_was() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world
        .accept((0..30).map(|n| world.activity(&tenant, &format!("a{n}"), TimeDelta::minutes(16))).collect())
        .await;
    world.clock.advance(TimeDelta::minutes(5));
    let broken = world.without_queue();
    assert!(shared::sweep::sweep(&broken).await.is_err());
    assert_eq!(world.sweep().await.enqueued, 30);
}

#[tokio::test]
async fn canceled_after_its_worker_was_lost_it_keeps_the_attempt_in_its_history() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
    let id = world.claim(&tenant, "a", TimeDelta::seconds(30)).await.id;
    world.clock.advance(TimeDelta::seconds(31));
    let canceled = world.ctx.work.change(&tenant, &id, rules::activity::Event::Cancel).await.unwrap();
    assert!(matches!(canceled, shared::items::activity::Change::Applied(_)), "{canceled:?}");
    let view = world.get(&tenant, "a").await;
    let outcomes: Vec<&str> = view.history.iter().map(|entry| entry.outcome.as_str()).collect();
    assert_eq!((view.record.state.attempts, outcomes), (1, vec!["CRASHED"]));
}
