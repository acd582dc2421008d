//! Accepting activities: a durable item each, and a message for what is due soon.

use crate::body_hash::BodyHash;
use crate::engine::WorkItem;
use crate::engine::attributes::{n, s, t};
use crate::engine::batcher::{BATCH_MAX, CALLS_IN_FLIGHT, Outcome};
use crate::engine::erase::Erased;
use crate::engine::guard::Guard;
use crate::engine::item::Encoded;
use crate::engine::statements;
use crate::engine::statements::Statement;
use crate::engine::{StoreError, WorkStore};
use crate::items::activity::codec::Record;
use crate::items::activity::{ActivityView, Earlier};
use crate::items::recurring::RULE_BODY_HASH;
use crate::queue::DueActivity;
use crate::table::attr;
use crate::tenancy::{Parent, ParentKind, Shards};
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use rules::activity::{Index, Status, accepted, index};
use rules::due::shard;
use rules::names::{ActivityId, Kind, Tenant};
use rules::parent::Stage;

/// A parameter of up to this many bytes stays in the item, so that the item stays within one write unit.
pub const INLINE_PARAMETER_MAX_BYTES: usize = 600;

/// An activity that is valid and shall be accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct NewActivity {
    /// Whose it is.
    pub tenant: Tenant,
    /// What makes its call.
    pub kind: Kind,
    /// Its id.
    pub id: ActivityId,
    /// The instant its owner asks for.
    pub date: DateTime<Utc>,
    /// The parameter as JSON text.
    pub parameter: String,
    /// Executions in all.
    pub max_attempts: u32,
    /// The caller's own URI pattern.
    pub uri: Option<String>,
    /// Partitions in the index `object` (see [`crate::table::keys::object_partition`]).
    pub objects: Vec<String>,
    /// Hash of the request body, by which the same request is known again.
    pub body_hash: BodyHash,
    /// Shards of its type.
    pub shards: Shards,
    /// When the type was changed last that this was judged by; the worker calls by no older one.
    pub type_changed_at: Option<DateTime<Utc>>,
    /// What it is created below, as it was seen when this was judged.
    pub parents: Vec<Parent>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    /// Accepted.
    New(ActivityView),
    /// The same id and body had been accepted before; as it stands now.
    Existing(ActivityView),
    /// The id is taken by another body.
    Conflict,
    /// What it is created below has been deleted meanwhile, and there is no such activity.
    ParentGone(ParentKind),
}

