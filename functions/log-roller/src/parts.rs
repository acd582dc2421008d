//! An activity that alone is larger than a batch goes in parts, each a batch of its own: so nothing of it is left out, and
//! no more than a part is in memory.
//!
//! A part is written down by the sort keys between which its attempts and results stand, and by how many they are. Whoever
//! goes on after a crash sends the same part, or, if there are others by then, begins anew with another key.

use crate::body;
use crate::roll::{Progress, RollError, Rolled, Roller, new_batch};
use serde_json::value::RawValue;
use shared::engine::Erased;
use shared::items::activity::{ActivityView, Batch, Earlier, Finished, LogEntry, Member, PARTS_BEGIN, Part};

/// A part as it is sent.
struct Content {
    part: Part,
    text: Box<RawValue>,
}

impl Roller<'_> {
    /// Begins with the first part of a large activity.
    pub(crate) async fn first_part(
        &self,
        uri: &str,
        finished: Finished,
        rolled: &mut Rolled,
    ) -> Result<Progress, RollError> {
        self.next_part(uri, finished, None, rolled).await
    }

    /// Goes on with the part that was written down.
    pub(crate) async fn go_on(
        &self,
        batch: Batch,
        part: Part,
        rolled: &mut Rolled,
    ) -> Result<Progress, RollError> {
        let found = match batch.members.first() {
            Some(member) => {
                let found = self.ctx.work.finished(self.tenant, &member.id).await?;
                found.filter(|finished| Member::of(finished) == *member)
            }
            None => None,
        };
        let is_ours = |finished: &Finished| self.kind.statuses().contains(&finished.view.record.state.status);
        let (Some(uri), Some(finished)) = (self.uri, found.filter(is_ours)) else {
            // It is gone, or not what it was, or is kept for its period alone.
            self.ctx.work.strike_batch(self.tenant, self.kind, &batch).await?;
            return Ok(Progress::More);
        };
        let finished = finished.large();
        if batch.is_acknowledged {
            return match part.is_last {
                true => self.end_parts(&finished, &batch, &part, rolled).await,
                false => self.next_part(uri, finished, Some((batch, part)), rolled).await,
            };
        }
        let content = self.content(&finished, &part, Some(&part.through)).await?;
        if content.part.entries != part.entries {
            // Results came in between: it begins anew.
            self.ctx.work.strike_batch(self.tenant, self.kind, &batch).await?;
            return Ok(Progress::More);
        }
        self.send_part(uri, finished, batch, Content { part, ..content }, rolled).await
    }

    /// Writes the part behind `before` down, or the first one, and sends it.
    async fn next_part(
        &self,
        uri: &str,
        finished: Finished,
        before: Option<(Batch, Part)>,
        rolled: &mut Rolled,
    ) -> Result<Progress, RollError> {
        let (previous, from) = match before {
            Some((batch, part)) => {
                let from = Part {
                    number: part.number + 1,
                    after: part.through,
                    before: part.before + part.entries,
                    ..nothing()
                };
                (Some(batch), from)
            }
            None => (None, nothing()),
        };
        let content = self.content(&finished, &from, None).await?;
        let batch = new_batch(self.kind, vec![Member::of(&finished)], Some(content.part.clone()));
        if !self.ctx.work.write_batch(self.tenant, self.kind, &batch, previous.as_ref()).await? {
            // A roller that was frozen past its lease has another one under way: that one goes first.
            return Ok(Progress::More);
        }
        self.send_part(uri, finished, batch, content, rolled).await
    }

    async fn send_part(
        &self,
        uri: &str,
        finished: Finished,
        batch: Batch,
        content: Content,
        rolled: &mut Rolled,
    ) -> Result<Progress, RollError> {
        let Content { part, text } = content;
        if let Some(stop) = self.deliver(uri, &batch, &[text], rolled).await? {
            return Ok(stop);
        }
        rolled.batches += 1;
        match part.is_last {
            true => self.end_parts(&finished, &batch, &part, rolled).await,
            // Its next part is the next turn's.
            false => Ok(Progress::More),
        }
    }

    /// Deletes an activity whose parts are all acknowledged.
    async fn end_parts(
        &self,
        finished: &Finished,
        batch: &Batch,
        part: &Part,
        rolled: &mut Rolled,
    ) -> Result<Progress, RollError> {
        let sent = part.before + part.entries;
        let erased = self.ctx.work.roll_away_parts(&finished.view.record, sent).await?;
        rolled.deleted += usize::from(erased == Erased::Yes);
        self.ctx.work.strike_batch(self.tenant, self.kind, batch).await?;
        Ok(Progress::More)
    }

    /// The part that begins as `from` says: as much as a batch takes, or up to `through`.
    async fn content(
        &self,
        finished: &Finished,
        from: &Part,
        through: Option<&str>,
    ) -> Result<Content, RollError> {
        let _room = self.memory.page().await;
        let record = &finished.view.record;
        let parameter = match from.number {
            1 => self.ctx.work.parameter(record).await?,
            _ => String::new(),
        };
        let (history, results) = (Vec::new(), Vec::new());
        let earlier = Earlier::default();
        let mut view = ActivityView { record: record.clone(), parameter, history, results, earlier };
        let mut part = Part { entries: 0, through: from.after.clone(), ..from.clone() };
        // The attempt that succeeded stands on the activity, and goes with the last part.
        let success = record.success_entry();
        let spare = success.clone().map_or(Ok(0), |entry| body::entry_bytes(&LogEntry::Attempt(entry)))?;
        let mut bytes = body::activity(&view, Some((part.number, false)))?.get().len() + spare;
        let (mut failed, room) = (None, body::room(self.tenant));
        let take = |sk: &str, entry: LogEntry| {
            if through.is_some_and(|through| sk > through) {
                return false;
            }
            match body::entry_bytes(&entry) {
                Ok(size) if bytes + size > room && part.entries > 0 && through.is_none() => return false,
                Ok(size) => bytes += size,
                Err(error) => {
                    failed = Some(error);
                    return false;
                }
            }
            match entry {
                LogEntry::Attempt(entry) => view.history.push(entry),
                LogEntry::Result(result) => view.results.push(result),
            }
            (part.entries, part.through) = (part.entries + 1, sk.to_owned());
            true
        };
        let is_last = self.ctx.work.log_entries(record, &from.after, take).await?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        part.is_last = if through.is_some() { from.is_last } else { is_last };
        view.history.extend(success.filter(|_| part.is_last));
        let text = body::activity(&view, Some((part.number, part.is_last)))?;
        Ok(Content { part, text })
    }
}

/// The first part, before anything is in it.
fn nothing() -> Part {
    Part {
        number: 1,
        after: PARTS_BEGIN.to_owned(),
        through: PARTS_BEGIN.to_owned(),
        entries: 0,
        before: 0,
        is_last: false,
    }
}
