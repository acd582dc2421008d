//! Requests that mean the same are the same, whatever their spelling (SPEC §2).

use crate::api::{ADMIN, Answer, Api, S};
use aws_sdk_dynamodb::types::AttributeValue;
use axum::body::Body;
use http::Request;
use serde_json::json;
use shared::table::attr;

async fn api() -> Api {
    let api = Api::seeded().await;
    api.put(&format!("{S}/dispatch-configs/EMAIL"), json!({"provider": "MOCK"})).await.expect(201);
    api.put(&format!("{S}/notification-types/n"), json!({"uri": api.world.receiver.url()})).await.expect(201);
    api
}

async fn post(api: &Api, resource: &str, body: &str) -> Answer {
    api.send_text("POST", &format!("{S}/{resource}"), body.to_owned()).await
}

/// Each of `same` repeats the first of them; each of `other` is a conflict.
async fn check(api: &Api, resource: &str, same: &[&str], other: &[&str]) {
    let made = post(api, resource, same[0]).await.expect(201);
    for body in same {
        let again = post(api, resource, body).await.expect(200);
        assert_eq!(again.json["id"], made.json["id"], "{body}");
    }
    for body in other {
        post(api, resource, body).await.problem(409);
    }
}

#[tokio::test]
async fn activities_of_types() {
    let api = api().await;
    check(
        &api,
        "activities",
        &[
            r#"{"activityType":"play","id":"a","date":"2031-01-01T00:00:00Z","parameter":{"SongId":1,"at":"2031-01-01T00:00:00Z"}}"#,
            r#"{"activityType":"play","id":"a","date":"2031-01-01T01:00:00+01:00","parameter":{"SongId":1,"at":"2031-01-01T00:00:00Z"}}"#,
            r#"{"activityType":"play","id":"a","date":"2031-01-01T00:00:00.000Z","parameter":{"SongId":1.0,"at":"2031-01-01T00:00:00Z"}}"#,
            r#"{"retries":null,"uri":null,"date":"2030-12-31T18:30:00.00-05:30", "id":"a","activityType":"play",
                "parameter":{"at":"2031-01-01T00:00:00\u005a","SongId":1}}"#,
        ],
        &[
            r#"{"activityType":"play","id":"a","date":"2031-01-01T00:00:01Z","parameter":{"SongId":1,"at":"2031-01-01T00:00:00Z"}}"#,
            r#"{"activityType":"play","id":"a","date":"2031-01-01T00:00:00.001Z","parameter":{"SongId":1,"at":"2031-01-01T00:00:00Z"}}"#,
            // A string of a parameter is no instant, and a null of a parameter is a value.
            r#"{"activityType":"play","id":"a","date":"2031-01-01T00:00:00Z","parameter":{"SongId":1,"at":"2031-01-01T00:00:00.000Z"}}"#,
            r#"{"activityType":"play","id":"a","date":"2031-01-01T00:00:00Z","parameter":{"SongId":1,"at":"2031-01-01T00:00:00Z","x":null}}"#,
            r#"{"activityType":"play","id":"a","parameter":{"SongId":1,"at":"2031-01-01T00:00:00Z"}}"#,
            r#"{"activityType":"play","id":"a","date":"2031-01-01T00:00:00Z","retries":2,"parameter":{"SongId":1,"at":"2031-01-01T00:00:00Z"}}"#,
        ],
    )
    .await;
    let spelled = |retries: &str, date: &str| {
        format!(
            r#"{{"activities":[{{"activityType":"play","id":"b","parameter":{{"SongId":1}},"retries":{retries},"date":{date}}}]}}"#
        )
    };
    for (retries, date, status) in [
        ("null", "null", 201),
        ("null", "null", 200),
        ("null", "\"2031-01-01T00:00:00Z\"", 409),
        ("3", "null", 200),
        ("2", "null", 409),
    ] {
        let answered = post(&api, "activities/batch", &spelled(retries, date)).await.expect(200).json;
        assert_eq!(answered["results"][0]["status"], status, "{retries} {date}");
    }
    let bare = r#"{"activityType":"play","id":"b","parameter":{"SongId":1}}"#;
    post(&api, "activities", bare).await.expect(200);
}

