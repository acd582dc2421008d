//! Leases: who may work on something alone, for a while.
//!
//! A lease is one item of the config table, `LEASE#{name}`. Taking it raises
//! its fence; what its holder writes under the lease is conditional on that
//! number, so a holder that was frozen past its time cannot write any more
//! (Kleppmann, "How to do distributed locking", 2016). A few values live on the
//! item itself, so that letting go and noting how far one came are one write.

use crate::clock::SharedClock;
use crate::engine::StoreError;
use crate::entropy::SharedEntropy;
use crate::settings::Settings;
use crate::tenancy::EXPIRES_AT;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, HashMap};

/// Values kept on the lease's item. Names of one's own; those below are the lease's.
pub type Values = HashMap<String, AttributeValue>;

const SORT: &str = "LEASE";
const FENCE: &str = "fence";
const HOLDER: &str = "holder";
const UNTIL: &str = "until";

/// A lease that is held.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    name: String,
    /// Rises with each holder.
    pub fence: u64,
    /// When it runs out unless renewed.
    pub until: DateTime<Utc>,
    /// The values on the item when it was taken.
    pub values: Values,
}

/// The leases of the config table.
#[derive(Clone)]
pub struct Leases {
    client: Client,
    table: String,
    retention: Option<TimeDelta>,
    clock: SharedClock,
    entropy: SharedEntropy,
}

impl Leases {
    /// Leases kept in the configuration table of `settings`.
    pub fn new(client: Client, settings: &Settings, clock: SharedClock, entropy: SharedEntropy) -> Self {
        let (table, retention) = (settings.config_table.clone(), settings.retention());
        Self { client, table, retention, clock, entropy }
    }

    /// When the item of `name` expires unless it is taken again: one of a tenant's, of which there is no end. The others are
    /// few, and what was written under their fences is compared with it for ever.
    fn expires(&self, name: &str) -> Option<AttributeValue> {
        let at = self.clock.now().checked_add_signed(self.retention.filter(|_| name.contains('/'))?)?;
        Some(AttributeValue::N(at.timestamp().to_string()))
    }

    /// Takes the lease `name` for `ttl`; `None` at once while another holds it.
    ///
    /// # Errors
    /// [`StoreError`] when the table cannot be written.
    pub async fn acquire(&self, name: &str, ttl: TimeDelta) -> Result<Option<Lease>, StoreError> {
        let (now, holder) = (self.clock.now(), self.entropy.uuid_v7(self.clock.now()).to_string());
        let until = rules::time::truncate(now + ttl);
        let expires = self.expires(name);
        let and_expires = if expires.is_some() { ", #expires = :expires" } else { "" };
        let mut update = self.update(name);
        if let Some(expires) = expires {
            update = update
                .expression_attribute_names("#expires", EXPIRES_AT)
                .expression_attribute_values(":expires", expires);
        }
        let written = update
            .update_expression(format!("SET #holder = :holder, #until = :until{and_expires} ADD #fence :one"))
            .condition_expression("attribute_not_exists(#until) OR #until < :now")
            .expression_attribute_names("#holder", HOLDER)
            .expression_attribute_names("#until", UNTIL)
            .expression_attribute_names("#fence", FENCE)
            .expression_attribute_values(":holder", AttributeValue::S(holder.clone()))
            .expression_attribute_values(":until", millis(until))
            .expression_attribute_values(":now", millis(now))
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        let item = match written {
            Ok(output) => output.attributes,
            Err(error) => match error.as_service_error() {
                Some(cause) if cause.is_conditional_check_failed_exception() => {
                    // Our own write, retried by the SDK after it had succeeded, carries our holder's name.
                    let item = lost_item(error);
                    item.filter(|item| item.get(HOLDER) == Some(&AttributeValue::S(holder.clone())))
                }
                _ => return Err(StoreError::from_sdk(error)),
            },
        };
        Ok(item.map(|values| Lease { name: name.to_owned(), fence: fence(&values), until, values }))
    }

    /// Holds `lease` for `ttl` from now on; `false` if it is no longer ours.
    ///
    /// # Errors
    /// [`StoreError`] when the table cannot be written.
    pub async fn renew(&self, lease: &mut Lease, ttl: TimeDelta) -> Result<bool, StoreError> {
        let until = rules::time::truncate(self.clock.now() + ttl);
        let written = self
            .update(&lease.name)
            .update_expression("SET #until = :until")
            .condition_expression("#fence = :fence AND attribute_exists(#until)")
            .expression_attribute_names("#until", UNTIL)
            .expression_attribute_names("#fence", FENCE)
            .expression_attribute_values(":until", millis(until))
            .expression_attribute_values(":fence", AttributeValue::N(lease.fence.to_string()))
            .send()
            .await;
        let renewed = held(written.map(|_| ()))?;
        if renewed {
            lease.until = until;
        }
        Ok(renewed)
    }

