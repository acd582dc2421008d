//! Every state against every event, as the table of the module says.

use super::*;
use chrono::TimeDelta;

pub(super) fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
}

pub(super) fn minutes(times: &[DateTime<Utc>]) -> Vec<i64> {
    times.iter().map(|time| time.timestamp() / 60).collect()
}

/// Send times at 10, 20 and 30 minutes.
fn times() -> [DateTime<Utc>; 3] {
    [10, 20, 30].map(at)
}

pub(super) fn claim(trigger: Trigger, lease: i64) -> Claim {
    Claim { token: "t".to_owned(), lease_until: at(lease), trigger }
}

/// Waiting for the second of the three, which has failed `attempts` times.
fn waiting(attempts: u32) -> State {
    State {
        next: Some(at(20)),
        handled: Some(at(10)),
        attempts,
        sequence: attempts + 1,
        last_sent_at: Some(at(10)),
        ..State::accepted(&times())
    }
}

fn in_flight(state: State) -> State {
    claimed(&state, claim(Trigger::Due, 22))
}

fn review() -> State {
    State { next: None, handled: Some(at(30)), ..waiting(0) }
}

fn completed() -> State {
    State { status: Status::Completed, completed_at: Some(at(30)), ..review() }
}

fn cancelled() -> State {
    State { status: Status::Cancelled, ..waiting(2) }
}

fn cancelled_in_flight() -> State {
    State { status: Status::Cancelled, ..in_flight(waiting(0)) }
}

/// The result in words: what the table's cells say.
fn told(state: &State, event: Event<'_>, now: i64) -> String {
    match decide(state, event, at(now)) {
        Err(refusal) => format!("- {refusal}"),
        Ok(step) => describe(&step.to),
    }
}

fn describe(state: &State) -> String {
    let minutes = |time: DateTime<Utc>| time.timestamp() / 60;
    let name = match index(state) {
        Index::Due(_) if state.status == Status::Active && state.claim.is_none() => {
            let next = minutes(state.next.unwrap());
            format!("waiting for {next}")
        }
        Index::Due(due) => format!("{} in flight until {}", state.status, minutes(due)),
        Index::Done(done) => done.as_str().to_owned(),
    };
    format!("{name}, failed {}, done {:?}", state.failed_attempts(), state.handled.map(minutes).unwrap_or(0))
}

/// Events by name, and what they lead to.
type Row<'a> = [(&'static str, Event<'a>, String); 8];

