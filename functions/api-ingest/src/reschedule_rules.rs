//! The field `rescheduleRules` (SPEC §7's language), every fault named.

use crate::object::Object;
use rules::retry::{RETRY_AFTER_MAX_S, RULES_MAX, RescheduleRules, Rule};

/// Most characters of a rule's name.
const NAME_MAX_CHARS: usize = 64;
/// Most executions a rule speaks of.
const ATTEMPTS_MAX: u64 = 1_000;

/// Reads `{name: {attempt?, retries?, retryAfterS?}}`, in the order written: the first that matches
/// decides. The seed's `retry_after_s` is taken too.
pub fn read(body: &mut Object<'_, '_>, field: &str) -> Option<RescheduleRules> {
    let rules = body.object(field)?;
    let (faults, pointer) = (rules.faults(), body.at(field));
    let written = rules.rest();
    if written.len() > RULES_MAX {
        faults.add(pointer, format!("has at most {RULES_MAX} rules"));
        return None;
    }
    let rule = |(name, text): (std::borrow::Cow<'_, str>, &str)| {
        let pointer = crate::object::at(&pointer, &name);
        if name.is_empty() || name.chars().count() > NAME_MAX_CHARS {
            faults.add(pointer.as_str(), format!("a rule's name has 1 to {NAME_MAX_CHARS} characters"));
        }
        let mut rule = Object::read(text, &pointer, faults)?;
        let small = |value: Option<u64>| value.and_then(|value| u32::try_from(value).ok());
        let attempt = small(rule.integer("attempt", 0..=ATTEMPTS_MAX));
        let retries = small(rule.integer("retries", 0..=ATTEMPTS_MAX));
        let camel = rule.integer("retryAfterS", 0..=RETRY_AFTER_MAX_S);
        let snake = rule.integer("retry_after_s", 0..=RETRY_AFTER_MAX_S);
        if camel.is_some() && snake.is_some() {
            faults.add(rule.at("retry_after_s"), "is the same as retryAfterS; give one of them");
        }
        rule.finish();
        Some((name.into_owned(), Rule { attempt, retries, retry_after_s: camel.or(snake) }))
    };
    // A rule that is no object is a fault by now, so what is collected without it is not used.
    Some(written.into_iter().filter_map(rule).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Faults;

    fn read_rules(text: &str) -> Result<String, Vec<String>> {
        let (faults, text) = (Faults::default(), format!("{{\"r\": {text}}}"));
        let rules = Object::read(&text, "", &faults).and_then(|mut body| read(&mut body, "r"));
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
