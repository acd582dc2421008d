//! The Lambda function `dispatch-sweep`.

use dispatch_sweep::Sweeper;
use lambda_runtime::{Error, run, service_fn};
use shared::context::Context;
use shared::telemetry::{self, Metrics};

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let sweeper = Sweeper::new(Context::from_env()?, Metrics::of_this_function());
    run(service_fn(|event| sweeper.invoke(event))).await
}
