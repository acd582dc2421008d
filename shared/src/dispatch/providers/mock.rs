//! `MOCK`: takes every activity without a call, for development and tests (seed 000).

use crate::dispatch::{
    ChannelDefinition, DispatchProvider, Dispatching, Field, FieldType, ProviderCall, Refused,
};
use serde_json::Value;

const FAILURE_RATE: Field = Field {
    key: "failureRate",
    label: "Share of dispatches that fail, from 0 to 1",
    field_type: FieldType::Number { from: 0.0, to: 1.0 },
    required: false,
};
static CHANNELS: &[ChannelDefinition] = &ChannelDefinition::for_all(&[], &[FAILURE_RATE]);

/// The provider.
pub struct Mock;

impl DispatchProvider for Mock {
    fn code(&self) -> &'static str {
        "MOCK"
    }

    fn name(&self) -> &'static str {
        "Mock"
    }

    fn protocol_type(&self) -> &'static str {
        "NONE"
    }

    fn channels(&self) -> &'static [ChannelDefinition] {
        CHANNELS
    }

    fn needs_base_url(&self) -> bool {
        false
    }

    fn call(&self, dispatch: &Dispatching<'_>) -> Result<ProviderCall, Refused> {
        let rate = dispatch.settings.get(FAILURE_RATE.key).and_then(Value::as_f64).unwrap_or_default();
        // A number below 1, so that a rate of 1 always fails, and one of 0 never.
        let drawn = f64::from(u32::from_le_bytes(dispatch.entropy.bytes())) / (f64::from(u32::MAX) + 1.0);
        if drawn < rate {
            return Err(Refused::OnPurpose("failed on purpose, as failureRate asks"));
        }
        let id = uuid::Builder::from_random_bytes(dispatch.entropy.bytes()).into_uuid();
        Ok(ProviderCall::Done(id.to_string()))
    }
}
