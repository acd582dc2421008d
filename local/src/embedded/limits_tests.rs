//! The limits of the services' requests and responses, each at its edge.

use super::*;
use crate::clock::LocalClock;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{
    AttributeValue, BatchStatementRequest, KeysAndAttributes, ParameterizedStatement,
};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

struct Lab {
    embedded: Embedded,
    table: String,
}

impl Lab {
    async fn new() -> Self {
        let clock = LocalClock::frozen(rules::time::from_millis(1_800_000_000_000).unwrap());
        let embedded = Embedded::start_in_memory(Arc::new(clock)).await.unwrap();
        let table = embedded.settings("api-ingest")["PUNCTUAL_WORK_TABLE"].clone();
        Self { embedded, table }
    }

    fn clients(&self) -> &Clients {
        self.embedded.clients()
    }

    /// Writes an item of this many bytes, keys included.
    async fn put(&self, pk: &str, sk: &str, bytes: usize) -> Result<(), String> {
        let names = "PKSKx".len();
        let value = "x".repeat(bytes - names - pk.len() - sk.len());
        let put = self.clients().dynamodb.put_item().table_name(&self.table);
        code(put.item("PK", text(pk)).item("SK", text(sk)).item("x", text(&value)).send().await).map(drop)
    }

    fn insert(&self, pk: &str, bytes: usize) -> ParameterizedStatement {
        let statement = format!("INSERT INTO \"{}\" VALUE {{'PK': ?, 'SK': 'i', 'x': ?}}", self.table);
        let parameters = [text(pk), text(&"x".repeat(bytes))].to_vec();
        let statement = ParameterizedStatement::builder().statement(statement);
        statement.set_parameters(Some(parameters)).build().unwrap()
    }

