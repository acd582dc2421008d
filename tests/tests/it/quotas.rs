//! How many of each a company may have: held under concurrency, refused with 409, returned by a delete.

use crate::api::{Api, S};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use shared::settings::Settings;

const COMPANY: &str = "/v1/companies/acme";
/// Of everything.
const MOST: usize = 5;

/// An API by which a company may have five of each.
async fn small() -> Api {
    let lookup = |name: &str| name.starts_with("PUNCTUAL_MAX_").then(|| MOST.to_string());
    let api = Api::with_settings(&lookup).await;
    api.put(COMPANY, json!({})).await.expect(201);
    api.put(S, json!({})).await.expect(201);
    api
}

/// A kind: where one of a name is made, its body, its limit's name, and how many there are at the beginning.
type Kind = (Box<dyn Fn(usize) -> String>, Value, &'static str, usize);

fn kinds(api: &Api) -> Vec<Kind> {
    let url = api.world.receiver.url();
    let in_solution = |kind: &'static str| -> Box<dyn Fn(usize) -> String> {
        Box::new(move |n| format!("{S}/{kind}/x{n}"))
    };
    let call = json!({"verb": "POST", "uriPattern": url});
    vec![
        (in_solution("activity-types"), call, "MaxActivityTypes", 0),
        (in_solution("notification-types"), json!({"uri": url}), "MaxNotificationTypes", 0),
        (
            in_solution("recurring-activities"),
            json!({"activityType": "x0", "minute": "0", "hour": "0"}),
            "MaxRecurringActivities",
            0,
        ),
        (Box::new(|n| format!("{COMPANY}/solutions/x{n}")), json!({}), "MaxSolutions", 1),
    ]
}

#[tokio::test]
async fn of_very_many_made_at_once_as_many_are_made_as_may_be() {
    let api = small().await;
    let mut made_type = Value::Null;
    for (path, mut body, parameter, before) in kinds(&api) {
        if let Some(of_type) = body.get_mut("activityType") {
            *of_type = made_type.clone();
        }
        let makes = (0..MOST * 4).map(async |n| api.put(&path(n), body.clone()).await);
        let answers: Vec<Value> = {
            let answers = join_all(makes).await;
            let made = answers.iter().filter(|answer| answer.status == 201).count();
            assert_eq!(made, MOST - before, "{parameter}");
            answers.into_iter().filter(|answer| answer.status != 201).map(|a| a.problem(409).json).collect()
        };
        for problem in &answers {
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(parameter) && detail.contains(&MOST.to_string()), "{detail}");
        }
        // What there is is replaced, and read, as before.
        let there: Vec<usize> = {
            let reads = join_all((0..MOST * 4).map(async |n| api.get(&path(n)).await)).await;
            (0..MOST * 4).filter(|n| reads[*n].status == 200).collect()
        };
        assert_eq!(there.len(), MOST - before);
        if parameter == "MaxActivityTypes" {
            // Which of those that were made at once there are is not known before.
            made_type = json!(format!("x{}", there[0]));
        }
        let mut other = body.clone();
        match parameter {
            "MaxSolutions" => other["qosLevel"] = json!(7),
            "MaxNotificationTypes" => other["maxRetries"] = json!(7),
            _ => other["retries"] = json!(7),
        }
        api.put(&path(there[0]), other).await.expect(200);
        // A delete makes room for one.
        let last = *there.last().unwrap();
        if last != 0 {
            api.delete(&path(last)).await.expect(204);
            api.put(&path(1_000), body.clone()).await.expect(201);
            api.put(&path(1_001), body.clone()).await.problem(409);
        }
    }
}

#[tokio::test]
async fn keys_are_counted_and_a_repeat_is_none() {
    let api = small().await;
    let make = async |n: usize| {
        let key = json!({"id": format!("k{n}"), "label": "x"});
        api.post(&format!("{COMPANY}/api-keys"), key).await
    };
    let made = join_all((0..20).map(make)).await;
    assert_eq!(made.iter().filter(|answer| answer.status == 201).count(), MOST);
    let (there, refused): (Vec<usize>, Vec<usize>) = (0..20).partition(|n| made[*n].status == 201);
    make(there[0]).await.expect(200);
    let detail = make(refused[0]).await.problem(409).json["detail"].to_string();
    assert!(detail.contains("MaxApiKeys"), "{detail}");
    api.delete(&format!("{COMPANY}/api-keys/k{}", there[0])).await.expect(204);
    make(refused[0]).await.expect(201);
    make(refused[1]).await.problem(409);
}

