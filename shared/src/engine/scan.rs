//! Reading the indexes: they say where to look, the items decide.
//!
//! Phases follow one another: what is due, next first; then what is finished,
//! newest first. Within a phase the partitions are merged, so that a cursor is
//! one sort key. Index reads are eventually consistent, so each item is read
//! and matched again.

use crate::engine::merge::{Merge, share};
use crate::engine::{StoreError, WorkStore};
use crate::page::Page;
use crate::table::attr;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::{StreamExt, TryStreamExt, stream};

/// Most items scanned for one page; a filter that matches few gets a short page and a cursor.
pub const SCAN_MAX: usize = 2_000;
/// Items read at a time.
pub(crate) const STRIDE: usize = 100;
/// Partitions of an index read at a time.
const READS_IN_FLIGHT: usize = 32;

/// Partitions of one index that are read as one, in one order.
pub(crate) struct Phase {
    pub(crate) index: &'static str,
    pub(crate) partition_name: &'static str,
    pub(crate) sort_name: &'static str,
    pub(crate) partitions: Vec<String>,
    pub(crate) newest_first: bool,
}

impl Phase {
    /// Of what is due, next first.
    pub(crate) fn due(partitions: Vec<String>) -> Self {
        let (index, partition_name, sort_name) = (attr::DUE_INDEX, attr::DUE_PARTITION, attr::DUE_SORT);
        Self { index, partition_name, sort_name, partitions, newest_first: false }
    }

    /// Of object values, by the keys of what has them.
    pub(crate) fn object(partitions: Vec<String>) -> Self {
        let (index, partition_name, sort_name) = (attr::OBJECT_INDEX, attr::OBJECT_PARTITION, attr::PK);
        Self { index, partition_name, sort_name, partitions, newest_first: false }
    }

    /// Of what is finished, newest first.
    pub(crate) fn done(partitions: Vec<String>) -> Self {
        let (index, partition_name, sort_name) = (attr::DONE_INDEX, attr::DONE_PARTITION, attr::DONE_SORT);
        Self { index, partition_name, sort_name, partitions, newest_first: true }
    }
}

/// Where a walk stands: the phase, and the sort key it has come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) phase: usize,
    pub(crate) after: Option<String>,
}

impl Position {
    pub(crate) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}|{}", self.phase, self.after.as_deref().unwrap_or("")))
    }

    pub(crate) fn decode(cursor: &str) -> Result<Self, StoreError> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| StoreError::Cursor)?;
        let text = String::from_utf8(bytes).map_err(|_| StoreError::Cursor)?;
        let (phase, after) = text.split_once('|').ok_or(StoreError::Cursor)?;
        let after = (!after.is_empty()).then(|| after.to_owned());
        Ok(Self { phase: phase.parse().map_err(|_| StoreError::Cursor)?, after })
    }
}

/// A page that is filled from one phase after the other, until it has its items or its bytes, or [`SCAN_MAX`] items
/// were read for it.
pub(crate) struct Filling<'a, T> {
    phases: &'a [Phase],
    limit: usize,
    /// Before the rows that were read last.
    position: Position,
    /// The rows that were read last, and how many were wanted.
    rows: Vec<(String, String)>,
    want: usize,
    scanned: usize,
    page: Page<T>,
}

impl<'a, T> Filling<'a, T> {
    /// Nothing is read yet.
    ///
    /// # Errors
    /// [`StoreError::Cursor`] for a cursor that is none of this list's.
    pub(crate) fn begin(phases: &'a [Phase], cursor: Option<&str>, limit: usize) -> Result<Self, StoreError> {
        let position = cursor.map(Position::decode).transpose()?.unwrap_or_default();
        let (rows, page) = (Vec::new(), Page::default());
        Ok(Self { phases, limit: limit.max(1), position, rows, want: 0, scanned: 0, page })
    }

    /// The partition keys of the items that may come next; `None` if the page is complete.
    ///
    /// # Errors
    /// [`StoreError`] when the index cannot be read.
    pub(crate) async fn next(&mut self, store: &WorkStore) -> Result<Option<Vec<String>>, StoreError> {
        let position = self.behind_rows();
        let missing = self.limit.saturating_sub(self.page.items.len());
        if missing == 0 || self.is_full() || self.scanned >= SCAN_MAX || position.phase >= self.phases.len() {
            return Ok(None);
        }
        self.want = missing.min(STRIDE);
        self.rows = store.stride(&self.phases[position.phase], position.after.as_deref(), self.want).await?;
        self.scanned += self.rows.len();
        self.position = position;
        Ok(Some(self.rows.iter().map(|(_, pk)| pk.clone()).collect()))
    }

