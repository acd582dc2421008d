//! One request and its response on the network.
//!
//! What was written to a connection that its receiver was about to close is lost without a trace, and says nothing about the
//! receiver. So where nothing of a response came and the connection had been used before, the same request goes out once more,
//! on a connection of its own, within the same attempt and its time limit.

use super::answer::{Answer, BodyEnd};
use super::{ANSWER_MAX_BYTES, OutboundRequest, OutboundResult, SendError, failure};
use bytes::BytesMut;
use reqwest::{Client, ClientBuilder, Request, Response};
use std::cell::Cell;
use std::sync::OnceLock;
use tower::util::MapResponseLayer;
use url::Url;

tokio::task_local! {
    /// Whether the call of this task opened a connection for itself.
    static OPENED: Cell<bool>;
}

/// The clients of an [`super::Outbound`]: connections are shared by all calls, and not shared by those that go out again.
pub(super) struct Clients {
    build: Box<dyn Fn() -> ClientBuilder + Send + Sync>,
    pooled: Client,
    /// Built when it is first needed, which is rare: loading root certificates takes time.
    unpooled: OnceLock<Option<Client>>,
}

impl Clients {
    pub(super) fn new(build: impl Fn() -> ClientBuilder + Send + Sync + 'static) -> reqwest::Result<Self> {
        let pooled = build().connector_layer(MapResponseLayer::new(opened)).build()?;
        Ok(Self { build: Box::new(build), pooled, unpooled: OnceLock::new() })
    }

    fn unpooled(&self) -> Option<&Client> {
        let build = || (self.build)().pool_max_idle_per_host(0).build().ok();
        self.unpooled.get_or_init(build).as_ref()
    }

    /// Makes a call. Its time limit holds for the head; a body is read for as long as its own limit and what is left of the
    /// call's allow, and how that ends changes nothing of what the head says.
    pub(super) async fn call(&self, url: Url, request: OutboundRequest) -> OutboundResult {
        let (timeout, body_timeout) = (request.timeout, request.body_timeout);
        // Outside of what is dropped when the time is over.
        let mut head = None;
        let mut body = BytesMut::new();
        let exchange = async {
            let mut response = self.head(url, request).await?;
            head = Some((response.status(), std::mem::take(response.headers_mut())));
            let reading = tokio::time::timeout(body_timeout, read(&mut response, &mut body));
            Ok(reading.await.unwrap_or_else(|_| out_of_time()))
        };
        let end = match tokio::time::timeout(timeout, exchange).await {
            Ok(ended) => ended?,
            Err(_) => out_of_time(),
        };
        match head {
            Some((status, headers)) => Ok(Answer::new(status, &headers, body.freeze(), end)),
            None => Err(SendError::Timeout(timeout)),
        }
    }

    async fn head(&self, url: Url, request: OutboundRequest) -> Result<Response, SendError> {
        let mut call = Request::new(request.method, url);
        for (name, value) in request.headers {
            call.headers_mut().append(name, value);
        }
        *call.body_mut() = request.body.map(Into::into);
        // The body is in memory, so there always is a copy, and it costs nothing.
        let again = call.try_clone();
        let sent = OPENED.scope(Cell::new(false), async {
            let sent = self.pooled.execute(call).await;
            sent.map_err(|error| (error, OPENED.with(Cell::get)))
        });
        let (error, opened) = match sent.await {
            Ok(response) => return Ok(response),
            Err(failed) => failed,
        };
        match (again, self.unpooled()) {
            (Some(again), Some(client)) if !opened && failure::is_hang_up(&error) => {
                tracing::debug!("a reused connection was closed without a response; sent once more");
                client.execute(again).await.map_err(failure::of)
            }
            _ => Err(failure::of(error)),
        }
    }
}

/// Notes that a connection was opened by the call whose task this is. One that was opened by a call which then got another
/// connection is finished by a task of the client's own, and waits in the pool for a later call.
fn opened<C>(connection: C) -> C {
    let _ = OPENED.try_with(|opened| opened.set(true));
    connection
}

/// Adds the body to `body`, as much as is read at most.
async fn read(response: &mut Response, body: &mut BytesMut) -> BodyEnd {
    while body.len() < ANSWER_MAX_BYTES {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                body.extend_from_slice(&chunk[..chunk.len().min(ANSWER_MAX_BYTES - body.len())])
            }
            Ok(None) => return BodyEnd::Complete,
            Err(error) => return BodyEnd::BrokenOff(failure::of(error).to_string()),
        }
    }
    BodyEnd::Full
}

fn out_of_time() -> BodyEnd {
    BodyEnd::BrokenOff("it was not complete in time".to_owned())
}
