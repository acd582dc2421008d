//! Cursors: what a list gave is good for that list, and nothing else is.

use super::{check_async, runtime};
use crate::api::{Api, S};
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
