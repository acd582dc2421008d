//! Local mode put together: the services, the functions, or both in one process.

use crate::access::Access;
use crate::clock::{FunctionClock, LocalClock};
use crate::data_dir::{self, DataDir};
use crate::embedded::{self, Embedded, Options};
use crate::gateway::Gateway;
use crate::runner::{
    self, API_INGEST, DELIVERY_WORKER, DISPATCH_SWEEP, Handlers, LOG_ROLLER, NOTIFICATION_RESENDER,
    RECURRING_EXPANDER, REMINDER_SENDER, Runner, TestClock,
};
use crate::server::{self, Server};
use crate::template::{self, Provisioned, Template};
use crate::{clock_api, keys::Keys};
use anyhow::Context as _;
use axum::Router;
use chrono::TimeDelta;
use delivery_worker::Worker;
use dispatch_sweep::Sweeper;
use recurring_expander::Expander;
use reminder_sender::Sender;
use serde_json::json;
use shared::context::{Clients, Context};
use shared::entropy::OsEntropy;
use shared::outbound::Listener;
use shared::settings::{self, OutboundSettings};
use shared::telemetry::Metrics;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The seeds' variables, which this process's own environment may set as a function's would.
const OWN_VARIABLES: [&str; 8] = [
    "DialogServiceUri",
    "max_doc_read",
    "max_retries",
    "retry_after_fudge_s",
    "cycle_delay_time_ms",
    "Plugins_Reminder_BatchSize",
    "Plugins_Reminder_LockTTLMinutes",
    "Plugins_Reminder_LockRenewalMinutes",
];

/// What local mode is told from outside.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The API's address.
    pub api: SocketAddr,
    /// The embedded services' address.
    pub aws: SocketAddr,
    /// Where state is kept; `None`: in memory.
    pub data_dir: Option<PathBuf>,
    pub keys: Keys,
    /// CIDRs of private addresses that outbound calls may reach.
    pub allowed_cidrs: String,
    /// Names under which this machine is reached, beside loopback and the addresses that are listened on.
    pub allowed_hosts: Vec<String>,
    /// How far the clock runs ahead; `None`: as far as when it was last moved.
    pub clock_offset: Option<TimeDelta>,
}

impl Settings {
    fn parameters(&self) -> BTreeMap<String, String> {
        let Keys { admin_key, processor_secret, .. } = &self.keys;
        template::parameters(admin_key, processor_secret, &self.allowed_cidrs)
    }

    /// Who may use what needs no key on a listener that is bound to `bound`.
    fn access(&self, bound: SocketAddr) -> Access {
        Access { bound, allowed_hosts: self.allowed_hosts.clone().into() }
    }

    fn clock(&self) -> anyhow::Result<Arc<LocalClock>> {
        let kept = || self.data_dir.as_deref().map_or(Ok(TimeDelta::zero()), data_dir::clock_offset);
        let offset = self.clock_offset.map_or_else(kept, Ok)?;
        Ok(Arc::new(LocalClock::running(offset)))
    }
}

/// The embedded services with their HTTP door.
pub struct Services {
    pub address: SocketAddr,
    embedded: Embedded,
    clock: Arc<LocalClock>,
    data_dir: Option<Arc<DataDir>>,
    server: Server,
    expiry: JoinHandle<()>,
}

