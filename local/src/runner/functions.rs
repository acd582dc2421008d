//! Which handler runs which function of the template.

use api_ingest::{ApiContext, ApiSettings};
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use axum::Router;
use chrono::{DateTime, TimeDelta, Utc};
use delivery_worker::{Worker, WorkerSettings};
use dispatch_sweep::{SweepEvent, Sweeper};
use futures::future::BoxFuture;
use log_roller::{LogRoller, RollEvent};
use notification_resender::{Resender, ResenderSettings};
use recurring_expander::Expander;
use reminder_sender::{RunReport, Sender, SenderSettings};
use rules::due::SWEEP_HORIZON;
use rules::recurring::LOOK_AHEAD;
use serde_json::Value;
use shared::clock::SharedClock;
use shared::context::Context;
use shared::outbound::{Listener, Outbound};
use shared::settings::{OutboundSettings, Settings};
use shared::sweep::SweepReport;
use shared::telemetry::Metrics;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Handles a batch of messages.
pub type QueueHandler = Arc<dyn Fn(SqsEvent) -> BoxFuture<'static, SqsBatchResponse> + Send + Sync>;
/// Handles a tick of a schedule.
pub type ScheduleHandler = Arc<dyn Fn(Value) -> BoxFuture<'static, Result<Idle, String>> + Send + Sync>;

/// What a scheduled invocation knows of the next ones, for when the test
/// clock is moved over very many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// The next one may have something to do.
    No,
    /// Nothing to do before this instant, unless something is written before.
    Until(DateTime<Utc>),
    /// Nothing to do at all, unless something is written.
    Always,
}

/// The handlers by the names of their functions.
#[derive(Clone, Default)]
pub struct Functions {
    /// Those that a queue's messages start.
    pub queue: BTreeMap<&'static str, QueueHandler>,
    /// Those that a schedule starts.
    pub schedule: BTreeMap<&'static str, ScheduleHandler>,
}

/// The name of each function, as in the template.
pub const API_INGEST: &str = "api-ingest";
/// See [`API_INGEST`].
pub const DISPATCH_SWEEP: &str = "dispatch-sweep";
/// See [`API_INGEST`].
pub const DELIVERY_WORKER: &str = "delivery-worker";
/// See [`API_INGEST`].
pub const RECURRING_EXPANDER: &str = "recurring-expander";
/// See [`API_INGEST`].
pub const NOTIFICATION_RESENDER: &str = "notification-resender";
/// See [`API_INGEST`].
pub const LOG_ROLLER: &str = "log-roller";

/// What events start.
pub struct Handlers {
    pub worker: Worker,
    pub sweeper: Sweeper,
    pub expander: Expander,
    pub resender: Resender,
    pub roller: LogRoller,
}

/// See [`API_INGEST`].
pub const REMINDER_SENDER: &str = "reminder-sender";

/// The handlers that events start.
pub fn functions(handlers: Handlers) -> Functions {
    let Handlers { worker, sweeper, expander, resender, roller } = handlers;
    let deliver = instances(worker);
    let sweeper = Arc::new(sweeper);
    let sweep: ScheduleHandler = Arc::new(move |event| {
        let sweeper = Arc::clone(&sweeper);
        Box::pin(async move {
            let event: SweepEvent = serde_json::from_value(event).map_err(|error| error.to_string())?;
            sweeper.handle(event).await.map(|report| idle_after(&report)).map_err(|error| error.to_string())
        })
    });
    let expand: ScheduleHandler = Arc::new(move |event| {
        let expander = expander.clone();
        Box::pin(async move {
            let report = expander.handle(event).await.map_err(|error| error.to_string())?;
            let next = |due| Idle::Until(due - LOOK_AHEAD);
            Ok(if report.left { Idle::No } else { report.next_due_at.map_or(Idle::Always, next) })
        })
    });
    let resend: ScheduleHandler = Arc::new(move |event| {
        let resender = resender.clone();
        Box::pin(async move {
            let report = resender.handle(event).await.map_err(|error| error.to_string())?;
            Ok(if report.left { Idle::No } else { report.next_due_at.map_or(Idle::Always, Idle::Until) })
        })
    });
    let roll: ScheduleHandler = Arc::new(move |event| {
        let roller = roller.clone();
        Box::pin(async move {
            let event: RollEvent = serde_json::from_value(event).map_err(|error| error.to_string())?;
            // The second schedule has something to do only after the first has left it.
            let goes_on = matches!(event, RollEvent::Continue { .. });
            let report = roller.handle(event).await.map_err(|error| error.to_string())?;
            Ok(if goes_on && !report.left { Idle::Always } else { Idle::No })
        })
    });
    Functions {
        queue: BTreeMap::from([(DELIVERY_WORKER, deliver)]),
        schedule: BTreeMap::from([
            (DISPATCH_SWEEP, sweep),
            (RECURRING_EXPANDER, expand),
            (NOTIFICATION_RESENDER, resend),
            (LOG_ROLLER, roll),
        ]),
    }
}

