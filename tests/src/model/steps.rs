//! What may happen next. Each step is one write, one message or one call; between any two of them others have theirs.

use super::explore::Model;
use super::item::{Item, When, Write, now, verdict};
use super::properties;
use super::system::{Ask, Caller, Faults, Phase, Sweeper, System};
use rules::activity::{Event, State, decide};
use rules::claim::Claimable;
use rules::due::LEAD;
use rules::retry::RescheduleRules;

/// One step; workers are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The caller begins what it asks for next, and reads the item where that needs it.
    CallerBegins(Ask),
    CallerWrites,
    CallerSends,
    Receive(usize),
    Claim(usize),
    /// It sees the solution paused, or its lease about to end: it will not call.
    TurnsBack(usize),
    /// It calls, and the receiver takes it or does not.
    Call(usize, bool),
    /// It writes the history entry of a failed attempt.
    Tell(usize),
    /// It writes what follows from the attempt, under the claim's token; that of a lost one with its history entry.
    Settle(usize),
    /// The same, but the answer is lost, and the SDK will send it again.
    SettleUnanswered(usize),
    WorkerSends(usize),
    /// It is gone, and its message comes back.
    Crash(usize),
    /// The same at the very end, between its last step and the deletion of its message.
    CrashUndeleted(usize),
    SweeperReads,
    SweeperSends,
    SweeperCrashes,
    Duplicate,
    Lose,
    TimePasses,
}

/// A defect put into the model on purpose, to see that the checker finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    ClaimWithoutCondition,
    SettleWithoutToken,
    NoRecoveryPass,
    /// Attempts are not raised by the claim, but by a settle.
    CrashIsNoAttempt,
    /// A worker calls without a look at its lease.
    CallWithoutLease,
    /// The settle leaves the attributes of the index `due`.
    StaysDue,
    /// A failure is settled without its history entry.
    FailureUntold,
    /// An abandoned claim is called off without a history entry of the lost attempt.
    CancelUntold,
    /// The history entry of a lost attempt is written before the step, as that of a failed one is.
    LostToldBefore,
    /// A pause is looked at before the claim alone.
    PauseSeenAtClaimAlone,
}

/// What is explored: executions in all, what the caller asks for, which faults may happen, and a defect.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub max_attempts: u8,
    pub asks: &'static [Ask],
    pub faults: Faults,
    pub mutation: Option<Mutation>,
}

impl Model for Setup {
    type State = System;
    type Action = Action;
    type Write = (Item, Write);

    fn beginning(&self) -> System {
        System::beginning(self.faults)
    }

    fn next(&self, state: &System, wrote: &mut dyn FnMut((Item, Write))) -> Vec<(Action, System)> {
        let mut steps = Vec::new();
        let wrote = &mut |item, write| wrote((item, write));
        for number in 0..state.workers.len() {
            self.worker(state, number, &mut steps, wrote);
        }
        self.caller(state, &mut steps, wrote);
        self.sweeper(state, &mut steps);
        let mut also = |action, happens: bool, change: fn(&mut System)| {
            if happens {
                let mut next = *state;
                change(&mut next);
                steps.push((action, next));
            }
        };
        also(Action::Duplicate, state.faults.duplicate && state.visible == 1, |next| {
            next.faults.duplicate = false;
            next.visible += 1;
        });
        also(Action::Lose, state.faults.loss && state.visible > 0, |next| {
            next.faults.loss = false;
            next.visible -= 1;
        });
        let later = state.after_time();
        also(Action::TimePasses, later != *state, |next| *next = next.after_time());
        steps
    }

    fn broken(&self, before: &System, action: Action, after: &System) -> Option<&'static str> {
        properties::broken(before, action, after)
    }

    fn is_fault(&self, action: Action) -> bool {
        matches!(
            action,
            Action::Crash(_)
                | Action::SweeperCrashes
                | Action::CrashUndeleted(_)
                | Action::Duplicate
                | Action::Lose
                | Action::SettleUnanswered(_)
        )
    }

    fn is_end(&self, state: &System) -> bool {
        let all_asked = usize::from(state.asked) == self.asks.len() && state.caller == Caller::Idle;
        all_asked && state.item.is_some_and(|item| item.is_finished())
    }

    fn canonical(&self, state: System) -> System {
        state.sorted()
    }
}

impl Setup {
    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// `Sweeper::handle`: what is overdue in the index is enqueued again, unless its solution is paused.
    fn sweeper(&self, state: &System, steps: &mut Vec<(Action, System)>) {
        let mut next = *state;
        match state.sweeper {
            Sweeper::Idle => {
                let overdue = state.item.is_some_and(|item| item.in_due && item.due == When::Past);
                if overdue && !state.is_paused && !self.is(Mutation::NoRecoveryPass) {
                    next.sweeper = Sweeper::Read;
                    steps.push((Action::SweeperReads, next));
                }
            }
            Sweeper::Dead => {}
            Sweeper::Read => {
                steps.push((Action::SweeperCrashes, System { sweeper: Sweeper::Dead, ..next }));
                next.sweeper = Sweeper::Idle;
                next.send(When::Past);
                steps.push((Action::SweeperSends, next));
            }
        }
    }

