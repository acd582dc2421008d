//! What keeps credentials secret (SPEC §11): nothing readable in tables and logs, nothing that opens elsewhere.

use crate::api::{Api, S, send};
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use rules::activity::Status;
use rules::names::{Channel, Tenant};
use serde_json::json;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use tests::provider::API_KEY;
use tests::world::beginning;
use tests::{Reply, World};
use tracing_subscriber::fmt::MakeWriter;

type Item = HashMap<String, AttributeValue>;

/// Everything that is logged, at the finest level.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Every item of a table, read through the DynamoDB endpoint.
async fn dump(world: &World, table: &str) -> Vec<Item> {
    let name = world.embedded.settings("delivery-worker")[table].clone();
    let output = world.embedded.clients().dynamodb.scan().table_name(name).send().await.unwrap();
    assert!(output.last_evaluated_key.is_none(), "more than one page");
    output.items.unwrap_or_default()
}

fn tenant() -> Tenant {
    Tenant { company: "acme".parse().unwrap(), solution: "main".parse().unwrap() }
}

fn config(api: &Api) -> serde_json::Value {
    let base_url = api.world.receiver.url();
    json!({"provider": "YOM", "baseUrl": base_url, "credentials": {"apiKey": API_KEY}})
}

/// Where a secret may hide: as it is, and in every base64 of it and of a text with it at the end.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
        for shift in 0..3 {
            // Of a shifted text the first and last characters mix with what is around it.
            let encoded = engine.encode([&b"xx"[..shift], secret.as_bytes()].concat());
            forms.push(encoded[4..encoded.len() - 4].to_owned());
        }
    }
    forms
}

