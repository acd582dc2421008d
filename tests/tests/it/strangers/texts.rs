//! Texts with a grammar: what is read is what was written, and nothing that is read can do more than it may.

use super::check;
use super::json::{near, odd_text};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use rules::cron::Cron;
use rules::field::FieldPath;
use rules::names::{ActivityId, Channel, CompanyName, Kind, SolutionId, SolutionName, Tenant};
use rules::recurring::Schedule;
use rules::retry::{Next, RescheduleRules, after_activity_failure};
use rules::retry_after::{RETRY_AFTER_MAX, RetryAfter};
use rules::uri::UriPattern;
use rules::{notification, time, uri, zoned};
use serde_json::{Value, json};
use shared::signing;
use shared::table::keys;
use url::Url;

fn instant() -> impl Strategy<Value = DateTime<Utc>> {
    (time::EARLIEST_MILLIS..=time::LATEST_MILLIS).prop_map(|millis| time::from_millis(millis).unwrap())
}

/// What fields of cron are made of, well put together and not.
fn cron() -> impl Strategy<Value = String> {
    let number = prop_oneof![4 => (0_u32..62).prop_map(|n| n.to_string()), 1 => any::<u64>().prop_map(|n| n.to_string())];
    let word = prop_oneof![
        6 => number.clone(),
        4 => Just("*".to_owned()),
        1 => select(vec!["JAN", "dec", "Sun", "SAT", "MONDAY", "L", "?", "W", "#", "2026", "-", "/", "", "٣"]).prop_map(str::to_owned),
    ];
    let part = (word.clone(), proptest::option::of(word), proptest::option::of(number)).prop_map(
        |(from, to, step)| {
            let to = to.map(|to| format!("-{to}")).unwrap_or_default();
            let step = step.map(|step| format!("/{step}")).unwrap_or_default();
            format!("{from}{to}{step}")
        },
    );
    let field =
        prop_oneof![3 => Just("*".to_owned()), 4 => vec(part, 1..3).prop_map(|parts| parts.join(","))];
    prop_oneof![8 => vec(field, 4..9).prop_map(|fields| fields.join(" ")), 1 => odd_text()]
}

#[test]
fn strangers_cron_rules_come_back_as_written_and_never_run_backwards() {
    let zones =
        select(vec!["UTC", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca"]);
    check(1_500, &(cron(), zones, instant()), |(text, zone, from)| {
        let Ok(cron) = Cron::parse(&text) else { return Ok(()) };
        let again = Cron::parse(&cron.to_string());
        prop_assert_eq!(again.as_ref(), Ok(&cron));
        let zone = zoned::zone(zone).unwrap();
        let schedule = Schedule { cron, zone, start_at: None, end_at: None, shift: TimeDelta::zero() };
        let Some(first) = schedule.next(from) else { return Ok(()) };
        prop_assert!(first >= from, "{first} before {from}");
        prop_assert_eq!(schedule.next(first), Some(first), "an occurrence is its own next");
        if let Some(second) = schedule.next(first + TimeDelta::milliseconds(1)) {
            prop_assert!(second > first);
        }
        Ok(())
    });
}

fn pattern() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        5 => select(vec![
            "/", "a", "{f}", "{a.b}", "{list}", "?", "&", "=", "#", ":", "@", ".", "..", "%2e", "%", "{", "}", "{}", "{f", "\\",
            " ", "{a b}", "é", "//", "[::1]", ":80", ":99999", "user:pw@", ";", "\n", "\t",
        ]).prop_map(str::to_owned),
        1 => odd_text(),
    ];
    let scheme =
        select(vec!["https://", "http://", "HTTP://", "ftp://", "//", "", "https:", "http:\\\\", " http://"]);
    let host = select(vec![
        "h.example",
        "127.0.0.1",
        "[::1]",
        "xn--e1afmkfd",
        "h.example:8443",
        "{f}",
        "h{f}.example",
        "",
        "0x7f.1",
        "ex ample",
    ]);
    (scheme, host, vec(piece, 0..8))
        .prop_map(|(scheme, host, pieces)| format!("{scheme}{host}{}", pieces.concat()))
}

