//! JSON numbers as exact decimals of any length (SPEC §2): read and compared by value, never through a binary float.
//!
//! `100`, `100.0` and `1e2` are one value, and so are `0` and `-0`. Memory and time are bounded by the length of the
//! text: an exponent is never written out, so `1e999999999` costs no more than its eleven characters.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;
use std::str::FromStr;

/// Most zeros that [`Decimal::canonical`] writes at the end of a whole number; with more it has an exponent.
const ZEROS_MAX: i64 = 64;
/// Most zeros that [`Decimal::canonical`] writes after the point of a number below 1; with more it has an exponent.
const LEADING_ZEROS_MAX: i64 = 4;
/// Most digits of a whole number that a `u64` holds.
const U64_DIGITS_MAX: i64 = 20;

/// A text is no JSON number (RFC 8259 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a JSON number, such as 100, -0.5 or 1e2")]
pub struct NotANumber;

/// A JSON number: shown as it was written, compared by its value.
#[derive(Debug, Clone)]
pub struct Decimal {
    text: String,
    value: Value,
}

/// ±`digits` × 10^`exponent`, in the one form that each value has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Value {
    /// False for zero.
    negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: String,
    /// A whole number of any length, without a `+` or leading zeros; `0` for zero.
    exponent: String,
}

impl Decimal {
    /// The number as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The one text that all spellings of this value share: a JSON number. Whole numbers have neither point nor
    /// exponent, unless they end in more than 64 zeros.
    pub fn canonical(&self) -> String {
        let Value { negative, digits, exponent } = &self.value;
        let sign = if *negative { "-" } else { "" };
        if digits.is_empty() {
            return "0".to_owned();
        }
        let length = digits.len() as i64;
        match exponent.parse::<i64>() {
            Ok(zeros @ 0..=ZEROS_MAX) => format!("{sign}{digits}{}", "0".repeat(zeros as usize)),
            Ok(exponent @ ..0) if exponent + length > 0 => {
                let (whole, fraction) = digits.split_at((exponent + length) as usize);
                format!("{sign}{whole}.{fraction}")
            }
            Ok(exponent @ ..0) if exponent + length >= -LEADING_ZEROS_MAX => {
                format!("{sign}0.{}{digits}", "0".repeat((-exponent - length) as usize))
            }
            _ => {
                let (first, rest) = digits.split_at(1);
                let point = if rest.is_empty() { "" } else { "." };
                let exponent = plus(exponent, length - 1);
                let plus = if exponent.starts_with('-') { "" } else { "+" };
                format!("{sign}{first}{point}{rest}e{plus}{exponent}")
            }
        }
    }

    /// The value as a whole number; `None` where it is none, or none that fits.
    pub fn whole(&self) -> Option<u64> {
        self.floor_times(1).filter(|(_, more)| !more).map(|(whole, _)| whole)
    }

    /// The smallest whole number that is no less than `factor` times the value; `None` for a negative value, or where
    /// it does not fit.
    pub fn times_rounded_up(&self, factor: u64) -> Option<u64> {
        let (whole, more) = self.floor_times(factor)?;
        whole.checked_add(u64::from(more))
    }

    /// Whether `from` ≤ value ≤ `to`.
    pub fn is_between(&self, from: u64, to: u64) -> bool {
        self.floor_times(1)
            .is_some_and(|(whole, more)| (from..=to).contains(&whole) && !(more && whole == to))
    }

    /// The largest whole number that is no more than `factor` times the value, and whether it is less. `None` for a
    /// negative value, or where it does not fit.
    fn floor_times(&self, factor: u64) -> Option<(u64, bool)> {
        let Value { negative, digits, exponent } = &self.value;
        if *negative {
            return None;
        }
        let product = times(digits, factor);
        if product.is_empty() {
            return Some((0, false));
        }
        match exponent.parse::<i64>() {
            Ok(zeros @ 0..=U64_DIGITS_MAX) => {
                Some((format!("{product}{}", "0".repeat(zeros as usize)).parse().ok()?, false))
            }
            Ok(0..) => None,
            Ok(exponent) => {
                let places = usize::try_from(exponent.unsigned_abs()).unwrap_or(usize::MAX);
                let (whole, fraction) = product.split_at(product.len().saturating_sub(places));
                let more = fraction.bytes().any(|digit| digit != b'0');
                Some((if whole.is_empty() { 0 } else { whole.parse().ok()? }, more))
            }
            Err(_) if exponent.starts_with('-') => Some((0, true)),
            Err(_) => None,
        }
    }
}

