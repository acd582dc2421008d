//! Finished activities with very many large results on their way out: how much memory the roller needs for them.

use crate::arguments::Arguments;
use crate::here;
use crate::load::Load;
use crate::report::Report;
use crate::stage::Stage;
use anyhow::{Context, Result, bail};
use chrono::TimeDelta;
use log_roller::{LogRoller, RollEvent};
use rules::names::Tenant;
use rules::verdict::ResultStatus;
use serde_json::Value;
use shared::clock::{Clock, SystemClock};
use shared::items::activity::{ActivityResult, Reported, Target};

const NAME: &str = "rolling-large";
/// Where the logs go.
const LOGS: &str = "logs-large";
/// Results of each activity.
const RESULTS: usize = 60;
/// Bytes of a result's details, near what the API accepts.
const DETAILS_BYTES: usize = 245_000;

/// The most memory of this process, which is the roller and a small receiver, before and while it rolls.
pub async fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let mut stage = Stage::start(arguments).await?;
    let path = stage.tenant(NAME, 1).await?;
    let load = Load { prefix: "large", count: arguments.rolling_large, due: None, step_ms: 0 };
    load.give(&stage.api, &path, arguments.callers).await?;
    stage.wait(NAME, &load, TimeDelta::zero()).await?;
    crate::meter::settled(&stage.system.addresses.aws).await?;
    let ctx = here::context(&stage.system.addresses, TimeDelta::zero())?;
    let tenant = Tenant { company: NAME.parse()?, solution: "main".parse()? };
    for index in 0..load.count {
        let target = Target::Activity(load.id(index).parse()?);
        for number in 0..RESULTS {
            let result = ActivityResult {
                id: format!("{index}-{number}").parse()?,
                status: ResultStatus::Pending,
                provider_activity_id: None,
                occurred_at: SystemClock.now(),
                received_at: SystemClock.now(),
                hard_override: false,
                details: format!("{{\"x\":\"{}\"}}", "x".repeat(DETAILS_BYTES)),
                body_hash: String::new().into(),
                standalone: false,
            };
            let reported = ctx.work.report(&tenant, &target, result).await?;
            if !matches!(reported, Reported::New(_)) {
                bail!("a result was not taken: {reported:?}");
            }
        }
    }
    stage.api.set_rolling(&path, &format!("{}/{LOGS}", stage.receiver.url)).await?;
    let roller = LogRoller::new(ctx, here::http()?);
    let before = forget_peak()?;
    let rolled = roller.handle(RollEvent::Daily(Value::Null)).await?;
    report.add(NAME, "rolled", rolled.deleted as f64);
    report.add(NAME, "batches", rolled.batches as f64);
    report.add(NAME, "memory_before_mib", before);
    report.add(NAME, "memory_peak_mib", memory("VmHWM")?);
    if rolled.deleted != load.count {
        bail!("{} of {} activities were rolled", rolled.deleted, load.count);
    }
    Ok(())
}

/// Begins a new peak; what is resident now, in MiB.
fn forget_peak() -> Result<f64> {
    std::fs::write("/proc/self/clear_refs", "5").context("the peak cannot be reset")?;
    memory("VmRSS")
}

/// A line of /proc/self/status, in MiB.
fn memory(name: &str) -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().split(' ').next()).context("no such line")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}
