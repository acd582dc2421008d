//! JSON texts: made up, and made of an acceptable one by changes that people and their tools make.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

/// JSON as it is written: names may come twice, and scalars are any text.
#[derive(Debug, Clone)]
pub enum Written {
    /// A scalar's text, or what somebody takes for one.
    Scalar(String),
    List(Vec<Written>),
    Object(Vec<(String, Written)>),
}

impl Written {
    fn of(value: &Value) -> Self {
        match value {
            Value::Array(items) => Written::List(items.iter().map(Written::of).collect()),
            Value::Object(members) => Written::Object(
                members.iter().map(|(name, value)| (name.clone(), Written::of(value))).collect(),
            ),
            scalar => Written::Scalar(scalar.to_string()),
        }
    }

    fn text(&self) -> String {
        match self {
            Written::Scalar(text) => text.clone(),
            Written::List(items) => {
                format!("[{}]", items.iter().map(Written::text).collect::<Vec<_>>().join(","))
            }
            Written::Object(members) => {
                let member = |(name, value): &(String, Written)| {
                    format!("{}:{}", Value::from(name.as_str()), value.text())
                };
                format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
            }
        }
    }

    /// The value at `at` of all that are nested in this one, itself among them.
    fn pick(&mut self, at: Index) -> &mut Written {
        let count = self.count();
        let mut left = at.index(count);
        self.nth(&mut left).expect("it has so many")
    }

    fn count(&self) -> usize {
        1 + match self {
            Written::Scalar(_) => 0,
            Written::List(items) => items.iter().map(Written::count).sum(),
            Written::Object(members) => members.iter().map(|(_, value)| value.count()).sum(),
        }
    }

    fn nth(&mut self, left: &mut usize) -> Option<&mut Written> {
        if *left == 0 {
            return Some(self);
        }
        *left -= 1;
        match self {
            Written::Scalar(_) => None,
            Written::List(items) => items.iter_mut().find_map(|item| item.nth(left)),
            Written::Object(members) => members.iter_mut().find_map(|(_, value)| value.nth(left)),
        }
    }
}

/// One change.
#[derive(Debug, Clone)]
enum Change {
    Replace(Index, Written),
    Add(Index, String, Written),
    Double(Index, Index),
    Remove(Index, Index),
    Wrap(Index, usize),
    Cut(Index),
    Insert(Index, char),
}

/// Texts that are hard to take.
pub fn odd_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => select(vec![
            "", " ", "null", "..", "a/b", "a#b", "\u{0}", "\u{feff}x", "\u{202e}x", "ﬀ", "İ", "e\u{301}", "👩‍👩‍👧", "{a}",
            "{", "}", "%", "%00", "%2e%2e", "http://", "https://[::1", "http://h/{a", "http://{h}/", "9999-12-31T23:59:60Z",
            "+10000-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z", "2026-02-30T00:00:00Z", "* * * * *", "*/0 * * * *",
            "0 0 31 2 *", "60 * * * *", "Europe/Berlin", "Mars/Olympus", "batch", "READY", "COMPLETED", "whsec_", "~", "-1",
        ]).prop_map(str::to_owned),
        2 => any::<String>(),
        1 => "[A-Za-z0-9_.:@-]{1,140}",
        1 => (1_usize..3_000).prop_map(|count| "x".repeat(count)),
    ]
}

fn scalar() -> impl Strategy<Value = Written> {
    prop_oneof![
        3 => odd_text().prop_map(|text| Written::Scalar(Value::from(text).to_string())),
        2 => select(vec![
            "null", "true", "false", "0", "-0", "1", "-1", "0.5", "3.0", "1e2", "1e308", "-1e308", "1e400", "4294967296",
            "9007199254740993", "18446744073709551616", "-9223372036854775809", "123456789012345678901234567890",
            "0.1e-400", "\"\\u0000\"", "\"\\ud800\"", "\"\\udc00\\ud800\"", "NaN", "01", "+1", ".5", "\"", "'x'", "{}", "[]",
        ]).prop_map(|text| Written::Scalar(text.to_owned())),
        1 => any::<i64>().prop_map(|number| Written::Scalar(number.to_string())),
        1 => any::<f64>().prop_map(|number| Written::Scalar(format!("{number:e}"))),
    ]
}

fn value() -> impl Strategy<Value = Written> {
    scalar().prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Written::List),
            vec((odd_text(), inner), 0..4).prop_map(Written::Object),
        ]
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (any::<Index>(), value()).prop_map(|(at, value)| Change::Replace(at, value)),
        2 => (any::<Index>(), odd_text(), value()).prop_map(|(at, name, value)| Change::Add(at, name, value)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(at, which)| Change::Double(at, which)),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(at, which)| Change::Remove(at, which)),
        1 => (any::<Index>(), select(vec![1, 30, 130, 20_000])).prop_map(|(at, deep)| Change::Wrap(at, deep)),
        1 => any::<Index>().prop_map(Change::Cut),
        1 => (any::<Index>(), any::<char>()).prop_map(|(at, c)| Change::Insert(at, c)),
    ]
}

/// Texts near `body`, and a few that have nothing to do with it.
pub fn near(body: &Value) -> impl Strategy<Value = String> + use<> {
    let body = Written::of(body);
    prop_oneof![
        9 => vec(change(), 0..4).prop_map(move |changes| changed(body.clone(), &changes)),
        1 => value().prop_map(|value| value.text()),
    ]
}

fn changed(mut body: Written, changes: &[Change]) -> String {
    let mut spoilt: Vec<&Change> = Vec::new();
    for change in changes {
        match change {
            Change::Replace(at, value) => *body.pick(*at) = value.clone(),
            Change::Add(at, name, value) => match body.pick(*at) {
                Written::Object(members) => members.push((name.clone(), value.clone())),
                Written::List(items) => items.push(value.clone()),
                Written::Scalar(_) => {}
            },
            Change::Double(at, which) => match body.pick(*at) {
                Written::Object(members) if !members.is_empty() => members.push(which.get(members).clone()),
                Written::List(items) if !items.is_empty() => items.push(which.get(items).clone()),
                _ => {}
            },
            Change::Remove(at, which) => match body.pick(*at) {
                Written::Object(members) if !members.is_empty() => {
                    drop(members.remove(which.index(members.len())))
                }
                Written::List(items) if !items.is_empty() => drop(items.remove(which.index(items.len()))),
                _ => {}
            },
            Change::Wrap(at, deep) => {
                let inner = body.pick(*at);
                let text = format!("{}{}{}", "[".repeat(*deep), inner.text(), "]".repeat(*deep));
                *inner = Written::Scalar(text);
            }
            change => spoilt.push(change),
        }
    }
    let mut text: Vec<char> = body.text().chars().collect();
    for change in spoilt {
        match change {
            Change::Cut(at) => text.truncate(at.index(text.len() + 1)),
            Change::Insert(at, c) => text.insert(at.index(text.len() + 1), *c),
            _ => {}
        }
    }
    text.into_iter().collect()
}
