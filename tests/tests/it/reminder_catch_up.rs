//! Send times that have passed, by `catchUp`, and lists that are written anew (SPEC §6).

use chrono::TimeDelta;
use reminder_sender::CLAIM_LEASE;
use rules::names::Tenant;
use rules::recurring::CatchUp;
use rules::reminder::{Event, Outcome, Status};
use shared::clock::Clock;
use shared::engine::Claimed;
use shared::items::reminder::{Entry, NewReminder, Put, Reminder};
use shared::tenancy::{Actor, ServerState};
use tests::steps::{Steps, Stop};
use tests::world::beginning;
use tests::{Reply, World};

/// More service calls than a run or a write makes for one reminder.
const CALLS_MAX: usize = 60;

/// A reminder `r` with send times in minutes after now.
fn reminder(world: &World, tenant: &Tenant, minutes: &[i64], catch_up: CatchUp) -> NewReminder {
    let mut new = world.reminder(tenant, "r", "1", minutes);
    new.definition.catch_up = catch_up;
    new.body_hash = format!("{} {catch_up} {}", new.body_hash, world.clock.now()).into();
    new
}

async fn put(world: &World, tenant: &Tenant, minutes: &[i64], catch_up: CatchUp) -> Reminder {
    match world.ctx.reminders.put(reminder(world, tenant, minutes, catch_up)).await.unwrap() {
        Put::Created(reminder) | Put::Replaced(reminder) => *reminder,
        other => panic!("{other:?}"),
    }
}

/// Its history as `outcome@minutes of the send time after the beginning`.
async fn history(world: &World, tenant: &Tenant) -> Vec<String> {
    let entries = world.entries(tenant, "r").await;
    let minute = |entry: &Entry| (entry.send_time - beginning()).num_minutes();
    entries.iter().map(|entry| format!("{}@{}", entry.outcome.as_str(), minute(entry))).collect()
}

async fn pause(world: &World, tenant: &Tenant, state: ServerState) {
    world.ctx.tenancy.set_server_state(&Actor::Admin, tenant, state, None).await.unwrap();
    // What was cached of the solution is used up.
    world.clock.advance(TimeDelta::seconds(5));
}

#[tokio::test]
async fn send_times_that_had_passed_when_it_was_created() {
    for (catch_up, at_once, in_all, messages) in [
        (CatchUp::All, vec![], vec!["Sent@-30", "Sent@-20", "Sent@-10", "Sent@10"], 4),
        (
            CatchUp::Latest,
            vec!["Skipped@-30", "Skipped@-20"],
            vec!["Skipped@-30", "Skipped@-20", "Sent@-10", "Sent@10"],
            2,
        ),
        (
            CatchUp::None,
            vec!["Skipped@-30", "Skipped@-20", "Skipped@-10"],
            vec!["Skipped@-30", "Skipped@-20", "Skipped@-10", "Sent@10"],
            1,
        ),
    ] {
        let world = World::new().await;
        let tenant = world.reminders("acme").await;
        let made = put(&world, &tenant, &[-30, -20, -10, 10], catch_up).await;
        assert_eq!(history(&world, &tenant).await, at_once, "{catch_up}");
        let next = [-30, -20, -10, 10][at_once.len()];
        assert_eq!(made.record.state.next_send_time(), Some(beginning() + TimeDelta::minutes(next)));
        world.live(beginning() + TimeDelta::hours(1)).await;
        assert_eq!(history(&world, &tenant).await, in_all, "{catch_up}");
        let state = world.reminder_of(&tenant, "r").await.record.state;
        assert_eq!((state.status, state.sequence), (Status::Completed, 4));
        assert_eq!(
            (world.messages().len(), world.webhooks().len()),
            (messages, messages),
            "skips are not told"
        );
    }
}

#[tokio::test]
async fn one_of_which_nothing_is_left_is_completed_at_once() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    // More than one transaction holds.
    let minutes: Vec<i64> = (-101..=-2).collect();
    let made = put(&world, &tenant, &minutes, CatchUp::None).await.record.state;
    assert_eq!(
        (made.status, made.completed_at, made.last_sent_at),
        (Status::Completed, Some(beginning()), None)
    );
    assert_eq!(
        history(&world, &tenant).await,
        minutes.iter().map(|m| format!("Skipped@{m}")).collect::<Vec<_>>()
    );
    assert_eq!(world.counts().await, (0, 0, 0));
    assert_eq!(world.reminder_stats(&tenant).await.completed, 1);
    let entry = &world.entries(&tenant, "r").await[0];
    assert_eq!(entry.detail, "the send time had passed when the reminder was written, and catchUp is none");
    assert_eq!((entry.attempt, entry.http_status, entry.at), (0, None, beginning()));
}

