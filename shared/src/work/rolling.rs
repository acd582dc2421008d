//! Finished activities on their way out: found, read whole, and deleted once their log is acknowledged (SPEC §8).
//!
//! A batch is written down before it is sent. So whoever dies on the way leaves word of what was in it: not
//! acknowledged, it is sent again with the same key; acknowledged, its members are deleted and no more.

use super::codec::{Attributes, Item, Record, n, s, t};
use super::erase::Erased;
use super::links::Link;
use super::list::Phase;
use super::read::ViewParts;
use super::statements::Guard;
use super::{ActivityView, StoreError, WorkStore, attr, keys};
use crate::tenancy::KindEntry;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use rules::activity::Status;
use rules::names::{ActivityId, Tenant};
use rules::rolling::LogKind;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// Sort key of a batch's members.
const BATCH: &str = "BATCH";
/// Sort key of the word that a batch was acknowledged.
const ACKNOWLEDGED: &str = "ACK";
const MEMBERS: &str = "members";
const KEY: &str = "key";
/// Ids have neither a space nor a slash.
const SEPARATOR: char = ' ';

/// A finished activity with everything that belongs to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The activity with its history and its results.
    pub view: ActivityView,
    sort_keys: Vec<String>,
}

/// A batch under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The same whenever it is sent.
    pub key: String,
    /// Its activities.
    pub members: Vec<Member>,
    /// Whether its receiver has it.
    pub is_acknowledged: bool,
}

/// An activity of a batch, and the execution whose log the batch has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which.
    pub id: ActivityId,
    /// Its run.
    pub run: u32,
    /// The instant by which it was finished, Unix milliseconds.
    pub finished: i64,
}

impl Member {
    /// Of an activity as it was read.
    pub fn of(finished: &Finished) -> Self {
        let state = &finished.view.record.state;
        Self {
            id: finished.view.record.id.clone(),
            run: state.run,
            finished: state.executed_at.unwrap_or(state.due).timestamp_millis(),
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.id, self.run, self.finished)
    }
}

impl FromStr for Member {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('/');
        let mut part = || parts.next().ok_or(());
        Ok(Self {
            id: part()?.parse().map_err(drop)?,
            run: part()?.parse().map_err(drop)?,
            finished: part()?.parse().map_err(drop)?,
        })
    }
}

pub(super) fn batch_pk(tenant: &Tenant, kind: LogKind) -> String {
    format!("L#{tenant}#{kind}")
}

impl WorkStore {
    /// Ids of activities in `statuses` that finished by `until`, oldest first, after the sort key `after`;
    /// each with its sort key.
    ///
    /// # Errors
    /// [`StoreError`] when the index cannot be read.
    pub async fn finished_by(
        &self,
        tenant: &Tenant,
        kinds: &[KindEntry],
        statuses: &[Status],
        until: DateTime<Utc>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, ActivityId)>, StoreError> {
        let oldest_first =
            Phase { newest_first: false, ..Phase::done(self.done_partitions(tenant, kinds, statuses)) };
        let rows = self.stride(&oldest_first, after, limit).await?;
        let last = keys::instant(until) + "~";
        let due = rows.into_iter().take_while(|(sort, _)| *sort <= last);
        Ok(due.filter_map(|(sort, pk)| Some((sort, keys::parse_activity(&pk)?.1))).collect())
    }

