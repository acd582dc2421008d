//! Secrets that a call carries: whatever of a response is kept is stripped of them first (SPEC §11).
//!
//! Receivers repeat what they refuse: an error page that shows the request's headers would otherwise put a key
//! into histories, webhooks and rolled logs.

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue, PROXY_AUTHORIZATION};
use std::fmt;
use url::Url;
use zeroize::Zeroizing;

/// What stands for a secret in a text.
pub const REDACTED: &str = "[redacted]";
/// An encoded form shorter than this is found in any text, and reveals nothing.
const FORM_MIN_CHARS: usize = 6;
/// The same for a part of a secret, and for a value that is a secret by the name of its field alone.
const PART_MIN_CHARS: usize = 4;
/// Characters that are compared at most for one text: more are needed only by a text that was made to need them. What comes
/// after so many is left out.
const STEPS_MAX: usize = 1_000_000;

/// Words in the names of headers and of query parameters whose values are secrets.
const NAME_WORDS: [&str; 16] = [
    "key",
    "apikey",
    "accesskey",
    "secret",
    "token",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "pass",
    "credential",
    "cookie",
    "session",
    "sid",
    "jwt",
    "bearer",
];
/// A name with a word that begins like this is one too, such as `x-auth-user`; unless it is one of [`NO_AUTH`].
const AUTH: &str = "auth";
const NO_AUTH: [&str; 3] = ["author", "authors", "authority"];
/// Names that have such a word and hold no secret.
const PUBLIC_NAMES: [&str; 1] = ["idempotency-key"];

/// Values that no text that is kept may hold. Zeroized when dropped; its `Debug` shows how many there are.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(Vec<Zeroizing<String>>);

impl Secrets {
    /// Adds a value, and what may be repeated of it alone: the token without its scheme, the password of basic credentials,
    /// the bytes of a signing secret without their prefix.
    pub fn add(&mut self, value: &str) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        self.insert(value);
        if let Some((scheme, rest)) = value.split_once(' ') {
            self.add_part(rest);
            if scheme.eq_ignore_ascii_case("basic") {
                self.add_basic(rest.trim());
            }
        }
        if let Some(bytes) = value.strip_prefix(crate::signing::SECRET_PREFIX) {
            self.add_part(bytes);
        }
    }

    /// Adds what of a request is secret: values of headers that are marked as sensitive or named like credentials, which
    /// are marked as well, and values of the URL's query that are named so.
    pub(super) fn add_request(&mut self, headers: &mut [(HeaderName, HeaderValue)], url: &Url) {
        for (name, value) in headers {
            if !value.is_sensitive() && (value.len() < PART_MIN_CHARS || !is_secret(name.as_str())) {
                continue;
            }
            value.set_sensitive(true);
            let Ok(text) = std::str::from_utf8(value.as_bytes()) else { continue };
            self.add(text);
            if *name == COOKIE {
                let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
                pairs.for_each(|(_, value)| self.add_part(value));
            }
        }
        for (_, value) in url.query_pairs().filter(|(name, _)| is_secret(name)) {
            self.add_part(&value);
        }
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: &Self) {
        other.0.iter().for_each(|value| self.insert(value));
    }

    /// `text` without any of them, plain or as they are commonly encoded: escaped for JSON, URLs or HTML, in hexadecimal, in
    /// base64, also as a part of what is encoded. A text that was `cut` may end with the beginning of one.
    pub fn redact(&self, text: &str, cut: bool) -> String {
        self.redact_first(text, cut, usize::MAX)
    }

    /// The same, until the result has `enough` bytes.
    pub(super) fn redact_first(&self, text: &str, cut: bool, enough: usize) -> String {
        let forms: Vec<Form> = self.0.iter().flat_map(|value| forms(value)).collect();
        if forms.is_empty() {
            return text.to_owned();
        }
        let mut kept = String::with_capacity(text.len().min(enough));
        let (mut rest, mut steps) = (text, STEPS_MAX);
        while let Some(next) = rest.chars().next()
            && kept.len() < enough
        {
            let longest = forms.iter().filter_map(|form| found(rest, form, cut, &mut steps)).max();
            if steps == 0 {
                return kept + REDACTED;
            }
            match longest {
                Some(length) => {
                    kept.push_str(REDACTED);
                    rest = &rest[length..];
                }
                None => {
                    kept.push(next);
                    rest = &rest[next.len_utf8()..];
                }
            }
        }
        kept
    }

    fn insert(&mut self, value: &str) {
        if self.0.iter().all(|known| known.as_str() != value) {
            self.0.push(Zeroizing::new(value.to_owned()));
        }
    }

    fn add_part(&mut self, part: &str) {
        let part = part.trim();
        if part.chars().count() >= PART_MIN_CHARS {
            self.insert(part);
        }
    }

    fn add_basic(&mut self, encoded: &str) {
        let Ok(decoded) = STANDARD.decode(encoded).map(Zeroizing::new) else { return };
        let Ok(pair) = std::str::from_utf8(&decoded) else { return };
        self.add_part(pair);
        if let Some((_, password)) = pair.split_once(':') {
            self.add_part(password);
        }
    }
}

/// Whether what has this name, of a header or of a query parameter, is a secret. Rather too many than too few: what is taken
/// for one is missing from an excerpt, and what is not is in it.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    if PUBLIC_NAMES.contains(&name.as_str()) {
        return false;
    }
    if [AUTHORIZATION, PROXY_AUTHORIZATION].iter().any(|header| name == header.as_str()) {
        return true;
    }
    let is_known = |word: &str| {
        NAME_WORDS.iter().any(|known| word == *known || known.len() > 3 && word.ends_with(known))
    };
    name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        is_known(word)
            || word.strip_suffix('s').is_some_and(is_known)
            || word.starts_with(AUTH) && !NO_AUTH.contains(&word)
    })
}

