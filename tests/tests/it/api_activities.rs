//! Activities: accepted, one or many; read; and what their owners do to them (SPEC §3).

use crate::api::{ADMIN, Answer, Api, S};
use chrono::TimeDelta;
use http::Request;
use serde_json::{Value, json};
use tests::Reply;

fn path() -> String {
    format!("{S}/activities")
}

#[tokio::test]
async fn an_activity_is_accepted_and_read() {
    let api = Api::seeded().await;
    let text = r#"{"activityType": "play", "date": "2027-01-15T10:00:00+01:00", "retries": 0,
        "parameter": {"SongId": 7, "z": 1.50, "a": [ "b c" ], "n": 12345678901234567890123}}"#;
    let made = api.send_text("POST", &path(), text).await.expect(201);
    let id = made.json["id"].as_str().unwrap();
    assert_eq!(made.header("location"), format!("{}/{id}", path()));
    // The parameter is kept as it was written, but for white space.
    let kept = r#""parameter":{"SongId":7,"z":1.50,"a":["b c"],"n":12345678901234567890123}"#;
    assert!(made.text.contains(kept), "{}", made.text);
    let read = api.get(&format!("{}/{id}", path())).await.expect(200);
    assert_eq!(read.text, made.text);
    let mut json = read.json;
    json.as_object_mut().unwrap().remove("parameter");
    assert_eq!(
        json,
        json!({
            "id": id, "company": "acme", "solution": "main", "activityType": "play", "status": "READY", "attempts": 0,
            "maxAttempts": 1, "run": 0, "date": "2027-01-15T09:00:00.000Z", "nextAttemptAt": "2027-01-15T09:00:00.000Z",
            "createdAt": "2027-01-15T08:00:00.000Z", "history": [],
        })
    );
    let large = "x".repeat(200_000);
    let id = api.activity("1", json!({"parameter": {"SongId": "1", "large": large}})).await;
    let read = api.get(&format!("{}/{id}", path())).await.expect(200);
    assert_eq!(read.json["parameter"]["large"], large.as_str());
    api.get(&format!("{}/unknown", path())).await.problem(404);
}

#[tokio::test]
async fn dates_default_to_now_and_those_past_are_due_now() {
    let api = Api::seeded().await;
    let now = "2027-01-15T08:00:00.000Z";
    for (more, date) in
        [(json!({}), now), (json!({"date": "2020-01-01T00:00:00Z"}), "2020-01-01T00:00:00.000Z")]
    {
        let id = api.activity("1", more).await;
        let read = api.get(&format!("{}/{id}", path())).await.expect(200).json;
        assert_eq!((&read["date"], &read["nextAttemptAt"]), (&json!(date), &json!(now)));
    }
}

#[tokio::test]
async fn every_fault_of_an_activity_is_named_at_once() {
    let api = Api::seeded().await;
    let type_path = format!("{S}/activity-types/deep");
    let deep = json!({"verb": "GET", "uriPattern": "https://x.example/{a.b}/{c}?d={d}", "objectIdRef": ["a.b", "e"]});
    api.put(&type_path, deep).await.expect(201);
    for (body, expect) in [
        (json!({}), vec!["/activityType is required, unless channel is given"]),
        (json!({"activityType": "play", "parameter": 7}), vec!["/parameter must be an object"]),
        (json!({"activityType": "unknown"}), vec!["/activityType names no activity type of this solution"]),
        (
            json!({"activityType": "no name", "date": "tomorrow", "parameter": [], "retries": -1, "id": "batch", "uri": "x", "to": 1}),
            vec![
                "/activityType must match [A-Za-z0-9][A-Za-z0-9_.-]{0,63}",
                "/id \"batch\" is reserved",
                "/date must be an RFC 3339 time with an offset, such as 2026-01-31T09:30:00Z",
                "/retries must be a whole number from 0 to 100",
                "/uri must be an absolute http or https URL, such as https://api.example.com/items/1",
                "/parameter must be an object",
                "/to is no field of this",
            ],
        ),
        (
            json!({"activityType": "deep", "retries": "3", "parameter": {"a": {"b": null}, "c": {}, "d": [1]}}),
            vec![
                "/retries must be a whole number from 0 to 100",
                "/parameter/a/b must be a string, a number or a boolean",
                "/parameter/c must be a string, a number or a boolean",
                "/parameter/d must be a string, a number or a boolean",
                "/parameter/e is missing",
            ],
        ),
        (
            json!({"activityType": "deep"}),
            vec![
                "/parameter/a/b is missing",
                "/parameter/c is missing",
                "/parameter/d is missing",
                "/parameter/e is missing",
            ],
        ),
        (
            json!({"activityType": "deep", "parameter": {"a": {"b": ".."}, "c": 1, "d": 2, "e": 3}}),
            vec!["/parameter/a/b must not make a segment of the URI's path \".\" or \"..\""],
        ),
        (
            json!({"activityType": "play", "uri": "https://x.example/{other}", "parameter": {"SongId": 1}}),
            vec!["/parameter/other is missing"],
        ),
    ] {
        assert_eq!(api.post(&path(), body).await.problem(400).faults(), expect);
    }
    let twice = r#"{"activityType": "play", "parameter": {"SongId": 1, "SongId": 2}}"#;
    let twice = api.send_text("POST", &path(), twice).await.problem(400);
    assert!(twice.faults()[0].contains("\"SongId\" is given twice"), "{}", twice.text);
}