    /// `WorkStore::create`, `WorkStore::change_record`, `WorkStore::apply` and `sweep::resume`.
    fn caller(&self, state: &System, steps: &mut Vec<(Action, System)>, wrote: &mut dyn FnMut(Item, Write)) {
        let mut next = *state;
        match state.caller {
            Caller::Idle => {
                let Some(ask) = self.asks.get(usize::from(state.asked)) else { return };
                next.asked += 1;
                match (ask, state.item) {
                    (Ask::Create, _) => {
                        next.item = Some(Item::accepted(self.max_attempts));
                        next.caller = Caller::Sends(When::Past);
                    }
                    (Ask::Pause, _) => next.is_paused = true,
                    (Ask::Resume, item) => {
                        next.is_paused = false;
                        if item.is_some_and(|item| item.in_due) {
                            next.caller = Caller::Sends(When::Past);
                        }
                    }
                    (_, Some(item)) => next.caller = Caller::Read(item.read()),
                    (_, None) => return,
                }
                steps.push((Action::CallerBegins(*ask), next));
            }
            Caller::Read(from) => {
                let ask = self.asks[usize::from(state.asked) - 1];
                let Some(item) = state.item else { return };
                let Some((from, write, enqueue)) = self.asked(ask, from) else {
                    next.caller = Caller::Idle;
                    return steps.push((Action::CallerWrites, next));
                };
                wrote(item, write);
                match item.write(write) {
                    Some(written) => {
                        // The lost attempt of an abandoned claim is told in the transaction that ends it.
                        let tells =
                            ask == Ask::Cancel && from.claim.is_some() && !self.is(Mutation::CancelUntold);
                        next.item = Some(if tells { written.tell(&from) } else { written });
                        next.caller = if enqueue { Caller::Sends(written.due) } else { Caller::Idle };
                    }
                    // It decides again on what it found.
                    None => next.caller = Caller::Read(item.read()),
                }
                steps.push((Action::CallerWrites, next));
            }
            Caller::Sends(when) => {
                next.caller = Caller::Idle;
                next.send(when);
                steps.push((Action::CallerSends, next));
            }
        }
    }

    /// What the caller writes, having read `from`; `None` where that is refused.
    fn asked(&self, ask: Ask, from: Item) -> Option<(Item, Write, bool)> {
        let verdict = verdict();
        let event = match ask {
            Ask::Cancel => Event::Cancel,
            Ask::Reschedule => Event::Reschedule(now() + chrono::TimeDelta::hours(1)),
            Ask::DispatchNow => Event::DispatchNow,
            Ask::Retry => Event::Retry,
            Ask::Completed => Event::Result { verdict: &verdict, hard_override: false },
            Ask::Create | Ask::Pause | Ask::Resume => return None,
        };
        let step = decide(&from.state(), event, now()).ok()?;
        let write = if step.to.claim.is_some() {
            Write::Note { from }
        } else {
            Write::Step { from, to: from.after(&step.to, false) }
        };
        Some((from, write, step.enqueue))
    }

