//! Writing a reminder (SPEC §6).

use super::access::{AtReminder, SECRET};
use super::view::ReminderView;
use crate::ApiContext;
use crate::answer;
use crate::body::JsonText;
use crate::faults::{Fault, Faults};
use crate::json;
use crate::object::{self, Object};
use crate::openapi::Change;
use crate::problem::Problem;
use crate::query::Query;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use http::Uri;
use rules::names::ids;
use rules::recipient::{self, PHONE_NUMBER_CHARS_MAX, Recipient};
use rules::recurring::CatchUp;
use rules::reminder::SEND_TIMES_MAX;
use rules::zoned::{self, Tz};
use serde_json::Value;
use shared::body_hash::BodyHash;
use shared::items::reminder::{Definition, NewReminder, Put};
use utoipa::ToSchema;

/// Most characters of names.
const NAME_MAX_CHARS: usize = 256;
/// Most template parameters.
const PARAMETERS_MAX: usize = 100;
/// The zone of send times without an offset, if the caller does not say.
const TIMEZONE_DEFAULT: &str = "UTC";
const COUNTRY_CODE: &str = "countryCode";
const PHONE_NUMBER: &str = "phoneNumber";
const SEND_TIMES: &str = "sendTimes";
const TIMEZONE: &str = "timezone";
const PARAMETERS: &str = "templateParameters";
const CATCH_UP: &str = "catchUp";

/// What a reminder is made of.
#[derive(ToSchema)]
#[schema(as = ReminderBody, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the body; it is read by hand")]
pub struct ReminderBody {
    /// The recipient's country code: 1 to 4 digits.
    #[schema(example = "55", pattern = r"^\+?[0-9]{1,4}$")]
    country_code: String,
    /// The recipient's phone number, with or without the country code after a leading `+`; at most 15 digits, the
    /// country code's included. It is sent as written. Spellings of one number are one recipient.
    #[schema(example = "11999990000", max_length = 32, pattern = r"^\+?[ .()-]*[0-9][0-9 .()-]*$")]
    phone_number: String,
    /// The recipient's name.
    #[schema(min_length = 1, max_length = 256)]
    recipient_name: Option<String>,
    /// The template of the message.
    #[schema(example = "visit", min_length = 1, max_length = 256)]
    notification_template_name: String,
    /// What fills the template: passed on as it is.
    #[schema(value_type = Vec<serde_json::Value>, max_items = 100, required = false)]
    template_parameters: Vec<Value>,
    /// When it is sent: with an offset as it stands, without one in `timezone`.
    #[schema(example = json!(["2027-01-31T09:30:00", "2027-02-01T09:30:00-03:00"]), min_items = 1, max_items = 100)]
    send_times: Vec<String>,
    /// The IANA zone of send times without an offset.
    #[schema(default = "UTC", required = false)]
    timezone: String,
    /// Which send times are sent that had passed, by more than a minute, when the reminder is written or its solution
    /// resumed: `all`, a minute apart; the `latest` alone, if no later one has passed; or `none`. The others are in the
    /// history as `Skipped`.
    #[schema(default = "all", pattern = "^(all|latest|none)$")]
    catch_up: Option<String>,
}

