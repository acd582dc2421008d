//! A system, a receiver and a caller, ready for one scenario.

use crate::api::{Api, TenantPath};
use crate::arguments::Arguments;
use crate::load::Load;
use crate::receiver::Receiver;
use crate::spread::Spread;
use crate::system::System;
use anyhow::Result;
use chrono::TimeDelta;

/// Every call of the bench's activity types ends by then.
const TIMEOUT_SECONDS: u32 = 30;

/// What a scenario works with. Each scenario has one of its own, so that none sees another's leftovers.
#[derive(Debug)]
pub struct Stage {
    pub system: System,
    pub receiver: Receiver,
    pub api: Api,
    patience: TimeDelta,
}

impl Stage {
    /// Starts everything, on an empty data directory.
    pub async fn start(arguments: &Arguments) -> Result<Self> {
        let system = System::start(arguments).await?;
        let receiver = Receiver::start(TimeDelta::zero()).await?;
        let api = Api::new(&system.addresses)?;
        Ok(Self { system, receiver, api, patience: TimeDelta::seconds(arguments.patience.into()) })
    }

    /// A tenant of its own company, whose calls go to the receiver's lane of the same name.
    pub async fn tenant(&self, name: &str, qos_level: u32) -> Result<TenantPath> {
        self.tenant_with(name, qos_level, TIMEOUT_SECONDS).await
    }

    /// The same with another time limit of its calls.
    pub async fn tenant_with(&self, name: &str, qos_level: u32, timeout_seconds: u32) -> Result<TenantPath> {
        let uri = format!("{}/{name}", self.receiver.url);
        self.api.make_tenant(name, qos_level, &uri, timeout_seconds).await
    }

    /// Waits until all of `load` has come on `lane`; `extra` is how long beyond the usual nothing may come.
    pub async fn wait(&mut self, lane: &str, load: &Load, extra: TimeDelta) -> Result<()> {
        self.wait_keys(lane, &load.keys(), extra).await
    }

    /// Waits until each of `keys` has come on `lane`.
    pub async fn wait_keys(&mut self, lane: &str, keys: &[String], extra: TimeDelta) -> Result<()> {
        let Self { system, receiver, patience, .. } = self;
        receiver.wait_for(lane, keys, *patience + extra, || system.check_alive()).await
    }

    /// Arrival minus due, in milliseconds, of what of `load` has come on `lane`.
    pub fn lateness(&self, lane: &str, load: &Load) -> Option<Spread> {
        let late = |index| Some(millis(self.receiver.arrival(lane, &load.key(index))? - load.due(index)?));
        Spread::of((0..load.count).filter_map(late))
    }
}

/// A length of time as milliseconds with a fraction.
pub fn millis(delta: TimeDelta) -> f64 {
    delta.num_microseconds().map_or(f64::INFINITY, |micros| micros as f64 / 1000.0)
}

/// A length of time as seconds with a fraction.
pub fn seconds(delta: TimeDelta) -> f64 {
    millis(delta) / 1000.0
}
