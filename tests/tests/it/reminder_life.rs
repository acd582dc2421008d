//! A month of reminders, their order and parallelism, lists, and what an attempt costs.

use chrono::{DateTime, TimeDelta, Utc};
use rules::names::Tenant;
use rules::reminder::Status;
use shared::items::reminder::{Cancelled, Filter};
use shared::tenancy::{Actor, ServerState};
use std::collections::BTreeSet;
use tests::reminders::SHARDS;
use tests::world::beginning;
use tests::{Reply, World};

const DAY: i64 = 24 * 60;

fn day(number: i64) -> DateTime<Utc> {
    beginning() + TimeDelta::days(number)
}

/// Everything that can happen to a reminder, on the days of one month. Nothing waits for the wall.
#[tokio::test]
async fn a_month_in_the_life_of_a_reminder() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    let days = |days: &[i64]| days.iter().map(|day| day * DAY).collect::<Vec<_>>();
    world.remind(world.reminder(&tenant, "r", "1", &days(&[1, 2, 3, 10, 11, 30]))).await;
    world.remind(world.reminder(&tenant, "exhausted", "2", &days(&[20]))).await;
    world.remind(world.reminder(&tenant, "cancelled", "3", &days(&[5, 25]))).await;
    let state = async |id: &str| world.reminder_of(&tenant, id).await.record.state;
    let failures = |count| world.receiver.reply((0..count).map(|_| Reply::status(500)));
    let hour = TimeDelta::hours(1);

    world.live(day(1) + hour).await;
    assert_eq!(state("r").await.last_sent_at, Some(day(1)), "sent at its very minute");

    failures(4);
    world.live(day(2) + hour).await;
    assert_eq!(
        world.outcomes(&tenant, "r").await[1..],
        ["SendFailed", "SendFailed", "SendFailed", "SendFailed", "Sent"]
    );
    assert_eq!(state("r").await.last_sent_at, Some(day(2) + TimeDelta::minutes(4)), "a minute apart");

    failures(5);
    world.live(day(3) + hour).await;
    assert_eq!(world.outcomes(&tenant, "r").await[6..], ["SendFailed"; 5]);
    assert_eq!(state("r").await.next_send_time(), Some(day(10)), "skipped");
    assert_eq!(state("r").await.last_sent_at, Some(day(2) + TimeDelta::minutes(4)));

    world.live(day(6)).await;
    let cancelled = world.ctx.reminders.cancel(&tenant, &"cancelled".parse().unwrap()).await.unwrap();
    assert!(matches!(cancelled, Cancelled::Applied(_)), "{cancelled:?}");

    // Paused over the 10th, resumed in the afternoon.
    let set = |state| world.ctx.tenancy.set_server_state(&Actor::Admin, &tenant, state, None);
    world.live(day(9)).await;
    set(ServerState::Paused).await.unwrap();
    let before = world.dialog_calls().len();
    world.live(day(10) + TimeDelta::hours(14)).await;
    assert_eq!(world.dialog_calls().len(), before, "nothing is sent");
    assert_eq!(state("r").await.sequence, 11, "and nothing counts");
    set(ServerState::Running).await.unwrap();
    world.clock.advance(TimeDelta::seconds(5));
    world.live(day(10) + TimeDelta::hours(15)).await;
    assert_eq!(state("r").await.next_send_time(), Some(day(11)));
    world.live(day(12)).await;
    assert_eq!(state("r").await.last_sent_at, Some(day(11)));

    failures(5);
    world.live(day(21)).await;
    let exhausted = state("exhausted").await;
    assert_eq!((exhausted.status, exhausted.needs_review(), exhausted.next), (Status::Active, true, None));

    world.live(day(31)).await;
    let r = state("r").await;
    assert_eq!((r.status, r.completed_at), (Status::Completed, Some(day(30))));
    assert_eq!(state("cancelled").await.status, Status::Cancelled);
    assert_eq!(world.outcomes(&tenant, "cancelled").await, ["Sent"], "the 25th never came");
    // Each attempt of each reminder is told of, and once.
    let mut told = world.webhooks();
    let mut expect = Vec::new();
    for id in ["r", "exhausted", "cancelled"] {
        expect.extend(world.outcomes(&tenant, id).await.iter().map(|outcome| format!("{id} {outcome}")));
    }
    told.sort();
    expect.sort();
    assert_eq!(told, expect);
    indexed_once(&world, "at the end").await;
}

/// The sparse indexes: something will happen to it, or not, and never both.
async fn indexed_once(world: &World, when: &str) {
    let items = world.dump().await;
    let reminders = items.iter().filter(|item| {
        item["PK"].as_s().is_ok_and(|pk| pk.starts_with("R#"))
            && item["SK"].as_s().is_ok_and(|sk| sk == "ITEM")
    });
    let mut count = 0;
    for item in reminders {
        let has = |names: [&str; 2]| names.map(|name| item.contains_key(name));
        let (due, done) = (has(["dp", "ds"]), has(["fp", "fs"]));
        assert!(due != done && due[0] == due[1] && done[0] == done[1], "{when}: {item:?}");
        count += 1;
    }
    assert!(count > 0);
}

