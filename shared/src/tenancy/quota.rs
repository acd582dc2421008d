//! Quotas: how many of a kind of configuration a company may have, over all its solutions.
//!
//! What a company has made is counted on an item of its own, `C#{company}` / `COUNT#{quota}`, in one conditional write before
//! it is made and one after it was deleted: a transaction with what is made would have all of a company's stand in line for
//! that item. So the count is never too low, however many are made at once. Whoever dies between the two writes leaves it too
//! high; who then finds it full counts what there is, if nobody has reserved a place for so long that none is on its way.

use super::change::{ChangeError, Changed};
use super::item::{Item, Key, Reader, Writer};
use super::{Solution, Tenancy, TenancyError};
use crate::settings::Quotas;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure, Select};
use chrono::{DateTime, TimeDelta, Utc};
use rules::names::{CompanyName, Tenant};

/// After so long a place that was reserved has been used or given back: longer than a request may take.
const RESERVED_AT_MOST: TimeDelta = TimeDelta::seconds(60);
/// How often a place is asked for while others change the count.
const TRIES_MAX: usize = 4;
const WHAT: &str = "count of a quota";
const COUNT: &str = "count";
/// Raised by each reservation.
const TURN: &str = "turn";
/// When the last place was reserved, or the count was made.
const AT: &str = "at";

/// What is counted for a company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// API keys.
    ApiKeys,
    /// Solutions; reminder configurations and dispatch configs are bounded by them.
    Solutions,
    /// Activity types of all its solutions.
    ActivityTypes,
    /// Notification types of all its solutions.
    NotificationTypes,
    /// Recurring rules of all its solutions.
    RecurringActivities,
}

impl Quota {
    /// All of them.
    pub const ALL: [Quota; 5] = [
        Quota::ApiKeys,
        Quota::Solutions,
        Quota::ActivityTypes,
        Quota::NotificationTypes,
        Quota::RecurringActivities,
    ];

    /// Its limit's name in template.yaml.
    pub fn parameter(self) -> &'static str {
        match self {
            Quota::ApiKeys => "MaxApiKeys",
            Quota::Solutions => "MaxSolutions",
            Quota::ActivityTypes => "MaxActivityTypes",
            Quota::NotificationTypes => "MaxNotificationTypes",
            Quota::RecurringActivities => "MaxRecurringActivities",
        }
    }

    fn plural(self) -> &'static str {
        match self {
            Quota::ApiKeys => "API keys",
            Quota::Solutions => "solutions",
            Quota::ActivityTypes => "activity types",
            Quota::NotificationTypes => "notification types",
            Quota::RecurringActivities => "recurring activities",
        }
    }

    fn most(self, quotas: &Quotas) -> u32 {
        match self {
            Quota::ApiKeys => quotas.api_keys,
            Quota::Solutions => quotas.solutions,
            Quota::ActivityTypes => quotas.activity_types,
            Quota::NotificationTypes => quotas.notification_types,
            Quota::RecurringActivities => quotas.recurring_activities,
        }
    }

    fn key(self, company: &CompanyName) -> Key {
        Key::new(format!("C#{company}"), format!("COUNT#{}", self.parameter()))
    }
}

/// The keys of a company's counts.
pub(super) fn keys(company: &CompanyName) -> Vec<Key> {
    Quota::ALL.iter().map(|quota| quota.key(company)).collect()
}

/// A place for something that a company is about to make.
#[must_use = "a place that was not used is to be given back"]
pub(crate) struct Place<'a> {
    tenancy: &'a Tenancy,
    company: &'a CompanyName,
    quota: Quota,
    is_taken: bool,
}

