//! What DynamoDB refuses for now: it is written as long as its lease allows, holds up nothing meanwhile, and a refusal
//! that does not show its item is no sign that there is none.

use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::body::SdkBody;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use rules::activity::Status;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::context::Clients;
use shared::engine::batcher::{Batcher, Outcome};
use shared::engine::patience::Patience;
use shared::engine::statements;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tests::World;
use tests::steps::{Steps, Stop};
use tests::world::beginning;

/// After which a test that waits for what never comes fails.
const HANG: Duration = Duration::from_secs(60);

type Edit = Arc<dyn Fn(Value) -> Result<Value, ConnectorError> + Send + Sync>;

/// Has `refuses` say of each statement of a batch whether it is throttled, and `edit` change the answer.
#[derive(Clone)]
struct Throttle {
    inner: SharedHttpClient,
    refuses: Arc<dyn Fn(&Value) -> bool + Send + Sync>,
    edit: Edit,
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Throttle")
    }
}

impl HttpConnector for Throttle {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            let is_batch =
                request.headers().get("x-amz-target") == Some("DynamoDB_20120810.BatchExecuteStatement");
            if !is_batch {
                return this.forward(request).await;
            }
            let mut asked: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            let statements = asked["Statements"].as_array().unwrap().clone();
            let kept: Vec<Value> = statements.iter().filter(|one| !(this.refuses)(one)).cloned().collect();
            let mut answers = Vec::new();
            if !kept.is_empty() {
                asked["Statements"] = kept.into();
                *request.body_mut() = SdkBody::from(asked.to_string());
                let length = asked.to_string().len().to_string();
                request.headers_mut().insert("content-length", length);
                let answer = this.forward(request).await?;
                let answer: Value = serde_json::from_slice(answer.body().bytes().unwrap()).unwrap();
                answers = answer["Responses"].as_array().unwrap().clone();
            }
            let mut answers = answers.into_iter();
            let merged: Vec<Value> = statements
                .iter()
                .map(|one| match (this.refuses)(one) {
                    true => json!({"Error": {"Code": "ThrottlingError", "Message": "too much"}}),
                    false => answers.next().unwrap(),
                })
                .collect();
            let body = (this.edit)(json!({ "Responses": merged }))?;
            let mut response = HttpResponse::new(200.try_into().unwrap(), SdkBody::from(body.to_string()));
            response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
            Ok(response)
        })
    }
}

impl Throttle {
    /// The clients of `world`, with DynamoDB behind this.
    fn of(
        world: &World,
        refuses: impl Fn(&Value) -> bool + Send + Sync + 'static,
        edit: impl Fn(Value) -> Result<Value, ConnectorError> + Send + Sync + 'static,
    ) -> Clients {
        let clients = world.embedded.clients().clone();
        let inner = clients.dynamodb.config().http_client().unwrap();
        let throttle = Self { inner, refuses: Arc::new(refuses), edit: Arc::new(edit) };
        let through = http_client_fn(move |_, _| SharedHttpConnector::new(throttle.clone()));
        let config = clients.dynamodb.config().to_builder().http_client(through).build();
        Clients { dynamodb: aws_sdk_dynamodb::Client::from_conf(config), ..clients }
    }

    async fn forward(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let components: RuntimeComponents = RuntimeComponentsBuilder::for_tests().build().unwrap();
        let settings = HttpConnectorSettings::builder().build();
        self.inner.http_connector(&settings, &components).call(request).await
    }
}

fn text(statement: &Value) -> &str {
    statement["Statement"].as_str().unwrap()
}

/// Takes the items out of refusals.
fn bare(mut answer: Value) -> Value {
    for response in answer["Responses"].as_array_mut().unwrap() {
        if let Some(error) = response["Error"].as_object_mut() {
            error.remove("Item");
        }
    }
    answer
}

/// A lease of the default type is 50 s: a call of 30 s and 20 s to settle.
#[tokio::test]
async fn a_settle_that_is_throttled_nearly_to_the_end_of_its_lease_is_written() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
    let (clock, until) = (world.clock.clone(), beginning() + TimeDelta::seconds(46));
    let throttled = move |one: &Value| text(one).contains("REMOVE \"tk\"") && clock.now() < until;
    let worker = world.worker_on(world.process_with(Throttle::of(&world, throttled, Ok)));
    world.work(&worker).await;
    world.run(beginning() + TimeDelta::minutes(30)).await;
    let view = world.get(&tenant, "a").await;
    assert_eq!((view.record.state.status, view.record.state.attempts), (Status::Dispatched, 1));
    assert_eq!(view.history.iter().map(|entry| entry.outcome.as_str()).collect::<Vec<_>>(), ["SUCCESS"]);
    assert_eq!(world.receiver.keys(), ["a:0"], "what was delivered was called once");
}

/// A clock on which whoever waits waits for ever.
struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> DateTime<Utc> {
        beginning()
    }

    fn sleep_until(&self, _: DateTime<Utc>) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

