//! Invocations, and what of them is in hand.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Counts what is in hand, and tells when that changes.
#[derive(Debug, Default)]
pub struct Work {
    invocations: AtomicUsize,
    /// Messages whose invocation is over, whatever came of it.
    finished_messages: AtomicU64,
    changes: AtomicU64,
    changed: Notify,
}

/// Why an invocation gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvocationError {
    #[error("it took longer than its timeout of {} s and was given up", .0.as_secs())]
    TimedOut(Duration),
    #[error("it crashed")]
    Crashed,
}

/// An invocation in hand, until it is dropped.
#[derive(Debug)]
pub struct InHand {
    work: Arc<Work>,
    messages: u64,
}

impl Work {
    /// Begins an invocation with this many messages.
    pub fn begin(self: &Arc<Self>, messages: usize) -> InHand {
        self.invocations.fetch_add(1, Ordering::SeqCst);
        InHand { work: Arc::clone(self), messages: messages as u64 }
    }

    /// Invocations in hand.
    pub fn invocations(&self) -> usize {
        self.invocations.load(Ordering::SeqCst)
    }

    /// Messages whose invocation is over.
    pub fn finished_messages(&self) -> u64 {
        self.finished_messages.load(Ordering::SeqCst)
    }

    /// How often an invocation has ended: while it grows, work is done.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Waits for the end of an invocation, for `limit` at most.
    pub async fn changed_within(&self, limit: Duration) {
        // Both ends of the wait are the same to the caller, who looks again.
        let _ = tokio::time::timeout(limit, self.changed.notified()).await;
    }

    /// Waits until nothing is in hand.
    pub async fn idle(&self) {
        const LOOK_AGAIN: Duration = Duration::from_millis(50);
        while self.invocations() > 0 {
            self.changed_within(LOOK_AGAIN).await;
        }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.work.finished_messages.fetch_add(self.messages, Ordering::SeqCst);
        self.work.invocations.fetch_sub(1, Ordering::SeqCst);
        self.work.changes.fetch_add(1, Ordering::SeqCst);
        self.work.changed.notify_waiters();
    }
}

/// Runs an invocation as Lambda does: apart from others, so that its crash is
/// its own, and given up after `timeout`. That is the machine's time, as it
/// is Lambda's: a moved test clock makes no invocation longer.
///
/// # Errors
/// It crashed or took too long.
pub async fn invoke<T: Send + 'static>(
    timeout: Duration,
    invocation: impl Future<Output = T> + Send + 'static,
) -> Result<T, InvocationError> {
    let task = tokio::spawn(invocation);
    let abort = task.abort_handle();
    match tokio::time::timeout(timeout, task).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(InvocationError::Crashed),
        Err(_) => {
            abort.abort();
            Err(InvocationError::TimedOut(timeout))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_invocation_past_its_timeout_is_given_up() {
        let limit = Duration::ZERO;
        let endless = invoke(limit, std::future::pending::<()>()).await;
        assert_eq!(endless, Err(InvocationError::TimedOut(limit)));
    }

    #[tokio::test]
    async fn a_crash_is_an_answer() {
        let crash = async {
            if std::hint::black_box(true) {
                panic!("a handler's bug")
            }
        };
        assert_eq!(invoke(Duration::from_secs(3), crash).await, Err(InvocationError::Crashed));
        assert_eq!(invoke(Duration::from_secs(3), async { 1 }).await, Ok(1));
    }

    #[tokio::test]
    async fn what_is_in_hand_is_counted() {
        let work = Arc::new(Work::default());
        let (first, second) = (work.begin(3), work.begin(0));
        assert_eq!((work.invocations(), work.finished_messages()), (2, 0));
        drop((first, second));
        assert_eq!((work.invocations(), work.finished_messages(), work.changes()), (0, 3, 2));
        work.idle().await;
    }
}
