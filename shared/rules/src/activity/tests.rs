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

/// The rows of the table: free, in hand, abandoned with and without attempts left, and each end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    Ready,
    InHand,
    InHandLast,
    Abandoned,
    AbandonedLast,
    Dispatched,
    Failed,
    Canceled,
    Completed,
}

const ROWS: [Row; 9] = [
    Row::Ready,
    Row::InHand,
    Row::InHandLast,
    Row::Abandoned,
    Row::AbandonedLast,
    Row::Dispatched,
    Row::Failed,
    Row::Canceled,
    Row::Completed,
];

fn state(row: Row) -> State {
    let free = accepted(at(-100), 3, at(-200));
    let claimed = |attempts, lease| State {
        attempts,
        claim: Some(Claim { token: "t".into(), lease_until: at(lease) }),
        ..free.clone()
    };
    let ended = |status| State { status, attempts: 3, executed_at: Some(at(-50)), ..free.clone() };
    match row {
        Row::Ready => free,
        Row::InHand => claimed(1, 0),
        Row::InHandLast => claimed(3, 60),
        Row::Abandoned => claimed(2, -1),
        Row::AbandonedLast => claimed(3, -60),
        Row::Dispatched => ended(Status::Dispatched),
        Row::Failed => ended(Status::Failed),
        Row::Canceled => ended(Status::Canceled),
        Row::Completed => ended(Status::Completed),
    }
}

fn events() -> [Event<'static>; 7] {
    [
        Event::Succeeded,
        Event::Failed { retry_after: None, rules: none() },
        Event::LeaseExpired { rules: none() },
        Event::Cancel,
        Event::Reschedule(at(500)),
        Event::DispatchNow,
        Event::Retry,
    ]
}

/// What each pair gives: the status and due instant after it, or the refusal.
fn expected(row: Row, event: Event<'_>) -> Result<(Status, i64), Refusal> {
    use Row::*;
    match (row, event) {
        (Ready, Event::Succeeded | Event::Failed { .. } | Event::LeaseExpired { .. }) => {
            Err(Refusal::NotClaimed)
        }
        (InHand | InHandLast | Abandoned | AbandonedLast, Event::Succeeded) => Ok((Status::Dispatched, -100)),
        (InHand | Abandoned, Event::Failed { .. }) => Ok((Status::Ready, 30)),
        (InHandLast | AbandonedLast, Event::Failed { .. }) => Ok((Status::Failed, -100)),
        (Abandoned, Event::LeaseExpired { .. }) => Ok((Status::Ready, 30)),
        (AbandonedLast, Event::LeaseExpired { .. }) => Ok((Status::Failed, -100)),
        (InHand | InHandLast, Event::LeaseExpired { .. } | Event::Cancel) => Err(Refusal::InHand),
        (InHand | InHandLast | Abandoned | AbandonedLast, Event::Reschedule(_) | Event::DispatchNow) => {
            Err(Refusal::InHand)
        }
        (Ready | Abandoned | AbandonedLast, Event::Cancel) => Ok((Status::Canceled, -100)),
        (Ready, Event::Reschedule(_)) => Ok((Status::Ready, 500)),
        (Ready, Event::DispatchNow) => Ok((Status::Ready, 0)),
        (Ready | InHand | InHandLast | Abandoned | AbandonedLast, Event::Retry) => {
            Err(Refusal::Status(Status::Ready))
        }
        (Failed, Event::Retry) => Ok((Status::Ready, 0)),
        (Dispatched, _) => Err(Refusal::Status(Status::Dispatched)),
        (Failed, _) => Err(Refusal::Status(Status::Failed)),
        (Canceled, _) => Err(Refusal::Status(Status::Canceled)),
        (Completed, _) => Err(Refusal::Status(Status::Completed)),
    }
}

#[test]
fn every_pair_of_state_and_event() {
    for row in ROWS {
        for event in events() {
            let step = decide(&state(row), event, now());
            let seen = step.clone().map(|step| (step.to.status, (step.to.due - now()).num_seconds()));
            assert_eq!(seen, expected(row, event), "{row:?} {event:?}");
            let Ok(step) = step else { continue };
            assert_eq!(step.to.claim, None, "a step ends the claim: {row:?} {event:?}");
            // What stands in the due index is enqueued by whoever put it there, and nothing else is.
            assert_eq!(step.enqueue, matches!(index(&step.to), Index::Due(_)), "{row:?} {event:?}");
            // A crash counts as its attempt: none stays READY with no attempts left.
            if step.to.status == Status::Ready {
                assert!(step.to.attempts < step.to.max_attempts, "{row:?} {event:?}");
            }
            assert_eq!(
                step.to.executed_at.is_some(),
                matches!(step.to.status, Status::Dispatched | Status::Failed),
                "{row:?} {event:?}"
            );
        }
    }
}

#[test]
fn what_a_claim_finds() {
    let lead = TimeDelta::seconds(1);
    for (row, expect) in [
        (Row::Ready, Claimable::Yes),
        (Row::InHand, Claimable::InHand),
        (Row::InHandLast, Claimable::InHand),
        (Row::Abandoned, Claimable::Expired),
        (Row::AbandonedLast, Claimable::Expired),
        (Row::Dispatched, Claimable::Finished),
        (Row::Failed, Claimable::Finished),
        (Row::Canceled, Claimable::Finished),
        (Row::Completed, Claimable::Finished),
    ] {
        assert_eq!(claimable(&state(row), lead, now()), expect, "{row:?}");
    }
    for (due, expect) in [(at(1), Claimable::Yes), (at(2), Claimable::NotYet)] {
        let state = State { due, ..state(Row::Ready) };
        assert_eq!(claimable(&state, lead, now()), expect);
    }
}

#[test]
fn a_retry_by_hand_starts_a_new_run_from_attempt_zero() {
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
