//! The Lambda function `delivery-worker`.

use delivery_worker::Worker;
use lambda_runtime::{Error, run, service_fn};
use shared::context::Context;
use shared::outbound::Outbound;
use shared::settings::{Reader, environment};
use shared::telemetry::{self, Metrics};

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let mut reader = Reader::new(&environment);
    let allowed = reader.cidrs("PUNCTUAL_ALLOWED_CIDRS");
    let http = Outbound::new(reader.finish(allowed)?)?;
    let worker = Worker::new(Context::from_env()?, http, Metrics::stdout("delivery-worker"));
    run(service_fn(|event| worker.invoke(event))).await
}
