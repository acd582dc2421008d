//! Deleting an item with all that belongs to it.

use crate::engine::batcher::Outcome;
use crate::engine::guard::Guard;
use crate::engine::partition::sort_key;
use crate::engine::statements;
use crate::engine::transaction::TRANSACTION_MAX;
use crate::engine::{StoreError, WorkStore};
use crate::table::attr;
use aws_sdk_dynamodb::types::TransactWriteItem;

/// Most of its belongings that are deleted in one transaction. A page of them is 1 MB at most, and a transaction may
/// be of 4 MB.
const PART_MAX: usize = 90;

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    /// It is gone, now or before.
    Yes,
    /// It is no longer as it must be to be deleted; it stays.
    Kept,
}

impl WorkStore {
    /// Deletes the item of `pk`, if `guards` hold, and with it everything in its partition.
    ///
    /// One transaction, so that nothing is left without its item. Of a partition too large for that, belongings go
    /// first, a part at a time, each while `guards` hold: whoever dies on the way leaves an item that can be deleted
    /// again.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read or written; the same call may be made again.
    pub(crate) async fn erase(&self, pk: &str, guards: &[Guard]) -> Result<Erased, StoreError> {
        self.erase_with(pk, guards, &[], None).await
    }

    /// The same while `checks` hold too, which are conditions on other items; in the transaction that ends it goes the
    /// item `elsewhere`, which has to be as its guard says.
    ///
    /// # Errors
    /// As [`WorkStore::erase`].
    pub(crate) async fn erase_with(
        &self,
        pk: &str,
        guards: &[Guard],
        checks: &[TransactWriteItem],
        mut elsewhere: Option<(String, Guard)>,
    ) -> Result<Erased, StoreError> {
        loop {
            let (belongings, more) = self.belongings(pk, "").await?;
            if !more && checks.is_empty() {
                return self.erase_known(pk, guards, belongings, elsewhere).await;
            }
            let mut writes = checks.to_vec();
            if !more {
                writes.push(self.delete(pk, attr::ITEM, guards));
                writes.extend(elsewhere.take().map(|(pk, guard)| self.delete(&pk, attr::ITEM, &[guard])));
            } else if !guards.is_empty() {
                writes.push(self.check(pk, guards));
            }
            writes.extend(belongings.iter().map(|sk| self.delete(pk, sk, &[])));
            let erased = self.erase_all(writes).await?;
            if !more || erased == Erased::Kept {
                return Ok(erased);
            }
        }
    }

    /// Deletes what was written just now and must not be, if `guards` hold, with the few items beside it: one
    /// transaction.
    ///
    /// # Errors
    /// As [`WorkStore::erase`].
    pub(crate) async fn take_back(&self, pk: &str, guards: &[Guard]) -> Result<Erased, StoreError> {
        let (belongings, _) = self.belongings(pk, "").await?;
        let mut writes = vec![self.delete(pk, attr::ITEM, guards)];
        writes.extend(belongings.iter().map(|sk| self.delete(pk, sk, &[])));
        self.erase_all(writes).await
    }

    /// Deletes what lies in `pk` under sort keys that begin with `prefix`, whatever else there is.
    ///
    /// # Errors
    /// As [`WorkStore::erase`].
    pub(crate) async fn erase_belongings(&self, pk: &str, prefix: &str) -> Result<(), StoreError> {
        loop {
            let (belongings, more) = self.belongings(pk, prefix).await?;
            if !belongings.is_empty() {
                self.erase_all(belongings.iter().map(|sk| self.delete(pk, sk, &[])).collect()).await?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// The same where the other sort keys of its partition are known; with it goes the item `elsewhere`,
    /// which has to be as its guard says.
    ///
    /// # Errors
    /// As [`WorkStore::erase`].
    pub(crate) async fn erase_known(
        &self,
        pk: &str,
        guards: &[Guard],
        mut belongings: Vec<String>,
        elsewhere: Option<(String, Guard)>,
    ) -> Result<Erased, StoreError> {
        if belongings.is_empty() && elsewhere.is_none() {
            let delete = statements::delete(&self.table, pk.to_owned(), guards);
            return Ok(match self.batcher.run(delete).await? {
                Outcome::Applied(_) | Outcome::Lost(None) => Erased::Yes,
                Outcome::Lost(Some(_)) | Outcome::Duplicate => Erased::Kept,
            });
        }
        // Beside the item and the one elsewhere.
        while belongings.len() > TRANSACTION_MAX - 2 {
            let part = belongings.drain(..(TRANSACTION_MAX - 2).min(belongings.len())).collect::<Vec<_>>();
            let deletes = part.iter().map(|sk| self.delete(pk, sk, &[])).collect();
            self.erase_all(deletes).await?;
        }
        let mut deletes = vec![self.delete(pk, attr::ITEM, guards)];
        deletes.extend(belongings.iter().map(|sk| self.delete(pk, sk, &[])));
        deletes.extend(elsewhere.map(|(pk, guard)| self.delete(&pk, attr::ITEM, &[guard])));
        self.erase_all(deletes).await
    }

    /// All of `writes`, or none: then a guard did not hold.
    pub(crate) async fn erase_all(&self, writes: Vec<TransactWriteItem>) -> Result<Erased, StoreError> {
        match self.transact(writes).await? {
            Ok(()) => Ok(Erased::Yes),
            Err(canceled) if canceled.is_refused() => Ok(Erased::Kept),
            Err(_) => Err(StoreError::Throttled),
        }
    }

    /// Some sort keys of `pk` that begin with `prefix`, apart from the item itself; and whether there may be more.
    async fn belongings(&self, pk: &str, prefix: &str) -> Result<(Vec<String>, bool), StoreError> {
        let query = self.query_of(pk, prefix).limit(PART_MAX as i32).projection_expression("SK");
        let output = query.send().await.map_err(StoreError::from_sdk)?;
        let keys =
            output.items.unwrap_or_default().iter().map(sort_key).filter(|sk| sk != attr::ITEM).collect();
        Ok((keys, output.last_evaluated_key.is_some()))
    }
}
