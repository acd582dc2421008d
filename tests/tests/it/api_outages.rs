//! When what is behind the API fails: 429 and 500, with nothing internal in them (SPEC §2).

use crate::api::{ADMIN, Answer, Api, S, send};
use crate::api_endpoints::endpoints;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use axum::Router;
use http::Request;
use shared::context::Clients;

/// Answers every call of a service with one error.
#[derive(Debug, Clone, Copy)]
struct Failing(&'static str);

impl HttpConnector for Failing {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let body = format!("{{\"__type\":\"com.amazonaws#{}\",\"message\":\"secret-detail\"}}", self.0);
        let mut response = HttpResponse::new(400.try_into().unwrap(), SdkBody::from(body));
        response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
        HttpConnectorFuture::ready(Ok(response))
    }
}

fn failing(code: &'static str) -> SharedHttpClient {
    http_client_fn(move |_, _| SharedHttpConnector::new(Failing(code)))
}

/// The API whose DynamoDB answers with this error.
fn broken(api: &Api, code: &'static str) -> Router {
    let clients = api.world.embedded.clients().clone();
    let config = clients.dynamodb.config().to_builder().http_client(failing(code));
    let config = config.retry_config(aws_sdk_dynamodb::config::retry::RetryConfig::disabled());
    let dynamodb = aws_sdk_dynamodb::Client::from_conf(config.build());
    Api::router_on(api.world.process_with(Clients { dynamodb, ..clients }))
}

async fn call(router: &Router, method: &str, path: &str, body: Option<String>) -> Answer {
    let request = Request::builder().method(method).uri(path).header("x-api-key", ADMIN);
    let request = request.header("content-type", "application/json");
    send(router.clone(), request.body(body.unwrap_or_default().into()).unwrap()).await
}

#[tokio::test]
async fn a_throttled_database_429() {
    let api = Api::seeded().await;
    for code in ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"] {
        let router = broken(&api, code);
        for endpoint in endpoints() {
            let body = endpoint.body.as_ref().map(ToString::to_string);
            let answer = call(&router, &endpoint.method, &endpoint.path(), body).await.problem(429);
            assert_eq!(answer.header("retry-after"), "1", "{} {}", endpoint.method, endpoint.template);
        }
    }
}

#[tokio::test]
async fn a_failing_database_500_with_nothing_internal() {
    let api = Api::seeded().await;
    let router = broken(&api, "AccessDeniedException");
    for endpoint in endpoints() {
        let body = endpoint.body.as_ref().map(ToString::to_string);
        let answer = call(&router, &endpoint.method, &endpoint.path(), body).await.problem(500);
        assert!(answer.json["instance"].as_str().unwrap().starts_with("urn:uuid:"), "{}", answer.text);
        for internal in ["secret-detail", "AccessDenied", "DynamoDB", "dynamodb", "read "] {
            assert!(!answer.text.contains(internal), "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_failing_kms_fails_what_needs_it_and_nothing_else() {
    let api = Api::seeded().await;
    let clients = api.world.embedded.clients().clone();
    let on_kms = |code| {
        let config = clients.kms.config().to_builder().http_client(failing(code));
        let config = config.retry_config(aws_sdk_kms::config::retry::RetryConfig::disabled());
        let kms = aws_sdk_kms::Client::from_conf(config.build());
        Api::router_on(api.world.process_with(Clients { kms, ..clients.clone() }))
    };
    let throttled = on_kms("ThrottlingException");
    call(&throttled, "PUT", "/v1/companies/acme/solutions/new", Some("{}".to_owned())).await.problem(429);
    let router = on_kms("DisabledException");
    let rotate = format!("{S}/signing-secret/rotate");
    for (method, path) in [("PUT", "/v1/companies/acme/solutions/new"), ("POST", rotate.as_str())] {
        let answer = call(&router, method, path, Some("{}".to_owned())).await.problem(500);
        assert!(!answer.text.contains("KMS") && !answer.text.contains("secret-detail"), "{}", answer.text);
    }
    call(&router, "PUT", S, Some("{\"qosLevel\": 2}".to_owned())).await.expect(200);
    let activity = "{\"activityType\": \"play\", \"parameter\": {\"SongId\": 1}}".to_owned();
    call(&router, "POST", &format!("{S}/activities"), Some(activity)).await.expect(201);
}
