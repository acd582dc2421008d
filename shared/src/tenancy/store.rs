//! What every kind of configuration has in common: it is read through a cache, changed in one transaction with its audit
//! entry under a condition on what was read, and deleted whether or not it can be decoded.

use super::cache::Cache;
use super::change::{Commit, TRIES_MAX, When};
use super::error::Operation;
use super::item::{DecodeError, Item, Key, Reader, SK};
use super::page::Listing;
use super::quota::{Place, Quota, made};
use super::{
    Actor, AuditEntry, AuditScope, ChangeError, Changed, Meta, Page, PageRequest, Solution, Tenancy,
    TenancyError,
};
use aws_sdk_dynamodb::types::TransactWriteItem;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::hash::Hash;
use std::str::FromStr;
use std::sync::Arc;

/// A kind of configuration: its codec, where it lies, and what the audit log shows of it.
pub trait Setting: Clone + PartialEq + Send + Sync {
    /// By what it is found.
    type Id: Clone + Eq + Hash + Send + Sync;
    /// Below what it is listed.
    type Parent: ?Sized;
    /// What it is called in an error.
    const WHAT: &'static str;
    /// What its actions in the audit log begin with, such as `activityType`.
    const ACTION: &'static str;
    /// The member of the audit log that names it.
    const NAMED: &'static str = Self::ACTION;
    /// What its sort key begins with, before its name.
    const PREFIX: &'static str;
    /// What it is counted as, if a company may have so many.
    const QUOTA: Option<Quota> = None;

    /// The partition in which those of a parent lie.
    fn partition(parent: &Self::Parent) -> String;

    /// Where it lies.
    fn key(id: &Self::Id) -> Key;

    /// Its item.
    ///
    /// # Errors
    /// [`TenancyError::Encode`] for what cannot be written as JSON.
    fn encode(&self, id: &Self::Id) -> Result<Item, TenancyError>;

    /// Reads an item.
    ///
    /// # Errors
    /// [`DecodeError`] naming what cannot be read.
    fn decode(item: &Item) -> Result<Self, DecodeError>;

    /// When it was made and changed.
    fn meta(&self) -> Meta;

    /// The same, made and changed at other times.
    fn with_meta(self, meta: Meta) -> Self;

    /// For the audit log.
    fn audited(&self) -> Value;

    /// This process's cache of it.
    fn cache(tenancy: &Tenancy) -> &Cache<Self::Id, Self>;
}

/// The name in the sort key of an item.
pub(super) fn name_in<T: Setting, N: FromStr>(item: &Item) -> Result<N, DecodeError> {
    let reader = Reader::new(T::WHAT, item);
    let name = reader.text(SK)?.strip_prefix(T::PREFIX).and_then(|name| name.parse().ok());
    name.ok_or_else(|| reader.error(SK, format!("names no {}", T::WHAT)))
}

/// All of a parent's.
pub(super) fn listing<T: Setting>(parent: &T::Parent) -> Listing<'static> {
    let pk = T::partition(parent);
    Listing { operation: Operation("list", T::WHAT), pk, prefix: T::PREFIX, newest_first: false }
}

/// A change that was decided from what there was.
pub(super) struct Decision<T> {
    /// What is to be there; the store sets its `meta`.
    pub(super) new: T,
    /// What is written in the same transaction.
    pub(super) beside: Vec<TransactWriteItem>,
    /// What the audit log shows of it beside [`Setting::audited`].
    pub(super) note: Option<(&'static str, Value)>,
}

impl Tenancy {
    /// A configuration item, at most [`super::CACHE_TTL`] old.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn cached<T: Setting>(&self, id: &T::Id) -> Result<Option<Arc<T>>, TenancyError> {
        T::cache(self).get_or(id, self.fresh(id)).await
    }

