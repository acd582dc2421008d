//! A company with very many empty activity types beside one with ten activities.

use crate::arguments::Arguments;
use crate::here::clients;
use crate::load::Load;
use crate::report::Report;
use crate::stage::{Stage, millis, seconds};
use crate::usage::Usage;
use anyhow::{Context, Result};
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use chrono::{DurationRound, TimeDelta};
use rules::due::SWEEP_HORIZON;
use shared::clock::{Clock, SystemClock};

const NAME: &str = "many_types";
const MANY: &str = "many";
const FEW: &str = "few";
const FEW_COUNT: usize = 10;
/// Writes of one call.
const BATCH: usize = 25;
/// Shards of a type, as template.yaml has them.
const SHARDS: &str = "4";
/// Past the horizon, so that the sweep alone enqueues them, 14 minutes before they are due.
const AHEAD: TimeDelta = TimeDelta::seconds(15 * 60 + 5);
/// How often the services' counts are looked at.
const LOOK: TimeDelta = TimeDelta::milliseconds(50);
/// More read units between two looks than anything but a sweep of many types needs.
const SWEEP_UNITS: f64 = 10.0;
/// A sweep is over when so long nothing was read.
const QUIET: TimeDelta = TimeDelta::seconds(3);

/// How long after they entered the horizon the few's activities are enqueued (a sweep begins each minute), for how long sweeps
/// read until one has found them, and the memory of it.
pub async fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let mut stage = Stage::start(arguments).await?;
    let few_tenant = stage.tenant(FEW, 1).await?;
    stage.tenant(MANY, 1).await?;
    register(&stage.system.addresses.aws, arguments.many_types).await?;
    let due = (SystemClock.now() + AHEAD).duration_trunc(TimeDelta::seconds(1))?;
    let few = Load { prefix: FEW, count: FEW_COUNT, due: Some(due), step_ms: 0 };
    few.give(&stage.api, &few_tenant, 1).await?;
    let enters = due - SWEEP_HORIZON;
    SystemClock.sleep_until(enters).await;
    let (mut usage, mut began, mut sent_at) = (Usage::read(&stage.system.addresses.aws).await?, None, None);
    let mut last_read = enters;
    let limit = enters + TimeDelta::seconds(arguments.patience.into());
    while SystemClock.now() < limit && (sent_at.is_none() || SystemClock.now() - last_read < QUIET) {
        SystemClock.sleep_until(SystemClock.now() + LOOK).await;
        let next = Usage::read(&stage.system.addresses.aws).await?;
        let now = SystemClock.now();
        if next.dynamodb.read_units - usage.dynamodb.read_units > SWEEP_UNITS {
            began = began.or(Some(now));
            last_read = now;
        }
        if messages(&next) > messages(&usage) {
            sent_at = sent_at.or(Some(now));
        }
        usage = next;
    }
    stage.system.check_alive()?;
    let sent_at = sent_at.context("the few were not enqueued")?;
    let began = began.unwrap_or(sent_at);
    report.add(NAME, "types", arguments.many_types as f64);
    report.add(NAME, "few_enqueued_after_ms", millis(sent_at - enters));
    report.add(NAME, "sweeps_read_for_s", seconds(last_read - began));
    let (functions, services) = stage.system.peak_mib()?;
    report.add(NAME, "functions_peak_mib", functions);
    report.add(NAME, "services_peak_mib", services);
    Ok(())
}

fn messages(usage: &Usage) -> u64 {
    usage.sqs.requests.get("SendMessageBatch").copied().unwrap_or_default()
}

/// Registers the types as they are registered when they are made, past the quota and faster.
async fn register(aws: &str, count: usize) -> Result<()> {
    let dynamodb = clients(aws).dynamodb;
    let tables = dynamodb.list_tables().send().await?;
    let table = tables.table_names().iter().find(|name| name.contains("Config")).context("no table")?.clone();
    for start in (0..count).step_by(BATCH) {
        let writes = (start..(start + BATCH).min(count)).map(|index| {
            let put = PutRequest::builder()
                .item("PK", AttributeValue::S("SLICES".to_owned()))
                .item("SK", AttributeValue::S(format!("{MANY}/main/A:t{index:06}")))
                .item("shards", AttributeValue::N(SHARDS.to_owned()))
                .item("doneShards", AttributeValue::N("16".to_owned()));
            Ok(WriteRequest::builder().put_request(put.build()?).build())
        });
        let writes = writes.collect::<Result<Vec<_>>>()?;
        dynamodb.batch_write_item().request_items(&table, writes).send().await?;
    }
    Ok(())
}
