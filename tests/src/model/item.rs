//! An activity's item as the model sees it, and the conditional writes on it.
//!
//! Decisions are the real ones: an [`Item`] becomes a [`State`], `rules::activity` decides, and the state it decides
//! on becomes an item again. Only the conditions and effects of the writes are told anew here, and a test
//! runs every pair of item and write that the model meets as the real statement on the embedded DynamoDB.

use chrono::{DateTime, TimeDelta, Utc};
use rules::activity::{Index, State, Status, accepted, index};
use rules::claim::Claim as HeldClaim;
use rules::verdict::{ResultStatus, Verdict};

/// What its provider reports, where it reports anything.
pub const REPORTED: ResultStatus = ResultStatus::Completed;

/// The instant at which everything is decided. Only what lies before and after it differs.
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// An instant, as the model tells instants apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum When {
    /// It has come.
    Past,
    /// It is still to come.
    Later,
}

impl When {
    fn instant(self) -> DateTime<Utc> {
        match self {
            When::Past => now() - TimeDelta::hours(1),
            When::Later => now() + TimeDelta::hours(1),
        }
    }

    fn of(instant: DateTime<Utc>) -> Self {
        if instant > now() { When::Later } else { When::Past }
    }
}

/// A hold on the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    /// Whose; the real one is random, this one a number that nobody else has.
    pub token: u8,
    /// When the lease runs out.
    pub lease: When,
}

/// The item `ITEM` of an activity, and which of its history entries are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Item {
    pub status: Status,
    pub due: When,
    pub attempts: u8,
    pub max_attempts: u8,
    pub run: u8,
    pub executed: bool,
    pub claim: Option<Claim>,
    /// A result, [`REPORTED`], has ended it or will.
    pub judged: bool,
    /// The attributes of the index `due` are there.
    pub in_due: bool,
    /// The attributes of the index `done` are there.
    pub in_done: bool,
    /// The successful attempt is noted on the item.
    pub success: bool,
    /// Of the run under way, a bit for each attempt whose history entry is written: items of their own.
    pub told: u8,
}

/// A write as a worker or a caller means it; `from` is the item as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Write {
    /// `statements::claim`.
    Claim { token: u8 },
    /// `statements::step`: what is decided on follows what was read.
    Step { from: Item, to: Item },
    /// `statements::note`: a result beside a claim.
    Note { from: Item },
}

impl Item {
    /// An activity just accepted, as `statements::insert` writes it.
    pub fn accepted(max_attempts: u8) -> Self {
        let state = accepted(now(), max_attempts.into(), now());
        let blank = Item {
            status: Status::Ready,
            due: When::Past,
            attempts: 0,
            max_attempts,
            run: 0,
            executed: false,
            claim: None,
            judged: false,
            in_due: false,
            in_done: false,
            success: false,
            told: 0,
        };
        blank.after(&state, false)
    }

    /// What the rules decide on.
    pub fn state(&self) -> State {
        State {
            status: self.status,
            date: When::Past.instant(),
            due: self.due.instant(),
            attempts: self.attempts.into(),
            max_attempts: self.max_attempts.into(),
            run: self.run.into(),
            executed_at: self.executed.then(|| When::Past.instant()),
            claim: self.claim.map(|claim| HeldClaim::due(claim.token.to_string(), claim.lease.instant())),
            verdict: self.judged.then(verdict),
        }
    }

    /// The item once `to` is written over it, with the note of a success where the step has one.
    pub fn after(&self, to: &State, success: bool) -> Self {
        let number = |number: u32| u8::try_from(number).expect("the model counts to a few");
        let new_run = to.run != u32::from(self.run);
        Item {
            status: to.status,
            due: When::of(to.due),
            attempts: number(to.attempts),
            max_attempts: number(to.max_attempts),
            run: number(to.run),
            executed: to.executed_at.is_some(),
            claim: to.claim.as_ref().and(self.claim),
            judged: to.verdict.is_some(),
            in_due: matches!(index(to), Index::Due(_)),
            in_done: index(to) == Index::Done,
            success: success || (self.success && !new_run),
            told: if new_run { 0 } else { self.told },
        }
    }

    /// The condition that `statements::guard` adds: nobody else has changed what the decision was made from.
    fn is_as_read(&self, from: &Item) -> bool {
        self.judged == from.judged
            && match from.claim {
                Some(claim) => self.claim.is_some_and(|held| held.token == claim.token),
                None => {
                    self.claim.is_none()
                        && (self.status, self.attempts, self.run, self.due)
                            == (from.status, from.attempts, from.run, from.due)
                }
            }
    }

    /// The item after `write`; `None` where its condition does not hold.
    pub fn write(&self, write: Write) -> Option<Item> {
        match write {
            // `statements::claim`: READY, due and free. Its condition is `rules::activity::State::claimable`.
            Write::Claim { .. } if self.status != Status::Ready => None,
            Write::Claim { .. } if self.due != When::Past || self.claim.is_some() => None,
            Write::Step { from, .. } | Write::Note { from } if !self.is_as_read(&from) => None,
            write => Some(self.written(write)),
        }
    }

    /// The item after `write`, whatever its condition says.
    pub fn written(&self, write: Write) -> Item {
        match write {
            Write::Claim { token } => Item {
                attempts: self.attempts + 1,
                claim: Some(Claim { token, lease: When::Later }),
                ..*self
            },
            Write::Note { .. } => Item { judged: true, ..*self },
            // What the step changes, and the attributes of its index; those of the index it leaves are removed.
            Write::Step { from, to } => Item {
                status: if from.status == to.status { self.status } else { to.status },
                due: if from.due == to.due { self.due } else { to.due },
                attempts: if from.attempts == to.attempts { self.attempts } else { to.attempts },
                max_attempts: to.max_attempts,
                run: if from.run == to.run { self.run } else { to.run },
                executed: to.executed || (self.executed && !from.executed),
                claim: if from.claim.is_some() { None } else { self.claim },
                judged: if from.judged == to.judged { self.judged } else { to.judged },
                in_due: to.in_due || (self.in_due && !from.in_due),
                in_done: to.in_done || (self.in_done && !from.in_done),
                success: to.success || (self.success && !from.success),
                told: if from.run == to.run { self.told } else { 0 },
            },
        }
    }

    /// Nothing will happen to it unless its owner asks for it.
    pub fn is_finished(&self) -> bool {
        self.status != Status::Ready
    }

    /// Its history tells of each attempt of the run, the last success on the item itself.
    pub fn is_told(&self) -> bool {
        let all = (1..=self.attempts).fold(0, |bits, attempt| bits | bit(attempt));
        let on_item = if self.success { bit(self.attempts) } else { 0 };
        self.told & on_item == 0 && self.told | on_item == all
    }

    /// As a worker or a caller remembers it; no decision is made from the history.
    pub fn read(&self) -> Item {
        Item { told: 0, ..*self }
    }

    /// With the entry of the attempt that `record` is about; one that is there already stands.
    pub fn tell(&self, record: &Item) -> Item {
        // The entry of an earlier run has a key of its own.
        if record.run != self.run { *self } else { Item { told: self.told | bit(record.attempts), ..*self } }
    }
}

/// The result that the model knows.
pub fn verdict() -> Verdict {
    Verdict::of(REPORTED, "result").expect("it is final")
}

fn bit(attempt: u8) -> u8 {
    1 << attempt
}
