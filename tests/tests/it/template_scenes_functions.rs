//! The scenes of the functions that no request starts. Each is also stopped after each of its service calls, so that
//! it is seen where it finds what a lost one left.

use crate::notifications::{event as resender_event, publish, put_type};
use crate::template_scenes::{CALLS_MAX, Stage};
use crate::{template_scenes_removals, template_scenes_unreadable};
use chrono::TimeDelta;
use delivery_worker::Worker;
use dispatch_sweep::Sweeper;
use lambda_runtime::LambdaEvent;
use local::embedded::TEST_ADMIN_KEY;
use log_roller::{LogRoller, RollEvent};
use notification_resender::{Resender, ResenderSettings};
use recurring_expander::Expander;
use reminder_sender::{Sender, SenderSettings};
use rules::names::{Channel, Tenant};
use rules::recurring::CatchUp;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::context::Context;
use shared::items::activity::NewActivity;
use shared::tenancy::{Actor, Rolling, ServerState};
use std::sync::Arc;
use tests::recurring::{event as expander_event, spec};
use tests::steps::{Steps, Stop};
use tests::{Receiver, Reply};

const SWEEP: &str = "dispatch-sweep";
const WORKER: &str = "delivery-worker";
const SENDER: &str = "reminder-sender";
const EXPANDER: &str = "recurring-expander";
const RESENDER: &str = "notification-resender";
const ROLLER: &str = "log-roller";

/// Everything.
pub async fn play(stage: &Stage) {
    Box::pin(sweeps(stage)).await;
    Box::pin(deliveries(stage)).await;
    Box::pin(dispatches(stage)).await;
    Box::pin(reminders(stage)).await;
    Box::pin(expansions(stage)).await;
    Box::pin(resends(stage)).await;
    Box::pin(rolling(stage)).await;
    Box::pin(template_scenes_removals::play(stage)).await;
    Box::pin(template_scenes_unreadable::play(stage)).await;
}

/// Runs `act` until it is done, or stopped; whether it was stopped.
async fn until_stopped(steps: &Arc<Steps>, act: impl Future) -> bool {
    tokio::select! {
        biased;
        () = steps.stopped() => true,
        _ = act => false,
    }
}

/// Processes of a function, each stopped after one call more than the one before; after each, `next`.
async fn stopped_at_each_call(
    stage: &Stage,
    function: &'static str,
    mut before: impl AsyncFnMut(usize),
    mut act: impl AsyncFnMut(Context),
    mut after: impl AsyncFnMut(),
) {
    // The roller asks for the same of each solution and shard: a stop in each stretch of its calls has them all.
    let stride = if function == ROLLER { 9 } else { 1 };
    for call in (0..CALLS_MAX * stride).step_by(stride) {
        before(call).await;
        let (process, steps) = stage.stopping(function, Stop { call, after: true });
        let stopped = until_stopped(&steps, act(process)).await;
        after().await;
        if !stopped {
            return;
        }
    }
    panic!("{function} never ends");
}

fn sweeper(stage: &Stage) -> Sweeper {
    Sweeper::new(stage.process(SWEEP), stage.metrics(SWEEP))
}

async fn sweeps(stage: &Stage) {
    let world = &stage.world;
    let tenant = world.tenant("swept", 1).await;
    world.accept(vec![world.activity(&tenant, "later", TimeDelta::minutes(20))]).await;
    let tick = || serde_json::from_str(include_str!("../../../events/dispatch-sweep/schedule.json")).unwrap();
    let requeue =
        serde_json::from_str(include_str!("../../../events/dispatch-sweep/requeue-all.json")).unwrap();
    sweeper(stage).handle(tick()).await.unwrap();
    world.clock.advance(TimeDelta::minutes(10));
    sweeper(stage).handle(tick()).await.unwrap();
    sweeper(stage).handle(requeue).await.unwrap();
    world.work(&world.worker()).await;
}

pub fn worker(stage: &Stage) -> Worker {
    Worker::new(stage.process(WORKER), stage.http.clone(), stage.metrics(WORKER))
}

/// With a parameter too long for the item.
fn large(mut activity: NewActivity) -> NewActivity {
    activity.parameter = json!({"id": activity.id.as_str(), "text": "x".repeat(5_000)}).to_string();
    activity
}

