//! Recurring rules in a World: made, expanded, and what came of them.

use crate::World;
use chrono::{DateTime, TimeDelta, Utc};
use recurring_expander::{Expander, ExpansionReport};
use rules::cron::Cron;
use rules::names::{RecurringName, Tenant};
use rules::recurring::{CatchUp, SkipReason, WINDOW_SECONDS_DEFAULT};
use rules::zoned::Tz;
use shared::clock::Clock;
use shared::context::Context;
use shared::items::recurring::{Rule, RuleSpec};
use shared::tenancy::{Actor, ServerState};

/// Most rounds of [`World::run_recurring`]; more are a loop that never ends.
const ROUNDS_MAX: usize = 100_000;

/// A rule of the type `call` with the defaults of SPEC §5.
pub fn spec(expression: &str) -> RuleSpec {
    RuleSpec {
        activity_type: "call".parse().unwrap(),
        cron: Cron::parse(expression).unwrap(),
        zone: Tz::UTC,
        start_at: None,
        end_at: None,
        catch_up: CatchUp::All,
        window_seconds: WINDOW_SECONDS_DEFAULT,
        spread_seconds: 0,
        retries: None,
    }
}

/// The event of a tick.
pub fn event() -> serde_json::Value {
    serde_json::from_str(include_str!("../../events/recurring-expander/schedule.json")).unwrap()
}

impl World {
    /// Makes or replaces a rule, by a process of its own.
    pub async fn put_rule(&self, tenant: &Tenant, name: &str, spec: RuleSpec) {
        let (name, parameter) = (name.parse().unwrap(), format!("{{\"id\":\"{name}\"}}"));
        let put =
            shared::recurring::put(&self.process(), &Actor::Admin, tenant, &name, spec, parameter).await;
        put.unwrap();
    }

    /// Pauses or resumes a rule.
    pub async fn set_rule_state(&self, tenant: &Tenant, name: &str, state: ServerState) {
        let name = name.parse().unwrap();
        let process = self.process();
        shared::recurring::set_server_state(&process, &Actor::Admin, tenant, &name, state, None)
            .await
            .unwrap();
    }

    /// A rule as it stands.
    pub async fn rule(&self, tenant: &Tenant, name: &str) -> Rule {
        self.ctx.work.rule(tenant, &name.parse().unwrap()).await.unwrap().unwrap().rule
    }

    /// One run of the expander by a process of its own.
    pub async fn expand(&self) -> ExpansionReport {
        self.expand_on(self.process()).await
    }

    /// One run of the expander on a context of one's own.
    pub async fn expand_on(&self, ctx: Context) -> ExpansionReport {
        Expander::new(ctx).handle(event()).await.unwrap()
    }

    /// The instants of the occurrences of a rule that were created, in order, each with its status.
    pub async fn created(&self, tenant: &Tenant, name: &str) -> Vec<DateTime<Utc>> {
        let prefix = format!("A#{tenant}#{name}@");
        let mut found = Vec::new();
        for item in self.dump().await {
            let (Ok(pk), Some(date)) = (item["PK"].as_s(), item.get("d")) else { continue };
            let Some(seconds) = pk.strip_prefix(&prefix) else { continue };
            let seconds = seconds.split('~').next().unwrap_or_default();
            let millis: i64 = date.as_n().unwrap().parse().unwrap();
            assert_eq!(millis, seconds.parse::<i64>().unwrap() * 1_000, "the id tells the instant");
            found.push(DateTime::from_timestamp_millis(millis).unwrap());
        }
        found.sort();
        found
    }

    /// What was skipped of a rule: from, to, how many, why; oldest first.
    pub async fn skipped(
        &self,
        tenant: &Tenant,
        name: &str,
    ) -> Vec<(DateTime<Utc>, DateTime<Utc>, u64, SkipReason)> {
        let name: RecurringName = name.parse().unwrap();
        let page = self.ctx.work.skips(tenant, &name, None, 100).await.unwrap();
        let mut skips: Vec<_> = page
            .items
            .into_iter()
            .map(|record| (record.skip.from, record.skip.to, record.skip.count, record.skip.reason))
            .collect();
        skips.sort();
        skips
    }

    /// Lets time go on to `until` with an expansion and a sweep each minute, and messages when they are visible.
    pub async fn run_recurring(&self, until: DateTime<Utc>) {
        let worker = self.worker();
        let minute = TimeDelta::minutes(1);
        let mut next_tick = self.clock.now();
        for _ in 0..ROUNDS_MAX {
            if self.clock.now() >= next_tick && next_tick <= until {
                self.expand().await;
                self.sweep().await;
                next_tick += minute;
            }
            self.work(&worker).await;
            let next = self.next_visible().into_iter().chain([next_tick]).min().unwrap();
            if next > until {
                self.clock.advance_to(until);
                return;
            }
            self.clock.advance_to(next);
        }
        panic!("the world never comes to rest");
    }
}
