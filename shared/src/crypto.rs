//! Envelope encryption of credentials and signing secrets (SPEC §11).
//!
//! A value is encrypted by AES-256-GCM under a data key. KMS makes data keys
//! and wraps them under the encryption context `company`, `solution`, `purpose`,
//! which is also authenticated with the value itself. So a ciphertext that was
//! moved to another tenant or field does not decrypt, and KMS records in
//! CloudTrail whose secret was opened for what.

mod keys;
mod layout;
#[cfg(test)]
mod tests;

use crate::clock::SharedClock;
use crate::entropy::SharedEntropy;
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use aws_sdk_kms::error::ProvideErrorMetadata;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use futures::FutureExt;
use keys::{DataKey, KeyCache};
use layout::{Header, Parts};
use rules::names::Tenant;
use std::collections::HashMap;
use std::fmt;
use zeroize::Zeroizing;

/// Most bytes of a value: credentials and secrets are small.
pub const PLAINTEXT_MAX_BYTES: usize = 64 * 1024;
/// Most values that one data key encrypts. Random nonces would allow 2³² (NIST SP 800-38D §8.3).
const SEALS_PER_KEY_MAX: u32 = 10_000;

/// Encrypts and decrypts values of a tenant.
pub struct Envelope {
    kms: aws_sdk_kms::Client,
    key_id: String,
    entropy: SharedEntropy,
    sealing: KeyCache,
    opening: KeyCache,
}

/// Why a value cannot be encrypted or decrypted. None of the texts holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// An operator has to act: the key is disabled, or to be deleted.
    #[error("the KMS key is disabled or pending deletion")]
    KeyDisabled,
    /// An operator has to act: no such key.
    #[error("the KMS key does not exist")]
    KeyMissing,
    /// An operator has to act: the function's role lacks a permission.
    #[error("access to the KMS key is denied")]
    KeyDenied,
    /// KMS is throttled, failing or out of reach; trying again later may help. Holds KMS's error code, if any.
    #[error("KMS did not answer as it should ({0})")]
    Kms(String),
    /// Moved from another tenant or purpose, or changed.
    #[error("the ciphertext belongs to another tenant or purpose, or was changed")]
    Mismatch,
    /// Not what [`Envelope::seal`] makes.
    #[error("the ciphertext is malformed")]
    Malformed,
    /// Made by another version of this program.
    #[error("the ciphertext has the unknown version {0}")]
    Version(u8),
    /// More than [`PLAINTEXT_MAX_BYTES`].
    #[error("a value to encrypt has at most {PLAINTEXT_MAX_BYTES} bytes")]
    TooLong,
}

impl Envelope {
    /// `key_id` is the id, ARN or alias of the KMS key that wraps data keys.
    pub fn new(
        kms: aws_sdk_kms::Client,
        key_id: impl Into<String>,
        clock: SharedClock,
        entropy: SharedEntropy,
    ) -> Self {
        let cache = |uses| KeyCache::new(clock.clone(), uses);
        let (sealing, opening) = (cache(SEALS_PER_KEY_MAX), cache(u32::MAX));
        Self { kms, key_id: key_id.into(), entropy, sealing, opening }
    }

    /// Encrypts a value for a tenant and a purpose, such as `signing-secret`. The text that is stored
    /// holds the wrapped data key too.
    ///
    /// # Errors
    /// [`CryptoError`], mostly of KMS.
    pub async fn seal(
        &self,
        tenant: &Tenant,
        purpose: &str,
        plaintext: &[u8],
    ) -> Result<String, CryptoError> {
        if plaintext.len() > PLAINTEXT_MAX_BYTES {
            return Err(CryptoError::TooLong);
        }
        let header = Header::of_key(&self.key_id);
        let aad = layout::context(header, tenant, purpose);
        let key = self.sealing.get(layout::digest(&[&aad]), || self.generate(tenant, purpose)).await?;
        let nonce: [u8; layout::NONCE_BYTES] = self.entropy.bytes();
        let ciphertext = key
            .cipher
            .encrypt(&Nonce::from(nonce), Payload { msg: plaintext, aad: &aad })
            // Only a length beyond 2³⁶ bytes fails.
            .map_err(|_| CryptoError::TooLong)?;
        let parts = Parts { header, wrapped: &key.wrapped, nonce, ciphertext: &ciphertext };
        parts.encode()
    }

