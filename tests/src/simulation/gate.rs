//! Where every call of a process waits until the scheduler says what becomes of it.

use aws_sdk_dynamodb::config::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use bytes::Bytes;
use chrono::TimeDelta;
use futures::FutureExt;
use shared::context::Clients;
use shared::outbound::{Carrier, OutboundRequest, OutboundResult};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

use super::mutation::Mutation;
use super::time::Time;

/// The number of a process; never given twice.
pub type ProcessId = u32;

/// What a process asks for.
#[derive(Debug)]
pub enum Asked {
    /// DynamoDB, SQS or KMS: the target and the body.
    Service(String, Bytes),
    /// A receiver.
    Receiver(OutboundRequest),
}

/// What it is told.
pub type ServiceAnswer = Result<HttpResponse, ConnectorError>;

/// How it is told.
#[derive(Debug)]
pub enum Reply {
    /// Of a service.
    Service(oneshot::Sender<ServiceAnswer>),
    /// Of a receiver.
    Receiver(oneshot::Sender<OutboundResult>),
}

/// A call that waits.
#[derive(Debug)]
pub struct Call {
    /// Whose.
    pub process: ProcessId,
    /// What is asked.
    pub asked: Asked,
    /// The way back.
    pub reply: Reply,
    /// It does not go on before this.
    pub not_before: chrono::DateTime<chrono::Utc>,
}

/// The calls of all processes.
#[derive(Debug)]
pub struct Gate {
    time: Arc<Time>,
    mutation: Option<Mutation>,
    calls: Mutex<Vec<Call>>,
    dead: Mutex<BTreeSet<ProcessId>>,
    /// Calls of the dead, who are never told anything.
    graves: Mutex<Vec<Call>>,
}

impl Gate {
    /// Without calls.
    pub fn new(time: Arc<Time>, mutation: Option<Mutation>) -> Arc<Self> {
        let (calls, graves) = (Mutex::default(), Mutex::default());
        Arc::new(Self { time, mutation, calls, graves, dead: Mutex::default() })
    }

    /// The calls that wait, in the order in which they came.
    pub fn calls(&self) -> std::sync::MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap()
    }

    /// A process dies: what it asks from now on is never heard. What it had asked is given back.
    pub fn bury(&self, process: ProcessId) -> Vec<Call> {
        self.dead.lock().unwrap().insert(process);
        let mut calls = self.calls();
        let (gone, left) = std::mem::take(&mut *calls).into_iter().partition(|call| call.process == process);
        *calls = left;
        gone
    }

    /// Keeps a way back open for ever, so that whoever waits at its end never goes on.
    pub fn lay_to_rest(&self, call: Call) {
        self.graves.lock().unwrap().push(call);
    }

    fn ask(&self, process: ProcessId, asked: Asked, reply: Reply) {
        let call = Call { process, asked, reply, not_before: self.time.now() };
        if self.dead.lock().unwrap().contains(&process) {
            self.lay_to_rest(call);
        } else {
            self.calls().push(call);
        }
    }

    /// SDK clients of a process: those of `clients`, time limits included, with their calls through this gate, and with
    /// simulated time.
    pub fn clients(self: &Arc<Self>, process: ProcessId, clients: &Clients) -> Clients {
        let connector = SharedHttpConnector::new(Connector { gate: self.clone(), process });
        let http = http_client_fn(move |_, _| connector.clone());
        let sleep = SharedAsyncSleep::new(SimulatedSleep(self.time.clone()));
        macro_rules! through {
            ($sdk:ident, $client:expr) => {{
                use $sdk::config::retry::{RetryConfig, RetryPartition, TokenBucket};
                // The SDK's bucket is one for all clients of a program, and so for all seeds that run beside this one.
                let partition = RetryPartition::custom("simulated").token_bucket(TokenBucket::unlimited());
                let mut config = $client.config().to_builder();
                if self.mutation == Some(Mutation::NoAttemptTimeout) {
                    config.set_timeout_config(Some($sdk::config::timeout::TimeoutConfig::disabled()));
                }
                let config = config.http_client(http.clone()).sleep_impl(sleep.clone());
                let retries = RetryConfig::standard().with_use_static_exponential_base(true);
                $sdk::Client::from_conf(
                    config.retry_config(retries).retry_partition(partition.build()).build(),
                )
            }};
        }
        Clients {
            dynamodb: through!(aws_sdk_dynamodb, clients.dynamodb),
            sqs: through!(aws_sdk_sqs, clients.sqs),
            kms: through!(aws_sdk_kms, clients.kms),
        }
    }

    /// A process's way to receivers.
    pub fn carrier(self: &Arc<Self>, process: ProcessId) -> Carrier {
        let gate = self.clone();
        Arc::new(move |request| {
            let (reply, told) = oneshot::channel();
            gate.ask(process, Asked::Receiver(request), Reply::Receiver(reply));
            async move { told.await.expect("the scheduler answers whom it has not buried") }.boxed()
        })
    }
}

struct Connector {
    gate: Arc<Gate>,
    process: ProcessId,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector of process {}", self.process)
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let body = request.body().bytes().map(Bytes::copy_from_slice).unwrap_or_default();
        let (reply, told) = oneshot::channel();
        self.gate.ask(self.process, Asked::Service(target, body), Reply::Service(reply));
        HttpConnectorFuture::new(
            async move { told.await.expect("the scheduler answers whom it has not buried") },
        )
    }
}

/// The SDK's waits between its tries.
#[derive(Debug)]
struct SimulatedSleep(Arc<Time>);

impl AsyncSleep for SimulatedSleep {
    fn sleep(&self, duration: Duration) -> Sleep {
        let wait = TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
        Sleep::new(self.0.sleep_until(self.0.now() + wait))
    }
}