async fn deliveries(stage: &Stage) {
    let world = &stage.world;
    let tenant = world.tenant("delivered", 1).await;
    let now = TimeDelta::zero();
    world.accept(vec![world.activity(&tenant, "small", now)]).await;
    world.work(&worker(stage)).await;
    world.accept(vec![large(world.activity(&tenant, "large", now))]).await;
    world.receiver.reply((0..3).map(|_| Reply::status(500)));
    for _ in 0..4 {
        world.work(&worker(stage)).await;
        world.clock.advance(TimeDelta::seconds(31));
    }
    // Stopped anywhere: who comes after finds the claim in hand, and once its lease is over, lost.
    let before = async |call: usize| {
        world.accept(vec![large(world.activity(&tenant, &format!("stopped-{call}"), now))]).await;
    };
    let act = async |process: Context| {
        let worker = Worker::new(process, stage.http.clone(), stage.metrics(WORKER));
        let event = world.receive().await;
        worker.handle(event.clone()).await;
        world.delete(&event).await;
    };
    let after = async || {
        world.sweep_with(serde_json::from_value(json!({"requeue": "all"})).unwrap()).await;
        for _ in 0..3 {
            world.work(&worker(stage)).await;
            world.clock.advance(TimeDelta::minutes(2));
        }
    };
    stopped_at_each_call(stage, WORKER, before, act, after).await;
    // A pause is looked at afresh.
    world.accept(vec![world.activity(&tenant, "paused", TimeDelta::seconds(30))]).await;
    let set = |state| world.ctx.tenancy.set_server_state(&Actor::Admin, &tenant, state, None);
    set(ServerState::Paused).await.unwrap();
    world.clock.advance(TimeDelta::minutes(1));
    world.work(&worker(stage)).await;
}

async fn dispatches(stage: &Stage) {
    let world = &stage.world;
    let tenant = world.tenant("dispatched", 1).await;
    world.put_config(&tenant, world.yom(Channel::Email)).await;
    let results = "/v1/companies/dispatched/solutions/main/activity-results";
    let report =
        |by: &str, id: &str| json!({by: id, "occurredAt": "2027-01-15T08:00:00Z", "status": "COMPLETED"});
    stage.call("POST", results, Some(report("providerActivityId", "p-early")), 201).await;
    stage.call("POST", results, Some(report("activityId", "early")), 201).await;
    for (id, provider_id) in [("by-provider", "p-early"), ("early", "p-2"), ("none", "p-3")] {
        world.accept(vec![world.message(&tenant, Channel::Email, id)]).await;
        world.receiver.reply([Reply::taken(provider_id)]);
        world.work(&worker(stage)).await;
    }
}

pub fn sender_on(stage: &Stage, process: Context) -> Sender {
    let variables = stage.world.embedded.settings(SENDER);
    let settings = SenderSettings::read(&|name| variables.get(name).cloned()).unwrap();
    Sender::new(process, stage.http.clone(), stage.metrics(SENDER), settings)
}

/// An answer too long for the item of the webhook that tells of it.
fn long_refusal() -> Reply {
    Reply::Status(500, vec![("content-type", "text/plain".into())], "no ".repeat(300))
}