impl Place<'_> {
    /// Reserves it, once.
    ///
    /// # Errors
    /// [`ChangeError::Conflict`] if the company has as many as it may have, or the table failed.
    pub(crate) async fn take(&mut self) -> Result<(), ChangeError> {
        if !self.is_taken {
            self.tenancy.reserve(self.company, self.quota).await?;
            self.is_taken = true;
        }
        Ok(())
    }

    /// Gives it back unless it was used: `made` says whether it was, or nothing where that is not known.
    pub(crate) async fn settle(self, made: Option<bool>) {
        if self.is_taken && made == Some(false) {
            self.tenancy.release(self.company, self.quota, 1).await;
        }
    }
}

/// Whether a change has made something, as far as that is known.
pub(super) fn made<T>(result: Result<&Changed<T>, &ChangeError>) -> Option<bool> {
    match result {
        Ok(changed) => Some(matches!(changed, Changed::Created(_))),
        Err(ChangeError::Tenancy(_)) => None,
        Err(_) => Some(false),
    }
}

/// A count as it was read.
struct Counted {
    count: u32,
    turn: u64,
    at: DateTime<Utc>,
}

impl Counted {
    fn decode(item: &Item) -> Result<Self, TenancyError> {
        let reader = Reader::new(WHAT, item);
        Ok(Self { count: reader.number(COUNT)?, turn: reader.number(TURN)?, at: reader.time(AT)? })
    }
}

impl Tenancy {
    /// A place that is not reserved yet.
    pub(crate) fn place<'a>(&'a self, company: &'a CompanyName, quota: Quota) -> Place<'a> {
        Place { tenancy: self, company, quota, is_taken: false }
    }

