//! Attempts, results, links and ends that cannot be decoded hold up nothing else.

use crate::api::{Api, S};
use crate::channel_results;
use crate::deletion::invoke;
use crate::notifications::{cycle, publish, put_type};
use crate::rolling::{DAY, batches, finish, ids, left, roll, set};
use crate::rolling_parts::with_results;
use crate::unreadable_configuration::spoil;
use crate::unreadable_runs::spoil_work;
use chrono::TimeDelta;
use rules::names::Tenant;
use rules::notification;
use serde_json::json;
use shared::clock::Clock;
use shared::engine::attributes::Item;
use shared::table::{attr, keys};
use std::collections::BTreeSet;
use tests::{Reply, World};

fn acme() -> Tenant {
    "acme/main".parse().unwrap()
}

/// Whatever of it cannot be decoded: an activity stays, and the others of its solution are handed on and deleted.
#[tokio::test]
async fn a_log_that_cannot_be_decoded_holds_up_no_other() {
    for (sk, attribute) in [
        (attr::ITEM.to_owned(), attr::CREATED),
        (keys::history(0, 1), attr::ENTRY_AT),
        (keys::result(&"res".parse().unwrap()), attr::RESULT_OCCURRED),
    ] {
        for batch in [false, true] {
            let world = World::new().await;
            let tenant = world.tenant("acme", 1).await;
            set(&world, &tenant, |_| {}).await;
            world.receiver.reply([Reply::status(500)]);
            finish(&world, &tenant, ["bad".to_owned()]).await;
            finish(&world, &tenant, ["good".to_owned()]).await;
            world.run(world.clock.now() + TimeDelta::minutes(1)).await;
            crate::rolling_parts::report(&world, &tenant, "bad", "res", 10).await;
            world.clock.advance(DAY + TimeDelta::minutes(1));
            if batch {
                // The one that was written down is sent again, without what cannot be decoded any more.
                world.receiver.reply([Reply::status(500)]);
                roll(&world).await;
                spoil_work(&world, "L#acme/main#success", "BATCH", "members").await;
            }
            spoil_work(&world, "A#acme/main#bad", &sk, attribute).await;
            let report = roll(&world).await;
            assert_eq!((report.deleted, report.left), (1, false), "{sk} {batch}");
            let (.., body) = batches(&world).pop().unwrap();
            assert_eq!(ids(&body), ["good"], "{sk} {batch}");
            let stays: BTreeSet<String> = left(&world, &tenant).await;
            assert_eq!(stays, BTreeSet::from(["bad".to_owned()]), "{sk} {batch}");
        }
    }
}

/// A result that came before the activity, or before its dispatch, by either id.
#[tokio::test]
async fn a_result_that_cannot_be_decoded_does_not_keep_a_dispatch_from_being_recorded() {
    for (target, pk) in [
        (json!({"activityId": "m"}), "A#acme/main#m"),
        (json!({"providerActivityId": "p-m"}), "P#acme/main#=p-m"),
    ] {
        let api = channel_results::api().await;
        let mut result = channel_results::result(target, "COMPLETED");
        result["id"] = json!("res");
        channel_results::report(&api, result).await.expect(201);
        spoil_work(&api.world, pk, &keys::result(&"res".parse().unwrap()), attr::RESULT_OCCURRED).await;
        channel_results::dispatched(&api, "m").await;
    }
}

#[tokio::test]
async fn a_link_that_cannot_be_decoded_holds_up_neither_the_roller_nor_a_deletion() {
    let api = channel_results::api().await;
    let (world, acme) = (&api.world, acme());
    set(world, &acme, |_| {}).await;
    for id in ["m1", "m2"] {
        channel_results::dispatched(&api, id).await;
        spoil_work(world, &format!("P#acme/main#=p-{id}"), "ITEM", attr::LINKED).await;
        if id == "m1" {
            world.clock.advance(DAY + TimeDelta::minutes(1));
            assert_eq!(roll(world).await.deleted, 1);
        }
    }
    api.delete(S).await.expect(204);
    world.clock.advance(TimeDelta::hours(2));
    for _ in 0..8 {
        invoke(world.process()).await;
        world.clock.advance(TimeDelta::minutes(15));
    }
    assert_eq!(invoke(world.process()).await, 0);
    let left: Vec<_> =
        world.dump().await.into_iter().filter(|item| item["SK"].as_s().unwrap() == "ITEM").collect();
    let of_m1 = |item: &Item| item["PK"].as_s().unwrap() == "P#acme/main#=p-m1";
    assert!(left.iter().all(of_m1), "the link of an activity that is gone has a time to live: {left:?}");
}

#[tokio::test]
async fn the_end_of_a_notification_that_cannot_be_decoded_keeps_no_other() {
    let world = World::new().await;
    let acme = world.tenant("acme", 1).await;
    put_type(&world, &acme, "mail", 1, json!({})).await;
    for id in ["bad", "good"] {
        world.receiver.reply([Reply::status(500)]);
        assert_eq!(publish(&world, &acme, "mail", id).await, notification::Status::Pending);
    }
    world.clock.advance(TimeDelta::minutes(11));
    cycle(&world).await;
    spoil_work(&world, "N#acme/main#bad", "ITEM", attr::KEPT_UNTIL).await;
    world.clock.advance(DAY * 370);
    roll(&world).await;
    let left = world.dump().await.into_iter().map(|item| item["PK"].as_s().unwrap().clone());
    let left: BTreeSet<String> = left.filter(|pk| pk.starts_with("N#")).collect();
    assert_eq!(left, BTreeSet::from(["N#acme/main#bad".to_owned()]));
}

