//! Many activities due in the same second, given well before.

use crate::arguments::Arguments;
use crate::load::Load;
use crate::meter::Meter;
use crate::report::Report;
use crate::stage::{Stage, millis};
use anyhow::{Result, bail};
use chrono::{DurationRound, TimeDelta};
use shared::clock::{Clock, SystemClock};

const NAME: &str = "punctuality";

/// Lateness: arrival minus due. One that comes early counts as a fault, and is shown.
pub async fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let mut stage = Stage::start(arguments).await?;
    let tenant = stage.tenant(NAME, 1).await?;
    let ahead = TimeDelta::seconds(arguments.ahead.into());
    let due = (SystemClock.now() + ahead).duration_trunc(TimeDelta::seconds(1))?;
    let load = Load { prefix: NAME, count: arguments.punctuality, due: Some(due) };
    let meter = Meter::start(&stage.system).await?;
    let given = load.give(&stage.api, &tenant, arguments.callers).await?;
    if given.last_accepted >= due {
        bail!(
            "giving took until {} ms after the due instant: raise --ahead",
            millis(given.last_accepted - due)
        );
    }
    stage.wait(NAME, &load, ahead).await?;
    let Some(lateness) = stage.lateness(NAME, due) else {
        return Ok(());
    };
    report.add(NAME, "delivered", stage.receiver.count(NAME) as f64);
    report.add(NAME, "duplicates", stage.receiver.duplicates(NAME) as f64);
    report.add(NAME, "early", lateness.below(0.0) as f64);
    report.add_millis(NAME, "lateness", &lateness);
    meter.report(&stage.system, NAME, load.count, report).await
}
