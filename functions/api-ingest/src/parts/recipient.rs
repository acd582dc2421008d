//! The members `countryCode` and `phoneNumber` of reminders and erasures.

use crate::http::{Doc, doc};
use rules::recipient::PHONE_NUMBER_CHARS_MAX;

/// What a country code means, with how it is written.
pub fn country_code(text: &'static str) -> Doc {
    doc(text).with("pattern", r"^\+?[0-9]{1,4}$")
}

/// What a phone number means, with how it is written.
pub fn phone_number(text: &'static str) -> Doc {
    let doc = doc(text).with("maxLength", PHONE_NUMBER_CHARS_MAX);
    doc.with("pattern", r"^\+?[ .()-]*[0-9][0-9 .()-]*$")
}
