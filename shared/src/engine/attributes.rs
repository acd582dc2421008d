//! Attributes of items: how values are written, and read strictly.

use crate::table::attr;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use std::collections::HashMap;
use std::str::FromStr;

/// An item as the SDK has it.
pub type Item = HashMap<String, AttributeValue>;

/// An item that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("item {pk}: attribute {attribute} is missing or malformed")]
pub struct DecodeError {
    /// The item's partition key.
    pub pk: String,
    /// The attribute.
    pub attribute: &'static str,
}

/// A string attribute.
pub fn s(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A number attribute.
pub fn n(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// An instant as an attribute: Unix milliseconds.
pub fn t(at: DateTime<Utc>) -> AttributeValue {
    n(at.timestamp_millis())
}

/// Reads attributes of one item.
pub struct Attributes<'a> {
    pk: &'a str,
    item: &'a Item,
}

impl<'a> Attributes<'a> {
    /// Reads `item`.
    ///
    /// # Errors
    /// [`DecodeError`] without a partition key.
    pub fn new(item: &'a Item) -> Result<Self, DecodeError> {
        match item.get(attr::PK) {
            Some(AttributeValue::S(pk)) => Ok(Self { pk, item }),
            _ => Err(DecodeError { pk: "?".to_owned(), attribute: attr::PK }),
        }
    }

    /// The item's partition key.
    pub fn pk(&self) -> &'a str {
        self.pk
    }

    /// The error of an attribute that cannot be read.
    pub fn error(&self, attribute: &'static str) -> DecodeError {
        DecodeError { pk: self.pk.to_owned(), attribute }
    }

    /// A string, or none.
    pub fn text_option(&self, attribute: &'static str) -> Result<Option<&'a str>, DecodeError> {
        match self.item.get(attribute) {
            None => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(attribute)),
        }
    }

    /// A string.
    pub fn text(&self, attribute: &'static str) -> Result<&'a str, DecodeError> {
        self.text_option(attribute)?.ok_or_else(|| self.error(attribute))
    }

    /// A string that parses, such as a name.
    pub fn parsed<T: FromStr>(&self, attribute: &'static str) -> Result<T, DecodeError> {
        self.text(attribute)?.parse().map_err(|_| self.error(attribute))
    }

    /// A string that parses, or none.
    pub fn parsed_option<T: FromStr>(&self, attribute: &'static str) -> Result<Option<T>, DecodeError> {
        let parsed = self.text_option(attribute)?.map(str::parse).transpose();
        parsed.map_err(|_| self.error(attribute))
    }

    /// A number, or none.
    pub fn number_option<T: FromStr>(&self, attribute: &'static str) -> Result<Option<T>, DecodeError> {
        match self.item.get(attribute) {
            None => Ok(None),
            Some(AttributeValue::N(text)) => text.parse().map(Some).map_err(|_| self.error(attribute)),
            Some(_) => Err(self.error(attribute)),
        }
    }

    /// A number.
    pub fn number<T: FromStr>(&self, attribute: &'static str) -> Result<T, DecodeError> {
        self.number_option(attribute)?.ok_or_else(|| self.error(attribute))
    }

    /// The shard of the index `done`: its own, or that of `due`.
    pub fn done_shard(&self) -> Result<u32, DecodeError> {
        match self.number_option(attr::DONE_SHARD)? {
            Some(shard) => Ok(shard),
            None => self.number(attr::SHARD),
        }
    }

    /// An instant, or none.
    pub fn instant_option(&self, attribute: &'static str) -> Result<Option<DateTime<Utc>>, DecodeError> {
        let millis: Option<i64> = self.number_option(attribute)?;
        millis.map(|millis| rules::time::from_millis(millis).map_err(|_| self.error(attribute))).transpose()
    }

    /// An instant.
    pub fn instant(&self, attribute: &'static str) -> Result<DateTime<Utc>, DecodeError> {
        self.instant_option(attribute)?.ok_or_else(|| self.error(attribute))
    }
}
