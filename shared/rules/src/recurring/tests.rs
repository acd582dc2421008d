use super::*;
use crate::activity::{Event, State, accepted, decide};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn schedule(expression: &str) -> Schedule {
    let cron = Cron::parse(expression).unwrap();
    Schedule { cron, zone: Tz::UTC, start_at: None, end_at: None, shift: TimeDelta::zero() }
}

fn policy(catch_up: CatchUp, window: i64) -> Policy {
    Policy { catch_up, window: TimeDelta::seconds(window) }
}

fn seconds(ats: &[DateTime<Utc>]) -> Vec<i64> {
    ats.iter().map(|one| (*one - at(0)).num_seconds()).collect()
}

type Skips = Vec<(i64, i64, u64, SkipReason)>;

/// The plan at `now` of a rule that has come to `from`, in seconds.
fn planned(expression: &str, policy: Policy, from: i64, now: i64) -> (Vec<i64>, Skips, Option<i64>) {
    let plan = plan(&schedule(expression), policy, at(from), at(now));
    let skips = plan.skips.iter().map(|skip| {
        let [from, to] = [skip.from, skip.to].map(|one| (one - at(0)).num_seconds());
        (from, to, skip.count, skip.reason)
    });
    (seconds(&plan.create), skips.collect(), plan.next.map(|next| (next - at(0)).num_seconds()))
}

#[test]
fn in_time_everything_up_to_the_look_ahead_is_created() {
    for choice in CatchUp::ALL {
        let plan = planned("* * * * *", policy(choice, 0), 60, 0);
        assert_eq!(plan, (vec![60, 120, 180], vec![], Some(240)), "{choice}");
        // A slow run is no outage: what is late by a minute was not missed.
        let plan = planned("*/30 * * * * *", policy(choice, 0), 0, 60);
        assert_eq!(plan.0, (0..=240).step_by(30).collect::<Vec<_>>(), "{choice}");
        assert_eq!(planned("* * * * *", policy(choice, 0), 240, 0), (vec![], vec![], Some(240)));
    }
}

/// Away from 0 to an hour and a half, with a rule every ten minutes and a window of an hour.
#[test]
fn what_was_missed_is_made_up_for_by_the_rule() {
    use SkipReason::{NoCatchUp, NotLatest, OutsideWindow};
    let now = 5_400;
    let outside = (0, 1_200, 3, OutsideWindow);
    // What is late by the window exactly is inside it.
    let all = planned("*/10 * * * *", policy(CatchUp::All, 3_600), 0, now);
    assert_eq!(all, (vec![1_800, 2_400, 3_000, 3_600, 4_200, 4_800, 5_400], vec![outside], Some(6_000)));
    let latest = planned("*/10 * * * *", policy(CatchUp::Latest, 3_600), 0, now);
    assert_eq!(latest, (vec![4_800, 5_400], vec![outside, (1_800, 4_200, 5, NotLatest)], Some(6_000)));
    let none = planned("*/10 * * * *", policy(CatchUp::None, 3_600), 0, now);
    assert_eq!(none, (vec![5_400], vec![outside, (1_800, 4_800, 6, NoCatchUp)], Some(6_000)));
    let never = planned("*/10 * * * *", policy(CatchUp::All, 0), 0, now);
    assert_eq!(never, (vec![5_400], vec![(0, 4_800, 9, OutsideWindow)], Some(6_000)));
    // The one missed run of a daily rule is its latest.
    let daily = planned("0 8 * * *", policy(CatchUp::Latest, 3_600), 0, 3_000);
    assert_eq!(daily, (vec![0], vec![], Some(86_400)));
}

#[test]
fn a_long_outage_is_worked_off_in_plans_of_bounded_size() {
    let (mut from, now, mut created, mut skipped, mut plans) = (0, 1_000_000, 0, 0, 0);
    loop {
        let (create, skips, next) = planned("* * * * * *", policy(CatchUp::All, 3_600), from, now);
        assert!(create.len() <= CREATED_MAX && skips.len() <= 1);
        created += create.len();
        skipped += skips.iter().map(|skip| skip.2).sum::<u64>();
        plans += 1;
        from = next.unwrap();
        if from > now + LOOK_AHEAD.num_seconds() {
            break;
        }
    }
    assert_eq!((created, skipped), (3_600 + 1 + 180, 1_000_000 - 3_600));
    assert!(plans < 25, "{plans}");
}

#[test]
fn plans_cut_anywhere_skip_the_same() {
    // `latest` looks one occurrence ahead, so it needs no memory of the plans before.
    let whole = planned("*/7 * * * * *", policy(CatchUp::Latest, 86_400), 0, 50_000);
    let mut cut = Vec::new();
    for from in [0, 7_000, 49_000, 49_920] {
        cut.push(planned("*/7 * * * * *", policy(CatchUp::Latest, 86_400), from, 50_000).0);
    }
    assert!(cut.iter().all(|create| *create == whole.0), "{cut:?}");
}

