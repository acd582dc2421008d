//! The reminder endpoints of SPEC §6: configurations with their secrets, reminders, and the two that send.

use crate::api::{ADMIN, Answer, Api, S, send};
use axum::Router;
use axum::body::Body;
use chrono::TimeDelta;
use http::Request;
use local::embedded::TEST_PROCESSOR_SECRET;
use reminder_sender::SenderEvent;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::tenancy::SecretHash;
use tests::world::beginning;
use tests::{Reply, World};

const CONFIGURATION: &str = "/api/reminder/configuration/acme/clinic";
const PENDING: &str = "/api/reminder/item/pending/send";

/// The API as it is routed: what sends is the sender's, all else the API's.
pub struct Reminders {
    pub api: Api,
    router: Router,
    primary: String,
    secondary: String,
}

/// Past times are due now.
fn visit(world: &World) -> Value {
    json!({
        "countryCode": "55", "phoneNumber": "11999", "recipientName": "Ana", "notificationTemplateName": "visit",
        "templateParameters": ["Ana", 10], "timezone": "America/Sao_Paulo",
        "sendTimes": [rules::time::format(world.clock.now()), "2030-01-31T09:30:00"],
    })
}

impl Reminders {
    pub async fn new() -> Self {
        let api = Api::new().await;
        let own = |name: &str| (name == "PUNCTUAL_ADMIN_KEY").then(|| ADMIN.to_owned());
        let sender = api.world.sender_with(api.world.process(), &own);
        let router = sender.routes().fallback_service(Api::router_on(api.world.ctx.clone()));
        let mut made = Self { api, router, primary: String::new(), secondary: String::new() };
        let answer = made.call(ADMIN, "PUT", CONFIGURATION, Some(made.configuration())).await.expect(201);
        made.primary = answer.json["primaryKey"].as_str().unwrap().to_owned();
        made.secondary = answer.json["secondaryKey"].as_str().unwrap().to_owned();
        made
    }

    fn configuration(&self) -> Value {
        json!({
            "notificationKey": "notification-key", "accountCode": "account",
            "dialogServiceUri": format!("{}/", self.world().receiver.url()),
            "webhookUrl": format!("{}/hook", self.world().hooks.url()),
        })
    }

    pub fn world(&self) -> &World {
        &self.api.world
    }

