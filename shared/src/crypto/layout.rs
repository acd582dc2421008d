//! How an encrypted value is laid out, before base64 (standard alphabet, padded):
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | version, 2 |
//! | 4 | fingerprint of the KMS key by whose name the data key was made |
//! | 2 | length of the wrapped key, big endian |
//! | … | wrapped data key, as KMS gave it |
//! | 12 | nonce |
//! | … | ciphertext and its 16-byte tag |
//!
//! Authenticated with it: the version, the fingerprint and the context, each part of that with its
//! length before it, so that no two contexts have the same bytes.
//!
//! Version 1 is the same without the fingerprint. It is read, and no longer written: without it nobody
//! can tell what is left under a KMS key that is to be given up. A next version is added in two
//! releases, the first of which reads it and the second writes it, so that functions of both run side
//! by side.

use super::CryptoError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rules::names::Tenant;
use sha2::{Digest, Sha256};

/// The version that is written.
pub(super) const VERSION: u8 = 2;
/// Read as well.
const VERSION_1: u8 = 1;
/// Of AES-GCM.
pub(super) const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// The beginning of an encrypted value: how the rest is read, and what is authenticated with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Header {
    /// Version 1.
    V1,
    /// Version 2, with the fingerprint of the KMS key.
    V2([u8; 4]),
}

impl Header {
    /// What is written under the KMS key of that name.
    pub(super) fn of_key(key_id: &str) -> Self {
        let hash = Sha256::digest(key_id);
        Header::V2([hash[0], hash[1], hash[2], hash[3]])
    }

    fn bytes(self) -> Vec<u8> {
        match self {
            Header::V1 => vec![VERSION_1],
            Header::V2(key) => [&[VERSION][..], &key].concat(),
        }
    }

    fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), CryptoError> {
        let (version, rest) = bytes.split_first().ok_or(CryptoError::Malformed)?;
        match *version {
            VERSION_1 => Ok((Header::V1, rest)),
            VERSION => {
                let (key, rest) = rest.split_first_chunk().ok_or(CryptoError::Malformed)?;
                Ok((Header::V2(*key), rest))
            }
            version => Err(CryptoError::Version(version)),
        }
    }
}

/// An encrypted value in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub header: Header,
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
        let parts =
            [&self.header.bytes()[..], &length.to_be_bytes(), self.wrapped, &self.nonce, self.ciphertext];
        Ok(STANDARD.encode(parts.concat()))
    }

    /// The parts of what [`decode`] gave.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, CryptoError> {
        let (header, rest) = Header::parse(bytes)?;
        let (length, rest) = rest.split_first_chunk().ok_or(CryptoError::Malformed)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (wrapped, rest) = rest.split_at_checked(length).ok_or(CryptoError::Malformed)?;
        let (nonce, ciphertext) = rest.split_first_chunk().ok_or(CryptoError::Malformed)?;
        if wrapped.is_empty() || ciphertext.len() < TAG_BYTES {
            return Err(CryptoError::Malformed);
        }
        Ok(Self { header, wrapped, nonce: *nonce, ciphertext })
    }
}

/// The bytes of a stored text.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, CryptoError> {
    STANDARD.decode(text).map_err(|_| CryptoError::Malformed)
}

/// What is authenticated with a value.
pub(super) fn context(header: Header, tenant: &Tenant, purpose: &str) -> Vec<u8> {
    let mut bytes = header.bytes();
    for part in [tenant.company.as_str(), &tenant.solution.to_string(), purpose] {
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
