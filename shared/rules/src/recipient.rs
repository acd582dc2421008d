//! Whom a reminder is for: telephone numbers that are spelled differently and are one (SPEC §6).
//!
//! | `countryCode` | `phoneNumber` | national | full |
//! | --- | --- | --- | --- |
//! | `55`, `+55` | `11977776666`, `(11) 97777-6666`, `+55 11 97777 6666` | `11977776666` | `5511977776666` |
//! | `55` | `5511977776666` | `5511977776666` | `555511977776666` ¹ |
//! | `55` | `+1 202 555 0147` | `12025550147` ² | `12025550147` |
//!
//! Two recipients are one if their full numbers are. ¹ Only a leading `+` says that the country code is
//! repeated: 55 is also an area code of Brazil. ² With another country's code after the `+`, the number is
//! complete as it is.

use std::str::FromStr;

/// Most digits of a country code (SPEC §6).
pub const COUNTRY_CODE_DIGITS_MAX: usize = 4;
/// Most digits of a full number (ITU-T E.164).
pub const DIGITS_MAX: usize = 15;
/// Most characters of a phone number, its separators included.
pub const PHONE_NUMBER_CHARS_MAX: usize = 32;
/// What may stand between the digits of a phone number.
const SEPARATORS: [char; 5] = [' ', '-', '.', '(', ')'];

/// Why a text is no country code or phone number, ready to be shown to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// Not 1 to 4 digits.
    #[error("must be 1 to {COUNTRY_CODE_DIGITS_MAX} digits, with or without a leading +")]
    CountryCode,
    /// Other characters, or no digit.
    #[error("must be digits, with spaces, -, ., ( and ) between them and, if at all, a leading +")]
    PhoneNumber,
    /// Nothing but the country code.
    #[error("has no digits after the country code")]
    CountryCodeAlone,
    /// Longer than any telephone number.
    #[error("must have at most {DIGITS_MAX} digits, those of the country code included")]
    TooLong,
}

/// A recipient: the digits by which recipients are compared. Two are equal if they are one.
#[derive(Debug, Clone)]
pub struct Recipient {
    national: String,
    full: String,
}

impl PartialEq for Recipient {
    fn eq(&self, other: &Self) -> bool {
        self.full == other.full
    }
}

impl Eq for Recipient {}

impl Recipient {
    /// The recipient that a country code and a phone number name.
    ///
    /// # Errors
    /// [`RecipientError`]. [`RecipientError::CountryCode`] is about the country code, the others are about
    /// the phone number.
    pub fn parse(country_code: &str, phone_number: &str) -> Result<Self, RecipientError> {
        let country = country_code_digits(country_code)?;
        let number = PhoneNumber::from_str(phone_number)?;
        let recipient = Self::of(country, number);
        match (recipient.national.len(), recipient.full.len()) {
            (0, _) => Err(RecipientError::CountryCodeAlone),
            (_, digits) if digits > DIGITS_MAX => Err(RecipientError::TooLong),
            _ => Ok(recipient),
        }
    }

    /// The recipient of a stored reminder. What was accepted before there were rules for it, and follows
    /// none of them, compares as it is written.
    pub fn stored(country_code: &str, phone_number: &str) -> Self {
        Self::parse(country_code, phone_number).unwrap_or_else(|_| Self {
            national: phone_number.to_owned(),
            full: format!("{country_code} {phone_number}"),
        })
    }

    fn of(country: &str, number: PhoneNumber) -> Self {
        let PhoneNumber { digits, is_international, .. } = number;
        if !is_international {
            return Self { full: format!("{country}{digits}"), national: digits };
        }
        let national = digits.strip_prefix(country).unwrap_or(&digits).to_owned();
        Self { national, full: digits }
    }

    /// The digits without the country code.
    pub fn national(&self) -> &str {
        &self.national
    }

    /// The digits with the country code: the same for all spellings of one recipient.
    pub fn full(&self) -> &str {
        &self.full
    }

    /// Every [`Recipient::national`] under which a reminder of this recipient may be stored.
    pub fn stored_as(&self) -> Vec<String> {
        stored_as(&self.full, &format!("+{}", self.full))
    }
}

/// A phone number as somebody who looks for one writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneNumber {
    text: String,
    digits: String,
    is_international: bool,
}

impl PhoneNumber {
    /// Whether it is the number of `recipient`: with a leading `+` the full one, without it the national or
    /// the full one.
    pub fn is_of(&self, recipient: &Recipient) -> bool {
        self.digits == recipient.full || (!self.is_international && self.digits == recipient.national)
    }

    /// Every [`Recipient::national`] under which a reminder to this number may be stored.
    pub fn stored_as(&self) -> Vec<String> {
        stored_as(&self.digits, &self.text)
    }
}

impl FromStr for PhoneNumber {
    type Err = RecipientError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix('+');
        let is_international = rest.is_some();
        let mut digits = String::with_capacity(text.len());
        for char in rest.unwrap_or(text).chars() {
            match char {
                '0'..='9' => digits.push(char),
                char if SEPARATORS.contains(&char) => {}
                _ => return Err(RecipientError::PhoneNumber),
            }
        }
        if digits.is_empty() {
            return Err(RecipientError::PhoneNumber);
        }
        if digits.len() > DIGITS_MAX {
            return Err(RecipientError::TooLong);
        }
        Ok(Self { text: text.to_owned(), digits, is_international })
    }
}

