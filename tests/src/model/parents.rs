//! A parent that is deleted while children are created below it, as a model that is checked exhaustively.
//!
//! Deleters, creators, and an owner who puts the parent again take every order of steps there is. Deleters and creators may
//! die at any point; a creator's request is then repeated, and a write that was in flight when it died may take
//! effect at any time. What is decided is decided by [`rules::parent`] itself. Time goes in seconds and is kept as
//! ages: of reads, of marks and of children. So a creator may be slow anywhere, between its read of the parent, its write and
//! its answer, and an index may show a child at once or as late as [`INDEX_LAG`] allows.

mod actors;

use super::explore::Model;
use chrono::{DateTime, TimeDelta, Utc};
use rules::parent::{DELETION_WAIT, Finish, INDEX_LAG, Seen, Stage, Stored, WRITTEN_WITHIN, must_look};

/// Of each kind.
const ACTORS: usize = 2;

/// The parent as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Parent {
    /// How many were made before it: of the real one it is the instant at which it was made.
    pub incarnation: u8,
    pub revision: u8,
    pub is_marked: bool,
}

impl Parent {
    fn stored(self) -> Stored {
        let Parent { incarnation, revision, is_marked } = self;
        Stored { created_at: instant(incarnation), revision: revision.into(), is_marked }
    }

    fn changed(self, is_marked: bool) -> Self {
        Self { revision: self.revision + 1, is_marked, ..self }
    }
}

fn instant(number: u8) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(number.into())
}

fn seconds(span: TimeDelta) -> u8 {
    u8::try_from(span.num_seconds()).expect("a few seconds")
}

/// Where a deletion stands (`functions/api-ingest/src/deletion.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Deleter {
    /// It has not begun.
    Idle,
    /// It has found no child.
    Looked,
    /// It has marked the parent, so long ago.
    Waits(Parent, u8),
    /// It has found no child again.
    Finds(Parent),
    /// It has found a child, and will remove its mark.
    Cancels(Parent),
    /// It has deleted the parent, and will answer.
    Deleted,
    /// It has answered: 204, 404 or 409.
    Answered(Finish),
    Dead,
}

/// What a creator knows of the parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Saw {
    pub incarnation: u8,
    pub is_marked: bool,
    /// How long ago it began to read it.
    pub age: u8,
}

impl Saw {
    fn of(parent: Parent) -> Self {
        Self { incarnation: parent.incarnation, is_marked: parent.is_marked, age: 0 }
    }

    fn must_look(self, stage: Stage) -> bool {
        let seen = Seen { read_at: instant(0), is_marked: self.is_marked };
        must_look(seen, stage, instant(self.age))
    }
}

/// Where a creation stands (`WorkStore::create` and the like).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// It has not begun.
    Idle,
    /// It has read the parent.
    Read(Saw),
    /// It writes the child.
    Writes(Saw),
    /// It has written the child; or, where that is true, has found the one of an earlier request.
    Wrote(Saw, bool),
    /// It has found the parent marked, and will remove the mark; in which stage.
    Reopens(Parent, At),
    /// It has found the parent gone, and will delete the child.
    TakesBack,
    /// It has answered with 2xx, of the parent of which incarnation; or has refused.
    Answered(Option<u8>),
    Dead,
}

/// [`Stage`], in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum At {
    Writing,
    Written,
    Known,
}

impl At {
    fn wrote(known: bool) -> Self {
        if known { At::Known } else { At::Written }
    }

    fn stage(self) -> Stage {
        match self {
            At::Writing => Stage::Writing,
            At::Written => Stage::Written,
            At::Known => Stage::Known,
        }
    }
}

/// One creation, and its child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Creator {
    pub phase: Phase,
    /// The child is there, since how long; at most until every index shows it.
    pub child: Option<u8>,
    /// A write of one who died is still in flight.
    pub in_flight: bool,
}

/// Everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct System {
    pub parent: Option<Parent>,
    /// Parents made so far.
    pub made: u8,
    pub deleters: [Deleter; ACTORS],
    /// Deleters that may still die, and creators.
    pub deaths: u8,
    pub crashes: u8,
    pub creators: [Creator; ACTORS],
    /// Puts of the owner that are still to come.
    pub puts: u8,
}

/// One step; deleters and creators are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Looks(usize),
    Marks(usize),
    LooksAgain(usize),
    Deletes(usize),
    Cancels(usize),
    DeleterAnswers(usize),
    DeleterDies(usize),
    /// It reads the parent, which it may use for as long as configuration is cached.
    Reads(usize),
    /// It goes on by what it has read.
    Trusts(usize),
    /// It reads the parent again, past the cache.
    ReadsAgain(usize),
    Writes(usize),
    RemovesMark(usize),
    TakesBack(usize),
    CreatorDies(usize),
    /// A write that was in flight takes effect.
    Lands(usize),
    Puts,
    TimePasses,
}

/// A defect put into the model on purpose, to see that the checker finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// A creator goes on though the parent is marked.
    MarkIgnored,
    /// A creator is refused where the parent is marked.
    MarkRefuses,
    /// A creator whose write took long does not look whether the parent is there still.
    LateWriteTrusted,
    /// A child that is there already is taken for accepted.
    KnownTrusted,
    /// A deleter looks for children as soon as it has marked the parent.
    NoWait,
    /// It waits for a second less.
    WaitTooShort,
    /// It looks for children once, before its mark.
    OneLook,
    /// It deletes whatever parent there is.
    DeletionUnconditional,
    /// It deletes the parent that has the revision of its mark.
    RevisionAlone,
}

