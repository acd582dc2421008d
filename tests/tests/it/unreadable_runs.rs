//! The functions go on without what cannot be decoded of one tenant, of one activity, or of a log.

use crate::api::Api;
use crate::notifications::cycle;
use crate::rolling::roll;
use crate::unreadable_configuration::spoil;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use rules::activity::Status;
use rules::names::{ActivityId, Tenant};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::engine::attributes::Item;
use shared::table::{attr, keys};
use std::collections::{BTreeSet, HashMap};
use tests::world::beginning;
use tests::{Reply, World};

/// Gives an attribute of an item of the work table a value of a kind that none has.
pub async fn spoil_work(world: &World, pk: &str, sk: &str, attribute: &str) {
    let table = &world.embedded.settings("api-ingest")["PUNCTUAL_WORK_TABLE"];
    let update = world.embedded.clients().dynamodb.update_item().table_name(table);
    let key = [("PK", pk), ("SK", sk)];
    let key = key.map(|(name, text)| (name.to_owned(), AttributeValue::S(text.to_owned())));
    let update = update.set_key(Some(HashMap::from(key))).update_expression("SET #a = :bad");
    let update =
        update.condition_expression("attribute_exists(PK)").expression_attribute_names("#a", attribute);
    update.expression_attribute_values(":bad", AttributeValue::Bool(true)).send().await.unwrap();
}

fn tenant(company: &str) -> Tenant {
    format!("{company}/main").parse().unwrap()
}

/// One of each kind of work in a solution of the company, due 20 minutes after the beginning. `large` is in every parameter.
async fn with_work(api: &Api, company: &str, large: &str) {
    let (main, url) = (format!("/v1/companies/{company}/solutions/main"), api.world.receiver.url());
    api.put(&format!("/v1/companies/{company}"), json!({})).await.expect(201);
    api.put(&main, json!({})).await.expect(201);
    let uri = format!("{url}/{company}/calls/{{id}}");
    api.put(&format!("{main}/activity-types/call"), json!({"verb": "POST", "uriPattern": uri}))
        .await
        .expect(201);
    let note = json!({"uri": format!("{url}/{company}/notes")});
    api.put(&format!("{main}/notification-types/note"), note).await.expect(201);
    let yom =
        json!({"provider": "YOM", "baseUrl": format!("{url}/{company}/yom"), "credentials": {"apiKey": "k"}});
    api.put(&format!("{main}/dispatch-configs/EMAIL"), yom).await.expect(201);
    let dialog = format!("{url}/{company}/dialog");
    let configuration = json!({"notificationKey": "k", "accountCode": "a", "dialogServiceUri": dialog});
    api.put(&format!("/api/reminder/configuration/{company}/main"), configuration).await.expect(201);

    let at = rules::time::format(beginning() + TimeDelta::minutes(20));
    let parameter = |id: &str| json!({"id": id, "more": large});
    let activity = json!({"id": "a", "activityType": "call", "date": at, "parameter": parameter("a")});
    api.post(&format!("{main}/activities"), activity).await.expect(201);
    let message = json!({"id": "m", "channel": "EMAIL", "type": "MESSAGE", "reason": "r", "date": at,
        "commerce": {"assignment": "x", "targetUsers": []}, "attributes": {"more": large}});
    api.post(&format!("{main}/activities"), message).await.expect(201);
    let rule = json!({"activityType": "call", "minute": "20", "parameter": parameter("rule")});
    api.put(&format!("{main}/recurring-activities/rule"), rule).await.expect(201);
    let reminder =
        json!({"countryCode": "55", "phoneNumber": "1", "notificationTemplateName": "t", "sendTimes": [at]});
    api.put(&format!("/api/reminder/{company}/main/r"), reminder).await.expect(201);
    api.world.receiver.reply([Reply::status(500)]);
    let note = json!({"id": "n", "type": "note", "payload": {"more": large}});
    api.post(&format!("{main}/notifications"), note).await.expect(202);
}

/// Forty minutes of every function.
async fn run(world: &World) {
    for minutes in [15, 20, 30, 40] {
        let until = beginning() + TimeDelta::minutes(minutes);
        world.run_recurring(until).await;
        world.sender().run(until + TimeDelta::minutes(1)).await.unwrap().unwrap();
        cycle(world).await;
        roll(world).await;
    }
}

/// The paths that were called of a company, after its name.
fn called(world: &World, company: &str) -> BTreeSet<String> {
    let arrivals = world.receiver.arrivals().into_iter();
    let paths = arrivals.map(|arrival| arrival.uri.path().to_owned());
    paths.filter_map(|path| path.strip_prefix(&format!("/{company}")).map(str::to_owned)).collect()
}

