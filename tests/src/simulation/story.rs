//! Which plan a seed has, and which faults.

use super::faults::Faults;
use super::plan::Plan;
use super::world::World;
use super::{burst, contested, crowd};

impl World {
    /// By the seed, and by lot.
    pub(super) fn plan(&mut self) -> (Plan, Faults) {
        let faults = Faults::of(&mut self.dice);
        // Of its own, so that the other plans stay what they were.
        let mut reborn = self.dice.clone().fork();
        let with_reborn = reborn.chance(250);
        let mut throttled = self.dice.clone().fork().fork();
        let (now, dice) = (self.time.now(), &mut self.dice);
        match self.crowd {
            Some(of) => (crowd::plan(dice, now, of), crowd::faults(&faults)),
            None if burst::is(self.seed) => (burst::plan(dice, now), burst::faults(&faults)),
            None if contested::is(self.seed) => (contested::plan(dice, now), faults),
            None => {
                let plan = Plan::of(dice, now, with_reborn.then_some(&mut reborn));
                (plan, faults.throttled(&mut throttled))
            }
        }
    }
}
