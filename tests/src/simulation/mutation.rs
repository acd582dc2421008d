//! Deliberately broken builds, by which the auditor shows that it can see.
//!
//! A mutation changes what the code under test says on the wire, or what it is told: a condition is taken out of a
//! statement as if it had never been written, an answer is believed that was not given. So the released functions have
//! nothing of it in them, not even behind a feature, and no build is needed for each.

mod reminders;
mod statements;

use super::process::Role;
use bytes::Bytes;
use chrono::TimeDelta;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use shared::outbound::{Answer, BodyEnd, OutboundRequest, OutboundResult};
use statements::{lead_astray, names, take_out};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// Activities are answered as accepted, and not written.
    AcceptUnwritten,
    /// A cancel is answered as done, and not written.
    CancelUnwritten,
    /// The sweep finds nothing.
    BlindSweep,
    /// Time is read wrong, by a minute.
    ClockAhead,
    /// A claim asks for nothing.
    ClaimWithoutCondition,
    /// A claim does not ask whether another holds.
    LeaseIgnored,
    /// A claim does not count as an attempt.
    ClaimUncounted,
    /// A worker does not see that its lease is over, and calls.
    LeaseOutlasted,
    /// A settle does not ask whether the claim is still its own.
    SettleWithoutToken,
    /// What is finished stays in the index of what is due.
    StaysDue,
    /// The history of failed attempts is not written.
    NoHistory,
    /// Each attempt has a key of its own.
    KeyPerAttempt,
    /// A receiver that refuses is believed to have accepted.
    RefusalIsSuccess,
    /// A pause is not seen by what sends.
    PauseUnseen,
    /// Lists are read from another tenant's partitions.
    OthersList,
    /// The same of a solution of the same company.
    SiblingsList,
    /// A batch that its receiver refused is deleted.
    DeleteBeforeAcknowledge,
    /// A rule moves on past an occurrence that was not written.
    OccurrenceSkipped,
    /// Occurrences get other ids whenever they are created.
    OccurrenceRenamed,
    /// A result is answered as taken, and not written.
    ResultUnwritten,
    /// What an activity's own `retries`, or its type's, says is not kept: the default holds.
    RetriesIgnored,
    /// A worker does not see a type's reschedule rules.
    RulesUnseen,
    /// A notification that failed stands where the re-sender does not look.
    NotificationForgotten,
    /// A notification is given up at its first failure.
    NotificationGivenUp,
    /// What a rule says of a notification's retries does not stay on it.
    NotificationRuleForgotten,
    /// The re-sender reads the oldest notifications of all tenants together.
    OneQueue,
    /// A reminder is done with at its first failure.
    ReminderGivenUp,
    /// Whoever wants a lease gets it, and reminders are claimed whoever holds them.
    ReminderLockIgnored,
    /// A company may have all workers, however many others there are.
    ShareIgnored,
    /// A solution that is made again has the keys of the one that was deleted.
    IncarnationIgnored,
    /// Each reminder is for a recipient of its own.
    ReminderRecipientsApart,
    /// Nothing of what `catchUp` leaves out of a reminder is stored.
    ReminderCatchUpIgnored,
    /// Calls of services have no time limit.
    NoAttemptTimeout,
    /// A settle is given up once it has been throttled for eight seconds.
    SettleGivenUp,
    /// A refused statement whose item is not shown is taken for one on an item that is not there.
    RefusalIsAbsence,
    /// What is created does not see that its parent is being deleted.
    DeletionUnseen,
}

