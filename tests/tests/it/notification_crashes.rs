//! Publishers and re-senders that die at any step, and a notification that kills whoever sends it (SPEC §7).

use crate::notifications::{
    FIVE_MINUTES, cycle, event, get, publish, publish_on, put_type, resender_on, run_to_the_end,
};
use chrono::TimeDelta;
use rules::notification::Status;
use serde_json::json;
use shared::clock::Clock;
use tests::steps::{Steps, Stop};
use tests::{Reply, World};

/// More service calls than a publication or a turn makes; a loop ends when a stop is not reached.
const CALLS_MAX: usize = 60;

/// Kills the publisher before and after each of its service calls: what was saved is published or ends.
#[tokio::test]
async fn a_publisher_killed_at_any_step_loses_nothing_that_was_saved() {
    for fails in [false, true] {
        for stop in Stop::all(CALLS_MAX) {
            let world = World::new().await;
            let tenant = world.tenant("acme", 1).await;
            put_type(&world, &tenant, "voicemail", 3, json!({})).await;
            world.receiver.reply(fails.then(|| Reply::status(500)));
            let (steps, clients) = Steps::of(world.embedded.clients(), stop);
            let killed = tokio::select! {
                biased;
                () = steps.stopped() => true,
                _ = publish_on(world.process_with(clients), &tenant, "voicemail", "a") => false,
            };
            let what = format!("fails {fails} {stop:?}");
            let Some(saved) = world.ctx.work.notification(&tenant, &"a".parse().unwrap()).await.unwrap()
            else {
                assert!(killed && world.receiver.keys().is_empty(), "{what}");
                continue;
            };
            let (_, view) = run_to_the_end(&world, &tenant, "a").await;
            assert_eq!(view.notification.state.status, Status::Published, "{what}");
            assert_eq!(view.history.len(), view.notification.state.sends as usize, "each is told: {what}");
            assert!(view.notification.state.sends <= 2 + u32::from(fails), "{what}");
            assert!(world.receiver.keys().iter().all(|key| key == "a:0"), "{what}");
            assert_eq!(saved.payload, r#"{"about":"a"}"#);
            if !killed && !stop.after {
                break;
            }
        }
    }
}

/// The same with the re-sender, whose lock another cycle takes over.
#[tokio::test]
async fn a_re_sender_killed_at_any_step_loses_nothing() {
    for stop in Stop::all(CALLS_MAX) {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        put_type(&world, &tenant, "voicemail", 3, json!({})).await;
        world.receiver.reply([Reply::status(500), Reply::status(500)]);
        publish(&world, &tenant, "voicemail", "a").await;
        world.clock.advance(TimeDelta::minutes(10));
        let (steps, clients) = Steps::of(world.embedded.clients(), stop);
        let resender = resender_on(world.process_with(clients), &[]);
        let killed = tokio::select! {
            biased;
            () = steps.stopped() => true,
            report = resender.handle(event()) => report.is_err(),
        };
        let (_, view) = run_to_the_end(&world, &tenant, "a").await;
        let (state, what) = (&view.notification.state, format!("{stop:?}"));
        assert_eq!(state.status, Status::Published, "{what}");
        assert_eq!(view.history.len(), state.sends as usize, "{what}");
        assert!(world.receiver.keys().len() <= 3 + usize::from(killed), "{what}");
        if !killed && !stop.after {
            break;
        }
    }
}

/// A poison notification: whoever sends it dies. Each time counts, and it ends; others go on meanwhile.
#[tokio::test]
async fn one_that_crashes_its_sender_ends_max_retried_and_keeps_nobody_from_his_turn() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    put_type(&world, &tenant, "poison", 3, json!({"soon": {"retryAfterS": 0}})).await;
    put_type(&world, &tenant, "plain", 3, json!({})).await;
    world.receiver.reply([Reply::status(500), Reply::status(500)]);
    publish(&world, &tenant, "poison", "a-poison").await;
    publish(&world, &tenant, "plain", "b-plain").await;
    for _ in 0..20 {
        world.clock.advance(FIVE_MINUTES);
        let state = get(&world, &tenant, "a-poison").await.notification.state;
        if state.status != Status::Pending {
            break;
        }
        if state.claim.is_some() || state.due > world.clock.now() {
            cycle(&world).await;
            continue;
        }
        // It is the oldest, so the first to be sent; its sender dies while it waits for the answer.
        world.receiver.reply([Reply::Hang]);
        let sent = world.receiver.arrivals().len();
        let resender = resender_on(world.process(), &[]);
        tokio::select! {
            biased;
            () = async { while world.receiver.arrivals().len() == sent { tokio::task::yield_now().await } } => {}
            report = resender.handle(event()) => panic!("it was not killed: {report:?}"),
        }
    }
    let view = get(&world, &tenant, "a-poison").await;
    let outcomes: Vec<&str> = view.history.iter().map(|entry| entry.outcome.as_str()).collect();
    assert_eq!(view.notification.state.status, Status::MaxRetried, "{outcomes:?}");
    assert_eq!(outcomes, ["FAILURE", "CRASHED", "CRASHED", "CRASHED"]);
    let plain = get(&world, &tenant, "b-plain").await;
    assert_eq!(plain.notification.state.status, Status::Published);
    let outcomes: Vec<&str> = plain.history.iter().map(|entry| entry.outcome.as_str()).collect();
    assert_eq!(outcomes, ["FAILURE", "SUCCESS"], "one at a time: the other's crash is not its own");
}