#[tokio::test]
async fn creation_may_be_repeated() {
    let api = Api::seeded().await;
    let body =
        json!({"id": "order-1", "activityType": "play", "parameter": {"SongId": 1, "x": {"a": 1, "b": 2}}});
    let made = api.post(&path(), body.clone()).await.expect(201);
    // The same body in another spelling, at another time.
    api.world.clock.advance(TimeDelta::seconds(9));
    let spelled = r#"{"parameter": {"x": {"b": 2, "a": 1}, "SongId": 1}, "activityType": "pl\u0061y", "id": "order-1"}"#;
    assert_eq!(api.send_text("POST", &path(), spelled).await.expect(200).json, made.json);
    let mut other = body.clone();
    other["parameter"]["x"]["a"] = json!(2);
    api.post(&path(), other).await.problem(409);

    let with_header = async |key: &str, body: &Value| -> Answer {
        let request = Request::builder().method("POST").uri(path()).header("x-api-key", ADMIN);
        let request = request.header("content-type", "application/json").header("Idempotency-Key", key);
        api.send(request.body(body.to_string().into()).unwrap()).await
    };
    let mut bare = body.clone();
    bare.as_object_mut().unwrap().remove("id");
    with_header("order-1", &bare).await.expect(200);
    with_header("order-1", &body).await.expect(200);
    assert_eq!(with_header("order-2", &bare).await.expect(201).json["id"], "order-2");
    assert_eq!(
        with_header("order-2", &body).await.problem(400).faults(),
        ["header:idempotency-key is another than /id; give one of them, or the same"]
    );
    assert_eq!(
        with_header("no id!", &bare).await.problem(400).faults(),
        ["header:idempotency-key must match [A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}"]
    );
}

#[tokio::test]
async fn a_batch_judges_each_alone_and_in_order() {
    let api = Api::seeded().await;
    let of = |id: &str, song: Value| json!({"id": id, "activityType": "play", "parameter": {"SongId": song}});
    let batch = json!({"activities": [
        of("a", json!(1)),
        {"activityType": "play", "parameter": {"SongId": 1}},
        of("a", json!(1)),
        of("a", json!(2)),
        of("b", json!(null)),
        7,
        {"id": "c", "activityType": "unknown"},
        of("d", json!("x".repeat(2_000))),
        of("b", json!(3)),
    ]});
    let answer = api.post(&format!("{}/batch", path()), batch).await.expect(200);
    let results = answer.json["results"].as_array().unwrap();
    let statuses: Vec<u64> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 201, 200, 409, 400, 400, 400, 201, 201], "{}", answer.text);
    for result in results {
        let refused = result["status"].as_u64().unwrap() >= 400;
        assert_eq!(result.get("problem").is_some(), refused, "{result}");
        assert!(!refused || result["problem"]["status"] == result["status"], "{result}");
    }
    assert_eq!(results[4]["problem"]["errors"][0]["pointer"], "/parameter/SongId");
    assert_eq!(results[4]["id"], "b");
    assert!(results[1]["id"].as_str().is_some() && results[5].get("id").is_none());
    let listed = api.get(&path()).await.expect(200).json;
    assert_eq!(listed["items"].as_array().unwrap().len(), 4);
    let first = api.get(&format!("{}/a", path())).await.expect(200).json;
    assert_eq!(first["parameter"]["SongId"], 1);
}