    /// With a key; none if it is empty.
    async fn call(&self, key: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !key.is_empty() {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let body = body.map(|body| body.to_string());
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        send(self.router.clone(), request.body(body.map_or_else(Body::empty, Body::from)).unwrap()).await
    }

    pub async fn admin(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.call(ADMIN, method, path, body).await
    }

    pub async fn put(&self, id: &str, edit: impl FnOnce(&mut Value)) -> Answer {
        let mut body = visit(self.world());
        edit(&mut body);
        self.admin("PUT", &format!("/api/reminder/acme/clinic/{id}"), Some(body)).await
    }

    pub async fn run(&self) -> Value {
        self.admin("POST", PENDING, None).await.expect(200).json
    }
}

#[tokio::test]
async fn a_configuration_makes_its_solution_shows_its_secrets_once_and_never_its_key() {
    let api = Api::new().await;
    let body = json!({"notificationKey": "the-key", "accountCode": "a", "dialogServiceUri": "https://dialog.example"});
    let made = api.put(CONFIGURATION, body.clone()).await.expect(201);
    assert_eq!(made.header("location"), CONFIGURATION);
    assert!(made.json["signingSecret"].as_str().unwrap().starts_with("whsec_"));
    let [primary, secondary] =
        ["primaryKey", "secondaryKey"].map(|name| made.json[name].as_str().unwrap().to_owned());
    assert!(primary.len() >= 40 && primary != secondary);
    assert_eq!(
        api.get("/v1/companies/acme/solutions/clinic").await.expect(200).json["serverState"],
        "running"
    );

    let found = api.get(CONFIGURATION).await.expect(200);
    assert_eq!(found.json["notificationKey"], "********");
    assert_eq!((found.json["accountCode"].as_str(), found.json.get("primaryKey")), (Some("a"), None));
    assert_eq!(api.put(CONFIGURATION, body.clone()).await.expect(200).json, found.json, "the same again");
    let mut other = body.clone();
    other["webhookUrl"] = json!("https://hook.example/x");
    let replaced = api.put(CONFIGURATION, other.clone()).await.expect(200);
    assert_eq!(
        (replaced.json["webhookUrl"].as_str(), replaced.json.get("primaryKey")),
        (Some("https://hook.example/x"), None)
    );
    let webhook = "/v1/companies/acme/solutions/clinic/activity-types/reminder-webhook";
    let found = api.get(webhook).await.expect(200);
    assert_eq!(
        (&found.json["verb"], &found.json["uriPattern"]),
        (&json!("POST"), &json!("https://hook.example/x"))
    );

    let conflict = api.delete(webhook).await.problem(409);
    assert!(conflict.json["detail"].as_str().unwrap().contains("webhookUrl"));

    // Nothing that opens anything is in the table or in the log.
    for table in ["ConfigTable", "WorkTable"] {
        let client = &api.world.embedded.clients().dynamodb;
        let items = client.scan().table_name(format!("punctual-{table}")).send().await.unwrap();
        let text = format!("{items:?}");
        for secret in ["the-key", &primary, &secondary] {
            assert!(!text.contains(secret), "{table}");
        }
    }
    let log = api.get(&format!("{CONFIGURATION}/audit-log")).await.expect(200).json;
    let actions: Vec<&str> =
        log["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions,
        [
            "reminderConfiguration.updated",
            "activityType.created",
            "reminderConfiguration.created",
            "solution.created"
        ]
    );
}

#[tokio::test]
async fn only_the_admin_makes_a_company_and_faults_are_named() {
    let api = Api::seeded().await;
    let key = api.key("acme").await;
    let body =
        json!({"notificationKey": "k", "accountCode": "a", "dialogServiceUri": "https://dialog.example"});
    api.call_as(&key, "PUT", "/api/reminder/configuration/acme/new", Some(body.clone())).await.expect(201);
    api.call_as(&key, "PUT", "/api/reminder/configuration/other/new", Some(body)).await.problem(403);
    let answer = api
        .put(CONFIGURATION, json!({"notificationKey": "k\n", "dialogServiceUri": "https://d.example/?x=1", "webhookUrl": "hook", "more": 1}))
        .await
        .problem(400);
    let names: Vec<String> =
        answer.faults().iter().map(|fault| fault.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["/notificationKey", "/accountCode", "/dialogServiceUri", "/webhookUrl", "/more"]);
    let missing = api.put(CONFIGURATION, json!({})).await.problem(400);
    assert_eq!(
        missing.faults(),
        ["/notificationKey is required", "/accountCode is required", "/dialogServiceUri is required"]
    );
    api.delete(&format!("{S}/activity-types/reminder-webhook")).await.problem(404);
}

#[tokio::test]
async fn the_secrets_open_the_reminders_of_their_configuration_and_can_be_renewed() {
    let reminders = Reminders::new().await;
    let (primary, secondary) = (reminders.primary.clone(), reminders.secondary.clone());
    let path = |secret: &str| format!("/api/reminder/acme/clinic/r?secret={secret}");
    let open =
        async |method: &str, path: String, body: Option<Value>| reminders.call("", method, &path, body).await;
    open("PUT", path(&primary), Some(visit(reminders.world()))).await.expect(201);
    for secret in [&primary, &secondary] {
        open("GET", path(secret), None).await.expect(200);
        open("GET", format!("/api/reminder/acme/clinic?secret={secret}&limit=1"), None).await.expect(200);
        open("GET", format!("{CONFIGURATION}?secret={secret}"), None).await.expect(200);
    }
    open("GET", path("wrong"), None).await.problem(401);
    open("GET", "/api/reminder/acme/clinic/r".to_owned(), None).await.problem(401);
    open("GET", format!("/api/reminder/acme/other/r?secret={primary}"), None).await.problem(401);
    open("GET", format!("/v1/companies/acme?secret={primary}"), None).await.problem(401);
    // What changes the configuration itself needs a key.
    open("DELETE", format!("{CONFIGURATION}?secret={primary}"), None).await.problem(403);
    open("POST", format!("{CONFIGURATION}/refresh-keys?keyType=primary&secret={primary}"), None)
        .await
        .problem(403);
    open(
        "PUT",
        format!("{CONFIGURATION}/server-state?secret={primary}"),
        Some(json!({"serverState": "paused"})),
    )
    .await
    .expect(200);
    let log =
        open("GET", format!("{CONFIGURATION}/audit-log?secret={secondary}"), None).await.expect(200).json;
    assert_eq!(log["items"][0]["actor"], "key:reminder-primary");
    assert_eq!((&log["items"][0]["from"], &log["items"][0]["to"]), (&json!("running"), &json!("paused")));

    let refresh = |kind: &str| format!("{CONFIGURATION}/refresh-keys?keyType={kind}");
    let renewed = reminders.admin("POST", &refresh("primary"), None).await.expect(200).json;
    let new = renewed["primaryKey"].as_str().unwrap();
    assert_eq!((renewed.as_object().unwrap().len(), new == primary), (1, false));
    open("GET", path(new), None).await.expect(200);
    open("GET", path(&secondary), None).await.expect(200);
    open("GET", path(&primary), None).await.problem(401);
    reminders.admin("POST", &refresh("both"), None).await.problem(400);
    let missing = reminders.admin("POST", &format!("{CONFIGURATION}/refresh-keys"), None).await.problem(400);
    assert_eq!(missing.faults(), ["query:keyType is required: primary or secondary"]);
}

#[tokio::test]
async fn a_reminder_from_put_to_completed() {
    let reminders = Reminders::new().await;
    let made = reminders.put("r", |_| {}).await.expect(201);
    assert_eq!(made.header("location"), "/api/reminder/acme/clinic/r");
    let json = &made.json;
    assert_eq!(json["sendTimes"], json!(["2027-01-15T08:00:00.000Z", "2030-01-31T12:30:00.000Z"]));
    assert_eq!(
        (&json["status"], &json["nextSendTime"], &json["lastAttempts"], &json["needsReview"]),
        (&json!("active"), &json!("2027-01-15T08:00:00.000Z"), &json!(0), &json!(false))
    );
    assert_eq!((json.get("lastSendTime"), json.get("completedDate")), (None, None));
    assert_eq!(json["templateParameters"], json!(["Ana", 10]));
    assert_eq!(reminders.put("r", |_| {}).await.expect(200).json, made.json, "the same again");

    let statistics =
        async || reminders.admin("GET", &format!("{CONFIGURATION}/statistics"), None).await.expect(200).json;
    let count = |active, pending, completed, cancelled| {
        json!({"total": active + completed + cancelled, "active": active, "pending": pending,
            "completed": completed, "cancelled": cancelled, "needsReview": 0})
    };
    assert_eq!(statistics().await, count(1, 1, 0, 0));
    reminders.world().receiver.reply([Reply::status(500)]);
    assert_eq!(reminders.run().await, json!({"processed": 1, "sent": 0, "failed": 1, "skipped": 0}));
    assert_eq!(reminders.run().await, json!({"processed": 1, "sent": 1, "failed": 0, "skipped": 0}));
    assert_eq!(statistics().await, count(1, 0, 0, 0));

    let path = "/api/reminder/acme/clinic/r";
    let history = reminders.admin("GET", &format!("{path}/history?limit=1"), None).await.expect(200).json;
    let entry = &history["items"][0];
    assert_eq!(
        (&entry["status"], &entry["httpStatus"], &entry["attempt"]),
        (&json!("SendFailed"), &json!(500), &json!(1))
    );
    let cursor = history["nextCursor"].as_str().unwrap();
    let next = format!("{path}/history?limit=1&cursor={cursor}&secret={}", reminders.primary);
    let second = reminders.call("", "GET", &next, None).await.expect(200).json;
    assert_eq!((&second["items"][0]["status"], second.get("nextCursor")), (&json!("Sent"), None));
    reminders
        .admin("GET", &format!("/api/reminder/acme/clinic/s/history?cursor={cursor}"), None)
        .await
        .problem(400);

    // Ahead of its time, by hand: the attempt counts at the next send time, which was the last.
    let by_hand = "/api/reminder/item/send?agentId=acme&configurationId=clinic&reminderId=r";
    let sent = reminders.admin("POST", by_hand, None).await.expect(200).json;
    assert_eq!((&sent["status"], &sent["sendTime"]), (&json!("Sent"), &json!("2030-01-31T12:30:00.000Z")));
    let found = reminders.admin("GET", path, None).await.expect(200).json;
    assert_eq!((&found["status"], found.get("nextSendTime")), (&json!("completed"), None));
    assert!(found["completedDate"].is_string());
    reminders.admin("POST", by_hand, None).await.problem(409);
    reminders.admin("DELETE", path, None).await.problem(409);
    assert_eq!(statistics().await, count(0, 0, 1, 0));

    reminders.put("other", |_| {}).await.expect(201);
    let listed =
        reminders.admin("GET", "/api/reminder/acme/clinic?status=active", None).await.expect(200).json;
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["items"][0]["id"]), (1, &json!("other")));
    let conflict = reminders.admin("DELETE", CONFIGURATION, None).await.problem(409);
    assert!(conflict.json["detail"].as_str().unwrap().contains("reminders wait"));
    reminders.admin("DELETE", "/v1/companies/acme/solutions/clinic", None).await.problem(409);
    let cancelled = reminders.admin("DELETE", "/api/reminder/acme/clinic/other", None).await.expect(200).json;
    assert_eq!((&cancelled["status"], cancelled.get("nextSendTime")), (&json!("cancelled"), None));
    assert_eq!(statistics().await, count(0, 0, 1, 1));
    reminders.world().live(beginning() + TimeDelta::hours(1)).await;
    reminders.admin("DELETE", CONFIGURATION, None).await.expect(204);
    reminders.admin("GET", CONFIGURATION, None).await.problem(404);
    reminders.admin("GET", "/api/reminder/acme/clinic", None).await.problem(404);
    // Made anew, it has new secrets and its old reminders.
    let body = reminders.configuration();
    let again = reminders.admin("PUT", CONFIGURATION, Some(body)).await.expect(201).json;
    assert_ne!(again["primaryKey"], reminders.primary.as_str());
    assert_eq!(statistics().await, count(0, 0, 1, 1));
}

