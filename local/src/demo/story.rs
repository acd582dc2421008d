//! The story: what is asked of Punctual, and how each activity must end.

use super::api::Api;
use super::log::Log;
use super::receiver::{NOTIFICATION_KEY, PROVIDER_KEY, Receiver, provider_activity_id};
use crate::runner::LOG_ROLLER;
use crate::system::Functions;
use anyhow::{Context, bail};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use shared::clock::{Clock, SystemClock};

const COMPANY: &str = "/v1/companies/acme";
/// Where the orders are.
pub const SHOP: &str = "/v1/companies/acme/solutions/shop";
/// Where the newsletter is, which is paused for a while.
const NEWS: &str = "/v1/companies/acme/solutions/news";
/// Where the reminders are.
const CLINIC: &str = "/v1/companies/acme/solutions/clinic";
/// A reminder.
const VISIT: &str = "/api/reminder/acme/clinic/visit-1";
/// Activities that fall due at one instant.
const CROWD: usize = 25;
/// A call to the cloud's metadata service, which would give away credentials.
const METADATA_URL: &str = "http://169.254.169.254/latest/meta-data/";
/// The story is over long before.
const PATIENCE: TimeDelta = TimeDelta::seconds(30);
const LOOK_AGAIN: TimeDelta = TimeDelta::milliseconds(100);

/// How an activity must end.
#[derive(Debug, Clone)]
pub struct Ending {
    /// Its path in the API.
    pub path: String,
    pub status: &'static str,
    /// Calls of it that must arrive, over all runs.
    pub calls: usize,
}

/// The story's teller.
pub struct Story<'a> {
    pub api: &'a Api,
    pub functions: &'a Functions,
    pub receiver: &'a Receiver,
    pub log: &'a Log,
    pub endings: Vec<Ending>,
}

