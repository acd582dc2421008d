//! Query parameters, read as strictly as bodies are, and the cursors of lists.

use crate::ApiContext;
use crate::faults::Faults;
use crate::problem::Problem;
use crate::reminders::access::SECRET;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::Uri;
use rules::number::Decimal;
use rules::recipient::PhoneNumber;
use sha2::Sha256;
use shared::tenancy::{CursorSecret, PageRequest};
use std::fmt;
use std::str::FromStr;

/// Items of a page, if the caller does not say.
pub const LIMIT_DEFAULT: usize = 25;
/// Most items of a page.
pub const LIMIT_MAX: usize = 100;
/// Bytes of a cursor's seal: half of an HMAC-SHA256.
const SEAL_BYTES: usize = 16;
const LIMIT: &str = "limit";
const CURSOR: &str = "cursor";

/// The parameters of a query, taken one by one. What is left over is unknown: a fault each.
pub struct Query<'f> {
    parameters: Vec<(String, String)>,
    faults: &'f Faults,
}

impl<'f> Query<'f> {
    /// Reads the query of `uri`.
    pub fn read(uri: &Uri, faults: &'f Faults) -> Self {
        let query = uri.query().unwrap_or_default();
        let mut parameters: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()).into_owned() {
            match parameters.iter().any(|(other, _)| *other == name) {
                true => faults.add(format!("query:{name}"), "is given twice"),
                false => parameters.push((name, value)),
            }
        }
        Self { parameters, faults }
    }

    /// Whether a parameter is given and not taken yet.
    pub fn has(&self, name: &str) -> bool {
        self.parameters.iter().any(|(parameter, _)| parameter == name)
    }

    /// A parameter's text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let index = self.parameters.iter().position(|(parameter, _)| parameter == name)?;
        Some(self.parameters.remove(index).1)
    }

    /// A parameter that is the text of something.
    pub fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.text(name)?;
        self.faults.check(&format!("query:{name}"), text.parse())
    }

    /// An RFC 3339 time.
    pub fn time(&mut self, name: &str) -> Option<chrono::DateTime<chrono::Utc>> {
        let text = self.text(name)?;
        let text = with_plus(&text, |before| !before.is_empty());
        self.faults.check(&format!("query:{name}"), rules::time::parse(&text))
    }

    /// A phone number.
    pub fn phone_number(&mut self, name: &str) -> Option<PhoneNumber> {
        let text = self.text(name)?;
        self.faults.check(&format!("query:{name}"), with_plus(&text, str::is_empty).parse())
    }

    /// An object's id.
    pub fn object_id(&mut self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        // A `+` in a query means a space, and people write exponents as they are: no number has a space.
        let number = text.replace(' ', "+");
        Some(if number.parse::<Decimal>().is_ok() { number } else { text })
    }

    /// `limit`, and `cursor` as the list behind `scope` gave it.
    pub fn page(&mut self, scope: &Scope) -> PageRequest {
        let limit = match self.text(LIMIT) {
            None => LIMIT_DEFAULT,
            Some(text) => match text.parse() {
                Ok(limit @ 1..=LIMIT_MAX) => limit,
                _ => {
                    self.faults.add("query:limit", format!("must be a whole number from 1 to {LIMIT_MAX}"));
                    LIMIT_DEFAULT
                }
            },
        };
        let after = self.text(CURSOR).and_then(|cursor| {
            let opened = scope.open(&cursor);
            if opened.is_none() {
                self.faults.add("query:cursor", CURSOR_REFUSED);
            }
            opened
        });
        PageRequest { after, limit }
    }

    /// Names every parameter that nobody took.
    pub fn finish(self) {
        for (name, _) in &self.parameters {
            self.faults.add(format!("query:{name}"), "is no parameter of this");
        }
    }
}

/// `text` with a `+` for each space that can be none by what is before it. A `+` in a query means a space, and
/// people write offsets and country codes as they are.
fn with_plus(text: &str, can_be_none: impl Fn(&str) -> bool) -> String {
    let plus = |(at, char)| if char == ' ' && can_be_none(&text[..at]) { '+' } else { char };
    text.char_indices().map(plus).collect()
}

/// What is wrong with a cursor that does not open.
pub const CURSOR_REFUSED: &str = "must be a nextCursor that this list gave for the same query";

/// What a cursor is of use for: one tenant's one list with one filter. Keyed by the deployment's cursor secret, which
/// no caller knows and which has nothing to do with any key.
pub struct Scope(Hmac<Sha256>);

impl Scope {
    /// The list at the path of `uri`, with its query apart from `limit` and `cursor`, and from the
    /// secret that opens the path.
    ///
    /// # Errors
    /// The first one in a process reads the cursor secret.
    pub async fn of(context: &ApiContext, uri: &Uri) -> Result<Self, Problem> {
        let query = uri.query().unwrap_or_default();
        let mut parameters: Vec<_> = url::form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| name != LIMIT && name != CURSOR && name != SECRET)
            .collect();
        parameters.sort_unstable();
        let of_what = format!("{}\n{parameters:?}", uri.path());
        Ok(Self::keyed(context.tenancy.cursor_secret().await?, &of_what))
    }

    /// The list at `path` without a filter.
    ///
    /// # Errors
    /// As [`Scope::of`].
    pub async fn of_path(context: &ApiContext, path: &str) -> Result<Self, Problem> {
        Self::of(context, &path.parse().map_err(Problem::internal)?).await
    }

    /// The work described by the path of `uri` and `work`.
    pub fn of_body(secret: &CursorSecret, uri: &Uri, work: &str) -> Self {
        Self::keyed(secret, &format!("{}\n{work}", uri.path()))
    }

    fn keyed(secret: &CursorSecret, of_what: &str) -> Self {
        // The length tells where the scope ends and the cursor's content begins.
        let length = (of_what.len() as u64).to_be_bytes();
        let mac = Hmac::new_from_slice(secret.as_ref()).expect("a key of HMAC has any length");
        Self(mac.chain_update(length).chain_update(of_what))
    }

    /// A cursor for the caller: where to go on, sealed to this scope.
    pub fn seal(&self, inner: &str) -> String {
        let tag = self.0.clone().chain_update(inner).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode([&tag[..SEAL_BYTES], inner.as_bytes()].concat())
    }

    /// Where to go on; `None` for a cursor that was not sealed to this scope.
    pub fn open(&self, cursor: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (tag, inner) = bytes.split_at_checked(SEAL_BYTES)?;
        // Compares in constant time.
        self.0.clone().chain_update(inner).verify_truncated_left(tag).ok()?;
        String::from_utf8(inner.to_vec()).ok()
    }
}
