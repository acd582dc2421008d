//! A seed's world, and the scheduler that decides by lot what happens next in it.

use super::dice::Dice;
use super::faults::Faults;
use super::gate::{Asked, Call, Gate, ProcessId, Reply};
use super::index_lag::IndexLag;
use super::mutation::Mutation;
use super::plan::{Op, Plan, TENANTS, base};
use super::process::{Done, Origin, Process, Role, Work};
use super::quiet::Quiet;
use super::time::Time;
use super::trace::Trace;
use crate::audit::{Arrival, Exchange};
use chrono::{DateTime, TimeDelta, Utc};
use local::embedded::{Embedded, Options};
use serde_json::{Value, json};
use shared::outbound::OutboundResult;
use shared::settings::Settings;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Workers at a time, and of every other function.
const WORKERS: usize = 3;
/// Most steps of a seed; more are a loop that never ends.
const STEPS_MAX: usize = 200_000;
/// How long things stay calm at most, so that all that was accepted comes to its end.
const CALM_TIME: TimeDelta = TimeDelta::hours(4);
/// The longest time that a caller waits for an answer, as API Gateway does.
const CALLER_PATIENCE: TimeDelta = TimeDelta::seconds(30);

/// What is to happen at an instant.
pub(super) enum Event {
    /// A schedule ticks.
    Tick(Role),
    /// A caller asks: the request, and how often it asked before.
    Ask(Box<Op>, u32),
    /// A caller has waited long enough for the invocation.
    GiveUp(u64),
    /// Lambda ends an invocation that takes too long.
    TimeLimit(ProcessId, u64),
    /// A receiver's answer arrives.
    Told(ProcessId, oneshot::Sender<OutboundResult>, OutboundResult),
    /// A message that was held back, or comes once more.
    Message(String),
    /// A service call of a dead process takes effect after all.
    Ghost(String, bytes::Bytes),
}

/// A request that a process is at.
pub(super) struct Asking {
    op: Box<Op>,
    tries: u32,
    asked: DateTime<Utc>,
    /// The caller has gone; only what was done is of interest.
    given_up: bool,
}

/// Everything of one seed.
pub(super) struct World {
    pub dice: Dice,
    pub time: Arc<Time>,
    pub gate: Arc<Gate>,
    pub embedded: Embedded,
    pub faults: Faults,
    pub trace: Trace,
    pub arrivals: Vec<Arrival>,
    pub exchanges: Vec<Exchange>,
    pub index_lag: IndexLag,
    pub mutation: Option<Mutation>,
    pub queue_url: String,
    pub settings: Settings,
    pub failure: Option<String>,
    quiet: Quiet,
    processes: BTreeMap<ProcessId, Process>,
    process_count: ProcessId,
    invocations: u64,
    agenda: BTreeMap<(DateTime<Utc>, u64), Event>,
    agenda_count: u64,
    asking: BTreeMap<u64, Asking>,
    pub(super) handling: BTreeMap<u64, Vec<(String, String)>>,
    keys: BTreeMap<&'static str, String>,
    retired: Vec<Box<dyn Send>>,
    pub steps: usize,
    pub crashes: usize,
}

impl World {
    pub async fn new(seed: u64, quiet: Quiet, options: Options, mutation: Option<Mutation>) -> Self {
        let mut dice = Dice::new(seed);
        let time = Time::new(crate::world::beginning());
        let clock = Arc::new(super::time::SkewedClock::new(time.clone(), TimeDelta::zero()));
        let embedded = Embedded::start(options, clock).await.expect("the embedded services start");
        let variables = embedded.settings("delivery-worker");
        let settings = Settings::read(&|name| variables.get(name).cloned()).expect("the template's settings");
        let settings = Settings { due_shards: 1, ..settings };
        let faults = Faults::of(&mut dice);
        Self {
            gate: Gate::new(time.clone()),
            queue_url: settings.queue_url.clone(),
            settings,
            faults: faults.calm(),
            trace: Trace::default(),
            arrivals: Vec::new(),
            exchanges: Vec::new(),
            index_lag: IndexLag::default(),
            failure: None,
            processes: BTreeMap::new(),
            process_count: 0,
            invocations: 0,
            agenda: BTreeMap::new(),
            agenda_count: 0,
            asking: BTreeMap::new(),
            handling: BTreeMap::new(),
            keys: BTreeMap::new(),
            retired: Vec::new(),
            steps: 0,
            crashes: 0,
            dice,
            time,
            embedded,
            mutation,
            quiet,
        }
    }

