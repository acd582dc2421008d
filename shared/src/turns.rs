//! Turns of solutions in a cycle that all share (SPEC §7, §9.6): so many at a time, of a company half as many, one turn of a
//! solution after the other. So a company whose receivers hang leaves the other half to those whose receivers answer.
//!
//! Whose turn it is, [`rules::qos`] says. What a turn does is the function's: a batch, a notification. Who had no
//! turn before the cycle ended is remembered, and comes first in the next one.

use crate::clock::SharedClock;
use crate::tenancy::{Company, Solution, Tenancy, TenancyError};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use rules::names::{CompanyName, Tenant};
use rules::qos::{Levels, TenantTurns, extra_turns};
use std::collections::{BTreeMap, BTreeSet};

/// Most bytes of names that are kept for the next cycle: they are an attribute of an item, which ends at 400 KB. It is room
/// for 2,000 solutions with the longest names, and for more than 10,000 with usual ones.
pub const NAMES_BYTES_MAX: usize = 256 * 1024;
/// Names have neither a space nor a slash.
const SEPARATOR: char = ' ';

/// How a solution left the cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is left to do for it.
    Done,
    /// It had turns, and may need more.
    Begun,
    /// It had no turn.
    Untouched,
}

/// What a turn leaves to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Another turn.
    More,
    /// Nothing.
    Nothing,
}

/// A solution that takes part.
pub struct Share<S> {
    /// Which.
    pub tenant: Tenant,
    /// Its levels.
    pub levels: Levels,
    /// What its turns know of it.
    pub state: S,
}

/// For how long a cycle goes on.
pub trait Until: Send {
    /// Whether another turn may begin.
    fn may_begin(&mut self) -> BoxFuture<'_, bool>;
}

/// Until an instant.
pub struct Deadline<'a> {
    /// Whose time.
    pub clock: &'a SharedClock,
    /// The instant.
    pub at: DateTime<Utc>,
}

impl Until for Deadline<'_> {
    fn may_begin(&mut self) -> BoxFuture<'_, bool> {
        std::future::ready(self.clock.now() < self.at).boxed()
    }
}

/// A turn, which gives the state back.
pub type Turn<'a, S> = BoxFuture<'a, (S, After)>;

/// Gives turns, `in_flight` at a time, of a company half as many unless it is alone, and one at a time for each solution, until
/// nobody has anything left or `until` says no; what was begun is finished. Each of `first` has a turn before anybody else,
/// unless it waits for turns of its own company.
pub async fn take_turns<'a, S: Send + 'a>(
    clock: &'a SharedClock,
    shares: Vec<Share<S>>,
    first: &BTreeSet<Tenant>,
    in_flight: usize,
    until: &mut impl Until,
    turn: impl Fn(Tenant, S) -> Turn<'a, S>,
) -> Vec<(Tenant, S, Standing)> {
    let companies: BTreeSet<&CompanyName> = shares.iter().map(|share| &share.tenant.company).collect();
    let of_company_max = if companies.len() > 1 { in_flight.div_ceil(2) } else { in_flight };
    let mut turns = TenantTurns::default();
    let (before, mut later): (Vec<_>, Vec<_>) =
        shares.into_iter().partition(|share| first.contains(&share.tenant));
    let mut waiting: BTreeMap<Tenant, (S, Standing)> = BTreeMap::new();
    let join = |turns: &mut TenantTurns, waiting: &mut BTreeMap<Tenant, (S, Standing)>, shares: Vec<_>| {
        for Share { tenant, levels, state } in shares {
            turns.set(&tenant, levels);
            waiting.insert(tenant, (state, Standing::Untouched));
        }
    };
    join(&mut turns, &mut waiting, before);
    // Those of `first` that had their turn, and what it cost them beyond itself.
    let mut had_turn: Vec<(Tenant, u32)> = Vec::new();
    // Turns under way, by company.
    let mut out_of: BTreeMap<CompanyName, usize> = BTreeMap::new();
    let mut left = Vec::new();
    let (mut out, mut is_open) = (FuturesUnordered::new(), true);
    loop {
        while is_open && out.len() < in_flight {
            if turns.is_idle() && !later.is_empty() {
                join(&mut turns, &mut waiting, std::mem::take(&mut later));
                // Their turn counts as one of the first round of all.
                had_turn.drain(..).for_each(|(tenant, extra)| turns.wake(&tenant, extra + 1));
            }
            if turns.is_idle() {
                break;
            }
            is_open = until.may_begin().await;
            if !is_open {
                break;
            }
            let Some(tenant) = turns.turn() else { break };
            let Some((state, _)) = waiting.remove(&tenant) else { break };
            turns.rest(&tenant);
            let out_of_company = out_of.entry(tenant.company.clone()).or_default();
            *out_of_company += 1;
            turns.set_full(&tenant.company, *out_of_company >= of_company_max);
            let (began, turn) = (clock.now(), turn(tenant.clone(), state));
            out.push(
                turn.map(move |(state, after)| (tenant, state, after, extra_turns(clock.now() - began))),
            );
        }
        let Some((tenant, state, after, extra)) = out.next().await else { break };
        out_of.entry(tenant.company.clone()).and_modify(|count| *count -= 1);
        turns.set_full(&tenant.company, false);
        match after {
            After::Nothing => {
                turns.remove(&tenant);
                left.push((tenant, state, Standing::Done));
            }
            After::More => {
                waiting.insert(tenant.clone(), (state, Standing::Begun));
                match later.is_empty() {
                    true => turns.wake(&tenant, extra),
                    false => had_turn.push((tenant, extra)),
                }
            }
        }
    }
    let untouched = later.into_iter().map(|share| (share.tenant, share.state, Standing::Untouched));
    left.extend(waiting.into_iter().map(|(tenant, (state, standing))| (tenant, state, standing)));
    left.extend(untouched);
    left
}

