//! The protocol's model keeps its promises in every order of steps, its writes are those of the real statements, and
//! a defect put into it is found.

use aws_sdk_dynamodb::types::AttributeValue;
use rules::activity;
use rules::due::LEAD;
use shared::engine::WorkItem;
use shared::engine::batcher::{Batcher, Outcome};
use shared::engine::{Success, statements};
use shared::items::activity::claim::activity_statement;
use shared::items::activity::{Record, codec};
use shared::table::attr;
use std::collections::HashSet;
use tests::World;
use tests::model::explore::explore;
use tests::model::item::{Item, Write, now, verdict};
use tests::model::steps::{Mutation, Setup};
use tests::model::system::{Ask, Faults};

const NO_FAULTS: Faults = Faults { duplicate: false, loss: false, unanswered: false };

/// Explores a setup, and runs each write that occurred on the embedded database.
async fn check(max_attempts: u8, asks: &'static [Ask], faults: Faults) {
    let explored = match explore(&Setup { max_attempts, asks, faults, mutation: None }) {
        Ok(explored) => explored,
        Err(found) => panic!("{}\n{}", found.what, found.way),
    };
    let (states, steps) = (explored.states, explored.steps);
    println!("{asks:?}: {states} states, {steps} steps, {} writes", explored.writes.len());
    assert!(states > 50_000, "fewer states than two workers and their crashes have: {states}");
    run(explored.writes).await;
}

#[tokio::test]
async fn model_with_a_message_doubled() {
    check(2, &[Ask::Create], Faults { duplicate: true, ..NO_FAULTS }).await;
}

#[tokio::test]
async fn model_with_a_message_lost() {
    check(2, &[Ask::Create], Faults { loss: true, ..NO_FAULTS }).await;
}

#[tokio::test]
async fn model_with_an_answer_lost() {
    check(2, &[Ask::Create], Faults { unanswered: true, ..NO_FAULTS }).await;
}

#[tokio::test]
async fn model_with_three_executions() {
    check(3, &[Ask::Create], NO_FAULTS).await;
}

#[tokio::test]
async fn model_with_a_cancel() {
    check(1, &[Ask::Create, Ask::Cancel], NO_FAULTS).await;
}

#[tokio::test]
async fn model_with_a_pause() {
    check(2, &[Ask::Create, Ask::Pause, Ask::Resume], NO_FAULTS).await;
}

#[tokio::test]
async fn model_with_a_retry_by_hand() {
    check(1, &[Ask::Create, Ask::Retry], NO_FAULTS).await;
}

#[tokio::test]
async fn model_with_a_result() {
    check(1, &[Ask::Create, Ask::Completed], NO_FAULTS).await;
}

#[tokio::test]
async fn model_with_a_reschedule_and_a_dispatch_by_hand() {
    check(1, &[Ask::Create, Ask::Reschedule, Ask::DispatchNow], NO_FAULTS).await;
}

/// A checker that finds nothing wrong must be one that could.
#[test]
fn model_with_a_defect_is_found_out() {
    let paused = &[Ask::Create, Ask::Pause, Ask::Resume];
    let unequal = "the history does not tell each attempt once";
    for (mutation, asks, what) in [
        (Mutation::ClaimWithoutCondition, &[Ask::Create][..], "two live claims"),
        (Mutation::SettleWithoutToken, &[Ask::Create], "a claim was settled without its token"),
        (Mutation::NoRecoveryPass, &[Ask::Create], "lost: without a further fault it can never end"),
        (Mutation::CrashIsNoAttempt, &[Ask::Create], unequal),
        (Mutation::CallWithoutLease, &[Ask::Create], "called under a lease that ran out"),
        (Mutation::StaysDue, &[Ask::Create], "not in exactly one of due and done"),
        (Mutation::FailureUntold, &[Ask::Create], unequal),
        (Mutation::CancelUntold, &[Ask::Create, Ask::Cancel], unequal),
        (Mutation::LostToldBefore, &[Ask::Create], unequal),
        (Mutation::PauseSeenAtClaimAlone, paused, "called while paused"),
    ] {
        let faults = Faults { duplicate: true, loss: true, ..NO_FAULTS };
        let found = explore(&Setup { max_attempts: 2, asks, faults, mutation: Some(mutation) });
        let found = found.err().unwrap_or_else(|| panic!("{mutation:?} was not found"));
        println!("{mutation:?}: {} in {} steps", found.what, found.way.lines().count() / 2);
        assert_eq!(found.what, what, "{mutation:?}\n{}", found.way);
    }
}

