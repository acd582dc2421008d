//! Recipients of reminders over HTTP, by whatever spelling, and `catchUp` (SPEC §6).

use crate::api::Answer;
use crate::api_reminders::Reminders;
use chrono::TimeDelta;
use rules::names::Tenant;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::world::beginning;

const LIST: &str = "/api/reminder/acme/clinic";
/// One recipient, as clients write it.
const SPELLINGS: [(&str, &str); 6] = [
    ("55", "11977776666"),
    ("55", "(11) 97777-6666"),
    ("+55", "+55 11 97777 6666"),
    ("55", "+5511977776666"),
    ("+55", "11.97777.6666"),
    ("55", "+55(11)97777-6666"),
];

fn ids(answer: &Answer) -> BTreeSet<String> {
    let items = answer.json["items"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// One reminder for each spelling, due now; their number is part of their ids.
async fn spelled(reminders: &Reminders) {
    for (number, (country_code, phone_number)) in SPELLINGS.iter().enumerate() {
        let id = format!("s{number}");
        let edit = |body: &mut Value| {
            body["countryCode"] = json!(country_code);
            body["phoneNumber"] = json!(phone_number);
            body["sendTimes"] = json!([rules::time::format(beginning())]);
        };
        let made = reminders.put(&id, edit).await.expect(201).json;
        assert_eq!(
            (&made["countryCode"], &made["phoneNumber"]),
            (&json!(country_code), &json!(phone_number))
        );
    }
}

#[tokio::test]
async fn spellings_of_one_recipient_get_one_message_at_a_time_as_they_are_written() {
    let reminders = Reminders::new().await;
    spelled(&reminders).await;
    reminders.put("other", |body| body["phoneNumber"] = json!("11977776667")).await.expect(201);
    // One group, whatever the receiver gets to see of it.
    let tenant = Tenant { company: "acme".parse().unwrap(), solution: "clinic".parse().unwrap() };
    let mut groups = BTreeSet::new();
    for number in 0..SPELLINGS.len() {
        groups.insert(reminders.world().reminder_of(&tenant, &format!("s{number}")).await.record.recipient);
    }
    assert_eq!(groups.len(), 1);
    let receiver = &reminders.world().receiver;
    receiver.hold_bodies_with("visit");
    let run = reminders.run();
    let watch = async {
        // The recipient's first, and the other one's.
        receiver.came(2).await;
        receiver.let_go();
    };
    let (report, ()) = tokio::join!(run, watch);
    assert_eq!((&report["sent"], receiver.most_at_once()), (&json!(7), 2));
    let sent: BTreeSet<(String, String)> = reminders
        .world()
        .dialog_calls()
        .iter()
        .map(|call| {
            let body: Value = serde_json::from_slice(&call.body).unwrap();
            let text = |name: &str| body[name].as_str().unwrap().to_owned();
            (text("countryCode"), text("phoneNumber"))
        })
        .collect();
    for (country_code, phone_number) in SPELLINGS {
        assert!(sent.contains(&(country_code.to_owned(), phone_number.to_owned())), "{phone_number}");
    }
}

#[tokio::test]
async fn a_phone_number_is_found_by_any_of_its_spellings() {
    let reminders = Reminders::new().await;
    spelled(&reminders).await;
    for (id, country_code, phone_number) in
        [("other", "55", "11977776667"), ("national", "1", "11977776666"), ("whole", "55", "+1 202 555 0147")]
    {
        let edit = |body: &mut Value| {
            body["countryCode"] = json!(country_code);
            body["phoneNumber"] = json!(phone_number);
        };
        reminders.put(id, edit).await.expect(201);
    }
    let find = async |query: &str| {
        ids(&reminders.admin("GET", &format!("{LIST}?phoneNumber={query}"), None).await.expect(200))
    };
    let spelled: BTreeSet<String> = (0..SPELLINGS.len()).map(|number| format!("s{number}")).collect();
    let with = |id: &str| spelled.iter().cloned().chain([id.to_owned()]).collect::<BTreeSet<_>>();
    // A `+` as it is means a space in a query, and is read as a `+` nevertheless.
    for query in [
        "+5511977776666",
        "%2B5511977776666",
        "%2B55+11+97777-6666",
        "+55%20(11)%2097777-6666",
        "+55.11.97777.6666",
        "5511977776666",
    ] {
        assert_eq!(find(query).await, spelled, "{query}");
    }
    for query in ["11977776666", "(11)+97777-6666", "11%2097777%206666"] {
        assert_eq!(find(query).await, with("national"), "{query}: whatever the country");
    }
    assert_eq!(find("+111977776666").await, BTreeSet::from(["national".to_owned()]));
    for query in ["+12025550147", "+1%20202%20555%200147", "12025550147"] {
        assert_eq!(find(query).await, BTreeSet::from(["whole".to_owned()]), "{query}");
    }
    assert_eq!(find("+5511977776668").await, BTreeSet::new());
    for query in ["", "abc", "+", "55+%2B11", "11x", "1234567890123456"] {
        let refused = reminders.admin("GET", &format!("{LIST}?phoneNumber={query}"), None).await.problem(400);
        assert!(refused.faults()[0].starts_with("query:phoneNumber "), "{query}");
    }

    // With other filters, over pages.
    let (mut found, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let path = format!("{LIST}?phoneNumber=+5511977776666&status=active&limit=2{cursor}");
        let page = reminders.admin("GET", &path, None).await.expect(200);
        found.append(&mut ids(&page));
        match page.json["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, spelled);
}

#[tokio::test]
async fn what_is_no_recipient_is_refused_by_name() {
    let reminders = Reminders::new().await;
    for (country_code, phone_number, expect) in [
        (json!("55"), json!("abc"), vec!["/phoneNumber"]),
        (json!("55"), json!("11977776666;ext=1"), vec!["/phoneNumber"]),
        (json!("55"), json!("+"), vec!["/phoneNumber"]),
        (json!("55"), json!("11+97777"), vec!["/phoneNumber"]),
        (json!("55"), json!("1197777666600000"), vec!["/phoneNumber"]),
        (json!("BR"), json!("11977776666"), vec!["/countryCode"]),
        (json!("55555"), json!("11977776666"), vec!["/countryCode"]),
        (json!(""), json!(""), vec!["/countryCode", "/phoneNumber"]),
        (json!(55), json!(11977776666_u64), vec!["/countryCode", "/phoneNumber"]),
        (json!(null), json!("x"), vec!["/countryCode", "/phoneNumber"]),
    ] {
        let refused = reminders.put("r", |body| {
            body["countryCode"] = country_code.clone();
            body["phoneNumber"] = phone_number.clone();
        });
        let faults = refused.await.problem(400).faults();
        let names: Vec<&str> = faults.iter().map(|fault| fault.split(' ').next().unwrap()).collect();
        assert_eq!(names, expect, "{country_code} {phone_number}");
    }
}

#[tokio::test]
async fn what_catch_up_leaves_out_shows_in_the_history() {
    let reminders = Reminders::new().await;
    let minutes = |minutes: &[i64]| -> Value {
        minutes.iter().map(|at| json!(rules::time::format(beginning() + TimeDelta::minutes(*at)))).collect()
    };
    let history = async |id: &str| {
        let answer = reminders.admin("GET", &format!("{LIST}/{id}/history"), None).await.expect(200).json;
        answer["items"].as_array().unwrap().clone()
    };
    let made = reminders.put("all", |body| body["sendTimes"] = minutes(&[-10])).await.expect(201).json;
    assert_eq!((&made["catchUp"], &made["status"]), (&json!("all"), &json!("active")), "the default");

    let latest = |body: &mut Value| {
        body["sendTimes"] = minutes(&[-30, -20, -10]);
        body["catchUp"] = json!("latest");
    };
    let made = reminders.put("latest", latest).await.expect(201).json;
    assert_eq!((&made["catchUp"], &made["nextSendTime"]), (&json!("latest"), &minutes(&[-10])[0]));
    let told = history("latest").await;
    let expect = json!({
        "date": rules::time::format(beginning()), "status": "Skipped", "durationMs": 0, "attempt": 0,
        "sendTime": minutes(&[-30])[0],
        "detail": "the send time had passed when the reminder was written, and catchUp is latest",
    });
    assert_eq!((told.len(), &told[0]), (2, &expect));
    assert_eq!(reminders.put("latest", latest).await.expect(200).json, made, "the same again");

    let none = |body: &mut Value| {
        body["sendTimes"] = minutes(&[-30, -20]);
        body["catchUp"] = json!("none");
    };
    let made = reminders.put("none", none).await.expect(201).json;
    assert_eq!((&made["status"], made.get("nextSendTime")), (&json!("completed"), None));
    assert_eq!(reminders.admin("GET", &format!("{LIST}/none"), None).await.expect(200).json, made);
    assert_eq!(reminders.run().await, json!({"processed": 2, "sent": 2, "failed": 0, "skipped": 0}));
    assert_eq!(history("none").await.len(), 2);

    // Only an earlier send time than what was sent, and never sent itself: it is due.
    let earlier = reminders.put("all", |body| body["sendTimes"] = minutes(&[-40])).await.expect(200).json;
    assert_eq!((&earlier["status"], &earlier["nextSendTime"]), (&json!("active"), &minutes(&[-40])[0]));
    assert_eq!(reminders.run().await["sent"], json!(1));

    let refused = reminders.put("x", |body| body["catchUp"] = json!("some")).await.problem(400);
    assert_eq!(refused.faults(), ["/catchUp must be all, latest or none"]);
}