impl Tenancy {
    /// The levels by which `solution` takes its turns; `None` if it is gone.
    ///
    /// # Errors
    /// [`TenancyError`] if its company cannot be read.
    pub async fn levels(&self, tenant: &Tenant, solution: Option<&Solution>) -> Result<Levels, TenancyError> {
        let company = self.unreadable.leave_out(self.cached::<Company>(&tenant.company).await)?;
        Ok(Levels {
            company: company.flatten().map_or(1, |company| company.qos_level),
            solution: solution.map_or(1, |solution| solution.qos_level),
        })
    }
}

/// Names of solutions as an attribute for the next cycle; as many as [`NAMES_BYTES_MAX`] has room for.
pub fn names<'a>(tenants: impl IntoIterator<Item = &'a Tenant>) -> AttributeValue {
    let mut text = String::new();
    for name in tenants.into_iter().map(Tenant::to_string) {
        if text.len() + name.len() >= NAMES_BYTES_MAX {
            tracing::warn!("not every solution that had no turn is remembered");
            break;
        }
        if !text.is_empty() {
            text.push(SEPARATOR);
        }
        text.push_str(&name);
    }
    AttributeValue::S(text)
}

/// Reads [`names`] back; nothing of an attribute that is none.
pub fn named(value: Option<&AttributeValue>) -> BTreeSet<Tenant> {
    let text = value.and_then(|value| value.as_s().ok()).map_or("", String::as_str);
    text.split(SEPARATOR).filter_map(|name| name.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use std::sync::{Arc, Mutex};

    /// Time that goes on only when a turn says so.
    struct Stands(Mutex<DateTime<Utc>>);

    impl Clock for Stands {
        fn now(&self) -> DateTime<Utc> {
            *self.0.lock().unwrap()
        }
        fn sleep_until(&self, at: DateTime<Utc>) -> BoxFuture<'static, ()> {
            *self.0.lock().unwrap() = at;
            Box::pin(std::future::ready(()))
        }
    }

    /// So many turns.
    struct Most(usize);

    impl Until for Most {
        fn may_begin(&mut self) -> BoxFuture<'_, bool> {
            let may = self.0 > 0;
            self.0 = self.0.saturating_sub(1);
            std::future::ready(may).boxed()
        }
    }

    fn tenant(name: &str) -> Tenant {
        Tenant { company: name.parse().unwrap(), solution: "main".parse().unwrap() }
    }

    /// The order of the turns, with the number of turns that each wants, and how each stood at the end.
    fn run(
        wanted: &[(&str, usize)],
        first: &[&str],
        most: usize,
    ) -> (Vec<String>, BTreeMap<String, Standing>) {
        let clock: SharedClock = Arc::new(Stands(Mutex::new(DateTime::UNIX_EPOCH)));
        let shares = wanted.iter().map(|(name, wanted)| Share {
            tenant: tenant(name),
            levels: Levels::default(),
            state: *wanted,
        });
        let first = first.iter().map(|name| tenant(name)).collect();
        let order = Mutex::new(Vec::new());
        let turn = |tenant: Tenant, left: usize| {
            order.lock().unwrap().push(tenant.company.to_string());
            let after = if left == 1 { After::Nothing } else { After::More };
            std::future::ready((left - 1, after)).boxed()
        };
        let mut until = Most(most);
        let turns = take_turns(&clock, shares.collect(), &first, 1, &mut until, turn);
        let left = futures::executor::block_on(turns);
        let standing = left.into_iter().map(|(tenant, _, standing)| (tenant.company.to_string(), standing));
        (order.into_inner().unwrap(), standing.collect())
    }

    #[test]
    fn all_have_their_turns_and_nobody_waits_for_a_backlog() {
        let (order, standing) = run(&[("a", 5), ("b", 1), ("c", 2)], &[], 99);
        // After a round, who leaves takes its debt along, so that another has its next turn one turn sooner.
        assert_eq!(order, ["a", "b", "c", "c", "a", "a", "a", "a"]);
        assert!(standing.values().all(|standing| *standing == Standing::Done) && standing.len() == 3);
    }

    #[test]
    fn who_had_no_turn_comes_first_in_the_next_cycle() {
        let (order, standing) = run(&[("a", 5), ("b", 5), ("c", 5), ("d", 5)], &[], 2);
        assert_eq!(order, ["a", "b"]);
        let of = |wanted: Standing| -> Vec<&str> {
            let found = standing.iter().filter(|(_, one)| **one == wanted);
            found.map(|(name, _)| name.as_str()).collect()
        };
        assert_eq!(of(Standing::Begun), ["a", "b"]);
        let untouched = of(Standing::Untouched);
        assert_eq!(untouched, ["c", "d"]);
        let (order, standing) = run(&[("a", 5), ("b", 5), ("c", 5), ("d", 5)], &untouched, 3);
        assert_eq!(order, ["c", "d", "a"], "and one turn alone, while others had none");
        assert_eq!((standing["b"], standing["c"]), (Standing::Untouched, Standing::Begun));
    }

    /// How many turns each solution has begun, where turns of `hangs` never end, of `others` at once.
    fn begun(others: &[&str]) -> BTreeMap<String, usize> {
        let clock: SharedClock = Arc::new(Stands(Mutex::new(DateTime::UNIX_EPOCH)));
        let hanging = (0..40).map(|n| format!("hangs/s{n}"));
        let tenants = hanging.chain(others.iter().map(|name| format!("{name}/main")));
        let shares =
            tenants.map(|name| Share { tenant: name.parse().unwrap(), levels: Levels::default(), state: 3 });
        let begun = Mutex::new(BTreeMap::new());
        let turn = |tenant: Tenant, left: usize| {
            *begun.lock().unwrap().entry(tenant.to_string()).or_default() += 1;
            if tenant.company.as_str() == "hangs" {
                return std::future::pending().boxed();
            }
            let after = if left == 1 { After::Nothing } else { After::More };
            std::future::ready((left - 1, after)).boxed()
        };
        let (first, mut until) = (BTreeSet::new(), Most(99));
        let turns = take_turns(&clock, shares.collect(), &first, 8, &mut until, turn);
        assert!(turns.now_or_never().is_none());
        begun.into_inner().unwrap()
    }

    #[test]
    fn a_company_whose_turns_last_leaves_half_of_the_places_to_others() {
        let turns = begun(&["quick", "zealous"]);
        assert_eq!((turns.get("quick/main"), turns.get("zealous/main")), (Some(&3), Some(&3)));
        assert_eq!(turns.len(), 4 + 2);
        assert_eq!(begun(&[]).len(), 8, "and has all of them where there is nobody else");
    }

    #[test]
    fn names_are_read_back_and_fit_in_an_item() {
        let some = BTreeSet::from([tenant("a"), tenant("b.c")]);
        assert_eq!(named(Some(&names(&some))), some);
        let nothing = [None, Some(AttributeValue::Bool(true)), Some(names(&[])), Some(names(&[]))];
        assert!(nothing.iter().all(|value| named(value.as_ref()).is_empty()));
        let many: Vec<Tenant> = (0..9_000).map(|n| tenant(&format!("{n:060}"))).collect();
        let text = names(&many).as_s().unwrap().clone();
        assert!(text.len() <= NAMES_BYTES_MAX && text.len() > NAMES_BYTES_MAX - 200, "{}", text.len());
    }
}