    /// Lets go of `lease` and sets `values` on its item; `false`, and nothing written, if it is no longer ours.
    ///
    /// # Errors
    /// [`StoreError`] when the table cannot be written.
    pub async fn release(&self, lease: Lease, values: Values) -> Result<bool, StoreError> {
        let mut sets: Vec<String> = Vec::new();
        let mut update = self.update(&lease.name);
        // In one order, so that the same values make the same request (ARCHITECTURE.md, "The simulation").
        for (number, (name, value)) in BTreeMap::from_iter(values).into_iter().enumerate() {
            sets.push(format!("#v{number} = :v{number}"));
            update = update
                .expression_attribute_names(format!("#v{number}"), name)
                .expression_attribute_values(format!(":v{number}"), value);
        }
        let set = if sets.is_empty() { String::new() } else { format!("SET {} ", sets.join(", ")) };
        let written = update
            .update_expression(format!("{set}REMOVE #holder, #until"))
            .condition_expression("#fence = :fence")
            .expression_attribute_names("#holder", HOLDER)
            .expression_attribute_names("#until", UNTIL)
            .expression_attribute_names("#fence", FENCE)
            .expression_attribute_values(":fence", AttributeValue::N(lease.fence.to_string()))
            .send()
            .await;
        held(written.map(|_| ()))
    }

    /// Sets one value on the item of `name`, whoever holds the lease: a word to its next holder.
    ///
    /// # Errors
    /// [`StoreError`] when the table cannot be written.
    pub async fn leave_word(&self, name: &str, value: (&str, AttributeValue)) -> Result<(), StoreError> {
        self.update(name)
            .update_expression("SET #v = :v")
            .expression_attribute_names("#v", value.0)
            .expression_attribute_values(":v", value.1)
            .send()
            .await
            .map_err(StoreError::from_sdk)?;
        Ok(())
    }

    /// The values on the item of `name`, whoever holds the lease.
    ///
    /// # Errors
    /// [`StoreError`] when the table cannot be read.
    pub async fn values(&self, name: &str) -> Result<Values, StoreError> {
        let output = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("PK", AttributeValue::S(format!("LEASE#{name}")))
            .key("SK", AttributeValue::S(SORT.to_owned()))
            .consistent_read(true)
            .send()
            .await
            .map_err(StoreError::from_sdk)?;
        Ok(output.item.unwrap_or_default())
    }

    /// Removes the item of `name`, whoever holds the lease: of work that was deleted.
    ///
    /// # Errors
    /// [`StoreError`] when the table cannot be written.
    pub async fn remove(&self, name: &str) -> Result<(), StoreError> {
        self.client
            .delete_item()
            .table_name(&self.table)
            .key("PK", AttributeValue::S(format!("LEASE#{name}")))
            .key("SK", AttributeValue::S(SORT.to_owned()))
            .send()
            .await
            .map_err(StoreError::from_sdk)?;
        Ok(())
    }

    fn update(
        &self,
        name: &str,
    ) -> aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("PK", AttributeValue::S(format!("LEASE#{name}")))
            .key("SK", AttributeValue::S(SORT.to_owned()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }
}

type UpdateError = aws_sdk_dynamodb::error::SdkError<
    aws_sdk_dynamodb::operation::update_item::UpdateItemError,
    aws_sdk_dynamodb::config::http::HttpResponse,
>;

fn lost_item(error: UpdateError) -> Option<Values> {
    use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
    match error.into_service_error() {
        UpdateItemError::ConditionalCheckFailedException(cause) => cause.item,
        _ => None,
    }
}

fn held(written: Result<(), UpdateError>) -> Result<bool, StoreError> {
    match written {
        Ok(()) => Ok(true),
        Err(error) => match error.as_service_error() {
            Some(cause) if cause.is_conditional_check_failed_exception() => Ok(false),
            _ => Err(StoreError::from_sdk(error)),
        },
    }
}

fn fence(values: &Values) -> u64 {
    match values.get(FENCE) {
        Some(AttributeValue::N(number)) => number.parse().unwrap_or_default(),
        _ => 0,
    }
}

fn millis(at: DateTime<Utc>) -> AttributeValue {
    AttributeValue::N(at.timestamp_millis().to_string())
}
