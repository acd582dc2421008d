//! Activities on their way into a batch, read within bounded memory.

use crate::body;
use crate::roll::{RollError, Roller};
use futures::{StreamExt, TryStreamExt, stream};
use rules::names::ActivityId;
use rules::rolling::{BATCH_ACTIVITIES_MAX, BatchSize};
use serde_json::value::RawValue;
use shared::items::activity::{Batch, Finished, Member};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of activities that are in memory at a time, over all solutions, in KiB. A page that is read takes a MiB of it, and
/// gives back what the activity has not. A solution holds a batch and one activity more while it waits for room, so this has
/// to be more than two pages of each solution in flight.
const MEMORY_KIB: u32 = 48 * PAGE_KIB;
/// What one read may bring: a page of DynamoDB's.
const PAGE_KIB: u32 = 1_024;
/// Activities read, or deleted, at a time.
pub const IN_FLIGHT: usize = 100;
const _: () = assert!(MEMORY_KIB / PAGE_KIB > 2 * crate::SOLUTIONS_IN_FLIGHT as u32);

/// Room in memory for what is read.
#[derive(Clone)]
pub struct Memory(Arc<Semaphore>);

impl Default for Memory {
    /// All of it.
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MEMORY_KIB as usize)))
    }
}

impl Memory {
    /// Waits for room for a page.
    pub async fn page(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().acquire_many_owned(PAGE_KIB).await.ok()
    }
}

/// An activity that is written out.
pub struct Ready {
    /// Without its log.
    pub finished: Finished,
    /// As it stands in a batch; nothing of a large one, or where no batch is sent.
    pub text: Option<Box<RawValue>>,
    _room: Option<OwnedSemaphorePermit>,
}

/// What goes next.
pub enum Next {
    /// These, in one batch.
    Batch(Vec<Ready>),
    /// One that fills more than a batch.
    Large(Box<Finished>),
}

impl Roller<'_> {
    /// What is due next, in the order in which it finished, as much as a batch takes; and where to go on.
    pub(crate) async fn next(&self, after: Option<&str>) -> Result<Option<(Next, String)>, RollError> {
        let rows = self.due(after, BATCH_ACTIVITIES_MAX).await?;
        let mut reads = stream::iter(rows)
            .map(|(sort, id)| async move { Ok::<_, RollError>((sort, self.read(&id).await?)) })
            .buffered(IN_FLIGHT);
        let (mut size, mut found, mut through) = (self.batch_size(), Vec::new(), None);
        while let Some((sort, ready)) = reads.try_next().await? {
            if let Some(ready) = ready.filter(|ready| self.takes(&ready.finished)) {
                if ready.finished.is_large && self.uri.is_some() {
                    if found.is_empty() {
                        return Ok(Some((Next::Large(Box::new(ready.finished)), sort)));
                    }
                    break;
                }
                if !size.take(ready.text.as_ref().map_or(0, |text| text.get().len())) {
                    break;
                }
                found.push(ready);
            }
            through = Some(sort);
        }
        Ok(through.map(|through| (Next::Batch(found), through)))
    }

    /// The members of a batch that are as they were when it was written down. What has outgrown the batch since stays.
    pub(crate) async fn members(&self, batch: &Batch) -> Result<Vec<Ready>, RollError> {
        let stays_in_it = |finished: &Finished| {
            // What was sent, or may have been, goes by what held then; what was not, by what holds now.
            match self.uri {
                Some(_) => self.kind.statuses().contains(&finished.view.record.state.status),
                None => batch.is_acknowledged || self.takes(finished),
            }
        };
        let reads = batch
            .members
            .iter()
            .map(|member| async move { Ok::<_, RollError>((member, self.read(&member.id).await?)) });
        let reads: Vec<_> = reads.collect();
        let mut reads = stream::iter(reads).buffered(IN_FLIGHT);
        let (mut size, mut found) = (self.batch_size(), Vec::new());
        while let Some((member, ready)) = reads.try_next().await? {
            let Some(ready) = ready else { continue };
            let finished = &ready.finished;
            let is_same = Member::of(finished) == *member && stays_in_it(finished);
            let is_large = finished.is_large && self.uri.is_some();
            if is_same && !is_large && size.take(ready.text.as_ref().map_or(0, |text| text.get().len())) {
                found.push(ready);
            }
        }
        Ok(found)
    }

    fn batch_size(&self) -> BatchSize {
        BatchSize::new(body::frame_bytes(self.tenant))
    }

    /// One activity, written out where it is to be sent. It keeps as much room as it has bytes.
    async fn read(&self, id: &ActivityId) -> Result<Option<Ready>, RollError> {
        let mut room = self.memory.page().await;
        let finished = self.ctx.unreadable.leave_out(self.ctx.work.finished(self.tenant, id).await)?;
        let Some(finished) = finished.flatten() else { return Ok(None) };
        let text = match self.uri {
            Some(_) if !finished.is_large => Some(body::activity(&finished.view, None)?),
            _ => None,
        };
        let text = text.filter(|text| text.get().len() <= body::room(self.tenant));
        let finished = match (&text, self.uri) {
            (None, Some(_)) => finished.large(),
            _ => finished.without_log(),
        };
        let kib = text.as_ref().map_or(1, |text| text.get().len() / 1_024 + 1);
        let rest = PAGE_KIB.saturating_sub(u32::try_from(kib).unwrap_or(PAGE_KIB));
        drop(room.as_mut().and_then(|room| room.split(rest as usize)));
        Ok(Some(Ready { finished, text, _room: room }))
    }
}
