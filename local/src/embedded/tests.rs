use super::*;
use crate::clock::LocalClock;
use aws_sdk_dynamodb::types::{AttributeValue, BatchStatementRequest, ReturnConsumedCapacity};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use shared::clock::Clock;

fn frozen() -> Arc<LocalClock> {
    Arc::new(LocalClock::frozen(rules::time::from_millis(1_800_000_000_000).unwrap()))
}

async fn in_memory() -> Embedded {
    Embedded::start_in_memory(frozen()).await.unwrap()
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

#[tokio::test]
async fn capacity_is_counted_whether_or_not_the_caller_asks() {
    let embedded = in_memory().await;
    let (clients, mount) = (embedded.clients(), embedded.mount());
    let table = &embedded.settings("api-ingest")["PUNCTUAL_CONFIG_TABLE"];
    mount.reset_usage();
    let put = || clients.dynamodb.put_item().table_name(table).item("PK", text("a")).item("SK", text("b"));
    assert!(put().send().await.unwrap().consumed_capacity.is_none());
    let asked = put().return_consumed_capacity(ReturnConsumedCapacity::Total).send().await.unwrap();
    assert_eq!(asked.consumed_capacity.unwrap().capacity_units, Some(1.0));
    let refused = put().condition_expression("attribute_not_exists(PK)").send().await;
    assert!(refused.unwrap_err().into_service_error().is_conditional_check_failed_exception());
    clients
        .dynamodb
        .get_item()
        .table_name(table)
        .key("PK", text("a"))
        .key("SK", text("b"))
        .send()
        .await
        .unwrap();
    let statement = format!("UPDATE \"{table}\" SET x = 1 WHERE PK = 'a' AND SK = 'b'");
    let statement = BatchStatementRequest::builder().statement(statement).build().unwrap();
    clients.dynamodb.batch_execute_statement().statements(statement).send().await.unwrap();

    let usage = mount.usage().dynamodb;
    assert_eq!((usage.write_units, usage.read_units, usage.failed_conditions), (4.0, 0.5, 1));
    assert_eq!(usage.requests["PutItem"], 3);
    assert_eq!(usage.tables[table].write_units, 3.0);
}

#[tokio::test]
async fn malformed_requests_are_refused_as_such() {
    let embedded = in_memory().await;
    for (target, body, status) in [
        ("DynamoDB_20120810.PutItem", "{", 400),
        ("DynamoDB_20120810.PutItem", "{}", 400),
        ("DynamoDB_20120810.Nothing", "{}", 400),
        ("AmazonSQS.SendMessage", "[]", 400),
        ("AmazonSQS.Nothing", "{}", 400),
        ("TrentService.Nothing", "{}", 400),
        ("Lambda.Invoke", "{}", 400),
        ("", "", 400),
    ] {
        let answer =
            embedded.mount().answer(Door::Network, target, Bytes::from_static(body.as_bytes())).await;
        assert_eq!(answer.status, status, "{target}");
        assert!(answer.body.starts_with(b"{\""), "{target}");
    }
}

#[tokio::test]
async fn items_expire_by_punctuals_clock() {
    let clock = frozen();
    let mount = Arc::new(Mount::open(None, "http://x", clock.clone()).await.unwrap());
    let clients = clients_at("http://x", connector::http_client(Arc::clone(&mount)));
    let template = Template::parse(
        r#"
Resources:
  T:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{ AttributeName: id, AttributeType: S }]
      KeySchema: [{ AttributeName: id, KeyType: HASH }]
      TimeToLiveSpecification: { AttributeName: ttl, Enabled: true }
"#,
    );
    template::provision(&template.unwrap(), &BTreeMap::new(), &clients).await.unwrap();
    let now = clock.now().timestamp();
    for (id, ttl) in (0..250).map(|n| (n, now + 10)).chain([(250, now + 20)]) {
        let put = clients.dynamodb.put_item().table_name("punctual-T").item("id", text(&id.to_string()));
        put.item("ttl", AttributeValue::N(ttl.to_string())).send().await.unwrap();
    }
    assert_eq!(mount.dynamodb.delete_expired(now + 9).await.unwrap(), 0);
    assert_eq!(mount.dynamodb.delete_expired(now + 10).await.unwrap(), 250);
    assert_eq!(clients.dynamodb.scan().table_name("punctual-T").send().await.unwrap().count, 1);
}

