//! The worst that each resource may embed is far below what Lambda sends, and what is cut says so (SPEC §2).

use crate::api::{Answer, Api, S};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::items::activity::KINDS_COUNTED_MAX;

/// No answer has more; Lambda sends 6 MB.
const ANSWER_MAX_BYTES: usize = 4_500_000;

/// The bytes of an answer as Lambda sends it: a string in another JSON.
fn sent(answer: &Answer) -> usize {
    Value::from(answer.text.as_str()).to_string().len()
}

/// What doubles each time it is escaped, as a string of so many bytes.
fn quotes(bytes: usize) -> String {
    "\"".repeat(bytes)
}

/// A parameter, attempts and results, each of the largest there may be.
async fn largest_activity(api: &Api) {
    let parameter = json!({"SongId": 1, "text": quotes(120_000)});
    api.activity("1", json!({"id": "large", "parameter": parameter, "date": "2030-01-01T00:00:00Z"})).await;
    let table = &api.world.embedded.settings("api-ingest")["PUNCTUAL_WORK_TABLE"];
    for attempt in 1..=300 {
        let text = |text: String| AttributeValue::S(text);
        let number = |number: u32| AttributeValue::N(number.to_string());
        let put = api.world.embedded.clients().dynamodb.put_item().table_name(table);
        put.item("PK", text("A#acme/main#large".into()))
            .item("SK", text(format!("H#00000#{attempt:05}")))
            .item("at", AttributeValue::N("1800000000000".into()))
            .item("o", text("STATUS".into()))
            .item("hm", number(attempt))
            .item("dt", text(quotes(1_024)))
            .send()
            .await
            .unwrap();
    }
    for index in 0..12 {
        api.world.clock.advance(TimeDelta::milliseconds(1));
        let body = json!({"id": format!("r{index:02}"), "activityId": "large", "occurredAt": "2027-01-15T07:59:00Z", "status": "PENDING", "payload": quotes(120_000)});
        api.post(&format!("{S}/activity-results"), body).await.expect(201);
    }
}

#[tokio::test]
async fn the_largest_of_each_resource_can_be_sent() {
    let api = Api::seeded().await;
    let url = api.world.receiver.url();
    largest_activity(&api).await;
    let parameter = json!({"SongId": 1, "text": quotes(120_000)});
    let rule = json!({"activityType": "play", "parameter": parameter, "second": "*"});
    api.put(&format!("{S}/recurring-activities/r"), rule).await.expect(201);
    let times: Vec<String> =
        (0..100).map(|n| format!("2030-01-31T09:{:02}:{:02}Z", n / 60, n % 60)).collect();
    let clinic = json!({"notificationKey": "k", "accountCode": "a", "dialogServiceUri": url});
    api.put("/api/reminder/configuration/acme/main", clinic).await.expect(201);
    let reminder = json!({
        "countryCode": "55", "phoneNumber": "11999", "notificationTemplateName": "visit",
        "templateParameters": [quotes(120_000)], "sendTimes": times,
    });
    api.put("/api/reminder/acme/main/r", reminder).await.expect(201);
    api.put(&format!("{S}/notification-types/n"), json!({"uri": url})).await.expect(201);
    let notification = json!({"type": "n", "payload": quotes(120_000), "id": "n"});
    api.post(&format!("{S}/notifications"), notification).await.expect(201);
    let headers: serde_json::Map<String, Value> =
        (0..20).map(|index| (format!("x-{index}"), json!("\\".repeat(2_400)))).collect();
    for index in 0..12 {
        let body = json!({"verb": "POST", "uriPattern": "https://example.com/", "headers": headers, "parameterExpected": {"text": quotes(1_000 + index)}});
        api.put(&format!("{S}/activity-types/large"), body).await.expect(if index == 0 { 201 } else { 200 });
    }
    for index in 0..60 {
        api.post(
            "/v1/companies/acme/api-keys",
            json!({"id": format!("k{index}"), "label": "\"".repeat(100)}),
        )
        .await;
    }
    for path in [
        format!("{S}/activities/large"),
        format!("{S}/activities/large/history?limit=100"),
        format!("{S}/activities/large/results?limit=100"),
        format!("{S}/activities?limit=100"),
        format!("{S}/recurring-activities/r"),
        format!("{S}/recurring-activities/r/occurrences"),
        format!("{S}/recurring-activities?limit=100"),
        "/api/reminder/acme/main/r".to_owned(),
        "/api/reminder/acme/main?limit=100".to_owned(),
        format!("{S}/notifications/n"),
        format!("{S}/notifications?limit=100"),
        format!("{S}/activity-types/large"),
        format!("{S}/activity-types?limit=100"),
        format!("{S}/audit-log?limit=100"),
        "/v1/companies/acme/audit-log?limit=100".to_owned(),
        "/v1/companies/acme/api-keys?limit=100".to_owned(),
        "/v1/companies/acme/solutions?limit=100".to_owned(),
        "/v1/companies?limit=100".to_owned(),
        "/v1/companies/acme".to_owned(),
        S.to_owned(),
        format!("{S}/dispatch-configs"),
        format!("{S}/stats"),
    ] {
        let answer = api.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", &answer.text[..answer.text.len().min(300)]);
        assert!(sent(&answer) < ANSWER_MAX_BYTES, "{path}: {} bytes", sent(&answer));
    }
    let large = api.get(&format!("{S}/activities/large")).await.json;
    assert!(large["moreHistory"].is_string() && large["moreResults"].is_string());
}

/// Statistics count a bounded number of kinds, and say that there are more.
#[tokio::test]
async fn statistics_of_thousands_of_types_are_truncated() {
    let api = Api::seeded().await;
    let stats = api.get(&format!("{S}/stats")).await.expect(200).json;
    assert_eq!((&stats["truncated"], stats["byKind"].as_array().unwrap().len()), (&json!(false), 1));
    for index in 0..1_200 {
        for (pk, sk) in [
            ("SLICES", format!("acme/main/A:t{index:05}")),
            ("NOTIFICATIONS", format!("acme/main/n{index:05}")),
        ] {
            let put = api.world.embedded.clients().dynamodb.put_item().table_name(api.config_table());
            put.item("PK", AttributeValue::S(pk.to_owned()))
                .item("SK", AttributeValue::S(sk))
                .item("shards", AttributeValue::N("1".into()))
                .item("doneShards", AttributeValue::N("1".into()))
                .send()
                .await
                .unwrap();
        }
    }
    let answer = api.get(&format!("{S}/stats")).await.expect(200);
    let length = |name: &str| answer.json[name].as_array().unwrap().len();
    assert_eq!((length("byKind"), length("notifications")), (KINDS_COUNTED_MAX, KINDS_COUNTED_MAX));
    assert_eq!(answer.json["truncated"], true);
    assert!(sent(&answer) < 500_000);
}
