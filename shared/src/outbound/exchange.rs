//! One request and its response on the network.
//!
//! What was written to a connection that its receiver was about to close is lost without a trace, and says nothing about the
//! receiver. So where nothing of a response came and the connection had been used before, or where the receiver says that its
//! connection takes no more requests now, the same request goes out once more, on a connection of its own, within the same
//! attempt and its time limit.

use super::answer::{Answer, BodyEnd};
use super::connections::{Connector, HttpClient, OPENED, Receivers};
use super::request::{CallBody, Watch};
use super::{
    ANSWER_MAX_BYTES, IDLE_CONNECTIONS_MAX, OutboundRequest, OutboundResult, SendError, USER_AGENT, failure,
    start_timeout,
};
use crate::clock::SharedClock;
use bytes::BytesMut;
use http::header::{ACCEPT, HeaderValue};
use http::{Request, Response, Uri};
use hyper::body::{Body, Incoming};
use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Makes calls over connections that all calls share.
#[derive(Clone)]
pub(super) struct Exchange {
    receivers: Arc<Receivers>,
    connector: Connector,
    clock: SharedClock,
}

impl Exchange {
    pub(super) fn new(receivers: Arc<Receivers>, connector: Connector, clock: SharedClock) -> Self {
        Self { receivers, connector, clock }
    }

    /// Makes a call. Its time limit holds for the head, from the request's first byte on; a body is read for as long as its
    /// own limit and what is left of the call's allow, and how that ends changes nothing of what the head says.
    pub(super) async fn call(&self, url: Url, request: OutboundRequest) -> OutboundResult {
        let (timeout, body_timeout, began) = (request.timeout, request.body_timeout, request.began.clone());
        // Outside of what is dropped when the time is over.
        let mut head = None;
        let mut body = BytesMut::new();
        let exchange = async {
            let (parts, mut incoming) = self.head(url, request).await?.into_parts();
            head = Some((parts.status, parts.headers));
            let reading = tokio::time::timeout(body_timeout, read(&mut incoming, &mut body));
            Ok(reading.await.unwrap_or_else(|_| out_of_time()))
        };
        let over = async {
            let _ = tokio::time::timeout(start_timeout(timeout), began.reached()).await;
            elapsed(timeout).await;
        };
        let end = tokio::select! {
            biased;
            ended = exchange => ended?,
            () = over => out_of_time(),
        };
        match head {
            Some((status, headers)) => Ok(Answer::new(status, &headers, body.freeze(), end)),
            None => Err(SendError::Timeout(timeout)),
        }
    }

    async fn head(&self, url: Url, request: OutboundRequest) -> Result<Response<Incoming>, SendError> {
        let uri: Uri = url
            .as_str()
            .parse()
            .map_err(|error| SendError::BadUrl(format!("not a URL that can be called: {error}")))?;
        let is_secure = url.scheme() == "https";
        let watch = Watch::new(request.began, self.clock.clone());
        let mut call = Request::new(CallBody::new(request.body, watch));
        (*call.method_mut(), *call.uri_mut()) = (request.method, uri);
        for (name, value) in request.headers {
            call.headers_mut().append(name, value);
        }
        call.headers_mut().entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        let agent = HeaderValue::from_static(USER_AGENT);
        call.headers_mut().entry(http::header::USER_AGENT).or_insert(agent);
        // The body is in memory, and a copy of it costs nothing.
        let again = call.clone();
        let pool =
            self.receivers.enter(url.origin().ascii_serialization(), || self.client(IDLE_CONNECTIONS_MAX));
        let sent = OPENED.scope(Cell::new(false), async {
            let sent = pool.client.request(call).await;
            sent.map_err(|error| (error, OPENED.with(Cell::get)))
        });
        let (error, opened) = match sent.await {
            Ok(response) => return Ok(response),
            Err(failed) => failed,
        };
        let is_lost = !opened && failure::is_hang_up(&error);
        if !is_lost && !failure::is_refused_stream(&error) {
            return Err(failure::of(&error, is_secure));
        }
        tracing::debug!("a shared connection did not take the request; sent once more");
        self.client(0).request(again).await.map_err(|error| failure::of(&error, is_secure))
    }

    fn client(&self, idle_max: usize) -> HttpClient {
        self.connector.client(idle_max, &self.clock)
    }
}

async fn elapsed(time: Duration) {
    let _ = tokio::time::timeout(time, pending::<()>()).await;
}

/// Adds the body to `body`, as much as is read at most.
async fn read(incoming: &mut Incoming, body: &mut BytesMut) -> BodyEnd {
    while body.len() < ANSWER_MAX_BYTES {
        match poll_fn(|context| Pin::new(&mut *incoming).poll_frame(context)).await {
            Some(Ok(frame)) => {
                let Ok(chunk) = frame.into_data() else { continue };
                body.extend_from_slice(&chunk[..chunk.len().min(ANSWER_MAX_BYTES - body.len())]);
            }
            None => return BodyEnd::Complete,
            Some(Err(error)) => return BodyEnd::BrokenOff(failure::of_body(&error).to_string()),
        }
    }
    BodyEnd::Full
}

fn out_of_time() -> BodyEnd {
    BodyEnd::BrokenOff("it was not complete in time".to_owned())
}
