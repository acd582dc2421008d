//! Provider links: which activity a provider means by its own id of it (SPEC §4).
//!
//! An item of its own, because a result must find its activity as soon as the
//! dispatch is recorded, and an index lags. It is written before the step that
//! records the dispatch: dying between the two leaves a link to an activity that
//! will be dispatched again, never a dispatch that no result can find.

use crate::engine::attributes::{Attributes, s};
use crate::engine::batcher::Outcome;
use crate::engine::kept::expires;
use crate::engine::{StoreError, WorkStore, statements};
use crate::items::activity::codec::{Dispatch, Record};
use crate::table::{attr, keys};
use aws_sdk_dynamodb::types::AttributeValue;
use rules::names::ActivityId;

/// Most activities that one id of a provider's is linked to; more have to be named by their own ids.
const ACTIVITIES_MAX: usize = 16;
/// How often a link is decided anew because others changed it meanwhile.
const TRIES: usize = 8;
const SEPARATOR: char = ' ';
/// Between an activity's id and its run.
const RUN: char = '/';

/// The activities behind one id of a provider's.
pub(crate) struct Link {
    /// `{id}/{run}`, separated by spaces; `None` while only results have come under this id.
    pub(crate) text: Option<String>,
}

/// An activity that was dispatched.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Linked {
    pub(crate) id: ActivityId,
    /// In which run: what comes under the ids of earlier ones says nothing of the present one. `None` in links that were
    /// written before they had it.
    pub(crate) run: Option<u32>,
}

impl Link {
    /// The activities. More than one, if the provider gives its ids twice.
    pub(crate) fn linked(&self) -> Vec<Linked> {
        let text = self.text.as_deref().unwrap_or_default();
        let parse = |one: &str| match one.split_once(RUN) {
            Some((id, run)) => Some(Linked { id: id.parse().ok()?, run: Some(run.parse().ok()?) }),
            None => Some(Linked { id: one.parse().ok()?, run: None }),
        };
        text.split(SEPARATOR).filter_map(parse).collect()
    }

    /// Whether it leads to this activity alone.
    pub(crate) fn is_of(&self, id: &ActivityId) -> bool {
        matches!(self.linked().as_slice(), [one] if one.id == *id)
    }

    /// The text with this activity's run in it.
    fn with(&self, record: &Record) -> String {
        let mut linked = self.linked();
        linked.retain(|one| one.id != record.id);
        linked.push(Linked { id: record.id.clone(), run: Some(record.state.run) });
        let text = |one: &Linked| match one.run {
            Some(run) => format!("{}{RUN}{run}", one.id),
            None => one.id.to_string(),
        };
        linked.iter().map(text).collect::<Vec<_>>().join(&SEPARATOR.to_string())
    }
}

impl WorkStore {
    /// Links the activity to its provider's id, and applies the results that came before.
    pub(crate) async fn link_dispatch(&self, record: &Record, dispatch: &Dispatch) -> Result<(), StoreError> {
        let pk = keys::provider(&record.tenant, &dispatch.provider_activity_id);
        let expires = self.link_expires(&record.tenant).await;
        let linked = Link { text: None }.with(record);
        let mut item = vec![(attr::PK, s(&pk)), (attr::SK, s(attr::ITEM)), (attr::LINKED, s(linked))];
        item.extend(expires.clone());
        // A part of recording a success, which waits for it.
        let insert = statements::insert(&self.table, pk.clone(), attr::ITEM, item).of_success(true);
        let inserted = self.batcher.run(insert).await?;
        if matches!(inserted, Outcome::Applied(_)) || !self.join(&pk, record, expires).await? {
            return Ok(());
        }
        for head in self.result_heads(&pk).await? {
            let result = self.unreadable.leave_out(self.known_result(&pk, &head.id).await)?;
            if let Some(result) = result.flatten() {
                self.adopt(&record.tenant, &record.id, &result, None).await?;
            }
        }
        Ok(())
    }

    /// Adds the activity to a link that exists. Whether it is the only one there.
    async fn join(
        &self,
        pk: &str,
        record: &Record,
        expires: Option<(&'static str, AttributeValue)>,
    ) -> Result<bool, StoreError> {
        let id = &record.id;
        for _ in 0..TRIES {
            let link = self.read_link(pk).await?;
            let after = link.with(record);
            let others = link.linked().iter().filter(|one| one.id != *id).count();
            if link.text.as_ref() == Some(&after) {
                return Ok(others == 0);
            }
            if others >= ACTIVITIES_MAX {
                tracing::warn!(activity_id = %id, "the provider gives one id to very many activities");
                return Ok(false);
            }
            let before = link.text.as_deref();
            let statement = statements::link(&self.table, pk.to_owned(), before, &after, expires.clone());
            let statement = statement.of_success(true);
            if let Outcome::Applied(_) = self.batcher.run(statement).await? {
                return Ok(others == 0);
            }
        }
        Err(StoreError::Throttled)
    }

    /// Has the mark of results without an activity stay as long as the last of them, unless it is a link by now, which
    /// stays as long as its activities.
    pub(crate) async fn prolong_unlinked(&self, pk: &str) -> Result<(), StoreError> {
        if self.read_link(pk).await?.text.is_none() {
            self.prolong(pk, attr::ITEM, expires(self.clock.now(), self.retention())).await?;
        }
        Ok(())
    }

    /// The link of `pk`, as the last write left it.
    pub(crate) async fn read_link(&self, pk: &str) -> Result<Link, StoreError> {
        let item = self.item(pk, attr::ITEM).await?;
        let Some(item) = item else { return Ok(Link { text: None }) };
        let text = Attributes::new(&item)?.text_option(attr::LINKED)?.map(str::to_owned);
        Ok(Link { text })
    }
}
