//! Until when finished activities are kept, and how they go (SPEC §8): by the table's time to live where nothing lies beside
//! them, else by the log roller; for readers at once.

use crate::rolling::{DAY, batches, finish, ids, roll, set};
use chrono::TimeDelta;
use rules::activity::{Event, Status};
use rules::names::Tenant;
use shared::clock::Clock;
use shared::engine::attributes::Item;
use shared::engine::{Settled, Success};
use shared::items::activity::{ActivityResult, Attempt, Change, Created, Filter, Reported, Target};
use shared::tenancy::{Actor, Rolling};
use tests::world::beginning;
use tests::{Reply, World};

/// A year, as `PUNCTUAL_RETENTION_DAYS` has it by default.
const YEAR: i32 = 365;

/// The sort keys of an activity's partition.
async fn stored(world: &World, tenant: &Tenant, id: &str) -> Vec<String> {
    let pk = format!("A#{tenant}#{id}");
    let items = world.dump().await.into_iter();
    items.filter(|item| text(item, "PK") == pk).map(|item| text(&item, "SK").to_owned()).collect()
}

/// Whether nothing is stored but who holds which worker.
async fn is_empty(world: &World) -> bool {
    world.dump().await.iter().all(|item| text(item, "PK").starts_with("W#"))
}

fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// Days from its end to when it expires: by the time to live, and by the roller.
async fn expiry(world: &World, tenant: &Tenant, id: &str) -> (Option<i64>, Option<i64>) {
    let pk = format!("A#{tenant}#{id}");
    let items = world.dump().await;
    let item = items.iter().find(|item| text(item, "PK") == pk && text(item, "SK") == "ITEM").unwrap();
    let number = |name: &str| item.get(name).map(|value| value.as_n().unwrap().parse::<i64>().unwrap());
    let ended = number("x").map_or(beginning().timestamp(), |millis| millis / 1_000);
    let days = |name: &str| number(name).map(|at| (at - ended) / 86_400);
    (days("xp"), days("ku"))
}

async fn is_shown(world: &World, tenant: &Tenant, id: &str) -> bool {
    let found = world.ctx.work.get(tenant, &id.parse().unwrap()).await.unwrap().is_some();
    let kinds = world.ctx.tenancy.kinds(tenant).await.unwrap();
    let page = world.ctx.work.list(tenant, &kinds, &Filter::default(), None, 100).await.unwrap();
    let listed = page.items.iter().any(|view| view.record.id.as_str() == id);
    let stats = world.ctx.work.stats(tenant, &kinds).await.unwrap();
    let counted: u64 = stats.by_status.values().sum();
    assert_eq!((listed, counted), (found, page.items.len() as u64), "{id}");
    found
}

fn result(id: &str, status: &str) -> ActivityResult {
    ActivityResult {
        id: id.parse().unwrap(),
        status: status.parse().unwrap(),
        provider_activity_id: None,
        occurred_at: beginning(),
        received_at: beginning(),
        hard_override: false,
        details: "{}".into(),
        body_hash: id.into(),
        standalone: false,
    }
}

#[tokio::test]
async fn what_is_delivered_goes_by_itself_after_a_year() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    finish(&world, &tenant, ["a".to_owned()]).await;
    assert_eq!(expiry(&world, &tenant, "a").await, (Some(367), None), "and two days for a roller of then");
    world.clock.advance(DAY * YEAR - TimeDelta::seconds(1));
    assert_eq!((is_shown(&world, &tenant, "a").await, world.expire().await), (true, 0));
    world.clock.advance(TimeDelta::seconds(2));
    world.expire().await;
    assert!(!is_shown(&world, &tenant, "a").await && !stored(&world, &tenant, "a").await.is_empty());
    let asked = Event::Reschedule(world.clock.now());
    let changed = world.ctx.work.change(&tenant, &"a".parse().unwrap(), asked).await.unwrap();
    assert_eq!(changed, Change::NotFound);
    world.clock.advance(DAY * 2);
    world.expire().await;
    assert!(stored(&world, &tenant, "a").await.is_empty());
}