/// Runs each write as the statement it stands for.
async fn run(writes: HashSet<(Item, Write)>) {
    let world = World::new().await;
    let dynamodb = &world.embedded.clients().dynamodb;
    let table = world.embedded.settings("delivery-worker")["PUNCTUAL_WORK_TABLE"].clone();
    let batcher = Batcher::new(dynamodb, table.clone(), world.ctx.patience.clone());
    let (mut applied, mut lost) = (0, 0);
    for (item, write) in writes {
        let before: codec::Item = encoded(&item);
        dynamodb.put_item().table_name(&table).set_item(Some(before.clone())).send().await.unwrap();
        let outcome = batcher.run(statement(&table, write)).await.unwrap();
        let key = [attr::PK, attr::SK].map(|name| (name.to_owned(), before[name].clone()));
        let got = dynamodb.get_item().table_name(&table).set_key(Some(key.into())).consistent_read(true);
        let after = got.send().await.unwrap().item.unwrap();
        match item.write(write) {
            Some(written) => {
                assert!(matches!(outcome, Outcome::Applied(_)), "{item:?}\n{write:?}\n{outcome:?}");
                assert_eq!(seen(&after), seen(&encoded(&written)), "{item:?}\n{write:?}");
                applied += 1;
            }
            None => {
                assert_eq!(outcome, Outcome::Lost(Some(before)), "{item:?}\n{write:?}");
                lost += 1;
            }
        }
    }
    assert!(applied > 10 && lost > 10, "{applied} went through, {lost} did not");
}

fn statement(table: &str, write: Write) -> statements::Statement {
    match write {
        Write::Claim { token } => {
            let claimed = Item { claim: None, ..Item::accepted(1) }.written(Write::Claim { token });
            let claim = claimed.state().claim.unwrap();
            activity_statement(table, record(&claimed).pk(), &claim, now() + LEAD)
        }
        Write::Step { from, to } => {
            let before = record(&from);
            let after =
                Record { state: to.state(), success: to.success.then_some(SUCCESS), ..before.clone() };
            statements::step(table, &before, &after, now())
        }
        Write::Note { from } => {
            let before = record(&from);
            let state = activity::State { verdict: Some(verdict()), ..before.state.clone() };
            statements::step(table, &before, &Record { state, ..before.clone() }, now())
        }
    }
}

const SUCCESS: Success = Success { http_status: Some(200), duration_ms: 1 };

fn record(item: &Item) -> Record {
    let state = item.state();
    Record {
        tenant: rules::names::Tenant { company: "acme".parse().unwrap(), solution: "main".parse().unwrap() },
        kind: "A:call".parse().unwrap(),
        id: "a".parse().unwrap(),
        created_at: state.date,
        state: activity::State { ..state },
        parameter: Some("{}".to_owned()),
        uri: None,
        body_hash: "hash".to_owned(),
        shard: 0,
        done_shard: 0,
        object: None,
        type_changed_at: None,
        success: item.success.then_some(SUCCESS),
        dispatch: None,
        has_companions: false,
        kept: None,
    }
}

fn encoded(item: &Item) -> codec::Item {
    record(item).encode(now()).into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The attributes in order of their names. Where it stands in an index follows from the write's own instant, which the
/// model does not tell apart, so of an index it says whether the item stands there.
fn seen(item: &codec::Item) -> Vec<(&str, AttributeValue)> {
    let mut seen: Vec<(&str, AttributeValue)> = item
        .iter()
        .map(|(name, value)| {
            let place = [attr::DUE_SORT, attr::DONE_SORT].contains(&name.as_str());
            (name.as_str(), if place { AttributeValue::Bool(true) } else { value.clone() })
        })
        .collect();
    seen.sort_by_key(|(name, _)| *name);
    seen
}