impl Services {
    /// Starts them on the state in the data directory.
    ///
    /// # Errors
    /// The directory is in use, its state cannot be read, or the port is taken.
    pub async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let data_dir = settings.data_dir.as_deref().map(DataDir::open).transpose()?.map(Arc::new);
        let clock = settings.clock()?;
        let listener = server::bind(settings.aws, "--aws").await?;
        let address = listener.local_addr()?;
        let options = Options {
            data_dir: settings.data_dir.clone(),
            base_url: format!("http://{address}"),
            template: Template::project()?,
            parameters: settings.parameters(),
        };
        let embedded = Embedded::start(options, clock.clone()).await?;
        let expiry = tokio::spawn(Arc::clone(embedded.mount()).expire_items(clock.clone()));
        let routes = settings.access(address).guard(embedded::router(Arc::clone(embedded.mount())));
        let server = Server::start(listener, routes);
        Ok(Self { address, embedded, clock, data_dir, server, expiry })
    }

    /// What the template describes, as it is provisioned here.
    pub fn provisioned(&self) -> &Provisioned {
        self.embedded.provisioned()
    }

    /// The services themselves.
    pub fn mount(&self) -> &Arc<embedded::Mount> {
        self.embedded.mount()
    }

    /// The clock of everything in this process.
    pub fn clock(&self) -> Arc<LocalClock> {
        Arc::clone(&self.clock)
    }

    /// How far the clock is ahead of the machine's.
    pub fn clock_offset(&self) -> TimeDelta {
        self.clock.offset()
    }

    /// Stops the HTTP door. What was answered is on disk.
    pub async fn stop(self) {
        self.expiry.abort();
        self.server.stop().await;
    }
}

/// The functions: the API, the schedules and the queue triggers.
pub struct Functions {
    pub address: SocketAddr,
    clock: Arc<LocalClock>,
    runner: Runner,
    worker: Worker,
    sender: Sender,
    server: Server,
}

impl Functions {
    /// Starts them on the services at `endpoint_url`.
    ///
    /// # Errors
    /// The services do not answer, the configuration is refused, or the port is taken.
    pub async fn start_remote(settings: &Settings, endpoint_url: &str) -> anyhow::Result<Self> {
        let listener = server::bind(settings.api, "--api").await?;
        let clients = embedded::remote_clients(endpoint_url).await;
        let template = Template::project()?;
        let provisioned = template::provision(&template, &settings.parameters(), &clients).await?;
        let clock = settings.clock()?;
        let function_clock = FunctionClock::new(Arc::clone(&clock));
        let services = endpoint_url.parse().map_err(|fault| anyhow::anyhow!("AWS_ENDPOINT_URL {fault}"))?;
        let own = [Listener::Bound(listener.local_addr()?), services];
        let built = Built::new(&provisioned, &clients, &function_clock, &own)?;
        built.start(listener, &provisioned, &clients, clock, |_, _, _| Router::new())
    }

    /// Starts them on `services` in this process, with the test clock.
    ///
    /// # Errors
    /// The configuration is refused, or the port is taken.
    pub async fn start(settings: &Settings, services: &Services) -> anyhow::Result<Self> {
        let listener = server::bind(settings.api, "--api").await?;
        let (provisioned, clients) = (services.provisioned(), services.embedded.clients());
        let function_clock = FunctionClock::new(Arc::clone(&services.clock));
        let address = listener.local_addr()?;
        let own = [address, services.address].map(Listener::Bound);
        let built = Built::new(provisioned, clients, &function_clock, &own)?;
        built.start(listener, provisioned, clients, Arc::clone(&services.clock), |runner, worker, sender| {
            let (mount, data_dir) = (Arc::clone(services.embedded.mount()), services.data_dir.clone());
            let attempts = move || attempts(&worker, &sender);
            let clock = TestClock::new(runner, function_clock, mount, attempts, data_dir);
            settings.access(address).guard(clock_api::router(Arc::new(clock)))
        })
    }

    /// The clock that they go by.
    pub fn clock(&self) -> Arc<LocalClock> {
        Arc::clone(&self.clock)
    }

    /// Attempts since the start: those that succeeded and those that failed.
    pub fn attempts(&self) -> (u64, u64) {
        attempts(&self.worker, &self.sender)
    }

    /// Runs a scheduled function now, as its next tick would, without waiting for it.
    pub fn run_scheduled(&self, function: &str) {
        self.runner.invoke_scheduled(function, json!({}));
    }

    /// Invocations in hand.
    pub fn in_hand(&self) -> usize {
        self.runner.work().invocations()
    }

    /// Accepts no more requests and messages, and finishes what is in hand.
    pub async fn stop(self) {
        self.server.stop().await;
        self.runner.stop().await;
    }
}

