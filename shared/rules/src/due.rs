//! When and how what is due gets into the queue (SPEC §9.4, DESIGN "Time").

use chrono::{DateTime, TimeDelta, Utc};

/// What is due within this time is in the queue, later work in the table alone: the SQS delay limit.
pub const HORIZON: TimeDelta = TimeDelta::minutes(15);
/// The sweep enqueues what enters this horizon.
///
/// It is shorter than [`HORIZON`] by more than clock skew, index lag and a
/// write's time together: whatever its creator left to the sweep because it
/// lay past `HORIZON` cannot be behind the sweep's cursor.
pub const SWEEP_HORIZON: TimeDelta = TimeDelta::minutes(14);
/// How long before its instant a lone activity is claimed.
pub const LEAD: TimeDelta = TimeDelta::seconds(1);
/// The lead where very many fall on one second: their claims take longer than a second.
pub const CROWD_LEAD: TimeDelta = TimeDelta::seconds(5);
/// A message with at least this many activities is a sign of a crowd.
pub const CROWD: usize = 20;
/// Most activities one message names (one `BatchExecuteStatement`).
pub const MESSAGE_ACTIVITIES_MAX: usize = 25;
/// What is overdue by this has been lost on its way and is enqueued again.
pub const RECOVERY_GRACE: TimeDelta = TimeDelta::minutes(1);
/// Doublings of [`RECOVERY_GRACE`] after which the recovery pass tries again: 1, 2, 4 and 8 minutes.
const RECOVERY_DOUBLINGS: u32 = 3;
/// What is overdue by this or more is enqueued again each time this has passed.
pub const RECOVERY_PERIOD: TimeDelta = TimeDelta::minutes(16);

/// How early the activities of a message with `count` of them are claimed.
pub fn lead(count: usize) -> TimeDelta {
    if count >= CROWD { CROWD_LEAD } else { LEAD }
}

/// The whole seconds a message for `due` is delayed, so that it arrives a lead before it;
/// `None` past the [`HORIZON`].
pub fn delay_seconds(now: DateTime<Utc>, due: DateTime<Utc>, count: usize) -> Option<u16> {
    if due - now > HORIZON {
        return None;
    }
    let seconds = (due - now - lead(count)).num_seconds().clamp(0, HORIZON.num_seconds());
    u16::try_from(seconds).ok()
}

/// Whether whoever makes an item due at `due` enqueues it, or leaves it to the sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Its writer enqueues it right after the write.
    Queued,
    /// It lies past the horizon: the sweep enqueues it.
    Waiting,
}

impl Mark {
    /// The mark of an item written at `now` and due at `due`.
    pub fn of(now: DateTime<Utc>, due: DateTime<Utc>) -> Self {
        if due - now > HORIZON { Mark::Waiting } else { Mark::Queued }
    }

    /// Its letter in the due index.
    pub fn letter(self) -> char {
        match self {
            Mark::Queued => 'q',
            Mark::Waiting => 'w',
        }
    }
}

/// The shard of an id among `shards`: FNV-1a, stable for ever since items stay where they were put.
pub fn shard(id: &str, shards: u32) -> u32 {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash % u64::from(shards.max(1))) as u32
}