/// What is explored.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// How many take part, of two each.
    pub deleters: usize,
    pub creators: usize,
    /// How often the owner puts the parent: makes it, where there is none, or else changes it.
    pub puts: u8,
    /// How many of the deleters die, and how many of the creators.
    pub deaths: u8,
    pub crashes: u8,
    pub mutation: Option<Mutation>,
}

impl Model for Setup {
    type State = System;
    type Action = Action;
    type Write = ();

    fn beginning(&self) -> System {
        let creator = |phase| Creator { phase, child: None, in_flight: false };
        System {
            parent: Some(Parent { incarnation: 0, revision: 1, is_marked: false }),
            made: 1,
            deleters: std::array::from_fn(|number| match number < self.deleters {
                true => Deleter::Idle,
                false => Deleter::Dead,
            }),
            deaths: self.deaths,
            crashes: self.crashes,
            creators: std::array::from_fn(|number| match number < self.creators {
                true => creator(Phase::Idle),
                false => creator(Phase::Dead),
            }),
            puts: self.puts,
        }
    }

    fn next(&self, state: &System, _: &mut dyn FnMut(())) -> Vec<(Action, System)> {
        let mut steps = Vec::new();
        for number in 0..ACTORS {
            self.deleter(state, number, &mut steps);
            self.creator(state, number, &mut steps);
        }
        if state.puts > 0 {
            let parent = match state.parent {
                Some(parent) => parent.changed(false),
                None => Parent { incarnation: state.made, revision: 1, is_marked: false },
            };
            let made = state.made.max(parent.incarnation + 1);
            steps.push((Action::Puts, System { parent: Some(parent), made, puts: state.puts - 1, ..*state }));
        }
        let later = state.a_second_later();
        if later != *state {
            steps.push((Action::TimePasses, later));
        }
        steps
    }

    fn broken(&self, before: &System, action: Action, after: &System) -> Option<&'static str> {
        let stands = |creator: &Creator| match (creator.phase, creator.child) {
            (Phase::Answered(Some(incarnation)), Some(_)) => Some(incarnation),
            _ => None,
        };
        let is_there = |incarnation| after.parent.is_some_and(|parent| parent.incarnation == incarnation);
        if after.creators.iter().filter_map(stands).any(|incarnation| !is_there(incarnation)) {
            return Some("a child that was accepted has no parent");
        }
        match action {
            Action::ReadsAgain(number) => {
                let is_refused =
                    matches!(after.creators[number].phase, Phase::Answered(None) | Phase::TakesBack);
                let saw = before.creators[number].phase.saw();
                let is_there = saw.is_some_and(|saw| is_there(saw.incarnation));
                (is_refused && is_there).then_some("a creation was refused though its parent is there")
            }
            Action::Deletes(number) => {
                let is_refused = after.deleters[number] == Deleter::Answered(Finish::Refuse);
                let is_unchanged =
                    before.deleters[number] == before.parent.map_or(Deleter::Dead, Deleter::Finds);
                (is_refused && is_unchanged)
                    .then_some("a deletion was refused though nobody changed its parent")
            }
            _ => None,
        }
    }

    fn is_fault(&self, action: Action) -> bool {
        matches!(action, Action::DeleterDies(_) | Action::CreatorDies(_))
    }

    fn is_end(&self, state: &System) -> bool {
        let deleters = state.deleters.iter().all(|one| matches!(one, Deleter::Answered(_) | Deleter::Dead));
        let creators = state.creators.iter().map(|one| one.phase);
        deleters && creators.into_iter().all(|phase| matches!(phase, Phase::Answered(_) | Phase::Dead))
    }

    fn canonical(&self, mut state: System) -> System {
        state.deleters.sort_unstable();
        state.creators.sort_unstable();
        state
    }
}

impl Phase {
    fn saw(self) -> Option<Saw> {
        match self {
            Phase::Read(saw) | Phase::Writes(saw) | Phase::Wrote(saw, _) => Some(saw),
            _ => None,
        }
    }

    fn older(self) -> Self {
        // Of a marked one the age makes no difference.
        let older = |saw: Saw| match saw.is_marked {
            true => saw,
            false => Saw { age: (saw.age + 1).min(seconds(WRITTEN_WITHIN) + 1), ..saw },
        };
        match self {
            Phase::Read(saw) => Phase::Read(older(saw)),
            Phase::Writes(saw) => Phase::Writes(older(saw)),
            Phase::Wrote(saw, known) => Phase::Wrote(older(saw), known),
            phase => phase,
        }
    }
}

impl System {
    /// What the index may answer to whether there is a child.
    fn shown(&self) -> Vec<bool> {
        let ages = || self.creators.iter().filter_map(|creator| creator.child);
        match (ages().next(), ages().any(|age| age >= seconds(INDEX_LAG))) {
            (None, _) => vec![false],
            (Some(_), true) => vec![true],
            (Some(_), false) => vec![true, false],
        }
    }

    fn a_second_later(mut self) -> Self {
        for creator in &mut self.creators {
            creator.phase = creator.phase.older();
            creator.child = creator.child.map(|age| (age + 1).min(seconds(INDEX_LAG)));
        }
        for deleter in &mut self.deleters {
            if let Deleter::Waits(_, age) = deleter {
                *age = (*age + 1).min(seconds(DELETION_WAIT));
            }
        }
        self
    }
}
