//! Numbers keep every digit from a request to a receiver, and are compared by value (SPEC §2).

use crate::api::{Answer, Api, S};
use crate::rolling::roll;
use chrono::TimeDelta;
use serde_json::{Value, json};
use tests::Reply;
use tests::provider::API_KEY;

/// Numbers as they are written, and as they stand in a path.
const WRITTEN: [(&str, &str); 10] = [
    ("20000000000000000001", "20000000000000000001"),
    ("20000000000000000002", "20000000000000000002"),
    ("-9223372036854775809", "-9223372036854775809"),
    ("18446744073709551616", "18446744073709551616"),
    ("1e2", "1e2"),
    ("1E+2", "1E%2B2"),
    ("1.10", "1.10"),
    ("-0", "-0"),
    ("0.1000000000000000055", "0.1000000000000000055"),
    ("1e999", "1e999"),
];

/// An API whose type `order` calls `/orders/{id}` and names its objects by `id`.
async fn api() -> Api {
    let api = Api::seeded().await;
    let uri = format!("{}/orders/{{id}}", api.world.receiver.url());
    let order = json!({"verb": "POST", "uriPattern": uri, "objectIdRef": "id"});
    api.put(&format!("{S}/activity-types/order"), order).await.expect(201);
    let config =
        json!({"provider": "YOM", "baseUrl": api.world.receiver.url(), "credentials": {"apiKey": API_KEY}});
    api.put(&format!("{S}/dispatch-configs/EMAIL"), config).await.expect(201);
    let uri = format!("{}/voicemail", api.world.receiver.url());
    api.put(&format!("{S}/notification-types/voicemail"), json!({"uri": uri})).await.expect(201);
    api
}

async fn post(api: &Api, resource: &str, body: &str) -> Answer {
    api.send_text("POST", &format!("{S}/{resource}"), body.to_owned()).await
}

/// An order due in 2030, whose parameter is `{"id": written}`.
async fn order(api: &Api, id: &str, written: &str) {
    let body = format!(
        r#"{{"activityType":"order","date":"2030-01-01T00:00:00Z","id":"{id}","parameter":{{"id":{written}}}}}"#
    );
    post(api, "activities", &body).await.expect(201);
}

