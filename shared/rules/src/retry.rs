//! When to try again: the reschedule rule language of SPEC §7 (seed 003) and
//! the waits of activities (SPEC §3).

use crate::retry_after::RETRY_AFTER_MAX;
use chrono::{DateTime, TimeDelta, Utc};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Default wait between two executions of an activity, in seconds (SPEC §3).
pub const ACTIVITY_WAIT_S: u64 = 30;
/// A matching rule without `retryAfterS` waits this long, in seconds (seed 003: `retry_after_fudge_s`).
pub const RETRY_AFTER_FUDGE_S: u64 = 600;
/// The longest wait a rule may ask for, in seconds: a year.
pub const RETRY_AFTER_MAX_S: u64 = 366 * 24 * 3600;
/// Most rules of one type.
pub const RULES_MAX: usize = 50;

/// One rule: matches a failed attempt and says how to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// The number of attempts made that this rule is for; absent matches any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Executions in all from here on; absent keeps what holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Seconds to wait; absent is [`RETRY_AFTER_FUDGE_S`].
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "retry_after_s")]
    pub retry_after_s: Option<u64>,
}

/// Named rules, in the order written: the first that matches decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RescheduleRules(Vec<(String, Rule)>);

impl RescheduleRules {
    /// The rules, in the order written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Rule)> {
        self.0.iter().map(|(name, rule)| (name.as_str(), rule))
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first rule that matches a failure after `attempts` attempts.
    pub fn matching(&self, attempts: u32) -> Option<&Rule> {
        self.0
            .iter()
            .map(|(_, rule)| rule)
            .find(|rule| rule.attempt.is_none_or(|attempt| attempt == attempts))
    }
}

impl FromIterator<(String, Rule)> for RescheduleRules {
    fn from_iter<I: IntoIterator<Item = (String, Rule)>>(rules: I) -> Self {
        Self(rules.into_iter().collect())
    }
}