#[test]
fn every_state_and_event() {
    let all = times();
    let sent = Event::Attempted { outcome: Outcome::Sent, times: &all };
    let failed = Event::Attempted { outcome: Outcome::SendFailed, times: &all };
    let error = Event::Attempted { outcome: Outcome::SendError, times: &all };
    let expired = Event::LeaseExpired { times: &all };
    let replace = Event::Replace { times: &all[1..] };
    let replace_done = Event::Replace { times: &[] };
    let skip = Event::Skip { last: at(20), count: 1, times: &all };
    let not_made = Event::NotMade;
    let unclaimed = "- the reminder is not claimed";
    let busy = "- the reminder is being sent; try again in a minute";
    let is = |status: &str| format!("- the reminder is {status}");
    let last = State { next: Some(at(30)), handled: Some(at(20)), ..waiting(0) };
    let last_of = |attempts| in_flight(State { attempts, ..last.clone() });

    #[rustfmt::skip]
    let table: Vec<(&str, State, Row<'_>)> = vec![
        ("waiting", waiting(2), [
            ("sent", sent, unclaimed.into()), ("failed", failed, unclaimed.into()), ("error", error, unclaimed.into()),
            ("not made", not_made, unclaimed.into()), ("expired", expired, unclaimed.into()), ("cancel", Event::Cancel, "cancelled, failed 2, done 10".into()),
            ("replace", replace, "waiting for 20, failed 2, done 10".into()),
            ("skip", skip, "waiting for 30, failed 0, done 20".into()),
        ]),
        ("claimed, 1st", in_flight(waiting(0)), [
            ("sent", sent, "waiting for 30, failed 0, done 20".into()), ("failed", failed, "waiting for 20, failed 1, done 10".into()),
            ("error", error, "waiting for 20, failed 1, done 10".into()), ("not made", not_made, "waiting for 20, failed 0, done 10".into()), ("expired", expired, "waiting for 20, failed 1, done 10".into()),
            ("cancel", Event::Cancel, "cancelled in flight until 22, failed 0, done 10".into()), ("replace", replace, busy.into()),
            ("skip", skip, busy.into()),
        ]),
        ("claimed, 4th", in_flight(waiting(3)), [
            ("sent", sent, "waiting for 30, failed 0, done 20".into()), ("failed", failed, "waiting for 20, failed 4, done 10".into()),
            ("error", error, "waiting for 20, failed 4, done 10".into()), ("not made", not_made, "waiting for 20, failed 3, done 10".into()), ("expired", expired, "waiting for 20, failed 4, done 10".into()),
            ("cancel", Event::Cancel, "cancelled in flight until 22, failed 3, done 10".into()), ("replace", replace, busy.into()),
            ("skip", skip, busy.into()),
        ]),
        ("claimed, 5th", in_flight(waiting(4)), [
            ("sent", sent, "waiting for 30, failed 0, done 20".into()), ("failed", failed, "waiting for 30, failed 0, done 20".into()),
            ("error", error, "waiting for 30, failed 0, done 20".into()), ("not made", not_made, "waiting for 20, failed 4, done 10".into()), ("expired", expired, "waiting for 30, failed 0, done 20".into()),
            ("cancel", Event::Cancel, "cancelled in flight until 22, failed 4, done 10".into()), ("replace", replace, busy.into()),
            ("skip", skip, busy.into()),
        ]),
        ("claimed, the last one's 1st", last_of(0), [
            ("sent", sent, "completed, failed 0, done 30".into()), ("failed", failed, "waiting for 30, failed 1, done 20".into()),
            ("error", error, "waiting for 30, failed 1, done 20".into()), ("not made", not_made, "waiting for 30, failed 0, done 20".into()), ("expired", expired, "waiting for 30, failed 1, done 20".into()),
            ("cancel", Event::Cancel, "cancelled in flight until 22, failed 0, done 20".into()), ("replace", replace, busy.into()),
            ("skip", skip, busy.into()),
        ]),
        ("claimed, the last one's 5th", last_of(4), [
            ("sent", sent, "completed, failed 0, done 30".into()), ("failed", failed, "review, failed 0, done 30".into()),
            ("error", error, "review, failed 0, done 30".into()), ("not made", not_made, "waiting for 30, failed 4, done 20".into()), ("expired", expired, "review, failed 0, done 30".into()),
            ("cancel", Event::Cancel, "cancelled in flight until 22, failed 4, done 20".into()), ("replace", replace, busy.into()),
            ("skip", skip, busy.into()),
        ]),
        ("review", review(), [
            ("sent", sent, unclaimed.into()), ("failed", failed, unclaimed.into()), ("error", error, unclaimed.into()),
            ("not made", not_made, unclaimed.into()), ("expired", expired, unclaimed.into()), ("cancel", Event::Cancel, "cancelled, failed 0, done 30".into()),
            ("replace", replace_done, "review, failed 0, done 30".into()),
            ("skip", skip, is("active")),
        ]),
        ("claimed in review", claimed(&review(), claim(Trigger::Manual, 22)), [
            ("sent", sent, "completed, failed 0, done 30".into()), ("failed", failed, "review, failed 0, done 30".into()),
            ("error", error, "review, failed 0, done 30".into()), ("not made", not_made, "review, failed 0, done 30".into()), ("expired", expired, "review, failed 0, done 30".into()),
            ("cancel", Event::Cancel, "cancelled in flight until 22, failed 0, done 30".into()), ("replace", replace, busy.into()),
            ("skip", skip, busy.into()),
        ]),
        ("claimed manually after four", claimed(&waiting(4), claim(Trigger::Manual, 22)), [
            ("sent", sent, "waiting for 30, failed 0, done 20".into()), ("failed", failed, "waiting for 20, failed 4, done 10".into()),
            ("error", error, "waiting for 20, failed 4, done 10".into()), ("not made", not_made, "waiting for 20, failed 4, done 10".into()), ("expired", expired, "waiting for 20, failed 4, done 10".into()),
            ("cancel", Event::Cancel, "cancelled in flight until 22, failed 4, done 10".into()), ("replace", replace, busy.into()),
            ("skip", skip, busy.into()),
        ]),
        ("completed", completed(), [
            ("sent", sent, unclaimed.into()), ("failed", failed, unclaimed.into()), ("error", error, unclaimed.into()),
            ("not made", not_made, unclaimed.into()), ("expired", expired, unclaimed.into()), ("cancel", Event::Cancel, is("completed")),
            ("replace", replace_done, "completed, failed 0, done 30".into()),
            ("skip", skip, is("completed")),
        ]),
        ("cancelled", cancelled(), [
            ("sent", sent, unclaimed.into()), ("failed", failed, unclaimed.into()), ("error", error, unclaimed.into()),
            ("not made", not_made, unclaimed.into()), ("expired", expired, unclaimed.into()), ("cancel", Event::Cancel, is("cancelled")),
            ("replace", replace, "waiting for 20, failed 2, done 10".into()),
            ("skip", skip, is("cancelled")),
        ]),
        ("cancelled in flight", cancelled_in_flight(), [
            ("sent", sent, "cancelled, failed 1, done 20".into()), ("failed", failed, "cancelled, failed 1, done 10".into()),
            ("error", error, "cancelled, failed 1, done 10".into()), ("not made", not_made, "cancelled, failed 0, done 10".into()), ("expired", expired, "cancelled, failed 1, done 10".into()),
            ("cancel", Event::Cancel, is("cancelled")), ("replace", replace, busy.into()),
            ("skip", skip, busy.into()),
        ]),
    ];
    for (from, state, events) in table {
        for (name, event, expect) in events {
            // At minute 23 the lease is over; nothing else depends on the minute.
            assert_eq!(told(&state, event, 23), expect, "{from} × {name}");
        }
        if state.claim.is_some() {
            assert_eq!(told(&state, expired, 22), busy, "{from} × expired within the lease");
        }
    }
}

