//! Whose reminder is next (SPEC §6): one at a time for a recipient, in order of send time.
//!
//! A group is a configuration and a recipient. It is in one of three places: it
//! has a reminder out, it stands in its tenant's queue, or it is not known. So a
//! slow recipient keeps one place busy and nobody waiting. Tenants take turns by
//! their QoS levels, as they do in the sweep (SPEC §9.6).

use rules::names::{ActivityId, Tenant};
use rules::qos::{Levels, TenantTurns};
use shared::reminder::DueRow;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// Most reminders of one recipient kept for a round; the rest, which are later, are the next round's.
const GROUP_MAX: usize = 100;

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
#[derive(Debug, Default)]
pub struct Groups {
    /// What waits, by group, in order of send time.
    waiting: HashMap<GroupKey, BTreeMap<String, DueRow>>,
    /// Groups that have a reminder out.
    out: HashSet<GroupKey>,
    /// Groups that may send, by tenant, in the order they came.
    ready: BTreeMap<Tenant, VecDeque<GroupKey>>,
    tenants: TenantTurns,
    levels: HashMap<Tenant, Levels>,
    /// What this round has seen: a reminder is attempted once a round.
    seen: HashSet<(Tenant, ActivityId)>,
    count: usize,
}

impl Groups {
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
        self.count += usize::from(queue.insert(row.sort.clone(), row).is_none());
        if was_empty && !self.out.contains(&key) {
            self.make_ready(key);
        }
    }

    /// The next reminder to send. Its group gives no other until [`Groups::back`].
    pub fn take(&mut self) -> Option<DueRow> {
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
            self.out.insert(key);
            return Some(row);
        }
    }

    /// A group's reminder is done with: its next one may be sent.
    pub fn back(&mut self, key: &GroupKey) {
        if self.out.remove(key) && self.waiting.contains_key(key) {
            self.make_ready(key.clone());
        }
    }

    fn make_ready(&mut self, key: GroupKey) {
        self.tenants.set(&key.tenant, self.levels.get(&key.tenant).copied().unwrap_or_default());
        self.ready.entry(key.tenant.clone()).or_default().push_back(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn row(company: &str, recipient: &str, minute: i64, id: &str) -> DueRow {
        let due = DateTime::from_timestamp(minute * 60, 0).unwrap();
        let id: ActivityId = id.parse().unwrap();
        DueRow {
            sort: shared::reminder::keys::due_sort(due, recipient, &id),
            due,
            recipient: recipient.to_owned(),
            tenant: Tenant { company: company.parse().unwrap(), solution: "main".parse().unwrap() },
            id,
        }
    }

    fn groups(rows: &[DueRow]) -> Groups {
        let mut groups = Groups::default();
        rows.iter().for_each(|row| groups.add(row.clone()));
        groups
    }

    fn names(groups: &mut Groups, count: usize) -> Vec<String> {
        (0..count).map_while(|_| groups.take()).map(|row| row.id.to_string()).collect()
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
        let mut groups = Groups::default();
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

    #[test]
    fn one_recipient_does_not_fill_the_memory() {
        let rows: Vec<DueRow> = (0..250).map(|n| row("a", "x", n, &format!("r{n}"))).collect();
        assert_eq!(groups(&rows).len(), GROUP_MAX);
    }
}
