use super::*;

const FUDGE_S: u32 = 600;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_000_000_000 + seconds, 0).unwrap()
}

fn rules(json: &str) -> RescheduleRules {
    serde_json::from_str(json).unwrap()
}

fn claim(lease_until: i64) -> Claim {
    Claim::due("t", at(lease_until))
}

fn policy(rules: &RescheduleRules, max_retries: u32) -> Policy<'_> {
    Policy { rules, max_retries, retry_after_fudge_s: FUDGE_S }
}

/// The waits of a notification of which every attempt fails, and how it ends.
fn waits(json: &str, max_retries: u32) -> (Vec<i64>, State) {
    let rules = rules(json);
    let policy = policy(&rules, max_retries);
    let (mut waits, mut now) = (Vec::new(), at(0));
    let mut state = begun(claim(60), max_retries);
    for _ in 0..2_000 {
        state = decide(&state, Event::Failed(policy), now).unwrap();
        if state.status == Status::MaxRetried {
            return (waits, state);
        }
        waits.push((state.due - now).num_seconds());
        now = state.due;
        let claim = Claim::due("t", now + TimeDelta::seconds(60));
        state = decide(&state, Event::Begin(claim), now).unwrap();
    }
    panic!("it never ends");
}

#[test]
fn the_waits_of_each_rule_shape() {
    let check = |json: &str, max_retries: u32, expect: &[i64], attempts: u32| {
        let (waits, end) = waits(json, max_retries);
        assert_eq!((waits.as_slice(), end.attempts), (expect, attempts), "{json} {max_retries}");
    };
    // Without rules: the first wait, then 600 × attempts while retries − attempts ≥ 1.
    check("{}", 3, &[600, 600, 1_200], 3);
    check("{}", 1, &[600], 1);
    check("{}", 0, &[600], 1);
    check("{}", 5, &[600, 600, 1_200, 1_800, 2_400], 5);
    // The first wait is 600 whatever the rules.
    check(r#"{"any": {"retryAfterS": 7}}"#, 3, &[600, 7, 7], 3);
    check(r#"{"zero": {"attempt": 0, "retryAfterS": 7}}"#, 2, &[600, 600], 2);
    // Without `retryAfterS`: 600, not 600 × attempts.
    check(r#"{"any": {}}"#, 4, &[600, 600, 600, 600], 4);
    // `retries` of a rule stays, so that attempts without a rule go on by it.
    check(
        r#"{"first": {"attempt": 1, "retries": 5, "retryAfterS": 1}}"#,
        1,
        &[600, 1, 1_200, 1_800, 2_400],
        5,
    );
    // A rule without `retries` brings back `maxRetries`.
    check(
        r#"{"first": {"attempt": 1, "retries": 9, "retryAfterS": 1}, "third": {"attempt": 3, "retryAfterS": 2}}"#,
        3,
        &[600, 1, 1_200],
        3,
    );
    // The first in the order written wins, whatever its name.
    check(r#"{"z": {"retryAfterS": 1}, "a": {"attempt": 1, "retryAfterS": 2}}"#, 2, &[600, 1], 2);
    check(r#"{"z": {"attempt": 1, "retryAfterS": 2}, "a": {"retryAfterS": 1}}"#, 3, &[600, 2, 1], 3);
    // A rule whose retries are at or below its attempt ends it.
    check(r#"{"stop": {"attempt": 2, "retries": 2}}"#, 9, &[600, 600], 2);
    check(r#"{"now": {"retryAfterS": 0}}"#, 3, &[600, 0, 0], 3);
    check(r#"{"long": {"retryAfterS": 31622400}}"#, 2, &[600, 31_622_400], 2);
}

#[test]
fn the_seeds_example() {
    let voicemail_new = r#"{
        "after_one_day": {"retry_after_s": 86400, "retries": 4, "attempt": 4},
        "after_two_hours": {"retry_after_s": 7200, "retries": 4, "attempt": 3},
        "after_45_mins": {"retry_after_s": 2700, "retries": 4, "attempt": 2},
        "after_15_mins": {"retry_after_s": 900, "retries": 4, "attempt": 1}
    }"#;
    let (waits, end) = waits(voicemail_new, 3);
    assert_eq!((waits.as_slice(), end.attempts), ([600, 900, 2_700, 7_200].as_slice(), 4));
    // Its own first rule never acts, and is said so.
    let warnings = warnings(&rules(voicemail_new), 3);
    assert_eq!(
        warnings,
        [
            "the rule \"after_one_day\" can never cause a wait: after attempt 4 its retries, 4, leave no re-send"
        ]
    );
}

#[test]
fn rules_that_can_never_cause_a_wait_are_named() {
    let named = |json: &str, max_retries| {
        let text = |warning: String| warning.split('"').nth(1).unwrap().to_owned();
        warnings(&rules(json), max_retries).into_iter().map(text).collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(named("{}", 3), none);
    assert_eq!(named(r#"{"a": {"attempt": 1}, "b": {"attempt": 2}, "c": {}}"#, 4), none);
    assert_eq!(named(r#"{"a": {"attempt": 0}}"#, 3), ["a"]);
    assert_eq!(named(r#"{"a": {}, "b": {"attempt": 1}, "c": {}}"#, 3), ["b", "c"]);
    assert_eq!(named(r#"{"a": {"attempt": 2}, "b": {"attempt": 2}}"#, 3), ["b"]);
    assert_eq!(named(r#"{"a": {"attempt": 3}}"#, 3), ["a"], "maxRetries leave no re-send");
    assert_eq!(named(r#"{"a": {"attempt": 3, "retries": 4}}"#, 3), none);
    assert_eq!(named(r#"{"a": {"attempt": 7, "retries": 9}}"#, 3), ["a"], "never reached");
    assert_eq!(named(r#"{"a": {"attempt": 7, "retries": 9}, "b": {"attempt": 1, "retries": 8}}"#, 1), none);
    assert_eq!(named(r#"{"a": {"retries": 0}}"#, 3), ["a"]);
    assert_eq!(named(r#"{"a": {"attempt": 1}, "b": {}}"#, 2), ["b"], "what only `b` matches is the end");
    assert_eq!(named(r#"{"a": {"retries": 1000}}"#, 3), none);
}

/// Every (state, event) pair of the table.
#[test]
fn every_pair() {
    let none = RescheduleRules::default();
    let policy = policy(&none, 3);
    let free = State { attempts: 2, sends: 2, ..held(3, at(0)) };
    let held = State { claim: Some(claim(60)), due: at(60), sends: 3, ..free.clone() };
    let over = |status| State { status, due: at(0), ..free.clone() };
    let events = || {
        [
            Event::Begin(claim(90)),
            Event::Manual(claim(90), 7),
            Event::Succeeded,
            Event::Failed(policy),
            Event::LeaseExpired(policy),
            Event::Released,
        ]
    };
    let outcomes = |state: &State, now: i64| {
        events().map(|event| decide(state, event, at(now)).map(|to| (to.status, to.attempts, to.sends)))
    };
    use Refusal::{InFlight, NotClaimed, NotDue};
    use Status::{MaxRetried, Pending, Published};
    let in_flight = Ok((Pending, 2, 3));
    assert_eq!(
        outcomes(&free, 0),
        [in_flight, in_flight, Err(NotClaimed), Err(NotClaimed), Err(NotClaimed), Err(NotClaimed)],
        "free"
    );
    assert_eq!(
        outcomes(&free, -1),
        [Err(NotDue), in_flight, Err(NotClaimed), Err(NotClaimed), Err(NotClaimed), Err(NotClaimed)],
        "free and not due"
    );
    let released = Ok((Pending, 2, 2));
    let (published, failed) = (Ok((Published, 3, 3)), Ok((Pending, 3, 3)));
    assert_eq!(
        outcomes(&held, 60),
        [Err(InFlight), Err(InFlight), published, failed, Err(InFlight), released],
        "in flight, to the end of the lease"
    );
    assert_eq!(
        outcomes(&held, 61),
        [Err(InFlight), Err(InFlight), published, failed, failed, released],
        "abandoned"
    );
    let refused = Err(Refusal::Status(Published));
    assert_eq!(outcomes(&over(Published), 0), [refused; 6]);
    let refused = Err(Refusal::Status(MaxRetried));
    assert_eq!(
        outcomes(&over(MaxRetried), 0),
        [refused, Ok((Pending, 0, 3)), refused, refused, refused, refused],
        "a new run counts anew"
    );
}

#[test]
fn a_claim_stands_at_the_end_of_its_lease_and_a_new_run_has_the_types_retries() {
    let state = begun(claim(60), 3);
    assert_eq!((state.due, index(&state)), (at(60), crate::activity::Index::Due(at(60))));
    let none = RescheduleRules::default();
    let last = State { attempts: 3, ..state };
    let last = decide(&last, Event::Failed(policy(&none, 3)), at(5)).unwrap();
    assert_eq!((last.status, last.attempts, last.last_attempt_at), (Status::MaxRetried, 3, Some(at(5))));
    assert_eq!(index(&last), crate::activity::Index::Done);
    let again = decide(&last, Event::Manual(claim(99), 8), at(9)).unwrap();
    assert_eq!((again.run, again.attempts, again.retries, again.due), (1, 0, 8, at(99)));
    let sent = decide(&again, Event::Succeeded, at(10)).unwrap();
    assert_eq!((sent.status, sent.attempts, sent.claim), (Status::Published, 1, None));
}
