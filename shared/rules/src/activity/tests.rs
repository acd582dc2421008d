use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_000_000_000 + seconds, 0).unwrap()
}

fn now() -> DateTime<Utc> {
    at(0)
}

fn none() -> &'static RescheduleRules {
    static NONE: std::sync::LazyLock<RescheduleRules> = std::sync::LazyLock::new(RescheduleRules::default);
    &NONE
}

use crate::verdict::ResultStatus;
use std::sync::LazyLock;

/// The rows of the table: free, in flight, expired with and without attempts left, both with a result
/// noted, and each end, with and without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    Ready,
    InFlight,
    InFlightLast,
    Abandoned,
    AbandonedLast,
    Judged,
    JudgedAbandoned,
    Dispatched,
    Failed,
    FailedByResult,
    Canceled,
    CanceledByResult,
    Completed,
}

const ROWS: [Row; 13] = [
    Row::Ready,
    Row::InFlight,
    Row::InFlightLast,
    Row::Abandoned,
    Row::AbandonedLast,
    Row::Judged,
    Row::JudgedAbandoned,
    Row::Dispatched,
    Row::Failed,
    Row::FailedByResult,
    Row::Canceled,
    Row::CanceledByResult,
    Row::Completed,
];

fn verdict(status: ResultStatus) -> Verdict {
    Verdict::of(status, "r1").unwrap()
}

fn state(row: Row) -> State {
    let free = accepted(at(-100), 3, at(-200));
    let claimed =
        |attempts, lease| State { attempts, claim: Some(Claim::due("t", at(lease))), ..free.clone() };
    let judged = |state| State { verdict: Some(verdict(ResultStatus::NotExecuted)), ..state };
    let ended = |status| State { status, attempts: 3, executed_at: Some(at(-50)), ..free.clone() };
    let by = |status, reported| State { verdict: Some(verdict(reported)), ..ended(status) };
    match row {
        Row::Ready => free,
        Row::InFlight => claimed(1, 0),
        Row::InFlightLast => claimed(3, 60),
        Row::Abandoned => claimed(2, -1),
        Row::AbandonedLast => claimed(3, -60),
        Row::Dispatched => ended(Status::Dispatched),
        Row::Judged => judged(claimed(1, 60)),
        Row::JudgedAbandoned => judged(claimed(1, -1)),
        Row::Failed => ended(Status::Failed),
        Row::FailedByResult => by(Status::Failed, ResultStatus::NotExecuted),
        Row::Canceled => State { executed_at: None, ..ended(Status::Canceled) },
        Row::CanceledByResult => by(Status::Canceled, ResultStatus::Canceled),
        Row::Completed => by(Status::Completed, ResultStatus::Completed),
    }
}

fn events() -> [Event<'static>; 10] {
    static RESULT: LazyLock<Verdict> = LazyLock::new(|| Verdict::of(ResultStatus::Completed, "r2").unwrap());
    [
        Event::Succeeded,
        Event::Failed { retry_after: None, rules: none() },
        Event::LeaseExpired { rules: none() },
        Event::Released,
        Event::Cancel,
        Event::Reschedule(at(500)),
        Event::DispatchNow,
        Event::Retry,
        Event::Result { verdict: &RESULT, hard_override: false },
        Event::Result { verdict: &RESULT, hard_override: true },
    ]
}