#[tokio::test]
async fn a_reminder_stands_in_exactly_one_of_due_and_done() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    for id in ["sent", "failing", "cancelled", "by hand"].map(|id| id.replace(' ', "-")) {
        world.remind(world.reminder(&tenant, &id, &id, &[0, 10])).await;
    }
    indexed_once(&world, "accepted").await;
    world.ctx.reminders.cancel(&tenant, &"cancelled".parse().unwrap()).await.unwrap();
    indexed_once(&world, "cancelled").await;
    for round in 0..14 {
        world.receiver.reply((0..3).map(|_| Reply::status(500)));
        world.process_pending().await.unwrap();
        world.send_manually(&tenant, "by-hand").await;
        indexed_once(&world, &format!("round {round}")).await;
        world.clock.advance(TimeDelta::minutes(1));
    }
    world.ctx.reminders.put(world.reminder(&tenant, "cancelled", "x", &[30])).await.unwrap();
    indexed_once(&world, "written again").await;
}

/// Within a group one message at a time, in order of send time; groups side by side, as many as there are places.
#[tokio::test]
async fn recipients_side_by_side_and_each_in_order() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    world.configure(&tenant, |settings| settings.webhook_url = None).await;
    // Ten recipients with five reminders each, written in no order.
    for n in 0..50 {
        let (recipient, place) = (n % 10, (n * 7) % 50);
        let id = format!("p{recipient}-{place:02}");
        world.remind(world.reminder(&tenant, &id, &format!("{recipient}"), &[place - 60])).await;
    }
    world.receiver.hold_bodies_with("visit");
    let sender = world.sender();
    let run =
        tokio::spawn(async move { sender.run(beginning() + TimeDelta::hours(1)).await.unwrap().unwrap() });
    world.receiver.came(10).await;
    world.receiver.let_go();
    assert_eq!(run.await.unwrap().sent, 50);
    let messages = world.messages();
    for recipient in 0..10 {
        let prefix = format!("p{recipient}-");
        let of_one: Vec<&String> = messages.iter().filter(|message| message.starts_with(&prefix)).collect();
        assert!(of_one.is_sorted() && of_one.len() == 5, "{of_one:?}");
    }
    assert_eq!(world.receiver.most_at_once(), 10, "as many as Plugins_Reminder_BatchSize");
    let first: BTreeSet<&str> = messages[..10].iter().map(|message| &message[..2]).collect();
    assert_eq!(first.len(), 10, "no recipient twice among the first");
}

/// One slow recipient with many reminders takes one place of the ten, and the others do not wait for it.
#[tokio::test]
async fn a_slow_recipient_holds_nobody_up() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    world.configure(&tenant, |settings| settings.webhook_url = None).await;
    for n in 0..10 {
        world.remind(world.reminder(&tenant, &format!("slow{n}"), "slow", &[n - 60])).await;
    }
    for n in 0..100 {
        world.remind(world.reminder(&tenant, &format!("quick{n}"), &format!("{n}"), &[-1])).await;
    }
    world.receiver.hold_bodies_with("\"slow\"");
    let sender = world.sender();
    let run =
        tokio::spawn(async move { sender.run(beginning() + TimeDelta::hours(1)).await.unwrap().unwrap() });
    // While the slow one hangs, all the others are served.
    world.receiver.came(101).await;
    let messages = world.messages();
    assert_eq!(messages.iter().filter(|message| message.starts_with("slow")).count(), 1);
    world.receiver.let_go();
    assert_eq!(run.await.unwrap().sent, 110);
}

