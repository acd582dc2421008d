//! Over how many partitions of an index work is spread.

/// Partitions of the due index a new type gets, where `PUNCTUAL_DUE_SHARDS` says nothing.
pub const DEFAULT_DUE_SHARDS: u32 = 4;
/// Most partitions of the due index a type may have.
pub const DUE_SHARDS_MAX: u32 = 64;
/// Partitions of the index of finished work for each status of a solution, where `PUNCTUAL_DONE_SHARDS` says nothing.
pub const DEFAULT_DONE_SHARDS: u32 = 16;
/// Most partitions of the index of finished work for each status of a solution.
pub const DONE_SHARDS_MAX: u32 = 256;

/// Over how many partitions of the indexes what one kind makes is spread. Never lowered: items stay where they were
/// put, and whoever reads them reads as many partitions as were ever written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shards {
    /// Of `due`, for each kind: what waits.
    pub due: u32,
    /// Of `done`, for each solution and status: what is finished.
    pub done: u32,
}

impl Shards {
    /// The larger of both, in each index.
    pub fn max(self, other: Self) -> Self {
        Self { due: self.due.max(other.due), done: self.done.max(other.done) }
    }
}