#[tokio::test]
async fn no_table_and_no_log_holds_a_credential() {
    let logs = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(logs.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let api = Api::seeded().await;
    let path = format!("{S}/dispatch-configs/EMAIL");
    let shown = api.put(&path, config(&api)).await.expect(201);
    assert_eq!(shown.json["credentialKeys"], json!(["apiKey"]));
    // Refused ones are not logged either.
    let mut bad = config(&api);
    bad["settings"] = json!({"no": 1});
    api.put(&path, bad).await.problem(400);
    let echo = format!("no such key: {API_KEY}");
    api.world.receiver.reply([
        Reply::Status(401, vec![("content-type", "text/plain".into())], echo),
        Reply::json(200, json!({"error": API_KEY})),
        Reply::taken(&format!("id-of-{API_KEY}")),
    ]);
    let message = api.world.message(&tenant(), Channel::Email, "a");
    api.world.accept(vec![message]).await;
    api.world.run(beginning() + TimeDelta::minutes(5)).await;
    let view = api.get(&format!("{S}/activities/a")).await.expect(200);
    assert_eq!((&view.json["status"], &view.json["attempts"]), (&json!("DISPATCHED"), &json!(3)));
    assert_eq!(api.world.receiver.arrivals().len(), 3, "and the key did go out");
    // Audit, lists, and a config that is read, replaced and deleted.
    let audit = api.get(&format!("{S}/audit-log")).await.expect(200);
    assert!(audit.text.contains("dispatchConfig.created") && audit.text.contains("apiKey"));
    let read = api.get(&path).await.expect(200);
    let list = api.get(&format!("{S}/dispatch-configs")).await.expect(200);
    let mut tables = dump(&api.world, "PUNCTUAL_CONFIG_TABLE").await;
    api.delete(&path).await.expect(204);
    tables.extend(dump(&api.world, "PUNCTUAL_CONFIG_TABLE").await);
    tables.extend(dump(&api.world, "PUNCTUAL_WORK_TABLE").await);
    assert!(tables.iter().any(|item| item.contains_key("credentials")), "the config is in the dump");

    let logs = String::from_utf8(logs.0.lock().unwrap().clone()).unwrap();
    for part in ["outcome=\"FAILURE\"", "TRACE", "aws_smithy"] {
        assert!(logs.contains(part), "logs of all levels were captured: {part}");
    }
    let seen = [shown.text, view.text, audit.text, read.text, list.text, format!("{tables:?}"), logs];
    for (index, text) in seen.iter().enumerate() {
        for form in forms(API_KEY) {
            let at = text.find(&form);
            let around = at.map(|at| text[at.saturating_sub(300)..].chars().take(700).collect::<String>());
            assert!(around.is_none(), "{index}: {form} in {}", around.unwrap_or_default());
        }
    }
}

/// Writes an attribute of one config over another's.
async fn overwrite(world: &World, item: &Item, sealed: &str) {
    let mut item = item.clone();
    item.insert("credentials".to_owned(), AttributeValue::S(sealed.to_owned()));
    let table = world.embedded.settings("delivery-worker")["PUNCTUAL_CONFIG_TABLE"].clone();
    world.embedded.clients().dynamodb.put_item().table_name(table).set_item(Some(item)).send().await.unwrap();
}

async fn item(world: &World, pk: &str, sk: &str) -> Item {
    let items = dump(world, "PUNCTUAL_CONFIG_TABLE").await;
    let is = |item: &Item, name: &str, value: &str| item[name] == AttributeValue::S(value.to_owned());
    items.into_iter().find(|item| is(item, "PK", pk) && is(item, "SK", sk)).unwrap()
}

fn sealed(item: &Item, name: &str) -> String {
    item[name].as_s().unwrap().clone()
}

#[tokio::test]
async fn a_ciphertext_that_was_moved_does_not_open() {
    let world = World::new().await;
    let (ours, theirs) = (world.tenant("acme", 1).await, world.tenant("other", 1).await);
    for tenant in [&ours, &theirs] {
        world.put_config(tenant, world.yom(Channel::Email)).await;
    }
    world.put_config(&ours, world.yom(Channel::Sms)).await;
    let good = item(&world, "T#acme/main", "C:EMAIL").await;
    let mut other_provider = good.clone();
    other_provider.insert("provider".to_owned(), AttributeValue::S("MOCK".to_owned()));
    let moved = [
        ("tenant", good.clone(), sealed(&item(&world, "T#other/main", "C:EMAIL").await, "credentials")),
        ("channel", good.clone(), sealed(&item(&world, "T#acme/main", "C:SMS").await, "credentials")),
        ("purpose", good.clone(), sealed(&item(&world, "C#acme", "S#main").await, "signingSecret")),
        ("provider", other_provider, sealed(&good, "credentials")),
    ];
    for (what, item, sealed) in moved {
        overwrite(&world, &item, &sealed).await;
        world.accept(vec![world.message(&ours, Channel::Email, what)]).await;
        world.work(&world.worker()).await;
        let view = world.get(&ours, what).await;
        assert_eq!(view.record.state.status, Status::Ready, "{what}");
        let detail = view.history[0].detail.as_deref().unwrap();
        assert_eq!(
            detail,
            "the credentials cannot be decrypted: the ciphertext belongs to another tenant or purpose, or was changed",
            "{what}"
        );
    }
    assert!(world.receiver.arrivals().is_empty(), "nothing was called with another's key");
    // Put back, it is as good as it was.
    overwrite(&world, &good, &sealed(&good, "credentials")).await;
    world.receiver.reply((0..4).map(|n| Reply::taken(&format!("p{n}"))));
    world.run(beginning() + TimeDelta::minutes(2)).await;
    assert_eq!(world.receiver.arrivals().len(), 4);
}

#[tokio::test]
async fn while_the_kms_key_is_disabled_attempts_fail_and_say_so() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.put_config(&tenant, world.yom(Channel::Email)).await;
    world.receiver.reply((0..9).map(|n| Reply::taken(&format!("p{n}"))));
    let key = world.embedded.settings("delivery-worker")["PUNCTUAL_KMS_KEY_ID"].clone();
    let kms = &world.embedded.clients().kms;
    let described = kms.describe_key().key_id(key).send().await.unwrap();
    let key = described.key_metadata.unwrap().key_id;
    let worker = world.worker();
    let status = async |id: &str| world.state(&tenant, id).await.status;
    world.accept(vec![world.message(&tenant, Channel::Email, "before")]).await;
    world.work(&worker).await;
    assert_eq!(status("before").await, Status::Dispatched);

    // The worker has its data key for five minutes at most.
    kms.disable_key().key_id(&key).send().await.unwrap();
    world.clock.advance(TimeDelta::minutes(4));
    world.accept(vec![world.message(&tenant, Channel::Email, "cached")]).await;
    world.work(&worker).await;
    assert_eq!(status("cached").await, Status::Dispatched);
    world.clock.advance(TimeDelta::minutes(2));
    world.accept(vec![world.message(&tenant, Channel::Email, "during")]).await;
    world.work(&worker).await;
    let view = world.get(&tenant, "during").await;
    assert_eq!((view.record.state.status, view.record.state.attempts), (Status::Ready, 1));
    assert_eq!(view.history[0].outcome, "CONFIGURATION");
    assert_eq!(
        view.history[0].detail.as_deref(),
        Some("the credentials cannot be decrypted: the KMS key is disabled or pending deletion")
    );
    assert_eq!(world.receiver.arrivals().len(), 2);

    kms.enable_key().key_id(&key).send().await.unwrap();
    world.clock.advance(TimeDelta::seconds(30));
    world.work(&worker).await;
    assert_eq!(status("during").await, Status::Dispatched, "delivery goes on");
}

