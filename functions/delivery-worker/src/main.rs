//! The Lambda function `delivery-worker`.

use delivery_worker::Worker;
use lambda_runtime::{Error, run, service_fn};
use shared::context::Context;
use shared::outbound::Outbound;
use shared::settings::{OutboundSettings, environment};
use shared::telemetry::{self, Metrics};

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let http = Outbound::new(OutboundSettings::read(&environment)?)?;
    let worker = Worker::new(Context::from_env()?, http, Metrics::of_this_function());
    run(service_fn(|event| worker.invoke(event))).await
}
