//! The part of a receiver's answer that is kept in the history (SPEC §3).

/// Most bytes of an answer that are kept.
pub const EXCERPT_MAX_BYTES: usize = 1024;

/// The first KiB of an answer as one line of text; `None` if there is nothing to show or it is binary.
///
/// Text is what is valid UTF-8 without NUL and is not declared to be something else (an image, say).
/// White space becomes a space; other control characters are dropped.
pub fn excerpt(content_type: Option<&str>, body: &[u8]) -> Option<String> {
    if content_type.is_some_and(|declared| !is_text(declared)) {
        return None;
    }
    let head = &body[..body.len().min(EXCERPT_MAX_BYTES)];
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character that the cut goes through (or a body that was cut) is left out.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return None,
    };
    if text.contains('\0') {
        return None;
    }
    let line: String =
        text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !c.is_control()).collect();
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// Whether a media type is one of text.
fn is_text(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let Some((kind, name)) = essence.split_once('/') else {
        return true;
    };
    kind == "text"
        || name.ends_with("+json")
        || name.ends_with("+xml") && kind != "image"
        || kind == "application"
            && matches!(
                name,
                "json" | "xml" | "javascript" | "x-www-form-urlencoded" | "x-ndjson" | "yaml" | "graphql"
            )
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
            (Some("text/plain; charset=iso-8859-1"), b"Stra\xdfe 1", None),
            (Some("image/svg+xml"), b"<svg/>", None),
            (Some("image/png"), b"PNG", None),
            (Some("application/octet-stream"), b"abc", None),
            (None, b"\x89PNG\r\n", None),
            (None, b"half a character \xc3", Some("half a character")),
        ] {
            assert_eq!(excerpt(content_type, body).as_deref(), expect, "{content_type:?} {body:?}");
        }
    }

    #[test]
    fn the_cut_never_splits_a_character() {
        for lead in 0..3 {
            let body = format!("{}{}", "x".repeat(lead), "€".repeat(1000));
            let text = excerpt(None, body.as_bytes()).unwrap();
            assert!(body.starts_with(&text), "{lead}");
            assert!((EXCERPT_MAX_BYTES - 2..=EXCERPT_MAX_BYTES).contains(&text.len()), "{lead}");
        }
    }
}
