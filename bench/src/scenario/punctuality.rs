//! Many activities due at once, or nearly, given well before.

use crate::arguments::Arguments;
use crate::load::Load;
use crate::meter::Meter;
use crate::report::Report;
use crate::stage::{Stage, millis};
use anyhow::{Result, bail};
use chrono::{DurationRound, TimeDelta};
use shared::clock::{Clock, SystemClock};

/// `punctuality`: all due at one instant.
pub async fn at_once(arguments: &Arguments, report: &mut Report) -> Result<()> {
    run("punctuality", arguments.punctuality, 0, arguments, report).await
}

/// `spread`: due a millisecond after one another.
pub async fn spread(arguments: &Arguments, report: &mut Report) -> Result<()> {
    run("spread", arguments.spread, 1, arguments, report).await
}

/// Lateness: arrival minus due. One that comes early is a fault, and is counted.
async fn run(
    name: &'static str,
    count: usize,
    step_ms: u32,
    arguments: &Arguments,
    report: &mut Report,
) -> Result<()> {
    let mut stage = Stage::start(arguments).await?;
    let tenant = stage.tenant(name, 1).await?;
    let ahead = TimeDelta::seconds(arguments.ahead.into());
    let due = (SystemClock.now() + ahead).duration_trunc(TimeDelta::seconds(1))?;
    let load = Load { prefix: name, count, due: Some(due), step_ms };
    let meter = Meter::start(&stage.system).await?;
    let given = load.give(&stage.api, &tenant, arguments.callers).await?;
    if given.last_accepted >= due {
        bail!(
            "giving took until {} ms after the due instant: raise --ahead",
            millis(given.last_accepted - due)
        );
    }
    stage.wait(name, &load, ahead).await?;
    let Some(lateness) = stage.lateness(name, &load) else { return Ok(()) };
    report.add(name, "delivered", stage.receiver.count(name) as f64);
    report.add(name, "duplicates", stage.receiver.duplicates(name) as f64);
    report.add(name, "early", lateness.below(0.0) as f64);
    report.add_millis(name, "lateness", &lateness);
    meter.report(&stage.system, name, load.count, report).await?;
    Ok(())
}
