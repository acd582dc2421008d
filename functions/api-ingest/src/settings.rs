//! The API's own configuration, beside what every function needs.

use shared::settings::{ADMIN_KEY_MIN_CHARS, Lookup, Reader, SettingsError};

/// Typed environment of the API.
pub struct ApiSettings {
    /// `PUNCTUAL_ADMIN_KEY`: the key that opens everything.
    pub admin_key: String,
    /// `DialogServiceUri`: the Dialog service of reminder configurations that name none.
    pub dialog_service_uri: Option<String>,
}

impl ApiSettings {
    /// Reads the variables above.
    ///
    /// # Errors
    /// [`SettingsError`] naming every fault.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(lookup);
        let admin_key = reader.required("PUNCTUAL_ADMIN_KEY");
        if !admin_key.is_empty() && admin_key.chars().count() < ADMIN_KEY_MIN_CHARS {
            reader.fault(format!("PUNCTUAL_ADMIN_KEY must have at least {ADMIN_KEY_MIN_CHARS} characters"));
        }
        let dialog_service_uri = lookup("DialogServiceUri").filter(|uri| !uri.is_empty());
        reader.finish(Self { admin_key, dialog_service_uri })
    }
}