impl Mutation {
    /// Every one, by name, with a seed in which it is seen: the first, when they were looked for last.
    pub const ALL: [(&str, Mutation, u64); 36] = [
        ("accept-unwritten", Mutation::AcceptUnwritten, 0),
        ("cancel-unwritten", Mutation::CancelUnwritten, 5),
        ("blind-sweep", Mutation::BlindSweep, 4),
        ("clock-ahead", Mutation::ClockAhead, 0),
        ("claim-without-condition", Mutation::ClaimWithoutCondition, 4),
        ("lease-ignored", Mutation::LeaseIgnored, 4),
        ("claim-uncounted", Mutation::ClaimUncounted, 0),
        ("lease-outlasted", Mutation::LeaseOutlasted, 76),
        ("settle-without-token", Mutation::SettleWithoutToken, 19),
        ("stays-due", Mutation::StaysDue, 0),
        ("no-history", Mutation::NoHistory, 0),
        ("key-per-attempt", Mutation::KeyPerAttempt, 0),
        ("refusal-is-success", Mutation::RefusalIsSuccess, 4),
        ("pause-unseen", Mutation::PauseUnseen, 5),
        ("others-list", Mutation::OthersList, 9),
        ("siblings-list", Mutation::SiblingsList, 9),
        ("delete-before-acknowledge", Mutation::DeleteBeforeAcknowledge, 91),
        ("occurrence-skipped", Mutation::OccurrenceSkipped, 14),
        ("occurrence-renamed", Mutation::OccurrenceRenamed, 14),
        ("result-unwritten", Mutation::ResultUnwritten, 1),
        ("retries-ignored", Mutation::RetriesIgnored, 0),
        ("rules-unseen", Mutation::RulesUnseen, 6),
        ("notification-forgotten", Mutation::NotificationForgotten, 20),
        ("notification-given-up", Mutation::NotificationGivenUp, 7),
        ("notification-rule-forgotten", Mutation::NotificationRuleForgotten, 142),
        ("notification-one-queue", Mutation::OneQueue, 7),
        ("reminder-given-up", Mutation::ReminderGivenUp, 4),
        ("reminder-lock-ignored", Mutation::ReminderLockIgnored, 4),
        ("share-ignored", Mutation::ShareIgnored, 7),
        ("incarnation-ignored", Mutation::IncarnationIgnored, 16),
        ("reminder-recipients-apart", Mutation::ReminderRecipientsApart, 15),
        ("reminder-catch-up-ignored", Mutation::ReminderCatchUpIgnored, 4),
        ("no-attempt-timeout", Mutation::NoAttemptTimeout, 1),
        ("settle-given-up", Mutation::SettleGivenUp, 13),
        ("refusal-is-absence", Mutation::RefusalIsAbsence, 73),
        ("deletion-unseen", Mutation::DeletionUnseen, 8),
    ];

