//! Group commit: statements that wait at the same time go in one call.
//!
//! There is no timer. A statement goes out at once while fewer than
//! [`CALLS_IN_FLIGHT`] calls are under way; behind those the next batch gathers.
//! So a lone write is not held up, and under load calls fill to 25.

use super::StoreError;
use super::codec::Item;
use super::statements::Statement;
use crate::clock::SharedClock;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{BatchStatementErrorCodeEnum, BatchStatementResponse};
use chrono::TimeDelta;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, oneshot};

/// Most statements of one `BatchExecuteStatement` (a DynamoDB limit).
pub const BATCH_MAX: usize = 25;
/// Calls of one function instance under way at a time.
pub const CALLS_IN_FLIGHT: usize = 4;
/// How often a statement that was throttled is tried in all; the SDK retries whole calls, not statements.
pub const STATEMENT_TRIES: u32 = 5;
/// The first wait before a throttled statement is tried again; it doubles.
pub const STATEMENT_WAIT: TimeDelta = TimeDelta::milliseconds(50);

/// What became of one statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Written; the item where the statement returns it.
    Applied(Option<Item>),
    /// The condition did not hold; the item as it is, if there is one.
    Lost(Option<Item>),
    /// An item of this key exists.
    Duplicate,
}

type Answer = oneshot::Sender<Result<Outcome, StoreError>>;

/// Gathers statements of one table. Clones gather together.
#[derive(Clone)]
pub struct Batcher {
    client: Client,
    clock: SharedClock,
    waiting: Arc<Mutex<VecDeque<(Statement, Answer)>>>,
    calls: Arc<Semaphore>,
}

impl Batcher {
    /// For statements sent with `client`.
    pub fn new(client: Client, clock: SharedClock) -> Self {
        Self { client, clock, waiting: Arc::default(), calls: Arc::new(Semaphore::new(CALLS_IN_FLIGHT)) }
    }

    /// Runs `statement` together with what else waits.
    ///
    /// # Errors
    /// [`StoreError`] when DynamoDB could not be asked or would not answer.
    pub async fn run(&self, statement: Statement) -> Result<Outcome, StoreError> {
        let (answer, outcome) = oneshot::channel();
        self.queue().push_back((statement, answer));
        // A task of its own: a call carries other callers' statements, which must not fail when this one goes away.
        tokio::spawn(self.clone().run_some());
        outcome.await.unwrap_or(Err(StoreError::Abandoned))
    }

    /// Runs what waits, up to [`BATCH_MAX`], once fewer than [`CALLS_IN_FLIGHT`] calls are under way.
    async fn run_some(self) {
        let Ok(_permit) = self.calls.acquire().await else { return };
        let batch: Vec<_> = {
            let mut waiting = self.queue();
            let count = waiting.len().min(BATCH_MAX);
            waiting.drain(..count).collect()
        };
        // Another call took along what this one was for.
        if batch.is_empty() {
            return;
        }
        let (statements, answers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let outcomes = self.run_all(statements).await;
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // Whoever asked may be gone; the write stands all the same.
            let _ = answer.send(outcome);
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, VecDeque<(Statement, Answer)>> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Runs up to [`BATCH_MAX`] statements in one call, answers in order; statements on one item in calls of their own.
    pub async fn run_all(&self, statements: Vec<Statement>) -> Vec<Result<Outcome, StoreError>> {
        let mut outcomes: Vec<Option<Result<Outcome, StoreError>>> = vec![None; statements.len()];
        let mut pending: Vec<usize> = (0..statements.len()).collect();
        let mut wait = STATEMENT_WAIT;
        let mut attempt = 0;
        while !pending.is_empty() && attempt < STATEMENT_TRIES {
            // DynamoDB refuses a batch that names an item twice: the second waits for the next call.
            let mut keys = HashSet::new();
            let (now, mut later): (Vec<usize>, Vec<usize>) =
                pending.iter().partition(|index| keys.insert(&statements[**index].key));
            let batch = now.iter().map(|index| statements[*index].request.clone()).collect();
            let sent = self.client.batch_execute_statement().set_statements(Some(batch)).send().await;
            let responses = match sent {
                Ok(output) => output.responses.unwrap_or_default(),
                Err(error) => {
                    let error = StoreError::from_sdk(error);
                    pending.into_iter().for_each(|index| outcomes[index] = Some(Err(error.clone())));
                    break;
                }
            };
            let mut throttled = Vec::new();
            for (index, response) in now.into_iter().zip(responses) {
                let outcome = outcome(response);
                if outcome == Err(StoreError::Throttled) {
                    throttled.push(index);
                }
                outcomes[index] = Some(outcome);
            }
            if !throttled.is_empty() {
                attempt += 1;
                self.clock.sleep_until(self.clock.now() + wait).await;
                wait = wait * 2;
            }
            // Throttled ones go first, so that statements on one item keep their order.
            throttled.append(&mut later);
            pending = throttled;
        }
        outcomes.into_iter().map(|outcome| outcome.unwrap_or(Err(StoreError::Abandoned))).collect()
    }
}

fn outcome(response: BatchStatementResponse) -> Result<Outcome, StoreError> {
    use BatchStatementErrorCodeEnum as Code;
    let Some(error) = response.error else {
        return Ok(Outcome::Applied(response.item));
    };
    match error.code {
        Some(Code::ConditionalCheckFailed) => Ok(Outcome::Lost(error.item)),
        Some(Code::DuplicateItem) => Ok(Outcome::Duplicate),
        Some(
            Code::ProvisionedThroughputExceeded
            | Code::RequestLimitExceeded
            | Code::ThrottlingError
            | Code::TransactionConflict
            | Code::InternalServerError,
        ) => Err(StoreError::Throttled),
        code => Err(StoreError::Refused(format!("{code:?}: {}", error.message.unwrap_or_default()))),
    }
}