impl Story<'_> {
    /// Tells it from beginning to end.
    ///
    /// # Errors
    /// The API refuses something, or an activity does not end in time.
    pub async fn tell(&mut self) -> anyhow::Result<()> {
        self.prepare().await?;
        let began = SystemClock.now();
        self.log.say("an order ships now, two in 2 and 4 seconds:");
        self.schedule(SHOP, "order-1", "ship", None).await?;
        self.schedule(SHOP, "order-2", "ship", Some(began + TimeDelta::seconds(2))).await?;
        self.schedule(SHOP, "order-3", "ship", Some(began + TimeDelta::seconds(4))).await?;

        self.log.say("a receiver is unsteady: its type says to retry after 2 s:");
        self.schedule(SHOP, "unsteady-1", "unsteady", None).await?;
        self.ends(SHOP, "unsteady-1", "DISPATCHED", 2);

        self.log.say("another one is broken: after 2 attempts its activity is a dead letter:");
        self.schedule(SHOP, "broken-1", "broken", None).await?;

        self.log.say("a call to the cloud's metadata service is refused:");
        self.schedule(SHOP, "inside-1", "inside", None).await?;
        self.ends(SHOP, "inside-1", "FAILED", 0);

        self.log.say("a welcome goes out by e-mail, through the provider of that channel:");
        self.message("welcome-1").await?;

        self.log.say("an order due in 3 seconds is cancelled:");
        self.schedule(SHOP, "order-4", "ship", Some(began + TimeDelta::seconds(3))).await?;
        self.api.delete(&format!("{SHOP}/activities/order-4")).await?;
        self.ends(SHOP, "order-4", "CANCELED", 0);

        self.log.say("the newsletter is paused, and one is due in 1 second:");
        self.api
            .put(&format!("{NEWS}/server-state"), json!({ "serverState": "paused", "reason": "demo" }))
            .await?;
        self.schedule(NEWS, "letter-1", "send", Some(began + TimeDelta::seconds(1))).await?;

        self.remind().await?;
        self.recur().await?;
        self.notify().await?;
        self.batch(began + TimeDelta::seconds(5)).await?;

        SystemClock.sleep_until(began + TimeDelta::seconds(6)).await;
        self.log.say("the newsletter runs again, so what is overdue goes out at once:");
        self.log.expect("letter-1", SystemClock.now());
        self.api.put(&format!("{NEWS}/server-state"), json!({ "serverState": "running" })).await?;

        self.await_status(&format!("{SHOP}/activities/welcome-1"), "DISPATCHED").await?;
        self.log.say("the provider reports, under its own id, that the welcome was read");
        let result = json!({
            "providerActivityId": provider_activity_id("welcome-1"),
            "status": "COMPLETED",
            "occurredAt": rules::time::format(SystemClock.now()),
        });
        self.api.post(&format!("{SHOP}/activity-results"), result).await?;
        self.ends(SHOP, "welcome-1", "COMPLETED", 1);

        self.await_status(&format!("{SHOP}/activities/broken-1"), "FAILED").await?;
        self.log.say("the broken receiver is repaired, and its dead letter retried by hand:");
        self.receiver.repair();
        self.log.expect("broken-1", SystemClock.now());
        self.api.post(&format!("{SHOP}/activities/broken-1/retry"), json!({})).await?;
        self.ends(SHOP, "broken-1", "DISPATCHED", 3);

        for ending in self.endings.clone() {
            self.await_status(&ending.path, ending.status).await?;
        }
        self.roll().await
    }

    /// A company, two solutions and their activity types.
    async fn prepare(&self) -> anyhow::Result<()> {
        self.log.say("a company with two solutions, and types for the calls they make");
        self.api.put(COMPANY, json!({})).await?;
        for (path, name) in [(SHOP, "shop"), (NEWS, "news")] {
            let made = self.api.put(path, json!({})).await?;
            self.receiver.trust(name, made["signingSecret"].as_str().context("no signing secret was given")?);
        }
        let base = format!("http://{}", self.receiver.address);
        let retry = |seconds: u32| json!({ "soon": { "retryAfterS": seconds } });
        for (solution, name, uri, more) in [
            (SHOP, "ship", format!("{base}/shop/ship/{{order}}"), json!({})),
            (
                SHOP,
                "unsteady",
                format!("{base}/shop/unsteady/{{order}}"),
                json!({ "rescheduleRules": retry(2) }),
            ),
            (
                SHOP,
                "broken",
                format!("{base}/shop/broken/{{order}}"),
                json!({ "retries": 2, "rescheduleRules": retry(1) }),
            ),
            (SHOP, "inside", METADATA_URL.to_owned(), json!({ "retries": 1 })),
            (NEWS, "send", format!("{base}/news/send/{{order}}"), json!({})),
        ] {
            let mut body = more;
            body["verb"] = "POST".into();
            body["uriPattern"] = uri.into();
            self.api.put(&format!("{solution}/activity-types/{name}"), body).await?;
        }
        let config = json!({
            "provider": "YOM",
            "baseUrl": format!("{base}/shop/yom"),
            "credentials": { "apiKey": PROVIDER_KEY },
        });
        self.api.put(&format!("{SHOP}/dispatch-configs/EMAIL"), config).await?;
        Ok(())
    }

    /// Has a message go out by e-mail at once.
    async fn message(&mut self, id: &str) -> anyhow::Result<()> {
        let body = json!({
            "channel": "EMAIL",
            "type": "MESSAGE",
            "id": id,
            "reason": "first order",
            "commerce": { "assignment": "shop-7", "targetUsers": ["user-42"] },
        });
        self.log.expect(id, SystemClock.now());
        self.api.post(&format!("{SHOP}/activities"), body).await?;
        Ok(())
    }

    /// Schedules one activity; it must end delivered unless said otherwise.
    async fn schedule(
        &mut self,
        solution: &str,
        id: &str,
        kind: &str,
        date: Option<DateTime<Utc>>,
    ) -> anyhow::Result<()> {
        let mut body = json!({ "activityType": kind, "id": id, "parameter": { "order": id } });
        if let Some(date) = date {
            body["date"] = rules::time::format(date).into();
        }
        // An immediate one can arrive before the answer to this does.
        self.log.expect(id, date.unwrap_or_else(|| SystemClock.now()));
        self.api.post(&format!("{solution}/activities"), body).await?;
        self.ends(solution, id, "DISPATCHED", 1);
        Ok(())
    }

    /// A reminder whose first message is due, and the processor that sends it.
    async fn remind(&mut self) -> anyhow::Result<()> {
        self.log.say("a reminder: a message that is due, another one tomorrow; the processor runs:");
        let clinic = format!("http://{}/clinic", self.receiver.address);
        let configuration = json!({
            "notificationKey": NOTIFICATION_KEY,
            "accountCode": "demo",
            "dialogServiceUri": clinic,
            "webhookUrl": format!("{clinic}/hook"),
        });
        let made = self.api.put("/api/reminder/configuration/acme/clinic", configuration).await?;
        self.receiver.trust("clinic", made["signingSecret"].as_str().context("no signing secret was given")?);
        let now = SystemClock.now();
        let reminder = json!({
            "countryCode": "55",
            "phoneNumber": "11999990000",
            "recipientName": "Ana",
            "notificationTemplateName": "visit",
            "templateParameters": ["Ana", "10:00"],
            "sendTimes": [rules::time::format(now), rules::time::format(now + TimeDelta::days(1))],
        });
        self.api.put(VISIT, reminder).await?;
        let limit = now + PATIENCE;
        // On the minute the schedule may hold the lock; then it is the one that sends.
        while self.api.get(VISIT).await?["lastSendTime"].is_null() {
            if SystemClock.now() > limit {
                bail!("the reminder was not sent");
            }
            self.api.post("/api/reminder/item/pending/send", json!({})).await?;
        }
        self.ends(CLINIC, "reminder-webhook:visit-1:1", "DISPATCHED", 1);
        Ok(())
    }

    /// A rule that creates a call every two seconds, for a while.
    async fn recur(&mut self) -> anyhow::Result<()> {
        self.log.say("a recurring activity: every other second, three times:");
        let start = SystemClock.now() + TimeDelta::seconds(2);
        let rule = json!({
            "activityType": "ship",
            "parameter": { "order": "stock" },
            "expression": "*/2 * * * * *",
            "startAt": rules::time::format(start),
            "endAt": rules::time::format(start + TimeDelta::milliseconds(5_999)),
        });
        let path = format!("{SHOP}/recurring-activities/stock");
        self.api.put(&path, rule).await?;
        let preview = self.api.get(&format!("{path}/occurrences")).await?;
        let occurrences = preview["occurrences"].as_array().map(Vec::as_slice).unwrap_or_default();
        if occurrences.len() != 3 {
            bail!("three occurrences were expected: {preview}");
        }
        for occurrence in occurrences {
            let date = rules::time::parse(occurrence["date"].as_str().unwrap_or_default())?;
            let id = format!("stock@{}", date.timestamp());
            self.log.expect(&id, date);
            self.ends(SHOP, &id, "DISPATCHED", 1);
        }
        Ok(())
    }

    /// A notification that fails at first, and is sent again by hand instead of by the re-sender in ten minutes.
    async fn notify(&mut self) -> anyhow::Result<()> {
        self.log.say("a notification cannot be published, so it is saved, and sent again by hand:");
        let uri = format!("http://{}/shop/alert", self.receiver.address);
        self.api.put(&format!("{SHOP}/notification-types/alert"), json!({ "uri": uri })).await?;
        let alert = json!({ "type": "alert", "id": "alert-1", "payload": { "stock": 0 } });
        let saved = self.api.post(&format!("{SHOP}/notifications"), alert).await?;
        let sent = self.api.post(&format!("{SHOP}/notifications/alert-1/resend"), json!({})).await?;
        match (saved["status"].as_str(), sent["status"].as_str()) {
            (Some("PENDING"), Some("PUBLISHED")) => Ok(()),
            other => bail!("the notification was {other:?}"),
        }
    }

    /// The newsletter's log leaves, and with it the activity.
    async fn roll(&self) -> anyhow::Result<()> {
        self.log.say("the newsletter's logs are due; the roller, which runs every day, runs now:");
        let uri = format!("http://{}/news/logs", self.receiver.address);
        self.api.put(NEWS, json!({ "successUri": uri, "successPeriod": 0 })).await?;
        self.functions.run_scheduled(LOG_ROLLER);
        let (limit, path) = (SystemClock.now() + PATIENCE, format!("{NEWS}/activities"));
        while self.api.get(&path).await?["items"] != json!([]) {
            if SystemClock.now() > limit {
                bail!("the logs did not leave");
            }
            SystemClock.sleep_until(SystemClock.now() + LOOK_AGAIN).await;
        }
        Ok(())
    }

    async fn batch(&mut self, date: DateTime<Utc>) -> anyhow::Result<()> {
        self.log.say(&format!("a batch of {CROWD} orders is due at one instant:"));
        let ids: Vec<_> = (0..CROWD).map(|n| format!("crowd-{n:02}")).collect();
        let date_text = rules::time::format(date);
        let activity = |id: &String| json!({ "activityType": "ship", "id": id, "date": date_text, "parameter": { "order": id } });
        let activities: Vec<_> = ids.iter().map(activity).collect();
        ids.iter().for_each(|id| self.log.expect(id, date));
        let answer =
            self.api.post(&format!("{SHOP}/activities/batch"), json!({ "activities": activities })).await?;
        let results = answer["results"].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(refused) = results.iter().find(|result| result["status"] != 201) {
            bail!("an activity of the batch was refused: {refused}");
        }
        ids.iter().for_each(|id| self.ends(SHOP, id, "DISPATCHED", 1));
        Ok(())
    }

    fn ends(&mut self, solution: &str, id: &str, status: &'static str, calls: usize) {
        let path = format!("{solution}/activities/{id}");
        self.endings.retain(|ending| ending.path != path);
        self.endings.push(Ending { path, status, calls });
    }

    async fn await_status(&self, path: &str, status: &str) -> anyhow::Result<Value> {
        let limit = SystemClock.now() + PATIENCE;
        loop {
            let activity = self.api.get(path).await?;
            if activity["status"] == status {
                return Ok(activity);
            }
            if SystemClock.now() > limit || activity["status"] != "READY" {
                bail!("{path} should be {status}, but is: {activity}");
            }
            SystemClock.sleep_until(SystemClock.now() + LOOK_AGAIN).await;
        }
    }
}