/// A default that is spelled out is as good as an absent member, whichever came first (SPEC §2).
#[tokio::test]
async fn a_default_that_is_spelled_out() {
    let api = api().await;
    let plain = json!({"verb": "POST", "uriPattern": api.world.receiver.url()});
    let put_plain = async |retries: u32| {
        let mut plain = plain.clone();
        plain["retries"] = json!(retries);
        api.put(&format!("{S}/activity-types/plain"), plain).await;
    };
    put_plain(3).await;
    let body = |id: &str, more: &str| format!(r#"{{"activityType":"plain","id":"{id}"{more}}}"#);
    let spelled = [
        "",
        r#","parameter":{}"#,
        r#","retries":3"#,
        r#","parameter":{},"retries":3.0"#,
        r#","parameter":null,"retries":null"#,
    ];
    for (n, first) in spelled.iter().enumerate() {
        let id = format!("a{n}");
        post(&api, "activities", &body(&id, first)).await.expect(201);
        for again in spelled {
            post(&api, "activities", &body(&id, again)).await.expect(200);
        }
        for other in [r#","retries":2"#, r#","parameter":{"a":{}}"#] {
            post(&api, "activities", &body(&id, other)).await.problem(409);
        }
    }
    // What was accepted has the executions that it was accepted with.
    put_plain(5).await;
    api.world.clock.advance(chrono::TimeDelta::seconds(10));
    for (id, more, status) in [
        ("a0", "", 200),
        ("a0", r#","retries":3"#, 200),
        ("a0", r#","retries":5"#, 409),
        ("a2", r#","retries":3"#, 200),
        ("a2", "", 409),
        ("a2", r#","retries":5"#, 409),
    ] {
        let answer = post(&api, "activities", &body(id, more)).await;
        assert_eq!(answer.status, status, "{id} {more}: {}", answer.text);
    }
    let result = |more: &str| {
        format!(
            r#"{{"id":"r","providerActivityId":"p","occurredAt":"2027-01-01T00:00:00Z","status":"PENDING"{more}}}"#
        )
    };
    let (absent, spelled) = (result(""), result(r#","hardOverride":false"#));
    check(&api, "activity-results", &[&absent, &spelled], &[&result(r#","hardOverride":true"#)]).await;
    let other = |body: &str| body.replace(r#""id":"r""#, r#""id":"r2""#);
    check(&api, "activity-results", &[&other(&spelled), &other(&absent)], &[]).await;
}

/// What was accepted before defaults were left out has a hash of every member: the same text is the same request.
#[tokio::test]
async fn what_was_stored_with_every_member_in_its_hash() {
    let api = api().await;
    let plain = json!({"verb": "POST", "uriPattern": api.world.receiver.url()});
    api.put(&format!("{S}/activity-types/plain"), plain).await.expect(201);
    let spelled = r#"{"activityType":"plain","id":"a","parameter":{},"retries":3}"#;
    post(&api, "activities", spelled).await.expect(201);
    let report = r#"{"id":"r","activityId":"none","occurredAt":"2027-01-01T00:00:00Z","status":"PENDING","hardOverride":false}"#;
    post(&api, "activity-results", report).await.expect(201);
    let configuration =
        json!({"notificationKey": "key", "accountCode": "a", "dialogServiceUri": api.world.receiver.url()});
    api.put("/api/reminder/configuration/acme/main", configuration).await.expect(201);
    let reminder = r#"{"countryCode":"55","phoneNumber":"11","notificationTemplateName":"t","sendTimes":["2031-01-01T09:30:00Z"],
        "templateParameters":[],"timezone":"UTC","catchUp":"all"}"#;
    let path = "/api/reminder/acme/main/m";
    api.send_text("PUT", path, reminder.to_owned()).await.expect(201);
    // SHA-256 of the members in order, such as "activityType":"plain""parameter":{}"retries":3
    for (pk, sk, hash) in [
        ("A#acme/main#a", "ITEM", "C5eOTYkIvk6Fe1UkSXbWIw"),
        ("A#acme/main#none", "R#r", "CXgdZpGG25DeKMGJaQPaXQ"),
        ("R#acme/main#m", "ITEM", "1ZcoVV_7uxioqu0TpvqPzA"),
    ] {
        let table = &api.world.embedded.settings("api-ingest")["PUNCTUAL_WORK_TABLE"];
        let update = api.world.embedded.clients().dynamodb.update_item().table_name(table);
        let update =
            update.key("PK", AttributeValue::S(pk.to_owned())).key("SK", AttributeValue::S(sk.to_owned()));
        let update = update.update_expression("SET #h = :h").condition_expression("attribute_exists(#h)");
        let update = update.expression_attribute_names("#h", attr::BODY_HASH);
        update.expression_attribute_values(":h", AttributeValue::S(hash.to_owned())).send().await.unwrap();
    }
    post(&api, "activities", spelled).await.expect(200);
    post(&api, "activity-results", report).await.expect(200);
    let before = api.get(path).await.expect(200).json;
    api.world.clock.advance(chrono::TimeDelta::seconds(5));
    assert_eq!(api.send_text("PUT", path, reminder.to_owned()).await.expect(200).json, before);
}

#[tokio::test]
async fn activities_of_channels() {
    let api = api().await;
    check(
        &api,
        "activities",
        &[
            r#"{"channel":"EMAIL","type":"MESSAGE","reason":"r","id":"a","date":"2031-01-01T00:00:00Z","commerce":{"assignment":7,"targetUsers":["u"]}}"#,
            r#"{"channel":"EMAIL","activityType":null,"type":"MESSAGE","reason":"r","id":"a","date":"2031-01-01T05:30:00+05:30","commerce":{"targetUsers":["u"],"assignment":7e0},"task":null,"operator":null,"attributes":null}"#,
        ],
        &[
            r#"{"channel":"EMAIL","type":"MESSAGE","reason":"r","id":"a","date":"2031-01-01T00:00:00Z","commerce":{"assignment":7,"targetUsers":["u"]},"attributes":{}}"#,
            r#"{"channel":"EMAIL","type":"MESSAGE","reason":"r","id":"a","date":"2031-01-01T00:00:00Z","commerce":{"assignment":8,"targetUsers":["u"]}}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn notifications_results_and_keys() {
    let api = api().await;
    check(
        &api,
        "notifications",
        &[
            r#"{"type":"n","id":"a","payload":{"n":100,"none":null}}"#,
            r#"{"payload":{"none":null,"n":1e2},"type":"n","id":"a"}"#,
        ],
        &[
            r#"{"type":"n","id":"a","payload":{"n":100}}"#,
            r#"{"type":"n","id":"a","payload":{"n":101,"none":null}}"#,
        ],
    )
    .await;
    check(
        &api,
        "activity-results",
        &[
            r#"{"id":"r","providerActivityId":"100","occurredAt":"2027-01-01T00:00:00Z","status":"PENDING"}"#,
            r#"{"id":"r","providerActivityId":100.0,"occurredAt":"2027-01-01T02:00:00.000+02:00","status":"PENDING","comment":null,
                "hardOverride":null,"payload":null,"result":null,"externalStatus":null,"activityId":null}"#,
        ],
        &[
            r#"{"id":"r","providerActivityId":"100","occurredAt":"2027-01-01T00:00:00Z","status":"PENDING","comment":"x"}"#,
            r#"{"id":"r","providerActivityId":"100","occurredAt":"2027-01-01T00:00:00.5Z","status":"PENDING"}"#,
        ],
    )
    .await;
}

#[tokio::test]
async fn a_reminder_in_another_spelling_is_left_as_it_is() {
    let api = api().await;
    let configuration =
        json!({"notificationKey": "key", "accountCode": "a", "dialogServiceUri": api.world.receiver.url()});
    api.put("/api/reminder/configuration/acme/clinic", configuration).await.expect(201);
    let path = "/api/reminder/acme/clinic/visit";
    let put = async |body: &str| api.send_text("PUT", path, body.to_owned()).await;
    let first = r#"{"countryCode":"55","phoneNumber":"11","notificationTemplateName":"t","timezone":"America/Sao_Paulo",
        "sendTimes":["2031-01-01T09:30:00","2031-01-02T09:30:00"],"templateParameters":[1.10,null]}"#;
    put(first).await.expect(201);
    api.world.clock.advance(chrono::TimeDelta::seconds(5));
    let before = api.get(path).await.expect(200);
    for same in [
        first.to_owned(),
        first.replace("1.10", "11e-1"),
        first.replace("\"2031-01-01T09:30:00\"", "\"2031-01-01T12:30:00.000Z\""),
        first.replace(r#""countryCode""#, r#""recipientName":null,"countryCode""#),
        first.replace(r#""countryCode""#, r#""catchUp":"all","countryCode""#),
    ] {
        assert_eq!(put(&same).await.expect(200).text, before.text, "{same}");
    }
    let other = put(&first.replace(",null]", "]")).await.expect(200);
    assert_ne!(other.json["updatedAt"], before.json["updatedAt"]);
    let absent = r#"{"countryCode":"55","phoneNumber":"11","notificationTemplateName":"t","sendTimes":["2031-01-01T09:30:00Z"]}"#;
    let before = put(absent).await.expect(200);
    api.world.clock.advance(chrono::TimeDelta::seconds(5));
    let defaults = r#"{"templateParameters":[],"timezone":"UTC","catchUp":"all","#;
    assert_eq!(put(&absent.replacen('{', defaults, 1)).await.expect(200).text, before.text);
}

#[tokio::test]
async fn an_idempotency_key_in_quotes_is_the_key_inside() {
    let api = api().await;
    let send = async |resource: &str, key: &str, body: serde_json::Value| {
        let request =
            Request::post(resource).header("x-api-key", ADMIN).header("content-type", "application/json");
        api.send(request.header("Idempotency-Key", key).body(Body::from(body.to_string())).unwrap()).await
    };
    let activity = json!({"activityType": "play", "parameter": {"SongId": 1}});
    let notification = json!({"type": "n", "payload": 1});
    let result =
        json!({"providerActivityId": "p", "occurredAt": "2027-01-01T00:00:00Z", "status": "PENDING"});
    for (resource, body) in [
        (format!("{S}/activities"), activity),
        (format!("{S}/notifications"), notification),
        (format!("{S}/activity-results"), result),
        ("/v1/companies/acme/api-keys".to_owned(), json!({"label": "ci"})),
    ] {
        let made = send(&resource, "\"abc\"", body.clone()).await.expect(201);
        assert_eq!(made.json["id"], "abc");
        send(&resource, "abc", body.clone()).await.expect(200);
        let mut named = body.clone();
        named["id"] = json!("abc");
        send(&resource, " \"abc\"", named).await.expect(200);
        for (key, fault) in [
            ("\"abc", "must end with a quote, since it begins with one"),
            ("\"a\" b", "must have nothing behind the closing quote"),
            (r#""a\bc""#, r#"must have \ before " or \ alone"#),
            (r#""a\"c""#, "must match [A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}"),
            ("\"\"", "must match [A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}"),
        ] {
            let faults = send(&resource, key, body.clone()).await.problem(400).faults();
            assert_eq!(faults, [format!("header:idempotency-key {fault}")], "{resource}");
        }
    }
}

#[tokio::test]
async fn a_leap_second_is_accepted_where_there_can_be_one() {
    let api = api().await;
    let body = |date: &str| json!({"activityType": "play", "parameter": {"SongId": 1}, "date": date});
    let fault = "must not have the second 60: a leap second is at 23:59:60 UTC only";
    for date in ["2030-01-01T12:34:60Z", "2030-01-01T23:59:60+01:00", "2030-01-01T00:00:60.5Z"] {
        let faults = api.post(&format!("{S}/activities"), body(date)).await.problem(400).faults();
        assert_eq!(faults, [format!("/date {fault}")]);
        let query = date.replace('+', "%2B");
        let faults = api.get(&format!("{S}/activities?from={query}")).await.problem(400).faults();
        assert_eq!(faults, [format!("query:from {fault}")]);
    }
    let made = api.post(&format!("{S}/activities"), body("2029-12-31T18:59:60-05:00")).await.expect(201);
    assert_eq!(made.json["date"], "2030-01-01T00:00:00.000Z");
    let configuration =
        json!({"notificationKey": "key", "accountCode": "a", "dialogServiceUri": api.world.receiver.url()});
    api.put("/api/reminder/configuration/acme/clinic", configuration).await.expect(201);
    let reminder = json!({
        "countryCode": "55", "phoneNumber": "11", "notificationTemplateName": "t", "timezone": "Asia/Kolkata",
        "sendTimes": ["2030-01-01T05:29:60", "2030-01-01T23:59:60", "2030-01-01T12:34:60Z"],
    });
    let refused = api.put("/api/reminder/acme/clinic/visit", reminder).await.problem(400);
    assert_eq!(refused.faults(), [format!("/sendTimes/1 {fault}"), format!("/sendTimes/2 {fault}")]);
}
