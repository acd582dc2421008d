//! What an owner does to a reminder: write it, write it anew, call it off.

use crate::body_hash::BodyHash;
use crate::engine::attributes::n;
use crate::engine::guard::Guard;
use crate::engine::step::{Stepped, TRIES};
use crate::engine::{StoreError, WorkItem};
use crate::items::reminder::codec;
use crate::items::reminder::codec::Record;
use crate::items::reminder::{Definition, Reminder, ReminderStore, attr, keys};
use crate::table::attr::TOKEN;
use crate::tenancy::{Parent, ParentKind, Shards};
use chrono::{DateTime, Utc};
use rules::names::{ActivityId, Tenant};
use rules::parent::Stage;
use rules::reminder::{Ended, Event, Outstanding, Refusal, State, Status, decide, index};
use std::collections::BTreeMap;

/// A reminder that is valid and shall be accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct NewReminder {
    /// Whose it is.
    pub tenant: Tenant,
    /// Its id.
    pub id: ActivityId,
    /// What it says, to whom, and when. At least one send time.
    pub definition: Definition,
    /// Hash of the request body, by which the same request is known again.
    pub body_hash: BodyHash,
    /// Shards of its configuration.
    pub shards: Shards,
    /// Its configuration and solution, as they were seen when this was judged.
    pub parents: Vec<Parent>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Put {
    /// Accepted.
    Created(Box<Reminder>),
    /// There was another; now there is this.
    Replaced(Box<Reminder>),
    /// The same had been written before; as it stands now.
    Unchanged(Box<Reminder>),
    /// Its state does not allow it.
    Refused(Refusal),
    /// What it is created below has been deleted meanwhile, and it is not written.
    ParentGone(ParentKind),
}

/// What cancelling came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Cancelled {
    /// It is called off.
    Applied(Box<Reminder>),
    /// There is no such reminder.
    NotFound,
    /// Its state does not allow it.
    Refused(Refusal),
}

impl ReminderStore {
    /// Accepts a reminder, or writes one anew: it goes on with those of its send times that are not ended. What
    /// has passed and is left out is skipped at once.
    ///
    /// When this returns, what is accepted is durable, state and definition together.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be written.
    pub async fn put(&self, mut new: NewReminder) -> Result<Put, StoreError> {
        for _ in 0..TRIES {
            if let Some(gone) = self.work.tenancy.gone(Stage::Writing, &mut new.parents).await? {
                return Ok(Put::ParentGone(gone));
            }
            let now = rules::time::truncate(self.work.clock.now());
            let Some(old) = self.record(&new.tenant, &new.id).await? else {
                // What has the id may be gone for readers.
                self.work.make_room(&keys::reminder(&new.tenant, &new.id)).await?;
                let outstanding = new.outstanding(&BTreeMap::new(), None, now);
                let record = self.placed(new.record(State::accepted(&outstanding.times), now), now);
                let reminder = Reminder { record, definition: new.definition.clone(), outstanding };
                if self.write(&reminder, None, now).await? {
                    if let Some(gone) = self.gone(Stage::Written, &mut new, &reminder.record).await? {
                        return Ok(Put::ParentGone(gone));
                    }
                    return Ok(Put::Created(Box::new(self.caught_up(reminder).await)));
                }
                continue;
            };
            if new.body_hash.is_of(&old.body_hash) && old.state.status != Status::Cancelled {
                // As it is kept: what means the same may be written in another way.
                match self.get(&new.tenant, &new.id).await? {
                    Some(kept) if new.body_hash.is_of(&kept.record.body_hash) => {
                        // Whoever wrote it may have died before it looked whether its configuration is there still.
                        if kept.record.state.sequence == 0
                            && kept.record.state.status == Status::Active
                            && let Some(gone) = self.gone(Stage::Known, &mut new, &kept.record).await?
                        {
                            return Ok(Put::ParentGone(gone));
                        }
                        return Ok(Put::Unchanged(Box::new(kept)));
                    }
                    _ => continue,
                }
            }
            let ended = match old.state.sequence {
                0 => BTreeMap::new(),
                _ => self.ended(&old, &new.definition.send_times).await?,
            };
            let begun = old.state.next.filter(|_| old.state.attempts > 0);
            let outstanding = new.outstanding(&ended, begun, now);
            let step = match decide(&old.state, Event::Replace { times: &outstanding.times }, now) {
                Ok(step) => step,
                Err(refusal) => return Ok(Put::Refused(refusal)),
            };
            let record = Record {
                created_at: old.created_at,
                revision: old.revision + 1,
                fence: old.fence,
                ..new.record(step.to, now)
            };
            let record = self.placed(record, now);
            let reminder = Reminder { record, definition: new.definition.clone(), outstanding };
            if self.write(&reminder, Some(&old), now).await? {
                if let Some(gone) = self.gone(Stage::Written, &mut new, &reminder.record).await? {
                    return Ok(Put::ParentGone(gone));
                }
                return Ok(Put::Replaced(Box::new(self.caught_up(reminder).await)));
            }
        }
        // It moved under every try: somebody is at work on it.
        Ok(Put::Refused(Refusal::InFlight))
    }

