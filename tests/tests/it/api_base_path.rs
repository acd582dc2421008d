//! A domain of one's own with a base path: API Gateway leaves it in the paths that the functions get.

use crate::api::{ADMIN, router_with, send};
use api_ingest::http::base_path::mounted;
use axum::body::Body;
use http::Request;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use tests::World;

#[tokio::test]
async fn routes_are_there_with_and_without_the_base_path() {
    let world = World::new().await;
    let router = mounted(router_with(world.process(), ADMIN), Some("/punctual"));
    let call = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header("x-api-key", ADMIN);
        let request = request.header("content-type", "application/json");
        send(router.clone(), request.body(Body::from("{}")).unwrap()).await
    };
    for (base, company) in [("", "acme"), ("/punctual", "other")] {
        call("GET", &format!("{base}/health")).await.expect(200);
        let made = call("PUT", &format!("{base}/v1/companies/{company}")).await.expect(201);
        assert_eq!(made.header("location"), format!("{base}/v1/companies/{company}"));
        let page = call("GET", &format!("{base}/docs")).await;
        assert_eq!((page.status, page.header("location")), (303, format!("{base}/docs/").as_str()));
        call("GET", &format!("{base}/docs/")).await.expect(200);
        call("GET", &format!("{base}/v1/nothing")).await.problem(404);
        call("DELETE", &format!("{base}/health")).await.problem(405);
    }
    for other in ["/punctua/health", "/punctual/punctual/health", "/punctualhealth"] {
        call("GET", other).await.problem(404);
    }
}

#[tokio::test]
async fn so_are_the_reminder_senders() {
    let world = World::new().await;
    let own = |name: &str| (name == "PUNCTUAL_BASE_PATH").then(|| "/punctual".to_owned());
    let sender = world.sender_with(world.process(), &own);
    let sample = include_str!("../../../events/reminder-sender/pending-send.json");
    let sample = sample.replace("sample-processor-secret", local::embedded::TEST_PROCESSOR_SECRET);
    for (base, status) in [("", 200), ("/punctual", 200), ("/other", 404)] {
        let mut event: Value = serde_json::from_str(&sample).unwrap();
        let path = format!("{base}{}", event["rawPath"].as_str().unwrap());
        (event["rawPath"], event["requestContext"]["http"]["path"]) = (json!(path), json!(path));
        let answer = sender.invoke(LambdaEvent::new(event, Context::default())).await.unwrap();
        assert_eq!(answer["statusCode"], status, "{base}: {answer}");
    }
}
