//! What is erased of an object or a recipient leaves no trace (SPEC §3).

use crate::api::Api;
use crate::deletion::{holding, invoke};
use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::clock::Clock;
use tests::Reply;
use tests::steps::{Steps, Stop};

#[tokio::test]
async fn an_object_is_erased_with_all_that_is_kept_of_it() {
    let api = Api::seeded().await;
    let main = "/v1/companies/acme/solutions/main";
    api.world.receiver.reply([Reply::status(500), Reply::status(200)]);
    api.activity("the-object", json!({"id": "fails"})).await;
    api.world.work(&api.world.worker()).await;
    api.activity("the-object", json!({"id": "waits", "date": "2030-01-01T00:00:00Z"})).await;
    api.activity("another", json!({"id": "stays", "date": "2030-01-01T00:00:00Z"})).await;
    let early = json!({"activityId": "waits", "occurredAt": "2027-01-15T07:59:00Z", "status": "PENDING"});
    api.post(&format!("{main}/activity-results"), early).await.expect(201);
    for (name, object) in [("its-rule", "the-object"), ("kept-rule", "another")] {
        let rule = json!({"activityType": "play", "minute": "0", "parameter": {"SongId": object}});
        api.put(&format!("{main}/recurring-activities/{name}"), rule).await.expect(201);
    }
    let notify = json!({"uri": format!("{}/n", api.world.receiver.url())});
    api.put(&format!("{main}/notification-types/n"), notify).await.expect(201);
    for (id, object) in [("n1", "the-object"), ("n2", "another")] {
        let body = json!({"type": "n", "id": id, "payload": {"objectId": object}});
        api.post(&format!("{main}/notifications"), body).await.expect(201);
    }
    assert!(holding(&api.world, "the-object").await.len() >= 4);
    let erased = api.post(&format!("{main}/erase"), json!({"objectId": "the-object"})).await.expect(200);
    assert_eq!(
        erased.json,
        json!({"activities": 2, "reminders": 0, "notifications": 1, "recurringActivities": 1})
    );
    assert_eq!(holding(&api.world, "the-object").await, Vec::<String>::new());
    for gone in ["activities/fails", "activities/waits", "notifications/n1", "recurring-activities/its-rule"]
    {
        api.get(&format!("{main}/{gone}")).await.problem(404);
    }
    for kept in ["activities/stays", "notifications/n2", "recurring-activities/kept-rule"] {
        api.get(&format!("{main}/{kept}")).await.expect(200);
    }
    let log = api.get(&format!("{main}/audit-log?limit=100")).await.expect(200).json;
    let entries: Vec<&Value> =
        log["items"].as_array().unwrap().iter().filter(|entry| entry["action"] == "data.erased").collect();
    assert_eq!(entries.len(), 1);
    // Nothing of it is called.
    api.world.run(api.world.clock.now() + TimeDelta::hours(1)).await;
    assert_eq!(
        api.world.receiver.arrivals().iter().filter(|one| one.uri.path().contains("the-object")).count(),
        1
    );
}

#[tokio::test]
async fn what_is_in_flight_is_erased_once_it_settles_and_is_not_called_again() {
    let api = Api::seeded().await;
    let main = "/v1/companies/acme/solutions/main";
    api.world.receiver.reply([Reply::status(503), Reply::status(200)]);
    api.activity("the-object", json!({"id": "under-way"})).await;
    let event = api.world.receive().await;
    let (steps, clients) = Steps::of(api.world.embedded.clients(), Stop { call: 0, after: true });
    let worker = api.world.worker_on(api.world.process_with(clients));
    let mut work = std::pin::pin!(worker.handle(event));
    // Stopped with what it claimed, before the call.
    let mut stopped = false;
    let mut erased = Value::Null;
    for _ in 0..2 {
        tokio::select! {
            biased;
            () = steps.stopped(), if !stopped => {
                stopped = true;
                let answer = api.post(&format!("{main}/erase"), json!({"objectId": "the-object"})).await;
                erased = answer.expect(200).json;
                steps.go_on();
            }
            _ = &mut work => break,
        }
    }
    assert!(stopped);
    assert_eq!(erased["activities"], 1, "{erased}");
    api.world.clock.advance(TimeDelta::minutes(15));
    invoke(api.world.process()).await;
    api.world.run(api.world.clock.now() + TimeDelta::hours(1)).await;
    assert!(api.world.receiver.arrivals().len() <= 1, "no attempt follows the one that was under way");
    invoke(api.world.process()).await;
    assert_eq!(holding(&api.world, "the-object").await, Vec::<String>::new());
    assert_eq!(holding(&api.world, "under-way").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_recipient_is_erased_however_the_number_is_written() {
    let api = Api::seeded().await;
    let main = "/v1/companies/acme/solutions/main";
    let home = api.world.receiver.url();
    let configuration = json!({"notificationKey": "k", "accountCode": "a", "dialogServiceUri": home, "webhookUrl": format!("{home}/hook")});
    api.put("/api/reminder/configuration/acme/main", configuration).await.expect(201);
    let numbers =
        [("r1", "55", "(11) 97777-6666"), ("r2", "+55", "+55 11 97777 6666"), ("r3", "55", "11 97777 6667")];
    for (id, country, number) in numbers {
        let body = json!({"countryCode": country, "phoneNumber": number, "notificationTemplateName": "t",
            "templateParameters": [], "sendTimes": ["2030-01-01T00:00:00Z"]});
        api.put(&format!("/api/reminder/acme/main/{id}"), body).await.expect(201);
        let send = format!("/api/reminder/item/send?agentId=acme&configurationId=main&reminderId={id}");
        api.post(&send, json!({})).await.expect(200);
    }
    api.world.work(&api.world.worker()).await;
    let wanted = json!({"countryCode": "55", "phoneNumber": "11977776666"});
    let erased = api.post(&format!("{main}/erase"), wanted).await.expect(200).json;
    assert_eq!((&erased["reminders"], &erased["activities"]), (&json!(2), &json!(2)), "{erased}");
    for (id, status) in [("r1", 404), ("r2", 404), ("r3", 200)] {
        assert_eq!(api.get(&format!("/api/reminder/acme/main/{id}")).await.status, status, "{id}");
    }
    for trace in ["97777-6666", "97777 6666", "11977776666", "#r1", "#r2", "reminder-webhook:r1"] {
        assert_eq!(holding(&api.world, trace).await, Vec::<String>::new(), "{trace}");
    }
    assert!(!holding(&api.world, "97777 6667").await.is_empty());
}

#[tokio::test]
async fn faults_of_an_erasure_are_named() {
    let api = Api::seeded().await;
    for (body, expect) in [
        (json!({}), vec!["/objectId is required, unless countryCode and phoneNumber are given"]),
        (
            json!({"objectId": "1", "countryCode": "55"}),
            vec!["/objectId must not be given together with a recipient"],
        ),
        (json!({"countryCode": "55"}), vec!["/phoneNumber is required"]),
        (
            json!({"countryCode": "five", "phoneNumber": "1"}),
            vec!["/countryCode must be 1 to 4 digits, with or without a leading +"],
        ),
        (json!({"objectId": "1", "all": true}), vec!["/all is no field of this"]),
    ] {
        let answer = api.post("/v1/companies/acme/solutions/main/erase", body).await;
        assert_eq!(answer.problem(400).faults(), expect);
    }
    api.post("/v1/companies/acme/solutions/none/erase", json!({"objectId": "1"})).await.problem(404);
}
