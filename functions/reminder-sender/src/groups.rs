//! Whose reminder is next (SPEC §6): one at a time for a recipient, in order of send time.
//!
//! A group is a configuration and a recipient. It is in one of three places: it
//! has a reminder out, it stands in its tenant's queue, or it is not known. So a
//! slow recipient keeps one place busy and nobody waiting. Tenants take turns by
//! their QoS levels, as they do in the sweep (SPEC §9.6).
//!
//! Places are for messages that are answered. One that has been out for [`SLOW`] no longer counts for the places of
//! all, but only for its company's, of which each has as many. So a company whose Dialog service hangs holds its own
//! places, and another's reminders wait for seconds at most.

use chrono::{DateTime, TimeDelta, Utc};
use rules::names::{ActivityId, CompanyName, Tenant};
use rules::qos::{Levels, TenantTurns};
use shared::items::reminder::DueRow;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// Most reminders of one recipient kept for a round; the rest, which are later, are the next round's.
const GROUP_MAX: usize = 100;

/// A message that has been out for longer than this has made room for another company's.
pub const SLOW: TimeDelta = TimeDelta::seconds(2);
/// Messages out at a time, of all companies, for each place: what hangs of so many companies is held at once.
pub const OUT_FACTOR: usize = 16;

/// A configuration and a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupKey {
    tenant: Tenant,
    recipient: String,
}

impl GroupKey {
    /// The group of a reminder.
    pub fn of(row: &DueRow) -> Self {
        Self { tenant: row.tenant.clone(), recipient: row.recipient.clone() }
    }
}

/// The reminders that wait for their turn.
#[derive(Debug)]
pub struct Groups {
    /// Messages out at a time that are not slow, and of each company, slow or not.
    places: usize,
    /// What waits, by group, in order of send time.
    waiting: HashMap<GroupKey, BTreeMap<String, DueRow>>,
    /// Groups that have a reminder out, and since when.
    out: HashMap<GroupKey, DateTime<Utc>>,
    /// How many of these each company has.
    out_of: HashMap<CompanyName, usize>,
    /// How many reminders of each company wait.
    waiting_of: HashMap<CompanyName, usize>,
    /// Groups that may send, by tenant, in the order they came.
    ready: BTreeMap<Tenant, VecDeque<GroupKey>>,
    tenants: TenantTurns,
    levels: HashMap<Tenant, Levels>,
    /// What this round has seen: a reminder is attempted once a round.
    seen: HashSet<(Tenant, ActivityId)>,
    count: usize,
}

impl Groups {
    /// Nobody yet, with so many places.
    pub fn new(places: usize) -> Self {
        Self {
            places: places.max(1),
            waiting: HashMap::new(),
            out: HashMap::new(),
            out_of: HashMap::new(),
            waiting_of: HashMap::new(),
            ready: BTreeMap::new(),
            tenants: TenantTurns::default(),
            levels: HashMap::new(),
            seen: HashSet::new(),
            count: 0,
        }
    }

    /// Reminders of a company that wait.
    pub fn waiting_of(&self, company: &CompanyName) -> usize {
        self.waiting_of.get(company).copied().unwrap_or_default()
    }

    /// Whether another message may go out at `now`.
    pub fn has_place(&self, now: DateTime<Utc>) -> bool {
        let quick = self.out.values().filter(|since| now - **since < SLOW).count();
        quick < self.places && self.out.len() < self.places.saturating_mul(OUT_FACTOR)
    }

    /// When the next message that is out counts as slow, if somebody waits for its place.
    pub fn next_place(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let slow_at = self.out.values().map(|since| *since + SLOW).filter(|at| *at > now);
        if self.tenants.is_idle() { None } else { slow_at.min() }
    }

    /// Reminders that wait.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Begins a round: what was attempted before may be attempted again.
    pub fn begin_round(&mut self) {
        let waiting = self.waiting.values().flat_map(BTreeMap::values);
        self.seen = waiting.map(|row| (row.tenant.clone(), row.id.clone())).collect();
    }

    /// Sets a tenant's QoS levels.
    pub fn set_levels(&mut self, tenant: &Tenant, levels: Levels) {
        self.levels.insert(tenant.clone(), levels);
    }

