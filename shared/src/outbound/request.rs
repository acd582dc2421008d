//! A request on its way: its body, and the moment in which its first byte goes out.

use crate::clock::SharedClock;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use tokio::sync::Notify;

/// When the first byte of a call went out. Cheap to clone; clones show the same.
///
/// Until then a call waits for a lookup, a connection, or its turn on a connection that others share.
#[derive(Debug, Clone, Default)]
pub struct Began(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    after: OnceLock<TimeDelta>,
    notify: Notify,
}

impl Began {
    /// How long after [`super::Outbound::send`] was asked the first byte went out; `None` if it has not.
    pub fn after(&self) -> Option<TimeDelta> {
        self.0.after.get().copied()
    }

    /// When a call that was asked for at `asked` began: with its first byte, or then if none went out.
    pub fn since(&self, asked: DateTime<Utc>) -> DateTime<Utc> {
        asked + self.after().unwrap_or_default()
    }

    /// Resolves when it has gone out.
    pub(super) async fn reached(&self) {
        let notified = self.0.notify.notified();
        if self.after().is_none() {
            notified.await;
        }
    }
}

/// Notes when a call that was asked for at an instant begins.
#[derive(Clone)]
pub(super) struct Watch {
    began: Began,
    clock: SharedClock,
    asked: DateTime<Utc>,
}

impl Watch {
    pub(super) fn new(began: Began, clock: SharedClock) -> Self {
        let asked = clock.now();
        Self { began, clock, asked }
    }

    fn begins(&self) {
        if self.began.after().is_none() && self.began.0.after.set(self.clock.now() - self.asked).is_ok() {
            self.began.0.notify.notify_waiters();
        }
    }
}

/// The body of a request.
///
/// A connection asks for the bytes when the head of the request has its place in what goes out, and not before. Of a request
/// without a body it asks whether that is so when it takes the request, and lets go of it once the head has its place.
pub(super) struct CallBody {
    bytes: Option<Bytes>,
    watch: Watch,
    is_taken: AtomicBool,
}

impl CallBody {
    pub(super) fn new(bytes: Option<Bytes>, watch: Watch) -> Self {
        Self { bytes: bytes.filter(|bytes| !bytes.is_empty()), watch, is_taken: AtomicBool::new(false) }
    }
}

impl Clone for CallBody {
    fn clone(&self) -> Self {
        Self::new(self.bytes.clone(), self.watch.clone())
    }
}

impl Drop for CallBody {
    fn drop(&mut self) {
        if self.bytes.is_none() && *self.is_taken.get_mut() {
            self.watch.begins();
        }
    }
}

impl Body for CallBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.watch.begins();
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_taken.store(true, Ordering::Relaxed);
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
