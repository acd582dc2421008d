//! The Lambda function `delivery-worker`.

use delivery_worker::{Worker, WorkerSettings};
use lambda_runtime::{Error, run, service_fn};
use shared::context::Context;
use shared::outbound::Outbound;
use shared::settings::environment;
use shared::telemetry::{self, Metrics};

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let WorkerSettings { outbound, shares } = WorkerSettings::read(&environment)?;
    let http = Outbound::new(outbound)?;
    let worker = Worker::new(Context::from_env()?, http, Metrics::of_this_function()).with_shares(shares);
    run(service_fn(|event| worker.invoke(event))).await
}
