//! The call an activity makes (SPEC §3, "Outbound request").

use crate::channel::{self, ChannelCall};
use bytes::Bytes;
use chrono::TimeDelta;
use http::Method;
use rules::names::{Kind, Tenant};
use rules::uri::UriPattern;
use shared::context::Context;
use shared::dispatch;
use shared::items::activity::{ActivityView, Dispatch, Record};
use shared::outbound::{Answer, Began, Outbound, OutboundRequest, SendError, longest};
use shared::signed_call::{CallFailure, SignedCall, configured};
use shared::telemetry::CallTarget;
use shared::tenancy::{ActivityType, TenancyError, Verb};
use std::sync::Arc;
use std::time::Duration;

/// The largest time limit of a call, assumed where what makes it cannot be read.
pub const TIMEOUT_MAX: TimeDelta = TimeDelta::seconds(120);

/// Why an attempt failed: one word, and words for its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `FAILURE` for an answer that is no success, and so on (README lists them).
    pub outcome: &'static str,
    /// What happened.
    pub detail: Option<String>,
}

impl Failure {
    /// The call cannot be made as it is configured.
    pub fn configuration(detail: impl Into<String>) -> Self {
        Self { outcome: "CONFIGURATION", detail: Some(detail.into()) }
    }

    /// Something of ours failed before the call.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self { outcome: "INTERNAL", detail: Some(detail.into()) }
    }

    /// The receiver answered, and not with 2xx.
    pub fn answered(answer: &Answer) -> Self {
        Self { outcome: "FAILURE", detail: answer.excerpt() }
    }

    /// The provider did not take it.
    pub fn refused(detail: String) -> Self {
        Self { outcome: "FAILURE", detail: (!detail.is_empty()).then_some(detail) }
    }

    /// The receiver did not answer.
    pub fn unanswered(error: &SendError) -> Self {
        Self { outcome: error.outcome(), detail: Some(error.to_string()) }
    }
}

impl From<CallFailure> for Failure {
    fn from(CallFailure { outcome, detail, .. }: CallFailure) -> Self {
        Self { outcome, detail }
    }
}

/// The activity type of a kind; `None` for channels and for a type that is gone.
///
/// # Errors
/// [`TenancyError`] when the config table cannot be read.
pub async fn activity_type(
    ctx: &Context,
    tenant: &Tenant,
    kind: &Kind,
) -> Result<Option<Arc<ActivityType>>, TenancyError> {
    match kind {
        Kind::Type(name) => ctx.tenancy.activity_type(tenant, name).await,
        Kind::Channel(_) => Ok(None),
    }
}

/// The activity type by which an activity is called: no older one than it was judged by.
async fn type_of(ctx: &Context, record: &Record) -> Result<Option<Arc<ActivityType>>, TenancyError> {
    let found = activity_type(ctx, &record.tenant, &record.kind).await?;
    let is_older = |found: &Arc<ActivityType>| Some(found.meta.updated_at) < record.type_changed_at;
    match &record.kind {
        Kind::Type(name) if found.as_ref().is_none_or(is_older) => {
            ctx.tenancy.fresh::<ActivityType>(&(record.tenant.clone(), name.clone())).await
        }
        _ => Ok(found),
    }
}

/// A call that is ready to be made.
pub enum Call {
    /// Of an activity type.
    Type(OutboundRequest),
    /// Through a channel.
    Channel(Box<ChannelCall>),
}

/// A call that succeeded.
#[derive(Debug, PartialEq, Eq)]
pub struct Made {
    /// The answer's status, where there was an answer.
    pub http_status: Option<u16>,
    /// What its provider made of it.
    pub dispatch: Option<Dispatch>,
}

/// What came of a call; with the answer of one that failed.
pub type Outcome = Result<Made, (Failure, Option<Answer>)>;

impl Call {
    /// What is called, where anything is.
    pub fn url(&self) -> Option<&str> {
        self.request().map(|request| request.url.as_str())
    }

    /// The same, as it is logged.
    pub fn target(&self) -> Option<CallTarget> {
        self.request().map(CallTarget::of)
    }

