//! What local mode shows of what it does: a line for each attempt, and for whatever goes wrong.
//!
//! On a terminal they are readable lines, elsewhere the JSON lines that the functions write in Lambda. They go to stderr
//! from a thread of their own: a terminal that stands still must not hold up calls.

mod line;
mod writer;

use crate::clock::LocalClock;
use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};
use line::{Line, Palette, Value};
use shared::clock::{Clock, SystemClock};
use shared::telemetry::FINEST;
use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;
use std::sync::{Arc, OnceLock};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use writer::Lines;

/// Warnings, errors, and each attempt's one line.
const DEFAULT_FILTER: &str = "warn,shared::telemetry=info";
const QUIET_FILTER: &str = "warn";

/// How what happens is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Readable lines on a terminal, JSON lines elsewhere
    Auto,
    /// Readable lines
    Pretty,
    /// JSON lines
    Json,
}

/// The options of the command line that say what is shown.
#[derive(Debug, Clone, Args)]
pub struct LogOptions {
    /// How attempts and whatever goes wrong are shown on stderr
    #[arg(long, value_name = "FORMAT", global = true, value_enum, default_value_t = LogFormat::Auto)]
    log: LogFormat,
    /// Show warnings and errors alone, unless `RUST_LOG` says otherwise
    #[arg(long, short, global = true)]
    quiet: bool,
}

impl LogOptions {
    /// The same, without attempts: for a command that shows them itself.
    #[must_use]
    pub fn quiet(self) -> Self {
        Self { quiet: true, ..self }
    }

    fn filter(&self, rust_log: Option<&str>) -> EnvFilter {
        let default = if self.quiet { QUIET_FILTER } else { DEFAULT_FILTER };
        EnvFilter::builder().parse_lossy(rust_log.filter(|text| !text.is_empty()).unwrap_or(default))
    }

    fn is_pretty(&self, is_terminal: bool) -> bool {
        match self.log {
            LogFormat::Auto => is_terminal,
            LogFormat::Pretty => true,
            LogFormat::Json => false,
        }
    }
}

/// The log of this process.
pub struct Log {
    lines: Lines,
    clock: Arc<OnceLock<Arc<LocalClock>>>,
    shows_attempts: bool,
}

impl Log {
    /// Starts it, once for a process.
    pub fn start(options: &LogOptions) -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let filter = options.filter(variable("RUST_LOG").as_deref());
        let is_terminal = std::io::stderr().is_terminal();
        let lines = Lines::to(std::io::stderr());
        let clock = Arc::default();
        let writer = lines.clone();
        if options.is_pretty(is_terminal) {
            let palette = if is_coloured(is_terminal, variable) { Palette::COLOURED } else { Palette::PLAIN };
            let readable = Readable { palette, clock: Arc::clone(&clock) };
            let subscriber = tracing_subscriber::fmt().event_format(readable).with_env_filter(filter);
            subscriber.with_writer(move || writer.clone()).finish().with(FINEST).init();
        } else {
            let subscriber = shared::telemetry::json(filter, move || writer.clone());
            // The one possible error is that somebody else was first.
            let _ = tracing::subscriber::set_global_default(subscriber);
        }
        Self { lines, clock, shows_attempts: !options.quiet }
    }

    /// Shows times by this clock from now on: the test clock may be ahead of the machine's.
    pub fn follow(&self, clock: Arc<LocalClock>) {
        // Only the first is followed; a process has one.
        let _ = self.clock.set(clock);
    }

    /// Whether attempts are shown, unless `RUST_LOG` says otherwise.
    pub fn shows_attempts(&self) -> bool {
        self.shows_attempts
    }

    /// Waits until what was logged is written.
    pub fn flush(&self) {
        self.lines.flush_all();
    }
}

/// Whether lines are coloured, by the conventions of <https://no-color.org> and <https://bixense.com/clicolors>.
fn is_coloured(is_terminal: bool, variable: impl Fn(&str) -> Option<String>) -> bool {
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    let is = |name: &str, value: &str| variable(name).as_deref() == Some(value);
    if is_set("NO_COLOR") {
        return false;
    }
    if is_set("CLICOLOR_FORCE") && !is("CLICOLOR_FORCE", "0") {
        return true;
    }
    is_terminal && !is("CLICOLOR", "0") && !is("TERM", "dumb")
}

