//! Provider links: which activity a provider means by its own id of it (SPEC §4).
//!
//! An item of its own, because a result must find its activity as soon as the
//! dispatch is recorded, and an index lags. It is written before the step that
//! records the dispatch: dying between the two leaves a link to an activity that
//! will be dispatched again, never a dispatch that no result can find.

use super::batcher::Outcome;
use super::codec::{Attributes, Dispatch, Record, s};
use super::{StoreError, WorkStore, attr, keys, statements};
use rules::names::ActivityId;

/// Most activities that one id of a provider's is linked to; more have to be named by their own ids.
const ACTIVITIES_MAX: usize = 16;
/// How often a link is decided anew because others changed it meanwhile.
const TRIES: usize = 8;
const SEPARATOR: char = ' ';

/// The activities behind one id of a provider's.
pub(super) struct Link {
    /// Ids separated by spaces; `None` while only results have come under this id.
    text: Option<String>,
}

impl Link {
    /// The activities. More than one, if the provider gives its ids twice.
    pub(super) fn activities(&self) -> Vec<ActivityId> {
        let text = self.text.as_deref().unwrap_or_default();
        text.split(SEPARATOR).filter_map(|id| id.parse().ok()).collect()
    }
}

impl WorkStore {
    /// Links the activity to its provider's id, and applies the results that came before.
    pub(super) async fn link_dispatch(&self, record: &Record, dispatch: &Dispatch) -> Result<(), StoreError> {
        let pk = keys::provider(&record.tenant, &dispatch.provider_activity_id);
        let item = vec![(attr::PK, s(&pk)), (attr::SK, s(attr::ITEM)), (attr::LINKED, s(record.id.as_str()))];
        // A part of recording a success, which waits for it.
        let insert = statements::insert(&self.table, pk.clone(), attr::ITEM, item).of_success(true);
        let inserted = self.batcher.run(insert).await?;
        if matches!(inserted, Outcome::Applied(_)) || !self.join(&pk, &record.id).await? {
            return Ok(());
        }
        for head in self.result_heads(&pk).await? {
            if let Some(result) = self.known_result(&pk, &head.id).await? {
                self.adopt(&record.tenant, &record.id, &result).await?;
            }
        }
        Ok(())
    }

    /// Adds the activity to a link that exists. Whether it is the only one there.
    async fn join(&self, pk: &str, id: &ActivityId) -> Result<bool, StoreError> {
        for _ in 0..TRIES {
            let link = self.read_link(pk).await?;
            let activities = link.activities();
            if activities.contains(id) {
                return Ok(activities.len() == 1);
            }
            if activities.len() >= ACTIVITIES_MAX {
                tracing::warn!(activity_id = %id, "the provider gives one id to very many activities");
                return Ok(false);
            }
            let after = match &link.text {
                Some(text) => format!("{text}{SEPARATOR}{id}"),
                None => id.to_string(),
            };
            let statement = statements::link(&self.table, pk.to_owned(), link.text.as_deref(), &after);
            let statement = statement.of_success(true);
            if let Outcome::Applied(_) = self.batcher.run(statement).await? {
                return Ok(activities.is_empty());
            }
        }
        Err(StoreError::Throttled)
    }

    /// The link of `pk`, as the last write left it.
    pub(super) async fn read_link(&self, pk: &str) -> Result<Link, StoreError> {
        let item = self.item(pk, attr::ITEM).await?;
        let Some(item) = item else { return Ok(Link { text: None }) };
        let text = Attributes::new(&item)?.text_option(attr::LINKED)?.map(str::to_owned);
        Ok(Link { text })
    }
}
