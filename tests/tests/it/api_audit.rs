//! Every operation of the description that changes configuration is audited, and nothing that is audited is a secret.

use crate::api::Answer;
use crate::api_endpoints::Endpoint;
use crate::api_story::{Story, in_order};
use serde_json::Value;
use shared::clock::Clock;

/// What is no configuration (SPEC §3: an audit entry for every change of configuration): the work itself, which has
/// histories of its own.
const WORK: [&str; 15] = [
    "createActivity",
    "createActivities",
    "changeActivities",
    "cancelActivity",
    "dispatchActivity",
    "rescheduleActivity",
    "retryActivity",
    "reportActivityResult",
    "publishNotification",
    "resendNotification",
    "deleteNotification",
    "putReminder",
    "cancelReminder",
    "sendPendingReminders",
    "sendReminder",
];
/// What answers have that is a secret.
const SECRETS: [&str; 4] = ["key", "signingSecret", "primaryKey", "secondaryKey"];
/// What the examples' bodies have that is one.
const GIVEN: [&str; 2] = ["the-key-that-yom-gave", "the-key-of-the-dialog-service"];

/// All entries of the company and its solutions, newest first.
async fn entries(story: &Story) -> (Vec<Value>, String) {
    let (mut all, mut text) = (Vec::new(), String::new());
    for log in ["/v1/companies/acme/audit-log", "/v1/companies/acme/solutions/music/audit-log"] {
        let answer = story.api.get(&format!("{log}?limit=100")).await;
        // Before anything is made there is none.
        all.extend(answer.json["items"].as_array().cloned().unwrap_or_default());
        text += &answer.text;
        assert!(answer.json.get("nextCursor").is_none());
    }
    (all, text)
}

fn secrets(answer: &Answer) -> impl Iterator<Item = String> {
    SECRETS.iter().filter_map(|name| answer.json[name].as_str()).map(str::to_owned)
}

fn is_change(found: &Endpoint) -> bool {
    found.method != "GET" && !WORK.contains(&found.id())
}

#[tokio::test]
async fn every_change_is_audited_and_no_secret_is() {
    let story = Story::new("acme").await;
    let mut known: Vec<String> = GIVEN.map(str::to_owned).into();
    let mut changes = 0;
    for found in in_order() {
        let began = rules::time::format(story.api.world.clock.now());
        let (before, _) = entries(&story).await;
        for (_, answer) in story.tell(&found).await {
            // An API key's id is no secret, only what follows it.
            known.extend(secrets(&answer).map(|text| text.rsplit('~').next().unwrap().to_owned()));
            let what = format!("{} {} {}", found.id(), answer.status, answer.text);
            let (after, text) = entries(&story).await;
            let own = |entry: &&Value| !before.contains(entry) && entry["to"] != "running";
            let new: Vec<&Value> = after.iter().filter(own).collect();
            if is_change(&found) {
                assert!((200..300).contains(&answer.status), "{what}");
                assert!(!new.is_empty(), "{what}");
                changes += 1;
            } else {
                assert!(new.is_empty(), "{what} {new:?}");
            }
            for entry in new {
                assert_eq!(entry["actor"], "admin", "{entry}");
                assert!(entry["at"].as_str() > Some(began.as_str()), "{entry}");
                assert!(entry["action"].as_str().is_some_and(|action| action.contains('.')), "{entry}");
                assert!(
                    entry["from"] != entry["to"] || entry["action"].as_str().unwrap().ends_with("ed"),
                    "{entry}"
                );
            }
            for secret in &known {
                assert!(!text.contains(secret.as_str()), "{what}: {secret} in {text}");
            }
        }
    }
    // Two each: keys of a company, secrets of a configuration, and its solution's; more than a few operations.
    assert!(known.len() >= 6, "{}", known.len());
    assert!(changes >= 20, "{changes}");
}