/// Events as readable lines.
struct Readable {
    palette: Palette,
    clock: Arc<OnceLock<Arc<LocalClock>>>,
}

impl Readable {
    fn now(&self) -> DateTime<Utc> {
        self.clock.get().map_or_else(|| SystemClock.now(), |clock| clock.now())
    }
}

impl<S, N> FormatEvent<S, N> for Readable
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.0.remove("message").map(|value| value.to_string()).unwrap_or_default();
        let line =
            Line { at: self.now(), level: *event.metadata().level(), message: &message, fields: &fields.0 };
        writeln!(writer, "{}", line.render(&self.palette))
    }
}

/// An event's fields by their names.
#[derive(Default)]
struct Fields(BTreeMap<&'static str, Value>);

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name(), Value::Number(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0
            .insert(field.name(), i64::try_from(value).map_or(Value::Text(value.to_string()), Value::Number));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), Value::Text(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), Value::Text(format!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Write};
    use std::sync::Mutex;
    use tracing_subscriber::fmt::MakeWriter;

    #[test]
    fn colours_are_for_terminals_that_have_them() {
        for (is_terminal, set, expect) in [
            (true, &[][..], true),
            (false, &[], false),
            (true, &[("TERM", "xterm-256color")], true),
            (true, &[("TERM", "dumb")], false),
            (true, &[("NO_COLOR", "1")], false),
            (true, &[("NO_COLOR", "")], true),
            (true, &[("CLICOLOR", "0")], false),
            (true, &[("CLICOLOR", "1")], true),
            (false, &[("CLICOLOR_FORCE", "1")], true),
            (false, &[("CLICOLOR_FORCE", "0")], false),
            (true, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        ] {
            let variable = |name: &str| {
                let found = set.iter().find(|(set, _)| *set == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(is_coloured(is_terminal, variable), expect, "{is_terminal} {set:?}");
        }
    }

    #[test]
    fn the_format_goes_by_the_terminal_unless_it_is_chosen() {
        for (log, is_terminal, expect) in [
            (LogFormat::Auto, true, true),
            (LogFormat::Auto, false, false),
            (LogFormat::Pretty, false, true),
            (LogFormat::Json, true, false),
        ] {
            assert_eq!(LogOptions { log, quiet: false }.is_pretty(is_terminal), expect, "{log:?}");
        }
    }

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

    impl<'w> MakeWriter<'w> for Captured {
        type Writer = Self;
        fn make_writer(&'w self) -> Self {
            self.clone()
        }
    }

    /// What is shown of an attempt, a warning and something that only `RUST_LOG` asks for.
    fn shown(quiet: bool, rust_log: Option<&str>) -> Vec<String> {
        let options = LogOptions { log: LogFormat::Pretty, quiet };
        let captured = Captured::default();
        let clock: Arc<OnceLock<Arc<LocalClock>>> = Arc::default();
        let at = rules::time::parse("2030-01-31T09:30:00Z").unwrap();
        clock.set(Arc::new(LocalClock::frozen(at))).unwrap();
        let readable = Readable { palette: Palette::PLAIN, clock };
        let subscriber = tracing_subscriber::fmt().event_format(readable);
        let subscriber = subscriber.with_env_filter(options.filter(rust_log)).with_writer(captured.clone());
        tracing::subscriber::with_default(subscriber.finish(), || {
            tracing::info!(target: "shared::telemetry", id = "order-1", outcome = "SUCCESS", "attempt");
            tracing::warn!(text = "\u{1b}[2J", "odd\u{9b}message");
            tracing::debug!("detail");
        });
        let bytes = captured.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn attempts_are_shown_by_punctuals_clock_unless_it_is_quiet() {
        let lines = shown(false, None);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("09:30:00.000  ") && lines[0].contains("order-1"), "{lines:?}");
        assert!(lines[1].ends_with(r"WARN  odd\u{9b}message  text=\u{1b}[2J"), "{lines:?}");
        assert_eq!(shown(true, None).len(), 1);
        assert_eq!(shown(false, Some("")).len(), 2);
        assert_eq!(shown(true, Some("debug")).len(), 3);
        assert_eq!(shown(false, Some("error")).len(), 0);
    }
}
