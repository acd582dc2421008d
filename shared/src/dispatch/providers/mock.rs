//! `MOCK`: takes every activity without a call, for development and tests (seed 000).

use crate::dispatch::{
    ChannelDefinition, DispatchProvider, Dispatching, Field, FieldType, ProviderCall, Refused, number,
};

const FAILURE_RATE: Field = Field {
    key: "failureRate",
    label: "Share of dispatches that fail, from 0 to 1",
    field_type: FieldType::Number { from: 0, to: 1 },
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
        // Of as many draws as there are values of a u32: a rate of 1 always fails, and one of 0 never.
        let rate = number(dispatch.settings, FAILURE_RATE.key);
        let failing = rate.and_then(|rate| rate.times_rounded_up(1 << 32)).unwrap_or_default();
        if u64::from(u32::from_le_bytes(dispatch.entropy.bytes())) < failing {
            return Err(Refused::OnPurpose("failed on purpose, as failureRate asks"));
        }
        let id = uuid::Builder::from_random_bytes(dispatch.entropy.bytes()).into_uuid();
        Ok(ProviderCall::Done(id.to_string()))
    }
}
