//! Cursors: what a list gave is good for that list, and nothing else is.

use super::{check_async, runtime};
use crate::api::{ADMIN, Answer, Api, S, router_with, send};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;

/// What is done to a cursor.
#[derive(Debug, Clone)]
enum Harm {
    Flip(Index, u8),
    Cut(Index),
    Append(Vec<u8>),
    /// Another base64 of the same bytes.
    Recode,
    /// Bytes that never were a cursor.
    Invent(Vec<u8>),
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        (any::<Index>(), 1_u8..).prop_map(|(at, bits)| Harm::Flip(at, bits)),
        any::<Index>().prop_map(Harm::Cut),
        proptest::collection::vec(any::<u8>(), 1..40).prop_map(Harm::Append),
        Just(Harm::Recode),
        proptest::collection::vec(any::<u8>(), 0..80).prop_map(Harm::Invent),
    ]
}

fn harmed(cursor: &str, harm: &Harm) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap();
    match harm {
        Harm::Flip(at, bits) => *at.get_mut(&mut bytes) ^= bits,
        Harm::Cut(at) => bytes.truncate(at.index(bytes.len())),
        Harm::Append(more) => bytes.extend(more),
        Harm::Recode => return format!("{}=", STANDARD.encode(&bytes)),
        Harm::Invent(other) => bytes.clone_from(other),
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Two tenants with the same of everything, and every list's first cursor.
async fn lists() -> (Api, Vec<(String, String)>) {
    let api = Api::seeded().await;
    api.put("/v1/companies/other", json!({})).await.expect(201);
    let tenants = [S.to_owned(), "/v1/companies/other/solutions/main".to_owned()];
    let hook = format!("{}/hook", api.world.receiver.url());
    let mut found = Vec::new();
    for s in &tenants {
        api.put(s, json!({})).await;
        for name in ["a", "b"] {
            let call = json!({"verb": "POST", "uriPattern": hook});
            api.put(&format!("{s}/activity-types/{name}"), call).await.expect(201);
            api.put(&format!("{s}/notification-types/{name}"), json!({"uri": hook})).await.expect(201);
            let activity = json!({"activityType": "a", "id": name, "date": "2030-01-01T00:00:00Z"});
            api.post(&format!("{s}/activities"), activity).await.expect(201);
            api.post(&format!("{s}/notifications"), json!({"type": "a", "payload": {}, "id": name}))
                .await
                .expect(201);
            let rule = json!({"activityType": "a", "parameter": {}, "minute": "0"});
            api.put(&format!("{s}/recurring-activities/{name}"), rule).await.expect(201);
        }
        for list in [
            "activity-types",
            "notification-types",
            "activities",
            "notifications",
            "recurring-activities",
            "audit-log",
        ] {
            let path = format!("{s}/{list}");
            let page = api.get(&format!("{path}?limit=1")).await.expect(200);
            let cursor = page.json["nextCursor"].as_str().unwrap_or_else(|| panic!("{path}: {}", page.text));
            found.push((path, cursor.to_owned()));
        }
    }
    let page = api.get("/v1/companies?limit=1").await.expect(200);
    found.push(("/v1/companies".to_owned(), page.json["nextCursor"].as_str().unwrap().to_owned()));
    (api, found)
}

async fn refused(api: &Api, path: &str, cursor: &str) -> super::Seen {
    let cursor = utf8_percent_encode(cursor, NON_ALPHANUMERIC);
    let separator = if path.contains('?') { '&' } else { '?' };
    let answer = api.get(&format!("{path}{separator}cursor={cursor}")).await;
    prop_assert_eq!(answer.status, 400, "{} {}", path, answer.text);
    prop_assert_eq!(&answer.json["errors"][0]["pointer"], "query:cursor");
    Ok(())
}

#[test]
fn strangers_cursors_are_refused_whatever_was_done_to_them() {
    let runtime = runtime();
    let (api, lists) = runtime.block_on(lists());
    check_async(300, &(any::<Index>(), harm()), &runtime, async |(which, harm)| {
        let (path, cursor) = which.get(&lists);
        let harmed = harmed(cursor, &harm);
        prop_assume!(harmed != *cursor);
        refused(&api, path, &harmed).await
    });
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_alone() {
    let (api, lists) = lists().await;
    for (path, cursor) in &lists {
        api.get(&format!("{path}?limit=1&cursor={cursor}")).await.expect(200);
        if path.ends_with("/activities") {
            refused(&api, &format!("{path}?status=READY"), cursor).await.unwrap();
        }
        for (other, _) in lists.iter().filter(|(other, _)| other != path) {
            refused(&api, other, cursor).await.unwrap();
        }
    }
}

async fn cursor_of(router: axum::Router, key: &str, path: &str) -> Answer {
    let request = http::Request::builder().uri(path).header("x-api-key", key);
    send(router, request.body(axum::body::Body::empty()).unwrap()).await
}

/// Whoever guesses the admin key cannot tell by a cursor whether the guess is right: cursors are the same under
/// another admin key.
#[tokio::test]
async fn a_cursor_has_nothing_to_do_with_the_admin_key() {
    let (api, lists) = lists().await;
    const OTHER: &str = "another-admin-key-of-the-tests";
    let other = router_with(api.world.process(), OTHER);
    for (path, cursor) in &lists {
        let page = cursor_of(other.clone(), OTHER, &format!("{path}?limit=1")).await.expect(200);
        assert_eq!(page.json["nextCursor"], *cursor, "{path}");
        cursor_of(other.clone(), OTHER, &format!("{path}?limit=1&cursor={cursor}")).await.expect(200);
    }
    // The secret is a deployment's own.
    let elsewhere = Api::new().await;
    for name in ["acme", "other"] {
        elsewhere.put(&format!("/v1/companies/{name}"), json!({})).await.expect(201);
    }
    let (path, cursor) = lists.last().unwrap();
    let page = elsewhere.get(&format!("{path}?limit=1")).await.expect(200);
    assert!(page.json["nextCursor"].is_string(), "{}", page.text);
    refused(&elsewhere, path, cursor).await.unwrap();
}

#[tokio::test]
async fn processes_that_need_the_secret_first_at_the_same_time_agree() {
    let api = Api::new().await;
    for name in ["a", "b"] {
        api.put(&format!("/v1/companies/{name}"), json!({})).await.expect(201);
    }
    let processes: Vec<_> = (0..8).map(|_| api.other_process()).collect();
    let first = processes.iter().map(|one| cursor_of(one.clone(), ADMIN, "/v1/companies?limit=1"));
    let cursors: Vec<_> = futures::future::join_all(first).await;
    let cursors: Vec<&str> = cursors.iter().map(|page| page.json["nextCursor"].as_str().unwrap()).collect();
    assert!(cursors.iter().all(|cursor| *cursor == cursors[0]), "{cursors:?}");
    for process in processes {
        let next = format!("/v1/companies?limit=1&cursor={}", cursors[0]);
        assert_eq!(cursor_of(process, ADMIN, &next).await.expect(200).json["items"][0]["company"], "b");
    }
}