    /// The longest that the call takes.
    pub fn time_limit(&self) -> TimeDelta {
        let longest = self.request().map_or(Duration::ZERO, |request| longest(request.timeout));
        TimeDelta::from_std(longest).unwrap_or(TIMEOUT_MAX)
    }

    /// When its first byte goes out.
    pub fn began(&self) -> Began {
        self.request().map(|request| request.began.clone()).unwrap_or_default()
    }

    fn request(&self) -> Option<&OutboundRequest> {
        match self {
            Call::Type(request) => Some(request),
            Call::Channel(call) => call.request(),
        }
    }

    /// Makes the call.
    pub async fn make(self, http: &Outbound) -> Outcome {
        match self {
            Call::Type(request) => match http.send(request).await {
                Ok(answer) if answer.is_success() => {
                    Ok(Made { http_status: Some(answer.status), dispatch: None })
                }
                Ok(answer) => Err((Failure::answered(&answer), Some(answer))),
                Err(error) => Err((Failure::unanswered(&error), None)),
            },
            Call::Channel(call) => call.make(http).await,
        }
    }
}

/// The call of one attempt.
///
/// # Errors
/// [`Failure`]: the attempt has failed before a call was made.
pub async fn prepare(ctx: &Context, view: &ActivityView) -> Result<Call, Failure> {
    match &view.record.kind {
        Kind::Type(_) => Ok(Call::Type(request(ctx, view).await?)),
        Kind::Channel(channel) => Ok(Call::Channel(Box::new(channel::prepare(ctx, view, *channel).await?))),
    }
}

/// How long a call of that kind may take.
///
/// # Errors
/// [`TenancyError`] when the config table cannot be read.
pub async fn time_limit(ctx: &Context, tenant: &Tenant, kind: &Kind) -> Result<TimeDelta, TenancyError> {
    let limit = match kind {
        Kind::Type(name) => ctx
            .tenancy
            .activity_type(tenant, name)
            .await?
            .map(|found| TimeDelta::seconds(i64::from(found.timeout_seconds))),
        Kind::Channel(channel) => {
            let config = ctx.tenancy.dispatch_config(tenant, *channel).await?;
            config.and_then(|config| TimeDelta::from_std(dispatch::timeout(&config.settings)).ok())
        }
    };
    Ok(limit.unwrap_or(TIMEOUT_MAX))
}

/// The id by which a receiver knows attempts of the same call apart from other calls: the same on every attempt of a run.
pub fn call_id(record: &Record) -> String {
    format!("{}:{}", record.id, record.state.run)
}

async fn request(ctx: &Context, view: &ActivityView) -> Result<OutboundRequest, Failure> {
    let record = &view.record;
    let found = type_of(ctx, record).await;
    let found = found.map_err(|_| Failure::internal("the activity type could not be read"))?;
    let Some(activity_type) = found else {
        return Err(Failure::configuration(format!("the solution has no {}", record.kind)));
    };
    let call = SignedCall {
        tenant: &record.tenant,
        method: method(activity_type.verb),
        url: url(&activity_type, view)?,
        headers: configured(&activity_type.headers)?,
        call_id: &call_id(record),
        body: activity_type.verb.has_body().then(|| Bytes::from(view.parameter.clone())),
        timeout: Duration::from_secs(u64::from(activity_type.timeout_seconds)),
    };
    Ok(call.request(ctx).await?)
}

fn method(verb: Verb) -> Method {
    match verb {
        Verb::Post => Method::POST,
        Verb::Put => Method::PUT,
        Verb::Delete => Method::DELETE,
        Verb::Get => Method::GET,
    }
}

fn url(activity_type: &ActivityType, view: &ActivityView) -> Result<String, Failure> {
    let own: Option<UriPattern> = view
        .record
        .uri
        .as_ref()
        .map(|uri| uri.parse())
        .transpose()
        .map_err(|error| Failure::configuration(format!("uri {error}")))?;
    let pattern = own.as_ref().unwrap_or(&activity_type.uri_pattern);
    // Checked when it was accepted, but the type's pattern may have changed since.
    pattern.expand(&view.parameter).map_err(|error| Failure::configuration(format!("uriPattern: {error}")))
}
