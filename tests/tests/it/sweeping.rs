//! The sweep: what enters the horizon, what was lost, whose turn it is.

use chrono::TimeDelta;
use dispatch_sweep::{Requeue, SweepEvent};
use rules::activity::Status;
use shared::clock::Clock;
use shared::tenancy::{Actor, ServerState};
use tests::World;
use tests::steps::{Steps, Stop};
use tests::world::beginning;

#[tokio::test]
async fn what_enters_the_horizon_is_enqueued_once() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world
        .accept(
            (0..40).map(|n| world.activity(&tenant, &format!("a{n}"), TimeDelta::minutes(20 + n))).collect(),
        )
        .await;
    let report = world.sweep().await;
    assert_eq!((report.enqueued, report.next_due_at), (0, Some(beginning() + TimeDelta::minutes(20))));
    let mut enqueued = 0;
    for _ in 0..60 {
        world.clock.advance(TimeDelta::minutes(1));
        enqueued += world.sweep().await.enqueued;
    }
    // Nothing was worked off meanwhile, so the overdue ones were enqueued again as lost; the first time each once.
    assert!(enqueued >= 40);
    world.work(&world.worker()).await;
    assert_eq!(world.receiver.keys().len(), 40);
}

#[tokio::test]
async fn a_lost_message_costs_lateness_never_the_item() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::seconds(30))]).await;
    world.purge_queue().await;
    world.run(beginning() + TimeDelta::minutes(5)).await;
    let state = world.state(&tenant, "a").await;
    assert_eq!((state.status, state.attempts), (Status::Dispatched, 1));
    let late = state.executed_at.unwrap() - state.date;
    assert!(late <= TimeDelta::minutes(2), "{late}");
}

#[tokio::test]
async fn after_the_loss_of_the_queue_everything_is_enqueued_again() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world
        .accept((0..300).map(|n| world.activity(&tenant, &format!("a{n}"), TimeDelta::seconds(n))).collect())
        .await;
    world.purge_queue().await;
    let report = world.sweep_with(SweepEvent::Requeue { requeue: Requeue::All }).await;
    assert_eq!((report.enqueued, report.backlog), (300, 0));
    assert_eq!(world.sweep().await.enqueued, 0, "and then it is as it was");
    world.run(beginning() + TimeDelta::minutes(6)).await;
    assert_eq!(world.receiver.keys().len(), 300);
    assert_eq!(world.state(&tenant, "a299").await.executed_at, Some(beginning() + TimeDelta::seconds(299)));
}

#[tokio::test]
async fn concurrent_sweeps_take_other_slices_and_enqueue_nothing_twice() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world
        .accept((0..200).map(|n| world.activity(&tenant, &format!("a{n}"), TimeDelta::minutes(16))).collect())
        .await;
    world.clock.advance(TimeDelta::minutes(5));
    let (one, two, three) = tokio::join!(world.sweep(), world.sweep(), world.sweep());
    assert_eq!(one.enqueued + two.enqueued + three.enqueued, 200, "{one:?} {two:?} {three:?}");
}

/// A company with qosLevel 3 gets three times the slots of one with 1; a tenant with little is not behind either.
#[tokio::test]
async fn tenants_take_turns_by_qos() {
    let world = World::new().await;
    let (gold, plain, small) =
        (world.tenant("gold", 3).await, world.tenant("plain", 1).await, world.tenant("small", 1).await);
    for tenant in [&gold, &plain] {
        for part in 0..40 {
            let activities =
                (0..100).map(|n| world.activity(tenant, &format!("p{part}n{n}"), TimeDelta::minutes(20)));
            world.accept(activities.collect()).await;
        }
    }
    world
        .accept((0..10).map(|n| world.activity(&small, &format!("s{n}"), TimeDelta::minutes(20))).collect())
        .await;
    world.clock.advance(TimeDelta::minutes(10));
    let (steps, clients) = Steps::of(world.embedded.clients(), Stop::NEVER);
    shared::sweep::sweep(&world.process_with(clients)).await.unwrap();

    let mut order = Vec::new();
    for body in steps.sent() {
        let due = shared::queue::DueMessage::parse(&body).unwrap().1;
        order.extend(due.into_iter().map(|activity| activity.tenant.company.to_string()));
    }
    assert_eq!(order.len(), 8_010);
    let first: Vec<&String> = order.iter().take(4_000).collect();
    let count = |company: &str| first.iter().filter(|other| **other == company).count();
    let ratio = count("gold") as f64 / count("plain") as f64;
    assert!((2.5..=3.5).contains(&ratio), "{} to {}", count("gold"), count("plain"));
    assert_eq!(count("small"), 10, "the small tenant is in the first half");
    let last_small = order.iter().rposition(|company| company == "small").unwrap();
    // Its four slices have their turns within the first two rounds of 16 slots, and the messages of a round are sent in any
    // order: before its last one there are at most those of the other 28 slots, and its own ten.
    assert!(last_small < 28 * 100 + 10, "{last_small}");
}

#[tokio::test]
async fn paused_slices_are_left_alone() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::minutes(16))]).await;
    world.ctx.tenancy.set_server_state(&Actor::Admin, &tenant, ServerState::Paused, None).await.unwrap();
    world.clock.advance(TimeDelta::minutes(10));
    assert_eq!(world.sweep().await.enqueued, 0);
    world.ctx.tenancy.set_server_state(&Actor::Admin, &tenant, ServerState::Running, None).await.unwrap();
    assert_eq!(shared::sweep::resume(&world.ctx, &tenant).await.unwrap().enqueued, 1);
    assert!(world.clock.now() < beginning() + TimeDelta::minutes(11));
}