/// Attempts, a large parameter, further object values: all of it goes with the item, and none of it before.
#[tokio::test]
async fn what_has_something_beside_it_goes_as_a_whole_by_the_roller() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let mut large = world.activity(&tenant, "large", TimeDelta::zero());
    large.parameter = format!("{{\"id\":\"large\",\"x\":\"{}\"}}", "x".repeat(5_000));
    let mut objects = world.activity(&tenant, "objects", TimeDelta::zero());
    objects.objects = (0..3).map(|n| format!("{tenant}/call/={n}")).collect();
    world.accept(vec![large, objects]).await;
    world.work(&world.worker()).await;
    world.receiver.reply([Reply::status(500), Reply::status(200)]);
    finish(&world, &tenant, ["retried".to_owned()]).await;
    world.run(beginning() + TimeDelta::minutes(1)).await;
    world.receiver.reply((0..3).map(|_| Reply::status(500)));
    finish(&world, &tenant, ["dead".to_owned()]).await;
    world.run(beginning() + TimeDelta::minutes(4)).await;
    for (id, beside) in [("large", 1), ("objects", 2), ("retried", 1), ("dead", 3)] {
        assert_eq!(stored(&world, &tenant, id).await.len(), 1 + beside, "{id}");
        assert_eq!(expiry(&world, &tenant, id).await, (None, Some(365)), "{id}");
    }
    world.clock.advance(DAY * YEAR);
    assert!(!is_shown(&world, &tenant, "large").await && !is_shown(&world, &tenant, "dead").await);
    world.clock.advance(DAY * 2);
    world.expire().await;
    assert_eq!(stored(&world, &tenant, "dead").await.len(), 4, "never a part of it");
    assert_eq!(roll(&world).await.deleted, 0, "as late as what goes by itself");
    world.clock.advance(DAY * 2);
    assert_eq!(roll(&world).await.deleted, 4);
    assert!(is_empty(&world).await);
}

#[tokio::test]
async fn a_retry_takes_the_end_away_and_canceled_ones_end_too() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.receiver.reply((0..3).map(|_| Reply::status(500)));
    finish(&world, &tenant, ["dead".to_owned()]).await;
    world.run(beginning() + TimeDelta::minutes(4)).await;
    world.accept(vec![world.activity(&tenant, "canceled", TimeDelta::days(3_000))]).await;
    world.ctx.work.change(&tenant, &"canceled".parse().unwrap(), Event::Cancel).await.unwrap();
    assert_eq!(expiry(&world, &tenant, "canceled").await, (Some(367), None));
    world.clock.advance(DAY * (YEAR - 1));
    let asked = world.ctx.work.change(&tenant, &"dead".parse().unwrap(), Event::Retry).await.unwrap();
    assert!(matches!(asked, Change::Applied(_)), "{asked:?}");
    assert_eq!(expiry(&world, &tenant, "dead").await, (None, None), "it waits");
    world.clock.advance(DAY * 30);
    world.expire().await;
    assert_eq!(stored(&world, &tenant, "dead").await.len(), 4);
    assert!(stored(&world, &tenant, "canceled").await.is_empty());
    world.sweep().await;
    world.work(&world.worker()).await;
    assert_eq!(world.state(&tenant, "dead").await.status, Status::Dispatched);
    assert_eq!(
        expiry(&world, &tenant, "dead").await,
        (None, Some(365)),
        "from its new end, with its attempts"
    );
    assert_eq!(roll(&world).await.deleted, 0);
}

/// Whenever a result comes to lie beside an activity, that does not go by the time to live.
#[tokio::test]
async fn results_go_with_their_activity() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let report = async |id: &str, one: ActivityResult| {
        let reported = world.ctx.work.report(&tenant, &Target::Activity(id.parse().unwrap()), one).await;
        assert!(matches!(reported, Ok(Reported::New(Some(_)))), "{reported:?}");
    };
    finish(&world, &tenant, ["pending".to_owned(), "completed".to_owned()]).await;
    report("pending", result("r1", "PENDING")).await;
    report("pending", result("r2", "PENDING")).await;
    report("completed", result("r3", "COMPLETED")).await;
    // Between the claim and the settle.
    for (id, status) in [("noted", "COMPLETED"), ("meanwhile", "PENDING")] {
        world.accept(vec![world.activity(&tenant, id, TimeDelta::zero())]).await;
        let record = world.claim(&tenant, id, TimeDelta::seconds(60)).await;
        report(id, result(&format!("of-{id}"), status)).await;
        let success = Success { http_status: Some(200), duration_ms: 1 };
        let attempt = Attempt::Succeeded { success, dispatch: None };
        let settled = world.ctx.work.settle(&record, &attempt, world.clock.now()).await.unwrap();
        assert!(matches!(settled, Settled::Applied(_)));
    }
    for (id, beside) in [("pending", 2), ("completed", 1), ("noted", 1), ("meanwhile", 1)] {
        assert_eq!(expiry(&world, &tenant, id).await, (None, Some(365)), "{id}");
        assert_eq!(stored(&world, &tenant, id).await.len(), 1 + beside, "{id}");
    }
    world.clock.advance(DAY * (YEAR + 4));
    world.expire().await;
    assert_eq!(roll(&world).await.deleted, 4);
    assert!(is_empty(&world).await);
}