#[tokio::test]
async fn a_batch_has_one_to_a_hundred() {
    let api = Api::seeded().await;
    let path = format!("{}/batch", path());
    let one = json!({"activityType": "play", "parameter": {"SongId": 1}});
    for count in [0, 101] {
        let refused = api.post(&path, json!({"activities": vec![&one; count]})).await.problem(400);
        assert_eq!(refused.faults(), ["/activities must have 1 to 100 activities"]);
    }
    assert_eq!(api.post(&path, json!({})).await.problem(400).faults(), ["/activities is required"]);
    assert_eq!(
        api.post(&path, json!({"activities": {}})).await.problem(400).faults(),
        ["/activities must be a list"]
    );
    let hundred = api.post(&path, json!({"activities": vec![&one; 100]})).await.expect(200).json;
    assert!(hundred["results"].as_array().unwrap().iter().all(|result| result["status"] == 201));
    let request = Request::builder().method("POST").uri(&path).header("x-api-key", ADMIN);
    let request = request.header("content-type", "application/json").header("idempotency-key", "x");
    let refused =
        api.send(request.body(json!({"activities": [one]}).to_string().into()).unwrap()).await.problem(400);
    assert_eq!(
        refused.faults(),
        ["header:idempotency-key is not for batches; give each activity its own id"]
    );
}

/// The outcome of every action in every state, seen through the API.
#[tokio::test]
async fn actions_apply_where_the_state_allows_them() {
    let api = Api::seeded().await;
    let later = json!({"date": "2027-01-15T09:00:00Z"});
    for (state, cancel, reschedule, dispatch, retry) in [
        ("READY", 200, 200, 200, 409),
        ("DISPATCHED", 409, 409, 409, 409),
        ("FAILED", 409, 409, 409, 200),
        ("CANCELED", 409, 409, 409, 409),
    ] {
        for (action, expect) in
            [("", cancel), ("/reschedule", reschedule), ("/dispatch", dispatch), ("/retry", retry)]
        {
            let id = bring_to(&api, state).await;
            let path = format!("{}/{id}{action}", path());
            let answer = match action {
                "" => api.delete(&path).await,
                "/reschedule" => api.post(&path, later.clone()).await,
                _ => api.call("POST", &path, None).await,
            };
            assert_eq!(answer.status, expect, "{action} in {state}: {}", answer.text);
            if expect == 409 {
                answer.problem(409);
                continue;
            }
            let now = api.get(&format!("{}/{id}", crate::api_activities::path())).await.expect(200).json;
            let status = if action.is_empty() { "CANCELED" } else { "READY" };
            assert_eq!(now["status"], status, "{action} in {state}");
            if action == "/retry" {
                assert_eq!((&now["run"], &now["attempts"]), (&json!(1), &json!(0)));
                assert_eq!(now["history"].as_array().unwrap().len(), 1);
            }
        }
    }
}

#[tokio::test]
async fn a_dead_letter_whose_type_is_gone_is_not_retried() {
    let api = Api::seeded().await;
    let id = bring_to(&api, "FAILED").await;
    api.delete(&format!("{S}/activity-types/play")).await.expect(204);
    let refused = api.call("POST", &format!("{}/{id}/retry", path()), None).await.problem(409);
    assert_eq!(refused.json["detail"], "the solution has no activity type play any more");
    let now = api.get(&format!("{}/{id}", path())).await.expect(200).json;
    assert_eq!((&now["status"], &now["run"]), (&json!("FAILED"), &json!(0)));
}

/// An activity in a state, got there as any other.
async fn bring_to(api: &Api, state: &str) -> String {
    let due = api.world.ctx.clock.now() + TimeDelta::hours(1);
    match state {
        "DISPATCHED" | "FAILED" => {
            let reply = if state == "FAILED" { 500 } else { 200 };
            api.world.receiver.reply([Reply::status(reply)]);
            let id = api.activity("1", json!({"retries": 1})).await;
            api.world.work(&api.world.worker()).await;
            let read = api.get(&format!("{}/{id}", path())).await.expect(200).json;
            assert_eq!(read["status"], state, "{read}");
            assert_eq!(read["history"][0]["httpStatus"], reply);
            id
        }
        _ => {
            let id = api.activity("1", json!({"date": rules::time::format(due)})).await;
            if state == "CANCELED" {
                api.delete(&format!("{}/{id}", path())).await.expect(200);
            }
            id
        }
    }
}