#[test]
fn starts_ends_and_shifts() {
    let mut schedule = schedule("*/10 * * * *");
    schedule.start_at = Some(at(600));
    schedule.end_at = Some(at(1_800));
    let all = |schedule: &Schedule| {
        let mut found = Vec::new();
        let mut next = schedule.next(at(0));
        while let Some(at) = next {
            found.push(at);
            next = schedule.following(at);
        }
        seconds(&found)
    };
    assert_eq!(all(&schedule), [600, 1_200, 1_800], "both ends are in it");
    schedule.shift = TimeDelta::seconds(7);
    assert_eq!(all(&schedule), [607, 1_207], "nothing is before the start or, shifted, after the end");
    assert_eq!(schedule.next(at(607)), Some(at(607)), "the instant itself counts");
    let made_up = plan(&schedule, policy(CatchUp::All, 3_600), at(607), at(1_900));
    assert_eq!((seconds(&made_up.create), made_up.next), (vec![607, 1_207], None));
    assert!(is_missed(at(607), at(1_700)));
    let skipped = skipped_before(&schedule, at(0), at(9_000)).unwrap();
    assert_eq!((skipped.to, skipped.count), (at(1_207), 2));
    schedule.end_at = Some(at(1_207));
    assert_eq!(all(&schedule), [607, 1_207], "the end itself is in it, shifted");
    schedule.shift = TimeDelta::seconds(8);
    assert_eq!(all(&schedule), [608], "and a second later is not");
    schedule.shift = TimeDelta::seconds(1_800);
    assert_eq!(all(&schedule), [0; 0], "a shift that is longer than the whole");

    let shifts: Vec<i64> = (0..2_000).map(|n| shift(&format!("acme/shop/r{n}"), 300).num_seconds()).collect();
    assert!(shifts.iter().all(|shift| (0..300).contains(shift)));
    assert!((0..300).filter(|second| shifts.contains(second)).count() > 280, "spread all over");
    assert_eq!(shift("acme/shop/r1", 0), TimeDelta::zero());
    assert_eq!(shift("acme/shop/r1", 300), shift("acme/shop/r1", 300));
}

/// An hour's spread around an end of 06:00 ran at 06:11:56.
#[test]
fn nothing_is_spread_past_the_end() {
    let end = DateTime::parse_from_rfc3339("2027-01-20T06:00:00Z").unwrap().to_utc();
    let start = end - TimeDelta::days(5);
    for seconds in 0..3_600 {
        let cron = Cron::parse("0 * * * *").unwrap();
        let shift = TimeDelta::seconds(seconds);
        let schedule = Schedule { cron, zone: Tz::UTC, start_at: Some(start), end_at: Some(end), shift };
        assert_eq!(schedule.next(start), Some(start + shift));
        let last = if seconds == 0 { end } else { end - TimeDelta::hours(1) + shift };
        assert_eq!(schedule.next(end - TimeDelta::hours(1) + TimeDelta::seconds(1)), Some(last));
        assert_eq!(schedule.following(last), None, "{seconds}");
    }
}

/// The last instant that keys and RFC 3339 can hold is in the year 9999.
#[test]
fn nothing_is_spread_into_the_year_10000() {
    let instant = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
    let late = instant("9999-12-31T23:00:00Z");
    let mut schedule = schedule("30 59 23 31 12 * 9999");
    assert_eq!(schedule.next(late), Some(instant("9999-12-31T23:59:30Z")));
    schedule.shift = TimeDelta::seconds(29);
    assert_eq!(schedule.next(late), Some(instant("9999-12-31T23:59:59Z")));
    schedule.shift = TimeDelta::seconds(30);
    assert_eq!(schedule.next(late), None);
    schedule.cron = Cron::parse("0 30 23 31 12 * 9999").unwrap();
    schedule.zone = "America/New_York".parse().unwrap();
    schedule.shift = TimeDelta::zero();
    assert_eq!(schedule.next(late), None, "no zone's clock goes past it either");
}

#[test]
fn what_was_missed_is_made_as_it_was_or_skipped() {
    let schedule = schedule("*/10 * * * *");
    let skip = Missed::Skip(Skip { from: at(0), to: at(2_400), count: 5, reason: SkipReason::RuleChanged });
    let (running, paused, same, other) = (false, true, true, false);
    for (next, is_paused, is_same, expect) in [
        (Some(at(0)), paused, other, skip),
        (Some(at(0)), running, other, Missed::MakeUpFirst),
        (Some(at(0)), paused, same, Missed::Stay),
        (Some(at(0)), running, same, Missed::Stay),
        // What is due in the instant of the change is the first of what is new.
        (Some(at(3_000)), paused, other, Missed::Stay),
        (Some(at(3_000)), running, other, Missed::Stay),
        (None, paused, other, Missed::Stay),
        (None, running, other, Missed::Stay),
    ] {
        let missed = missed_before(&schedule, next, (is_paused, is_same), at(3_000));
        assert_eq!(missed, expect, "{next:?} {is_paused} {is_same}");
    }
}

#[test]
fn what_somebody_has_changed_is_not_taken_back() {
    let made = accepted(at(60), 3, at(0));
    assert!(may_take_back(at(60), &made));
    assert!(may_take_back(at(60), &accepted(at(60), 3, at(90))), "made late");
    let change = |event| decide(&made, event, at(10)).unwrap().to;
    assert!(!may_take_back(at(60), &change(Event::Reschedule(at(120)))));
    assert!(!may_take_back(at(60), &change(Event::DispatchNow)));
    assert!(!may_take_back(at(60), &change(Event::Cancel)));
    for other in [
        State { attempts: 1, ..made.clone() },
        State { run: 1, ..made.clone() },
        State { status: Status::Dispatched, ..made.clone() },
    ] {
        assert!(!may_take_back(at(60), &other), "{other:?}");
    }
}
