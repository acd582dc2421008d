//! The call of a channel's activity: resolve the config, open its credentials, let the provider make the
//! call and read the answer (SPEC §4). Whatever is missing on the way is a failed attempt that says so.

use crate::call::{self, Failure, Made, Outcome};
use rules::names::Channel;
use shared::context::Context;
use shared::crypto::CryptoError;
use shared::dispatch::{
    self, ChannelActivity, DispatchProvider, Dispatching, HttpCall, Payload, ProviderCall, Refused,
};
use shared::items::activity::{ActivityView, Dispatch};
use shared::outbound::{Outbound, OutboundRequest};
use shared::signed_call::SignedCall;
use shared::tenancy::TenancyError;

/// A dispatch that is ready to be made.
pub struct ChannelCall {
    provider: &'static dyn DispatchProvider,
    config_id: String,
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
    let secrets = credentials.secrets();
    let made = made.map_err(|refused| failure(&refused, None, |text| secrets.redact(text, false)))?;
    let step = match made {
        ProviderCall::Done(id) => Step::Done(id),
        ProviderCall::Http(HttpCall { method, url, headers, body }) => {
            let timeout = dispatch::timeout(&config.settings);
            let (tenant, call_id) = (&record.tenant, &call::call_id(record));
            let call = SignedCall { tenant, method, url, headers, call_id, body: Some(body), timeout };
            let mut request = call.request(ctx).await?;
            // The provider's id is in the body: it is needed, and worth the whole time.
            request.body_timeout = timeout;
            request.secrets.extend(&secrets);
            Step::Http(request)
        }
    };
    Ok(ChannelCall { provider, config_id: config.id.clone(), step })
}

impl ChannelCall {
    /// The call, where there is one.
    pub fn request(&self) -> Option<&OutboundRequest> {
        match &self.step {
            Step::Http(request) => Some(request),
            Step::Done(_) => None,
        }
    }

    /// Makes the call and lets the provider judge the answer.
    pub async fn make(self, http: &Outbound) -> Outcome {
        let Self { provider, config_id, step } = self;
        let (provider_activity_id, http_status) = match step {
            Step::Done(id) => (id, None),
            Step::Http(request) => {
                let answer = http.send(request).await;
                let answer = answer.map_err(|error| (Failure::unanswered(&error), None))?;
                match provider.judge(&answer) {
                    // It is shown wherever the activity is.
                    Ok(id) => (answer.redact(&id), Some(answer.status)),
                    Err(refused) => {
                        let failure = failure(&refused, answer.excerpt(), |text| answer.redact(text));
                        return Err((failure, Some(answer)));
                    }
                }
            }
        };
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

fn failure(refused: &Refused, excerpt: Option<String>, redact: impl Fn(&str) -> String) -> Failure {
    match refused {
        Refused::Status(_) => Failure::refused(excerpt.unwrap_or_default()),
        Refused::Config(_) => Failure::configuration(redact(&refused.to_string())),
        Refused::Answer(_) | Refused::OnPurpose(_) => Failure::refused(redact(&refused.to_string())),
    }
}
