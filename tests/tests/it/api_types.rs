//! Activity types (SPEC §3).

use crate::api::{Api, S};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tests::Reply;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;

fn path() -> String {
    format!("{S}/activity-types/republish")
}

#[tokio::test]
async fn a_type_is_answered_with_its_defaults_and_as_it_was_written() {
    let api = Api::seeded().await;
    let uri = "http://api.myspace.com/music/song/{SongId}/republish";
    let made = api.put(&path(), json!({"verb": "POST", "uriPattern": uri})).await.expect(201);
    assert_eq!(made.header("location"), path());
    assert_eq!(
        made.json,
        json!({
            "activityType": "republish", "verb": "POST", "uriPattern": uri, "retries": 3, "headers": {},
            "timeoutSeconds": 30, "rescheduleRules": {},
            "createdAt": "2027-01-15T08:00:00.000Z", "updatedAt": "2027-01-15T08:00:00.000Z",
        })
    );
    let whole = r#"{"verb":"GET","uriPattern":"https://example.com/{a.b}?q={c}","parameterExpected":{"z":1,"a":[2]},"retries":0,"objectIdRef":["a.b","c"],"headers":{"X-Z":"1","Accept":"text/plain"},"timeoutSeconds":120,"rescheduleRules":{"z":{"attempt":1,"retries":5,"retryAfterS":900},"a":{"retry_after_s":5}}}"#;
    let replaced = api.send_text("PUT", &path(), whole).await.expect(200);
    let expect = whole.replace("retry_after_s", "retryAfterS");
    // The order of rules decides, and nobody's JSON is turned over: the text itself is compared.
    let answered = replaced.text.replace(r#""activityType":"republish","#, "");
    assert!(answered.starts_with(&expect[..expect.len() - 1]), "{answered}");
    assert_eq!(api.get(&path()).await.expect(200).text, replaced.text);
    let one =
        json!({"verb": "PUT", "uriPattern": uri, "objectIdRef": ["SongId"], "parameterExpected": "a song"});
    let one = api.put(&path(), one).await.expect(200).json;
    assert_eq!((&one["objectIdRef"], &one["parameterExpected"]), (&json!("SongId"), &json!("a song")));
    let listed = api.get(&format!("{S}/activity-types")).await.expect(200).json;
    let names: Vec<&Value> =
        listed["items"].as_array().unwrap().iter().map(|item| &item["activityType"]).collect();
    assert_eq!(names, ["play", "republish"]);
    api.delete(&path()).await.expect(204);
    api.get(&path()).await.problem(404);
    api.delete(&path()).await.problem(404);
}

#[tokio::test]
async fn every_fault_of_a_type_is_named_at_once() {
    let api = Api::seeded().await;
    let body = json!({
        "verb": "PATCH", "uriPattern": "https://{host}/", "parameterExpected": "x".repeat(5_000), "retries": 101,
        "objectIdRef": ["a", 7, "a", ".b"], "headers": {"Host": "x", "x-ok": "y", "n": 1}, "timeoutSeconds": 0,
        "rescheduleRules": {"first": {"attempt": "1"}, "second": []}, "colour": "red",
    });
    assert_eq!(
        api.put(&path(), body).await.problem(400).faults(),
        [
            "/verb must be POST, PUT, DELETE or GET",
            "/uriPattern placeholders are allowed in the path and the query only, not in scheme, host or port",
            "/parameterExpected has at most 4096 bytes",
            "/retries must be a whole number from 0 to 100",
            "/timeoutSeconds must be a whole number from 1 to 120",
            "/objectIdRef/1 must be a string",
            "/objectIdRef/2 is given twice",
            "/objectIdRef/3 must name a field, such as `SongId` or `song.id`",
            "/headers/Host is set by Punctual or by the connection",
            "/headers/n must be a string",
            "/rescheduleRules/first/attempt must be a whole number from 0 to 1000",
            "/rescheduleRules/second must be an object",
            "/colour is no field of this",
        ]
    );
    assert_eq!(
        api.put(&path(), json!({})).await.problem(400).faults(),
        ["/verb is required", "/uriPattern is required"]
    );
    for (field, bad, expect) in [
        (
            "uriPattern",
            json!("/relative"),
            "must be an absolute http or https URL, such as https://api.example.com/items/1",
        ),
        (
            "uriPattern",
            json!("https://example.com/{a"),
            "`{` and `}` must come in pairs around the name of a field",
        ),
        ("verb", json!("post"), "must be POST, PUT, DELETE or GET"),
        ("objectIdRef", json!(7), "must be a field path or a list of them"),
        ("objectIdRef", json!("a..b"), "must name a field, such as `SongId` or `song.id`"),
        ("headers", json!([]), "must be an object"),
        ("rescheduleRules", json!("none"), "must be an object"),
    ] {
        let mut body = json!({"verb": "GET", "uriPattern": "https://example.com/"});
        body[field] = bad;
        assert_eq!(api.put(&path(), body).await.problem(400).faults(), [format!("/{field} {expect}")]);
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A user may put a credential there all the same.
#[tokio::test]
async fn values_of_headers_are_in_no_log_and_no_audit_entry() {
    const VALUE: &str = "Bearer made-by-a-user";
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::DEBUG);
    let _logging = subscriber.with_writer(move || writer.clone()).finish().set_default();
    let api = Api::seeded().await;
    let uri = format!("{}/x", api.world.receiver.url());
    let play = json!({"verb": "POST", "uriPattern": uri, "headers": {"Authorization": VALUE}});
    let made = api.put(&format!("{S}/activity-types/play"), play.clone()).await.expect(200);
    assert_eq!(made.json["headers"]["Authorization"], VALUE, "the user's own value is shown to the user");
    // One attempt that succeeds, one that fails, and a type that is refused.
    api.world.receiver.reply([Reply::status(200), Reply::status(500)]);
    let ids =
        [api.activity("1", json!({"retries": 1})).await, api.activity("2", json!({"retries": 1})).await];
    api.world.work(&api.world.worker()).await;
    assert_eq!(api.world.receiver.arrivals()[0].headers["authorization"], VALUE);
    for id in &ids {
        let activity = api.get(&format!("{S}/activities/{id}")).await.expect(200);
        assert!(!activity.text.contains(VALUE), "{}", activity.text);
    }
    let refused =
        json!({"verb": "POST", "uriPattern": uri, "headers": {"Authorization": format!("{VALUE}\n")}});
    let refused = api.put(&format!("{S}/activity-types/play"), refused).await.problem(400);
    assert!(!refused.text.contains(VALUE), "{}", refused.text);
    api.delete(&format!("{S}/activity-types/play")).await.expect(204);

    let audit = api.get(&format!("{S}/audit-log?limit=100")).await.expect(200);
    assert!(audit.text.contains("Authorization") && !audit.text.contains(VALUE), "{}", audit.text);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("attempt"), "{log}");
    assert!(!log.contains(VALUE), "{log}");
}
