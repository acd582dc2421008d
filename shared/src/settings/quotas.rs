//! How much of each kind of configuration a company may have: limits that are configured, held by [`crate::tenancy::Quota`].

use super::reader::Reader;

/// Most that a quota may be.
pub const QUOTA_MAX: u32 = 10_000_000;

/// How many of each a company may have, over all its solutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// `PUNCTUAL_MAX_API_KEYS`.
    pub api_keys: u32,
    /// `PUNCTUAL_MAX_SOLUTIONS`.
    pub solutions: u32,
    /// `PUNCTUAL_MAX_ACTIVITY_TYPES`.
    pub activity_types: u32,
    /// `PUNCTUAL_MAX_NOTIFICATION_TYPES`.
    pub notification_types: u32,
    /// `PUNCTUAL_MAX_RECURRING_ACTIVITIES`.
    pub recurring_activities: u32,
}

impl Default for Quotas {
    /// Those of template.yaml.
    fn default() -> Self {
        Self {
            api_keys: 100,
            solutions: 100,
            activity_types: 1_000,
            notification_types: 1_000,
            recurring_activities: 100_000,
        }
    }
}

impl Quotas {
    /// Reads the variables above.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let default = Self::default();
        let mut number = |name, default| reader.number(name, 1..=QUOTA_MAX, default);
        Self {
            api_keys: number("PUNCTUAL_MAX_API_KEYS", default.api_keys),
            solutions: number("PUNCTUAL_MAX_SOLUTIONS", default.solutions),
            activity_types: number("PUNCTUAL_MAX_ACTIVITY_TYPES", default.activity_types),
            notification_types: number("PUNCTUAL_MAX_NOTIFICATION_TYPES", default.notification_types),
            recurring_activities: number("PUNCTUAL_MAX_RECURRING_ACTIVITIES", default.recurring_activities),
        }
    }
}