impl WorkStore {
    /// Accepts activities, each judged alone, in order of the answer.
    ///
    /// When this returns, what is accepted is durable and, where it is due
    /// within the horizon, enqueued. A message that could not be sent fails
    /// nothing: the item is accepted, and the recovery pass makes up for it.
    pub async fn create(&self, mut activities: Vec<NewActivity>) -> Vec<Result<Created, StoreError>> {
        let parents: Vec<&Parent> = activities.iter().flat_map(|new| &new.parents).collect();
        let looked = match self.tenancy.look_again(Stage::Writing, &parents).await {
            Ok(looked) => looked,
            Err(error) => {
                let error = StoreError::from(error);
                return activities.iter().map(|_| Err(error.clone())).collect();
            }
        };
        activities.iter_mut().for_each(|new| looked.renew(&mut new.parents));
        let now = rules::time::truncate(self.clock.now());
        let prepared: Vec<Prepared> = activities.into_iter().map(|new| Prepared::of(new, now)).collect();
        let refused: Vec<Option<ParentKind>> =
            prepared.iter().map(|prepared| looked.gone(&prepared.parents)).collect();
        let mut outcomes: Vec<Option<Result<Outcome, StoreError>>> = vec![None; prepared.len()];
        let (simple, compound): (Vec<usize>, Vec<usize>) = (0..prepared.len())
            .filter(|index| refused[*index].is_none())
            .partition(|index| prepared[*index].is_one_item());
        let batches = simple.chunks(BATCH_MAX).map(|indexes| {
            let statements = indexes.iter().map(|index| self.insert(&prepared[*index], now)).collect();
            async move {
                let outcomes = self.batcher.run_all(statements).await;
                indexes.iter().copied().zip(outcomes).collect::<Vec<_>>()
            }
        });
        let batches: Vec<_> = batches.collect();
        let mut batches = stream::iter(batches).buffer_unordered(CALLS_IN_FLIGHT);
        while let Some(batch) = batches.next().await {
            batch.into_iter().for_each(|(index, outcome)| outcomes[index] = Some(outcome));
        }
        for index in compound {
            outcomes[index] = Some(self.insert_compound(&prepared[index], now).await);
        }
        let is_written = |outcome: &Option<_>| matches!(outcome, Some(Ok(Outcome::Applied(_))));
        let written = prepared.iter().zip(&outcomes).filter(|(_, outcome)| is_written(outcome));
        let written: Vec<&Prepared> = written.map(|(prepared, _)| prepared).collect();
        let mut stands = self.stand(Stage::Written, &written).await.into_iter();
        let mut answers = Vec::with_capacity(prepared.len());
        for ((prepared, outcome), refused) in prepared.into_iter().zip(outcomes).zip(refused) {
            answers.push(match (outcome.unwrap_or(Err(StoreError::Abandoned)), refused) {
                (_, Some(parent)) => Ok(Created::ParentGone(parent)),
                (Ok(Outcome::Applied(_)), None) => match stands.next().unwrap_or(Ok(None)) {
                    Ok(None) => Ok(Created::New(prepared.view())),
                    Ok(Some(parent)) => Ok(Created::ParentGone(parent)),
                    Err(error) => Err(error),
                },
                (Ok(Outcome::Duplicate | Outcome::Lost(_)), None) => self.known(prepared, now).await,
                (Err(error), None) => Err(error),
            });
        }
        answers
    }

    /// Enqueues activities that are written, if what they are created below is there still; deletes them otherwise, and
    /// says what is gone.
    async fn stand(
        &self,
        stage: Stage,
        written: &[&Prepared],
    ) -> Vec<Result<Option<ParentKind>, StoreError>> {
        let parents: Vec<&Parent> = written.iter().flat_map(|prepared| &prepared.parents).collect();
        let looked = match self.tenancy.look_again(stage, &parents).await {
            Ok(looked) => looked,
            // They are neither refused nor enqueued: whoever repeats the request, or the recovery pass, goes on.
            Err(error) => {
                let error = StoreError::from(error);
                return written.iter().map(|_| Err(error.clone())).collect();
            }
        };
        let mut gone: Vec<_> = written.iter().map(|prepared| Ok(looked.gone(&prepared.parents))).collect();
        let standing = written.iter().zip(&gone).filter(|(_, gone)| matches!(gone, Ok(None)));
        let due: Vec<DueActivity> = standing.map(|(prepared, _)| due_activity(&prepared.record)).collect();
        self.enqueue(&due).await;
        for (prepared, gone) in written.iter().zip(&mut gone) {
            if matches!(gone, Ok(Some(_)))
                && let Err(error) = self.undo(&prepared.record).await
            {
                *gone = Err(error);
            }
        }
        gone
    }

    /// Whether an activity that waits has still what it was created below. Without it the activity must not be: its creator died
    /// before it could take it back, which is done here.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be read or written.
    pub async fn stands(&self, record: &Record) -> Result<bool, StoreError> {
        if record.state.status != Status::Ready {
            return Ok(true);
        }
        let is_gone = match self.tenancy.parents(&record.tenant, &record.kind).await? {
            Ok(mut parents) => self.tenancy.gone(Stage::Known, &mut parents).await?.is_some(),
            Err(_) => true,
        };
        if is_gone {
            self.undo(record).await?;
        }
        Ok(!is_gone)
    }

