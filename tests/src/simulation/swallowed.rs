//! Calls of services that are swallowed: the request or its answer is lost on a connection that stays open, so that neither
//! an answer nor an error comes. Only a time limit of the caller's ends such a call.

use super::dice::Dice;
use super::gate::{ProcessId, Reply};
use chrono::{DateTime, TimeDelta, Utc};

/// Longer than the time limit of an attempt of any service call.
const LIMIT: TimeDelta = TimeDelta::seconds(6);

/// The swallowed calls of a seed.
#[derive(Debug)]
pub struct Swallowed {
    /// Of its own, so that seeds without any stay what they were.
    dice: Dice,
    /// Of service calls, in thousandths.
    rate: u32,
    /// The ways back, which stay open for ever.
    calls: Vec<Call>,
}

#[derive(Debug)]
struct Call {
    process: ProcessId,
    invocation: Option<u64>,
    operation: String,
    at: DateTime<Utc>,
    reply: Reply,
}

impl Swallowed {
    /// None so far.
    pub fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed ^ 0x5377_616c_6c6f_7773), rate: 0, calls: Vec::new() }
    }

    /// From now on some are.
    pub fn begin(&mut self) {
        self.rate = self.dice.pick(&[0, 0, 5, 30]);
    }

    /// From now on none are.
    pub fn end(&mut self) {
        self.rate = 0;
    }

    /// Whether the next call is, and if so whether it takes effect.
    pub fn draw(&mut self) -> Option<bool> {
        (self.rate > 0 && self.dice.chance(self.rate)).then(|| self.dice.chance(500))
    }

    /// Keeps the way back of one.
    pub fn keep(
        &mut self,
        process: ProcessId,
        invocation: Option<u64>,
        operation: String,
        at: DateTime<Utc>,
        reply: Reply,
    ) {
        self.calls.push(Call { process, invocation, operation, at, reply });
    }

    /// The operation whose answer an invocation is still waiting for at `now`, longer than any time limit of a call,
    /// in which the process, which stood still until `thawed`, was running.
    pub fn awaited(
        &self,
        process: ProcessId,
        invocation: u64,
        thawed: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<&str> {
        let is_awaited = |call: &&Call| {
            let is_open = matches!(&call.reply, Reply::Service(answer) if !answer.is_closed());
            (call.process, call.invocation) == (process, Some(invocation))
                && is_open
                && now - call.at.max(thawed) > LIMIT
        };
        self.calls.iter().find(is_awaited).map(|call| call.operation.as_str())
    }
}
