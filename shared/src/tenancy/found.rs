//! What a deletion finds. An item that this version cannot decode is deleted all the same: its key says what it is.

use super::change::{ChangeError, When};
use super::item::{DecodeError, Item, Key, REVISION, Reader};
use super::{Tenancy, TenancyError};
use serde::Serialize;
use serde_json::{Value, json};

/// An item that is to be deleted.
pub(super) struct Found<T> {
    /// `None` where the item cannot be decoded.
    pub(super) value: Option<T>,
    /// The item.
    pub(super) item: Item,
}

impl<T> Found<T> {
    /// How often it was changed; `None` where even that cannot be read.
    pub(super) fn revision(&self) -> Option<u64> {
        revision(&self.item)
    }

    /// The condition under which it is deleted.
    pub(super) fn when(&self) -> When {
        unchanged(&self.item)
    }

    /// # Errors
    /// [`ChangeError::Conflict`] if a revision is given and it has another one.
    pub(super) fn check(&self, marked: Option<u64>) -> Result<(), ChangeError> {
        match marked {
            Some(_) if marked != self.revision() => Err(ChangeError::contended()),
            _ => Ok(()),
        }
    }

    /// What the audit log says was deleted: of an item that cannot be decoded what its key says, `name` in the field `what`.
    pub(super) fn audited(
        &self,
        what: &str,
        name: impl Serialize,
        audited: impl Fn(&T) -> Value,
    ) -> Option<Value> {
        Some(self.value.as_ref().map_or_else(|| json!({what: name, "unreadable": true}), audited))
    }
}

/// How often an item was changed; `None` where that cannot be read.
pub(super) fn revision(item: &Item) -> Option<u64> {
    Reader::new("item", item).number(REVISION).ok()
}

/// That an item is as it was read, as far as its revision can be read.
pub(super) fn unchanged(item: &Item) -> When {
    revision(item).map_or(When::Exists, When::Revision)
}

impl Tenancy {
    /// The item of `key`, read past every cache, whether or not it can be decoded.
    pub(super) async fn found<T>(
        &self,
        operation: &'static str,
        key: &Key,
        decode: impl Fn(&Item) -> Result<T, DecodeError>,
    ) -> Result<Option<Found<T>>, TenancyError> {
        let Some(item) = self.read(operation, key).await? else { return Ok(None) };
        let value = match decode(&item) {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::warn!(%error, "stored item that cannot be read is deleted");
                None
            }
        };
        Ok(Some(Found { value, item }))
    }
}
