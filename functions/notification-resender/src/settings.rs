//! The re-sender's own configuration, under seed 003's names.

use shared::publisher::{RETRY_AFTER_FUDGE_S_DEFAULT, RETRY_AFTER_FUDGE_S_MAX};
use shared::settings::{Lookup, OutboundSettings, Reader, SettingsError};

/// Notifications of one solution in a cycle, where `max_doc_read` says nothing.
pub const MAX_DOC_READ_DEFAULT: u32 = 20;
/// Milliseconds from one cycle to the next, where `cycle_delay_time_ms` says nothing.
pub const CYCLE_DELAY_TIME_MS_DEFAULT: u32 = 300_000;
/// Most notifications of one solution in a cycle: what its time limit leaves room for.
const MAX_DOC_READ: u32 = 1_000;
/// The longest delay between cycles, in milliseconds: a day.
const CYCLE_DELAY_TIME_MS_MAX: u32 = 86_400_000;

/// Typed environment of the re-sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResenderSettings {
    /// `max_doc_read`: the most notifications of one solution in a cycle.
    pub max_doc_read: u32,
    /// `retry_after_fudge_s`: the wait that rules without one have, and the factor where none matches.
    pub retry_after_fudge_s: u32,
    /// `cycle_delay_time_ms`: how long a cycle follows the one before at the earliest. The schedule is
    /// template.yaml's; a longer delay leaves out ticks of it.
    pub cycle_delay_time_ms: u32,
    /// Where calls may go.
    pub outbound: OutboundSettings,
}

impl ResenderSettings {
    /// Reads the variables above.
    ///
    /// # Errors
    /// [`SettingsError`] naming every fault.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(lookup);
        let settings = Self {
            max_doc_read: reader.number("max_doc_read", 1..=MAX_DOC_READ, MAX_DOC_READ_DEFAULT),
            retry_after_fudge_s: reader.number(
                "retry_after_fudge_s",
                0..=RETRY_AFTER_FUDGE_S_MAX,
                RETRY_AFTER_FUDGE_S_DEFAULT,
            ),
            cycle_delay_time_ms: reader.number(
                "cycle_delay_time_ms",
                0..=CYCLE_DELAY_TIME_MS_MAX,
                CYCLE_DELAY_TIME_MS_DEFAULT,
            ),
            outbound: reader.outbound(),
        };
        reader.finish(settings)
    }
}
