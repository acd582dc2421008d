//! The writes of a delivery alone: create, claim and settle on the embedded
//! DynamoDB, without queue, calls or decisions. The rate at which it takes them
//! is the ceiling of everything built on it.

use crate::load::PARAMETER_BYTES;
use crate::report::Report;
use crate::stage::seconds;
use anyhow::{Context, Result, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{
    AttributeValue, BatchStatementRequest, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
    TableDescription,
};
use futures::stream::{self, StreamExt, TryStreamExt};
use shared::clock::{Clock, SystemClock};

const NAME: &str = "baseline";
/// Statements in one `BatchExecuteStatement`, DynamoDB's limit.
const BATCH: usize = 25;
/// Callers at once that are tried; the best is taken.
const CONCURRENCIES: [usize; 4] = [1, 2, 4, 8];
/// Part of the items with which the best is looked for.
const TRIAL_SHARE: usize = 5;
/// The indexes an item stands in before and after it is finished.
const DUE_INDEX: &str = "due";
const DONE_INDEX: &str = "done";
/// The length of a claim token.
const TOKEN_BYTES: usize = 32;

/// Names of the key attributes of a table and of the two indexes that every item passes through.
#[derive(Debug, Clone)]
struct Keys {
    partition: String,
    sort: String,
    due: (String, String),
    done: (String, String),
}

/// Writes `count` items three times each and returns how many items a second went through all three.
pub async fn run(aws: &str, count: usize, report: &mut Report) -> Result<f64> {
    let client = client(aws);
    let work = work_table(&client).await?;
    let mut best = (0.0, CONCURRENCIES[0]);
    for concurrency in CONCURRENCIES {
        let trial = Trial::prepare(&client, &work, &format!("bench-trial-{concurrency}")).await?;
        let rate = trial.run((count / TRIAL_SHARE).max(BATCH), concurrency).await?;
        report.add(NAME, format!("items_per_s_at_{concurrency}"), rate);
        if rate > best.0 {
            best = (rate, concurrency);
        }
    }
    let (_, concurrency) = best;
    let trial = Trial::prepare(&client, &work, "bench-baseline").await?;
    let rate = trial.run(count, concurrency).await?;
    report.add(NAME, "callers", concurrency as f64);
    report.add(NAME, "items_per_s", rate);
    Ok(rate)
}

fn client(aws: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, NAME))
        .endpoint_url(aws)
        .build();
    Client::from_conf(config)
}

/// The table that has both indexes, whatever its name.
async fn work_table(client: &Client) -> Result<TableDescription> {
    for name in client.list_tables().send().await.context("cannot list the tables")?.table_names() {
        let table = client.describe_table().table_name(name).send().await?.table;
        let table = table.with_context(|| format!("table {name} has no description"))?;
        let has =
            |index: &str| table.global_secondary_indexes().iter().any(|i| i.index_name() == Some(index));
        if has(DUE_INDEX) && has(DONE_INDEX) {
            return Ok(table);
        }
    }
    bail!("no table has the indexes {DUE_INDEX} and {DONE_INDEX}")
}

/// An empty table of the work table's shape.
#[derive(Debug, Clone)]
struct Trial {
    client: Client,
    table: String,
    keys: Keys,
}

impl Trial {
    async fn prepare(client: &Client, like: &TableDescription, table: &str) -> Result<Self> {
        let mut create = client
            .create_table()
            .table_name(table)
            .billing_mode(BillingMode::PayPerRequest)
            .set_attribute_definitions(like.attribute_definitions.clone())
            .set_key_schema(like.key_schema.clone());
        for index in like.global_secondary_indexes() {
            let index = GlobalSecondaryIndex::builder()
                .set_index_name(index.index_name.clone())
                .set_key_schema(index.key_schema.clone())
                .set_projection(index.projection.clone())
                .build()?;
            create = create.global_secondary_indexes(index);
        }
        create.send().await.with_context(|| format!("cannot create table {table}"))?;
        Ok(Self { client: client.clone(), table: table.to_owned(), keys: keys(like)? })
    }

    /// Items a second, with `concurrency` batches under way, each created, claimed and settled in turn.
    async fn run(&self, count: usize, concurrency: usize) -> Result<f64> {
        let started = SystemClock.now();
        stream::iter((0..count).step_by(BATCH))
            .map(Ok)
            .try_for_each_concurrent(concurrency, |start| async move {
                let numbers = start..(start + BATCH).min(count);
                self.send(numbers.clone().map(|number| self.create(number)).collect()).await?;
                self.send(numbers.clone().map(|number| self.claim(number)).collect()).await?;
                self.send(numbers.map(|number| self.settle(number)).collect()).await
            })
            .await?;
        Ok(count as f64 / seconds(SystemClock.now() - started))
    }

