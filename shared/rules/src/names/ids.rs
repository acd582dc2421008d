//! Ids that the system gives: no caller may give an activity one of their form, and nobody makes one elsewhere.
//!
//! | of | id |
//! | --- | --- |
//! | an occurrence of a recurring rule | `{rule}@{unix seconds}` |
//! | a reminder's webhook | `reminder-webhook:{reminder}:{attempt}`, or a hash in place of a reminder's long id |
//! | either, where that id is taken | the same, `~` and the incarnation of the rule or reminder |
//!
//! A rule that was deleted and made anew has occurrences at the same instants. What is left of the one before keeps its id,
//! so the new one's occurrence has an id of its own. Which of the two it is follows from what has the first id, so that whoever repeats a creation
//! finds what was created.

use super::{ActivityId, ID_MAX_CHARS, RecurringName};
use chrono::{DateTime, TimeDelta, Utc};

/// What the ids of webhooks begin with: the name of their activity type.
pub const REMINDER_WEBHOOK: &str = "reminder-webhook";
/// Between a rule's name and the instant of its occurrence.
const OCCURRENCE: char = '@';
/// Before an incarnation. No caller's id has it.
const INCARNATION: char = '~';
/// Most characters of an incarnation.
const INCARNATION_MAX_CHARS: usize = 16;
/// For how long after a rule was made its occurrences may meet those of the rule before it: as far as that one may have
/// looked ahead, and time for clocks to differ.
const MEETS_WITHIN: TimeDelta = TimeDelta::minutes(10);
/// How long an occurrence is sure to be kept, or rather less.
const KEPT_FOR_SURE: TimeDelta = TimeDelta::minutes(30);

/// A caller's id has a form that the system needs for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReservedId {
    /// That of an occurrence.
    #[error("has the form {{name}}@{{digits}}, which is reserved for occurrences of recurring activities")]
    Occurrence,
    /// That of a webhook.
    #[error("begins with reminder-webhook:, which is reserved for webhooks of reminders")]
    ReminderWebhook,
    /// That of a later incarnation.
    #[error("has a ~, which is reserved for ids that the service gives")]
    Incarnation,
}

/// # Errors
/// [`ReservedId`] where a caller may not give this id to an activity.
pub fn given_to_activity(id: &ActivityId) -> Result<(), ReservedId> {
    given(id)?;
    reserved(id.as_str()).map_or(Ok(()), Err)
}

/// # Errors
/// [`ReservedId`] where a caller may not give this id to anything.
pub fn given(id: &ActivityId) -> Result<(), ReservedId> {
    if id.as_str().contains(INCARNATION) { Err(ReservedId::Incarnation) } else { Ok(()) }
}

/// Which form of the system's own a text has, an incarnation apart.
fn reserved(text: &str) -> Option<ReservedId> {
    if text.strip_prefix(REMINDER_WEBHOOK).is_some_and(|rest| rest.starts_with(':')) {
        return Some(ReservedId::ReminderWebhook);
    }
    let (name, digits) = text.split_once(OCCURRENCE)?;
    let is_instant = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    (is_instant && name.parse::<RecurringName>().is_ok()).then_some(ReservedId::Occurrence)
}

/// An id without its incarnation, if it is one that the system gives with one.
pub(super) fn without_incarnation(text: &str) -> Option<&str> {
    let (id, incarnation) = text.split_once(INCARNATION)?;
    let is_incarnation = (1..=INCARNATION_MAX_CHARS).contains(&incarnation.len())
        && incarnation.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
    (is_incarnation && reserved(id).is_some()).then_some(id)
}

/// What tells a rule or reminder from those of its name before it: when it was made. One that was made in a millisecond is
/// not deleted in the same.
pub fn incarnation(created_at: DateTime<Utc>) -> String {
    format!("{:x}", created_at.timestamp_millis().max(0))
}

/// The id of the occurrence of a rule at an instant.
pub fn occurrence(name: &RecurringName, at: DateTime<Utc>) -> ActivityId {
    // A name and digits, which are an id.
    ActivityId(format!("{name}{OCCURRENCE}{}", at.timestamp().max(0)).into())
}

/// The id of the webhook of a reminder's attempt; `hash` stands for the reminder's id where that is too long.
pub fn reminder_webhook(reminder: &ActivityId, hash: &str, attempt: u32) -> ActivityId {
    let id = |reminder: &str| format!("{REMINDER_WEBHOOK}:{reminder}:{attempt}");
    let readable = id(reminder.as_str());
    let is_short = readable.len() <= ID_MAX_CHARS;
    ActivityId(if is_short { readable } else { id(hash) }.into())
}

/// The same where `id` is taken by what another incarnation made.
pub fn of_incarnation(id: &ActivityId, created_at: DateTime<Utc>) -> ActivityId {
    ActivityId(format!("{id}{INCARNATION}{}", incarnation(created_at)).into())
}

/// Whether the occurrence at `at` of a rule made at `created_at` may exist under the id of its incarnation although its plain
/// id is free: what had that one may be gone by now.
pub fn may_have_moved(created_at: DateTime<Utc>, at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    at - created_at <= MEETS_WITHIN && now - at > KEPT_FOR_SURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_gives_is_an_id_and_no_callers() {
        let at = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let occurrence = occurrence(&"nightly.a-b".parse().unwrap(), at);
        assert_eq!(occurrence.as_str(), "nightly.a-b@1700000000");
        let webhook = reminder_webhook(&"visit:1".parse().unwrap(), "h", 7);
        assert_eq!(webhook.as_str(), "reminder-webhook:visit:1:7");
        let long = reminder_webhook(&"x".repeat(128).parse().unwrap(), "h", 7);
        assert_eq!(long.as_str(), "reminder-webhook:h:7");
        for id in [occurrence, webhook, long] {
            for id in [of_incarnation(&id, at), id] {
                assert_eq!(id.as_str().parse(), Ok(id.clone()));
                assert!(given_to_activity(&id).is_err(), "{id}");
            }
        }
    }

    #[test]
    fn forms_are_told_apart() {
        for (text, expect) in [
            ("rule@1", Err(ReservedId::Occurrence)),
            ("a.b-c_d@0", Err(ReservedId::Occurrence)),
            ("reminder-webhook:m1:1", Err(ReservedId::ReminderWebhook)),
            ("reminder-webhook:", Err(ReservedId::ReminderWebhook)),
            ("rule@1~18bcfe56800", Err(ReservedId::Incarnation)),
            ("reminder-webhook", Ok(())),
            ("reminder-webhooks:1", Ok(())),
            ("rule@", Ok(())),
            ("rule@1a", Ok(())),
            ("rule@1@2", Ok(())),
            ("a:b@1", Ok(())),
            ("8e03978e-40d5-43e8-bc93-6894a57f9324", Ok(())),
        ] {
            assert_eq!(given_to_activity(&text.parse().unwrap()), expect, "{text}");
        }
        let notification = "rule@1".parse().unwrap();
        assert_eq!(given(&notification), Ok(()), "only activities have occurrences beside them");
        for text in ["a~1", "rule@1~", "rule@1~A", "rule@1~1~2", "rule@x~1", "rule@1~12345678901234567"] {
            assert!(text.parse::<ActivityId>().is_err(), "{text}");
        }
    }
}