/// Attempts of activities and reminders.
fn attempts(worker: &Worker, sender: &Sender) -> (u64, u64) {
    let (worker, sender) = (worker.counters(), sender.counters());
    (worker.delivered() + sender.sent(), worker.failed() + sender.failed())
}

/// What a function is told, with what this process's own environment says of the seed's variables.
fn environment(provisioned: &Provisioned, function: &str) -> HashMap<String, String> {
    let mut variables = provisioned.environment(function);
    for (name, value) in &mut variables {
        if let Some(own) = OWN_VARIABLES.contains(&name.as_str()).then(|| std::env::var(name).ok()).flatten()
        {
            *value = own;
        }
    }
    variables
}

/// The handlers, each built on a context of its own, as functions that share nothing are.
struct Built {
    api: Router,
    handlers: Handlers,
    sender: Sender,
}

impl Built {
    /// `own` is what listens for Punctual itself, beside what this process's environment names.
    fn new(
        provisioned: &Provisioned,
        clients: &Clients,
        clock: &FunctionClock,
        own: &[Listener],
    ) -> anyhow::Result<Self> {
        let mut listeners = OutboundSettings::read(&settings::environment)?.own_listeners;
        listeners.extend_from_slice(own);
        let own = &listeners[..];
        let context = |function: &str| -> anyhow::Result<Context> {
            let read = runner::settings(&provisioned.environment(function));
            let read = read.with_context(|| format!("the environment of {function}"))?;
            Ok(Context::new(clients.clone(), &read, Arc::new(clock.clone()), Arc::new(OsEntropy)))
        };
        let environment = |function: &str| environment(provisioned, function);
        Ok(Self {
            api: runner::api(context(API_INGEST)?, &environment(API_INGEST), own)?,
            handlers: Handlers {
                worker: runner::worker(context(DELIVERY_WORKER)?, &environment(DELIVERY_WORKER), own)?,
                sweeper: Sweeper::new(context(DISPATCH_SWEEP)?, Metrics::off()),
                expander: Expander::new(context(RECURRING_EXPANDER)?),
                resender: runner::resender(
                    context(NOTIFICATION_RESENDER)?,
                    &environment(NOTIFICATION_RESENDER),
                    own,
                )?,
                roller: runner::roller(context(LOG_ROLLER)?, &environment(LOG_ROLLER), own)?,
            },
            sender: runner::sender(context(REMINDER_SENDER)?, &environment(REMINDER_SENDER), own)?,
        })
    }

    fn start(
        self,
        listener: TcpListener,
        provisioned: &Provisioned,
        clients: &Clients,
        clock: Arc<LocalClock>,
        local_routes: impl FnOnce(&Runner, Worker, Sender) -> Router,
    ) -> anyhow::Result<Functions> {
        let Self { api, handlers, sender } = self;
        let worker = handlers.worker.clone();
        let mut functions = runner::functions(handlers);
        let timeout = provisioned.timeout(REMINDER_SENDER);
        let reminders = runner::reminders(sender.clone(), clock.clone(), timeout);
        functions.schedule.insert(REMINDER_SENDER, reminders);
        let runner = Runner::start(provisioned, functions, &clients.sqs, Arc::clone(&clock))?;
        // The queue's content may be gone, as it is in memory here; the tables are the truth.
        runner.invoke_scheduled(DISPATCH_SWEEP, json!({ "requeue": "all" }));
        let address = listener.local_addr()?;
        // As the template routes them: what reminder-sender serves, and all else to the API.
        let behind = |function, router| Gateway::new(function, provisioned.timeout(function)).guard(router);
        let reminders = behind(REMINDER_SENDER, sender.routes());
        let routes = local_routes(&runner, worker.clone(), sender.clone()).merge(reminders);
        let routes = routes.fallback_service(behind(API_INGEST, api));
        Ok(Functions { address, clock, runner, worker, sender, server: Server::start(listener, routes) })
    }
}
