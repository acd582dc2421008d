//! Rollers that die, or are met by others, at any of their service calls (SPEC §8).

use crate::rolling::{DAY, batches, finish, ids, left, roll, roll_on, set};
use chrono::TimeDelta;
use rules::activity::Event;
use shared::clock::Clock;
use std::collections::{BTreeMap, BTreeSet};
use tests::steps::{Steps, Stop};
use tests::{Reply, World};

/// More service calls than a roller makes here; a loop ends when a stop is not reached.
const CALLS_MAX: usize = 80;

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
        set(&world, &tenant, |rolling| rolling.dead_letter_period_days = "0".parse().ok()).await;
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
        let is_retried = matches!(retried, shared::items::activity::Change::Applied(_));
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