    /// Deletes an activity that nobody has begun. One that somebody has begun fails by itself, without its type.
    async fn undo(&self, record: &Record) -> Result<Erased, StoreError> {
        self.take_back(&record.pk(), &untouched(record)).await
    }

    /// Enqueues what a write made due. Never an error of the write: it stands, and a lost message is late, not lost.
    pub(crate) async fn enqueue(&self, due: &[DueActivity]) {
        if let Err(error) = self.queue.enqueue(due).await {
            tracing::warn!(%error, "messages not sent; the recovery pass will enqueue their activities");
        }
    }

    fn insert(&self, prepared: &Prepared, now: DateTime<Utc>) -> Statement {
        let record = &prepared.record;
        statements::insert(&self.table, record.pk(), attr::ITEM, record.encode(now))
    }

    /// An activity of several items is written whole or not at all.
    async fn insert_compound(&self, prepared: &Prepared, now: DateTime<Utc>) -> Result<Outcome, StoreError> {
        let pk = prepared.record.pk();
        let mut items = vec![prepared.record.encode(now)];
        if let Some(parameter) = &prepared.large_parameter {
            items.push(payload_item(&pk, parameter));
        }
        for (number, object) in prepared.more_objects.iter().enumerate() {
            let sk = format!("{}{number}", attr::OBJECT_PREFIX);
            items.push(vec![(attr::PK, s(&pk)), (attr::SK, s(sk)), (attr::OBJECT_PARTITION, s(object))]);
        }
        self.insert_all(items).await
    }

    /// Items that must not exist, all or none.
    pub(crate) async fn insert_all(&self, items: Vec<Encoded>) -> Result<Outcome, StoreError> {
        let written = self.transact(items.into_iter().map(|item| self.put_new(item)).collect()).await?;
        // One of them is there already, or is just being made by somebody else.
        Ok(written.map_or(Outcome::Lost(None), |()| Outcome::Applied(None)))
    }

    /// The id is taken: by the same request, or by another.
    async fn known(&self, prepared: Prepared, now: DateTime<Utc>) -> Result<Created, StoreError> {
        let existing = self.get(&prepared.record.tenant, &prepared.record.id).await?;
        Ok(match existing {
            Some(view) if prepared.is_repeated_by(&view.record) => {
                // Perhaps our own write, retried by the SDK after it had succeeded, and then nobody has enqueued it.
                let state = &view.record.state;
                if state.status == Status::Ready && state.claim.is_none() && state.attempts == 0 {
                    let known = Prepared { record: view.record.clone(), ..prepared };
                    if let Some(parent) = self.stand_alone(Stage::Known, &known).await? {
                        return Ok(Created::ParentGone(parent));
                    }
                }
                Created::Existing(view)
            }
            Some(_) => Created::Conflict,
            // What the system makes itself is not made again because it is over.
            None if prepared.record.is_own() => {
                let (tenant, id) = (&prepared.record.tenant, &prepared.record.id);
                match self.stored_record(tenant, id).await? {
                    Some(over) if is_same_request(&over.body_hash, &prepared.record.body_hash) => {
                        Created::Existing(Prepared { record: over, ..prepared }.view())
                    }
                    Some(_) => Created::Conflict,
                    None => return Err(StoreError::Throttled),
                }
            }
            None => return self.create_again(prepared, now).await,
        })
    }

    /// What had the id is gone for readers, and makes room.
    async fn create_again(&self, prepared: Prepared, now: DateTime<Utc>) -> Result<Created, StoreError> {
        self.make_room(&prepared.record.pk()).await?;
        let outcome = match prepared.is_one_item() {
            true => self.batcher.run(self.insert(&prepared, now)).await?,
            false => self.insert_compound(&prepared, now).await?,
        };
        if !matches!(outcome, Outcome::Applied(_)) {
            // Somebody else has made one of this id meanwhile, or there was no room to make.
            return Err(StoreError::Throttled);
        }
        Ok(match self.stand_alone(Stage::Written, &prepared).await? {
            None => Created::New(prepared.view()),
            Some(parent) => Created::ParentGone(parent),
        })
    }