    /// By its name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, ..)| *known == name).map(|(_, mutation, _)| mutation)
    }

    /// How far ahead of the true time the broken build takes it to be.
    pub(super) fn clock_ahead(self) -> TimeDelta {
        TimeDelta::minutes(i64::from(self == Self::ClockAhead))
    }

    /// The request of a service call as the broken build makes it.
    pub(super) fn request(self, role: Option<Role>, target: &str, body: Bytes) -> Bytes {
        let Ok(mut request) = serde_json::from_slice::<Value>(&body) else { return body };
        match (self, target.rsplit('.').next().unwrap_or_default()) {
            (Self::BlindSweep, "Query") if role == Some(Role::Sweep) && request["IndexName"] == "due" => {
                let values = request["ExpressionAttributeValues"].as_object_mut();
                for value in values.into_iter().flat_map(serde_json::Map::values_mut) {
                    if let Some(text) = value["S"].as_str().filter(|text| text.contains('/')) {
                        *value = json!({"S": format!("{text}-nowhere")});
                    }
                }
            }
            (Self::OthersList | Self::SiblingsList, "Query")
                if role == Some(Role::Api) && !request["IndexName"].is_null() =>
            {
                let of = format!("\"{}", self.other());
                return Bytes::from(String::from_utf8_lossy(&body).replace("\"acme/main", &of));
            }
            (Self::OthersList | Self::SiblingsList, "BatchGetItem") if role == Some(Role::Api) => {
                let of = format!("A#{}", self.other());
                return Bytes::from(String::from_utf8_lossy(&body).replace("A#acme/main", &of));
            }
            (Self::ReminderLockIgnored, "UpdateItem") => {
                if request["Key"]["PK"]["S"] == "LEASE#reminder-processor" {
                    let expression = request["UpdateExpression"].as_str().unwrap_or_default();
                    if expression.contains("ADD") {
                        request["ConditionExpression"] =
                            json!("attribute_exists(PK) OR attribute_not_exists(PK) OR #until < :now");
                    }
                }
            }
            (Self::ShareIgnored, "UpdateItem") => {
                let is_slot = request["Key"]["PK"]["S"].as_str().is_some_and(|name| name.starts_with("W#"));
                if is_slot && !request["ExpressionAttributeValues"][":now"].is_null() {
                    request["ConditionExpression"] =
                        json!("attribute_exists(PK) OR attribute_not_exists(PK) OR #until < :now");
                }
            }
            (Self::IncarnationIgnored, _) if target.starts_with("DynamoDB") => {
                let text = String::from_utf8_lossy(&body).into_owned();
                let ignored = |text: String, n| text.replace(&format!("again~{n}"), "again");
                return (1..10).fold(text, ignored).into();
            }
            (Self::ReminderRecipientsApart | Self::ReminderCatchUpIgnored, "TransactWriteItems") => {
                for write in request["TransactItems"].as_array_mut().into_iter().flatten() {
                    write.pointer_mut("/Put/Item").into_iter().for_each(|item| reminders::item(self, item));
                }
            }
            (_, "BatchExecuteStatement") => self.statements(&mut request["Statements"]),
            (Self::ReminderCatchUpIgnored, "ExecuteTransaction") => {
                reminders::skip_nothing(&mut request["TransactStatements"]);
            }
            (_, "ExecuteTransaction") => self.statements(&mut request["TransactStatements"]),
            _ => return body,
        }
        request.to_string().into()
    }

    /// Whose items are listed in place of those of `acme/main`.
    fn other(self) -> &'static str {
        match self {
            Self::SiblingsList => "acme/side",
            _ => "beta/main",
        }
    }

    fn statements(self, statements: &mut Value) {
        for statement in statements.as_array_mut().into_iter().flatten() {
            self.statement(statement);
        }
    }

    fn statement(self, statement: &mut Value) {
        let Some(text) = statement["Statement"].as_str().map(str::to_owned) else { return };
        let is_claim = text.contains("a=a+1");
        let is_insert = text.starts_with("INSERT");
        match self {
            Self::ClaimWithoutCondition if is_claim => {
                for part in [" AND \"st\"=?", " AND \"n\"<=?", " AND \"tk\" IS MISSING"] {
                    take_out(statement, part);
                }
            }
            Self::LeaseIgnored if is_claim => take_out(statement, " AND \"tk\" IS MISSING"),
            Self::ReminderLockIgnored if names(statement, "R#") && text.starts_with("UPDATE") => {
                take_out(statement, " AND \"tk\" IS MISSING");
            }
            Self::ClaimUncounted if is_claim => {
                statement["Statement"] = text.replace("a=a+1", "a=a+0").into();
            }
            Self::SettleWithoutToken if text.contains("REMOVE \"tk\"") => {
                take_out(statement, " AND \"tk\"=?")
            }
            Self::CancelUnwritten if statement["Parameters"][0]["S"] == "CANCELED" => {
                // Written to attributes that nobody reads.
                let Some((change, condition)) = text.split_once(" WHERE ") else { return };
                let change = change.replace("SET \"", "SET \"x").replace(" REMOVE \"dp\" REMOVE \"ds\"", "");
                statement["Statement"] = format!("{change} WHERE {condition}").into();
            }
            Self::StaysDue if text.contains("REMOVE \"dp\"") => {
                statement["Statement"] = text.replace(" REMOVE \"dp\" REMOVE \"ds\"", "").into();
            }
            Self::NoHistory if is_insert => lead_astray(statement, "H#"),
            Self::ResultUnwritten if is_insert => lead_astray(statement, "R#res"),
            Self::AcceptUnwritten if is_insert && names(statement, "ITEM") => lead_astray(statement, "A#"),
            Self::OccurrenceSkipped if is_insert && names(statement, "@") => lead_astray(statement, "A#"),
            Self::OccurrenceRenamed if is_insert && names(statement, "@") => {
                for parameter in statement["Parameters"].as_array_mut().into_iter().flatten() {
                    if let Some(pk) = parameter["S"].as_str().filter(|pk| pk.starts_with("A#")) {
                        *parameter = json!({"S": format!("{pk}1")});
                    }
                }
            }
            Self::RetriesIgnored if is_insert && names(statement, "A#") => {
                if let Some(at) = text.find("'m':?") {
                    let before = text[..at].matches('?').count();
                    statement["Parameters"][before] = json!({"N": "3"});
                }
            }
            // What succeeds is out of `due` already.
            Self::NotificationGivenUp
                if names(statement, "N#")
                    && text.contains("REMOVE \"tk\"")
                    && !text.contains("SET \"st\"") =>
            {
                let text = text.replace("SET \"ds\"", "SET \"fs\"");
                let text = text.replacen(" SET ", " SET \"st\"=? SET \"fp\"=? SET ", 1);
                let text = text.replacen(" WHERE ", " REMOVE \"dp\" REMOVE \"ds\" WHERE ", 1);
                statement["Statement"] = text.into();
                if let Some(parameters) = statement["Parameters"].as_array_mut() {
                    parameters.insert(0, json!({"S": "MAX_RETRIED"}));
                    parameters.insert(1, json!({"S": "given-up"}));
                }
            }
            // An attempt that another follows changes nothing but the claim.
            Self::ReminderGivenUp
                if names(statement, "R#") && text.contains("REMOVE \"tk\"") && !text.contains(" SET ") =>
            {
                let done =
                    " SET \"st\"=? SET \"fp\"=? SET \"fs\"=? REMOVE \"dp\" REMOVE \"ds\" REMOVE \"tk\"";
                statement["Statement"] = text.replacen(" REMOVE \"tk\"", done, 1).into();
                if let Some(parameters) = statement["Parameters"].as_array_mut() {
                    let given_up = ["completed", "given-up", "given-up"].map(|text| json!({"S": text}));
                    parameters.splice(0..0, given_up);
                }
            }
            Self::NotificationRuleForgotten if names(statement, "N#") => take_out(statement, " SET \"m\"=?"),
            Self::NotificationForgotten => {
                for parameter in statement["Parameters"].as_array_mut().into_iter().flatten() {
                    if let Some(partition) = parameter["S"].as_str().filter(|text| text.contains("/N:")) {
                        *parameter = json!({"S": format!("X{partition}")});
                    }
                }
            }
            _ => {}
        }
    }

    /// A call to a receiver as the broken build makes it.
    pub(super) fn outgoing(self, number: usize, mut request: OutboundRequest) -> OutboundRequest {
        if self == Self::KeyPerAttempt {
            for (name, value) in &mut request.headers {
                if name.as_str() == "idempotency-key" {
                    let text = format!("{}-{number}", value.to_str().unwrap_or_default());
                    *value = text.parse().unwrap_or_else(|_| value.clone());
                }
            }
        }
        request
    }

    /// A receiver's answer as the broken build takes it.
    pub(super) fn answered(self, url: &str, result: OutboundResult) -> OutboundResult {
        let believed = match self {
            Self::RefusalIsSuccess => true,
            Self::DeleteBeforeAcknowledge => url.contains("/roll/"),
            _ => false,
        };
        match result {
            Ok(mut answer) if believed => {
                answer.status = 200;
                Ok(answer)
            }
            Err(_) if self == Self::DeleteBeforeAcknowledge && believed => {
                Ok(Answer::new(StatusCode::OK, &HeaderMap::new(), Bytes::new(), BodyEnd::Complete))
            }
            result => result,
        }
    }

    /// A service's answer as the broken build takes it.
    pub(super) fn told(self, role: Option<Role>, body: Vec<u8>) -> Vec<u8> {
        match self {
            Self::PauseUnseen if role != Some(Role::Api) => {
                String::from_utf8_lossy(&body).replace("\"paused\"", "\"running\"").into_bytes()
            }
            Self::RulesUnseen if role == Some(Role::Worker) => {
                let Ok(mut answer) = serde_json::from_slice::<Value>(&body) else { return body };
                if answer["Item"]["rescheduleRules"].is_object() {
                    answer["Item"]["rescheduleRules"] = json!({"S": "{}"});
                }
                answer.to_string().into_bytes()
            }
            Self::DeletionUnseen => {
                // Under a name that nobody reads.
                String::from_utf8_lossy(&body).replace("\"deleting\"", "\"unseen\"").into_bytes()
            }
            Self::LeaseOutlasted if role == Some(Role::Worker) => {
                let Ok(mut answer) = serde_json::from_slice::<Value>(&body) else { return body };
                for response in answer["Responses"].as_array_mut().into_iter().flatten() {
                    if response["Item"]["lu"].is_object() {
                        response["Item"]["lu"] = json!({"N": "9999999999999"});
                    }
                }
                answer.to_string().into_bytes()
            }
            _ => body,
        }
    }
}

/// What the index answers of notifications that are due, where the `page` oldest of all tenants are taken from `items`.
pub(super) fn one_queue(items: &[Value], page: usize, answer: Vec<u8>) -> Vec<u8> {
    let Ok(mut answer) = serde_json::from_slice::<Value>(&answer) else { return answer };
    let due = |item: &&Value| item["dp"]["S"].as_str().is_some_and(|partition| partition.contains("/N:"));
    let mut oldest: Vec<&Value> = items.iter().filter(due).collect();
    oldest.sort_by_key(|item| item["ds"]["S"].as_str().unwrap_or_default());
    let oldest: Vec<&Value> = oldest.into_iter().take(page).map(|item| &item["PK"]).collect();
    if let Some(found) = answer["Items"].as_array_mut() {
        found.retain(|item| item["ds"].is_null() || oldest.contains(&&item["PK"]));
    }
    answer.to_string().into_bytes()
}
