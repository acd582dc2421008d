//! Every state there is, breadth first, so that what is found is found on a shortest way.
//!
//! Own, and not a framework: that from every state an end can be reached needs all edges at once, and the
//! checkers at hand ask for liveness along single paths.

use super::item::{Item, Write};
use super::properties::broken;
use super::steps::{Action, Setup};
use super::system::{Caller, System};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

/// Far more states than any setup has; beyond them the model does not end.
const STATES_MAX: usize = 20_000_000;

/// What exploring came to.
#[derive(Debug, Default)]
pub struct Explored {
    /// States reached.
    pub states: usize,
    /// Steps between them.
    pub steps: usize,
    /// Each pair of an item and a write on it that occurred.
    pub writes: HashSet<(Item, Write)>,
}

/// What is wrong, and the way there.
#[derive(Debug)]
pub struct Counterexample {
    /// Which property is broken.
    pub what: &'static str,
    /// Each step and what it led to, a line each.
    pub way: String,
}

/// Goes through every state of `setup`.
///
/// # Errors
/// [`Counterexample`] for a step that breaks a property, or a state from which nothing ends without a further fault.
pub fn explore(setup: &Setup) -> Result<Explored, Counterexample> {
    let mut explored = Explored::default();
    let beginning = System::beginning(setup.faults);
    let mut numbers = HashMap::from([(beginning, 0_usize)]);
    let mut states = vec![beginning];
    // How each was first reached, and what leads to it without a fault.
    let mut came: Vec<Option<(usize, Action)>> = vec![None];
    let mut leads_to: Vec<Vec<usize>> = vec![Vec::new()];
    let mut at = 0;
    while at < states.len() {
        let before = states[at];
        let steps = setup.next(&before, &mut |item, write| {
            explored.writes.insert((item, write));
        });
        for (action, after) in steps {
            explored.steps += 1;
            if let Some(what) = broken(&before, action, &after) {
                let mut way = way(&states, &came, at);
                let _ = writeln!(way, "{action:?}\n    {after:?}");
                return Err(Counterexample { what, way });
            }
            let after = after.sorted();
            let number = *numbers.entry(after).or_insert_with(|| {
                states.push(after);
                came.push(Some((at, action)));
                leads_to.push(Vec::new());
                states.len() - 1
            });
            if !action.is_fault() {
                leads_to[number].push(at);
            }
        }
        assert!(states.len() < STATES_MAX, "the model does not end");
        at += 1;
    }
    explored.states = states.len();
    match stuck(setup, &states, &leads_to) {
        None => Ok(explored),
        Some(number) => Err(Counterexample {
            what: "lost: without a further fault it can never end",
            way: way(&states, &came, number),
        }),
    }
}

/// The first state from which no end can be reached without a fault.
fn stuck(setup: &Setup, states: &[System], leads_to: &[Vec<usize>]) -> Option<usize> {
    let is_end = |state: &System| {
        let all_asked = usize::from(state.asked) == setup.asks.len() && state.caller == Caller::Idle;
        all_asked && state.item.is_some_and(|item| item.is_finished())
    };
    let mut ends: Vec<bool> = states.iter().map(is_end).collect();
    let mut todo: Vec<usize> = (0..states.len()).filter(|number| ends[*number]).collect();
    while let Some(number) = todo.pop() {
        for before in &leads_to[number] {
            if !std::mem::replace(&mut ends[*before], true) {
                todo.push(*before);
            }
        }
    }
    ends.iter().position(|ends| !ends)
}

fn way(states: &[System], came: &[Option<(usize, Action)>], to: usize) -> String {
    let mut steps = Vec::new();
    let mut at = to;
    while let Some((before, action)) = came[at] {
        steps.push(format!("{action:?}\n    {:?}\n", states[at]));
        at = before;
    }
    steps.reverse();
    steps.concat()
}
