//! The functions: what starts them, how long they may take, what they are told.

use super::intrinsics::{Scope, as_text};
use super::{Resource, Template, TemplateError};
use chrono::TimeDelta;
use serde_json::Value as Json;
use serde_yaml_ng::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Lambda's default timeout, in seconds.
const DEFAULT_TIMEOUT_SECONDS: u64 = 3;
/// Lambda's longest timeout: 15 minutes.
const TIMEOUT_SECONDS_MAX: u64 = 900;
/// Lambda's limit for the names and values of all environment variables of a function.
const ENVIRONMENT_BYTES_MAX: usize = 4_096;
/// Lambda's default number of messages in an invocation.
const DEFAULT_BATCH_SIZE: usize = 10;
/// Without a batching window Lambda takes ten messages at most, and windows are not for local mode.
const BATCH_SIZE_MAX: usize = 10;
/// What `MaximumConcurrency` may be.
const CONCURRENCY: std::ops::RangeInclusive<usize> = 2..=1000;
/// Lambda's share of an account, where the template sets no `MaximumConcurrency`.
const DEFAULT_CONCURRENCY: usize = 1000;

/// A function of the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The binary's name, such as `api-ingest`.
    pub name: String,
    /// After this, Lambda gives an invocation up.
    pub timeout: Duration,
    /// Its environment variables.
    pub environment: BTreeMap<String, String>,
    pub schedules: Vec<Schedule>,
    pub queues: Vec<QueueTrigger>,
    /// Whether HTTP requests start it.
    pub http: bool,
}

/// A schedule that starts a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its name; where the template gives none, its logical id.
    pub name: String,
    pub every: TimeDelta,
    /// The event to send in place of EventBridge's own.
    pub input: Option<Json>,
}

/// A queue whose messages start a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueTrigger {
    /// The queue's name.
    pub queue: String,
    pub arn: String,
    pub batch_size: usize,
    pub maximum_concurrency: usize,
    /// Whether an answer may name the messages that failed. Without it, a
    /// batch succeeds or fails as a whole.
    pub partial_responses: bool,
}

/// Every function of the template, with what it refers to resolved.
pub fn read(template: &Template, scope: &Scope<'_>) -> Result<Vec<Function>, TemplateError> {
    let found = template.of_type("AWS::Serverless::Function", scope)?;
    found.into_iter().map(|(id, resource)| function(template, scope, id, resource)).collect()
}

fn function(
    template: &Template,
    scope: &Scope<'_>,
    id: &str,
    resource: &Resource,
) -> Result<Function, TemplateError> {
    let at = |fault: String| TemplateError::at(id, fault);
    let global = &template.globals.function;
    let timeout = resource.property("Timeout").or_else(|| global.get("Timeout"));
    let timeout = timeout
        .map_or(Ok(DEFAULT_TIMEOUT_SECONDS), |timeout| number(scope, "Timeout", timeout))
        .map_err(at)?;
    if !(1..=TIMEOUT_SECONDS_MAX).contains(&timeout) {
        return Err(at(format!("Timeout must be from 1 to {TIMEOUT_SECONDS_MAX} seconds")));
    }
    let mut function = Function {
        name: name(scope, id, resource).map_err(at)?,
        timeout: Duration::from_secs(timeout),
        environment: BTreeMap::new(),
        schedules: Vec::new(),
        queues: Vec::new(),
        http: false,
    };
    for source in [global.get("Environment"), resource.property("Environment")].into_iter().flatten() {
        let Some(Value::Mapping(variables)) = source.get("Variables") else { continue };
        for (name, value) in variables {
            let name =
                name.as_str().ok_or_else(|| at("an environment variable's name is no text".to_owned()))?;
            let value =
                scope.text(value).map_err(|fault| at(format!("environment variable {name}: {fault}")))?;
            function.environment.insert(name.to_owned(), value);
        }
    }
    let bytes: usize = function.environment.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > ENVIRONMENT_BYTES_MAX {
        return Err(at(format!(
            "its environment variables have {bytes} bytes, and Lambda takes {ENVIRONMENT_BYTES_MAX} at most"
        )));
    }
    if let Some(Value::Mapping(events)) = resource.property("Events") {
        for (event, definition) in events {
            let event = event.as_str().unwrap_or_default();
            let added = trigger(&mut function, scope, event, definition);
            added.map_err(|fault| at(format!("event {event}: {fault}")))?;
        }
    }
    Ok(function)
}

