//! Finding recurring rules: one, pages of them, those with something due, and what was skipped.

use crate::engine::WorkItem;
use crate::engine::attributes::DecodeError;
use crate::engine::fetch::PAYLOAD_BATCH_MAX;
use crate::engine::partition::Part;
use crate::engine::scan::{Filling, Phase};
use crate::engine::{StoreError, WorkStore};
use crate::items::recurring::{Rule, SkipRecord};
use crate::page::Page;
use crate::table::{attr, keys};
use chrono::{DateTime, Utc};
use rules::names::{RecurringName, Tenant, TypeName};
use std::collections::HashMap;

/// Rules read at a time to find those of a type.
const RULES_A_LOOK: usize = 1_000;

/// A rule with its parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleView {
    /// The rule.
    pub rule: Rule,
    /// The parameter of its activities as JSON text.
    pub parameter: String,
}

impl WorkStore {
    /// One rule.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn rule(&self, tenant: &Tenant, name: &RecurringName) -> Result<Option<RuleView>, StoreError> {
        let Some(rule) = self.rule_record(tenant, name).await? else { return Ok(None) };
        let unreadable = DecodeError { pk: rule.pk(), attribute: attr::PARAMETER };
        let view = self.with_rule_parameters(vec![rule]).await?.pop().ok_or(unreadable)?;
        Ok(Some(view))
    }

    /// One rule without its parameter.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub(crate) async fn rule_record(
        &self,
        tenant: &Tenant,
        name: &RecurringName,
    ) -> Result<Option<Rule>, StoreError> {
        let item = self.item(&keys::rule(tenant, name), attr::ITEM).await?;
        Ok(item.as_ref().map(Rule::decode).transpose()?)
    }

    /// Adds to each rule its parameter, read where it is too large for the item. Those whose parameter cannot be decoded are
    /// left out.
    ///
    /// # Errors
    /// [`StoreError`] when the parameters cannot be read.
    pub(crate) async fn with_rule_parameters(&self, rules: Vec<Rule>) -> Result<Vec<RuleView>, StoreError> {
        let large: Vec<String> = rules.iter().filter(|rule| rule.parameter.is_none()).map(Rule::pk).collect();
        let mut parameters = self.payloads(&large).await?;
        let view = |rule: Rule| {
            let parameter = match rule.parameter.clone() {
                Some(parameter) => parameter,
                None => parameters.remove(&rule.pk()).unwrap_or_else(|| Some("{}".to_owned()))?,
            };
            Some(RuleView { parameter, rule })
        };
        Ok(rules.into_iter().filter_map(view).collect())
    }

    /// A page of a tenant's rules, by name; `after` is the `next` of the page before.
    ///
    /// # Errors
    /// [`StoreError`] when an index or an item cannot be read.
    pub async fn rules(
        &self,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<RuleView>, StoreError> {
        let phases = [Phase::object(vec![keys::rule_list_partition(tenant)])];
        let mut page = Filling::begin(&phases, after, limit)?;
        while let Some(pks) = page.next(self).await? {
            for part in self.rule_records(&pks).await?.chunks(PAYLOAD_BATCH_MAX) {
                if page.is_full() {
                    break;
                }
                for view in self.with_rule_parameters(part.to_vec()).await? {
                    let bytes = view.parameter.len();
                    page.push(&view.rule.pk(), view, bytes);
                }
            }
        }
        Ok(page.finish())
    }

    /// Which rules of one shard have their next occurrence at or before `until`, next first, after the sort key
    /// `after`; with the sort key to go on from, and the next occurrence beyond `until`, as far as was seen.
    ///
    /// # Errors
    /// [`StoreError`] when the index cannot be read.
    pub(crate) async fn due_rules(
        &self,
        shard: u32,
        after: Option<&str>,
        until: DateTime<Utc>,
        limit: usize,
    ) -> Result<DueRules, StoreError> {
        let phase = Phase::due(vec![keys::rule_due_partition(shard)]);
        let rows = self.stride(&phase, after, limit.max(1)).await?;
        let last = keys::instant(until) + "~";
        let due = rows.iter().take_while(|(sort, _)| *sort <= last).count();
        let beyond = rows.get(due).and_then(|(sort, _)| sort.get(..15)?.parse().ok());
        let after = rows.last().filter(|_| due == limit).map(|(sort, _)| sort.clone());
        let pks = rows.into_iter().take(due).map(|(_, pk)| pk).collect();
        Ok(DueRules { pks, after, beyond: beyond.and_then(DateTime::from_timestamp_millis) })
    }

    /// Whether a tenant has any rule: then its solution may not be deleted.
    ///
    /// # Errors
    /// [`StoreError`] when the index cannot be read.
    pub async fn has_rules(&self, tenant: &Tenant) -> Result<bool, StoreError> {
        Ok(!self.rules(tenant, None, 1).await?.items.is_empty())
    }

    /// Whether a tenant has a rule whose activities are of the type `name`.
    ///
    /// # Errors
    /// [`StoreError`] when an index or an item cannot be read.
    pub async fn has_rules_of(&self, tenant: &Tenant, name: &TypeName) -> Result<bool, StoreError> {
        let phases = [Phase::object(vec![keys::rule_list_partition(tenant)])];
        let mut after: Option<String> = None;
        loop {
            let mut page = Filling::begin(&phases, after.as_deref(), RULES_A_LOOK)?;
            while let Some(pks) = page.next(self).await? {
                for rule in self.rule_records(&pks).await? {
                    if rule.spec.activity_type == *name {
                        return Ok(true);
                    }
                    page.push(&rule.pk(), (), 0);
                }
            }
            after = page.finish().next;
            if after.is_none() {
                return Ok(false);
            }
        }
    }

    /// A page of what was skipped of a rule, latest first; `after` is the `next` of the page before.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn skips(
        &self,
        tenant: &Tenant,
        name: &RecurringName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<SkipRecord>, StoreError> {
        let (pk, prefix) = (keys::rule(tenant, name), attr::SKIP_PREFIX);
        let part = Part { pk: &pk, prefix, newest_first: true, after, limit };
        let mut page = self.part(&part, SkipRecord::decode).await?;
        // DynamoDB removes what has expired within days. They are in order of occurrence, not of when they were recorded.
        let (now, retention) = (self.clock.now(), self.retention());
        page.retain(|record| retention.is_none_or(|retention| now < record.at + retention));
        Ok(page)
    }

    /// The rules of `pks`, in that order; those that are gone or cannot be read are left out.
    pub(crate) async fn rule_records(&self, pks: &[String]) -> Result<Vec<Rule>, StoreError> {
        let mut found = HashMap::new();
        for item in self.state_items(pks).await? {
            if let Some(rule) = self.unreadable.skip(Rule::decode(&item)) {
                found.insert(rule.pk(), rule);
            }
        }
        Ok(pks.iter().filter_map(|pk| found.remove(pk)).collect())
    }
}

/// Rules with something due.
#[derive(Debug, Clone, PartialEq)]
pub struct DueRules {
    /// Partition keys of their items.
    pub pks: Vec<String>,
    /// Where to go on, if there may be more.
    pub after: Option<String>,
    /// The next occurrence that is not due yet, if it was seen.
    pub beyond: Option<DateTime<Utc>>,
}
