//! The Lambda function `recurring-expander`.

use lambda_runtime::{Error, run, service_fn};
use recurring_expander::Expander;
use shared::context::Context;
use shared::telemetry::{self, Metrics};

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let expander = Expander::new(Context::from_env()?).with_metrics(Metrics::of_this_function());
    run(service_fn(|event| expander.invoke(event))).await
}
