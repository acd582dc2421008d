//! Items of the configuration that cannot be decoded, whichever attribute it is: lists go on, and DELETE removes them.

use crate::api::{Api, S};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use serde_json::{Value, json};
use shared::engine::attributes::Item;
use shared::tenancy::{AuditScope, PageRequest};
use std::collections::HashMap;
use tests::World;

const COMPANY: &str = "/v1/companies/acme";

/// A kind of configuration, and one of it.
struct Kind {
    /// Where it is listed, and the member that names it there; some are in no list.
    list: Option<(String, &'static str)>,
    name: &'static str,
    path: String,
    /// How it is made.
    method: &'static str,
    body: Value,
    /// Its item.
    key: (&'static str, &'static str),
    /// The item of the quota's count.
    count: Option<&'static str>,
    /// The audit log's entry.
    deleted: (AuditScope, &'static str),
}

fn kinds(world: &World) -> Vec<Kind> {
    let url = world.receiver.url();
    let of = |kind: &str| (format!("{S}/{kind}"), format!("{S}/{kind}/gone"));
    let company = || AuditScope::Company("acme".parse().unwrap());
    let solution = || AuditScope::Solution("acme/main".parse().unwrap());
    let (types, activity_type) = of("activity-types");
    let (notification_types, notification_type) = of("notification-types");
    let webhook =
        json!({"notificationKey": "k", "accountCode": "a", "dialogServiceUri": url, "webhookUrl": url});
    vec![
        Kind {
            list: Some((types, "activityType")),
            name: "gone",
            path: activity_type,
            method: "PUT",
            body: json!({"verb": "POST", "uriPattern": url, "parameterExpected": {}, "objectIdRef": "a"}),
            key: ("T#acme/main", "A:gone"),
            count: Some("COUNT#MaxActivityTypes"),
            deleted: (solution(), "activityType.deleted"),
        },
        Kind {
            list: Some((notification_types, "type")),
            name: "gone",
            path: notification_type,
            method: "PUT",
            body: json!({"uri": url}),
            key: ("T#acme/main", "N:gone"),
            count: Some("COUNT#MaxNotificationTypes"),
            deleted: (solution(), "notificationType.deleted"),
        },
        Kind {
            list: Some((format!("{S}/dispatch-configs"), "channel")),
            name: "EMAIL",
            path: format!("{S}/dispatch-configs/EMAIL"),
            method: "PUT",
            body: json!({"provider": "YOM", "baseUrl": url, "credentials": {"apiKey": "k"}}),
            key: ("T#acme/main", "C:EMAIL"),
            count: None,
            deleted: (solution(), "dispatchConfig.deleted"),
        },
        Kind {
            list: None,
            name: "main",
            path: "/api/reminder/configuration/acme/main".to_owned(),
            method: "PUT",
            body: webhook,
            key: ("REMINDERS", "acme/main"),
            count: None,
            deleted: (solution(), "reminderConfiguration.deleted"),
        },
        Kind {
            list: Some((format!("{COMPANY}/solutions"), "solution")),
            name: "gone",
            path: format!("{COMPANY}/solutions/gone"),
            method: "PUT",
            body: json!({"successUri": url, "successPeriod": 1}),
            key: ("C#acme", "S#gone"),
            count: Some("COUNT#MaxSolutions"),
            deleted: (company(), "solution.deleted"),
        },
        Kind {
            list: Some((format!("{COMPANY}/api-keys"), "id")),
            name: "gone",
            path: format!("{COMPANY}/api-keys"),
            method: "POST",
            body: json!({"label": "CI", "id": "gone"}),
            key: ("C#acme", "KEY#gone"),
            count: Some("COUNT#MaxApiKeys"),
            deleted: (company(), "apiKey.deleted"),
        },
        Kind {
            list: Some(("/v1/companies".to_owned(), "company")),
            name: "gone",
            path: "/v1/companies/gone".to_owned(),
            method: "PUT",
            body: json!({}),
            key: ("COMPANY", "gone"),
            count: None,
            deleted: (AuditScope::Company("gone".parse().unwrap()), "company.deleted"),
        },
    ]
}

impl Kind {
    /// What a GET or a DELETE names.
    fn one(&self) -> String {
        if self.method == "POST" { format!("{}/{}", self.path, self.name) } else { self.path.clone() }
    }

    /// Whether its list has it, and how many of the list could not be read.
    async fn listed(&self, api: &Api) -> Option<(bool, u64)> {
        let (list, member) = self.list.as_ref()?;
        api.world.ctx.unreadable.take();
        let listed = api.get(&format!("{list}?limit=100")).await.expect(200).json;
        let is_there = listed["items"].as_array().unwrap().iter().any(|item| item[*member] == self.name);
        Some((is_there, api.world.ctx.unreadable.take()))
    }
}

pub async fn stored(world: &World, (pk, sk): (&str, &str)) -> Option<Item> {
    let get = world.embedded.clients().dynamodb.get_item().table_name(world.config_table());
    let get = get.key("PK", AttributeValue::S(pk.to_owned())).key("SK", AttributeValue::S(sk.to_owned()));
    get.send().await.unwrap().item
}

/// Gives an attribute of an item of the configuration a value of a kind that none has.
pub async fn spoil(world: &World, (pk, sk): (&str, &str), attribute: &str) {
    let update = world.embedded.clients().dynamodb.update_item().table_name(world.config_table());
    let key = HashMap::from(
        [("PK", pk), ("SK", sk)].map(|(name, text)| (name.to_owned(), AttributeValue::S(text.to_owned()))),
    );
    let update = update
        .set_key(Some(key))
        .update_expression("SET #a = :bad")
        .condition_expression("attribute_exists(PK)");
    let update = update.expression_attribute_names("#a", attribute);
    update.expression_attribute_values(":bad", AttributeValue::Bool(true)).send().await.unwrap();
    // What was read before is not used any more.
    world.clock.advance(TimeDelta::seconds(10));
}

async fn count(world: &World, kind: &Kind) -> Option<i64> {
    let item = stored(world, ("C#acme", kind.count?)).await.unwrap();
    Some(item["count"].as_n().unwrap().parse().unwrap())
}

async fn newest_entry(world: &World, scope: &AuditScope) -> (String, Value) {
    let first = PageRequest { after: None, limit: 1 };
    let entry = world.ctx.tenancy.audit_log(scope, &first).await.unwrap().items.remove(0);
    (entry.action, entry.from.unwrap_or_default())
}

/// Spoils the `n`-th attribute of one of a kind, and deletes it; whether it could not be read, or `None` without an attribute.
async fn delete_spoiled(api: &Api, kind: &Kind, n: usize) -> Option<bool> {
    let world = &api.world;
    api.call(kind.method, &kind.path, Some(kind.body.clone())).await.expect(201);
    let mut attributes: Vec<String> = stored(world, kind.key).await.unwrap().into_keys().collect();
    attributes.sort();
    attributes.retain(|name| name != "PK" && name != "SK");
    let attribute = attributes.get(n)?;
    let context = format!("{} {attribute}", kind.path);
    spoil(world, kind.key, attribute).await;
    let is_readable = match kind.listed(api).await {
        Some((is_there, unreadable)) => {
            assert_eq!(unreadable, u64::from(!is_there), "{context}");
            is_there
        }
        None => api.get(&kind.one()).await.status == 200,
    };
    if kind.method == "PUT" {
        assert_eq!(api.get(&kind.one()).await.status, if is_readable { 200 } else { 500 }, "{context}");
    }
    let before = count(world, kind).await;
    let deleted = api.delete(&kind.one()).await;
    assert_eq!(deleted.status, 204, "{context}: {}", deleted.text);
    let (scope, action) = &kind.deleted;
    let (newest, from) = newest_entry(world, scope).await;
    // A revision is mended by the mark of the deletion.
    let is_audited = is_readable || (attribute == "revision" && from.get("unreadable").is_none());
    assert_eq!((newest.as_str(), from.get("unreadable").is_none()), (*action, is_audited), "{context}");
    assert_eq!(count(world, kind).await, before.map(|before| before - 1), "{context}");
    assert_ne!(kind.listed(api).await.unwrap_or_default(), (true, 0), "{context}");
    api.delete(&kind.one()).await.problem(404);
    if kind.key.1 == "S#gone" {
        let deletions = stored(world, ("C#acme", "D#gone")).await.unwrap();
        assert_eq!(deletions["revision"].as_n().unwrap(), &(n + 1).to_string(), "{context}");
    }
    Some(!is_readable)
}

#[tokio::test]
async fn whatever_of_it_cannot_be_decoded_it_is_left_out_of_lists_and_deleted() {
    let api = Api::seeded().await;
    api.key("acme").await;
    // A place is reserved, and so counted, before the first solution is made.
    api.world.clock.advance(TimeDelta::minutes(2));
    for kind in kinds(&api.world) {
        let (mut n, mut unreadable) = (0, 0);
        while let Some(is_unreadable) = delete_spoiled(&api, &kind, n).await {
            n += 1;
            unreadable += usize::from(is_unreadable);
        }
        assert!(unreadable >= 3, "{}: {unreadable} of {n}", kind.path);
        api.delete(&kind.one()).await.expect(204);
    }
}

/// A solution that cannot be decoded is a solution: its company is not deleted before it.
#[tokio::test]
async fn a_company_has_its_solution_that_cannot_be_decoded() {
    let api = Api::seeded().await;
    let key = api.key("acme").await;
    spoil(&api.world, ("C#acme", "S#main"), "state").await;
    api.delete(COMPANY).await.problem(409);
    api.get(&format!("{S}/activities")).await.problem(500);
    let other = json!({"verb": "POST", "uriPattern": api.world.receiver.url()});
    api.delete(&format!("{S}/activity-types/play")).await.expect(204);
    let types = ("C#acme", "COUNT#MaxActivityTypes");
    assert_eq!(stored(&api.world, types).await.unwrap()["count"].as_n().unwrap(), "0");
    api.put(&format!("{COMPANY}/solutions/other"), json!({})).await.expect(201);
    api.put(&format!("{COMPANY}/solutions/other/activity-types/x"), other).await.expect(201);
    spoil(&api.world, ("T#acme/other", "A:x"), "verb").await;
    for solution in ["main", "other"] {
        api.delete(&format!("{COMPANY}/solutions/{solution}")).await.expect(204);
    }
    assert_eq!(
        stored(&api.world, types).await.unwrap()["count"].as_n().unwrap(),
        "0",
        "its types go with it"
    );
    let id = key.split('~').nth(2).unwrap();
    spoil(&api.world, ("C#acme", &format!("KEY#{id}")), "label").await;
    api.delete(COMPANY).await.expect(204);
    assert!(stored(&api.world, ("C#acme", &format!("KEY#{id}"))).await.is_none(), "keys go with it");
}

/// What waits in it is still a reason to refuse: it would end uncalled.
#[tokio::test]
async fn one_in_which_something_waits_is_not_deleted() {
    let api = Api::seeded().await;
    let url = api.world.receiver.url();
    let config = json!({"provider": "YOM", "baseUrl": url, "credentials": {"apiKey": "k"}});
    api.put(&format!("{S}/dispatch-configs/EMAIL"), config).await.expect(201);
    let configuration = json!({"notificationKey": "k", "accountCode": "a", "dialogServiceUri": url});
    let (reminders, reminder) = ("/api/reminder/configuration/acme/main", "/api/reminder/acme/main/r");
    api.put(reminders, configuration).await.expect(201);
    let later = "2030-01-01T00:00:00Z";
    api.activity("1", json!({"id": "a", "date": later})).await;
    let mut message = crate::channel_results::message("m");
    message["date"] = json!(later);
    api.post(&format!("{S}/activities"), message).await.expect(201);
    let body = json!({"countryCode": "55", "phoneNumber": "1", "notificationTemplateName": "t", "sendTimes": [later]});
    api.put(reminder, body).await.expect(201);
    let types =
        (format!("{S}/activity-types/play"), ("T#acme/main", "A:play"), "verb", format!("{S}/activities/a"));
    let channel = (
        format!("{S}/dispatch-configs/EMAIL"),
        ("T#acme/main", "C:EMAIL"),
        "provider",
        format!("{S}/activities/m"),
    );
    let configured = (reminders.to_owned(), ("REMINDERS", "acme/main"), "dueShards", reminder.to_owned());
    for (path, key, attribute, waits) in [types, channel, configured] {
        spoil(&api.world, key, attribute).await;
        api.delete(&path).await.problem(409);
        api.delete(&waits).await.expect(200);
        api.delete(&path).await.expect(204);
    }
}

/// The registries say where work is. One of their items that cannot be decoded is written again with what it is about.
#[tokio::test]
async fn an_item_of_a_registry_is_mended_by_the_next_put() {
    let api = Api::seeded().await;
    let url = api.world.receiver.url();
    let note = json!({"uri": url});
    api.put(&format!("{S}/notification-types/note"), note.clone()).await.expect(201);
    let config = json!({"provider": "YOM", "baseUrl": url, "credentials": {"apiKey": "k"}});
    api.put(&format!("{S}/dispatch-configs/EMAIL"), config.clone()).await.expect(201);
    let play =
        json!({"verb": "POST", "uriPattern": format!("{url}/songs/{{SongId}}"), "objectIdRef": "SongId"});
    for (key, path, body) in [
        (("SLICES", "acme/main/A:play"), "activity-types/play", play),
        (("SLICES", "acme/main/C:EMAIL"), "dispatch-configs/EMAIL", config),
        (("NOTIFICATIONS", "acme/main/note"), "notification-types/note", note),
    ] {
        let before = stored(&api.world, key).await;
        spoil(&api.world, key, "shards").await;
        api.put(&format!("{S}/{path}"), body).await.expect(200);
        assert_eq!(stored(&api.world, key).await, before, "{path}");
    }
}