/// The canonical text of a JSON number (see [`Decimal::canonical`]); any other text as it is.
pub fn canonical(text: &str) -> String {
    text.parse::<Decimal>().map_or_else(|_| text.to_owned(), |number| number.canonical())
}

/// The product of decimal digits and `factor`, without leading zeros; empty for zero.
fn times(digits: &str, factor: u64) -> String {
    let mut product = Vec::with_capacity(digits.len() + U64_DIGITS_MAX as usize);
    let mut carry = 0_u128;
    for digit in digits.bytes().rev() {
        carry += u128::from(digit - b'0') * u128::from(factor);
        product.push(b'0' + (carry % 10) as u8);
        carry /= 10;
    }
    while carry > 0 {
        product.push(b'0' + (carry % 10) as u8);
        carry /= 10;
    }
    let significant = product.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
    product[..significant].iter().rev().map(|digit| char::from(*digit)).collect()
}

/// `number` + `shift`; both and the sum are whole numbers without a `+` or leading zeros.
fn plus(number: &str, shift: i64) -> String {
    if let Some(sum) = number.parse::<i64>().ok().and_then(|small| small.checked_add(shift)) {
        return sum.to_string();
    }
    // Of a number this long a shift, which is no more than the length of a text, never changes the sign.
    let (sign, magnitude) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let grows = sign.is_empty() == (shift >= 0);
    let mut rest = shift.unsigned_abs();
    let mut digits: Vec<u8> = magnitude.bytes().map(|digit| digit - b'0').collect();
    for digit in digits.iter_mut().rev() {
        let (own, other) = (u64::from(*digit), rest % 10);
        let (new, carry) = match grows {
            true => ((own + other) % 10, (own + other) / 10),
            false => ((own + 10 - other) % 10, u64::from(own < other)),
        };
        *digit = new as u8;
        rest = rest / 10 + carry;
    }
    if rest > 0 {
        digits.insert(0, rest as u8);
    }
    let digits: String = digits.iter().map(|digit| char::from(b'0' + digit)).collect();
    format!("{sign}{}", digits.trim_start_matches('0'))
}

impl FromStr for Decimal {
    type Err = NotANumber;
    fn from_str(text: &str) -> Result<Self, NotANumber> {
        let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return Err(NotANumber),
            Some((whole, fraction)) => (whole, fraction),
            None => (mantissa, ""),
        };
        let magnitude = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let whole_is_good = whole == "0" || !(whole.is_empty() || whole.starts_with('0'));
        if !whole_is_good || magnitude.is_empty() || ![whole, fraction, magnitude].into_iter().all(digits) {
            return Err(NotANumber);
        }
        let all = format!("{whole}{fraction}");
        let significant = all.trim_end_matches('0');
        let zeros = all.len() - significant.len();
        let digits = significant.trim_start_matches('0');
        let value = match digits {
            "" => Value { negative: false, digits: String::new(), exponent: "0".to_owned() },
            digits => {
                let magnitude = magnitude.trim_start_matches('0');
                let sign = if exponent.starts_with('-') && !magnitude.is_empty() { "-" } else { "" };
                let written = format!("{sign}{}", if magnitude.is_empty() { "0" } else { magnitude });
                let exponent = plus(&written, zeros as i64 - fraction.len() as i64);
                Value { negative, digits: digits.to_owned(), exponent }
            }
        };
        Ok(Self { text: text.to_owned(), value })
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for Decimal {}

impl std::hash::Hash for Decimal {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Decimal {
    /// Writes a JSON number, as it was written.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.text.clone()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
#[path = "number_tests.rs"]
mod tests;
