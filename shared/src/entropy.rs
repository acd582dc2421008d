//! The one place where chance comes in.

use chrono::{DateTime, Utc};
use std::sync::Arc;
use uuid::Uuid;

/// A source of random bytes.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes` with unpredictable bytes (the tests' source: predictable ones).
    fn fill(&self, bytes: &mut [u8]);
}

/// A source that is handed around.
pub type SharedEntropy = Arc<dyn Entropy>;

/// The operating system's source.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // Without it no key, token or id is safe to make, so there is no way on.
        getrandom::fill(bytes).expect("the operating system gives entropy");
    }
}

impl dyn Entropy {
    /// A UUIDv7: ids made later sort later (RFC 9562).
    pub fn uuid_v7(&self, now: DateTime<Utc>) -> Uuid {
        let mut random = [0; 10];
        self.fill(&mut random);
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}
