//! Credentials in the clear: as short as a dispatch takes, and never in a text.

use crate::outbound::Secrets;
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// The values of a config's credential fields. Zeroized when dropped; its `Debug` shows the keys alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials(BTreeMap<String, Zeroizing<String>>);

/// What was sealed as credentials opened as something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the credentials are malformed")]
pub struct CredentialsError;

impl Credentials {
    /// Adds one.
    pub fn insert(&mut self, key: &str, value: String) {
        self.0.insert(key.to_owned(), Zeroizing::new(value));
    }

    /// The value of a field.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|value| value.as_str())
    }

    /// Which fields are set.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The form that is sealed: a JSON object.
    pub fn to_json(&self) -> Zeroizing<Vec<u8>> {
        let plain: BTreeMap<&str, &str> =
            self.0.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        Zeroizing::new(serde_json::to_vec(&plain).unwrap_or_default())
    }

    /// Reads [`Credentials::to_json`].
    ///
    /// # Errors
    /// [`CredentialsError`], which shows nothing of what was read.
    pub fn from_json(json: &[u8]) -> Result<Self, CredentialsError> {
        let plain: BTreeMap<String, String> = serde_json::from_slice(json).map_err(|_| CredentialsError)?;
        Ok(Self(plain.into_iter().map(|(key, value)| (key, Zeroizing::new(value))).collect()))
    }

    /// All of them, to be kept out of what is kept of an answer.
    pub fn secrets(&self) -> Secrets {
        let mut secrets = Secrets::default();
        self.0.values().for_each(|value| secrets.add(value));
        secrets
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        let mut credentials = Credentials::default();
        credentials.insert("apiKey", "s3cret/\"key\"".to_owned());
        credentials
    }

    #[test]
    fn they_are_read_back_and_never_shown() {
        let read = Credentials::from_json(&credentials().to_json()).unwrap();
        assert_eq!(read, credentials());
        assert_eq!(format!("{read:?}"), r#"{"apiKey"}"#);
        for bad in ["", "[]", r#"{"apiKey": 1}"#, "s3cret"] {
            assert_eq!(Credentials::from_json(bad.as_bytes()), Err(CredentialsError), "{bad}");
        }
    }

    #[test]
    fn they_are_secrets() {
        let text = credentials().secrets().redact(r#"no such key: s3cret/\"key\""#, false);
        assert_eq!(text, "no such key: [redacted]");
    }
}
