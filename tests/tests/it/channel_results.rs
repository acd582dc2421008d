//! What providers report: results in each status, by both ids, in whatever order they come (SPEC §4).

use crate::api::{ADMIN, Answer, Api, S, send};
use axum::Router;
use axum::body::Body;
use chrono::TimeDelta;
use http::Request;
use serde_json::{Value, json};
use tests::steps::{Steps, Stop};
use tests::world::beginning;
use tests::{Reply, provider};

const OCCURRED: &str = "2027-01-15T07:59:00.000Z";
/// More service calls than a report or a settle makes.
const CALLS_MAX: usize = 60;

/// An API whose e-mails go to the receiver.
pub async fn api() -> Api {
    let api = Api::seeded().await;
    let config = json!({"provider": "YOM", "baseUrl": api.world.receiver.url(), "credentials": {"apiKey": provider::API_KEY}});
    api.put(&format!("{S}/dispatch-configs/EMAIL"), config).await.expect(201);
    api
}

pub fn message(id: &str) -> Value {
    let commerce = json!({"assignment": "x", "targetUsers": []});
    json!({"id": id, "channel": "EMAIL", "type": "MESSAGE", "reason": "r", "commerce": commerce})
}

async fn create(api: &Api, id: &str) {
    api.post(&format!("{S}/activities"), message(id)).await.expect(201);
}

/// Creates an activity and dispatches it as `p-{id}`.
pub async fn dispatched(api: &Api, id: &str) {
    create(api, id).await;
    api.world.receiver.reply([Reply::taken(&format!("p-{id}"))]);
    api.world.work(&api.world.worker()).await;
    assert_eq!(status(api, id).await, "DISPATCHED");
}

pub fn result(target: Value, status: &str) -> Value {
    let mut body = json!({"occurredAt": OCCURRED, "status": status});
    body.as_object_mut().unwrap().extend(target.as_object().unwrap().clone());
    body
}

pub async fn report(api: &Api, body: Value) -> Answer {
    // What is reported at one instant has no order.
    api.world.clock.advance(TimeDelta::milliseconds(1));
    api.post(&format!("{S}/activity-results"), body).await
}

/// A report through a process of one's own.
async fn report_on(router: Router, key: &str, body: &Value) -> Answer {
    let request = Request::post(format!("{S}/activity-results"))
        .header("x-api-key", ADMIN)
        .header("idempotency-key", key)
        .header("content-type", "application/json");
    send(router, request.body(Body::from(body.to_string())).unwrap()).await
}

pub async fn get(api: &Api, id: &str) -> Value {
    api.get(&format!("{S}/activities/{id}")).await.expect(200).json
}

