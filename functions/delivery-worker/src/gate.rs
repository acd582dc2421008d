//! A gate for each receiver: a crowd due in one second goes through it in turns.
//!
//! Thousands of calls at one instant would each open a connection, overflow
//! the receiver's backlog and wait for TCP to try again, a second or more. In
//! turns they find connections that the calls before them left open. The gate
//! evens out bursts and nothing else: a call waits [`WAIT_MAX`] at most, so a
//! receiver that hangs cannot hold claims past their leases.

use chrono::TimeDelta;
use shared::clock::SharedClock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Calls to one receiver under way at a time; a Lambda invocation's 250 never wait.
const PLACES: usize = 256;
/// The longest wait at the gate. Part of [`crate::deliver::SETTLE_TIME`].
const WAIT_MAX: TimeDelta = TimeDelta::seconds(5);
/// Receivers known beyond which those without a call under way are forgotten.
const RECEIVERS_MAX: usize = 1_024;

/// The gates of all receivers.
pub struct Gate {
    clock: SharedClock,
    places: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Gate {
    /// Open to all.
    pub fn new(clock: SharedClock) -> Self {
        Self { clock, places: Mutex::default() }
    }

    /// Waits for a place at the receiver of `url`; `None` if there was none in time, which is no reason not to call.
    pub async fn enter(&self, url: &str) -> Option<OwnedSemaphorePermit> {
        let places = self.places(url);
        if let Ok(place) = places.clone().try_acquire_owned() {
            return Some(place);
        }
        tokio::select! {
            biased;
            place = places.acquire_owned() => place.ok(),
            () = self.clock.sleep_until(self.clock.now() + WAIT_MAX) => None,
        }
    }

    fn places(&self, url: &str) -> Arc<Semaphore> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() > RECEIVERS_MAX {
            places.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        let receiver = receiver(url);
        match places.get(receiver) {
            Some(semaphore) => semaphore.clone(),
            None => {
                places.entry(receiver.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(PLACES))).clone()
            }
        }
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
