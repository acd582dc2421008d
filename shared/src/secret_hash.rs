//! Secrets as they are kept and configured: by their SHA-256, compared in constant time (SPEC §1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use subtle::ConstantTimeEq;

/// What a hash in the configuration begins with, so that it is not taken for the secret itself.
const CONFIGURED_HASH: &str = "sha256:";

/// The SHA-256 of a key's text.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of a key.
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// A secret as the configuration has it: `sha256:` and its hash in hex, or the secret itself.
    ///
    /// # Errors
    /// A hash that is none, or that of nothing, which a shell makes of a variable that is not set.
    pub fn configured(text: &str) -> Result<Self, &'static str> {
        let Some(hex) = text.strip_prefix(CONFIGURED_HASH) else { return Ok(Self::of(text)) };
        let mut hash = [0; 32];
        let digits: Option<Vec<u32>> = hex.chars().map(|digit| digit.to_digit(16)).collect();
        let digits = digits.filter(|digits| digits.len() == 2 * hash.len());
        let digits = digits.ok_or("must have 64 hexadecimal digits after sha256:")?;
        for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
            *byte = (pair[0] * 16 + pair[1]) as u8;
        }
        let hash = Self(hash);
        if hash.matches(&Self::of("")) {
            Err("must be the hash of a key, not that of an empty text")
        } else {
            Ok(hash)
        }
    }

    /// The hash in hex, as template.yaml's parameters take it.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether it is the hash of the same key; takes the same time whatever the answer.
    pub fn matches(&self, other: &SecretHash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// A secret of the configuration: its hash, and that of the one which it replaces, as long as both are accepted.
#[derive(Debug, Clone, Copy)]
pub struct AcceptedSecret {
    current: SecretHash,
    previous: Option<SecretHash>,
}

impl AcceptedSecret {
    /// As the configuration has it: the secret itself, `sha256:` and its hash in hex, or two such hashes with a comma between.
    ///
    /// # Errors
    /// See [`SecretHash::configured`]; of two, both have to be hashes.
    pub fn configured(text: &str) -> Result<Self, &'static str> {
        let Some((current, previous)) = text.split_once(',').filter(|_| text.starts_with(CONFIGURED_HASH))
        else {
            return SecretHash::configured(text).map(Self::from);
        };
        if !previous.starts_with(CONFIGURED_HASH) {
            return Err("must have sha256: before each of two hashes");
        }
        let previous = Some(SecretHash::configured(previous)?);
        Ok(Self { current: SecretHash::configured(current)?, previous })
    }

    /// Whether `secret` is accepted; takes the same time whatever the answer.
    pub fn opens(&self, secret: &str) -> bool {
        let hash = SecretHash::of(secret);
        let is_previous = self.previous.is_some_and(|previous| previous.matches(&hash));
        self.current.matches(&hash) | is_previous
    }
}

impl From<SecretHash> for AcceptedSecret {
    fn from(current: SecretHash) -> Self {
        Self { current, previous: None }
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

impl fmt::Display for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for SecretHash {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| "is no base64")?;
        Ok(Self(bytes.try_into().map_err(|_| "is no SHA-256")?))
    }
}