/// A minute's lateness is none, as with recurring rules.
#[tokio::test]
async fn what_is_due_now_or_was_a_moment_ago_had_not_passed() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    for (number, seconds) in [60, 30, 0].into_iter().enumerate() {
        let mut new = world.reminder(&tenant, &format!("r{number}"), &number.to_string(), &[0]);
        new.definition.send_times = vec![beginning() - TimeDelta::seconds(seconds)];
        new.definition.catch_up = CatchUp::None;
        world.remind(new).await;
    }
    assert_eq!(world.counts().await, (3, 0, 0));
    let mut late = world.reminder(&tenant, "late", "late", &[0]);
    late.definition.send_times = vec![world.clock.now() - TimeDelta::milliseconds(60_001)];
    late.definition.catch_up = CatchUp::None;
    world.remind(late).await;
    assert_eq!(world.outcomes(&tenant, "late").await, ["Skipped"]);
}

#[tokio::test]
async fn send_times_that_passed_in_a_pause() {
    for (catch_up, expect) in [
        (CatchUp::All, ["Sent@5", "Sent@10", "Sent@20", "Sent@90"]),
        (CatchUp::Latest, ["Sent@5", "Skipped@10", "Sent@20", "Sent@90"]),
        (CatchUp::None, ["Sent@5", "Skipped@10", "Skipped@20", "Sent@90"]),
    ] {
        let world = World::new().await;
        let tenant = world.reminders("acme").await;
        put(&world, &tenant, &[5, 10, 20, 90], catch_up).await;
        world.live(beginning() + TimeDelta::minutes(7)).await;
        pause(&world, &tenant, ServerState::Paused).await;
        world.live(beginning() + TimeDelta::minutes(60)).await;
        assert_eq!(history(&world, &tenant).await, ["Sent@5"], "nothing happens while it is paused");
        pause(&world, &tenant, ServerState::Running).await;
        let messages = world.messages().len();
        world.process_pending().await.unwrap();
        // What is left is sent in the same run.
        assert_eq!(world.messages().len() - messages, usize::from(catch_up != CatchUp::None), "{catch_up}");
        world.live(beginning() + TimeDelta::hours(2)).await;
        assert_eq!(history(&world, &tenant).await, expect, "{catch_up}");
        assert_eq!(world.reminder_of(&tenant, "r").await.record.state.status, Status::Completed);
    }
    let detail = "the send time had passed while the solution was paused, and catchUp is none";
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    put(&world, &tenant, &[5], CatchUp::None).await;
    pause(&world, &tenant, ServerState::Paused).await;
    world.clock.advance(TimeDelta::hours(1));
    pause(&world, &tenant, ServerState::Running).await;
    assert_eq!(world.counts().await, (0, 0, 1));
    assert_eq!(world.entries(&tenant, "r").await[0].detail, detail);
    let state = world.reminder_of(&tenant, "r").await.record.state;
    assert_eq!((state.status, state.completed_at), (Status::Completed, Some(world.clock.now())));
}

/// Late because nothing ran, because attempts failed, or because the recipient had other messages: sent.
#[tokio::test]
async fn what_is_late_for_another_reason_was_not_missed() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    world.configure(&tenant, |settings| settings.webhook_url = None).await;
    put(&world, &tenant, &[5, 7], CatchUp::None).await;
    world.clock.advance(TimeDelta::hours(3));
    world.receiver.reply((0..4).map(|_| Reply::status(500)));
    for _ in 0..4 {
        assert_eq!(world.counts().await, (0, 1, 0));
        world.clock.advance(TimeDelta::minutes(1));
    }
    // Attempts that have begun go on, also where its owner mends it meanwhile, or it is paused.
    let mended = [5, 7].map(|minute| minute - (world.clock.now() - beginning()).num_minutes());
    put(&world, &tenant, &mended, CatchUp::Latest).await;
    pause(&world, &tenant, ServerState::Paused).await;
    world.clock.advance(TimeDelta::hours(1));
    pause(&world, &tenant, ServerState::Running).await;
    world.live(world.clock.now() + TimeDelta::hours(1)).await;
    let expect = ["SendFailed@5", "SendFailed@5", "SendFailed@5", "SendFailed@5", "Sent@5", "Sent@7"];
    assert_eq!(history(&world, &tenant).await, expect);
}

