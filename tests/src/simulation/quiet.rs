//! Quiescence: the instant at which no task of a seed's runtime can go on by itself.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// Told by the runtime when its thread is about to park, which a `current_thread` runtime does exactly when every
/// task waits.
#[derive(Debug, Clone, Default)]
pub struct Quiet(Arc<Mutex<State>>);

#[derive(Debug, Default)]
enum State {
    /// Nobody asks.
    #[default]
    Idle,
    /// Somebody asks to be woken.
    Asked(Waker),
    /// It is quiet.
    Reached,
}

impl Quiet {
    /// What `on_thread_park` calls.
    pub fn parks(&self) {
        let mut state = self.0.lock().unwrap();
        if let State::Asked(waker) = std::mem::replace(&mut *state, State::Idle) {
            *state = State::Reached;
            drop(state);
            waker.wake();
        }
    }

    /// Resolves once nothing goes on by itself any more.
    pub fn reached(&self) -> Reached {
        Reached { quiet: self.clone(), asked: false }
    }
}

/// See [`Quiet::reached`].
#[derive(Debug)]
pub struct Reached {
    quiet: Quiet,
    asked: bool,
}

impl Future for Reached {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let quiet = self.quiet.clone();
        let mut state = quiet.0.lock().unwrap();
        if self.asked && matches!(*state, State::Reached) {
            *state = State::Idle;
            return Poll::Ready(());
        }
        *state = State::Asked(context.waker().clone());
        self.asked = true;
        Poll::Pending
    }
}
