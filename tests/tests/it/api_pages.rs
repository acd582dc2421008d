//! No answer is more than Lambda can send: pages of lists and what an activity shows of itself end in time (SPEC §2).

use crate::api::{Answer, Api, S};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::engine::attributes::Item;
use shared::page::PAGE_MAX_BYTES;
use std::collections::BTreeSet;
use tests::Reply;

/// What Lambda sends at most, the envelope included.
const LAMBDA_MAX_BYTES: usize = 6 * 1024 * 1024;
/// What the members of a page beside its items have at most.
const FRAME_BYTES: usize = 4_096;

/// The bytes of an answer as Lambda sends it: a string in the envelope of the HTTP API.
fn sent(answer: &Answer) -> usize {
    let envelope =
        json!({"statusCode": 200, "headers": {"content-type": "application/json"}, "body": answer.text});
    envelope.to_string().len()
}

/// Follows a list from `path` to its end; the field `name` of every item, and how many pages there were.
async fn follow(api: &Api, path: &str, name: &str) -> (Vec<String>, usize) {
    let (mut found, mut pages, mut next) = (Vec::new(), 0, path.to_owned());
    while pages < 100 {
        let page = api.get(&next).await.expect(200);
        assert!(sent(&page) <= PAGE_MAX_BYTES + FRAME_BYTES, "{next}: {} bytes", sent(&page));
        let items = page.json["items"].as_array().unwrap();
        found.extend(items.iter().map(|item| item[name].as_str().unwrap().to_owned()));
        pages += 1;
        let Some(cursor) = page.json["nextCursor"].as_str() else { return (found, pages) };
        assert!(!items.is_empty(), "{next}");
        let join = if path.contains('?') { '&' } else { '?' };
        next = format!("{path}{join}cursor={cursor}");
    }
    panic!("{path} never ends");
}

#[track_caller]
fn assert_all(found: &[String], count: usize, what: &str) {
    let distinct: BTreeSet<&String> = found.iter().collect();
    assert_eq!((found.len(), distinct.len()), (count, count), "{what}");
}

/// An API with a type of notification and a configuration of reminders.
async fn api() -> Api {
    let api = Api::seeded().await;
    let url = api.world.receiver.url();
    api.put(&format!("{S}/notification-types/n"), json!({"uri": url})).await.expect(201);
    let clinic = json!({"notificationKey": "k", "accountCode": "a", "dialogServiceUri": url});
    api.put("/api/reminder/configuration/acme/clinic", clinic).await.expect(201);
    api
}

