//! The scenes in which each function meets a stored item that it cannot read.

use crate::notifications::event as resender_event;
use crate::template_scenes::Stage;
use crate::template_scenes_functions::sender_on;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use delivery_worker::Worker;
use dispatch_sweep::Sweeper;
use log_roller::LogRoller;
use notification_resender::{Resender, ResenderSettings};
use recurring_expander::Expander;
use rules::names::Tenant;
use shared::clock::Clock;
use shared::table::keys;
use tests::World;
use tests::recurring::{event as expander_event, spec};

/// An item of the configuration table that is none of what stands in its partition.
pub async fn plant(world: &World, partition: &str) {
    let table = &world.embedded.settings("api-ingest")["PUNCTUAL_CONFIG_TABLE"];
    let put = world.embedded.clients().dynamodb.put_item().table_name(table);
    let put = put.item("PK", AttributeValue::S(partition.to_owned()));
    put.item("SK", AttributeValue::S("!".to_owned())).send().await.unwrap();
}

/// Takes an attribute that every state has away from an item of the work table.
pub async fn damage(world: &World, pk: String) {
    let table = &world.embedded.settings("api-ingest")["PUNCTUAL_WORK_TABLE"];
    let update = world.embedded.clients().dynamodb.update_item().table_name(table);
    let update = update.key("PK", AttributeValue::S(pk)).key("SK", AttributeValue::S("ITEM".to_owned()));
    let update = update.update_expression("REMOVE c").condition_expression("attribute_exists(c)");
    update.send().await.unwrap();
}

/// One run of each function.
pub async fn play(stage: &Stage) {
    let world = &stage.world;
    for partition in ["COMPANY", "SLICES", "NOTIFICATIONS", "REMINDERS", "RETIRED"] {
        plant(world, partition).await;
    }
    let tenant: Tenant = world.tenant("unreadable", 1).await;
    world.put_rule(&tenant, "hourly", spec("0 * * * *")).await;
    world.accept(vec![world.activity(&tenant, "now", TimeDelta::zero())]).await;
    damage(world, keys::rule(&tenant, &"hourly".parse().unwrap())).await;
    damage(world, keys::activity(&tenant, &"now".parse().unwrap())).await;

    stage.call("GET", "/v1/companies", None, 200).await;
    let tick = serde_json::from_str(include_str!("../../../events/dispatch-sweep/schedule.json")).unwrap();
    let sweeper = "dispatch-sweep";
    Sweeper::new(stage.process(sweeper), stage.metrics(sweeper)).handle(tick).await.unwrap();
    let worker = "delivery-worker";
    world.work(&Worker::new(stage.process(worker), stage.http.clone(), stage.metrics(worker))).await;
    let sender = sender_on(stage, stage.process("reminder-sender"));
    sender.run(world.clock.now() + TimeDelta::minutes(1)).await.unwrap();
    world.clock.advance(TimeDelta::hours(1));
    let expander = "recurring-expander";
    let expander = Expander::new(stage.process(expander)).with_metrics(stage.metrics(expander));
    expander.handle(expander_event()).await.unwrap();
    let resender = "notification-resender";
    let settings = ResenderSettings::read(&|_| None).unwrap();
    Resender::new(stage.process(resender), stage.http.clone(), stage.metrics(resender), settings)
        .handle(resender_event())
        .await
        .unwrap();
    let roller = "log-roller";
    let event = serde_json::from_str(include_str!("../../../events/log-roller/schedule.json")).unwrap();
    let roller =
        LogRoller::new(stage.process(roller), stage.http.clone()).with_metrics(stage.metrics(roller));
    roller.handle(event).await.unwrap();
}
