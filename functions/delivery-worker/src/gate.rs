//! A gate for each company and receiver: a crowd due in one second goes through it in turns.
//!
//! Thousands of calls at one instant would each open a connection, overflow
//! the receiver's backlog and wait for TCP to try again, a second or more. In
//! turns they find connections that the calls before them left open. The gate
//! evens out bursts and nothing else: a call waits [`WAIT_MAX`] at most, so a
//! receiver that hangs cannot hold claims past their leases.
//!
//! While calls wait, settles do: at the instant only the calls go out.

use chrono::TimeDelta;
use rules::names::CompanyName;
use shared::clock::SharedClock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// A company's calls to one receiver under way at a time; a Lambda invocation's 250 never wait.
const PLACES: usize = 256;
/// A company's claim calls under way at a time: all claims end at one table, and those of a company with very many
/// must not stand in line there before those of one with few.
const CLAIM_CALLS: usize = 4;
/// The longest wait at the gate. Part of [`crate::deliver::SETTLE_TIME`].
const WAIT_MAX: TimeDelta = TimeDelta::seconds(5);
/// The longest time a settle leaves the processor to calls that wait.
const CALM_MAX: TimeDelta = TimeDelta::seconds(1);
/// Receivers known beyond which those without a call under way are forgotten.
const RECEIVERS_MAX: usize = 1_024;

/// All gates.
pub struct Gate {
    clock: SharedClock,
    places: Mutex<HashMap<(CompanyName, String), Arc<Semaphore>>>,
    claims: Mutex<HashMap<CompanyName, Arc<Semaphore>>>,
    /// Calls that wait for a place, at any gate.
    waiting: watch::Sender<usize>,
}

/// Counts a call as waiting for as long as it lives.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|count| *count += 1);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_if_modified(|count| {
            *count -= 1;
            // Those who wait for calm need not hear of each step towards it.
            *count == 0
        });
    }
}

impl Gate {
    /// Open to all.
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, places: Mutex::default(), claims: Mutex::default(), waiting: watch::Sender::new(0) }
    }

    /// Waits for the company's place at the receiver of `url`; `None` if there was none in time, which is no reason
    /// not to call.
    pub async fn enter(&self, company: &CompanyName, url: &str) -> Option<OwnedSemaphorePermit> {
        let places = self.places(company, url);
        if let Ok(place) = places.clone().try_acquire_owned() {
            return Some(place);
        }
        let _waiting = Waiting::begin(&self.waiting);
        tokio::select! {
            biased;
            place = places.acquire_owned() => place.ok(),
            () = self.clock.sleep_until(self.clock.now() + WAIT_MAX) => None,
        }
    }

    /// Waits until no call waits for a place, [`CALM_MAX`] at most.
    pub async fn calm(&self) {
        if *self.waiting.borrow() == 0 {
            return;
        }
        let mut waiting = self.waiting.subscribe();
        tokio::select! {
            biased;
            _ = waiting.wait_for(|count| *count == 0) => {}
            () = self.clock.sleep_until(self.clock.now() + CALM_MAX) => {}
        }
    }

    /// Waits for the company's turn to claim.
    pub async fn claim(&self, company: &CompanyName) -> Option<OwnedSemaphorePermit> {
        let turns = {
            let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
            if claims.len() > RECEIVERS_MAX {
                claims.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
            }
            claims.entry(company.clone()).or_insert_with(|| Arc::new(Semaphore::new(CLAIM_CALLS))).clone()
        };
        turns.acquire_owned().await.ok()
    }

    fn places(&self, company: &CompanyName, url: &str) -> Arc<Semaphore> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() > RECEIVERS_MAX {
            places.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        let gate = (company.clone(), receiver(url).to_owned());
        places.entry(gate).or_insert_with(|| Arc::new(Semaphore::new(PLACES))).clone()
    }
}

/// Scheme and authority.
fn receiver(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |at| authority + at);
    &url[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_scheme_and_authority() {
        for (url, expect) in [
            ("https://a.example/x/y?z=1", "https://a.example"),
            ("http://a.example:8080?x", "http://a.example:8080"),
            ("http://a.example", "http://a.example"),
        ] {
            assert_eq!(receiver(url), expect);
        }
    }
}
