//! What a config of a provider has to hold: credentials and settings, field by field.

use rules::names::Channel;
use std::time::Duration;

/// The whole call's time limit, where a config does not say otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// What one channel of a provider needs.
#[derive(Debug, Clone, Copy)]
pub struct ChannelDefinition {
    /// The channel.
    pub channel: Channel,
    /// Secrets: sealed, and never shown again. Text all of them.
    pub credentials: &'static [Field],
    /// Everything else.
    pub settings: &'static [Field],
}

impl ChannelDefinition {
    /// The same definition for every channel.
    pub const fn for_all(
        credentials: &'static [Field],
        settings: &'static [Field],
    ) -> [ChannelDefinition; Channel::ALL.len()] {
        let mut all =
            [ChannelDefinition { channel: Channel::ALL[0], credentials, settings }; Channel::ALL.len()];
        let mut index = 0;
        while index < all.len() {
            all[index].channel = Channel::ALL[index];
            index += 1;
        }
        all
    }
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name in `credentials` or `settings`.
    pub key: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// What it holds.
    pub field_type: FieldType,
    /// Whether it has to be there.
    pub required: bool,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FieldType {
    /// Any text that is not empty.
    Text,
    /// Text that can be the value of an HTTP header.
    HeaderText,
    /// A number within a range, both ends included.
    Number {
        /// The smallest.
        from: u64,
        /// The largest.
        to: u64,
    },
    /// `true` or `false`.
    Boolean,
}

impl FieldType {
    /// The JSON type.
    pub fn as_str(self) -> &'static str {
        match self {
            FieldType::Text | FieldType::HeaderText => "string",
            FieldType::Number { .. } => "number",
            FieldType::Boolean => "boolean",
        }
    }
}

/// A setting for every provider that is called: the whole call's time limit.
pub const TIMEOUT: Field = Field {
    key: "timeoutSeconds",
    label: "Time limit of a call, in seconds",
    field_type: FieldType::Number { from: 1, to: 120 },
    required: false,
};
