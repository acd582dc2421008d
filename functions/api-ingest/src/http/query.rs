//! Query parameters, read as strictly as bodies are.

use super::cursor::{CURSOR, CURSOR_REFUSED, LIMIT, Scope};
use super::faults::Faults;
use super::problem::Problem;
use chrono::{DateTime, Utc};
use http::Uri;
use rules::number::Decimal;
use rules::recipient::PhoneNumber;
use shared::tenancy::PageRequest;
use std::fmt;
use std::str::FromStr;

/// Items of a page, if the caller does not say.
pub const LIMIT_DEFAULT: usize = 25;
/// Most items of a page.
pub const LIMIT_MAX: usize = 100;

/// The parameters of a query, taken one by one. What is left over is unknown: a fault each.
pub struct Query<'f> {
    parameters: Vec<(String, String)>,
    faults: &'f Faults,
}

/// Reads the query of `uri` with `read`, which names the faults it finds; what it does not take is unknown and named too.
///
/// # Errors
/// 400 with every fault.
pub fn read<T>(uri: &Uri, read: impl FnOnce(&mut Query<'_>) -> Option<T>) -> Result<T, Problem> {
    let faults = Faults::default();
    let mut query = Query::of(uri, &faults);
    let value = read(&mut query);
    query.finish();
    faults.finish(value)
}

impl<'f> Query<'f> {
    fn of(uri: &Uri, faults: &'f Faults) -> Self {
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
    pub fn time(&mut self, name: &str) -> Option<DateTime<Utc>> {
        let text = self.text(name)?;
        let text = with_plus(&text, |before| !before.is_empty());
        self.faults.check(&format!("query:{name}"), rules::time::parse(&text))
    }

    /// The instants `from` and `to`.
    pub fn span(&mut self) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let (from, to) = (self.time("from"), self.time("to"));
        if let (Some(from), Some(to)) = (from, to)
            && to < from
        {
            self.fault("to", "must not be before from");
        }
        (from, to)
    }

    /// A number of items: at least one, and at most `max`; `default` if it is not given.
    pub fn count(&mut self, name: &str, max: usize, default: usize) -> usize {
        match self.text(name).map(|text| text.parse()) {
            None => default,
            Some(Ok(count)) if (1..=max).contains(&count) => count,
            Some(_) => {
                self.fault(name, format!("must be a whole number from 1 to {max}"));
                default
            }
        }
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
        let limit = self.count(LIMIT, LIMIT_MAX, LIMIT_DEFAULT);
        let after = self.text(CURSOR).and_then(|cursor| {
            let opened = scope.open(&cursor);
            if opened.is_none() {
                self.fault(CURSOR, CURSOR_REFUSED);
            }
            opened
        });
        PageRequest { after, limit }
    }

    /// Adds a fault of a parameter.
    pub fn fault(&self, name: &str, detail: impl Into<String>) {
        self.faults.add(format!("query:{name}"), detail);
    }

    /// Names every parameter that nobody took.
    fn finish(self) {
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
