//! What is written of a rule: by its owner, and as its occurrences are created or skipped.

use super::{Rule, SkipRecord};
use crate::engine::attributes::{n, s, t};
use crate::engine::erase::Erased;
use crate::engine::guard::Guard;
use crate::engine::item::WorkItem;
use crate::engine::kept::expires;
use crate::engine::statements;
use crate::engine::step::Stepped;
use crate::engine::{StoreError, WorkStore};
use crate::items::activity::codec::rule_body_hash;
use crate::items::activity::create::{INLINE_PARAMETER_MAX_BYTES, is_same_request, payload_item, untouched};
use crate::table::{attr, keys};
use aws_sdk_dynamodb::types::TransactWriteItem;
use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use rules::names::{RecurringName, Tenant, ids};
use rules::recurring::{Skip, may_take_back};

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
    ) -> Vec<TransactWriteItem> {
        let pk = new.pk();
        let mut writes = vec![match old {
            None => self.put_new(new.encode()),
            Some(old) => self.put(new.encode(), &[Guard::Equals(attr::REVISION, n(old.revision))]),
        }];
        if new.parameter.is_none() {
            writes.push(self.put(payload_item(&pk, parameter), &[]));
        } else if old.is_some_and(|old| old.parameter.is_none()) {
            writes.push(self.delete(&pk, attr::PAYLOAD, &[]));
        }
        writes
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
        Ok(self.step(from, to, None, self.clock.now()).await? == Stepped::Applied)
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
        let stands = match revision {
            Some(revision) => Guard::Equals(attr::REVISION, n(revision)),
            None => Guard::Missing(attr::PK),
        };
        let checks = [self.check(&rule.pk(), &[stands])];
        Ok(self.erase_with(&record.pk(), &guards, &checks, None).await? == Erased::Yes)
    }
}