    async fn transact(&self, name: &str, sizes: &[usize]) -> Result<(), String> {
        let statements =
            sizes.iter().enumerate().map(|(n, bytes)| self.insert(&format!("{name}{n}"), *bytes));
        let statements = Some(statements.collect());
        let request = self.clients().dynamodb.execute_transaction().set_transact_statements(statements);
        code(request.send().await).map(drop)
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

/// The result, or the code of the error.
fn code<T, E: ProvideErrorMetadata, R>(result: Result<T, SdkError<E, R>>) -> Result<T, String> {
    result.map_err(|error| error.code().unwrap_or("no code").to_owned())
}

const REFUSED: Result<(), &str> = Err("ValidationException");

fn check(result: Result<(), String>, expect: Result<(), &str>, what: &str) {
    assert_eq!(result, expect.map_err(str::to_owned), "{what}");
}

#[tokio::test]
async fn an_item_has_400_kib() {
    let lab = Lab::new().await;
    check(lab.put("a", "a", 400 * KIB).await, Ok(()), "put");
    check(lab.put("a", "b", 400 * KIB + 1).await, REFUSED, "put");
    // One statement can be refused alone, or with its transaction.
    check(lab.transact("t", &[400 * KIB - 64]).await, Ok(()), "insert");
    let refused = lab.transact("u", &[400 * KIB]).await.unwrap_err();
    assert!(["ValidationException", "TransactionCanceledException"].contains(&&*refused), "{refused}");
}

#[tokio::test]
async fn a_transaction_has_a_hundred_statements_and_four_megabytes() {
    let lab = Lab::new().await;
    check(lab.transact("few", &[16; 100]).await, Ok(()), "100 statements");
    check(lab.transact("many", &[16; 101]).await, REFUSED, "101 statements");
    check(lab.transact("small", &[390 * KIB; 10]).await, Ok(()), "3.8 MiB");
    check(lab.transact("large", &[390 * KIB; 11]).await, REFUSED, "4.2 MiB");
}

#[tokio::test]
async fn a_batch_has_25_statements_and_a_statement_8192_characters() {
    let lab = Lab::new().await;
    let table = &lab.table;
    let statement = |n: usize, length: usize| {
        let select = format!("SELECT * FROM \"{table}\" WHERE PK = 'p{n}' AND SK = 's'");
        let select = format!("{select}{}", " ".repeat(length.saturating_sub(select.len())));
        BatchStatementRequest::builder().statement(select).build().unwrap()
    };
    for (count, length, expect) in [(25, 0, Ok(())), (26, 0, REFUSED), (1, 8192, Ok(())), (1, 8193, REFUSED)]
    {
        let statements = (0..count).map(|n| statement(n, length)).collect();
        let request = lab.clients().dynamodb.batch_execute_statement().set_statements(Some(statements));
        let result = code(request.send().await).map(drop);
        check(result, expect, &format!("{count} statements of {length} characters"));
    }
}

#[tokio::test]
async fn a_page_has_a_megabyte_and_a_batch_of_reads_sixteen() {
    let lab = Lab::new().await;
    for n in 0..50 {
        lab.put("p", &format!("{n:02}"), 400 * KIB).await.unwrap();
    }
    let query = lab.clients().dynamodb.query().table_name(&lab.table);
    let query = query.key_condition_expression("PK = :p").expression_attribute_values(":p", text("p"));
    let page = query.send().await.unwrap();
    assert!(page.count <= 3 && page.last_evaluated_key.is_some(), "{} items", page.count);
    let keys = (0..50)
        .map(|n| HashMap::from([("PK".to_owned(), text("p")), ("SK".to_owned(), text(&format!("{n:02}")))]));
    let keys = KeysAndAttributes::builder().set_keys(Some(keys.collect())).build().unwrap();
    let read = lab.clients().dynamodb.batch_get_item().request_items(&lab.table, keys);
    let read = read.send().await.unwrap();
    let (items, left) = (read.responses.unwrap()[&lab.table].len(), read.unprocessed_keys.unwrap());
    assert!(items <= 42, "{items} items");
    assert_eq!(left[&lab.table].keys.len(), 50 - items);
}

#[tokio::test]
async fn messages_and_batches_of_them_have_a_mebibyte() {
    let lab = Lab::new().await;
    let url = &lab.embedded.settings("api-ingest")["PUNCTUAL_QUEUE_URL"];
    let sqs = &lab.clients().sqs;
    for (bytes, fits) in [(MIB, true), (MIB + 1, false)] {
        let sent = sqs.send_message().queue_url(url).message_body("x".repeat(bytes)).send().await;
        assert_eq!(sent.is_ok(), fits, "one message of {bytes}");
        let entry = |id: &str, bytes: usize| {
            let entry = SendMessageBatchRequestEntry::builder().id(id).message_body("x".repeat(bytes));
            entry.build().unwrap()
        };
        let batch = sqs.send_message_batch().queue_url(url);
        let sent = batch.entries(entry("a", MIB / 2)).entries(entry("b", bytes - MIB / 2)).send().await;
        assert_eq!(sent.is_ok(), fits, "a batch of {bytes}");
    }
    for (delay, fits) in [(900, true), (901, false)] {
        let sent = sqs.send_message().queue_url(url).message_body("x").delay_seconds(delay).send().await;
        assert_eq!(sent.is_ok(), fits, "a delay of {delay} s");
    }
}

#[tokio::test]
async fn kms_encrypts_4096_bytes() {
    let lab = Lab::new().await;
    let key = &lab.embedded.settings("api-ingest")["PUNCTUAL_KMS_KEY_ID"];
    for (bytes, fits) in [(1, true), (4096, true), (4097, false), (0, false)] {
        let plaintext = Blob::new(vec![0; bytes]);
        let sealed = lab.clients().kms.encrypt().key_id(key).plaintext(plaintext).send().await;
        assert_eq!(sealed.is_ok(), fits, "{bytes}");
    }
}

#[tokio::test]
async fn a_request_has_sixteen_megabytes_through_either_door() {
    let lab = Lab::new().await;
    for door in [Door::InProcess, Door::Network] {
        let body = Bytes::from(vec![b' '; BODY_BYTES_MAX + 1]);
        let answer = lab.embedded.mount().answer(door, "DynamoDB_20120810.PutItem", body).await;
        assert_eq!(answer.status, 413, "{door:?}");
    }
}