/// The ids of the activities that a filter finds, sorted.
async fn found(api: &Api, query: &str) -> Vec<String> {
    let listed = api.get(&format!("{S}/activities?{query}")).await.expect(200).json;
    let items = listed["items"].as_array().unwrap();
    let mut ids: Vec<String> = items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_placeholder_and_the_body_take_a_number_as_it_is_written() {
    let api = api().await;
    for (written, in_path) in WRITTEN {
        let body = format!(r#"{{"activityType":"order","parameter":{{"id": {written}}}}}"#);
        let made = post(&api, "activities", &body).await.expect(201);
        let kept = format!(r#""parameter":{{"id":{written}}}"#);
        assert!(made.text.contains(&kept), "{}", made.text);
        api.world.work(&api.world.worker()).await;
        let arrival = api.world.receiver.arrivals().pop().unwrap();
        assert_eq!(arrival.uri.path(), format!("/orders/{in_path}"));
        assert_eq!(arrival.body, format!(r#"{{"id":{written}}}"#));
        assert!(api.get(made.header("location")).await.text.contains(&kept));
    }
}

#[tokio::test]
async fn a_uri_of_ones_own_and_one_that_is_set_take_it_so_too() {
    let api = api().await;
    let elsewhere = format!("{}/own/{{id}}?q={{id}}", api.world.receiver.url());
    let body = json!({"activityType": "order", "uri": elsewhere, "parameter": "PARAMETER"});
    let body = body.to_string().replace("\"PARAMETER\"", r#"{"id": 1e+2}"#);
    post(&api, "activities", &body).await.expect(201);
    api.world.work(&api.world.worker()).await;
    let arrival = api.world.receiver.arrivals().pop().unwrap();
    assert_eq!(arrival.uri.path_and_query().unwrap(), "/own/1e%2B2?q=1e%2B2");
    order(&api, "later", "20000000000000000001").await;
    let set = json!({"filter": {}, "action": "setUri", "uri": elsewhere});
    api.post(&format!("{S}/activities/bulk"), set).await.expect(200);
    api.post(&format!("{S}/activities/later/dispatch"), json!({})).await.expect(200);
    api.world.work(&api.world.worker()).await;
    let arrival = api.world.receiver.arrivals().pop().unwrap();
    assert_eq!(arrival.uri.path(), "/own/20000000000000000001");
}

#[tokio::test]
async fn objects_are_found_by_the_value_of_their_ids() {
    let api = api().await;
    for (id, written) in [
        ("a", "100"),
        ("b", "100.0"),
        ("c", "1e2"),
        ("d", "\"100\""),
        ("e", "20000000000000000001"),
        ("f", "20000000000000000002"),
        ("g", "2e19"),
        ("h", "\"1e2\""),
        ("i", "\"007\""),
        ("j", "true"),
        ("k", "0.1"),
        ("l", "0.1000000000000000055"),
        ("m", "-0"),
        ("n", "1e999999999"),
    ] {
        order(&api, id, written).await;
    }
    for (asked, expect) in [
        ("100", vec!["a", "b", "c", "d"]),
        ("1e2", vec!["a", "b", "c", "d", "h"]),
        ("100.00", vec!["a", "b", "c", "d"]),
        ("20000000000000000001", vec!["e"]),
        ("20000000000000000002", vec!["f"]),
        ("20000000000000000000", vec!["g"]),
        ("2e%2B19", vec!["g"]),
        ("2e+19", vec!["g"]),
        ("007", vec!["i"]),
        ("7", vec![]),
        ("true", vec!["j"]),
        ("0.10", vec!["k"]),
        ("0.1000000000000000055", vec!["l"]),
        ("0", vec!["m"]),
        ("10e999999998", vec!["n"]),
    ] {
        assert_eq!(found(&api, &format!("objectId={asked}")).await, expect, "{asked}");
    }
}

#[tokio::test]
async fn a_bulk_change_takes_an_object_id_of_any_kind_and_no_other_object() {
    let api = api().await;
    for (id, written) in [
        ("a", "20000000000000000001"),
        ("b", "20000000000000000002"),
        ("c", "7"),
        ("d", "\"7\""),
        ("e", "7.0"),
        ("f", "false"),
    ] {
        order(&api, id, written).await;
    }
    for (asked, matched) in [
        ("\"2e+19\"", 0),
        ("2e19", 0),
        ("\"20000000000000000001\"", 1),
        ("20000000000000000002", 1),
        ("7", 3),
        ("\"7\"", 3),
        ("7e0", 3),
        ("false", 1),
    ] {
        let body = format!(r#"{{"filter": {{"objectId": {asked}}}, "action": "cancel"}}"#);
        let report = post(&api, "activities/bulk", &body).await.expect(200).json;
        assert_eq!(report["matched"], matched, "{asked}");
    }
    assert_eq!(found(&api, "status=READY").await, [""; 0]);
    for bad in ["[7]", "{}"] {
        let body = format!(r#"{{"filter": {{"objectId": {bad}}}, "action": "cancel"}}"#);
        let faults = post(&api, "activities/bulk", &body).await.problem(400).faults();
        assert_eq!(faults, ["/filter/objectId must be a string, a number or a boolean"]);
    }
}

#[tokio::test]
async fn an_erasure_takes_an_object_id_of_any_kind_and_no_other_object() {
    let api = api().await;
    for (id, written) in
        [("a", "20000000000000000001"), ("b", "20000000000000000002"), ("c", "1e2"), ("d", "100.0")]
    {
        order(&api, id, written).await;
    }
    for (asked, erased, left) in
        [("20000000000000000001", 1, vec!["b", "c", "d"]), ("100", 2, vec!["b"]), ("\"2e19\"", 0, vec!["b"])]
    {
        let report = post(&api, "erase", &format!(r#"{{"objectId": {asked}}}"#)).await.expect(200).json;
        assert_eq!(report["activities"], erased, "{asked}");
        assert_eq!(found(&api, "status=READY").await, left, "{asked}");
    }
}

#[tokio::test]
async fn occurrences_of_a_rule_keep_their_numbers() {
    let api = api().await;
    let rule = r#"{"activityType": "order", "minute": 1e0, "hour": 9.0, "parameter": {"id": 20000000000000000001, "rate": 1.10}}"#;
    let made = api.send_text("PUT", &format!("{S}/recurring-activities/daily"), rule).await.expect(201);
    assert!(made.text.contains(r#"{"id":20000000000000000001,"rate":1.10}"#), "{}", made.text);
    assert_eq!((&made.json["minute"], &made.json["hour"]), (&json!("1"), &json!("9")));
    let backwards = rule.replace("1.10", "1.1");
    let same = api.send_text("PUT", &format!("{S}/recurring-activities/daily"), backwards).await.expect(200);
    assert!(same.text.contains(r#""rate":1.1}"#), "{}", same.text);
    api.world.clock.advance(TimeDelta::minutes(61));
    api.world.expand().await;
    assert_eq!(found(&api, "objectId=20000000000000000001").await.len(), 1);
}

#[tokio::test]
async fn the_same_id_with_another_value_is_a_conflict() {
    let api = api().await;
    let channel = r#"{"channel":"EMAIL","type":"MESSAGE","reason":"r","date":"2030-01-01T00:00:00Z",
        "commerce":{"assignment":{"amount":NUMBER},"targetUsers":[1]}}"#;
    let attributes = r#"{"channel":"EMAIL","type":"MESSAGE","reason":"r","date":"2030-01-01T00:00:00Z",
        "commerce":{"assignment":1,"targetUsers":[1]},"attributes":{"amount":NUMBER}}"#;
    let activity =
        r#"{"activityType":"order","date":"2030-01-01T00:00:00Z","parameter":{"id":1,"amount":NUMBER}}"#;
    let notification = r#"{"type":"voicemail","payload":{"amount":NUMBER}}"#;
    let result = r#"{"providerActivityId":"p","occurredAt":"2027-01-01T00:00:00Z","status":"PENDING","payload":[NUMBER]}"#;
    for (kind, resource, body) in [
        ("activity", "activities", activity),
        ("channel", "activities", channel),
        ("attributes", "activities", attributes),
        ("notification", "notifications", notification),
        ("result", "activity-results", result),
    ] {
        for (index, (first, same, other)) in [
            ("20000000000000000001", "2000000000000000000.1e1", "20000000000000000999"),
            ("0.1", "1e-1", "0.1000000000000000055"),
            ("1.10", "1.1", "1.11"),
            ("-0", "0.0", "1e-400"),
            ("1e400", "10e399", "1e401"),
        ]
        .into_iter()
        .enumerate()
        {
            let body = |number: &str| {
                body.replace("NUMBER", number).replacen('{', &format!(r#"{{"id":"{kind}-{index}","#), 1)
            };
            post(&api, resource, &body(first)).await.expect(201);
            let again = post(&api, resource, &body(same)).await.expect(200);
            let kept = [format!(":{first}}}"), format!("[{first}]")];
            assert!(kept.iter().any(|kept| again.text.contains(kept)), "the first is kept: {}", again.text);
            post(&api, resource, &body(other)).await.problem(409);
            post(&api, resource, &body(&format!("\"{first}\""))).await.problem(409);
        }
    }
    let batch = |amount: &str| {
        format!(
            r#"{{"activities":[{}]}}"#,
            activity.replace("NUMBER", amount).replacen('{', r#"{"id":"x","#, 1)
        )
    };
    for (amount, status) in
        [("20000000000000000001", 201), ("20000000000000000001.0", 200), ("20000000000000000999", 409)]
    {
        let answered = post(&api, "activities/batch", &batch(amount)).await.expect(200).json;
        assert_eq!(answered["results"][0]["status"], status, "{amount}");
    }
}

#[tokio::test]
async fn a_reminder_that_is_written_with_another_number_keeps_it() {
    let api = api().await;
    let configuration =
        json!({"notificationKey": "key", "accountCode": "a", "dialogServiceUri": api.world.receiver.url()});
    api.put("/api/reminder/configuration/acme/clinic", configuration).await.expect(201);
    let path = "/api/reminder/acme/clinic/visit";
    let reminder = |number: &str| {
        format!(
            r#"{{"countryCode":"55","phoneNumber":"11","notificationTemplateName":"t","sendTimes":["2030-01-01T00:00:00Z"],
            "templateParameters":["x",{number}]}}"#
        )
    };
    let mut expect = 201;
    for number in ["20000000000000000001", "20000000000000000999", "0.1", "0.1000000000000000055", "1.10"] {
        let written = api.send_text("PUT", path, reminder(number)).await.expect(expect);
        let kept = format!(r#""templateParameters":["x",{number}]"#);
        assert!(written.text.contains(&kept), "{}", written.text);
        assert!(api.get(path).await.expect(200).text.contains(&kept), "{number}");
        expect = 200;
    }
    let before = api.get(path).await.expect(200);
    let same = api.send_text("PUT", path, reminder("11e-1")).await.expect(200);
    assert_eq!(same.text, before.text, "what is answered is what is kept");
    assert_eq!(api.get(path).await.text, before.text);
}

#[tokio::test]
async fn a_providers_number_is_the_id_that_its_result_names() {
    let api = api().await;
    for (index, (answered, reported)) in [
        ("20000000000000000001", "20000000000000000001"),
        ("20000000000000000002", "\"20000000000000000002\""),
        ("1e2", "100.0"),
        ("\"20000000000000000003\"", "20000000000000000003"),
        ("12345678901234567890123456789.5", "12345678901234567890123456789.50"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("m-{index}");
        let message = json!({"id": id, "channel": "EMAIL", "type": "MESSAGE", "reason": "r", "commerce": {"assignment": 1, "targetUsers": []}});
        api.post(&format!("{S}/activities"), message).await.expect(201);
        api.world.receiver.reply([Reply::Status(201, Vec::new(), format!(r#"{{"id": {answered}}}"#))]);
        api.world.work(&api.world.worker()).await;
        let result = format!(
            r#"{{"providerActivityId":{reported},"occurredAt":"2027-01-01T00:00:00Z","status":"COMPLETED"}}"#
        );
        let linked = post(&api, "activity-results", &result).await.expect(201).json;
        assert_eq!(
            (&linked["linkStatus"], &linked["activityId"]),
            (&json!("LINKED"), &json!(id)),
            "{answered}"
        );
    }
}

#[tokio::test]
async fn every_receiver_gets_numbers_as_they_are_written() {
    const NUMBERS: &str = "[20000000000000000001,1e2,1E+2,1.10,-0,0.1000000000000000055]";
    let api = api().await;
    let rolling = json!({"successUri": format!("{}/logs", api.world.receiver.url()), "successPeriod": 0});
    api.put(S, rolling).await.expect(200);
    let dialog =
        json!({"notificationKey": "key", "accountCode": "a", "dialogServiceUri": api.world.receiver.url()});
    api.put("/api/reminder/configuration/acme/main", dialog).await.expect(201);
    let notification = format!(r#"{{"type":"voicemail","payload":{NUMBERS}}}"#);
    post(&api, "notifications", &notification).await.expect(201);
    api.world.receiver.reply([Reply::taken("p")]);
    let message = format!(
        r#"{{"channel":"EMAIL","type":"MESSAGE","reason":"r","commerce":{{"assignment":1,"targetUsers":[]}},"attributes":{{"n":{NUMBERS}}}}}"#
    );
    post(&api, "activities", &message).await.expect(201);
    api.world.work(&api.world.worker()).await;
    let reminder = format!(
        r#"{{"countryCode":"55","phoneNumber":"11","notificationTemplateName":"t","sendTimes":["2027-01-01T00:00:00Z"],
        "templateParameters":{NUMBERS}}}"#
    );
    api.send_text("PUT", "/api/reminder/acme/main/visit", reminder).await.expect(201);
    api.post("/api/reminder/item/pending/send", json!({})).await.expect(200);
    api.world.clock.advance(TimeDelta::days(1));
    roll(&api.world).await;
    let mut paths = Vec::new();
    for arrival in api.world.receiver.arrivals() {
        let body = String::from_utf8_lossy(&arrival.body);
        assert!(body.contains(NUMBERS), "{body}");
        paths.push(arrival.uri.path().to_owned());
    }
    assert_eq!(paths, ["/voicemail", "/activities", "/api/autotrigger", "/logs"]);
}

#[tokio::test]
async fn settings_that_are_numbers_are_exact() {
    let api = api().await;
    let put = async |body: &str| api.send_text("PUT", S, body.to_owned()).await;
    for period in ["0.1000000000000000055", "36525", "1.10", "0", "12345.6789012345678901234567890"] {
        let text = put(&format!(r#"{{"successPeriod": {period}}}"#)).await.expect(200).text;
        assert!(text.contains(&format!(r#""successPeriod":{period},"#)), "{text}");
        assert_eq!(api.get(S).await.text, text);
    }
    let changed = api.get(S).await.json["updatedAt"].clone();
    api.world.clock.advance(TimeDelta::seconds(1));
    put(r#"{"successPeriod": 12345.67890123456789012345678900}"#).await.expect(200);
    assert_eq!(
        api.get(S).await.json["updatedAt"],
        changed,
        "the same value in another spelling is no change"
    );
    for (body, fault) in [
        (
            r#"{"successPeriod": 36525.0000000000000000001}"#,
            "/successPeriod must be a number from 0 to 36525",
        ),
        (r#"{"deadLetterPeriod": -1e-400}"#, "/deadLetterPeriod must be a number from 0 to 36525"),
        (r#"{"qosLevel": 1.0000000000000000001}"#, "/qosLevel must be a whole number from 1 to 100"),
        (r#"{"qosLevel": 1e999999999}"#, "/qosLevel must be a whole number from 1 to 100"),
    ] {
        assert_eq!(put(body).await.problem(400).faults(), [fault]);
    }
    let long = format!(r#"{{"successPeriod": 0.{}1}}"#, "0".repeat(64));
    assert_eq!(put(&long).await.problem(400).faults(), ["/successPeriod must have at most 64 characters"]);
    put(r#"{"qosLevel": 0.7e1}"#).await.expect(200);
    let config = r#"{"provider": "MOCK", "settings": {"failureRate": 0.1000000000000000055}}"#;
    let made = api.send_text("PUT", &format!("{S}/dispatch-configs/SMS"), config).await.expect(201);
    assert!(made.text.contains(r#""failureRate":0.1000000000000000055"#), "{}", made.text);
}

#[tokio::test]
async fn no_exponent_takes_memory_and_no_object_passes_for_a_number() {
    let api = api().await;
    for number in ["1e999999999", "-1e-999999999", "1e99999999999999999999999999", &"9".repeat(10_000)] {
        let body = format!(r#"{{"type":"voicemail","payload":{{"n":{number}}},"id":"{}"}}"#, number.len());
        post(&api, "notifications", &body).await.expect(201);
        post(&api, "notifications", &body.replace("\"n\":", "\"n\": ")).await.expect(200);
    }
    for name in ["$serde_json::private::Number", "$serde_json::private::RawValue"] {
        let payload: Value = json!({"n": {name: "1"}});
        let body = json!({"activityType": "order", "parameter": {"id": 1, "more": payload}});
        let faults = api.post(&format!("{S}/activities"), body).await.problem(400).faults();
        assert!(
            faults.len() == 1 && faults[0].starts_with("/parameter is not acceptable: the name"),
            "{faults:?}"
        );
    }
}
