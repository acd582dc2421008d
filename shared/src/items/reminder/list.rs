//! Finding reminders: the indexes say where to look, the items decide.

use crate::engine::StoreError;
use crate::engine::WorkItem;
use crate::engine::fetch::{GET_BATCH_MAX, PAYLOAD_BATCH_MAX};
use crate::engine::scan::{Filling, Phase};
use crate::items::reminder::codec::Record;
use crate::items::reminder::{Definition, Reminder, ReminderStore, keys};
use crate::page::Page;
use crate::table::attr::{ITEM, PAYLOAD, PK};
use crate::tenancy::Shards;
use chrono::{DateTime, Utc};
use rules::names::Tenant;
use rules::recipient::{PhoneNumber, Recipient};
use rules::reminder::{Done, Status};
use std::collections::HashMap;

/// What to find; absent matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// In this status.
    pub status: Option<Status>,
    /// To this phone number, however the reminder spells it.
    pub phone_number: Option<PhoneNumber>,
    /// To this recipient, however the reminder spells it.
    pub recipient: Option<Recipient>,
    /// With a send time at or after this instant.
    pub from: Option<DateTime<Utc>>,
    /// With a send time before or at this instant; together with `from`, one between the two.
    pub to: Option<DateTime<Utc>>,
}

impl Filter {
    fn may_match(&self, record: &Record) -> bool {
        self.status.is_none_or(|status| status == record.state.status)
            && self.from.is_none_or(|from| record.span.1 >= from)
            && self.to.is_none_or(|to| record.span.0 <= to)
    }

    /// The national numbers under which what matches is stored; `None` if any will do.
    fn stored_as(&self) -> Option<Vec<String>> {
        let recipient = self.recipient.as_ref().map(Recipient::stored_as);
        recipient.or_else(|| self.phone_number.as_ref().map(PhoneNumber::stored_as))
    }

    fn matches(&self, definition: &Definition) -> bool {
        let within = |time: &DateTime<Utc>| {
            self.from.is_none_or(|from| *time >= from) && self.to.is_none_or(|to| *time <= to)
        };
        let recipient = definition.recipient();
        definition.send_times.iter().any(within)
            && self.phone_number.as_ref().is_none_or(|number| number.is_of(&recipient))
            && self.recipient.as_ref().is_none_or(|wanted| *wanted == recipient)
    }
}

impl ReminderStore {
    /// A page of the tenant's reminders that match: what is due first comes first; then what is done, newest first.
    ///
    /// `shards` are those of its configuration. A page may be short of `limit`, even empty, and
    /// still have a `next`.
    ///
    /// # Errors
    /// [`StoreError::Cursor`] for a cursor that is none of this list's.
    pub async fn list(
        &self,
        tenant: &Tenant,
        shards: Shards,
        filter: &Filter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Reminder>, StoreError> {
        let phases = phases(tenant, shards, filter);
        let mut page = Filling::begin(&phases, cursor, limit)?;
        while let Some(pks) = page.next(&self.work).await? {
            for part in pks.chunks(PAYLOAD_BATCH_MAX) {
                if page.is_full() {
                    break;
                }
                for reminder in self.matching(part, filter).await? {
                    let bytes = reminder.definition.parameters.len();
                    page.push(&reminder.record.pk(), reminder, bytes);
                }
            }
        }
        Ok(page.finish())
    }

    /// The reminders of `pks` that match, in that order.
    async fn matching(&self, pks: &[String], filter: &Filter) -> Result<Vec<Reminder>, StoreError> {
        let mut records = HashMap::new();
        for item in self.work.items(pks, ITEM, GET_BATCH_MAX).await? {
            let Some(record) = self.work.unreadable.skip(Record::decode(&item)) else { continue };
            if filter.may_match(&record) && !record.is_over(self.work.clock.now()) {
                records.insert(record.pk(), record);
            }
        }
        let kept: Vec<String> = pks.iter().filter(|pk| records.contains_key(*pk)).cloned().collect();
        let mut definitions = HashMap::new();
        for item in self.work.items(&kept, PAYLOAD, PAYLOAD_BATCH_MAX).await? {
            let Some(pk) = item.get(PK).and_then(|pk| pk.as_s().ok()) else { continue };
            let definition = self.work.unreadable.skip(Definition::decode(&item));
            definitions.extend(definition.map(|definition| (pk.clone(), definition)));
        }
        let reminder = |pk: &String| {
            let (record, (definition, outstanding)) = (records.remove(pk)?, definitions.remove(pk)?);
            filter.matches(&definition).then_some(Reminder { record, definition, outstanding })
        };
        Ok(kept.iter().filter_map(reminder).collect())
    }
}

/// The partitions in which all reminders of a tenant stand.
pub(crate) fn phases_of_all(tenant: &Tenant, shards: Shards) -> Vec<Phase> {
    phases(tenant, shards, &Filter::default())
}

/// The partitions in which the matches of `filter` stand, in the order of the list.
fn phases(tenant: &Tenant, shards: Shards, filter: &Filter) -> Vec<Phase> {
    if let Some(numbers) = filter.stored_as() {
        let partition = |number: &String| keys::phone_partition(tenant, number);
        return vec![Phase::object(numbers.iter().map(partition).collect())];
    }
    let mut phases = Vec::new();
    if filter.status.is_none_or(|status| status == Status::Active) {
        phases.push(Phase::due((0..shards.due).map(|shard| keys::due_partition(tenant, shard)).collect()));
    }
    let done: &[Done] = match filter.status {
        None => &Done::ALL,
        Some(Status::Active) => &[Done::Review],
        Some(Status::Completed) => &[Done::Completed],
        Some(Status::Cancelled) => &[Done::Cancelled],
    };
    let partitions = done.iter().flat_map(|done| done_partitions(tenant, *done, shards));
    phases.push(Phase::done(partitions.collect()));
    phases
}

/// The partitions of what is over, of which the log roller removes what has been kept for its time.
pub(crate) fn over_partitions(tenant: &Tenant, shards: Shards) -> Vec<String> {
    let over = [Done::Completed, Done::Cancelled].into_iter();
    over.flat_map(|done| done_partitions(tenant, done, shards)).collect()
}

/// The partitions of what is done; those in which reminders stand that were written before `done` had shards of its own
/// too.
pub(crate) fn done_partitions(tenant: &Tenant, done: Done, shards: Shards) -> impl Iterator<Item = String> {
    (0..shards.done.max(shards.due)).map(move |shard| keys::done_partition(tenant, done, shard))
}
