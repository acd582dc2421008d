//! Slots as leases in the work table: how many processes may work for one key at a time (`rules::slots`).
//!
//! A key's slots are the items of one partition. Taking, prolonging and renewing one is a conditional write each, so
//! that no two processes hold the same. None is given back: a lease ends with the time for which it was written, which
//! is little longer than quick calls take. So a slot costs a process one write for the calls of a message, none if it
//! goes on within the lease, and a process that dies leaves nothing behind.

mod pool;

pub use pool::{Place, Pool, RequestPlace, RequestPlaces};

use crate::clock::SharedClock;
use crate::engine::StoreError;
use crate::entropy::SharedEntropy;
use crate::table::attr;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use rules::slots::{self, Shares};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Writes that are tried before the slots count as taken: another process may be faster each time.
const TRIES: usize = 4;
/// After a renewal that failed it is tried again after this.
const RENEW_AGAIN: TimeDelta = TimeDelta::milliseconds(500);
/// Keys that a process knows beyond which those that it does nothing for are forgotten.
const KEYS_MAX: usize = 1_024;

/// The slots that one process holds.
pub struct Slots {
    client: Client,
    table: String,
    clock: SharedClock,
    entropy: SharedEntropy,
    /// What this process writes into the slots it holds.
    token: OnceLock<String>,
    keys: Mutex<HashMap<String, Arc<Key>>>,
}

#[derive(Default)]
struct Key {
    uses: AtomicUsize,
    known: tokio::sync::Mutex<Known>,
}

/// What a process knows of a key.
#[derive(Default)]
struct Known {
    held: Option<Held>,
    /// The slot that was held last.
    last: Option<u32>,
    /// All slots were taken, and this is when to ask again.
    full_until: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy)]
struct Held {
    number: u32,
    /// From when on its use counts as time of calls.
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    renew_at: DateTime<Utc>,
    /// It has to rest after this use.
    rests: bool,
}

/// Whether there was a slot.
pub enum Taken {
    /// It is held until this is dropped, and by [`Hold::keep`] for longer than its first lease.
    Held(Hold),
    /// All are taken.
    Full,
}

/// A slot in use.
pub struct Hold {
    slots: Arc<Slots>,
    name: String,
    key: Arc<Key>,
    shares: Shares,
}

impl Slots {
    /// Slots kept in `table`.
    pub fn new(client: Client, table: String, clock: SharedClock, entropy: SharedEntropy) -> Self {
        Self { client, table, clock, entropy, token: OnceLock::new(), keys: Mutex::default() }
    }

    /// Those of another process on the same table.
    pub fn of_another_process(&self) -> Self {
        Self::new(self.client.clone(), self.table.clone(), self.clock.clone(), self.entropy.clone())
    }

    /// Takes a slot of `name`, a partition key, for calls of which the last begins at `last_due`.
    ///
    /// # Errors
    /// [`StoreError`] when the table cannot be asked: then nobody knows.
    pub async fn take(
        self: &Arc<Self>,
        name: &str,
        shares: Shares,
        last_due: DateTime<Utc>,
    ) -> Result<Taken, StoreError> {
        let key = self.key(name);
        let mut known = key.known.lock().await;
        let is_held = self.hold(name, shares, &key, &mut known, last_due).await?;
        drop(known);
        if !is_held {
            return Ok(Taken::Full);
        }
        key.uses.fetch_add(1, Ordering::SeqCst);
        Ok(Taken::Held(Hold { slots: Arc::clone(self), name: name.to_owned(), key, shares }))
    }

    async fn hold(
        &self,
        name: &str,
        shares: Shares,
        key: &Key,
        known: &mut Known,
        last_due: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let is_idle = key.uses.load(Ordering::SeqCst) == 0;
        if let Some(held) = known.held {
            if held.until <= now || (is_idle && held.rests) {
                known.held = None;
            } else if self.goes_on(name, known, held, is_idle, last_due).await? {
                return Ok(true);
            }
        }
        if known.full_until.is_some_and(|until| until > now) {
            return Ok(false);
        }
        self.acquire(name, shares, known, last_due).await
    }

    /// Uses the slot that is held already, if its lease can be made long enough.
    async fn goes_on(
        &self,
        name: &str,
        known: &mut Known,
        held: Held,
        is_idle: bool,
        last_due: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let from = slots::calls_from(now, last_due);
        let held = Held { since: if is_idle { from } else { held.since }, ..held };
        // What is left does for quick calls, or is renewed.
        if held.until > from || !is_idle {
            known.held = Some(held);
            return Ok(true);
        }
        let until = slots::lease_until(now, last_due);
        let is_ours = self.write(name, held.number, until, Expect::Ours).await?;
        known.held = is_ours.then(|| Held { until, renew_at: slots::renew_at(from, until), ..held });
        Ok(is_ours)
    }

    /// Takes a free slot: without reading anything if the first one tried is free.
    async fn acquire(
        &self,
        name: &str,
        shares: Shares,
        known: &mut Known,
        last_due: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let until = slots::lease_until(now, last_due);
        let mut number = shares.first(known.last.take(), self.draw());
        let mut taken = Vec::new();
        for tried in 0..TRIES {
            if self.write(name, number, until, Expect::Free(now)).await? {
                let since = slots::calls_from(now, last_due);
                let renew_at = slots::renew_at(since, until);
                known.held = Some(Held { number, since, until, renew_at, rests: false });
                known.last = Some(number);
                known.full_until = None;
                return Ok(true);
            }
            if tried == 0 {
                taken = self.taken(name).await?;
            }
            // Whatever was read of it: it is not free.
            taken.retain(|(of, _)| *of != number);
            taken.push((number, now + slots::ASK_AGAIN));
            match shares.choose(&taken, now, self.draw()) {
                Ok(free) => number = free,
                Err(free_at) => {
                    known.full_until = Some(free_at.min(now + slots::ASK_AGAIN));
                    return Ok(false);
                }
            }
        }
        known.full_until = Some(now + slots::ASK_AGAIN);
        Ok(false)
    }