    /// Decrypts what [`Envelope::seal`] made for the same tenant and purpose.
    ///
    /// A key that is disabled in KMS still opens what it opened up to five minutes before.
    ///
    /// # Errors
    /// [`CryptoError`]: of KMS, or of the ciphertext.
    pub async fn open(
        &self,
        tenant: &Tenant,
        purpose: &str,
        sealed: &str,
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let bytes = layout::decode(sealed)?;
        let parts = Parts::parse(&bytes)?;
        let aad = layout::context(parts.header, tenant, purpose);
        let id = layout::digest(&[&aad, parts.wrapped]);
        let key = self.opening.get(id, || self.unwrap_key(tenant, purpose, parts.wrapped)).await?;
        key.cipher
            .decrypt(&Nonce::from(parts.nonce), Payload { msg: parts.ciphertext, aad: &aad })
            .map(Zeroizing::new)
            .map_err(|_| CryptoError::Mismatch)
    }

    /// Whether a value is sealed as [`Envelope::seal`] would seal it now: in the same layout, under the
    /// KMS key of the same name. What is not still opens, and can be sealed anew whenever it is read.
    pub fn is_current(&self, sealed: &str) -> bool {
        let header = layout::decode(sealed).and_then(|bytes| Ok(Parts::parse(&bytes)?.header));
        header == Ok(Header::of_key(&self.key_id))
    }

    fn generate(&self, tenant: &Tenant, purpose: &str) -> keys::Fetch {
        let call = self
            .kms
            .generate_data_key()
            .key_id(&self.key_id)
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(Some(encryption_context(tenant, purpose)));
        async move {
            let made = call.send().await.map_err(|error| of_kms(&error))?;
            let wrapped = made.ciphertext_blob.ok_or_else(incomplete)?.into_inner();
            data_key(made.plaintext, wrapped)
        }
        .boxed()
    }

    /// Names no key: the role's policy says which keys may decrypt, and KMS knows which one wrapped
    /// this. So values sealed under an earlier key still open once `key_id` is a new one.
    fn unwrap_key(&self, tenant: &Tenant, purpose: &str, wrapped: &[u8]) -> keys::Fetch {
        let wrapped = wrapped.to_vec();
        let call = self
            .kms
            .decrypt()
            .ciphertext_blob(Blob::new(wrapped.clone()))
            .set_encryption_context(Some(encryption_context(tenant, purpose)));
        async move {
            let opened = call.send().await.map_err(|error| of_kms(&error))?;
            data_key(opened.plaintext, wrapped)
        }
        .boxed()
    }
}

fn encryption_context(tenant: &Tenant, purpose: &str) -> HashMap<String, String> {
    HashMap::from([
        ("company".to_owned(), tenant.company.to_string()),
        ("solution".to_owned(), tenant.solution.to_string()),
        ("purpose".to_owned(), purpose.to_owned()),
    ])
}

fn data_key(plaintext: Option<Blob>, wrapped: Vec<u8>) -> Result<DataKey, CryptoError> {
    let plaintext = Zeroizing::new(plaintext.ok_or_else(incomplete)?.into_inner());
    let cipher = Aes256Gcm::new_from_slice(&plaintext).map_err(|_| incomplete())?;
    Ok(DataKey { cipher, wrapped })
}

fn incomplete() -> CryptoError {
    CryptoError::Kms("an answer without a 256-bit key".to_owned())
}

/// Sorts KMS's errors by who can do something about them.
fn of_kms(error: &impl ProvideErrorMetadata) -> CryptoError {
    match error.code() {
        Some("DisabledException" | "KMSInvalidStateException") => CryptoError::KeyDisabled,
        Some("NotFoundException") => CryptoError::KeyMissing,
        Some("AccessDeniedException") => CryptoError::KeyDenied,
        Some("InvalidCiphertextException" | "IncorrectKeyException") => CryptoError::Mismatch,
        code => CryptoError::Kms(code.unwrap_or("no answer").to_owned()),
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}
