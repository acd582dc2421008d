//! Bodies, paths and queries of every endpoint, through the real router.

use super::json::{near, odd_text};
use super::{Seen, check_async, runtime};
use crate::api::{Answer, Api, S};
use crate::api_endpoints::{endpoints, filled};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use std::cell::Cell;

/// Cases for each endpoint.
const CASES: u32 = 60;

/// What holds of every answer to input that nobody vouches for.
fn answered(answer: &Answer, body: &str) -> Seen {
    prop_assert!(answer.status < 500, "{} {}", answer.status, answer.text);
    if answer.status < 400 {
        return Ok(());
    }
    prop_assert_eq!(answer.header("content-type"), "application/problem+json");
    prop_assert_eq!(&answer.json["status"], &json!(answer.status));
    for name in ["type", "title", "detail"] {
        prop_assert!(answer.json[name].as_str().is_some_and(|text| !text.is_empty()), "{}", answer.text);
    }
    let errors = answer.json["errors"].as_array();
    prop_assert_eq!(errors.is_some(), answer.status == 400, "{}", answer.text);
    for error in errors.into_iter().flatten() {
        let pointer = error["pointer"].as_str().unwrap_or("no text");
        prop_assert!(leads_somewhere(pointer, body), "{pointer:?} in {body}");
        prop_assert!(error["detail"].as_str().is_some_and(|text| !text.is_empty()), "{}", answer.text);
    }
    Ok(())
}

/// A pointer leads to a value, or to a member that an object of the body lacks; or it names a parameter.
fn leads_somewhere(pointer: &str, body: &str) -> bool {
    if ["query:", "path:", "header:"].iter().any(|place| pointer.starts_with(place)) {
        return true;
    }
    let Some(rest) = pointer.strip_prefix('/') else { return pointer.is_empty() };
    // A body that serde_json cannot hold, such as one with a lone surrogate in it, is looked at no further.
    let Ok(body) = serde_json::from_str::<Value>(body) else { return true };
    let mut at = &body;
    let names: Vec<String> = rest.split('/').map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
    for (number, name) in names.iter().enumerate() {
        at = match at {
            Value::Object(members) => match members.get(name) {
                Some(value) => value,
                // The field that is missing; in these it may be missing with the object around it.
                None => {
                    let nested = ["parameter", "credentials", "settings"];
                    return number + 1 == names.len()
                        || names.iter().any(|name| nested.contains(&name.as_str()));
                }
            },
            Value::Array(items) => match name.parse::<usize>().ok().and_then(|index| items.get(index)) {
                Some(value) => value,
                None => return false,
            },
            // What is given twice is named once and looked at in its first form; the map here keeps the last.
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return true,
        };
    }
    true
}

/// A world in which the sample bodies find what they refer to, and nothing leads out of the machine.
async fn seeded() -> Api {
    let api = Api::seeded().await;
    let hook = format!("{}/hook", api.world.receiver.url());
    let bodies: Vec<Value> = endpoints().into_iter().filter_map(|endpoint| endpoint.body).collect();
    let named = ["/activityType", "/activities/0/activityType", "/activities/1/activityType", "/type"];
    let named = bodies.iter().flat_map(|body| named.iter().filter_map(|place| body.pointer(place)?.as_str()));
    for name in named {
        let call = json!({"verb": "POST", "uriPattern": hook});
        api.put(&format!("{S}/activity-types/{name}"), call).await;
        api.put(&format!("{S}/notification-types/{name}"), json!({"uri": hook})).await;
    }
    let configuration = json!({"notificationKey": "k", "accountCode": "a", "dialogServiceUri": hook});
    api.put("/api/reminder/configuration/acme/main", configuration).await.expect(201);
    api.put(&format!("{S}/dispatch-configs/EMAIL"), json!({"provider": "MOCK"})).await.expect(201);
    api
}

#[test]
fn strangers_bodies_are_taken_or_refused_with_pointers() {
    let runtime = runtime();
    for endpoint in endpoints() {
        let Some(body) = &endpoint.body else { continue };
        let api = runtime.block_on(seeded());
        let refused = Cell::new(0);
        check_async(CASES, &near(body), &runtime, async |text: String| {
            let answer = api.send_text(&endpoint.method, &endpoint.path(), text.clone()).await;
            refused.set(refused.get() + u32::from(answer.status == 400));
            answered(&answer, &text)
        });
        let refused = refused.get();
        assert!(refused > 0 && refused < CASES, "{} refused {refused} of {CASES}", endpoint.template);
    }
}