fn parameter() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        6 => odd_text().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => Just(json!(null)),
        1 => Just(json!({"b": "../x"})),
        1 => Just(json!(["x"])),
    ];
    (value.clone(), value.clone(), value)
        .prop_map(|(f, b, list)| json!({"f": f, "a": {"b": b}, "list": list, "a b": "x y"}))
}

/// Whatever the parameter holds, the call goes to the pattern's host, and into the pattern's path.
#[test]
fn strangers_parameters_lead_no_call_elsewhere() {
    check(4_000, &(pattern(), parameter()), |(text, parameter)| {
        let Ok(pattern) = text.parse::<UriPattern>() else { return Ok(()) };
        prop_assert_eq!(pattern.as_str(), &text);
        let blank = json!({"f": "x", "a": {"b": "x"}, "list": "x", "a b": "x"});
        let (Ok(filled), Ok(plain)) =
            (pattern.expand(&parameter.to_string()), pattern.expand(&blank.to_string()))
        else {
            return Ok(());
        };
        let (filled, plain) = (Url::parse(&filled), Url::parse(&plain));
        prop_assert!(filled.is_ok() && plain.is_ok(), "{filled:?} {plain:?}");
        let (filled, plain) = (filled.unwrap(), plain.unwrap());
        let place = |url: &Url| {
            (
                url.scheme().to_owned(),
                url.host_str().map(str::to_owned),
                url.port(),
                url.username().to_owned(),
                url.password().is_some(),
            )
        };
        prop_assert_eq!(place(&filled), place(&plain));
        prop_assert!(["http", "https"].contains(&filled.scheme()) && filled.fragment().is_none());
        let segments = |url: &Url| url.path_segments().map(Iterator::count);
        prop_assert_eq!(segments(&filled), segments(&plain), "{}", filled);
        let names =
            |url: &Url| url.query().map(|query| (query.matches('&').count(), query.matches('=').count()));
        prop_assert_eq!(names(&filled), names(&plain), "{}", filled);
        if uri::fixed(&text).is_ok() {
            prop_assert_eq!(pattern.expand("null").ok(), Some(text));
        }
        Ok(())
    });
}

#[test]
fn strangers_field_paths_are_walked_as_pointers_are() {
    let path = prop_oneof![vec("[a-c]", 1..5).prop_map(|names| names.join(".")), odd_text()];
    let value = prop_oneof![
        Just(json!(1)),
        odd_text().prop_map(Value::from),
        Just(json!({"a": {"b": true, "c": [1]}, "b": null}))
    ];
    check(1_500, &(path, value), |(path, value)| {
        let Ok(field) = path.parse::<FieldPath>() else { return Ok(()) };
        prop_assert_eq!(field.as_str(), &path);
        let parameter = json!({"a": value, "b": {"a": {"b": 3}}});
        let written = parameter.to_string();
        let found = field.lookup(&written).map(|text| serde_json::from_str::<Value>(text).unwrap());
        // A pointer goes into lists too.
        if !path.split('.').any(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
            prop_assert_eq!(found.as_ref(), parameter.pointer(&field.pointer()));
        }
        prop_assert!(field.scalar(&written).is_err() || found.is_some_and(|value| !value.is_object()));
        Ok(())
    });
}

/// SPEC §1's patterns, written once more.
fn matches(text: &str, extra: &[u8], max: usize) -> bool {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || extra.contains(byte);
    (1..=max).contains(&text.len())
        && text.bytes().all(|byte| good(&byte))
        && text.as_bytes()[0].is_ascii_alphanumeric()
}

