//! Faults of the input, gathered so that one answer names them all.

use serde::Serialize;
use std::cell::RefCell;
use std::fmt;
use utoipa::ToSchema;

/// Most faults one answer names.
const FAULTS_MAX: usize = 100;
/// Most bytes of the faults that one answer names after the first: each may repeat a long name of the body's.
const FAULTS_MAX_BYTES: usize = 64 * 1024;

/// One fault of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// Where: a JSON pointer (RFC 6901) into the body, or `query:NAME`, `header:NAME`, `path:NAME`.
    #[schema(example = "/parameter/SongId")]
    pointer: String,
    /// What is wrong there.
    #[schema(example = "is missing")]
    detail: String,
}

impl Fault {
    /// A fault at a place.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.as_str() {
            "" => write!(f, "the body {}", self.detail),
            pointer => write!(f, "{pointer} {}", self.detail),
        }
    }
}

/// Gathers faults while input is read. Readers share it, hence the cell.
#[derive(Debug, Default)]
pub struct Faults(RefCell<Vec<Fault>>);

impl Faults {
    /// Adds a fault.
    pub fn add(&self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.push(Fault::new(pointer, detail));
    }

    /// Adds a fault.
    pub fn push(&self, fault: Fault) {
        let mut faults = self.0.borrow_mut();
        let bytes: usize =
            faults.iter().chain([&fault]).map(|one| one.pointer.len() + one.detail.len()).sum();
        if faults.is_empty() || (faults.len() < FAULTS_MAX && bytes <= FAULTS_MAX_BYTES) {
            faults.push(fault);
        }
    }

    /// What `result` holds; its error becomes a fault.
    pub fn check<T, E: fmt::Display>(&self, pointer: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(pointer, error.to_string())).ok()
    }

    /// Whether there is none so far.
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// The faults so far.
    pub fn into_vec(self) -> Vec<Fault> {
        self.0.into_inner()
    }
}

/// The JSON pointer of a member (RFC 6901).
pub fn at(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}
