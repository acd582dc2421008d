//! A company whose receiver never answers beside one whose receiver does.

use crate::api::activity_body;
use crate::arguments::Arguments;
use crate::load::{Load, PARAMETER_BYTES};
use crate::receiver::HANGS;
use crate::report::Report;
use crate::spread::Spread;
use crate::stage::{Stage, millis};
use anyhow::{Result, bail};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;
use shared::clock::{Clock, SystemClock};

const FEW: &str = "few";
/// The longest time limit that a type may have.
const TIMEOUT_SECONDS: u32 = 120;
/// Of each of the other company's loads.
const FEW_COUNT: usize = 10;
/// When the other company's loads are due, after the hanging one's: with it, while its first calls hang, and after the
/// first have timed out.
const FEW_AFTER_SECONDS: [(&str, i64); 4] = [("few-0", 0), ("few-15", 15), ("few-60", 60), ("few-150", 150)];
const AHEAD_AT_LEAST_SECONDS: usize = 10;
const GIVEN_PER_SECOND: usize = 1_000;
/// Callers that give one activity after the other.
const CALLERS: usize = 50;

/// Lateness of both, where the hanging company's are given in batches and where each is given by itself.
pub async fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    measure("isolation", arguments.hanging, false, arguments, report).await?;
    measure("isolation_singles", arguments.hanging_singles, true, arguments, report).await?;
    reminders("isolation_reminders", arguments, report).await
}

async fn measure(
    name: &'static str,
    count: usize,
    is_single: bool,
    arguments: &Arguments,
    report: &mut Report,
) -> Result<()> {
    let mut stage = Stage::start(arguments).await?;
    let hanging = stage.tenant_with(HANGS, 1, TIMEOUT_SECONDS).await?;
    let few = stage.tenant(FEW, 1).await?;
    let ahead = TimeDelta::seconds((AHEAD_AT_LEAST_SECONDS + count / GIVEN_PER_SECOND) as i64);
    let due = (SystemClock.now() + ahead).duration_trunc(TimeDelta::seconds(1))?;
    let many = Load { prefix: HANGS, count, due: (!is_single).then_some(due), step_ms: 0 };
    let loads = FEW_AFTER_SECONDS.map(|(prefix, after)| {
        let due = Some(due + TimeDelta::seconds(after));
        Load { prefix, count: FEW_COUNT, due, step_ms: 0 }
    });
    let mut given = SystemClock.now();
    if is_single {
        let create = |index| {
            let body = activity_body(&many.id(index), PARAMETER_BYTES, None);
            let (api, tenant) = (&stage.api, &hanging);
            async move { api.create(tenant, &body).await }
        };
        stream::iter(0..count).map(create).buffer_unordered(CALLERS).try_collect::<Vec<()>>().await?;
    } else {
        given = many.give(&stage.api, &hanging, arguments.callers).await?.last_accepted;
    }
    for load in &loads {
        given = given.max(load.give(&stage.api, &few, arguments.callers).await?.last_accepted);
    }
    if given >= due {
        bail!("giving took until {} ms after the due instant: fewer, please", millis(given - due));
    }
    for load in &loads {
        stage.wait(FEW, load, ahead + TimeDelta::seconds(FEW_AFTER_SECONDS[3].1)).await?;
        let Some(lateness) = stage.lateness(FEW, load) else { continue };
        report.add_millis(name, &format!("{}_lateness", load.prefix.replace('-', "_")), &lateness);
    }
    report.add(name, "hanging_called", stage.receiver.count(HANGS) as f64);
    if let Some(lateness) = Spread::of(late(&stage.receiver.arrivals(HANGS), due)) {
        report.add_millis(name, "hanging_lateness", &lateness);
    }
    Ok(())
}

/// The other company's reminders are due with the hanging ones, and at the minute after.
async fn reminders(name: &'static str, arguments: &Arguments, report: &mut Report) -> Result<()> {
    let mut stage = Stage::start(arguments).await?;
    let minute = TimeDelta::minutes(1);
    let ahead = TimeDelta::seconds(AHEAD_AT_LEAST_SECONDS as i64);
    let due = (SystemClock.now() + ahead).duration_trunc(minute)? + minute;
    let mut keys = Vec::new();
    for (company, count, due) in
        [(HANGS, arguments.hanging_reminders, due), (FEW, FEW_COUNT, due), (FEW, FEW_COUNT, due + minute)]
    {
        let dialog = format!("{}/{company}", stage.receiver.url);
        let configuration = stage.api.make_reminder_configuration(company, &dialog, None).await?;
        for index in 0..count {
            let id = format!("visit-{}-{index:04}", due.timestamp());
            let reminder = json!({
                "countryCode": "55",
                "phoneNumber": format!("119{index:08}"),
                "notificationTemplateName": "visit",
                "templateParameters": [],
                "sendTimes": [rules::time::format(due)],
            });
            stage.api.put_reminder(&configuration, &id, &reminder).await?;
            if company == FEW {
                keys.push((due, format!("{id}:{}", rules::time::format(due))));
            }
        }
    }
    let all: Vec<String> = keys.iter().map(|(_, key)| key.clone()).collect();
    stage.wait_keys(FEW, &all, ahead + minute * 2).await?;
    let late =
        |(due, key): &(DateTime<Utc>, String)| stage.receiver.arrival(FEW, key).map(|at| millis(at - *due));
    if let Some(lateness) = Spread::of(keys.iter().filter_map(late)) {
        report.add_millis(name, "few_lateness", &lateness);
    }
    report.add(name, "hanging_called", stage.receiver.count(HANGS) as f64);
    Ok(())
}

fn late(arrivals: &[DateTime<Utc>], due: DateTime<Utc>) -> impl Iterator<Item = f64> {
    arrivals.iter().map(move |at| millis(*at - due))
}
