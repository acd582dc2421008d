//! No form of a secret stays in a text that is kept.

use super::secrets::{REDACTED, Secrets};
use super::*;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

fn secrets(values: &[&str]) -> Secrets {
    let mut secrets = Secrets::default();
    values.iter().for_each(|value| secrets.add(value));
    secrets
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_common_encoding_is_recognised() {
    let secret = "s3cret/\"k\\e&y%25\"=é +";
    for form in [
        secret.to_owned(),
        // JSON, PHP's JSON, JSON in JSON, and escapes of everything that need not be escaped.
        r#"s3cret/\"k\\e&y%25\"=é +"#.to_owned(),
        r#"s3cret\/\"k\\e&y%25\"=\u00e9 +"#.to_owned(),
        r#"s3cret/\\\"k\\\\e&y%25\\\"=é +"#.to_owned(),
        r#"s3cret/\u0022k\u005ce\u0026y%25\u0022\u003d\u00E9\u0020\u002b"#.to_owned(),
        r#"s3cret/\x22k\\e&y%25\x22=\u00e9 +"#.to_owned(),
        // URLs and forms, in either case.
        "s3cret%2F%22k%5Ce%26y%2525%22%3D%C3%A9%20%2B".to_owned(),
        "s3cret%2f%22k%5ce%26y%2525%22%3d%c3%a9+%2b".to_owned(),
        "s3cret/%22k%5Ce&y%2525%22=%C3%A9%20+".to_owned(),
        // HTML.
        "s3cret/&quot;k\\e&amp;y%25&quot;=é +".to_owned(),
        "s3cret/&#34;k\\e&#38;y%25&#x22;=&#xE9; +".to_owned(),
        // Whole encodings, and those escaped again.
        STANDARD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        STANDARD.encode(secret).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"),
        STANDARD.encode(secret).replace('/', "\\/"),
        hex(secret),
        hex(secret).to_uppercase(),
    ] {
        let text = secrets(&[secret]).redact(&format!("no such key: {form}, {form}!"), false);
        assert_eq!(text, "no such key: [redacted], [redacted]!", "{form}");
    }
    for user in ["", "u", "us", "use", "user:"] {
        let encoded = STANDARD.encode(format!("{user}{secret}"));
        let text = secrets(&[secret]).redact(&format!("Basic {encoded}"), false);
        assert!(text.contains(REDACTED), "{user}: {text}");
    }
    assert_eq!(
        secrets(&[secret]).redact("nothing of it, s3cret/ apart", false),
        "nothing of it, s3cret/ apart"
    );
    assert_eq!(secrets(&[]).redact("nothing", false), "nothing");
}

#[test]
fn parts_that_are_repeated_alone_are_secrets_too() {
    let basic = format!("Basic {}", STANDARD.encode("user:pass word"));
    for (value, text, expect) in [
        ("Bearer abc.def", "bad token abc.def", "bad token [redacted]"),
        ("Bearer abc.def", "got 'Bearer abc.def'", "got '[redacted]'"),
        (basic.as_str(), "no user user:pass word", "no user [redacted]"),
        (&basic, "password pass word is wrong", "password [redacted] is wrong"),
        ("whsec_QUJDREVGRw==", "key QUJDREVGRw== does not match", "key [redacted] does not match"),
        ("whsec_QUJDREVGRw==", "secret whsec_QUJDREVGRw==", "secret [redacted]"),
        ("Key 1", "1 of 1", "1 of 1"),
        ("x", "a box", "a bo[redacted]"),
    ] {
        assert_eq!(secrets(&[value]).redact(text, false), expect, "{value}");
    }
}

#[test]
fn a_text_that_was_cut_may_end_within_a_secret() {
    let all = secrets(&["s3cret/\"key\""]);
    for (text, expect) in [
        ("key: s3cr", "key: [redacted]"),
        ("key: s3cret\\", "key: [redacted]"),
        ("key: s3cret%2", "key: [redacted]"),
        ("key: s3cret/&quo", "key: [redacted]"),
        ("key: s3c", "key: s3c"),
        ("key: s3cr, and more", "key: s3cr, and more"),
    ] {
        assert_eq!(all.redact(text, true), expect, "{text}");
        assert_eq!(all.redact(text, false), text);
    }
}

#[test]
fn a_text_made_to_be_slow_is_compared_in_bounded_time() {
    // Each `%25` is one character or three: two to the power of 2,000 ways to read it.
    let secret = format!("{}!", "%25".repeat(2_000));
    let text = "%2525".repeat(13_000);
    let redacted = secrets(&[&secret]).redact_first(&text, true, 1_024);
    assert!(redacted.len() <= 1_024 && redacted.ends_with(REDACTED), "{redacted}");
}

#[test]
fn the_request_says_which_of_its_values_are_secrets() {
    for (name, is_secret) in [
        ("authorization", true),
        ("proxy-authorization", true),
        ("x-api-key", true),
        ("x-apikey", true),
        ("apikey", true),
        ("api_key", true),
        ("ocp-apim-subscription-key", true),
        ("x-auth-token", true),
        ("x-authentication", true),
        ("private-token", true),
        ("x-accesstoken", true),
        ("x-shared-secret", true),
        ("x-user-password", true),
        ("cookie", true),
        ("x-session-id", true),
        ("x-credentials", true),
        ("x-tenant", false),
        ("accept", false),
        ("x-author", false),
        ("x-monkey", false),
        ("idempotency-key", false),
    ] {
        let mut found = Secrets::default();
        let mut headers = [(HeaderName::try_from(name).unwrap(), HeaderValue::from_static("value-1"))];
        found.add_request(&mut headers, &Url::parse("http://receiver.example/").unwrap());
        assert_eq!(found.redact("value-1", false) == REDACTED, is_secret, "{name}");
        assert_eq!(headers[0].1.is_sensitive(), is_secret, "{name}: neither logged nor indexed");
    }
    let mut found = Secrets::default();
    let mut sensitive = HeaderValue::from_static("k1");
    sensitive.set_sensitive(true);
    let mut headers = [
        (HeaderName::from_static("x-tenant"), sensitive),
        (HeaderName::from_static("x-key"), HeaderValue::from_static("on")),
        (http::header::COOKIE, HeaderValue::from_static("sid=abcdef; theme=dark-blue")),
    ];
    let url = Url::parse("http://receiver.example/?q=query&access_token=t%2Fken").unwrap();
    found.add_request(&mut headers, &url);
    let text = "k1 on abcdef dark-blue query t/ken t%2Fken";
    assert_eq!(found.redact(text, false), "[redacted] on [redacted] [redacted] query [redacted] [redacted]");
}

#[test]
fn debug_shows_no_secrets() {
    assert_eq!(format!("{:?}", secrets(&["hush", "Bearer hush-hush"])), "Secrets(3)");
}