/// What each pair gives: the status and due instant after it, or the refusal.
fn expected(row: Row, event: Event<'_>) -> Result<(Status, i64), Refusal> {
    use Row::*;
    match (row, event) {
        (Ready, Event::Succeeded | Event::Failed { .. } | Event::LeaseExpired { .. } | Event::Released) => {
            Err(Refusal::NotClaimed)
        }
        (InFlight | InFlightLast | Abandoned | AbandonedLast, Event::Released) => Ok((Status::Ready, -100)),
        (Judged | JudgedAbandoned, Event::Released) => Ok((Status::Failed, -100)),
        (InFlight | InFlightLast | Abandoned | AbandonedLast, Event::Succeeded) => {
            Ok((Status::Dispatched, -100))
        }
        (InFlight | Abandoned, Event::Failed { .. }) => Ok((Status::Ready, 30)),
        (InFlightLast | AbandonedLast, Event::Failed { .. }) => Ok((Status::Failed, -100)),
        (Abandoned, Event::LeaseExpired { .. }) => Ok((Status::Ready, 30)),
        (AbandonedLast, Event::LeaseExpired { .. }) => Ok((Status::Failed, -100)),
        (InFlight | InFlightLast | Judged, Event::LeaseExpired { .. } | Event::Cancel) => {
            Err(Refusal::InFlight)
        }
        // The result noted says NOT_EXECUTED: whatever the attempt came to, no other follows.
        (Judged | JudgedAbandoned, Event::Succeeded | Event::Failed { .. }) => Ok((Status::Failed, -100)),
        (JudgedAbandoned, Event::LeaseExpired { .. }) => Ok((Status::Failed, -100)),
        (JudgedAbandoned, Event::Cancel) => Err(Refusal::HasResult),
        (
            InFlight | InFlightLast | Abandoned | AbandonedLast | Judged | JudgedAbandoned,
            Event::Reschedule(_) | Event::DispatchNow,
        ) => Err(Refusal::InFlight),
        (Ready | Abandoned | AbandonedLast, Event::Cancel) => Ok((Status::Canceled, -100)),
        (Ready, Event::Reschedule(_)) => Ok((Status::Ready, 500)),
        (Ready, Event::DispatchNow) => Ok((Status::Ready, 0)),
        (
            Ready | InFlight | InFlightLast | Abandoned | AbandonedLast | Judged | JudgedAbandoned,
            Event::Retry,
        ) => Err(Refusal::Status(Status::Ready)),
        (Failed | FailedByResult, Event::Retry) => Ok((Status::Ready, 0)),
        // A claim is not touched: the result waits beside it.
        (InFlight | InFlightLast | Abandoned | AbandonedLast, Event::Result { .. }) => {
            Ok((Status::Ready, -100))
        }
        (Judged | JudgedAbandoned, Event::Result { hard_override: true, .. }) => Ok((Status::Ready, -100)),
        (Ready | Dispatched | Failed, Event::Result { .. }) => Ok((Status::Completed, -100)),
        (_, Event::Result { hard_override: true, .. }) => Ok((Status::Completed, -100)),
        (Canceled, Event::Result { .. }) => Err(Refusal::Status(Status::Canceled)),
        (_, Event::Result { .. }) => Err(Refusal::HasResult),
        (Dispatched, _) => Err(Refusal::Status(Status::Dispatched)),
        (Failed | FailedByResult, _) => Err(Refusal::Status(Status::Failed)),
        (Canceled | CanceledByResult, _) => Err(Refusal::Status(Status::Canceled)),
        (Completed, _) => Err(Refusal::Status(Status::Completed)),
    }
}

#[test]
fn every_pair_of_state_and_event() {
    for row in ROWS {
        for event in events() {
            let from = state(row);
            let step = decide(&from, event, now());
            let seen = step.clone().map(|step| (step.to.status, (step.to.due - now()).num_seconds()));
            assert_eq!(seen, expected(row, event), "{row:?} {event:?}");
            let Ok(step) = step else { continue };
            let noted = matches!(event, Event::Result { .. }) && from.claim.is_some();
            let claim = from.claim.filter(|_| noted);
            assert_eq!(step.to.claim, claim, "a step ends the claim, but for a note: {row:?} {event:?}");
            // What stands in the due index is enqueued by whoever put it there, and nothing else is.
            // What is released waits for its solution to be resumed.
            let due = matches!(index(&step.to), Index::Due(_)) && !noted && event != Event::Released;
            assert_eq!(step.enqueue, due, "{row:?} {event:?}");
            // A crash counts as its attempt: none stays READY with no attempts left.
            if step.to.status == Status::Ready && !noted {
                assert!(step.to.attempts < step.to.max_attempts, "{row:?} {event:?}");
                assert_eq!(step.to.verdict, None, "what goes on has no result: {row:?} {event:?}");
            }
            assert_eq!(
                step.to.executed_at.is_some(),
                matches!(step.to.status, Status::Dispatched | Status::Failed | Status::Completed),
                "{row:?} {event:?}"
            );
        }
    }
}

