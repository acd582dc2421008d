//! Whose turn it is in a sweep.

use super::slice::{Held, Slice};
use rules::names::{CompanyName, Tenant};
use rules::qos::{Levels, TenantTurns};
use std::collections::{BTreeMap, VecDeque};

/// Whose turn it is: solutions by their levels, a solution's slices in a ring.
#[derive(Default)]
pub(super) struct Turns {
    tenants: TenantTurns,
    slices: BTreeMap<Tenant, VecDeque<String>>,
    held: BTreeMap<String, Held>,
}

impl Turns {
    pub(super) fn add(&mut self, held: Held, levels: Levels) {
        let Slice { tenant, partition, .. } = held.slice().clone();
        self.tenants.set(&tenant, levels);
        self.slices.entry(tenant).or_default().push_back(partition.clone());
        self.held.insert(partition, held);
    }

    /// The slices of the next `count` turns in order, and each of them with the number of its turns.
    pub(super) fn next(&mut self, count: usize) -> (Vec<String>, Vec<(Held, usize)>) {
        let mut order: Vec<String> = Vec::new();
        for _ in 0..count {
            let Some(tenant) = self.tenants.turn() else { break };
            let Some(ring) = self.slices.get_mut(&tenant) else { break };
            let Some(partition) = ring.pop_front() else { break };
            ring.push_back(partition.clone());
            order.push(partition);
        }
        let mut slots: BTreeMap<&String, usize> = BTreeMap::new();
        order.iter().for_each(|partition| *slots.entry(partition).or_default() += 1);
        let hands = slots
            .into_iter()
            .filter_map(|(partition, slots)| self.held.remove(partition).map(|held| (held, slots)))
            .collect();
        (order, hands)
    }

    /// Slices that are held: in all, and of each company that has some.
    pub(super) fn held(&self) -> (usize, BTreeMap<CompanyName, usize>) {
        let mut by_company = BTreeMap::new();
        for (tenant, ring) in &self.slices {
            *by_company.entry(tenant.company.clone()).or_default() += ring.len();
        }
        (self.held.len(), by_company)
    }

    pub(super) fn give_back(&mut self, held: Held) {
        self.held.insert(held.slice().partition.clone(), held);
    }

    /// Takes out a slice, and with the last one its solution.
    pub(super) fn forget(&mut self, held: &Held) {
        let Slice { tenant, partition, .. } = held.slice();
        let Some(ring) = self.slices.get_mut(tenant) else { return };
        ring.retain(|other| other != partition);
        if !ring.is_empty() {
            return;
        }
        self.slices.remove(tenant);
        self.tenants.remove(tenant);
    }

    /// Takes out the slices of which nothing is left to read.
    pub(super) fn exhausted(&mut self) -> Vec<Held> {
        let done: Vec<Held> =
            self.held.extract_if(.., |_, held| held.is_exhausted()).map(|(_, held)| held).collect();
        done.iter().for_each(|held| self.forget(held));
        done
    }

    pub(super) fn into_held(self) -> impl Iterator<Item = Held> {
        self.held.into_values()
    }
}
