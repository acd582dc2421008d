//! What a reminder is made of (SPEC §6).

use crate::http::{
    Described, Kind, Object, Place, any_text, body, checked, checked_item, doc, json_of, kind, list_of,
    parsed, text,
};
use crate::parts::recipient::{country_code, phone_number};
use chrono::{DateTime, Utc};
use rules::recipient::{self, PHONE_NUMBER_CHARS_MAX, Recipient};
use rules::recurring::CatchUp;
use rules::reminder::SEND_TIMES_MAX;
use rules::zoned::{self, Tz};
use serde_json::Value;
use shared::body_hash::BodyHash;
use shared::items::reminder::Definition;

/// Most characters of names.
const NAME_MAX_CHARS: usize = 256;
/// Most template parameters.
const PARAMETERS_MAX: usize = 100;
/// The zone of send times without an offset, if the caller does not say.
const TIMEZONE_DEFAULT: &str = "UTC";
const COUNTRY_CODE: &str = "countryCode";
const PHONE_NUMBER: &str = "phoneNumber";
const TIMEZONE: &str = "timezone";
const PARAMETERS: &str = "templateParameters";

body! {
    /// What a reminder is made of.
    pub struct ReminderBody = reminder(()) -> (Definition, BodyHash);
}

fn reminder(f: &mut Object<'_>, _: Option<()>) -> Option<(Definition, BodyHash)> {
    let recipient = recipient(f);
    let recipient_name = f.optional("recipientName", text(NAME_MAX_CHARS), "The recipient's name.");
    let meaning = doc("The template of the message.").example("visit");
    let template = f.required("notificationTemplateName", text(NAME_MAX_CHARS), meaning);
    let meaning = doc("What fills the template: passed on as it is.").with("maxItems", PARAMETERS_MAX);
    let parameters =
        f.optional(PARAMETERS, json_of(parameters, json_list), meaning.default(Vec::<Value>::new()));
    let parameters = if f.has(PARAMETERS) { parameters } else { Some("[]".to_owned()) };
    let read_zone = |text: &str| zoned::zone(text).map(|zone| (text.to_owned(), zone));
    let meaning = doc("The IANA zone of send times without an offset.").default(TIMEZONE_DEFAULT);
    let zone = f.optional(TIMEZONE, checked(read_zone, || Described::of("string")), meaning);
    let (timezone, zone) = zone.unwrap_or_else(|| (TIMEZONE_DEFAULT.to_owned(), Tz::UTC));
    let meaning = doc("When it is sent: with an offset as it stands, without one in `timezone`.");
    let meaning = meaning.example(vec!["2027-01-31T09:30:00", "2027-02-01T09:30:00-03:00"]);
    let send_times = f.required("sendTimes", send_times(zone), meaning);
    let meaning = doc(
        "Which send times are sent that had passed, by more than a minute, when the reminder is written or its solution\n\
         resumed: `all`, a minute apart; the `latest` alone, if no later one has passed; or `none`. The others are in the\n\
         history as `Skipped`.",
    );
    let catch_up = f.optional("catchUp", parsed::<CatchUp>(), meaning.default(CatchUp::default().as_str()));
    let hash = f.body_hash(None);
    let (country_code, phone_number) = recipient?;
    let definition = Definition {
        country_code,
        phone_number,
        recipient_name,
        template: template?,
        parameters: parameters?,
        send_times: send_times?,
        timezone,
        catch_up: catch_up.unwrap_or_default(),
    };
    Some((definition, hash))
}

/// Country code and phone number as they are written, if they are a recipient.
fn recipient(f: &mut Object<'_>) -> Option<(String, String)> {
    let meaning = country_code("The recipient's country code: 1 to 4 digits.").example("55");
    let code = f.required(COUNTRY_CODE, any_text(), meaning);
    let faults = f.faults();
    let digits = code.as_deref();
    let digits =
        digits.and_then(|text| faults.check(&f.at(COUNTRY_CODE), recipient::country_code_digits(text)));
    let meaning = phone_number(
        "The recipient's phone number, with or without the country code after a leading `+`; at most 15 digits, the\n\
         country code's included. It is sent as written. Spellings of one number are one recipient.",
    );
    let meaning = meaning.example("11999990000");
    let number = f.required(PHONE_NUMBER, text(PHONE_NUMBER_CHARS_MAX), meaning)?;
    let at = f.at(PHONE_NUMBER);
    match digits {
        // Both together say whether the number is too long, or nothing but the country code.
        Some(digits) => drop(faults.check(&at, Recipient::parse(digits, &number))?),
        None => drop(faults.check(&at, number.parse::<recipient::PhoneNumber>())?),
    }
    digits?;
    code.zip(Some(number))
}

