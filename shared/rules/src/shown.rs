//! Text from outside, as logs and terminals show it.

use std::borrow::Cow;
use url::Url;

/// Most characters of a URL that are shown.
pub const URL_SHOWN_MAX_CHARS: usize = 300;
/// What stands for what is left out.
const LEFT_OUT: &str = "…";

/// A called URL without what may be a secret: its path is shown, of its query the names alone, and neither user
/// information nor a fragment.
pub fn url(text: &str) -> String {
    let Ok(url) = Url::parse(text) else { return "(not a URL)".to_owned() };
    // Without an authority, as in `mailto:`, nothing tells the parts apart.
    let Some(host) = url.host_str() else { return format!("{}:{LEFT_OUT}", url.scheme()) };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let names = |query: &str| {
        let name = |part: &str| match part.split_once('=') {
            Some((name, _)) => format!("{name}={LEFT_OUT}"),
            None => LEFT_OUT.to_owned(),
        };
        format!("?{}", query.split('&').map(name).collect::<Vec<_>>().join("&"))
    };
    let query = url.query().map(names).unwrap_or_default();
    let shown = format!("{}://{host}{port}{}{query}", url.scheme(), url.path());
    match shown.char_indices().nth(URL_SHOWN_MAX_CHARS) {
        Some((cut, _)) => format!("{}{LEFT_OUT}", &shown[..cut]),
        None => shown,
    }
}

/// Whether a character may act on a terminal instead of being shown: control characters (C0, DEL, C1), marks that
/// turn the direction of the text around them, and line separators.
pub fn acts_on_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{2028}' | '\u{2029}')
}

/// `text` with an escape sequence in place of each character that [`acts_on_terminal`]: on a terminal it is one line
/// of text and nothing else.
pub fn on_terminal(text: &str) -> Cow<'_, str> {
    escaped(text, acts_on_terminal, |c, out| out.extend(c.escape_default()))
}

/// A JSON text, in which such characters can only be parts of strings, with JSON's escape sequence in place of each.
/// The ends of lines stay.
pub fn in_json(text: &str) -> Cow<'_, str> {
    let acts = |c: char| c != '\n' && acts_on_terminal(c);
    // All of them are of the Basic Multilingual Plane: four hexadecimal digits.
    escaped(text, acts, |c, out| out.push_str(&format!("\\u{:04x}", u32::from(c))))
}

fn escaped(text: &str, acts: impl Fn(char) -> bool, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(&acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if acts(c) { escape(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_may_be_a_secret() {
        for (text, expect) in [
            ("http://127.0.0.1:9310/orders/42", "http://127.0.0.1:9310/orders/42"),
            ("https://h.example", "https://h.example/"),
            ("https://h.example:443/a", "https://h.example/a"),
            ("https://h.example/a?key=s3cret&b=2", "https://h.example/a?key=…&b=…"),
            ("https://h.example/a?s3cret", "https://h.example/a?…"),
            ("https://h.example/a?", "https://h.example/a?…"),
            ("https://user:s3cret@h.example/a#s3cret", "https://h.example/a"),
            ("http://[::1]:80/", "http://[::1]/"),
            ("mailto:s3cret@h.example", "mailto:…"),
            ("http://", "(not a URL)"),
            ("s3cret", "(not a URL)"),
            ("http://h.example/\u{1b}[2J\u{9b}\u{202e}", "http://h.example/%1B[2J%C2%9B%E2%80%AE"),
        ] {
            assert_eq!(url(text), expect, "{text}");
        }
        let long = url(&format!("http://h.example/{}", "é".repeat(2_000)));
        assert_eq!(long.chars().count(), URL_SHOWN_MAX_CHARS + 1);
    }

    #[test]
    fn what_acts_on_a_terminal_is_escaped() {
        for (text, terminal, json) in [
            ("order-42 é 漢 👩‍👩‍👧", "order-42 é 漢 👩‍👩‍👧", "order-42 é 漢 👩‍👩‍👧"),
            ("\u{1b}[31m", "\\u{1b}[31m", "\\u001b[31m"),
            ("\u{9b}31m", "\\u{9b}31m", "\\u009b31m"),
            ("\u{7f}\u{7}\0", "\\u{7f}\\u{7}\\u{0}", "\\u007f\\u0007\\u0000"),
            ("a\nb\r\tc", "a\\nb\\r\\tc", "a\nb\\u000d\\u0009c"),
            ("\u{202e}gpj.exe", "\\u{202e}gpj.exe", "\\u202egpj.exe"),
            ("\u{2066}\u{61c}\u{200f}", "\\u{2066}\\u{61c}\\u{200f}", "\\u2066\\u061c\\u200f"),
            ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}", "\\u2028\\u2029"),
            ("\u{90}\u{9d}0;title\u{9c}", "\\u{90}\\u{9d}0;title\\u{9c}", "\\u0090\\u009d0;title\\u009c"),
        ] {
            assert_eq!(on_terminal(text), terminal);
            assert_eq!(in_json(text), json);
        }
    }

    #[test]
    fn escaped_json_means_the_same() {
        let value = serde_json::json!({ "text": "a\u{7f}\u{85}\u{9b}\u{202e}\u{2028}\n" });
        let text = format!("{value}\n");
        let escaped = in_json(&text);
        assert!(escaped.is_ascii() && escaped.ends_with("}\n"), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }
}