#[test]
fn claims() {
    use Claimable::*;
    let (processor, hand) = (Trigger::Due, Trigger::Manual);
    for (what, state, now, by_processor, manual) in [
        ("not yet", waiting(0), 19, NotYet, Yes),
        ("due", waiting(0), 20, Yes, Yes),
        ("in flight", in_flight(waiting(0)), 22, InFlight, InFlight),
        ("lost", in_flight(waiting(0)), 23, Expired, Expired),
        ("review", review(), 40, Finished, Yes),
        ("completed", completed(), 40, Finished, Finished),
        ("cancelled", cancelled(), 40, Finished, Finished),
        ("cancelled in flight", cancelled_in_flight(), 22, InFlight, InFlight),
        ("cancelled and lost", cancelled_in_flight(), 23, Expired, Expired),
    ] {
        assert_eq!(state.claimable(processor, at(now)), by_processor, "{what}, by the processor");
        assert_eq!(state.claimable(hand, at(now)), manual, "{what}, manually");
    }
    let state = in_flight(waiting(1));
    assert_eq!((state.attempts, state.failed_attempts(), state.sequence), (2, 1, 3));
}

/// However often it is sent manually before its time: then it has all its attempts.
#[test]
fn attempts_by_hand_use_up_none_of_a_send_times() {
    let all = times();
    let failed = Event::Attempted { outcome: Outcome::SendFailed, times: &all };
    let manual =
        |state: State| decide(&claimed(&state, claim(Trigger::Manual, 5)), failed, at(4)).unwrap().to;
    let state = (0..2 * ATTEMPTS_MAX).fold(State::accepted(&all), |state, _| manual(state));
    assert_eq!((state.next, state.attempts, state.sequence), (Some(at(10)), 0, 2 * ATTEMPTS_MAX));
}

