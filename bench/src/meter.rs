//! What a scenario cost: capacity units, requests, CPU time and memory.

use crate::report::Report;
use crate::system::System;
use crate::usage::Usage;
use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use shared::clock::{Clock, SystemClock};

/// How often it is looked whether writing has stopped.
const SETTLE_LOOK: TimeDelta = TimeDelta::milliseconds(50);
/// Writing has stopped when the units stay the same for so long.
const SETTLE_QUIET: TimeDelta = TimeDelta::milliseconds(500);
/// The usage is taken as it is after this.
const SETTLE_LIMIT: TimeDelta = TimeDelta::seconds(20);

/// Readings taken before the work.
#[derive(Debug)]
pub struct Meter {
    usage: Usage,
    functions_cpu: f64,
    services_cpu: f64,
}

impl Meter {
    /// Takes the readings that the work starts from.
    pub async fn start(system: &System) -> Result<Self> {
        let usage = Usage::read(&system.addresses.aws).await?;
        let (functions_cpu, services_cpu) = system.cpu_seconds()?;
        Ok(Self { usage, functions_cpu, services_cpu })
    }

    /// Reports what `delivered` activities took since [`Meter::start`].
    pub async fn report(
        self,
        system: &System,
        scenario: &'static str,
        delivered: usize,
        report: &mut Report,
    ) -> Result<()> {
        self.report_recorded(system, scenario, delivered, report).await.map(drop)
    }

    /// The same; returns when the last was recorded.
    pub async fn report_recorded(
        self,
        system: &System,
        scenario: &'static str,
        delivered: usize,
        report: &mut Report,
    ) -> Result<DateTime<Utc>> {
        let (usage, recorded) = settled(&system.addresses.aws).await?;
        let (functions_cpu, services_cpu) = system.cpu_seconds()?;
        let (functions_mib, services_mib) = system.peak_mib()?;
        let each = 1.0 / delivered.max(1) as f64;
        let writes = usage.dynamodb.write_units - self.usage.dynamodb.write_units;
        let reads = usage.dynamodb.read_units - self.usage.dynamodb.read_units;
        let requests = usage.sqs_requests().saturating_sub(self.usage.sqs_requests()) as f64;
        report.add(scenario, "write_units_each", writes * each);
        report.add(scenario, "read_units_each", reads * each);
        report.add(scenario, "sqs_requests_each", requests * each);
        let kms = usage.kms_requests().saturating_sub(self.usage.kms_requests()) as f64;
        report.add(scenario, "kms_requests_per_1000", kms * each * 1000.0);
        report.add(
            scenario,
            "functions_cpu_s_per_1000",
            (functions_cpu - self.functions_cpu) * each * 1000.0,
        );
        report.add(scenario, "services_cpu_s_per_1000", (services_cpu - self.services_cpu) * each * 1000.0);
        report.add(scenario, "functions_peak_mib", functions_mib);
        report.add(scenario, "services_peak_mib", services_mib);
        Ok(recorded)
    }
}

/// The usage once writing has stopped, and when that was: what has arrived is settled a little later.
pub async fn settled(aws: &str) -> Result<(Usage, DateTime<Utc>)> {
    let began = SystemClock.now();
    let (mut usage, mut changed) = (Usage::read(aws).await?, began);
    loop {
        SystemClock.sleep_until(SystemClock.now() + SETTLE_LOOK).await;
        let (next, now) = (Usage::read(aws).await?, SystemClock.now());
        if next.dynamodb.write_units != usage.dynamodb.write_units {
            changed = now;
        }
        usage = next;
        if now - changed > SETTLE_QUIET || now - began > SETTLE_LIMIT {
            return Ok((usage, changed));
        }
    }
}
