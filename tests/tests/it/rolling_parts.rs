//! Activities with very much that belongs to them: rolled in parts, with nothing left out, and in bounded memory (SPEC §8).

use crate::rolling::{DAY, batches, finish, left, roll, roll_on, set};
use chrono::TimeDelta;
use rules::names::Tenant;
use rules::rolling::BATCH_BYTES_MAX;
use rules::verdict::ResultStatus;
use serde_json::Value;
use shared::clock::Clock;
use shared::items::activity::{ActivityResult, Reported, Target};
use std::collections::{BTreeMap, BTreeSet};
use tests::steps::{Steps, Stop};
use tests::{Reply, World};

/// More service calls than a roller makes here; a loop ends when a stop is not reached.
const CALLS_MAX: usize = 120;

/// Reports a result of so many bytes of an activity.
pub async fn report(world: &World, tenant: &Tenant, activity: &str, id: &str, bytes: usize) {
    let result = ActivityResult {
        id: id.parse().unwrap(),
        status: ResultStatus::Pending,
        provider_activity_id: None,
        occurred_at: world.clock.now(),
        received_at: world.clock.now(),
        hard_override: false,
        details: format!("{{\"x\":\"{}\"}}", "x".repeat(bytes)),
        body_hash: id.into(),
        standalone: false,
    };
    let target = Target::Activity(activity.parse().unwrap());
    let reported = world.ctx.work.report(tenant, &target, result).await.unwrap();
    assert!(matches!(reported, Reported::New(_)), "{reported:?}");
}

/// A dispatched activity with `count` results of `bytes`.
pub async fn with_results(world: &World, tenant: &Tenant, id: &str, count: usize, bytes: usize) {
    finish(world, tenant, [id.to_owned()]).await;
    for n in 0..count {
        report(world, tenant, id, &format!("r{n:02}"), bytes).await;
    }
}

/// What arrived of an activity by its keys: each body's part of it.
fn parts(world: &World, id: &str) -> Vec<(String, Value)> {
    let of =
        |body: &Value| body["activities"].as_array().unwrap().iter().find(|one| one["id"] == id).cloned();
    batches(world).into_iter().filter_map(|(key, _, body)| Some((key, of(&body)?))).collect()
}

fn results(part: &Value) -> Vec<String> {
    let results = part["results"].as_array().into_iter().flatten();
    results.map(|result| result["id"].as_str().unwrap().to_owned()).collect()
}

async fn is_empty(world: &World) -> bool {
    let mut of = world.dump().await.into_iter().filter(|item| {
        let pk = item["PK"].as_s().unwrap();
        pk.starts_with("A#") || item["SK"].as_s().unwrap() == "BATCH"
    });
    of.next().is_none()
}

#[tokio::test]
async fn one_larger_than_a_batch_goes_in_parts_and_nothing_is_left_out() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    set(&world, &tenant, |_| {}).await;
    finish(&world, &tenant, ["before".to_owned()]).await;
    world.clock.advance(TimeDelta::seconds(1));
    let parameter = format!("{{\"id\":\"large\",\"x\":\"{}\"}}", "x".repeat(200_000));
    let mut large = world.activity(&tenant, "large", TimeDelta::zero());
    large.parameter = parameter.clone();
    world.accept(vec![large]).await;
    world.work(&world.worker()).await;
    for n in 0..13 {
        report(&world, &tenant, "large", &format!("r{n:02}"), 245_000).await;
    }
    world.clock.advance(TimeDelta::seconds(1));
    finish(&world, &tenant, ["behind".to_owned()]).await;
    world.clock.advance(DAY);
    let outcome = roll(&world).await;
    assert_eq!((outcome.deleted, outcome.refused, outcome.left), (3, 0, false), "{outcome:?}");
    let parts = parts(&world, "large");
    let sent: Vec<String> = parts.iter().flat_map(|(_, part)| results(part)).collect();
    assert_eq!(sent, (0..13).map(|n| format!("r{n:02}")).collect::<Vec<_>>(), "each once, in order");
    assert!(parts.len() >= 4, "{}", parts.len());
    for (number, (_, part)) in parts.iter().enumerate() {
        assert_eq!(
            (part["part"].as_u64(), part["status"].as_str()),
            (Some(number as u64 + 1), Some("DISPATCHED"))
        );
        assert_eq!(part["isLastPart"].as_bool(), Some(number + 1 == parts.len()));
        assert_eq!(part.get("parameter").is_some(), number == 0, "the first part has it");
        let attempts = part["logDetails"].as_array().unwrap().len();
        assert_eq!(attempts, usize::from(number + 1 == parts.len()), "the attempt that succeeded ends it");
    }
    assert_eq!(parts[0].1["parameter"], serde_json::from_str::<Value>(&parameter).unwrap());
    assert_eq!(parts.iter().map(|(key, _)| key).collect::<BTreeSet<_>>().len(), parts.len());
    for arrival in world.receiver.arrivals().iter().filter(|arrival| arrival.uri.path() == "/logs/success") {
        assert!(arrival.body.len() <= BATCH_BYTES_MAX, "{}", arrival.body.len());
    }
    let whole = crate::rolling::ids(&batches(&world)[0].2);
    assert_eq!(whole, ["before"], "those around it are whole");
    assert!(is_empty(&world).await);
}

