//! The Lambda function `reminder-sender`.

use lambda_runtime::{Error, run, service_fn};
use reminder_sender::{Sender, SenderSettings};
use shared::context::Context;
use shared::outbound::Outbound;
use shared::settings::environment;
use shared::telemetry::{self, Metrics};

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let settings = SenderSettings::read(&environment)?;
    let http = Outbound::new(settings.outbound.clone())?;
    let sender = Sender::new(Context::from_env()?, http, Metrics::of_this_function(), settings);
    run(service_fn(|event| sender.invoke(event))).await
}
