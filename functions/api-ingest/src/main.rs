//! The Lambda function behind the HTTP API.

use api_ingest::http::base_path;
use api_ingest::{ApiContext, ApiSettings, router};
use shared::context::Context;
use shared::outbound::Outbound;
use shared::settings::environment;
use shared::telemetry::{self, Metrics};

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    telemetry::init();
    let settings = ApiSettings::read(&environment)?;
    let http = Outbound::new(settings.outbound.clone())?;
    let context = ApiContext::new(Context::from_env()?, settings.admin_key)
        .with_dialog_service(settings.dialog_service_uri.as_deref())
        .with_notifications(http, settings.max_retries, settings.retry_after_fudge_s)
        .with_shares(settings.shares)
        .with_metrics(Metrics::of_this_function());
    lambda_http::run(base_path::mounted(router(context), settings.base_path.as_deref())).await
}
