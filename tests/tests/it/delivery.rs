//! The main job: due activities are called on time, retried by their rules, and recorded.

use chrono::TimeDelta;
use rules::activity::{Event, Status};
use shared::items::activity::Change;
use shared::tenancy::{Actor, ServerState, Verb};
use tests::steps::{Steps, Stop};
use tests::world::beginning;
use tests::{Reply, World};

#[tokio::test]
async fn an_immediate_one_is_called_once_and_recorded() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
    world.work(&world.worker()).await;

    let [arrival] = <[_; 1]>::try_from(world.receiver.arrivals()).unwrap();
    assert_eq!((arrival.method.as_str(), arrival.uri.path()), ("POST", "/call/a"));
    assert_eq!(arrival.idempotency_key(), "a:0");
    assert_eq!(arrival.headers["content-type"], "application/json");
    assert_eq!(arrival.body, r#"{"id":"a"}"#);
    let secrets = world.ctx.tenancy.signing_secrets(&tenant).await.unwrap().unwrap();
    let webhook = standardwebhooks::Webhook::new(secrets.at(beginning())[0]).unwrap();
    let signature = webhook.sign("a:0", beginning().timestamp(), &arrival.body).unwrap();
    assert_eq!(arrival.headers["webhook-id"], "a:0");
    assert_eq!(arrival.headers["webhook-timestamp"], beginning().timestamp().to_string());
    assert_eq!(arrival.headers["webhook-signature"], signature);

    let view = world.get(&tenant, "a").await;
    assert_eq!(view.record.state.status, Status::Dispatched);
    assert_eq!(view.record.state.executed_at, Some(beginning()));
    assert_eq!(view.next_attempt_at(), None);
    let [entry] = <[_; 1]>::try_from(view.history).unwrap();
    assert_eq!((entry.outcome.as_str(), entry.http_status), ("SUCCESS", Some(200)));
}

#[tokio::test]
async fn one_within_the_horizon_and_one_past_it_arrive_at_their_instants() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let soon = TimeDelta::milliseconds(65_250);
    let far = TimeDelta::hours(30) + TimeDelta::milliseconds(1);
    world.accept(vec![world.activity(&tenant, "soon", soon), world.activity(&tenant, "far", far)]).await;
    assert_eq!(world.queued().delayed, 1, "what lies past the horizon is in the table alone");
    for (id, after) in [("soon", soon), ("far", far)] {
        world.run(beginning() + after - TimeDelta::milliseconds(1)).await;
        assert_eq!(
            world.state(&tenant, id).await.executed_at.map(|at| at - beginning()),
            Some(after),
            "{id}"
        );
    }
    assert_eq!(world.receiver.keys(), ["far:0", "soon:0"]);
}

#[tokio::test]
async fn those_of_one_second_share_a_message_and_are_all_claimed_for_it() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let after = |millis| TimeDelta::seconds(30) + TimeDelta::milliseconds(millis);
    let millis = [0, 1, 500, 999];
    let activities = millis.map(|millis| world.activity(&tenant, &format!("at-{millis}"), after(millis)));
    world.accept(activities.to_vec()).await;
    assert_eq!(world.queued().delayed, 1);
    world.run(beginning() + TimeDelta::seconds(40)).await;
    for millis in millis {
        let state = world.state(&tenant, &format!("at-{millis}")).await;
        // This world's clock jumps to the last one's instant as soon as one waits for it.
        let executed = state.executed_at.map(|at| at - beginning());
        assert!(executed.is_some_and(|at| after(millis) <= at && at <= after(999)), "{millis}: {executed:?}");
    }
}

#[tokio::test]
async fn failures_are_retried_after_thirty_seconds_and_end_as_a_dead_letter() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let body = format!("no {}", "x".repeat(5_000));
    world.receiver.reply([Reply::Status(500, vec![("content-type", "text/plain".into())], body)]);
    world.receiver.reply([Reply::status(404), Reply::status(302)]);
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
    world.run(beginning() + TimeDelta::minutes(5)).await;

    let view = world.get(&tenant, "a").await;
    let state = &view.record.state;
    assert_eq!((state.status, state.attempts, state.max_attempts), (Status::Failed, 3, 3));
    let seen: Vec<_> = view
        .history
        .iter()
        .map(|entry| ((entry.at - beginning()).num_seconds(), entry.outcome.as_str(), entry.http_status))
        .collect();
    assert_eq!(seen, [(0, "FAILURE", Some(500)), (30, "FAILURE", Some(404)), (60, "FAILURE", Some(302))]);
    let detail = view.history[0].detail.as_deref().unwrap();
    assert!(detail.len() <= 1_024 && detail.starts_with("no"), "{detail}");
    assert_eq!(world.receiver.keys(), ["a:0", "a:0", "a:0"]);

    // By hand, it begins anew with its history kept and another key.
    let id = "a".parse().unwrap();
    assert!(matches!(world.ctx.work.change(&tenant, &id, Event::Retry).await, Ok(Change::Applied(_))));
    world.run(beginning() + TimeDelta::minutes(6)).await;
    let view = world.get(&tenant, "a").await;
    assert_eq!((view.record.state.status, view.record.state.run), (Status::Dispatched, 1));
    assert_eq!(view.history.len(), 4);
    assert_eq!(world.receiver.keys()[3], "a:1");
}

