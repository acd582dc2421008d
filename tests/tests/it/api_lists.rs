//! Lists: pages, cursors and filters (SPEC §2, §3).

use crate::api::{Answer, Api, S};
use serde_json::{Value, json};
use tests::Reply;

/// Walks a list in pages of `limit`; the field `name` of every item.
async fn walk(api: &Api, path: &str, limit: usize, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let join = if path.contains('?') { '&' } else { '?' };
    let mut query = format!("{path}{join}limit={limit}");
    for _ in 0..100 {
        let page = api.get(&query).await.expect(200).json;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        found.extend(items.iter().map(|item| item[name].as_str().unwrap().to_owned()));
        match page["nextCursor"].as_str() {
            Some(cursor) => query = format!("{path}{join}limit={limit}&cursor={cursor}"),
            None => return found,
        }
    }
    panic!("the list never ends");
}

#[tokio::test]
async fn pages_follow_one_another_without_gap_or_repeat() {
    let api = Api::seeded().await;
    let mut companies = vec!["acme".to_owned()];
    for index in 0..6 {
        let name = format!("b{index}");
        api.put(&format!("/v1/companies/{name}"), json!({})).await.expect(201);
        api.put(&format!("/v1/companies/acme/solutions/{name}"), json!({})).await.expect(201);
        let get = json!({"verb": "GET", "uriPattern": "https://example.com/"});
        api.put(&format!("{S}/activity-types/{name}"), get).await.expect(201);
        let key = json!({"label": "x", "id": name});
        api.post("/v1/companies/acme/api-keys", key).await.expect(201);
        api.activity("1", json!({"id": name, "date": format!("2030-01-01T00:00:0{index}Z")})).await;
        companies.push(name);
    }
    let names = companies[1..].to_vec();
    let and = |first: &str, last: &[String]| [&[first.to_owned()], last].concat();
    let types = [names.clone(), vec!["play".to_owned()]].concat();
    for (path, field, expect) in [
        ("/v1/companies".to_owned(), "company", companies.clone()),
        (
            "/v1/companies/acme/solutions".to_owned(),
            "solution",
            [names.clone(), vec!["main".to_owned()]].concat(),
        ),
        (format!("{S}/activity-types"), "activityType", types),
        ("/v1/companies/acme/api-keys".to_owned(), "id", names.clone()),
        (format!("{S}/activities"), "id", names.clone()),
        (
            format!("{S}/audit-log"),
            "action",
            and("activityType.created", &vec!["activityType.created".to_owned(); 6])
                .into_iter()
                .chain(["solution.created".to_owned()])
                .collect(),
        ),
    ] {
        for limit in [1, 2, 3, expect.len(), 100] {
            assert_eq!(walk(&api, &path, limit, field).await, expect, "{path} by {limit}");
        }
    }
}

#[tokio::test]
async fn a_cursor_is_of_no_use_outside_its_tenant_and_query() {
    let api = Api::seeded().await;
    let other = "/v1/companies/other/solutions/main";
    api.put("/v1/companies/other", json!({})).await.expect(201);
    api.put(other, json!({})).await.expect(201);
    for song in ["1", "2", "3"] {
        api.activity(song, json!({"date": "2030-01-01T00:00:00Z"})).await;
    }
    let page = api.get(&format!("{S}/activities?limit=1&status=READY")).await.expect(200).json;
    let cursor = page["nextCursor"].as_str().unwrap();
    let refused = |answer: Answer| {
        let faults = answer.problem(400).faults();
        assert_eq!(faults, ["query:cursor must be a nextCursor that this list gave for the same query"]);
    };
    api.get(&format!("{S}/activities?limit=2&status=READY&cursor={cursor}")).await.expect(200);
    refused(api.get(&format!("{other}/activities?limit=1&status=READY&cursor={cursor}")).await);
    refused(api.get(&format!("{S}/activities?limit=1&cursor={cursor}")).await);
    refused(
        api.get(&format!("{S}/activity-types?status=READY&cursor={cursor}"))
            .await
            .problem(400)
            .without_status(),
    );
    let mut tampered = cursor.to_owned();
    let last = if tampered.pop() == Some('A') { 'Q' } else { 'A' };
    tampered.push(last);
    refused(api.get(&format!("{S}/activities?status=READY&cursor={tampered}")).await);
}

impl Answer {
    /// Without the fault that another list has no `status`.
    fn without_status(mut self) -> Self {
        let faults = self.json["errors"].as_array_mut().unwrap();
        faults.retain(|fault| fault["pointer"] != "query:status");
        self
    }
}

#[tokio::test]
async fn filters_find_what_matches() {
    let api = Api::seeded().await;
    let stop = json!({"verb": "GET", "uriPattern": "https://example.com/"});
    api.put(&format!("{S}/activity-types/stop"), stop).await.expect(201);
    api.world.receiver.reply([Reply::status(500)]);
    api.activity("7", json!({"id": "failed", "retries": 0})).await;
    api.world.work(&api.world.worker()).await;
    api.activity("7", json!({"id": "done"})).await;
    api.world.work(&api.world.worker()).await;
    api.activity("7", json!({"id": "soon", "date": "2027-01-15T09:00:00Z"})).await;
    api.activity("8", json!({"id": "later", "date": "2027-01-15T10:00:00Z"})).await;
    let other = json!({"id": "other", "activityType": "stop", "date": "2027-01-15T11:00:00Z"});
    api.post(&format!("{S}/activities"), other).await.expect(201);
    for (query, expect) in [
        ("", vec!["done", "failed", "later", "other", "soon"]),
        ("status=READY", vec!["later", "other", "soon"]),
        ("status=FAILED", vec!["failed"]),
        ("status=DISPATCHED", vec!["done"]),
        ("status=CANCELED", vec![]),
        ("activityType=play", vec!["done", "failed", "later", "soon"]),
        ("activityType=play&status=READY", vec!["later", "soon"]),
        ("activityType=unknown", vec![]),
        ("channel=EMAIL", vec![]),
        ("objectId=7", vec!["done", "failed", "soon"]),
        ("objectId=7&status=READY", vec!["soon"]),
        ("from=2027-01-15T10:00:00Z", vec!["later", "other"]),
        ("from=2027-01-15T11:00:00%2B01:00&to=2027-01-15T11:00:00+01:00", vec!["later"]),
        ("to=2027-01-15T09:00:00Z", vec!["done", "failed", "soon"]),
    ] {
        for limit in [1, 100] {
            let mut found =
                walk(&api, &format!("{S}/activities?{query}").replace("?&", "?"), limit, "id").await;
            found.sort_unstable();
            assert_eq!(found, expect, "{query} by {limit}");
        }
    }
    for (query, expect) in [
        ("status=ready", "query:status must be READY, DISPATCHED, FAILED, CANCELED or COMPLETED"),
        ("channel=FAX", "query:channel must match SALESMAN, CALLCENTER, WHATSAPP, EMAIL, SMS or PUSH"),
        (
            "channel=SMS&activityType=play",
            "query:channel cannot go with activityType: an activity has one of them",
        ),
        ("from=2027-01-02T00:00:00Z&to=2027-01-01T00:00:00Z", "query:to must not be before from"),
    ] {
        let refused = api.get(&format!("{S}/activities?{query}")).await.problem(400);
        assert_eq!(refused.faults(), [expect]);
    }
    let listed: Value = api.get(&format!("{S}/activities?status=FAILED")).await.json;
    assert!(listed["items"][0].get("history").is_none(), "histories are not in lists");
    api.get(&format!("{S}/activities?")).await.expect(200);
}
