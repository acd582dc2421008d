//! How an encrypted value is laid out, before base64 (standard alphabet, padded):
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | version, 1 |
//! | 2 | length of the wrapped key, big endian |
//! | … | wrapped data key, as KMS gave it |
//! | 12 | nonce |
//! | … | ciphertext and its 16-byte tag |
//!
//! Authenticated with it: the version and the context, each part with its length
//! before it, so that no two contexts have the same bytes.

use super::CryptoError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rules::names::Tenant;
use sha2::{Digest, Sha256};

/// The one version there is.
pub(super) const VERSION: u8 = 1;
/// Of AES-GCM.
pub(super) const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// An encrypted value in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub wrapped: &'a [u8],
    pub nonce: [u8; NONCE_BYTES],
    pub ciphertext: &'a [u8],
}

impl<'a> Parts<'a> {
    /// The text that is stored.
    pub(super) fn encode(&self) -> Result<String, CryptoError> {
        // KMS wraps to some 180 bytes; its limit is 6,144.
        let length = u16::try_from(self.wrapped.len())
            .map_err(|_| CryptoError::Kms("a wrapped key that is too long".to_owned()))?;
        let parts = [&[VERSION][..], &length.to_be_bytes(), self.wrapped, &self.nonce, self.ciphertext];
        Ok(STANDARD.encode(parts.concat()))
    }

    /// The parts of what [`decode`] gave.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, CryptoError> {
        let (version, rest) = bytes.split_first().ok_or(CryptoError::Malformed)?;
        if *version != VERSION {
            return Err(CryptoError::Version(*version));
        }
        let (length, rest) = rest.split_first_chunk().ok_or(CryptoError::Malformed)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (wrapped, rest) = rest.split_at_checked(length).ok_or(CryptoError::Malformed)?;
        let (nonce, ciphertext) = rest.split_first_chunk().ok_or(CryptoError::Malformed)?;
        if wrapped.is_empty() || ciphertext.len() < TAG_BYTES {
            return Err(CryptoError::Malformed);
        }
        Ok(Self { wrapped, nonce: *nonce, ciphertext })
    }
}

/// The bytes of a stored text.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, CryptoError> {
    STANDARD.decode(text).map_err(|_| CryptoError::Malformed)
}

/// What is authenticated with a value.
pub(super) fn context(tenant: &Tenant, purpose: &str) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for part in [tenant.company.as_str(), tenant.solution.as_str(), purpose] {
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    bytes
}

/// A cache's name for what is told apart by these bytes; the first is a [`context`], which ends where it says.
pub(super) fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}
