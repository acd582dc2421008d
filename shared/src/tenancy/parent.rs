//! What others are created below, and is not deleted while they are being created ([`rules::parent`]).

use super::change::{Commit, TRIES_MAX, When};
use super::item::{Item, Key, Reader};
use super::store::Setting;
use super::{
    ActivityType, Actor, ChangeError, Meta, NotificationType, ReminderConfiguration, Solution, Tenancy,
    TenancyError, found,
};
use rules::names::{Kind, Tenant, TypeName};
use rules::parent::{DELETION_WAIT, Finish, Next, Seen, Stage, finish, found, must_look, next};
use std::fmt;

/// Which parent of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ParentKind {
    /// The solution: of everything in it.
    Solution,
    /// Of activities and recurring rules.
    ActivityType(TypeName),
    /// Of notifications.
    NotificationType(TypeName),
    /// Of reminders.
    ReminderConfiguration,
}

/// As errors name it.
impl fmt::Display for ParentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParentKind::Solution => f.write_str("solution"),
            ParentKind::ActivityType(name) => write!(f, "activity type {name}"),
            ParentKind::NotificationType(name) => write!(f, "notification type {name}"),
            ParentKind::ReminderConfiguration => f.write_str("reminder configuration"),
        }
    }
}

impl ParentKind {
    fn what(&self) -> &'static str {
        match self {
            ParentKind::Solution => "solution",
            ParentKind::ActivityType(_) => "activity type",
            ParentKind::NotificationType(_) => "notification type",
            ParentKind::ReminderConfiguration => "reminder configuration",
        }
    }

    fn key(&self, tenant: &Tenant) -> Key {
        match self {
            ParentKind::Solution => Solution::key(tenant),
            ParentKind::ActivityType(name) => ActivityType::key(&(tenant.clone(), name.clone())),
            ParentKind::NotificationType(name) => NotificationType::key(&(tenant.clone(), name.clone())),
            ParentKind::ReminderConfiguration => ReminderConfiguration::key(tenant),
        }
    }
}

/// A parent as the creator of a child has seen it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parent {
    tenant: Tenant,
    kind: ParentKind,
    meta: Meta,
}

impl Parent {
    fn of(tenant: &Tenant, kind: ParentKind, meta: Meta) -> Self {
        Self { tenant: tenant.clone(), kind, meta }
    }

    fn seen(&self) -> Seen {
        Seen { read_at: self.meta.read_at, is_marked: self.meta.deleting }
    }

    fn is(&self, other: &Self) -> bool {
        let identity = |parent: &Self| (parent.tenant.clone(), parent.kind.clone(), parent.meta.created_at);
        identity(self) == identity(other)
    }
}

impl Solution {
    /// As the parent of what is in it.
    pub fn as_parent(&self) -> Parent {
        Parent::of(&self.tenant, ParentKind::Solution, self.meta)
    }
}

impl ActivityType {
    /// As the parent of its activities and rules.
    pub fn as_parent(&self, tenant: &Tenant) -> Parent {
        Parent::of(tenant, ParentKind::ActivityType(self.name.clone()), self.meta)
    }
}

impl NotificationType {
    /// As the parent of its notifications.
    pub fn as_parent(&self, tenant: &Tenant) -> Parent {
        Parent::of(tenant, ParentKind::NotificationType(self.name.clone()), self.meta)
    }
}

impl ReminderConfiguration {
    /// As the parent of its reminders.
    pub fn as_parent(&self) -> Parent {
        Parent::of(&self.tenant, ParentKind::ReminderConfiguration, self.meta)
    }
}

/// What became of parents that were looked at again.
#[derive(Debug, Default)]
pub struct Looked(Vec<(Parent, Option<Meta>)>);

impl Looked {
    /// The first of `parents` that is gone.
    pub fn gone(&self, parents: &[Parent]) -> Option<ParentKind> {
        let is_gone =
            |parent: &&Parent| self.0.iter().any(|(known, meta)| meta.is_none() && known.is(parent));
        parents.iter().find(is_gone).map(|parent| parent.kind.clone())
    }

