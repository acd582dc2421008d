//! Recurring rules in the work table: a rule stands in `due` at its next occurrence, so that only rules with
//! something due are read (SPEC §5).

mod codec;
mod find;

pub use codec::{RULE_SHARDS, Rule, RuleSpec, SkipRecord};
pub use find::RuleView;

use super::batcher::Outcome;
use super::codec::{n, s, t};
use super::create::{INLINE_PARAMETER_MAX_BYTES, is_same_request, untouched};
use super::erase::Erased;
use super::kept::expires;
use super::statements::{self, Guard};
use super::{StoreError, WorkStore, attr, keys};
use aws_sdk_dynamodb::types::{ConditionCheck, Put, TransactWriteItem};
use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use rules::names::{RecurringName, Tenant, ids};
use rules::recurring::{Skip, may_take_back};
use std::collections::HashMap;

/// What the `body_hash` of activities that rules created begins with: it tells them from a caller's, whatever the parameter.
/// Before there were incarnations it was no more than this.
pub const RULE_BODY_HASH: &str = "recurring";

/// The `body_hash` of what a rule creates: its incarnation.
pub(crate) fn rule_body_hash(created_at: DateTime<Utc>) -> String {
    format!("{RULE_BODY_HASH}:{}", ids::incarnation(created_at))
}

/// The parameter as it stands in a rule's item: itself, or nothing if it is too large for it.
pub fn inline_parameter(parameter: &str) -> Option<String> {
    (parameter.len() <= INLINE_PARAMETER_MAX_BYTES).then(|| parameter.to_owned())
}

impl WorkStore {
    /// The writes that make `new` of `old`, for the transaction of its owner's change.
    pub(crate) fn rule_writes(
        &self,
        old: Option<&Rule>,
        new: &Rule,
        parameter: &str,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let pk = new.pk();
        let mut put = self.put(new.encode());
        put = match old {
            None => put.condition_expression("attribute_not_exists(PK)"),
            Some(old) => put
                .condition_expression("#rv = :rv")
                .expression_attribute_names("#rv", attr::REVISION)
                .expression_attribute_values(":rv", n(old.revision)),
        };
        let build = |put: aws_sdk_dynamodb::types::builders::PutBuilder| {
            let put = put.build().map_err(|error| StoreError::Refused(error.to_string()))?;
            Ok::<_, StoreError>(TransactWriteItem::builder().put(put).build())
        };
        let mut writes = vec![build(put)?];
        if new.parameter.is_none() {
            let payload = [attr::PK, attr::SK, attr::PARAMETER].into_iter();
            let payload = payload.zip([s(pk), s(attr::PAYLOAD), s(parameter)]).collect();
            writes.push(build(self.put(payload))?);
        } else if old.is_some_and(|old| old.parameter.is_none()) {
            writes.push(self.delete(&pk, attr::PAYLOAD, &[]));
        }
        Ok(writes)
    }

    fn put(
        &self,
        item: Vec<(&'static str, aws_sdk_dynamodb::types::AttributeValue)>,
    ) -> aws_sdk_dynamodb::types::builders::PutBuilder {
        let item: HashMap<_, _> = item.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Put::builder().table_name(&self.table).set_item(Some(item))
    }

    /// The writes that delete a rule, for the transaction of its owner's change.
    pub(crate) fn rule_deletes(&self, rule: &Rule) -> Vec<TransactWriteItem> {
        let pk = rule.pk();
        let mut deletes =
            vec![self.delete(&pk, attr::ITEM, &[Guard::Equals(attr::REVISION, n(rule.revision))])];
        if rule.parameter.is_none() {
            deletes.push(self.delete(&pk, attr::PAYLOAD, &[]));
        }
        deletes
    }

    /// The same of a rule that cannot be decoded.
    pub(crate) fn unreadable_rule_deletes(
        &self,
        tenant: &Tenant,
        name: &RecurringName,
    ) -> Vec<TransactWriteItem> {
        let pk = keys::rule(tenant, name);
        let is_there = Guard::Equals(attr::SK, s(attr::ITEM));
        vec![self.delete(&pk, attr::ITEM, &[is_there]), self.delete(&pk, attr::PAYLOAD, &[])]
    }

    /// Moves a rule on: its next occurrence, and the plan that is being carried out. `false` if it has moved
    /// or its owner has changed it.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    pub(crate) async fn move_rule(&self, from: &Rule, to: &Rule) -> Result<bool, StoreError> {
        let unmoved = |attribute, at: Option<DateTime<Utc>>| match at {
            Some(at) => Guard::Equals(attribute, t(at)),
            None => Guard::Missing(attribute),
        };
        let guards = vec![
            Guard::Equals(attr::REVISION, n(from.revision)),
            unmoved(attr::DUE, from.next),
            // Two that plan at different instants must not both carry out their plans.
            unmoved(attr::PLANNED_AT, from.planned_at),
        ];
        let statement = statements::difference(&self.table, from.pk(), &from.encode(), &to.encode(), guards);
        Ok(match self.batcher.run(statement).await? {
            Outcome::Applied(_) => true,
            // Our own write, retried by the SDK after it had succeeded.
            Outcome::Lost(Some(item)) => Rule::decode(&item)? == *to,
            Outcome::Lost(None) | Outcome::Duplicate => false,
        })
    }

