//! Reminders: what is sent when, to whom, and what is told of it (SPEC §6).

use chrono::TimeDelta;
use reminder_sender::{Made, Sent};
use rules::reminder::{Outcome, Status};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::items::reminder::{Cancelled, Put};
use shared::tenancy::{Actor, ServerState};
use standardwebhooks::Webhook;
use tests::reminders::NOTIFICATION_KEY;
use tests::world::beginning;
use tests::{Reply, World};

#[tokio::test]
async fn a_send_is_the_call_that_the_dialog_service_wants() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    world.remind(world.reminder(&tenant, "visit:1", "11999", &[5, 60])).await;
    assert_eq!(world.counts().await, (0, 0, 0), "not yet");
    world.clock.advance(TimeDelta::minutes(5));
    assert_eq!(world.counts().await, (1, 0, 0));

    let calls = world.dialog_calls();
    let call = &calls[0];
    assert_eq!((call.method.as_str(), calls.len()), ("POST", 1));
    assert_eq!(call.headers["authorization"], NOTIFICATION_KEY);
    assert_eq!(call.headers["content-type"], "application/json");
    assert_eq!(call.idempotency_key(), "visit:1:2027-01-15T08:05:00.000Z");
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    let expect = json!({
        "accountCode": "account", "countryCode": "55", "phoneNumber": "11999",
        "notificationTemplateName": "visit", "templateParameters": ["visit:1"],
    });
    assert_eq!(body, expect);

    let state = world.reminder_of(&tenant, "visit:1").await.record.state;
    assert_eq!(state.next_send_time(), Some(beginning() + TimeDelta::minutes(60)));
    assert_eq!((state.last_sent_at, state.failed_attempts()), (Some(world.clock.now()), 0));
    world.clock.advance(TimeDelta::minutes(55));
    assert_eq!(world.counts().await, (1, 0, 0));
    let state = world.reminder_of(&tenant, "visit:1").await.record.state;
    assert_eq!((state.status, state.completed_at), (Status::Completed, Some(world.clock.now())));
    assert_eq!(world.counts().await, (0, 0, 0));
    assert_eq!(world.outcomes(&tenant, "visit:1").await, ["Sent", "Sent"]);
}

/// The webhook of every attempt is an activity of the solution: signed, retried, found by the reminder's id.
#[tokio::test]
async fn every_attempt_is_told_by_a_signed_webhook_that_is_retried() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    world.remind(world.reminder(&tenant, "r", "1", &[0])).await;
    // The Dialog service fails once, and so does each webhook.
    world.receiver.reply([Reply::status(503)]);
    world.hooks.reply([500, 500].map(Reply::status));
    assert_eq!(world.counts().await, (0, 1, 0));
    assert_eq!(world.counts().await, (1, 0, 0));
    world.run(world.clock.now() + TimeDelta::minutes(5)).await;

    let hooks = world.hooks.arrivals();
    assert!(hooks.iter().all(|hook| hook.uri.path() == "/hook"));
    assert_eq!(hooks.len(), 4, "each once more after its failure");
    let secrets = world.ctx.tenancy.signing_secrets(&tenant).await.unwrap().unwrap();
    let webhook = Webhook::new(secrets.at(world.clock.now())[0]).unwrap();
    let mut told: Vec<Value> = Vec::new();
    for hook in &hooks {
        let body = std::str::from_utf8(&hook.body).unwrap();
        let at: i64 = hook.headers["webhook-timestamp"].to_str().unwrap().parse().unwrap();
        let id = hook.headers["webhook-id"].to_str().unwrap();
        assert_eq!(webhook.sign(id, at, body.as_bytes()).unwrap(), hook.headers["webhook-signature"]);
        told.push(serde_json::from_str(body).unwrap());
    }
    let entries = world.entries(&tenant, "r").await;
    for entry in &entries {
        let expect = json!({
            "id": "r", "date": rules::time::format(entry.at),
            "status": entry.outcome.as_str(), "detail": entry.detail,
        });
        assert_eq!(told.iter().filter(|told| **told == expect).count(), 2, "{told:?}");
    }
    assert_eq!(entries[0].detail, "the Dialog service answered 503 Service Unavailable");

    let kinds = world.ctx.tenancy.kinds(&tenant).await.unwrap();
    let filter = shared::items::activity::Filter { object_id: Some("r".to_owned()), ..Default::default() };
    let found = world.ctx.work.list(&tenant, &kinds, &filter, None, 10).await.unwrap();
    assert_eq!(found.items.len(), 2);
}