    /// Has `parents` as they were seen last.
    pub fn renew(&self, parents: &mut [Parent]) {
        for parent in parents {
            if let Some((_, Some(meta))) = self.0.iter().find(|(known, _)| known.is(parent)) {
                parent.meta = *meta;
            }
        }
    }
}

/// A deletion that has marked its parent.
#[derive(Debug, Clone, PartialEq)]
pub struct Deletion {
    tenant: Tenant,
    kind: ParentKind,
    /// The parent's, with the mark.
    marked: Meta,
}

impl Tenancy {
    /// The parents of what is made by `kind` in a tenant, from the cache, or the first that there is not.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read.
    pub async fn parents(
        &self,
        tenant: &Tenant,
        kind: &Kind,
    ) -> Result<Result<Vec<Parent>, ParentKind>, TenancyError> {
        let Some(solution) = self.solution(tenant).await? else { return Ok(Err(ParentKind::Solution)) };
        let mut parents = vec![solution.as_parent()];
        if let Kind::Type(name) = kind {
            match self.activity_type(tenant, name).await? {
                Some(found) => parents.push(found.as_parent(tenant)),
                None => return Ok(Err(ParentKind::ActivityType(name.clone()))),
            }
        }
        Ok(Ok(parents))
    }

    /// Looks again at the parents of one child; the first that is gone.
    ///
    /// # Errors
    /// As [`Tenancy::look_again`].
    pub async fn gone(
        &self,
        stage: Stage,
        parents: &mut [Parent],
    ) -> Result<Option<ParentKind>, TenancyError> {
        let all: Vec<&Parent> = parents.iter().collect();
        let looked = self.look_again(stage, &all).await?;
        looked.renew(parents);
        Ok(looked.gone(parents))
    }

    /// Looks again at those of `parents` that have to be, and removes the marks that it finds. In normal running none
    /// has to be, and nothing is read.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be read or written.
    pub async fn look_again(&self, stage: Stage, parents: &[&Parent]) -> Result<Looked, TenancyError> {
        let now = self.clock.now();
        let mut looked = Looked::default();
        for &parent in parents {
            if must_look(parent.seen(), stage, now) && !looked.0.iter().any(|(known, _)| known.is(parent)) {
                let meta = self.look(parent).await?;
                looked.0.push((parent.clone(), meta));
            }
        }
        Ok(looked)
    }

    async fn look(&self, parent: &Parent) -> Result<Option<Meta>, TenancyError> {
        let Parent { tenant, kind, meta: seen } = parent;
        for _ in 0..TRIES_MAX {
            let meta = self.parent_meta(tenant, kind).await?;
            match (next(found(seen.created_at, meta.map(Meta::stored))), meta) {
                (Next::GoOn, meta) => return Ok(meta),
                (Next::Reopen, Some(meta)) => {
                    self.remove_mark(tenant, kind, meta).await?;
                }
                (Next::Refuse | Next::Reopen, _) => {
                    self.forget_parent(tenant, kind);
                    return Ok(None);
                }
            }
        }
        Err(TenancyError::Store { operation: "look at a parent again".into(), source: "contended".into() })
    }

    /// Marks a parent that is to be deleted. What is created below it from here on removes the mark.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`] without it, or the table failed.
    pub async fn begin_deletion(&self, tenant: &Tenant, kind: ParentKind) -> Result<Deletion, ChangeError> {
        for _ in 0..TRIES_MAX {
            let Some(item) = self.parent_item(tenant, &kind).await? else {
                return Err(ChangeError::NotFound(kind.what()));
            };
            let read = found::meta(&item);
            let marked = read.marked();
            let mark = self.mark(&kind.key(tenant), When::unchanged(read), marked.revision);
            let commit = self.commit("mark what is deleted", vec![mark]).await;
            self.forget_parent(tenant, &kind);
            if commit? == Commit::Applied {
                return Ok(Deletion { tenant: tenant.clone(), kind, marked });
            }
        }
        Err(ChangeError::contended())
    }

    /// Waits until whoever had read the parent before it was marked has written its child, or looks again.
    pub async fn wait_for_creators(&self) {
        self.clock.sleep_until(self.clock.now() + DELETION_WAIT).await;
    }

