//! Deleting what others are created below, while they are created: exactly one of the two wins.
//!
//! An activity is created below its type and its solution, a reminder below its configuration, and so on. A creator reads
//! its parents from a cache and writes the child without a condition on them, so that creating costs nothing more. Whoever
//! deletes a parent marks it, waits [`DELETION_WAIT`], looks for children, and deletes it if the mark still stands.
//!
//! | the creator has seen the parent | when it is about to write | when it has written |
//! | --- | --- | --- |
//! | open, at most [`READ_AGE_MAX`] ago | writes | |
//! | open, longer ago, or marked | looks at it again | |
//! | open, at most [`WRITTEN_WITHIN`] ago | | it stands |
//! | open, longer ago, or marked | | looks at it again |
//! | the child is there already, of an earlier request | | looks at it again |
//!
//! | what it finds | it does |
//! | --- | --- |
//! | open | goes on |
//! | marked | removes the mark, by which the deletion loses its last condition, and looks again |
//! | gone, or made anew | does not write the child; deletes it, if it has written it |
//!
//! A creator that has read a parent before it was marked has written its child [`WRITTEN_WITHIN`] later at the latest, or
//! looks again. So whoever looks for children [`DELETION_WAIT`] after the mark finds that child.
//!
//! | the parent that a deletion is about to delete | it |
//! | --- | --- |
//! | is as the mark left it | deletes it, under that condition |
//! | was changed or made anew, or its mark removed | is refused |
//! | is not there | finds nothing to delete |

use chrono::{DateTime, TimeDelta, Utc};

/// For how long a parent that was read is written below without another look: as long as configuration is cached.
pub const READ_AGE_MAX: TimeDelta = TimeDelta::seconds(3);
/// What a write may take.
const WRITE_TIME: TimeDelta = TimeDelta::seconds(1);
/// How old an index may be when it is read.
pub const INDEX_LAG: TimeDelta = TimeDelta::seconds(5);
/// How long after a parent was read a child written below it is found by whoever deletes the parent.
pub const WRITTEN_WITHIN: TimeDelta =
    TimeDelta::milliseconds(READ_AGE_MAX.num_milliseconds() + WRITE_TIME.num_milliseconds());
/// How long a deletion waits between its mark and its look for children.
pub const DELETION_WAIT: TimeDelta =
    TimeDelta::milliseconds(WRITTEN_WITHIN.num_milliseconds() + INDEX_LAG.num_milliseconds());

/// A parent as its child's creator has seen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// When the read began.
    pub read_at: DateTime<Utc>,
    /// Whether somebody was deleting it.
    pub is_marked: bool,
}

/// Where its creator stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The child is about to be written.
    Writing,
    /// The child is written.
    Written,
    /// The child was written before, by an earlier request, and it is not known when that had read the parent.
    Known,
}

/// Whether the parent has to be read again before the creator goes on.
pub fn must_look(seen: Seen, stage: Stage, now: DateTime<Utc>) -> bool {
    let is_late = |within| now - seen.read_at > within;
    match stage {
        Stage::Writing => seen.is_marked || is_late(READ_AGE_MAX),
        Stage::Written => seen.is_marked || is_late(WRITTEN_WITHIN),
        Stage::Known => true,
    }
}

/// A parent as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stored {
    /// When it was made. This distinguishes it from one of its name that is made after its deletion, and whose changes are
    /// counted from the start.
    pub created_at: DateTime<Utc>,
    /// Counts its changes.
    pub revision: u64,
    /// Whether somebody deletes it.
    pub is_marked: bool,
}

impl Stored {
    /// What a change of it is conditional on.
    fn version(self) -> (DateTime<Utc>, u64) {
        (self.created_at, self.revision)
    }
}

/// A parent as a consistent read shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The one that was seen, and nobody deletes it.
    Open,
    /// The one that was seen; somebody deletes it.
    Marked,
    /// There is none, or one that was made after the one seen was deleted.
    Gone,
}

