//! Deliberately broken builds, by which the auditor shows that it can see.
//!
//! A mutation changes what the code under test says on the wire, or what it is told: a condition is taken out of a
//! statement as if it had never been written, an answer is believed that was not given. So the released functions have
//! nothing of it in them, not even behind a feature, and no build is needed for each.

use bytes::Bytes;
use serde_json::Value;
use shared::outbound::{Answer, OutboundRequest, OutboundResult};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// A settle does not ask whether the claim is still its own.
    SettleWithoutToken,
    /// A claim asks for nothing.
    ClaimWithoutCondition,
    /// A claim does not count as an attempt.
    ClaimUncounted,
    /// What is finished stays in the index of what is due.
    StaysDue,
    /// The history of failed attempts is not written.
    NoHistory,
    /// Each attempt has a key of its own.
    KeyPerAttempt,
    /// A receiver that refuses is believed to have accepted.
    RefusalIsSuccess,
    /// A pause is not seen.
    PauseUnseen,
    /// The sweep finds nothing.
    BlindSweep,
    /// Lists are read from another tenant's partitions.
    OthersList,
}

impl Mutation {
    /// Every one, by name.
    pub const ALL: [(&str, Mutation); 10] = [
        ("settle-without-token", Mutation::SettleWithoutToken),
        ("claim-without-condition", Mutation::ClaimWithoutCondition),
        ("claim-uncounted", Mutation::ClaimUncounted),
        ("stays-due", Mutation::StaysDue),
        ("no-history", Mutation::NoHistory),
        ("key-per-attempt", Mutation::KeyPerAttempt),
        ("refusal-is-success", Mutation::RefusalIsSuccess),
        ("pause-unseen", Mutation::PauseUnseen),
        ("blind-sweep", Mutation::BlindSweep),
        ("others-list", Mutation::OthersList),
    ];

    /// By its name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, mutation)| mutation)
    }

    /// The request of a service call as the broken build makes it.
    pub fn request(self, target: &str, body: Bytes) -> Bytes {
        let Ok(mut request) = serde_json::from_slice::<Value>(&body) else { return body };
        match (self, target) {
            (Self::BlindSweep, "DynamoDB_20120810.Query") if request["IndexName"] == "due" => {
                for value in request["ExpressionAttributeValues"]
                    .as_object_mut()
                    .into_iter()
                    .flat_map(|v| v.values_mut())
                {
                    if let Some(text) = value["S"].as_str().filter(|text| text.contains('/')) {
                        *value = serde_json::json!({"S": format!("{text}-nowhere")});
                    }
                }
            }
            (Self::OthersList, "DynamoDB_20120810.Query") if !request["IndexName"].is_null() => {
                return Bytes::from(String::from_utf8_lossy(&body).replace("\"acme/main", "\"beta/main"));
            }
            (_, "DynamoDB_20120810.BatchExecuteStatement") => {
                for statement in request["Statements"].as_array_mut().into_iter().flatten() {
                    self.statement(statement);
                }
            }
            _ => return body,
        }
        request.to_string().into()
    }

    fn statement(self, statement: &mut Value) {
        let Some(text) = statement["Statement"].as_str().map(str::to_owned) else { return };
        let is_claim = text.contains("a=a+1");
        match self {
            Self::ClaimWithoutCondition if is_claim => {
                for part in [" AND \"st\"=?", " AND \"n\"<=?", " AND \"tk\" IS MISSING"] {
                    take_out(statement, part);
                }
            }
            Self::ClaimUncounted if is_claim => {
                statement["Statement"] = text.replace("a=a+1", "a=a+0").into();
            }
            Self::SettleWithoutToken if text.contains("REMOVE \"tk\"") => {
                take_out(statement, " AND \"tk\"=?")
            }
            Self::StaysDue if text.contains("REMOVE \"dp\"") => {
                statement["Statement"] = text.replace(" REMOVE \"dp\" REMOVE \"ds\"", "").into();
            }
            Self::NoHistory if text.starts_with("INSERT") => {
                // It goes where nobody looks.
                for parameter in statement["Parameters"].as_array_mut().into_iter().flatten() {
                    if let Some(sk) = parameter["S"].as_str().filter(|sk| sk.starts_with("H#")) {
                        *parameter = serde_json::json!({"S": format!("X{sk}")});
                    }
                }
            }
            _ => {}
        }
    }

    /// A call to a receiver as the broken build makes it.
    pub fn outgoing(self, mut request: OutboundRequest) -> OutboundRequest {
        if self == Self::KeyPerAttempt {
            for (name, value) in &mut request.headers {
                if name.as_str() == "idempotency-key" {
                    let text = format!("{}-{}", value.to_str().unwrap_or_default(), "x");
                    *value = text.parse().unwrap_or_else(|_| value.clone());
                }
            }
        }
        request
    }

    /// A receiver's answer as the broken build takes it.
    pub fn answered(self, _url: &str, result: OutboundResult) -> OutboundResult {
        match (self, result) {
            (Self::RefusalIsSuccess, Ok(answer)) => Ok(Answer { status: 200, ..answer }),
            (_, result) => result,
        }
    }

    /// A service's answer as the broken build takes it.
    pub fn told(self, body: Vec<u8>) -> Vec<u8> {
        match self {
            Self::PauseUnseen => {
                String::from_utf8_lossy(&body).replace("\"paused\"", "\"running\"").into_bytes()
            }
            _ => body,
        }
    }
}

/// Takes a condition out of a statement, and its parameter.
fn take_out(statement: &mut Value, part: &str) {
    let Some(text) = statement["Statement"].as_str().map(str::to_owned) else { return };
    let Some(at) = text.find(part) else { return };
    let before = text[..at].matches('?').count();
    statement["Statement"] = text.replacen(part, "", 1).into();
    if part.contains('?')
        && let Some(parameters) = statement["Parameters"].as_array_mut()
    {
        parameters.remove(before);
    }
}