    /// Adds a reminder, unless it was seen in this round.
    pub fn add(&mut self, row: DueRow) {
        let key = GroupKey::of(&row);
        // A reminder that is out may show in the index once more; its group has to come back first.
        if !self.seen.insert((row.tenant.clone(), row.id.clone())) {
            return;
        }
        let queue = self.waiting.entry(key.clone()).or_default();
        if queue.len() >= GROUP_MAX {
            return;
        }
        let was_empty = queue.is_empty();
        if queue.insert(row.sort.clone(), row).is_none() {
            self.count += 1;
            *self.waiting_of.entry(key.tenant.company.clone()).or_default() += 1;
        }
        if was_empty && !self.out.contains_key(&key) {
            self.make_ready(key);
        }
    }

    /// The next reminder to send. Its group gives no other until [`Groups::back`].
    pub fn take(&mut self, now: DateTime<Utc>) -> Option<DueRow> {
        loop {
            let tenant = self.tenants.turn()?;
            let key = self.ready.get_mut(&tenant).and_then(VecDeque::pop_front);
            if self.ready.get(&tenant).is_none_or(VecDeque::is_empty) {
                self.ready.remove(&tenant);
                self.tenants.remove(&tenant);
            }
            let Some(key) = key else { continue };
            let Some(queue) = self.waiting.get_mut(&key) else { continue };
            let Some((_, row)) = queue.pop_first() else { continue };
            if queue.is_empty() {
                self.waiting.remove(&key);
            }
            self.count -= 1;
            less(&mut self.waiting_of, &key.tenant.company);
            let company = key.tenant.company.clone();
            self.out.insert(key, now);
            let out = self.out_of.entry(company.clone()).or_default();
            *out += 1;
            self.tenants.set_full(&company, *out >= self.places);
            return Some(row);
        }
    }

    /// A group's reminder is done with: its next one may be sent.
    pub fn back(&mut self, key: &GroupKey) {
        if self.out.remove(key).is_none() {
            return;
        }
        // It had no more than all places, so one is free now.
        less(&mut self.out_of, &key.tenant.company);
        self.tenants.set_full(&key.tenant.company, false);
        if self.waiting.contains_key(key) {
            self.make_ready(key.clone());
        }
    }

    fn make_ready(&mut self, key: GroupKey) {
        self.tenants.set(&key.tenant, self.levels.get(&key.tenant).copied().unwrap_or_default());
        self.ready.entry(key.tenant.clone()).or_default().push_back(key);
    }
}