    /// Whether no more items need to be read.
    pub(crate) fn is_full(&self) -> bool {
        self.page.is_full()
    }

    /// Adds the item of `pk`, which is one of the last keys, with about `bytes` bytes.
    pub(crate) fn push(&mut self, pk: &str, item: T, bytes: usize) {
        let sort = self.rows.iter().find(|(_, other)| other == pk).map(|(sort, _)| sort.clone());
        let position = Position { after: sort, ..self.position.clone() };
        self.page.push(item, position.encode(), bytes);
    }

    /// The page.
    pub(crate) fn finish(mut self) -> Page<T> {
        let behind = self.behind_rows();
        self.page.next = match self.is_full() {
            true => self.page.last_position(),
            false => (behind.phase < self.phases.len()).then(|| behind.encode()),
        };
        self.page
    }

    fn behind_rows(&self) -> Position {
        match self.want {
            0 => self.position.clone(),
            want => advance(self.position.clone(), &self.rows, want),
        }
    }
}

impl WorkStore {
    /// The next `count` rows of a phase, merged over its partitions: sort key and partition key of the item.
    ///
    /// Of many partitions each is asked for its share of them alone, since each row read costs; one that may have more
    /// of the rows wanted is asked again.
    pub(crate) async fn stride(
        &self,
        phase: &Phase,
        after: Option<&str>,
        count: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let share = share(count, phase.partitions.len());
        let mut merge = Merge::new(phase.newest_first, count);
        let mut asked: Vec<(usize, Option<String>)> =
            (0..phase.partitions.len()).map(|number| (number, after.map(str::to_owned))).collect();
        while !asked.is_empty() {
            let reads = asked.iter().map(|(number, after)| async move {
                let rows = self.rows(phase, &phase.partitions[*number], after.as_deref(), share).await?;
                Ok::<_, StoreError>((*number, rows))
            });
            let reads: Vec<_> = reads.collect();
            let found: Vec<_> = stream::iter(reads).buffered(READS_IN_FLIGHT).try_collect().await?;
            found.into_iter().for_each(|(number, rows)| merge.add(number, rows, share));
            asked = merge.unfinished();
        }
        Ok(merge.rows)
    }

    async fn rows(
        &self,
        phase: &Phase,
        partition: &str,
        after: Option<&str>,
        count: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(phase.index)
            .scan_index_forward(!phase.newest_first)
            .limit(i32::try_from(count).unwrap_or(i32::MAX))
            .expression_attribute_names("#p", phase.partition_name)
            .expression_attribute_values(":p", AttributeValue::S(partition.to_owned()));
        query = match after {
            None => query.key_condition_expression("#p = :p"),
            Some(after) => query
                .key_condition_expression(if phase.newest_first {
                    "#p = :p AND #s < :s"
                } else {
                    "#p = :p AND #s > :s"
                })
                .expression_attribute_names("#s", phase.sort_name)
                .expression_attribute_values(":s", AttributeValue::S(after.to_owned())),
        };
        let output = query.send().await.map_err(StoreError::from_sdk)?;
        let text = |item: &crate::engine::attributes::Item, name: &str| match item.get(name) {
            Some(AttributeValue::S(text)) => Some(text.clone()),
            _ => None,
        };
        let rows = output.items.unwrap_or_default();
        Ok(rows
            .iter()
            .filter_map(|item| Some((text(item, phase.sort_name)?, text(item, attr::PK)?)))
            .collect())
    }
}

/// Where a walk goes on behind `rows`, of which `want` were asked for.
pub(crate) fn advance(position: Position, rows: &[(String, String)], want: usize) -> Position {
    match rows.last() {
        Some((sort, _)) if rows.len() >= want => Position { after: Some(sort.clone()), ..position },
        _ => Position { phase: position.phase + 1, after: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_back_and_nonsense_is_refused() {
        for after in [None, Some("001700000000123qid|x".to_owned())] {
            let position = Position { phase: 1, after };
            assert_eq!(Position::decode(&position.encode()), Ok(position));
        }
        for bad in ["", "!", "eA", &URL_SAFE_NO_PAD.encode("x|y")] {
            assert_eq!(Position::decode(bad), Err(StoreError::Cursor), "{bad}");
        }
    }
}