/// Texts of which 28 are 7 MB: plain, and half of that which escaping doubles twice.
fn texts() -> [(&'static str, String); 2] {
    [("plain", "x".repeat(250_000)), ("quotes", "\"".repeat(120_000))]
}

#[tokio::test]
async fn lists_of_what_is_large_end_their_pages_in_time() {
    let api = api().await;
    for (kind, text) in texts() {
        for index in 0..28 {
            let id = format!("{kind}-{index}");
            let parameter = json!({"SongId": 1, "text": text});
            let activity = json!({"activityType": "play", "parameter": parameter, "id": id, "date": "2030-01-01T00:00:00Z"});
            api.post(&format!("{S}/activities"), activity).await.expect(201);
            let rule = json!({"activityType": "play", "parameter": parameter, "minute": "0", "hour": "0", "year": "2030"});
            api.put(&format!("{S}/recurring-activities/{id}"), rule).await.expect(201);
            let notification = json!({"type": "n", "payload": text, "id": id});
            api.post(&format!("{S}/notifications"), notification).await.expect(201);
            let reminder = json!({
                "countryCode": "55", "phoneNumber": "11999", "notificationTemplateName": "visit",
                "templateParameters": [text], "sendTimes": ["2030-01-31T09:30:00Z"],
            });
            api.put(&format!("/api/reminder/acme/clinic/{id}"), reminder).await.expect(201);
        }
    }
    for (list, name) in [
        (format!("{S}/activities"), "id"),
        (format!("{S}/activities?objectId=1"), "id"),
        (format!("{S}/activities?limit=100"), "id"),
        (format!("{S}/recurring-activities"), "name"),
        (format!("{S}/recurring-activities?limit=100"), "name"),
        (format!("{S}/notifications"), "id"),
        (format!("{S}/notifications?limit=100"), "id"),
        ("/api/reminder/acme/clinic".to_owned(), "id"),
        ("/api/reminder/acme/clinic?limit=100".to_owned(), "id"),
    ] {
        let (found, pages) = follow(&api, &list, name).await;
        assert_all(&found, 56, &list);
        assert!((5..=9).contains(&pages), "{list} has {pages} pages");
    }
}

/// The configuration's largest items are types, of which headers make the most.
#[tokio::test]
async fn lists_of_configuration_end_their_pages_in_time() {
    let api = api().await;
    let headers: serde_json::Map<String, Value> =
        (0..50).map(|index| (format!("x-{index}"), json!("\\".repeat(2_400)))).collect();
    for index in 0..20 {
        let body = json!({"verb": "POST", "uriPattern": "https://example.com/", "headers": headers});
        api.put(&format!("{S}/activity-types/t{index}"), body).await.expect(201);
    }
    let (found, pages) = follow(&api, &format!("{S}/activity-types?limit=100"), "activityType").await;
    assert_all(&found, 21, "types");
    assert!((3..=4).contains(&pages), "{pages}");
}

/// The items of an activity or notification in the work table are made as its history's first one is.
async fn add_history(api: &Api, pk: &str, count: u32) {
    let dynamodb = &api.world.embedded.clients().dynamodb;
    let table = &api.world.embedded.settings("api-ingest")["PUNCTUAL_WORK_TABLE"];
    let items = api.world.dump().await;
    let text = |item: &Item, name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
    let first = |item: &&Item| {
        text(item, "PK").as_deref() == Some(pk) && text(item, "SK").is_some_and(|sk| sk.starts_with("H#"))
    };
    let first = items.iter().find(first).unwrap();
    for attempt in 2..=count {
        let mut entry = first.clone();
        entry.insert("SK".to_owned(), AttributeValue::S(format!("H#00000#{attempt:05}")));
        entry.insert("hm".to_owned(), AttributeValue::N(attempt.to_string()));
        entry.insert("dt".to_owned(), AttributeValue::S("y".repeat(1_000)));
        dynamodb.put_item().table_name(table).set_item(Some(entry)).send().await.unwrap();
    }
}

/// The field `name` of what an answer shows of a list, and of what its link leads to, oldest first.
async fn all_of(api: &Api, answer: &Answer, list: &str, link: &str, name: &str) -> Vec<Value> {
    assert!(sent(answer) < LAMBDA_MAX_BYTES / 2, "{} bytes", sent(answer));
    let values = |items: &Value| items.as_array().unwrap().iter().map(|item| item[name].clone()).collect();
    let mut found: Vec<Value> = values(&answer.json[list]);
    let mut next = answer.json[link].as_str().map(str::to_owned);
    let path = next.as_ref().map(|next| next.split('?').next().unwrap().to_owned());
    while let Some(link) = next {
        let page = api.get(&link).await.expect(200);
        assert!(sent(&page) < LAMBDA_MAX_BYTES, "{link}");
        let earlier: Vec<Value> = values(&page.json["items"]);
        found.splice(0..0, earlier.into_iter().rev());
        let cursor = page.json["nextCursor"].as_str();
        next = cursor.map(|cursor| format!("{}?cursor={cursor}", path.as_ref().unwrap()));
    }
    found
}

#[tokio::test]
async fn a_long_history_is_shown_as_far_as_it_goes_and_linked() {
    let api = api().await;
    api.world.receiver.reply([Reply::status(500), Reply::status(500)]);
    api.activity("1", json!({"id": "long", "retries": 0})).await;
    api.world.work(&api.world.worker()).await;
    api.post(&format!("{S}/notifications"), json!({"type": "n", "payload": 1, "id": "long"}))
        .await
        .expect(202);
    for kind in ["activities", "notifications"] {
        let path = format!("{S}/{kind}/long");
        let before = api.get(&path).await.expect(200);
        assert!(before.json.get("moreHistory").is_none(), "{}", before.text);
        let letter = kind[..1].to_uppercase();
        add_history(&api, &format!("{letter}#acme/main#long"), 700).await;
        let answer = api.get(&path).await.expect(200);
        assert_eq!(answer.json["history"].as_array().unwrap().len(), 100, "{kind}");
        let found = all_of(&api, &answer, "history", "moreHistory", "durationMs").await;
        let expect: Vec<Value> = (2..=700).map(Value::from).collect();
        assert_eq!(found[1..], expect, "{kind}");
        // The list alone has the same, the last one first.
        let (mut listed, mut next) = (Vec::new(), format!("{path}/history?limit=77"));
        loop {
            let page = api.get(&next).await.expect(200).json;
            listed.extend(page["items"].as_array().unwrap().iter().map(|item| item["durationMs"].clone()));
            let Some(cursor) = page["nextCursor"].as_str() else { break };
            next = format!("{path}/history?limit=77&cursor={cursor}");
        }
        listed.reverse();
        assert_eq!(listed, found, "{kind}");
    }
    api.get(&format!("{S}/activities/none/history")).await.problem(404);
    api.get(&format!("{S}/activities/none/results")).await.problem(404);
    api.get(&format!("{S}/notifications/none/history")).await.problem(404);
    // Deleted, nothing of it stays.
    api.delete(&format!("{S}/notifications/long")).await.expect(204);
    let left = format!("{:?}", api.world.dump().await);
    assert!(!left.contains("N#acme/main#long"));
}

/// The attempt that succeeded is kept with the activity itself, and is the last of its history.
#[tokio::test]
async fn the_successful_attempt_leads_the_list() {
    let api = Api::seeded().await;
    api.world.receiver.reply([Reply::status(500)]);
    api.activity("1", json!({"id": "a"})).await;
    api.world.work(&api.world.worker()).await;
    api.world.clock.advance(chrono::TimeDelta::seconds(31));
    api.world.work(&api.world.worker()).await;
    let path = format!("{S}/activities/a/history");
    for limit in [1, 2, 100] {
        let (found, pages) = follow(&api, &format!("{path}?limit={limit}"), "outcome").await;
        assert_eq!(found[0], "SUCCESS", "{found:?}");
        assert_eq!((found.len(), pages), (2, if limit == 1 { 2 } else { 1 }), "by {limit}");
    }
}

/// The configuration of the channel `EMAIL`, and a report to what is given.
async fn with_channel(api: &Api) {
    let credentials = json!({"apiKey": tests::provider::API_KEY});
    let config = json!({"provider": "YOM", "baseUrl": api.world.receiver.url(), "credentials": credentials});
    api.put(&format!("{S}/dispatch-configs/EMAIL"), config).await.expect(201);
}

async fn report(api: &Api, id: &str, status: &str, target: (&str, &str)) {
    api.world.clock.advance(chrono::TimeDelta::milliseconds(1));
    let mut body = json!({"id": id, "occurredAt": "2027-01-15T07:59:00Z", "status": status, "payload": "z".repeat(245_000)});
    body[target.0] = json!(target.1);
    api.post(&format!("{S}/activity-results"), body).await.expect(201);
}

fn message(id: &str) -> Value {
    let commerce = json!({"assignment": "x", "targetUsers": []});
    json!({"id": id, "channel": "EMAIL", "type": "MESSAGE", "reason": "r", "commerce": commerce})
}

#[tokio::test]
async fn very_many_results_are_shown_as_far_as_they_go_and_linked() {
    let api = api().await;
    with_channel(&api).await;
    api.post(&format!("{S}/activities"), message("many")).await.expect(201);
    for index in 0..60 {
        report(&api, &format!("r{index:02}"), "PENDING", ("activityId", "many")).await;
    }
    let answer = api.get(&format!("{S}/activities/many")).await.expect(200);
    let found = all_of(&api, &answer, "results", "moreResults", "id").await;
    let expect: Vec<Value> = (0..60).map(|index| json!(format!("r{index:02}"))).collect();
    assert_eq!(found, expect);
    // The same request again, and what changes it, answer with as much.
    let again = api.post(&format!("{S}/activities"), message("many")).await.expect(200);
    assert!(sent(&again) < LAMBDA_MAX_BYTES / 2 && again.json["moreResults"].is_string());
    api.delete(&format!("{S}/activities/many")).await.expect(200);
}

/// More results than one call of DynamoDB answers, by ids in another order than they were reported in.
#[tokio::test]
async fn results_that_came_before_are_all_applied_in_the_order_they_were_reported() {
    let api = api().await;
    with_channel(&api).await;
    for (target, id) in [("providerActivityId", "by-provider"), ("activityId", "by-activity")] {
        let named = if target == "activityId" { id.to_owned() } else { format!("p-{id}") };
        for index in (1..=8).rev() {
            report(&api, &format!("{id}-{index}"), "PENDING", (target, &named)).await;
        }
        report(&api, &format!("{id}-9"), "NOT_EXECUTED", (target, &named)).await;
        let second = json!({"occurredAt": "2027-01-15T07:59:00Z", "status": "COMPLETED", target: named});
        api.post(&format!("{S}/activity-results"), second).await.problem(409);
        api.post(&format!("{S}/activities"), message(id)).await.expect(201);
        api.world.receiver.reply([Reply::taken(&format!("p-{id}"))]);
        api.world.work(&api.world.worker()).await;
        let answer = api.get(&format!("{S}/activities/{id}")).await.expect(200);
        assert_eq!(answer.json["status"], "FAILED", "{id}");
        let found = all_of(&api, &answer, "results", "moreResults", "id").await;
        let by_id: BTreeSet<String> = found.iter().map(|id| id.as_str().unwrap().to_owned()).collect();
        assert_eq!(by_id, (1..=9).map(|index| format!("{id}-{index}")).collect());
        let list = format!("{S}/activities/{id}/results?limit=100");
        let page = api.get(&list).await.expect(200).json;
        for result in page["items"].as_array().unwrap() {
            assert_eq!(result["linkStatus"], "LINKED", "{}", result["id"]);
        }
    }
}

/// An occurrence that was created ahead, and of which more was reported than one transaction deletes.
#[tokio::test]
async fn an_occurrence_with_very_many_results_is_withdrawn() {
    let api = Api::seeded().await;
    let rule = json!({"activityType": "play", "parameter": {"SongId": 1}, "second": "30"});
    api.put(&format!("{S}/recurring-activities/often"), rule).await.expect(201);
    api.world.expand().await;
    let ahead = api.get(&format!("{S}/activities?status=READY&limit=1")).await.expect(200).json;
    let id = ahead["items"][0]["id"].as_str().unwrap().to_owned();
    for index in 0..130 {
        let body = json!({"id": format!("r{index}"), "activityId": id, "occurredAt": "2027-01-15T07:59:00Z", "status": "PENDING"});
        api.post(&format!("{S}/activity-results"), body).await.expect(201);
    }
    let paused = json!({"serverState": "paused"});
    api.put(&format!("{S}/recurring-activities/often/server-state"), paused).await.expect(200);
    api.get(&format!("{S}/activities/{id}")).await.problem(404);
    let left = format!("{:?}", api.world.dump().await);
    assert!(!left.contains(&format!("A#acme/main#{id}\"")));
}

/// Each fault below a long name repeats it.
#[tokio::test]
async fn the_faults_of_a_body_are_no_more_than_can_be_sent() {
    let api = Api::seeded().await;
    let unknown: serde_json::Map<String, Value> =
        (0..200).map(|index| (format!("u{index}"), json!(1))).collect();
    let mut rules = serde_json::Map::new();
    rules.insert("n".repeat(200_000), Value::Object(unknown));
    let body = json!({"uri": "https://example.com/", "rules": rules});
    let answer = api.put(&format!("{S}/notification-types/long"), body).await.problem(400);
    assert!(sent(&answer) < 1_000_000, "{} bytes", sent(&answer));
}
