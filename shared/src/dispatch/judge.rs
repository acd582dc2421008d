//! Reading a provider's answer.

use crate::outbound::Answer;
use rules::number;
use serde_json::Value;

/// Most bytes of a provider's id of an activity; it is stored with the activity.
pub const PROVIDER_ACTIVITY_ID_MAX_BYTES: usize = 256;
/// Where the id stands, the first that does.
const ID_FIELDS: [&str; 2] = ["providerActivityId", "id"];

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Why a provider did not take an activity, for the history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The answer is no success; its beginning tells why.
    #[error("answered with {0}")]
    Status(u16),
    /// A success without an id says nothing by which a result could be matched.
    #[error("the answer {0}")]
    Answer(String),
    /// The config is not as the provider's definition asks.
    #[error("the dispatch config {0}")]
    Config(String),
    /// The provider fails on purpose.
    #[error("{0}")]
    OnPurpose(&'static str),
}

/// The provider's id in a JSON answer with a status of 2xx: `providerActivityId`, else `id`.
///
/// # Errors
/// [`Refused`] for another status, or without an id.
pub fn provider_activity_id(answer: &Answer) -> Result<String, Refused> {
    if !answer.is_success() {
        return Err(Refused::Status(answer.status));
    }
    let status = answer.status;
    let refused = |reason: &str| Refused::Answer(format!("({status}) {reason}"));
    // A byte order mark is no JSON (RFC 8259 lets parsers ignore it), and no reason to dispatch again.
    let text = answer.body().strip_prefix(BYTE_ORDER_MARK).unwrap_or(answer.body());
    let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(text) else {
        return Err(match answer.broken_off() {
            Some(reason) => refused(&format!(
                "broke off, so it has neither providerActivityId nor id, though the activity may have been taken: {reason}"
            )),
            None => refused("is no JSON object, so it has neither providerActivityId nor id"),
        });
    };
    let id = ID_FIELDS.iter().find_map(|field| match body.get(*field)? {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        // By its value: results may name it in another spelling.
        Value::Number(number) => Some(number::canonical(number.as_str())),
        _ => None,
    });
    match id {
        None => Err(refused("has neither providerActivityId nor id")),
        Some(id) if id.len() > PROVIDER_ACTIVITY_ID_MAX_BYTES => {
            Err(refused(&format!("has an id of more than {PROVIDER_ACTIVITY_ID_MAX_BYTES} bytes")))
        }
        Some(id) => Ok(id),
    }
}
