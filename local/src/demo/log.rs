//! What the demo shows while it runs, and what it has seen at the end.

use super::receiver::{Arrival, Proof};
use chrono::{DateTime, TimeDelta, Utc};
use shared::clock::{Clock, SystemClock};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lines on the terminal, and the arrivals that they tell of.
pub struct Log {
    began: DateTime<Utc>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// When each activity's next call is due.
    due: HashMap<String, DateTime<Utc>>,
    arrivals: Vec<(Arrival, Option<TimeDelta>)>,
}

impl Log {
    /// A log that begins now.
    pub fn new() -> Self {
        Self { began: SystemClock.now(), inner: Mutex::default() }
    }

    /// Says what is being done.
    pub fn say(&self, text: &str) {
        println!("{:>6.2} s  {text}", self.seconds(SystemClock.now()));
    }

    /// Notes when an activity's next call is due, to tell its lateness by.
    pub fn expect(&self, activity: &str, due: DateTime<Utc>) {
        self.lock().due.insert(activity.to_owned(), due);
    }

    /// Shows an arrival.
    pub fn arrival(&self, arrival: Arrival) {
        // Each expectation is for one call; a retry's time is Punctual's to choose.
        let due = self.lock().due.remove(&arrival.activity);
        let late = due.map(|due| arrival.at - due);
        let told = match (late, arrival.attempt) {
            (Some(late), _) => format!("{:+} ms", late.num_milliseconds()),
            (None, 1) => String::new(),
            (None, attempt) => format!("attempt {attempt}"),
        };
        println!(
            "{:>6.2} s    -> {:<33} {}  {:>9}  {}",
            self.seconds(arrival.at),
            rules::shown::on_terminal(&arrival.request),
            arrival.status,
            told,
            match (arrival.by, arrival.proven) {
                (Proof::Signature, true) => "signature ok",
                (Proof::Signature, false) => "SIGNATURE WRONG",
                (Proof::NotificationKey, true) => "key ok",
                (Proof::NotificationKey, false) => "KEY WRONG",
            },
        );
        self.lock().arrivals.push((arrival, late));
    }

    /// Everything that has arrived, with its lateness where it had a time.
    pub fn arrivals(&self) -> Vec<(Arrival, Option<TimeDelta>)> {
        self.lock().arrivals.clone()
    }

    fn seconds(&self, at: DateTime<Utc>) -> f64 {
        (at - self.began).num_milliseconds() as f64 / 1000.0
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
