//! The embedded DynamoDB: dynoxide on a thread of its own.
//!
//! The database has one writer, so one thread serves it: callers queue on a
//! channel rather than on its lock. Reading requests and writing answers as
//! JSON stays with the callers, which run on all cores.

use super::answer::Answer;
use super::expiry;
use super::usage::{Service, Units, Usage};
use bytes::Bytes;
use dynoxide::actions::batch_execute_statement::BatchExecuteStatementRequest;
use dynoxide::actions::execute_statement::ExecuteStatementRequest;
use dynoxide::actions::execute_transaction::{ExecuteTransactionRequest, ExecuteTransactionResponse};
use dynoxide::types::{AttributeValue, ConsumedCapacity};
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::{Arc, mpsc};
use tokio::sync::oneshot;

/// The operations that change no table.
pub const READS: &[&str] = &[
    "BatchGetItem",
    "DescribeTable",
    "DescribeTimeToLive",
    "GetItem",
    "ListTables",
    "ListTagsOfResource",
    "Query",
    "Scan",
    "TransactGetItems",
];

/// DynamoDB's limit for the items of a transaction together.
const TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;

type Job = Box<dyn FnOnce(&Database) + Send>;

/// The service.
pub struct DynamoDb {
    jobs: mpsc::Sender<Job>,
    usage: Arc<Usage>,
}

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot open the database {path}: {reason}")]
    Database { path: String, reason: DynoxideError },
    #[error("cannot start the database's thread: {0}")]
    Thread(std::io::Error),
}

impl DynamoDb {
    /// Opens the database in `file`, or one in memory.
    ///
    /// # Errors
    /// The file cannot be opened, or is no database.
    pub fn open(file: Option<&Path>, usage: Arc<Usage>) -> Result<Self, OpenError> {
        let path = file.map_or_else(|| ":memory:".to_owned(), |file| file.display().to_string());
        let failed = |reason| OpenError::Database { path: path.clone(), reason };
        let database = match file {
            Some(_) => Database::new(&path).map_err(failed)?,
            None => Database::memory().map_err(failed)?,
        };
        // This sets `synchronous = NORMAL`: with the write-ahead log a commit
        // that was answered outlives kill -9, and only a power cut may take
        // the last ones. SQLite's default would sync the disk at each commit.
        database.disable_bulk_loading().map_err(failed)?;
        let (jobs, queue) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("dynamodb".to_owned())
            .spawn(move || queue.into_iter().for_each(|job| job(&database)))
            .map_err(OpenError::Thread)?;
        Ok(Self { jobs, usage })
    }

    /// Answers one request.
    pub async fn handle(&self, operation: &str, body: &Bytes) -> Answer {
        self.usage.request(Service::DynamoDb, operation);
        let answer = self.dispatch(operation, body).await;
        answer.unwrap_or_else(|error| {
            if matches!(error, DynoxideError::ConditionalCheckFailedException(..)) {
                self.usage.failed_condition();
            }
            Answer::error(error.status_code(), error.to_json())
        })
    }

