//! One solution's one roller: find, write down, send, delete what was acknowledged.

use crate::body;
use crate::read::{IN_FLIGHT, Memory, Next, Ready};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use http::{Method, StatusCode};
use rules::names::Tenant;
use rules::rolling::{LogKind, OWN_KEPT_MIN};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use shared::context::Context;
use shared::engine::{Erased, SUCCESS, StoreError};
use shared::items::activity::{Batch, Finished, Member, Part};
use shared::lease::Values;
use shared::outbound::Outbound;
use shared::removal::RemovalError;
use shared::signed_call::{CallFailure, SignedCall};
use shared::telemetry::{AttemptRecord, CallTarget};
use shared::tenancy::{KindEntry, TenancyError};
use shared::unreadable::ReadError;
use std::time::Duration;

/// How long a roller is held: more than one batch takes.
const LEASE: TimeDelta = TimeDelta::seconds(180);
/// How long a roller whose batch was refused sees to what else is due.
const KEEP_TIME: TimeDelta = TimeDelta::seconds(30);
/// A batch's whole call.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
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
    /// What was kept for its time could not be removed.
    #[error(transparent)]
    Removal(#[from] RemovalError),
    /// A batch could not be written.
    #[error("a batch could not be written: {0}")]
    Body(#[from] serde_json::Error),
}

impl ReadError for RollError {
    fn is_unreadable(&self) -> bool {
        match self {
            RollError::Tenancy(error) => error.is_unreadable(),
            RollError::Store(error) => error.is_unreadable(),
            RollError::Removal(_) | RollError::Body(_) => false,
        }
    }
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
    /// Whether there is more that had no turn, or another is at it.
    pub left: bool,
}

/// What follows a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There may be more.
    More,
    /// Nothing in this round.
    Done,
}

/// One solution's one roller, in one of its turns.
pub struct Roller<'a> {
    pub ctx: &'a Context,
    pub http: &'a Outbound,
    pub memory: &'a Memory,
    pub tenant: &'a Tenant,
    pub kinds: &'a [KindEntry],
    pub kind: LogKind,
    /// Where batches go; without it, what is due is deleted.
    pub uri: Option<&'a str>,
    /// What was executed by then is due.
    pub cutoff: DateTime<Utc>,
}

