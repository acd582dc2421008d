//! Very many recurring rules, of which few are due at one minute: what they cost, and how late they are.

use crate::api::TenantPath;
use crate::arguments::Arguments;
use crate::here;
use crate::report::Report;
use crate::spread::Spread;
use crate::stage::{Stage, millis, seconds};
use crate::usage::Usage;
use anyhow::{Context, Result, bail};
use chrono::{DateTime, Datelike, DurationRound, TimeDelta, Timelike, Utc};
use futures::stream::{self, StreamExt, TryStreamExt};
use recurring_expander::Expander;
use serde_json::json;
use shared::clock::{Clock, SystemClock};

const NAME: &str = "recurring";
/// Beyond the look-ahead, so that the schedule and not the giving expands what is due.
const AHEAD: TimeDelta = TimeDelta::minutes(5);
/// When the rules are due that this process expands itself, with a clock of its own.
const FAR: TimeDelta = TimeDelta::days(30);
/// When all others are due.
const VERY_FAR: TimeDelta = TimeDelta::days(180);

/// The time of one expansion and its units, and the lateness of what the schedule's expansion created.
pub async fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let mut stage = Stage::start(arguments).await?;
    let tenant = stage.tenant(NAME, 1).await?;
    let due_count = arguments.rules_due.min(arguments.rules / 2);
    let minute = TimeDelta::minutes(1);
    let began = SystemClock.now();
    let far = (began + FAR).duration_trunc(minute)?;
    put(arguments, &stage, &tenant, "other", arguments.rules - 2 * due_count, began + VERY_FAR).await?;
    put(arguments, &stage, &tenant, "far", due_count, far).await?;
    report.add(
        NAME,
        "rules_made_per_s",
        (arguments.rules - due_count) as f64 / seconds(SystemClock.now() - began),
    );

    one_expansion(&stage, far, due_count, report).await?;

    let due = (SystemClock.now() + AHEAD).duration_trunc(minute)? + minute;
    put(arguments, &stage, &tenant, "due", due_count, due).await?;
    if SystemClock.now() > due - rules::recurring::LOOK_AHEAD {
        bail!("giving took until the rules were due for expansion: fewer --rules-due, please");
    }
    let keys: Vec<String> = (0..due_count).map(|index| key("due", index, due)).collect();
    stage.wait_keys(NAME, &keys, AHEAD + minute * 2).await?;
    let late = keys.iter().map(|key| stage.receiver.arrival(NAME, key).map(|at| millis(at - due)));
    let late: Option<Vec<f64>> = late.collect();
    let lateness = Spread::of(late.context("an occurrence is missing")?).context("nothing was due")?;
    report.add(NAME, "delivered", stage.receiver.count(NAME) as f64);
    report.add(NAME, "duplicates", stage.receiver.duplicates(NAME) as f64);
    report.add(NAME, "early", lateness.below(0.0) as f64);
    report.add_millis(NAME, "lateness", &lateness);
    Ok(())
}

/// One run of the expander in this process, two minutes before the far rules are due.
async fn one_expansion(stage: &Stage, due: DateTime<Utc>, count: usize, report: &mut Report) -> Result<()> {
    let addresses = &stage.system.addresses;
    let ahead = due - TimeDelta::minutes(2) - SystemClock.now();
    let expander = Expander::new(here::context(addresses, ahead)?);
    for (run, expected) in [("expansion", count), ("idle_run", 0)] {
        let before = Usage::read(&addresses.aws).await?.dynamodb;
        let began = SystemClock.now();
        let done = expander.handle(json!({})).await?;
        let took = SystemClock.now() - began;
        let after = Usage::read(&addresses.aws).await?.dynamodb;
        if (done.rules, done.created) != (expected, expected) {
            bail!("{} rules expanded and {} created, not {expected}", done.rules, done.created);
        }
        report.add(NAME, format!("{run}_ms"), millis(took));
        report.add(NAME, format!("{run}_write_units"), after.write_units - before.write_units);
        report.add(NAME, format!("{run}_read_units"), after.read_units - before.read_units);
    }
    Ok(())
}

fn name(prefix: &str, index: usize) -> String {
    format!("{prefix}-{index:06}")
}

/// The `Idempotency-Key` of a rule's occurrence.
fn key(prefix: &str, index: usize, due: DateTime<Utc>) -> String {
    format!("{}@{}:0", name(prefix, index), due.timestamp())
}

/// Makes rules that are due once, at the minute of `due`.
async fn put(
    arguments: &Arguments,
    stage: &Stage,
    tenant: &TenantPath,
    prefix: &str,
    count: usize,
    due: DateTime<Utc>,
) -> Result<()> {
    let (minute, hour, day, month, year) = (due.minute(), due.hour(), due.day(), due.month(), due.year());
    let expression = format!("0 {minute} {hour} {day} {month} * {year}");
    stream::iter(0..count)
        .map(|index| {
            let expression = &expression;
            async move { stage.api.put_rule(tenant, &name(prefix, index), expression).await }
        })
        .buffer_unordered(arguments.callers.max(1) * 4)
        .try_collect()
        .await
}
