//! Shards of the index `done`: what is finished is spread by its id, and found wherever it was ever put.

use crate::rolling::{DAY, finish, left, roll, set};
use chrono::TimeDelta;
use rules::activity::Status;
use rules::due::shard;
use rules::names::Tenant;
use shared::context::Context;
use shared::engine::attributes::{Item, s};
use shared::items::activity::{ActivityResult, Filter, Target};
use shared::settings::Settings;
use std::collections::{BTreeMap, BTreeSet};
use tests::World;

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// How many items stand in each partition of `done` that begins so.
async fn partitions(world: &World, prefix: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for item in world.dump().await {
        if let Some(partition) = text(&item, "fp").filter(|partition| partition.starts_with(prefix)) {
            *counts.entry(partition.to_owned()).or_default() += 1;
        }
    }
    counts
}

fn numbered(letter: char, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |number| format!("{letter}{number:03}"))
}

/// The items of activities.
async fn activities(world: &World) -> Vec<Item> {
    let is_activity = |item: &Item| text(item, "PK").is_some_and(|pk| pk.starts_with("A#"));
    world.dump().await.into_iter().filter(is_activity).collect()
}

async fn listed(ctx: &Context, tenant: &Tenant) -> BTreeSet<String> {
    let kinds = ctx.tenancy.kinds(tenant).await.unwrap();
    let (mut found, mut cursor) = (BTreeSet::new(), None);
    loop {
        let page = ctx.work.list(tenant, &kinds, &Filter::default(), cursor.as_deref(), 30).await.unwrap();
        for view in page.items {
            assert!(found.insert(view.record.id.to_string()), "{} twice", view.record.id);
        }
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

async fn counted(ctx: &Context, tenant: &Tenant) -> u64 {
    let kinds = ctx.tenancy.kinds(tenant).await.unwrap();
    ctx.work.stats(tenant, &kinds).await.unwrap().by_status[&Status::Dispatched]
}

/// A process whose types get so many shards of `done`.
fn process_with_shards(world: &World, done_shards: u32) -> Context {
    let variables = world.embedded.settings("delivery-worker");
    let settings = Settings::read(&|name| variables.get(name).cloned()).unwrap();
    let settings = Settings { done_shards, ..settings };
    Context::new(world.embedded.clients().clone(), &settings, world.clock.clone(), world.entropy.clone())
}

#[tokio::test]
async fn activities_are_spread_over_sixteen_shards_by_their_ids() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    finish(&world, &tenant, numbered('a', 300)).await;
    let found = partitions(&world, &format!("{tenant}#A#DISPATCHED#")).await;
    assert_eq!(found.len(), 16, "{found:?}");
    assert!(found.values().all(|count| *count <= 45), "{found:?}");
    for item in activities(&world).await {
        let id = text(&item, "PK").unwrap().rsplit('#').next().unwrap();
        let expect = format!("{tenant}#A#DISPATCHED#{}", shard(id, 16));
        assert_eq!(text(&item, "fp"), Some(expect.as_str()));
    }
    assert_eq!(listed(&world.ctx, &tenant).await, numbered('a', 300).collect());
    assert_eq!(counted(&world.ctx, &tenant).await, 300);
}

/// Those of one recipient too, who share a shard of `due`.
#[tokio::test]
async fn cancelled_reminders_are_spread_over_sixteen_shards() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    for id in numbered('r', 100) {
        world.remind(world.reminder(&tenant, &id, "1199", &[60])).await;
        world.ctx.reminders.cancel(&tenant, &id.parse().unwrap()).await.unwrap();
    }
    let found = partitions(&world, &format!("{tenant}#R#cancelled#")).await;
    assert!(found.len() >= 14 && found.values().all(|count| *count <= 20), "{found:?}");
    assert_eq!(world.reminder_stats(&tenant).await.cancelled, 100);
}

#[tokio::test]
async fn results_that_met_no_activity_are_spread_over_sixteen_shards() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    for id in numbered('r', 100) {
        let result = ActivityResult {
            id: id.parse().unwrap(),
            status: "COMPLETED".parse().unwrap(),
            provider_activity_id: Some(id.clone()),
            occurred_at: tests::world::beginning(),
            received_at: tests::world::beginning(),
            hard_override: false,
            details: "{}".into(),
            body_hash: "hash".into(),
            standalone: false,
        };
        world.ctx.work.report(&tenant, &Target::Provider(id), result).await.unwrap();
    }
    let found = partitions(&world, &format!("{tenant}#P#")).await;
    assert!(found.len() >= 14 && found.values().all(|count| *count <= 20), "{found:?}");
}

/// Activities that finished before `done` had shards of its own stand in the shards that they have in `due`.
#[tokio::test]
async fn what_stands_in_the_shards_of_before_is_listed_counted_and_rolled() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    set(&world, &tenant, |_| {}).await;
    finish(&world, &tenant, numbered('a', 40)).await;
    let table = world.embedded.settings("delivery-worker")["PUNCTUAL_WORK_TABLE"].clone();
    for item in activities(&world).await {
        let partition = format!("{tenant}#A#DISPATCHED#{}", item["sh"].as_n().unwrap());
        let update = world.embedded.clients().dynamodb.update_item().table_name(&table);
        update
            .key("PK", item["PK"].clone())
            .key("SK", item["SK"].clone())
            .update_expression("SET fp = :fp REMOVE fh")
            .expression_attribute_values(":fp", s(partition))
            .send()
            .await
            .unwrap();
    }
    assert_eq!(partitions(&world, &format!("{tenant}#A#")).await.len(), 4);
    finish(&world, &tenant, numbered('b', 40)).await;
    let both: BTreeSet<String> = numbered('a', 40).chain(numbered('b', 40)).collect();
    assert_eq!(listed(&world.ctx, &tenant).await, both);
    assert_eq!(counted(&world.ctx, &tenant).await, 80);
    world.clock.advance(DAY);
    assert_eq!(roll(&world).await.deleted, 80);
    assert_eq!(left(&world, &tenant).await, BTreeSet::new());
}

/// What a deployment once wrote to more shards than it is set to now is found by each process.
#[tokio::test]
async fn a_number_of_shards_is_never_lowered() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let many = process_with_shards(&world, 64);
    let type_ = many
        .tenancy
        .fresh::<shared::tenancy::ActivityType>(&(tenant.clone(), "call".parse().unwrap()))
        .await
        .unwrap()
        .unwrap();
    let written = many.tenancy.put_activity_type(&shared::tenancy::Actor::Admin, &tenant, (*type_).clone());
    let shards = written.await.unwrap().into_inner().shards;
    assert_eq!(shards.done, 64);
    let activity = |id: String| {
        let mut activity = world.activity(&tenant, &id, TimeDelta::zero());
        activity.shards = shards;
        activity
    };
    world.accept(numbered('a', 90).map(activity).collect()).await;
    world.work(&world.worker()).await;
    assert!(partitions(&world, &format!("{tenant}#A#")).await.len() > 32);
    let few = process_with_shards(&world, 16);
    assert_eq!(listed(&few, &tenant).await, numbered('a', 90).collect());
    assert_eq!(counted(&few, &tenant).await, 90);
    // Nor by writing the type again.
    let written = few.tenancy.put_activity_type(&shared::tenancy::Actor::Admin, &tenant, (*type_).clone());
    assert_eq!(written.await.unwrap().into_inner().shards.done, 64);
}