/// The digits of a country code.
///
/// # Errors
/// [`RecipientError::CountryCode`].
pub fn country_code_digits(text: &str) -> Result<&str, RecipientError> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let is_code = (1..=COUNTRY_CODE_DIGITS_MAX).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_code { Ok(digits) } else { Err(RecipientError::CountryCode) }
}

/// `digits`, what is left of them without a country code of each length, and `text`: numbers that were stored
/// before recipients were compared by their digits stand as they were written.
fn stored_as(digits: &str, text: &str) -> Vec<String> {
    let without = |country| digits.get(country..).filter(|national| !national.is_empty());
    let mut numbers: Vec<String> =
        (0..=COUNTRY_CODE_DIGITS_MAX).filter_map(without).map(str::to_owned).collect();
    if !numbers.iter().any(|number| number == text) {
        numbers.push(text.to_owned());
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(country_code: &str, phone_number: &str) -> Result<(String, String), RecipientError> {
        let recipient = Recipient::parse(country_code, phone_number)?;
        Ok((recipient.national().to_owned(), recipient.full().to_owned()))
    }

    #[test]
    fn spellings_of_one_recipient_are_one() {
        for (country_code, phone_number) in [
            ("55", "11977776666"),
            ("+55", "11977776666"),
            ("55", "(11) 97777-6666"),
            ("55", "11.97777.6666"),
            ("+55", "+55 11 97777 6666"),
            ("55", "+5511977776666"),
            ("55", "+55 (11) 97777-6666"),
            ("5", "511977776666"),
            ("5511", "977776666"),
        ] {
            let found = Recipient::parse(country_code, phone_number).unwrap();
            assert_eq!(found.full(), "5511977776666", "{country_code} / {phone_number}");
            assert_eq!(found, Recipient::parse("55", "11977776666").unwrap());
        }
        let is = |national: &str, full: &str| Ok((national.to_owned(), full.to_owned()));
        // Without a `+` a country code is not taken away: 55 is also an area code of Brazil.
        assert_eq!(digits("55", "5532311234"), is("5532311234", "555532311234"));
        assert_eq!(digits("55", "+1 202 555 0147"), is("12025550147", "12025550147"));
        assert_eq!(Recipient::parse("55", "+1 202 555 0147"), Recipient::parse("1", "(202) 555-0147"));
        assert_ne!(Recipient::parse("55", "11977776666"), Recipient::parse("55", "11977776667"));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        use RecipientError::{CountryCode, CountryCodeAlone, PhoneNumber, TooLong};
        for country_code in ["", "+", "12345", "5a", "++55", "55+", " 55", "55 ", "５５", "-55", "٥٥"] {
            assert_eq!(digits(country_code, "1"), Err(CountryCode), "{country_code}");
        }
        for phone_number in [
            "", "abc", "+", "-", "( )", "11x", "11+22", "(+55) 11", " +55 11", "１１", "11/22", "1\n2",
            "1\u{a0}2",
        ] {
            assert_eq!(digits("55", phone_number), Err(PhoneNumber), "{phone_number:?}");
        }
        assert_eq!(digits("55", "+55"), Err(CountryCodeAlone));
        assert_eq!(digits("55", "+55 ()"), Err(CountryCodeAlone));
        assert_eq!(digits("55", "1234567890123").map(|(_, full)| full.len()), Ok(15));
        assert_eq!(digits("55", "12345678901234"), Err(TooLong));
        assert_eq!(digits("1", "+1234567890123456"), Err(TooLong));
        assert_eq!(digits("1242", "5").map(|(_, full)| full), Ok("12425".to_owned()));
    }

    #[test]
    fn what_was_stored_before_there_were_rules_compares_as_it_is_written() {
        let abc = Recipient::stored("55", "abc");
        assert_eq!(abc, Recipient::stored("55", "abc"));
        assert_ne!(abc, Recipient::stored("5", "abc"));
        assert_eq!(Recipient::stored("+55", "+55 11"), Recipient::stored("55", "11"));
    }

    #[test]
    fn a_number_is_found_by_each_of_its_spellings() {
        let of = |country_code, phone_number| Recipient::parse(country_code, phone_number).unwrap();
        for (searched, recipient, expect) in [
            ("+5511977776666", of("55", "(11) 97777-6666"), true),
            ("+55 (11) 97777-6666", of("+55", "+55 11 97777 6666"), true),
            ("5511977776666", of("55", "11977776666"), true),
            ("11 97777-6666", of("55", "+55 11 97777 6666"), true),
            ("+1 202 555 0147", of("55", "+1 202 555 0147"), true),
            ("+11977776666", of("55", "11977776666"), false),
            ("1977776666", of("55", "11977776666"), false),
            ("+5511977776667", of("55", "11977776666"), false),
        ] {
            let number: PhoneNumber = searched.parse().unwrap();
            assert_eq!(number.is_of(&recipient), expect, "{searched} for {recipient:?}");
            let is_indexed = number.stored_as().iter().any(|number| number == recipient.national());
            assert!(is_indexed || !expect, "{searched} is looked for where {recipient:?} is");
        }
        assert_eq!(of("55", "11").stored_as(), ["5511", "511", "11", "1", "+5511"]);
        let as_written: PhoneNumber = "(11) 9".parse().unwrap();
        assert_eq!(as_written.stored_as(), ["119", "19", "9", "(11) 9"]);
    }
}