/// Template parameters are kept as they were written.
fn parameters(value: &Value) -> Result<(), String> {
    match value {
        Value::Array(items) if items.len() <= PARAMETERS_MAX => Ok(()),
        Value::Array(_) => Err(format!("has at most {PARAMETERS_MAX} parameters")),
        _ => Err("must be a list".to_owned()),
    }
}

fn json_list() -> Described {
    Described::around("array", "items", Described::default())
}

/// Send times in order, each once; those without an offset are in `zone`.
fn send_times(zone: Tz) -> impl Kind<Value = Vec<DateTime<Utc>>> {
    let time = move || checked_item(move |text| zoned::parse(text, zone), || Described::of("string"));
    let times = move || list_of(1..=SEND_TIMES_MAX, "send times", time());
    let read = move |raw: &str, place: &Place<'_>| {
        let mut times = times().read(raw, place)?;
        times.sort_unstable();
        times.dedup();
        place.means(times.iter().map(|at| rules::time::canonical(*at)).collect::<Value>());
        Some(times)
    };
    kind(read, move || times().describe())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{answer, body};

    fn faults(text: &str) -> Vec<String> {
        let (_, faults) = body::read::<ReminderBody>(text, None, ());
        faults.into_vec().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_fault_is_named() {
        assert_eq!(
            faults(
                r#"{"countryCode": 55, "phoneNumber": "", "templateParameters": {}, "timezone": "Mars",
                    "sendTimes": ["2027-01-31T09:30:00", "tomorrow", 5], "sendTime": "x"}"#
            ),
            [
                "/countryCode must be a string",
                "/phoneNumber must have 1 to 32 characters",
                "/notificationTemplateName is required",
                "/templateParameters must be a list",
                "/timezone must be an IANA time zone, such as Europe/Berlin or UTC",
                "/sendTimes/1 must be an RFC 3339 time, such as 2026-01-31T09:30:00Z, or a local one, such as 2026-01-31T09:30:00",
                "/sendTimes/2 must be a string",
                "/sendTime is no field of this",
            ]
        );
        for (country_code, phone_number, expect) in [
            (
                "55",
                "abc",
                "/phoneNumber must be digits, with spaces, -, ., ( and ) between them and, if at all, a leading +",
            ),
            (
                "55",
                "12345678901234",
                "/phoneNumber must have at most 15 digits, those of the country code included",
            ),
            ("55", "+55", "/phoneNumber has no digits after the country code"),
            ("+12345", "1", "/countryCode must be 1 to 4 digits, with or without a leading +"),
        ] {
            let text = format!(
                r#"{{"countryCode":"{country_code}","phoneNumber":"{phone_number}","notificationTemplateName":"t","sendTimes":["2027-01-31T09:30:00"]}}"#
            );
            assert_eq!(faults(&text), [expect]);
        }
        let both = r#"{"countryCode":"x","phoneNumber":"11x","notificationTemplateName":"t","sendTimes":["2027-01-31T09:30:00"]}"#;
        assert_eq!(faults(both).len(), 2, "{:?}", faults(both));
        for (times, expect) in
            [("[]", "/sendTimes must have 1 to 100 send times"), ("3", "/sendTimes must be a list")]
        {
            let text = format!(
                r#"{{"countryCode":"55","phoneNumber":"1","notificationTemplateName":"t","sendTimes":{times}}}"#
            );
            assert_eq!(faults(&text), [expect]);
        }
    }

    #[test]
    fn send_times_are_read_in_the_zone_sorted_and_each_once() {
        let text = r#"{"countryCode":"1","phoneNumber":"2","notificationTemplateName":"t",
            "templateParameters":[ "a", 1.10 ], "timezone":"America/New_York",
            "sendTimes":["2026-11-01T01:30:00","2026-03-08T02:30:00","2026-03-08T07:00:00Z"]}"#;
        let (definition, _) = body::read::<ReminderBody>(text, None, ()).0.unwrap();
        let times: Vec<String> = definition.send_times.iter().map(|at| answer::time(*at)).collect();
        assert_eq!(times, ["2026-03-08T07:00:00.000Z", "2026-11-01T05:30:00.000Z"]);
        assert_eq!(definition.parameters, r#"["a",1.10]"#);
    }
}
