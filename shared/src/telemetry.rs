//! What operators see: one structured line per attempt, and metrics (SPEC §12).
//!
//! No bodies, no headers, no secrets: lines hold names, numbers and outcomes.

pub mod catalog;
mod emf;
mod metrics;

pub use emf::NAMESPACE;
pub use metrics::{Metrics, Sink};

use crate::outbound::OutboundRequest;
use chrono::{DateTime, Utc};
use http::Method;
use rules::names::Tenant;
use std::io::{self, Write};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

/// The finest level that is ever logged, whatever `RUST_LOG` asks for: at `trace` the AWS SDK writes whole responses, KMS's data
/// keys and what was decrypted among them. Punctual itself logs nothing there.
pub const FINEST: LevelFilter = LevelFilter::DEBUG;

/// Starts logging as Lambda wants it: JSON lines on stdout, `RUST_LOG` honoured, `info` without it.
/// Does nothing where logging was started before.
pub fn init() {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    // The one possible error is that somebody else was first.
    let _ = tracing::subscriber::set_global_default(json(filter, std::io::stdout));
}

/// JSON lines of what `filter` and [`FINEST`] let through, to `writer`. Shown on a terminal they are text and nothing else.
pub fn json<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(Escaped(writer))
        .finish()
        .with(FINEST)
}

/// Escapes what JSON lets through and terminals act on.
struct Escaped<W>(W);

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for Escaped<W> {
    type Writer = Escaped<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Escaped(self.0.make_writer())
    }
}

impl<W: Write> Write for Escaped<W> {
    /// The subscriber writes a whole line at a time.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.0.write_all(rules::shown::in_json(text).as_bytes())?,
            Err(_) => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// What an attempt calls, as it is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallTarget {
    /// The verb.
    pub method: Method,
    /// The URL without what may be a secret; see [`rules::shown::url`].
    pub url: String,
}

impl CallTarget {
    /// The target of a call that is about to be made.
    pub fn of(request: &OutboundRequest) -> Self {
        // A provider may have its credentials in the URL.
        let url = rules::shown::url(&request.secrets.redact(&request.url, false));
        Self { method: request.method.clone(), url }
    }
}

/// One attempt, as it is logged and counted.
#[derive(Debug, Clone, Copy)]
pub struct AttemptRecord<'a> {
    /// Whose activity.
    pub tenant: &'a Tenant,
    /// Which.
    pub id: &'a str,
    /// By which type or channel; `R` for a reminder, `L` and the kind of log for a batch of the log roller.
    pub kind: &'a str,
    /// 0, and one more for each retry by hand.
    pub run: u32,
    /// 1 for the first attempt of a run.
    pub attempt: u32,
    /// In one word, such as `SUCCESS` or `TIMEOUT`: a dimension of the metrics, so one of few.
    pub outcome: &'static str,
    /// The receiver's answer, where there was one.
    pub http_status: Option<u16>,
    /// Milliseconds from the instant it was due to the send; a batch of the log roller is due at no instant.
    pub lateness_ms: Option<i64>,
    /// Milliseconds from the send to the end of the answer.
    pub duration_ms: u32,
    /// What was called; `None` where it did not come to a call, or whoever made it was lost.
    pub target: Option<&'a CallTarget>,
    /// When it is tried again at the earliest, if it is.
    pub retry_at: Option<DateTime<Utc>>,
}

impl AttemptRecord<'_> {
    /// Writes the attempt's one line.
    pub fn log(&self) {
        tracing::info!(
            company = self.tenant.company.as_str(),
            solution = self.tenant.solution.name().as_str(),
            id = self.id,
            kind = self.kind,
            run = self.run,
            attempt = self.attempt,
            outcome = self.outcome,
            http_status = self.http_status,
            lateness_ms = self.lateness_ms,
            duration_ms = self.duration_ms,
            method = self.target.map(|target| target.method.as_str()),
            url = self.target.map(|target| target.url.as_str()),
            retry_at = self.retry_at.map(rules::time::format),
            "attempt"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(filter: &str, log: impl FnOnce()) -> Vec<Value> {
        let captured = Captured::default();
        let writer = captured.clone();
        tracing::subscriber::with_default(json(EnvFilter::new(filter), move || writer.clone()), log);
        let bytes = captured.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn an_attempt_is_one_flat_line_with_fixed_names() {
        let tenant = Tenant { company: "acme".parse().unwrap(), solution: "shop".parse().unwrap() };
        let target = CallTarget { method: Method::POST, url: "http://h.example/orders/1".to_owned() };
        let record = AttemptRecord {
            tenant: &tenant,
            id: "order:1",
            kind: "A:ship",
            run: 0,
            attempt: 2,
            outcome: "HTTP_ERROR",
            http_status: Some(503),
            lateness_ms: Some(12),
            duration_ms: 345,
            target: Some(&target),
            retry_at: DateTime::from_timestamp(1_800_000_000, 0),
        };
        let unanswered = AttemptRecord { http_status: None, target: None, retry_at: None, ..record };
        let [mut line, unanswered] = <[Value; 2]>::try_from(lines("info", || {
            record.log();
            unanswered.log();
        }))
        .unwrap();
        let fields = line.as_object_mut().unwrap();
        assert!(fields.remove("timestamp").is_some_and(|at| at.is_string()));
        let expect = json!({
            "level": "INFO", "target": "shared::telemetry", "message": "attempt", "company": "acme",
            "solution": "shop", "id": "order:1", "kind": "A:ship", "run": 0, "attempt": 2,
            "outcome": "HTTP_ERROR", "http_status": 503, "lateness_ms": 12, "duration_ms": 345,
            "method": "POST", "url": "http://h.example/orders/1", "retry_at": "2027-01-15T08:00:00.000Z",
        });
        assert_eq!(line, expect);
        for absent in ["http_status", "method", "url", "retry_at"] {
            assert_eq!(unanswered.get(absent), None);
        }
    }

    #[test]
    fn what_is_logged_does_not_act_on_a_terminal() {
        let text = "a\u{1b}]0;t\u{7}\u{7f}\u{9b}2J\u{202e}\nb";
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = json(EnvFilter::new("info"), move || writer.clone());
        tracing::subscriber::with_default(subscriber, || tracing::info!(id = text, "attempt"));
        let bytes = captured.0.lock().unwrap().clone();
        let line = String::from_utf8(bytes).unwrap();
        assert!(!line.trim_end().chars().any(rules::shown::acts_on_terminal), "{line:?}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["id"], text);
    }

    #[test]
    fn the_filter_is_honoured() {
        let log = || {
            tracing::info!("quiet");
            tracing::warn!("loud");
        };
        assert_eq!(lines("warn", log).len(), 1);
    }
}
