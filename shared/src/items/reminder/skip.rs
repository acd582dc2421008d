//! Skipping the send times that `catchUp` leaves out (SPEC §6): the step and the entries of the history are one
//! transaction, so whoever dies on the way leaves nothing half done, and whoever looks next does the same.

use crate::engine::step::TRIES;
use crate::engine::{StoreError, WorkItem, statements};
use crate::items::reminder::codec::Record;
use crate::items::reminder::history::Entry;
use crate::items::reminder::{Reminder, ReminderStore, keys};
use chrono::{DateTime, Utc};
use rules::recurring::CatchUp;
use rules::reminder::{Event, Missed, Outcome, decide};

/// Most send times skipped in one write: a transaction has at most 100 items, and one is the reminder.
const SKIPS_MAX: usize = 99;
impl ReminderStore {
    /// Skips the next send times of a reminder that are not made up for; the reminder as it stands then.
    ///
    /// `resumed_at` is since when its solution has been running, if that is known.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be written: they are skipped when the processor next looks at it.
    pub async fn skip_missed(
        &self,
        reminder: Reminder,
        resumed_at: Option<DateTime<Utc>>,
    ) -> Result<Reminder, StoreError> {
        let mut found = reminder;
        for _ in 0..TRIES {
            let Reminder { record, definition, outstanding } = &found;
            let (catch_up, times) = (definition.catch_up, &definition.send_times);
            let mut skips = outstanding.skippable(&record.state, catch_up, times, resumed_at);
            skips.truncate(SKIPS_MAX);
            let Some((last, _)) = skips.last().copied() else { break };
            let count = u32::try_from(skips.len()).unwrap_or(u32::MAX);
            let now = rules::time::truncate(self.work.clock.now());
            let event = Event::Skip { last, count, times: &outstanding.times };
            let Ok(step) = decide(&record.state, event, now) else { break };
            let to = self.at(record, step.to, now);
            if self.write_skips(record, &to, catch_up, &skips, now).await? {
                tracing::info!(tenant = %record.tenant, id = %record.id, count, %catch_up, "send times skipped");
                found.record = to;
                continue;
            }
            // Another processor's doing, or our own write, retried by the SDK after it had succeeded.
            let Some(moved) = self.get(&found.record.tenant, &found.record.id).await? else { break };
            found = moved;
        }
        Ok(found)
    }

    /// Writes the step and an entry for each send time skipped, if the reminder is as it was read.
    async fn write_skips(
        &self,
        record: &Record,
        to: &Record,
        catch_up: CatchUp,
        skips: &[(DateTime<Utc>, Missed)],
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let table = &self.work.table;
        let entries = skips.iter().zip(record.state.sequence + 1..).map(|((send_time, missed), sequence)| {
            let entry = Entry {
                at: now,
                outcome: Outcome::Skipped,
                detail: format!("the send time had passed {missed}, and catchUp is {catch_up}"),
                http_status: None,
                duration_ms: 0,
                send_time: *send_time,
                attempt: 0,
            };
            let (pk, sk) = (record.pk(), keys::history(sequence));
            let item = entry.encode(&pk, &sk);
            statements::insert(table, pk, &sk, item)
        });
        let step = statements::step(table, record, to, now);
        Ok(self.work.execute(std::iter::once(step).chain(entries)).await?.is_ok())
    }
}
