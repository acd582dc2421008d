//! The MD5 digests by which SDKs check that a message arrived as it was sent.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html#sqs-attributes-md5-message-digest-calculation>

use super::wire::MessageAttribute;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The digest of a message's body.
pub fn body(text: &str) -> String {
    hex(Md5::digest(text.as_bytes()).as_slice())
}

/// The digest of a message's attributes, `None` when it has none.
pub fn attributes(attributes: &BTreeMap<String, MessageAttribute>) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut digest = Md5::new();
    for (name, attribute) in attributes {
        part(&mut digest, name.as_bytes());
        part(&mut digest, attribute.data_type.as_bytes());
        if let Some(text) = &attribute.string_value {
            digest.update([1]);
            part(&mut digest, text.as_bytes());
        } else if let Some(base64) = &attribute.binary_value {
            digest.update([2]);
            part(&mut digest, &STANDARD.decode(base64).unwrap_or_default());
        }
    }
    Some(hex(digest.finalize().as_slice()))
}

fn part(digest: &mut Md5, bytes: &[u8]) {
    // Messages are at most 1 MiB, so the length fits.
    digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    digest.update(bytes);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
