//! Connections on which nothing arrives any more: what is sent is swallowed, and no answer and no error comes.

use super::*;
use crate::clock::tests::SetClock;
use aws_sdk_dynamodb::config::{AsyncSleep, SharedAsyncSleep, Sleep};
use chrono::TimeDelta;
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, Semaphore};

/// Longer than any machine takes for loopback; a test that waits for so long has failed.
const AMPLE: Duration = Duration::from_secs(20);

/// What stands in for AWS and for the network before it.
struct Network {
    /// What was sent on these connections, by their numbers, is swallowed.
    swallowing: Mutex<HashSet<usize>>,
    connections: Mutex<usize>,
    /// A permit for each request that was swallowed.
    swallowed: Semaphore,
    /// A permit for each time limit that is over.
    over: Semaphore,
    /// Where requests wait for each other before they are answered.
    together: Mutex<Option<Arc<Barrier>>>,
    /// The time limits that were set.
    limits: Mutex<Vec<Duration>>,
}

impl Network {
    fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }

    /// From now on nothing arrives on the connections there are.
    fn swallow_all(&self) {
        *self.swallowing.lock().unwrap() = (0..self.connections()).collect();
    }

    async fn serve(&self, mut stream: TcpStream, number: usize) -> io::Result<()> {
        loop {
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                head.push(char::from(stream.read_u8().await?));
            }
            for line in head.lines() {
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.parse().unwrap();
                }
            }
            stream.read_exact(&mut vec![0; length]).await?;
            if self.swallowing.lock().unwrap().contains(&number) {
                self.swallowed.add_permits(1);
                std::future::pending::<()>().await;
            }
            let together = self.together.lock().unwrap().clone();
            if let Some(together) = together {
                together.wait().await;
            }
            let body = r#"{"TableNames":[],"QueueUrls":[],"Aliases":[]}"#;
            let length = body.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {length}"
            );
            stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await?;
        }
    }
}

/// The SDK's time: a time limit is over when the test says so, and waits between attempts are over at once.
#[derive(Clone)]
struct Timer(Arc<Network>);

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Timer")
    }
}

impl AsyncSleep for Timer {
    fn sleep(&self, duration: Duration) -> Sleep {
        let network = Arc::clone(&self.0);
        Sleep::new(async move {
            if duration == CONNECT_TIMEOUT {
                std::future::pending::<()>().await;
            }
            if [DYNAMODB_ATTEMPT_TIMEOUT, KMS_ATTEMPT_TIMEOUT, SQS_ATTEMPT_TIMEOUT].contains(&duration) {
                network.limits.lock().unwrap().push(duration);
                network.over.acquire().await.unwrap().forget();
            }
        })
    }
}

/// A network, and the clients of a function on it with its clock.
async fn start() -> (Arc<Network>, Clients, Arc<SetClock>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let network = Arc::new(Network {
        swallowing: Mutex::default(),
        connections: Mutex::default(),
        swallowed: Semaphore::new(0),
        over: Semaphore::new(0),
        together: Mutex::default(),
        limits: Mutex::default(),
    });
    let served = Arc::clone(&network);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let number = served.connections();
            *served.connections.lock().unwrap() += 1;
            let served = Arc::clone(&served);
            tokio::spawn(async move { served.serve(stream, number).await });
        }
    });
    let clock = Arc::new(SetClock::default());
    let lookup = |name: &str| Some(if name == "AWS_ENDPOINT_URL" { url.clone() } else { "test".to_owned() });
    let clients = Clients::from_env(&lookup, clock.clone()).unwrap();
    let timer = SharedAsyncSleep::new(Timer(Arc::clone(&network)));
    macro_rules! timed {
        ($sdk:ident, $client:expr) => {
            $sdk::Client::from_conf($client.config().to_builder().sleep_impl(timer.clone()).build())
        };
    }
    let clients = Clients {
        dynamodb: timed!(aws_sdk_dynamodb, clients.dynamodb),
        sqs: timed!(aws_sdk_sqs, clients.sqs),
        kms: timed!(aws_sdk_kms, clients.kms),
    };
    (network, clients, clock)
}

/// Makes three calls at once, so that the pool has three connections.
async fn warm(network: &Network, clients: &Clients) {
    *network.together.lock().unwrap() = Some(Arc::new(Barrier::new(3)));
    let calls = (0..3).map(|_| clients.dynamodb.list_tables().send());
    assert!(futures::future::join_all(calls).await.iter().all(Result::is_ok));
    *network.together.lock().unwrap() = None;
    assert_eq!(network.connections(), 3);
}

#[tokio::test]
async fn a_swallowed_request_is_answered_after_one_time_limit_on_a_new_connection() {
    for service in ["dynamodb", "sqs", "kms"] {
        let (network, clients, _) = start().await;
        warm(&network, &clients).await;
        network.swallow_all();
        let call = tokio::spawn(async move {
            match service {
                "dynamodb" => clients.dynamodb.list_tables().send().await.is_ok(),
                "sqs" => clients.sqs.list_queues().send().await.is_ok(),
                _ => clients.kms.list_aliases().send().await.is_ok(),
            }
        });
        network.swallowed.acquire().await.unwrap().forget();
        network.limits.lock().unwrap().drain(..3);
        network.over.add_permits(1);
        let answered = tokio::time::timeout(AMPLE, call).await;
        assert!(answered.expect("a time limit").unwrap(), "{service}");
        assert_eq!(network.connections(), 4, "{service}: the others in the pool are as dead");
        let (limit, most) = (network.limits.lock().unwrap()[0], if service == "sqs" { 5 } else { 3 });
        assert!((2..=most).contains(&limit.as_secs()), "{service}: {limit:?}");
        assert_eq!(network.limits.lock().unwrap().len(), 2, "{service}: one was over, one was not");
    }
}

#[tokio::test]
async fn connections_that_outlived_a_freeze_are_not_used() {
    let (network, clients, clock) = start().await;
    warm(&network, &clients).await;
    clock.advance(TimeDelta::seconds(5));
    clients.dynamodb.list_tables().send().await.unwrap();
    assert_eq!(network.connections(), 3, "an ordinary pause");
    network.swallow_all();
    // The monotonic clock, by which the client's own pool goes, has stood still meanwhile.
    clock.advance(TimeDelta::minutes(10));
    let answered = tokio::time::timeout(AMPLE, clients.dynamodb.list_tables().send()).await;
    answered.expect("no connection of before").unwrap();
    assert_eq!(network.connections(), 4);
    assert_eq!(network.swallowed.available_permits(), 0);
}

#[tokio::test]
async fn connections_that_answer_are_kept_when_another_call_is_not_answered() {
    let (network, clients, _) = start().await;
    warm(&network, &clients).await;
    let call = || clients.dynamodb.list_tables().send();
    network.swallow_all();
    let hanging = tokio::spawn(call());
    network.swallowed.acquire().await.unwrap().forget();
    network.swallowing.lock().unwrap().clear();
    call().await.unwrap();
    network.over.add_permits(1);
    tokio::time::timeout(AMPLE, hanging).await.expect("a time limit").unwrap().unwrap();
    assert_eq!(network.connections(), 3);
}
