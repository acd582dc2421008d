//! Conformance of providers: each registered one behaves alike, whatever it talks to.
//!
//! A new provider adds one row to [`rows`]; a test fails until it does.

use base64::Engine;
use chrono::TimeDelta;
use rules::activity::Status;
use rules::names::{Channel, Tenant};
use serde_json::{Value, json};
use shared::dispatch::{self, Credentials, PROVIDERS};
use shared::tenancy::NewDispatchConfig;
use tests::provider::API_KEY;
use tests::world::beginning;
use tests::{Reply, World};

/// A provider with a config that is good, and how its stand-in answers.
struct Row {
    code: &'static str,
    credentials: &'static [(&'static str, &'static str)],
    /// Settings that it needs.
    settings: Value,
    /// Settings with which a dispatch fails, for one that is not called.
    failing: Option<Value>,
    /// The answer by which it takes an activity under an id.
    taken: fn(&str) -> Reply,
    /// A success without an id.
    without_id: fn() -> Reply,
}

fn rows() -> Vec<Row> {
    let taken = Reply::taken;
    let without_id = || Reply::json(200, json!({"accepted": true}));
    vec![
        Row {
            code: "MOCK",
            credentials: &[],
            settings: json!({}),
            failing: Some(json!({"failureRate": 1})),
            taken,
            without_id,
        },
        Row {
            code: "YOM",
            credentials: &[("apiKey", API_KEY)],
            settings: json!({}),
            failing: None,
            taken,
            without_id,
        },
    ]
}

impl Row {
    fn is_called(&self) -> bool {
        dispatch::provider(self.code).unwrap().needs_base_url()
    }

    /// One that it takes activities of.
    fn channel(&self) -> Channel {
        dispatch::provider(self.code).unwrap().channels()[0].channel
    }

    fn config(&self, channel: Channel, base_url: &str, settings: &Value) -> NewDispatchConfig {
        let mut credentials = Credentials::default();
        self.credentials.iter().for_each(|(key, value)| credentials.insert(key, (*value).to_owned()));
        NewDispatchConfig {
            channel,
            provider: self.code.to_owned(),
            base_url: self.is_called().then(|| base_url.to_owned()),
            credentials,
            settings: settings.as_object().unwrap().clone(),
            is_active: true,
        }
    }
}

/// One attempt on a message; its outcome and detail, and the provider's id.
async fn attempt(
    world: &World,
    tenant: &Tenant,
    channel: Channel,
    id: &str,
) -> (String, String, Option<String>) {
    world.accept(vec![world.message(tenant, channel, id)]).await;
    world.work(&world.worker()).await;
    let view = world.get(tenant, id).await;
    assert_eq!(view.history.len(), 1, "{id}: {:?}", view.history);
    let succeeded = view.record.state.status == Status::Dispatched;
    assert_eq!(succeeded, view.history[0].outcome == "SUCCESS", "{id}: {:?}", view.history);
    assert_eq!(succeeded, view.record.dispatch.is_some(), "{id}");
    let entry = view.history[0].clone();
    let detail = entry.detail.unwrap_or_default();
    assert!(!detail.contains(API_KEY), "{id}: {detail}");
    (entry.outcome, detail, view.record.dispatch.map(|dispatch| dispatch.provider_activity_id))
}

#[test]
fn every_registered_provider_has_a_row() {
    let registered: Vec<&str> = PROVIDERS.iter().map(|provider| provider.code()).collect();
    let tested: Vec<&str> = rows().iter().map(|row| row.code).collect();
    assert_eq!(tested, registered);
}

#[tokio::test]
async fn every_provider_takes_an_activity_of_each_of_its_channels() {
    for row in rows() {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        for definition in dispatch::provider(row.code).unwrap().channels() {
            let channel = definition.channel;
            world.put_config(&tenant, row.config(channel, &world.receiver.url(), &row.settings)).await;
            let expect = format!("id-of-{channel}");
            world.receiver.reply(row.is_called().then(|| (row.taken)(&expect)));
            let (outcome, _, id) = attempt(&world, &tenant, channel, &format!("on-{channel}")).await;
            assert_eq!(outcome, "SUCCESS", "{} {channel}", row.code);
            let id = id.unwrap();
            assert_eq!(row.is_called(), id == expect, "{} {channel}: {id}", row.code);
        }
        let channels = dispatch::provider(row.code).unwrap().channels().len();
        let expect = if row.is_called() { channels } else { 0 };
        assert_eq!(world.receiver.arrivals().len(), expect, "{}", row.code);
    }
}

#[tokio::test]
async fn every_way_a_provider_can_fail_is_a_recorded_attempt() {
    for row in rows().into_iter().filter(Row::is_called) {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        let receiver = world.receiver.url();
        let echo = format!("no such key {API_KEY}, that is {}", base64_of(API_KEY));
        for (id, base_url, reply, outcome, part) in [
            ("refused", receiver.as_str(), Some(Reply::status(403)), "FAILURE", ""),
            ("down", &receiver, Some(Reply::json(503, json!({"why": "night"}))), "FAILURE", "night"),
            ("moved", &receiver, Some(Reply::status(302)), "FAILURE", ""),
            (
                "echo",
                &receiver,
                Some(Reply::Status(401, vec![("content-type", "text/plain".into())], echo)),
                "FAILURE",
                "no such key [redacted], that is [redacted]",
            ),
            ("no-id", &receiver, Some((row.without_id)()), "FAILURE", "neither providerActivityId nor id"),
            (
                "no-json",
                &receiver,
                Some(Reply::Status(200, Vec::new(), "<html>".into())),
                "FAILURE",
                "neither providerActivityId nor id",
            ),
            ("slow", &receiver, Some(Reply::Hang), "TIMEOUT", "timed out after 1 s"),
            ("gone", "http://127.0.0.1:1", None, "NO_CONNECTION", "connection refused"),
            ("nowhere", "http://nowhere.invalid", None, "NO_CONNECTION", ""),
            ("inside", "http://169.254.169.254", None, "ADDRESS_REFUSED", "169.254.169.254"),
        ] {
            let mut settings = row.settings.clone();
            if matches!(reply, Some(Reply::Hang)) {
                settings["timeoutSeconds"] = json!(1);
            }
            world.put_config(&tenant, row.config(row.channel(), base_url, &settings)).await;
            world.receiver.reply(reply);
            let (seen, detail, _) = attempt(&world, &tenant, row.channel(), id).await;
            assert_eq!(seen, outcome, "{} {id}: {detail}", row.code);
            assert!(detail.contains(part), "{} {id}: {detail}", row.code);
        }
    }
}

fn base64_of(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn one_that_is_not_called_fails_on_purpose_alone() {
    for row in rows() {
        let Some(failing) = &row.failing else { continue };
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        world.put_config(&tenant, row.config(row.channel(), "", failing)).await;
        world.accept(vec![world.message(&tenant, row.channel(), "a")]).await;
        world.run(beginning() + TimeDelta::minutes(5)).await;
        let view = world.get(&tenant, "a").await;
        assert_eq!((view.record.state.status, view.history.len()), (Status::Failed, 3), "{}", row.code);
        assert!(view.history.iter().all(|entry| entry.outcome == "FAILURE" && entry.detail.is_some()));
    }
}