    /// What `new` was written below and is gone: then it is deleted, if nobody has begun it, or else cancelled.
    async fn gone(
        &self,
        stage: Stage,
        new: &mut NewReminder,
        written: &Record,
    ) -> Result<Option<ParentKind>, StoreError> {
        let Some(gone) = self.work.tenancy.gone(stage, &mut new.parents).await? else { return Ok(None) };
        if written.state.sequence > 0 {
            // It has a history, of when its configuration was there.
            self.cancel(&written.tenant, &written.id).await?;
        } else {
            let guards = [
                Guard::Missing(TOKEN),
                Guard::Equals(attr::SEQUENCE, n(0)),
                Guard::Equals(attr::REVISION, n(written.revision)),
            ];
            self.work.take_back(&keys::reminder(&written.tenant, &written.id), &guards).await?;
        }
        Ok(Some(gone))
    }

    /// A reminder as it is written at `now`.
    fn placed(&self, record: Record, now: DateTime<Utc>) -> Record {
        Record { kept: codec::kept(index(&record.state), self.work.retention(), now), ..record }
    }

    /// A reminder just written, without the send times that are left out.
    async fn caught_up(&self, reminder: Reminder) -> Reminder {
        match self.skip_missed(reminder.clone(), None).await {
            Ok(reminder) => reminder,
            Err(error) => {
                // It is accepted; the processor skips them before it attempts anything.
                let record = &reminder.record;
                tracing::warn!(tenant = %record.tenant, id = %record.id, %error, "send times not skipped at once");
                reminder
            }
        }
    }

    /// Calls a reminder off. What is on its way meanwhile is still recorded.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read or written.
    pub async fn cancel(&self, tenant: &Tenant, id: &ActivityId) -> Result<Cancelled, StoreError> {
        for _ in 0..TRIES {
            let now = rules::time::truncate(self.work.clock.now());
            let Some(reminder) = self.get(tenant, id).await? else { return Ok(Cancelled::NotFound) };
            let record = &reminder.record;
            let step = match decide(&record.state, Event::Cancel, now) {
                Ok(step) => step,
                Err(refusal) => return Ok(Cancelled::Refused(refusal)),
            };
            let cancelled =
                Record { revision: record.revision + 1, updated_at: now, ..self.at(record, step.to, now) };
            if self.work.step(record, &cancelled, None, now).await? == Stepped::Applied {
                return Ok(Cancelled::Applied(Box::new(Reminder { record: cancelled, ..reminder })));
            }
        }
        Ok(Cancelled::Refused(Refusal::InFlight))
    }

    /// Writes state and definition together, over `old` if that is still as it was; `false` if it is not.
    async fn write(
        &self,
        reminder: &Reminder,
        old: Option<&Record>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let Reminder { record, definition, outstanding } = reminder;
        let state = record.encode(now);
        let state = match old {
            None => self.work.put_new(state),
            Some(old) => self.work.put(state, &old.guards(record)),
        };
        let definition = definition.encode(outstanding, &record.tenant, &record.id);
        match self.work.transact(vec![state, self.work.put(definition, &[])]).await? {
            Ok(()) => Ok(true),
            // Our own write, retried by the SDK after it had succeeded, or another's.
            Err(_) => Ok(self.record(&record.tenant, &record.id).await?.as_ref() == Some(record)),
        }
    }
}

impl NewReminder {
    fn record(&self, state: State, now: DateTime<Utc>) -> Record {
        let (send_times, whom) = (&self.definition.send_times, self.definition.recipient());
        let recipient = keys::recipient(&whom);
        Record {
            state,
            created_at: now,
            updated_at: now,
            revision: 1,
            body_hash: self.body_hash.to_string(),
            span: (send_times.first().copied().unwrap_or(now), send_times.last().copied().unwrap_or(now)),
            phone: keys::phone_partition(&self.tenant, whom.national()),
            shard: rules::due::shard(&recipient, self.shards.due),
            done_shard: rules::due::shard(self.id.as_str(), self.shards.done),
            recipient,
            fence: 0,
            kept: None,
            tenant: self.tenant.clone(),
            id: self.id.clone(),
        }
    }

    fn outstanding(
        &self,
        ended: &BTreeMap<DateTime<Utc>, Ended>,
        begun: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Outstanding {
        let Definition { catch_up, send_times, .. } = &self.definition;
        Outstanding::of(*catch_up, send_times, ended, begun, now)
    }
}
