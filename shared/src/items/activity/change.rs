//! What an owner does to an activity: cancel, reschedule, dispatch now, retry, another URI.

use crate::engine::attributes::DecodeError;
use crate::engine::item::WorkItem;
use crate::engine::step::{Step, Stepped, TRIES};
use crate::engine::{HistoryEntry, StoreError, WorkStore};
use crate::items::activity::ActivityView;
use crate::items::activity::codec::Record;
use crate::items::activity::create::due_activity;
use crate::table::attr;
use crate::tenancy::{Parent, ParentKind};
use rules::activity::{Event, Refusal, Status, decide};
use rules::names::{ActivityId, Kind, Tenant};
use rules::parent::Stage;
use rules::uri::UriPattern;

/// What a change came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Change<T = ActivityView> {
    /// Written; the activity as it stands now, without its history.
    Applied(Box<T>),
    /// There is no such activity.
    NotFound,
    /// Its state does not allow it.
    Refused(Refusal),
    /// What it would be called by is gone.
    ParentGone(ParentKind),
}

/// A change an owner asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// A step of the life of an activity.
    Event(Event<'a>),
    /// Another URI pattern.
    SetUri(&'a UriPattern),
}

impl WorkStore {
    /// Performs `event`: one of cancel, reschedule, dispatch now and retry.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read or written.
    pub async fn change(
        &self,
        tenant: &Tenant,
        id: &ActivityId,
        event: Event<'_>,
    ) -> Result<Change, StoreError> {
        let Some(record) = self.record(tenant, id).await? else { return Ok(Change::NotFound) };
        Ok(match self.change_record(record, Asked::Event(event)).await? {
            Change::Applied(next) => {
                let unreadable = DecodeError { pk: next.pk(), attribute: attr::PARAMETER };
                let view = self.with_parameters(vec![*next]).await?.pop().ok_or(unreadable)?;
                Change::Applied(Box::new(view))
            }
            Change::NotFound => Change::NotFound,
            Change::Refused(refusal) => Change::Refused(refusal),
            Change::ParentGone(gone) => Change::ParentGone(gone),
        })
    }

    /// Performs what is asked, beginning with `record` as it was read, possibly a while ago.
    pub(crate) async fn change_record(
        &self,
        record: Record,
        asked: Asked<'_>,
    ) -> Result<Change<Record>, StoreError> {
        let mut record = record;
        let mut parents = Vec::new();
        // Without its type it could only fail again; and what is READY again is work that its type has.
        if matches!(asked, Asked::Event(Event::Retry)) && record.state.status == Status::Failed {
            parents = match self.tenancy.parents(&record.tenant, &record.kind).await? {
                Ok(parents) => parents,
                Err(gone) => return Ok(Change::ParentGone(gone)),
            };
        }
        for _ in 0..TRIES {
            if let Some(gone) = self.tenancy.gone(Stage::Writing, &mut parents).await? {
                return Ok(Change::ParentGone(gone));
            }
            let now = rules::time::truncate(self.clock.now());
            let next = match asked {
                Asked::Event(event) => match decide(&record.state, event, now) {
                    Ok(step) => {
                        self.keep_success(&record).await?;
                        let next = Record { state: step.to, success: None, ..record.clone() };
                        let next = self.kept_as_its_solution_says(next, now).await;
                        Ok(Step { to: next, enqueue: step.enqueue })
                    }
                    Err(refusal) => Err(refusal),
                },
                Asked::SetUri(_) if matches!(record.kind, Kind::Channel(_)) => Err(Refusal::NoUri),
                Asked::SetUri(_) if record.state.status != Status::Ready => {
                    Err(Refusal::Status(record.state.status))
                }
                Asked::SetUri(_) if record.state.claim.is_some() => Err(Refusal::InFlight),
                Asked::SetUri(uri) => match self.fills(&record, uri).await? {
                    Ok(()) => {
                        let next = Record { uri: Some(uri.to_string()), ..record.clone() };
                        Ok(Step { to: next, enqueue: false })
                    }
                    Err(reason) => Err(Refusal::Unfillable(reason)),
                },
            };
            let step = match next {
                Ok(step) => step,
                Err(refusal) => return Ok(Change::Refused(refusal)),
            };
            // Canceled with an expired claim: the lost attempt counts, so its history shows it.
            let lost = record.state.claim.is_some().then(|| self.entry(&record, &HistoryEntry::lost(now)));
            record = match self.step(&record, &step.to, lost.as_ref(), now).await? {
                Stepped::Applied => return self.changed(record, step, &mut parents).await,
                Stepped::Moved(found) => found,
                Stepped::Gone => return Ok(Change::NotFound),
            };
        }
        // It moved under every try: somebody is at work on it.
        Ok(Change::Refused(Refusal::InFlight))
    }

    /// Whether the activity's parameter fills `uri`, or why not.
    async fn fills(&self, record: &Record, uri: &UriPattern) -> Result<Result<(), String>, StoreError> {
        let views = self.with_parameters(vec![record.clone()]).await?;
        let unreadable = || DecodeError { pk: record.pk(), attribute: attr::PARAMETER };
        let view = views.first().ok_or_else(unreadable)?;
        Ok(uri.expand(&view.parameter).map(|_| ()).map_err(|error| error.to_string()))
    }

    async fn changed(
        &self,
        before: Record,
        Step { to: next, enqueue }: Step<Record>,
        parents: &mut [Parent],
    ) -> Result<Change<Record>, StoreError> {
        if let Some(gone) = self.tenancy.gone(Stage::Written, parents).await? {
            let now = rules::time::truncate(self.clock.now());
            self.step(&next, &before, None, now).await?;
            return Ok(Change::ParentGone(gone));
        }
        if enqueue {
            self.enqueue(&[due_activity(&next)]).await;
        }
        Ok(Change::Applied(Box::new(next)))
    }

    /// Moves the entry of a successful attempt from the item to the history, before a new run takes its place.
    async fn keep_success(&self, record: &Record) -> Result<(), StoreError> {
        match record.success_entry() {
            Some(entry) => self.record_entry(record, &entry).await,
            None => Ok(()),
        }
    }
}