#[tokio::test]
async fn a_solutions_own_period_holds_where_it_has_no_uri() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let with = async |id: &str, rolling: Rolling| {
        world.ctx.tenancy.put_solution(&Actor::Admin, &tenant, 1, rolling).await.unwrap();
        world.receiver.reply([Reply::status(200)]);
        world.accept(vec![world.activity(&tenant, id, TimeDelta::zero())]).await;
        world.work(&world.worker()).await;
        expiry(&world, &tenant, id).await
    };
    let days = |days: &str| days.parse().ok();
    let uri = || Some(format!("{}/logs/success", world.receiver.url()));
    let period = Rolling { success_period_days: days("10"), ..Rolling::default() };
    assert_eq!(with("period", period.clone()).await, (Some(12), None));
    let short = Rolling { success_period_days: days("0"), ..Rolling::default() };
    assert_eq!(with("short", short).await, (Some(3), None), "a day at least, in which its id is known");
    let dead = Rolling { dead_letter_period_days: days("1"), ..Rolling::default() };
    assert_eq!(with("other", dead).await, (Some(367), None));
    let rolled = Rolling { success_uri: uri(), ..period };
    assert_eq!(with("rolled", rolled).await, (None, None), "its roller hands it on first");
    let kept = Rolling { success_uri: uri(), ..Rolling::default() };
    assert_eq!(with("uri", kept).await, (Some(367), None));
}

/// A URI that is set later: what had ended before is handed on too, however long its receiver refuses it.
#[tokio::test]
async fn what_a_roller_has_to_hand_on_no_longer_goes_by_itself() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let period = Rolling { success_period_days: "10".parse().ok(), ..Rolling::default() };
    world.ctx.tenancy.put_solution(&Actor::Admin, &tenant, 1, period).await.unwrap();
    finish(&world, &tenant, (0..120).map(|n| format!("a{n:03}"))).await;
    set(&world, &tenant, |rolling| rolling.success_period_days = "10".parse().ok()).await;
    world.clock.advance(DAY * 10);
    world.receiver.reply((0..3).map(|_| Reply::status(503)));
    for _ in 0..3 {
        let report = roll(&world).await;
        assert_eq!((report.refused, report.deleted), (1, 0));
        world.clock.advance(DAY * 2);
        assert_eq!(world.expire().await, 0);
    }
    assert_eq!(roll(&world).await.deleted, 120);
    assert_eq!(ids(&batches(&world)[3].2).len(), 120);
}

/// What is gone for readers is in nobody's way, however long it is still stored.
#[tokio::test]
async fn an_id_is_free_again_when_its_activity_is_gone() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.receiver.reply((0..3).map(|_| Reply::status(500)));
    finish(&world, &tenant, ["alone".to_owned(), "dead".to_owned()]).await;
    world.run(beginning() + TimeDelta::minutes(4)).await;
    let anew = |id: &str| {
        let mut activity = world.activity(&tenant, id, TimeDelta::zero());
        activity.body_hash = "another".into();
        activity
    };
    let create = async |id: &str| world.ctx.work.create(vec![anew(id)]).await.pop().unwrap().unwrap();
    assert!(matches!(create("dead").await, Created::Conflict));
    world.clock.advance(DAY * YEAR);
    for id in ["alone", "dead"] {
        assert!(matches!(create(id).await, Created::New(_)), "{id}");
        assert_eq!(stored(&world, &tenant, id).await, ["ITEM"], "nothing of the other one");
        assert!(matches!(create(id).await, Created::Existing(_)), "{id}");
    }
    world.work(&world.worker()).await;
    assert_eq!(world.get(&tenant, "dead").await.history.len(), 1);
}