impl Serialize for RescheduleRules {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, rule) in &self.0 {
            map.serialize_entry(name, rule)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for RescheduleRules {
    /// Reads a JSON object and keeps the order written, which a map would lose.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = RescheduleRules;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of named rules")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut rules: Vec<(String, Rule)> = Vec::new();
                while let Some((name, rule)) = map.next_entry::<String, Rule>()? {
                    if rules.iter().any(|(other, _)| *other == name) {
                        return Err(A::Error::custom(format!("rule \"{name}\" is given twice")));
                    }
                    if rule.retry_after_s.is_some_and(|wait| wait > RETRY_AFTER_MAX_S) {
                        return Err(A::Error::custom(format!(
                            "rule \"{name}\": retryAfterS must be at most {RETRY_AFTER_MAX_S}"
                        )));
                    }
                    rules.push((name, rule));
                    if rules.len() > RULES_MAX {
                        return Err(A::Error::custom(format!("at most {RULES_MAX} rules")));
                    }
                }
                Ok(RescheduleRules(rules))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// What follows a failed execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again.
    Again {
        /// When.
        at: DateTime<Utc>,
        /// Executions in all, as they stand now.
        max_attempts: u32,
    },
    /// No execution is left.
    Exhausted {
        /// Executions in all, as they stand now.
        max_attempts: u32,
    },
}

/// What follows the `attempts`-th failed execution of an activity of which
/// `max_attempts` are allowed.
///
/// The first matching rule sets the wait and, where it says so, the allowed
/// executions; without one the wait is [`ACTIVITY_WAIT_S`]. What the receiver
/// asked for in `Retry-After` lengthens the wait, up to [`RETRY_AFTER_MAX`], and
/// never shortens it: no receiver uses up the attempts faster than the owner's
/// policy allows (SPEC §3).
pub fn after_activity_failure(
    attempts: u32,
    max_attempts: u32,
    rules: &RescheduleRules,
    retry_after: Option<TimeDelta>,
    now: DateTime<Utc>,
) -> Next {
    let rule = rules.matching(attempts);
    let max_attempts = rule.and_then(|rule| rule.retries).unwrap_or(max_attempts);
    if attempts >= max_attempts {
        return Next::Exhausted { max_attempts };
    }
    let wait_s = rule.map_or(ACTIVITY_WAIT_S, |rule| rule.retry_after_s.unwrap_or(RETRY_AFTER_FUDGE_S));
    let policy = TimeDelta::seconds(wait_s.min(RETRY_AFTER_MAX_S) as i64);
    let wait = retry_after.map_or(policy, |asked| policy.max(asked.min(RETRY_AFTER_MAX)));
    Next::Again { at: crate::time::after(now, wait), max_attempts }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(json: &str) -> RescheduleRules {
        serde_json::from_str(json).unwrap()
    }

    /// The seconds waited, or `None` when exhausted.
    fn wait(attempts: u32, max: u32, rules: &RescheduleRules, header: Option<i64>) -> Option<i64> {
        let now = DateTime::UNIX_EPOCH;
        match after_activity_failure(attempts, max, rules, header.map(TimeDelta::seconds), now) {
            Next::Again { at, .. } => Some((at - now).num_seconds()),
            Next::Exhausted { .. } => None,
        }
    }

    #[test]
    fn three_retries_are_three_executions() {
        let none = RescheduleRules::default();
        let cases =
            [(1, 3, Some(30)), (2, 3, Some(30)), (3, 3, None), (4, 3, None), (1, 1, None), (1, 0, None)];
        for (attempts, max, expect) in cases {
            assert_eq!(wait(attempts, max, &none, None), expect, "{attempts} of {max}");
        }
    }

    #[test]
    fn the_first_rule_written_that_matches_decides() {
        let rules = rules(
            r#"{"z": {"attempt": 1, "retries": 4, "retryAfterS": 900},
                "b": {"attempt": 2}, "a": {"retry_after_s": 5}, "never": {"attempt": 3, "retryAfterS": 7}}"#,
        );
        assert_eq!(rules.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["z", "b", "a", "never"]);
        // The rule for attempt 1 raises one execution to four.
        assert_eq!(wait(1, 1, &rules, None), Some(900));
        assert_eq!(wait(2, 4, &rules, None), Some(600));
        assert_eq!(wait(3, 4, &rules, None), Some(5));
        assert_eq!(wait(4, 4, &rules, None), None);
    }

    #[test]
    fn a_receivers_retry_after_lengthens_the_wait_within_a_day_and_never_shortens_it() {
        let none = RescheduleRules::default();
        let hour = rules(r#"{"hour": {"retryAfterS": 3600}}"#);
        let week = rules(r#"{"week": {"retryAfterS": 604800}}"#);
        let at_once = rules(r#"{"at once": {"retryAfterS": 0}}"#);
        for (rules, asked, expect) in [
            (&none, 0, 30),
            (&none, 29, 30),
            (&none, -5, 30),
            (&none, 120, 120),
            (&none, 10_000_000, 86_400),
            (&hour, 0, 3_600),
            (&hour, 3_599, 3_600),
            (&hour, 7_200, 7_200),
            (&hour, i64::MIN / 1_000, 3_600),
            (&week, 10_000_000, 604_800),
            (&at_once, 0, 0),
            (&at_once, 5, 5),
        ] {
            assert_eq!(wait(1, 3, rules, Some(asked)), Some(expect), "{rules:?}, {asked}");
        }
    }

    #[test]
    fn rules_are_read_strictly_and_written_as_read() {
        for bad in [
            "[]",
            r#"{"a": {"attempts": 1}}"#,
            r#"{"a": {"attempt": -1}}"#,
            r#"{"a": {}, "a": {}}"#,
            r#"{"a": {"retryAfterS": 99999999999}}"#,
        ] {
            assert!(serde_json::from_str::<RescheduleRules>(bad).is_err(), "{bad}");
        }
        let text = r#"{"z":{"attempt":1},"a":{"retryAfterS":5}}"#;
        assert_eq!(serde_json::to_string(&rules(text)).unwrap(), text);
    }
}
