//! What becomes of a call to DynamoDB, SQS or KMS.

use super::faults::{Failure, respond};
use super::gate::{Asked, Call, ProcessId};
use super::mutation::{Mutation, one_queue};
use super::process::Role;
use super::trace::canonical;
use super::world::{Event, World};
use bytes::Bytes;
use chrono::TimeDelta;
use local::embedded::{Answer, Door};
use notification_resender::MAX_DOC_READ_DEFAULT;
use serde_json::{Value, json};

/// How long a broken build tries a settle.
const PATIENCE_OF_BROKEN: TimeDelta = TimeDelta::seconds(8);

impl World {
    /// Serves a call, or lets it fail, or its process die of it.
    pub async fn serve(&mut self, call: Call) {
        let Call { process, asked, reply, .. } = call;
        let Asked::Service(target, body) = asked else { return };
        let operation = target.split('.').next_back().unwrap_or_default().to_owned();
        let line = format!("p{process} {operation} {}", canonical(&body));
        let body = match self.mutation {
            Some(mutation) => mutation.request(self.role(process), &target, body),
            None => body,
        };
        if let Some(took_effect) = self.swallowed.draw() {
            self.note(&format!("{line} -- is swallowed, took effect: {took_effect}"));
            if took_effect {
                self.perform(&target, body).await;
            }
            let invocation = self.processes.get(&process).and_then(|one| Some(one.at.as_ref()?.0));
            return self.swallowed.keep(process, invocation, operation, self.time.now(), reply);
        }
        if self.dice.chance(self.faults.crash) {
            let after = self.dice.chance(500);
            self.note(&format!("{line} -- dies {} it", if after { "after" } else { "before" }));
            if after {
                self.perform(&target, body).await;
            }
            let call = Call {
                process,
                asked: Asked::Service(target, Bytes::new()),
                reply,
                not_before: self.time.now(),
            };
            self.gate.lay_to_rest(call);
            return self.crash(process);
        }
        if self.dice.chance(self.faults.fail) {
            let (failure, took_effect) = Failure::of(&mut self.dice);
            self.note(&format!("{line} -- fails: {failure:?}, took effect: {took_effect}"));
            if took_effect {
                self.perform(&target, body).await;
            }
            return self.reply(reply, failure.answer(&target));
        }
        self.note(&line);
        let answer = match self.partly(&target, &body).await {
            Some(answer) => answer,
            None if self.takes_for_absent(process, &target, &body) => {
                Answer { status: 200, body: Bytes::from_static(b"{}"), query_error: None }
            }
            None => self.perform(&target, body).await,
        };
        let body = self.without_items(process, &target, answer.body.to_vec());
        let told = match self.mutation {
            Some(mutation) => mutation.told(self.role(process), body),
            None => body,
        };
        let body = match (self.mutation, self.role(process)) {
            (Some(Mutation::OneQueue), Some(Role::Resender)) if operation == "Query" => {
                let page = self.crowd.map_or(MAX_DOC_READ_DEFAULT, |_| super::crowd::PAGE);
                one_queue(&self.dump().await, page as usize, told)
            }
            _ => told,
        };
        let answer = respond(answer.status, body);
        if self.dice.chance(self.faults.slow) {
            let at = self.time.now() + TimeDelta::milliseconds(self.dice.between(500, 20_000));
            self.disturbances += 1;
            self.note(&format!("the answer is on its way until {}", at.format("%H:%M:%S%.3f")));
            return self.post(at, Event::Served(process, reply, answer));
        }
        self.reply(reply, answer);
    }

    /// The call takes effect.
    pub async fn perform(&mut self, target: &str, body: Bytes) -> Answer {
        if let Some(answer) = self.lagging(target, &body).await {
            return answer;
        }
        self.embedded.mount().answer(Door::InProcess, target, body).await
    }

    /// A part of what a call asks for is refused, where services do that.
    async fn partly(&mut self, target: &str, body: &Bytes) -> Option<Answer> {
        if let Some(answer) = self.beyond_capacity(target, body).await {
            return Some(answer);
        }
        if !self.dice.chance(self.faults.partial) {
            return None;
        }
        match target {
            "DynamoDB_20120810.BatchExecuteStatement" => {
                let request: Value = serde_json::from_slice(body).ok()?;
                let count = request["Statements"].as_array()?.len();
                let refused = (0..count).map(|_| self.dice.chance(500)).collect();
                self.statements(target, request, refused).await
            }
            "AmazonSQS.SendMessageBatch" => self.messages(target, body).await,
            "DynamoDB_20120810.ExecuteTransaction" | "DynamoDB_20120810.TransactWriteItems" => {
                let request: Value = serde_json::from_slice(body).ok()?;
                let list = request["TransactStatements"].as_array().or(request["TransactItems"].as_array())?;
                self.note("a transaction conflicts");
                Some(canceled(list.len(), self.dice.below(list.len()), "TransactionConflict"))
            }
            _ => None,
        }
    }

