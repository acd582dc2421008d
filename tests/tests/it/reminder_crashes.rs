//! Claim, send, record, tell, settle: with a process stopped at every step of it.

use chrono::TimeDelta;
use reminder_sender::{CLAIM_LEASE, Sent};
use rules::reminder::{Outcome, Status};
use shared::clock::Clock;
use shared::engine::Claimed;
use shared::items::reminder::Cancelled;
use shared::tenancy::{Actor, ServerState};
use std::collections::BTreeSet;
use tests::steps::{Steps, Stop};
use tests::world::beginning;
use tests::{Reply, World};

/// More service calls than a run makes for one reminder; loops end when a stop is not reached.
const CALLS_MAX: usize = 60;
/// By then everything has come to rest: the lock of a dead process has ended, and retries have been made.
const REST: TimeDelta = TimeDelta::hours(1);

/// Every stop between two calls: after the one is as good as before the next, where the process goes on.
fn after_each_call() -> impl Iterator<Item = Stop> {
    Stop::all(CALLS_MAX).filter(|stop| stop.after)
}

/// Where a process was when it was stopped, as seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    /// Messages the Dialog service had got.
    called: usize,
    /// Attempts on record.
    recorded: usize,
}

async fn found(world: &World, tenant: &rules::names::Tenant) -> Found {
    Found { called: world.dialog_calls().len(), recorded: world.entries(tenant, "r").await.len() }
}

/// What must hold when all has come to rest.
async fn audit(world: &World, tenant: &rules::names::Tenant, doubled: bool, what: &str) {
    let reminder = world.reminder_of(tenant, "r").await;
    let state = &reminder.record.state;
    assert_eq!((state.status, &state.claim), (Status::Completed, &None), "{what}");
    let entries = world.entries(tenant, "r").await;
    assert_eq!(entries.last().map(|entry| entry.outcome), Some(Outcome::Sent), "{what}");
    assert!(entries.windows(2).all(|pair| pair[0].at <= pair[1].at), "in order: {what} {entries:?}");

    let calls = world.dialog_calls();
    let keys: BTreeSet<&str> = calls.iter().map(|call| call.idempotency_key()).collect();
    assert_eq!(keys.len(), 1, "a duplicate carries the same key: {what}");
    let sent = calls.len() - entries.iter().filter(|entry| entry.outcome == Outcome::SendFailed).count();
    assert_eq!(sent, 1 + usize::from(doubled), "{what}: {entries:?}");

    // Every attempt is told of, and once.
    let mut told = world.webhooks();
    let mut expect: Vec<String> =
        entries.iter().map(|entry| format!("r {}", entry.outcome.as_str())).collect();
    told.sort();
    expect.sort();
    assert_eq!(told, expect, "{what}");
}

/// Kills the processor before and after each of its service calls. Later ones find what it left.
#[tokio::test]
async fn a_processor_killed_at_any_step_loses_nothing() {
    for fails_first in [false, true] {
        let (mut reached, mut doubled_at) = (0, Vec::new());
        for stop in Stop::all(CALLS_MAX) {
            let world = World::new().await;
            let tenant = world.reminders("acme").await;
            world.remind(world.reminder(&tenant, "r", "1", &[0])).await;
            world.receiver.reply(fails_first.then(|| Reply::status(500)));
            let (steps, clients) = Steps::of(world.embedded.clients(), stop);
            let sender = world.sender_on(world.process_with(clients));
            let killed = tokio::select! {
                biased;
                () = steps.stopped() => true,
                _ = sender.run(beginning() + REST) => false,
            };
            drop(sender);
            let found = found(&world, &tenant).await;
            reached += usize::from(killed);
            world.live(beginning() + REST).await;
            // The one hole: the message is sent, and nothing was recorded of it.
            let doubled = killed && !fails_first && found == Found { called: 1, recorded: 0 };
            if doubled {
                doubled_at.push(stop);
            }
            let what = format!("fails first {fails_first}, {stop:?}, {found:?}");
            if killed && fails_first && found == (Found { called: 1, recorded: 0 }) {
                // The failure is recorded as lost instead, and the next attempt succeeds.
                let outcomes = world.outcomes(&tenant, "r").await;
                assert_eq!(outcomes, ["SendError", "Sent"], "{what}");
                assert_eq!(world.webhooks().len(), 2, "{what}");
            } else {
                audit(&world, &tenant, doubled, &what).await;
            }
            if !killed && !stop.after {
                break;
            }
        }
        assert!(reached >= 16, "the lock, the claim, the entry, the webhook, the settle: {reached}");
        // Before the entry is written, and no later.
        assert!(doubled_at.len() <= 1, "{doubled_at:?}");
    }
}

