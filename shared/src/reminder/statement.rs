//! The writes of the protocol as PartiQL statements, so that 25 of them go in one call.

use super::attr;
use super::codec::{Record, optional};
use crate::work::Kept;
use crate::work::attr as work;
use crate::work::codec::{n, s, t};
use crate::work::statements::{Builder, Statement};
use chrono::{DateTime, Utc};
use rules::reminder::{Claim, Index, State, Status, index};

/// The processor's claim (SPEC §9.2): raises the attempts, sets token, lease and fence, returns the item.
///
/// It touches no indexed attribute, so it costs one write unit. Its condition is
/// [`rules::reminder::claimable`] for [`rules::reminder::By::Processor`], and that no later
/// processor has been here: one that lost its lease and does not know it yet is refused.
pub fn claim(table: &str, pk: String, claim: &Claim, fence: u64, now: DateTime<Utc>) -> Statement {
    let text = format!("UPDATE \"{table}\" SET {0}={0}+1 SET {1}={1}+1", attr::ATTEMPTS, attr::SEQUENCE);
    let mut builder = Builder::new(text);
    builder.set(work::TOKEN, s(&claim.token));
    builder.set(work::LEASE, t(claim.lease_until));
    builder.set(attr::FENCE, n(fence));
    builder.key(&pk);
    builder.and(work::STATUS, "=", s(Status::Active.as_str()));
    builder.and(attr::NEXT, "<=", t(now));
    builder.and(attr::FENCE, "<=", n(fence));
    builder.and_missing(work::TOKEN);
    builder.text.push_str(" RETURNING ALL NEW *");
    builder.finish(pk, work::ITEM)
}

/// Writes the step from `record` to `to`: only what changes, and only if nobody else has changed it.
///
/// `kept` is until when it is kept after the step. `revision` is given where its owner makes the step. The guard holds all there is to tell states
/// apart: claims raise the sequence, owners the revision, and a settle ends a claim.
pub fn step(
    table: &str,
    record: &Record,
    to: &State,
    kept: Option<Kept>,
    revision: Option<u32>,
    now: DateTime<Utc>,
) -> Statement {
    let from = &record.state;
    let mut builder = Builder::new(format!("UPDATE \"{table}\""));
    for (attribute, before, after) in [
        (work::STATUS, s(from.status.as_str()), s(to.status.as_str())),
        (attr::ATTEMPTS, n(from.attempts), n(to.attempts)),
        (attr::SEQUENCE, n(from.sequence), n(to.sequence)),
    ] {
        if before != after {
            builder.set(attribute, after);
        }
    }
    if let Some(revision) = revision {
        builder.set(attr::REVISION, n(revision));
        builder.set(attr::UPDATED, t(now));
    }
    let indexed = index(from) != index(to);
    if indexed {
        for (attribute, value) in record.index_attributes(to, now) {
            builder.set(attribute, s(value));
        }
    }
    builder.keep(record.kept, kept);
    for ((attribute, before), (_, after)) in optional(from).into_iter().zip(optional(to)) {
        match after {
            Some(after) if before.as_ref() != Some(&after) => builder.set(attribute, after),
            None if before.is_some() => builder.remove(attribute),
            _ => {}
        }
    }
    match (index(from), index(to)) {
        (Index::Due(_), Index::Done(_)) => {
            [work::DUE_PARTITION, work::DUE_SORT].map(|name| builder.remove(name))
        }
        (Index::Done(_), Index::Due(_)) => {
            [work::DONE_PARTITION, work::DONE_SORT].map(|name| builder.remove(name))
        }
        (Index::Due(_), Index::Due(_)) | (Index::Done(_), Index::Done(_)) => [(), ()],
    };
    let pk = record.pk();
    builder.key(&pk);
    match &from.claim {
        Some(claim) => builder.and(work::TOKEN, "=", s(&claim.token)),
        None => builder.and_missing(work::TOKEN),
    }
    builder.and(attr::SEQUENCE, "=", n(from.sequence));
    builder.and(attr::REVISION, "=", n(record.revision));
    builder.finish(pk, work::ITEM)
}