pub async fn status(api: &Api, id: &str) -> String {
    get(api, id).await["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_status_by_both_ids_once_and_a_second_time() {
    let api = api().await;
    for (reported, expect) in [
        ("COMPLETED", "COMPLETED"),
        ("TRANSFERRED", "COMPLETED"),
        ("NOT_EXECUTED", "FAILED"),
        ("CANCELED", "CANCELED"),
        ("PENDING", "DISPATCHED"),
    ] {
        for by in ["activityId", "providerActivityId"] {
            let id = format!("{reported}-by-{by}");
            dispatched(&api, &id).await;
            let executed = get(&api, &id).await["executedAt"].clone();
            let named = if by == "activityId" { id.clone() } else { format!("p-{id}") };
            let mut body = result(json!({by: named}), reported);
            body["result"] = json!({"sale": 12.50});
            body["comment"] = json!("as agreed");
            body["payload"] = json!([1, "x"]);
            body["externalStatus"] = json!("done/7");
            let made = report(&api, body.clone()).await.expect(201);
            assert_eq!(made.header("location"), format!("{S}/activities/{id}"));
            for (name, value) in body.as_object().unwrap() {
                assert_eq!(made.json[name], *value, "{id} {name}");
            }
            assert_eq!(
                (&made.json["linkStatus"], &made.json["activityId"], &made.json["activityStatus"]),
                (&json!("LINKED"), &json!(id), &json!(expect))
            );
            let second = report(&api, result(json!({by: named}), "COMPLETED")).await;
            if reported == "PENDING" {
                second.expect(201);
                assert_eq!(status(&api, &id).await, "COMPLETED");
                continue;
            }
            let second = second.problem(409);
            assert!(second.json["detail"].as_str().unwrap().contains("hardOverride"), "{}", second.text);
            // A second one that is no final one is fine, and changes nothing.
            report(&api, result(json!({by: named}), "PENDING")).await.expect(201);
            let seen = get(&api, &id).await;
            assert_eq!((&seen["status"], &seen["executedAt"]), (&json!(expect), &executed), "{id}");
            let results = seen["results"].as_array().unwrap();
            let shown: Vec<_> = results.iter().map(|result| result["status"].as_str().unwrap()).collect();
            assert_eq!(shown, [reported, "PENDING"], "{id}");
            assert_eq!(results[0]["payload"], json!([1, "x"]));
            let third = result(json!({by: named, "hardOverride": true}), "COMPLETED");
            assert_eq!(report(&api, third).await.expect(201).json["activityStatus"], "COMPLETED");
            assert_eq!(status(&api, &id).await, "COMPLETED");
        }
    }
    let listed = api.get(&format!("{S}/activities?status=COMPLETED&channel=EMAIL")).await.expect(200).json;
    assert_eq!(listed["items"].as_array().unwrap().len(), 10);
    let stats = api.get(&format!("{S}/stats")).await.expect(200).json;
    assert_eq!((&stats["byStatus"]["COMPLETED"], &stats["byStatus"]["DISPATCHED"]), (&json!(10), &json!(0)));
}

#[tokio::test]
async fn the_same_report_again_is_the_same_result() {
    let api = api().await;
    dispatched(&api, "a").await;
    let body = result(json!({"providerActivityId": "p-a", "id": "r1"}), "COMPLETED");
    let made = report(&api, body.clone()).await.expect(201).json;
    let again = report(&api, body.clone()).await.expect(200).json;
    assert_eq!(made, again);
    let mut other = body;
    other["comment"] = json!("another");
    report(&api, other).await.problem(409);
    // The header does as well; of an unknown activity too.
    for id in ["a", "unknown"] {
        let body = result(json!({"activityId": id}), "PENDING");
        let answers = [Api::router_on(api.world.ctx.clone()), api.other_process()].map(|router| {
            let body = body.clone();
            async move { report_on(router, "r2", &body).await.status }
        });
        let mut answers = futures::future::join_all(answers).await;
        answers.sort_unstable();
        assert_eq!(answers, [200, 201], "{id}");
    }
    assert_eq!(get(&api, "a").await["results"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn faults_of_a_result_are_named_at_once() {
    let api = api().await;
    for (body, expect) in [
        (
            json!({}),
            vec![
                "/activityId is required, unless providerActivityId is given",
                "/occurredAt is required",
                "/status is required",
            ],
        ),
        (
            json!({"activityId": "a/b", "providerActivityId": "x", "occurredAt": "now", "status": "DONE", "hardOverride": 1, "z": 1, "comment": ""}),
            vec![
                "/activityId must match [A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}",
                "/providerActivityId cannot go with activityId; give one of them",
                "/occurredAt must be an RFC 3339 time with an offset, such as 2026-01-31T09:30:00Z",
                "/status must be COMPLETED, TRANSFERRED, NOT_EXECUTED, CANCELED or PENDING",
                "/hardOverride must be true or false",
                "/comment must have 1 to 4096 characters",
                "/z is no field of this",
            ],
        ),
        (
            result(json!({"providerActivityId": " "}), "PENDING"),
            vec!["/providerActivityId must have 1 to 256 bytes"],
        ),
    ] {
        assert_eq!(report(&api, body).await.problem(400).faults(), expect);
    }
    // A number is as good as its text, as it is in a provider's answer.
    api.world.receiver.reply([Reply::json(200, json!({"id": 4711}))]);
    create(&api, "n").await;
    api.world.work(&api.world.worker()).await;
    let made = report(&api, result(json!({"providerActivityId": 4711}), "COMPLETED")).await.expect(201);
    assert_eq!(made.json["activityId"], "n");
}

/// An activity that waits for another attempt was executed after all, says its provider: no other follows.
#[tokio::test]
async fn a_result_ends_an_activity_that_waits() {
    let api = api().await;
    create(&api, "a").await;
    api.world.receiver.reply([Reply::status(500)]);
    api.world.work(&api.world.worker()).await;
    assert_eq!(status(&api, "a").await, "READY");
    let made = report(&api, result(json!({"activityId": "a"}), "COMPLETED")).await.expect(201).json;
    assert_eq!((&made["linkStatus"], &made["activityStatus"]), (&json!("LINKED"), &json!("COMPLETED")));
    api.world.run(beginning() + TimeDelta::minutes(5)).await;
    assert_eq!(api.world.receiver.keys(), ["a:0"], "no further attempt");
    let seen = get(&api, "a").await;
    assert_eq!((&seen["status"], seen.get("nextAttemptAt")), (&json!("COMPLETED"), None));
    // What its owner called off stays so, unless the report insists.
    create(&api, "b").await;
    api.delete(&format!("{S}/activities/b")).await.expect(200);
    report(&api, result(json!({"activityId": "b"}), "COMPLETED")).await.problem(409);
    let insisted = result(json!({"activityId": "b", "hardOverride": true}), "COMPLETED");
    report(&api, insisted).await.expect(201);
    assert_eq!(status(&api, "b").await, "COMPLETED");
    // One that was not executed can be tried again, and then has its result before it.
    dispatched(&api, "c").await;
    report(&api, result(json!({"activityId": "c"}), "NOT_EXECUTED")).await.expect(201);
    api.post(&format!("{S}/activities/c/retry"), json!({})).await.expect(200);
    api.world.receiver.reply([Reply::taken("p-c")]);
    api.world.work(&api.world.worker()).await;
    assert_eq!(status(&api, "c").await, "DISPATCHED");
    report(&api, result(json!({"providerActivityId": "p-c"}), "COMPLETED")).await.expect(201);
    let seen = get(&api, "c").await;
    assert_eq!((&seen["status"], seen["results"].as_array().unwrap().len()), (&json!("COMPLETED"), 2));
    assert!(seen["history"][0]["detail"].as_str().unwrap().ends_with(" as p-c"), "{}", seen["history"]);
}

#[tokio::test]
async fn results_of_unknown_ids_are_kept_and_linked_when_the_dispatch_is_recorded() {
    let api = api().await;
    for (by, named) in [("activityId", "a"), ("providerActivityId", "p-b")] {
        let made = report(&api, result(json!({by: named}), "TRANSFERRED")).await.expect(201);
        assert_eq!((&made.json["linkStatus"], made.json.get("activityStatus")), (&json!("STANDALONE"), None));
        assert_eq!((&made.json[by], made.header("location")), (&json!(named), ""));
        report(&api, result(json!({by: named}), "PENDING")).await.expect(201);
        // The terminal rule holds among them as well.
        report(&api, result(json!({by: named}), "NOT_EXECUTED")).await.problem(409);
    }
    for id in ["a", "b"] {
        create(&api, id).await;
        assert_eq!(status(&api, id).await, "READY", "it is linked with the dispatch, not before");
        api.world.receiver.reply([Reply::taken(&format!("p-{id}"))]);
        api.world.work(&api.world.worker()).await;
        let seen = get(&api, id).await;
        assert_eq!(
            (&seen["status"], &seen["providerActivityId"]),
            (&json!("COMPLETED"), &json!(format!("p-{id}")))
        );
        let results = seen["results"].as_array().unwrap();
        assert!(results.iter().all(|result| result["linkStatus"] == "LINKED"), "{results:?}");
        let shown: Vec<_> = results.iter().map(|result| result["status"].as_str().unwrap()).collect();
        assert_eq!(shown, ["TRANSFERRED", "PENDING"]);
        report(&api, result(json!({"activityId": id}), "COMPLETED")).await.problem(409);
    }
    // What never becomes known stays as it is.
    report(&api, result(json!({"providerActivityId": "never"}), "COMPLETED")).await.expect(201);
    api.get(&format!("{S}/activities/never")).await.problem(404);
    // Of another tenant's activity nobody here knows anything.
    api.put("/v1/companies/other", json!({})).await.expect(201);
    api.put("/v1/companies/other/solutions/main", json!({})).await.expect(201);
    let path = "/v1/companies/other/solutions/main/activity-results";
    for named in [json!({"activityId": "a"}), json!({"providerActivityId": "p-b"})] {
        let made = api.post(path, result(named, "COMPLETED")).await.expect(201);
        assert_eq!(made.json["linkStatus"], "STANDALONE");
    }
}

#[tokio::test]
async fn a_provider_that_gives_its_ids_twice_has_to_name_the_activity() {
    let api = api().await;
    for id in ["a", "b"] {
        create(&api, id).await;
        api.world.receiver.reply([Reply::taken("same")]);
        api.world.work(&api.world.worker()).await;
    }
    report(&api, result(json!({"providerActivityId": "same"}), "COMPLETED")).await.problem(409);
    report(&api, result(json!({"activityId": "b"}), "COMPLETED")).await.expect(201);
    assert_eq!([status(&api, "a").await, status(&api, "b").await], ["DISPATCHED", "COMPLETED"]);
}

/// The activity has ended as its result says, and the result is shown once.
async fn audit(api: &Api, what: &str) {
    let seen = get(api, "a").await;
    assert_eq!(seen["status"], "COMPLETED", "{what}: {seen}");
    let results = seen["results"].as_array().unwrap();
    assert_eq!(results.len(), 1, "{what}: {results:?}");
    assert_eq!(results[0]["linkStatus"], "LINKED", "{what}");
    assert!(seen.get("nextAttemptAt").is_none(), "{what}");
    let items = api.world.dump().await;
    let item = items.iter().find(|item| item.contains_key("st") && item.contains_key("k")).unwrap();
    assert!(!item.contains_key("tk") && !item.contains_key("dp") && item.contains_key("fp"), "{what}");
    assert_eq!(
        seen["history"].as_array().unwrap().len() as u64,
        seen["attempts"].as_u64().unwrap(),
        "{what}"
    );
}

/// The result comes while the worker stands before or after each of its service calls; then it goes on,
/// or is dead and another one recovers.
#[tokio::test]
async fn a_result_that_comes_at_any_step_of_the_dispatch_is_neither_lost_nor_applied_twice() {
    for (named, dies) in [
        (json!({"providerActivityId": "p"}), false),
        (json!({"providerActivityId": "p"}), true),
        (json!({"activityId": "a"}), false),
        (json!({"activityId": "a"}), true),
    ] {
        for stop in Stop::all(CALLS_MAX) {
            let api = api().await;
            create(&api, "a").await;
            api.world.receiver.reply((0..3).map(|_| Reply::taken("p")));
            let (steps, clients) = Steps::of(api.world.embedded.clients(), stop);
            let worker = api.world.worker_on(api.world.process_with(clients));
            let event = api.world.receive().await;
            let what = format!("{named} dies {dies} {stop:?}");
            let stopped = {
                let mut handled = std::pin::pin!(worker.handle(event.clone()));
                let stopped = tokio::select! {
                    biased;
                    () = steps.stopped() => true,
                    _ = &mut handled => false,
                };
                report(&api, result(named.clone(), "COMPLETED")).await.expect(201);
                if stopped && !dies {
                    steps.go_on();
                    handled.await;
                }
                stopped
            };
            if !(stopped && dies) {
                api.world.delete(&event).await;
            }
            api.world.run(beginning() + TimeDelta::minutes(20)).await;
            audit(&api, &what).await;
            if !stopped && !stop.after {
                break;
            }
        }
    }
}

/// The dispatch is recorded while the report stands before or after each of its service calls; then it
/// goes on, or is dead and repeated.
#[tokio::test]
async fn a_dispatch_that_is_recorded_at_any_step_of_a_report_links_it() {
    for (named, dies) in [
        (json!({"providerActivityId": "p"}), false),
        (json!({"providerActivityId": "p"}), true),
        (json!({"activityId": "a"}), false),
        (json!({"activityId": "a"}), true),
    ] {
        for stop in Stop::all(CALLS_MAX) {
            let api = api().await;
            api.world.receiver.reply([Reply::taken("p")]);
            let (steps, clients) = Steps::of(api.world.embedded.clients(), stop);
            let router = Api::router_on(api.world.process_with(clients));
            let body = result(named.clone(), "COMPLETED");
            let what = format!("{named} dies {dies} {stop:?}");
            let stopped = {
                let mut reported = std::pin::pin!(report_on(router, "r1", &body));
                let mut answer = None;
                let stopped = tokio::select! {
                    biased;
                    () = steps.stopped() => true,
                    early = &mut reported => {
                        answer = Some(early);
                        false
                    }
                };
                create(&api, "a").await;
                api.world.work(&api.world.worker()).await;
                if stopped && !dies {
                    steps.go_on();
                    answer = Some(reported.await);
                }
                assert!(answer.is_none_or(|answer| answer.status == 201), "{what}");
                stopped
            };
            if stopped && dies {
                let again = report_on(api.other_process(), "r1", &body).await;
                assert!([200, 201].contains(&again.status), "{what}: {}", again.text);
            }
            api.world.run(beginning() + TimeDelta::minutes(20)).await;
            audit(&api, &what).await;
            if !stopped && !stop.after {
                break;
            }
        }
    }
}