#[tokio::test]
async fn rules_and_retry_after_set_the_wait() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let rules = r#"{"late": {"attempt": 2, "retries": 6, "retryAfterS": 7}, "first": {"attempt": 1, "retryAfterS": 90}}"#;
    world.put_type(&tenant, "call", |t| t.reschedule_rules = serde_json::from_str(rules).unwrap()).await;
    let retry_after = |value: &str| vec![("retry-after", value.to_owned())];
    world.receiver.reply([
        Reply::status(500),
        Reply::status(500),
        // Shorter than the wait of the policy, which stays.
        Reply::Status(503, retry_after("11"), String::new()),
        // Only 429 and 503 may ask.
        Reply::Status(500, retry_after("1000"), String::new()),
        Reply::Status(429, retry_after("41"), String::new()),
        Reply::Status(429, retry_after("99999999"), String::new()),
    ]);
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
    world.run(beginning() + TimeDelta::minutes(10)).await;
    let view = world.get(&tenant, "a").await;
    let at: Vec<i64> = view.history.iter().map(|entry| (entry.at - beginning()).num_seconds()).collect();
    assert_eq!(at, [0, 90, 97, 127, 157, 198]);
    assert_eq!(view.record.state.status, Status::Failed, "six executions, as the rule for attempt 2 says");
}

#[tokio::test]
async fn every_way_a_receiver_can_fail_is_a_recorded_attempt() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    // The one wait of the tests that is the machine's own.
    world.put_type(&tenant, "slow", |t| t.timeout_seconds = 1).await;
    world.put_type(&tenant, "gone", |t| t.uri_pattern = "http://127.0.0.1:1/x".parse().unwrap()).await;
    world.put_type(&tenant, "meta", |t| t.uri_pattern = "http://169.254.169.254/x".parse().unwrap()).await;
    world.put_type(&tenant, "nowhere", |t| t.uri_pattern = "http://nowhere.invalid/".parse().unwrap()).await;
    world.receiver.reply([Reply::Hang, Reply::Status(200, Vec::new(), "x".repeat(5_000_000))]);
    for (id, kind, outcome) in [
        ("hang", "A:slow", "TIMEOUT"),
        ("long", "A:call", "SUCCESS"),
        ("gone", "A:gone", "NO_CONNECTION"),
        ("meta", "A:meta", "ADDRESS_REFUSED"),
        ("nowhere", "A:nowhere", "NO_CONNECTION"),
        ("no-type", "A:none", "CONFIGURATION"),
    ] {
        let mut activity = world.activity(&tenant, id, TimeDelta::zero());
        activity.kind = kind.parse().unwrap();
        world.accept(vec![activity]).await;
        world.work(&world.worker()).await;
        let view = world.get(&tenant, id).await;
        assert_eq!(view.history.len(), 1, "{id}");
        assert_eq!(view.history[0].outcome, outcome, "{id}: {:?}", view.history[0].detail);
        assert_eq!(view.history[0].detail.is_some(), outcome != "SUCCESS", "{id}");
        let expect = if outcome == "SUCCESS" { Status::Dispatched } else { Status::Ready };
        assert_eq!(view.record.state.status, expect, "{id}");
    }
}

#[tokio::test]
async fn get_and_delete_carry_no_body_and_large_parameters_arrive_whole() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.put_type(&tenant, "fetch", |t| t.verb = Verb::Get).await;
    let mut get = world.activity(&tenant, "get", TimeDelta::zero());
    get.kind = "A:fetch".parse().unwrap();
    let mut large = world.activity(&tenant, "large", TimeDelta::zero());
    large.parameter = format!(r#"{{"id":"large","x":"{}"}}"#, "y".repeat(100_000));
    let parameter = large.parameter.clone();
    world.accept(vec![get, large]).await;
    world.work(&world.worker()).await;
    for arrival in world.receiver.arrivals() {
        match arrival.method.as_str() {
            "GET" => assert!(arrival.body.is_empty() && arrival.uri.path() == "/fetch/get"),
            _ => assert_eq!(arrival.body, parameter),
        }
    }
    assert_eq!(world.get(&tenant, "large").await.parameter, parameter);
}

