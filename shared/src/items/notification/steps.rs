//! Saving a notification, the steps of its attempts, and its deletion.

use super::find::NotificationView as Found;
use super::{Notification, NotificationView};
use crate::engine::attempt::Success;
use crate::engine::attempt::encode_entry;
use crate::engine::batcher::Outcome;
use crate::engine::erase::Erased;
use crate::engine::item::WorkItem;
use crate::engine::statements;
use crate::engine::step::{self, Advanced, Step};
use crate::engine::{HistoryEntry, StoreError, WorkStore};
use crate::items::activity::create::{INLINE_PARAMETER_MAX_BYTES, payload_item};
use crate::table::{attr, keys};
use crate::tenancy::{NotificationType, Parent, ParentKind};
use chrono::{DateTime, Utc};
use rules::claim::Trigger;
use rules::due::shard;
use rules::names::{ActivityId, Tenant};
use rules::notification::{Event, Refusal, Status, begun, decide, held};
use rules::parent::Stage;

/// A notification that is valid and shall be saved.
#[derive(Debug, Clone, PartialEq)]
pub struct NewNotification {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its id.
    pub id: ActivityId,
    /// The payload as JSON text.
    pub payload: String,
    /// Hash of the request body, by which the same request is known again.
    pub body_hash: String,
    /// Its type and solution, as they were seen when this was judged.
    pub parents: Vec<Parent>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Saved {
    /// Saved, and ours to send where a lease was asked for.
    New(Box<Notification>),
    /// The same id and body had been saved before; as it stands now.
    Existing(Box<NotificationView>),
    /// The id is taken by another body.
    Conflict,
    /// What it is created below has been deleted meanwhile, and it is not saved.
    ParentGone(ParentKind),
}

/// What a step came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Stepped {
    /// Written; the notification as it stands now.
    Applied(Box<Notification>),
    /// Its state does not allow it.
    Refused(Refusal),
    /// Somebody else has moved or deleted it meanwhile.
    Lost,
}

/// What came of a request to delete it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone.
    Yes,
    /// There is none.
    NotFound,
    /// It is being sent.
    InFlight,
}

impl WorkStore {
    /// Saves a notification: claimed for its first send until `lease_until`, or, without it, for the
    /// re-sender to send.
    ///
    /// # Errors
    /// [`StoreError`]; it may have been saved, and is then sent once the lease has run out.
    pub async fn save_notification(
        &self,
        new: NewNotification,
        of: &NotificationType,
        lease_until: Option<DateTime<Utc>>,
    ) -> Result<Saved, StoreError> {
        let now = rules::time::truncate(self.clock.now());
        let NewNotification { tenant, id, payload, body_hash, mut parents } = new;
        if let Some(gone) = self.tenancy.gone(Stage::Writing, &mut parents).await? {
            return Ok(Saved::ParentGone(gone));
        }
        let inline = payload.len() <= INLINE_PARAMETER_MAX_BYTES;
        let notification = Notification {
            state: match lease_until {
                Some(until) => begun(self.new_claim(Trigger::Due, until), of.max_retries),
                None => held(of.max_retries, now),
            },
            name: of.name.clone(),
            shard: shard(id.as_str(), of.shards),
            created_at: now,
            payload: inline.then(|| payload.clone()),
            success: None,
            kept: None,
            tenant,
            id,
            body_hash,
        };
        let mut outcome = self.insert_notification(&notification, payload.clone()).await?;
        if !matches!(outcome, Outcome::Applied(_)) {
            // What has the id may be gone for readers.
            self.make_room(&notification.pk()).await?;
            outcome = self.insert_notification(&notification, payload).await?;
        }
        if let Outcome::Applied(_) = outcome {
            return Ok(match self.unsaved(Stage::Written, &mut parents, &notification).await? {
                None => Saved::New(Box::new(notification)),
                Some(gone) => Saved::ParentGone(gone),
            });
        }
        let known = self.notification(&notification.tenant, &notification.id).await?;
        // Whoever saved it may have died before it looked whether its type is there still.
        if let Some(Found { notification: known, .. }) = &known
            && known.body_hash == notification.body_hash
            && known.state.status == Status::Pending
            && let Some(gone) = self.unsaved(Stage::Known, &mut parents, known).await?
        {
            return Ok(Saved::ParentGone(gone));
        }
        Ok(match known {
            // Our own write, retried by the SDK after it had succeeded.
            Some(known) if known.notification.state == notification.state => {
                Saved::New(Box::new(notification))
            }
            Some(known) if known.notification.body_hash == notification.body_hash => {
                Saved::Existing(Box::new(known))
            }
            Some(_) => Saved::Conflict,
            None if matches!(outcome, Outcome::Duplicate) => Saved::Conflict,
            None => return Err(StoreError::Throttled),
        })
    }

