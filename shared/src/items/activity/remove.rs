//! Removing what nobody owns any more: of deleted solutions, and of erased objects and recipients (SPEC §3).
//!
//! Works on items of every kind alike, by their keys and claims, so that nothing is left because it cannot be decoded.

use crate::engine::attributes::{Attributes, Item};
use crate::engine::erase::Erased;
use crate::engine::guard::Guard;
use crate::engine::scan::{Phase, Position, STRIDE};
use crate::engine::{StoreError, WorkStore};
use crate::items::activity::Filter;
use crate::items::activity::codec::Record;
use crate::table::{attr, keys};
use crate::tenancy::KindEntry;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use rules::names::Tenant;
use rules::rolling::LogKind;

/// Items, each with all that belongs to it, removed at a time.
const IN_FLIGHT: usize = 16;

/// What became of an item that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It is gone, now or before.
    Gone,
    /// A worker holds it: to be removed once that has settled it, or its lease has run out.
    InFlight,
}

/// How much was removed of what should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removal {
    /// Items that are gone, each with all that belonged to it.
    pub removed: usize,
    /// Whether something is left: it is in flight, or time ran out.
    pub left: bool,
}

impl Removal {
    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self { removed: self.removed + other.removed, left: self.left || other.left }
    }
}

/// What the item of the state says about who holds it, and what a provider calls it. What cannot be read of it says
/// nothing, so that it can be removed all the same.
#[derive(Default)]
struct Held {
    token: Option<AttributeValue>,
    lease_until: Option<DateTime<Utc>>,
    provider_id: Option<String>,
}

impl WorkStore {
    /// Removes everything that stands in the partitions of `phase`, until `deadline`, with whatever belongs to it.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read or written; the same call may be made again.
    pub(crate) async fn remove_phase(
        &self,
        tenant: &Tenant,
        phase: &Phase,
        deadline: DateTime<Utc>,
    ) -> Result<Removal, StoreError> {
        let (mut removal, mut after) = (Removal::default(), None::<String>);
        loop {
            if self.clock.now() >= deadline {
                return Ok(Removal { left: true, ..removal });
            }
            let rows = self.stride(phase, after.as_deref(), STRIDE).await?;
            let pks = rows.iter().map(|(_, pk)| pk.clone()).collect();
            removal = removal.and(self.remove_all(tenant, pks, true).await?);
            match rows.into_iter().nth(STRIDE - 1) {
                Some((sort, _)) => after = Some(sort),
                None => return Ok(removal),
            }
        }
    }

    /// Removes the partitions `pks`, several at a time; see [`WorkStore::remove`].
    ///
    /// # Errors
    /// As there.
    pub async fn remove_all(
        &self,
        tenant: &Tenant,
        pks: Vec<String>,
        is_retired: bool,
    ) -> Result<Removal, StoreError> {
        let removals = pks.into_iter().map(|pk| async move { self.remove(tenant, &pk, is_retired).await });
        let removals: Vec<_> = removals.collect();
        let of = |removed| Removal {
            removed: usize::from(removed == Removed::Gone),
            left: removed == Removed::InFlight,
        };
        stream::iter(removals)
            .buffer_unordered(IN_FLIGHT)
            .try_fold(Removal::default(), |sum, removed| std::future::ready(Ok(sum.and(of(removed)))))
            .await
    }

    /// Removes the partition `pk` with the link from its provider's id. Where the whole solution is retired, links that
    /// it shares with other activities go too.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read or written; the same call may be made again.
    pub async fn remove(&self, tenant: &Tenant, pk: &str, is_retired: bool) -> Result<Removed, StoreError> {
        let item = self.item(pk, attr::ITEM).await?;
        let held = item.as_ref().map(Held::of).unwrap_or_default();
        if held.lease_until.is_some_and(|until| self.clock.now() < until) {
            return Ok(Removed::InFlight);
        }
        if let Some(provider_id) = &held.provider_id {
            let link = keys::provider(tenant, provider_id);
            let found = self.unreadable.leave_out(self.read_link(&link).await)?;
            let linked = found.map(|link| link.linked()).unwrap_or_default();
            let is_own = matches!(linked.as_slice(), [one] if keys::activity(tenant, &one.id) == pk);
            if is_retired || is_own {
                self.erase(&link, &[]).await?;
            }
        }
        let guard = match held.token {
            Some(token) => Guard::Equals(attr::TOKEN, token),
            None => Guard::Missing(attr::TOKEN),
        };
        match self.erase(pk, &[guard]).await? {
            Erased::Yes => Ok(Removed::Gone),
            // Claimed since it was read.
            Erased::Kept => Ok(Removed::InFlight),
        }
    }

    /// The records that match from `cursor` on, a stride of them; and where to go on, if this is not the end.
    ///
    /// # Errors
    /// [`StoreError`] when an index or an item cannot be read.
    pub async fn records_of(
        &self,
        tenant: &Tenant,
        kinds: &[KindEntry],
        filter: &Filter,
        cursor: Option<&str>,
    ) -> Result<(Vec<Record>, Option<String>), StoreError> {
        let phases = self.phases(tenant, kinds, filter);
        let position = cursor.map(Position::decode).transpose()?.unwrap_or_default();
        let Some((found, next)) = self.walk(&phases, filter, position).await? else {
            return Ok((Vec::new(), None));
        };
        Ok((found.into_iter().map(|(_, record)| record).collect(), Some(next.encode())))
    }

    /// Removes the batches of rolled logs that a solution left under way.
    ///
    /// # Errors
    /// [`StoreError`] when they could not be read or written.
    pub async fn remove_batches(&self, tenant: &Tenant) -> Result<(), StoreError> {
        for kind in LogKind::ALL {
            self.erase(&crate::items::activity::batches::batch_pk(tenant, kind), &[]).await?;
        }
        Ok(())
    }
}

impl Held {
    fn of(item: &Item) -> Self {
        let Ok(read) = Attributes::new(item) else { return Self::default() };
        let provider_id = read.text_option(attr::PROVIDER_ACTIVITY).ok().flatten();
        Self {
            token: item.get(attr::TOKEN).cloned(),
            lease_until: read.instant_option(attr::LEASE).ok().flatten(),
            provider_id: provider_id.map(str::to_owned),
        }
    }
}
