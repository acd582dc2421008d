//! Simulated processes: each an instance of one function, with memory, clock and chance of its own.

use super::dice::{Dice, DiceEntropy};
use super::gate::{Gate, ProcessId};
use super::time::{SkewedClock, Time};
use api_ingest::ApiContext;
use aws_lambda_events::event::sqs::SqsEvent;
use axum::Router;
use axum::body::Body;
use chrono::{DateTime, TimeDelta, Utc};
use delivery_worker::Worker;
use dispatch_sweep::Sweeper;
use http::Request;
use local::embedded::{Embedded, TEST_ADMIN_KEY};
use log_roller::LogRoller;
use notification_resender::{Resender, ResenderSettings};
use recurring_expander::Expander;
use reminder_sender::{Sender, SenderSettings};
use rules::slots::Shares;
use serde_json::Value;
use shared::clock::Clock;
use shared::context::Context;
use shared::outbound::Outbound;
use shared::settings::Settings;
use shared::telemetry::Metrics;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tower::ServiceExt;

/// Seconds to the first re-send of a notification, shorter than the default so that a seed sees several.
pub(super) const RETRY_AFTER_FUDGE_S: u32 = 60;

/// Of the three workers there are, a company may have two, and one for long.
const WORKER_SHARES: Shares = Shares { base: 1, burst: 2 };

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Api,
    Worker,
    Sweep,
    Expander,
    Resender,
    Roller,
    Sender,
}

impl Role {
    /// Its name in the template.
    pub fn name(self) -> &'static str {
        match self {
            Role::Api => "api-ingest",
            Role::Worker => "delivery-worker",
            Role::Sweep => "dispatch-sweep",
            Role::Expander => "recurring-expander",
            Role::Resender => "notification-resender",
            Role::Roller => "log-roller",
            Role::Sender => "reminder-sender",
        }
    }
}

impl Role {
    /// How often its schedule ticks. The roller's is a day, which is longer than a seed.
    pub fn rate(self) -> TimeDelta {
        match self {
            Role::Roller => TimeDelta::minutes(3),
            _ => TimeDelta::minutes(1),
        }
    }
}

/// What a process is asked to do.
pub enum Work {
    Request(Box<Request<Body>>),
    Messages(SqsEvent),
    Tick(Value),
}

/// What came of it.
#[derive(Debug)]
pub enum Done {
    Answer(u16, Value),
    /// The ids of messages that come again.
    Messages(Vec<String>),
    Tick(Result<(), String>),
}

#[derive(Clone)]
enum Handler {
    Api(Router),
    Worker(Worker),
    Sweep(Sweeper),
    Expander(Expander),
    Resender(Resender),
    Roller(LogRoller),
    Sender(Sender),
}

/// An instance.
pub struct Process {
    pub role: Role,
    clock: Arc<SkewedClock>,
    handler: Handler,
    /// It does nothing before this.
    pub frozen_until: DateTime<Utc>,
    /// What it is at, with the number of the invocation.
    pub at: Option<(u64, JoinHandle<Done>)>,
}

/// What all processes are made from.
pub struct Origin<'a> {
    pub embedded: &'a Embedded,
    pub settings: &'a Settings,
    pub gate: &'a Arc<Gate>,
    pub time: &'a Arc<Time>,
    /// `max_doc_read`, where it is not the template's.
    pub max_doc_read: Option<u32>,
}

impl Process {
    /// Starts an instance whose clock is wrong by `skew`.
    pub fn start(origin: &Origin<'_>, id: ProcessId, role: Role, skew: TimeDelta, dice: &mut Dice) -> Self {
        let Origin { embedded, settings, gate, time, max_doc_read } = origin;
        let clock = Arc::new(SkewedClock::new((*time).clone(), skew));
        let entropy = Arc::new(DiceEntropy::new(dice.fork()));
        let clients = gate.clients(id, embedded.clients());
        let ctx = Context::new(clients, settings, clock.clone(), entropy);
        let http = Outbound::carried(vec!["127.0.0.0/8".parse().unwrap()], gate.carrier(id));
        let metrics = Metrics::off();
        let variables = embedded.settings(role.name());
        let lookup = |name: &str| variables.get(name).cloned();
        let handler = match role {
            Role::Api => {
                let api = ApiContext::new(ctx, shared::tenancy::SecretHash::of(TEST_ADMIN_KEY))
                    .with_notifications(http, 3, RETRY_AFTER_FUDGE_S);
                Handler::Api(api_ingest::router(api))
            }
            Role::Worker => Handler::Worker(Worker::new(ctx, http, metrics).with_shares(Some(WORKER_SHARES))),
            Role::Sweep => Handler::Sweep(Sweeper::new(ctx, metrics)),
            Role::Expander => Handler::Expander(Expander::new(ctx)),
            Role::Resender => {
                let settings = ResenderSettings::read(&lookup).unwrap();
                let settings = ResenderSettings {
                    retry_after_fudge_s: RETRY_AFTER_FUDGE_S,
                    max_doc_read: max_doc_read.unwrap_or(settings.max_doc_read),
                    ..settings
                };
                Handler::Resender(Resender::new(ctx, http, metrics, settings))
            }
            Role::Roller => Handler::Roller(LogRoller::new(ctx, http)),
            Role::Sender => {
                let settings = SenderSettings::read(&lookup).unwrap();
                Handler::Sender(Sender::new(ctx, http, metrics, settings))
            }
        };
        Self { role, clock, handler, frozen_until: time.now(), at: None }
    }

    /// Begins an invocation.
    pub fn begin(&mut self, number: u64, work: Work, time_limit: TimeDelta) {
        let handler = self.handler.clone();
        let deadline = self.clock.now() + time_limit;
        self.at = Some((number, tokio::spawn(Box::pin(handle(handler, work, deadline)))));
    }
}

async fn handle(handler: Handler, work: Work, deadline: DateTime<Utc>) -> Done {
    match (handler, work) {
        (Handler::Api(router), Work::Request(request)) => answer(router, *request).await,
        (Handler::Sender(sender), Work::Request(request)) => answer(sender.routes(), *request).await,
        (Handler::Worker(worker), Work::Messages(event)) => {
            let response = worker.handle(event).await;
            Done::Messages(
                response.batch_item_failures.into_iter().map(|item| item.item_identifier).collect(),
            )
        }
        (Handler::Sweep(sweeper), Work::Tick(event)) => {
            let event = serde_json::from_value(event).expect("an event of the sweep's");
            tick(Box::pin(sweeper.handle(event)).await)
        }
        (Handler::Expander(expander), Work::Tick(event)) => tick(Box::pin(expander.handle(event)).await),
        (Handler::Resender(resender), Work::Tick(event)) => tick(Box::pin(resender.handle(event)).await),
        (Handler::Roller(roller), Work::Tick(event)) => {
            let event = serde_json::from_value(event).expect("an event of the roller's");
            tick(Box::pin(roller.handle(event)).await)
        }
        (Handler::Sender(sender), Work::Tick(_)) => tick(Box::pin(sender.tick(deadline)).await),
        _ => unreachable!("each role is given its own work"),
    }
}

fn tick<T, E: std::fmt::Display>(result: Result<T, E>) -> Done {
    Done::Tick(result.map(drop).map_err(|error| error.to_string()))
}

async fn answer(router: Router, request: Request<Body>) -> Done {
    let response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
    Done::Answer(status, serde_json::from_slice(&body).unwrap_or_default())
}