impl Roller<'_> {
    /// Whether nothing is due: most solutions have nothing, and nobody holds what nobody works on.
    ///
    /// # Errors
    /// [`RollError`] when that cannot be read.
    pub async fn is_idle(&self) -> Result<bool, RollError> {
        Ok(self.due(None, 1).await?.is_empty()
            && self.ctx.work.batch(self.tenant, self.kind).await?.is_none())
    }

    /// Rolls one batch of what is due behind the sort key `after`.
    ///
    /// # Errors
    /// [`RollError`]; the next run goes on.
    pub async fn turn(&self, after: &mut Option<String>, rolled: &mut Rolled) -> Result<Progress, RollError> {
        let name = shared::table::keys::roller_lease(self.tenant, self.kind);
        let Some(lease) = self.ctx.leases.acquire(&name, LEASE).await? else {
            rolled.left = true;
            return Ok(Progress::Done);
        };
        let result = self.roll(after, rolled).await;
        self.ctx.leases.release(lease, Values::new()).await?;
        result
    }

    async fn roll(&self, after: &mut Option<String>, rolled: &mut Rolled) -> Result<Progress, RollError> {
        let before = after.clone();
        let (batch, ready) = match self.ctx.work.batch(self.tenant, self.kind).await? {
            Some(batch) => {
                if let Some(part) = batch.part.clone() {
                    let gone_on = self.go_on(batch.clone(), part, rolled).await;
                    if let Some(progress) = self.ctx.unreadable.leave_out(gone_on)? {
                        return Ok(progress);
                    }
                    // An attempt or a result of it cannot be decoded, so it cannot be handed on whole.
                    self.ctx.work.strike_batch(self.tenant, self.kind, &batch).await?;
                    return Ok(Progress::More);
                }
                let ready = self.members(&batch).await?;
                (Some(batch), ready)
            }
            None => {
                let Some((next, through)) = self.next(after.as_deref()).await? else {
                    return Ok(Progress::Done);
                };
                *after = Some(through);
                match (next, self.uri) {
                    (Next::Batch(ready), _) => (None, ready),
                    (Next::Large(finished), Some(uri)) => {
                        let begun = self.first_part(uri, *finished, rolled).await;
                        return Ok(self.ctx.unreadable.leave_out(begun)?.unwrap_or(Progress::More));
                    }
                    (Next::Large(_), None) => unreachable!("what is not sent is not measured"),
                }
            }
        };
        let batch = match self.uri {
            Some(uri) if !ready.is_empty() => match self.send(uri, batch, &ready, rolled).await? {
                Ok(batch) => Some(batch),
                Err(stop) => {
                    // What was not sent with it is found again.
                    *after = before;
                    return Ok(stop);
                }
            },
            // Kept for the period alone, or nothing of it is left. A batch that was written down is struck out.
            _ => batch,
        };
        rolled.deleted += self.delete(&ready).await?;
        if let Some(batch) = batch {
            rolled.batches += usize::from(self.uri.is_some());
            self.ctx.work.strike_batch(self.tenant, self.kind, &batch).await?;
        }
        Ok(Progress::More)
    }

    pub(crate) async fn due(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, rules::names::ActivityId)>, StoreError> {
        let statuses = self.kind.statuses();
        self.ctx.work.finished_by(self.tenant, self.kinds, statuses, self.cutoff, after, limit).await
    }

    /// Whether it has been kept for its period.
    pub(crate) fn takes(&self, Finished { view, .. }: &Finished) -> bool {
        let cutoff = match view.record.is_own() {
            true => self.cutoff.min(self.ctx.clock.now() - OWN_KEPT_MIN),
            false => self.cutoff,
        };
        self.kind.takes(&view.record.state, cutoff)
    }

    /// Writes a batch down and sends it, unless that was done before; or what stops the turn.
    async fn send(
        &self,
        uri: &str,
        batch: Option<Batch>,
        ready: &[Ready],
        rolled: &mut Rolled,
    ) -> Result<Result<Batch, Progress>, RollError> {
        let batch = match batch {
            Some(batch) if batch.is_acknowledged => return Ok(Ok(batch)),
            Some(batch) => batch,
            None => {
                let members = ready.iter().map(|one| Member::of(&one.finished)).collect();
                let batch = new_batch(self.kind, members, None);
                if !self.ctx.work.write_batch(self.tenant, self.kind, &batch, None).await? {
                    // A roller that was frozen past its lease has another one under way: that one goes first.
                    return Ok(Err(Progress::More));
                }
                batch
            }
        };
        let texts: Vec<Box<RawValue>> = ready.iter().filter_map(|one| one.text.clone()).collect();
        Ok(match self.deliver(uri, &batch, &texts, rolled).await? {
            None => Ok(batch),
            Some(stop) => Err(stop),
        })
    }

    /// Sends a batch that is written down; what stops the turn, if its receiver does not have it then.
    pub(crate) async fn deliver(
        &self,
        uri: &str,
        batch: &Batch,
        activities: &[Box<RawValue>],
        rolled: &mut Rolled,
    ) -> Result<Option<Progress>, RollError> {
        let Some(posted) = self.post(uri, batch, activities).await? else {
            // Its solution was paused meanwhile. It goes out, as it was written down, once that runs.
            rolled.left = true;
            return Ok(Some(Progress::Done));
        };
        if let Err(failure) = posted {
            if failure.http_status == Some(StatusCode::PAYLOAD_TOO_LARGE.as_u16()) && batch.members.len() > 1
            {
                return self.halve(batch).await.map(Some);
            }
            // Which one it is that is too large, for instance.
            let only = <&[Member; 1]>::try_from(batch.members.as_slice()).ok();
            tracing::error!(
                company = self.tenant.company.as_str(),
                solution = self.tenant.solution.name().as_str(),
                kind = self.kind.as_str(),
                activities = activities.len(),
                id = only.map(|[member]| member.id.as_str()),
                outcome = failure.outcome,
                http_status = failure.http_status,
                "batch not acknowledged; its activities are kept for the next run"
            );
            rolled.refused += 1;
            self.keep_due().await?;
            return Ok(Some(Progress::Done));
        }
        self.ctx.work.acknowledge_batch(self.tenant, self.kind, batch).await?;
        Ok(None)
    }

    /// Writes down the first half of a batch in its place, for the next turn: its receiver takes no body of that size.
    async fn halve(&self, batch: &Batch) -> Result<Progress, RollError> {
        let (first, _) = batch.members.split_at(batch.members.len() / 2);
        let half = new_batch(self.kind, first.to_vec(), None);
        // Where it is not written, another roller is at it.
        self.ctx.work.write_batch(self.tenant, self.kind, &half, Some(batch)).await?;
        Ok(Progress::More)
    }

    /// Has what is due stay until it is handed on: some of it may have ended while there was no URI, and would go by itself.
    async fn keep_due(&self) -> Result<(), StoreError> {
        let until = self.ctx.clock.now() + KEEP_TIME;
        let mut after: Option<String> = None;
        loop {
            let rows = self.due(after.as_deref(), IN_FLIGHT).await?;
            let ids: Vec<_> = rows.iter().map(|(_, id)| id.clone()).collect();
            self.ctx.work.keep_for_roller(self.tenant, &ids).await?;
            // What there is no time for has time until the next rounds.
            match rows.into_iter().nth(IN_FLIGHT - 1) {
                Some((sort, _)) if self.ctx.clock.now() < until => after = Some(sort),
                _ => return Ok(()),
            }
        }
    }

    /// POSTs a batch; `None` if its solution was paused meanwhile.
    async fn post(
        &self,
        uri: &str,
        batch: &Batch,
        activities: &[Box<RawValue>],
    ) -> Result<Option<Result<u16, CallFailure>>, RollError> {
        let body = body::batch(self.tenant, self.kind, activities)?;
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
        let target = CallTarget::of(&request);
        let (first_byte, asked) = (request.began.clone(), self.ctx.clock.now());
        let posted = CallFailure::of(self.http.send(request).await).map(|answer| answer.status);
        self.log(batch, &posted, &target, self.ctx.clock.now() - first_byte.since(asked));
        Ok(Some(posted))
    }

    /// The attempt's one line (SPEC §12). A batch that was not acknowledged waits for the next round.
    fn log(
        &self,
        batch: &Batch,
        posted: &Result<u16, CallFailure>,
        target: &CallTarget,
        duration: TimeDelta,
    ) {
        let (outcome, http_status) = match posted {
            Ok(status) => (SUCCESS, Some(*status)),
            Err(failure) => (failure.outcome, failure.http_status),
        };
        let attempt = AttemptRecord {
            tenant: self.tenant,
            id: &batch.key,
            kind: &format!("L:{}", self.kind),
            run: 0,
            attempt: 1,
            outcome,
            http_status,
            lateness_ms: None,
            duration_ms: u32::try_from(duration.num_milliseconds()).unwrap_or_default(),
            target: Some(target),
            retry_at: None,
        };
        attempt.log();
    }

    async fn delete(&self, ready: &[Ready]) -> Result<usize, StoreError> {
        let deletes = ready.iter().map(|one| self.ctx.work.roll_away(&one.finished));
        let deletes: Vec<_> = deletes.collect();
        let erased: Vec<Erased> = stream::iter(deletes).buffer_unordered(IN_FLIGHT).try_collect().await?;
        Ok(erased.into_iter().filter(|erased| *erased == Erased::Yes).count())
    }
}

/// A batch of these, with the key that tells it from every other one: a hash of its members, and of its part.
pub(crate) fn new_batch(kind: LogKind, members: Vec<Member>, part: Option<Part>) -> Batch {
    let mut hash = Sha256::new().chain_update(kind.as_str());
    for member in &members {
        hash.update(member.to_string());
        hash.update(" ");
    }
    if let Some(part) = &part {
        hash.update(part.to_string());
    }
    let digest = hash.finalize();
    let key = digest[..KEY_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
    Batch { key, members, part, is_acknowledged: false }
}
