//! What a [`World`] has for reminders: a configuration, reminders, and processors.

use crate::World;
use crate::receiver::Arrival;
use chrono::{DateTime, TimeDelta, Utc};
use reminder_sender::{RunReport, Sender, SenderSettings, Sent};
use rules::names::Tenant;
use rules::recurring::CatchUp;
use serde_json::Value;
use shared::clock::{Clock, SharedClock};
use shared::context::{Clients, Context};
use shared::items::reminder::{Definition, Entry, NewReminder, Put, Reminder, Stats};
use shared::telemetry::Metrics;
use shared::tenancy::{Actor, Company, ReminderSettings, Rolling, Shards};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The notification key of [`World::reminders`].
pub const NOTIFICATION_KEY: &str = "notification-key";
/// Shards of the configuration of [`World::reminders`].
pub const SHARDS: Shards = Shards { due: 4, done: 16 };
/// How much time a run of the tests has.
const RUN_TIME: TimeDelta = TimeDelta::minutes(15);
/// Most ticks of [`World::live`]: more than two months of minutes.
const TICKS_MAX: usize = 100_000;

/// A clock that goes by another one, and is ahead of it or behind.
pub struct Skewed(pub SharedClock, pub TimeDelta);

impl Clock for Skewed {
    fn now(&self) -> DateTime<Utc> {
        self.0.now() + self.1
    }

    fn sleep_until(&self, at: DateTime<Utc>) -> futures::future::BoxFuture<'static, ()> {
        self.0.sleep_until(at - self.1)
    }

    fn sleep_beside_work(&self, at: DateTime<Utc>) -> futures::future::BoxFuture<'static, ()> {
        self.0.sleep_beside_work(at - self.1)
    }
}

impl World {
    /// A reminder configuration in a solution of its own. The receiver is the Dialog service.
    pub async fn reminders(&self, company: &str) -> Tenant {
        let tenant = Tenant { company: company.parse().unwrap(), solution: "clinic".parse().unwrap() };
        let (tenancy, actor) = (&self.ctx.tenancy, Actor::Admin);
        tenancy.put_company(&actor, Company::new(tenant.company.clone(), 1)).await.unwrap();
        tenancy.put_solution(&actor, &tenant, 1, Rolling::default()).await.unwrap();
        self.configure(&tenant, |_| {}).await;
        tenant
    }

    /// Writes the configuration anew, changed by `edit`.
    pub async fn configure(&self, tenant: &Tenant, edit: impl FnOnce(&mut ReminderSettings)) {
        let mut settings = ReminderSettings {
            notification_key: Zeroizing::new(NOTIFICATION_KEY.to_owned()),
            account_code: "account".to_owned(),
            dialog_service_uri: Some(self.receiver.url()),
            webhook_url: Some(format!("{}/hook", self.hooks.url())),
        };
        edit(&mut settings);
        let (tenancy, actor) = (&self.ctx.tenancy, Actor::Admin);
        if let Some(url) = &settings.webhook_url {
            tenancy.keep_reminder_webhook(&actor, tenant, url).await.unwrap();
        }
        tenancy.put_reminder_configuration(&actor, tenant, &settings).await.unwrap();
    }

    /// A reminder to a phone number, with send times in minutes after now.
    pub fn reminder(&self, tenant: &Tenant, id: &str, phone_number: &str, minutes: &[i64]) -> NewReminder {
        let now = self.clock.now();
        NewReminder {
            tenant: tenant.clone(),
            id: id.parse().unwrap(),
            definition: Definition {
                country_code: "55".to_owned(),
                phone_number: phone_number.to_owned(),
                recipient_name: None,
                template: "visit".to_owned(),
                parameters: format!("[\"{id}\"]"),
                send_times: minutes.iter().map(|minute| now + TimeDelta::minutes(*minute)).collect(),
                timezone: "UTC".to_owned(),
                catch_up: CatchUp::All,
            },
            body_hash: format!("{id} {minutes:?} {phone_number}").into(),
            shards: SHARDS,
            parents: Vec::new(),
        }
    }

    /// Accepts a reminder, which must be new.
    pub async fn remind(&self, reminder: NewReminder) {
        let put = self.ctx.reminders.put(reminder).await.unwrap();
        assert!(matches!(put, Put::Created(_)), "{put:?}");
    }

    /// A sender of its own process.
    pub fn sender(&self) -> Sender {
        self.sender_on(self.process())
    }

    /// A sender on a context of one's own; loopback is open to it.
    pub fn sender_on(&self, ctx: Context) -> Sender {
        self.sender_with(ctx, &|_| None)
    }