#[tokio::test]
async fn paused_nothing_is_sent_and_resumed_everything_at_once() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let other = world.tenant("other", 1).await;
    world
        .accept((0..60).map(|n| world.activity(&tenant, &format!("a{n}"), TimeDelta::seconds(10))).collect())
        .await;
    world.accept(vec![world.activity(&other, "b", TimeDelta::seconds(10))]).await;
    let set = |state| world.ctx.tenancy.set_server_state(&Actor::Admin, &tenant, state, None);
    set(ServerState::Paused).await.unwrap();
    world.run(beginning() + TimeDelta::hours(2)).await;
    assert_eq!(world.receiver.keys(), ["b:0"]);
    assert_eq!(world.state(&tenant, "a0").await.attempts, 0, "nothing counts as an attempt");

    set(ServerState::Running).await.unwrap();
    let report = shared::sweep::resume(&world.ctx, &tenant).await.unwrap();
    assert_eq!(report.enqueued, 60);
    world.work(&world.worker()).await;
    assert_eq!(world.receiver.keys().len(), 61);
}

#[tokio::test]
async fn paused_while_held_it_is_given_back_without_an_attempt() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
    // The worker has looked, so its cache says running; the pause comes while it holds the activity.
    let (steps, clients) = Steps::of(world.embedded.clients(), Stop { call: 3, after: true });
    let worker = world.worker_on(world.process_with(clients));
    let event = world.receive().await;
    let mut handled = std::pin::pin!(worker.handle(event.clone()));
    tokio::select! {
        biased;
        () = steps.stopped() => {}
        _ = &mut handled => panic!("it was to stop at its claim"),
    }
    assert!(world.state(&tenant, "a").await.claim.is_some());
    let set = |state| world.ctx.tenancy.set_server_state(&Actor::Admin, &tenant, state, None);
    set(ServerState::Paused).await.unwrap();
    world.clock.advance(TimeDelta::seconds(4));
    steps.go_on();
    handled.await;
    world.delete(&event).await;
    let state = world.state(&tenant, "a").await;
    assert_eq!((state.status, state.attempts, state.claim), (Status::Ready, 0, None));
    assert!(world.receiver.keys().is_empty());
    set(ServerState::Running).await.unwrap();
    shared::sweep::resume(&world.ctx, &tenant).await.unwrap();
    world.work(&world.worker()).await;
    assert_eq!(world.receiver.keys(), ["a:0"]);
}

#[tokio::test]
async fn what_a_deleted_solution_left_behind_ends_as_a_dead_letter() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let far = TimeDelta::hours(1);
    // Accepted by a process that had not heard of the delete yet.
    world.ctx.tenancy.delete_solution(&Actor::Admin, &tenant).await.unwrap();
    world
        .accept(vec![world.activity(&tenant, "a", TimeDelta::zero()), world.activity(&tenant, "b", far)])
        .await;
    world.run(beginning() + far + TimeDelta::minutes(10)).await;
    for id in ["a", "b"] {
        let view = world.get(&tenant, id).await;
        assert_eq!(view.record.state.status, Status::Failed, "{id}");
        assert!(view.history.iter().all(|entry| entry.outcome == "CONFIGURATION"), "{:?}", view.history);
    }
    assert!(world.receiver.keys().is_empty());
}

#[tokio::test]
async fn an_activity_is_called_by_no_older_type_than_it_was_judged_by() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let worker = world.worker();
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
    world.work(&worker).await;
    // The worker has the old type in its cache.
    world.clock.advance(TimeDelta::seconds(1));
    let uri = format!("{}/new/{{id}}", world.receiver.url());
    world.put_type(&tenant, "call", |t| t.uri_pattern = uri.parse().unwrap()).await;
    let changed = world.ctx.tenancy.activity_type(&tenant, &"call".parse().unwrap()).await.unwrap().unwrap();
    let mut activity = world.activity(&tenant, "b", TimeDelta::zero());
    activity.type_changed_at = Some(changed.meta.updated_at);
    world.accept(vec![activity]).await;
    world.work(&worker).await;
    assert_eq!(world.receiver.arrivals()[1].uri.path(), "/new/b");
}
