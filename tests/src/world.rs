//! A whole Punctual in memory, driven by hand.

use crate::clock::{JumpingClock, SeededEntropy};
use crate::receiver::Receiver;
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use chrono::{DateTime, TimeDelta, Utc};
use delivery_worker::Worker;
use dispatch_sweep::{SweepEvent, Sweeper};
use futures::StreamExt;
use local::embedded::{Embedded, Options};
use rules::activity::State;
use rules::names::{ActivityId, Tenant};
use shared::clock::Clock;
use shared::context::{Clients, Context};
use shared::engine::Claimed;
use shared::items::activity::{ActivityView, Created, NewActivity, Record, Ref};
use shared::outbound::Outbound;
use shared::settings::Settings;
use shared::sweep::SweepReport;
use shared::telemetry::Metrics;
use shared::tenancy::{ActivityType, Actor, Company, Rolling, Shards, Verb};
use std::sync::Arc;

/// The instant at which worlds begin.
pub fn beginning() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// Most rounds of [`World::run`]; more are a loop that never ends.
const ROUNDS_MAX: usize = 10_000;

/// A way out to receivers on loopback.
pub fn http() -> Outbound {
    Outbound::new(vec!["127.0.0.0/8".parse().unwrap()]).unwrap()
}

/// Embedded services, a clock, a receiver, and the handlers on them.
pub struct World {
    pub clock: Arc<JumpingClock>,
    pub entropy: Arc<SeededEntropy>,
    pub embedded: Embedded,
    pub receiver: Receiver,
    /// Receives the webhooks of reminders.
    pub hooks: Receiver,
    /// The context that the World's own calls use.
    pub ctx: Context,
    pub(crate) settings: Settings,
    /// One for all processes: loading the root certificates takes longer than most tests.
    pub(crate) http: Outbound,
}

impl World {
    /// An empty world.
    pub async fn new() -> Self {
        Self::open(Options::in_memory().unwrap(), beginning()).await
    }

    /// A world on services that are opened with `options`, at an instant.
    pub async fn open(options: Options, at: DateTime<Utc>) -> Self {
        // With RUST_LOG set, a failing test tells what the handlers logged.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let clock = Arc::new(JumpingClock::at(at));
        let entropy = Arc::new(SeededEntropy::default());
        let embedded = Embedded::start(options, clock.clone()).await.unwrap();
        let variables = embedded.settings("delivery-worker");
        let settings = Settings::read(&|name| variables.get(name).cloned()).unwrap();
        let ctx = Context::new(embedded.clients().clone(), &settings, clock.clone(), entropy.clone());
        let http = http();
        let (receiver, hooks) = (Receiver::start().await, Receiver::start().await);
        Self { clock, entropy, embedded, receiver, hooks, ctx, settings, http }
    }