#[test]
fn what_was_executed_stays_so_when_its_result_comes() {
    let canceled = verdict(ResultStatus::Canceled);
    let event = Event::Result { verdict: &canceled, hard_override: false };
    for (row, expect) in [(Row::Ready, None), (Row::Dispatched, Some(at(-50))), (Row::Failed, Some(at(-50)))]
    {
        let step = decide(&state(row), event, now()).unwrap();
        assert_eq!((step.to.status, step.to.executed_at), (Status::Canceled, expect), "{row:?}");
    }
    let noted = decide(&state(Row::InFlight), event, now()).unwrap().to;
    let ended = decide(&noted, Event::Failed { retry_after: None, rules: none() }, now()).unwrap().to;
    assert_eq!((ended.status, ended.executed_at), (Status::Canceled, Some(now())));
}

/// What was given back uncalled was no attempt, also where a result ends it in the same write.
#[test]
fn what_is_given_back_was_no_attempt() {
    for row in [Row::InFlight, Row::Judged] {
        let step = decide(&state(row), Event::Released, now()).unwrap();
        assert_eq!(step.to.attempts, state(row).attempts - 1, "{row:?}");
    }
    let canceled = verdict(ResultStatus::Canceled);
    let event = Event::Result { verdict: &canceled, hard_override: false };
    let noted = decide(&state(Row::InFlight), event, now()).unwrap().to;
    let ended = decide(&noted, Event::Released, now()).unwrap().to;
    assert_eq!((ended.status, ended.executed_at), (Status::Canceled, None));
}

#[test]
fn what_a_claim_finds() {
    let lead = TimeDelta::seconds(1);
    for (row, expect) in [
        (Row::Ready, Claimable::Yes),
        (Row::InFlight, Claimable::InFlight),
        (Row::InFlightLast, Claimable::InFlight),
        (Row::Abandoned, Claimable::Expired),
        (Row::AbandonedLast, Claimable::Expired),
        (Row::Judged, Claimable::InFlight),
        (Row::JudgedAbandoned, Claimable::Expired),
        (Row::Dispatched, Claimable::Finished),
        (Row::Failed, Claimable::Finished),
        (Row::Canceled, Claimable::Finished),
        (Row::Completed, Claimable::Finished),
    ] {
        assert_eq!(state(row).claimable(lead, now()), expect, "{row:?}");
    }
    for (due, expect) in [(at(1), Claimable::Yes), (at(2), Claimable::NotYet)] {
        let state = State { due, ..state(Row::Ready) };
        assert_eq!(state.claimable(lead, now()), expect);
    }
}

#[test]
fn a_manual_retry_starts_a_new_run_from_attempt_zero() {
    let step = decide(&state(Row::Failed), Event::Retry, now()).unwrap();
    assert_eq!((step.to.run, step.to.attempts, step.to.max_attempts), (1, 0, 3));
}

#[test]
fn a_past_date_is_due_now_and_kept_as_given() {
    let fresh = accepted(at(-3_600), 0, now());
    assert_eq!((fresh.date, fresh.due, fresh.max_attempts), (at(-3_600), now(), 1));
    let step = decide(&fresh, Event::Reschedule(at(-5)), now()).unwrap();
    assert_eq!((step.to.date, step.to.due), (at(-5), now()));
}