/// The retry table of the seed, row by row.
#[tokio::test]
async fn a_send_time_has_five_attempts_and_then_the_next_one_comes() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    world.configure(&tenant, |settings| settings.webhook_url = None).await;
    world.remind(world.reminder(&tenant, "r", "1", &[0, 60])).await;
    world.receiver.reply([400, 500, 503, 302].map(Reply::status));
    for failed in 1..=4 {
        assert_eq!(world.counts().await, (0, 1, 0));
        let state = world.reminder_of(&tenant, "r").await.record.state;
        assert_eq!((state.failed_attempts(), state.next_send_time()), (failed, Some(beginning())));
    }
    world.receiver.reply([Reply::status(500)]);
    assert_eq!(world.counts().await, (0, 1, 0));
    let state = world.reminder_of(&tenant, "r").await.record.state;
    let next = beginning() + TimeDelta::minutes(60);
    assert_eq!((state.failed_attempts(), state.next_send_time(), state.last_sent_at), (0, Some(next), None));
    assert_eq!(world.counts().await, (0, 0, 0), "skipped");

    world.clock.advance_to(next);
    world.receiver.reply((0..5).map(|_| Reply::status(500)));
    for _ in 1..=5 {
        assert_eq!(world.counts().await, (0, 1, 0));
    }
    let state = world.reminder_of(&tenant, "r").await.record.state;
    assert_eq!((state.status, state.needs_review(), state.next_send_time()), (Status::Active, true, None));
    assert_eq!(world.counts().await, (0, 0, 0), "nothing is attempted any more");
    let stats = world.reminder_stats(&tenant).await;
    assert_eq!((stats.waiting, stats.needs_review), (0, 1));

    let keys: Vec<String> =
        world.dialog_calls().iter().map(|call| call.idempotency_key().to_owned()).collect();
    assert!(keys[..5].iter().all(|key| *key == keys[0]) && keys[5..].iter().all(|key| *key == keys[5]));
    assert_ne!(keys[0], keys[5]);

    // Reviewed, and sent by hand: then it is completed.
    let Sent::Attempt(made) = world.send_manually(&tenant, "r").await else { panic!("not sent") };
    assert!(matches!(&*made, Made::Attempt(entry, _) if entry.outcome == Outcome::Sent));
    assert_eq!(world.reminder_of(&tenant, "r").await.record.state.status, Status::Completed);
    assert_eq!(world.dialog_calls().last().unwrap().idempotency_key(), keys[5]);
}

#[tokio::test]
async fn one_that_does_not_answer_is_an_error_and_one_that_refuses_a_failure() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    let closed = "http://127.0.0.1:1";
    world.configure(&tenant, |settings| settings.dialog_service_uri = Some(closed.to_owned())).await;
    world.remind(world.reminder(&tenant, "r", "1", &[0])).await;
    assert_eq!(world.counts().await, (0, 1, 0));
    world.configure(&tenant, |settings| settings.dialog_service_uri = None).await;
    world.clock.advance(TimeDelta::seconds(5));
    assert_eq!(world.counts().await, (0, 1, 0));
    world.configure(&tenant, |_| {}).await;
    world.clock.advance(TimeDelta::seconds(5));
    let text = "no such template".to_owned();
    world.receiver.reply([Reply::Status(422, vec![("content-type", "text/plain".to_owned())], text)]);
    assert_eq!(world.counts().await, (0, 1, 0));
    let entries = world.entries(&tenant, "r").await;
    let told: Vec<_> =
        entries.iter().map(|entry| (entry.outcome, entry.http_status, entry.detail.as_str())).collect();
    assert_eq!(
        told,
        [
            (Outcome::SendError, None, "the Dialog service did not answer: connection refused"),
            (
                Outcome::SendError,
                None,
                "dialogServiceUri is missing: neither the configuration nor this service names a Dialog service"
            ),
            (
                Outcome::SendFailed,
                Some(422),
                "the Dialog service answered 422 Unprocessable Entity: no such template"
            ),
        ]
    );

    // With a Dialog service of the sender's own, configurations need none.
    world.configure(&tenant, |settings| settings.dialog_service_uri = None).await;
    world.clock.advance(TimeDelta::seconds(5));
    let url = world.receiver.url();
    let own = |name: &str| (name == "DialogServiceUri").then(|| url.clone());
    let sender = world.sender_with(world.process(), &own);
    assert_eq!(sender.run(world.clock.now() + TimeDelta::minutes(1)).await.unwrap().unwrap().sent, 1);
}