    /// Lives a plan through.
    pub async fn live(&mut self) {
        let faults = Faults::of(&mut self.dice);
        let plan = Plan::of(&mut self.dice, self.time.now());
        for op in plan.setup {
            self.ask_api(Box::new(op), 0);
            self.run_until(|world| world.asking.is_empty()).await;
            if self.failure.is_some() {
                return;
            }
        }
        let began = self.time.now();
        self.faults = Faults { skew_ms: self.faults.skew_ms, ..faults };
        for role in plan.roles {
            self.post(began + TimeDelta::seconds(1), Event::Tick(role));
        }
        let last = plan.ops.iter().map(|(at, _)| *at).max().unwrap_or(began).max(plan.calm);
        for (at, op) in plan.ops {
            self.post(at, Event::Ask(Box::new(op), 0));
        }
        self.run_until(|world| world.time.now() >= last).await;
        self.faults = self.faults.calm();
        self.note("calm");
        for tenant in TENANTS {
            let body = json!({"serverState": "running"});
            let path = format!("{}/server-state", base(tenant));
            let op = Op { company: Some(tenant.0), method: "PUT", path, body, repeats: 3 };
            self.post(last + TimeDelta::seconds(200), Event::Ask(Box::new(op), 0));
        }
        let end = last + CALM_TIME;
        let earliest = last + TimeDelta::seconds(300);
        let mut looked = earliest;
        loop {
            let next = looked + TimeDelta::minutes(1);
            self.run_until(|world| world.time.now() >= next).await;
            looked = self.time.now();
            if self.failure.is_some() || looked >= end || self.is_at_rest().await {
                return;
            }
        }
    }

    pub fn note(&mut self, line: &str) {
        self.trace.note(self.time.now(), line);
    }

    pub fn post(&mut self, at: DateTime<Utc>, event: Event) {
        self.agenda_count += 1;
        self.agenda.insert((at, self.agenda_count), event);
    }

    async fn run_until(&mut self, done: impl Fn(&Self) -> bool) {
        loop {
            self.quiet.reached().await;
            if self.collect().await {
                continue;
            }
            if done(self) || self.failure.is_some() {
                return;
            }
            self.steps += 1;
            if self.steps > STEPS_MAX {
                self.failure = Some("the seed never ends".to_owned());
                return;
            }
            self.step().await;
        }
    }

    /// One thing happens.
    async fn step(&mut self) {
        let now = self.time.now();
        if let Some(entry) = self.agenda.first_entry()
            && entry.key().0 <= now
        {
            let event = entry.remove();
            return self.happen(event).await;
        }
        let ready: Vec<usize> = {
            let calls = self.gate.calls();
            let thawed =
                |call: &Call| self.processes.get(&call.process).is_none_or(|one| one.frozen_until <= now);
            let ready = |call: &&Call| call.not_before <= now && thawed(call);
            calls.iter().enumerate().filter(|(_, call)| ready(call)).map(|(index, _)| index).collect()
        };
        let can_poll = self.can_poll() && self.visible() > 0;
        if can_poll && (ready.is_empty() || self.dice.chance(300)) {
            return self.poll().await;
        }
        if self.dice.chance(self.faults.retire) {
            self.retire();
        }
        if ready.is_empty() {
            return self.wait();
        }
        let index = ready[self.dice.below(ready.len())];
        if self.dice.chance(self.faults.freeze) {
            let (until, process) =
                (now + TimeDelta::seconds(self.dice.between(5, 150)), self.gate.calls()[index].process);
            if let Some(frozen) = self.processes.get_mut(&process) {
                frozen.frozen_until = until;
                self.note(&format!("p{process} stands still until {}", until.format("%H:%M:%S")));
                return;
            }
        }
        if self.dice.chance(self.faults.slow) {
            let until = now + TimeDelta::milliseconds(self.dice.between(500, 20_000));
            self.gate.calls()[index].not_before = until;
            return;
        }
        let call = self.gate.calls().remove(index);
        match call.asked {
            Asked::Service(..) => self.serve(call).await,
            Asked::Receiver(..) => self.receive(call),
        }
        self.time.advance_to(now + TimeDelta::milliseconds(self.dice.between(0, 12)));
    }

