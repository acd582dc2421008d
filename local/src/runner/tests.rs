use super::*;
use crate::clock::FunctionClock;
use crate::data_dir::{DataDir, clock_offset};
use crate::embedded::{Embedded, Options};
use crate::template::Template;
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const TEMPLATE: &str = r#"
Resources:
  Worker:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: worker } }
    Properties:
      Timeout: 30
      Events:
        Due:
          Type: SQS
          Properties: { Queue: !GetAtt Queue.Arn, FunctionResponseTypes: [ReportBatchItemFailures] }
  Sweep:
    Type: AWS::Serverless::Function
    Metadata: { BuildProperties: { Binary: sweep } }
    Properties:
      Events: { Minute: { Type: Schedule, Properties: { ScheduleExpression: rate(1 minute) } } }
  Queue: { Type: AWS::SQS::Queue, Properties: { VisibilityTimeout: 60 } }
"#;

type Seen = Arc<Mutex<Vec<(i64, String)>>>;

struct World {
    clock: Arc<LocalClock>,
    embedded: Embedded,
    runner: Runner,
    test_clock: TestClock,
    /// Messages and ticks, with the seconds since the start at which they were handled.
    seen: Seen,
    idle: Arc<Mutex<Idle>>,
}

/// What the worker does with a message: `fail` fails at its first receive,
/// `crash` panics then, `hold N` sleeps until N seconds after the start.
async fn work(event: SqsEvent, clock: FunctionClock, began: DateTime<Utc>, seen: Seen) -> SqsBatchResponse {
    let mut answer = SqsBatchResponse::default();
    for record in event.records {
        let body = record.body.unwrap();
        let first = record.attributes["ApproximateReceiveCount"] == "1";
        if let Some(seconds) = body.strip_prefix("hold ") {
            clock.sleep_until(began + TimeDelta::seconds(seconds.parse().unwrap())).await;
        }
        seen.lock().unwrap().push(((clock.now() - began).num_seconds(), body.clone()));
        if first && body == "crash" {
            panic!("as it was told");
        }
        if first && body == "fail" {
            let mut item = BatchItemFailure::default();
            item.item_identifier = record.message_id.unwrap();
            answer.batch_item_failures.push(item);
        }
    }
    answer
}

impl World {
    async fn new(data_dir: Option<Arc<DataDir>>) -> Self {
        let began = rules::time::parse("2026-03-01T10:00:00Z").unwrap();
        let clock = Arc::new(LocalClock::frozen(began));
        let options = Options {
            data_dir: None,
            base_url: "http://127.0.0.1:4566".to_owned(),
            template: Arc::new(Template::parse(TEMPLATE).unwrap()),
            parameters: BTreeMap::new(),
        };
        let embedded = Embedded::start(options, clock.clone()).await.unwrap();
        let function_clock = FunctionClock::new(clock.clone());
        let (seen, idle) = (Seen::default(), Arc::new(Mutex::new(Idle::No)));
        let attempts = Arc::new(AtomicU64::new(0));

        let worker: QueueHandler = {
            let (clock, seen, attempts) = (function_clock.clone(), seen.clone(), attempts.clone());
            Arc::new(move |event| {
                attempts.fetch_add(event.records.len() as u64, Ordering::SeqCst);
                work(event, clock.clone(), began, seen.clone()).boxed()
            })
        };
        let sweep: ScheduleHandler = {
            let (clock, seen, idle) = (clock.clone(), seen.clone(), idle.clone());
            Arc::new(move |event| {
                let word = event["word"].as_str().unwrap_or("tick").to_owned();
                seen.lock().unwrap().push(((clock.now() - began).num_seconds(), word));
                let idle = *idle.lock().unwrap();
                async move { Ok(idle) }.boxed()
            })
        };
        let functions = Functions {
            queue: BTreeMap::from([("worker", worker)]),
            schedule: BTreeMap::from([("sweep", sweep)]),
        };
        let sqs = &embedded.clients().sqs;
        let runner = Runner::start(embedded.provisioned(), functions, sqs, clock.clone()).unwrap();
        let counted = move || (attempts.load(Ordering::SeqCst), 0);
        let mount = embedded.mount().clone();
        let test_clock = TestClock::new(&runner, function_clock, mount, counted, data_dir);
        Self { clock, embedded, runner, test_clock, seen, idle }
    }

