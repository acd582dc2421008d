//! The Lambda function behind the HTTP API.

use api_ingest::{ApiContext, ApiSettings, router};
use shared::context::Context;
use shared::settings::environment;

#[tokio::main]
async fn main() -> Result<(), lambda_http::Error> {
    let settings = ApiSettings::read(&environment)?;
    let context = ApiContext::new(Context::from_env().await?, &settings.admin_key)
        .with_dialog_service(settings.dialog_service_uri.as_deref());
    lambda_http::run(router(context)).await
}
