//! The one line of each attempt, whatever made it: what was called, what came of it, when it is tried again (SPEC §12).

use crate::notifications::{publish, put_type};
use crate::rolling::{DAY, roll, set};
use chrono::TimeDelta;
use rules::notification::Status;
use serde_json::{Value, json};
use shared::clock::Clock;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tests::{Reply, World};
use tracing_subscriber::EnvFilter;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    /// Logs as the functions do in Lambda, on this thread.
    fn start(&self) -> tracing::subscriber::DefaultGuard {
        let writer = self.clone();
        let filter = EnvFilter::new("warn,shared::telemetry=info");
        tracing::subscriber::set_default(shared::telemetry::json(filter, move || writer.clone()))
    }

    /// Takes what was logged of attempts so far: id, outcome, method and URL, when it is tried again.
    fn attempts(&self) -> Vec<Value> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let attempts = lines.filter(|line| line["message"] == "attempt");
        attempts
            .map(|line| {
                json!([
                    line["kind"],
                    line["id"],
                    line["outcome"],
                    line["method"],
                    line["url"],
                    line["retry_at"]
                ])
            })
            .collect()
    }
}

fn after(world: &World, seconds: i64) -> String {
    rules::time::format(world.clock.now() + TimeDelta::seconds(seconds))
}

#[tokio::test]
async fn an_activity_says_what_was_called_and_when_it_is_called_again() {
    let (world, log) = (World::new().await, Captured::default());
    let _guard = log.start();
    let tenant = world.tenant("acme", 1).await;
    let uri = format!("{}/call/{{id}}?key={{id}}", world.receiver.url());
    world.put_type(&tenant, "call", |kind| kind.uri_pattern = uri.parse().unwrap()).await;
    let mut twice = world.activity(&tenant, "a", TimeDelta::zero());
    twice.max_attempts = 2;
    world.accept(vec![twice, world.activity(&tenant, "gone", TimeDelta::zero())]).await;
    let url = |id: &str| format!("{}/call/{id}?key=…", world.receiver.url());
    world.receiver.reply([Reply::Status(503, Vec::new(), String::new())]);
    let retry_at = after(&world, 30);
    world.run(world.clock.now() + TimeDelta::seconds(1)).await;
    let mut attempts = log.attempts();
    attempts.sort_by_key(|line| line[2] == "SUCCESS");
    let failed = attempts[0][1].as_str().unwrap().to_owned();
    let other = if failed == "a" { "gone" } else { "a" };
    assert_eq!(
        attempts,
        [
            json!(["A:call", failed, "FAILURE", "POST", url(&failed), retry_at]),
            json!(["A:call", other, "SUCCESS", "POST", url(other), null]),
        ]
    );
    world.receiver.reply([Reply::Status(500, Vec::new(), String::new())]);
    world.run(world.clock.now() + TimeDelta::seconds(29)).await;
    let retried = log.attempts();
    assert_eq!(retried.len(), 1, "{retried:?}");
    // The one with two attempts has none left, the other one has a third.
    let last = if failed == "a" { Value::Null } else { json!(after(&world, 30)) };
    assert_eq!(retried[0], json!(["A:call", failed, "FAILURE", "POST", url(&failed), last]));
}

#[tokio::test]
async fn a_call_that_is_not_made_has_no_address() {
    let (world, log) = (World::new().await, Captured::default());
    let _guard = log.start();
    let tenant = world.tenant("acme", 1).await;
    let mut activity = world.activity(&tenant, "a", TimeDelta::zero());
    activity.kind = "A:nothing".parse().unwrap();
    activity.max_attempts = 1;
    world.accept(vec![activity]).await;
    world.run(world.clock.now() + TimeDelta::seconds(1)).await;
    assert_eq!(log.attempts(), [json!(["A:nothing", "a", "CONFIGURATION", null, null, null])]);
}

#[tokio::test]
async fn a_reminder_and_its_webhook_say_so_too() {
    let (world, log) = (World::new().await, Captured::default());
    let _guard = log.start();
    let tenant = world.reminders("acme").await;
    world.remind(world.reminder(&tenant, "r", "1", &[0, 60])).await;
    world.receiver.reply([Reply::Status(500, Vec::new(), String::new())]);
    let now = after(&world, 0);
    world.process_pending().await.unwrap();
    let url = format!("{}/api/autotrigger", world.receiver.url());
    assert_eq!(log.attempts(), [json!(["R", "r", "SendFailed", "POST", url, now])]);
    world.work(&world.worker()).await;
    let hook = format!("{}/hook", world.hooks.url());
    let webhook = log.attempts();
    assert_eq!((&webhook[0][2], &webhook[0][4]), (&json!("SUCCESS"), &json!(hook)), "{webhook:?}");
    world.process_pending().await.unwrap();
    assert_eq!(log.attempts(), [json!(["R", "r", "Sent", "POST", url, null])]);
}

#[tokio::test]
async fn a_notification_says_so_too() {
    let (world, log) = (World::new().await, Captured::default());
    let _guard = log.start();
    let tenant = world.tenant("acme", 1).await;
    put_type(&world, &tenant, "n", 3, json!({})).await;
    world.receiver.reply([Reply::Status(500, Vec::new(), String::new())]);
    let retry_at = after(&world, 600);
    assert_eq!(publish(&world, &tenant, "n", "a").await, Status::Pending);
    assert_eq!(publish(&world, &tenant, "n", "b").await, Status::Published);
    let url = format!("{}/n", world.receiver.url());
    assert_eq!(
        log.attempts(),
        [
            json!(["N:n", "a", "FAILURE", "POST", url, retry_at]),
            json!(["N:n", "b", "SUCCESS", "POST", url, null]),
        ]
    );
}

#[tokio::test]
async fn a_batch_of_the_log_roller_says_so_too() {
    let (world, log) = (World::new().await, Captured::default());
    let _guard = log.start();
    let tenant = world.tenant("acme", 1).await;
    set(&world, &tenant, |_| {}).await;
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
    world.work(&world.worker()).await;
    log.attempts();
    world.clock.advance_to(world.clock.now() + DAY);
    world.receiver.reply([Reply::Status(500, Vec::new(), String::new())]);
    roll(&world).await;
    let refused = log.attempts();
    roll(&world).await;
    let taken = log.attempts();
    let url = format!("{}/logs/success", world.receiver.url());
    let line = |id: &Value, outcome: &str| json!(["L:success", id, outcome, "POST", url, null]);
    assert_eq!(refused, [line(&refused[0][1], "FAILURE")]);
    // The same batch, and so the same key.
    assert_eq!(taken, [line(&refused[0][1], "SUCCESS")]);
}
