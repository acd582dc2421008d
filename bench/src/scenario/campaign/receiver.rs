//! A receiver that is well, fails, hangs, is slow, or is not there at all, and notes every call with what became of it.

use anyhow::Result;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use shared::clock::{Clock, SystemClock};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tests::audit::Arrival;
use tokio::runtime::Runtime;

/// Bodies are read to this size; those of the campaign are far smaller.
const BODY_LIMIT: usize = 1 << 20;
/// How long a slow answer takes: less than a call may.
const SLOW: TimeDelta = TimeDelta::milliseconds(700);
/// It has let go of its port by then.
const LET_GO: TimeDelta = TimeDelta::seconds(5);
/// Pause between two tries to have it again.
const AGAIN: TimeDelta = TimeDelta::milliseconds(10);

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

#[derive(Debug)]
struct Shared {
    arrivals: Mutex<Vec<Arrival>>,
    mood: Mutex<Mood>,
}

impl Shared {
    fn arrivals(&self) -> MutexGuard<'_, Vec<Arrival>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mood(&self) -> MutexGuard<'_, Mood> {
        self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The receiver; it ends with the value.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// What it runs on, of its own: taking that away takes every connection with it.
    running: Option<Runtime>,
}

impl Receiver {
    /// Starts on a free port, well.
    pub fn start() -> Result<Self> {
        let shared = Arc::new(Shared { arrivals: Mutex::default(), mood: Mutex::new(Mood::Well) });
        let socket = TcpListener::bind("127.0.0.1:0")?;
        let address = socket.local_addr()?;
        let running = Some(serve(&shared, socket)?);
        Ok(Self { address, shared, running })
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it is like this.
    pub async fn change(&mut self, mood: Mood) -> Result<()> {
        *self.shared.mood() = mood;
        match &self.running {
            Some(_) if mood == Mood::Down => self.end(),
            None if mood != Mood::Down => {
                let socket = bind(self.address).await?;
                self.running = Some(serve(&self.shared, socket)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// What has arrived so far.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.shared.arrivals().clone()
    }

    /// Nobody may wait for a runtime inside another one, so what runs there goes away a little later.
    fn end(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown_background();
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.end();
    }
}

/// Listens again where it did, once its earlier self has let go.
async fn bind(address: SocketAddr) -> Result<TcpListener> {
    let deadline = SystemClock.now() + LET_GO;
    loop {
        match TcpListener::bind(address) {
            Ok(socket) => return Ok(socket),
            Err(error) if SystemClock.now() > deadline => return Err(error.into()),
            Err(_) => SystemClock.sleep_until(SystemClock.now() + AGAIN).await,
        }
    }
}

fn serve(shared: &Arc<Shared>, socket: TcpListener) -> Result<Runtime> {
    socket.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let routes = Router::new().fallback(answer).with_state(Arc::clone(shared));
    runtime.spawn(async move {
        match tokio::net::TcpListener::from_std(socket) {
            Ok(listener) => drop(axum::serve(listener, routes).await),
            Err(error) => eprintln!("bench: the receiver stopped: {error}"),
        }
    });
    Ok(runtime)
}

/// A call under way. It ends when it is answered, or when its caller has gone and it is dropped.
struct UnderWay {
    shared: Arc<Shared>,
    number: usize,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.shared.arrivals()[self.number].until = SystemClock.now();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> StatusCode {
    let at = SystemClock.now();
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else { return StatusCode::BAD_REQUEST };
    let headers = head.headers.iter();
    let headers =
        headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let arrival = Arrival {
        at,
        method: head.method.to_string(),
        url: format!("http://receiver{}", head.uri),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        status: None,
        // Nobody can look into a table that other processes write.
        item: None,
        // Set when it ends.
        until: DateTime::<Utc>::MAX_UTC,
    };
    let under_way = {
        let mut arrivals = shared.arrivals();
        arrivals.push(arrival);
        UnderWay { shared: Arc::clone(&shared), number: arrivals.len() - 1 }
    };
    let mood = *shared.mood();
    let status = match mood {
        Mood::Well | Mood::Down => StatusCode::NO_CONTENT,
        Mood::Failing => StatusCode::INTERNAL_SERVER_ERROR,
        Mood::Slow => {
            SystemClock.sleep_until(at + SLOW).await;
            StatusCode::NO_CONTENT
        }
        Mood::Hanging => std::future::pending().await,
    };
    shared.arrivals()[under_way.number].status = Some(status.as_u16());
    status
}
