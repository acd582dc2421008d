//! Batches of finished activities on their way out (SPEC §8).
//!
//! A batch is written down before it is sent. So whoever dies on the way leaves a record of what was in it: not
//! acknowledged, it is sent again with the same key; acknowledged, its members are deleted and no more.

use crate::engine::attributes::{Attributes, s};
use crate::engine::{StoreError, WorkStore};
use crate::items::activity::rolling::{Finished, PARTS_BEGIN};
use crate::table::attr;
use rules::names::{ActivityId, Tenant};
use rules::rolling::LogKind;
use std::fmt;
use std::str::FromStr;

/// Sort key of a batch's members.
const BATCH: &str = "BATCH";
/// Sort key of the record that a batch was acknowledged.
const ACKNOWLEDGED: &str = "ACK";
const MEMBERS: &str = "members";
const KEY: &str = "key";
const PART: &str = "part";
/// Ids have neither a space nor a slash.
const SEPARATOR: char = ' ';

/// A batch under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The same whenever it is sent.
    pub key: String,
    /// Its activities.
    pub members: Vec<Member>,
    /// Which part of its one activity it has, if that is a large one.
    pub part: Option<Part>,
    /// Whether its receiver has it.
    pub is_acknowledged: bool,
}

/// A part of a large activity's attempts and results: those between two sort keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// From 1.
    pub number: u32,
    /// The sort key behind which it begins.
    pub after: String,
    /// The sort key with which it ends.
    pub through: String,
    /// Attempts and results in it.
    pub entries: usize,
    /// The same, of all parts before it.
    pub before: usize,
    /// Whether no other part follows.
    pub is_last: bool,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, after, through, entries, before, is_last } = self;
        write!(f, "{number} {after} {through} {entries} {before} {is_last}")
    }
}

impl FromStr for Part {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(SEPARATOR);
        let mut part = || parts.next().ok_or(());
        Ok(Self {
            number: part()?.parse().map_err(drop)?,
            after: part()?.to_owned(),
            through: part()?.to_owned(),
            entries: part()?.parse().map_err(drop)?,
            before: part()?.parse().map_err(drop)?,
            is_last: part()?.parse().map_err(drop)?,
        })
    }
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

pub(crate) fn batch_pk(tenant: &Tenant, kind: LogKind) -> String {
    format!("L#{tenant}#{kind}")
}

impl WorkStore {
    /// The batch under way, if there is one. One that cannot be decoded is removed: its activities go in another.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn batch(&self, tenant: &Tenant, kind: LogKind) -> Result<Option<Batch>, StoreError> {
        match self.unreadable.leave_out(self.written_batch(tenant, kind).await)? {
            Some(batch) => Ok(batch),
            None => {
                self.erase_belongings(&batch_pk(tenant, kind), "").await?;
                Ok(None)
            }
        }
    }

    async fn written_batch(&self, tenant: &Tenant, kind: LogKind) -> Result<Option<Batch>, StoreError> {
        let (mut batch, mut acknowledged) = (None, None);
        let (items, _) = self.page(&batch_pk(tenant, kind), PARTS_BEGIN).await?;
        for item in items {
            let read = Attributes::new(&item)?;
            match read.text(attr::SK)? {
                BATCH => {
                    let members = read.text(MEMBERS)?.split(SEPARATOR).map(str::parse);
                    let members: Result<Vec<Member>, ()> = members.collect();
                    let part = read.text_option(PART)?.map(str::parse).transpose();
                    batch = Some((
                        read.text(KEY)?.to_owned(),
                        members.map_err(|()| read.error(MEMBERS))?,
                        part.map_err(|()| read.error(PART))?,
                    ));
                }
                ACKNOWLEDGED => acknowledged = Some(read.text(KEY)?.to_owned()),
                _ => {}
            }
        }
        Ok(batch.map(|(key, members, part)| Batch {
            is_acknowledged: acknowledged.as_ref() == Some(&key),
            key,
            members,
            part,
        }))
    }

    /// Writes down a batch that is about to be sent; `false` if there is another one than `previous`.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    pub async fn write_batch(
        &self,
        tenant: &Tenant,
        kind: LogKind,
        batch: &Batch,
        previous: Option<&Batch>,
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
            .condition_expression("attribute_not_exists(PK) OR #key = :key OR #key = :previous")
            .expression_attribute_names("#key", KEY)
            .expression_attribute_values(":key", s(&batch.key))
            .expression_attribute_values(":previous", s(&previous.unwrap_or(batch).key));
        let put = match &batch.part {
            Some(part) => put.item(PART, s(part.to_string())),
            None => put,
        };
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_back() {
        let part = Part {
            number: 2,
            after: PARTS_BEGIN.to_owned(),
            through: "R#a:1@x".to_owned(),
            entries: 4,
            before: 7,
            is_last: true,
        };
        assert_eq!(part.to_string().parse(), Ok(part));
        for bad in ["", "1 ! R#a 4 7", "x ! R#a 4 7 true", "1 ! R#a 4 7 yes"] {
            assert_eq!(bad.parse::<Part>(), Err(()), "{bad}");
        }
    }

    #[test]
    fn members_are_read_back() {
        let member = Member { id: "rule@1:x".parse().unwrap(), run: 2, finished: 1_700_000_000_123 };
        assert_eq!(member.to_string().parse(), Ok(member));
        for bad in ["", "a", "a/1", "a/x/1", "a b/1/1"] {
            assert_eq!(bad.parse::<Member>(), Err(()), "{bad}");
        }
    }
}
