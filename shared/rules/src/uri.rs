//! URIs that are called: fixed ones, and patterns with placeholders (SPEC §3).
//!
//! A pattern is an absolute http(s) URL with `{Field}` or `{a.b}` in its path
//! or query. A value fills one path segment or one query value, a number as it
//! is written in the parameter, and cannot do more: what is not unreserved in RFC 3986 is percent-encoded, and a value
//! that would leave a path segment empty, or make it `.` or `..` (which URL
//! parsers resolve, percent-encoded or not), is refused.

use crate::field::{FieldError, FieldPath, FieldPathError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt;
use std::str::FromStr;
use url::Url;

/// Most bytes of a pattern or a fixed URI as it is written.
pub const URI_MAX_BYTES: usize = 2048;
/// Most bytes of a pattern whose placeholders are filled.
pub const EXPANDED_MAX_BYTES: usize = 8192;
/// Most placeholders of a pattern.
pub const PLACEHOLDERS_MAX: usize = 32;

/// Everything but the unreserved characters of RFC 3986 §2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a text is no URI that can be called. Each is ready to be shown to the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Not `http://…` or `https://…`.
    #[error("must be an absolute http or https URL, such as https://api.example.com/items/1")]
    NotHttp,
    /// Nothing a URL parser takes.
    #[error("is not a valid URL: {0}")]
    Invalid(String),
    /// Longer than [`URI_MAX_BYTES`].
    #[error("must be at most {URI_MAX_BYTES} bytes long")]
    TooLong,
    /// White space, a control character or a backslash.
    #[error("must not contain white space, control characters or backslashes")]
    Character,
    /// `user:password@`.
    #[error("must not contain a user name or password; use a header")]
    UserInfo,
    /// `#…`, which is never sent.
    #[error("must not contain a fragment (#…): it is never sent")]
    Fragment,
    /// A placeholder before the path.
    #[error("placeholders are allowed in the path and the query only, not in scheme, host or port")]
    PlaceholderInAuthority,
    /// A placeholder where nothing fills it.
    #[error("must not contain `{{` or `}}`: placeholders are not filled here")]
    PlaceholderInFixed,
    /// A brace without its other half.
    #[error("`{{` and `}}` must come in pairs around the name of a field")]
    Braces,
    /// More than [`PLACEHOLDERS_MAX`].
    #[error("must contain at most {PLACEHOLDERS_MAX} placeholders")]
    TooManyPlaceholders,
    /// What is between the braces is no field path.
    #[error("placeholder `{{{text}}}`: {error}")]
    Placeholder {
        /// What is between the braces.
        text: String,
        /// Why it is no field path.
        error: FieldPathError,
    },
}

/// Why a parameter does not fill a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {reason}")]
pub struct ExpandError {
    /// The placeholder's field.
    pub field: FieldPath,
    /// What is wrong with its value; reads as a sentence after the field's name.
    pub reason: ExpandReason,
}

/// What is wrong with the value of a placeholder's field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExpandReason {
    /// Missing, or no string, number or boolean.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// It would leave a path segment empty.
    #[error("must not be empty, since it is a whole segment of the URI's path")]
    EmptySegment,
    /// It would make a path segment `.` or `..`.
    #[error("must not make a segment of the URI's path \".\" or \"..\"")]
    DotSegment,
    /// The URI grew beyond [`EXPANDED_MAX_BYTES`].
    #[error("makes the URI longer than {EXPANDED_MAX_BYTES} bytes")]
    TooLong,
}

/// Checks a URI without placeholders: a `uri` of an activity, a `successUri` and the like.
///
/// Which address it leads to is judged when it is called, never here: names change their addresses.
///
/// # Errors
/// [`UriError`], ready to be shown to the caller.
pub fn fixed(text: &str) -> Result<(), UriError> {
    if text.contains(['{', '}']) {
        return Err(UriError::PlaceholderInFixed);
    }
    split(text)?;
    valid(text)
}

/// A URI with placeholders, checked when it is made.
#[derive(Clone, PartialEq, Eq)]
pub struct UriPattern {
    text: String,
    /// Scheme and authority: everything before the path.
    base: String,
    /// What is between the slashes of the path; empty if there is no path.
    segments: Vec<Pieces>,
    query: Option<Pieces>,
}

type Pieces = Vec<Piece>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Field(FieldPath),
}

impl UriPattern {
    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The fields of the placeholders, in order; one that stands twice comes twice.
    pub fn fields(&self) -> impl Iterator<Item = &FieldPath> {
        self.segments.iter().chain(&self.query).flatten().filter_map(Piece::field)
    }

    /// Fills every placeholder from the parameter, which is JSON text.
    ///
    /// # Errors
    /// [`ExpandError`] names the first field whose value does not fit.
    pub fn expand(&self, parameter: &str) -> Result<String, ExpandError> {
        let mut uri = self.base.clone();
        for segment in &self.segments {
            uri.push('/');
            let start = uri.len();
            fill(&mut uri, segment, parameter)?;
            if let Some(field) = segment.iter().find_map(Piece::field) {
                let reason = match &uri[start..] {
                    "" => ExpandReason::EmptySegment,
                    text if is_dot_segment(text) => ExpandReason::DotSegment,
                    _ => continue,
                };
                return Err(ExpandError { field: field.clone(), reason });
            }
        }
        if let Some(query) = &self.query {
            uri.push('?');
            fill(&mut uri, query, parameter)?;
        }
        Ok(uri)
    }
}