    /// Another configuration, from now on.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
        self.ctx = self.process();
    }

    /// The name of the configuration table.
    pub fn config_table(&self) -> &str {
        &self.settings.config_table
    }

    /// A context with caches of its own, as another process has it.
    pub fn process(&self) -> Context {
        self.process_with(self.embedded.clients().clone())
    }

    /// The same, on clients of one's own.
    pub fn process_with(&self, clients: Clients) -> Context {
        Context::new(clients, &self.settings, self.clock.clone(), self.entropy.clone())
    }

    /// A process that finds no queue where it looks for it.
    pub fn without_queue(&self) -> Context {
        let settings =
            Settings { queue_url: format!("{}-gone", self.settings.queue_url), ..self.settings.clone() };
        Context::new(self.embedded.clients().clone(), &settings, self.clock.clone(), self.entropy.clone())
    }

    /// A worker of its own process; loopback is open to it.
    pub fn worker(&self) -> Worker {
        self.worker_on(self.process())
    }

    /// A worker on a context of one's own.
    pub fn worker_on(&self, ctx: Context) -> Worker {
        Worker::new(ctx, self.http.clone(), Metrics::off())
    }

    /// One sweep by a process of its own.
    pub async fn sweep(&self) -> SweepReport {
        let event = serde_json::from_str(include_str!("../../events/dispatch-sweep/schedule.json")).unwrap();
        self.sweep_with(event).await
    }

    /// One sweep with an event of one's own.
    pub async fn sweep_with(&self, event: SweepEvent) -> SweepReport {
        Sweeper::new(self.process(), Metrics::off()).handle(event).await.unwrap()
    }

    /// A company, a solution and a type `call` that POSTs to the receiver.
    pub async fn tenant(&self, company: &str, qos_level: u32) -> Tenant {
        let tenant = Tenant { company: company.parse().unwrap(), solution: "main".parse().unwrap() };
        let tenancy = &self.ctx.tenancy;
        let actor = Actor::Admin;
        tenancy.put_company(&actor, Company::new(tenant.company.clone(), qos_level)).await.unwrap();
        tenancy.put_solution(&actor, &tenant, 1, Rolling::default()).await.unwrap();
        self.put_type(&tenant, "call", |_| {}).await;
        tenant
    }

    /// An activity type that POSTs to the receiver, changed by `edit`.
    pub async fn put_type(&self, tenant: &Tenant, name: &str, edit: impl FnOnce(&mut ActivityType)) {
        let uri = format!("{}/{name}/{{id}}", self.receiver.url());
        let mut activity_type = ActivityType::new(name.parse().unwrap(), Verb::Post, uri.parse().unwrap());
        edit(&mut activity_type);
        self.ctx.tenancy.put_activity_type(&Actor::Admin, tenant, activity_type).await.unwrap();
    }

    /// An activity of the type `call`, due `after` the beginning of now.
    pub fn activity(&self, tenant: &Tenant, id: &str, after: TimeDelta) -> NewActivity {
        NewActivity {
            tenant: tenant.clone(),
            kind: "A:call".parse().unwrap(),
            id: id.parse().unwrap(),
            date: self.clock.now() + after,
            parameter: format!("{{\"id\":\"{id}\"}}"),
            max_attempts: 3,
            uri: None,
            objects: Vec::new(),
            body_hash: format!("hash of {id}").into(),
            shards: Shards { due: 4, done: 16 },
            type_changed_at: None,
            parents: Vec::new(),
        }
    }

    /// Accepts activities; each must be new.
    pub async fn accept(&self, activities: Vec<NewActivity>) {
        for created in self.ctx.work.create(activities).await {
            assert!(matches!(created, Ok(Created::New(_))), "{created:?}");
        }
    }

    /// An activity with its history.
    pub async fn get(&self, tenant: &Tenant, id: &str) -> ActivityView {
        let id: ActivityId = id.parse().unwrap();
        self.ctx.work.get(tenant, &id).await.unwrap().unwrap()
    }

    /// An activity's state.
    pub async fn state(&self, tenant: &Tenant, id: &str) -> State {
        self.get(tenant, id).await.record.state
    }

    /// Claims an activity as a worker would that is lost before it calls; `lease` is how long the claim holds.
    pub async fn claim(&self, tenant: &Tenant, id: &str, lease: TimeDelta) -> Record {
        let lease_until = self.clock.now() + lease;
        let one = [Ref { tenant: tenant.clone(), id: id.parse().unwrap(), lease_until }];
        let mut claims: Vec<_> = self.ctx.work.claim(&one, TimeDelta::zero()).await.collect().await;
        match claims.remove(0).unwrap() {
            Claimed::Ours(record) => *record,
            other => panic!("{other:?}"),
        }
    }

    /// Receives up to ten messages that are visible now.
    pub async fn receive(&self) -> SqsEvent {
        self.receive_up_to(10).await
    }

    /// Receives up to `max` messages that are visible now.
    pub async fn receive_up_to(&self, max: i32) -> SqsEvent {
        let output = self
            .embedded
            .clients()
            .sqs
            .receive_message()
            .queue_url(&self.settings.queue_url)
            .max_number_of_messages(max)
            .send()
            .await
            .unwrap();
        let message = |message: aws_sdk_sqs::types::Message| {
            let mut event = SqsMessage::default();
            event.message_id = message.message_id;
            event.receipt_handle = message.receipt_handle;
            event.body = message.body;
            event
        };
        let mut event = SqsEvent::default();
        event.records = output.messages.unwrap_or_default().into_iter().map(message).collect();
        event
    }

    /// Deletes messages, as the trigger does with those that were handled.
    pub async fn delete(&self, event: &SqsEvent) {
        for message in &event.records {
            self.embedded
                .clients()
                .sqs
                .delete_message()
                .queue_url(&self.settings.queue_url)
                .set_receipt_handle(message.receipt_handle.clone())
                .send()
                .await
                .unwrap();
        }
    }

    /// Handles what is visible now until nothing is; returns how many messages there were.
    pub async fn work(&self, worker: &Worker) -> usize {
        let mut handled = 0;
        loop {
            let event = self.receive().await;
            if event.records.is_empty() {
                return handled;
            }
            handled += event.records.len();
            let response = worker.handle(event.clone()).await;
            assert!(response.batch_item_failures.is_empty(), "{response:?}");
            self.delete(&event).await;
        }
    }

    /// Lets time go on to `until`: messages are handled when they become visible, sweeps run each minute.
    pub async fn run(&self, until: DateTime<Utc>) {
        let worker = self.worker();
        let minute = TimeDelta::minutes(1);
        let mut next_sweep = self.clock.now() + minute;
        for _ in 0..ROUNDS_MAX {
            self.work(&worker).await;
            let visible = self.next_visible();
            let next = visible.into_iter().chain([next_sweep]).min().unwrap();
            if next > until {
                self.clock.advance_to(until);
                return;
            }
            self.clock.advance_to(next);
            if next >= next_sweep {
                self.sweep().await;
                next_sweep += minute;
            }
        }
        panic!("the world never comes to rest");
    }

    /// When the next hidden message becomes visible.
    pub fn next_visible(&self) -> Option<DateTime<Utc>> {
        self.embedded.mount().next_visible(self.queue_name())
    }

    /// Loses everything that is in the queue.
    pub async fn purge_queue(&self) {
        self.embedded.clients().sqs.purge_queue().queue_url(&self.settings.queue_url).send().await.unwrap();
    }

    /// Messages in the queue: visible, delayed, in flight.
    pub fn queued(&self) -> local::embedded::Counts {
        self.embedded.mount().queue_counts(self.queue_name()).unwrap()
    }

    fn queue_name(&self) -> &str {
        self.settings.queue_url.rsplit('/').next().unwrap()
    }

    /// Has the tables' time to live delete what has expired; how many items.
    pub async fn expire(&self) -> usize {
        self.embedded.mount().expire(self.clock.now()).await.unwrap()
    }

    /// Every item of the work table.
    pub async fn dump(&self) -> Vec<shared::engine::attributes::Item> {
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let scan = self.embedded.clients().dynamodb.scan().table_name(&self.settings.work_table);
            let output = scan.set_exclusive_start_key(start).send().await.unwrap();
            items.extend(output.items.unwrap_or_default());
            start = output.last_evaluated_key;
            if start.is_none() {
                return items;
            }
        }
    }
}