    async fn send(&self, statements: Vec<Result<BatchStatementRequest>>) -> Result<()> {
        let statements = statements.into_iter().collect::<Result<Vec<_>>>()?;
        let answer = self.client.batch_execute_statement().set_statements(Some(statements)).send().await?;
        match answer.responses().iter().find_map(|response| response.error()) {
            None => Ok(()),
            Some(error) => bail!("the baseline's write was refused: {error:?}"),
        }
    }

    fn create(&self, number: usize) -> Result<BatchStatementRequest> {
        let Keys { partition, sort, due: (due_partition, due_sort), .. } = &self.keys;
        let text = format!(
            "INSERT INTO \"{}\" VALUE {{'{partition}': ?, '{sort}': ?, '{due_partition}': ?, '{due_sort}': ?, \
             'status': ?, 'attempts': ?, 'maxAttempts': ?, 'parameter': ?, 'createdAt': ?, 'bodyHash': ?}}",
            self.table
        );
        statement(
            text,
            [
                item_key(number),
                string("ITEM"),
                string(&format!("bench/main/A:call#{}", number % 4)),
                string(&format!("{number:015}#{number:06}")),
                string("READY"),
                int(0),
                int(3),
                string(&"x".repeat(PARAMETER_BYTES)),
                int(1_700_000_000_000),
                string(&"h".repeat(43)),
            ],
        )
    }

    fn claim(&self, number: usize) -> Result<BatchStatementRequest> {
        let Keys { partition, sort, .. } = &self.keys;
        let text = format!(
            "UPDATE \"{}\" SET attempts = ? SET leaseUntil = ? SET claim = ? \
             WHERE {partition} = ? AND {sort} = ? AND attempts = ? RETURNING ALL NEW *",
            self.table
        );
        statement(
            text,
            [int(1), int(1_700_000_060_000), token(number), item_key(number), string("ITEM"), int(0)],
        )
    }

    fn settle(&self, number: usize) -> Result<BatchStatementRequest> {
        let Keys { partition, sort, due: (due_partition, due_sort), done: (done_partition, done_sort) } =
            &self.keys;
        let text = format!(
            "UPDATE \"{}\" SET status = ? SET executedAt = ? SET history = ? SET {done_partition} = ? SET {done_sort} = ? \
             REMOVE {due_partition} REMOVE {due_sort} REMOVE leaseUntil REMOVE claim \
             WHERE {partition} = ? AND {sort} = ? AND claim = ?",
            self.table
        );
        statement(
            text,
            [
                string("DISPATCHED"),
                int(1_700_000_000_100),
                string(&"y".repeat(80)),
                string(&format!("bench/main#A:call#DISPATCHED#{}", number % 4)),
                string(&format!("{number:015}#{number:06}")),
                item_key(number),
                string("ITEM"),
                token(number),
            ],
        )
    }
}

fn statement(text: String, parameters: impl Into<Vec<AttributeValue>>) -> Result<BatchStatementRequest> {
    Ok(BatchStatementRequest::builder().statement(text).set_parameters(Some(parameters.into())).build()?)
}

fn keys(table: &TableDescription) -> Result<Keys> {
    let (partition, sort) = pair(table.key_schema())?;
    let index = |name: &str| {
        let index = table.global_secondary_indexes().iter().find(|index| index.index_name() == Some(name));
        pair(index.with_context(|| format!("no index {name}"))?.key_schema())
    };
    Ok(Keys { partition, sort, due: index(DUE_INDEX)?, done: index(DONE_INDEX)? })
}

fn pair(schema: &[KeySchemaElement]) -> Result<(String, String)> {
    let of = |kind: KeyType| {
        let element = schema.iter().find(|element| *element.key_type() == kind);
        element.map(|element| element.attribute_name().to_owned()).with_context(|| format!("no {kind} key"))
    };
    Ok((of(KeyType::Hash)?, of(KeyType::Range)?))
}

fn item_key(number: usize) -> AttributeValue {
    string(&format!("I#bench/main#baseline-{number:06}"))
}

fn token(number: usize) -> AttributeValue {
    string(&format!("{number:0TOKEN_BYTES$}"))
}

fn string(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn int(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}
