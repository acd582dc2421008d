//! A tenant with very many due activities beside one with few, all due at one instant.

use crate::arguments::Arguments;
use crate::load::Load;
use crate::meter::Meter;
use crate::report::Report;
use crate::stage::{Stage, millis};
use anyhow::{Result, bail};
use chrono::{DurationRound, TimeDelta};
use shared::clock::{Clock, SystemClock};

const NAME: &str = "fairness";
const MANY: &str = "many";
const FEW: &str = "few";
/// What the giving is taken to need, for the default of `--fairness-ahead`.
const AHEAD_AT_LEAST_SECONDS: u32 = 20;
const GIVEN_PER_SECOND: usize = 1_500;

/// Lateness of both tenants. The few are given last, behind all of the many.
pub async fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let mut stage = Stage::start(arguments).await?;
    let many_tenant = stage.tenant(MANY, 1).await?;
    let few_tenant = stage.tenant(FEW, 1).await?;
    let default_ahead = AHEAD_AT_LEAST_SECONDS + (arguments.fairness_many / GIVEN_PER_SECOND) as u32;
    let ahead = TimeDelta::seconds(arguments.fairness_ahead.unwrap_or(default_ahead).into());
    let due = (SystemClock.now() + ahead).duration_trunc(TimeDelta::seconds(1))?;
    let many = Load { prefix: MANY, count: arguments.fairness_many, due: Some(due), step_ms: 0 };
    let few = Load { prefix: FEW, count: arguments.fairness_few, due: Some(due), step_ms: 0 };
    let meter = Meter::start(&stage.system).await?;
    many.give(&stage.api, &many_tenant, arguments.callers).await?;
    let given = few.give(&stage.api, &few_tenant, arguments.callers).await?;
    if given.last_accepted >= due {
        bail!(
            "giving took until {} ms after the due instant: raise --fairness-ahead",
            millis(given.last_accepted - due)
        );
    }
    stage.wait(FEW, &few, ahead).await?;
    stage.wait(MANY, &many, ahead).await?;
    for load in [&few, &many] {
        let lane = load.prefix;
        let Some(lateness) = stage.lateness(lane, load) else { continue };
        report.add(NAME, format!("{lane}_delivered"), stage.receiver.count(lane) as f64);
        report.add(NAME, format!("{lane}_duplicates"), stage.receiver.duplicates(lane) as f64);
        report.add(NAME, format!("{lane}_early"), lateness.below(0.0) as f64);
        report.add_millis(NAME, &format!("{lane}_lateness"), &lateness);
    }
    meter.report(&stage.system, NAME, many.count + few.count, report).await?;
    Ok(())
}
