//! One queue's messages, as a value: no clock, no lock, no wire format.
//!
//! A message is in one of two places. *Ready* messages wait by group, and the
//! groups take turns, as in AWS's fair queues: one with 4,000 messages does
//! not hold up another's one. *Hidden* ones, delayed or in flight, are ordered
//! by the instant they become visible. Every step costs O(log n).

use super::attributes::QueueAttributes;
use super::wire::MessageAttribute;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// Most messages in flight at a time; a receive then finds none.
const IN_FLIGHT_MAX: usize = 120_000;

/// A message as it is kept.
#[derive(Debug, Clone)]
pub struct Message {
    pub id: String,
    pub body: String,
    pub body_md5: String,
    pub group: Option<Arc<str>>,
    pub deduplication_id: Option<String>,
    pub attributes: BTreeMap<String, MessageAttribute>,
    pub system_attributes: BTreeMap<String, MessageAttribute>,
    pub sent_millis: i64,
    /// When it was received for the first time, in whatever queue.
    pub first_received_millis: Option<i64>,
    /// Receives in all queues it has been in: what `ApproximateReceiveCount` reports.
    pub receives: u32,
    /// The queue whose redrive policy brought it here.
    pub dead_letter_source: Option<String>,
}

/// A message handed to a receiver.
#[derive(Debug)]
pub struct Received {
    pub ticket: Ticket,
    pub message: Message,
}

/// What a receipt handle names: a message, and the receive that handed it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    pub key: u64,
    pub receive: u32,
}

/// What [`Queue::receive`] found.
#[derive(Debug, Default)]
pub struct Taken {
    pub received: Vec<Received>,
    /// Messages that have used up their receives, for the dead-letter queue.
    pub dead: Vec<Message>,
}

/// How many messages are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ready for the next receive.
    pub visible: usize,
    /// Received and neither deleted nor visible again.
    pub in_flight: usize,
    /// Sent with a delay that has not passed.
    pub delayed: usize,
    /// Messages that receivers of this process got so far, through the
    /// in-process door. Who counts what it is done with sees what is in hand.
    pub handed_out: u64,
}

#[derive(Debug)]
struct Slot {
    message: Message,
    /// Receives in this queue; the redrive policy counts these.
    receives: u32,
    /// Hidden until then; `None` when ready.
    hidden_until: Option<i64>,
}

type Group = Option<Arc<str>>;

/// A queue and its messages.
#[derive(Debug)]
pub struct Queue {
    pub attributes: QueueAttributes,
    pub tags: BTreeMap<String, String>,
    slots: HashMap<u64, Slot>,
    hidden: BTreeSet<(i64, u64)>,
    ready: HashMap<Group, VecDeque<u64>>,
    /// Groups with ready messages, the next one first.
    turns: VecDeque<Group>,
    by_age: BTreeSet<(i64, u64)>,
    in_flight: usize,
    next_key: u64,
    /// Messages received in this process so far; see [`Counts::handed_out`].
    pub handed_out: u64,
}

impl Queue {
    /// An empty queue.
    pub fn new(attributes: QueueAttributes, tags: BTreeMap<String, String>) -> Self {
        Self {
            attributes,
            tags,
            slots: HashMap::new(),
            hidden: BTreeSet::new(),
            ready: HashMap::new(),
            turns: VecDeque::new(),
            by_age: BTreeSet::new(),
            in_flight: 0,
            next_key: 0,
            handed_out: 0,
        }
    }

    /// Adds a message that becomes visible after `delay_seconds`.
    pub fn send(&mut self, now: i64, delay_seconds: u32, message: Message) {
        self.next_key += 1;
        let key = self.next_key;
        self.by_age.insert((message.sent_millis, key));
        let group = message.group.clone();
        let hidden_until = (delay_seconds > 0).then(|| now + i64::from(delay_seconds) * 1000);
        self.slots.insert(key, Slot { message, receives: 0, hidden_until });
        match hidden_until {
            Some(until) => {
                self.hidden.insert((until, key));
            }
            None => self.make_ready(group, key),
        }
    }

