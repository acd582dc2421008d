//! An HTTP server that can be stopped.

use axum::Router;
use chrono::TimeDelta;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use shared::clock::{Clock, SystemClock};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower_http::timeout::RequestBodyTimeoutLayer;

/// How long a stop waits for requests under way.
const DRAIN: Duration = Duration::from_secs(30);
/// How long a request's head may take, and each part of its body: as long as API Gateway takes for a whole request. A
/// connection that is open and says nothing ends then as well.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long nothing is accepted after that has failed, as it does where there are no more file descriptors.
const ACCEPT_AGAIN: TimeDelta = TimeDelta::milliseconds(100);

/// A running server.
#[derive(Debug)]
pub struct Server {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address}: {reason}; choose another address with {flag} ADDR:PORT (port 0 picks a free one)"
)]
pub struct BindError {
    address: SocketAddr,
    flag: &'static str,
    reason: io::Error,
}

/// Takes an address; `flag` is the option by which the user would choose another one.
///
/// # Errors
/// It is taken, or not this machine's.
pub async fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|reason| BindError { address, flag, reason })
}

impl Server {
    /// Serves `router` on `listener`.
    pub fn start(listener: TcpListener, router: Router) -> Self {
        Self::start_with(listener, router, REQUEST_TIMEOUT)
    }

    fn start_with(listener: TcpListener, router: Router, request_timeout: Duration) -> Self {
        let (stop, mut stopped) = oneshot::channel::<()>();
        let router = router.layer(RequestBodyTimeoutLayer::new(request_timeout));
        let mut http = Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(request_timeout);
        let task = tokio::spawn(async move {
            let connections = GracefulShutdown::new();
            loop {
                tokio::select! {
                    // A server whose owner is gone stops as well.
                    _ = &mut stopped => break,
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => serve(stream, &http, &router, &connections),
                        Err(error) => {
                            tracing::error!(%error, "connection not accepted");
                            SystemClock.sleep_until(SystemClock.now() + ACCEPT_AGAIN).await;
                        }
                    },
                }
            }
            drop(listener);
            connections.shutdown().await;
        });
        Self { stop, task }
    }

    /// Accepts no more, and waits for the requests under way.
    pub async fn stop(self) {
        // The server may have ended by itself.
        let _ = self.stop.send(());
        let abort = self.task.abort_handle();
        if tokio::time::timeout(DRAIN, self.task).await.is_err() {
            abort.abort();
        }
    }
}

/// Serves a connection in a task of its own.
fn serve(stream: TcpStream, http: &Builder, router: &Router, connections: &GracefulShutdown) {
    // Small answers must not wait for the acknowledgement of earlier ones.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let service = TowerToHyperService::new(router.clone());
    let connection = http.serve_connection(TokioIo::new(stream), service);
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection ended");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::post;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_taken_port_is_told_with_the_way_out() {
        let taken = bind(SocketAddr::from(([127, 0, 0, 1], 0)), "--api").await.unwrap();
        let error = bind(taken.local_addr().unwrap(), "--api").await.unwrap_err().to_string();
        assert!(error.contains("--api ADDR:PORT"), "{error}");
    }

    /// As many as one likes cost nothing for longer than a request may take.
    #[tokio::test]
    async fn connections_that_do_not_say_all_they_should_are_closed() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)), "--api").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/", post(|body: String| async { body }));
        let _server = Server::start_with(listener, routes, Duration::from_millis(20));
        for said in [
            "",
            "POST / HTTP/1.1\r\nhost: x\r\n",
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc",
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc",
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert_eq!(
                answer.starts_with("HTTP/1.1 200 "),
                said.ends_with("3\r\n\r\nabc"),
                "{said}: {answer}"
            );
        }
    }

    #[tokio::test]
    async fn a_stopped_server_accepts_no_more() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)), "--api").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::start(listener, Router::new());
        let url = format!("http://{address}/");
        assert_eq!(reqwest::get(&url).await.unwrap().status().as_u16(), 404);
        server.stop().await;
        assert!(reqwest::get(&url).await.is_err());
    }
}
