//! The keys of a local system: given, or made once and kept.

use crate::data_dir::{self, DataDirError};
use shared::entropy::OsEntropy;
use shared::settings::secret_text;
use std::path::Path;

/// The variable that sets the admin key.
pub const ADMIN_KEY: &str = "PUNCTUAL_ADMIN_KEY";
/// The variable that sets the processor secret.
pub const PROCESSOR_SECRET: &str = "PUNCTUAL_PROCESSOR_SECRET";

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error("{0} {1}")]
    Refused(&'static str, String),
}

/// The keys.
#[derive(Clone)]
pub struct Keys {
    pub admin_key: String,
    pub processor_secret: String,
    /// Whether the user set the admin key and so knows it.
    pub admin_key_given: bool,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Keys")
    }
}

impl Keys {
    /// Takes the keys from `lookup`, or from the data directory, or makes them.
    ///
    /// # Errors
    /// The directory's files cannot be read or written, or a key given is too short.
    pub fn find(lookup: impl Fn(&str) -> Option<String>, dir: Option<&Path>) -> Result<Self, KeysError> {
        let given = |name: &'static str| {
            let value = lookup(name).filter(|value| !value.is_empty());
            value.as_deref().map_or(Ok(()), secret_text).map_err(|fault| KeysError::Refused(name, fault))?;
            Ok::<_, KeysError>(value)
        };
        let kept = |file: &str| match dir {
            Some(dir) => data_dir::secret(dir, file, &OsEntropy),
            None => Ok(data_dir::new_secret(&OsEntropy)),
        };
        let (admin_key, processor_secret) = (given(ADMIN_KEY)?, given(PROCESSOR_SECRET)?);
        Ok(Self {
            admin_key_given: admin_key.is_some(),
            admin_key: admin_key.map_or_else(|| kept("admin-key"), Ok)?,
            processor_secret: processor_secret.map_or_else(|| kept("processor-secret"), Ok)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_keys_go_first_and_made_ones_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let given =
            Keys::find(|name| (name == ADMIN_KEY).then(|| "given-by-the-user".to_owned()), Some(dir.path()))
                .unwrap();
        assert_eq!((given.admin_key.as_str(), given.admin_key_given), ("given-by-the-user", true));
        for name in [ADMIN_KEY, PROCESSOR_SECRET] {
            let short = |asked: &str| (asked == name).then(|| "15-characters-x".to_owned());
            let refused = Keys::find(short, None).unwrap_err().to_string();
            assert_eq!(refused, format!("{name} must have at least 16 characters"));
        }
        let made = Keys::find(|_| Some(String::new()), Some(dir.path())).unwrap();
        let kept = Keys::find(|_| None, Some(dir.path())).unwrap();
        assert_eq!((&made.admin_key, &given.processor_secret), (&kept.admin_key, &kept.processor_secret));
        assert!(!kept.admin_key_given && kept.admin_key != kept.processor_secret);
        assert_ne!(Keys::find(|_| None, None).unwrap().admin_key, kept.admin_key);
        assert_eq!(format!("{kept:?}"), "Keys");
    }
}