#[tokio::test]
async fn lists_follow_cursors_and_match_what_they_should() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    world.configure(&tenant, |settings| settings.webhook_url = None).await;
    for n in 0..30 {
        world
            .remind(world.reminder(&tenant, &format!("w{n:02}"), &format!("{}", n % 3), &[10 + n, 1_000]))
            .await;
    }
    for n in 0..5 {
        world.remind(world.reminder(&tenant, &format!("d{n}"), "9", &[-n])).await;
        world.remind(world.reminder(&tenant, &format!("c{n}"), "8", &[500])).await;
        world.ctx.reminders.cancel(&tenant, &format!("c{n}").parse().unwrap()).await.unwrap();
    }
    // All of the recipient "9" but one are sent; that one needs review in the end.
    world.counts().await;
    world.remind(world.reminder(&tenant, "review", "7", &[0])).await;
    world.receiver.reply((0..5).map(|_| Reply::status(500)));
    for _ in 0..5 {
        world.counts().await;
    }
    let ids = |filter: Filter, limit: usize| walk(&world, &tenant, filter, limit);
    let by_status = |status| Filter { status: Some(status), ..Filter::default() };
    for limit in [1, 7, 100] {
        let active = ids(by_status(Status::Active), limit).await;
        let expect: Vec<String> = (0..30).map(|n| format!("w{n:02}")).chain(["review".to_owned()]).collect();
        assert_eq!(active, expect, "by their next send times, then what needs review");
        let completed: BTreeSet<String> =
            ids(by_status(Status::Completed), limit).await.into_iter().collect();
        assert_eq!(completed, (0..5).map(|n| format!("d{n}")).collect());
        assert_eq!(ids(by_status(Status::Cancelled), limit).await.len(), 5);
        assert_eq!(ids(Filter::default(), limit).await.len(), 41);
    }
    let phone = Filter { phone_number: Some("1".parse().unwrap()), ..Filter::default() };
    assert_eq!(ids(phone.clone(), 3).await.len(), 10);
    assert_eq!(ids(Filter { status: Some(Status::Completed), ..phone }, 3).await, [""; 0]);
    let at = |minutes| Some(beginning() + TimeDelta::minutes(minutes));
    let window = |from, to| Filter { from, to, ..Filter::default() };
    assert_eq!(ids(window(at(12), at(14)), 2).await, ["w02", "w03", "w04"]);
    assert_eq!(
        ids(window(at(45), at(600)), 9).await.len(),
        5,
        "the cancelled ones; the others' times lie around it"
    );
    assert_eq!(ids(window(at(1_000), None), 9).await.len(), 30);
    assert!(
        world.ctx.reminders.list(&tenant, SHARDS, &Filter::default(), Some("nonsense"), 5).await.is_err()
    );

    let stats = world.reminder_stats(&tenant).await;
    assert_eq!((stats.waiting, stats.pending, stats.needs_review), (30, 0, 1));
    assert_eq!((stats.completed, stats.cancelled), (5, 5));
    world.clock.advance_to(at(12).unwrap());
    assert_eq!(world.reminder_stats(&tenant).await.pending, 3);
    assert!(world.ctx.reminders.has_waiting(&tenant, SHARDS).await.unwrap());
}

async fn walk(world: &World, tenant: &Tenant, filter: Filter, limit: usize) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), None);
    loop {
        let page = world.ctx.reminders.list(tenant, SHARDS, &filter, cursor.as_deref(), limit).await.unwrap();
        assert!(page.items.len() <= limit);
        ids.extend(page.items.iter().map(|reminder| reminder.record.id.to_string()));
        cursor = page.next;
        if cursor.is_none() {
            return ids;
        }
    }
}

/// Write units of the work table that one run costs, which makes one attempt.
async fn cost_of_a_run(world: &World) -> f64 {
    world.embedded.mount().reset_usage();
    let report = world.process_pending().await.unwrap();
    assert_eq!(report.sent + report.failed, 1, "{report:?}");
    world.embedded.mount().usage().dynamodb.tables["punctual-WorkTable"].write_units
}

/// With 100 send times, 500 attempts behind it and a large template, an attempt writes as little as at first.
#[tokio::test]
async fn an_attempt_costs_the_same_however_long_the_story() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    world.configure(&tenant, |settings| settings.webhook_url = None).await;
    world.remind(world.reminder(&tenant, "small", "1", &[0, 2])).await;
    world.receiver.reply([Reply::status(500)]);
    let fresh = (cost_of_a_run(&world).await, cost_of_a_run(&world).await);
    world.ctx.reminders.cancel(&tenant, &"small".parse().unwrap()).await.unwrap();

    let times: Vec<i64> = (-99..=0).collect();
    let mut large = world.reminder(&tenant, "large", "1", &times);
    large.definition.parameters = format!("[\"large\", \"{}\"]", "x".repeat(20_000));
    world.remind(large).await;
    world.receiver.reply((0..499).map(|_| Reply::status(500)));
    for _ in 0..498 {
        world.counts().await;
    }
    let old = (cost_of_a_run(&world).await, cost_of_a_run(&world).await);
    assert_eq!(world.entries(&tenant, "large").await.len(), 500);
    assert_eq!(world.reminder_of(&tenant, "large").await.record.state.status, Status::Completed);
    // Failed: claim 1, entry 1, settle 1. Sent: the settle moves it in its index, 1 and 2 more.
    assert_eq!(fresh, (3.0, 5.0));
    assert_eq!(old, (3.0, 5.0));
}

/// Tenants take turns: one with very many due reminders does not delay another's one.
#[tokio::test]
async fn a_tenant_with_very_many_does_not_delay_another() {
    let world = World::new().await;
    let (many, few) = (world.reminders("many").await, world.reminders("zfew").await);
    for tenant in [&many, &few] {
        world.configure(tenant, |settings| settings.webhook_url = None).await;
    }
    for n in 0..600 {
        world.remind(world.reminder(&many, &format!("m{n}"), &format!("{n}"), &[-60])).await;
    }
    world.remind(world.reminder(&few, "one", "1", &[-1])).await;
    assert_eq!(world.counts().await, (601, 0, 0));
    let place = world.messages().iter().position(|message| message == "one").unwrap();
    assert!(place < 40, "{place}");
}
