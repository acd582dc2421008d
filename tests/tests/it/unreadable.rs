//! Stored items that cannot be decoded stop nothing else, and can be removed.

use crate::api::{Api, S};
use crate::notifications::cycle;
use crate::template_scenes_unreadable::damage;
use chrono::TimeDelta;
use rules::names::Tenant;
use serde_json::{Value, json};
use shared::table::keys;
use tests::world::beginning;

const REMINDERS: &str = "/api/reminder/acme/main";

fn tenant() -> Tenant {
    Tenant { company: "acme".parse().unwrap(), solution: "main".parse().unwrap() }
}

/// Two of each kind of work in one solution, a minute from now, called `good` and `bad`.
async fn two_of_each() -> Api {
    let api = Api::seeded().await;
    let (dialog, hook) = (api.world.receiver.url(), format!("{}/hook", api.world.receiver.url()));
    let configuration =
        json!({"notificationKey": "k", "accountCode": "a", "dialogServiceUri": dialog, "webhookUrl": hook});
    api.put("/api/reminder/configuration/acme/main", configuration).await.expect(201);
    api.put(&format!("{S}/notification-types/note"), json!({"uri": format!("{hook}/note")}))
        .await
        .expect(201);
    let at = rules::time::format(beginning() + TimeDelta::minutes(1));
    for name in ["bad", "good"] {
        api.activity(name, json!({"id": name, "date": at})).await;
        let rule = json!({"activityType": "play", "parameter": {"SongId": 1}});
        api.put(&format!("{S}/recurring-activities/{name}"), rule).await.expect(201);
        let reminder = json!({
            "countryCode": "55", "phoneNumber": format!("1{}", name.len()), "notificationTemplateName": "t",
            "templateParameters": [], "sendTimes": [at],
        });
        api.put(&format!("{REMINDERS}/{name}"), reminder).await.expect(201);
        api.world.receiver.reply([tests::Reply::status(500)]);
        let note = json!({"type": "note", "payload": {}, "id": name});
        api.post(&format!("{S}/notifications"), note).await.expect(202);
    }
    api
}

fn names(list: &Value, name: &str) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item[name].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_item_of_work_that_cannot_be_read_stops_nothing_and_can_be_removed() {
    let api = two_of_each().await;
    let (tenant, bad) = (tenant(), "bad".parse().unwrap());
    for pk in [
        keys::activity(&tenant, &bad),
        keys::rule(&tenant, &"bad".parse().unwrap()),
        shared::items::reminder::keys::reminder(&tenant, &bad),
        keys::notification(&tenant, &bad),
    ] {
        damage(&api.world, pk).await;
    }
    let paths = [
        (format!("{S}/activities"), "id"),
        (format!("{S}/recurring-activities"), "name"),
        (REMINDERS.to_owned(), "id"),
        (format!("{S}/notifications"), "id"),
    ];
    api.world.ctx.unreadable.take();
    for (list, name) in &paths {
        let listed = api.get(&format!("{list}?limit=100")).await.expect(200).json;
        let found = names(&listed, name);
        assert!(
            found.iter().any(|found| found == "good") && !found.iter().any(|found| found == "bad"),
            "{listed}"
        );
        assert_eq!(api.world.ctx.unreadable.take(), 1, "{list}");
        api.get(&format!("{list}/bad")).await.problem(500);
    }
    // One item a page: what cannot be read ends no list.
    let mut next = format!("{S}/recurring-activities?limit=1");
    let mut found = Vec::new();
    loop {
        let page = api.get(&next).await.expect(200).json;
        found.extend(names(&page, "name"));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        next = format!("{S}/recurring-activities?limit=1&cursor={cursor}");
    }
    assert_eq!(found, ["good"]);

    let calls = api.world.receiver.arrivals().len();
    api.world.run_recurring(beginning() + TimeDelta::minutes(3)).await;
    api.world.sender().run(beginning() + TimeDelta::minutes(5)).await.unwrap().unwrap();
    api.world.clock.advance_to(beginning() + TimeDelta::minutes(20));
    cycle(&api.world).await;
    let called = api.world.receiver.arrivals().split_off(calls);
    let paths_called: Vec<String> =
        called.iter().map(|call| format!("{} {}", call.uri.path(), call.idempotency_key())).collect();
    for prefix in ["/songs/good good:0", "/songs/1 good@", "/api/autotrigger good:", "/hook/note good:"] {
        assert!(paths_called.iter().any(|call| call.starts_with(prefix)), "{prefix} {paths_called:?}");
    }
    // What its rule had created ahead of its time is an activity like any other.
    assert!(!paths_called.iter().any(|call| call.contains(" bad:")), "{paths_called:?}");

    for (list, _) in &paths {
        api.delete(&format!("{list}/bad")).await.expect(204);
        api.get(&format!("{list}/bad")).await.problem(404);
        api.delete(&format!("{list}/bad")).await.problem(404);
    }
}