    /// What a notification that is saved was created below and is gone: then it is deleted again.
    async fn unsaved(
        &self,
        stage: Stage,
        parents: &mut [Parent],
        notification: &Notification,
    ) -> Result<Option<ParentKind>, StoreError> {
        let Some(gone) = self.tenancy.gone(stage, parents).await? else { return Ok(None) };
        self.take_back(&notification.pk(), &notification.guards(notification)).await?;
        Ok(Some(gone))
    }

    async fn insert_notification(
        &self,
        notification: &Notification,
        payload: String,
    ) -> Result<Outcome, StoreError> {
        let pk = notification.pk();
        if notification.payload.is_some() {
            let item = notification.encode();
            return self.batcher.run(statements::insert(&self.table, pk, attr::ITEM, item)).await;
        }
        self.insert_all(vec![notification.encode(), payload_item(&pk, &payload)]).await
    }

    /// Makes the step that `event` asks for, at `now`: the same in every try of the same step. What it records goes before it, under a key that names the
    /// send, so that it is recorded once whoever records it.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written, or it is not known whether it was.
    pub async fn step_notification(
        &self,
        from: &Notification,
        event: Event<'_>,
        success: Option<Success>,
        entry: Option<&HistoryEntry>,
        now: DateTime<Utc>,
    ) -> Result<Stepped, StoreError> {
        let now = rules::time::truncate(now);
        let decided = |from: &Notification| {
            let state = decide(&from.state, event.clone(), now)?;
            let to = Notification { state, success, ..from.clone() }.kept_for(self.retention());
            Ok(Step { to, enqueue: false })
        };
        let first = match decided(from) {
            Ok(step) => step,
            Err(refusal) => return Ok(Stepped::Refused(refusal)),
        };
        let entry = entry.map(|entry| {
            let sk = keys::history(from.state.run, from.state.sends);
            let item = encode_entry(from.pk(), &sk, entry);
            statements::insert(&self.table, from.pk(), &sk, item)
        });
        // With the step, since a sender that was only slow may settle what is recorded here as lost.
        let (lost, ended) = match event {
            Event::LeaseExpired(_) => (entry, None),
            _ => (None, entry),
        };
        if let Some(entry) = ended {
            self.batcher.run(entry).await?;
        }
        if from.claim().is_none() {
            // What its caller has read beside it goes with this state alone.
            return Ok(match self.step(from, &first.to, None, now).await? {
                step::Stepped::Applied => Stepped::Applied(Box::new(first.to)),
                step::Stepped::Moved(_) | step::Stepped::Gone => Stepped::Lost,
            });
        }
        Ok(match self.advance(from.clone(), lost.as_ref(), now, decided).await? {
            Advanced::Applied(step) => Stepped::Applied(Box::new(step.to)),
            Advanced::Refused(refusal) => Stepped::Refused(refusal),
            Advanced::Stale | Advanced::Contended => Stepped::Lost,
        })
    }

    /// Has a notification, which was claimed just now, as it was before that.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    pub(crate) async fn restore_notification(
        &self,
        claimed: &Notification,
        before: &Notification,
    ) -> Result<(), StoreError> {
        self.step(claimed, before, None, self.clock.now()).await.map(drop)
    }

    /// Deletes a notification with its history, unless it is being sent.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read or written.
    pub async fn delete_notification(&self, tenant: &Tenant, id: &ActivityId) -> Result<Deleted, StoreError> {
        let Some(found) = self.notification_record(tenant, id).await? else { return Ok(Deleted::NotFound) };
        if found.claim().is_some_and(|claim| claim.holds(self.clock.now())) {
            return Ok(Deleted::InFlight);
        }
        Ok(match self.erase(&found.pk(), &found.guards(&found)).await? {
            Erased::Yes => Deleted::Yes,
            Erased::Kept => Deleted::InFlight,
        })
    }
}