const ALL: [&str; 5] = ["/calls/a", "/calls/rule", "/dialog/api/autotrigger", "/notes", "/yom/activities"];

#[tokio::test]
async fn what_cannot_be_decoded_of_one_tenants_configuration_stops_no_other_and_loses_nothing() {
    let none: &[&str] = &[];
    for (key, attribute, still_called) in [
        (("C#acme", "S#main"), "state", none),
        (("COMPANY", "acme"), "qosLevel", &ALL),
        (("T#acme/main", "A:call"), "verb", &ALL[2..]),
        (
            ("T#acme/main", "N:note"),
            "uri",
            &["/calls/a", "/calls/rule", "/dialog/api/autotrigger", "/yom/activities"],
        ),
        (("T#acme/main", "C:EMAIL"), "provider", &ALL[..4]),
        (
            ("REMINDERS", "acme/main"),
            "accountCode",
            &["/calls/a", "/calls/rule", "/notes", "/yom/activities"],
        ),
    ] {
        let api = Api::new().await;
        for company in ["acme", "beta"] {
            with_work(&api, company, "").await;
        }
        // The first attempts of the notifications.
        let before = called(&api.world, "acme");
        assert_eq!(before, BTreeSet::from(["/notes".to_owned()]));
        spoil(&api.world, key, attribute).await;
        api.world.ctx.unreadable.take();
        run(&api.world).await;
        let all =
            |paths: &[&str]| -> BTreeSet<String> { paths.iter().map(|path| (*path).to_owned()).collect() };
        assert_eq!(called(&api.world, "beta"), all(&ALL), "{key:?}");
        let notes =
            api.world.receiver.arrivals().iter().filter(|one| one.uri.path() == "/acme/notes").count();
        assert_eq!(notes > 1, still_called.contains(&"/notes"), "{key:?}");
        let others: BTreeSet<String> = &called(&api.world, "acme") - &before;
        assert_eq!(others, &all(still_called) - &before, "{key:?}");
        for (id, path) in [("a", "/calls/a"), ("m", "/yom/activities")] {
            let view = api.world.ctx.work.get(&tenant("acme"), &id.parse().unwrap()).await.unwrap().unwrap();
            let is_untouched = view.record.state.status == Status::Ready && view.record.state.attempts == 0;
            assert_eq!(is_untouched, !still_called.contains(&path), "{key:?} {id}");
        }
        let rule = api.world.rule(&tenant("acme"), "rule").await;
        assert_eq!(
            rule.next.unwrap() < api.world.clock.now(),
            !still_called.contains(&"/calls/rule"),
            "{key:?}"
        );
    }
}

