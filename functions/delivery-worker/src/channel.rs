//! The call of a channel's activity: resolve the config, open its credentials, let the provider make the
//! call and read the answer (SPEC §4). Whatever is missing on the way is a failed attempt that says so.

use crate::call::{self, Failure, Made, Outcome};
use http::header::{CONTENT_TYPE, HeaderValue};
use rules::names::Channel;
use shared::context::Context;
use shared::crypto::CryptoError;
use shared::dispatch::{
    self, ChannelActivity, Credentials, DispatchProvider, Dispatching, HttpCall, Payload, ProviderCall,
    Refused,
};
use shared::outbound::{Answer, Outbound, OutboundRequest};
use shared::tenancy::TenancyError;
use shared::work::{ActivityView, Dispatch};
use std::time::Duration;

/// A dispatch that is ready to be made.
pub struct ChannelCall {
    provider: &'static dyn DispatchProvider,
    config_id: String,
    credentials: Credentials,
    step: Step,
}

enum Step {
    Http(OutboundRequest),
    Done(String),
}

/// The dispatch of one attempt.
///
/// # Errors
/// [`Failure`]: the attempt has failed before a call was made.
pub async fn prepare(ctx: &Context, view: &ActivityView, channel: Channel) -> Result<ChannelCall, Failure> {
    let record = &view.record;
    let found = ctx.tenancy.dispatch_config(&record.tenant, channel).await;
    let found = found.map_err(|_| Failure::internal("the dispatch config could not be read"))?;
    let Some(config) = found else {
        return Err(Failure::configuration(format!("the solution has no dispatch config for {channel}")));
    };
    if !config.is_active {
        return Err(Failure::configuration(format!("the dispatch config for {channel} is not active")));
    }
    let Some(provider) = dispatch::provider(&config.provider) else {
        return Err(Failure::configuration(format!("there is no dispatch provider {}", config.provider)));
    };
    let credentials = ctx.tenancy.dispatch_credentials(&record.tenant, &config).await;
    let credentials = credentials.map_err(|error| sealed(&error))?;
    let activity: ChannelActivity = serde_json::from_str(&view.parameter)
        .map_err(|error| Failure::internal(format!("the activity cannot be read: {error}")))?;
    let payload = Payload::new(&record.id, channel, record.state.date, &activity);
    let made = provider.call(&Dispatching {
        payload: &payload,
        base_url: config.base_url.as_deref().unwrap_or_default(),
        credentials: &credentials,
        settings: &config.settings,
        entropy: &*ctx.entropy,
    });
    let step = match made.map_err(|refused| failure(&refused, None, &credentials))? {
        ProviderCall::Done(id) => Step::Done(id),
        ProviderCall::Http(HttpCall { method, url, headers, body }) => {
            let mut all = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
            all.extend(headers);
            all.extend(call::headers_of_every_call(ctx, record, &body).await?);
            let timeout = dispatch::timeout(&config.settings);
            Step::Http(OutboundRequest { method, url, headers: all, body: Some(body), timeout })
        }
    };
    Ok(ChannelCall { provider, config_id: config.id.clone(), credentials, step })
}

impl ChannelCall {
    /// What is called, where anything is.
    pub fn url(&self) -> Option<&str> {
        match &self.step {
            Step::Http(request) => Some(&request.url),
            Step::Done(_) => None,
        }
    }

    /// How long it may take.
    pub fn timeout(&self) -> Duration {
        match &self.step {
            Step::Http(request) => request.timeout,
            Step::Done(_) => Duration::ZERO,
        }
    }

    /// Makes the call and lets the provider judge the answer.
    pub async fn make(self, http: &Outbound) -> Outcome {
        let Self { provider, config_id, credentials, step } = self;
        let (id, http_status) = match step {
            Step::Done(id) => (id, None),
            Step::Http(request) => {
                let answer = http.send(request).await;
                let answer = answer.map_err(|error| (Failure::unanswered(&error), None))?;
                match provider.judge(&answer) {
                    Ok(id) => (id, Some(answer.status)),
                    Err(refused) => {
                        return Err((failure(&refused, Some(&answer), &credentials), Some(answer)));
                    }
                }
            }
        };
        // It would be shown wherever the activity is.
        let provider_activity_id = credentials.redact(&id);
        Ok(Made {
            http_status,
            dispatch: Some(Dispatch { provider_activity_id, dispatch_config_id: config_id }),
        })
    }
}

/// Why credentials could not be opened. None of the texts holds anything of them.
fn sealed(error: &TenancyError) -> Failure {
    match error {
        TenancyError::Crypto(error @ CryptoError::Kms(_)) => {
            Failure::internal(format!("the credentials could not be decrypted: {error}"))
        }
        TenancyError::Crypto(error) => {
            Failure::configuration(format!("the credentials cannot be decrypted: {error}"))
        }
        TenancyError::Credentials(error) => Failure::configuration(error.to_string()),
        _ => Failure::internal("the credentials could not be read"),
    }
}

fn failure(refused: &Refused, answer: Option<&Answer>, credentials: &Credentials) -> Failure {
    match refused {
        Refused::Status(_) => {
            Failure::refused(answer.and_then(|answer| excerpt(answer, credentials)).unwrap_or_default())
        }
        Refused::Config(_) => Failure::configuration(credentials.redact(&refused.to_string())),
        Refused::Answer(_) | Refused::OnPurpose(_) => {
            Failure::refused(credentials.redact(&refused.to_string()))
        }
    }
}

/// The part of an answer that is kept, without the credentials that it may repeat. They are taken out
/// before the cut, since one that the cut goes through would not be known again.
fn excerpt(answer: &Answer, credentials: &Credentials) -> Option<String> {
    answer.excerpt()?;
    let text = match std::str::from_utf8(&answer.body) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&answer.body[..error.valid_up_to()]).unwrap_or_default(),
    };
    let redacted = credentials.redact(text);
    rules::excerpt::excerpt(answer.content_type.as_deref(), redacted.as_bytes())
}
