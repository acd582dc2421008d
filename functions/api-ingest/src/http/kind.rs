//! What the value of a member is.

use super::describe::Described;
use super::faults::{Faults, at};
use serde_json::Value;
use std::cell::Cell;
use std::fmt::Display;
use std::str::FromStr;

/// A kind of values: how one is read, and how it is described.
pub trait Kind {
    /// What a text of it is read as.
    type Value;

    /// Reads `raw`, which is JSON and not `null`; what is wrong with it is a fault of `place`.
    fn read(&self, raw: &str, place: &Place<'_>) -> Option<Self::Value>;

    /// What the description says of it.
    fn describe(&self) -> Described;
}

/// A kind of a function that reads a value and one that describes it.
struct Made<R, D> {
    read: R,
    describe: D,
}

/// The kind of values that `read` reads.
pub fn kind<T>(
    read: impl Fn(&str, &Place<'_>) -> Option<T>,
    describe: impl Fn() -> Described,
) -> impl Kind<Value = T> {
    Made { read, describe }
}

impl<T, R: Fn(&str, &Place<'_>) -> Option<T>, D: Fn() -> Described> Kind for Made<R, D> {
    type Value = T;

    fn read(&self, raw: &str, place: &Place<'_>) -> Option<T> {
        (self.read)(raw, place)
    }

    fn describe(&self) -> Described {
        (self.describe)()
    }
}

/// A type whose values are given as strings.
pub trait FromText: FromStr<Err: Display> {
    /// The schema of the strings.
    fn describe() -> Described;
}

/// Where a value stands.
pub struct Place<'f> {
    /// Its JSON pointer.
    pub pointer: String,
    /// Where faults go.
    pub faults: &'f Faults,
    meaning: Cell<Option<Value>>,
}

impl<'f> Place<'f> {
    /// The value at a pointer.
    pub fn new(pointer: String, faults: &'f Faults) -> Self {
        Self { pointer, faults, meaning: Cell::default() }
    }

    /// A member or an item of the value.
    pub fn below(&self, name: &str) -> Self {
        Self::new(at(&self.pointer, name), self.faults)
    }

    /// Adds a fault.
    pub fn fault(&self, detail: impl Into<String>) {
        self.faults.add(self.pointer.as_str(), detail);
    }

    /// What `result` holds; its error becomes a fault.
    pub fn check<T, E: Display>(&self, result: Result<T, E>) -> Option<T> {
        self.faults.check(&self.pointer, result)
    }

    /// Says what the value means, where texts that differ mean the same: bodies are compared by it.
    pub fn means(&self, meaning: impl Into<Value>) {
        self.meaning.set(Some(meaning.into()));
    }

    /// What the value means, if its text does not say it all.
    pub fn into_meaning(self) -> Option<Value> {
        self.meaning.into_inner()
    }
}
