//! An HTTP server that can be stopped.

use axum::Router;
use axum::serve::ListenerExt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long a stop waits for requests under way.
const DRAIN: Duration = Duration::from_secs(30);

/// A running server.
#[derive(Debug)]
pub struct Server {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address}: {source}; choose another address with {flag} ADDR:PORT (port 0 picks a free one)"
)]
pub struct BindError {
    address: SocketAddr,
    flag: &'static str,
    source: io::Error,
}

/// Takes an address; `flag` is the option by which the user would choose another one.
///
/// # Errors
/// It is taken, or not this machine's.
pub async fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { address, flag, source })
}

impl Server {
    /// Serves `router` on `listener`.
    pub fn start(listener: TcpListener, router: Router) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        // Small answers must not wait for the acknowledgement of earlier ones.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "cannot set TCP_NODELAY");
            }
        });
        let serve = axum::serve(listener, router).with_graceful_shutdown(async {
            // A server whose owner is gone stops as well.
            let _ = stopped.await;
        });
        let task = tokio::spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "server failed");
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_told_with_the_way_out() {
        let taken = bind(SocketAddr::from(([127, 0, 0, 1], 0)), "--api").await.unwrap();
        let error = bind(taken.local_addr().unwrap(), "--api").await.unwrap_err().to_string();
        assert!(error.contains("--api ADDR:PORT"), "{error}");
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
