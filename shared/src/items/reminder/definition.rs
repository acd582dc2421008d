//! What a reminder says and when: written by its owner, once.
//!
//! It is an item of its own, so that the item that every attempt writes stays small.

use crate::engine::attributes::{Attributes, DecodeError, Item, s};
use crate::items::reminder::{attr, keys};
use crate::table::attr::{PAYLOAD, PK, SK};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use rules::names::{ActivityId, Tenant};
use rules::recipient::Recipient;
use rules::recurring::CatchUp;
use rules::reminder::Outstanding;
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
    /// Which send times that have passed are sent.
    pub catch_up: CatchUp,
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
    /// Absent: `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    catch_up: Option<std::borrow::Cow<'a, str>>,
    /// Unix milliseconds; absent: all send times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outstanding: Option<Vec<i64>>,
    /// Unix milliseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    skip: Vec<i64>,
}

impl Definition {
    /// Whom it is for.
    pub fn recipient(&self) -> Recipient {
        Recipient::stored(&self.country_code, &self.phone_number)
    }

    pub(crate) fn encode(
        &self,
        outstanding: &Outstanding,
        tenant: &Tenant,
        id: &ActivityId,
    ) -> Vec<(&'static str, AttributeValue)> {
        let millis =
            |times: &[DateTime<Utc>]| times.iter().map(DateTime::timestamp_millis).collect::<Vec<_>>();
        let stored = Stored {
            country_code: self.country_code.as_str().into(),
            phone_number: self.phone_number.as_str().into(),
            recipient_name: self.recipient_name.as_deref().map(Into::into),
            template: self.template.as_str().into(),
            send_times: millis(&self.send_times),
            timezone: self.timezone.as_str().into(),
            catch_up: (self.catch_up != CatchUp::default()).then(|| self.catch_up.as_str().into()),
            outstanding: (outstanding.times != self.send_times).then(|| millis(&outstanding.times)),
            skip: millis(&outstanding.skip),
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

    pub(crate) fn decode(item: &Item) -> Result<(Self, Outstanding), DecodeError> {
        let read = Attributes::new(item)?;
        let malformed = || read.error(attr::DEFINITION);
        let stored: Stored<'_> =
            serde_json::from_str(read.text(attr::DEFINITION)?).map_err(|_| malformed())?;
        let times = |millis: Vec<i64>| {
            let times = millis.into_iter().map(rules::time::from_millis);
            times.collect::<Result<Vec<_>, _>>().map_err(|_| malformed())
        };
        let catch_up = stored.catch_up.map(|text| text.parse()).transpose().map_err(|_| malformed())?;
        let definition = Self {
            country_code: stored.country_code.into_owned(),
            phone_number: stored.phone_number.into_owned(),
            recipient_name: stored.recipient_name.map(Into::into),
            template: stored.template.into_owned(),
            parameters: read.text(attr::PARAMETERS)?.to_owned(),
            send_times: times(stored.send_times)?,
            timezone: stored.timezone.into_owned(),
            catch_up: catch_up.unwrap_or_default(),
        };
        let all = || definition.send_times.clone();
        let outstanding = stored.outstanding.map(times).transpose()?.unwrap_or_else(all);
        let outstanding = Outstanding { times: outstanding, skip: times(stored.skip)? };
        Ok((definition, outstanding))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn definition() -> Definition {
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
            catch_up: CatchUp::All,
        }
    }

    #[test]
    fn definitions_round_trip() {
        let tenant = Tenant { company: "acme".parse().unwrap(), solution: "shop".parse().unwrap() };
        let nameless = Definition { recipient_name: None, catch_up: CatchUp::Latest, ..definition() };
        let all = Outstanding { times: definition().send_times, skip: Vec::new() };
        let some = Outstanding { times: vec![all.times[1]], skip: vec![all.times[1]] };
        let none = Outstanding::default();
        for (definition, outstanding) in [(definition(), all), (nameless.clone(), some), (nameless, none)] {
            let item: Item = definition
                .encode(&outstanding, &tenant, &"a".parse().unwrap())
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            assert_eq!(Definition::decode(&item), Ok((definition, outstanding)));
        }
    }

    /// As they were stored before `catchUp`, and while nothing is ended.
    #[test]
    fn all_send_times_are_outstanding_where_nothing_is_said() {
        let item = Item::from([
            ("PK".to_owned(), s("R#acme/shop#a")),
            ("SK".to_owned(), s("PAYLOAD")),
            (
                "d".to_owned(),
                s(
                    r#"{"countryCode":"55","phoneNumber":"abc","recipientName":null,"template":"t","sendTimes":[0,5],"timezone":"UTC"}"#,
                ),
            ),
            ("p".to_owned(), s("[]")),
        ]);
        let (definition, outstanding) = Definition::decode(&item).unwrap();
        assert_eq!((definition.catch_up, definition.phone_number.as_str()), (CatchUp::All, "abc"));
        assert_eq!(outstanding, Outstanding { times: definition.send_times, skip: Vec::new() });
    }
}