/// The binary that runs the function: cargo-lambda's `Binary`, or else the
/// last part of `CodeUri`.
fn name(scope: &Scope<'_>, id: &str, resource: &Resource) -> Result<String, String> {
    if let Some(binary) = resource.metadata.get("BuildProperties").and_then(|build| build.get("Binary")) {
        return scope.text(binary);
    }
    let code = resource.property("CodeUri").map(|code| scope.text(code)).transpose()?.unwrap_or_default();
    let last = code.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if last.is_empty() || last == "." {
        return Err(format!("{id} names no binary: set Metadata.BuildProperties.Binary"));
    }
    Ok(last.to_owned())
}

fn trigger(function: &mut Function, scope: &Scope<'_>, id: &str, definition: &Value) -> Result<(), String> {
    let properties = || scope.resolve(definition.get("Properties").unwrap_or(&Value::Null));
    match definition.get("Type").and_then(Value::as_str).unwrap_or_default() {
        "Schedule" | "ScheduleV2" => {
            let properties = properties()?;
            let on = properties["State"] != "DISABLED" && properties["Enabled"] != false;
            let expression =
                properties["ScheduleExpression"].as_str().or_else(|| properties["Schedule"].as_str());
            let expression = expression.ok_or("it has no ScheduleExpression")?;
            let every = rate(expression)?;
            let input = properties["Input"].as_str().map(serde_json::from_str).transpose();
            let input = input.map_err(|error| format!("Input is not JSON: {error}"))?;
            if on {
                let name = properties["Name"].as_str().unwrap_or(id).to_owned();
                function.schedules.push(Schedule { name, every, input });
            }
        }
        "SQS" => function.queues.push(queue_trigger(&properties()?)?),
        "HttpApi" | "Api" => function.http = true,
        // Other triggers, of streams or buckets, have nothing that fires them here.
        _ => {}
    }
    Ok(())
}

fn queue_trigger(properties: &Json) -> Result<QueueTrigger, String> {
    let arn = properties["Queue"].as_str().ok_or("it has no Queue")?;
    let batch_size = optional(&properties["BatchSize"])?.unwrap_or(DEFAULT_BATCH_SIZE);
    if !(1..=BATCH_SIZE_MAX).contains(&batch_size) {
        return Err(format!("BatchSize must be from 1 to {BATCH_SIZE_MAX}"));
    }
    let concurrency = optional(&properties["ScalingConfig"]["MaximumConcurrency"])?;
    if concurrency.is_some_and(|concurrency| !CONCURRENCY.contains(&concurrency)) {
        return Err("MaximumConcurrency must be from 2 to 1000".to_owned());
    }
    let answers = properties["FunctionResponseTypes"].as_array();
    Ok(QueueTrigger {
        queue: arn.rsplit(':').next().unwrap_or(arn).to_owned(),
        arn: arn.to_owned(),
        batch_size,
        maximum_concurrency: concurrency.unwrap_or(DEFAULT_CONCURRENCY),
        partial_responses: answers
            .is_some_and(|types| types.iter().any(|kind| kind == "ReportBatchItemFailures")),
    })
}

/// `rate(5 minutes)`; cron expressions are not for local mode, as no function uses one.
fn rate(expression: &str) -> Result<TimeDelta, String> {
    let refused = || format!("'{expression}' is not a rate such as rate(5 minutes)");
    let inner =
        expression.strip_prefix("rate(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(refused)?;
    let (count, unit) = inner.trim().split_once(' ').ok_or_else(refused)?;
    let count = count.parse::<u32>().ok().filter(|count| *count > 0).ok_or_else(refused)?;
    match unit.trim() {
        "minute" | "minutes" => Ok(TimeDelta::minutes(i64::from(count))),
        "hour" | "hours" => Ok(TimeDelta::hours(i64::from(count))),
        "day" | "days" => Ok(TimeDelta::days(i64::from(count))),
        _ => Err(refused()),
    }
}

fn number(scope: &Scope<'_>, name: &str, value: &Value) -> Result<u64, String> {
    scope.text(value)?.parse().map_err(|_| format!("{name} is no whole number"))
}

fn optional(value: &Json) -> Result<Option<usize>, String> {
    if value.is_null() {
        return Ok(None);
    }
    as_text(value)?.parse().map(Some).map_err(|_| "a whole number was expected".to_owned())
}