/// What a look at a parent shows of the one that was seen.
pub fn found(seen_created_at: DateTime<Utc>, stored: Option<Stored>) -> Found {
    match stored {
        Some(stored) if stored.created_at != seen_created_at => Found::Gone,
        Some(stored) if stored.is_marked => Found::Marked,
        Some(_) => Found::Open,
        None => Found::Gone,
    }
}

/// What follows for the creator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It goes on.
    GoOn,
    /// It removes the mark and looks again.
    Reopen,
    /// Its child must not be.
    Refuse,
}

/// What follows from a look.
pub fn next(found: Found) -> Next {
    match found {
        Found::Open => Next::GoOn,
        Found::Marked => Next::Reopen,
        Found::Gone => Next::Refuse,
    }
}

/// What follows for a deletion that has marked its parent, and has found no child of it since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Finish {
    /// It deletes the parent.
    Delete,
    /// It is refused: the parent was used or changed.
    Refuse,
    /// There is nothing to delete.
    NotFound,
}

/// What follows for the deletion that has left its parent as `marked`. The write that deletes it has the same condition.
pub fn finish(marked: Stored, stored: Option<Stored>) -> Finish {
    match stored {
        // Whoever removes the mark raises the revision.
        Some(stored) if stored.version() == marked.version() => Finish::Delete,
        Some(_) => Finish::Refuse,
        None => Finish::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transition() {
        let read_at = DateTime::UNIX_EPOCH;
        let millis = TimeDelta::milliseconds;
        for (stage, is_marked, age, expect) in [
            (Stage::Writing, false, READ_AGE_MAX, false),
            (Stage::Writing, false, READ_AGE_MAX + millis(1), true),
            (Stage::Writing, true, millis(0), true),
            (Stage::Written, false, WRITTEN_WITHIN, false),
            (Stage::Written, false, WRITTEN_WITHIN + millis(1), true),
            (Stage::Written, true, millis(0), true),
            (Stage::Known, false, millis(0), true),
            (Stage::Known, true, millis(0), true),
        ] {
            let seen = Seen { read_at, is_marked };
            assert_eq!(must_look(seen, stage, read_at + age), expect, "{stage:?} {is_marked} {age}");
        }
        for (found, expect) in
            [(Found::Open, Next::GoOn), (Found::Marked, Next::Reopen), (Found::Gone, Next::Refuse)]
        {
            assert_eq!(next(found), expect);
        }
    }

    #[test]
    fn one_made_anew_is_another_one() {
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let marked = Stored { created_at: at(0), revision: 2, is_marked: true };
        let open = Stored { revision: 3, is_marked: false, ..marked };
        // Made after the deletion and changed once, or being deleted itself.
        let anew = Stored { created_at: at(9), ..open };
        let marked_anew = Stored { created_at: at(9), ..marked };
        for (stored, seen, deletion) in [
            (None, Found::Gone, Finish::NotFound),
            (Some(marked), Found::Marked, Finish::Delete),
            (Some(open), Found::Open, Finish::Refuse),
            (Some(Stored { revision: 4, ..marked }), Found::Marked, Finish::Refuse),
            (Some(anew), Found::Gone, Finish::Refuse),
            (Some(marked_anew), Found::Gone, Finish::Refuse),
        ] {
            assert_eq!(found(marked.created_at, stored), seen, "{stored:?}");
            assert_eq!(finish(marked, stored), deletion, "{stored:?}");
        }
    }

    /// A child whose creator does not read its parent once more is in the index by the time the deletion reads that.
    #[test]
    fn a_deletion_waits_for_every_creator_that_does_not_look_again() {
        assert_eq!(DELETION_WAIT, TimeDelta::seconds(9));
        assert!(WRITTEN_WITHIN + INDEX_LAG <= DELETION_WAIT);
    }
}
