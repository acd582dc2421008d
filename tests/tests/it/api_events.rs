//! The sample events of `events/api-ingest` are requests that the API takes.

use crate::api::{router_with, send};
use axum::body::Body;
use http::Request;
use tests::World;

/// The admin key that the samples carry.
const SAMPLE_KEY: &str = "sample-admin-key-for-local-use";

/// As the Lambda runtime hands it on.
fn request(event: &str) -> Request<Body> {
    let request = lambda_http::request::from_str(event).unwrap();
    request.map(|body| Body::from(body.to_vec()))
}

#[tokio::test]
async fn the_samples_are_answered_in_the_order_in_which_they_make_sense() {
    let world = World::new().await;
    let router = router_with(world.ctx.clone(), SAMPLE_KEY);
    for (event, expect) in [
        (include_str!("../../../events/api-ingest/health.json"), 200),
        (include_str!("../../../events/api-ingest/put-company.json"), 201),
        (include_str!("../../../events/api-ingest/put-solution.json"), 201),
        (include_str!("../../../events/api-ingest/put-activity-type.json"), 201),
        (include_str!("../../../events/api-ingest/create-activity.json"), 201),
        (include_str!("../../../events/api-ingest/create-activity.json"), 200),
        (include_str!("../../../events/api-ingest/get-activity.json"), 200),
        (include_str!("../../../events/api-ingest/put-dispatch-config.json"), 201),
        (include_str!("../../../events/api-ingest/create-channel-activity.json"), 201),
        (include_str!("../../../events/api-ingest/report-activity-result.json"), 201),
        (include_str!("../../../events/api-ingest/report-activity-result.json"), 200),
        (include_str!("../../../events/api-ingest/put-reminder-configuration.json"), 201),
        (include_str!("../../../events/api-ingest/put-reminder.json"), 201),
        (include_str!("../../../events/api-ingest/put-reminder.json"), 200),
    ] {
        send(router.clone(), request(event)).await.expect(expect);
    }
}
