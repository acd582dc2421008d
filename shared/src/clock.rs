//! The one place where time comes in.
//!
//! Everything else takes a [`Clock`], or, in `rules`, the time itself. Local
//! mode and the tests bring clocks of their own that can be moved.

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use std::sync::Arc;

/// Time as the functions see it.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> DateTime<Utc>;
    /// Resolves when [`Clock::now`] has reached `at`; at once if it has already.
    fn sleep_until(&self, at: DateTime<Utc>) -> BoxFuture<'static, ()>;
    /// The same for what goes on beside the work, such as renewing its lease: a clock that is moved on to what work
    /// waits for is not moved on to this.
    fn sleep_beside_work(&self, at: DateTime<Utc>) -> BoxFuture<'static, ()> {
        self.sleep_until(at)
    }
}

/// A clock that is handed around.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one real now()")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    #[expect(clippy::disallowed_methods, reason = "the one real sleep")]
    fn sleep_until(&self, at: DateTime<Utc>) -> BoxFuture<'static, ()> {
        let wait = (at - self.now()).to_std().unwrap_or_default();
        Box::pin(tokio::time::sleep(wait))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use chrono::TimeDelta;
    use std::sync::Mutex;

    /// A clock that stands until it is set.
    #[derive(Debug, Default)]
    pub(crate) struct SetClock(Mutex<DateTime<Utc>>);

    impl SetClock {
        pub(crate) fn advance(&self, by: TimeDelta) {
            *self.0.lock().unwrap() += by;
        }
    }

    impl Clock for SetClock {
        fn now(&self) -> DateTime<Utc> {
            *self.0.lock().unwrap()
        }

        fn sleep_until(&self, _at: DateTime<Utc>) -> BoxFuture<'static, ()> {
            unreachable!("nothing waits by this clock")
        }
    }
}
