//! Group commit: statements that wait at the same time go in one call.
//!
//! There is no timer. A statement goes out at once while fewer than
//! [`CALLS_IN_FLIGHT`] calls are under way; behind those the next batch gathers.
//! So a lone write is not held up, and under load calls fill to 25. What is refused for
//! now waits outside, each statement for itself, and holds up nothing.

use crate::engine::StoreError;
use crate::engine::attributes::Item;
use crate::engine::patience::{BRIEFLY, Patience};
use crate::engine::statements::Statement;
use crate::table::attr;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::{AttributeValue, BatchStatementErrorCodeEnum, BatchStatementResponse};
use futures::future::join_all;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, oneshot};

/// Most statements of one `BatchExecuteStatement` (a DynamoDB limit).
pub const BATCH_MAX: usize = 25;
/// Calls of one function instance under way at a time.
pub const CALLS_IN_FLIGHT: usize = 4;

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
    table: String,
    patience: Patience,
    waiting: Arc<Mutex<Waiting>>,
    calls: Arc<Semaphore>,
}

/// Statements that wait for a call, in the order in which they came: those that record a success before all others.
#[derive(Default)]
struct Waiting {
    successes: VecDeque<(Statement, Answer)>,
    others: VecDeque<(Statement, Answer)>,
}

impl Waiting {
    fn push(&mut self, statement: Statement, answer: Answer) {
        let queue = if statement.is_success { &mut self.successes } else { &mut self.others };
        queue.push_back((statement, answer));
    }

    /// Takes out what goes in one call. DynamoDB refuses a batch that names an item twice: the second waits on.
    fn take(&mut self) -> Vec<(Statement, Answer)> {
        let (mut batch, mut keys) = (Vec::new(), HashSet::new());
        for queue in [&mut self.successes, &mut self.others] {
            let mut left = VecDeque::new();
            while batch.len() < BATCH_MAX
                && let Some((statement, answer)) = queue.pop_front()
            {
                if keys.insert(statement.key.clone()) {
                    batch.push((statement, answer));
                } else {
                    left.push_back((statement, answer));
                }
            }
            left.append(queue);
            *queue = left;
        }
        batch
    }
}

impl Batcher {
    /// For statements on `table`, sent with `client`.
    pub fn new(client: &Client, table: String, patience: Patience) -> Self {
        // The SDK would wait between its tries with the whole call's place taken: what is refused waits here instead.
        let config = client.config().to_builder().retry_config(RetryConfig::disabled()).build();
        let calls = Arc::new(Semaphore::new(CALLS_IN_FLIGHT));
        Self { client: Client::from_conf(config), table, patience, waiting: Arc::default(), calls }
    }

    /// Runs `statement` together with what else waits. Refused or unanswered, it is tried again for [`BRIEFLY`], each
    /// time with what waits then.
    ///
    /// # Errors
    /// [`StoreError`] when DynamoDB could not be asked or would not answer.
    pub async fn run(&self, statement: Statement) -> Result<Outcome, StoreError> {
        self.patience.briefly(|| self.run_once(statement.clone())).await
    }

    async fn run_once(&self, statement: Statement) -> Result<Outcome, StoreError> {
        let (answer, outcome) = oneshot::channel();
        self.waiting().push(statement, answer);
        // A task of its own: a call carries other callers' statements, which must not fail when this one goes away.
        tokio::spawn(self.clone().run_some());
        outcome.await.unwrap_or(Err(StoreError::Abandoned))
    }