    /// The same, read past the cache.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn fresh<T: Setting>(&self, id: &T::Id) -> Result<Option<Arc<T>>, TenancyError> {
        let begun = T::cache(self).begin();
        let Some(item) = self.read(Operation("read", T::WHAT), &T::key(id)).await? else { return Ok(None) };
        let found = T::decode(&item)?;
        let meta = Meta { read_at: begun.at(), ..found.meta() };
        let found = Arc::new(found.with_meta(meta));
        T::cache(self).keep(&begun, id.clone(), found.clone());
        Ok(Some(found))
    }

    /// A page of what a parent has, by name.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn list<T: Setting>(
        &self,
        parent: &T::Parent,
        request: &PageRequest,
    ) -> Result<Page<T>, TenancyError> {
        self.page(&listing::<T>(parent), request, T::decode).await
    }

    /// Makes or replaces a configuration item as `decide` says from what there is; nothing is written where it decides on
    /// nothing. What is audited in a solution's log is made below that solution.
    pub(super) async fn change<T: Setting, F>(
        &self,
        actor: &Actor,
        (scope, id): (AuditScope, &T::Id),
        decide: impl Fn(Option<Arc<T>>) -> F,
    ) -> Result<Changed<T>, ChangeError>
    where
        F: Future<Output = Result<Option<Decision<T>>, ChangeError>>,
    {
        let place = |quota| self.place(scope.company(), quota);
        let mut place = T::QUOTA.map(place);
        let changed = self.write(actor, (&scope, id), place.as_mut(), decide).await;
        if let Some(place) = place {
            place.settle(made(changed.as_ref())).await;
        }
        changed
    }

    async fn write<T: Setting, F>(
        &self,
        actor: &Actor,
        (scope, id): (&AuditScope, &T::Id),
        mut place: Option<&mut Place<'_>>,
        decide: impl Fn(Option<Arc<T>>) -> F,
    ) -> Result<Changed<T>, ChangeError>
    where
        F: Future<Output = Result<Option<Decision<T>>, ChangeError>>,
    {
        for _ in 0..TRIES_MAX {
            let old = self.fresh::<T>(id).await?;
            let Some(Decision { new, mut beside, note }) = decide(old.clone()).await? else {
                let old = old.ok_or(ChangeError::NotFound(T::WHAT))?;
                return Ok(Changed::Unchanged(T::clone(&old)));
            };
            let now = rules::time::truncate(self.clock.now());
            let (meta, when, verb) = match &old {
                Some(old) => (old.meta().changed(now), When::Unchanged(old.meta()), "updated"),
                None => (Meta::new(now), When::Absent, "created"),
            };
            let new = new.with_meta(meta);
            let mut audited = new.audited();
            if let Some((name, value)) = note {
                audited[name] = value;
            }
            let entry = AuditEntry::new(now, actor, &format!("{}.{verb}", T::ACTION));
            let entry = entry.from(old.as_deref().map(T::audited)).to(audited);
            if old.is_none()
                && let AuditScope::Solution(tenant) = scope
            {
                if self.solution_fresh(tenant).await?.is_none() {
                    return Err(ChangeError::NotFound("solution"));
                }
                if let Some(place) = &mut place {
                    place.take().await?;
                }
                // So that the solution is not deleted meanwhile.
                beside.push(self.touch(&Solution::key(tenant), When::Exists));
            }
            let mut writes = vec![self.put(new.encode(id)?, Some(when))];
            writes.extend(beside);
            writes.push(self.audit(scope, &entry));
            let commit = self.commit(Operation("write", T::WHAT), writes).await;
            T::cache(self).forget(id);
            if commit? == Commit::Applied {
                return Ok(if old.is_some() { Changed::Replaced(new) } else { Changed::Created(new) });
            }
        }
        Err(ChangeError::contended())
    }

    /// Deletes a configuration item; one that was `marked` for it, if it is as it was then. `beside` is what is written in the
    /// same transaction; the item it is given is one that can be decoded.
    pub(super) async fn discard<T: Setting, F>(
        &self,
        actor: &Actor,
        (scope, id): (AuditScope, &T::Id),
        marked: Option<Meta>,
        beside: impl Fn(Option<T>, DateTime<Utc>) -> F,
    ) -> Result<(), ChangeError>
    where
        F: Future<Output = Result<Vec<TransactWriteItem>, TenancyError>>,
    {
        for _ in 0..TRIES_MAX {
            let key = T::key(id);
            let Some(old) = self.found(Operation("read", T::WHAT), &key, T::decode).await? else {
                return Err(ChangeError::NotFound(T::WHAT));
            };
            old.check(marked)?;
            let now = rules::time::truncate(self.clock.now());
            let name = key.sk.strip_prefix(T::PREFIX).unwrap_or(&key.sk);
            let was = old.audited(T::NAMED, name, T::audited);
            let entry = AuditEntry::new(now, actor, &format!("{}.deleted", T::ACTION)).from(was);
            let mut writes = vec![self.delete(&key, Some(old.when()))];
            writes.extend(beside(old.value, now).await?);
            writes.push(self.audit(&scope, &entry));
            let commit = self.commit(Operation("delete", T::WHAT), writes).await;
            T::cache(self).forget(id);
            if commit? == Commit::Applied {
                if let Some(quota) = T::QUOTA {
                    self.release(scope.company(), quota, 1).await;
                }
                return Ok(());
            }
        }
        Err(ChangeError::contended())
    }
}