/// A parameter lies beside its item where it is large. Of a reminder what it says always does.
#[tokio::test]
async fn a_parameter_that_cannot_be_decoded_stops_nothing_else_and_goes_with_its_item() {
    let api = Api::new().await;
    for company in ["acme", "beta"] {
        with_work(&api, company, &"x".repeat(1_000)).await;
    }
    let (acme, main) = (tenant("acme"), "/v1/companies/acme/solutions/main");
    let id: ActivityId = "a".parse().unwrap();
    let done =
        json!({"id": "done", "activityType": "call", "parameter": {"id": "done", "more": "x".repeat(1_000)}});
    api.post(&format!("{main}/activities"), done).await.expect(201);
    api.world.work(&api.world.worker()).await;
    for (pk, attribute) in [
        (keys::activity(&acme, &id), attr::PARAMETER),
        (keys::activity(&acme, &"m".parse().unwrap()), attr::PARAMETER),
        (keys::activity(&acme, &"done".parse().unwrap()), attr::PARAMETER),
        (keys::rule(&acme, &"rule".parse().unwrap()), attr::PARAMETER),
        (keys::notification(&acme, &"n".parse().unwrap()), attr::PARAMETER),
        (
            shared::items::reminder::keys::reminder(&acme, &"r".parse().unwrap()),
            shared::items::reminder::attr::DEFINITION,
        ),
    ] {
        spoil_work(&api.world, &pk, "PAYLOAD", attribute).await;
    }
    let lists = [
        (format!("{main}/activities"), 3),
        (format!("{main}/recurring-activities"), 1),
        (format!("{main}/notifications"), 1),
        ("/api/reminder/acme/main".to_owned(), 1),
    ];
    for (list, unreadable) in &lists {
        api.world.ctx.unreadable.take();
        assert_eq!(api.get(list).await.expect(200).json["items"], json!([]), "{list}");
        assert_eq!(api.world.ctx.unreadable.take(), *unreadable, "{list}");
    }
    run(&api.world).await;
    assert_eq!(called(&api.world, "beta"), BTreeSet::from(ALL.map(str::to_owned)));
    let expect = BTreeSet::from(["/notes", "/calls/done"].map(str::to_owned));
    assert_eq!(called(&api.world, "acme"), expect, "nothing is called without its parameter");

    let bulk = json!({"filter": {"activityType": "call", "status": "FAILED"}, "action": "retry"});
    let changed = api.post(&format!("{main}/activities/bulk"), bulk).await.expect(200).json;
    assert_eq!(changed, json!({"matched": 1, "changed": 1}), "each attempt of `a` failed");
    let uri =
        json!({"filter": {"activityType": "call"}, "action": "setUri", "uri": "https://example.com/{id}"});
    let changed = api.post(&format!("{main}/activities/bulk"), uri).await.expect(200).json;
    assert_eq!(changed, json!({"matched": 2, "changed": 0}));
    let entries = api.get(&format!("{main}/activities/a/history")).await.expect(200).json;
    let attempts: Vec<&Value> = entries["items"].as_array().unwrap().iter().collect();
    assert_eq!(attempts.len(), 3);
    for attempt in attempts {
        assert_eq!(
            (&attempt["outcome"], &attempt["detail"]),
            (&json!("INTERNAL"), &json!("the stored parameter cannot be read"))
        );
    }
    let note = api.get(&format!("{main}/notifications/n/history")).await.expect(200).json;
    assert_eq!(note["items"][0]["detail"], "the stored payload cannot be read");
    let held = |item: &Item| item["PK"].as_s().unwrap() == "R#acme/main#r" && item.contains_key(attr::TOKEN);
    assert!(!api.world.dump().await.iter().any(held), "the claim was given back");
    assert!(
        api.world.created(&acme, "rule").await.is_empty()
            && api.world.skipped(&acme, "rule").await.is_empty()
    );
    for one in
        ["activities/a", "activities/m", "activities/done", "recurring-activities/rule", "notifications/n"]
    {
        let path = format!("{main}/{one}");
        api.get(&path).await.problem(500);
        api.delete(&path).await.expect(204);
        api.get(&path).await.problem(404);
    }
    api.get("/api/reminder/acme/main/r").await.problem(500);
    api.delete("/api/reminder/acme/main/r").await.expect(204);
    let log = api.get(&format!("{main}/audit-log?limit=1")).await.expect(200).json;
    assert_eq!(log["items"][0]["action"], "recurringActivity.deleted");
    let count =
        crate::unreadable_configuration::stored(&api.world, ("C#acme", "COUNT#MaxRecurringActivities")).await;
    assert_eq!(count.unwrap()["count"].as_n().unwrap(), "0");
    let of_acme = api.world.dump().await.into_iter().filter(|item| {
        let pk = item["PK"].as_s().unwrap();
        ["A#acme", "Q#acme", "N#acme", "R#acme"].iter().any(|prefix| pk.starts_with(prefix))
    });
    assert_eq!(of_acme.count(), 0);
}

/// A rule of which the item itself cannot be decoded is counted out, and its deletion is audited.
#[tokio::test]
async fn a_rule_that_cannot_be_decoded_is_deleted_as_any_other() {
    let api = Api::new().await;
    with_work(&api, "acme", &"x".repeat(1_000)).await;
    let main = "/v1/companies/acme/solutions/main";
    spoil_work(&api.world, "Q#acme/main#rule", "ITEM", attr::CRON).await;
    api.delete(&format!("{main}/recurring-activities/rule")).await.expect(204);
    api.delete(&format!("{main}/recurring-activities/rule")).await.problem(404);
    let log = api.get(&format!("{main}/audit-log?limit=1")).await.expect(200).json;
    let entry = &log["items"][0];
    assert_eq!(entry["action"], "recurringActivity.deleted");
    assert_eq!(entry["from"], json!({"recurringActivity": "rule", "unreadable": true}));
    let count =
        crate::unreadable_configuration::stored(&api.world, ("C#acme", "COUNT#MaxRecurringActivities")).await;
    assert_eq!(count.unwrap()["count"].as_n().unwrap(), "0");
    let left = api.world.dump().await.into_iter().filter(|item| item["PK"].as_s().unwrap().starts_with("Q#"));
    assert_eq!(left.count(), 0, "its parameter too");
}