#[test]
fn strangers_names_and_ids_are_exactly_those_of_the_spec_and_keys_give_them_back() {
    let text = || prop_oneof!["[A-Za-z0-9_.-]{0,66}", "[A-Za-z0-9_.:@-]{0,130}", odd_text()];
    check(3_000, &(text(), text(), text(), any::<u32>()), |(company, solution, id, incarnation)| {
        let reserved = ["configuration", "item"].contains(&company.as_str());
        prop_assert_eq!(company.parse::<CompanyName>().is_ok(), matches(&company, b"_.-", 64) && !reserved);
        let reserved = ["batch", "bulk"].contains(&id.as_str());
        prop_assert_eq!(id.parse::<ActivityId>().is_ok(), matches(&id, b"_.:@-", 128) && !reserved);
        if let Ok(kind) = id.parse::<Kind>() {
            prop_assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let (Ok(company), Ok(solution), Ok(id)) =
            (company.parse(), solution.parse::<SolutionName>(), id.parse())
        else {
            return Ok(());
        };
        let solution = SolutionId::new(solution, incarnation);
        let tenant = Tenant { company, solution };
        prop_assert_eq!(keys::parse_activity(&keys::activity(&tenant, &id)), Some((tenant, id)));
        Ok(())
    });
}

#[test]
fn strangers_keys_of_tenants_never_meet() {
    let name = || "[A-Za-z0-9][A-Za-z0-9_.-]{0,3}";
    let solution = || "[A-Za-z0-9][A-Za-z0-9_.-]{0,3}(~[1-9])?";
    let whole = || (name(), solution(), "[A-Za-z0-9][A-Za-z0-9_.:@-]{0,3}");
    check(3_000, &(whole(), whole(), 0_u32..4), |(a, b, shard)| {
        let key = |(company, solution, id): &(String, String, String)| {
            let tenant = Tenant { company: company.parse().unwrap(), solution: solution.parse().unwrap() };
            let id: ActivityId = id.parse().unwrap();
            let kind = Kind::Channel(Channel::Email);
            (keys::activity(&tenant, &id), keys::due_partition(&tenant, &kind, shard))
        };
        let (same, same_tenant) = (a == b, (&a.0, &a.1) == (&b.0, &b.1));
        prop_assert_eq!(key(&a).0 == key(&b).0, same);
        prop_assert_eq!(key(&a).1 == key(&b).1, same_tenant);
        Ok(())
    });
}

#[test]
fn strangers_signing_secrets_sign_or_are_refused() {
    let secret = prop_oneof![
        vec(any::<u8>(), 0..80).prop_map(|bytes| {
            use base64::Engine as _;
            format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(bytes))
        }),
        odd_text().prop_map(|text| format!("whsec_{text}")),
        odd_text(),
    ];
    check(1_500, &(odd_text(), odd_text(), secret), |(id, body, secret)| {
        let at = DateTime::UNIX_EPOCH;
        let Ok(signed) = signing::headers(&id, at, body.as_bytes(), &[&secret]) else { return Ok(()) };
        prop_assert!(secret.starts_with(signing::SECRET_PREFIX));
        let again = signing::headers(&id, at, body.as_bytes(), &[&secret]);
        prop_assert_eq!(again.as_ref(), Ok(&signed));
        let other = signing::headers(&id, at, format!("{body}x").as_bytes(), &[&secret]).unwrap();
        prop_assert_ne!(&signed[2], &other[2], "another body, another signature");
        Ok(())
    });
}