    /// Runs what waits, up to [`BATCH_MAX`], once fewer than [`CALLS_IN_FLIGHT`] calls are under way.
    async fn run_some(self) {
        let Ok(_permit) = self.calls.acquire().await else { return };
        // It may be empty: another call took along what this one was for.
        let (statements, answers): (Vec<_>, Vec<_>) = self.waiting().take().into_iter().unzip();
        for (answer, outcome) in answers.into_iter().zip(self.call(&statements).await) {
            // Whoever asked may be gone; the write stands all the same.
            let _ = answer.send(outcome);
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Runs up to [`BATCH_MAX`] statements in one call, answers in order; statements on one item, and what was refused
    /// or not answered, in calls of their own, for [`BRIEFLY`].
    pub async fn run_all(&self, statements: Vec<Statement>) -> Vec<Result<Outcome, StoreError>> {
        let mut outcomes = vec![Err(StoreError::Abandoned); statements.len()];
        let mut pending: Vec<usize> = (0..statements.len()).collect();
        let (deadline, mut tries) = (self.patience.deadline(BRIEFLY), 0);
        while !pending.is_empty() {
            let mut keys = HashSet::new();
            let (batch, mut later): (Vec<usize>, Vec<usize>) =
                pending.iter().partition(|index| keys.insert(&statements[**index].key));
            let sent: Vec<_> = batch.iter().map(|index| statements[*index].clone()).collect();
            let mut refused = Vec::new();
            for (index, outcome) in batch.into_iter().zip(self.call(&sent).await) {
                if outcome.as_ref().is_err_and(StoreError::is_transient) {
                    refused.push(index);
                }
                outcomes[index] = outcome;
            }
            if !refused.is_empty() {
                tries += 1;
                if !self.patience.wait(tries, deadline).await {
                    break;
                }
            }
            // What was refused goes first, so that statements on one item keep their order.
            refused.append(&mut later);
            pending = refused;
        }
        outcomes
    }

    /// One call; the outcomes in order.
    async fn call(&self, statements: &[Statement]) -> Vec<Result<Outcome, StoreError>> {
        if statements.is_empty() {
            return Vec::new();
        }
        let requests = statements.iter().map(|statement| statement.request.clone()).collect();
        let sent = self.client.batch_execute_statement().set_statements(Some(requests)).send().await;
        let responses = match sent {
            Ok(output) => output.responses.unwrap_or_default(),
            Err(error) => return vec![Err(StoreError::from_sdk(error)); statements.len()],
        };
        let mut responses = responses.into_iter();
        let outcomes = statements.iter().map(|statement| {
            let response = responses.next();
            async move {
                match response.map_or(Err(StoreError::Abandoned), outcome) {
                    Ok(Outcome::Lost(None)) => self.read(statement).await.map(Outcome::Lost),
                    outcome => outcome,
                }
            }
        });
        join_all(outcomes).await
    }

    /// The item of a refused statement whose refusal shows none. That may mean that there is none, and may not: of
    /// refused members of a batch DynamoDB has been seen to show the item and to leave it out. So it is read.
    async fn read(&self, statement: &Statement) -> Result<Option<Item>, StoreError> {
        let (pk, sk) = &statement.key;
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let get =
            get.key(attr::PK, AttributeValue::S(pk.clone())).key(attr::SK, AttributeValue::S(sk.clone()));
        Ok(get.send().await.map_err(StoreError::from_sdk)?.item)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::statements::read;

    fn take(waiting: &mut Waiting) -> Vec<String> {
        waiting.take().into_iter().map(|(statement, _)| statement.key.0).collect()
    }

    #[test]
    fn successes_go_first_and_an_item_is_named_once_in_a_call() {
        let mut waiting = Waiting::default();
        let mut push = |pk: &str, is_success| {
            waiting.push(read("t", pk.to_owned(), attr::ITEM).of_success(is_success), oneshot::channel().0);
        };
        (0..BATCH_MAX).for_each(|number| push(&number.to_string(), false));
        push("0", false);
        push("delivered", true);
        push("delivered", true);
        let first: Vec<String> = (0..BATCH_MAX - 1).map(|number| number.to_string()).collect();
        assert_eq!(take(&mut waiting), [vec!["delivered".to_owned()], first].concat());
        assert_eq!(take(&mut waiting), ["delivered", "24", "0"]);
        assert!(take(&mut waiting).is_empty());
    }
}
