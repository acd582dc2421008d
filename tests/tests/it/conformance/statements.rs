//! The PartiQL statements of the work table, as `shared::engine::statements` builds them.

use super::{Lab, cases, id, n, refusal, s};
use aws_sdk_dynamodb::operation::execute_transaction::ExecuteTransactionError;
use aws_sdk_dynamodb::types::{AttributeValue, BatchStatementRequest, ReturnConsumedCapacity};
use chrono::{DateTime, TimeDelta, Utc};
use rules::activity::{Event, State, Status, accepted, decide};
use rules::claim::Claim;
use shared::engine::Guard;
use shared::engine::Kept;
use shared::engine::Success;
use shared::engine::WorkItem;
use shared::engine::batcher::{Batcher, Outcome};
use shared::engine::patience::Patience;
use shared::engine::statements;
use shared::engine::statements::Statement;
use shared::entropy::OsEntropy;
use shared::items::activity::claim::activity_statement;
use shared::items::activity::codec::Record;
use shared::table::attr;
use tests::world::beginning;

cases![
    an_insert_goes_through_once,
    a_claim_answers_the_claimed_item,
    a_second_claim_is_shown_the_first,
    a_claim_waits_for_the_instant,
    a_claim_finds_nothing_to_claim,
    a_settle_needs_its_claims_token,
    a_step_of_a_free_activity_needs_it_as_it_was,
    a_link_is_made_once_and_replaced_from_what_it_was,
    a_link_makes_no_item,
    a_removal_goes_through_once,
    a_difference_sets_and_removes,
    a_guarded_delete_spares_what_has_changed,
    a_delete_may_find_nothing,
    a_read_tells_a_missing_item,
    each_statement_of_a_batch_is_judged_alone,
    a_batch_has_twenty_five_statements,
    a_batch_names_an_item_once,
    a_batch_reads_or_writes,
    a_transaction_of_statements_is_whole_or_nothing,
    a_transaction_of_statements_names_its_duplicate,
    a_delivery_costs_six_write_units,
];

fn now() -> DateTime<Utc> {
    beginning()
}

/// For a year, by the time to live.
fn kept() -> Kept {
    Kept::new(now() + chrono::TimeDelta::days(365), true)
}

