//! One solution's one roller: find, write down, send, delete what was acknowledged.

use crate::body;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use http::Method;
use rules::names::Tenant;
use rules::rolling::{BATCH_ACTIVITIES_MAX, LogKind, OWN_KEPT_MIN, batch_length};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use shared::context::Context;
use shared::lease::{Lease, Values};
use shared::outbound::Outbound;
use shared::signed_call::{CallFailure, SignedCall};
use shared::tenancy::{KindEntry, TenancyError};
use shared::work::{Batch, Erased, Finished, Member, StoreError};
use std::time::Duration;

/// How long a roller is held without renewal: more than one batch takes.
const LEASE: TimeDelta = TimeDelta::seconds(180);
/// A batch's whole call.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Activities read, or deleted, at a time.
const IN_FLIGHT: usize = 100;
/// Bytes of a batch's key.
const KEY_BYTES: usize = 16;

/// Why a roller stopped. What is not acknowledged is kept.
#[derive(Debug, thiserror::Error)]
pub enum RollError {
    /// The config table.
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
    /// The work table or a lease.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A batch could not be written.
    #[error("a batch could not be written: {0}")]
    Body(#[from] serde_json::Error),
}

/// What a roller did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rolled {
    /// Batches that were acknowledged.
    pub batches: usize,
    /// Batches that were not: all after the first such one waits for the next run.
    pub refused: usize,
    /// Activities deleted.
    pub deleted: usize,
    /// Whether time ran out, or another is at it.
    pub left: bool,
}

/// What became of a batch.
enum Sent {
    /// Its receiver has it, or there is nothing to send: what may be deleted, and the batch to be struck out.
    Done(Option<Batch>, Vec<Finished>),
    /// Its receiver did not take it.
    Refused,
    /// Its solution was paused meanwhile. It goes out, as it was written down, once that runs.
    Paused,
}

/// One solution's one roller.
pub struct Roller<'a> {
    pub ctx: &'a Context,
    pub http: &'a Outbound,
    pub tenant: &'a Tenant,
    pub kinds: &'a [KindEntry],
    pub kind: LogKind,
    /// Where batches go; without it, what is due is deleted.
    pub uri: Option<&'a str>,
    /// What was executed by then is due.
    pub cutoff: DateTime<Utc>,
    pub deadline: DateTime<Utc>,
}

