//! Notifications in the work table: saved first, then claimed, sent and settled (SPEC §7, §9.2).

mod codec;
mod find;

pub use codec::Notification;
pub use find::{NotificationCounts, NotificationFilter, NotificationView};

use super::apply::Written;
use super::batcher::Outcome;
use super::codec::{Success, s};
use super::create::INLINE_PARAMETER_MAX_BYTES;
use super::erase::Erased;
use super::read::encode_entry;
use super::statements::{self, Guard, Statement};
use super::{HistoryEntry, StoreError, WorkStore, attr, keys};
use crate::tenancy::{NotificationType, Parent, ParentKind};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use find::NotificationView as Found;
use rules::activity::Claim;
use rules::due::shard;
use rules::names::{ActivityId, Tenant};
use rules::notification::{Event, Refusal, State, Status, begun, decide, held};
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
    InHand,
}

impl WorkStore {
    /// A new claim that holds until `lease_until`.
    pub fn new_claim(&self, lease_until: DateTime<Utc>) -> Claim {
        let token = URL_SAFE_NO_PAD.encode(self.entropy.bytes::<12>());
        Claim { token, lease_until: rules::time::truncate(lease_until) }
    }

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
                Some(until) => begun(self.new_claim(until), of.max_retries),
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
        self.take_back(&notification.pk(), &guards(&notification.state)).await?;
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
        let large = vec![(attr::PK, s(&pk)), (attr::SK, s(attr::PAYLOAD)), (attr::PARAMETER, s(payload))];
        self.insert_all(vec![notification.encode(), large]).await
    }

    /// Items of one partition that must not exist, all or none.
    async fn insert_all(
        &self,
        items: Vec<Vec<(&'static str, aws_sdk_dynamodb::types::AttributeValue)>>,
    ) -> Result<Outcome, StoreError> {
        let puts: Result<Vec<_>, _> = items.into_iter().map(|item| self.put_new(item)).collect();
        let puts = puts.map_err(|error| StoreError::Refused(error.to_string()))?;
        match self.client.transact_write_items().set_transact_items(Some(puts)).send().await {
            Ok(_) => Ok(Outcome::Applied(None)),
            Err(error) => match error.as_service_error() {
                Some(cause) if cause.is_transaction_canceled_exception() => Ok(Outcome::Lost(None)),
                _ => Err(StoreError::from_sdk(error)),
            },
        }
    }

    /// Makes the step that `event` asks for, at `now`: the same in every try of the same step. What it records goes before it, under a key that names the
    /// send, so that it is told once whoever tells it.
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
        let lost = matches!(event, Event::LeaseExpired(_));
        let state = match decide(&from.state, event, now) {
            Ok(state) => state,
            Err(refusal) => return Ok(Stepped::Refused(refusal)),
        };
        let to = Notification { state, success, ..from.clone() }.kept_for(self.retention());
        let step = self.step_statement(from, &to);
        if let Some(entry) = entry {
            let sk = keys::history(from.state.run, from.state.sends);
            let item = encode_entry(from.pk(), &sk, entry);
            let told = statements::insert(&self.table, from.pk(), &sk, item);
            if !lost {
                self.batcher.run(told).await?;
            } else if self.together(told, step.clone()).await? == Written::Yes {
                // In one, since a sender that was only slow may settle what is told here as lost.
                return Ok(Stepped::Applied(Box::new(to)));
            }
        }
        Ok(match self.batcher.run(step).await? {
            Outcome::Applied(_) => Stepped::Applied(Box::new(to)),
            // Our own write, retried by the SDK after it had succeeded.
            Outcome::Lost(Some(item)) if Notification::decode(&item)? == to => Stepped::Applied(Box::new(to)),
            Outcome::Lost(_) | Outcome::Duplicate => Stepped::Lost,
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
        self.batcher.run(self.step_statement(claimed, before)).await.map(drop)
    }

    fn step_statement(&self, from: &Notification, to: &Notification) -> Statement {
        let (before, after) = (from.encode(), to.encode());
        statements::difference(&self.table, from.pk(), &before, &after, guards(&from.state))
            .of_success(to.success.is_some())
    }

    /// Deletes a notification with its history, unless it is being sent.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read or written.
    pub async fn delete_notification(&self, tenant: &Tenant, id: &ActivityId) -> Result<Deleted, StoreError> {
        let Some(found) = self.notification_record(tenant, id).await? else { return Ok(Deleted::NotFound) };
        let state = &found.state;
        if state.claim.as_ref().is_some_and(|claim| claim.lease_until >= self.clock.now()) {
            return Ok(Deleted::InHand);
        }
        Ok(match self.erase(&found.pk(), &guards(state)).await? {
            Erased::Yes => Deleted::Yes,
            Erased::Kept => Deleted::InHand,
        })
    }
}

/// One in hand is guarded by its token, a free one by everything a decision is made of.
fn guards(state: &State) -> Vec<Guard> {
    use super::codec::{n, t};
    if let Some(claim) = &state.claim {
        return vec![Guard::Equals(attr::TOKEN, s(&claim.token))];
    }
    vec![
        Guard::Missing(attr::TOKEN),
        Guard::Equals(attr::STATUS, s(state.status.as_str())),
        Guard::Equals(attr::SENDS, n(state.sends)),
        Guard::Equals(attr::ATTEMPTS, n(state.attempts)),
        Guard::Equals(attr::DUE, t(state.due)),
    ]
}
