//! Activity injection: activities go to external providers, by channel (SPEC §4).
//!
//! A provider is one file in [`providers`] behind [`DispatchProvider`]. It says
//! what it needs to be configured with, makes a call of an activity, and reads
//! the answer. It does no I/O: the worker opens the credentials, makes the
//! call, and records what came of it. ARCHITECTURE.md, "Add a provider", is the checklist.

mod activity;
mod credentials;
mod definition;
mod judge;
mod providers;
#[cfg(test)]
mod tests;

pub use activity::{ActivityType, ChannelActivity, Commerce, Payload};
pub use credentials::{Credentials, CredentialsError};
pub use definition::{ChannelDefinition, Field, FieldType, TIMEOUT};
pub use judge::{PROVIDER_ACTIVITY_ID_MAX_BYTES, Refused, provider_activity_id};
pub use providers::PROVIDERS;

use crate::entropy::Entropy;
use crate::outbound::Answer;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use rules::names::Channel;
use rules::number::Decimal;
use serde_json::{Map, Value};
use std::time::Duration;

/// Dispatch attempts in all (seed 000: max dispatch attempts).
pub const ATTEMPTS_MAX: u32 = 3;

/// A system that takes activities.
pub trait DispatchProvider: Send + Sync {
    /// The name by which configs know it; never changes.
    fn code(&self) -> &'static str;

    /// The name for people.
    fn name(&self) -> &'static str;

    /// How it is reached, such as `REST`; `NONE` where no call is made.
    fn protocol_type(&self) -> &'static str;

    /// The channels it takes activities of, and what a config for each needs.
    fn channels(&self) -> &'static [ChannelDefinition];

    /// Whether a config needs a `baseUrl`.
    fn needs_base_url(&self) -> bool {
        true
    }

    /// The call that dispatches an activity, or the outcome where none is needed.
    ///
    /// # Errors
    /// [`Refused`] where the config is not as the definition asks: a failed attempt.
    fn call(&self, dispatch: &Dispatching<'_>) -> Result<ProviderCall, Refused>;

    /// The provider's id of the activity, from its answer to the call.
    ///
    /// # Errors
    /// [`Refused`] if the provider did not take the activity: a failed attempt.
    fn judge(&self, answer: &Answer) -> Result<String, Refused> {
        provider_activity_id(answer)
    }
}

/// What a provider makes a call of.
#[derive(Clone, Copy)]
pub struct Dispatching<'a> {
    /// The activity, as it is sent.
    pub payload: &'a Payload<'a>,
    /// Absolute http(s) URL without a slash at its end; empty if the config has none.
    pub base_url: &'a str,
    /// What the definition asks for.
    pub credentials: &'a Credentials,
    /// What the definition asks for.
    pub settings: &'a Map<String, Value>,
    /// Chance.
    pub entropy: &'a dyn Entropy,
}

/// How an activity gets to its provider.
pub enum ProviderCall {
    /// By a call; [`DispatchProvider::judge`] reads the answer.
    Http(HttpCall),
    /// It has got there: the provider's id of it.
    Done(String),
}

/// A call. The worker adds the headers of every call: `idempotency-key` and the signature (SPEC §3).
pub struct HttpCall {
    /// The verb.
    pub method: Method,
    /// Absolute http(s) URL.
    pub url: String,
    /// Headers beside `content-type: application/json`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

/// The provider of that code.
pub fn provider(code: &str) -> Option<&'static dyn DispatchProvider> {
    PROVIDERS.iter().copied().find(|provider| provider.code() == code)
}

/// What the provider needs for a channel; `None` for a channel it does not take.
pub fn definition(provider: &dyn DispatchProvider, channel: Channel) -> Option<&'static ChannelDefinition> {
    provider.channels().iter().find(|definition| definition.channel == channel)
}

/// The whole call's time limit (see [`TIMEOUT`]).
pub fn timeout(settings: &Map<String, Value>) -> Duration {
    let nanos = number(settings, TIMEOUT.key).and_then(|seconds| seconds.times_rounded_up(1_000_000_000));
    nanos.map_or(definition::TIMEOUT_DEFAULT, Duration::from_nanos).max(Duration::from_secs(1))
}

/// A setting that is a number.
fn number(settings: &Map<String, Value>, key: &str) -> Option<Decimal> {
    settings.get(key)?.as_number()?.as_str().parse().ok()
}
