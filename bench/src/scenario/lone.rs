//! One immediate activity after another, each alone in the system.

use crate::api::activity_body;
use crate::arguments::Arguments;
use crate::load::{Load, PARAMETER_BYTES};
use crate::meter::Meter;
use crate::report::Report;
use crate::spread::Spread;
use crate::stage::{Stage, millis};
use anyhow::{Context, Result};
use chrono::TimeDelta;
use shared::clock::{Clock, SystemClock};

const NAME: &str = "lone";
/// Given before, so that connections and caches are as in use.
const WARM_UP: usize = 5;

/// Accept to arrival and request to arrival.
pub async fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let mut stage = Stage::start(arguments).await?;
    let tenant = stage.tenant(NAME, 1).await?;
    let load = Load { prefix: NAME, count: WARM_UP + arguments.lone, due: None, step_ms: 0 };
    let mut meter = Meter::start(&stage.system).await?;
    let (mut from_accepted, mut from_request) = (Vec::new(), Vec::new());
    for (index, key) in load.keys().into_iter().enumerate() {
        if index == WARM_UP {
            meter = Meter::start(&stage.system).await?;
        }
        let body = activity_body(&load.id(index), PARAMETER_BYTES, None);
        let requested = SystemClock.now();
        stage.api.create(&tenant, &body).await?;
        let accepted = SystemClock.now();
        stage.wait_keys(NAME, std::slice::from_ref(&key), TimeDelta::zero()).await?;
        let arrived = stage.receiver.arrival(NAME, &key).context("arrived, but not noted")?;
        if index >= WARM_UP {
            from_accepted.push(millis(arrived - accepted));
            from_request.push(millis(arrived - requested));
        }
    }
    report.add(NAME, "delivered", from_accepted.len() as f64);
    report.add(NAME, "duplicates", stage.receiver.duplicates(NAME) as f64);
    if let (Some(accepted), Some(requested)) = (Spread::of(from_accepted), Spread::of(from_request)) {
        report.add_millis(NAME, "accept_to_arrival", &accepted);
        report.add_millis(NAME, "request_to_arrival", &requested);
    }
    meter.report(&stage.system, NAME, arguments.lone, report).await?;
    Ok(())
}
