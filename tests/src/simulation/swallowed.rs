//! Calls of services that are swallowed: the request or its answer is lost on a connection that stays open, so that neither
//! an answer nor an error comes. Only a time limit of the caller's ends such a call.

use super::dice::Dice;
use super::gate::{ProcessId, Reply};

/// The swallowed calls of a seed.
#[derive(Debug)]
pub struct Swallowed {
    /// Of its own, so that seeds without any stay what they were.
    dice: Dice,
    /// Of service calls, in thousandths.
    rate: u32,
    /// The ways back, which stay open for ever: process, invocation and operation.
    calls: Vec<(ProcessId, Option<u64>, String, Reply)>,
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
    pub fn keep(&mut self, process: ProcessId, invocation: Option<u64>, operation: String, reply: Reply) {
        self.calls.push((process, invocation, operation, reply));
    }

    /// The operation whose answer an invocation is still waiting for.
    pub fn awaited(&self, process: ProcessId, invocation: u64) -> Option<&str> {
        let is_waiting = |reply: &Reply| matches!(reply, Reply::Service(answer) if !answer.is_closed());
        let of_invocation =
            self.calls.iter().filter(|(of, at, ..)| (*of, *at) == (process, Some(invocation)));
        of_invocation
            .into_iter()
            .find(|(.., reply)| is_waiting(reply))
            .map(|(.., operation, _)| operation.as_str())
    }
}
