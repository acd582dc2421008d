//! The Lambda function `notification-resender`.

use lambda_runtime::{Error, run, service_fn};
use notification_resender::{Resender, ResenderSettings};
use shared::context::Context;
use shared::outbound::Outbound;
use shared::settings::environment;
use shared::telemetry::{self, Metrics};

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let settings = ResenderSettings::read(&environment)?;
    let http = Outbound::new(settings.outbound.clone())?;
    let resender = Resender::new(Context::from_env()?, http, Metrics::of_this_function(), settings);
    run(service_fn(|event| resender.invoke(event))).await
}