    /// The slots with a lease, and when it ends.
    async fn taken(&self, name: &str) -> Result<Vec<(u32, DateTime<Utc>)>, StoreError> {
        // One page: a thousand slots have less than 1 MB. It may be old: the write decides.
        let output = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("PK = :name")
            .expression_attribute_values(":name", AttributeValue::S(name.to_owned()))
            .send()
            .await
            .map_err(StoreError::from_sdk)?;
        let slot = |item: &HashMap<String, AttributeValue>| {
            let number = item.get(attr::SK)?.as_s().ok()?.parse().ok()?;
            Some((number, instant(item)?))
        };
        Ok(output.items.unwrap_or_default().iter().filter_map(slot).collect())
    }

    /// Removes all slots of `name`, whoever holds them: of what was deleted.
    ///
    /// # Errors
    /// [`StoreError`] when the table cannot be read or written.
    pub async fn remove(&self, name: &str) -> Result<(), StoreError> {
        for (number, _) in self.taken(name).await? {
            self.client
                .delete_item()
                .table_name(&self.table)
                .key(attr::PK, AttributeValue::S(name.to_owned()))
                .key(attr::SK, AttributeValue::S(sort(number)))
                .send()
                .await
                .map_err(StoreError::from_sdk)?;
        }
        Ok(())
    }

    /// Writes a lease into a slot; `false` if it is not as it is expected to be.
    async fn write(
        &self,
        name: &str,
        number: u32,
        until: DateTime<Utc>,
        expect: Expect,
    ) -> Result<bool, StoreError> {
        let (token, until) = (self.token(), millis(until));
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(attr::PK, AttributeValue::S(name.to_owned()))
            .key(attr::SK, AttributeValue::S(sort(number)))
            .update_expression("SET #token = :token, #until = :until")
            .expression_attribute_names("#token", attr::TOKEN)
            .expression_attribute_names("#until", attr::LEASE)
            .expression_attribute_values(":token", token.clone())
            .expression_attribute_values(":until", until.clone())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let update = match expect {
            Expect::Free(now) => update
                .condition_expression("attribute_not_exists(#until) OR #until <= :now")
                .expression_attribute_values(":now", millis(now)),
            Expect::Ours => update.condition_expression("#token = :token"),
        };
        use aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException;
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                // Our own write, repeated by the SDK after it had succeeded, is as we wanted it.
                Some(ConditionalCheckFailedException(lost)) => Ok(lost.item.as_ref().is_some_and(|item| {
                    item.get(attr::TOKEN) == Some(&token) && item.get(attr::LEASE) == Some(&until)
                })),
                _ => Err(StoreError::from_sdk(error)),
            },
        }
    }

    /// Renews the lease of a slot in use, if it is time; when to look again, or never if it is lost.
    async fn renew(&self, name: &str, shares: Shares, known: &mut Known) -> Option<DateTime<Utc>> {
        let held = known.held?;
        let now = self.clock.now();
        if held.renew_at > now {
            return Some(held.renew_at);
        }
        let until = now + slots::RENEWAL;
        let rest = shares.rest(held.number, until - held.since);
        match self.write(name, held.number, until + rest, Expect::Ours).await {
            Ok(true) => {
                let rests = held.rests || rest > TimeDelta::zero();
                let renew_at = slots::renew_at(now, until);
                known.held = Some(Held { until, renew_at, rests, ..held });
                if rests {
                    known.last = None;
                }
                Some(renew_at)
            }
            // This process stood still for longer than its lease, and another has the slot.
            Ok(false) => {
                known.held = None;
                None
            }
            Err(error) => {
                tracing::warn!(slots = name, %error, "slot not renewed");
                let renew_at = now + RENEW_AGAIN;
                known.held = Some(Held { renew_at, ..held });
                Some(renew_at)
            }
        }
    }

    fn key(&self, name: &str) -> Arc<Key> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() > KEYS_MAX {
            keys.retain(|_, key| Arc::strong_count(key) > 1);
        }
        Arc::clone(keys.entry(name.to_owned()).or_default())
    }

    fn token(&self) -> AttributeValue {
        let token = self.token.get_or_init(|| URL_SAFE_NO_PAD.encode(self.entropy.bytes::<12>()));
        AttributeValue::S(token.clone())
    }

    fn draw(&self) -> u64 {
        u64::from_le_bytes(self.entropy.bytes())
    }
}

impl Hold {
    /// Renews the lease for as long as this is polled.
    pub async fn keep(&self) -> Infallible {
        loop {
            let mut known = self.key.known.lock().await;
            let renew_at = self.slots.renew(&self.name, self.shares, &mut known).await;
            drop(known);
            match renew_at {
                Some(at) => self.slots.clock.sleep_beside_work(at).await,
                None => std::future::pending().await,
            }
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.key.uses.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a slot has to be for a write to hold.
#[derive(Clone, Copy)]
enum Expect {
    /// Without a lease at this instant.
    Free(DateTime<Utc>),
    /// As this process wrote it last.
    Ours,
}

fn sort(number: u32) -> String {
    format!("{number:05}")
}

fn millis(at: DateTime<Utc>) -> AttributeValue {
    AttributeValue::N(at.timestamp_millis().to_string())
}

fn instant(item: &HashMap<String, AttributeValue>) -> Option<DateTime<Utc>> {
    let text = item.get(attr::LEASE)?.as_n().ok()?;
    DateTime::from_timestamp_millis(text.parse().ok()?)
}
