//! The sender's own configuration, beside what every function needs. The seed's names are kept.

use chrono::TimeDelta;
use rules::slots::Shares;
use shared::settings::{Lookup, OutboundSettings, Reader, SettingsError};
use shared::tenancy::AcceptedSecret;

/// Groups in parallel, if nobody says (seed 001).
pub const BATCH_SIZE_DEFAULT: u32 = 10;
/// Most groups in parallel.
pub const BATCH_SIZE_MAX: u32 = 1_000;
/// Minutes for which the lock holds unless renewed, if nobody says (seed 001).
pub const LOCK_TTL_DEFAULT: u32 = 10;
/// Minutes after which the lock is renewed, if nobody says (seed 001).
pub const LOCK_RENEWAL_DEFAULT: u32 = 5;
/// Most minutes of either: a day.
pub const LOCK_MINUTES_MAX: u32 = 1_440;

/// Requests at a time where `PUNCTUAL_REQUESTS` does not say: what template.yaml reserves of this function.
const REQUESTS_DEFAULT: u32 = 20;

/// Typed environment of the sender.
#[derive(Debug, Clone)]
pub struct SenderSettings {
    /// `Plugins_Reminder_BatchSize`: groups that are worked on at a time.
    pub batch_size: usize,
    /// `Plugins_Reminder_LockTTLMinutes`: for how long the lock holds unless renewed.
    pub lock_ttl: TimeDelta,
    /// `Plugins_Reminder_LockRenewalMinutes`: after how long it is renewed.
    pub lock_renewal: TimeDelta,
    /// `DialogServiceUri`: the Dialog service of configurations that name none.
    pub dialog_service_uri: Option<String>,
    /// `PUNCTUAL_PROCESSOR_SECRET`: opens `pending/send`; without it a key alone does. Itself, `sha256:` and its hash
    /// in hex, or two such hashes with a comma between.
    pub processor_secret: Option<AcceptedSecret>,
    /// `PUNCTUAL_ADMIN_KEY`: the key that opens everything, likewise.
    pub admin_key: AcceptedSecret,
    /// `PUNCTUAL_BASE_PATH`: the base path of a domain of one's own.
    pub base_path: Option<String>,
    /// Where calls may go.
    pub outbound: OutboundSettings,
    /// How many requests at a time may send reminders of one company; `None` where all may. See `ApiSettings::shares`.
    pub shares: Option<Shares>,
}

impl SenderSettings {
    /// Reads the variables above.
    ///
    /// # Errors
    /// [`SettingsError`] naming every fault.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(lookup);
        let minutes = |minutes: u32| TimeDelta::minutes(i64::from(minutes));
        let batch_size = reader.number("Plugins_Reminder_BatchSize", 1..=BATCH_SIZE_MAX, BATCH_SIZE_DEFAULT);
        let ttl = reader.number("Plugins_Reminder_LockTTLMinutes", 1..=LOCK_MINUTES_MAX, LOCK_TTL_DEFAULT);
        let renewal =
            reader.number("Plugins_Reminder_LockRenewalMinutes", 1..=LOCK_MINUTES_MAX, LOCK_RENEWAL_DEFAULT);
        if renewal >= ttl {
            reader.fault(format!(
                "Plugins_Reminder_LockRenewalMinutes ({renewal}) must be less than Plugins_Reminder_LockTTLMinutes ({ttl})"
            ));
        }
        let text = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let dialog_service_uri = text("DialogServiceUri");
        if let Some(uri) = &dialog_service_uri
            && let Err(error) = rules::uri::fixed(uri)
        {
            reader.fault(format!("DialogServiceUri {error}"));
        }
        let processor_secret = reader.secret("PUNCTUAL_PROCESSOR_SECRET");
        let admin_key = reader.admin_key();
        let base_path = reader.base_path();
        let outbound = reader.outbound();
        let shares = reader.request_shares(REQUESTS_DEFAULT);
        let (lock_ttl, lock_renewal) = (minutes(ttl), minutes(renewal));
        let batch_size = batch_size as usize;
        reader.finish(Self {
            batch_size,
            lock_ttl,
            lock_renewal,
            dialog_service_uri,
            processor_secret,
            admin_key,
            base_path,
            outbound,
            shares,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_names_and_defaults() {
        let lookup = |name: &str| (name == "PUNCTUAL_ADMIN_KEY").then(|| "0123456789abcdef".to_owned());
        let settings = SenderSettings::read(&lookup).unwrap();
        assert_eq!(settings.batch_size, 10);
        assert_eq!(
            (settings.lock_ttl, settings.lock_renewal),
            (TimeDelta::minutes(10), TimeDelta::minutes(5))
        );
        assert_eq!(settings.dialog_service_uri, None);
        assert!(settings.processor_secret.is_none());
    }

    #[test]
    fn every_fault_is_named() {
        let lookup = |name: &str| match name {
            "Plugins_Reminder_BatchSize" => Some("0".to_owned()),
            "Plugins_Reminder_LockRenewalMinutes" => Some("10".to_owned()),
            "DialogServiceUri" => Some("dialog".to_owned()),
            "PUNCTUAL_ADMIN_KEY" => Some("short".to_owned()),
            _ => None,
        };
        let SettingsError(faults) = SenderSettings::read(&lookup).unwrap_err();
        let names: Vec<&str> = faults.iter().filter_map(|fault| fault.split_whitespace().next()).collect();
        assert_eq!(
            names,
            [
                "Plugins_Reminder_BatchSize",
                "Plugins_Reminder_LockRenewalMinutes",
                "DialogServiceUri",
                "PUNCTUAL_ADMIN_KEY",
            ]
        );
    }
}