async fn reminders(stage: &Stage) {
    let world = &stage.world;
    let configuration = json!({
        "notificationKey": "k", "accountCode": "a", "dialogServiceUri": world.receiver.url(), "webhookUrl": world.hooks.url(),
    });
    let path = "/api/reminder/configuration/acme/shop";
    let made = stage.call("PUT", path, Some(configuration), 201).await;
    let primary = made.json["primaryKey"].as_str().unwrap().to_owned();
    let tenant = Tenant { company: "acme".parse().unwrap(), solution: "shop".parse().unwrap() };
    let minute = TimeDelta::minutes(1);
    let run = async |process| sender_on(stage, process).run(world.clock.now() + minute * 15).await.unwrap();

    world.remind(world.reminder(&tenant, "told", "1", &[0])).await;
    world.receiver.reply([long_refusal()]);
    for _ in 0..2 {
        run(stage.process(SENDER)).await;
        world.clock.advance(minute);
    }
    // One whose webhook is there already.
    let taken = world.activity(&tenant, "reminder-webhook:known:1", TimeDelta::days(1));
    world.accept(vec![taken]).await;
    world.remind(world.reminder(&tenant, "known", "2", &[0])).await;
    run(stage.process(SENDER)).await;
    world.clock.advance(minute);
    let before = async |call: usize| {
        let id = format!("stopped-{call}");
        world.remind(world.reminder(&tenant, &id, &id, &[0])).await;
        world.receiver.reply([long_refusal()]);
    };
    let act = async |process| {
        run(process).await;
    };
    let after = async || {
        // The lock of the lost one holds for ten minutes.
        world.clock.advance(minute * 11);
        for _ in 0..2 {
            run(stage.process(SENDER)).await;
            world.clock.advance(minute);
        }
    };
    stopped_at_each_call(stage, SENDER, before, act, after).await;
    world.remind(world.reminder(&tenant, "exhausted", "3", &[0])).await;
    for _ in 0..5 {
        world.receiver.reply([long_refusal()]);
        run(stage.process(SENDER)).await;
        world.clock.advance(minute);
    }

    // Over HTTP: the schedule's work, and one by hand, opened by the admin's key or the configuration's secret.
    world.remind(world.reminder(&tenant, "visit-1", "7", &[60, 120, 180])).await;
    let sample = include_str!("../../../events/reminder-sender/send.json");
    let sample = sample.replace("sample-admin-key-for-local-use", TEST_ADMIN_KEY);
    let mut by_secret: Value = serde_json::from_str(&sample).unwrap();
    by_secret["headers"].as_object_mut().unwrap().clear();
    let query = by_secret["rawQueryString"].as_str().unwrap();
    by_secret["rawQueryString"] = json!(format!("{query}&secret={primary}"));
    let pending = include_str!("../../../events/reminder-sender/pending-send.json");
    let pending = pending.replace("sample-processor-secret", local::embedded::TEST_PROCESSOR_SECRET);
    for event in [serde_json::from_str(&sample).unwrap(), by_secret, serde_json::from_str(&pending).unwrap()]
    {
        let sender = sender_on(stage, stage.process(SENDER));
        let answer = sender.invoke(LambdaEvent::new(event, Default::default())).await.unwrap();
        assert_eq!(answer["statusCode"], 200, "{answer}");
    }
}

async fn expansions(stage: &Stage) {
    let world = &stage.world;
    let tenant = world.tenant("recurring", 1).await;
    let expander = || Expander::new(stage.process(EXPANDER)).with_metrics(stage.metrics(EXPANDER));
    let mut none = spec("* * * * *");
    none.catch_up = CatchUp::None;
    world.put_rule(&tenant, "none", none).await;
    let parameter = json!({"id": "x", "text": "x".repeat(5_000)}).to_string();
    let put = shared::recurring::put;
    let name = "large".parse().unwrap();
    put(&world.process(), &Actor::Admin, &tenant, &name, spec("* * * * *"), parameter).await.unwrap();
    for _ in 0..2 {
        world.clock.advance(TimeDelta::minutes(10));
        expander().handle(expander_event()).await.unwrap();
    }
    for name in ["large", "none"] {
        world.set_rule_state(&tenant, name, ServerState::Paused).await;
    }
    for name in ["large", "none"] {
        pauses_meanwhile(stage, &tenant, name).await;
    }
}

/// Paused while an expander is at it, which then takes back what it made ahead.
async fn pauses_meanwhile(stage: &Stage, tenant: &Tenant, rule: &str) {
    let world = &stage.world;
    for call in 0..CALLS_MAX {
        world.set_rule_state(tenant, rule, ServerState::Running).await;
        world.clock.advance(TimeDelta::minutes(5));
        let (process, steps) = stage.stopping(EXPANDER, Stop { call, after: true });
        let expander = Expander::new(process);
        let mut run = std::pin::pin!(expander.handle(expander_event()));
        if !until_stopped(&steps, &mut run).await {
            return;
        }
        world.set_rule_state(tenant, rule, ServerState::Paused).await;
        steps.go_on();
        run.await.unwrap();
    }
    panic!("an expansion never ends");
}

