//! Signatures on outbound calls: Standard Webhooks, `v1` (SPEC §11, standardwebhooks.com).

use crate::entropy::Entropy;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use http::{HeaderName, HeaderValue};
use standardwebhooks::Webhook;
use zeroize::Zeroizing;

/// What a secret's text begins with.
pub const SECRET_PREFIX: &str = "whsec_";
/// Bytes of a new secret; the standard asks for 24 to 64.
const SECRET_BYTES: usize = 32;

/// Why there is no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// Not `whsec_` and base64.
    #[error("a signing secret is not `whsec_` and base64")]
    Secret,
    /// The id is no text of a header.
    #[error("the message's id cannot be sent as a header")]
    Id,
    /// The standard signs text.
    #[error("a body to sign must be UTF-8")]
    Body,
}

/// A new secret, to be stored sealed and shown once.
pub fn new_secret(entropy: &dyn Entropy) -> String {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    entropy.fill(bytes.as_mut());
    let encoded = Zeroizing::new(STANDARD.encode(bytes.as_ref()));
    [SECRET_PREFIX, &encoded].concat()
}

/// The headers `webhook-id`, `webhook-timestamp` and `webhook-signature` of one attempt.
///
/// Every secret signs: after a rotation the new and the old one do for a while, so that a receiver
/// can change over. `id` is the same on every attempt; `at` is the attempt's time. Without a body, sign `b""`.
///
/// # Errors
/// [`SigningError`] if the body is no text or the id no header.
pub fn headers(
    id: &str,
    at: DateTime<Utc>,
    body: &[u8],
    secrets: &[&str],
) -> Result<[(HeaderName, HeaderValue); 3], SigningError> {
    let timestamp = at.timestamp();
    let mut signatures = Vec::with_capacity(secrets.len());
    for secret in secrets {
        if !secret.starts_with(SECRET_PREFIX) {
            return Err(SigningError::Secret);
        }
        let webhook = Webhook::new(secret).map_err(|_| SigningError::Secret)?;
        signatures.push(webhook.sign(id, timestamp, body).map_err(|_| SigningError::Body)?);
    }
    // Base64, commas and spaces: always a header.
    let signatures = HeaderValue::from_str(&signatures.join(" ")).map_err(|_| SigningError::Secret)?;
    Ok([
        (
            HeaderName::from_static(standardwebhooks::HEADER_WEBHOOK_ID),
            HeaderValue::from_str(id).map_err(|_| SigningError::Id)?,
        ),
        (HeaderName::from_static(standardwebhooks::HEADER_WEBHOOK_TIMESTAMP), HeaderValue::from(timestamp)),
        (HeaderName::from_static(standardwebhooks::HEADER_WEBHOOK_SIGNATURE), signatures),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};
    use crate::entropy::OsEntropy;
    use http::HeaderMap;

    /// The example of the standard's own libraries.
    #[test]
    fn the_standards_example_is_signed_as_it_says() {
        let at = DateTime::from_timestamp(1_614_265_330, 0).unwrap();
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", br#"{"test": 2432232314}"#);
        let signed = headers(id, at, body, &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]).unwrap();
        let values: Vec<_> =
            signed.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        let expect = [
            ("webhook-id", id),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ];
        assert_eq!(values, expect);
    }

    #[test]
    fn a_receiver_with_either_secret_verifies_and_one_with_neither_does_not() {
        let [new, old, other] = [(); 3].map(|()| new_secret(&OsEntropy));
        assert_ne!(new, old);
        let signed = headers("a:0", SystemClock.now(), b"{}", &[&new, &old]).unwrap();
        let signed: HeaderMap = signed.into_iter().collect();
        let verifies =
            |secret: &str, body: &[u8]| Webhook::new(secret).unwrap().verify(body, &signed).is_ok();
        assert!(verifies(&new, b"{}") && verifies(&old, b"{}"));
        assert!(!verifies(&other, b"{}") && !verifies(&new, b"{ }"));
    }

    #[test]
    fn what_cannot_be_signed_is_told_apart() {
        let secret = new_secret(&OsEntropy);
        assert_eq!(secret.len(), SECRET_PREFIX.len() + 44);
        let at = DateTime::UNIX_EPOCH;
        for (id, body, secret, expect) in [
            ("a", &b"{}"[..], "whsec_not base64", SigningError::Secret),
            ("a", b"{}", &secret[SECRET_PREFIX.len()..], SigningError::Secret),
            ("a", b"\xff", &secret, SigningError::Body),
            ("a\n", b"", &secret, SigningError::Id),
        ] {
            assert_eq!(headers(id, at, body, &[secret]), Err(expect));
        }
        assert!(headers("a", at, b"", &[&secret]).is_ok());
    }
}
