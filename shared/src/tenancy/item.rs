//! Attributes of items: written by [`Writer`], read strictly by [`Reader`].

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

pub(super) const PK: &str = "PK";
pub(super) const SK: &str = "SK";
/// Counts the changes of an item: every change is conditional on it.
pub(super) const REVISION: &str = "revision";
/// Of a parent that is being deleted ([`rules::parent`]).
pub(super) const DELETING: &str = "deleting";
pub(super) const CREATED_AT: &str = "createdAt";
pub(super) const UPDATED_AT: &str = "updatedAt";
pub(super) const QOS_LEVEL: &str = "qosLevel";
/// The time to live of the configuration table, in Unix seconds.
pub(crate) const EXPIRES_AT: &str = "expiresAt";

/// An item as DynamoDB has it.
pub type Item = HashMap<String, AttributeValue>;

/// An item of the table does not have the form this version writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{item} {key:?}: attribute {attribute} {reason}")]
pub struct DecodeError {
    item: &'static str,
    key: String,
    attribute: &'static str,
    reason: String,
}

/// Where an item lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub(super) pk: String,
    pub(super) sk: String,
}

impl Key {
    pub(super) fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    pub(super) fn attributes(&self) -> Item {
        Item::from([
            (PK.to_owned(), AttributeValue::S(self.pk.clone())),
            (SK.to_owned(), AttributeValue::S(self.sk.clone())),
        ])
    }
}

/// Builds an item.
pub(super) struct Writer(Item);

impl Writer {
    pub(super) fn new(key: &Key) -> Self {
        Self(key.attributes())
    }

    pub(super) fn text(mut self, name: &str, value: impl Display) -> Self {
        self.0.insert(name.to_owned(), AttributeValue::S(value.to_string()));
        self
    }

    pub(super) fn optional_text(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    pub(super) fn number(mut self, name: &str, value: impl Display) -> Self {
        self.0.insert(name.to_owned(), AttributeValue::N(value.to_string()));
        self
    }

    pub(super) fn optional_number(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.number(name, value),
            None => self,
        }
    }

    /// A time, as milliseconds since the epoch.
    pub(super) fn time(self, name: &str, value: DateTime<Utc>) -> Self {
        self.number(name, value.timestamp_millis())
    }

    /// When DynamoDB removes the item: `retention` after `from`, or never.
    pub(super) fn expires(self, from: DateTime<Utc>, retention: Option<TimeDelta>) -> Self {
        let at = retention.and_then(|retention| from.checked_add_signed(retention));
        self.optional_number(EXPIRES_AT, at.map(|at| at.timestamp()))
    }

    pub(super) fn texts(mut self, name: &str, values: impl IntoIterator<Item = impl Display>) -> Self {
        let values = values.into_iter().map(|value| AttributeValue::S(value.to_string())).collect();
        self.0.insert(name.to_owned(), AttributeValue::L(values));
        self
    }

    pub(super) fn finish(self) -> Item {
        self.0
    }
}

/// Reads an item, naming what is not as it must be.
pub(super) struct Reader<'a> {
    what: &'static str,
    item: &'a Item,
}

impl<'a> Reader<'a> {
    pub(super) fn new(what: &'static str, item: &'a Item) -> Self {
        Self { what, item }
    }

    pub(super) fn error(&self, attribute: &'static str, reason: impl Into<String>) -> DecodeError {
        let part = |name| self.item.get(name).and_then(|value| value.as_s().ok());
        let (pk, sk) = (part(PK), part(SK));
        let key = format!("{} {}", pk.map_or("", String::as_str), sk.map_or("", String::as_str));
        DecodeError { item: self.what, key, attribute, reason: reason.into() }
    }

    pub(super) fn has(&self, name: &'static str) -> bool {
        self.item.contains_key(name)
    }

    pub(super) fn text(&self, name: &'static str) -> Result<&'a str, DecodeError> {
        let value = self.item.get(name).ok_or_else(|| self.error(name, "is missing"))?;
        Ok(value.as_s().map_err(|_| self.error(name, "is no string"))?)
    }

    /// A string that is the text of something.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<T, DecodeError> {
        self.text(name)?.parse().map_err(|error: T::Err| self.error(name, error.to_string()))
    }

    pub(super) fn optional_text(&self, name: &'static str) -> Result<Option<String>, DecodeError> {
        self.has(name).then(|| self.text(name).map(str::to_owned)).transpose()
    }

    pub(super) fn number<T: FromStr>(&self, name: &'static str) -> Result<T, DecodeError> {
        let value = self.item.get(name).ok_or_else(|| self.error(name, "is missing"))?;
        let digits = value.as_n().map_err(|_| self.error(name, "is no number"))?;
        digits.parse().map_err(|_| self.error(name, "is a number of another kind"))
    }

    pub(super) fn time(&self, name: &'static str) -> Result<DateTime<Utc>, DecodeError> {
        rules::time::from_millis(self.number(name)?).map_err(|error| self.error(name, error.to_string()))
    }

    pub(super) fn optional_time(&self, name: &'static str) -> Result<Option<DateTime<Utc>>, DecodeError> {
        self.has(name).then(|| self.time(name)).transpose()
    }

    /// A string that is JSON.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, name: &'static str) -> Result<T, DecodeError> {
        serde_json::from_str(self.text(name)?).map_err(|error| self.error(name, error.to_string()))
    }

    pub(super) fn parsed_list<T: FromStr<Err: Display>>(
        &self,
        name: &'static str,
    ) -> Result<Vec<T>, DecodeError> {
        let value = self.item.get(name).ok_or_else(|| self.error(name, "is missing"))?;
        let list = value.as_l().map_err(|_| self.error(name, "is no list"))?;
        list.iter()
            .map(|value| {
                let text = value.as_s().map_err(|_| self.error(name, "holds what is no string"))?;
                text.parse().map_err(|error: T::Err| self.error(name, error.to_string()))
            })
            .collect()
    }
}