/// A channel's activity, which the list of endpoints has only by type.
#[test]
fn strangers_channel_activities_are_taken_or_refused_with_pointers() {
    let runtime = runtime();
    let api = runtime.block_on(seeded());
    let body = json!({
        "channel": "EMAIL", "type": "TASK", "reason": "visit", "date": "2030-01-01T00:00:00Z",
        "commerce": {"assignment": "a", "targetUsers": ["u"]}, "task": {"a": 1}, "operator": {"id": "o"},
        "attributes": {"x": [1, 2]}, "id": "c-1",
    });
    check_async(4 * CASES, &near(&body), &runtime, async |text: String| {
        let answer = api.send_text("POST", &format!("{S}/activities"), text.clone()).await;
        answered(&answer, &text)
    });
}

#[test]
fn strangers_queries_are_taken_or_refused() {
    let runtime = runtime();
    let api = runtime.block_on(seeded());
    let gets: Vec<String> = endpoints()
        .iter()
        .filter(|endpoint| endpoint.method == "GET")
        .map(|endpoint| endpoint.path())
        .collect();
    let names = [
        "limit",
        "cursor",
        "status",
        "activityType",
        "channel",
        "objectId",
        "from",
        "to",
        "count",
        "type",
        "phoneNumber",
        "secret",
        "x",
        "",
    ];
    let values = prop_oneof![
        odd_text(),
        select(vec![
            "0",
            "1",
            "100",
            "101",
            "-1",
            "1e1",
            "2030-01-01T00:00:00Z",
            "2030-01-01T00:00:00+01:00",
            "READY"
        ])
        .prop_map(str::to_owned),
    ];
    let case = (select(gets), vec((select(names.to_vec()), values), 0..4), any::<bool>());
    check_async(12 * CASES, &case, &runtime, async |(path, parameters, is_raw)| {
        let parameter = |(name, value): &(&str, String)| {
            let value = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
            // Half an escape is what a client that cuts its URLs sends.
            if is_raw {
                format!("{name}={}", &value[..value.len().saturating_sub(1)])
            } else {
                format!("{name}={value}")
            }
        };
        let query: Vec<String> = parameters.iter().map(parameter).collect();
        let separator = if path.contains('?') { '&' } else { '?' };
        let answer = api.get(&format!("{path}{separator}{}", query.join("&"))).await;
        answered(&answer, "")
    });
}

#[test]
fn strangers_names_in_paths_are_taken_or_refused() {
    let runtime = runtime();
    let api = runtime.block_on(seeded());
    let endpoints: Vec<(String, String)> = endpoints()
        .into_iter()
        .filter(|endpoint| endpoint.template.contains('{'))
        .map(|endpoint| (endpoint.method, endpoint.template))
        .collect();
    let case = (select(endpoints), odd_text(), any::<prop::sample::Index>());
    check_async(12 * CASES, &case, &runtime, async |((method, template), name, which)| {
        let places: Vec<&str> = template.split('/').filter(|segment| segment.starts_with('{')).collect();
        let name = utf8_percent_encode(&name, NON_ALPHANUMERIC).to_string();
        let path = filled(&template.replacen(which.get(&places), &name, 1));
        let answer = api.send_text(&method, &path, if method == "GET" { "" } else { "{}" }).await;
        answered(&answer, "{}")
    });
}

#[test]
fn strangers_keys_open_nothing() {
    let runtime = runtime();
    let api = runtime.block_on(seeded());
    let real = runtime.block_on(api.key("acme"));
    let mutated = (any::<prop::sample::Index>(), any::<char>()).prop_map(move |(at, c)| {
        let mut key: Vec<char> = real.chars().collect();
        let at = at.index(key.len());
        let is_same = std::mem::replace(&mut key[at], c) == c;
        if is_same { String::new() } else { key.into_iter().collect() }
    });
    let header = prop_oneof![Just("x-api-key"), Just("authorization")];
    check_async(4 * CASES, &(header, prop_oneof![odd_text(), mutated]), &runtime, async |(header, key)| {
        let text = if header == "authorization" { format!("Bearer {key}") } else { key };
        let request = http::Request::builder().uri(S).header(header, text.as_bytes());
        // What cannot be sent in a header never comes.
        let Ok(request) = request.body(axum::body::Body::empty()) else { return Ok(()) };
        let answer = api.send(request).await;
        prop_assert_eq!(answer.status, 401, "{}", answer.text);
        answered(&answer, "")
    });
}
