//! Pools of which each company has a share: the delivery workers, and the requests that call its receivers.

use super::{Hold, Slots, Taken};
use crate::telemetry::Metrics;
use chrono::{DateTime, Utc};
use futures::future::{Either, select};
use rules::names::CompanyName;
use rules::slots::Shares;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

/// What is shared, by instances of a function.
#[derive(Clone)]
pub struct Pool {
    /// The partition key of a company's slots of it.
    pub key: fn(&CompanyName) -> String,
    /// How many of the instances a company may hold; all of them, if `None`.
    pub shares: Option<Shares>,
    /// Where instances without a slot are counted.
    pub metrics: Metrics,
}

/// A place in a pool: a slot, or none where none is needed or the slots cannot be asked. Isolation is no reason not to
/// deliver.
pub struct Place(Option<Hold>);

impl Slots {
    /// A place of `company` in `pool` for calls of which the last begins at `last_due`; `None` if its share is taken.
    pub async fn place(
        self: &Arc<Self>,
        pool: &Pool,
        company: &CompanyName,
        last_due: DateTime<Utc>,
    ) -> Option<Place> {
        let Some(shares) = pool.shares else { return Some(Place(None)) };
        match self.take(&(pool.key)(company), shares, last_due).await {
            Ok(Taken::Held(hold)) => Some(Place(Some(hold))),
            Ok(Taken::Full) => None,
            Err(error) => {
                tracing::warn!(company = company.as_str(), %error, "calling receivers without a slot");
                pool.metrics.without_slot();
                Some(Place(None))
            }
        }
    }
}

impl Place {
    /// Carries out `work`, and renews the slot's lease meanwhile.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let Some(hold) = &self.0 else { return work.await };
        match select(pin!(work), pin!(hold.keep())).await {
            Either::Left((done, _)) => done,
            Either::Right((never, _)) => match never {},
        }
    }
}

/// Places for requests that call receivers: each holds an instance of its function for as long as its receiver takes.
///
/// An instance in Lambda has one request at a time. A process that has several, as local mode's, stands for as many
/// instances, and each holds slots of its own.
#[derive(Clone)]
pub struct RequestPlaces {
    pool: Pool,
    slots: Arc<Slots>,
    idle: Arc<Mutex<Vec<Arc<Slots>>>>,
}

/// A request's place.
pub struct RequestPlace {
    place: Option<Place>,
    slots: Arc<Slots>,
    idle: Arc<Mutex<Vec<Arc<Slots>>>>,
}

impl RequestPlaces {
    /// Places in `pool`, with `slots` for the first request at a time.
    pub fn new(pool: Pool, slots: Arc<Slots>) -> Self {
        Self { pool, idle: Arc::new(Mutex::new(vec![Arc::clone(&slots)])), slots }
    }

    /// Counting in `metrics`.
    pub fn with_metrics(mut self, metrics: Metrics) -> Self {
        self.pool.metrics = metrics;
        self
    }

    /// With another share, or none to hold.
    pub fn with_shares(mut self, shares: Option<Shares>) -> Self {
        self.pool.shares = shares;
        self
    }

    /// A place for a request that calls a receiver of `company` now; `None` if the company's share is taken.
    pub async fn place(&self, company: &CompanyName) -> Option<RequestPlace> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let slots = idle.unwrap_or_else(|| Arc::new(self.slots.of_another_process()));
        let now = slots.clock.now();
        let place = slots.place(&self.pool, company, now).await;
        let is_full = place.is_none();
        let place = RequestPlace { place, slots, idle: Arc::clone(&self.idle) };
        if is_full {
            tracing::info!(company = company.as_str(), "company holds its share of the requests");
            self.pool.metrics.held_back(1);
            return None;
        }
        Some(place)
    }
}

impl RequestPlace {
    /// See [`Place::during`].
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        match &self.place {
            Some(place) => place.during(work).await,
            None => work.await,
        }
    }
}

impl Drop for RequestPlace {
    fn drop(&mut self) {
        // Given back before another request may use the instance.
        self.place = None;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&self.slots));
    }
}
