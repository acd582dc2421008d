//! The auditor: did the system keep what it promised?
//!
//! It shares nothing with the code under test but the names of keys and attributes. It is fed what anybody could
//! have seen from outside ([`Evidence`]): what callers asked and were answered, what arrived at receivers, and what
//! the tables hold. From that it works out for itself what SPEC allows.
//!
//! What it needs to tell tenants apart: the path of every receiver's URL begins with `/{company}/{solution}/`, and
//! the parameter of an activity has its id as `id` and, where it has an `owner`, its `company/solution` as that.

mod activities;
mod catch_up;
mod crashes;
mod deletion;
mod duplicates;
mod evidence;
mod executions;
mod fairness;
mod history;
mod isolation;
mod items;
mod notifications;
mod orphans;
mod paths;
mod pauses;
mod policy;
mod recurring;
mod reminders;
mod results;
mod rolling;
mod sends;
mod story;
mod tenants;
mod wishes;

pub use evidence::{Arrival, Evidence, Exchange, Finding, Resending, Subject};
pub use executions::subject as executed;
pub use story::story;

use items::Table;
use wishes::Wishes;

/// Everything that is wrong, by property.
pub fn audit(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    deletion::check(evidence, &mut findings);
    orphans::check(evidence, &mut findings);
    let evidence = &deletion::lasting(evidence);
    let table = Table::read(&evidence.work);
    let wishes = Wishes::of(&evidence.exchanges);
    items::places(&table, &mut findings);
    items::expiry(&table, &mut findings);
    activities::ends(evidence, &table, &wishes, &mut findings);
    executions::check(evidence, &table, &wishes, &mut findings);
    history::check(evidence, &table, &mut findings);
    crashes::check(evidence, &table, &mut findings);
    pauses::check(evidence, &wishes, &mut findings);
    tenants::check(evidence, &mut findings);
    results::check(evidence, &table, &wishes, &mut findings);
    recurring::check(evidence, &table, &mut findings);
    notifications::check(evidence, &table, &mut findings);
    fairness::check(evidence, &table, &mut findings);
    isolation::check(evidence, &table, &wishes, &mut findings);
    reminders::check(evidence, &table, &wishes, &mut findings);
    rolling::check(evidence, &wishes, &mut findings);
    findings
}