/// What was sent or has failed for good is never sent again, and whatever else is in the list is.
#[tokio::test]
async fn a_list_written_anew_goes_on_with_all_of_it_that_was_not_sent() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    world.configure(&tenant, |settings| settings.webhook_url = None).await;
    put(&world, &tenant, &[0, 60], CatchUp::All).await;
    assert_eq!(world.counts().await, (1, 0, 0));
    let again = async |minutes: &[i64]| {
        let since = (world.clock.now() - beginning()).num_minutes();
        let minutes: Vec<i64> = minutes.iter().map(|minute| minute - since).collect();
        put(&world, &tenant, &minutes, CatchUp::All).await.record.state
    };
    let at = |minutes| Some(beginning() + TimeDelta::minutes(minutes));

    // Only an earlier one, which was never sent: it is due.
    let state = again(&[-30]).await;
    assert_eq!((state.status, state.next_send_time()), (Status::Active, at(-30)));
    // An earlier one and one between, beside what was sent: each of the two, and not the third.
    again(&[-30, -20, 0, 60]).await;
    assert_eq!(world.counts().await, (1, 0, 0));
    assert_eq!(world.counts().await, (1, 0, 0));
    let state = world.reminder_of(&tenant, "r").await.record.state;
    assert_eq!(state.next_send_time(), at(60), "0 was sent before");

    // One sent ahead of its time, by hand, and left out of the list meanwhile.
    world.send_manually(&tenant, "r").await;
    let state = again(&[90]).await;
    assert_eq!(state.next_send_time(), at(90));
    let state = again(&[0, 60, 90]).await;
    assert_eq!(state.next_send_time(), at(90), "what left the list and comes back is not sent again");
    let state = again(&[-30, -20, 0, 60]).await;
    assert_eq!((state.status, state.next), (Status::Completed, None));

    // Its attempts fail for good; the same time once more is not tried, an earlier one is.
    again(&[0, 60, 120]).await;
    world.clock.advance(TimeDelta::minutes(121));
    world.receiver.reply((0..5).map(|_| Reply::status(500)));
    for _ in 0..5 {
        assert_eq!(world.counts().await, (0, 1, 0));
    }
    assert!(again(&[120]).await.needs_review());
    assert_eq!(again(&[100, 120]).await.next_send_time(), at(100));
    assert_eq!(world.counts().await, (1, 0, 0));
    assert_eq!(world.reminder_of(&tenant, "r").await.record.state.status, Status::Completed);

    let mut sent = history(&world, &tenant).await;
    sent.retain(|entry| entry.starts_with("Sent"));
    assert_eq!(sent, ["Sent@0", "Sent@-30", "Sent@-20", "Sent@60", "Sent@100"]);
    let messages: std::collections::BTreeSet<String> =
        world.dialog_calls().iter().map(|call| call.idempotency_key().to_owned()).collect();
    assert_eq!(messages.len(), 6, "one for each send time");
}

/// What is left out is so once, and is sent if its owner changes his mind.
#[tokio::test]
async fn what_was_left_out_may_be_written_anew() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    put(&world, &tenant, &[-30, -20], CatchUp::None).await;
    let skipped = ["Skipped@-30", "Skipped@-20"];
    let mut mended = reminder(&world, &tenant, &[], CatchUp::None);
    mended.definition.send_times = [-30, -20, 30].map(|at| beginning() + TimeDelta::minutes(at)).to_vec();
    let Put::Replaced(replaced) = world.ctx.reminders.put(mended.clone()).await.unwrap() else { panic!() };
    assert_eq!(replaced.record.state.next_send_time(), Some(beginning() + TimeDelta::minutes(30)));
    assert_eq!(history(&world, &tenant).await, skipped, "nothing new of it");
    mended.definition.catch_up = CatchUp::Latest;
    mended.body_hash = "latest".into();
    world.ctx.reminders.put(mended).await.unwrap();
    world.live(beginning() + TimeDelta::hours(1)).await;
    assert_eq!(history(&world, &tenant).await, [&skipped[..], &["Sent@-20", "Sent@30"]].concat());
}

