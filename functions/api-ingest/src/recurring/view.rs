//! A recurring activity as its owner sees it.

use crate::http::answer;
use crate::http::openapi::schemas::State;
use chrono::{DateTime, Utc};
use rules::cron::FieldName;
use serde::Serialize;
use serde_json::value::RawValue;
use shared::items::recurring::{Rule, RuleView, SkipRecord};
use utoipa::ToSchema;

/// A recurring activity.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecurringActivity)]
pub struct RecurringView {
    /// Its name; its activities are `{name}@{unix seconds}`.
    name: String,
    /// The type of the activities it creates.
    activity_type: String,
    /// The parameter of each of them.
    #[schema(value_type = Object)]
    parameter: Option<Box<RawValue>>,
    /// Executions in all of each of them, in place of the type's.
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<u32>,
    #[allow(missing_docs, reason = "the seven fields, as the body has them")]
    second: String,
    minute: String,
    hour: String,
    day: String,
    month: String,
    day_of_week: String,
    year: String,
    /// The IANA zone on whose clocks the fields are read.
    time_zone: &'static str,
    /// No occurrence before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    start_at: Option<String>,
    /// No occurrence after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    end_at: Option<String>,
    /// Which occurrences that were missed inside the window are created.
    catch_up: &'static str,
    /// How late an occurrence may be created.
    catch_up_window_seconds: u32,
    /// Over how many seconds rules are spread.
    spread_seconds: u32,
    /// `running` or `paused`.
    #[schema(value_type = State)]
    server_state: &'static str,
    /// Its next occurrence; absent if it is paused or has none left.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    next_occurrence: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was changed last.
    #[schema(format = DateTime)]
    updated_at: String,
}

impl RecurringView {
    /// As it is at `now`.
    pub fn of(view: RuleView, now: DateTime<Utc>) -> Self {
        let RuleView { rule, parameter } = view;
        let next = (!rule.is_paused()).then(|| rule.schedule().next(now)).flatten();
        let spec = rule.spec;
        let text = |name: FieldName| {
            let index = FieldName::ALL.iter().position(|other| *other == name);
            index.map_or_else(String::new, |index| spec.cron.texts()[index].clone())
        };
        Self {
            name: rule.name.to_string(),
            activity_type: spec.activity_type.to_string(),
            parameter: RawValue::from_string(parameter).ok(),
            retries: spec.retries,
            second: text(FieldName::Second),
            minute: text(FieldName::Minute),
            hour: text(FieldName::Hour),
            day: text(FieldName::Day),
            month: text(FieldName::Month),
            day_of_week: text(FieldName::DayOfWeek),
            year: text(FieldName::Year),
            time_zone: spec.zone.name(),
            start_at: spec.start_at.map(answer::time),
            end_at: spec.end_at.map(answer::time),
            catch_up: spec.catch_up.as_str(),
            catch_up_window_seconds: spec.window_seconds,
            spread_seconds: spec.spread_seconds,
            server_state: rule.server_state.as_str(),
            next_occurrence: next.map(answer::time),
            created_at: answer::time(rule.created_at),
            updated_at: answer::time(rule.updated_at),
        }
    }
}

/// The state of a recurring activity.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecurringStateView {
    /// `running` or `paused`.
    #[schema(value_type = State)]
    server_state: &'static str,
    /// Why, in the words of whoever changed it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Since when.
    #[schema(format = DateTime)]
    since: String,
}

impl RecurringStateView {
    /// Of a rule.
    pub fn of(rule: &Rule) -> Self {
        Self {
            server_state: rule.server_state.as_str(),
            reason: rule.state_reason.clone(),
            since: answer::time(rule.state_since),
        }
    }
}

/// Occurrences to come.
#[derive(Serialize, ToSchema)]
pub struct OccurrencesView {
    /// In order.
    pub occurrences: Vec<OccurrenceView>,
}

/// One occurrence.
#[derive(Serialize, ToSchema)]
pub struct OccurrenceView {
    /// When its activity is due.
    #[schema(format = DateTime)]
    pub date: String,
}

/// Occurrences that were skipped one after the other for one reason.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkippedView {
    /// The first of them.
    #[schema(format = DateTime)]
    from: String,
    /// The last of them.
    #[schema(format = DateTime)]
    to: String,
    /// How many: every occurrence of the rule from the first to the last.
    count: u64,
    /// In one word.
    #[schema(example = "OUTSIDE_WINDOW")]
    reason: &'static str,
    /// In words.
    detail: &'static str,
    /// When that was decided.
    #[schema(format = DateTime)]
    at: String,
}

impl SkippedView {
    /// Of a record.
    pub fn of(record: SkipRecord) -> Self {
        let SkipRecord { skip, at } = record;
        Self {
            from: answer::time(skip.from),
            to: answer::time(skip.to),
            count: skip.count,
            reason: skip.reason.as_str(),
            detail: skip.reason.detail(),
            at: answer::time(at),
        }
    }
}
