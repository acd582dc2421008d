//! Instances of functions: started, taken down, dying.

use super::gate::{Asked, ProcessId};
use super::mutation::Mutation;
use super::process::{Done, Origin, Process, Role, Work};
use super::world::{Event, World};
use chrono::TimeDelta;
use serde_json::Value;

impl World {
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

    pub(super) fn start(&mut self, role: Role) -> ProcessId {
        self.process_count += 1;
        let id = self.process_count;
        let origin = Origin {
            embedded: &self.embedded,
            settings: &self.settings,
            gate: &self.gate,
            time: &self.time,
            max_doc_read: self.crowd.map(|_| super::crowd::PAGE),
        };
        let skew_ms = self.dice.between(-self.faults.skew_ms, self.faults.skew_ms);
        let broken = self.mutation.map_or(TimeDelta::zero(), Mutation::clock_ahead);
        let skew = TimeDelta::milliseconds(skew_ms) + broken;
        let process = Process::start(&origin, id, role, skew, &mut self.dice);
        self.processes.insert(id, process);
        id
    }

    /// What a process is.
    pub(super) fn role(&self, id: ProcessId) -> Option<Role> {
        self.processes.get(&id).map(|one| one.role)
    }

    pub(super) fn retire(&mut self) {
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
        self.disturbances += 1;
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
    pub(super) async fn collect(&mut self) -> bool {
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
}