    /// Nothing can happen now: time goes on to when something can.
    fn wait(&mut self) {
        let now = self.time.now();
        let calls = self.gate.calls();
        let of_calls = calls.iter().map(|call| {
            let thaw = self.processes.get(&call.process).map_or(now, |one| one.frozen_until);
            call.not_before.max(thaw)
        });
        let queue = if self.can_poll() { self.next_visible() } else { None };
        let agenda = self.agenda.first_key_value().map(|((at, _), _)| *at);
        let next =
            of_calls.chain(self.time.next_timer()).chain(agenda).chain(queue).filter(|at| *at > now).min();
        drop(calls);
        match next {
            Some(next) => self.time.advance_to(next),
            None => self.failure = Some("nothing will ever happen any more".to_owned()),
        }
    }

    async fn happen(&mut self, event: Event) {
        let now = self.time.now();
        match event {
            Event::Tick(role) => {
                self.post(now + role.rate(), Event::Tick(role));
                let input = match role {
                    Role::Roller => json!({}),
                    _ => {
                        json!({"version": "0", "detail-type": "Scheduled Event", "source": "aws.scheduler", "time": now.to_rfc3339(),
                        "id": "00000000-0000-0000-0000-000000000000", "account": "1", "region": "x", "resources": [], "detail": {}})
                    }
                };
                self.begin(role, Work::Tick(input));
            }
            Event::Ask(op, tries) => self.ask_api(op, tries),
            Event::GiveUp(invocation) => {
                if let Some(asking) = self.asking.get_mut(&invocation) {
                    asking.given_up = true;
                }
            }
            Event::TimeLimit(process, invocation) => {
                let at = self.processes.get(&process).and_then(|one| one.at.as_ref());
                if at.is_some_and(|(number, _)| *number == invocation) {
                    self.note(&format!("p{process} is ended: its time is over"));
                    self.crash(process);
                }
            }
            Event::Told(process, reply, result) => {
                if self.processes.contains_key(&process) {
                    let _ = reply.send(result);
                } else {
                    self.retired.push(Box::new(reply));
                }
            }
            Event::Message(body) => self.deliver_again(body).await,
            Event::Ghost(target, body) => {
                self.note(&format!("a call of the dead takes effect: {target}"));
                self.perform(&target, body).await;
            }
        }
    }

    /// Starts an invocation on an idle instance, or on a new one.
    pub fn begin(&mut self, role: Role, work: Work) -> (ProcessId, u64) {
        let now = self.time.now();
        let idle: Vec<ProcessId> = self
            .processes
            .iter()
            .filter(|(_, one)| one.role == role && one.at.is_none() && one.frozen_until <= now)
            .map(|(id, _)| *id)
            .collect();
        let id = if idle.is_empty() { self.start(role) } else { idle[self.dice.below(idle.len())] };
        self.invocations += 1;
        let number = self.invocations;
        let limit =
            TimeDelta::from_std(self.embedded.provisioned().timeout(role.name())).unwrap_or(TimeDelta::MAX);
        self.post(now + limit, Event::TimeLimit(id, number));
        if let Some(process) = self.processes.get_mut(&id) {
            process.begin(number, work, limit);
        }
        self.note(&format!("p{id} {} begins {number}", role.name()));
        (id, number)
    }

    fn start(&mut self, role: Role) -> ProcessId {
        self.process_count += 1;
        let id = self.process_count;
        let origin =
            Origin { embedded: &self.embedded, settings: &self.settings, gate: &self.gate, time: &self.time };
        let process = Process::start(&origin, id, role, self.faults.skew_ms, &mut self.dice);
        self.processes.insert(id, process);
        id
    }

    fn retire(&mut self) {
        let idle: Vec<ProcessId> =
            self.processes.iter().filter(|(_, one)| one.at.is_none()).map(|(id, _)| *id).collect();
        if !idle.is_empty() {
            let id = idle[self.dice.below(idle.len())];
            self.processes.remove(&id);
        }
    }

    /// A process dies. Of what it had asked, some may yet take effect.
    pub fn crash(&mut self, id: ProcessId) {
        self.crashes += 1;
        let Some(mut process) = self.processes.remove(&id) else { return };
        for call in self.gate.bury(id) {
            if let Asked::Service(target, body) = &call.asked
                && self.dice.chance(200)
            {
                let at = self.time.now() + TimeDelta::milliseconds(self.dice.between(0, 3_000));
                self.post(at, Event::Ghost(target.clone(), body.clone()));
            }
            self.gate.lay_to_rest(call);
        }
        if let Some((number, handle)) = process.at.take() {
            handle.abort();
            self.handling.remove(&number);
            if let Some(asking) = self.asking.remove(&number) {
                self.answered(asking, None, Value::Null);
            }
        }
        self.retired.push(Box::new(process.frozen_until));
    }