/// Sent by hand, with the process killed at every step: ahead of its time, and in review.
#[tokio::test]
async fn a_send_by_hand_killed_at_any_step_loses_nothing() {
    for stop in Stop::all(CALLS_MAX) {
        let world = World::new().await;
        let tenant = world.reminders("acme").await;
        world.remind(world.reminder(&tenant, "r", "1", &[30])).await;
        let (steps, clients) = Steps::of(world.embedded.clients(), stop);
        let sender = world.sender_on(world.process_with(clients));
        let id = "r".parse().unwrap();
        let killed = tokio::select! {
            biased;
            () = steps.stopped() => true,
            _ = sender.send_manually(&tenant, &id) => false,
        };
        let found = found(&world, &tenant).await;
        // Ten minutes later what it left is in order, long before the send time.
        world.live(beginning() + TimeDelta::minutes(10)).await;
        let state = world.reminder_of(&tenant, "r").await.record.state;
        assert_eq!(state.claim, None, "{stop:?}");
        assert_eq!(world.webhooks().len(), world.entries(&tenant, "r").await.len(), "{stop:?}");
        world.live(beginning() + REST).await;
        let doubled = killed && found == Found { called: 1, recorded: 0 };
        audit(&world, &tenant, doubled, &format!("{stop:?} {found:?}")).await;
        if !killed && !stop.after {
            break;
        }
    }
}

/// Two processors, the one stopped at each step while the other runs; then the first goes on: at once, when
/// its claim's lease has run out, or when it has lost the lock too. Their clocks are some seconds apart.
#[tokio::test]
async fn two_processors_interleaved_at_any_step_send_once() {
    let claim_lost = CLAIM_LEASE + TimeDelta::minutes(1);
    let lock_lost = TimeDelta::minutes(11);
    for (frozen, ahead) in [(TimeDelta::zero(), 5), (claim_lost, 5), (lock_lost, -5)] {
        for stop in after_each_call() {
            let world = World::new().await;
            let tenant = world.reminders("acme").await;
            world.remind(world.reminder(&tenant, "r", "1", &[-1])).await;
            let (steps, clients) = Steps::of(world.embedded.clients(), stop);
            let first = world.sender_on(world.process_at(clients, TimeDelta::seconds(ahead)));
            let second = world.sender();
            let mut run = std::pin::pin!(first.run(beginning() + REST));
            let stopped = tokio::select! {
                biased;
                () = steps.stopped() => true,
                _ = &mut run => false,
            };
            let found = found(&world, &tenant).await;
            if stopped {
                world.clock.advance(frozen);
                second.run(beginning() + REST).await.unwrap();
                steps.go_on();
                // Whatever it comes to: a lost lock, a lost claim or a finished run.
                let _ = run.await;
            }
            world.live(beginning() + REST).await;
            let what = format!("frozen {frozen} at {stop:?}, {ahead} s ahead, {found:?}");
            // Frozen after its call and past its lease, its attempt counts as lost.
            let doubled = found == Found { called: 1, recorded: 0 } && frozen > TimeDelta::minutes(10);
            let calls = world.dialog_calls().len();
            if doubled {
                assert!(calls <= 2, "{what}");
            } else {
                assert_eq!(calls, 1, "{what}");
                audit(&world, &tenant, false, &what).await;
            }
            if !stopped {
                break;
            }
        }
    }
}

