//! A recurring activity as its request describes it, judged once its type is known.

use crate::http::{
    Described, Fault, Faults, Kind, Object, Place, Problem, any_text, body, checked, doc, integer, kind,
    parsed, time,
};
use crate::parts::limits::RETRIES;
use crate::parts::parameter::{parameter, parameter_objects};
use chrono::{DateTime, Utc};
use rules::cron::{Cron, CronError, FieldName};
use rules::names::{Tenant, TypeName};
use rules::number::Decimal;
use rules::recurring::{CatchUp, SPREAD_SECONDS_MAX, WINDOW_SECONDS_DEFAULT, WINDOW_SECONDS_MAX};
use rules::zoned::{Tz, zone};
use shared::items::recurring::RuleSpec;
use shared::tenancy::ActivityType;

const EXPRESSION: &str = "expression";
const ACTIVITY_TYPE: &str = "activityType";
const END_AT: &str = "endAt";

/// What the body says, as far as it can be read, and the faults found on the way.
pub struct RecurringDraft {
    /// The type of the activities it is to create.
    pub activity_type: Option<TypeName>,
    parameter: Option<String>,
    cron: Option<Cron>,
    zone: Option<Tz>,
    start_at: Option<DateTime<Utc>>,
    end_at: Option<DateTime<Utc>>,
    catch_up: Option<CatchUp>,
    window_seconds: u32,
    spread_seconds: u32,
    retries: Option<u32>,
}

/// The rule and its parameter, if the body, its type and its parameter fit together.
///
/// # Errors
/// 400 with every fault.
pub fn judge(
    draft: Option<RecurringDraft>,
    faults: Faults,
    tenant: &Tenant,
    of: Option<&ActivityType>,
) -> Result<(RuleSpec, String), Problem> {
    let Some(draft) = draft else { return Err(Problem::invalid(faults.into_vec())) };
    match (&draft.activity_type, of) {
        (Some(_), None) => {
            faults.push(Fault::new(format!("/{ACTIVITY_TYPE}"), "names no activity type of this solution"))
        }
        (_, Some(of)) => {
            if let Some(parameter) = &draft.parameter {
                parameter_objects(tenant, of, &of.uri_pattern, parameter, &faults);
            }
        }
        (None, None) => {}
    }
    let whole = draft.activity_type.zip(draft.parameter).zip(draft.cron);
    faults.finish(whole.map(|((activity_type, parameter), cron)| {
        let spec = RuleSpec {
            activity_type,
            cron,
            zone: draft.zone.unwrap_or(Tz::UTC),
            start_at: draft.start_at,
            end_at: draft.end_at,
            catch_up: draft.catch_up.unwrap_or_default(),
            window_seconds: draft.window_seconds,
            spread_seconds: draft.spread_seconds,
            retries: draft.retries,
        };
        (spec, parameter)
    }))
}

body! {
    /// What a recurring activity is made of: the seven fields, or `expression` in their place.
    pub struct RecurringBody = recurring(()) -> RecurringDraft;
}

fn recurring(f: &mut Object<'_>, _: Option<()>) -> Option<RecurringDraft> {
    let meaning = "The type of the activities it creates.";
    let activity_type = f.required(ACTIVITY_TYPE, parsed::<TypeName>(), meaning);
    let parameter = parameter(f, "The parameter of each of them.");
    let meaning = "Executions in all of each of them, in place of the type's.";
    let retries = f.optional("retries", integer(RETRIES), meaning);
    let cron = cron(f);
    let meaning = doc("The IANA zone on whose clocks the fields are read.");
    let meaning = meaning.default(Tz::UTC.name()).example("Europe/Berlin");
    let zone = f.optional("timeZone", checked(zone, || Described::of("string")), meaning);
    let start_at = f.optional("startAt", time(), "No occurrence before it.");
    let meaning = "No occurrence after it, its shift by `spreadSeconds` included.";
    let end_at = f.optional(END_AT, time(), meaning);
    if let (Some(start), Some(end)) = (start_at, end_at)
        && end < start
    {
        f.fault(END_AT, "must not be before startAt");
    }
    let window_seconds = f.or(
        "catchUpWindowSeconds",
        integer(0..=WINDOW_SECONDS_MAX),
        WINDOW_SECONDS_DEFAULT,
        "How late an occurrence may be created.",
    );
    let spread_seconds = f.or(
        "spreadSeconds",
        integer(0..=SPREAD_SECONDS_MAX),
        0,
        "Over how many seconds rules are spread: each is shifted by a stable part of it.",
    );
    let meaning = "Which occurrences that were missed inside the window are created: `all`, the `latest` alone, or `none`.";
    let meaning = doc(meaning).default(CatchUp::default().as_str());
    Some(RecurringDraft {
        activity_type,
        parameter,
        cron,
        zone,
        start_at,
        end_at,
        catch_up: f.optional("catchUp", parsed::<CatchUp>(), meaning),
        window_seconds,
        spread_seconds,
        retries,
    })
}

/// The seven fields, or `expression` in their place.
fn cron(f: &mut Object<'_>) -> Option<Cron> {
    let meaning = doc("5 fields, minute first; 6, second first; or 7, year last.");
    let expression = f.optional(EXPRESSION, any_text(), meaning.example("*/15 9-17 * * MON-FRI"));
    let mut texts = FieldName::ALL.map(|name| name.default_text().to_owned());
    let mut whole = true;
    for (text, name) in texts.iter_mut().zip(FieldName::ALL) {
        let given =
            f.optional(name.as_str(), cron_field(), doc(meaning_of(name)).default(name.default_text()));
        if !f.has(name.as_str()) {
            continue;
        }
        match given {
            Some(given) => *text = given,
            None => whole = false,
        }
        if f.has(EXPRESSION) {
            f.fault(name.as_str(), "cannot go with expression; give one of them");
            whole = false;
        }
    }
    let read = match expression {
        Some(expression) => Cron::parse(&expression),
        None if f.has(EXPRESSION) => return None,
        None => Cron::new(texts),
    };
    match read {
        Ok(cron) => whole.then_some(cron),
        Err(CronError::Fields(faults)) if !f.has(EXPRESSION) => {
            for (name, error) in faults {
                f.fault(name.as_str(), error.to_string());
            }
            None
        }
        Err(error) => {
            f.fault(EXPRESSION, error.to_string());
            None
        }
    }
}

fn meaning_of(name: FieldName) -> &'static str {
    match name {
        FieldName::Second | FieldName::Minute => "0–59.",
        FieldName::Hour => "0–23.",
        FieldName::Day => "1–31. If dayOfWeek is restricted too, a day that matches either counts.",
        FieldName::Month => "1–12 or JAN–DEC.",
        FieldName::DayOfWeek => "0–7 or SUN–SAT; 0 and 7 are Sunday.",
        FieldName::Year => "1970–9999.",
    }
}

/// A field's text; a whole number is as good as its digits.
fn cron_field() -> impl Kind<Value = String> {
    let read = |raw: &str, place: &Place<'_>| {
        if raw.starts_with('"') {
            return any_text().read(raw, place);
        }
        let number = raw.parse::<Decimal>().ok().and_then(|number| number.whole());
        place.check(number.map(|number| number.to_string()).ok_or("must be a string, or a whole number"))
    };
    kind(read, || any_text().describe())
}