    /// `Worker::deliver` for a message that names the one activity.
    fn worker(
        &self,
        state: &System,
        number: usize,
        steps: &mut Vec<(Action, System)>,
        wrote: &mut dyn FnMut(Item, Write),
    ) {
        let worker = state.workers[number];
        let mut step = |action, next: System, phase| walk(steps, number, action, next, phase);
        let Some(item) = state.item else { return };
        if worker.may_crash && worker.phase != Phase::Idle {
            let mut next = *state;
            next.workers[number].may_crash = false;
            next.workers[number].is_live = false;
            if let (Phase::Called { record, ok: true }, true) = (worker.phase, worker.is_live) {
                next.seen[usize::from(record.run)].forget();
            }
            next.send(When::Past);
            step(Action::Crash(number), next, Phase::Idle);
        }
        let mut next = *state;
        match worker.phase {
            Phase::Idle if state.visible > 0 => {
                next.visible -= 1;
                step(Action::Receive(number), next, Phase::Received);
            }
            Phase::Idle => {}
            // `Worker::running`: dropped, since resuming enqueues it again.
            Phase::Received if state.is_paused => step(Action::TurnsBack(number), next, Phase::Idle),
            Phase::Received => {
                let write = Write::Claim { token: state.fresh_token() };
                wrote(item, write);
                let mut written = item.write(write);
                if self.is(Mutation::ClaimWithoutCondition) && item.claim.is_some() {
                    written = Some(item.written(write));
                }
                if let (Some(written), true) = (&mut written, self.is(Mutation::CrashIsNoAttempt)) {
                    written.attempts -= 1;
                }
                let phase = match written {
                    Some(record) => {
                        next.item = Some(record);
                        next.workers[number].is_live = true;
                        Phase::Claimed(record.read())
                    }
                    // `claimed` in `shared/src/engine/claim.rs`.
                    None => match item.state().claimable(LEAD, now()) {
                        Claimable::Expired => Phase::Abandoned(item.read()),
                        Claimable::InFlight => Phase::Sends(When::Later),
                        Claimable::Yes | Claimable::Finished | Claimable::NotYet => Phase::Idle,
                    },
                };
                step(Action::Claim(number), next, phase);
            }
            Phase::Claimed(record) => {
                let late = !worker.is_live && !self.is(Mutation::CallWithoutLease);
                let paused = state.is_paused && !self.is(Mutation::PauseSeenAtClaimAlone);
                if paused || late {
                    return step(Action::TurnsBack(number), next, Phase::GivesBack { record, late: !paused });
                }
                for ok in [true, false] {
                    let mut next = next;
                    next.seen[usize::from(record.run)].call(ok);
                    step(Action::Call(number, ok), next, Phase::Called { record, ok });
                }
            }
            Phase::Called { record, ok: false } if !self.is(Mutation::FailureUntold) => {
                next.item = Some(item.tell(&record));
                step(Action::Tell(number), next, Phase::Told(record));
            }
            Phase::Abandoned(record) if self.is(Mutation::LostToldBefore) && item.tell(&record) != item => {
                next.item = Some(item.tell(&record));
                step(Action::Tell(number), next, Phase::Abandoned(record));
            }
            Phase::Called { .. } | Phase::Told(_) | Phase::Abandoned(_) | Phase::GivesBack { .. } => {
                self.settle(state, number, steps, wrote);
            }
            Phase::Sends(when) => {
                next.send(when);
                step(Action::WorkerSends(number), next, Phase::Idle);
            }
        }
    }

    /// `WorkStore::settle`, its one write and what is made of its answer.
    fn settle(
        &self,
        state: &System,
        number: usize,
        steps: &mut Vec<(Action, System)>,
        wrote: &mut dyn FnMut(Item, Write),
    ) {
        let (phase, Some(item)) = (state.workers[number].phase, state.item) else { return };
        let rules = RescheduleRules::default();
        let failed = Event::Failed { retry_after: None, rules: &rules };
        let (record, event) = match phase {
            Phase::Called { record, ok: true } => (record, Event::Succeeded),
            Phase::Called { record, ok: false } | Phase::Told(record) => (record, failed),
            Phase::Abandoned(record) => (record, Event::LeaseExpired { rules: &rules }),
            Phase::GivesBack { record, .. } => (record, Event::Released),
            _ => return,
        };
        let mut next = *state;
        let done = match phase {
            // The message comes back, as after every error.
            Phase::GivesBack { late: true, .. } => Phase::Sends(When::Past),
            _ => Phase::Idle,
        };
        let Ok(decided) = decide(&record.state(), event, now()) else {
            return walk(steps, number, Action::Settle(number), next, done);
        };
        let to = self.mutated(&record, &decided.to, event == Event::Succeeded);
        let write = Write::Step { from: record, to };
        wrote(item, write);
        let written = match item.write(write) {
            None if self.is(Mutation::SettleWithoutToken) => Some(item.written(write)),
            written => written,
        };
        let applied = if decided.enqueue { Phase::Sends(to.due) } else { done };
        let phase = match written {
            Some(written) => {
                let lost = matches!(phase, Phase::Abandoned(_));
                next.item = Some(if lost { written.tell(&record) } else { written });
                next.workers[number].is_live = false;
                if state.faults.unanswered {
                    let mut unanswered = next;
                    unanswered.faults.unanswered = false;
                    steps.push((Action::SettleUnanswered(number), unanswered));
                }
                applied
            }
            // Our own write, or one that came to the same.
            None if item.state() == to.state() => applied,
            // A result was noted beside the claim: decided again with it.
            None if item.claim.is_some() && item.claim == record.claim => phase.with(item.read()),
            None => done,
        };
        walk(steps, number, Action::Settle(number), next, phase);
    }

    fn mutated(&self, record: &Item, to: &State, success: bool) -> Item {
        let mut item = record.after(to, success);
        if self.is(Mutation::StaysDue) {
            item.in_due = true;
        }
        if self.is(Mutation::CrashIsNoAttempt) && success {
            item.attempts += 1;
        }
        item
    }
}

/// A worker's step. One that has done with its message deletes it, unless it dies before that.
fn walk(steps: &mut Vec<(Action, System)>, number: usize, action: Action, next: System, phase: Phase) {
    let mut next = next;
    let was = std::mem::replace(&mut next.workers[number].phase, phase);
    steps.push((action, next));
    if phase == Phase::Idle && was != Phase::Idle && next.workers[number].may_crash {
        next.workers[number].may_crash = false;
        next.send(When::Past);
        steps.push((Action::CrashUndeleted(number), next));
    }
}