/// Processors that run at the same time, their clocks seconds apart: one message for each send time.
#[tokio::test]
async fn processors_at_the_same_time_send_each_message_once() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    world.configure(&tenant, |settings| settings.webhook_url = None).await;
    for n in 0..40 {
        world.remind(world.reminder(&tenant, &format!("r{n:02}"), &format!("{}", n % 7), &[-1])).await;
    }
    let senders = [-5, -2, 0, 2, 5].map(|ahead| {
        world.sender_on(world.process_at(world.embedded.clients().clone(), TimeDelta::seconds(ahead)))
    });
    let runs = senders.iter().map(|sender| sender.run(beginning() + REST));
    let reports = futures::future::join_all(runs).await;
    let sent: u64 = reports.into_iter().flatten().flatten().map(|report| report.sent).sum();
    let mut messages = world.messages();
    messages.sort();
    assert_eq!((sent, messages.len()), (40, 40));
    messages.dedup();
    assert_eq!(messages.len(), 40);
}

/// Cancelled while the processor stands at any of its steps: a cancel that is answered before the processor's
/// last look keeps the message from going out; one that comes later is recorded beside it.
#[tokio::test]
async fn cancelled_at_any_step_of_a_send() {
    let (mut kept_back, mut too_late) = (0, 0);
    for stop in after_each_call() {
        let world = World::new().await;
        let tenant = world.reminders("acme").await;
        world.remind(world.reminder(&tenant, "r", "1", &[0, 10])).await;
        let (steps, clients) = Steps::of(world.embedded.clients(), stop);
        let sender = world.sender_on(world.process_with(clients));
        let mut run = std::pin::pin!(sender.run(beginning() + REST));
        let stopped = tokio::select! {
            biased;
            () = steps.stopped() => true,
            _ = &mut run => false,
        };
        let claimed = world.reminder_of(&tenant, "r").await.record.state.claim.is_some();
        world.ctx.reminders.cancel(&tenant, &"r".parse().unwrap()).await.unwrap();
        if stopped {
            steps.go_on();
            run.await.unwrap();
        }
        world.live(beginning() + REST).await;
        let state = world.reminder_of(&tenant, "r").await.record.state;
        assert_eq!((state.status, state.claim), (Status::Cancelled, None), "{stop:?}");
        let calls = world.dialog_calls().len();
        assert!(calls <= 1, "{stop:?}");
        let entries = world.entries(&tenant, "r").await;
        assert_eq!((entries.len(), world.webhooks().len()), (calls, calls), "{stop:?}");
        assert_eq!(state.last_sent_at.is_some(), calls == 1, "{stop:?}");
        kept_back += usize::from(claimed && calls == 0);
        too_late += usize::from(claimed && calls == 1);
        if !stopped {
            break;
        }
    }
    assert!(kept_back > 0 && too_late > 0, "{kept_back} {too_late}");
}

/// Paused while the processor stands at any of its steps: nothing counts, and it goes out when resumed.
#[tokio::test]
async fn paused_at_any_step_of_a_send() {
    for stop in after_each_call() {
        let world = World::new().await;
        let tenant = world.reminders("acme").await;
        world.remind(world.reminder(&tenant, "r", "1", &[0])).await;
        let (steps, clients) = Steps::of(world.embedded.clients(), stop);
        let sender = world.sender_on(world.process_with(clients));
        let mut run = std::pin::pin!(sender.run(beginning() + REST));
        let stopped = tokio::select! {
            biased;
            () = steps.stopped() => true,
            _ = &mut run => false,
        };
        let set = |state| world.ctx.tenancy.set_server_state(&Actor::Admin, &tenant, state, None);
        set(ServerState::Paused).await.unwrap();
        // What was cached of the solution is used up.
        world.clock.advance(TimeDelta::seconds(5));
        let before = world.dialog_calls().len();
        if stopped {
            steps.go_on();
            run.await.unwrap();
        }
        world.live(beginning() + TimeDelta::minutes(20)).await;
        assert_eq!(world.dialog_calls().len(), before, "{stop:?}");
        set(ServerState::Running).await.unwrap();
        world.clock.advance(TimeDelta::seconds(5));
        world.live(beginning() + REST).await;
        audit(&world, &tenant, false, &format!("{stop:?}")).await;
        if !stopped {
            break;
        }
    }
}