#[tokio::test]
async fn paused_nothing_is_sent_and_resumed_everything_is() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    let other = world.reminders("other").await;
    for (tenant, id) in [(&tenant, "a"), (&tenant, "b"), (&other, "c")] {
        world.remind(world.reminder(tenant, id, "1", &[0])).await;
    }
    let set = |state| world.ctx.tenancy.set_server_state(&Actor::Admin, &tenant, state, None);
    set(ServerState::Paused).await.unwrap();
    assert_eq!(world.counts().await, (1, 0, 2));
    assert_eq!(world.messages(), ["c"]);
    assert_eq!(world.reminder_of(&tenant, "a").await.record.state.sequence, 0, "nothing counts");
    assert!(
        matches!(world.send_manually(&tenant, "a").await, Sent::Refused(detail) if detail.contains("paused"))
    );
    set(ServerState::Running).await.unwrap();
    assert_eq!(world.counts().await, (2, 0, 0));
}

#[tokio::test]
async fn what_is_written_again_goes_on_after_what_was_sent() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    let first = world.reminder(&tenant, "r", "1", &[0, 10]);
    world.remind(first.clone()).await;
    assert_eq!(world.counts().await, (1, 0, 0));
    let put = world.ctx.reminders.put(first.clone()).await.unwrap();
    assert!(matches!(put, Put::Unchanged(_)), "{put:?}");
    // Another phone number: what was sent is not sent again, what is left goes there.
    let put = world.ctx.reminders.put(world.reminder(&tenant, "r", "2", &[0, 10, 20])).await.unwrap();
    let Put::Replaced(reminder) = put else { panic!("{put:?}") };
    assert_eq!(reminder.record.state.next_send_time(), Some(beginning() + TimeDelta::minutes(10)));
    world.live(beginning() + TimeDelta::hours(1)).await;
    let numbers: Vec<String> = world
        .dialog_calls()
        .iter()
        .map(|call| serde_json::from_slice::<Value>(&call.body).unwrap()["phoneNumber"].to_string())
        .collect();
    assert_eq!(numbers, ["\"1\"", "\"2\"", "\"2\""]);

    // Cancelled, and written once more.
    world.remind(world.reminder(&tenant, "s", "1", &[5])).await;
    let id = "s".parse().unwrap();
    assert!(matches!(world.ctx.reminders.cancel(&tenant, &id).await.unwrap(), Cancelled::Applied(_)));
    assert!(matches!(world.ctx.reminders.cancel(&tenant, &id).await.unwrap(), Cancelled::Refused(_)));
    world.clock.advance(TimeDelta::minutes(5));
    assert_eq!(world.counts().await, (0, 0, 0));
    let again = world.ctx.reminders.put(world.reminder(&tenant, "s", "1", &[0])).await.unwrap();
    assert!(matches!(again, Put::Replaced(_)), "{again:?}");
    assert_eq!(world.counts().await, (1, 0, 0));
}

/// One message per run for a reminder, however many of its send times were missed.
#[tokio::test]
async fn missed_send_times_come_one_after_the_other() {
    let world = World::new().await;
    let tenant = world.reminders("acme").await;
    world.remind(world.reminder(&tenant, "r", "1", &[-30, -20, -10])).await;
    assert_eq!(world.counts().await, (1, 0, 0));
    assert_eq!(world.counts().await, (1, 0, 0));
    assert_eq!(world.counts().await, (1, 0, 0));
    assert_eq!(world.reminder_of(&tenant, "r").await.record.state.status, Status::Completed);
}