    /// Takes up to `max` visible messages and hides them for `visibility_seconds`.
    pub fn receive(&mut self, now: i64, max: usize, visibility_seconds: u32) -> Taken {
        self.settle_time(now);
        let mut taken = Taken::default();
        let mut still_visible = Vec::new();
        while taken.received.len() < max && self.in_flight < IN_FLIGHT_MAX {
            let Some(key) = self.next_ready() else { break };
            let Some(slot) = self.slots.get_mut(&key) else { continue };
            if self.attributes.redrive.as_ref().is_some_and(|redrive| slot.receives >= redrive.max_receives) {
                taken.dead.extend(self.remove(key));
                continue;
            }
            slot.receives += 1;
            slot.message.receives += 1;
            slot.message.first_received_millis.get_or_insert(now);
            let until = now + i64::from(visibility_seconds) * 1000;
            let ticket = Ticket { key, receive: slot.receives };
            taken.received.push(Received { ticket, message: slot.message.clone() });
            if visibility_seconds == 0 {
                still_visible.push((slot.message.group.clone(), key));
            } else {
                slot.hidden_until = Some(until);
                self.hidden.insert((until, key));
                self.in_flight += 1;
            }
        }
        // Only now, so that one call does not hand out the same message twice.
        for (group, key) in still_visible {
            self.make_ready(group, key);
        }
        taken
    }

    /// Deletes the message if `ticket` is its latest receive. Otherwise
    /// nothing happens, which AWS reports as success.
    pub fn delete(&mut self, ticket: Ticket) {
        if self.slots.get(&ticket.key).is_some_and(|slot| slot.receives == ticket.receive) {
            self.remove(ticket.key);
        }
    }

    /// Hides a message in flight for `seconds` from now; `false` if it is not in flight.
    pub fn change_visibility(&mut self, now: i64, ticket: Ticket, seconds: u32) -> bool {
        self.settle_time(now);
        let Some(slot) = self.slots.get_mut(&ticket.key) else { return false };
        let Some(until) = slot.hidden_until.filter(|_| slot.receives == ticket.receive) else { return false };
        self.hidden.remove(&(until, ticket.key));
        let until = now + i64::from(seconds) * 1000;
        slot.hidden_until = Some(until);
        self.hidden.insert((until, ticket.key));
        self.settle_time(now);
        true
    }

    /// Deletes every message.
    pub fn purge(&mut self) {
        self.slots.clear();
        self.hidden.clear();
        self.ready.clear();
        self.turns.clear();
        self.by_age.clear();
        self.in_flight = 0;
    }

    /// Takes every visible message out, to move it elsewhere.
    pub fn drain_visible(&mut self, now: i64) -> Vec<Message> {
        self.settle_time(now);
        let mut drained = Vec::new();
        while let Some(key) = self.next_ready() {
            drained.extend(self.remove(key));
        }
        drained
    }

    /// How many messages are where at `now`.
    pub fn counts(&mut self, now: i64) -> Counts {
        self.settle_time(now);
        Counts {
            visible: self.slots.len() - self.hidden.len(),
            in_flight: self.in_flight,
            delayed: self.hidden.len() - self.in_flight,
            handed_out: self.handed_out,
        }
    }

    /// The instant at which the next hidden message becomes visible.
    pub fn next_visible_millis(&self) -> Option<i64> {
        self.hidden.first().map(|(until, _)| *until)
    }

    /// Makes visible what `now` makes visible and drops what has outlived the
    /// retention period.
    fn settle_time(&mut self, now: i64) {
        let oldest_kept = now - i64::from(self.attributes.retention_seconds) * 1000;
        while let Some(&(sent, key)) = self.by_age.first() {
            if sent >= oldest_kept {
                break;
            }
            self.remove(key);
        }
        while let Some(&(until, key)) = self.hidden.first() {
            if until > now {
                break;
            }
            self.hidden.pop_first();
            let Some(slot) = self.slots.get_mut(&key) else { continue };
            slot.hidden_until = None;
            if slot.receives > 0 {
                self.in_flight -= 1;
            }
            let group = slot.message.group.clone();
            self.make_ready(group, key);
        }
    }

    fn make_ready(&mut self, group: Group, key: u64) {
        let waiting = self.ready.entry(group.clone()).or_default();
        if waiting.is_empty() {
            self.turns.push_back(group);
        }
        waiting.push_back(key);
    }

    /// The next ready message of the group whose turn it is. Keys of messages
    /// deleted meanwhile are dropped on the way.
    fn next_ready(&mut self) -> Option<u64> {
        while let Some(group) = self.turns.pop_front() {
            let Some(waiting) = self.ready.get_mut(&group) else { continue };
            let found = std::iter::from_fn(|| waiting.pop_front()).find(|key| self.slots.contains_key(key));
            if waiting.is_empty() {
                self.ready.remove(&group);
            } else {
                self.turns.push_back(group);
            }
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn remove(&mut self, key: u64) -> Option<Message> {
        let slot = self.slots.remove(&key)?;
        self.by_age.remove(&(slot.message.sent_millis, key));
        if let Some(until) = slot.hidden_until {
            self.hidden.remove(&(until, key));
            if slot.receives > 0 {
                self.in_flight -= 1;
            }
        }
        Some(slot.message)
    }
}