#[tokio::test]
async fn an_erasure_goes_on_without_a_type_that_cannot_be_decoded() {
    let api = Api::seeded().await;
    let uri = format!("{}/{{SongId}}", api.world.receiver.url());
    let other = json!({"verb": "POST", "uriPattern": uri, "objectIdRef": "SongId"});
    api.put(&format!("{S}/activity-types/bad"), other).await.expect(201);
    for name in ["bad", "play"] {
        let rule = json!({"activityType": name, "minute": "0", "hour": "0", "parameter": {"SongId": "x"}});
        api.put(&format!("{S}/recurring-activities/{name}"), rule).await.expect(201);
    }
    spoil(&api.world, ("T#acme/main", "A:bad"), "verb").await;
    let erased = api.post(&format!("{S}/erase"), json!({"objectId": "x"})).await.expect(200).json;
    assert_eq!(erased["recurringActivities"], 1);
    api.get(&format!("{S}/recurring-activities/bad")).await.expect(200);
    api.get(&format!("{S}/recurring-activities/play")).await.problem(404);
}

/// One whose log goes in parts is not handed on whole where a part of it cannot be decoded.
#[tokio::test]
async fn a_large_log_that_cannot_be_decoded_holds_up_no_other() {
    // In the first part, and in the second.
    for result in ["r00", "r11"] {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        set(&world, &tenant, |_| {}).await;
        with_results(&world, &tenant, "bad", 12, 100_000).await;
        finish(&world, &tenant, ["good".to_owned()]).await;
        let sk = keys::result(&result.parse().unwrap());
        spoil_work(&world, "A#acme/main#bad", &sk, attr::RESULT_OCCURRED).await;
        world.clock.advance(DAY + TimeDelta::minutes(1));
        let report = roll(&world).await;
        assert_eq!((report.deleted, report.left), (1, false), "{result}");
        let (.., body) = batches(&world).pop().unwrap();
        assert_eq!(ids(&body), ["good"], "{result}");
        assert_eq!(left(&world, &tenant).await, BTreeSet::from(["bad".to_owned()]), "{result}");
    }
}

#[tokio::test]
async fn an_attempt_that_cannot_be_decoded_is_left_out_of_what_it_was_made_for() {
    let api = Api::seeded().await;
    let mail = json!({"uri": format!("{}/mail", api.world.receiver.url())});
    api.put(&format!("{S}/notification-types/mail"), mail).await.expect(201);
    api.world.receiver.reply([Reply::status(500), Reply::status(200), Reply::status(500)]);
    api.activity("1", json!({"id": "a"})).await;
    api.world.run(api.world.clock.now() + TimeDelta::minutes(1)).await;
    api.post(&format!("{S}/notifications"), json!({"type": "mail", "payload": 1, "id": "n"}))
        .await
        .expect(202);
    api.world.clock.advance(TimeDelta::minutes(11));
    cycle(&api.world).await;
    for (path, pk) in [("activities/a", "A#acme/main#a"), ("notifications/n", "N#acme/main#n")] {
        let found = async || {
            let found = api.get(&format!("{S}/{path}")).await.expect(200).json;
            found["history"].as_array().unwrap().len()
        };
        assert_eq!(found().await, 2, "{path}");
        let entries = api.world.dump().await.into_iter().filter(|item| item["PK"].as_s().unwrap() == pk);
        let mut keys = entries.map(|item| item["SK"].as_s().unwrap().clone());
        let entry = keys.find(|sk| sk.starts_with(attr::HISTORY_PREFIX)).unwrap();
        spoil_work(&api.world, pk, &entry, attr::ENTRY_AT).await;
        assert_eq!(found().await, 1, "{path}");
    }
}

/// The webhooks' type: what it cannot tell does not keep the messages from going out.
#[tokio::test]
async fn a_reminder_goes_on_where_the_type_of_its_webhooks_cannot_be_decoded() {
    let api = Api::seeded().await;
    let (world, url) = (&api.world, api.world.receiver.url());
    let path = "/api/reminder/configuration/acme/main";
    let configuration =
        json!({"notificationKey": "k", "accountCode": "a", "dialogServiceUri": url, "webhookUrl": url});
    api.put(path, configuration).await.expect(201);
    let times = [1, 10].map(|minutes| rules::time::format(world.clock.now() + TimeDelta::minutes(minutes)));
    let reminder =
        json!({"countryCode": "55", "phoneNumber": "1", "notificationTemplateName": "t", "sendTimes": times});
    api.put("/api/reminder/acme/main/r", reminder).await.expect(201);
    spoil(world, ("T#acme/main", "A:reminder-webhook"), "verb").await;
    for minutes in [2, 9] {
        world.clock.advance(TimeDelta::minutes(minutes));
        world.sender().run(world.clock.now() + TimeDelta::minutes(1)).await.unwrap().unwrap();
    }
    let sent = world.receiver.arrivals().iter().filter(|one| one.uri.path() == "/api/autotrigger").count();
    assert_eq!(sent, 2);
    api.get("/api/reminder/acme/main/r").await.expect(200);

    // Whether a configuration that cannot be decoded needs the type is not known.
    spoil(world, ("REMINDERS", "acme/main"), "accountCode").await;
    api.delete(&format!("{S}/activity-types/reminder-webhook")).await.problem(409);
    api.delete(path).await.expect(204);
    api.delete(&format!("{S}/activity-types/reminder-webhook")).await.expect(204);
}
