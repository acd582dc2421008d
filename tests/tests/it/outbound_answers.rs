//! Answers that break off, that are sloppy, that ask for impossible waits, and connections that are lost: what they make of
//! activities, reminders, notifications and log rolling.

use crate::{notifications, rolling};
use chrono::TimeDelta;
use rules::activity::Status;
use rules::names::Channel;
use serde_json::json;
use shared::items::activity::NewActivity;
use shared::tenancy::Verb;
use tests::world::beginning;
use tests::{RawReceiver, Then, World};

/// Successes whose bodies break off, each in another way.
const BROKEN: [(&str, Then); 7] = [
    ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ndone", Then::Close),
    ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ndone", Then::Reset),
    ("HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\ndone", Then::Hang),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\ndone\r\n", Then::Close),
    ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\ndone\r\nzz\r\n", Then::Close),
    ("HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\n64\r\ndone", Then::Reset),
    ("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n", Then::Hang),
];

/// A tenant with a type and an activity for each answer; the receivers, in the same order.
async fn called_with(world: &World, answers: &[(&str, Then)]) -> Vec<RawReceiver> {
    let tenant = world.tenant("acme", 1).await;
    let mut receivers = Vec::new();
    for (number, (text, then)) in answers.iter().enumerate() {
        let receiver = RawReceiver::start([(*text, *then)]).await;
        let uri = format!("{}/{{id}}", receiver.url());
        world.put_type(&tenant, &format!("t{number}"), |t| t.uri_pattern = uri.parse().unwrap()).await;
        let kind = format!("A:t{number}").parse().unwrap();
        let activity = world.activity(&tenant, &format!("a{number}"), TimeDelta::zero());
        world.accept(vec![NewActivity { kind, ..activity }]).await;
        receivers.push(receiver);
    }
    receivers
}

#[tokio::test]
async fn a_success_is_one_whatever_becomes_of_its_body() {
    let world = World::new().await;
    let receivers = called_with(&world, &BROKEN).await;
    world.run(beginning() + TimeDelta::minutes(5)).await;
    let tenant = world.tenant("acme", 1).await;
    for (number, (receiver, (text, then))) in receivers.iter().zip(BROKEN).enumerate() {
        let view = world.get(&tenant, &format!("a{number}")).await;
        assert_eq!(view.record.state.status, Status::Dispatched, "{text} {then:?}: {:?}", view.history);
        let status = text[9..12].parse().ok();
        assert_eq!((view.history.len(), view.history[0].http_status), (1, status), "{text} {then:?}");
        assert_eq!(receiver.requests().len(), 1, "{text} {then:?}");
    }
}

#[tokio::test]
async fn a_failure_keeps_its_status_its_text_and_its_wait() {
    let world = World::new().await;
    let later = "retry-after: 3600\r\ncontent-type: text/plain\r\n";
    let answers = [
        (format!("HTTP/1.1 503 Busy\r\n{later}content-length: 100\r\n\r\nbusy"), Then::Close, 503, 3_600),
        (format!("HTTP/1.1 503 Busy\r\n{later}content-length: 100\r\n\r\nbusy"), Then::Reset, 503, 3_600),
        (format!("HTTP/1.1 429 Slow\r\n{later}content-length: 100\r\n\r\nbusy"), Then::Hang, 429, 3_600),
        (
            format!("HTTP/1.1 429 Slow\r\n{later}transfer-encoding: chunked\r\n\r\n4\r\nbusy\r\nx"),
            Then::Close,
            429,
            3_600,
        ),
        (format!("HTTP/1.1 500 Oops\r\n{later}content-length: 100\r\n\r\nbusy"), Then::Close, 500, 30),
        (format!("HTTP/1.1 404 Gone\r\n{later}\r\nbusy"), Then::Hang, 404, 30),
    ];
    let texts: Vec<_> = answers.iter().map(|(text, then, ..)| (text.as_str(), *then)).collect();
    let _receivers = called_with(&world, &texts).await;
    world.work(&world.worker()).await;
    let tenant = world.tenant("acme", 1).await;
    for (number, (text, then, status, wait)) in answers.iter().enumerate() {
        let view = world.get(&tenant, &format!("a{number}")).await;
        let [entry] = <[_; 1]>::try_from(view.history.clone()).unwrap();
        assert_eq!(
            (entry.outcome.as_str(), entry.http_status),
            ("FAILURE", Some(*status)),
            "{text} {then:?}"
        );
        assert_eq!(entry.detail.as_deref(), Some("busy"), "{text} {then:?}");
        let next = view.next_attempt_at().map(|at| (at - entry.at).num_seconds());
        assert_eq!(next, Some(*wait), "{text} {then:?}");
    }
}

