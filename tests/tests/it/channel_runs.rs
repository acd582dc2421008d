//! Results and the runs of an activity: what comes of an earlier run, or of none (SPEC §4).

use crate::api::S;
use crate::channel_results::{api, dispatched, get, message, report, result, status};
use serde_json::json;
use tests::Reply;

/// Dispatched again, it is what its provider calls it now that says how it ended.
#[tokio::test]
async fn a_late_result_of_an_earlier_run_is_kept_and_ends_nothing() {
    let api = api().await;
    dispatched(&api, "a").await;
    report(&api, result(json!({"providerActivityId": "p-a"}), "NOT_EXECUTED")).await.expect(201);
    api.call("POST", &format!("{S}/activities/a/retry"), None).await.expect(200);
    // While it waits for its second run, and after that.
    let late = result(json!({"providerActivityId": "p-a"}), "COMPLETED");
    assert_eq!(report(&api, late.clone()).await.expect(201).json["activityStatus"], "READY");
    api.world.receiver.reply([Reply::taken("p-a-again")]);
    api.world.work(&api.world.worker()).await;
    assert_eq!(report(&api, late.clone()).await.expect(201).json["activityStatus"], "DISPATCHED");
    let own = result(json!({"providerActivityId": "p-a-again"}), "CANCELED");
    assert_eq!(report(&api, own).await.expect(201).json["activityStatus"], "CANCELED");
    assert_eq!(get(&api, "a").await["results"].as_array().unwrap().len(), 4);
    let mut wanted = late;
    wanted["hardOverride"] = json!(true);
    assert_eq!(report(&api, wanted).await.expect(201).json["activityStatus"], "COMPLETED");
}

#[tokio::test]
async fn a_provider_that_keeps_its_id_in_the_next_run_ends_that() {
    let api = api().await;
    dispatched(&api, "a").await;
    report(&api, result(json!({"providerActivityId": "p-a"}), "NOT_EXECUTED")).await.expect(201);
    api.call("POST", &format!("{S}/activities/a/retry"), None).await.expect(200);
    api.world.receiver.reply([Reply::taken("p-a")]);
    api.world.work(&api.world.worker()).await;
    let again = result(json!({"providerActivityId": "p-a"}), "COMPLETED");
    assert_eq!(report(&api, again).await.expect(201).json["activityStatus"], "COMPLETED");
}

#[tokio::test]
async fn what_is_due_later_and_was_never_called_has_no_result() {
    let api = api().await;
    let mut later = message("later");
    later["date"] = json!("2031-01-01T00:00:00Z");
    api.post(&format!("{S}/activities"), later).await.expect(201);
    let body = result(json!({"activityId": "later"}), "COMPLETED");
    let refused = report(&api, body.clone()).await.problem(409);
    assert!(refused.json["detail"].as_str().unwrap().contains("hardOverride"), "{}", refused.text);
    assert_eq!(status(&api, "later").await, "READY");
    report(&api, result(json!({"activityId": "later"}), "PENDING")).await.expect(201);
    let mut wanted = body;
    wanted["hardOverride"] = json!(true);
    assert_eq!(report(&api, wanted).await.expect(201).json["activityStatus"], "COMPLETED");
}
