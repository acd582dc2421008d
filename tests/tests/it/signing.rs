//! Deliveries are signed so that their receiver can tell them (SPEC §11): with each secret of the solution, and while
//! two are valid with both.

use crate::api::{Api, S};
use chrono::TimeDelta;
use serde_json::json;
use shared::clock::Clock;
use standardwebhooks::Webhook;
use tests::receiver::Arrival;

/// A delivery from now on, made by a worker of its own process.
async fn delivered(api: &Api, song: &str) -> Arrival {
    api.activity(song, json!({})).await;
    api.world.work(&api.world.worker()).await;
    api.world.receiver.arrivals().pop().unwrap()
}

/// Whether the receiver that has this secret takes the delivery. The crate's `verify` would ask the machine's clock
/// too, so what it does is done here: sign the same, and look for that among the signatures.
fn takes(secret: &str, arrival: &Arrival) -> bool {
    let header = |name: &str| arrival.headers[name].to_str().unwrap();
    let timestamp = header("webhook-timestamp").parse().unwrap();
    let expect = Webhook::new(secret).unwrap().sign(header("webhook-id"), timestamp, &arrival.body).unwrap();
    header("webhook-signature").split(' ').any(|signature| signature == expect)
}

#[tokio::test]
async fn a_receiver_verifies_by_the_standard_crate() {
    let api = Api::new().await;
    // Whoever verifies asks the machine's clock.
    let now = shared::clock::SystemClock.now();
    let ahead = api.world.clock.now() - now;
    api.world.clock.step_back(ahead);
    let first = solution(&api).await;
    let rotated = api.post(&format!("{S}/signing-secret/rotate"), json!({})).await.expect(200);
    let second = rotated.json["signingSecret"].as_str().unwrap();
    let mut arrival = delivered(&api, "1").await;
    for secret in [&first, second] {
        let webhook = Webhook::new(secret).unwrap();
        webhook.verify(&arrival.body, &arrival.headers).unwrap();
        assert!(webhook.verify(b"{}", &arrival.headers).is_err());
    }
    let old = (now.timestamp() - 3_600).to_string();
    arrival.headers.insert("webhook-timestamp", old.parse().unwrap());
    assert!(Webhook::new(&first).unwrap().verify(&arrival.body, &arrival.headers).is_err());
}

/// The solution `main` with the type `play`; its signing secret.
async fn solution(api: &Api) -> String {
    api.put("/v1/companies/acme", json!({})).await.expect(201);
    let made = api.put(S, json!({})).await.expect(201);
    let uri = format!("{}/songs/{{SongId}}", api.world.receiver.url());
    api.put(&format!("{S}/activity-types/play"), json!({"verb": "POST", "uriPattern": uri}))
        .await
        .expect(201);
    made.json["signingSecret"].as_str().unwrap().to_owned()
}

/// A process that knows the solution as it was before the rotation signs with both secrets from the answer on.
#[tokio::test]
async fn other_processes_sign_with_both_secrets_once_a_rotation_is_answered() {
    let api = Api::new().await;
    let first = solution(&api).await;
    let other = api.world.worker();
    api.activity("before", json!({})).await;
    api.world.work(&other).await;
    let rotated = api.post(&format!("{S}/signing-secret/rotate"), json!({})).await.expect(200);
    api.activity("after", json!({})).await;
    api.world.work(&other).await;
    let arrival = api.world.receiver.arrivals().pop().unwrap();
    assert!(arrival.uri.path().ends_with("/after"));
    assert!(takes(&first, &arrival) && takes(rotated.json["signingSecret"].as_str().unwrap(), &arrival));
}

#[tokio::test]
async fn a_receiver_verifies_by_either_secret_for_a_day_after_a_rotation_and_then_by_the_new_one() {
    let api = Api::new().await;
    let first = solution(&api).await;
    assert!(takes(&first, &delivered(&api, "1").await));

    let rotated = api.post(&format!("{S}/signing-secret/rotate"), json!({})).await.expect(200);
    let second = rotated.json["signingSecret"].as_str().unwrap().to_owned();
    let until = rules::time::parse(rotated.json["previousValidUntil"].as_str().unwrap()).unwrap();
    let check = async |song: &str, expect: [bool; 2]| {
        let arrival = delivered(&api, song).await;
        assert_eq!([takes(&first, &arrival), takes(&second, &arrival)], expect, "{song}");
        let signatures = arrival.headers["webhook-signature"].to_str().unwrap().split(' ').count();
        assert_eq!(signatures, expect.into_iter().filter(|takes| *takes).count(), "{song}");
        // What was signed is what was sent.
        let other = Arrival { body: "{}".into(), ..arrival };
        assert!(!takes(&first, &other) && !takes(&second, &other), "{song}");
    };
    check("at once", [true, true]).await;
    api.world.clock.advance_to(until - TimeDelta::milliseconds(1));
    check("at the end of the day", [true, true]).await;
    api.world.clock.advance_to(until);
    check("after it", [false, true]).await;
}
