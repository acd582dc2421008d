//! Solutions, their server state, their signing secret and their audit log (SPEC §3, §11).

use crate::api::{ADMIN, Api, S, send};
use chrono::{DateTime, TimeDelta, Utc};
use http::Request;
use rules::names::Tenant;
use serde_json::{Value, json};
use shared::clock::Clock;
use tests::Reply;

fn tenant() -> Tenant {
    Tenant { company: "acme".parse().unwrap(), solution: "main".parse().unwrap() }
}

/// What was done, newest first.
async fn actions(api: &Api) -> Vec<String> {
    let log = api.get(&format!("{S}/audit-log?limit=100")).await.expect(200).json;
    log["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["action"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_solution_is_made_replaced_read_and_deleted() {
    let api = Api::seeded().await;
    let path = "/v1/companies/acme/solutions/shop";
    let body = json!({
        "qosLevel": 7, "successUri": "https://logs.example/ok", "successPeriod": 0.5,
        "deadLetterUri": "http://logs.example:8080/dead?x=1", "deadLetterPeriod": 0,
    });
    let made = api.put(path, body.clone()).await.expect(201);
    assert!(made.json["signingSecret"].as_str().unwrap().starts_with("whsec_"));
    let read = api.get(path).await.expect(200).json;
    for (name, value) in body.as_object().unwrap() {
        assert_eq!(read[name], *value, "{name}");
    }
    assert_eq!((&read["company"], &read["solution"]), (&json!("acme"), &json!("shop")));
    assert!(read.get("signingSecret").is_none());
    let replaced = api.put(path, json!({})).await.expect(200).json;
    assert_eq!(replaced["qosLevel"], 1);
    for gone in ["successUri", "successPeriod", "deadLetterUri", "deadLetterPeriod", "signingSecret"] {
        assert!(replaced.get(gone).is_none(), "{gone}");
    }
    let listed = api.get("/v1/companies/acme/solutions").await.expect(200).json;
    let names: Vec<&Value> =
        listed["items"].as_array().unwrap().iter().map(|item| &item["solution"]).collect();
    assert_eq!(names, ["main", "shop"]);
    api.delete(path).await.expect(204);
    api.get(path).await.problem(404);
}

#[tokio::test]
async fn faults_of_a_solution() {
    let api = Api::seeded().await;
    let url = "must be an absolute http or https URL, such as https://api.example.com/items/1";
    let days = "must be a number from 0 to 36525";
    for (body, expect) in [
        (json!({"successUri": "ftp://x/"}), vec![format!("/successUri {url}")]),
        (json!({"successUri": 7}), vec!["/successUri must be a string".to_owned()]),
        (
            json!({"deadLetterUri": "/relative", "deadLetterPeriod": -0.1, "successPeriod": 1e9, "qosLevel": 0}),
            vec![
                "/qosLevel must be a whole number from 1 to 100".to_owned(),
                format!("/successPeriod {days}"),
                format!("/deadLetterUri {url}"),
                format!("/deadLetterPeriod {days}"),
            ],
        ),
        (
            json!({"successUri": "https://x/{a}"}),
            vec!["/successUri must not contain `{` or `}`: placeholders are not filled here".to_owned()],
        ),
    ] {
        assert_eq!(api.put(S, body).await.problem(400).faults(), expect);
    }
}

#[tokio::test]
async fn a_solution_or_type_with_waiting_work_stays() {
    let api = Api::seeded().await;
    let id = api.activity("1", json!({"date": "2030-01-01T00:00:00Z"})).await;
    api.delete(S).await.problem(409);
    api.delete(&format!("{S}/activity-types/play")).await.problem(409);
    api.delete(&format!("{S}/activities/{id}")).await.expect(200);
    api.delete(&format!("{S}/activity-types/play")).await.expect(204);
    // What is over stays to be seen although its type is gone.
    let listed = api.get(&format!("{S}/activities?status=CANCELED")).await.expect(200).json;
    assert_eq!(listed["items"][0]["id"], id.as_str());
    api.delete(S).await.expect(204);
    for gone in [S.to_owned(), format!("{S}/activity-types"), format!("{S}/activities"), format!("{S}/stats")]
    {
        api.get(&gone).await.problem(404);
    }
    let log = api.get("/v1/companies/acme/audit-log").await.expect(200).json;
    assert_eq!(log["items"][0]["action"], "solution.deleted");
    assert_eq!(log["items"][0]["from"]["solution"], "main");
    // A solution made again begins without the types of the old one.
    api.put(S, json!({})).await.expect(201);
    assert_eq!(api.get(&format!("{S}/activity-types")).await.expect(200).json, json!({"items": []}));
}

#[tokio::test]
async fn pausing_is_recorded_once_and_seen_everywhere_within_five_seconds() {
    let api = Api::seeded().await;
    let path = format!("{S}/server-state");
    assert_eq!(api.get(&path).await.expect(200).json["serverState"], "running");
    let elsewhere = api.world.process();
    assert!(!elsewhere.tenancy.solution(&tenant()).await.unwrap().unwrap().is_paused());

    let pause = json!({"serverState": "paused", "reason": "maintenance"});
    let paused = api.put(&path, pause.clone()).await.expect(200).json;
    assert_eq!(
        paused,
        json!({"serverState": "paused", "reason": "maintenance", "since": "2027-01-15T08:00:00.000Z"})
    );
    api.put(&path, pause).await.expect(200);
    assert_eq!(actions(&api).await.iter().filter(|action| *action == "serverState.changed").count(), 1);
    api.world.clock.advance(TimeDelta::seconds(5));
    assert!(elsewhere.tenancy.solution(&tenant()).await.unwrap().unwrap().is_paused());
    // Replacing the settings does not start it again.
    assert_eq!(api.put(S, json!({"qosLevel": 2})).await.expect(200).json["serverState"], "paused");

    let id = api.activity("1", json!({})).await;
    let refused = api.post(&format!("{S}/activities/{id}/dispatch"), json!({})).await.problem(409);
    assert_eq!(refused.json["detail"], "the solution is paused");

    api.put(&path, json!({"serverState": "running"})).await.expect(200);
    let log = api.get(&format!("{S}/audit-log")).await.expect(200).json;
    assert_eq!(
        log["items"][0],
        json!({"at": "2027-01-15T08:00:05.000Z", "actor": "admin", "action": "serverState.changed", "from": "paused", "to": "running"})
    );
}

#[tokio::test]
async fn faults_of_a_server_state() {
    let api = Api::seeded().await;
    for (body, expect) in [
        (json!({}), "/serverState is required"),
        (json!({"serverState": "stopped"}), "/serverState must be running or paused"),
        (json!({"serverState": true}), "/serverState must be a string"),
        (json!({"serverState": "paused", "reason": ""}), "/reason must have 1 to 1024 characters"),
    ] {
        assert_eq!(api.put(&format!("{S}/server-state"), body).await.problem(400).faults(), [expect]);
    }
}

#[tokio::test]
async fn a_new_reason_for_the_same_state_is_recorded() {
    let api = Api::seeded().await;
    let path = format!("{S}/server-state");
    let put = async |body: Value| api.put(&path, body).await.expect(200).json;
    let since = put(json!({"serverState": "paused", "reason": "maintenance"})).await["since"].clone();
    api.world.clock.advance(TimeDelta::seconds(5));
    let paused = put(json!({"serverState": "paused", "reason": "it takes longer"})).await;
    assert_eq!(
        paused,
        json!({"serverState": "paused", "reason": "it takes longer", "since": since}),
        "it has been paused all the while"
    );
    let log = api.get(&format!("{S}/audit-log")).await.expect(200).json;
    assert_eq!(
        log["items"][0],
        json!({
            "at": "2027-01-15T08:00:05.000Z", "actor": "admin", "action": "serverState.reasonChanged",
            "from": "paused", "to": "paused", "reason": "it takes longer",
        })
    );
    let count = actions(&api).await.len();
    put(json!({"serverState": "paused", "reason": "it takes longer"})).await;
    // No reason is no new one.
    assert_eq!(put(json!({"serverState": "paused"})).await, paused);
    assert_eq!(actions(&api).await.len(), count);
    assert!(put(json!({"serverState": "running"})).await.get("reason").is_none());
    assert_eq!(put(json!({"serverState": "running", "reason": "done"})).await["reason"], "done");
}

#[tokio::test]
async fn after_a_rotation_both_secrets_sign_for_a_day() {
    let api = Api::seeded().await;
    let first = api.put("/v1/companies/acme/solutions/other", json!({})).await.expect(201);
    let first = first.json["signingSecret"].as_str().unwrap().to_owned();
    let rotated =
        api.post("/v1/companies/acme/solutions/other/signing-secret/rotate", json!({})).await.expect(200);
    let second = rotated.json["signingSecret"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    assert_eq!(rotated.json["previousValidUntil"], "2027-01-16T08:00:03.000Z");
    let tenant = Tenant { solution: "other".parse().unwrap(), ..tenant() };
    let secrets = async |context: &shared::context::Context| {
        let secrets = context.tenancy.signing_secrets(&tenant).await.unwrap().unwrap();
        secrets.at(context.clock.now()).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(secrets(&api.world.ctx).await, [second.clone(), first.clone()]);
    api.world.clock.advance(TimeDelta::hours(24) - TimeDelta::milliseconds(1));
    assert_eq!(secrets(&api.world.process()).await, [second.clone(), first.clone()]);
    api.world.clock.advance(TimeDelta::milliseconds(1));
    assert_eq!(secrets(&api.world.ctx).await, std::slice::from_ref(&second));
    let log = api.get("/v1/companies/acme/solutions/other/audit-log").await.expect(200);
    assert_eq!(log.json["items"][0]["action"], "signingSecret.rotated");
    for secret in [&first, &second] {
        assert!(!log.text.contains(&secret[6..]), "{}", log.text);
    }
}

#[tokio::test]
async fn each_secret_signs_up_to_the_end_that_was_promised_for_it() {
    let api = Api::seeded().await;
    let start = api.world.clock.now();
    let path = "/v1/companies/acme/solutions/other";
    let made = api.put(path, json!({})).await.expect(201);
    let mut secrets = vec![made.json["signingSecret"].as_str().unwrap().to_owned()];
    let rotate = || api.call("POST", "/v1/companies/acme/solutions/other/signing-secret/rotate", None);
    for hour in 1..=5 {
        api.world.clock.advance_to(start + TimeDelta::hours(hour));
        let rotated = rotate().await.expect(200);
        secrets.push(rotated.json["signingSecret"].as_str().unwrap().to_owned());
    }
    let tenant = Tenant { solution: "other".parse().unwrap(), ..tenant() };
    let signing = async |at: DateTime<Utc>| {
        api.world.clock.advance_to(at);
        let process = api.world.process();
        let signing = process.tenancy.signing_secrets(&tenant).await.unwrap().unwrap();
        let mut signing: Vec<String> = signing.at(at).into_iter().map(str::to_owned).collect();
        // The current one goes first.
        assert_eq!(Some(&signing[0]), secrets.last());
        signing.rotate_left(1);
        signing
    };
    assert_eq!(signing(api.world.clock.now()).await, secrets);
    let refused = rotate().await.problem(409);
    let detail = refused.json["detail"].as_str().unwrap();
    assert!(detail.contains('5') && detail.contains("2027-01-16T09:00:03.000Z"), "{detail}");
    let log = api.get(&format!("{path}/audit-log?limit=100")).await.expect(200);
    assert_eq!(log.text.matches("signingSecret.rotated").count(), 5, "what was refused is no change");

    for hour in 1..=5 {
        let end = start + TimeDelta::hours(24 + hour) + TimeDelta::seconds(3);
        assert_eq!(signing(end - TimeDelta::milliseconds(1)).await, secrets[hour as usize - 1..]);
        assert_eq!(signing(end).await, secrets[hour as usize..]);
        if hour == 1 {
            // There is room again.
            assert_eq!(signing(end).await.len(), 5);
        }
    }
    rotate().await.expect(200);
}

#[tokio::test]
async fn every_change_of_configuration_is_in_the_log_with_its_actor() {
    let api = Api::seeded().await;
    let key = api.key("acme").await;
    api.call_as(&key, "PUT", S, Some(json!({"qosLevel": 3}))).await.expect(200);
    api.call_as(&key, "PUT", S, Some(json!({"qosLevel": 3}))).await.expect(200);
    let play = json!({"verb": "GET", "uriPattern": "https://example.com/", "headers": {"authorization": "Bearer very-secret"}});
    api.put(&format!("{S}/activity-types/play"), play).await.expect(200);
    api.delete(&format!("{S}/activity-types/play")).await.expect(204);
    assert_eq!(
        actions(&api).await,
        [
            "activityType.deleted",
            "activityType.updated",
            "solution.updated",
            "activityType.created",
            "solution.created"
        ]
    );
    let log = api.get(&format!("{S}/audit-log")).await.expect(200);
    let updated = &log.json["items"][2];
    assert!(updated["actor"].as_str().unwrap().starts_with("key:"), "{updated}");
    assert_eq!((&updated["from"]["qosLevel"], &updated["to"]["qosLevel"]), (&json!(1), &json!(3)));
    assert!(!log.text.contains("very-secret") && !log.text.contains("whsec_"), "{}", log.text);
}

#[tokio::test]
async fn what_is_left_of_a_deleted_solution_is_out_of_reach() {
    let api = Api::seeded().await;
    api.world.receiver.reply([Reply::status(500)]);
    let id = api.activity("1", json!({"retries": 1})).await;
    api.world.work(&api.world.worker()).await;
    let activity = format!("{S}/activities/{id}");
    assert_eq!(api.get(&activity).await.expect(200).json["status"], "FAILED");
    // Another process still has the solution in its cache when it is deleted.
    let elsewhere = api.other_process();
    let request = |method: &str, path: &str, body: Value| {
        let request = Request::builder().method(method).uri(path).header("x-api-key", ADMIN);
        request.header("content-type", "application/json").body(body.to_string().into()).unwrap()
    };
    send(elsewhere.clone(), request("GET", &format!("{S}/stats"), json!({}))).await.expect(200);
    api.delete(S).await.expect(204);

    let date = json!({"date": "2030-01-01T00:00:00Z"});
    let retry_all = json!({"filter": {"status": "FAILED"}, "action": "retry"});
    let changes = [
        ("POST", format!("{activity}/retry"), json!({})),
        ("POST", format!("{activity}/dispatch"), json!({})),
        ("POST", format!("{activity}/reschedule"), date),
        ("DELETE", activity.clone(), json!({})),
        ("POST", format!("{S}/activities/bulk"), retry_all),
    ];
    for (method, path, body) in &changes {
        let gone = send(elsewhere.clone(), request(method, path, body.clone())).await.problem(404);
        assert_eq!(gone.json["detail"], "there is no such solution", "{method} {path}");
    }
    for path in [&activity, &format!("{S}/activities"), &format!("{S}/stats")] {
        let gone = api.get(path).await.problem(404);
        assert_eq!(gone.json["detail"], "there is no such solution", "{path}");
    }
    // Nothing became READY meanwhile: what is kept until it is removed is as it was.
    let kept = api.world.get(&tenant(), &id).await;
    assert_eq!(kept.record.state.status, rules::activity::Status::Failed);
}
