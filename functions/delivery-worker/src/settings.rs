//! Settings of the function, from environment variables (SPEC §10).

use rules::slots::Shares;
use shared::settings::{Lookup, OutboundSettings, Reader, SettingsError};

/// Delivery workers at a time where `PUNCTUAL_WORKERS` does not say: template.yaml's default, as those below.
const WORKERS_DEFAULT: u32 = 100;
/// See `PUNCTUAL_COMPANY_WORKERS_PERCENT`.
const COMPANY_PERCENT_DEFAULT: u32 = 25;
/// See `PUNCTUAL_COMPANY_HELD_WORKERS_PERCENT`.
const COMPANY_HELD_PERCENT_DEFAULT: u32 = 5;

/// The settings of the function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSettings {
    /// Where calls may go.
    pub outbound: OutboundSettings,
    /// How many workers a company may have at a time; `None` where it may have all. Of `PUNCTUAL_WORKERS`, the workers
    /// there are, `PUNCTUAL_COMPANY_WORKERS_PERCENT` at most, and `PUNCTUAL_COMPANY_HELD_WORKERS_PERCENT` while its
    /// receivers hold them for long.
    pub shares: Option<Shares>,
}

impl WorkerSettings {
    /// Reads the variables above.
    ///
    /// # Errors
    /// [`SettingsError`] naming every fault.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(lookup);
        let outbound = reader.outbound();
        let shares = reader.shares([
            ("PUNCTUAL_WORKERS", WORKERS_DEFAULT),
            ("PUNCTUAL_COMPANY_WORKERS_PERCENT", COMPANY_PERCENT_DEFAULT),
            ("PUNCTUAL_COMPANY_HELD_WORKERS_PERCENT", COMPANY_HELD_PERCENT_DEFAULT),
        ]);
        reader.finish(Self { outbound, shares })
    }

    /// The shares where nothing is said.
    pub fn default_shares() -> Option<Shares> {
        Shares::of(WORKERS_DEFAULT, COMPANY_HELD_PERCENT_DEFAULT, COMPANY_PERCENT_DEFAULT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_workers_there_are() {
        let read = |text: &'static str| {
            let lookup =
                move |name: &str| (name == "PUNCTUAL_COMPANY_WORKERS_PERCENT").then(|| text.to_owned());
            WorkerSettings::read(&lookup).map(|settings| settings.shares).map_err(|error| error.to_string())
        };
        assert_eq!(read(""), Ok(Some(Shares { base: 5, burst: 25 })));
        assert_eq!(read("100"), Ok(None));
        assert!(read("0").unwrap_err().contains("PUNCTUAL_COMPANY_WORKERS_PERCENT must be"));
    }
}