#[test]
fn what_is_sent_is_told_and_the_last_one_completes() {
    let all = times();
    let event = Event::Attempted { outcome: Outcome::Sent, times: &all };
    let step = decide(&in_flight(waiting(3)), event, at(21)).unwrap();
    assert_eq!((step.to.last_sent_at, step.to.completed_at), (Some(at(21)), None));
    let last = in_flight(State { next: Some(at(30)), ..waiting(0) });
    let step = decide(&last, event, at(31)).unwrap();
    assert_eq!((step.to.last_sent_at, step.to.completed_at), (Some(at(31)), Some(at(31))));
}

/// What is outstanding of the new list comes next, earlier or later than what was done with.
#[test]
fn a_new_list_goes_on_with_what_is_outstanding() {
    let check = |state: &State, outstanding: &[i64], expect: &str| {
        let list: Vec<_> = outstanding.iter().copied().map(at).collect();
        assert_eq!(told(state, Event::Replace { times: &list }, 25), expect, "{outstanding:?}");
    };
    check(&waiting(2), &[15, 40], "waiting for 15, failed 0, done 10");
    check(&waiting(2), &[5, 20], "waiting for 5, failed 0, done 10");
    check(&waiting(2), &[20, 40], "waiting for 20, failed 2, done 10");
    check(&waiting(2), &[], "completed, failed 0, done 10");
    check(&completed(), &[40], "waiting for 40, failed 0, done 30");
    check(&review(), &[], "review, failed 0, done 30");
    check(&review(), &[5], "waiting for 5, failed 0, done 30");
    check(&cancelled(), &[20, 30], "waiting for 20, failed 2, done 10");
    check(&State::accepted(&times()), &[7], "waiting for 7, failed 0, done 0");
}

#[test]
fn skipped_send_times_are_numbered_and_the_last_one_completes() {
    let all = times();
    let skip = |last: i64, count| Event::Skip { last: at(last), count, times: &all };
    let step = decide(&waiting(0), skip(20, 1), at(25)).unwrap();
    assert_eq!((describe(&step.to), step.to.sequence), ("waiting for 30, failed 0, done 20".to_owned(), 2));
    let step = decide(&waiting(0), skip(30, 2), at(35)).unwrap();
    assert_eq!((describe(&step.to), step.to.sequence), ("completed, failed 0, done 30".to_owned(), 3));
    assert_eq!((step.to.completed_at, step.to.last_sent_at), (Some(at(35)), Some(at(10))));
    assert_eq!(decide(&in_flight(waiting(0)), skip(20, 1), at(25)), Err(Refusal::InFlight));
    for state in [review(), completed(), cancelled()] {
        assert_eq!(decide(&state, skip(20, 1), at(25)), Err(Refusal::Status(state.status)));
    }
}

/// One claimed manually before its time is found by its lease if its sender dies, not only at its send time.
#[test]
fn an_attempt_by_hand_is_found_again_by_its_lease() {
    let manual = |state: &State| index(&claimed(state, claim(Trigger::Manual, 5)));
    assert_eq!(manual(&waiting(0)), Index::Due(at(5)));
    assert_eq!(manual(&review()), Index::Due(at(5)));
    let late = claimed(&waiting(0), claim(Trigger::Manual, 25));
    assert_eq!(index(&late), Index::Due(at(20)));
    assert_eq!(index(&in_flight(waiting(0))), Index::Due(at(20)));
}

#[test]
fn names_are_read_back() {
    for status in Status::ALL {
        assert_eq!(status.as_str().parse(), Ok(status));
    }
    for outcome in Outcome::ALL {
        assert_eq!(outcome.as_str().parse(), Ok(outcome));
    }
    assert!("ACTIVE".parse::<Status>().is_err() && "sent".parse::<Outcome>().is_err());
}
