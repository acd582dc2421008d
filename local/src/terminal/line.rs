//! One event as one readable line. Nothing that comes from outside acts on the terminal.

use chrono::{DateTime, Utc};
use rules::shown::on_terminal;
use std::collections::BTreeMap;
use std::fmt;
use tracing::Level;

/// The message of the line that every attempt has.
const ATTEMPT: &str = "attempt";
/// The outcomes of attempts that succeeded.
const SUCCESSES: [&str; 2] = ["SUCCESS", "Sent"];
/// What the kinds of the log roller's batches begin with. A batch that is not acknowledged has no time of its own.
const ROLL: &str = "L:";
/// Widths that the columns have at least, so that most lines stand below each other.
const TENANT_WIDTH: usize = 12;
const ID_WIDTH: usize = 16;
const CALL_WIDTH: usize = 44;
const STATUS_WIDTH: usize = 3;

/// A field's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Number(i64),
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => f.write_str(text),
        }
    }
}

/// Escape sequences of the terminal, all of them empty where it has no colours.
#[derive(Debug)]
pub struct Palette {
    good: &'static str,
    retried: &'static str,
    bad: &'static str,
    bold: &'static str,
    dim: &'static str,
    end: &'static str,
}

impl Palette {
    /// Without colours.
    pub const PLAIN: Self = Self { good: "", retried: "", bad: "", bold: "", dim: "", end: "" };
    /// The terminal's own green, yellow and red, which its user has chosen to be readable.
    pub const COLOURED: Self = Self {
        good: "\x1b[32m",
        retried: "\x1b[33m",
        bad: "\x1b[31m",
        bold: "\x1b[1m",
        dim: "\x1b[2m",
        end: "\x1b[0m",
    };

    fn paint(&self, colour: &str, text: &str) -> String {
        format!("{colour}{text}{}", self.end)
    }
}

/// An event.
#[derive(Debug)]
pub struct Line<'a> {
    pub at: DateTime<Utc>,
    pub level: Level,
    pub message: &'a str,
    pub fields: &'a BTreeMap<&'static str, Value>,
}

impl Line<'_> {
    /// The line, without its end.
    pub fn render(&self, palette: &Palette) -> String {
        let at = palette.paint(palette.dim, &self.at.format("%H:%M:%S%.3f").to_string());
        let rest = if self.message == ATTEMPT { self.attempt(palette) } else { self.other(palette) };
        format!("{at}  {rest}")
    }

    /// Whose, which, what was called, what was answered, how long it took, how late it was, what follows.
    fn attempt(&self, palette: &Palette) -> String {
        let tenant = padded(&format!("{}/{}", self.text("company"), self.text("solution")), TENANT_WIDTH);
        let id = palette.paint(palette.bold, &padded(&self.text("id"), ID_WIDTH));
        let call = match (self.text("method"), self.text("url")) {
            // It did not come to a call: by which type or channel it would have.
            (_, url) if url.is_empty() => self.text("kind"),
            (method, url) => format!("{method} {url}"),
        };
        let (colour, next) = self.what_follows(palette);
        let status = palette.paint(colour, &padded(&self.status(), STATUS_WIDTH));
        let mut parts = vec![tenant, id, padded(&call, CALL_WIDTH), status];
        parts.extend(self.number("duration_ms").map(|millis| format!("{:>7}", in_time(millis))));
        parts.extend(self.number("lateness_ms").map(|millis| match millis {
            ..=-1 => format!("{} early", in_time(-millis)),
            _ => format!("{} late", in_time(millis)),
        }));
        parts.extend(self.number("attempt").filter(|n| *n > 1).map(|n| format!("attempt {n}")));
        parts.extend(next.map(|next| palette.paint(colour, &next)));
        parts.join("  ").trim_end().to_owned()
    }

    /// The receiver's status; or else, or where that is not what made it fail, the outcome in words.
    fn status(&self) -> String {
        let words = self.text("outcome").to_lowercase().replace('_', " ");
        match self.number("http_status") {
            Some(status) if self.is_success() || !(200..300).contains(&status) => status.to_string(),
            Some(status) => format!("{status} {words}"),
            None => words,
        }
    }

    fn is_success(&self) -> bool {
        SUCCESSES.contains(&self.text("outcome").as_str())
    }

    /// The colour of what came of an attempt, and what follows on one that failed.
    fn what_follows(&self, palette: &Palette) -> (&'static str, Option<String>) {
        if self.is_success() {
            return (palette.good, None);
        }
        match rules::time::parse(&self.text("retry_at")) {
            Ok(at) if at.date_naive() == self.at.date_naive() => {
                (palette.retried, Some(format!("again at {}", at.format("%H:%M:%S"))))
            }
            Ok(at) => (palette.retried, Some(format!("again at {}", at.format("%Y-%m-%d %H:%M:%S")))),
            Err(_) if self.text("kind").starts_with(ROLL) => {
                (palette.retried, Some("kept for the next round".to_owned()))
            }
            Err(_) => (palette.bad, Some("no attempt left".to_owned())),
        }
    }

    fn other(&self, palette: &Palette) -> String {
        let colour = match self.level {
            Level::ERROR => palette.bad,
            Level::WARN => palette.retried,
            _ => palette.dim,
        };
        let level = palette.paint(colour, &format!("{:<5}", self.level.as_str()));
        let mut line = format!("{level} {}", on_terminal(self.message));
        for (name, value) in self.fields {
            let name = palette.paint(palette.dim, &format!("{name}="));
            line.push_str(&format!("  {name}{}", on_terminal(&value.to_string())));
        }
        line
    }

    fn text(&self, name: &str) -> String {
        self.fields.get(name).map(|value| on_terminal(&value.to_string()).into_owned()).unwrap_or_default()
    }

    fn number(&self, name: &str) -> Option<i64> {
        match self.fields.get(name)? {
            Value::Number(number) => Some(*number),
            Value::Text(_) => None,
        }
    }
}