#[tokio::test]
async fn reminders_notifications_and_batches_take_a_broken_success_for_one() {
    for (text, then) in [BROKEN[0], BROKEN[1], BROKEN[2], BROKEN[4]] {
        let world = World::new().await;
        let receiver = RawReceiver::start([(text, then)]).await;
        let patient = world.reminders("clinic").await;
        world
            .configure(&patient, |settings| {
                settings.dialog_service_uri = Some(receiver.url());
                settings.webhook_url = None;
            })
            .await;
        world.remind(world.reminder(&patient, "r", "1", &[0])).await;
        assert_eq!(world.counts().await, (1, 0, 0), "{text} {then:?}");
        assert_eq!(world.outcomes(&patient, "r").await, ["Sent"]);
        assert_eq!(receiver.requests().len(), 1, "{text} {then:?}");

        let tenant = world.tenant("acme", 1).await;
        let mut of = shared::tenancy::NotificationType::new("told".parse().unwrap(), receiver.url(), 3);
        of.rules = serde_json::from_value(json!({})).unwrap();
        let actor = shared::tenancy::Actor::Admin;
        world.ctx.tenancy.put_notification_type(&actor, &tenant, of).await.unwrap();
        let status = notifications::publish(&world, &tenant, "told", "n").await;
        assert_eq!(status, rules::notification::Status::Published, "{text} {then:?}");
        assert_eq!(receiver.requests().len(), 2, "{text} {then:?}");

        rolling::set(&world, &tenant, |rolling| rolling.success_uri = Some(receiver.url())).await;
        rolling::finish(&world, &tenant, ["a".to_owned()]).await;
        world.clock.advance(rolling::DAY);
        let report = rolling::roll(&world).await;
        assert_eq!((report.batches, report.deleted, report.refused), (1, 1, 0), "{text} {then:?}");
        assert_eq!(receiver.requests().len(), 3, "{text} {then:?}");
    }
}