    /// A finished activity, whole; `None` if it is gone.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn finished(&self, tenant: &Tenant, id: &ActivityId) -> Result<Option<Finished>, StoreError> {
        let items = self.partition(&keys::activity(tenant, id)).await?;
        let mut view = ViewParts::default();
        let mut sort_keys = Vec::with_capacity(items.len());
        for item in items {
            view.add(&item)?;
            sort_keys.push(Attributes::new(&item)?.text(attr::SK)?.to_owned());
        }
        Ok(view.finish().map(|view| Finished { view, sort_keys }))
    }

    /// Deletes a finished activity with everything that belongs to it, if nothing has happened to it since it
    /// was read.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written; the same call may be made again.
    pub async fn roll_away(&self, finished: &Finished) -> Result<Erased, StoreError> {
        let Finished { view, sort_keys } = finished;
        let record = &view.record;
        let link = self.own_link(record).await?;
        let belongings = sort_keys.iter().filter(|sk| *sk != attr::ITEM).cloned().collect();
        self.erase_known(&record.pk(), &guards(record), belongings, link).await
    }

    /// The link from the provider's id, if it leads to this activity alone.
    async fn own_link(&self, record: &Record) -> Result<Option<(String, Guard)>, StoreError> {
        let Some(dispatch) = &record.dispatch else { return Ok(None) };
        let pk = keys::provider(&record.tenant, &dispatch.provider_activity_id);
        let link: Link = self.read_link(&pk).await?;
        let is_own = link.activities() == [record.id.clone()];
        Ok(is_own.then(|| (pk, Guard::Equals(attr::LINKED, s(record.id.as_str())))))
    }

    /// The batch under way, if there is one.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn batch(&self, tenant: &Tenant, kind: LogKind) -> Result<Option<Batch>, StoreError> {
        let (mut batch, mut acknowledged) = (None, None);
        for item in self.partition(&batch_pk(tenant, kind)).await? {
            let read = Attributes::new(&item)?;
            match read.text(attr::SK)? {
                BATCH => {
                    let members = read.text(MEMBERS)?.split(SEPARATOR).map(str::parse);
                    let members: Result<Vec<Member>, ()> = members.collect();
                    batch = Some((read.text(KEY)?.to_owned(), members.map_err(|()| read.error(MEMBERS))?));
                }
                ACKNOWLEDGED => acknowledged = Some(read.text(KEY)?.to_owned()),
                _ => {}
            }
        }
        Ok(batch.map(|(key, members)| Batch {
            is_acknowledged: acknowledged.as_ref() == Some(&key),
            key,
            members,
        }))
    }

    /// Writes down a batch that is about to be sent; `false` if there is another one.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    pub async fn write_batch(
        &self,
        tenant: &Tenant,
        kind: LogKind,
        batch: &Batch,
    ) -> Result<bool, StoreError> {
        let members: Vec<String> = batch.members.iter().map(Member::to_string).collect();
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(attr::PK, s(batch_pk(tenant, kind)))
            .item(attr::SK, s(BATCH))
            .item(KEY, s(&batch.key))
            .item(MEMBERS, s(members.join(&SEPARATOR.to_string())))
            // Our own write, retried by the SDK after it had succeeded, has our key.
            .condition_expression("attribute_not_exists(PK) OR #key = :key")
            .expression_attribute_names("#key", KEY)
            .expression_attribute_values(":key", s(&batch.key));
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|cause| cause.is_conditional_check_failed_exception()) =>
            {
                Ok(false)
            }
            Err(error) => Err(StoreError::from_sdk(error)),
        }
    }

    /// Writes down that a batch's receiver has it.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written; then the batch is sent again.
    pub async fn acknowledge_batch(
        &self,
        tenant: &Tenant,
        kind: LogKind,
        batch: &Batch,
    ) -> Result<(), StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(attr::PK, s(batch_pk(tenant, kind)))
            .item(attr::SK, s(ACKNOWLEDGED))
            .item(KEY, s(&batch.key));
        put.send().await.map_err(StoreError::from_sdk)?;
        Ok(())
    }

    /// Strikes out a batch of which nothing is left to do.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    pub async fn strike_batch(
        &self,
        tenant: &Tenant,
        kind: LogKind,
        batch: &Batch,
    ) -> Result<(), StoreError> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(attr::PK, s(batch_pk(tenant, kind)))
            .key(attr::SK, s(BATCH))
            .condition_expression("#key = :key")
            .expression_attribute_names("#key", KEY)
            .expression_attribute_values(":key", s(&batch.key));
        match delete.send().await {
            Ok(_) => Ok(()),
            // Somebody else has struck it out.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(|cause| cause.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            Err(error) => Err(StoreError::from_sdk(error)),
        }
    }

    /// Every item of a partition, as the last writes left them.
    async fn partition(&self, pk: &str) -> Result<Vec<Item>, StoreError> {
        let (mut found, mut start) = (Vec::new(), None::<HashMap<String, AttributeValue>>);
        loop {
            let output = self
                .client
                .query()
                .table_name(&self.table)
                .consistent_read(true)
                .key_condition_expression("PK = :pk")
                .expression_attribute_values(":pk", s(pk))
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(StoreError::from_sdk)?;
            found.extend(output.items.unwrap_or_default());
            start = output.last_evaluated_key;
            if start.is_none() {
                return Ok(found);
            }
        }
    }
}

/// It is as it was read: a retry by hand, a result, another activity of the same id would each change one of these.
fn guards(record: &Record) -> Vec<Guard> {
    let state = &record.state;
    vec![
        Guard::Missing(attr::TOKEN),
        Guard::Equals(attr::STATUS, s(state.status.as_str())),
        Guard::Equals(attr::RUN, n(state.run)),
        Guard::Equals(attr::CREATED, t(record.created_at)),
        match state.executed_at {
            Some(at) => Guard::Equals(attr::EXECUTED, t(at)),
            None => Guard::Missing(attr::EXECUTED),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_back() {
        let member = Member { id: "rule@1:x".parse().unwrap(), run: 2, finished: 1_700_000_000_123 };
        assert_eq!(member.to_string().parse(), Ok(member));
        for bad in ["", "a", "a/1", "a/x/1", "a b/1/1"] {
            assert_eq!(bad.parse::<Member>(), Err(()), "{bad}");
        }
    }
}
