//! What owners do with their activities: give them, find them, change them, one by one and many at a time.

use chrono::TimeDelta;
use rules::activity::{Event, Status};
use shared::clock::Clock;
use shared::items::activity::{Change, Created, Filter};
use tests::world::beginning;
use tests::{Reply, World};

#[tokio::test]
async fn the_same_id_is_the_same_activity_or_a_conflict() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let small = world.activity(&tenant, "small", TimeDelta::zero());
    let mut large = world.activity(&tenant, "large", TimeDelta::zero());
    large.parameter = format!(r#"{{"id":"large","x":"{}"}}"#, "y".repeat(2_000));
    for activity in [small, large] {
        let mut other = activity.clone();
        other.body_hash = "another".into();
        let answers = world.ctx.work.create(vec![activity.clone(), activity, other]).await;
        assert!(matches!(answers[0], Ok(Created::New(_))), "{:?}", answers[0]);
        assert!(matches!(answers[1], Ok(Created::Existing(_))), "{:?}", answers[1]);
        assert_eq!(answers[2], Ok(Created::Conflict));
    }
    world.work(&world.worker()).await;
    assert_eq!(world.receiver.keys(), ["large:0", "small:0"]);
}

#[tokio::test]
async fn owners_cancel_reschedule_and_dispatch() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let hour = TimeDelta::hours(1);
    world
        .accept(["cancel", "later", "sooner", "now"].map(|id| world.activity(&tenant, id, hour)).to_vec())
        .await;
    let work = &world.ctx.work;
    let changes = [
        ("cancel", Event::Cancel),
        ("later", Event::Reschedule(beginning() + hour * 2)),
        ("sooner", Event::Reschedule(beginning() + TimeDelta::minutes(1))),
        ("now", Event::DispatchNow),
    ];
    for (id, event) in changes {
        let change = work.change(&tenant, &id.parse().unwrap(), event).await.unwrap();
        assert!(matches!(change, Change::Applied(_)), "{id} {change:?}");
    }
    let missing = work.change(&tenant, &"none".parse().unwrap(), Event::Cancel).await.unwrap();
    assert_eq!(missing, Change::NotFound);
    let again = work.change(&tenant, &"cancel".parse().unwrap(), Event::Cancel).await.unwrap();
    assert!(matches!(again, Change::Refused(_)), "{again:?}");
    world.run(beginning() + hour * 3).await;
    let executed = async |id: &str| {
        world.state(&tenant, id).await.executed_at.map(|at| (at - beginning()).num_minutes())
    };
    assert_eq!(executed("now").await, Some(0));
    assert_eq!(executed("sooner").await, Some(1));
    assert_eq!(executed("later").await, Some(120));
    assert_eq!(executed("cancel").await, None);
    assert_eq!(world.receiver.keys(), ["later:0", "now:0", "sooner:0"]);
}

/// The sparse indexes: something will happen to it, or not, and never both.
#[tokio::test]
async fn an_item_stands_in_exactly_one_of_due_and_done() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let work = &world.ctx.work;
    world.receiver.reply((0..4).map(|_| Reply::status(500)));
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
    let check = async |step: &str| {
        for item in world.dump().await.iter().filter(|item| item.contains_key("st")) {
            let due = item.contains_key("dp") && item.contains_key("ds");
            let done = item.contains_key("fp") && item.contains_key("fs");
            let any = ["dp", "ds", "fp", "fs"].iter().filter(|name| item.contains_key(**name)).count();
            assert!(due != done && any == 2, "{step}: {item:?}");
        }
    };
    check("created").await;
    world.work(&world.worker()).await;
    check("retry").await;
    world.run(beginning() + TimeDelta::minutes(3)).await;
    check("failed").await;
    for event in [Event::Retry, Event::Reschedule(beginning() + TimeDelta::hours(1)), Event::DispatchNow] {
        work.change(&tenant, &"a".parse().unwrap(), event).await.unwrap();
        check("changed").await;
    }
    world.run(beginning() + TimeDelta::minutes(9)).await;
    check("dispatched").await;
    assert_eq!(world.state(&tenant, "a").await.status, Status::Dispatched);
}