/// A company's solutions share its quota of types, and another company has its own. A deleted solution's types are given back.
#[tokio::test]
async fn the_quota_is_the_company_s() {
    let api = small().await;
    let call = json!({"verb": "POST", "uriPattern": "https://example.com/"});
    let side = format!("{COMPANY}/solutions/side");
    api.put(&side, json!({})).await.expect(201);
    for n in 0..MOST {
        let solution = if n % 2 == 0 { S } else { &side };
        api.put(&format!("{solution}/activity-types/x{n}"), call.clone()).await.expect(201);
    }
    api.put(&format!("{side}/activity-types/more"), call.clone()).await.problem(409);
    api.put("/v1/companies/beta", json!({})).await.expect(201);
    api.put("/v1/companies/beta/solutions/main", json!({})).await.expect(201);
    api.put("/v1/companies/beta/solutions/main/activity-types/x", call.clone()).await.expect(201);
    api.delete(&side).await.expect(204);
    for n in 0..2 {
        api.put(&format!("{S}/activity-types/more{n}"), call.clone()).await.expect(201);
    }
    api.put(&format!("{S}/activity-types/more2"), call).await.problem(409);
}

/// Deployments of before have no counts; a process may have died with a place reserved.
#[tokio::test]
async fn a_count_is_made_where_there_is_none_and_corrected_where_it_is_too_high() {
    let api = small().await;
    let call = json!({"verb": "POST", "uriPattern": "https://example.com/"});
    let path = |n: usize| format!("{S}/activity-types/x{n}");
    for n in 0..3 {
        api.put(&path(n), call.clone()).await.expect(201);
    }
    let dynamodb = &api.world.embedded.clients().dynamodb;
    let key = |name: &str, value: &str| (name.to_owned(), AttributeValue::S(value.to_owned()));
    let keys = [key("PK", "C#acme"), key("SK", "COUNT#MaxActivityTypes")];
    let forget = || {
        let delete = dynamodb.delete_item().table_name(api.config_table());
        keys.iter().cloned().fold(delete, |delete, (name, value)| delete.key(name, value)).send()
    };
    forget().await.unwrap();
    let made = join_all((3..9).map(async |n| api.put(&path(n), call.clone()).await)).await;
    assert_eq!(made.iter().filter(|answer| answer.status == 201).count(), 2, "three were there");

    // As many as may be, of which two were never made.
    let there: Vec<usize> = (3..9).filter(|n| made[n - 3].status == 201).collect();
    for n in &there {
        let delete = dynamodb.delete_item().table_name(api.config_table());
        let sk = format!("A:x{n}");
        delete
            .key("PK", AttributeValue::S("T#acme/main".into()))
            .key("SK", AttributeValue::S(sk))
            .send()
            .await
            .unwrap();
    }
    api.put(&path(20), call.clone()).await.problem(409);
    api.world.clock.advance(TimeDelta::seconds(61));
    api.put(&path(20), call.clone()).await.expect(201);
    api.put(&path(21), call.clone()).await.expect(201);
    api.put(&path(22), call.clone()).await.problem(409);
    api.world.clock.advance(TimeDelta::seconds(61));
    api.call(Method::PUT.as_str(), &path(22), Some(call)).await.problem(409);
}

#[test]
fn a_quota_is_a_number() {
    let bad = |name: &str| match name {
        "PUNCTUAL_MAX_SOLUTIONS" => Some("0".to_owned()),
        _ => Some("x".to_owned()),
    };
    let fault = Settings::read(&bad).unwrap_err().to_string();
    assert!(fault.contains("PUNCTUAL_MAX_SOLUTIONS must be a whole number from 1 to 10000000"), "{fault}");
}
