//! Lambda drops the 17th invocation of a chain that comes back to a function through SQS, unless the function says that
//! the loop is meant.

use crate::template::{document, list, of_type, text};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The queues that a function sends to: by its role, and by Lambda for it, when an event has failed.
fn sends_to(document: &Value, id: &str) -> BTreeSet<String> {
    let role = &document["Resources"][format!("{id}Role")]["Properties"];
    let statements =
        list(&role["Policies"]).into_iter().flat_map(|p| list(&p["PolicyDocument"]["Statement"]));
    let sends =
        |statement: &Value| list(&statement["Action"]).iter().any(|action| text(action) == "sqs:SendMessage");
    let resources = statements.filter(sends).flat_map(|statement| list(&statement["Resource"]));
    resources.map(|resource| text(&resource).trim_end_matches(".Arn").to_owned()).collect()
}

/// Which functions each function may invoke through queues.
fn invokes(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let functions = of_type(document, "AWS::Serverless::Function");
    let takes_from = |function: &Value, queue: &str| {
        let events = function["Events"].as_object().unwrap().values();
        events
            .filter(|event| event["Type"] == "SQS")
            .any(|event| text(&event["Properties"]["Queue"]).trim_end_matches(".Arn") == queue)
    };
    let reached = |id: &str| {
        let queues = sends_to(document, id);
        let takers =
            functions.iter().filter(|(_, taker)| queues.iter().any(|queue| takes_from(taker, queue)));
        takers.map(|(taker, _)| taker.clone()).collect()
    };
    functions.keys().map(|id| (id.clone(), reached(id))).collect()
}

/// The functions whose invocations may come back to them, through others too.
pub fn in_loops(document: &Value) -> BTreeSet<String> {
    let invokes = invokes(document);
    let comes_back = |id: &&String| {
        let mut reached = BTreeSet::new();
        let mut next: Vec<_> = invokes[*id].iter().collect();
        while let Some(function) = next.pop() {
            if reached.insert(function) {
                next.extend(&invokes[function]);
            }
        }
        reached.contains(id)
    };
    invokes.keys().filter(comes_back).cloned().collect()
}

#[test]
fn functions_that_invoke_themselves_through_a_queue_say_that_it_is_meant() {
    let document = document();
    let allowed = of_type(&document, "AWS::Serverless::Function").into_iter();
    let allowed = allowed.filter(|(_, function)| function["RecursiveLoop"] == "Allow");
    let looping = in_loops(&document);
    assert_eq!(looping, allowed.map(|(id, _)| id).collect());
    assert_eq!(looping, BTreeSet::from(["DeliveryWorker".to_owned()]));
}
