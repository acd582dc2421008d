//! Each function as Lambda starts it: a process of its own, told where the runtime API is.
//!
//! Measured are the time from the start of the process to its first answer, the CPU time of that, and resident memory
//! after the first answer and after more. DynamoDB, SQS and KMS are the embedded ones, over HTTP: the TLS handshakes
//! with AWS's come on top in Lambda.

use crate::arguments::{Arguments, ColdArguments};
use crate::child::Child;
use crate::report::Report;
use crate::runtime_api::RuntimeApi;
use crate::spread::Spread;
use crate::system::{AWS_ENVIRONMENT, Services};
use anyhow::{Context, Result};
use axum::body::Bytes;
use shared::clock::{Clock, SystemClock};
use std::path::Path;
use std::process::Command;

/// Each function with an event that has it ask the tables.
const FUNCTIONS: [(&str, &str); 7] = [
    ("api-ingest", include_str!("../../../events/api-ingest/get-activity.json")),
    ("dispatch-sweep", include_str!("../../../events/dispatch-sweep/schedule.json")),
    ("delivery-worker", include_str!("../../../events/delivery-worker/sqs.json")),
    ("reminder-sender", include_str!("../../../events/reminder-sender/schedule.json")),
    ("recurring-expander", include_str!("../../../events/recurring-expander/schedule.json")),
    ("notification-resender", include_str!("../../../events/notification-resender/schedule.json")),
    ("log-roller", include_str!("../../../events/log-roller/schedule.json")),
];
/// What template.yaml tells the functions; the names are those that local mode gives its resources.
const SETTINGS: [(&str, &str); 7] = [
    ("RUST_LOG", "info"),
    ("PUNCTUAL_CONFIG_TABLE", "punctual-ConfigTable"),
    ("PUNCTUAL_WORK_TABLE", "punctual-WorkTable"),
    ("PUNCTUAL_KMS_KEY_ID", "alias/punctual-SecretsKey"),
    ("PUNCTUAL_ALLOWED_CIDRS", "127.0.0.0/8"),
    // The keys that the sample events carry.
    ("PUNCTUAL_ADMIN_KEY", "sample-admin-key-for-local-use"),
    ("PUNCTUAL_PROCESSOR_SECRET", "sample-processor-secret"),
];
/// What Lambda itself tells a function.
const LAMBDA: [(&str, &str); 4] = [
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "bench"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
];

/// What one start took.
struct Start {
    millis: f64,
    cpu_millis: f64,
    resident_mib: f64,
    /// After the burst, where there was one.
    resident_after_mib: Option<f64>,
}

/// Starts each function many times, and has the last of each answer a burst.
pub async fn run(arguments: &Arguments, cold: &ColdArguments, report: &mut Report) -> Result<()> {
    let services = Services::start(arguments).await?;
    let mut api = RuntimeApi::start().await?;
    let directory = match &cold.functions {
        Some(directory) => directory.clone(),
        None => std::env::current_exe()?.with_file_name(""),
    };
    for (name, event) in FUNCTIONS {
        let program = directory.join(name);
        let size = std::fs::metadata(&program)
            .with_context(|| {
                format!("no {}: build it, or name its directory with --functions", program.display())
            })?
            .len();
        report.add(name, "size_mb", size as f64 / 1e6);
        let mut starts = Vec::with_capacity(cold.starts);
        for number in 1..=cold.starts {
            let burst = if number == cold.starts { cold.burst } else { 0 };
            let started = start(name, &program, &services.aws, event, burst, &mut api).await;
            starts.push(started.with_context(|| name)?);
        }
        tell(name, &starts, report)?;
    }
    Ok(())
}

fn tell(name: &'static str, starts: &[Start], report: &mut Report) -> Result<()> {
    let spread = |of: fn(&Start) -> f64| Spread::of(starts.iter().map(of)).context("no start was asked for");
    report.add(name, "cold_start_p50_ms", spread(|start| start.millis)?.percentile(50.0));
    report.add(name, "cold_start_max_ms", spread(|start| start.millis)?.max());
    report.add(name, "cold_start_cpu_p50_ms", spread(|start| start.cpu_millis)?.percentile(50.0));
    report.add(name, "resident_p50_mib", spread(|start| start.resident_mib)?.percentile(50.0));
    if let Some(after) = starts.iter().find_map(|start| start.resident_after_mib) {
        report.add(name, "resident_after_burst_mib", after);
    }
    Ok(())
}

async fn start(
    name: &'static str,
    program: &Path,
    aws: &str,
    event: &'static str,
    burst: usize,
    api: &mut RuntimeApi,
) -> Result<Start> {
    let event = Bytes::from_static(event.as_bytes());
    let mut command = Command::new(program);
    command.env_clear().envs(SETTINGS).envs(LAMBDA).envs(AWS_ENVIRONMENT);
    command.env("AWS_LAMBDA_FUNCTION_NAME", name).env("AWS_LAMBDA_RUNTIME_API", &api.address);
    command
        .env("AWS_ENDPOINT_URL", aws)
        .env("PUNCTUAL_QUEUE_URL", format!("{aws}/123456789012/punctual-DueQueue"));
    let began = SystemClock.now();
    let mut child = Child::start(name, command)?;
    if let Err(error) = api.invoke(event.clone()).await {
        child.check_alive()?;
        return Err(error);
    }
    let millis = (SystemClock.now() - began).num_microseconds().unwrap_or(i64::MAX) as f64 / 1000.0;
    let mut start = Start {
        millis,
        cpu_millis: child.scheduled_millis()?,
        resident_mib: child.resident_mib()?,
        resident_after_mib: None,
    };
    for _ in 0..burst {
        api.invoke(event.clone()).await?;
    }
    if burst > 0 {
        start.resident_after_mib = Some(child.resident_mib()?);
    }
    child.check_alive()?;
    Ok(start)
}
