//! What must hold of every step.

use super::item::Item;
use super::steps::Action;
use super::system::{Phase, System};
use rules::activity::Status;

/// What is wrong with the step `action` from `before` to `after`, if anything.
pub fn broken(before: &System, action: Action, after: &System) -> Option<&'static str> {
    let item = after.item?;
    step(before, action, &item)
        .or_else(|| claims(after, &item))
        .or_else(|| counts(after, &item))
        .or_else(|| rest(&item))
}

/// Terminal is terminal; a claim is settled by its token alone; nobody calls who should not.
fn step(before: &System, action: Action, item: &Item) -> Option<&'static str> {
    let was = before.item?;
    let is_changed = Item { told: was.told, ..*item } != was;
    let own = |number: usize| {
        let record: Option<&Item> = before.workers[number].phase.record();
        let token = record.and_then(|record| record.claim).map(|claim| claim.token);
        token.is_some() && token == was.claim.map(|claim| claim.token)
    };
    match action {
        Action::CallerBegins(_) | Action::CallerWrites | Action::TimePasses => None,
        Action::Settle(number) | Action::SettleUnanswered(number) if is_changed && !own(number) => {
            Some("a claim was settled without its token")
        }
        _ if is_changed && was.is_finished() => Some("what was finished has changed"),
        Action::Call(..) if before.is_paused => Some("called while paused"),
        Action::Call(number, _) if !own(number) => Some("called without the claim"),
        Action::Call(number, _) if !before.workers[number].is_live => {
            Some("called under a lease that ran out")
        }
        _ => None,
    }
}

/// At most one claim is live, and it is the item's.
fn claims(state: &System, item: &Item) -> Option<&'static str> {
    let live = || state.workers.iter().filter(|worker| worker.is_live);
    let holds = |phase: &Phase| {
        let token = phase.record().and_then(|record| record.claim).map(|claim| claim.token);
        token == item.claim.map(|claim| claim.token)
    };
    if live().count() > 1 {
        return Some("two live claims");
    }
    let is_taken = live().any(|worker| !holds(&worker.phase));
    is_taken.then_some("a claim was taken from its worker while its lease ran")
}

/// Calls never exceed the limit, and a second one is taken only where the first was forgotten.
fn counts(state: &System, item: &Item) -> Option<&'static str> {
    if state.seen.iter().any(|seen| seen.calls > item.max_attempts) {
        return Some("more calls than executions are allowed");
    }
    let is_double = state.seen.iter().any(|seen| seen.spare.is_none());
    is_double.then_some("taken twice, and no worker was lost between call and settle")
}

/// The item stands in exactly one index, has attempts left while it waits, and its history is whole at its end.
fn rest(item: &Item) -> Option<&'static str> {
    let is_ready = item.status == Status::Ready;
    if (item.in_due, item.in_done) != (is_ready, !is_ready) {
        return Some("not in exactly one of due and done");
    }
    if is_ready && item.claim.is_none() && item.attempts >= item.max_attempts {
        return Some("READY with no attempt left");
    }
    (item.is_finished() && !item.is_told()).then_some("the history does not tell each attempt once")
}
