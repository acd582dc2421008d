//! What a deletion finds. An item that this version cannot decode is deleted all the same: its key says what it is.

use super::change::{ChangeError, Meta, When};
use super::error::Operation;
use super::item::{CREATED_AT, DELETING, DecodeError, Item, Key, REVISION, Reader};
use super::{Tenancy, TenancyError};
use rules::parent::{Finish, finish};
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
    /// When it was made, and how often it was changed, as far as that can be read.
    pub(super) fn meta(&self) -> Meta {
        meta(&self.item)
    }

    /// The condition under which it is deleted.
    pub(super) fn when(&self) -> When {
        When::unchanged(self.meta())
    }

    /// # Errors
    /// [`ChangeError::Conflict`] if it is not as it was when it was `marked`, where it was.
    pub(super) fn check(&self, marked: Option<Meta>) -> Result<(), ChangeError> {
        match marked {
            Some(marked) if finish(marked.stored(), Some(self.meta().stored())) != Finish::Delete => {
                Err(ChangeError::contended())
            }
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

/// When an item was made, and how often it was changed, as far as that can be read; else as in [`Meta::default`].
pub(super) fn meta(item: &Item) -> Meta {
    let reader = Reader::new("item", item);
    Meta {
        created_at: reader.time(CREATED_AT).unwrap_or_default(),
        revision: reader.number(REVISION).unwrap_or_default(),
        deleting: reader.has(DELETING),
        ..Meta::default()
    }
}

impl Tenancy {
    /// The item of `key`, read past every cache, whether or not it can be decoded.
    pub(super) async fn found<T>(
        &self,
        operation: impl Into<Operation>,
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
