//! Every state there is, breadth first, so that what is found is found on a shortest way.
//!
//! Own, and not a framework: that from every state an end can be reached needs all edges at once, and the
//! checkers at hand ask for liveness along single paths.

use std::collections::{HashMap, HashSet};
use std::fmt::{Debug, Write as _};
use std::hash::Hash;

/// Far more states than any setup has; beyond them the model does not end.
const STATES_MAX: usize = 20_000_000;

/// What is explored.
pub trait Model {
    /// Everything that what happens next depends on.
    type State: Copy + Eq + Hash + Debug;
    /// A step, by its name.
    type Action: Copy + Debug;
    /// A conditional write, with what it is made on, where a test runs these.
    type Write: Eq + Hash;

    /// Nothing has happened yet.
    fn beginning(&self) -> Self::State;
    /// Every step from `state`; `wrote` hears of each write, whether or not its condition holds.
    fn next(
        &self,
        state: &Self::State,
        wrote: &mut dyn FnMut(Self::Write),
    ) -> Vec<(Self::Action, Self::State)>;
    /// Which property the step `action` from `before` to `after` breaks.
    fn broken(&self, before: &Self::State, action: Self::Action, after: &Self::State)
    -> Option<&'static str>;
    /// Something that need not happen, and on which nothing may depend.
    fn is_fault(&self, action: Self::Action) -> bool;
    /// Whether all that was asked for is done.
    fn is_end(&self, state: &Self::State) -> bool;
    /// The same for all states between which there is no difference.
    fn canonical(&self, state: Self::State) -> Self::State;
}

/// What exploring came to.
#[derive(Debug)]
pub struct Explored<W> {
    /// States reached.
    pub states: usize,
    /// Steps between them.
    pub steps: usize,
    /// Each write that occurred.
    pub writes: HashSet<W>,
}

/// What is wrong, and the way there.
#[derive(Debug)]
pub struct Counterexample {
    /// Which property is broken.
    pub what: &'static str,
    /// Each step and what it led to, a line each.
    pub way: String,
}

/// Goes through every state of a model.
///
/// # Errors
/// [`Counterexample`] for a step that breaks a property, or a state from which nothing ends without a further fault.
pub fn explore<M: Model>(model: &M) -> Result<Explored<M::Write>, Counterexample> {
    let mut explored = Explored { states: 0, steps: 0, writes: HashSet::new() };
    let beginning = model.canonical(model.beginning());
    let mut numbers = HashMap::from([(beginning, 0_usize)]);
    let mut states = vec![beginning];
    // How each was first reached, and what leads to it without a fault.
    let mut came: Vec<Option<(usize, M::Action)>> = vec![None];
    let mut leads_to: Vec<Vec<usize>> = vec![Vec::new()];
    let mut at = 0;
    while at < states.len() {
        let before = states[at];
        let steps = model.next(&before, &mut |write| {
            explored.writes.insert(write);
        });
        for (action, after) in steps {
            explored.steps += 1;
            if let Some(what) = model.broken(&before, action, &after) {
                let mut way = way(&states, &came, at);
                let _ = writeln!(way, "{action:?}\n    {after:?}");
                return Err(Counterexample { what, way });
            }
            let after = model.canonical(after);
            let number = *numbers.entry(after).or_insert_with(|| {
                states.push(after);
                came.push(Some((at, action)));
                leads_to.push(Vec::new());
                states.len() - 1
            });
            if !model.is_fault(action) {
                leads_to[number].push(at);
            }
        }
        assert!(states.len() < STATES_MAX, "the model does not end");
        at += 1;
    }
    explored.states = states.len();
    match stuck(model, &states, &leads_to) {
        None => Ok(explored),
        Some(number) => Err(Counterexample {
            what: "lost: without a further fault it can never end",
            way: way(&states, &came, number),
        }),
    }
}

/// The first state from which no end can be reached without a fault.
fn stuck<M: Model>(model: &M, states: &[M::State], leads_to: &[Vec<usize>]) -> Option<usize> {
    let mut ends: Vec<bool> = states.iter().map(|state| model.is_end(state)).collect();
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

fn way<S: Debug, A: Copy + Debug>(states: &[S], came: &[Option<(usize, A)>], to: usize) -> String {
    let mut steps = Vec::new();
    let mut at = to;
    while let Some((before, action)) = came[at] {
        steps.push(format!("{action:?}\n    {:?}\n", states[at]));
        at = before;
    }
    steps.reverse();
    steps.concat()
}