#[test]
fn strangers_retry_after_never_asks_for_more_than_a_day() {
    let value = prop_oneof![
        "[0-9]{1,30}",
        instant().prop_map(|at| at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        "(Mon|Sun|Xyz), [0-9]{1,2} (Jan|Feb|Foo) [0-9]{1,5} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT",
        odd_text(),
    ];
    let date = proptest::option::of(prop_oneof![
        instant().prop_map(|at| at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        odd_text(),
    ]);
    check(3_000, &(value, date, instant()), |(value, date, now)| {
        if let Some(asked) = RetryAfter::of(&value, date.as_deref()) {
            let wait = asked.wait(now);
            prop_assert!((TimeDelta::zero()..=RETRY_AFTER_MAX).contains(&wait), "{wait}");
        }
        Ok(())
    });
}

#[test]
fn strangers_times_come_back_and_local_ones_never_show_less_than_they_say() {
    let text = prop_oneof![
        instant().prop_map(|at| at.to_rfc3339()),
        "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9](:[0-6][0-9](\\.[0-9]{1,12})?)?(Z|[+-][0-2][0-9]:[0-5][0-9])?",
        odd_text(),
    ];
    let zones = vec![
        "UTC",
        "Europe/Berlin",
        "America/St_Johns",
        "Pacific/Apia",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
    ];
    check(3_000, &(text, select(zones)), |(text, zone)| {
        if let Ok(at) = time::parse(&text) {
            prop_assert_eq!(time::parse(&time::format(at)), Ok(at));
        }
        let zone = zoned::zone(zone).unwrap();
        let Ok(at) = zoned::parse(&text, zone) else { return Ok(()) };
        prop_assert!((time::EARLIEST_MILLIS..=time::LATEST_MILLIS).contains(&at.timestamp_millis()));
        if time::parse(&text).is_err() {
            let shown = at.with_timezone(&zone).naive_local().format("%Y-%m-%dT%H:%M").to_string();
            prop_assert!(shown.as_str() >= &text[..16], "{text} became {shown}");
        }
        Ok(())
    });
}

#[test]
fn strangers_reschedule_rules_come_back_and_always_end() {
    let rules = json!({
        "first": {"attempt": 1, "retries": 4, "retryAfterS": 900}, "second": {"attempt": 2},
        "any": {"retry_after_s": 5}, "never": {"attempt": 3, "retries": 0, "retryAfterS": 31622400},
    });
    let case = (near(&rules), any::<u32>(), any::<u32>(), proptest::option::of(any::<i32>()), instant());
    check(1_500, &case, |(text, attempts, max_attempts, asked, now)| {
        let Ok(rules) = serde_json::from_str::<RescheduleRules>(&text) else { return Ok(()) };
        let written = serde_json::to_string(&rules).unwrap();
        prop_assert_eq!(&serde_json::from_str::<RescheduleRules>(&written).unwrap(), &rules);
        let warnings = notification::warnings(&rules, max_attempts);
        prop_assert!(warnings.len() <= rules.iter().count());
        let asked = asked.map(|seconds| TimeDelta::seconds(seconds.into()));
        match after_activity_failure(attempts, max_attempts, &rules, asked, now) {
            Next::Again { at, max_attempts } => prop_assert!(at >= now && attempts < max_attempts),
            Next::Exhausted { max_attempts } => prop_assert!(attempts >= max_attempts),
        }
        Ok(())
    });
}

/// Local mode reads template.yaml; one that somebody has broken is refused in words.
#[test]
fn strangers_templates_are_read_or_refused() {
    const TEMPLATE: &str = include_str!("../../../../template.yaml");
    let edit = (
        any::<Index>(),
        prop_oneof![
            Just(String::new()),
            select(vec![
                "  !Sub ${",
                "- !GetAtt",
                "&a [*a]",
                "x: &x\n  <<: *x",
                "? [",
                "\t",
                "--- ",
                "!Ref {a: b}"
            ])
            .prop_map(str::to_owned),
            odd_text(),
        ],
    );
    check(100, &vec(edit, 1..4), |edits| {
        let mut lines: Vec<&str> = TEMPLATE.lines().collect();
        for (at, line) in &edits {
            *at.get_mut(&mut lines) = line;
        }
        if let Err(error) = local::template::Template::parse(&lines.join("\n")) {
            prop_assert!(!error.to_string().is_empty());
        }
        Ok(())
    });
}