/// A worker for each invocation at a time, used again when it is idle, as Lambda does it: each holds slots of its own.
pub fn instances(worker: Worker) -> QueueHandler {
    let idle: Arc<Mutex<Vec<Worker>>> = Arc::default();
    Arc::new(move |event| {
        let idle = Arc::clone(&idle);
        let found = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let worker = found.unwrap_or_else(|| worker.another_instance());
        Box::pin(async move {
            let answer = worker.handle(event).await;
            // One that timed out or crashed is not used again.
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
            answer
        })
    })
}

/// The handler of the reminder sender's schedule; a run has `timeout`, by `clock`.
pub fn reminders(sender: Sender, clock: SharedClock, timeout: Duration) -> ScheduleHandler {
    Arc::new(move |_| {
        let sender = sender.clone();
        let deadline = clock.now() + TimeDelta::from_std(timeout).unwrap_or(TimeDelta::MAX);
        Box::pin(async move {
            let report = sender.tick(deadline).await.map_err(|error| error.to_string())?;
            Ok(idle_after_run(report.as_ref()))
        })
    })
}

/// A run that left nothing has nothing to do until the next send time.
fn idle_after_run(report: Option<&RunReport>) -> Idle {
    match report {
        Some(report) if report.failed == 0 && !report.more => {
            report.next_due.map_or(Idle::Always, Idle::Until)
        }
        _ => Idle::No,
    }
}

/// A sweep that left nothing has nothing to do until the next activity enters
/// its horizon.
fn idle_after(report: &SweepReport) -> Idle {
    if report.backlog > 0 || report.oldest_overdue_seconds > 0 {
        return Idle::No;
    }
    report.next_due_at.map_or(Idle::Always, |due| Idle::Until(due - SWEEP_HORIZON))
}

/// The way out of a function, which reaches none of `own`, the listeners of local mode.
fn outbound(settings: &OutboundSettings, own: &[Listener]) -> anyhow::Result<Outbound> {
    let mut settings = settings.clone();
    settings.own_listeners.extend_from_slice(own);
    Ok(Outbound::new(settings)?)
}

/// Builds the worker from its environment.
///
/// # Errors
/// Everything that is wrong with the environment.
pub fn worker(
    ctx: Context,
    environment: &HashMap<String, String>,
    own: &[Listener],
) -> anyhow::Result<Worker> {
    let WorkerSettings { outbound: settings, shares } =
        WorkerSettings::read(&|name| environment.get(name).cloned())?;
    Ok(Worker::new(ctx, outbound(&settings, own)?, Metrics::off()).with_shares(shares))
}

/// Builds the re-sender from its environment.
///
/// # Errors
/// Everything that is wrong with the environment.
pub fn resender(
    ctx: Context,
    environment: &HashMap<String, String>,
    own: &[Listener],
) -> anyhow::Result<Resender> {
    let settings = ResenderSettings::read(&|name| environment.get(name).cloned())?;
    let http = outbound(&settings.outbound, own)?;
    Ok(Resender::new(ctx, http, Metrics::off(), settings))
}

/// Builds the log roller from its environment.
///
/// # Errors
/// Everything that is wrong with the environment.
pub fn roller(
    ctx: Context,
    environment: &HashMap<String, String>,
    own: &[Listener],
) -> anyhow::Result<LogRoller> {
    let settings = OutboundSettings::read(&|name| environment.get(name).cloned())?;
    Ok(LogRoller::new(ctx, outbound(&settings, own)?))
}

/// Builds the API from its environment.
///
/// # Errors
/// Everything that is wrong with the environment.
pub fn api(ctx: Context, environment: &HashMap<String, String>, own: &[Listener]) -> anyhow::Result<Router> {
    let settings = ApiSettings::read(&|name| environment.get(name).cloned())?;
    let http = outbound(&settings.outbound, own)?;
    let api = ApiContext::new(ctx, settings.admin_key)
        .with_dialog_service(settings.dialog_service_uri.as_deref())
        .with_notifications(http, settings.max_retries, settings.retry_after_fudge_s)
        .with_shares(settings.shares);
    Ok(api_ingest::router(api))
}

/// Builds the reminder sender from its environment.
///
/// # Errors
/// Everything that is wrong with the environment.
pub fn sender(
    ctx: Context,
    environment: &HashMap<String, String>,
    own: &[Listener],
) -> anyhow::Result<Sender> {
    let settings = SenderSettings::read(&|name| environment.get(name).cloned())?;
    let http = outbound(&settings.outbound, own)?;
    Ok(Sender::new(ctx, http, Metrics::off(), settings))
}

/// Reads what every function reads from its environment.
///
/// # Errors
/// Everything that is wrong with the environment.
pub fn settings(environment: &HashMap<String, String>) -> anyhow::Result<Settings> {
    Ok(Settings::read(&|name| environment.get(name).cloned())?)
}
