//! Everything that takes part: the item, its messages, two workers, the sweeper and a caller.

use super::item::{Claim, Item, When};

/// Visible copies of the one message that are told apart, one for each worker. A further copy adds nothing: a message
/// is a hint.
const VISIBLE_MAX: u8 = 2;
/// Delayed copies; all become visible at once.
const DELAYED_MAX: u8 = 1;
/// Calls that the receiver may take again, as far as they are counted.
const SPARE_MAX: u8 = 2;

/// What a caller asks for, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ask {
    /// `WorkStore::create`.
    Create,
    Cancel,
    /// To an instant that is still to come.
    Reschedule,
    DispatchNow,
    /// A dead letter tried again.
    Retry,
    /// `WorkStore::apply`: its provider reports that it was executed.
    Completed,
    Pause,
    /// `sweep::resume`: running again, and what is due enqueued.
    Resume,
}

/// What the caller is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Between two things it asks for.
    Idle,
    /// It has read the item and will write what follows from that.
    Read(Item),
    /// It has written and will send the message.
    Sends(When),
}

/// What a worker does with the message in its hand (`functions/delivery-worker/src/deliver.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// It has no message.
    Idle,
    /// It has received one and will claim.
    Received,
    /// It has claimed and holds the item until its instant.
    Claimed(Item),
    /// It has called, and the receiver took it or did not.
    Called { record: Item, ok: bool },
    /// The failure's history entry is written, the settle is not.
    Told(Item),
    /// It found a claim whose lease ran out: the attempt of a worker that is lost.
    Abandoned(Item),
    /// It gives the claim back uncalled: the solution is paused, or the lease would not last (`late`).
    GivesBack { record: Item, late: bool },
    /// It sends a message for the next attempt, or to look again at what another worker has.
    Sends(When),
}

/// One worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Worker {
    pub phase: Phase,
    /// It holds a claim whose lease runs.
    pub is_live: bool,
    /// Its crash is still to come.
    pub may_crash: bool,
}

/// What the sweeper does (`shared/src/sweep`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sweeper {
    Idle,
    /// It has read an overdue row of the index `due`.
    Read,
    /// It died, and its lease on the slice keeps others away until it runs out.
    Dead,
}

/// Faults that are still to come, once each, apart from the workers' crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Faults {
    /// A message is delivered twice.
    pub duplicate: bool,
    /// A message is lost; or its sender dies before it sends it, which is the same.
    pub loss: bool,
    /// A settle takes effect, its answer is lost, and the SDK sends it again.
    pub unanswered: bool,
}

/// What the receiver and an onlooker know, for the properties alone; of each run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Calls made.
    pub calls: u8,
    /// Calls that the receiver may still take: one, and one more for each worker that was lost, dead or without its
    /// lease, between a call that was taken and its settle. `None` once it took more.
    pub spare: Option<u8>,
}

impl Seen {
    /// A call was made, and taken or not.
    pub fn call(&mut self, ok: bool) {
        self.calls += 1;
        if ok {
            self.spare = self.spare.and_then(|spare| spare.checked_sub(1));
        }
    }

    /// A worker was lost after a call that was taken.
    pub fn forget(&mut self) {
        self.spare = self.spare.map(|spare| SPARE_MAX.min(spare + 1));
    }
}

/// A state of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct System {
    pub item: Option<Item>,
    /// Copies of its message that are visible.
    pub visible: u8,
    /// Copies that are still delayed.
    pub delayed: u8,
    pub workers: [Worker; 2],
    pub sweeper: Sweeper,
    pub caller: Caller,
    /// How many of its asks the caller has begun.
    pub asked: u8,
    pub is_paused: bool,
    pub faults: Faults,
    /// Of run 0 and run 1.
    pub seen: [Seen; 2],
}

impl System {
    /// Nothing has happened yet; each worker will die once, and `faults` are still to come.
    pub fn beginning(faults: Faults) -> Self {
        let worker = Worker { phase: Phase::Idle, is_live: false, may_crash: true };
        let seen = Seen { calls: 0, spare: Some(1) };
        Self {
            item: None,
            visible: 0,
            delayed: 0,
            workers: [worker; 2],
            sweeper: Sweeper::Idle,
            caller: Caller::Idle,
            asked: 0,
            is_paused: false,
            faults,
            seen: [seen; 2],
        }
    }

    /// A message goes to the queue, visible once its instant has come.
    pub fn send(&mut self, when: When) {
        match when {
            When::Past => self.visible = VISIBLE_MAX.min(self.visible + 1),
            When::Later => self.delayed = DELAYED_MAX.min(self.delayed + 1),
        }
    }

    /// The same state with its workers in one order: which of the two does what makes no difference.
    pub fn sorted(mut self) -> Self {
        self.workers.sort_unstable();
        self
    }

    /// A token that nobody has.
    pub fn fresh_token(&self) -> u8 {
        let used = |token: u8| {
            let records = self.workers.iter().filter_map(|worker| worker.phase.record());
            let read = match &self.caller {
                Caller::Read(item) => Some(item),
                _ => None,
            };
            let mut items = records.chain(read).chain(&self.item);
            items.any(|item| item.claim.is_some_and(|claim| claim.token == token))
        };
        (0..).find(|token| !used(*token)).expect("there are fewer holders than numbers")
    }

    /// Every instant that was still to come has come, whoever remembers it; leases run out, delays end.
    pub fn after_time(&self) -> Self {
        let mut next = *self;
        for worker in &mut next.workers {
            let was_live = std::mem::take(&mut worker.is_live);
            if let Phase::Called { record, ok: true } = worker.phase
                && was_live
            {
                next.seen[usize::from(record.run)].forget();
            }
            if let Some(record) = worker.phase.record_mut() {
                pass(record);
            }
            if worker.phase == Phase::Sends(When::Later) {
                worker.phase = Phase::Sends(When::Past);
            }
        }
        match &mut next.caller {
            Caller::Read(item) => pass(item),
            Caller::Sends(when) => *when = When::Past,
            Caller::Idle => {}
        }
        next.item.iter_mut().for_each(pass);
        if next.sweeper == Sweeper::Dead {
            next.sweeper = Sweeper::Idle;
        }
        next.visible = VISIBLE_MAX.min(next.visible + next.delayed);
        next.delayed = 0;
        next
    }
}

fn pass(item: &mut Item) {
    item.due = When::Past;
    item.claim = item.claim.map(|claim| Claim { lease: When::Past, ..claim });
}

impl Phase {
    /// The item as the worker knows it.
    pub fn record(&self) -> Option<&Item> {
        match self {
            Phase::Claimed(record)
            | Phase::Called { record, .. }
            | Phase::Told(record)
            | Phase::Abandoned(record)
            | Phase::GivesBack { record, .. } => Some(record),
            Phase::Idle | Phase::Received | Phase::Sends(_) => None,
        }
    }

    /// The same with the item as it was found since.
    pub fn with(mut self, found: Item) -> Self {
        if let Some(record) = self.record_mut() {
            *record = found;
        }
        self
    }

    fn record_mut(&mut self) -> Option<&mut Item> {
        match self {
            Phase::Claimed(record)
            | Phase::Called { record, .. }
            | Phase::Told(record)
            | Phase::Abandoned(record)
            | Phase::GivesBack { record, .. } => Some(record),
            Phase::Idle | Phase::Received | Phase::Sends(_) => None,
        }
    }
}
