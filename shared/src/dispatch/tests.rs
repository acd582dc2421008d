//! What holds for every provider, and how answers are read.

use super::*;
use crate::entropy::OsEntropy;
use crate::outbound::BodyEnd;
use http::{HeaderMap, StatusCode};

fn ended(status: u16, body: &str, end: BodyEnd) -> Answer {
    let status = StatusCode::from_u16(status).unwrap();
    Answer::new(status, &HeaderMap::new(), Bytes::from(body.to_owned()), end)
}

fn answer(status: u16, body: &str) -> Answer {
    ended(status, body, BodyEnd::Complete)
}

#[test]
fn definitions_are_consistent() {
    let codes: Vec<&str> = PROVIDERS.iter().map(|provider| provider.code()).collect();
    assert!(codes.is_sorted() && codes.windows(2).all(|pair| pair[0] != pair[1]), "{codes:?}");
    for one in PROVIDERS {
        let code = one.code();
        assert!(code.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'), "{code}");
        assert_eq!(provider(code).map(|found| found.name()), Some(one.name()));
        assert!(!one.channels().is_empty(), "{code}");
        for channel in one.channels() {
            let same = one.channels().iter().filter(|other| other.channel == channel.channel);
            assert_eq!(same.count(), 1, "{code} {}", channel.channel);
            for fields in [channel.credentials, channel.settings] {
                for (index, field) in fields.iter().enumerate() {
                    assert!(!field.key.is_empty() && !field.label.is_empty(), "{code} {}", field.key);
                    assert!(!fields[..index].iter().any(|other| other.key == field.key), "{code}");
                }
            }
            let text = |field: &Field| matches!(field.field_type, FieldType::Text | FieldType::HeaderText);
            assert!(channel.credentials.iter().all(text), "{code}: credentials are text");
        }
    }
    assert!(provider("FAX").is_none());
}

#[test]
fn an_answer_has_an_id_or_is_a_failure_that_says_so() {
    for (body, expect) in [
        (r#"{"providerActivityId": "p1", "id": "x"}"#, "p1"),
        (r#"{"id": "x"}"#, "x"),
        (r#"{"id": 42}"#, "42"),
        ("\u{feff}{\"id\": \"x\"}", "x"),
        (r#"{"providerActivityId": null, "id": " x "}"#, "x"),
        (r#"{"providerActivityId": "", "id": "x"}"#, "x"),
    ] {
        assert_eq!(provider_activity_id(&answer(201, body)).as_deref(), Ok(expect), "{body}");
    }
    for body in ["", "ok", "[]", "null", "{}", r#"{"id": null}"#, r#"{"id": {}}"#, r#"{"id": true}"#] {
        let error = provider_activity_id(&answer(200, body)).unwrap_err().to_string();
        assert!(error.contains("neither providerActivityId nor id"), "{body}: {error}");
    }
    let long = format!(r#"{{"id": "{}"}}"#, "x".repeat(PROVIDER_ACTIVITY_ID_MAX_BYTES + 1));
    assert!(matches!(provider_activity_id(&answer(200, &long)), Err(Refused::Answer(_))));
    for status in [199, 302, 400, 500] {
        let found = provider_activity_id(&answer(status, r#"{"id": "x"}"#));
        assert_eq!(found, Err(Refused::Status(status)));
    }
}

#[test]
fn an_answer_that_broke_off_has_its_id_or_says_that_it_broke_off() {
    let broken = || BodyEnd::BrokenOff("connection reset".to_owned());
    for whole in [r#"{"id": "x"}"#, "{\"id\": \"x\"}\r\n"] {
        assert_eq!(provider_activity_id(&ended(200, whole, broken())).as_deref(), Ok("x"), "{whole}");
    }
    for cut in ["", r#"{"id": "x"#, r#"{"id": "x", "#] {
        let error = provider_activity_id(&ended(200, cut, broken())).unwrap_err().to_string();
        assert!(error.starts_with("the answer (200) broke off, so it has neither"), "{cut}: {error}");
        assert!(error.ends_with("connection reset"), "{error}");
    }
    // What it was refused with is what counts of another status.
    assert_eq!(provider_activity_id(&ended(503, "{", broken())), Err(Refused::Status(503)));
}

fn activity(text: &str) -> ChannelActivity {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_payload_holds_what_the_seed_lists() {
    let id = "a:1".parse().unwrap();
    let date = rules::time::parse("2026-01-31T09:30:00Z").unwrap();
    let task = activity(
        r#"{"type":"TASK","reason":"churn","commerce":{"assignment":"shop-7","targetUsers":["u1",{"id":2}]},
            "task":{"notes":1.10},"operator":{"id":"op"},"attributes":{"tier":"gold"}}"#,
    );
    let sent = serde_json::to_string(&Payload::new(&id, Channel::Callcenter, date, &task)).unwrap();
    assert_eq!(
        sent,
        concat!(
            r#"{"activity":{"id":"a:1","type":"TASK","channel":"CALLCENTER","reason":"churn","#,
            r#""scheduling":{"date":"2026-01-31T09:30:00.000Z"}},"#,
            r#""commerce":{"assignment":"shop-7","targetUsers":["u1",{"id":2}]},"#,
            r#""operator":{"id":"op"},"task":{"notes":1.10},"attributes":{"tier":"gold"}}"#
        )
    );
    let message = activity(
        r#"{"type":"MESSAGE","reason":"hi","commerce":{"assignment":{},"targetUsers":[]},"operator":{"id":"op"}}"#,
    );
    let sent = serde_json::to_value(Payload::new(&id, Channel::Email, date, &message)).unwrap();
    assert!(sent.get("operator").is_none(), "{sent}");
}

#[test]
fn a_mock_fails_as_often_as_it_is_told() {
    let id = "a".parse().unwrap();
    let message =
        activity(r#"{"type":"MESSAGE","reason":"hi","commerce":{"assignment":"x","targetUsers":[]}}"#);
    let payload = Payload::new(&id, Channel::Sms, chrono::DateTime::UNIX_EPOCH, &message);
    for (rate, least, most) in [(0.0, 0, 0), (1.0, 1_000, 1_000), (0.5, 300, 700)] {
        let settings = Map::from_iter([("failureRate".to_owned(), Value::from(rate))]);
        let dispatch = Dispatching {
            payload: &payload,
            base_url: "",
            credentials: &Credentials::default(),
            settings: &settings,
            entropy: &OsEntropy,
        };
        let mock = provider("MOCK").unwrap();
        let failed = (0..1_000).filter(|_| mock.call(&dispatch).is_err()).count();
        assert!((least..=most).contains(&failed), "{rate}: {failed}");
    }
}