/// One less of what is counted for a company; nothing is kept of one that has none.
fn less(counts: &mut HashMap<CompanyName, usize>, company: &CompanyName) {
    if let Some(count) = counts.get_mut(company) {
        *count -= 1;
        if *count == 0 {
            counts.remove(company);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn row(company: &str, recipient: &str, minute: i64, id: &str) -> DueRow {
        let due = DateTime::from_timestamp(minute * 60, 0).unwrap();
        let id: ActivityId = id.parse().unwrap();
        DueRow {
            sort: shared::items::reminder::keys::due_sort(due, recipient, &id),
            due,
            recipient: recipient.to_owned(),
            tenant: Tenant { company: company.parse().unwrap(), solution: "main".parse().unwrap() },
            id,
        }
    }

    fn groups(rows: &[DueRow]) -> Groups {
        let mut groups = Groups::new(99);
        rows.iter().for_each(|row| groups.add(row.clone()));
        groups
    }

    fn names(groups: &mut Groups, count: usize) -> Vec<String> {
        (0..count).map_while(|_| groups.take(now())).map(|row| row.id.to_string()).collect()
    }

    #[test]
    fn one_at_a_time_for_a_recipient_in_order_of_send_time() {
        let rows =
            [row("a", "x", 3, "x3"), row("a", "x", 1, "x1"), row("a", "y", 2, "y2"), row("a", "x", 2, "x2")];
        let mut groups = groups(&rows);
        assert_eq!(names(&mut groups, 9), ["x1", "y2"]);
        groups.back(&GroupKey::of(&rows[2]));
        assert_eq!(names(&mut groups, 9), [""; 0], "x is out, and y has no more");
        groups.back(&GroupKey::of(&rows[0]));
        assert_eq!(names(&mut groups, 9), ["x2"]);
        groups.back(&GroupKey::of(&rows[0]));
        groups.back(&GroupKey::of(&rows[0]));
        assert_eq!(names(&mut groups, 9), ["x3"]);
        assert_eq!(groups.len(), 0);
    }

    #[test]
    fn a_reminder_is_taken_once_a_round() {
        let mut groups = groups(&[row("a", "x", 1, "r")]);
        assert_eq!(names(&mut groups, 9), ["r"]);
        groups.add(row("a", "x", 2, "r"));
        groups.back(&GroupKey::of(&row("a", "x", 1, "r")));
        assert_eq!(names(&mut groups, 9), [""; 0]);
        groups.begin_round();
        groups.add(row("a", "x", 2, "r"));
        groups.add(row("a", "x", 2, "r"));
        assert_eq!((groups.len(), names(&mut groups, 9)), (1, vec!["r".to_owned()]));
    }

    /// One that is still out when a round begins is not out a second time.
    #[test]
    fn a_group_that_is_out_gives_nothing_in_a_new_round() {
        let mut groups = groups(&[row("a", "x", 1, "r")]);
        assert_eq!(names(&mut groups, 9), ["r"]);
        groups.begin_round();
        groups.add(row("a", "x", 1, "r"));
        assert_eq!(names(&mut groups, 9), [""; 0]);
        groups.back(&GroupKey::of(&row("a", "x", 1, "r")));
        assert_eq!(names(&mut groups, 9), ["r"]);
    }

    #[test]
    fn tenants_take_turns_by_their_levels() {
        let mut groups = Groups::new(99);
        groups.set_levels(&row("gold", "x", 1, "g").tenant, Levels { company: 3, solution: 1 });
        for n in 0..40 {
            for company in ["gold", "plain"] {
                groups.add(row(company, &format!("r{n}"), 1, &format!("{company}{n}")));
            }
        }
        let first = names(&mut groups, 20);
        assert_eq!(first.iter().filter(|name| name.starts_with("gold")).count(), 15);
        assert_eq!(names(&mut groups, 100).len(), 60, "and all get theirs");
    }

    /// Sixty reminders of the one, all of which hang: the other's has a place as soon as the first count as slow.
    #[test]
    fn a_company_whose_messages_hang_holds_its_own_places() {
        let mut groups = Groups::new(3);
        for n in 0..60 {
            groups.add(row("hangs", &format!("r{n}"), 1, &format!("h{n}")));
        }
        let go_out = |groups: &mut Groups, now| {
            let mut out = Vec::new();
            while groups.has_place(now) {
                let Some(row) = groups.take(now) else { break };
                out.push(row.id.to_string());
            }
            out
        };
        let hanging = go_out(&mut groups, now());
        assert_eq!(hanging.len(), 3);
        assert_eq!(groups.next_place(now()), None, "nobody else waits");
        groups.add(row("other", "x", 2, "o1"));
        groups.add(row("other", "x", 3, "o2"));
        let slow = now() + SLOW;
        assert!(!groups.has_place(now()));
        assert_eq!(groups.next_place(now()), Some(slow));
        assert_eq!(go_out(&mut groups, slow), ["o1"]);
        groups.back(&GroupKey::of(&row("other", "x", 2, "o1")));
        assert_eq!(go_out(&mut groups, slow), ["o2"]);
        groups.back(&GroupKey::of(&row("other", "x", 3, "o2")));
        let first: usize = hanging[0].trim_start_matches('h').parse().unwrap();
        groups.back(&GroupKey::of(&row("hangs", &format!("r{first}"), 1, "h")));
        assert_eq!(go_out(&mut groups, slow).len(), 1, "one of its places is free again");
        assert_eq!(groups.waiting_of(&"hangs".parse().unwrap()), 56);
    }

    #[test]
    fn one_recipient_does_not_fill_the_memory() {
        let rows: Vec<DueRow> = (0..250).map(|n| row("a", "x", n, &format!("r{n}"))).collect();
        assert_eq!(groups(&rows).len(), GROUP_MAX);
    }
}
