//! The door for SDK clients in this process: an HTTP client without a network.

use super::{Door, Mount};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// An HTTP client that hands every request to `mount`.
pub fn http_client(mount: Arc<Mount>) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(InProcess { mount });
    http_client_fn(move |_, _| connector.clone())
}

struct InProcess {
    mount: Arc<Mount>,
}

impl fmt::Debug for InProcess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("InProcess")
    }
}

impl HttpConnector for InProcess {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mount = Arc::clone(&self.mount);
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        // The JSON protocols send whole bodies, never streams.
        let body = request.body().bytes().map(Bytes::copy_from_slice).unwrap_or_default();
        HttpConnectorFuture::new(async move {
            let answer = mount.answer(Door::InProcess, &target, body).await;
            let status = StatusCode::try_from(answer.status)
                .map_err(|error| ConnectorError::other(error.into(), None))?;
            let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
            response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
            if let Some(code) = answer.query_error {
                response.headers_mut().insert("x-amzn-query-error", code);
            }
            Ok(response)
        })
    }
}
