//! A seed's world, and the scheduler that decides by lot what happens next in it.

use super::capacity::Capacity;
use super::crowd;
use super::dice::Dice;
use super::faults::Faults;
use super::gate::{Asked, Call, Gate, ProcessId, Reply};
use super::index_lag::IndexLag;
use super::mutation::Mutation;
use super::plan::{Op, TENANTS, base};
use super::process::{Process, Role, Work};
use super::quiet::Quiet;
use super::swallowed::Swallowed;
use super::time::Time;
use super::trace::Trace;
use crate::audit::{Arrival, Exchange};
use chrono::{DateTime, TimeDelta, Utc};
use local::embedded::{Embedded, Options};
use serde_json::{Value, json};
use shared::outbound::OutboundResult;
use shared::settings::Settings;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Workers at a time, and of every other function.
const WORKERS: usize = 3;
/// Most steps of a seed; more are a loop that never ends.
const STEPS_MAX: usize = 200_000;
/// How long things stay calm at most, so that all that was accepted comes to its end.
const CALM_TIME: TimeDelta = TimeDelta::hours(4);
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
    /// A service's answer that was long on its way arrives.
    Served(ProcessId, Reply, super::gate::ServiceAnswer),
    /// A message that was held back, or comes once more.
    Message(String),
    /// A service call of a dead process takes effect after all.
    Ghost(String, bytes::Bytes),
}

/// A request that a process is at.
pub(super) struct Asking {
    pub op: Box<Op>,
    pub tries: u32,
    pub asked: DateTime<Utc>,
    /// The caller has gone; only what was done is of interest.
    pub given_up: bool,
}

/// Everything of one seed.
pub(super) struct World {
    pub dice: Dice,
    pub time: Arc<Time>,
    pub gate: Arc<Gate>,
    pub embedded: Embedded,
    pub faults: Faults,
    /// Nothing goes wrong any more.
    pub is_calm: bool,
    pub trace: Trace,
    pub arrivals: Vec<Arrival>,
    pub exchanges: Vec<Exchange>,
    pub index_lag: IndexLag,
    pub swallowed: Swallowed,
    pub mutation: Option<Mutation>,
    /// What the tables take, where that is limited.
    pub capacity: Option<Capacity>,
    /// Refused statements whose items were not shown: the process and the keys.
    pub bare: BTreeSet<(ProcessId, String)>,
    /// Settles that were throttled, by what they write, and when first.
    pub throttled: BTreeMap<String, DateTime<Utc>>,
    /// How often a process died, stood still or had to wait for an answer.
    pub disturbances: usize,
    pub(super) seed: u64,
    /// The tenant whose receiver fails, in the seeds that have one.
    pub crowd: Option<(&'static str, &'static str)>,
    pub queue_url: String,
    pub settings: Settings,
    pub failure: Option<String>,
    quiet: Quiet,
    pub(super) processes: BTreeMap<ProcessId, Process>,
    pub(super) process_count: ProcessId,
    pub(super) invocations: u64,
    agenda: BTreeMap<(DateTime<Utc>, u64), Event>,
    agenda_count: u64,
    pub(super) asking: BTreeMap<u64, Asking>,
    pub(super) handling: BTreeMap<u64, Vec<(String, String)>>,
    pub(super) keys: BTreeMap<&'static str, String>,
    pub(super) retired: Vec<Box<dyn Send>>,
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
        let settings = Settings { due_shards: 1, done_shards: 2, ..settings };
        let faults = crowd::with_clocks(seed, Faults::of(&mut dice));
        Self {
            gate: Gate::new(time.clone(), mutation),
            queue_url: settings.queue_url.clone(),
            settings,
            faults: faults.calm(),
            is_calm: false,
            trace: Trace::default(),
            arrivals: Vec::new(),
            exchanges: Vec::new(),
            index_lag: IndexLag::default(),
            swallowed: Swallowed::new(seed),
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
            capacity: None,
            bare: BTreeSet::new(),
            throttled: BTreeMap::new(),
            disturbances: 0,
            crowd: crowd::of(seed),
            seed,
            dice,
            time,
            embedded,
            mutation,
            quiet,
        }
    }

    /// Lives a plan through.
    pub async fn live(&mut self) {
        let (plan, faults) = self.plan();
        for op in plan.setup {
            self.ask_api(Box::new(op), 0);
            self.run_until(|world| world.asking.is_empty()).await;
            if self.failure.is_some() {
                return;
            }
        }
        let began = self.time.now();
        self.faults = Faults { skew_ms: self.faults.skew_ms, ..faults };
        if self.crowd.is_none() {
            self.swallowed.begin();
        }
        let partition_rate = self.faults.partition_rate;
        self.capacity = (partition_rate > 0).then(|| Capacity::new(partition_rate));
        for role in plan.roles {
            self.post(began + TimeDelta::seconds(1), Event::Tick(role));
        }
        let last = plan.ops.iter().map(|(at, _)| *at).max().unwrap_or(began).max(plan.calm);
        for (at, op) in plan.ops {
            self.post(at, Event::Ask(Box::new(op), 0));
        }
        self.run_until(|world| world.time.now() >= last).await;
        self.faults = self.faults.calm();
        self.capacity = None;
        self.is_calm = true;
        self.swallowed.end();
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
            // What was sent to a receiver is on its way, whatever its sender does.
            let thawed = |call: &Call| {
                let frozen = self.processes.get(&call.process).is_some_and(|one| one.frozen_until > now);
                !frozen || matches!(call.asked, Asked::Receiver(_))
            };
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
                self.disturbances += 1;
                self.note(&format!("p{process} stands still until {}", until.format("%H:%M:%S")));
                return;
            }
        }
        if self.dice.chance(self.faults.slow) {
            let is_service = matches!(self.gate.calls()[index].asked, Asked::Service(..));
            let most = if is_service { 20_000 } else { 1_000 };
            let until = now + TimeDelta::milliseconds(self.dice.between(200, most));
            self.gate.calls()[index].not_before = until;
            self.disturbances += 1;
            return;
        }
        let call = self.gate.calls().remove(index);
        match call.asked {
            Asked::Service(..) => self.serve(call).await,
            Asked::Receiver(..) => self.receive(call).await,
        }
        self.time.advance_to(now + TimeDelta::milliseconds(self.dice.between(0, 12)));
    }

    /// Nothing can happen now: time goes on to when something can.
    fn wait(&mut self) {
        let now = self.time.now();
        let calls = self.gate.calls();
        let of_calls = calls.iter().map(|call| {
            let thaw = self.processes.get(&call.process).map_or(now, |one| one.frozen_until);
            let thaw = if matches!(call.asked, Asked::Receiver(_)) { now } else { thaw };
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
                let Some(at) = self.processes.get(&process) else { return };
                if at.at.as_ref().is_some_and(|(number, _)| *number == invocation) {
                    let awaited = self.swallowed.awaited(process, invocation, at.frozen_until, now);
                    if let Some(operation) = awaited {
                        self.failure =
                            Some(format!("p{process} waited for {operation} until its time was over"));
                    }
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
            Event::Served(process, reply, answer) => {
                if self.processes.contains_key(&process) {
                    self.reply(reply, answer);
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
