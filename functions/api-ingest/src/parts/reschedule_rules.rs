//! The field `rescheduleRules` (SPEC §7's language), every fault named.

use crate::http::{Described, Kind, Object, Place, body, integer, kind, nested, text};
use rules::retry::{RETRY_AFTER_MAX_S, RULES_MAX, RescheduleRules, Rule};
use std::borrow::Cow;

/// Most characters of a rule's name.
const NAME_MAX_CHARS: usize = 64;
/// Most executions a rule speaks of.
const ATTEMPTS_MAX: u32 = 1_000;

body! {
    /// A rule for waits (SPEC §7): it matches the attempt that it names, or any.
    pub struct RescheduleRule = rule(()) -> Rule;
}

fn rule(f: &mut Object<'_>, _: Option<()>) -> Option<Rule> {
    let attempts = || integer(0..=ATTEMPTS_MAX);
    let attempt = f.optional("attempt", attempts(), "The attempt after which it is for.");
    let retries = f.optional("retries", attempts(), "How many attempts there are in all.");
    let seconds = || integer(0..=RETRY_AFTER_MAX_S);
    let camel = f.optional("retryAfterS", seconds(), "Seconds to wait.");
    let snake = f.optional("retry_after_s", seconds(), "The seed's name of `retryAfterS`.");
    if camel.is_some() && snake.is_some() {
        f.fault("retry_after_s", "is the same as retryAfterS; give one of them");
    }
    Some(Rule { attempt, retries, retry_after_s: camel.or(snake) })
}

/// `{name: {attempt?, retries?, retryAfterS?}}`, in the order written: the first that matches decides. The seed's
/// `retry_after_s` is taken too.
pub fn reschedule_rules() -> impl Kind<Value = RescheduleRules> {
    kind(read, || {
        let rules =
            Described::around("object", "additionalProperties", Described::component::<RescheduleRule>());
        let names = text(NAME_MAX_CHARS).describe().into_schema();
        rules.with("propertyNames", names).with("maxProperties", RULES_MAX)
    })
}

fn read(raw: &str, place: &Place<'_>) -> Option<RescheduleRules> {
    let written = Object::read(raw, &place.pointer, place.faults)?.rest();
    if written.len() > RULES_MAX {
        place.fault(format!("has at most {RULES_MAX} rules"));
        return None;
    }
    let rule = |(name, text): (Cow<'_, str>, &str)| {
        let place = place.below(&name);
        if name.is_empty() || name.chars().count() > NAME_MAX_CHARS {
            place.fault(format!("a rule's name has 1 to {NAME_MAX_CHARS} characters"));
        }
        Some((name.into_owned(), nested::<RescheduleRule>().read(text, &place)?))
    };
    // A rule that is no object is a fault by now, so what is collected without it is not used.
    Some(written.into_iter().filter_map(rule).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::faults::Faults;

    fn read_rules(text: &str) -> Result<String, Vec<String>> {
        let (faults, text) = (Faults::default(), format!("{{\"r\": {text}}}"));
        let rules =
            Object::read(&text, "", &faults).and_then(|mut body| body.optional("r", reschedule_rules(), ""));
        let faults: Vec<String> = faults.into_vec().iter().map(ToString::to_string).collect();
        let written = rules.map(|rules| serde_json::to_string(&rules).unwrap()).unwrap_or_default();
        if faults.is_empty() { Ok(written) } else { Err(faults) }
    }

    #[test]
    fn rules_keep_their_order_and_name_their_faults() {
        let text = r#"{"z":{"attempt":1,"retries":4,"retryAfterS":900},"a":{"retry_after_s":5},"m":{}}"#;
        let expect = r#"{"z":{"attempt":1,"retries":4,"retryAfterS":900},"a":{"retryAfterS":5},"m":{}}"#;
        assert_eq!(read_rules(text), Ok(expect.to_owned()));
        let bad = r#"{"a": {"attempt": -1, "attempts": 2}, "b": 7, "b": {}, "c": {"retryAfterS": 1e99}}"#;
        assert_eq!(
            read_rules(bad).unwrap_err(),
            [
                "/r/b is given twice",
                "/r/a/attempt must be a whole number from 0 to 1000",
                "/r/a/attempts is no field of this",
                "/r/b must be an object",
                "/r/c/retryAfterS must be a whole number from 0 to 31622400",
            ]
        );
    }
}