    /// What the table's capacity does not suffice for is throttled.
    async fn beyond_capacity(&mut self, target: &str, body: &Bytes) -> Option<Answer> {
        let now = self.time.now();
        let capacity = self.capacity.as_mut()?;
        let request: Value = serde_json::from_slice(body).ok()?;
        match target {
            "DynamoDB_20120810.BatchExecuteStatement" => {
                let statements = request["Statements"].as_array()?.iter();
                let refused: Vec<bool> = statements.map(|one| !capacity.admits(one, 1, now)).collect();
                if !refused.contains(&true) {
                    return None;
                }
                self.statements(target, request, refused).await
            }
            "DynamoDB_20120810.ExecuteTransaction" => {
                let statements = request["TransactStatements"].as_array()?;
                let refused = statements.iter().position(|one| !capacity.admits(one, 2, now))?;
                let count = statements.len();
                self.note("a transaction is throttled");
                Some(canceled(count, refused, "ThrottlingError"))
            }
            _ => None,
        }
    }

    /// The answer without the items of refused statements, as DynamoDB sometimes gives it.
    fn without_items(&mut self, process: ProcessId, target: &str, body: Vec<u8>) -> Vec<u8> {
        if self.faults.bare == 0 || !target.ends_with("BatchExecuteStatement") {
            return body;
        }
        let Ok(mut answer) = serde_json::from_slice::<Value>(&body) else { return body };
        for response in answer["Responses"].as_array_mut().into_iter().flatten() {
            if self.dice.chance(self.faults.bare)
                && let Some(item) = response["Error"].as_object_mut().and_then(|error| error.remove("Item"))
            {
                let pk = item["PK"]["S"].as_str().unwrap_or_default();
                self.bare.insert((process, pk.to_owned()));
            }
        }
        answer.to_string().into_bytes()
    }

    /// Whether a broken build does not read the item of a statement that was refused without showing one.
    fn takes_for_absent(&mut self, process: ProcessId, target: &str, body: &Bytes) -> bool {
        if self.mutation != Some(Mutation::RefusalIsAbsence) || !target.ends_with("GetItem") {
            return false;
        }
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let pk = request["Key"]["PK"]["S"].as_str().unwrap_or_default();
        request["Key"]["SK"]["S"] == "ITEM" && self.bare.remove(&(process, pk.to_owned()))
    }

    /// How a statement is refused for lack of capacity; a broken build gives up after a while.
    fn refusal(&mut self, statement: &Value) -> Value {
        let now = self.time.now();
        let is_settle = statement["Statement"].as_str().is_some_and(|text| text.contains("REMOVE \"tk\""));
        let code = if self.mutation == Some(Mutation::SettleGivenUp) && is_settle {
            let since = *self.throttled.entry(statement["Parameters"].to_string()).or_insert(now);
            if now - since > PATIENCE_OF_BROKEN { "AccessDenied" } else { "ThrottlingError" }
        } else {
            "ThrottlingError"
        };
        json!({"Error": {"Code": code, "Message": "simulated"}})
    }

    async fn statements(&mut self, target: &str, mut request: Value, refused: Vec<bool>) -> Option<Answer> {
        let statements = request["Statements"].as_array()?.clone();
        let kept: Vec<Value> = statements
            .iter()
            .zip(&refused)
            .filter(|(_, refused)| !**refused)
            .map(|(one, _)| one.clone())
            .collect();
        self.note(&format!(
            "of {} statements {} are throttled",
            statements.len(),
            statements.len() - kept.len()
        ));
        let mut responses = Vec::new();
        if !kept.is_empty() {
            request["Statements"] = Value::Array(kept);
            let answer = self.perform(target, request.to_string().into()).await;
            if answer.status != 200 {
                return Some(answer);
            }
            let answer: Value = serde_json::from_slice(&answer.body).ok()?;
            responses = answer["Responses"].as_array()?.clone();
        }
        let mut responses = responses.into_iter();
        let merged: Vec<Value> = statements
            .iter()
            .zip(refused)
            .map(|(statement, refused)| match refused {
                true => self.refusal(statement),
                false => responses.next().unwrap_or_default(),
            })
            .collect();
        let body = json!({"Responses": merged});
        Some(Answer { status: 200, body: body.to_string().into(), query_error: None })
    }

    async fn messages(&mut self, target: &str, body: &Bytes) -> Option<Answer> {
        let mut request: Value = serde_json::from_slice(body).ok()?;
        let entries = request["Entries"].as_array()?.clone();
        let lost = entries[self.dice.below(entries.len())].clone();
        let kept: Vec<Value> = entries.into_iter().filter(|entry| *entry != lost).collect();
        self.note("a message is not taken");
        let mut answer = json!({"Successful": [], "Failed": []});
        if !kept.is_empty() {
            request["Entries"] = Value::Array(kept);
            let taken = self.perform(target, request.to_string().into()).await;
            answer = serde_json::from_slice(&taken.body).ok()?;
        }
        answer["Failed"] = json!([{"Id": lost["Id"], "SenderFault": false, "Code": "InternalError", "Message": "simulated"}]);
        Some(Answer { status: 200, body: answer.to_string().into(), query_error: None })
    }
}

/// The answer to a transaction of `count` parts of which one failed.
fn canceled(count: usize, failed: usize, code: &str) -> Answer {
    let mut reasons = vec![json!({"Code": "None"}); count];
    reasons[failed] = json!({"Code": code, "Message": "simulated"});
    let body = json!({"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled", "CancellationReasons": reasons});
    Answer { status: 400, body: body.to_string().into(), query_error: None }
}
