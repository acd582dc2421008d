//! What happened, line by line, and a hash of it all.

use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::BTreeMap;

/// The lines of a seed. Equal seeds have equal ones, whatever else the machine does.
#[derive(Debug, Default)]
pub struct Trace {
    lines: Vec<String>,
    hash: u64,
}

impl Trace {
    /// Adds a line.
    pub fn note(&mut self, at: DateTime<Utc>, line: &str) {
        let line = format!("{}  {line}", at.format("%d %H:%M:%S%.3f"));
        // FNV-1a.
        self.hash = line.bytes().fold(self.hash ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        self.lines.push(line);
    }

    /// The hash of all lines so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// All lines.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

/// A request's body in one form: names in order, and without what comes from outside the seed (what KMS sealed, and
/// the SDK's own request tokens).
pub fn canonical(body: &[u8]) -> String {
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else { return "?".to_owned() };
    mask(&mut value);
    let mut text = String::new();
    write_sorted(&value, &mut text);
    text
}

/// Whether a map keeps an order of its own depends on what else is built with this program.
fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            text.push('{');
            for (number, (name, value)) in sorted.into_iter().enumerate() {
                text.push_str(if number > 0 { "," } else { "" });
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write_sorted(value, text);
            }
            text.push('}');
        }
        Value::Array(values) => {
            text.push('[');
            for (number, value) in values.iter().enumerate() {
                text.push_str(if number > 0 { "," } else { "" });
                write_sorted(value, text);
            }
            text.push(']');
        }
        value => text.push_str(&value.to_string()),
    }
}

fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("ClientRequestToken");
            for (name, value) in fields.iter_mut() {
                match name.as_str() {
                    "B" | "CiphertextBlob" | "KeyId" | "ReceiptHandle" | "signingSecret"
                    | "notificationKey" | "credentials" => *value = Value::Null,
                    _ => mask(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(mask),
        _ => {}
    }
}