    async fn reserve(&self, company: &CompanyName, quota: Quota) -> Result<(), ChangeError> {
        let most = quota.most(&self.quotas);
        for _ in 0..TRIES_MAX {
            let now = rules::time::truncate(self.clock.now());
            let sent = self
                .dynamodb
                .update_item()
                .table_name(&self.table)
                .set_key(Some(quota.key(company).attributes()))
                .update_expression("SET #at = :at ADD #count :one, #turn :one")
                .condition_expression("#count < :most")
                .expression_attribute_names("#count", COUNT)
                .expression_attribute_names("#turn", TURN)
                .expression_attribute_names("#at", AT)
                .expression_attribute_values(":one", n(1))
                .expression_attribute_values(":most", n(most.into()))
                .expression_attribute_values(":at", n(now.timestamp_millis()))
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .send()
                .await;
            let error = match sent {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            let found = match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(lost)) => lost.item.clone(),
                _ => return Err(TenancyError::sdk("reserve a place in a quota")(error).into()),
            };
            // Made before there were quotas, or its company was just made.
            let Some(found) = found.filter(|item| !item.is_empty()) else {
                let count = self.count(company, quota).await?;
                self.write_count(company, quota, count, None).await?;
                continue;
            };
            let found = Counted::decode(&found)?;
            if now - found.at < RESERVED_AT_MOST {
                return Err(full(quota, most));
            }
            let count = self.count(company, quota).await?;
            self.write_count(company, quota, count, Some(found.turn)).await?;
            if count >= most {
                return Err(full(quota, most));
            }
            if count < found.count {
                tracing::warn!(%company, quota = quota.parameter(), counted = found.count, found = count, "count of a quota corrected");
            }
        }
        Err(ChangeError::contended())
    }

    /// Notes that `count` were deleted. A count that could not be lowered is corrected when it is full.
    pub(crate) async fn release(&self, company: &CompanyName, quota: Quota, count: usize) {
        let lowered = self
            .dynamodb
            .update_item()
            .table_name(&self.table)
            .set_key(Some(quota.key(company).attributes()))
            .update_expression("ADD #count :less")
            // A company whose count was never made has none to lower.
            .condition_expression("#count >= :count")
            .expression_attribute_names("#count", COUNT)
            .expression_attribute_values(":less", n(-(count as i64)))
            .expression_attribute_values(":count", n(count as i64))
            .send()
            .await;
        if let Err(error) = lowered
            && !matches!(error.as_service_error(), Some(UpdateItemError::ConditionalCheckFailedException(_)))
        {
            let error = TenancyError::sdk("lower the count of a quota")(error);
            tracing::warn!(%company, quota = quota.parameter(), %error, "count of a quota not lowered");
        }
    }

    /// Writes a count that was made while the item was absent, or stood at `turn`.
    async fn write_count(
        &self,
        company: &CompanyName,
        quota: Quota,
        count: u32,
        turn: Option<u64>,
    ) -> Result<(), TenancyError> {
        let item = Writer::new(&quota.key(company))
            .number(COUNT, count)
            .number(TURN, turn.map_or(0, |turn| turn + 1))
            .time(AT, self.clock.now())
            .finish();
        let put = self.dynamodb.put_item().table_name(&self.table).set_item(Some(item));
        let put = put.expression_attribute_names("#turn", TURN);
        let put = match turn {
            None => put.condition_expression("attribute_not_exists(#turn)"),
            Some(turn) => put
                .condition_expression("#turn = :turn")
                .expression_attribute_values(":turn", AttributeValue::N(turn.to_string())),
        };
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                // Somebody else was sooner.
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
                _ => Err(TenancyError::sdk("write the count of a quota")(error)),
            },
        }
    }

    /// Counts what there is.
    async fn count(&self, company: &CompanyName, quota: Quota) -> Result<u32, TenancyError> {
        let of_company = format!("C#{company}");
        let prefix = match quota {
            Quota::ApiKeys => return self.count_items(&of_company, "KEY#").await,
            Quota::Solutions => return self.count_items(&of_company, "S#").await,
            Quota::ActivityTypes => Some("A:"),
            Quota::NotificationTypes => Some("N:"),
            Quota::RecurringActivities => None,
        };
        let mut request = super::PageRequest { after: None, limit: 100 };
        let mut count = 0;
        loop {
            let page = self.solutions(company, &request).await?;
            for Solution { tenant, .. } in &page.items {
                count += match prefix {
                    Some(prefix) => self.count_items(&format!("T#{tenant}"), prefix).await?,
                    None => self.count_rules(tenant).await?,
                };
            }
            request.after = page.next;
            if request.after.is_none() {
                return Ok(count);
            }
        }
    }

    /// How many solutions a company has, those that cannot be decoded too.
    pub(super) async fn count_solutions(&self, company: &CompanyName) -> Result<u32, TenancyError> {
        self.count(company, Quota::Solutions).await
    }

    async fn count_items(&self, partition: &str, prefix: &str) -> Result<u32, TenancyError> {
        let query = self
            .dynamodb
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("PK = :pk AND begins_with(SK, :prefix)")
            .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()));
        count_all(query, partition).await
    }

    /// By the index, which is behind by less than [`RESERVED_AT_MOST`].
    async fn count_rules(&self, tenant: &Tenant) -> Result<u32, TenancyError> {
        let query = self
            .dynamodb
            .query()
            .table_name(&self.work_table)
            .index_name(crate::table::attr::OBJECT_INDEX)
            .key_condition_expression("#pk = :pk")
            .expression_attribute_names("#pk", crate::table::attr::OBJECT_PARTITION);
        count_all(query, &crate::table::keys::rule_list_partition(tenant)).await
    }
}

async fn count_all(
    query: aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder,
    partition: &str,
) -> Result<u32, TenancyError> {
    let query = query
        .select(Select::Count)
        .expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()));
    let (mut count, mut start) = (0, None);
    loop {
        let answer = query.clone().set_exclusive_start_key(start).send().await;
        let answer = answer.map_err(TenancyError::sdk("count what a company has"))?;
        count += u32::try_from(answer.count).unwrap_or_default();
        start = answer.last_evaluated_key;
        if start.is_none() {
            return Ok(count);
        }
    }
}

fn full(quota: Quota, most: u32) -> ChangeError {
    let (what, parameter) = (quota.plural(), quota.parameter());
    ChangeError::Conflict(format!("the company has {most} {what}, as many as it may have ({parameter})"))
}

fn n(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}
