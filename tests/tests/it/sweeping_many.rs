//! A company with thousands of types beside another: nobody waits for looks at the slices of others.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use dispatch_sweep::{Requeue, SweepEvent};
use shared::items::activity::NewActivity;
use shared::sweep::SweepReport;
use std::collections::BTreeSet;
use tests::World;
use tests::steps::{Asked, Steps, Stop};

/// Kinds of the company that has many, each with one slice.
const MANY: usize = 1_500;

/// Registers types of `tenant` of which nothing is due.
async fn register(world: &World, tenant: &str, count: usize) {
    for index in 0..count {
        let text = |text: String| AttributeValue::S(text);
        let one = || AttributeValue::N("1".to_owned());
        let put = world.embedded.clients().dynamodb.put_item().table_name(world.config_table());
        put.item("PK", text("SLICES".to_owned()))
            .item("SK", text(format!("{tenant}/A:t{index:05}")))
            .item("shards", one())
            .item("doneShards", one())
            .send()
            .await
            .unwrap();
    }
}

fn is_slice_page(asked: &Asked) -> bool {
    asked.body.to_string().contains("\"SLICES\"")
}

/// The partition of the due index that a call asks for.
fn partition(asked: &Asked) -> Option<&str> {
    (asked.body["IndexName"] == "due").then(|| asked.body["ExpressionAttributeValues"][":p"]["S"].as_str())?
}

/// The slices that were looked at, each once.
fn looked(asked: &[Asked]) -> Vec<String> {
    let is_first = |asked: &&Asked| asked.body["ExpressionAttributeValues"][":after"]["S"] == "0";
    let looks = asked.iter().filter(|asked| asked.body["Limit"] == 2).filter(is_first);
    looks.filter_map(partition).map(str::to_owned).collect()
}

async fn sweep_until(world: &World, stop: Stop) -> (SweepReport, Vec<Asked>) {
    let (steps, clients) = Steps::of(world.embedded.clients(), stop);
    let process = world.process_with(clients);
    let mut swept = std::pin::pin!(shared::sweep::sweep(&process));
    let report = tokio::select! {
        biased;
        () = steps.stopped() => {
            world.clock.advance(shared::sweep::SWEEP_TIME);
            steps.go_on();
            swept.await
        }
        report = &mut swept => report,
    };
    (report.unwrap(), steps.asked())
}

/// Both another company's and another solution's of the same one: each has its turn before the thousands were looked at.
#[tokio::test]
async fn who_has_few_types_does_not_wait_for_looks_at_thousands_of_others() {
    let world = World::new().await;
    let tenant = world.tenant("zeta", 1).await;
    register(&world, "acme/main", MANY).await;
    register(&world, "acme/side", 1).await;
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::minutes(16))]).await;
    world.clock.advance(TimeDelta::minutes(5));
    let (report, asked) = sweep_until(&world, Stop::NEVER).await;
    assert_eq!((report.enqueued, report.backlog), (1, 0));
    let sent = asked.iter().position(|asked| asked.target.contains("SQS")).expect("it was enqueued");
    assert!(looked(&asked[..sent]).len() < 400, "{} looks before it", looked(&asked[..sent]).len());
    let side = asked.iter().position(|asked| partition(asked).is_some_and(|of| of.contains("/side/")));
    assert!(looked(&asked[..side.unwrap()]).len() < 400);
    let all = looked(&asked);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), MANY + 1 + 4);
    assert_eq!(all.len(), MANY + 1 + 4, "each once");
    // What is not looked at soon is not read either.
    let last_page = asked.iter().rposition(is_slice_page).unwrap();
    assert!(looked(&asked[..last_page]).len() > MANY / 2);
}