    /// Removes the mark of a deletion that is not carried out.
    ///
    /// # Errors
    /// [`TenancyError`] if the table cannot be written.
    pub async fn cancel_deletion(&self, deletion: &Deletion) -> Result<(), TenancyError> {
        self.remove_mark(&deletion.tenant, &deletion.kind, deletion.marked).await
    }

    /// Carries out a deletion, if nobody has changed its parent or created something below it since it was marked.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`] if it is gone, [`ChangeError::Conflict`] if it was used or changed, or the table failed.
    pub async fn finish_deletion(&self, actor: &Actor, deletion: &Deletion) -> Result<(), ChangeError> {
        let Deletion { tenant, kind, marked } = deletion;
        let stored = self.parent_item(tenant, kind).await?.map(|item| found::meta(&item).stored());
        match finish(marked.stored(), stored) {
            Finish::Delete => {}
            Finish::Refuse => return Err(in_use(kind)),
            Finish::NotFound => return Err(ChangeError::NotFound(kind.what())),
        }
        let marked = Some(*marked);
        let deleted = match kind {
            ParentKind::Solution => self.delete_solution_at(actor, tenant, marked).await,
            ParentKind::ActivityType(name) => self.delete_activity_type_at(actor, tenant, name, marked).await,
            ParentKind::NotificationType(name) => {
                self.delete_notification_type_at(actor, tenant, name, marked).await
            }
            ParentKind::ReminderConfiguration => {
                self.delete_reminder_configuration_at(actor, tenant, marked).await
            }
        };
        match deleted {
            Err(ChangeError::Conflict(_)) => Err(in_use(kind)),
            deleted => deleted,
        }
    }

    async fn remove_mark(
        &self,
        tenant: &Tenant,
        kind: &ParentKind,
        marked: Meta,
    ) -> Result<(), TenancyError> {
        let touch = self.touch(&kind.key(tenant), When::unchanged(marked));
        let commit = self.commit("remove the mark of a deletion", vec![touch]).await;
        self.forget_parent(tenant, kind);
        // If it is lost, somebody else has changed the parent, and with it the mark.
        commit.map(drop)
    }

    /// When a parent was made and changed, and whether it is marked, read past the cache; `None` without it.
    async fn parent_meta(&self, tenant: &Tenant, kind: &ParentKind) -> Result<Option<Meta>, TenancyError> {
        let read_at = self.clock.now();
        let Some(item) = self.parent_item(tenant, kind).await? else { return Ok(None) };
        Ok(Some(Meta { read_at, ..Meta::read(&Reader::new(kind.what(), &item))? }))
    }

    /// The item of a parent, read past the cache; `None` without it. What is deleted need not be decoded.
    async fn parent_item(&self, tenant: &Tenant, kind: &ParentKind) -> Result<Option<Item>, TenancyError> {
        let Some(item) = self.read("read parent", &kind.key(tenant)).await? else { return Ok(None) };
        let is_there = match kind {
            // The key has the name alone, which another solution may have by now.
            ParentKind::Solution => {
                self.incarnation_of(&item, tenant).await? == tenant.solution.incarnation()
            }
            ParentKind::ReminderConfiguration => !ReminderConfiguration::is_retired(&item),
            ParentKind::ActivityType(_) | ParentKind::NotificationType(_) => true,
        };
        Ok(is_there.then_some(item))
    }

    fn forget_parent(&self, tenant: &Tenant, kind: &ParentKind) {
        match kind {
            ParentKind::Solution => self.forget_solution(tenant),
            ParentKind::ActivityType(name) => self.types.forget(&(tenant.clone(), name.clone())),
            ParentKind::NotificationType(name) => {
                self.notification_types.forget(&(tenant.clone(), name.clone()));
            }
            ParentKind::ReminderConfiguration => self.reminders.forget(tenant),
        }
    }
}

fn in_use(kind: &ParentKind) -> ChangeError {
    ChangeError::Conflict(format!("the {kind} was used or changed while it was being deleted; try again"))
}