#[tokio::test]
async fn lists_follow_cursors_over_all_shards_and_statuses() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let work = &world.ctx.work;
    let mut all: Vec<_> =
        (0..70).map(|n| world.activity(&tenant, &format!("r{n:02}"), TimeDelta::hours(n + 1))).collect();
    all.extend((0..30).map(|n| world.activity(&tenant, &format!("d{n:02}"), TimeDelta::zero())));
    for activity in &mut all {
        let object = format!("acme/main/call/={}", activity.id.as_str().starts_with('d'));
        activity.objects = vec![object];
    }
    for chunk in all.chunks(50) {
        world.accept(chunk.to_vec()).await;
    }
    world.work(&world.worker()).await;
    let kinds = world.ctx.tenancy.kinds(&tenant).await.unwrap();
    let walk = async |filter: &Filter, limit: usize| {
        let (mut ids, mut cursor) = (Vec::new(), None);
        loop {
            let page = work.list(&tenant, &kinds, filter, cursor.as_deref(), limit).await.unwrap();
            assert!(page.items.len() <= limit);
            ids.extend(page.items.iter().map(|view| view.record.id.to_string()));
            cursor = page.next;
            if cursor.is_none() {
                return ids;
            }
        }
    };
    for limit in [1, 7, 25, 100] {
        let ready = walk(&Filter { status: Some(Status::Ready), ..Filter::default() }, limit).await;
        assert_eq!(ready, (0..70).map(|n| format!("r{n:02}")).collect::<Vec<_>>(), "next due first");
        let mut everything = walk(&Filter::default(), limit).await;
        everything.sort();
        everything.dedup();
        assert_eq!(everything.len(), 100);
    }
    let by_object = walk(&Filter { object_id: Some("true".into()), ..Filter::default() }, 25).await;
    assert_eq!(by_object.len(), 30);
    let window = Filter {
        from: Some(beginning() + TimeDelta::hours(10)),
        to: Some(beginning() + TimeDelta::hours(12)),
        ..Filter::default()
    };
    assert_eq!(walk(&window, 2).await, ["r09", "r10", "r11"]);
    assert!(work.list(&tenant, &kinds, &Filter::default(), Some("nonsense"), 5).await.is_err());

    let stats = work.stats(&tenant, &kinds).await.unwrap();
    assert_eq!(
        (stats.by_status[&Status::Ready], stats.by_status[&Status::Dispatched], stats.overdue),
        (70, 30, 0)
    );
    world.clock.advance(TimeDelta::hours(2));
    let stats = work.stats(&tenant, &kinds).await.unwrap();
    assert_eq!((stats.overdue, stats.oldest_overdue), (1, Some(beginning() + TimeDelta::hours(1))));
    assert!(work.has_waiting(&tenant, &kinds).await.unwrap());
}

#[tokio::test]
async fn bulk_covers_all_matches_in_as_many_calls_as_it_takes() {
    use shared::items::activity::BulkAction;
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let work = &world.ctx.work;
    for part in 0..5 {
        let activities =
            (0..100).map(|n| world.activity(&tenant, &format!("p{part}n{n}"), TimeDelta::hours(n)));
        world.accept(activities.collect()).await;
    }
    let kinds = world.ctx.tenancy.kinds(&tenant).await.unwrap();
    let ready = Filter { status: Some(Status::Ready), ..Filter::default() };
    let run = async |action: BulkAction, deadline: TimeDelta| {
        let (mut matched, mut changed, mut cursor, mut calls) = (0, 0, None, 0);
        loop {
            let until = world.clock.now() + deadline;
            let report = work.bulk(&tenant, &kinds, &ready, &action, cursor.as_deref(), until).await.unwrap();
            matched += report.matched;
            changed += report.changed;
            calls += 1;
            cursor = report.cursor;
            if cursor.is_none() {
                return (matched, changed, calls > 1);
            }
        }
    };
    let target = beginning() + TimeDelta::hours(50);
    assert_eq!(run(BulkAction::Reschedule(target), TimeDelta::minutes(1)).await, (500, 500, false));
    let elsewhere = format!("{}/elsewhere/{{id}}", world.receiver.url());
    assert_eq!(
        run(BulkAction::SetUri(elsewhere.parse().unwrap()), TimeDelta::zero()).await,
        (500, 500, true)
    );
    let view = world.get(&tenant, "p0n0").await;
    assert_eq!(view.record.state.due, target);
    assert_eq!(run(BulkAction::Cancel, TimeDelta::zero()).await, (500, 500, true));
    assert!(!work.has_waiting(&tenant, &kinds).await.unwrap());
}