/// What a sweep has no time to look at, the next one looks at first, and then at all others.
#[tokio::test]
async fn looks_end_with_the_sweep_s_time_and_the_next_sweep_begins_with_the_rest() {
    let world = World::new().await;
    register(&world, "acme/main", MANY).await;
    register(&world, "beta/main", 20).await;
    let (report, asked) = sweep_until(&world, Stop { call: 500, after: true }).await;
    let first = looked(&asked);
    assert!(report.backlog > 0 && first.len() < 800, "{report:?}, {} looks", first.len());
    assert_eq!(first.iter().filter(|of| of.starts_with("beta/")).count(), 20, "companies take turns");

    let (report, asked) = sweep_until(&world, Stop { call: 900, after: true }).await;
    let second = looked(&asked);
    assert!(second.iter().all(|of| of.starts_with("beta/") || !first.contains(of)));
    assert!(report.backlog > 0);

    let (report, asked) = sweep_until(&world, Stop::NEVER).await;
    let third = looked(&asked);
    assert_eq!((report.backlog, report.slices), (0, MANY + 20));
    assert_eq!(third.iter().collect::<BTreeSet<_>>().len(), third.len(), "each once");
    let all: BTreeSet<&String> = first.iter().chain(&second).chain(&third).collect();
    assert_eq!(all.len(), MANY + 20);
    let (report, _) = sweep_until(&world, Stop::NEVER).await;
    assert_eq!((report.backlog, report.slices), (0, MANY + 20), "nothing is left to begin with");
}

/// A company of which everything is due holds few of its slices at a time.
#[tokio::test]
async fn a_company_holds_a_bounded_number_of_slices() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    for index in 0..100 {
        let name = format!("t{index:03}");
        world.put_type(&tenant, &name, |_| {}).await;
        let mut activities: Vec<_> =
            (0..8).map(|n| world.activity(&tenant, &format!("{name}-{n}"), TimeDelta::minutes(16))).collect();
        activities.iter_mut().for_each(|activity| activity.kind = format!("A:{name}").parse().unwrap());
        world.accept(activities).await;
    }
    world.clock.advance(TimeDelta::minutes(5));
    let (report, asked) = sweep_until(&world, Stop::NEVER).await;
    assert_eq!((report.enqueued, report.backlog), (800, 0));
    // Taking a lease sets its holder, giving it back does not.
    let (mut held, mut most) = (0_i32, 0);
    for asked in asked.iter().filter(|asked| asked.target.ends_with("UpdateItem")) {
        held += if asked.body.to_string().contains("#holder = :holder") { 1 } else { -1 };
        most = most.max(held);
    }
    assert!(most > 0 && most < 64 + 128 + 16, "{most} slices held");
}

/// After a loss of the queue, what one call has no time for is asked of the next sweep.
#[tokio::test]
async fn what_a_requeue_has_no_time_for_is_enqueued_again_by_the_next_sweep() {
    let world = World::new().await;
    let tenant = world.tenant("zeta", 1).await;
    register(&world, "zeta/main", MANY).await;
    world.put_type(&tenant, "zzz", |_| {}).await;
    let activity = world.activity(&tenant, "a", TimeDelta::minutes(10));
    world.accept(vec![NewActivity { kind: "A:zzz".parse().unwrap(), ..activity }]).await;
    world.purge_queue().await;
    let (steps, clients) = Steps::of(world.embedded.clients(), Stop { call: 3, after: true });
    let process = world.process_with(clients);
    let mut asked = std::pin::pin!(shared::sweep::requeue(&process));
    tokio::select! {
        biased;
        () = steps.stopped() => world.clock.advance(shared::sweep::SWEEP_TIME),
        _ = &mut asked => panic!("it was to stop"),
    }
    steps.go_on();
    let report = asked.await.unwrap();
    let next = world.sweep_with(SweepEvent::Schedule).await;
    assert_eq!((report.enqueued, next.enqueued), (0, 1), "{report:?} {next:?}");
    assert_eq!(world.sweep().await.enqueued, 0);
    let again = world.sweep_with(SweepEvent::Requeue { requeue: Requeue::All }).await;
    assert_eq!(again.enqueued, 1);
}
