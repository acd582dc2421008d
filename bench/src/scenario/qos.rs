//! Two companies with `qosLevel` 3 and 1 whose overdue backlogs only the sweep brings out.

use crate::arguments::Arguments;
use crate::load::Load;
use crate::report::Report;
use crate::stage::{Stage, seconds};
use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use shared::clock::{Clock, SystemClock};

const NAME: &str = "qos";
const GOLD: &str = "gold";
const BASIC: &str = "basic";
const GOLD_LEVEL: u32 = 3;
const BASIC_LEVEL: u32 = 1;
/// A pause is in effect everywhere within 5 s (SPEC §3).
const PAUSE_SETTLES_SECONDS: i64 = 6;
/// How long overdue the backlog is, so that no creation takes it for due within the horizon.
const OVERDUE_HOURS: i64 = 1;

/// The share of arrivals each company has while both still have a backlog.
pub async fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    let mut stage = Stage::start(arguments).await?;
    let gold = stage.tenant(GOLD, GOLD_LEVEL).await?;
    let basic = stage.tenant(BASIC, BASIC_LEVEL).await?;
    stage.api.set_server_state(&gold, "paused").await?;
    stage.api.set_server_state(&basic, "paused").await?;
    let now = SystemClock.now();
    SystemClock.sleep_until(now + TimeDelta::seconds(PAUSE_SETTLES_SECONDS)).await;
    let due = Some(now - TimeDelta::hours(OVERDUE_HOURS));
    let gold_load = Load { prefix: GOLD, count: arguments.qos, due, step_ms: 0 };
    let basic_load = Load { prefix: BASIC, count: arguments.qos, due, step_ms: 0 };
    gold_load.give(&stage.api, &gold, arguments.callers).await?;
    basic_load.give(&stage.api, &basic, arguments.callers).await?;
    let resumed = SystemClock.now();
    futures::try_join!(
        stage.api.set_server_state(&gold, "running"),
        stage.api.set_server_state(&basic, "running"),
    )?;
    stage.wait(GOLD, &gold_load, TimeDelta::zero()).await?;
    stage.wait(BASIC, &basic_load, TimeDelta::zero()).await?;
    let (gold_arrivals, basic_arrivals) = (stage.receiver.arrivals(GOLD), stage.receiver.arrivals(BASIC));
    report.add(
        NAME,
        "duplicates",
        (stage.receiver.duplicates(GOLD) + stage.receiver.duplicates(BASIC)) as f64,
    );
    for quarter in 1..=4 {
        // Once either has run dry, the shares say nothing any more.
        let Some(reached) = gold_arrivals.get(gold_arrivals.len() * quarter / 4 - 1) else {
            continue;
        };
        report.add(
            NAME,
            format!("gold_per_basic_at_{}_percent", quarter * 25),
            ratio(&gold_arrivals, &basic_arrivals, *reached),
        );
    }
    for (lane, arrivals) in [(GOLD, &gold_arrivals), (BASIC, &basic_arrivals)] {
        if let Some(last) = arrivals.iter().max() {
            report.add(NAME, format!("{lane}_done_s"), seconds(*last - resumed));
        }
    }
    Ok(())
}

/// How many of `gold` came for each of `basic` up to `until`.
fn ratio(gold: &[DateTime<Utc>], basic: &[DateTime<Utc>], until: DateTime<Utc>) -> f64 {
    let come = |arrivals: &[DateTime<Utc>]| arrivals.iter().filter(|at| **at <= until).count() as f64;
    come(gold) / come(basic)
}

#[cfg(test)]
mod tests {
    use super::ratio;
    use chrono::DateTime;

    #[test]
    fn the_ratio_is_of_what_came_by_then() {
        let at = |second| DateTime::from_timestamp(second, 0).expect("in range");
        let gold = [at(1), at(2), at(3), at(9)];
        let basic = [at(3), at(4), at(5)];
        assert_eq!(ratio(&gold, &basic, at(3)), 3.0);
        assert_eq!(ratio(&gold, &basic, at(9)), 4.0 / 3.0);
        assert_eq!(ratio(&gold, &basic, at(2)), f64::INFINITY);
    }
}
