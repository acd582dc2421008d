//! Activities through a channel beside the same number by an activity type: what each costs.

use crate::api::{Api, TenantPath, channel_body};
use crate::arguments::Arguments;
use crate::load::{BATCH, Load, PARAMETER_BYTES};
use crate::meter::Meter;
use crate::report::Report;
use crate::stage::Stage;
use anyhow::Result;
use chrono::TimeDelta;
use futures::stream::{self, StreamExt, TryStreamExt};

const NAME: &str = "channels";
/// The same number of activities by an activity type.
const HTTP: &str = "channels_http";
/// Results of a part of the channel's activities.
const RESULTS: &str = "channels_results";
/// One result for so many activities.
const RESULT_EVERY: usize = 10;

/// Each kind on a tenant of its own, one after the other on the same services.
pub async fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let mut stage = Stage::start(arguments).await?;
    let count = arguments.channels;
    let load = |prefix| Load { prefix, count, due: None, step_ms: 0 };

    let tenant = stage.tenant(HTTP, 1).await?;
    let meter = Meter::start(&stage.system).await?;
    let by_type = load(HTTP);
    by_type.give(&stage.api, &tenant, arguments.callers).await?;
    stage.wait(HTTP, &by_type, TimeDelta::zero()).await?;
    report.add(HTTP, "delivered", stage.receiver.count(HTTP) as f64);
    meter.report(&stage.system, HTTP, count, report).await?;

    let tenant = stage.tenant(NAME, 1).await?;
    stage.api.put_dispatch_config(&tenant, &format!("{}/{NAME}", stage.receiver.url)).await?;
    let meter = Meter::start(&stage.system).await?;
    let through = load(NAME);
    give(&stage.api, &tenant, &through, arguments.callers).await?;
    stage.wait(NAME, &through, TimeDelta::zero()).await?;
    report.add(NAME, "delivered", stage.receiver.count(NAME) as f64);
    report.add(NAME, "duplicates", stage.receiver.duplicates(NAME) as f64);
    meter.report(&stage.system, NAME, count, report).await?;

    let meter = Meter::start(&stage.system).await?;
    let results = count.div_ceil(RESULT_EVERY);
    stream::iter((0..count).step_by(RESULT_EVERY))
        // The receiver calls an activity what its key is.
        .map(|index| stage.api.report_result(&tenant, through.key(index)))
        .buffer_unordered(arguments.callers.max(1))
        .try_collect::<()>()
        .await?;
    report.add(RESULTS, "reported", results as f64);
    meter.report(&stage.system, RESULTS, results, report).await?;
    Ok(())
}

async fn give(api: &Api, tenant: &TenantPath, load: &Load, callers: usize) -> Result<()> {
    stream::iter((0..load.count).step_by(BATCH))
        .map(|start| async move {
            let end = (start + BATCH).min(load.count);
            let bodies: Vec<_> =
                (start..end).map(|index| channel_body(&load.id(index), PARAMETER_BYTES)).collect();
            api.create_batch(tenant, &bodies).await
        })
        .buffer_unordered(callers.max(1))
        .try_collect()
        .await
}