/// The spans of due instants, both ends included, that a recovery pass enqueues again.
///
/// An overdue item is enqueued again when its age passes 1, 2, 4 and 8 minutes, and from 16
/// minutes on every 16: soon after a loss, and seldom while a backlog is merely long. The spans
/// are what crossed one of these ages since the slice was last swept, so nothing has to be
/// remembered for each item.
pub fn recovery_spans(
    oldest_due: DateTime<Utc>,
    last_sweep: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Vec<(DateTime<Utc>, DateTime<Utc>)> {
    let period = |at: DateTime<Utc>| at.timestamp().div_euclid(RECOVERY_PERIOD.num_seconds());
    let old = (period(now) != period(last_sweep)).then_some((oldest_due, now - RECOVERY_PERIOD));
    let young = (0..=RECOVERY_DOUBLINGS).rev().map(|doubling| {
        let age = RECOVERY_GRACE * 2_i32.pow(doubling);
        (last_sweep - age + TimeDelta::milliseconds(1), now - age)
    });
    let mut spans: Vec<(DateTime<Utc>, DateTime<Utc>)> = Vec::new();
    for (from, to) in old.into_iter().chain(young) {
        let from = from.max(oldest_due);
        match spans.last_mut() {
            _ if from > to => {}
            // After a long outage neighbouring spans overlap: one span then.
            Some((_, end)) if from <= *end => *end = (*end).max(to),
            _ => spans.push((from, to)),
        }
    }
    spans
}

/// How long a recovery pass may take to enqueue what it is due to, a sweep each minute.
const RECOVERY_TIME: TimeDelta = TimeDelta::minutes(2);

/// Whether the recovery pass has certainly enqueued again, since `since`, what has been due from `due` on: then a
/// message that has waited since is one too many.
pub fn is_enqueued_again(due: DateTime<Utc>, since: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    let passed = |at: DateTime<Utc>| since < at && at <= now - RECOVERY_TIME;
    let seconds = (now - RECOVERY_TIME).timestamp();
    let last_period = seconds - seconds.rem_euclid(RECOVERY_PERIOD.num_seconds());
    let old =
        DateTime::from_timestamp(last_period, 0).is_some_and(|at| passed(at) && at - RECOVERY_PERIOD >= due);
    old || (0..=RECOVERY_DOUBLINGS).any(|doubling| passed(due + RECOVERY_GRACE * 2_i32.pow(doubling)))
}

/// When to look again at an activity that another worker has: once its lease has run out, past any lead.
pub fn after_lease(lease_until: DateTime<Utc>) -> DateTime<Utc> {
    crate::time::after(lease_until, CROWD_LEAD + TimeDelta::milliseconds(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn messages_arrive_a_lead_early_and_never_past_the_limit() {
        let millis = |ms| at(0) + TimeDelta::milliseconds(ms);
        for (due, count, expect) in [
            (at(-5), 1, Some(0)),
            (at(0), 1, Some(0)),
            (millis(1_900), 1, Some(0)),
            (millis(3_500), 1, Some(2)),
            (at(30), 25, Some(25)),
            (at(900), 1, Some(899)),
            (millis(900_001), 1, None),
        ] {
            assert_eq!(delay_seconds(at(0), due, count), expect, "{due} {count}");
        }
    }

    #[test]
    fn the_mark_and_the_delay_agree() {
        for seconds in [0, 899, 900, 901, 100_000] {
            let queued = Mark::of(at(0), at(seconds)) == Mark::Queued;
            assert_eq!(queued, delay_seconds(at(0), at(seconds), 1).is_some());
        }
    }

    #[test]
    fn ids_spread_over_shards() {
        let mut counts = [0; 4];
        for n in 0..4_000 {
            counts[shard(&format!("order-{n}"), 4) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
        assert_eq!(shard("x", 0), 0);
        // Held for ever: moving an id to another shard would hide its item.
        assert_eq!(shard("order-1", 1_000), 325);
    }

    /// The minutes after its instant in which a sweep each minute enqueues an overdue item again.
    fn recovered(minutes: std::ops::RangeInclusive<i64>) -> Vec<i64> {
        let due = at(0);
        let hit = |minute: &i64| {
            let now = at(minute * 60 + 7);
            let spans = recovery_spans(due, now - TimeDelta::minutes(1), now);
            spans.iter().any(|(from, to)| (*from..=*to).contains(&due))
        };
        minutes.filter(hit).collect()
    }

    #[test]
    fn recovery_backs_off_and_never_ends() {
        let hits = recovered(1..=100);
        assert_eq!(hits[..4], [1, 2, 4, 8]);
        assert!(hits[4..].iter().all(|minute| *minute >= 16), "{hits:?}");
        assert!(hits[4..].windows(2).all(|pair| pair[1] - pair[0] == 16), "{hits:?}");
        let month = 30 * 24 * 60;
        assert_eq!(recovered(month..=month + 31).len(), 2);
    }

    #[test]
    fn after_an_outage_the_spans_are_one_without_overlap() {
        let spans = recovery_spans(at(0), at(-100_000), at(3_600));
        assert_eq!(spans, [(at(0), at(3_540))]);
        assert!(recovery_spans(at(3_590), at(3_540), at(3_600)).is_empty());
        for minute in 0..40 {
            let now = at(minute * 60);
            let spans = recovery_spans(at(-86_400), now - TimeDelta::minutes(1), now);
            assert!(spans.windows(2).all(|pair| pair[0].1 < pair[1].0), "{spans:?}");
            assert!(spans.iter().all(|(from, to)| from <= to), "{spans:?}");
        }
    }

    /// Whatever is said to be enqueued again was in a span of a sweep since, where sweeps run each minute.
    #[test]
    fn a_message_is_one_too_many_only_after_a_recovery() {
        let due = at(0);
        let enqueued = |since: i64, until: i64| {
            (since / 60 + 1..=until / 60).any(|minute| {
                let now = at(minute * 60);
                let spans = recovery_spans(due, now - TimeDelta::minutes(1), now);
                spans.iter().any(|(from, to)| (*from..=*to).contains(&due))
            })
        };
        let mut seen = 0;
        for since in (0..3_000).step_by(7) {
            for now in (since..since + 2_400).step_by(31) {
                if is_enqueued_again(due, at(since), at(now)) {
                    seen += 1;
                    assert!(enqueued(since, now), "{since} {now}");
                }
            }
            assert!(is_enqueued_again(due, at(since), at(since + 2_400)), "none waits for ever: {since}");
        }
        assert!(
            seen > 0 && !is_enqueued_again(due, at(0), at(170)) && is_enqueued_again(due, at(0), at(180))
        );
    }

    #[test]
    fn an_activity_in_hand_is_looked_at_once_its_lease_is_over() {
        for count in [1, MESSAGE_ACTIVITIES_MAX] {
            assert!(after_lease(at(0)) - lead(count) > at(0));
        }
    }
}