impl Roller<'_> {
    /// Rolls until nothing is due, a batch is refused, or the deadline has come.
    ///
    /// # Errors
    /// [`RollError`]; the next run goes on.
    pub async fn run(&self) -> Result<Rolled, RollError> {
        let mut rolled = Rolled::default();
        // A look first: most solutions have nothing due, and nobody holds what nobody works on.
        if self.is_idle().await? {
            return Ok(rolled);
        }
        let name = shared::work::keys::roller_lease(self.tenant, self.kind);
        let Some(mut lease) = self.ctx.leases.acquire(&name, LEASE).await? else {
            rolled.left = true;
            return Ok(rolled);
        };
        let result = self.rounds(&mut lease, &mut rolled).await;
        self.ctx.leases.release(lease, Values::new()).await?;
        result.map(|()| rolled)
    }

    async fn is_idle(&self) -> Result<bool, StoreError> {
        Ok(self.due(None, 1).await?.is_empty()
            && self.ctx.work.batch(self.tenant, self.kind).await?.is_none())
    }

    async fn rounds(&self, lease: &mut Lease, rolled: &mut Rolled) -> Result<(), RollError> {
        let mut after: Option<String> = None;
        loop {
            let now = self.ctx.clock.now();
            if now >= self.deadline || !self.hold(lease, now).await? {
                rolled.left = true;
                return Ok(());
            }
            let (batch, finished) = match self.ctx.work.batch(self.tenant, self.kind).await? {
                Some(batch) => {
                    let finished = self.members(&batch).await?;
                    (Some(batch), finished)
                }
                None => {
                    let Some((found, last)) = self.next(after.as_deref()).await? else { return Ok(()) };
                    after = Some(last);
                    (None, found)
                }
            };
            let done = match self.uri {
                Some(uri) => self.send(uri, batch, finished).await?,
                // Kept for the period alone. A batch from a time with a URI is struck out.
                None => Sent::Done(batch, finished),
            };
            let (batch, finished) = match done {
                Sent::Done(batch, finished) => (batch, finished),
                Sent::Refused => {
                    rolled.refused += 1;
                    return Ok(());
                }
                Sent::Paused => {
                    rolled.left = true;
                    return Ok(());
                }
            };
            rolled.deleted += self.delete(&finished).await?;
            if let Some(batch) = batch {
                rolled.batches += usize::from(self.uri.is_some());
                self.ctx.work.strike_batch(self.tenant, self.kind, &batch).await?;
            }
        }
    }

    async fn hold(&self, lease: &mut Lease, now: DateTime<Utc>) -> Result<bool, StoreError> {
        if lease.until - now > LEASE / 2 {
            return Ok(true);
        }
        self.ctx.leases.renew(lease, LEASE).await
    }

    async fn due(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, rules::names::ActivityId)>, StoreError> {
        let statuses = self.kind.statuses();
        self.ctx.work.finished_by(self.tenant, self.kinds, statuses, self.cutoff, after, limit).await
    }

    /// Whether it has been kept for its period.
    fn takes(&self, Finished { view, .. }: &Finished) -> bool {
        let cutoff = match view.record.is_own() {
            true => self.cutoff.min(self.ctx.clock.now() - OWN_KEPT_MIN),
            false => self.cutoff,
        };
        self.kind.takes(&view.record.state, cutoff)
    }

    /// What is due next, in the order in which it finished, as much as a batch takes; and where to go on.
    async fn next(&self, after: Option<&str>) -> Result<Option<(Vec<Finished>, String)>, RollError> {
        let rows = self.due(after, BATCH_ACTIVITIES_MAX).await?;
        let Some((last, _)) = rows.last().cloned() else { return Ok(None) };
        let reads = rows.iter().map(|(sort, id)| async move {
            let found = self.ctx.work.finished(self.tenant, id).await?;
            Ok::<_, StoreError>(found.map(|finished| (sort.clone(), finished)))
        });
        let reads: Vec<_> = reads.collect();
        let found: Vec<Option<(String, Finished)>> =
            stream::iter(reads).buffered(IN_FLIGHT).try_collect().await?;
        let mut found: Vec<(String, Finished)> =
            found.into_iter().flatten().filter(|(_, finished)| self.takes(finished)).collect();
        if self.uri.is_none() {
            return Ok(Some((found.into_iter().map(|(_, finished)| finished).collect(), last)));
        }
        let mut sizes = Vec::with_capacity(found.len());
        for (_, finished) in &found {
            sizes.push(body::activity(self.tenant, &finished.view)?.get().len());
        }
        let length = batch_length(body::frame_bytes(self.tenant), sizes);
        let cut = length < found.len();
        found.truncate(length);
        let last = found.last().filter(|_| cut).map_or(last, |(sort, _)| sort.clone());
        Ok(Some((found.into_iter().map(|(_, finished)| finished).collect(), last)))
    }

    /// The members of a batch that are as they were when it was written down.
    async fn members(&self, batch: &Batch) -> Result<Vec<Finished>, StoreError> {
        let reads = batch.members.iter().map(|member| async move {
            let found = self.ctx.work.finished(self.tenant, &member.id).await?;
            Ok::<_, StoreError>(found.filter(|finished| Member::of(finished) == *member))
        });
        let reads: Vec<_> = reads.collect();
        let found: Vec<Option<Finished>> = stream::iter(reads).buffered(IN_FLIGHT).try_collect().await?;
        let stays_in_it = |finished: &Finished| {
            // What was sent, or may have been, goes by what held then; what was not, by what holds now.
            match self.uri {
                Some(_) => self.kind.statuses().contains(&finished.view.record.state.status),
                None => batch.is_acknowledged || self.takes(finished),
            }
        };
        Ok(found.into_iter().flatten().filter(stays_in_it).collect())
    }

    /// Writes a batch down and sends it, unless that was done before.
    async fn send(
        &self,
        uri: &str,
        batch: Option<Batch>,
        finished: Vec<Finished>,
    ) -> Result<Sent, RollError> {
        if finished.is_empty() {
            return Ok(Sent::Done(batch, finished));
        }
        let batch = match batch {
            Some(batch) if batch.is_acknowledged => return Ok(Sent::Done(Some(batch), finished)),
            Some(batch) => batch,
            None => {
                let batch = new_batch(self.kind, &finished);
                if !self.ctx.work.write_batch(self.tenant, self.kind, &batch).await? {
                    // A roller that was frozen past its lease has another one under way: that one goes first.
                    return Ok(Sent::Done(None, Vec::new()));
                }
                batch
            }
        };
        let Some(posted) = self.post(uri, &batch, &finished).await? else { return Ok(Sent::Paused) };
        if let Err(failure) = posted {
            tracing::error!(
                company = self.tenant.company.as_str(),
                solution = self.tenant.solution.name().as_str(),
                kind = self.kind.as_str(),
                activities = finished.len(),
                outcome = failure.outcome,
                http_status = failure.http_status,
                "batch not acknowledged; its activities are kept for the next run"
            );
            return Ok(Sent::Refused);
        }
        self.ctx.work.acknowledge_batch(self.tenant, self.kind, &batch).await?;
        Ok(Sent::Done(Some(batch), finished))
    }

    /// POSTs a batch; `None` if its solution was paused meanwhile.
    async fn post(
        &self,
        uri: &str,
        batch: &Batch,
        finished: &[Finished],
    ) -> Result<Option<Result<(), CallFailure>>, RollError> {
        let activities: Result<Vec<Box<RawValue>>, _> =
            finished.iter().map(|one| body::activity(self.tenant, &one.view)).collect();
        let body = body::batch(self.tenant, self.kind, &activities?)?;
        let call = SignedCall {
            tenant: self.tenant,
            method: Method::POST,
            url: uri.to_owned(),
            headers: Vec::new(),
            call_id: &batch.key,
            body: Some(Bytes::from(body)),
            timeout: CALL_TIMEOUT,
        };
        let request = match call.request(self.ctx).await {
            Ok(request) => request,
            Err(failure) => return Ok(Some(Err(failure))),
        };
        // Last, so that as little as can be lies between looking and calling.
        if self.ctx.tenancy.solution(self.tenant).await?.is_none_or(|solution| solution.is_paused()) {
            return Ok(None);
        }
        Ok(Some(CallFailure::of(self.http.send(request).await).map(drop)))
    }

    async fn delete(&self, finished: &[Finished]) -> Result<usize, StoreError> {
        let deletes = finished.iter().map(|one| self.ctx.work.roll_away(one));
        let deletes: Vec<_> = deletes.collect();
        let erased: Vec<Erased> = stream::iter(deletes).buffer_unordered(IN_FLIGHT).try_collect().await?;
        Ok(erased.into_iter().filter(|erased| *erased == Erased::Yes).count())
    }
}

/// A batch of these, with the key that tells it from every other one: a hash of its members.
fn new_batch(kind: LogKind, finished: &[Finished]) -> Batch {
    let members: Vec<Member> = finished.iter().map(Member::of).collect();
    let mut hash = Sha256::new().chain_update(kind.as_str());
    for member in &members {
        hash.update(member.to_string());
        hash.update(" ");
    }
    let digest = hash.finalize();
    let key = digest[..KEY_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
    Batch { key, members, is_acknowledged: false }
}
