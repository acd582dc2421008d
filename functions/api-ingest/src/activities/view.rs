//! An activity as its owner sees it.

use super::channel_draft::CommerceBody;
use crate::ApiContext;
use crate::activity_results::ResultView;
use crate::http::openapi::schemas::ActivityStatus;
use crate::http::{Problem, answer};
use crate::parts::attempt::HistoryView;
use rules::names::Kind;
use serde::Serialize;
use serde_json::value::RawValue;
use shared::dispatch::{ChannelActivity, Commerce};
use shared::items::activity::{ActivityView as Activity, Earlier, Record};
use utoipa::ToSchema;

/// An activity.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Activity)]
pub struct ActivityView {
    /// Its id.
    id: String,
    /// Its company.
    company: String,
    /// Its solution.
    solution: String,
    /// The type that makes its call.
    #[serde(skip_serializing_if = "Option::is_none")]
    activity_type: Option<String>,
    /// The channel through which it is dispatched.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// When it is due; a date in the past is due at once.
    #[schema(format = DateTime)]
    date: String,
    /// How it stands.
    #[schema(value_type = ActivityStatus)]
    status: &'static str,
    /// Executions begun in this run.
    attempts: u32,
    /// Executions in all.
    max_attempts: u32,
    /// 0, and one more for each retry by hand.
    run: u32,
    /// When it is tried next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    next_attempt_at: Option<String>,
    /// When the execution that ended it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    executed_at: Option<String>,
    /// The caller's own URI pattern, in place of the type's.
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    /// Fills the URI pattern and is sent by `POST` and `PUT`. Not of a channel's activities, which have
    /// the fields that follow instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    parameter: Option<Box<RawValue>>,
    /// `TASK` or `MESSAGE`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    channel_type: Option<&'static str>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Whom it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<CommerceBody>)]
    commerce: Option<Commerce>,
    /// What is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    task: Option<Box<RawValue>>,
    /// Who is to do it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    operator: Option<Box<RawValue>>,
    /// Whatever else the provider is to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    attributes: Option<Box<RawValue>>,
    /// The provider's id of it, once it is dispatched.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_activity_id: Option<String>,
    /// The dispatch config that it was dispatched by.
    #[serde(skip_serializing_if = "Option::is_none")]
    dispatch_config_id: Option<String>,
    /// When it was accepted.
    #[schema(format = DateTime)]
    created_at: String,
    /// Its attempts, oldest first: the last 100, and no more than 1 MB of them. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<HistoryView>>,
    /// The path at which the attempts before those are listed, the last one first; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    more_history: Option<String>,
    /// What its provider reported, in the order it did: the last 100 by id, and no more than 1 MB of them. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<ResultView>>,
    /// The path at which the results before those are listed, the last one by id first; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    more_results: Option<String>,
}

impl ActivityView {
    /// With its last attempts and results.
    ///
    /// # Errors
    /// The links to those before cannot be made.
    pub async fn whole(context: &ApiContext, mut activity: Activity) -> Result<Self, Problem> {
        let Record { tenant, id, .. } = &activity.record;
        let path = answer::path(tenant, format_args!("activities/{id}"));
        let Earlier { history: earlier_history, results: earlier_results } =
            std::mem::take(&mut activity.earlier);
        let more_history = answer::link(context, &format!("{path}/history"), earlier_history).await?;
        let more_results = answer::link(context, &format!("{path}/results"), earlier_results).await?;
        let history = std::mem::take(&mut activity.history).into_iter().map(HistoryView::of).collect();
        let results = std::mem::take(&mut activity.results);
        let results: Vec<_> =
            results.into_iter().map(|result| ResultView::of(result, Some(&activity.record.id))).collect();
        // An activity type's rarely has any.
        let shown = matches!(activity.record.kind, Kind::Channel(_)) || !results.is_empty();
        let results = shown.then_some(results);
        Ok(Self { history: Some(history), results, more_history, more_results, ..Self::brief(activity) })
    }

    /// Without its history and results.
    pub fn brief(activity: Activity) -> Self {
        let next_attempt_at = activity.next_attempt_at().map(answer::time);
        let Activity { record, parameter, .. } = activity;
        let (activity_type, channel) = match &record.kind {
            Kind::Type(name) => (Some(name.to_string()), None),
            Kind::Channel(channel) => (None, Some(channel.to_string())),
        };
        let said = match record.kind {
            Kind::Channel(_) => serde_json::from_str::<ChannelActivity>(&parameter).ok(),
            Kind::Type(_) => None,
        };
        let parameter = if said.is_none() { RawValue::from_string(parameter).ok() } else { None };
        let (mut channel_type, mut reason, mut commerce) = (None, None, None);
        let (mut task, mut operator, mut attributes) = (None, None, None);
        if let Some(said) = said {
            (channel_type, reason, commerce) =
                (Some(said.activity_type.as_str()), Some(said.reason), Some(said.commerce));
            (task, operator, attributes) = (said.task, said.operator, said.attributes);
        }
        let (provider_activity_id, dispatch_config_id) = record
            .dispatch
            .map(|dispatch| (dispatch.provider_activity_id, dispatch.dispatch_config_id))
            .unzip();
        Self {
            id: record.id.to_string(),
            company: record.tenant.company.to_string(),
            solution: record.tenant.solution.name().to_string(),
            activity_type,
            channel,
            date: answer::time(record.state.date),
            status: record.state.status.as_str(),
            attempts: record.state.attempts,
            max_attempts: record.state.max_attempts,
            run: record.state.run,
            next_attempt_at,
            executed_at: record.state.executed_at.map(answer::time),
            uri: record.uri,
            parameter,
            channel_type,
            reason,
            commerce,
            task,
            operator,
            attributes,
            provider_activity_id,
            dispatch_config_id,
            created_at: answer::time(record.created_at),
            history: None,
            more_history: None,
            results: None,
            more_results: None,
        }
    }
}