#[tokio::test]
async fn sending_by_hand_says_what_is_missing_and_who_does_not_answer() {
    let reminders = Reminders::new().await;
    reminders.put("r", |_| {}).await.expect(201);
    let path = |query: &str| format!("/api/reminder/item/send?{query}");
    let missing = reminders.admin("POST", &path("agentId=acme&reminderID=r"), None).await.problem(400);
    assert_eq!(
        missing.faults(),
        [
            "query:configurationId is required",
            "query:reminderId is required",
            "query:reminderID is no parameter of this"
        ]
    );
    let which = "agentId=acme&configurationId=clinic&reminderId";
    reminders.admin("POST", &path(&format!("{which}=none")), None).await.problem(404);
    reminders.admin("POST", &path("agentId=acme&configurationId=none&reminderId=r"), None).await.problem(404);
    reminders.call("", "POST", &path(&format!("{which}=r")), None).await.problem(401);
    reminders.call("", "POST", &path(&format!("{which}=r&secret=wrong")), None).await.problem(401);
    reminders.call("", "POST", &path("agentId=acme"), None).await.problem(401);
    reminders.api.put("/v1/companies/other", json!({})).await.expect(201);
    let other = reminders.api.key("other").await;
    reminders.call(&other, "POST", &path(&format!("{which}=r")), None).await.problem(403);

    let mut body = reminders.configuration();
    body["dialogServiceUri"] = json!("http://127.0.0.1:1");
    reminders.admin("PUT", CONFIGURATION, Some(body)).await.expect(200);
    reminders.world().clock.advance(TimeDelta::seconds(5));
    let answer = reminders.admin("POST", &path(&format!("{which}=r")), None).await.problem(502);
    assert_eq!(answer.json["detail"], "the Dialog service did not answer: connection refused");
    let found = reminders.admin("GET", "/api/reminder/acme/clinic/r", None).await.expect(200).json;
    assert_eq!(found["lastAttempts"], 0, "the processor's attempts are counted alone");

    reminders.admin("PUT", CONFIGURATION, Some(reminders.configuration())).await.expect(200);
    reminders.world().clock.advance(TimeDelta::seconds(5));
    reminders.world().receiver.reply([Reply::status(422)]);
    let secret = format!("{which}=r&secret={}", reminders.secondary);
    let answer = reminders.call("", "POST", &path(&secret), None).await.expect(200).json;
    assert_eq!((&answer["status"], &answer["httpStatus"]), (&json!("SendFailed"), &json!(422)));
    let state = Some(json!({"serverState": "paused"}));
    reminders.admin("PUT", &format!("{CONFIGURATION}/server-state"), state).await.expect(200);
    let paused = reminders.admin("POST", &path(&format!("{which}=r")), None).await.problem(409);
    assert_eq!(paused.json["detail"], "the solution is paused");
    assert_eq!(reminders.run().await, json!({"processed": 1, "sent": 0, "failed": 0, "skipped": 1}));
}