/// An activity that is due now.
fn record(lab: &Lab, name: &str) -> Record {
    Record {
        tenant: lab.tenant.clone(),
        kind: "A:call".parse().unwrap(),
        id: id(name),
        state: accepted(now(), 3, now()),
        created_at: now(),
        parameter: Some(r#"{"name":"O'Neill \"x\""}"#.to_owned()),
        uri: None,
        body_hash: "hash".to_owned(),
        shard: 0,
        done_shard: 0,
        object: None,
        type_changed_at: None,
        success: None,
        dispatch: None,
        has_companions: false,
        kept: None,
    }
}

fn claim_of(token: &str) -> Claim {
    Claim::due(token, now() + TimeDelta::minutes(1))
}

fn claim(lab: &Lab, record: &Record, token: &str) -> Statement {
    activity_statement(&lab.settings.work_table, record.pk(), &claim_of(token), now())
}

fn insert(lab: &Lab, record: &Record) -> Statement {
    statements::insert(&lab.settings.work_table, record.pk(), attr::ITEM, record.encode(now()))
}

fn settle(lab: &Lab, claimed: &Record) -> Statement {
    let step = decide(&claimed.state, Event::Succeeded, now()).unwrap();
    let success = Some(Success { http_status: Some(200), duration_ms: 12 });
    let settled = Record { state: step.to, success, kept: Some(kept()), ..claimed.clone() };
    statements::step(&lab.settings.work_table, claimed, &settled, now())
}

fn claimed(record: &Record, token: &str) -> Record {
    let state =
        State { attempts: record.state.attempts + 1, claim: Some(claim_of(token)), ..record.state.clone() };
    Record { state, ..record.clone() }
}

fn batcher(lab: &Lab) -> Batcher {
    let patience = Patience::new(lab.clock(), std::sync::Arc::new(OsEntropy));
    Batcher::new(&lab.clients.dynamodb, lab.settings.work_table.clone(), patience)
}

async fn run(lab: &Lab, statement: Statement) -> Outcome {
    batcher(lab).run(statement).await.unwrap()
}

/// The activity as it is stored.
async fn stored(lab: &Lab, pk: String) -> Option<Record> {
    match run(lab, statements::read(&lab.settings.work_table, pk, attr::ITEM)).await {
        Outcome::Applied(item) => item.map(|item| Record::decode(&item).unwrap()),
        other => panic!("a read came to {other:?}"),
    }
}

/// The record that a lost statement is shown.
fn shown(outcome: Outcome) -> Record {
    match outcome {
        Outcome::Lost(Some(item)) => Record::decode(&item).unwrap(),
        other => panic!("not lost with an item: {other:?}"),
    }
}

async fn an_insert_goes_through_once(lab: Lab) {
    let record = record(&lab, "a");
    assert_eq!(run(&lab, insert(&lab, &record)).await, Outcome::Applied(None));
    let another = Record { parameter: Some("{}".to_owned()), ..record.clone() };
    assert_eq!(run(&lab, insert(&lab, &another)).await, Outcome::Duplicate);
    assert_eq!(stored(&lab, record.pk()).await, Some(record));
}

async fn a_claim_answers_the_claimed_item(lab: Lab) {
    let record = record(&lab, "a");
    run(&lab, insert(&lab, &record)).await;
    let Outcome::Applied(Some(item)) = run(&lab, claim(&lab, &record, "first")).await else {
        panic!("no item in the answer to a claim");
    };
    assert_eq!(Record::decode(&item).unwrap(), claimed(&record, "first"));
    assert_eq!(stored(&lab, record.pk()).await, Some(claimed(&record, "first")));
}

async fn a_second_claim_is_shown_the_first(lab: Lab) {
    let record = record(&lab, "a");
    run(&lab, insert(&lab, &record)).await;
    run(&lab, claim(&lab, &record, "first")).await;
    assert_eq!(shown(run(&lab, claim(&lab, &record, "second")).await), claimed(&record, "first"));
}

async fn a_claim_waits_for_the_instant(lab: Lab) {
    let mut later = record(&lab, "a");
    later.state = accepted(now() + TimeDelta::milliseconds(1), 3, now());
    run(&lab, insert(&lab, &later)).await;
    assert_eq!(shown(run(&lab, claim(&lab, &later, "first")).await), later);
}

async fn a_claim_finds_nothing_to_claim(lab: Lab) {
    let record = record(&lab, "a");
    assert_eq!(run(&lab, claim(&lab, &record, "first")).await, Outcome::Lost(None));
    assert_eq!(stored(&lab, record.pk()).await, None);
}

async fn a_settle_needs_its_claims_token(lab: Lab) {
    let record = record(&lab, "a");
    run(&lab, insert(&lab, &record)).await;
    run(&lab, claim(&lab, &record, "first")).await;
    let stale = run(&lab, settle(&lab, &claimed(&record, "stale"))).await;
    assert_eq!(shown(stale), claimed(&record, "first"));
    assert_eq!(run(&lab, settle(&lab, &claimed(&record, "first"))).await, Outcome::Applied(None));
    let settled = stored(&lab, record.pk()).await.unwrap();
    assert_eq!((settled.state.status, settled.state.claim), (Status::Dispatched, None));
    assert_eq!(settled.success, Some(Success { http_status: Some(200), duration_ms: 12 }));
    // Its own settle again, as an SDK repeats what it had no answer to.
    assert!(matches!(run(&lab, settle(&lab, &claimed(&record, "first"))).await, Outcome::Lost(Some(_))));
}

async fn a_step_of_a_free_activity_needs_it_as_it_was(lab: Lab) {
    let before = record(&lab, "a");
    run(&lab, insert(&lab, &before)).await;
    let later = decide(&before.state, Event::Reschedule(now() + TimeDelta::hours(1)), now()).unwrap().to;
    let step = |from: &Record, to: &State| {
        let to = Record { state: to.clone(), ..from.clone() };
        statements::step(&lab.settings.work_table, from, &to, now())
    };
    assert_eq!(run(&lab, step(&before, &later)).await, Outcome::Applied(None));
    let canceled = decide(&before.state, Event::Cancel, now()).unwrap().to;
    let moved = Record { state: later, ..before.clone() };
    assert_eq!(shown(run(&lab, step(&before, &canceled)).await), moved);
}

async fn a_link_is_made_once_and_replaced_from_what_it_was(lab: Lab) {
    let table = &lab.settings.work_table;
    let pk = format!("P#{}", lab.prefix);
    let item = vec![(attr::PK, s(&pk)), (attr::SK, s(attr::ITEM)), ("other", n(1))];
    run(&lab, statements::insert(table, pk.clone(), attr::ITEM, item)).await;
    let link = |before, after| statements::link(table, pk.clone(), before, after, Some(kept().attribute()));
    assert_eq!(run(&lab, link(None, "one")).await, Outcome::Applied(None));
    assert!(matches!(run(&lab, link(None, "two")).await, Outcome::Lost(Some(_))));
    assert!(matches!(run(&lab, link(Some("two"), "three")).await, Outcome::Lost(Some(_))));
    assert_eq!(run(&lab, link(Some("one"), "one two")).await, Outcome::Applied(None));
}

async fn a_link_makes_no_item(lab: Lab) {
    let (table, pk) = (&lab.settings.work_table, format!("P#{}", lab.prefix));
    assert_eq!(run(&lab, statements::link(table, pk.clone(), None, "one", None)).await, Outcome::Lost(None));
    assert_eq!(stored(&lab, pk).await, None);
}

async fn a_removal_goes_through_once(lab: Lab) {
    let table = &lab.settings.work_table;
    let (pk, sk) = (format!("P#{}", lab.prefix), "R#1");
    let item = vec![(attr::PK, s(&pk)), (attr::SK, s(sk)), (attr::RESULT_STANDALONE, n(1))];
    run(&lab, statements::insert(table, pk.clone(), sk, item)).await;
    assert_eq!(run(&lab, statements::link_result(table, pk.clone(), sk)).await, Outcome::Applied(None));
    let again = run(&lab, statements::link_result(table, pk.clone(), sk)).await;
    let Outcome::Lost(Some(item)) = again else { panic!("came to {again:?}") };
    assert!(!item.contains_key(attr::RESULT_STANDALONE));
}

async fn a_difference_sets_and_removes(lab: Lab) {
    let (table, pk) = (&lab.settings.work_table, format!("Q#{}", lab.prefix));
    let key = [(attr::PK, s(&pk)), (attr::SK, s(attr::ITEM))];
    let with = |rest: &[(&'static str, AttributeValue)]| [&key[..], rest].concat();
    let before = with(&[("a", n(1)), ("b", s("x")), ("c", s("y"))]);
    let after = with(&[("a", n(2)), ("c", s("y")), ("d", AttributeValue::Bool(true))]);
    run(&lab, statements::insert(table, pk.clone(), attr::ITEM, before.clone())).await;
    let write = |guards: Vec<Guard>| statements::difference(table, pk.clone(), &before, &after, &guards);
    let missing = || Guard::Missing("e");
    assert!(matches!(
        run(&lab, write(vec![missing(), Guard::Equals("a", n(7))])).await,
        Outcome::Lost(Some(_))
    ));
    assert_eq!(run(&lab, write(vec![missing(), Guard::Equals("a", n(1))])).await, Outcome::Applied(None));
    let Outcome::Applied(Some(found)) = run(&lab, statements::read(table, pk.clone(), attr::ITEM)).await
    else {
        panic!("it is gone");
    };
    assert_eq!(found, after.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
}

async fn a_guarded_delete_spares_what_has_changed(lab: Lab) {
    let record = record(&lab, "a");
    run(&lab, insert(&lab, &record)).await;
    let delete = |run: u32| {
        let guards = vec![Guard::Missing(attr::TOKEN), Guard::Equals(attr::RUN, n(run))];
        statements::delete(&lab.settings.work_table, record.pk(), &guards)
    };
    assert_eq!(shown(run(&lab, delete(1)).await), record);
    assert_eq!(run(&lab, delete(0)).await, Outcome::Applied(None));
    assert_eq!(stored(&lab, record.pk()).await, None);
}

async fn a_delete_may_find_nothing(lab: Lab) {
    let guards = vec![Guard::Equals(attr::RUN, n(0))];
    let delete = statements::delete(&lab.settings.work_table, record(&lab, "a").pk(), &guards);
    // AWS's guide has the first, its behaviour the second; the code takes both for gone.
    assert!(matches!(run(&lab, delete).await, Outcome::Applied(None) | Outcome::Lost(None)));
}

async fn a_read_tells_a_missing_item(lab: Lab) {
    assert_eq!(stored(&lab, record(&lab, "a").pk()).await, None);
}

async fn each_statement_of_a_batch_is_judged_alone(lab: Lab) {
    let records: Vec<_> = (0..25).map(|number| record(&lab, &format!("a{number}"))).collect();
    for record in records.iter().step_by(2) {
        run(&lab, insert(&lab, record)).await;
    }
    let outcomes = batcher(&lab).run_all(records.iter().map(|record| insert(&lab, record)).collect()).await;
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let expect = if number % 2 == 0 { Outcome::Duplicate } else { Outcome::Applied(None) };
        assert_eq!(outcome, Ok(expect), "statement {number}");
    }
}

/// The code with which a whole batch is refused.
async fn batch_refusal(lab: &Lab, batch: Vec<BatchStatementRequest>) -> String {
    refusal(lab.clients.dynamodb.batch_execute_statement().set_statements(Some(batch)).send().await)
}

async fn a_batch_has_twenty_five_statements(lab: Lab) {
    let batch = |count: usize| {
        (0..count).map(|number| insert(&lab, &record(&lab, &format!("a{number}"))).request).collect()
    };
    assert_eq!(batch_refusal(&lab, batch(26)).await, "ValidationException");
    assert_eq!(batch_refusal(&lab, batch(25)).await, "accepted");
}

async fn a_batch_names_an_item_once(lab: Lab) {
    let record = record(&lab, "a");
    let twice = vec![claim(&lab, &record, "first").request, claim(&lab, &record, "second").request];
    assert_eq!(batch_refusal(&lab, twice).await, "ValidationException");
}

async fn a_batch_reads_or_writes(lab: Lab) {
    let (one, other) = (record(&lab, "a"), record(&lab, "b"));
    let read = statements::read(&lab.settings.work_table, other.pk(), attr::ITEM).request;
    assert_eq!(batch_refusal(&lab, vec![insert(&lab, &one).request, read]).await, "ValidationException");
}

/// The codes with which a transaction of statements is canceled; none if it went through.
async fn transact(lab: &Lab, statements: Vec<Statement>) -> Vec<String> {
    let statements = statements.into_iter().map(Statement::for_transaction).collect();
    let sent =
        lab.clients.dynamodb.execute_transaction().set_transact_statements(Some(statements)).send().await;
    match sent.map_err(|error| error.into_service_error()) {
        Ok(_) => Vec::new(),
        Err(ExecuteTransactionError::TransactionCanceledException(canceled)) => {
            let reasons = canceled.cancellation_reasons().iter();
            reasons.map(|reason| reason.code().unwrap_or_default().to_owned()).collect()
        }
        Err(other) => panic!("{other:?}"),
    }
}

async fn a_transaction_of_statements_is_whole_or_nothing(lab: Lab) {
    let (one, other) = (record(&lab, "a"), record(&lab, "b"));
    run(&lab, insert(&lab, &one)).await;
    let codes = transact(&lab, vec![insert(&lab, &other), settle(&lab, &claimed(&one, "stale"))]).await;
    assert_eq!(codes, ["None", "ConditionalCheckFailed"]);
    assert_eq!(stored(&lab, other.pk()).await, None);
    run(&lab, claim(&lab, &one, "first")).await;
    let codes = transact(&lab, vec![insert(&lab, &other), settle(&lab, &claimed(&one, "first"))]).await;
    assert!(codes.is_empty(), "{codes:?}");
    assert_eq!(stored(&lab, other.pk()).await, Some(other));
    assert_eq!(stored(&lab, one.pk()).await.unwrap().state.status, Status::Dispatched);
}

async fn a_transaction_of_statements_names_its_duplicate(lab: Lab) {
    let (one, other) = (record(&lab, "a"), record(&lab, "b"));
    run(&lab, insert(&lab, &one)).await;
    let codes = transact(&lab, vec![insert(&lab, &one), insert(&lab, &other)]).await;
    assert_eq!(codes, ["DuplicateItem", "None"]);
    assert_eq!(stored(&lab, other.pk()).await, None);
}

async fn a_delivery_costs_six_write_units(lab: Lab) {
    let record = record(&lab, "a");
    let mut units = Vec::new();
    for statement in
        [insert(&lab, &record), claim(&lab, &record, "first"), settle(&lab, &claimed(&record, "first"))]
    {
        let call = lab.clients.dynamodb.batch_execute_statement().statements(statement.request);
        let answer = call.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await.unwrap();
        let consumed = answer.consumed_capacity.unwrap_or_default();
        units.extend(consumed.iter().map(|capacity| capacity.capacity_units.unwrap_or_default()));
    }
    assert_eq!(units, [2.0, 1.0, 3.0]);
}
