//! What operators see: one structured line per attempt, and metrics (SPEC §12).
//!
//! No bodies, no headers, no secrets: lines hold names, numbers and outcomes.

pub mod catalog;
mod emf;
mod metrics;

pub use emf::NAMESPACE;
pub use metrics::{Metrics, Sink};

use rules::names::{ActivityId, Tenant};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Starts logging as Lambda wants it: JSON lines on stdout, `RUST_LOG` honoured, `info` without it.
/// Does nothing where logging was started before.
pub fn init() {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    // The one possible error is that somebody else was first.
    let _ = tracing::subscriber::set_global_default(json(filter, std::io::stdout));
}

fn json<W>(filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(writer)
        .finish()
}

/// One attempt, as it is logged and counted.
#[derive(Debug, Clone, Copy)]
pub struct AttemptRecord<'a> {
    /// Whose activity.
    pub tenant: &'a Tenant,
    /// Which.
    pub id: &'a ActivityId,
    /// By which type or channel; `R` for a reminder.
    pub kind: &'a str,
    /// 0, and one more for each retry by hand.
    pub run: u32,
    /// 1 for the first attempt of a run.
    pub attempt: u32,
    /// In one word, such as `SUCCESS` or `TIMEOUT`: a dimension of the metrics, so one of few.
    pub outcome: &'static str,
    /// The receiver's answer, where there was one.
    pub http_status: Option<u16>,
    /// Milliseconds from the instant it was due to the send.
    pub lateness_ms: i64,
    /// Milliseconds from the send to the end of the answer.
    pub duration_ms: u32,
}

impl AttemptRecord<'_> {
    /// Writes the attempt's one line.
    pub fn log(&self) {
        tracing::info!(
            company = self.tenant.company.as_str(),
            solution = self.tenant.solution.name().as_str(),
            id = self.id.as_str(),
            kind = self.kind,
            run = self.run,
            attempt = self.attempt,
            outcome = self.outcome,
            http_status = self.http_status,
            lateness_ms = self.lateness_ms,
            duration_ms = self.duration_ms,
            "attempt"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::io::{self, Write};
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
        let id = "order:1".parse().unwrap();
        let record = AttemptRecord {
            tenant: &tenant,
            id: &id,
            kind: "A:ship",
            run: 0,
            attempt: 2,
            outcome: "HTTP_ERROR",
            http_status: Some(503),
            lateness_ms: 12,
            duration_ms: 345,
        };
        let unanswered = AttemptRecord { http_status: None, ..record };
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
        });
        assert_eq!(line, expect);
        assert_eq!(unanswered.get("http_status"), None);
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
