//! Merging partitions of an index without reading much more of them than is wanted.

use std::collections::BTreeMap;

/// Rows that each of several partitions is asked for beyond twice its share.
const SHARE_MORE: usize = 4;

/// How many rows a partition is first asked for, where `count` are wanted of `partitions`: twice its share and a few
/// more, since rows are spread by chance.
pub(crate) fn share(count: usize, partitions: usize) -> usize {
    (2 * count).div_ceil(partitions.max(1)).saturating_add(SHARE_MORE).min(count).max(1)
}

/// The first rows of several partitions, as far as they are read.
pub(crate) struct Merge {
    newest_first: bool,
    count: usize,
    /// The first `count` rows of those that were read, in order.
    pub(crate) rows: Vec<(String, String)>,
    /// Partitions that may have more, and the last sort key that was read of each.
    open: BTreeMap<usize, String>,
}

impl Merge {
    pub(crate) fn new(newest_first: bool, count: usize) -> Self {
        Self { newest_first, count, rows: Vec::new(), open: BTreeMap::new() }
    }

    /// Adds what a partition had when it was asked for `wanted` more rows.
    pub(crate) fn add(&mut self, partition: usize, rows: Vec<(String, String)>, wanted: usize) {
        match rows.last() {
            Some((sort, _)) if rows.len() >= wanted => self.open.insert(partition, sort.clone()),
            _ => self.open.remove(&partition),
        };
        self.rows.extend(rows);
        self.rows.sort_unstable();
        self.rows.dedup();
        if self.newest_first {
            self.rows.reverse();
        }
        self.rows.truncate(self.count);
    }

    /// The partitions that may have a row before the last one of these, and where to go on in each.
    pub(crate) fn unfinished(&self) -> Vec<(usize, Option<String>)> {
        let last = self.rows.last().filter(|_| self.rows.len() >= self.count).map(|(sort, _)| sort);
        let may_matter = |sort: &String| match last {
            None => true,
            Some(last) if self.newest_first => sort > last,
            Some(last) => sort < last,
        };
        let open = self.open.iter().filter(|(_, sort)| may_matter(sort));
        open.map(|(partition, sort)| (*partition, Some(sort.clone()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `partitions`, sorted as they are read, as [`crate::engine::WorkStore::stride`] does; with how many rows were read.
    fn stride(
        partitions: &[Vec<(String, String)>],
        newest_first: bool,
        count: usize,
    ) -> (Vec<String>, usize) {
        let share = share(count, partitions.len());
        let mut merge = Merge::new(newest_first, count);
        let mut asked: Vec<(usize, Option<String>)> = (0..partitions.len()).map(|n| (n, None)).collect();
        let mut read = 0;
        while !asked.is_empty() {
            for (number, after) in asked {
                let is_behind = |row: &&(String, String)| match &after {
                    None => true,
                    Some(after) if newest_first => row.0 < *after,
                    Some(after) => row.0 > *after,
                };
                let rows: Vec<_> = partitions[number].iter().filter(is_behind).take(share).cloned().collect();
                read += rows.len();
                merge.add(number, rows, share);
            }
            asked = merge.unfinished();
        }
        (merge.rows.into_iter().map(|(sort, _)| sort).collect(), read)
    }

    /// However rows are spread, the first ones come in order and none is left out.
    #[test]
    fn the_first_rows_come_in_order_however_they_are_spread() {
        for newest_first in [false, true] {
            for partitions in [1, 3, 16, 64] {
                for (rows, spread) in [(0, 1), (5, 7), (300, 1), (300, 7), (300, 100), (2_000, 13)] {
                    let mut all = vec![Vec::new(); partitions];
                    let mut sorts: Vec<String> = (0..rows).map(|n| format!("{n:06}")).collect();
                    if newest_first {
                        sorts.reverse();
                    }
                    for (number, sort) in sorts.iter().enumerate() {
                        // Runs of neighbours in one partition, which is the worst for a merge.
                        all[number / spread % partitions].push((sort.clone(), format!("pk {sort}")));
                    }
                    for count in [1, 25, 100] {
                        let (found, _) = stride(&all, newest_first, count);
                        assert_eq!(found, sorts[..count.min(rows)], "{partitions} {rows} {spread} {count}");
                    }
                }
            }
        }
    }

    /// What is spread by a hash is read once, and not once for each partition.
    #[test]
    fn a_stride_of_many_partitions_reads_little_more_than_it_gives() {
        for partitions in [4_u32, 16, 64] {
            let mut all = vec![Vec::new(); partitions as usize];
            for n in 0..10_000 {
                let shard = rules::due::shard(&format!("order-{n}"), partitions);
                all[shard as usize].push((format!("{n:06}"), String::new()));
            }
            let (found, read) = stride(&all, false, 100);
            assert_eq!(found.len(), 100);
            assert!(read <= 2 * 100 + partitions as usize * (SHARE_MORE + 1), "{partitions}: {read}");
        }
    }
}
