//! The Lambda function `log-roller`.

use lambda_runtime::{Error, run, service_fn};
use log_roller::LogRoller;
use shared::context::Context;
use shared::outbound::Outbound;
use shared::settings::{OutboundSettings, environment};
use shared::telemetry::{self, Metrics};

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let http = Outbound::new(OutboundSettings::read(&environment)?)?;
    let roller = LogRoller::new(Context::from_env()?, http).with_metrics(Metrics::of_this_function());
    run(service_fn(|event| roller.invoke(event))).await
}