    async fn stand_alone(&self, stage: Stage, prepared: &Prepared) -> Result<Option<ParentKind>, StoreError> {
        self.stand(stage, &[prepared]).await.pop().unwrap_or(Ok(None))
    }
}

/// The item of a parameter that is too large for the item of what it belongs to.
pub(crate) fn payload_item(pk: &str, parameter: &str) -> Encoded {
    vec![(attr::PK, s(pk)), (attr::SK, s(attr::PAYLOAD)), (attr::PARAMETER, s(parameter))]
}

/// Whether an activity that was made by a request of the one hash is the same as one of the other.
pub(crate) fn is_same_request(made: &str, asked: &str) -> bool {
    // Of a rule's, of before there were incarnations, nothing is made anew.
    made == asked || (made == RULE_BODY_HASH && asked.starts_with(RULE_BODY_HASH))
}

/// That nobody has begun an activity, and that it is the one that was read.
pub(crate) fn untouched(record: &Record) -> [Guard; 4] {
    [
        Guard::Missing(attr::TOKEN),
        Guard::Equals(attr::STATUS, s(Status::Ready.as_str())),
        Guard::Equals(attr::ATTEMPTS, n(0)),
        Guard::Equals(attr::CREATED, t(record.created_at)),
    ]
}

/// The activity as the queue names it.
pub(crate) fn due_activity(record: &Record) -> DueActivity {
    let due = match index(&record.state) {
        Index::Due(due) => due,
        Index::Done => record.state.due,
    };
    DueActivity { tenant: record.tenant.clone(), kind: record.kind.clone(), id: record.id.clone(), due }
}

/// An activity split into its items.
struct Prepared {
    record: Record,
    body_hash: BodyHash,
    large_parameter: Option<String>,
    more_objects: Vec<String>,
    parents: Vec<Parent>,
}

impl Prepared {
    fn of(new: NewActivity, now: DateTime<Utc>) -> Self {
        let NewActivity {
            tenant,
            kind,
            id,
            date,
            parameter,
            max_attempts,
            uri,
            mut objects,
            body_hash,
            shards,
            type_changed_at,
            parents,
        } = new;
        let inline = parameter.len() <= INLINE_PARAMETER_MAX_BYTES;
        let (parameter, large_parameter) =
            if inline { (Some(parameter), None) } else { (None, Some(parameter)) };
        objects.dedup();
        let object = (!objects.is_empty()).then(|| objects.remove(0));
        let objects_beside = objects;
        let record = Record {
            shard: shard(id.as_str(), shards.due),
            done_shard: shard(id.as_str(), shards.done),
            state: accepted(rules::time::truncate(date), max_attempts, now),
            created_at: now,
            success: None,
            dispatch: None,
            has_companions: large_parameter.is_some() || !objects_beside.is_empty(),
            kept: None,
            type_changed_at,
            tenant,
            kind,
            id,
            parameter,
            uri,
            body_hash: body_hash.to_string(),
            object,
        };
        Self { record, body_hash, large_parameter, more_objects: objects_beside, parents }
    }

    /// Whether the same request has made `known`.
    fn is_repeated_by(&self, known: &Record) -> bool {
        is_same_request(&known.body_hash, &self.record.body_hash)
            || self.body_hash.is_of_activity(&known.body_hash, known.state.max_attempts)
    }

    fn is_one_item(&self) -> bool {
        self.large_parameter.is_none() && self.more_objects.is_empty()
    }

    fn view(self) -> ActivityView {
        let parameter = self.record.parameter.clone().or(self.large_parameter).unwrap_or_default();
        ActivityView {
            record: self.record,
            parameter,
            history: Vec::new(),
            results: Vec::new(),
            earlier: Earlier::default(),
        }
    }
}