/// Very many results of middling size, and few as large as an item may be; a dead letter's attempts come along.
#[tokio::test]
async fn other_shapes_of_large_ones_go_in_parts_as_well() {
    for (count, bytes) in [(210, 20_000), (4, 390_000)] {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        set(&world, &tenant, |_| {}).await;
        world.receiver.reply((0..3).map(|_| Reply::status(500)));
        finish(&world, &tenant, ["dead".to_owned()]).await;
        world.run(world.clock.now() + TimeDelta::minutes(2)).await;
        for n in 0..count {
            report(&world, &tenant, "dead", &format!("r{n:03}"), bytes).await;
        }
        world.clock.advance(DAY);
        let outcome = roll(&world).await;
        assert_eq!((outcome.deleted, outcome.refused), (1, 0), "{outcome:?}");
        let parts = parts(&world, "dead");
        let told: usize = parts.iter().map(|(_, part)| part["logDetails"].as_array().unwrap().len()).sum();
        let sent: BTreeSet<String> = parts.iter().flat_map(|(_, part)| results(part)).collect();
        assert_eq!((told, sent.len()), (3, count));
        assert!(parts.len() > 1 && is_empty(&world).await);
    }
}

#[tokio::test]
async fn a_part_that_is_refused_is_sent_again_with_its_key_and_the_rest_follows() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    set(&world, &tenant, |_| {}).await;
    with_results(&world, &tenant, "large", 9, 245_000).await;
    world.clock.advance(DAY);
    world.receiver.reply([Reply::status(200), Reply::status(500)]);
    let outcome = roll(&world).await;
    assert_eq!((outcome.batches, outcome.refused, outcome.deleted), (1, 1, 0), "{outcome:?}");
    assert!(left(&world, &tenant).await.contains("large"));
    world.clock.advance(DAY);
    let outcome = roll(&world).await;
    assert_eq!((outcome.refused, outcome.deleted), (0, 1), "{outcome:?}");
    let parts = parts(&world, "large");
    assert_eq!(parts[1], parts[2], "the same part, under the same key");
    let mut once: BTreeMap<String, Vec<String>> = BTreeMap::new();
    once.extend(parts.iter().map(|(key, part)| (key.clone(), results(part))));
    let mut sent: Vec<String> = once.into_values().flatten().collect();
    sent.sort();
    assert_eq!(sent, (0..9).map(|n| format!("r{n:02}")).collect::<Vec<_>>());
    assert!(is_empty(&world).await);
}

/// Kills the roller before and after each of its service calls.
#[tokio::test]
async fn a_roller_killed_at_any_step_of_a_large_one_leaves_nothing_out() {
    let mut reached = 0;
    for stop in Stop::all(CALLS_MAX) {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        set(&world, &tenant, |_| {}).await;
        with_results(&world, &tenant, "large", 5, 300_000).await;
        world.clock.advance(DAY);
        let (steps, clients) = Steps::of(world.embedded.clients(), stop);
        let killed = tokio::select! {
            biased;
            () = steps.stopped() => true,
            _ = roll_on(world.process_with(clients)) => false,
        };
        reached += usize::from(killed);
        let what = format!("{stop:?}");
        world.clock.advance(DAY);
        assert_eq!(roll(&world).await.refused, 0, "{what}");
        assert!(is_empty(&world).await, "{what}");
        let mut by_key: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
        for (key, part) in parts(&world, "large") {
            by_key.entry(key).or_default().push(results(&part));
        }
        let mut sent: Vec<String> = Vec::new();
        for bodies in by_key.into_values() {
            assert!(bodies.iter().all(|body| *body == bodies[0]), "{what}: one key, one body: {bodies:?}");
            sent.extend(bodies[0].iter().cloned());
        }
        sent.sort();
        assert_eq!(sent, (0..5).map(|n| format!("r{n:02}")).collect::<Vec<_>>(), "{what}");
        if !killed && !stop.after {
            break;
        }
    }
    assert!(reached > 30, "{reached}");
}

/// A result that comes while the parts are sent is not deleted unsent: then the activity stays, and goes anew.
#[tokio::test]
async fn a_result_that_comes_between_the_parts_is_not_lost() {
    let mut seen = false;
    for call in 0..CALLS_MAX {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        set(&world, &tenant, |_| {}).await;
        with_results(&world, &tenant, "large", 5, 300_000).await;
        world.clock.advance(DAY);
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
        let sent = parts(&world, "large").len();
        if !left(&world, &tenant).await.contains("large") || sent != 1 {
            steps.go_on();
            first.await;
            continue;
        }
        // It sorts before everything that was sent.
        report(&world, &tenant, "large", "a-late", 1_000).await;
        seen = true;
        steps.go_on();
        first.await;
        world.clock.advance(DAY);
        roll(&world).await;
        let all: BTreeSet<String> =
            parts(&world, "large").iter().flat_map(|(_, part)| results(part)).collect();
        assert!(all.contains("a-late") && all.len() == 6, "after call {call}: {all:?}");
        assert!(is_empty(&world).await, "after call {call}");
    }
    assert!(seen);
}

/// Without a URI nothing is sent, and what is large goes whole.
#[tokio::test]
async fn a_large_one_that_is_kept_for_its_period_alone_is_deleted() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    set(&world, &tenant, |rolling| rolling.success_uri = None).await;
    with_results(&world, &tenant, "large", 12, 245_000).await;
    // The time to live would have had some days for it, if nothing lay beside it.
    world.clock.advance(DAY * 5);
    assert_eq!(roll(&world).await.deleted, 1);
    assert!(batches(&world).is_empty() && is_empty(&world).await);
}