#[tokio::test]
async fn kms_checks_contexts_and_refuses_a_disabled_key() {
    let embedded = in_memory().await;
    let kms = &embedded.clients().kms;
    let key = &embedded.settings("api-ingest")["PUNCTUAL_KMS_KEY_ID"];
    let made = kms.generate_data_key().key_id(key).key_spec(DataKeySpec::Aes256);
    let made =
        made.encryption_context("company", "a").encryption_context("solution", "b,c=d").send().await.unwrap();
    let decrypt = |context: &[(&str, &str)]| {
        let request = kms.decrypt().key_id(key).ciphertext_blob(made.ciphertext_blob.clone().unwrap());
        context
            .iter()
            .fold(request, |request, (name, value)| request.encryption_context(*name, *value))
            .send()
    };
    let opened = decrypt(&[("company", "a"), ("solution", "b,c=d")]).await.unwrap();
    assert_eq!(opened.plaintext, made.plaintext);
    for wrong in [&[("company", "a")][..], &[("company", "a"), ("solution", "b"), ("c", "d")], &[]] {
        assert!(decrypt(wrong).await.unwrap_err().into_service_error().is_invalid_ciphertext_exception());
    }
    let mut damaged = made.ciphertext_blob.clone().unwrap().into_inner();
    *damaged.last_mut().unwrap() ^= 1;
    assert!(kms.decrypt().ciphertext_blob(Blob::new(damaged)).send().await.is_err());

    let rotated = kms.rotate_key_on_demand().key_id(key).send().await;
    assert!(rotated.unwrap_err().into_service_error().is_unsupported_operation_exception());
    kms.disable_key().key_id(key).send().await.unwrap();
    let refused = decrypt(&[("company", "a"), ("solution", "b,c=d")]).await;
    assert!(refused.unwrap_err().into_service_error().is_disabled_exception());
    kms.enable_key().key_id(key).send().await.unwrap();
    assert!(decrypt(&[("company", "a"), ("solution", "b,c=d")]).await.is_ok());
}

#[tokio::test]
async fn keys_and_items_are_on_disk_when_they_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let start = || async {
        let options = Options { data_dir: Some(dir.path().to_owned()), ..Options::in_memory().unwrap() };
        Embedded::start(options, frozen()).await.unwrap()
    };
    let first = start().await;
    let settings = first.settings("api-ingest");
    let (table, key) = (&settings["PUNCTUAL_CONFIG_TABLE"], &settings["PUNCTUAL_KMS_KEY_ID"]);
    let sealed =
        first.clients().kms.encrypt().key_id(key).plaintext(Blob::new("secret")).send().await.unwrap();
    let put = first.clients().dynamodb.put_item().table_name(table);
    put.item("PK", text("a")).item("SK", text("b")).send().await.unwrap();
    // The first one is still open: nothing was closed in order, as after kill -9.
    let second = start().await;
    let opened =
        second.clients().kms.decrypt().ciphertext_blob(sealed.ciphertext_blob.unwrap()).send().await.unwrap();
    assert_eq!(opened.plaintext.unwrap().as_ref(), b"secret");
    assert_eq!(second.clients().dynamodb.scan().table_name(table).send().await.unwrap().count, 1);
    std::fs::write(dir.path().join(KEYS_FILE), "{").unwrap();
    let damaged = Mount::open(Some(dir.path()), "http://x", frozen()).await.err().unwrap();
    assert!(damaged.to_string().contains("cannot read the keys"), "{damaged}");
}

#[tokio::test]
async fn the_http_door_leads_to_the_same_services() {
    let embedded = in_memory().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(axum::serve(listener, router(Arc::clone(embedded.mount()))).into_future());
    let http = reqwest::Client::new();
    let listed =
        http.post(&url).header("x-amz-target", "AmazonSQS.ListQueues").body("{}").send().await.unwrap();
    assert!(listed.text().await.unwrap().contains("/123456789012/punctual-DueQueue"));
    let gone = http.post(&url).header("x-amz-target", "AmazonSQS.GetQueueUrl").body(r#"{"QueueName":"x"}"#);
    let gone = gone.send().await.unwrap();
    assert_eq!(gone.headers()["x-amzn-query-error"], "AWS.SimpleQueueService.NonExistentQueue;Sender");
    let usage = http.get(format!("{url}/local/usage")).send().await.unwrap().text().await.unwrap();
    let usage: serde_json::Value = serde_json::from_str(&usage).unwrap();
    assert_eq!(usage["sqs"]["requests"]["ListQueues"], 1);
    let reset = http.post(format!("{url}/local/usage/reset")).send().await.unwrap();
    assert_eq!(reset.status().as_u16(), 204);
    assert_eq!(http.get(&url).send().await.unwrap().status().as_u16(), 400);
    server.abort();
}