#[tokio::test]
async fn a_provider_is_heard_out_and_its_id_is_what_counts() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n";
    for (channel, text, then, expect) in [
        // The whole answer is there, though its end is not.
        (Channel::Email, r#"{"id":"p1"}"#, Then::Close, Some("p1")),
        (Channel::Sms, r#"{"providerActivityId":"p2"}"#, Then::Reset, Some("p2")),
        (Channel::Push, r#"{"id":"p"#, Then::Close, None),
        (Channel::Whatsapp, "", Then::Reset, None),
    ] {
        let receiver = RawReceiver::start([(format!("{head}{text}"), then)]).await;
        let config =
            shared::tenancy::NewDispatchConfig { base_url: Some(receiver.url()), ..world.yom(channel) };
        world.put_config(&tenant, config).await;
        let id = channel.as_str().to_ascii_lowercase();
        world.accept(vec![world.message(&tenant, channel, &id)]).await;
        world.work(&world.worker()).await;
        let view = world.get(&tenant, &id).await;
        let dispatched = view.record.dispatch.as_ref().map(|dispatch| dispatch.provider_activity_id.as_str());
        assert_eq!(dispatched, expect, "{channel}: {:?}", view.history);
        if expect.is_none() {
            let detail = view.history[0].detail.as_deref().unwrap_or_default();
            assert!(
                detail.starts_with("the answer (200) broke off, so it has neither"),
                "{channel}: {detail}"
            );
            assert_eq!(view.history[0].http_status, Some(200));
        }
    }
}

#[tokio::test]
async fn no_answer_uses_up_the_attempts_faster_than_the_owners_rules() {
    let slow = TimeDelta::minutes(10);
    let date = |at: chrono::DateTime<chrono::Utc>| at.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let clock_is_slow = format!("retry-after: {}\r\n", date(beginning() - slow));
    let both_are = format!(
        "date: {}\r\nretry-after: {}\r\n",
        date(beginning() - slow),
        date(beginning() - slow + TimeDelta::hours(2))
    );
    let fast = format!(
        "date: {}\r\nretry-after: {}\r\n",
        date(beginning() + slow),
        date(beginning() + slow + TimeDelta::hours(2))
    );
    for (asked, rules, expect) in [
        ("retry-after: 0\r\n", json!({}), 30),
        ("retry-after: 0\r\n", json!({"hour": {"retryAfterS": 3600}}), 3_600),
        (&clock_is_slow, json!({}), 30),
        (&clock_is_slow, json!({"hour": {"retryAfterS": 3600}}), 3_600),
        (&both_are, json!({}), 7_200),
        (&fast, json!({"hour": {"retryAfterS": 3600}}), 7_200),
        ("retry-after: 99999999\r\n", json!({}), 86_400),
    ] {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        let text = format!("HTTP/1.1 503 Busy\r\n{asked}content-length: 0\r\n\r\n");
        let receiver = RawReceiver::start([(text, Then::KeepOpen)]).await;
        world
            .put_type(&tenant, "call", |t| {
                t.uri_pattern = receiver.url().parse().unwrap();
                t.reschedule_rules = serde_json::from_value(rules.clone()).unwrap();
            })
            .await;
        let activity = NewActivity { max_attempts: 100, ..world.activity(&tenant, "a", TimeDelta::zero()) };
        world.accept(vec![activity]).await;
        world.work(&world.worker()).await;
        let view = world.get(&tenant, "a").await;
        let wait = view.next_attempt_at().map(|at| (at - beginning()).num_seconds());
        assert_eq!(wait, Some(expect), "{asked} {rules}");
        world.run(beginning() + TimeDelta::minutes(5)).await;
        let view = world.get(&tenant, "a").await;
        let at: Vec<i64> = view.history.iter().map(|entry| (entry.at - beginning()).num_seconds()).collect();
        let expect: Vec<i64> = (0..=300).step_by(usize::try_from(expect).unwrap()).collect();
        assert_eq!(at, expect, "{asked} {rules}");
        assert_eq!(receiver.requests().len(), at.len());
        assert_eq!(view.record.state.status, Status::Ready, "{asked} {rules}");
    }
}

#[tokio::test]
async fn sloppy_answers_are_answers() {
    let world = World::new().await;
    let many: String = (0..120).map(|number| format!("x-{number}: 1\r\n")).collect();
    let answers =
        [many.as_str(), "X-A : 1\r\n", "X-A: 1\r\n  folded\r\n", "PHP Warning: x\r\n", "nonsense\r\n"]
            .map(|sloppy| format!("HTTP/1.1 200 OK\r\n{sloppy}content-length: 2\r\n\r\nok"));
    let texts: Vec<_> = answers.iter().map(|text| (text.as_str(), Then::KeepOpen)).collect();
    let receivers = called_with(&world, &texts).await;
    world.run(beginning() + TimeDelta::minutes(2)).await;
    let tenant = world.tenant("acme", 1).await;
    for (number, receiver) in receivers.iter().enumerate() {
        let view = world.get(&tenant, &format!("a{number}")).await;
        assert_eq!(view.record.state.status, Status::Dispatched, "{}: {:?}", answers[number], view.history);
        assert_eq!(receiver.requests().len(), 1);
    }
}

#[tokio::test]
async fn an_attempt_outlives_a_connection_that_is_lost_in_the_moment_of_its_reuse() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    for lost in [Then::Reset, Then::Close] {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        let receiver = RawReceiver::start([(ok, Then::KeepOpen), ("", lost), (ok, Then::KeepOpen)]).await;
        world.put_type(&tenant, "call", |t| t.uri_pattern = receiver.url().parse().unwrap()).await;
        let worker = world.worker();
        for id in ["a", "b"] {
            let once = NewActivity { max_attempts: 1, ..world.activity(&tenant, id, TimeDelta::zero()) };
            world.accept(vec![once]).await;
            world.work(&worker).await;
            let view = world.get(&tenant, id).await;
            assert_eq!(view.record.state.status, Status::Dispatched, "{id}: {:?}", view.history);
            assert_eq!((view.record.state.attempts, view.history.len()), (1, 1), "{id} is one attempt");
        }
        let requests = receiver.requests();
        assert_eq!(requests.len(), 3);
        assert_eq!(requests[1], requests[2], "the same call with the same key");
        assert!(requests[1].contains("idempotency-key: b:0"), "{}", requests[1]);
    }
    // A connection of its own that is reset is an ordinary failure.
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    let receiver = RawReceiver::start([("", Then::Reset)]).await;
    world.put_type(&tenant, "call", |t| t.uri_pattern = receiver.url().parse().unwrap()).await;
    let once = NewActivity { max_attempts: 1, ..world.activity(&tenant, "a", TimeDelta::zero()) };
    world.accept(vec![once]).await;
    world.work(&world.worker()).await;
    let view = world.get(&tenant, "a").await;
    assert_eq!((view.record.state.status, receiver.requests().len()), (Status::Failed, 1));
}

#[tokio::test]
async fn a_content_type_comes_with_a_body_alone() {
    let world = World::new().await;
    let tenant = world.tenant("acme", 1).await;
    for verb in Verb::ALL {
        let name = verb.as_str().to_ascii_lowercase();
        world.put_type(&tenant, &name, |t| t.verb = verb).await;
        let kind = format!("A:{name}").parse().unwrap();
        let activity = world.activity(&tenant, &name, TimeDelta::zero());
        world.accept(vec![NewActivity { kind, ..activity }]).await;
        // What its owner wants sent is sent.
        let own = format!("own-{name}");
        let headers = vec![("Content-Type".to_owned(), "text/x-own".to_owned())];
        world
            .put_type(&tenant, &own, |t| {
                t.verb = verb;
                t.headers = headers;
            })
            .await;
        let kind = format!("A:{own}").parse().unwrap();
        let activity = world.activity(&tenant, &own, TimeDelta::zero());
        world.accept(vec![NewActivity { kind, ..activity }]).await;
    }
    world.work(&world.worker()).await;
    let arrivals = world.receiver.arrivals();
    assert_eq!(arrivals.len(), 8);
    for arrival in arrivals {
        let types: Vec<_> = arrival.headers.get_all("content-type").iter().collect();
        let has_body = !arrival.body.is_empty();
        assert_eq!(has_body, matches!(arrival.method.as_str(), "POST" | "PUT"));
        match arrival.uri.path().starts_with("/own-") {
            true => assert_eq!(types, ["text/x-own"], "{}", arrival.method),
            false if has_body => assert_eq!(types, ["application/json"], "{}", arrival.method),
            false => {
                assert!(types.is_empty(), "{}: {types:?}", arrival.method);
                assert!(!arrival.headers.contains_key("content-length"), "{}", arrival.method);
            }
        }
    }
}