async fn resends(stage: &Stage) {
    let world = &stage.world;
    let tenant = world.tenant("notified", 1).await;
    put_type(world, &tenant, "box", 3, json!({})).await;
    let fail = |count| world.receiver.reply((0..count).map(|_| Reply::status(500)));
    let cycle = async |process| {
        let settings = ResenderSettings::read(&|_| None).unwrap();
        Resender::new(process, stage.http.clone(), stage.metrics(RESENDER), settings)
            .handle(resender_event())
            .await
            .unwrap();
    };
    fail(2);
    publish(world, &tenant, "box", "again").await;
    for _ in 0..2 {
        world.clock.advance(TimeDelta::minutes(11));
        cycle(stage.process(RESENDER)).await;
    }
    put_type(world, &tenant, "last", 1, json!({})).await;
    fail(3);
    publish(world, &tenant, "last", "given-up").await;
    for _ in 0..3 {
        world.clock.advance(TimeDelta::minutes(20));
        cycle(stage.process(RESENDER)).await;
    }
    let before = async |call: usize| {
        fail(2);
        publish(world, &tenant, "box", &format!("stopped-{call}")).await;
        world.clock.advance(TimeDelta::minutes(11));
    };
    let after = async || {
        world.clock.advance(TimeDelta::minutes(20));
        cycle(stage.process(RESENDER)).await;
    };
    stopped_at_each_call(stage, RESENDER, before, cycle, after).await;
}

async fn rolling(stage: &Stage) {
    let world = &stage.world;
    let tenant = world.tenant("rolled", 1).await;
    let logs = Receiver::start().await;
    let set = async |uri: Option<String>| {
        let rolling = Rolling {
            success_uri: uri.clone(),
            success_period_days: "1".parse().ok(),
            dead_letter_uri: uri,
            dead_letter_period_days: "1".parse().ok(),
        };
        world.ctx.tenancy.put_solution(&Actor::Admin, &tenant, 1, rolling).await.unwrap();
    };
    world.put_config(&tenant, world.yom(Channel::Email)).await;
    // A success at once, one after a failure, a dead letter, and one that a provider knows.
    let finish = async |name: &str| {
        let now = TimeDelta::zero();
        let worker = world.worker();
        world.accept(vec![world.activity(&tenant, &format!("{name}-at-once"), now)]).await;
        world.work(&worker).await;
        world.accept(vec![world.message(&tenant, Channel::Email, &format!("{name}-known"))]).await;
        world.receiver.reply([Reply::taken(&format!("p-{name}"))]);
        world.work(&worker).await;
        world.accept(vec![large(world.activity(&tenant, &format!("{name}-dead"), now))]).await;
        world.receiver.reply((0..3).map(|_| Reply::status(500)));
        for _ in 0..3 {
            world.work(&worker).await;
            world.clock.advance(TimeDelta::seconds(31));
        }
        world.clock.advance(TimeDelta::days(2));
    };
    let roll = async |process: Context, event: &str| {
        let event: RollEvent = serde_json::from_str(event).unwrap();
        LogRoller::new(process, stage.http.clone())
            .with_metrics(stage.metrics(ROLLER))
            .handle(event)
            .await
            .unwrap();
    };
    let daily = include_str!("../../../events/log-roller/schedule.json");
    let go_on = include_str!("../../../events/log-roller/continue.json");
    set(Some(logs.url())).await;
    finish("refused").await;
    logs.reply([Reply::status(500), Reply::status(500)]);
    for event in [daily, go_on, daily] {
        roll(stage.process(ROLLER), event).await;
    }
    set(None).await;
    finish("kept").await;
    roll(stage.process(ROLLER), daily).await;
    set(Some(logs.url())).await;
    let before = async |call: usize| {
        world.accept(vec![world.activity(&tenant, &format!("stopped-{call}"), TimeDelta::zero())]).await;
        world.work(&world.worker()).await;
        world.clock.advance(TimeDelta::days(2));
    };
    let act = async |process| roll(process, daily).await;
    let after = async || {
        world.clock.advance(TimeDelta::hours(1));
        roll(stage.process(ROLLER), daily).await;
    };
    stopped_at_each_call(stage, ROLLER, before, act, after).await;
}
