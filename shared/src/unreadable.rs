//! Stored items that this version cannot read: written by another version, damaged, or by a defect.
//!
//! Where many items are read, one that cannot be decoded is left out, so that it stops no list, no sweep and no deletion
//! of anything else. Each is logged by its key and counted for the metric `UnreadableItems`. A `DELETE` of it removes it.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts unreadable items of one process. Cheap to clone; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Unreadable(Arc<AtomicU64>);

/// An error of reading, which may be about a single item.
pub trait ReadError: Display {
    /// Whether an item was found that cannot be decoded: the same read finds it again.
    fn is_unreadable(&self) -> bool;
}

impl Unreadable {
    /// What was decoded; `None` for an item that could not be, which is logged and counted. The error names its key.
    pub(crate) fn skip<T, E: Display>(&self, decoded: Result<T, E>) -> Option<T> {
        match decoded {
            Ok(value) => Some(value),
            Err(error) => {
                self.0.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "stored item cannot be read; it is left out");
                None
            }
        }
    }

    /// What was read; `None` for an item that cannot be decoded, which is logged and counted. For what is read on behalf of
    /// one of many, so that the others go on.
    ///
    /// # Errors
    /// Any other error.
    pub fn leave_out<T, E: ReadError>(&self, read: Result<T, E>) -> Result<Option<T>, E> {
        match read {
            Err(error) if error.is_unreadable() => Ok(self.skip(Err(error))),
            read => read.map(Some),
        }
    }

    /// How many there were since this was asked for the last time.
    pub fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}