fn batcher(world: &World, clients: &Clients, clock: Arc<dyn Clock>) -> Batcher {
    let table = world.embedded.settings("delivery-worker")["PUNCTUAL_WORK_TABLE"].clone();
    Batcher::new(&clients.dynamodb, table, Patience::new(clock, world.entropy.clone()))
}

fn insert(world: &World, pk: &str) -> statements::Statement {
    let table = world.embedded.settings("delivery-worker")["PUNCTUAL_WORK_TABLE"].clone();
    let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
    statements::insert(&table, pk.to_owned(), "ITEM", vec![("PK", text(pk)), ("SK", text("ITEM"))])
}

#[tokio::test]
async fn what_is_throttled_holds_up_nothing_else() {
    let world = World::new().await;
    let clients =
        Throttle::of(&world, |one| one["Parameters"][0]["S"].as_str().unwrap().starts_with("slow"), Ok);
    let batcher = batcher(&world, &clients, Arc::new(StandingClock));
    // More than all calls under way carry.
    for number in 0..200 {
        let (batcher, statement) = (batcher.clone(), insert(&world, &format!("slow{number}")));
        tokio::spawn(async move { batcher.run(statement).await });
    }
    tokio::task::yield_now().await;
    for number in 0..60 {
        let outcome = batcher.run(insert(&world, &format!("quick{number}"))).await.unwrap();
        assert_eq!(outcome, Outcome::Applied(None));
    }
}

#[tokio::test]
async fn a_refusal_that_shows_no_item_is_followed_by_a_read() {
    let world = World::new().await;
    let clients = Throttle::of(&world, |_| false, |answer| Ok(bare(answer)));
    let batcher = batcher(&world, &clients, world.clock.clone());
    let delete = |pk: &str| {
        let table = world.embedded.settings("delivery-worker")["PUNCTUAL_WORK_TABLE"].clone();
        let guards = vec![shared::engine::Guard::Missing("SK")];
        statements::delete(&table, pk.to_owned(), &guards)
    };
    batcher.run(insert(&world, "there")).await.unwrap();
    let found = batcher.run(delete("there")).await.unwrap();
    let Outcome::Lost(Some(item)) = found else { panic!("came to {found:?}") };
    assert_eq!(item["PK"].as_s().unwrap(), "there");
}

/// The answer to a claim is lost, and its repetition is refused without the item, which has our own token.
#[tokio::test]
async fn a_claim_of_our_own_is_known_again_though_its_refusal_shows_no_item() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
    let lost = AtomicBool::new(false);
    let edit = move |answer: Value| match lost.swap(true, Ordering::SeqCst) {
        false => Err(ConnectorError::io("the connection is cut".into())),
        true => Ok(bare(answer)),
    };
    let worker = world.worker_on(world.process_with(Throttle::of(&world, |_| false, edit)));
    world.work(&worker).await;
    let state = world.state(&tenant, "a").await;
    assert_eq!((state.status, state.attempts), (Status::Dispatched, 1));
    assert_eq!(world.receiver.keys(), ["a:0"]);
}

/// Of two claims in one call, the answer to the first shows no item, and the call that looks it up hangs.
#[tokio::test]
async fn a_claim_that_is_looked_up_keeps_no_other_waiting() {
    let looked_up = async |stop: Stop| {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        world.accept(["a", "b"].map(|id| world.activity(&tenant, id, TimeDelta::zero())).into()).await;
        let is_claimed = AtomicBool::new(false);
        let edit = move |mut answer: Value| {
            if !is_claimed.swap(true, Ordering::SeqCst) {
                let shown = answer["Responses"][0].as_object_mut().unwrap().remove("Item");
                assert!(shown.is_some());
            }
            Ok(answer)
        };
        let (steps, clients) = Steps::of(&Throttle::of(&world, |_| false, edit), stop);
        let worker = world.worker_on(world.process_with(clients));
        {
            let mut work = pin!(world.work(&worker));
            tokio::select! {
                _ = &mut work => assert_eq!(stop, Stop::NEVER),
                met = tokio::time::timeout(HANG, async { tokio::join!(steps.stopped(), world.receiver.came(1)) }) => {
                    met.expect("the other is called while the lookup hangs");
                    assert_eq!(world.receiver.keys(), ["b:0"]);
                    steps.go_on();
                    work.await;
                }
            }
        }
        for id in ["a", "b"] {
            let state = world.state(&tenant, id).await;
            assert_eq!((state.status, state.attempts), (Status::Dispatched, 1));
        }
        steps.asked()
    };
    let asked = looked_up(Stop::NEVER).await;
    let claim = asked.iter().position(|one| one.target.ends_with("BatchExecuteStatement")).unwrap();
    let lookup = asked[claim..].iter().position(|one| one.target.ends_with("GetItem")).unwrap();
    looked_up(Stop { call: claim + lookup, after: true }).await;
}
