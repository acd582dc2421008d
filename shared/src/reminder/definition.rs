//! What a reminder says and when: written by its owner, once.
//!
//! It is an item of its own, so that the item that every attempt writes stays small.

use super::{attr, keys};
use crate::work::attr::{PAYLOAD, PK, SK};
use crate::work::codec::{Attributes, DecodeError, Item, s};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use rules::names::{ActivityId, Tenant};
use rules::recipient::Recipient;
use serde::{Deserialize, Serialize};

/// What a reminder says, to whom, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The recipient's country code, as its owner writes it.
    pub country_code: String,
    /// The recipient's phone number, as its owner writes it.
    pub phone_number: String,
    /// The recipient's name.
    pub recipient_name: Option<String>,
    /// The template of the message.
    pub template: String,
    /// What fills the template: a JSON list, as text.
    pub parameters: String,
    /// When it is sent: ascending, each once.
    pub send_times: Vec<DateTime<Utc>>,
    /// The zone in which send times without an offset were read.
    pub timezone: String,
}

/// The definition as it is stored, but for the parameters, which are JSON already.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Stored<'a> {
    country_code: std::borrow::Cow<'a, str>,
    phone_number: std::borrow::Cow<'a, str>,
    recipient_name: Option<std::borrow::Cow<'a, str>>,
    template: std::borrow::Cow<'a, str>,
    /// Unix milliseconds.
    send_times: Vec<i64>,
    timezone: std::borrow::Cow<'a, str>,
}

impl Definition {
    /// Whom it is for.
    pub fn recipient(&self) -> Recipient {
        Recipient::stored(&self.country_code, &self.phone_number)
    }

    pub(super) fn encode(&self, tenant: &Tenant, id: &ActivityId) -> Vec<(&'static str, AttributeValue)> {
        let stored = Stored {
            country_code: self.country_code.as_str().into(),
            phone_number: self.phone_number.as_str().into(),
            recipient_name: self.recipient_name.as_deref().map(Into::into),
            template: self.template.as_str().into(),
            send_times: self.send_times.iter().map(DateTime::timestamp_millis).collect(),
            timezone: self.timezone.as_str().into(),
        };
        // Strings and numbers alone: always JSON.
        let text = serde_json::to_string(&stored).unwrap_or_default();
        vec![
            (PK, s(keys::reminder(tenant, id))),
            (SK, s(PAYLOAD)),
            (attr::DEFINITION, s(text)),
            (attr::PARAMETERS, s(&self.parameters)),
        ]
    }

    pub(super) fn decode(item: &Item) -> Result<Self, DecodeError> {
        let read = Attributes::new(item)?;
        let malformed = || read.error(attr::DEFINITION);
        let stored: Stored<'_> =
            serde_json::from_str(read.text(attr::DEFINITION)?).map_err(|_| malformed())?;
        let times = stored.send_times.into_iter().map(rules::time::from_millis);
        Ok(Self {
            country_code: stored.country_code.into_owned(),
            phone_number: stored.phone_number.into_owned(),
            recipient_name: stored.recipient_name.map(Into::into),
            template: stored.template.into_owned(),
            parameters: read.text(attr::PARAMETERS)?.to_owned(),
            send_times: times.collect::<Result<_, _>>().map_err(|_| malformed())?,
            timezone: stored.timezone.into_owned(),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn definition() -> Definition {
        Definition {
            country_code: "55".into(),
            phone_number: "11 99999-0000".into(),
            recipient_name: Some("Ana \"A\"".into()),
            template: "visit".into(),
            parameters: r#"["10:00",{"b":1.10,"a":2}]"#.into(),
            send_times: vec![
                DateTime::UNIX_EPOCH,
                DateTime::from_timestamp_millis(1_800_000_000_123).unwrap(),
            ],
            timezone: "America/Sao_Paulo".into(),
        }
    }

    #[test]
    fn definitions_round_trip() {
        let tenant = Tenant { company: "acme".parse().unwrap(), solution: "shop".parse().unwrap() };
        for definition in [definition(), Definition { recipient_name: None, ..definition() }] {
            let item: Item = definition
                .encode(&tenant, &"a".parse().unwrap())
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            assert_eq!(Definition::decode(&item), Ok(definition));
        }
    }
}