fn padded(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

/// Milliseconds in the unit that people would use.
fn in_time(millis: i64) -> String {
    match millis {
        ..10_000 => format!("{millis} ms"),
        10_000..600_000 => format!("{} s", millis / 1_000),
        600_000..36_000_000 => format!("{} min", millis / 60_000),
        36_000_000..864_000_000 => format!("{} h", millis / 3_600_000),
        _ => format!("{} days", millis / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt() -> BTreeMap<&'static str, Value> {
        let text = |text: &str| Value::Text(text.to_owned());
        BTreeMap::from([
            ("company", text("acme")),
            ("solution", text("shop")),
            ("id", text("order-42")),
            ("kind", text("A:notify")),
            ("run", Value::Number(0)),
            ("attempt", Value::Number(1)),
            ("outcome", text("SUCCESS")),
            ("http_status", Value::Number(204)),
            ("lateness_ms", Value::Number(3)),
            ("duration_ms", Value::Number(12)),
            ("method", text("POST")),
            ("url", text("http://127.0.0.1:9310/orders/42")),
        ])
    }

    fn rendered(changes: &[(&'static str, Option<Value>)]) -> String {
        let mut fields = attempt();
        for (name, value) in changes {
            match value {
                Some(value) => drop(fields.insert(name, value.clone())),
                None => drop(fields.remove(name)),
            }
        }
        let at = rules::time::parse("2030-01-31T09:30:00.25Z").unwrap();
        Line { at, level: Level::INFO, message: ATTEMPT, fields: &fields }.render(&Palette::PLAIN)
    }

    fn text(text: &str) -> Option<Value> {
        Some(Value::Text(text.to_owned()))
    }

    fn number(number: i64) -> Option<Value> {
        Some(Value::Number(number))
    }

    #[test]
    fn an_attempt_is_one_line_of_columns() {
        let head = "09:30:00.250  acme/shop     order-42          ";
        let call = "POST http://127.0.0.1:9310/orders/42          ";
        for (changes, expect) in [
            (&[][..], format!("{head}{call}204    12 ms  3 ms late")),
            (
                &[
                    ("outcome", text("FAILURE")),
                    ("http_status", number(503)),
                    ("retry_at", text("2030-01-31T09:30:30.000Z")),
                ],
                format!("{head}{call}503    12 ms  3 ms late  again at 09:30:30"),
            ),
            (
                &[
                    ("outcome", text("FAILURE")),
                    ("http_status", number(503)),
                    ("attempt", number(2)),
                    ("retry_at", text("2030-02-01T00:00:00.000Z")),
                ],
                format!("{head}{call}503    12 ms  3 ms late  attempt 2  again at 2030-02-01 00:00:00"),
            ),
            (
                &[
                    ("outcome", text("NO_CONNECTION")),
                    ("http_status", None),
                    ("attempt", number(3)),
                    ("duration_ms", number(30_000)),
                    ("lateness_ms", number(7_200_000)),
                ],
                format!("{head}{call}no connection     30 s  120 min late  attempt 3  no attempt left"),
            ),
            (
                &[
                    ("outcome", text("CONFIGURATION")),
                    ("http_status", None),
                    ("method", None),
                    ("url", None),
                    ("lateness_ms", number(-1)),
                ],
                format!("{head}{:<44}  configuration    12 ms  1 ms early  no attempt left", "A:notify"),
            ),
            (
                // A provider's answer that says no.
                &[("outcome", text("FAILURE")), ("http_status", number(200))],
                format!("{head}{call}200 failure    12 ms  3 ms late  no attempt left"),
            ),
            (
                &[("outcome", text("Sent")), ("http_status", number(200)), ("kind", text("R"))],
                format!("{head}{call}200    12 ms  3 ms late"),
            ),
            (
                &[
                    ("kind", text("L:success")),
                    ("outcome", text("FAILURE")),
                    ("http_status", number(500)),
                    ("lateness_ms", None),
                ],
                format!("{head}{call}500    12 ms  kept for the next round"),
            ),
        ] {
            assert_eq!(rendered(changes), expect);
        }
    }

    #[test]
    fn text_from_outside_does_not_act_on_the_terminal() {
        let odd = "x\u{1b}[2J\u{9b}1m\u{7}\r\n\u{202e}\u{7f}";
        for name in ["company", "solution", "id", "kind", "outcome", "method", "url", "retry_at"] {
            let url = if name == "kind" { None } else { text("http://h/") };
            let line = rendered(&[("url", url), ("http_status", None), (name, text(odd))]);
            assert!(!line.chars().any(rules::shown::acts_on_terminal), "{name}: {line:?}");
        }
        let fields = BTreeMap::from([("error", Value::Text(odd.to_owned()))]);
        let at = DateTime::UNIX_EPOCH;
        let line = Line { at, level: Level::ERROR, message: odd, fields: &fields }.render(&Palette::PLAIN);
        assert!(!line.chars().any(rules::shown::acts_on_terminal), "{line:?}");
        assert!(line.starts_with("00:00:00.000  ERROR x\\u{1b}[2J"), "{line:?}");
    }

    #[test]
    fn colours_tell_what_came_of_it_and_are_all_there_is_besides_text() {
        let fields = attempt();
        let at = DateTime::UNIX_EPOCH;
        let colour = |changes: &[(&'static str, Option<Value>)]| {
            let mut fields = fields.clone();
            fields.extend(changes.iter().map(|(name, value)| (*name, value.clone().unwrap())));
            let line = Line { at, level: Level::INFO, message: ATTEMPT, fields: &fields };
            let (coloured, plain) = (line.render(&Palette::COLOURED), line.render(&Palette::PLAIN));
            let mut stripped = coloured.clone();
            for code in ["0", "1", "2", "31", "32", "33"] {
                stripped = stripped.replace(&format!("\x1b[{code}m"), "");
            }
            assert_eq!(stripped, plain);
            ["32", "33", "31"].into_iter().find(|code| coloured.contains(&format!("\x1b[{code}m")))
        };
        assert_eq!(colour(&[]), Some("32"));
        assert_eq!(colour(&[("outcome", text("FAILURE"))]), Some("31"));
        let retried = [("outcome", text("TIMEOUT")), ("retry_at", text("2030-01-01T00:00:00Z"))];
        assert_eq!(colour(&retried), Some("33"));
    }
}
