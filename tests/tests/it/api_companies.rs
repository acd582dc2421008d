//! Companies (SPEC §3).

use crate::api::Api;
use futures::future::join_all;
use serde_json::json;

#[tokio::test]
async fn a_company_is_made_replaced_read_and_deleted() {
    let api = Api::new().await;
    let made = api.put("/v1/companies/acme", json!({})).await.expect(201);
    assert_eq!(made.header("location"), "/v1/companies/acme");
    assert_eq!(
        made.json,
        json!({"company": "acme", "qosLevel": 1, "createdAt": "2027-01-15T08:00:00.000Z", "updatedAt": "2027-01-15T08:00:00.000Z"})
    );
    api.world.clock.advance(chrono::TimeDelta::seconds(1));
    let replaced = api.put("/v1/companies/acme", json!({"qosLevel": 100})).await.expect(200);
    assert_eq!(replaced.json["updatedAt"], "2027-01-15T08:00:01.000Z");
    assert_eq!(api.get("/v1/companies/acme").await.expect(200).json, replaced.json);
    assert_eq!(api.get("/v1/companies").await.expect(200).json, json!({"items": [replaced.json]}));
    // A field left out of a PUT has its default again.
    assert_eq!(api.put("/v1/companies/acme", json!({})).await.expect(200).json["qosLevel"], 1);
    api.delete("/v1/companies/acme").await.expect(204);
    api.get("/v1/companies/acme").await.problem(404);
    api.delete("/v1/companies/acme").await.problem(404);
}

#[tokio::test]
async fn faults_of_a_company() {
    let api = Api::new().await;
    let level = "/qosLevel must be a whole number from 1 to 100";
    for (body, expect) in [
        (json!({"qosLevel": 0}), vec![level]),
        (json!({"qosLevel": 101}), vec![level]),
        (json!({"qosLevel": 1.5}), vec![level]),
        (json!({"qosLevel": "1"}), vec![level]),
        (json!({"qosLevel": -1, "name": "x"}), vec![level, "/name is no field of this"]),
    ] {
        assert_eq!(api.put("/v1/companies/acme", body).await.problem(400).faults(), expect);
    }
    api.get("/v1/companies/acme").await.problem(404);
}

#[tokio::test]
async fn a_company_with_solutions_stays() {
    let api = Api::seeded().await;
    api.delete("/v1/companies/acme").await.problem(409);
    api.delete("/v1/companies/acme/solutions/main").await.expect(204);
    api.delete("/v1/companies/acme").await.expect(204);
}

#[tokio::test]
async fn changes_at_the_same_time_are_made_one_after_the_other() {
    let api = Api::new().await;
    let levels = 1..=5;
    let puts = levels.clone().map(|level| api.put("/v1/companies/acme", json!({"qosLevel": level})));
    let answers = join_all(puts).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(answers.iter().all(|answer| [200, 201].contains(&answer.status)));
    // Each change is in the log, and each starts from what the one before it left.
    let log = api.get("/v1/companies/acme/audit-log").await.expect(200).json;
    let entries = log["items"].as_array().unwrap();
    assert_eq!(entries.len(), levels.count());
    assert!(entries.last().unwrap()["from"].is_null());
    let left: std::collections::HashSet<String> =
        entries.iter().map(|entry| entry["to"].to_string()).collect();
    assert!(
        entries
            .iter()
            .filter(|entry| !entry["from"].is_null())
            .all(|entry| left.contains(&entry["from"].to_string()))
    );
}

#[tokio::test]
async fn a_solution_made_while_its_company_is_deleted_never_stands_alone() {
    let api = Api::new().await;
    for round in 0..20 {
        let company = format!("/v1/companies/c{round}");
        api.put(&company, json!({})).await.expect(201);
        let solution = format!("{company}/solutions/main");
        let (deleted, made) = futures::join!(api.delete(&company), api.put(&solution, json!({})));
        let company_stands = api.get(&company).await.status == 200;
        let solution_stands = api.get(&solution).await.status == 200;
        assert_eq!(company_stands, solution_stands, "{} {}", deleted.status, made.status);
    }
}