    /// Deletes what has expired by `now`, in seconds since 1970, from the
    /// tables that have a time to live; gives the number of items deleted.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_expired(&self, now_seconds: i64) -> Result<usize, DynoxideError> {
        let mut deleted = 0;
        for mut table in self.run(expiry::tables).await? {
            // One page at a time, so that requests are served in between.
            while let Some(page) =
                self.run(move |database| expiry::page(database, table, now_seconds)).await?
            {
                deleted += page.deleted;
                table = page.rest;
            }
        }
        Ok(deleted)
    }

    async fn dispatch(&self, operation: &str, body: &Bytes) -> Result<Answer, DynoxideError> {
        macro_rules! metered {
            ($units:expr, $run:path) => {
                self.metered(
                    body,
                    $units,
                    |request| &mut request.return_consumed_capacity,
                    $run,
                    |answer| &mut answer.consumed_capacity,
                )
                .await
            };
        }
        match operation {
            "GetItem" => metered!(|_| Units::Read, Database::get_item),
            "Query" => metered!(|_| Units::Read, Database::query),
            "Scan" => metered!(|_| Units::Read, Database::scan),
            "BatchGetItem" => metered!(|_| Units::Read, Database::batch_get_item),
            "TransactGetItems" => metered!(|_| Units::Read, Database::transact_get_items),
            "PutItem" => metered!(|_| Units::Write, Database::put_item),
            "UpdateItem" => metered!(|_| Units::Write, Database::update_item),
            "DeleteItem" => metered!(|_| Units::Write, Database::delete_item),
            "BatchWriteItem" => metered!(|_| Units::Write, Database::batch_write_item),
            "TransactWriteItems" => metered!(|_| Units::Write, Database::transact_write_items),
            "ExecuteStatement" => {
                metered!(
                    |r: &ExecuteStatementRequest| partiql(Some(&r.statement)),
                    Database::execute_statement
                )
            }
            "BatchExecuteStatement" => metered!(
                |r: &BatchExecuteStatementRequest| partiql(r.statements.first().map(|s| &s.statement)),
                Database::batch_execute_statement
            ),
            "ExecuteTransaction" => metered!(
                |r: &ExecuteTransactionRequest| partiql(r.transact_statements.first().map(|s| &s.statement)),
                execute_transaction
            ),
            "CreateTable" => self.plain(body, Database::create_table).await,
            "DeleteTable" => self.plain(body, Database::delete_table).await,
            "DescribeTable" => self.plain(body, Database::describe_table).await,
            "UpdateTable" => self.plain(body, Database::update_table).await,
            "ListTables" => self.plain(body, Database::list_tables).await,
            "UpdateTimeToLive" => self.plain(body, Database::update_time_to_live).await,
            "DescribeTimeToLive" => self.plain(body, Database::describe_time_to_live).await,
            "TagResource" => self.plain(body, Database::tag_resource).await,
            "UntagResource" => self.plain(body, Database::untag_resource).await,
            "ListTagsOfResource" => self.plain(body, Database::list_tags_of_resource).await,
            _ => {
                let message = format!("The embedded DynamoDB does not know the operation {operation}.");
                Ok(Answer::fault(400, "com.amazon.coral.service#UnknownOperationException", &message))
            }
        }
    }

    async fn plain<Q, A>(
        &self,
        body: &Bytes,
        run: fn(&Database, Q) -> Result<A, DynoxideError>,
    ) -> Result<Answer, DynoxideError>
    where
        Q: DeserializeOwned + Send + 'static,
        A: Serialize + Send + 'static,
    {
        let request = parse(body)?;
        written(&self.run(move |database| run(database, request)).await?)
    }

    /// Runs a request that consumes capacity, and counts what it consumed. A
    /// caller that did not ask for the figures does not get them.
    async fn metered<Q, A, C>(
        &self,
        body: &Bytes,
        units: fn(&Q) -> Units,
        mode: fn(&mut Q) -> &mut Option<String>,
        run: fn(&Database, Q) -> Result<A, DynoxideError>,
        consumed: fn(&mut A) -> &mut Option<C>,
    ) -> Result<Answer, DynoxideError>
    where
        Q: DeserializeOwned + Send + 'static,
        A: Serialize + Send + 'static,
        C: Consumed,
    {
        let mut request: Q = parse(body)?;
        let units = units(&request);
        let mode = mode(&mut request);
        let asked = mode.as_deref().is_some_and(|mode| mode != "NONE");
        if !asked {
            *mode = Some("TOTAL".to_owned());
        }
        let mut answer = self.run(move |database| run(database, request)).await?;
        let reported = consumed(&mut answer);
        for capacity in reported.iter().flat_map(Consumed::all) {
            self.usage.capacity(units, &capacity.table_name, capacity.capacity_units);
        }
        if !asked {
            *reported = None;
        }
        written(&answer)
    }

    async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Database) -> Result<T, DynoxideError> + Send + 'static,
    ) -> Result<T, DynoxideError> {
        let gone = || DynoxideError::InternalServerError("the database's thread has ended".to_owned());
        let (done, result) = oneshot::channel();
        let job: Job = Box::new(move |database| {
            // The caller may have gone; the work is done nevertheless.
            let _ = done.send(act(database));
        });
        self.jobs.send(job).map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }
}

/// One operation's capacity report, or several tables' reports.
trait Consumed {
    fn all(&self) -> &[ConsumedCapacity];
}

impl Consumed for ConsumedCapacity {
    fn all(&self) -> &[ConsumedCapacity] {
        std::slice::from_ref(self)
    }
}

impl Consumed for Vec<ConsumedCapacity> {
    fn all(&self) -> &[ConsumedCapacity] {
        self
    }
}

/// Dynoxide does not check how large a transaction of statements is. AWS counts the items; the parameters are nearly all of
/// what a statement puts into one.
fn execute_transaction(
    database: &Database,
    request: ExecuteTransactionRequest,
) -> Result<ExecuteTransactionResponse, DynoxideError> {
    let parameters = request.transact_statements.iter().flat_map(|one| one.parameters.iter().flatten());
    if parameters.map(AttributeValue::size).sum::<usize>() > TRANSACTION_BYTES_MAX {
        return Err(DynoxideError::ValidationException(
            "The aggregate size of the items in the transaction exceeds the limit of 4 MB".to_owned(),
        ));
    }
    database.execute_transaction(request)
}

/// A request's statements either all read or all write.
fn partiql(statement: Option<&String>) -> Units {
    let first = statement.and_then(|statement| statement.split_whitespace().next());
    if first.is_some_and(|word| word.eq_ignore_ascii_case("SELECT")) { Units::Read } else { Units::Write }
}

/// Reads a request. Dynoxide marks the class of a refusal at the beginning of
/// its message; what has no mark is a request of the wrong shape.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, DynoxideError> {
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or_default();
        match text.split_once(':') {
            Some(("VALIDATION" | "VALIDATION_REQUEST", message)) => {
                DynoxideError::ValidationException(message.trim().to_owned())
            }
            Some(("SERIALIZATION", message)) => {
                DynoxideError::SerializationException(message.trim().to_owned())
            }
            _ if text.contains("missing field") || text.contains("AttributeValue") => {
                DynoxideError::ValidationException(text.to_owned())
            }
            _ => DynoxideError::SerializationException(text.to_owned()),
        }
    })
}

fn written(answer: &impl Serialize) -> Result<Answer, DynoxideError> {
    match serde_json::to_vec(answer) {
        Ok(body) => Ok(Answer::ok(body)),
        Err(error) => Err(DynoxideError::InternalServerError(error.to_string())),
    }
}