    /// Looks after what has finished; whether anything had.
    async fn collect(&mut self) -> bool {
        let finished: Vec<ProcessId> = self
            .processes
            .iter()
            .filter(|(_, one)| one.at.as_ref().is_some_and(|(_, handle)| handle.is_finished()))
            .map(|(id, _)| *id)
            .collect();
        for id in &finished {
            let Some(process) = self.processes.get_mut(id) else { continue };
            let role = process.role;
            let Some((number, handle)) = process.at.take() else { continue };
            match handle.await {
                Ok(Done::Answer(status, body)) => {
                    self.note(&format!("p{id} answers {status}"));
                    if let Some(asking) = self.asking.remove(&number) {
                        self.answered(asking, Some(status), body);
                    }
                }
                Ok(Done::Messages(failed)) => self.handled(number, &failed).await,
                Ok(Done::Tick(Ok(()))) => self.note(&format!("p{id} {} is done", role.name())),
                Ok(Done::Tick(Err(error))) => self.note(&format!("p{id} {} failed: {error}", role.name())),
                Err(error) => self.failure = Some(format!("{} panicked: {error}", role.name())),
            }
        }
        !finished.is_empty()
    }

    fn ask_api(&mut self, op: Box<Op>, tries: u32) {
        let key = op.company.and_then(|company| self.keys.get(company).cloned());
        let key = key.unwrap_or_else(|| local::embedded::TEST_ADMIN_KEY.to_owned());
        let request = http::Request::builder()
            .method(op.method)
            .uri(&op.path)
            .header("x-api-key", key)
            .header("content-type", "application/json");
        let body = if op.body.is_null() { String::new() } else { op.body.to_string() };
        let request =
            request.body(axum::body::Body::from(body.clone())).expect("the plan's requests are well-formed");
        self.note(&format!("asked: {} {} {body}", op.method, op.path));
        let asked = self.time.now();
        // The template routes these two to the function that sends.
        let role = if op.path.starts_with("/api/reminder/item/") { Role::Sender } else { Role::Api };
        let (_, number) = self.begin(role, Work::Request(Box::new(request)));
        self.asking.insert(number, Asking { op, tries, asked, given_up: false });
        self.post(asked + CALLER_PATIENCE, Event::GiveUp(number));
    }

    fn answered(&mut self, asking: Asking, status: Option<u16>, answer: Value) {
        let Asking { op, tries, asked, given_up } = asking;
        let (now, status) = (self.time.now(), status.filter(|_| !given_up));
        let good = status.is_some_and(|status| status < 500 && status != 429);
        if op.path.ends_with("/api-keys")
            && let Some(key) = answer["key"].as_str()
        {
            let company = if op.path.contains("/acme/") { "acme" } else { "beta" };
            self.keys.insert(company, key.to_owned());
        }
        let exchange = Exchange {
            company: op.company.map(str::to_owned),
            method: op.method.to_owned(),
            path: op.path.clone(),
            body: op.body.clone(),
            asked,
            answered: now,
            status,
            answer: if status.is_some() { answer } else { Value::Null },
        };
        if op.company.is_none() && !exchange.is_done() {
            self.failure = Some(format!("setup: {exchange:?}"));
        }
        self.exchanges.push(exchange);
        if !good && tries < op.repeats {
            let at = now + TimeDelta::milliseconds(self.dice.between(200, 8_000));
            self.post(at, Event::Ask(op, tries + 1));
        }
    }

    /// Whether another worker may begin.
    pub fn can_poll(&self) -> bool {
        self.processes.values().filter(|one| one.role == Role::Worker && one.at.is_some()).count() < WORKERS
    }

    /// Whether everything has come to its end.
    async fn is_at_rest(&mut self) -> bool {
        if !self.asking.is_empty() {
            return false;
        }
        self.dump().await.iter().all(|item| item["dp"].is_null())
    }

    /// The work table.
    pub async fn dump(&mut self) -> Vec<Value> {
        let body = json!({"TableName": self.settings.work_table});
        let answer = self.perform("DynamoDB_20120810.Scan", body.to_string().into()).await;
        let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        assert!(answer["LastEvaluatedKey"].is_null(), "the table is more than one page");
        answer["Items"].as_array().cloned().unwrap_or_default()
    }

    /// Sends a reply to a service call.
    pub fn reply(&mut self, reply: Reply, answer: super::gate::ServiceAnswer) {
        if let Reply::Service(reply) = reply {
            let _ = reply.send(answer);
        }
    }
}
