//! A receiver that is well, fails, hangs, is slow, or is not there at all, and notes every call with what became of it.

use anyhow::Result;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use shared::clock::{Clock, SystemClock};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tests::audit::Arrival;
use tokio::runtime::Runtime;

/// Bodies are read to this size; those of the campaign are far smaller.
const BODY_LIMIT: usize = 1 << 20;
/// How long a slow answer takes: less than a call may.
const SLOW: TimeDelta = TimeDelta::milliseconds(700);

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    Failing,
    Slow,
    /// It takes calls and never answers.
    Hanging,
    /// Nobody listens, and connections that were open are gone.
    Down,
}

impl Mood {
    /// Every mood. It is well more often than anything else.
    pub const ALL: [Mood; 8] = [
        Mood::Well,
        Mood::Failing,
        Mood::Well,
        Mood::Slow,
        Mood::Well,
        Mood::Hanging,
        Mood::Well,
        Mood::Down,
    ];
}

#[derive(Debug, Default)]
struct Log {
    arrivals: Mutex<Vec<Arrival>>,
}

impl Log {
    fn arrivals(&self) -> MutexGuard<'_, Vec<Arrival>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The receiver; it ends with the value.
pub struct Receiver {
    address: SocketAddr,
    log: Arc<Log>,
    mood: Mood,
    /// What it runs on, of its own: taking that away takes every connection with it.
    running: Option<Runtime>,
}

impl Receiver {
    /// Starts on a free port, well.
    pub fn start() -> Result<Self> {
        let log = Arc::new(Log::default());
        let (running, address) = listen(&log, Mood::Well, SocketAddr::from(([127, 0, 0, 1], 0)))?;
        Ok(Self { address, log, mood: Mood::Well, running: Some(running) })
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it is like this.
    pub fn change(&mut self, mood: Mood) -> Result<()> {
        if mood == self.mood {
            return Ok(());
        }
        if let Some(running) = self.running.take() {
            running.shutdown_background();
        }
        if mood != Mood::Down {
            self.running = Some(listen(&self.log, mood, self.address)?.0);
        }
        self.mood = mood;
        Ok(())
    }

    /// What has arrived so far.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.log.arrivals().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // A runtime must not be waited for inside another one.
        if let Some(running) = self.running.take() {
            running.shutdown_background();
        }
    }
}

fn listen(log: &Arc<Log>, mood: Mood, address: SocketAddr) -> Result<(Runtime, SocketAddr)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let socket = std::net::TcpListener::bind(address)?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let routes = Router::new().fallback(answer).with_state((Arc::clone(log), mood));
    runtime.spawn(async move {
        match tokio::net::TcpListener::from_std(socket) {
            Ok(listener) => drop(axum::serve(listener, routes).await),
            Err(error) => eprintln!("bench: the receiver stopped: {error}"),
        }
    });
    Ok((runtime, address))
}

/// A call under way. It ends when it is answered, or when its caller has gone and it is dropped.
struct UnderWay {
    log: Arc<Log>,
    number: usize,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.log.arrivals()[self.number].until = SystemClock.now();
    }
}

async fn answer(State((log, mood)): State<(Arc<Log>, Mood)>, request: Request) -> StatusCode {
    let at = SystemClock.now();
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else { return StatusCode::BAD_REQUEST };
    let headers = head.headers.iter();
    let headers = headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let arrival = Arrival {
        at,
        method: head.method.to_string(),
        url: format!("http://receiver{}", head.uri),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        status: None,
        // Set when it ends.
        until: DateTime::<Utc>::MAX_UTC,
    };
    let under_way = {
        let mut arrivals = log.arrivals();
        arrivals.push(arrival);
        UnderWay { log: Arc::clone(&log), number: arrivals.len() - 1 }
    };
    let status = match mood {
        Mood::Well | Mood::Down => StatusCode::NO_CONTENT,
        Mood::Failing => StatusCode::INTERNAL_SERVER_ERROR,
        Mood::Slow => {
            SystemClock.sleep_until(at + SLOW).await;
            StatusCode::NO_CONTENT
        }
        Mood::Hanging => std::future::pending().await,
    };
    log.arrivals()[under_way.number].status = Some(status.as_u16());
    status
}
