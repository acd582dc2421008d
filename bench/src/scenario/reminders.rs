//! Very many reminders due at one minute, several for each recipient, one of whom is slow.

use crate::api::TenantPath;
use crate::arguments::Arguments;
use crate::meter::Meter;
use crate::receiver::SLOW;
use crate::report::Report;
use crate::spread::Spread;
use crate::stage::{Stage, millis, seconds};
use anyhow::{Context, Result, bail};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use shared::clock::{Clock, SystemClock};

const NAME: &str = "reminders";
/// Given before the minute at which all are due.
const AHEAD_AT_LEAST_SECONDS: usize = 20;
const GIVEN_PER_SECOND: usize = 250;
/// The recipient whose messages are answered slowly.
const SLOW_RECIPIENT: usize = 0;

/// What is given.
struct Visits {
    count: usize,
    recipients: usize,
    due: DateTime<Utc>,
}

impl Visits {
    fn id(index: usize) -> String {
        format!("visit-{index:06}")
    }

    /// Its messages of a recipient are far apart in the giving, as they would be.
    fn recipient(&self, index: usize) -> usize {
        index % self.recipients
    }

    /// The `Idempotency-Key` of its message.
    fn key(&self, index: usize) -> String {
        format!("{}:{}", Self::id(index), rules::time::format(self.due))
    }

    fn body(&self, index: usize) -> Value {
        let phone_number = match self.recipient(index) {
            SLOW_RECIPIENT => SLOW.to_owned(),
            recipient => format!("119{recipient:08}"),
        };
        json!({
            "countryCode": "55",
            "phoneNumber": phone_number,
            "notificationTemplateName": "visit",
            "templateParameters": ["Ana", "10:00", "Main Street 1"],
            "sendTimes": [rules::time::format(self.due)],
        })
    }
}

/// Reminders per second, how long recipients wait, and what each costs, with a webhook for each and without.
pub async fn run(arguments: &Arguments, report: &mut Report) -> Result<()> {
    for (scenario, webhook) in [(NAME, false), ("reminders_told", true)] {
        let mut stage = Stage::start(arguments).await?;
        measure(arguments, &mut stage, scenario, webhook, report).await?;
    }
    Ok(())
}

async fn measure(
    arguments: &Arguments,
    stage: &mut Stage,
    scenario: &'static str,
    webhook: bool,
    report: &mut Report,
) -> Result<()> {
    let (count, recipients) = (arguments.reminders, arguments.recipients.max(2));
    let hook = webhook.then(|| format!("{}/hook", stage.receiver.url));
    let dialog = format!("{}/{NAME}", stage.receiver.url);
    let configuration = stage.api.make_reminder_configuration(NAME, &dialog, hook.as_deref()).await?;
    let ahead = TimeDelta::seconds((AHEAD_AT_LEAST_SECONDS + count / GIVEN_PER_SECOND) as i64);
    let minute = TimeDelta::minutes(1);
    // On the minute, when the processor's schedule ticks.
    let due = (SystemClock.now() + ahead).duration_trunc(minute)? + minute;
    let visits = Visits { count, recipients, due };
    let given = Meter::start(&stage.system).await?;
    give(arguments, stage, &configuration, &visits).await?;
    if SystemClock.now() >= due {
        bail!("giving took until after they were due: fewer --reminders, please");
    }
    given.report(&stage.system, "reminders_given", count, report).await?;

    let meter = Meter::start(&stage.system).await?;
    let keys: Vec<String> = (0..count).map(|index| visits.key(index)).collect();
    stage.wait_keys(NAME, &keys, ahead + minute).await?;
    let arrivals = stage.receiver.arrivals(NAME);
    let (first, last) = (arrivals.iter().min(), arrivals.iter().max());
    let (first, last) = first.zip(last).context("nothing arrived")?;

    // A recipient has waited when the last of its messages has come.
    let mut waits = vec![0.0_f64; recipients];
    for (index, key) in keys.iter().enumerate() {
        let arrival = stage.receiver.arrival(NAME, key).context("a message is missing")?;
        let wait = &mut waits[visits.recipient(index)];
        *wait = wait.max(millis(arrival - due));
    }
    let slow = waits.remove(SLOW_RECIPIENT);
    let waits = Spread::of(waits).context("one recipient is not enough")?;
    let quick_last = due + TimeDelta::milliseconds(waits.max() as i64);
    report.add(scenario, "sent", stage.receiver.count(NAME) as f64);
    report.add(scenario, "duplicates", stage.receiver.duplicates(NAME) as f64);
    report.add(scenario, "first_after_due_ms", millis(*first - due));
    report.add(scenario, "per_s", count as f64 / seconds(quick_last.max(*first) - due));
    report.add_millis(scenario, "wait", &waits);
    report.add(scenario, "slow_recipient_wait_ms", slow);
    report.add(scenario, "last_after_due_ms", millis(*last - due));
    if webhook {
        let told = stage.receiver.wait_count("hook", count, minute, || Ok(())).await?;
        report.add(scenario, "webhooks", stage.receiver.count("hook") as f64);
        if !told {
            bail!("some webhooks never came");
        }
    }
    meter.report(&stage.system, scenario, count, report).await.map(drop)
}

async fn give(
    arguments: &Arguments,
    stage: &Stage,
    configuration: &TenantPath,
    visits: &Visits,
) -> Result<()> {
    stream::iter(0..visits.count)
        .map(|index| async move {
            stage.api.put_reminder(configuration, &Visits::id(index), &visits.body(index)).await
        })
        .buffer_unordered(arguments.callers.max(1) * 4)
        .try_collect()
        .await
}