#[tokio::test]
async fn the_processor_is_opened_by_its_secret_or_the_admin_key_and_held_by_one() {
    let reminders = Reminders::new().await;
    let with = |secret: &str| format!("{PENDING}?secret={secret}");
    let run = json!({"processed": 0, "sent": 0, "failed": 0, "skipped": 0});
    assert_eq!(reminders.call("", "POST", &with(TEST_PROCESSOR_SECRET), None).await.expect(200).json, run);
    for wrong in [with("wrong"), with(&reminders.primary), PENDING.to_owned()] {
        reminders.call("", "POST", &wrong, None).await.problem(401);
    }
    let key = reminders.api.key("acme").await;
    reminders.call(&key, "POST", PENDING, None).await.problem(403);
    reminders.admin("POST", &format!("{PENDING}?x=1"), None).await.problem(400);
    reminders.admin("GET", PENDING, None).await.problem(405);

    let ctx = &reminders.world().ctx;
    let lease = ctx.leases.acquire(reminder_sender::LOCK, TimeDelta::minutes(10)).await.unwrap().unwrap();
    assert_eq!(reminders.run().await, json!({"locked": true}));
    ctx.leases.release(lease, Default::default()).await.unwrap();
    assert_eq!(reminders.run().await, run);
}

/// The sample events of `events/reminder-sender`, as the Lambda runtime hands them on.
#[tokio::test]
async fn the_samples_are_taken() {
    const SAMPLE_KEY: &str = "sample-admin-key-for-local-use";
    let world = World::new().await;
    let api = api_ingest::router(api_ingest::ApiContext::new(world.ctx.clone(), SecretHash::of(SAMPLE_KEY)));
    for event in [
        include_str!("../../../events/api-ingest/put-reminder-configuration.json"),
        include_str!("../../../events/api-ingest/put-reminder.json"),
    ] {
        // Nobody is at this port, whoever may be at the sample's.
        let event = event.replace("127.0.0.1:9310", "127.0.0.1:1");
        let request = lambda_http::request::from_str(&event).unwrap();
        send(api.clone(), request.map(|body| Body::from(body.to_vec()))).await.expect(201);
    }
    let own = |name: &str| match name {
        "PUNCTUAL_ADMIN_KEY" => Some(SAMPLE_KEY.to_owned()),
        "PUNCTUAL_PROCESSOR_SECRET" => Some("sample-processor-secret".to_owned()),
        _ => None,
    };
    let sender = world.sender_with(world.process(), &own);
    let invoke = async |event: &str| {
        let event: Value = serde_json::from_str(event).unwrap();
        let mut context = lambda_runtime::Context::default();
        context.deadline = (world.clock.now() + TimeDelta::minutes(15)).timestamp_millis() as u64;
        sender.invoke(lambda_runtime::LambdaEvent::new(event, context)).await.unwrap()
    };
    let answer = invoke(include_str!("../../../events/reminder-sender/pending-send.json")).await;
    assert_eq!((&answer["statusCode"], &answer["isBase64Encoded"]), (&json!(200), &json!(false)));
    assert_eq!(answer["headers"]["content-type"], "application/json");
    let report: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(report, json!({"processed": 1, "sent": 0, "failed": 1, "skipped": 0}));
    let answer = invoke(include_str!("../../../events/reminder-sender/send.json")).await;
    assert_eq!(answer["statusCode"], 502, "{answer}");
    let report = invoke(include_str!("../../../events/reminder-sender/schedule.json")).await;
    assert_eq!(report, json!({"processed": 1, "sent": 0, "failed": 1, "skipped": 0}));
    assert!(matches!(SenderEvent::of(json!({})), Ok(SenderEvent::Schedule)));
}
