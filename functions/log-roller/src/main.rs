//! The Lambda function `log-roller`.

use lambda_runtime::{Error, run, service_fn};
use log_roller::LogRoller;
use shared::context::Context;
use shared::outbound::Outbound;
use shared::settings::{Reader, environment};
use shared::telemetry;

#[tokio::main]
async fn main() -> Result<(), Error> {
    telemetry::init();
    let mut reader = Reader::new(&environment);
    let allowed = reader.cidrs("PUNCTUAL_ALLOWED_CIDRS");
    let http = Outbound::new(reader.finish(allowed)?)?;
    let roller = LogRoller::new(Context::from_env()?, http);
    run(service_fn(|event| roller.invoke(event))).await
}
