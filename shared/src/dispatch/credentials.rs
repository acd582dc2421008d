//! Credentials in the clear: as short as a dispatch takes, and never in a text.

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// What stands for a credential in a text.
const REDACTED: &str = "[redacted]";
/// An encoded form shorter than this is found in any text, and tells nothing.
const FORM_MIN_CHARS: usize = 6;

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

    /// The text without any of the credentials in it, plain or as they are commonly encoded:
    /// providers repeat what they refuse, and the history is no place for it.
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in self.0.values().filter(|value| !value.is_empty()) {
            for form in forms(value) {
                if text.contains(form.as_str()) {
                    text = text.replace(form.as_str(), REDACTED);
                }
            }
        }
        text
    }
}

/// A value as it may stand in an answer, the longest forms first.
fn forms(value: &str) -> Vec<Zeroizing<String>> {
    let json = serde_json::to_string(value).unwrap_or_default();
    let mut forms = vec![
        value.to_owned(),
        json.get(1..json.len().saturating_sub(1)).unwrap_or_default().to_owned(),
        percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string(),
    ];
    // As base64 on its own, and within the base64 of a longer text, where it may begin at any of three places.
    forms.extend([STANDARD, URL_SAFE].map(|engine| engine.encode(value)));
    for offset in 0..3 {
        let padded = Zeroizing::new([&[0; 2][..offset], value.as_bytes()].concat());
        let (from, to) = ((offset * 8).div_ceil(6), padded.len() * 8 / 6);
        let within = |engine: GeneralPurpose| engine.encode(&padded)[from..to].to_owned();
        forms.extend([STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(within));
    }
    forms.retain(|form| form == value || form.len() >= FORM_MIN_CHARS);
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.dedup();
    forms.into_iter().map(Zeroizing::new).collect()
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
    fn no_form_of_them_stays_in_a_text() {
        let secret = "s3cret/\"key\"";
        for form in [
            secret.to_owned(),
            r#"s3cret/\"key\""#.to_owned(),
            STANDARD.encode(secret),
            URL_SAFE_NO_PAD.encode(secret),
            "s3cret%2F%22key%22".to_owned(),
        ] {
            let text = credentials().redact(&format!("no such key: {form}, {form}"));
            assert_eq!(text, "no such key: [redacted], [redacted]", "{form}");
        }
        for user in ["", "u", "us", "use", "user:"] {
            let text = credentials().redact(&format!("Basic {}", STANDARD.encode(format!("{user}{secret}"))));
            assert!(text.contains(REDACTED), "{user}: {text}");
        }
        assert_eq!(credentials().redact("nothing of it"), "nothing of it");
    }
}