    /// A sender with variables of one's own.
    pub fn sender_with(&self, ctx: Context, own: &dyn Fn(&str) -> Option<String>) -> Sender {
        let variables = self.embedded.settings("reminder-sender");
        let settings =
            SenderSettings::read(&|name| own(name).or_else(|| variables.get(name).cloned())).unwrap();
        Sender::new(ctx, self.http.clone(), Metrics::off(), settings)
    }

    /// A context on clients and a clock of one's own.
    pub fn process_at(&self, clients: Clients, ahead: TimeDelta) -> Context {
        let clock = Arc::new(Skewed(self.clock.clone(), ahead));
        Context::new(clients, &self.settings, clock, self.entropy.clone())
    }

    /// One run by a process of its own; `None` while another holds the lock.
    pub async fn process_pending(&self) -> Option<RunReport> {
        self.sender().run(self.clock.now() + RUN_TIME).await.unwrap()
    }

    /// The same, as `(sent, failed, skipped)`.
    pub async fn counts(&self) -> (u64, u64, u64) {
        let report = self.process_pending().await.expect("nobody holds the lock");
        assert_eq!(report.processed, report.sent + report.failed + report.skipped);
        (report.sent, report.failed, report.skipped)
    }

    /// Sends one reminder by hand.
    pub async fn send_manually(&self, tenant: &Tenant, id: &str) -> Sent {
        self.sender().send_manually(tenant, &id.parse().unwrap()).await.unwrap()
    }

    /// Lets time go on to `until`: a run and a sweep on every minute, whoever holds the lock, and activities as they fall due. Minutes in
    /// which nothing is to do are passed over.
    pub async fn live(&self, until: DateTime<Utc>) {
        let (sender, worker) = (self.sender(), self.worker());
        for _ in 0..TICKS_MAX {
            let now = self.clock.now();
            // While a dead process still holds the lock, a run does nothing and the minute passes.
            let report = sender.run(now + RUN_TIME).await.unwrap();
            let report = report.unwrap_or(RunReport { more: true, ..RunReport::default() });
            let swept = self.sweep().await;
            self.work(&worker).await;
            let minute = self.clock.now().max(now + TimeDelta::minutes(1));
            let idle = report.failed == 0 && !report.more && swept.oldest_overdue_seconds == 0;
            let dues = report.next_due.into_iter().chain(swept.next_due_at).chain(self.next_visible());
            let next = if idle { dues.min().map_or(until, |due| due.max(minute)) } else { minute };
            if next >= until {
                self.clock.advance_to(until);
                return;
            }
            self.clock.advance_to(next);
        }
        panic!("the world never comes to rest");
    }

    /// A reminder.
    pub async fn reminder_of(&self, tenant: &Tenant, id: &str) -> Reminder {
        self.ctx.reminders.get(tenant, &id.parse().unwrap()).await.unwrap().unwrap()
    }

    /// A reminder's attempts as `outcome:attempt@minutes after the beginning of its send time`.
    pub async fn entries(&self, tenant: &Tenant, id: &str) -> Vec<Entry> {
        let (mut entries, mut after) = (Vec::new(), None);
        loop {
            let id = id.parse().unwrap();
            let page = self.ctx.reminders.history(tenant, &id, after.as_deref(), 50).await.unwrap();
            entries.extend(page.items);
            after = page.next;
            if after.is_none() {
                return entries;
            }
        }
    }

    /// The outcomes of a reminder's attempts.
    pub async fn outcomes(&self, tenant: &Tenant, id: &str) -> Vec<&'static str> {
        self.entries(tenant, id).await.iter().map(|entry| entry.outcome.as_str()).collect()
    }

    /// Counts of the tenant's reminders.
    pub async fn reminder_stats(&self, tenant: &Tenant) -> Stats {
        self.ctx.reminders.stats(tenant, SHARDS).await.unwrap()
    }

    /// The calls that the Dialog service got.
    pub fn dialog_calls(&self) -> Vec<Arrival> {
        let arrivals = self.receiver.arrivals();
        arrivals.into_iter().filter(|arrival| arrival.uri.path() == "/api/autotrigger").collect()
    }

    /// What the Dialog service was asked to send, as the reminders' first template parameter.
    pub fn messages(&self) -> Vec<String> {
        let first = |arrival: &Arrival| {
            let body: Value = serde_json::from_slice(&arrival.body).unwrap();
            body["templateParameters"][0].as_str().unwrap().to_owned()
        };
        self.dialog_calls().iter().map(first).collect()
    }

    /// The webhooks that came: `id status`.
    pub fn webhooks(&self) -> Vec<String> {
        let told = |arrival: &Arrival| {
            let body: Value = serde_json::from_slice(&arrival.body).unwrap();
            format!("{} {}", body["id"].as_str().unwrap(), body["status"].as_str().unwrap())
        };
        self.hooks.arrivals().iter().map(told).collect()
    }
}