/// Credentials as the first version of the layout had them.
async fn sealed_in_version_1(world: &World, purpose: &str) -> String {
    let context = [("company", "acme"), ("solution", "main"), ("purpose", purpose)];
    let mut call = world.embedded.clients().kms.generate_data_key();
    for (name, value) in context {
        call = call.encryption_context(name, value);
    }
    let key = world.embedded.settings("delivery-worker")["PUNCTUAL_KMS_KEY_ID"].clone();
    let spec = aws_sdk_kms::types::DataKeySpec::Aes256;
    let made = call.key_id(key).key_spec(spec).send().await.unwrap();
    let (plain, wrapped) = (made.plaintext.unwrap().into_inner(), made.ciphertext_blob.unwrap().into_inner());
    let mut aad = vec![1];
    for (_, value) in context {
        aad.extend((value.len() as u64).to_be_bytes());
        aad.extend(value.as_bytes());
    }
    let json = json!({"apiKey": API_KEY}).to_string();
    let cipher = Aes256Gcm::new_from_slice(&plain).unwrap();
    let text = cipher.encrypt(&Nonce::from([9; 12]), Payload { msg: json.as_bytes(), aad: &aad }).unwrap();
    let length = u16::try_from(wrapped.len()).unwrap().to_be_bytes();
    STANDARD.encode([&[1][..], &length, &wrapped, &[9; 12], &text].concat())
}

#[tokio::test]
async fn what_was_sealed_in_an_earlier_way_is_sealed_anew_when_it_is_read() {
    let api = Api::seeded().await;
    let world = &api.world;
    let path = format!("{S}/dispatch-configs/EMAIL");
    let before = api.put(&path, config(&api)).await.expect(201).json;
    let old = sealed_in_version_1(world, "dispatch-credentials/EMAIL/YOM").await;
    let stored = item(world, "T#acme/main", "C:EMAIL").await;
    overwrite(world, &stored, &old).await;
    world.receiver.reply((0..3).map(|n| Reply::taken(&format!("p{n}"))));
    let worker = world.worker();
    let dispatched = async |id: &str| {
        world.accept(vec![world.message(&tenant(), Channel::Email, id)]).await;
        world.work(&worker).await;
        world.state(&tenant(), id).await.status == Status::Dispatched
    };
    // The worker reads both, and may not write configs: it leaves the old one as it is.
    assert!(dispatched("old").await);
    let version = async || {
        let sealed = sealed(&item(world, "T#acme/main", "C:EMAIL").await, "credentials");
        STANDARD.decode(sealed).unwrap()[0]
    };
    assert_eq!(version().await, 1);
    // Two processes read it at the same time; one of them writes.
    let (one, two) = (api.other_process(), api.other_process());
    let request = || {
        let request =
            http::Request::get(format!("{S}/dispatch-configs")).header("x-api-key", crate::api::ADMIN);
        request.body(axum::body::Body::empty()).unwrap()
    };
    let (first, second) = tokio::join!(send(one, request()), send(two, request()));
    for answer in [first, second] {
        assert_eq!(answer.expect(200).json["items"][0]["id"], before["id"]);
    }
    assert_eq!(version().await, 2);
    assert!(dispatched("in-between").await, "also while the worker's cache has the old one");
    world.clock.advance(TimeDelta::minutes(6));
    assert!(dispatched("new").await);
    assert!(world.receiver.arrivals().iter().all(|arrival| arrival.headers["x-api-key"] == API_KEY));
    let audit = api.get(&format!("{S}/audit-log")).await.expect(200).json;
    let actions = audit["items"].as_array().unwrap().iter();
    assert_eq!(actions.filter(|entry| entry["action"] == "dispatchConfig.resealed").count(), 1);
    // Nothing is left to do.
    api.get(&path).await.expect(200);
    assert_eq!(item(world, "T#acme/main", "C:EMAIL").await["revision"], AttributeValue::N("2".into()));
}
