//! The end of the demo: what came out, and whether it is what should have.

use super::log::Log;
use super::receiver::Proof;
use super::story::Ending;
use anyhow::bail;

/// Lateness that the story allows for, on a machine that does other things too.
const LATE_MILLIS_MAX: i64 = 1_000;

/// Figures over all arrivals.
#[derive(Debug, Default, PartialEq)]
pub struct Summary {
    pub delivered: usize,
    pub retried: usize,
    pub dead_letters: usize,
    pub cancelled: usize,
    /// Messages of reminders.
    pub messages: usize,
    /// Calls that arrived, and how many showed where they come from as they should.
    pub calls: usize,
    pub proven: usize,
    /// Milliseconds, sorted, of the calls that had a time.
    lateness: Vec<i64>,
}

impl Summary {
    /// Adds up what arrived and how the activities ended.
    pub fn of(log: &Log, endings: &[Ending]) -> Self {
        let arrivals = log.arrivals();
        let with = |status| endings.iter().filter(|ending| ending.status == status).count();
        let mut lateness: Vec<_> =
            arrivals.iter().filter_map(|(_, late)| Some((*late)?.num_milliseconds())).collect();
        lateness.sort_unstable();
        Self {
            delivered: with("DISPATCHED") + with("COMPLETED"),
            retried: arrivals.iter().filter(|(arrival, _)| arrival.attempt > 1).count(),
            dead_letters: with("FAILED"),
            cancelled: with("CANCELED"),
            messages: arrivals.iter().filter(|(arrival, _)| arrival.by == Proof::NotificationKey).count(),
            calls: arrivals.len(),
            proven: arrivals.iter().filter(|(arrival, _)| arrival.proven).count(),
            lateness,
        }
    }

    /// The table.
    pub fn print(&self) {
        println!("\n  delivered       {:>6}", self.delivered);
        println!("  retried         {:>6}", self.retried);
        println!("  dead letters    {:>6}", self.dead_letters);
        println!("  cancelled       {:>6}", self.cancelled);
        println!("  reminders sent  {:>6}", self.messages);
        println!("  signature, key  {:>6} ok of {} calls", self.proven, self.calls);
        println!("  lateness p50    {:>6} ms", self.middle());
        println!("  lateness max    {:>6} ms", self.lateness.last().unwrap_or(&0));
    }

    fn middle(&self) -> i64 {
        self.lateness.get(self.lateness.len() / 2).copied().unwrap_or_default()
    }

    /// Whether all came out as the story has it.
    ///
    /// # Errors
    /// The first thing that did not.
    pub fn check(&self, log: &Log, endings: &[Ending]) -> anyhow::Result<()> {
        let arrivals = log.arrivals();
        for ending in endings {
            let id = ending.path.rsplit('/').next().unwrap_or_default();
            let calls = arrivals.iter().filter(|(arrival, _)| arrival.activity == id).count();
            if calls != ending.calls {
                bail!("{id} was called {calls} times, not {}", ending.calls);
            }
        }
        if self.proven != self.calls {
            bail!("{} calls were not signed as they should be", self.calls - self.proven);
        }
        if self.messages != 1 {
            bail!("{} reminders were sent, not 1", self.messages);
        }
        match (self.lateness.first(), self.lateness.last()) {
            (Some(early), _) if *early < -1 => bail!("a call came {} ms early", -early),
            (_, Some(late)) if *late > LATE_MILLIS_MAX => bail!("a call came {late} ms late"),
            _ => Ok(()),
        }
    }
}
