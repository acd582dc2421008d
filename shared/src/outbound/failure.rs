//! Why a call got no answer, in words for the one who reads the history.

use super::guard::NameRefused;
use hyper_util::client::legacy::Error as ClientError;
use std::error::Error;
use std::io;
use std::time::Duration;

/// Most characters of a library's own words that are passed on.
const DETAIL_MAX_CHARS: usize = 160;

/// Why a call got no answer. The texts hold nothing that the caller did not give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The answer was not complete in time.
    #[error("timed out after {}", in_seconds(*.0))]
    Timeout(Duration),
    /// The address, or one of the host's, is not allowed.
    #[error("{0}")]
    Refused(String),
    /// No connection.
    #[error("{0}")]
    Connect(String),
    /// A connection, but no complete and well-formed answer.
    #[error("{0}")]
    Protocol(String),
    /// Nothing that can be called.
    #[error("{0}")]
    BadUrl(String),
}

impl SendError {
    /// The outcome in one word, for the history and the metrics.
    pub fn outcome(&self) -> &'static str {
        match self {
            SendError::Timeout(_) => "TIMEOUT",
            SendError::Refused(_) => "ADDRESS_REFUSED",
            SendError::Connect(_) => "NO_CONNECTION",
            SendError::Protocol(_) => "NO_ANSWER",
            SendError::BadUrl(_) => "BAD_URL",
        }
    }
}

fn in_seconds(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{} s", time.as_secs()),
        _ => format!("{} ms", time.as_millis()),
    }
}

/// What an error of the client means; `is_secure` says whether TLS was asked for.
pub(super) fn of(error: &ClientError, is_secure: bool) -> SendError {
    if let Some(refused) = causes(error).find_map(|cause| cause.downcast_ref::<NameRefused>()) {
        return match refused {
            NameRefused::Address { .. } => SendError::Refused(refused.to_string()),
            NameRefused::Unresolved(_) => SendError::Connect(refused.to_string()),
        };
    }
    if !error.is_connect() {
        return of_body(error);
    }
    let unknown = || match is_secure {
        true => format!("no secure connection: {}", innermost(error)),
        false => format!("no connection: {}", innermost(error)),
    };
    SendError::Connect(causes(error).find_map(known).map_or_else(unknown, str::to_owned))
}

/// What an error on an open connection means.
pub(super) fn of_body(error: &(dyn Error + 'static)) -> SendError {
    SendError::Protocol(causes(error).find_map(known).map_or_else(|| innermost(error), str::to_owned))
}

/// Whether the connection ended and nothing of a response came. (One whose head had begun cannot be told apart.)
pub(super) fn is_hang_up(error: &ClientError) -> bool {
    let ended = |cause: &(dyn Error + 'static)| {
        let of_hyper =
            |error: &hyper::Error| error.is_incomplete_message() || error.is_canceled() || error.is_closed();
        cause.is::<io::Error>()
            || cause.downcast_ref().is_some_and(of_hyper)
            || cause.downcast_ref().is_some_and(|error: &h2::Error| error.is_io() || error.is_go_away())
    };
    !error.is_connect() && causes(error).any(ended)
}

/// Whether the receiver says that it has done nothing with the request, which may go out again whatever it asks for (RFC 9113,
/// 8.7): its HTTP/2 connection had more calls than it takes at a time, and the client could not know that yet.
pub(super) fn is_refused_stream(error: &ClientError) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<h2::Error>())
        .any(|error| error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// Plain words for what commonly happens.
fn known(cause: &(dyn Error + 'static)) -> Option<&'static str> {
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return match error.kind() {
            io::ErrorKind::ConnectionRefused => Some("connection refused"),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Some("connection reset"),
            io::ErrorKind::ConnectionAborted => Some("connection aborted"),
            io::ErrorKind::HostUnreachable => Some("host unreachable"),
            io::ErrorKind::NetworkUnreachable => Some("network unreachable"),
            io::ErrorKind::TimedOut => Some("connection timed out"),
            io::ErrorKind::UnexpectedEof => Some("connection closed before the answer was complete"),
            _ => None,
        };
    }
    let error = cause.downcast_ref::<hyper::Error>()?;
    if error.is_parse_too_large() {
        Some("answer with headers that are too large")
    } else if error.is_parse() {
        Some("answer is not HTTP")
    } else if error.is_incomplete_message() {
        Some("connection closed before the answer was complete")
    } else {
        None
    }
}

/// The words of the cause behind all others, which are the ones that say something.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let text = causes(error).last().map(ToString::to_string).unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(DETAIL_MAX_CHARS).collect()
}

/// An error and what caused it, outermost first.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &(dyn Error + 'static) = *error;
        // An I/O error passes over the error it wraps: its source is that one's source.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}