/// One text to look for, character by character.
type Form = Zeroizing<Vec<char>>;

/// A value as it may stand in a text; escapes of its characters apart, which [`found`] knows.
fn forms(value: &str) -> Vec<Form> {
    let mut forms = vec![value.to_owned()];
    // As base64 of its own, and within the base64 of a longer text, where it may begin at any of three places.
    forms.extend([STANDARD, URL_SAFE, STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|engine| engine.encode(value)));
    for offset in 0..3 {
        let padded = Zeroizing::new([&[0; 2][..offset], value.as_bytes()].concat());
        let (from, to) = ((offset * 8).div_ceil(6), padded.len() * 8 / 6);
        let within = |engine: GeneralPurpose| engine.encode(&padded)[from..to].to_owned();
        forms.extend([STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(within));
    }
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    forms.extend([hex.to_uppercase(), hex]);
    forms.retain(|form| form == value || form.len() >= FORM_MIN_CHARS);
    forms.sort();
    forms.dedup();
    forms.into_iter().map(|form| Zeroizing::new(Zeroizing::new(form).chars().collect())).collect()
}

/// The length of `form` at the beginning of `text`, whatever its characters are escaped as. Of a text that was `cut`, a
/// beginning of the form at the text's end counts as well.
fn found(text: &str, form: &[char], cut: bool, steps: &mut usize) -> Option<usize> {
    // What is still to be tried: from which byte of the text, and from which character of the form.
    let mut open = vec![(0, 0)];
    while let Some((at, matched)) = open.pop() {
        let Some(c) = form.get(matched) else { return Some(at) };
        let rest = &text[at..];
        if cut && matched >= PART_MIN_CHARS && is_end(rest) {
            return Some(text.len());
        }
        *steps = steps.saturating_sub(1);
        if *steps == 0 {
            return None;
        }
        let spellings = [literal, backslashed, unicode_escaped, percent_encoded, entity];
        let lengths = spellings.iter().filter_map(|spelling| spelling(rest, *c));
        open.extend(lengths.map(|length| (at + length, matched + 1)));
    }
    None
}

/// Whether nothing is left, or an escape that was begun.
fn is_end(rest: &str) -> bool {
    const ESCAPE_MAX_BYTES: usize = 8;
    rest.is_empty() || rest.len() < ESCAPE_MAX_BYTES && rest.starts_with(['\\', '%', '&'])
}

/// The character itself. White space is any white space: an excerpt is one line.
fn literal(rest: &str, c: char) -> Option<usize> {
    let next = rest.chars().next()?;
    let same = next == c || c.is_whitespace() && (next.is_whitespace() || next == '+');
    same.then(|| next.len_utf8())
}

/// Behind backslashes, as JSON and programming languages write it; several of them where a text was escaped more than once.
fn backslashed(rest: &str, c: char) -> Option<usize> {
    let escaped = rest.trim_start_matches('\\');
    let slashes = rest.len() - escaped.len();
    let short = match c {
        '\\' => return (slashes > 1).then_some(slashes),
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        c if c.is_alphanumeric() => return None,
        c => c,
    };
    (slashes > 0 && escaped.starts_with(short)).then(|| slashes + short.len_utf8())
}

/// By its number: `\u00e9`, in two parts where one has no room for it, or `\xe9`.
fn unicode_escaped(rest: &str, c: char) -> Option<usize> {
    let mut units = [0; 2];
    let mut length = 0;
    for unit in c.encode_utf16(&mut units) {
        let rest = rest.get(length..)?;
        let escaped = rest.trim_start_matches('\\');
        if escaped.len() == rest.len() {
            return None;
        }
        let digits = match escaped.strip_prefix(['u', 'U']) {
            Some(digits) => digits.get(..4)?,
            None => escaped.strip_prefix('x')?.get(..2)?,
        };
        if u16::from_str_radix(digits, 16).ok()? != *unit {
            return None;
        }
        length += rest.len() - escaped.len() + 1 + digits.len();
    }
    Some(length)
}

/// As in a URL or a form.
fn percent_encoded(rest: &str, c: char) -> Option<usize> {
    let mut bytes = [0; 4];
    let mut length = 0;
    for byte in c.encode_utf8(&mut bytes).bytes() {
        let digits = rest.get(length..)?.strip_prefix('%')?.get(..2)?;
        if u8::from_str_radix(digits, 16).ok()? != byte {
            return None;
        }
        length += 3;
    }
    Some(length)
}

/// As in HTML.
fn entity(rest: &str, c: char) -> Option<usize> {
    const NAME_MAX_BYTES: usize = 8;
    let body = rest.strip_prefix('&')?;
    let end = body.bytes().take(NAME_MAX_BYTES + 1).position(|byte| byte == b';')?;
    let code = match &body[..end] {
        "amp" => u32::from('&'),
        "lt" => u32::from('<'),
        "gt" => u32::from('>'),
        "quot" => u32::from('"'),
        "apos" => u32::from('\''),
        name => match name.strip_prefix("#x").or_else(|| name.strip_prefix("#X")) {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => name.strip_prefix('#')?.parse().ok()?,
        },
    };
    (code == u32::from(c)).then_some(end + 2)
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}