    /// Records skipped occurrences; what is recorded already stands.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    pub(crate) async fn record_skips(
        &self,
        rule: &Rule,
        skips: &[Skip],
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let pk = rule.pk();
        let records = skips.iter().map(|skip| {
            let sk = keys::skip(skip.from, skip.reason);
            let record = SkipRecord { skip: *skip, at: rules::time::truncate(at) };
            let item = record.encode(&pk).into_iter().chain(expires(record.at, self.retention())).collect();
            self.batcher.run(statements::insert(&self.table, pk.clone(), &sk, item))
        });
        try_join_all(records).await?;
        Ok(())
    }

    /// Deletes what is recorded of a rule that is gone.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read or written.
    pub(crate) async fn forget_skips(&self, tenant: &Tenant, name: &RecurringName) -> Result<(), StoreError> {
        self.erase_belongings(&keys::rule(tenant, name), attr::SKIP_PREFIX).await
    }

    /// Takes back the activity that `rule` created for `at`, if it [may be](may_take_back); it can be created again. `false`
    /// if there is none, or it has to stay.
    ///
    /// Only while the rule stands at `revision`, or, for `None`, is gone: whoever resumed it meanwhile has found the activity
    /// there, moved on, and would never create it again.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read or written.
    pub(crate) async fn withdraw(
        &self,
        rule: &Rule,
        revision: Option<u64>,
        at: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let plain = ids::occurrence(&rule.name, at);
        let hash = rule_body_hash(rule.created_at);
        let mut found = self.record(&rule.tenant, &plain).await?;
        if found.as_ref().is_some_and(|found| !is_same_request(&found.body_hash, &hash)) {
            found = self.record(&rule.tenant, &ids::of_incarnation(&plain, rule.created_at)).await?;
        }
        let Some(record) = found else { return Ok(false) };
        if !may_take_back(at, &record.state) {
            return Ok(false);
        }
        let mut guards = untouched(&record).to_vec();
        guards.push(Guard::Equals(attr::DUE, t(record.state.due)));
        let checks = [self.rule_stands(rule, revision)];
        Ok(self.erase_with(&record.pk(), &guards, &checks, None).await? == Erased::Yes)
    }

    /// That a rule is at `revision`, or gone, as a condition of a transaction.
    fn rule_stands(&self, rule: &Rule, revision: Option<u64>) -> TransactWriteItem {
        let check = ConditionCheck::builder()
            .table_name(&self.table)
            .key(attr::PK, s(rule.pk()))
            .key(attr::SK, s(attr::ITEM));
        let check = match revision {
            Some(revision) => check
                .condition_expression("#revision = :revision")
                .expression_attribute_names("#revision", attr::REVISION)
                .expression_attribute_values(":revision", n(revision)),
            None => check.condition_expression("attribute_not_exists(PK)"),
        };
        let check = check.build().unwrap_or_else(|_| unreachable!("table, key and condition are set"));
        TransactWriteItem::builder().condition_check(check).build()
    }
}