    async fn send(&self, body: &str, delay: i32) {
        let url = &self.embedded.provisioned().queue_urls["punctual-Queue"];
        let send = self.embedded.clients().sqs.send_message().queue_url(url).message_body(body);
        send.delay_seconds(delay).send().await.unwrap();
    }

    async fn advance(&self, seconds: i64) -> Advanced {
        self.test_clock.advance(TimeDelta::seconds(seconds)).await.unwrap()
    }

    fn seen(&self, word: &str) -> Vec<i64> {
        self.seen.lock().unwrap().iter().filter(|(_, seen)| seen == word).map(|(at, _)| *at).collect()
    }
}

#[tokio::test]
async fn messages_are_handled_at_their_times_and_schedules_tick_in_between() {
    let world = World::new(None).await;
    world.send("a", 0).await;
    world.send("b", 70).await;
    world.send("c", 200).await;
    let advanced = world.advance(150).await;
    assert_eq!((advanced.delivered, advanced.now), (2, world.clock.now()));
    assert_eq!(*world.seen.lock().unwrap(), [(0, "a"), (60, "tick"), (70, "b"), (120, "tick")].map(owned));
    world.advance(100).await;
    assert_eq!(world.seen("c"), [200]);
    assert_eq!(world.seen("tick"), [60, 120, 180, 240]);
    world.runner.stop().await;
}

fn owned((at, word): (i64, &str)) -> (i64, String) {
    (at, word.to_owned())
}

#[tokio::test]
async fn a_failed_message_comes_back_alone_when_its_visibility_ends() {
    let world = World::new(None).await;
    world.send("fail", 5).await;
    world.send("good", 5).await;
    assert_eq!(world.advance(5).await.delivered, 2);
    world.advance(300).await;
    assert_eq!((world.seen("fail"), world.seen("good")), (vec![5, 65], vec![5]));
    let counts = world.embedded.mount().queue_counts("punctual-Queue").unwrap();
    assert_eq!((counts.visible, counts.in_flight, counts.delayed), (0, 0, 0));
}

#[tokio::test]
async fn the_messages_of_a_crashed_invocation_come_back() {
    let world = World::new(None).await;
    world.send("crash", 5).await;
    world.advance(100).await;
    assert_eq!(world.seen("crash"), [5, 65]);
}

#[tokio::test]
async fn work_that_is_held_until_an_instant_wakes_on_the_way_or_stays_asleep() {
    let world = World::new(None).await;
    world.send("hold 12", 10).await;
    world.send("hold 25", 10).await;
    world.advance(20).await;
    assert_eq!((world.seen("hold 12"), world.seen("hold 25")), (vec![12], vec![]));
    world.advance(10).await;
    assert_eq!(world.seen("hold 25"), [25]);
}

#[tokio::test]
async fn a_month_with_nothing_to_do_has_one_tick() {
    let world = World::new(None).await;
    *world.idle.lock().unwrap() = Idle::Always;
    world.advance(30 * 86_400).await;
    assert_eq!(world.seen("tick"), [60]);
    // A known instant is not missed, and neither is what was written meanwhile.
    let until = world.clock.now() + TimeDelta::seconds(86_400);
    *world.idle.lock().unwrap() = Idle::Until(until);
    let list = world.embedded.clients().dynamodb.list_tables();
    list.send().await.unwrap();
    world.embedded.clients().dynamodb.delete_table().table_name("none").send().await.unwrap_err();
    world.advance(86_400 + 60).await;
    let month = 30 * 86_400;
    assert_eq!(world.seen("tick")[1..3], [month + 60, month + 86_400]);
}

#[tokio::test]
async fn the_offset_is_kept_and_a_function_can_be_invoked_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = Arc::new(DataDir::open(dir.path()).unwrap());
    let world = World::new(Some(data_dir.clone())).await;
    world.runner.invoke_scheduled("sweep", serde_json::json!({ "word": "by hand" }));
    world.runner.invoke_scheduled("nobody", Value::Null);
    world.advance(30).await;
    assert_eq!(clock_offset(dir.path()).unwrap(), TimeDelta::seconds(30));
    assert_eq!(world.seen("by hand"), [0]);
}

#[tokio::test]
async fn a_function_without_a_handler_is_named() {
    let world = World::new(None).await;
    let none = Functions::default();
    let sqs = &world.embedded.clients().sqs;
    let refused = Runner::start(world.embedded.provisioned(), none, sqs, world.clock.clone()).err().unwrap();
    assert_eq!(
        refused.to_string(),
        "template.yaml has the function sweep, for which this program has no handler"
    );
}
