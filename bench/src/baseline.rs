//! The writes of a delivery alone: create, claim and settle on the embedded
//! DynamoDB, without queue, calls or decisions. The rate at which it takes them
//! is the ceiling of everything built on it.

use crate::api::parameter;
use crate::here::clients;
use crate::load::PARAMETER_BYTES;
use crate::report::Report;
use crate::stage::seconds;
use anyhow::{Context, Result, bail};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{BillingMode, GlobalSecondaryIndex, TableDescription};
use chrono::{DateTime, TimeDelta, Utc};
use futures::stream::{self, StreamExt, TryStreamExt};
use rules::activity::{Event, accepted, decide};
use rules::claim::Claim;
use rules::names::{Kind, Tenant};
use shared::clock::{Clock, SystemClock};
use shared::engine::Success;
use shared::engine::WorkItem;
use shared::engine::statements;
use shared::engine::statements::Statement;
use shared::engine::{Kept, batcher};
use shared::items::activity::claim::activity_statement;
use shared::items::activity::codec::Record;
use shared::table::attr;

const NAME: &str = "baseline";
/// Callers at once that are tried; the best is taken.
const CONCURRENCIES: [usize; 4] = [1, 2, 4, 8];
/// Part of the items with which the best is looked for.
const TRIAL_SHARE: usize = 5;
/// Shards of `due` and of `done`, as a type has by default.
const SHARDS: u32 = shared::settings::DEFAULT_DUE_SHARDS;
const DONE_SHARDS: u32 = shared::settings::DEFAULT_DONE_SHARDS;
/// As long as those of the engine.
const BODY_HASH: &str = "0123456789012345678901";
const TOKEN: &str = "0123456789012345";
const MAX_ATTEMPTS: u32 = 3;
/// How long what is delivered is kept by default.
const RETENTION: TimeDelta = TimeDelta::days(shared::settings::DEFAULT_RETENTION_DAYS as i64);
const LEASE: TimeDelta = TimeDelta::seconds(60);

/// Writes `count` items three times each and returns how many items a second went through all three.
pub async fn run(aws: &str, count: usize, report: &mut Report) -> Result<f64> {
    let client = clients(aws).dynamodb;
    let work = work_table(&client).await?;
    let mut best = (0.0, CONCURRENCIES[0]);
    for concurrency in CONCURRENCIES {
        let trial = Trial::prepare(&client, &work, &format!("bench-trial-{concurrency}")).await?;
        let rate = trial.run((count / TRIAL_SHARE).max(batcher::BATCH_MAX), concurrency).await?;
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

/// The table that has both indexes, whatever its name.
pub async fn work_table(client: &Client) -> Result<TableDescription> {
    for name in client.list_tables().send().await.context("cannot list the tables")?.table_names() {
        let table = client.describe_table().table_name(name).send().await?.table;
        let table = table.with_context(|| format!("table {name} has no description"))?;
        let has =
            |index: &str| table.global_secondary_indexes().iter().any(|i| i.index_name() == Some(index));
        if has(attr::DUE_INDEX) && has(attr::DONE_INDEX) {
            return Ok(table);
        }
    }
    bail!("no table has the indexes {} and {}", attr::DUE_INDEX, attr::DONE_INDEX)
}

/// An empty table of the work table's shape.
#[derive(Debug, Clone)]
struct Trial {
    client: Client,
    table: String,
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
        Ok(Self { client: client.clone(), table: table.to_owned() })
    }

    /// Items a second, with `concurrency` batches under way, each created, claimed and settled in turn.
    async fn run(&self, count: usize, concurrency: usize) -> Result<f64> {
        let started = SystemClock.now();
        stream::iter((0..count).step_by(batcher::BATCH_MAX))
            .map(Ok)
            .try_for_each_concurrent(concurrency, |start| {
                self.batch(start..(start + batcher::BATCH_MAX).min(count))
            })
            .await?;
        Ok(count as f64 / seconds(SystemClock.now() - started))
    }

    /// The three writes of each item, with the statements that the engine itself uses.
    async fn batch(&self, numbers: std::ops::Range<usize>) -> Result<()> {
        let now = rules::time::truncate(SystemClock.now());
        let mut records = numbers.map(|number| record(number, now)).collect::<Result<Vec<_>>>()?;
        self.send(
            records
                .iter()
                .map(|record| statements::insert(&self.table, record.pk(), attr::ITEM, record.encode(now)))
                .collect(),
        )
        .await?;
        let claim = Claim::due(TOKEN, now + LEASE);
        let claims = records.iter().map(|record| activity_statement(&self.table, record.pk(), &claim, now));
        self.send(claims.collect()).await?;
        let mut settles = Vec::with_capacity(records.len());
        for record in &mut records {
            record.state.claim = Some(claim.clone());
            record.state.attempts += 1;
            let step = decide(&record.state, Event::Succeeded, now)?;
            let settled = Record {
                state: step.to,
                success: Some(Success { http_status: Some(204), duration_ms: 1 }),
                kept: Some(Kept::new(now + RETENTION, true)),
                ..record.clone()
            };
            settles.push(statements::step(&self.table, record, &settled, now));
        }
        self.send(settles).await
    }

    async fn send(&self, statements: Vec<Statement>) -> Result<()> {
        let statements = statements.into_iter().map(|statement| statement.request).collect();
        let answer = self.client.batch_execute_statement().set_statements(Some(statements)).send().await?;
        match answer.responses().iter().find_map(|response| response.error()) {
            None => Ok(()),
            Some(error) => bail!("the baseline's write was refused: {error:?}"),
        }
    }
}

/// An activity such as the scenario `throughput` gives.
fn record(number: usize, now: DateTime<Utc>) -> Result<Record> {
    let id = format!("{NAME}-{number:06}");
    let tenant = Tenant { company: NAME.parse()?, solution: "main".parse()? };
    Ok(Record {
        tenant,
        kind: Kind::Type("call".parse()?),
        state: accepted(now, MAX_ATTEMPTS, now),
        created_at: now,
        parameter: Some(parameter(&id, PARAMETER_BYTES).to_string()),
        uri: None,
        body_hash: BODY_HASH.to_owned(),
        shard: rules::due::shard(&id, SHARDS),
        done_shard: rules::due::shard(&id, DONE_SHARDS),
        object: None,
        success: None,
        type_changed_at: Some(now),
        dispatch: None,
        has_companions: false,
        kept: None,
        id: id.parse()?,
    })
}

#[cfg(test)]
mod tests {
    use super::{NAME, run};
    use crate::report::Report;
    use local::embedded::{Embedded, router};
    use shared::clock::SystemClock;
    use std::sync::Arc;

    #[tokio::test]
    async fn every_write_is_taken_by_the_embedded_database() {
        let embedded = Embedded::start_in_memory(Arc::new(SystemClock)).await.expect("opens");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let aws = format!("http://{}", listener.local_addr().expect("bound"));
        let routes = router(Arc::clone(embedded.mount()));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let mut report = Report::new();
        let rate = run(&aws, 60, &mut report).await.expect("all taken");
        assert!(rate > 0.0);
        assert_eq!(report.json()["figures"][NAME]["items_per_s"], rate);
        // Four trials of 25 items and one run of 60, at the six write units that one delivery may cost.
        assert_eq!(embedded.mount().usage().dynamodb.write_units, 160.0 * 6.0);
    }
}