#[tokio::test]
async fn faults_of_actions() {
    let api = Api::seeded().await;
    let id = api.activity("1", json!({"date": "2030-01-01T00:00:00Z"})).await;
    for (action, body, expect) in [
        ("reschedule", json!({}), "/date is required"),
        (
            "reschedule",
            json!({"date": "soon"}),
            "/date must be an RFC 3339 time with an offset, such as 2026-01-31T09:30:00Z",
        ),
        ("dispatch", json!({"date": 1}), "/date is no field of this"),
        ("retry", json!({"attempts": 1}), "/attempts is no field of this"),
    ] {
        let refused = api.post(&format!("{}/{id}/{action}", path()), body).await.problem(400);
        assert_eq!(refused.faults(), [expect]);
    }
}

#[tokio::test]
async fn what_is_accepted_is_delivered_with_its_parameter() {
    let api = Api::seeded().await;
    let id = api.activity("a/b", json!({"date": "2027-01-15T08:00:03Z"})).await;
    let moved = api.activity("2", json!({"date": "2030-01-01T00:00:00Z"})).await;
    api.post(&format!("{}/{moved}/dispatch", path()), json!({})).await.expect(200);
    api.world.run(api.world.ctx.clock.now() + TimeDelta::seconds(5)).await;
    let arrivals = api.world.receiver.arrivals();
    let paths: Vec<String> = arrivals.iter().map(|arrival| arrival.uri.path().to_owned()).collect();
    assert_eq!(paths, ["/songs/2", "/songs/a%2Fb"]);
    assert_eq!(arrivals[1].body, r#"{"SongId":"a/b"}"#);
    assert_eq!(arrivals[1].idempotency_key(), format!("{id}:0"));
}

/// What was accepted stays accepted for whoever asks again, whatever became of its type.
#[tokio::test]
async fn creation_may_be_repeated_although_its_type_is_another_or_gone() {
    let api = Api::seeded().await;
    let body = json!({"id": "order-1", "activityType": "play", "parameter": {"SongId": 1}});
    let made = api.post(&path(), body.clone()).await.expect(201);
    api.world.work(&api.world.worker()).await;
    let mut other = body.clone();
    other["parameter"]["SongId"] = json!(2);
    let fresh = json!({"id": "order-2", "activityType": "play", "parameter": {"SongId": 1}});
    let twice = r#"{"id": "order-1", "activityType": "play", "parameter": {"SongId": 1}, "id": "order-1"}"#;
    let type_path = format!("{S}/activity-types/play");
    let changed = json!({"verb": "POST", "uriPattern": "https://x.example/{Album}"});
    api.put(&type_path, changed).await.expect(200);
    for fault in ["/parameter/Album is missing", "/activityType names no activity type of this solution"] {
        let again = api.post(&path(), body.clone()).await.expect(200);
        assert_eq!(
            (&again.json["id"], &again.json["createdAt"]),
            (&made.json["id"], &made.json["createdAt"])
        );
        for refused in [&other, &fresh] {
            assert_eq!(api.post(&path(), refused.clone()).await.problem(400).faults(), [fault]);
        }
        // A body that never was acceptable is not the one that was accepted.
        let refused = api.send_text("POST", &path(), twice).await.problem(400);
        assert!(refused.faults().contains(&"/id is given twice".to_owned()), "{}", refused.text);

        let batch =
            json!({"activities": [body, other, fresh, {"activityType": "play", "parameter": {}}, body]});
        let answer = api.post(&format!("{}/batch", path()), batch).await.expect(200);
        let results = answer.json["results"].as_array().unwrap();
        let statuses: Vec<u64> = results.iter().map(|result| result["status"].as_u64().unwrap()).collect();
        assert_eq!(statuses, [200, 400, 400, 400, 200], "{}", answer.text);
        assert_eq!(results[0], json!({"status": 200, "id": "order-1"}));
        assert_eq!(results[2]["id"], "order-2");

        if fault.starts_with("/parameter") {
            api.delete(&type_path).await.expect(204);
        }
    }
}
