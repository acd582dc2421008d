//! Spellings and the values they share.

use super::*;
use proptest::prelude::*;

fn number(text: &str) -> Decimal {
    text.parse().unwrap_or_else(|_| panic!("{text} is a number"))
}

#[test]
fn spellings_of_one_value_share_one_text() {
    for (canonical, spellings) in [
        ("0", vec!["0", "-0", "0.0", "-0e7", "0e-99999999999999999999", "0.000E+5"]),
        ("100", vec!["100", "100.0", "1e2", "1E2", "1e+2", "10.0e1", "0.1e3", "1000e-1", "100e-0"]),
        ("-1.1", vec!["-1.1", "-1.10", "-11e-1", "-0.11e1"]),
        ("0.00001", vec!["0.00001", "1e-5", "0.1E-4", "100e-7"]),
        ("1e-6", vec!["0.000001", "1e-6", "10e-7"]),
        ("1.25e-9", vec!["0.00000000125", "125e-11"]),
        (
            "20000000000000000001",
            vec!["20000000000000000001", "2000000000000000000.1e1", "200000000000000000010e-1"],
        ),
        ("20000000000000000000", vec!["2e19", "2e+19", "20000000000000000000.0"]),
        ("0.1000000000000000055", vec!["0.1000000000000000055", "1000000000000000055e-19"]),
        ("1e+65", vec!["1e65", "10e64", "0.1e66"]),
        ("1.5e+70", vec!["1.5e70", "15e+69"]),
        ("1e+999999999", vec!["1e999999999", "0.1e1000000000", "10e999999998"]),
        ("-1e-999999999", vec!["-1e-999999999", "-0.1e-999999998"]),
        ("1e+9223372036854775808", vec!["1e9223372036854775808", "10e9223372036854775807"]),
        ("1e-9223372036854775809", vec!["1e-9223372036854775809", "0.1e-9223372036854775808"]),
        (
            "1.2e+100000000000000000000000000000",
            vec!["0.0012e100000000000000000000000000003", "120e99999999999999999999999999998"],
        ),
    ] {
        for spelling in spellings {
            assert_eq!(number(spelling).canonical(), canonical, "{spelling}");
            assert_eq!(number(spelling), number(canonical), "{spelling}");
            assert_eq!(number(spelling).to_string(), spelling);
            assert_eq!(serde_json::to_string(&number(spelling)).unwrap(), spelling);
        }
    }
}

#[test]
fn values_that_differ_stay_apart() {
    for (one, other) in [
        ("20000000000000000001", "20000000000000000002"),
        ("20000000000000000001", "2e19"),
        ("0.1", "0.1000000000000000055"),
        ("1", "-1"),
        ("1e400", "1e401"),
        ("1e-400", "0"),
        ("1e99999999999999999999999", "1e99999999999999999999998"),
        ("9007199254740993", "9007199254740992"),
    ] {
        assert_ne!(number(one), number(other), "{one} {other}");
        assert_ne!(number(one).canonical(), number(other).canonical(), "{one} {other}");
    }
}

#[test]
fn what_is_no_json_number_is_refused() {
    for bad in [
        "", "-", "+1", "01", "-01", "00", ".5", "5.", "1.e2", "1e", "1e+", "1e1.5", "1e-", "e2", "1 ", " 1",
        "0x1", "1_0", "NaN", "Infinity", "--1", "1e+-2", "1.2.3", "١", "1e２", "\"1\"",
    ] {
        assert_eq!(bad.parse::<Decimal>().err(), Some(NotANumber), "{bad:?}");
        assert_eq!(canonical(bad), bad);
    }
}

#[test]
fn whole_numbers_and_ranges() {
    for (text, whole) in [
        ("3", Some(3)),
        ("3.0", Some(3)),
        ("30e-1", Some(3)),
        ("0e9", Some(0)),
        ("-0.0", Some(0)),
        ("18446744073709551615", Some(u64::MAX)),
        ("1.8446744073709551615e19", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("1e20", None),
        ("1e999999999999999999999", None),
        ("3.5", None),
        ("1e-999999999999999999999", None),
        ("-3", None),
    ] {
        assert_eq!(number(text).whole(), whole, "{text}");
    }
    for (text, inside) in [
        ("1", true),
        ("1.0000000000000000000000001", true),
        ("0.9999999999999999999999999", false),
        ("120", true),
        ("1.2e2", true),
        ("120.0000000000000000000001", false),
        ("1e3", false),
        ("-5", false),
    ] {
        assert_eq!(number(text).is_between(1, 120), inside, "{text}");
    }
    assert!(number("-0").is_between(0, 1));
}

#[test]
fn products_are_exact_and_rounded_up() {
    const DAY_MS: u64 = 86_400_000;
    for (text, factor, expect) in [
        ("1", DAY_MS, Some(DAY_MS)),
        ("0.5", DAY_MS, Some(DAY_MS / 2)),
        ("36525", DAY_MS, Some(36_525 * DAY_MS)),
        ("0.1000000000000000055", 10_u64.pow(19), Some(1_000_000_000_000_000_055)),
        ("1e-400", DAY_MS, Some(1)),
        ("1e-99999999999999999999", DAY_MS, Some(1)),
        ("0", DAY_MS, Some(0)),
        ("5", 0, Some(0)),
        ("18446744073709551615", 1, Some(u64::MAX)),
        ("18446744073709551614.5", 1, Some(u64::MAX)),
        ("18446744073709551615.5", 1, None),
        ("-1", DAY_MS, None),
        ("1e30", DAY_MS, None),
    ] {
        assert_eq!(number(text).times_rounded_up(factor), expect, "{text} * {factor}");
    }
}

#[test]
fn the_cost_is_bounded_by_the_text() {
    let long = "7".repeat(200_000);
    assert_eq!(number(&long).canonical().len(), 200_000);
    let exponent = format!("1e{long}");
    assert_eq!(number(&exponent).canonical().len(), exponent.len() + 1);
    assert!(number("1e999999999").canonical().len() < 20);
    assert_eq!(number(&format!("0.{}1", "0".repeat(100_000))).canonical(), "1e-100001");
}

proptest! {
    #[test]
    fn shifting_the_point_keeps_the_value(digits in "[1-9][0-9]{0,40}", exponent in -80_i64..80, places in 0_i64..40) {
        let plain = number(&format!("{digits}e{exponent}"));
        let zeros = "0".repeat(places as usize);
        prop_assert_eq!(&number(&format!("{digits}{zeros}e{}", exponent - places)), &plain);
        prop_assert_eq!(&number(&format!("0.{zeros}{digits}e{}", exponent + places + digits.len() as i64)), &plain);
        prop_assert_eq!(&number(&plain.canonical()), &plain);
        let next = format!("{digits}1e{}", exponent - 1);
        prop_assert_ne!(number(&next).canonical(), plain.canonical());
    }

    #[test]
    fn whole_numbers_are_read_as_they_are(whole in any::<u64>()) {
        prop_assert_eq!(number(&whole.to_string()).canonical(), whole.to_string());
        prop_assert_eq!(number(&format!("{whole}.000")).whole(), Some(whole));
    }

    #[test]
    fn floats_keep_the_text_that_is_stored_of_them(float in -1e15_f64..1e15) {
        // Hashes of bodies that were stored by earlier versions have fractions as serde_json writes floats.
        let written = serde_json::to_string(&float).unwrap();
        prop_assert_eq!(canonical(&written), written.trim_end_matches(".0").replace("-0", if float == 0.0 { "0" } else { "-0" }));
    }
}