/// Reads a body; faults are named in `body`.
fn read(body: &mut Object<'_, '_>) -> Option<(Definition, BodyHash)> {
    let text = |body: &mut Object<'_, '_>, name: &str, max: usize| {
        let text = body.short_text(name, max);
        body.require(name, text)
    };
    let recipient = recipient(body);
    let recipient_name = body.short_text("recipientName", NAME_MAX_CHARS);
    let template = text(body, "notificationTemplateName", NAME_MAX_CHARS);
    let parameters = parameters(body);
    let timezone = body.text(TIMEZONE).unwrap_or_else(|| TIMEZONE_DEFAULT.to_owned());
    let zone = body.faults().check(&body.at(TIMEZONE), zoned::zone(&timezone));
    let send_times = send_times(body, zone.unwrap_or(Tz::UTC));
    let catch_up: Option<CatchUp> = body.parsed(CATCH_UP);
    for (name, default) in [
        (PARAMETERS, Value::Array(Vec::new())),
        (TIMEZONE, TIMEZONE_DEFAULT.into()),
        (CATCH_UP, CatchUp::default().as_str().into()),
    ] {
        body.defaults_to(name, default);
    }
    let hash = body.body_hash(None);
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
fn recipient(body: &mut Object<'_, '_>) -> Option<(String, String)> {
    let faults = body.faults();
    let country_code = body.text(COUNTRY_CODE);
    let country_code = body.require(COUNTRY_CODE, country_code);
    let country = country_code.as_deref();
    let country =
        country.and_then(|text| faults.check(&body.at(COUNTRY_CODE), recipient::country_code_digits(text)));
    let phone_number = body.short_text(PHONE_NUMBER, PHONE_NUMBER_CHARS_MAX);
    let phone_number = body.require(PHONE_NUMBER, phone_number)?;
    let at = body.at(PHONE_NUMBER);
    match country {
        // Both together say whether the number is too long, or nothing but the country code.
        Some(country) => drop(faults.check(&at, Recipient::parse(country, &phone_number))?),
        None => drop(faults.check(&at, phone_number.parse::<recipient::PhoneNumber>())?),
    }
    country?;
    country_code.zip(Some(phone_number))
}

/// The template parameters as they were written; none is an empty list.
fn parameters(body: &mut Object<'_, '_>) -> Option<String> {
    let Some(raw) = body.raw(PARAMETERS) else { return Some("[]".to_owned()) };
    let (faults, at) = (body.faults(), body.at(PARAMETERS));
    match json::strict(raw) {
        Ok(Value::Array(items)) if items.len() <= PARAMETERS_MAX => return Some(json::compact(raw)),
        Ok(Value::Array(_)) => faults.add(at, format!("has at most {PARAMETERS_MAX} parameters")),
        Ok(_) => faults.add(at, "must be a list"),
        Err(error) => faults.add(at, error),
    }
    None
}

/// The send times in order, each once.
fn send_times(body: &mut Object<'_, '_>, zone: Tz) -> Option<Vec<DateTime<Utc>>> {
    let items = body.list(SEND_TIMES);
    let items = body.require(SEND_TIMES, items)?;
    let (faults, at) = (body.faults(), body.at(SEND_TIMES));
    if !(1..=SEND_TIMES_MAX).contains(&items.len()) {
        faults.add(at, format!("must have 1 to {SEND_TIMES_MAX} send times"));
        return None;
    }
    let mut times = Vec::with_capacity(items.len());
    for (index, raw) in items.into_iter().enumerate() {
        let at = object::at(&at, &index.to_string());
        match serde_json::from_str::<String>(raw) {
            Ok(text) => times.extend(faults.check(&at, zoned::parse(&text, zone))),
            Err(_) => faults.add(at, "must be a string"),
        }
    }
    times.sort_unstable();
    times.dedup();
    body.means(SEND_TIMES, times.iter().map(|at| rules::time::canonical(*at)).collect());
    Some(times)
}

/// Sees to it that the query has nothing but, perhaps, a secret.
///
/// # Errors
/// 400 with what else it has.
pub fn only_secret(uri: &Uri) -> Result<(), Problem> {
    let faults = Faults::default();
    let mut query = Query::read(uri, &faults);
    query.text(SECRET);
    query.finish();
    faults.finish(Some(()))
}

/// Makes a reminder, or writes one anew: then it goes on with those of the send times that were not sent and whose
/// attempts did not all fail, earlier ones too. None is sent twice. The same body again changes nothing, unless the
/// reminder was cancelled.
#[utoipa::path(
    put, path = "/api/reminder/{agentId}/{configurationId}/{reminderId}", operation_id = "putReminder", tag = "reminders",
    security(("bearer" = []), ("apiKey" = []), ("reminderSecret" = [])), params(("agentId" = String, Path), ("configurationId" = String, Path), ("reminderId" = String, Path)),
    request_body = ReminderBody,
    responses((status = 201, body = ReminderView), (status = 200, body = ReminderView), Change)
)]
pub async fn put(
    State(context): State<ApiContext>,
    AtReminder { tenant, id }: AtReminder,
    uri: Uri,
    body: JsonText,
) -> Result<Response, Problem> {
    only_secret(&uri)?;
    if let Err(reserved) = ids::given(&id) {
        return Err(Problem::invalid(vec![Fault::new("path:reminderId", reserved.to_string())]));
    }
    let (definition, body_hash) = body.read(read)?;
    let configuration = super::configuration::existing(&context, &tenant).await?;
    let location = format!("/api/reminder/{}/{}/{id}", tenant.company, tenant.solution.name());
    let solution = crate::solutions::existing(&context, &tenant).await?;
    let parents = vec![solution.as_parent(), configuration.as_parent()];
    let new = NewReminder { tenant, id, definition, body_hash, shards: configuration.shards, parents };
    match context.reminders.put(new).await? {
        Put::Created(reminder) => Ok(answer::created(&location, &ReminderView::of(*reminder))),
        Put::Replaced(reminder) | Put::Unchanged(reminder) => Ok(answer::ok(&ReminderView::of(*reminder))),
        Put::Refused(refusal) => Err(Problem::conflict(refusal.to_string())),
        Put::ParentGone(gone) => Err(gone.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let faults = Faults::default();
        if let Some(mut body) = Object::read(text, "", &faults) {
            read(&mut body);
            body.finish();
        }
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
        let faults = Faults::default();
        let text = r#"{"countryCode":"1","phoneNumber":"2","notificationTemplateName":"t",
            "templateParameters":[ "a", 1.10 ], "timezone":"America/New_York",
            "sendTimes":["2026-11-01T01:30:00","2026-03-08T02:30:00","2026-03-08T07:00:00Z"]}"#;
        let mut body = Object::read(text, "", &faults).unwrap();
        let (definition, _) = read(&mut body).unwrap();
        let times: Vec<String> = definition.send_times.iter().map(|at| answer::time(*at)).collect();
        assert_eq!(times, ["2026-03-08T07:00:00.000Z", "2026-11-01T05:30:00.000Z"]);
        assert_eq!(definition.parameters, r#"["a",1.10]"#);
    }
}