impl Piece {
    fn field(&self) -> Option<&FieldPath> {
        match self {
            Piece::Field(field) => Some(field),
            Piece::Literal(_) => None,
        }
    }
}

fn fill(uri: &mut String, pieces: &[Piece], parameter: &str) -> Result<(), ExpandError> {
    for piece in pieces {
        match piece {
            Piece::Literal(text) => uri.push_str(text),
            Piece::Field(field) => {
                let fail = |reason| ExpandError { field: field.clone(), reason };
                let value = field.scalar(parameter).map_err(|error| fail(error.into()))?;
                uri.extend(utf8_percent_encode(value.as_str(), RESERVED));
                if uri.len() > EXPANDED_MAX_BYTES {
                    return Err(fail(ExpandReason::TooLong));
                }
            }
        }
    }
    Ok(())
}

/// What the URL standard calls a single-dot or double-dot path segment.
fn is_dot_segment(text: &str) -> bool {
    matches!(text.replace("%2e", ".").replace("%2E", ".").as_str(), "." | "..")
}

impl FromStr for UriPattern {
    type Err = UriError;
    fn from_str(text: &str) -> Result<Self, UriError> {
        let (base, rest) = split(text)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let pattern = Self {
            text: text.to_owned(),
            base: base.to_owned(),
            segments: path.split('/').skip(1).map(pieces).collect::<Result<_, _>>()?,
            query: query.map(pieces).transpose()?,
        };
        if pattern.fields().count() > PLACEHOLDERS_MAX {
            return Err(UriError::TooManyPlaceholders);
        }
        // With its placeholders filled by something harmless it has to be a URL.
        let filled: String = [pattern.base.as_str()]
            .into_iter()
            .chain(pattern.segments.iter().flat_map(|segment| std::iter::once("/").chain(samples(segment))))
            .chain(pattern.query.iter().flat_map(|query| std::iter::once("?").chain(samples(query))))
            .collect();
        valid(&filled)?;
        Ok(pattern)
    }
}

fn samples(pieces: &[Piece]) -> impl Iterator<Item = &str> {
    pieces.iter().map(|piece| match piece {
        Piece::Literal(text) => text.as_str(),
        Piece::Field(_) => "x",
    })
}

/// Splits at the braces: every other part is a placeholder.
fn pieces(text: &str) -> Result<Pieces, UriError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once('{') {
        push_literal(&mut pieces, literal)?;
        let (name, after) = after.split_once('}').ok_or(UriError::Braces)?;
        let field = name.parse().map_err(|error| UriError::Placeholder { text: name.to_owned(), error })?;
        pieces.push(Piece::Field(field));
        rest = after;
    }
    push_literal(&mut pieces, rest)?;
    Ok(pieces)
}

fn push_literal(pieces: &mut Pieces, text: &str) -> Result<(), UriError> {
    if text.contains('}') {
        return Err(UriError::Braces);
    }
    if text.contains(char::is_whitespace) {
        return Err(UriError::Character);
    }
    if !text.is_empty() {
        pieces.push(Piece::Literal(text.to_owned()));
    }
    Ok(())
}

/// Splits into scheme with authority, and path with query; refuses what URL parsers would read in
/// another way than it looks (a backslash as a slash, a tab as nothing).
fn split(text: &str) -> Result<(&str, &str), UriError> {
    if text.len() > URI_MAX_BYTES {
        return Err(UriError::TooLong);
    }
    if text.contains(|c: char| c.is_control() || c == '\\') {
        return Err(UriError::Character);
    }
    if text.contains('#') {
        return Err(UriError::Fragment);
    }
    let (scheme, after) = text.split_once("://").ok_or(UriError::NotHttp)?;
    if scheme.contains(['{', '}']) {
        return Err(UriError::PlaceholderInAuthority);
    }
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(UriError::NotHttp);
    }
    let end = after.find(['/', '?']).unwrap_or(after.len());
    let authority = &after[..end];
    if authority.contains(['{', '}']) {
        return Err(UriError::PlaceholderInAuthority);
    }
    if authority.contains('@') {
        return Err(UriError::UserInfo);
    }
    if authority.is_empty() {
        return Err(UriError::Invalid("no host".to_owned()));
    }
    if authority.contains(char::is_whitespace) {
        return Err(UriError::Character);
    }
    Ok(text.split_at(text.len() - after.len() + end))
}

/// Whether a URL parser takes what [`split`] let through.
fn valid(text: &str) -> Result<(), UriError> {
    if text.contains(char::is_whitespace) {
        return Err(UriError::Character);
    }
    let url = Url::parse(text).map_err(|error| UriError::Invalid(error.to_string()))?;
    if url.port() == Some(0) {
        return Err(UriError::Invalid("port 0".to_owned()));
    }
    Ok(())
}

impl fmt::Display for UriPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for UriPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl serde::Serialize for UriPattern {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> serde::Deserialize<'de> for UriPattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
#[path = "uri_tests.rs"]
mod tests;
