//! The API's own configuration, beside what every function needs.

use rules::notification::{ATTEMPTS_MAX, MAX_RETRIES_DEFAULT};
use rules::slots::Shares;
use shared::publisher::{RETRY_AFTER_FUDGE_S_DEFAULT, RETRY_AFTER_FUDGE_S_MAX};
use shared::settings::{Lookup, OutboundSettings, Reader, SettingsError};
use shared::tenancy::AcceptedSecret;

/// Requests at a time where `PUNCTUAL_REQUESTS` does not say: template.yaml's default.
const REQUESTS_DEFAULT: u32 = 200;

/// Typed environment of the API.
pub struct ApiSettings {
    /// `PUNCTUAL_ADMIN_KEY`: the key that opens everything; itself, `sha256:` and its hash in hex, or two such hashes.
    pub admin_key: AcceptedSecret,
    /// `PUNCTUAL_BASE_PATH`: the base path of a domain of one's own.
    pub base_path: Option<String>,
    /// `DialogServiceUri`: the Dialog service of reminder configurations that name none.
    pub dialog_service_uri: Option<String>,
    /// Where notifications may go.
    pub outbound: OutboundSettings,
    /// `max_retries`: of notification types that do not say (seed 003).
    pub max_retries: u32,
    /// `retry_after_fudge_s`: seconds to the first re-send of a notification (seed 003).
    pub retry_after_fudge_s: u32,
    /// How many requests at a time may call receivers of one company; `None` where all may. Of `PUNCTUAL_REQUESTS`, the
    /// requests at a time, `PUNCTUAL_COMPANY_REQUESTS_PERCENT` at most, and `PUNCTUAL_COMPANY_HELD_REQUESTS_PERCENT` while its
    /// receivers hold them for long.
    pub shares: Option<Shares>,
}

impl ApiSettings {
    /// Reads the variables above.
    ///
    /// # Errors
    /// [`SettingsError`] naming every fault.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(lookup);
        let settings = Self {
            admin_key: reader.admin_key(),
            base_path: reader.base_path(),
            dialog_service_uri: lookup("DialogServiceUri").filter(|uri| !uri.is_empty()),
            outbound: reader.outbound(),
            max_retries: reader.number("max_retries", 0..=ATTEMPTS_MAX, MAX_RETRIES_DEFAULT),
            retry_after_fudge_s: reader.number(
                "retry_after_fudge_s",
                0..=RETRY_AFTER_FUDGE_S_MAX,
                RETRY_AFTER_FUDGE_S_DEFAULT,
            ),
            shares: reader.request_shares(REQUESTS_DEFAULT),
        };
        reader.finish(settings)
    }
}
