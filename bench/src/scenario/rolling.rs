//! Very many finished activities on their way out, while new ones finish.

use crate::arguments::Arguments;
use crate::here;
use crate::load::Load;
use crate::report::Report;
use crate::stage::{Stage, seconds};
use crate::usage::Usage;
use anyhow::{Result, bail};
use chrono::TimeDelta;
use log_roller::{LogRoller, RollEvent};
use serde_json::Value;
use shared::clock::{Clock, SystemClock};

const NAME: &str = "rolling";
/// Where the logs go.
const LOGS: &str = "logs";
/// Of the finished ones, so many more finish while these are rolled.
const MEANWHILE_SHARE: usize = 25;

/// Activities rolled per second, and units each. Every one leaves exactly once.
pub async fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let mut stage = Stage::start(arguments).await?;
    let tenant = stage.tenant(NAME, 1).await?;
    let load = Load { prefix: "before", count: arguments.rolling, due: None, step_ms: 0 };
    load.give(&stage.api, &tenant, arguments.callers).await?;
    stage.wait(NAME, &load, TimeDelta::zero()).await?;
    settled(&stage).await?;
    stage.api.set_rolling(&tenant, &format!("{}/{LOGS}", stage.receiver.url)).await?;

    let roller = LogRoller::new(here::context(&stage.system.addresses, TimeDelta::zero())?, here::http()?);
    let meanwhile =
        Load { prefix: "meanwhile", count: arguments.rolling / MEANWHILE_SHARE, due: None, step_ms: 0 };
    let timed = async {
        let began = SystemClock.now();
        let rolled = roller.handle(RollEvent::Daily(Value::Null)).await;
        (rolled, seconds(SystemClock.now() - began))
    };
    let (given, (rolled, took)) =
        futures::join!(meanwhile.give(&stage.api, &tenant, arguments.callers), timed);
    given?;
    let rolled = rolled?;
    report.add(NAME, "rolled", rolled.deleted as f64);
    report.add(NAME, "batches", rolled.batches as f64);
    report.add(NAME, "rolled_per_s", rolled.deleted as f64 / took);

    // Units are read off the services, so those of a roll are counted while nothing else goes on.
    stage.wait(NAME, &meanwhile, TimeDelta::zero()).await?;
    settled(&stage).await?;
    let before = Usage::read(&stage.system.addresses.aws).await?.dynamodb;
    let alone = roller.handle(RollEvent::Daily(Value::Null)).await?;
    let after = Usage::read(&stage.system.addresses.aws).await?.dynamodb;
    let each = 1.0 / alone.deleted.max(1) as f64;
    report.add(NAME, "rolled_alone", alone.deleted as f64);
    report.add(NAME, "write_units_each", (after.write_units - before.write_units) * each);
    report.add(NAME, "read_units_each", (after.read_units - before.read_units) * each);

    let deleted = rolled.deleted + alone.deleted;
    report.add(NAME, "rolled_in_all", deleted as f64);
    report.add(NAME, "batches_sent_twice", stage.receiver.duplicates(LOGS) as f64);
    let expected = load.count + meanwhile.count;
    if deleted != expected {
        bail!("{deleted} of {expected} activities were rolled");
    }
    Ok(())
}

/// Waits until nothing is written any more: all that arrived is recorded.
async fn settled(stage: &Stage) -> Result<()> {
    crate::meter::settled(&stage.system.addresses.aws).await.map(drop)
}
