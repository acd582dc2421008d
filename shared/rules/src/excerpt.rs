//! The part of a receiver's answer that is kept in the history (SPEC §3).

/// Most bytes of an answer that are kept.
pub const EXCERPT_MAX_BYTES: usize = 1024;

/// One character in so many of an answer that says nothing of its type may be undecodable or a control:
/// text in another character set has such a few, what is binary has many.
const ODD_CHARS: usize = 8;

/// The first KiB of an answer as one line of text, after `redact` has taken out of it what may not be kept; `None` if there
/// is nothing to show or it is binary.
///
/// Text is what is declared to be text, or not declared and mostly is; never what has a NUL. What is
/// no UTF-8 becomes U+FFFD, white space becomes a space, other control characters are dropped.
///
/// `redact` gets the whole line, and its result is cut to [`EXCERPT_MAX_BYTES`] afterwards: what the cut
/// goes through would not be recognised any more.
pub fn excerpt(
    content_type: Option<&str>,
    body: &[u8],
    redact: impl FnOnce(&str) -> String,
) -> Option<String> {
    let declared = content_type.and_then(is_text);
    let head = &body[..body.len().min(EXCERPT_MAX_BYTES)];
    if declared == Some(false) || head.contains(&0) {
        return None;
    }
    if declared.is_none() {
        let text = decode(head);
        let is_odd = |c: &char| *c == char::REPLACEMENT_CHARACTER || c.is_control() && !c.is_whitespace();
        if text.chars().filter(is_odd).count() * ODD_CHARS > text.chars().count() {
            return None;
        }
    }
    let line: String = decode(body)
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control())
        .collect();
    let mut line = redact(line.trim());
    line.truncate(line.floor_char_boundary(EXCERPT_MAX_BYTES));
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// UTF-8, with U+FFFD for what is none. A character that the cut goes through is left out.
fn decode(head: &[u8]) -> String {
    let mut text = String::with_capacity(head.len());
    let mut chunks = head.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        text.push_str(chunk.valid());
        let broken_off = std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
        let cut = broken_off && chunks.peek().is_none();
        if !chunk.invalid().is_empty() && !cut {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

/// Whether a media type is one of text; `None` for what is no media type.
fn is_text(content_type: &str) -> Option<bool> {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (kind, name) = essence.split_once('/')?;
    let text = kind == "text"
        || name.ends_with("+json")
        || name.ends_with("+xml") && kind != "image"
        || kind == "application"
            && matches!(
                name,
                "json" | "xml" | "javascript" | "x-www-form-urlencoded" | "x-ndjson" | "yaml" | "graphql"
            );
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kept_and_binary_is_not() {
        for (content_type, body, expect) in [
            (Some("text/plain"), &b"no such song"[..], Some("no such song")),
            (None, b"no such song", Some("no such song")),
            (Some("application/json; charset=utf-8"), b"{\"a\":\n\t1}", Some("{\"a\":  1}")),
            (Some("application/problem+json"), b"{}", Some("{}")),
            (Some("Application/XML"), b"<a/>", Some("<a/>")),
            (Some(""), b"x", Some("x")),
            (Some("text/plain"), b"a\x1b[31mred\x07\x7f", Some("a[31mred")),
            (Some("text/plain"), b"", None),
            (Some("text/plain"), b" \r\n ", None),
            (Some("text/plain"), b"a\0b", None),
            (Some("text/plain; charset=iso-8859-1"), b"Stra\xdfe 1", Some("Stra\u{fffd}e 1")),
            (Some("text/html"), b"<p>\xfc\xfc\xfc</p>", Some("<p>\u{fffd}\u{fffd}\u{fffd}</p>")),
            (Some("application/json"), b"{\"n\":\"\xe9t\xe9\"}", Some("{\"n\":\"\u{fffd}t\u{fffd}\"}")),
            (Some("application/soap+xml"), b"<a>\xff</a>", Some("<a>\u{fffd}</a>")),
            (Some("application/x-www-form-urlencoded"), b"a=\xe4b", Some("a=\u{fffd}b")),
            (None, b"no such street: Stra\xdfe 1", Some("no such street: Stra\u{fffd}e 1")),
            (None, b"\x1b[31mno such song\x1b[0m", Some("[31mno such song[0m")),
            (None, b"ab\xc3c is cut nowhere", Some("ab\u{fffd}c is cut nowhere")),
            (None, b"\xff\xd8\xff\xe0\x10JFIF\x01\x01", None),
            (None, b"\x1f\x8b\x08\x08\xcb\x48\xcd\xc9\xc9\x57", None),
            (None, b"\x80\x81", None),
            (Some("image/png"), b"no such song", None),
            (Some("image/svg+xml"), b"<svg/>", None),
            (Some("image/png"), b"PNG", None),
            (Some("application/octet-stream"), b"abc", None),
            (None, b"\x89PNG\r\n", None),
            (None, b"half a character \xc3", Some("half a character")),
        ] {
            assert_eq!(
                excerpt(content_type, body, str::to_owned).as_deref(),
                expect,
                "{content_type:?} {body:?}"
            );
        }
    }

    #[test]
    fn the_cut_never_splits_a_character() {
        for lead in 0..3 {
            let body = format!("{}{}", "x".repeat(lead), "€".repeat(1000));
            let text = excerpt(None, body.as_bytes(), str::to_owned).unwrap();
            assert!(body.starts_with(&text), "{lead}");
            assert!((EXCERPT_MAX_BYTES - 2..=EXCERPT_MAX_BYTES).contains(&text.len()), "{lead}");
        }
    }
    #[test]
    fn what_is_redacted_is_taken_out_before_the_cut() {
        let body = format!("{}secret", "x".repeat(EXCERPT_MAX_BYTES - 3));
        let text = excerpt(None, body.as_bytes(), |line| line.replace("secret", "-")).unwrap();
        assert_eq!(text.len(), EXCERPT_MAX_BYTES - 2);
        // And after control characters are dropped, which would otherwise hide it.
        let text = excerpt(Some("text/plain"), b"a sec\x07ret", |line| line.replace("secret", "-"));
        assert_eq!(text.as_deref(), Some("a -"));
    }
}