/// A processor that lost the lock and does not know it: its claims on what the next one has touched are refused.
#[tokio::test]
async fn an_old_fence_claims_nothing_that_a_newer_one_has_claimed() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    world.remind(world.reminder(&tenant, "r", "1", &[0])).await;
    let (reminders, id) = (&world.ctx.reminders, "r".parse().unwrap());
    let Claimed::Ours(record) = reminders.claim(&tenant, &id, 7, CLAIM_LEASE).await.unwrap() else {
        panic!("not ours")
    };
    reminders.settle(&record, rules::reminder::Event::NotMade).await.unwrap();
    assert_eq!(reminders.claim(&tenant, &id, 6, CLAIM_LEASE).await.unwrap(), Claimed::NotOurs);
    assert!(matches!(reminders.claim(&tenant, &id, 7, CLAIM_LEASE).await.unwrap(), Claimed::Ours(_)));
    // And a settle of the claim before is refused as well.
    let late = reminders.settle(&record, rules::reminder::Event::NotMade).await.unwrap();
    assert_eq!(late, shared::engine::Settled::Stale);
}

/// Somebody who sends by hand what the processor has in hand, or the other way round, is told so.
#[tokio::test]
async fn by_hand_and_by_the_processor_at_the_same_time() {
    for stop in after_each_call() {
        let world = World::new().await;
        let tenant = world.reminders("acme").await;
        world.remind(world.reminder(&tenant, "r", "1", &[0])).await;
        let (steps, clients) = Steps::of(world.embedded.clients(), stop);
        let sender = world.sender_on(world.process_with(clients));
        let mut run = std::pin::pin!(sender.run(beginning() + REST));
        let stopped = tokio::select! {
            biased;
            () = steps.stopped() => true,
            _ = &mut run => false,
        };
        let sent = world.send_manually(&tenant, "r").await;
        assert!(matches!(sent, Sent::Attempt(_) | Sent::Refused(_)), "{stop:?} {sent:?}");
        if stopped {
            steps.go_on();
            run.await.unwrap();
        }
        world.live(world.clock.now() + REST).await;
        audit(&world, &tenant, false, &format!("{stop:?}")).await;
        if !stopped {
            break;
        }
    }
}

/// Of two owners that cancel from the same state, the one that is late at any step learns that it is cancelled already.
#[tokio::test]
async fn of_two_cancels_at_the_same_time_one_is_refused() {
    for stop in after_each_call() {
        let world = World::new().await;
        let tenant = world.reminders("acme").await;
        world.remind(world.reminder(&tenant, "r", "1", &[60])).await;
        let (steps, clients) = Steps::of(world.embedded.clients(), stop);
        let (slow, id) = (world.process_with(clients), "r".parse().unwrap());
        let mut cancel = Box::pin(slow.reminders.cancel(&tenant, &id));
        let stopped = tokio::select! {
            biased;
            () = steps.stopped() => true,
            first = &mut cancel => { assert!(matches!(first, Ok(Cancelled::Applied(_)))); false }
        };
        if !stopped {
            break;
        }
        world.clock.advance(TimeDelta::seconds(1));
        let other = world.ctx.reminders.cancel(&tenant, &id).await.unwrap();
        steps.go_on();
        let slow = cancel.await.unwrap();
        let applied = [&other, &slow].into_iter().filter(|one| matches!(one, Cancelled::Applied(_))).count();
        assert_eq!(applied, 1, "{stop:?}: {other:?} {slow:?}");
    }
}
