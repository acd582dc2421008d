//! A recurring activity as its request describes it, judged once its type is known.

use crate::activities::draft::{parameter, parameter_objects};
use crate::activity_types::RETRIES;
use crate::faults::{Fault, Faults};
use crate::object::Object;
use crate::problem::Problem;
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
    window_seconds: Option<u32>,
    spread_seconds: Option<u32>,
    retries: Option<u32>,
}

/// A draft and its faults, which wait for [`judge`].
pub fn read(text: &str) -> (Option<RecurringDraft>, Faults) {
    let faults = Faults::default();
    let draft = Object::read(text, "", &faults).map(|mut body| {
        let draft = RecurringDraft::take(&mut body);
        body.finish();
        draft
    });
    (draft, faults)
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
            window_seconds: draft.window_seconds.unwrap_or(WINDOW_SECONDS_DEFAULT),
            spread_seconds: draft.spread_seconds.unwrap_or_default(),
            retries: draft.retries,
        };
        (spec, parameter)
    }))
}

impl RecurringDraft {
    fn take(body: &mut Object<'_, '_>) -> Self {
        let activity_type = body.parsed::<TypeName>(ACTIVITY_TYPE);
        body.require(ACTIVITY_TYPE, activity_type.as_ref());
        let parameter = parameter(body);
        let retries = small(body.integer("retries", RETRIES));
        let cron = cron(body);
        let zone = body.text("timeZone");
        let zone = zone.and_then(|name| body.faults().check(&body.at("timeZone"), self::zone(&name)));
        let (start_at, end_at) = (body.time("startAt"), body.time("endAt"));
        if let (Some(start), Some(end)) = (start_at, end_at)
            && end < start
        {
            body.faults().add(body.at("endAt"), "must not be before startAt");
        }
        let window = body.integer("catchUpWindowSeconds", 0..=u64::from(WINDOW_SECONDS_MAX));
        let spread = body.integer("spreadSeconds", 0..=u64::from(SPREAD_SECONDS_MAX));
        Self {
            activity_type,
            parameter,
            cron,
            zone,
            start_at,
            end_at,
            catch_up: body.parsed("catchUp"),
            window_seconds: small(window),
            spread_seconds: small(spread),
            retries,
        }
    }
}

fn small(value: Option<u64>) -> Option<u32> {
    value.and_then(|value| u32::try_from(value).ok())
}

/// The seven fields, or `expression` in their place.
fn cron(body: &mut Object<'_, '_>) -> Option<Cron> {
    let expression = body.text(EXPRESSION);
    let mut texts = FieldName::ALL.map(|name| name.default_text().to_owned());
    let mut whole = true;
    for (text, name) in texts.iter_mut().zip(FieldName::ALL) {
        if !body.has(name.as_str()) {
            continue;
        }
        match field(body, name) {
            Some(given) => *text = given,
            None => whole = false,
        }
        if body.has(EXPRESSION) {
            body.faults().add(body.at(name.as_str()), "cannot go with expression; give one of them");
            whole = false;
        }
    }
    let read = match expression {
        Some(expression) => Cron::parse(&expression),
        None if body.has(EXPRESSION) => return None,
        None => Cron::new(texts),
    };
    match read {
        Ok(cron) => whole.then_some(cron),
        Err(CronError::Fields(faults)) if !body.has(EXPRESSION) => {
            for (name, error) in faults {
                body.faults().add(body.at(name.as_str()), error.to_string());
            }
            None
        }
        Err(error) => {
            body.faults().add(body.at(EXPRESSION), error.to_string());
            None
        }
    }
}

/// A field's text; a whole number is as good as its digits.
fn field(body: &mut Object<'_, '_>, name: FieldName) -> Option<String> {
    let raw = body.raw(name.as_str())?;
    if raw.starts_with('"') {
        return body.text(name.as_str());
    }
    if let Some(number) = raw.parse::<Decimal>().ok().and_then(|number| number.whole()) {
        return Some(number.to_string());
    }
    body.faults().add(body.at(name.as_str()), "must be a string, or a whole number");
    None
}
