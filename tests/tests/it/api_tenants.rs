//! Who may do what, for every operation of the description: nobody learns anything of another company, not even
//! whether something exists.

use crate::api::{ADMIN, Answer, Api};
use crate::api_endpoints::{Endpoint, keyed};
use crate::api_story::{Story, in_order, path};
use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use shared::engine::attributes::Item;
use shared::table::attr;

/// Two companies with one of everything each, by the same names.
async fn two() -> Api {
    let api = Story::told(Api::new().await, "acme").await.api;
    Story::told(api, "other").await.api
}

/// A call; with no key if it is empty.
async fn call(api: &Api, key: &str, found: &Endpoint, path: &str) -> Answer {
    let mut request = Request::builder().method(found.method.as_str()).uri(path);
    if !key.is_empty() {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let body = match &found.body {
        Some(body) => {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    api.send(request.body(body).unwrap()).await
}

fn with_secret(path: &str, secret: &str) -> String {
    format!("{path}{}secret={secret}", if path.contains('?') { '&' } else { '?' })
}

#[tokio::test]
async fn without_a_known_key_nothing_is_told() {
    let api = two().await;
    let keys = "/v1/companies/acme/api-keys";
    let deleted = api.key("acme").await;
    let newest = api.get(&format!("{keys}?limit=100")).await.expect(200);
    let id =
        newest.json["items"].as_array().unwrap().iter().find(|key| key["label"] == "test").unwrap()["id"]
            .clone();
    // It did open something, so it is the deletion that the answers are about.
    api.call_as(&deleted, "GET", "/v1/companies/acme", None).await.expect(200);
    api.delete(&format!("{keys}/{}", id.as_str().unwrap())).await.expect(204);
    let unknown = format!("{}x", &deleted[..deleted.len() - 1]);
    for found in keyed() {
        let (there, nowhere) = (path(&found, "acme"), path(&found, "nowhere"));
        for key in ["", "nonsense", &unknown, &deleted] {
            let answer = call(&api, key, &found, &there).await;
            assert_eq!(answer.status, 401, "{} {key}: {}", found.id(), answer.text);
            let answer = answer.problem(401);
            assert_eq!(answer.text, call(&api, key, &found, &nowhere).await.text, "{}", found.id());
            assert!(
                !answer.text.contains("music") && !answer.text.contains("publish-song"),
                "{}",
                answer.text
            );
        }
        // A secret is a key where it is said to be one, and elsewhere nothing.
        let secret = call(&api, "", &found, &with_secret(&there, "guessed")).await;
        let owners =
            found.template.starts_with("/api/reminder/configuration") && !found.takes("reminderSecret");
        assert_eq!(secret.status, if owners { 403 } else { 401 }, "{}: {}", found.id(), secret.text);
        let elsewhere = call(&api, "", &found, &with_secret(&nowhere, "guessed")).await;
        assert_eq!(secret.text, elsewhere.text, "{}", found.id());
    }
}

#[tokio::test]
async fn a_company_key_opens_its_own_company_and_no_other() {
    let api = two().await;
    let stranger = api.key("other").await;
    for found in keyed() {
        let answer = call(&api, &stranger, &found, &path(&found, "acme")).await;
        if found.in_company() || found.admin_only {
            assert_eq!(answer.status, 403, "{}: {}", found.id(), answer.text);
            let nowhere = call(&api, &stranger, &found, &path(&found, "nowhere")).await;
            assert_eq!(answer.text, nowhere.text, "{}", found.id());
            assert!(
                !answer.text.contains("music") && !answer.text.contains("publish-song"),
                "{}",
                answer.text
            );
            answer.problem(403);
        } else {
            // It is the same for all.
            assert_eq!(answer.expect(200).text, call(&api, ADMIN, &found, &path(&found, "acme")).await.text);
        }
    }
    // Its own opens; what creates comes first, what deletes comes last.
    for found in in_order().into_iter().filter(|found| found.operation["responses"].get("401").is_some()) {
        let own = call(&api, &stranger, &found, &path(&found, "other")).await;
        assert_eq!(own.status == 403, found.admin_only, "{}: {}", found.id(), own.text);
        assert_ne!(own.status, 401, "{}", found.id());
    }
}

#[tokio::test]
async fn the_secrets_of_a_reminder_configuration_open_it_and_nothing_else() {
    let api = two().await;
    let refresh = "/api/reminder/configuration/other/music/refresh-keys?keyType=secondary";
    let secret = api.call("POST", refresh, None).await.expect(200).json["secondaryKey"].clone();
    let secret = secret.as_str().unwrap();
    let mut opened = 0;
    for found in keyed() {
        let own = call(&api, "", &found, &with_secret(&path(&found, "other"), secret)).await;
        let foreign = call(&api, "", &found, &with_secret(&path(&found, "acme"), secret)).await;
        let nowhere = call(&api, "", &found, &with_secret(&path(&found, "nowhere"), secret)).await;
        if found.takes("reminderSecret") {
            assert!(!matches!(own.status, 401 | 403), "{}: {}", found.id(), own.text);
            assert_eq!((foreign.status, &foreign.text), (401, &nowhere.text), "{}", found.id());
            opened += 1;
        } else {
            assert!(matches!(own.status, 401 | 403), "{}: {}", found.id(), own.text);
            assert_eq!((foreign.status, &foreign.text), (own.status, &nowhere.text), "{}", found.id());
        }
    }
    assert!(opened >= 10, "{opened}");
}

/// What another company calls its own is, below one's own, as good as what nobody has.
#[tokio::test]
async fn names_and_ids_of_another_company_lead_nowhere() {
    let api = Story::told(Api::new().await, "acme").await.api;
    api.put("/v1/companies/other", json!({})).await.expect(201);
    for body in ["solutions/music", "solutions/empty"] {
        api.put(&format!("/v1/companies/other/{body}"), json!({})).await.expect(201);
    }
    let key = api.key("other").await;
    // Requests that call receivers hold slots of their own company, which are leases.
    let dump = async || {
        let items = api.world.dump().await;
        let is_kept = |item: &Item| !item[attr::PK].as_s().unwrap().starts_with("W#other");
        items.into_iter().filter(is_kept).collect::<Vec<_>>()
    };
    let before = dump().await;
    let mut seen = 0;
    for found in keyed() {
        let below = found.parameters("path").count();
        let made = found.method == "PUT" && !found.template.ends_with("server-state");
        if below < 3 && found.id() != "deleteApiKey" || made || found.template.contains("/{channel}") {
            continue;
        }
        let theirs = call(&api, &key, &found, &path(&found, "other")).await;
        let nobodys = found.template.replace("{id}", "no-such").replace("{name}", "no-such");
        let nobodys = nobodys.replace("{type}", "no-such").replace("{reminderId}", "no-such");
        let nobodys = Endpoint { template: nobodys, ..found.clone() };
        let nobodys = call(&api, &key, &nobodys, &path(&nobodys, "other")).await;
        assert_eq!((theirs.status, &theirs.text), (404, &nobodys.text), "{}", found.id());
        seen += 1;
    }
    assert!(seen >= 20, "{seen}");
    assert_eq!(before, dump().await);
    // In a body they are as unknown.
    let solution = "/v1/companies/other/solutions/music";
    for kind in ["publish-song", "no-such"] {
        let notification = json!({"type": kind, "payload": 1});
        let answer =
            api.call_as(&key, "POST", &format!("{solution}/notifications"), Some(notification)).await;
        assert_eq!(answer.problem(400).faults(), ["/type names no notification type of this solution"]);
        let activity = json!({"activityType": kind});
        let answer = api.call_as(&key, "POST", &format!("{solution}/activities"), Some(activity)).await;
        assert_eq!(answer.problem(400).faults(), ["/activityType names no activity type of this solution"]);
    }
    let result = |id: &str| json!({"activityId": id, "occurredAt": "2026-01-31T09:30:00Z", "status": "COMPLETED", "id": format!("of-{id}")});
    for id in ["example-2", "no-such"] {
        let results = format!("{solution}/activity-results");
        let answer = api.call_as(&key, "POST", &results, Some(result(id))).await.expect(201);
        assert_eq!(answer.json["linkStatus"], "STANDALONE", "{}", answer.text);
    }
    let untouched = api.get("/v1/companies/acme/solutions/music/activities/example-2").await.expect(200);
    assert_eq!((&untouched.json["status"], &untouched.json["results"]), (&json!("READY"), &json!([])));
    let filter = json!({"filter": {"objectId": "42"}, "action": "cancel"});
    let bulk =
        api.call_as(&key, "POST", &format!("{solution}/activities/bulk"), Some(filter)).await.expect(200);
    assert_eq!(bulk.json, json!({"matched": 0, "changed": 0}));
}

/// Lists whose second page takes more than a story to fill.
const SHORT: [&str; 5] = [
    "listActivityHistory",
    "listActivityResults",
    "listNotificationHistory",
    "listSkippedOccurrences",
    "listReminderHistory",
];

#[tokio::test]
async fn cursors_are_of_no_use_in_another_company() {
    let api = two().await;
    // A second one of everything.
    api.put("/v1/companies/acme/solutions/second", json!({})).await.expect(201);
    for (id, at) in [
        ("putActivityType", "/v1/companies/acme/solutions/music/activity-types/second"),
        ("putNotificationType", "/v1/companies/acme/solutions/music/notification-types/second"),
        ("putDispatchConfig", "/v1/companies/acme/solutions/music/dispatch-configs/SMS"),
        ("putRecurringActivity", "/v1/companies/acme/solutions/music/recurring-activities/second"),
        ("putReminder", "/api/reminder/acme/music/second"),
    ] {
        api.put(at, body_of(id)).await.expect(201);
    }
    let notifications = "/v1/companies/acme/solutions/music/notifications";
    api.post(notifications, json!({"type": "second", "payload": 2})).await;
    api.key("acme").await;
    let stranger = api.key("other").await;
    let mut seen = Vec::new();
    for found in keyed() {
        if !found.parameters("query").any(|parameter| parameter["name"] == "cursor") {
            continue;
        }
        let page = api.get(&format!("{}?limit=1", path(&found, "acme"))).await.expect(200);
        let Some(cursor) = page.json["nextCursor"].as_str() else {
            seen.push((found.id().to_owned(), false));
            continue;
        };
        api.get(&format!("{}?limit=1&cursor={cursor}", path(&found, "acme"))).await.expect(200);
        if found.in_company() {
            let own = path(&found, "other");
            let refused =
                api.call_as(&stranger, "GET", &format!("{own}?cursor={cursor}"), None).await.problem(400);
            let made_up =
                api.call_as(&stranger, "GET", &format!("{own}?cursor=AAAA"), None).await.problem(400);
            assert_eq!(refused.text, made_up.text, "{}", found.id());
        }
        seen.push((found.id().to_owned(), true));
    }
    for (id, paged) in &seen {
        assert_eq!(*paged, !SHORT.contains(&id.as_str()), "{id}");
    }
    assert!(seen.len() >= 14, "{seen:?}");
}

fn body_of(id: &str) -> Value {
    keyed().into_iter().find(|found| found.id() == id).unwrap().body.unwrap()
}