/// Cancelled in the middle of its fifth attempt, which fails: it was its last.
#[tokio::test]
async fn a_send_time_has_five_attempts_over_a_cancel() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    put(&world, &tenant, &[0, 30], CatchUp::All).await;
    world.receiver.reply((0..4).map(|_| Reply::status(500)));
    for _ in 0..4 {
        assert_eq!(world.counts().await, (0, 1, 0));
    }
    let id = "r".parse().unwrap();
    let (reminders, fence) = (&world.ctx.reminders, world.reminder_of(&tenant, "r").await.record.fence);
    let Claimed::Ours(record) = reminders.claim(&tenant, &id, fence, CLAIM_LEASE).await.unwrap() else {
        panic!("not ours")
    };
    reminders.cancel(&tenant, &id).await.unwrap();
    let entry = Entry {
        at: world.clock.now(),
        outcome: Outcome::SendFailed,
        detail: "failed".to_owned(),
        http_status: None,
        duration_ms: 0,
        send_time: beginning(),
        attempt: record.state.attempts,
    };
    reminders.record_entry(&record, entry).await.unwrap();
    let times = [0, 30].map(|minute| beginning() + TimeDelta::minutes(minute));
    let failed = Event::Attempted { outcome: Outcome::SendFailed, times: &times };
    reminders.settle(&record, failed).await.unwrap();
    let again = put(&world, &tenant, &[0, 30], CatchUp::All).await.record.state;
    assert_eq!((again.status, again.next_send_time()), (Status::Active, Some(times[1])));
    world.live(beginning() + TimeDelta::hours(1)).await;
    assert_eq!(world.outcomes(&tenant, "r").await, [&["SendFailed"; 5][..], &["Sent"]].concat());
}

/// Killed before and after each of its service calls, writing or sending: each send time is skipped once, recorded
/// once, and what is left is sent once.
#[tokio::test]
async fn killed_at_any_step_it_skips_once() {
    for writes in [true, false] {
        let mut reached = 0;
        for stop in Stop::all(CALLS_MAX) {
            let world = World::new().await;
            let tenant = world.reminders("acme").await;
            let minutes = if writes { [-30, -20, -10, 10] } else { [5, 6, 7, 90] };
            let new = reminder(&world, &tenant, &minutes, CatchUp::Latest);
            let (steps, clients) = Steps::of(world.embedded.clients(), stop);
            let killed = if writes {
                let process = world.process_with(clients);
                let killed = tokio::select! {
                    biased;
                    () = steps.stopped() => true,
                    put = process.reminders.put(new.clone()) => put.is_err(),
                };
                // Its caller asks again: the same, or it is not there yet.
                world.ctx.reminders.put(new).await.unwrap();
                killed
            } else {
                world.remind(new).await;
                pause(&world, &tenant, ServerState::Paused).await;
                world.clock.advance(TimeDelta::minutes(30));
                pause(&world, &tenant, ServerState::Running).await;
                let sender = world.sender_on(world.process_with(clients));
                tokio::select! {
                    biased;
                    () = steps.stopped() => true,
                    _ = sender.run(beginning() + TimeDelta::hours(1)) => false,
                }
            };
            reached += usize::from(killed);
            let called_unrecorded =
                world.dialog_calls().len() == 1 && !world.outcomes(&tenant, "r").await.contains(&"Sent");
            world.live(beginning() + TimeDelta::hours(2)).await;
            let what = format!("writes {writes}, {stop:?}");
            let entries = world.entries(&tenant, "r").await;
            let of = |minute: i64| -> Vec<Outcome> {
                let time = beginning() + TimeDelta::minutes(minute);
                entries.iter().filter(|entry| entry.send_time == time).map(|entry| entry.outcome).collect()
            };
            assert_eq!(of(minutes[0]), [Outcome::Skipped], "{what}");
            assert_eq!(of(minutes[1]), [Outcome::Skipped], "{what}");
            assert_eq!(of(minutes[2]).last(), Some(&Outcome::Sent), "{what}");
            assert_eq!(of(minutes[3]), [Outcome::Sent], "{what}");
            assert_eq!(world.messages().len(), 2 + usize::from(called_unrecorded), "{what}");
            let state = world.reminder_of(&tenant, "r").await.record.state;
            assert_eq!((state.status, state.claim), (Status::Completed, None), "{what}");
            let told = entries.iter().filter(|entry| entry.outcome != Outcome::Skipped).count();
            assert_eq!(world.webhooks().len(), told, "{what}");
            if !killed && !stop.after {
                break;
            }
        }
        assert!(reached >= if writes { 4 } else { 16 }, "{writes} {reached}");
    }
}
