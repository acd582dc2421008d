//! Immediate activities as fast as they go, and the same writes alone.

use crate::arguments::Arguments;
use crate::baseline;
use crate::load::Load;
use crate::meter::Meter;
use crate::report::Report;
use crate::stage::{Stage, seconds};
use anyhow::{Context, Result};
use chrono::TimeDelta;

const NAME: &str = "throughput";

/// From the first accepted to the last arrived, then the baseline on the same services.
pub async fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let mut stage = Stage::start(arguments).await?;
    let tenant = stage.tenant(NAME, 1).await?;
    let load = Load { prefix: NAME, count: arguments.throughput, due: None, step_ms: 0 };
    let meter = Meter::start(&stage.system).await?;
    let given = load.give(&stage.api, &tenant, arguments.callers).await?;
    stage.wait(NAME, &load, TimeDelta::zero()).await?;
    let last_arrived = stage.receiver.arrivals(NAME).into_iter().max().context("nothing arrived")?;
    let per_second = |until| load.count as f64 / seconds(until - given.first_accepted);
    let rate = per_second(last_arrived);
    report.add(NAME, "delivered", stage.receiver.count(NAME) as f64);
    report.add(NAME, "duplicates", stage.receiver.duplicates(NAME) as f64);
    report.add(NAME, "accepted_per_s", per_second(given.last_accepted));
    report.add(NAME, "delivered_per_s", rate);
    let recorded = meter.report_recorded(&stage.system, NAME, load.count, report).await?;
    report.add(NAME, "recorded_per_s", per_second(recorded));
    let alone = baseline::run(&stage.system.addresses.aws, load.count, report).await?;
    report.add(NAME, "share_of_baseline", rate / alone);
    Ok(())
}
