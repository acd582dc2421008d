//! A company whose receivers hang holds its share of the workers and no more (ARCHITECTURE.md, "Isolation").

use crate::fairness::Receivers;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use chrono::TimeDelta;
use delivery_worker::Worker;
use local::runner::{QueueHandler, instances};
use reminder_sender::{Sender, SenderSettings};
use rules::activity::{State, Status};
use rules::names::Tenant;
use rules::slots::{GRACE, RENEWAL, REST_MAX, Shares};
use shared::clock::Clock;
use shared::context::Context;
use shared::queue::DueMessage;
use shared::slots::{Slots, Taken};
use shared::table::{attr, keys};
use shared::telemetry::Metrics;
use std::sync::Arc;
use tests::World;
use tests::steps::{Steps, Stop};
use tests::world::beginning;
use tokio::task::JoinHandle;

/// Two workers for each company, of which it may hold one for long.
const TWO: Shares = Shares { base: 1, burst: 2 };
pub const ONE: Shares = Shares { base: 1, burst: 1 };
/// Longer than the time limit of every call here.
const TIME_OUT: TimeDelta = TimeDelta::seconds(120);

/// A world in which `slow`'s receiver hangs.
struct Fleet {
    world: World,
    receivers: Receivers,
    shares: Shares,
    slow: Tenant,
    quick: Tenant,
}

impl Fleet {
    async fn new(shares: Shares) -> Self {
        let world = World::new().await;
        let receivers = Receivers::default();
        receivers.hang("/slow/");
        let slow = company(&world, "slow").await;
        let quick = company(&world, "quick").await;
        Self { world, receivers, shares, slow, quick }
    }

    /// An activity with a message of its own.
    async fn give(&self, tenant: &Tenant, id: &str) {
        self.world.accept(vec![self.world.activity(tenant, id, TimeDelta::zero())]).await;
    }

    fn worker_on(&self, ctx: Context) -> Worker {
        Worker::new(ctx, self.receivers.outbound(), Metrics::off()).with_shares(Some(self.shares))
    }

    /// A worker in a process of its own.
    fn worker(&self) -> Worker {
        self.worker_on(self.world.process())
    }

    /// A worker takes a message, and hangs.
    async fn hangs(&self) -> JoinHandle<SqsBatchResponse> {
        let (worker, event) = (self.worker(), self.world.receive_up_to(1).await);
        let hanging = self.receivers.hanging();
        let begun = tokio::spawn(async move { worker.handle(event).await });
        self.receivers.hang_at_least(hanging + 1).await;
        begun
    }

    /// A worker takes all messages there are and is done with them at once.
    async fn handles(&self) -> SqsEvent {
        let (worker, event) = (self.worker(), self.world.receive().await);
        assert!(!event.records.is_empty());
        let response = worker.handle(event.clone()).await;
        assert!(response.batch_item_failures.is_empty(), "{response:?}");
        self.world.delete(&event).await;
        event
    }

    /// The receivers answer what they held, as time-outs.
    async fn time_out(&self, begun: Vec<JoinHandle<SqsBatchResponse>>) {
        self.receivers.let_go();
        for handle in begun {
            assert!(handle.await.unwrap().batch_item_failures.is_empty());
        }
    }

    async fn state(&self, tenant: &Tenant, id: &str) -> State {
        self.world.state(tenant, id).await
    }

    /// Lets all that waits be delivered.
    async fn recover(&self) {
        self.receivers.hang("nobody");
        for _ in 0..60 {
            self.world.clock.advance(TimeDelta::seconds(15));
            self.world.work(&self.worker()).await;
        }
    }

    /// Lets `time` pass while calls hang, with every renewal on the way.
    async fn pass(&self, time: TimeDelta, slots: usize) {
        let end = self.world.clock.now() + time;
        while self.world.clock.now() < end {
            self.world.clock.advance(RENEWAL - TimeDelta::seconds(1));
            while self.leases().await < slots {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Slots whose lease does not have to be renewed within a second.
    async fn leases(&self) -> usize {
        let now = (self.world.clock.now() + TimeDelta::seconds(1)).timestamp_millis();
        let items = self.world.dump().await;
        let is_slot =
            |item: &&shared::engine::attributes::Item| item[attr::PK].as_s().unwrap().starts_with("W#");
        let until = |item: &shared::engine::attributes::Item| {
            item[attr::LEASE].as_n().unwrap().parse::<i64>().unwrap()
        };
        items.iter().filter(is_slot).filter(|item| until(item) >= now).count()
    }
}

async fn company(world: &World, name: &str) -> Tenant {
    let tenant = world.tenant(name, 1).await;
    let uri = format!("http://127.0.0.1:9/{name}/{{id}}");
    world.put_type(&tenant, "call", |of| of.uri_pattern = uri.parse().unwrap()).await;
    tenant
}

/// Six messages of the one before the other's: two workers hang, and the others are there.
#[tokio::test]
async fn a_company_whose_receiver_hangs_leaves_the_workers_to_others() {
    let fleet = Fleet::new(TWO).await;
    for n in 0..6 {
        fleet.give(&fleet.slow, &format!("s{n}")).await;
    }
    let begun = vec![fleet.hangs().await, fleet.hangs().await];
    fleet.give(&fleet.quick, "q").await;
    let now = fleet.world.clock.now();
    let event = fleet.handles().await;
    assert_eq!(event.records.len(), 5, "with four of the hanging company's before it");
    let quick = fleet.state(&fleet.quick, "q").await;
    assert_eq!((quick.status, quick.executed_at), (Status::Dispatched, Some(now)));
    assert_eq!(fleet.receivers.called("/slow/"), 2);
    let mut waiting = 0;
    for n in 0..6 {
        let state = fleet.state(&fleet.slow, &format!("s{n}")).await;
        waiting += usize::from(state.attempts == 0 && state.claim.is_none() && state.status == Status::Ready);
    }
    assert_eq!(waiting, 4, "nothing is claimed, and no attempt counts");
    assert_eq!(fleet.world.queued().delayed, 4, "and their messages come again");
    fleet.time_out(begun).await;
    fleet.recover().await;
    for n in 0..6 {
        let view = fleet.world.get(&fleet.slow, &format!("s{n}")).await;
        assert_eq!(view.record.state.status, Status::Dispatched, "{n}");
        assert_eq!(view.record.state.attempts as usize, view.history.len(), "{n}");
    }
    assert_eq!(fleet.receivers.called("/slow/"), 8, "two timed out, and all six were called");
}

/// Held for its time limit, a slot beyond the base share rests; the base share goes on.
#[tokio::test]
async fn a_company_that_held_its_workers_for_long_is_left_with_its_base_share() {
    let fleet = Fleet::new(TWO).await;
    for n in 0..6 {
        fleet.give(&fleet.slow, &format!("s{n}")).await;
    }
    let begun = vec![fleet.hangs().await, fleet.hangs().await];
    fleet.pass(TIME_OUT, 2).await;
    assert_eq!(fleet.receivers.called("/slow/"), 2, "renewed for as long as they hang");
    fleet.time_out(begun).await;
    // The leases of those that were in use end.
    fleet.world.clock.advance(RENEWAL);
    let begun = vec![fleet.hangs().await];
    fleet.handles().await;
    assert_eq!(fleet.receivers.called("/slow/"), 3, "one of two");
    fleet.time_out(begun).await;
    fleet.world.clock.advance(REST_MAX);
    let begun = vec![fleet.hangs().await, fleet.hangs().await];
    fleet.time_out(begun).await;
}

/// Nobody gives back the slot of a process that died, and nobody has to.
#[tokio::test]
async fn the_slot_of_a_worker_that_was_killed_is_free_after_its_lease() {
    let fleet = Fleet::new(ONE).await;
    for n in 0..3 {
        fleet.give(&fleet.slow, &format!("s{n}")).await;
    }
    let begun = fleet.hangs().await;
    begun.abort();
    assert!(begun.await.unwrap_err().is_cancelled());
    fleet.handles().await;
    assert_eq!(fleet.receivers.called("/slow/"), 1);
    fleet.world.clock.advance(GRACE);
    let begun = fleet.hangs().await;
    assert_eq!(fleet.receivers.called("/slow/"), 2);
    fleet.time_out(vec![begun]).await;
}

/// What a slot costs: a write for the calls of a message, none within its lease, one for a whole invocation.
#[tokio::test]
async fn a_slot_costs_one_write_for_quick_calls_and_none_within_its_lease() {
    let fleet = Fleet::new(Shares { base: 5, burst: 25 }).await;
    let (steps, clients) = Steps::of(fleet.world.embedded.clients(), Stop::NEVER);
    let worker = fleet.worker_on(fleet.world.process_with(clients));
    let asked = |what: &str| {
        let of = |asked: &&tests::steps::Asked| asked.target.ends_with(what);
        steps.asked().iter().filter(of).count()
    };
    for (id, wait, writes) in [("a", 0, 1), ("b", 0, 1), ("c", 2, 2)] {
        fleet.world.clock.advance(TimeDelta::seconds(wait));
        fleet.give(&fleet.quick, id).await;
        fleet.world.work(&worker).await;
        assert_eq!(fleet.state(&fleet.quick, id).await.status, Status::Dispatched);
        assert_eq!((asked(".UpdateItem"), asked(".Query")), (writes, 0), "{id}");
    }
    fleet.world.clock.advance(TimeDelta::seconds(2));
    let many = (0..250).map(|n| fleet.world.activity(&fleet.quick, &format!("m{n}"), TimeDelta::zero()));
    fleet.world.accept(many.collect()).await;
    assert_eq!(fleet.world.work(&worker).await, 10);
    assert_eq!((asked(".UpdateItem"), asked(".Query")), (3, 0));
}

/// Isolation is no reason not to deliver.
#[tokio::test]
async fn without_a_table_for_slots_calls_are_made() {
    let fleet = Fleet::new(ONE).await;
    let ctx = fleet.world.process();
    let (dynamodb, clock) = (fleet.world.embedded.clients().dynamodb.clone(), fleet.world.clock.clone());
    let slots = Arc::new(Slots::new(dynamodb, "gone".to_owned(), clock, fleet.world.entropy.clone()));
    fleet.give(&fleet.quick, "q").await;
    fleet.world.work(&fleet.worker_on(Context { slots, ..ctx })).await;
    assert_eq!(fleet.state(&fleet.quick, "q").await.status, Status::Dispatched);
}

/// The recovery pass enqueues what is overdue again and again; what waits for a slot must not pile up by that.
#[tokio::test]
async fn a_message_that_has_waited_past_a_recovery_is_left_to_it() {
    let fleet = Fleet::new(ONE).await;
    fleet.give(&fleet.slow, "held").await;
    fleet.give(&fleet.slow, "s").await;
    let begun = vec![fleet.hangs().await];
    for minute in 0..9 {
        let event = fleet.handles().await;
        let (message, _) = DueMessage::parse(event.records[0].body.as_deref().unwrap()).unwrap();
        assert_eq!(message.waiting_since.is_some(), minute > 0);
        assert_eq!(fleet.world.queued().visible + fleet.world.queued().delayed, usize::from(minute < 3));
        if minute == 3 {
            break;
        }
        fleet.pass(TimeDelta::minutes(1), 1).await;
    }
    let recovered = fleet.world.sweep().await.recovered;
    assert!(recovered >= 1, "{recovered}");
    fleet.time_out(begun).await;
    fleet.recover().await;
    assert_eq!(fleet.state(&fleet.slow, "s").await.status, Status::Dispatched);
}

/// A worker without a slot, killed before and after each of its service calls.
#[tokio::test]
async fn a_worker_that_is_killed_while_it_sends_messages_back_loses_nothing() {
    let mut reached = 0;
    for stop in Stop::all(20) {
        let world = World::new().await;
        let tenant = world.tenant("acme", 1).await;
        world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
        let name = keys::worker_slots(&tenant.company);
        let held = world.ctx.slots.take(&name, ONE, beginning()).await.unwrap();
        assert!(matches!(held, Taken::Held(_)));
        let (steps, clients) = Steps::of(world.embedded.clients(), stop);
        let worker = world.worker_on(world.process_with(clients)).with_shares(Some(ONE));
        let event = world.receive().await;
        let killed = tokio::select! {
            biased;
            () = steps.stopped() => true,
            _ = worker.handle(event.clone()) => false,
        };
        assert_eq!(world.state(&tenant, "a").await.attempts, 0, "{stop:?}");
        if killed {
            reached += 1;
        } else {
            world.delete(&event).await;
        }
        world.run(beginning() + TimeDelta::minutes(20)).await;
        let state = world.state(&tenant, "a").await;
        assert_eq!((state.status, state.attempts), (Status::Dispatched, 1), "{stop:?}");
        assert_eq!(world.receiver.keys(), ["a:0"], "{stop:?}");
        if !killed && !stop.after {
            break;
        }
    }
    assert!(reached >= 6, "the try, the look and the message: {reached}");
}

/// Thirty reminders whose Dialog service hangs hold every place; another company's comes due, and is sent.
#[tokio::test]
async fn a_company_whose_dialog_service_hangs_delays_nobody_elses_reminder() {
    let world = World::new().await;
    let receivers = Receivers::default();
    receivers.hang("/slow/");
    let [slow, quick] = [world.reminders("slow").await, world.reminders("quick").await];
    for tenant in [&slow, &quick] {
        let uri = format!("http://127.0.0.1:9/{}", tenant.company);
        world.configure(tenant, |settings| settings.dialog_service_uri = Some(uri)).await;
    }
    for n in 0..30 {
        world.remind(world.reminder(&slow, &format!("s{n}"), &format!("{n:09}"), &[0])).await;
    }
    world.remind(world.reminder(&quick, "q", "1", &[1])).await;
    let variables = world.embedded.settings("reminder-sender");
    let settings = SenderSettings::read(&|name| variables.get(name).cloned()).unwrap();
    let sender = Sender::new(world.process(), receivers.outbound(), Metrics::off(), settings);
    let until = world.clock.now() + TimeDelta::minutes(15);
    let run = tokio::spawn(async move { sender.run(until).await });
    receivers.hang_at_least(10).await;
    world.clock.advance(TimeDelta::minutes(1));
    while receivers.called("/quick/") == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(receivers.hanging(), 10, "the other company's places, all held");
    receivers.hang("nobody");
    receivers.let_go();
    let report = run.await.unwrap().unwrap().unwrap();
    assert_eq!((report.sent, report.failed), (31, 10), "ten were sent again: {report:?}");
}

/// In local mode each invocation at a time has an instance, and instances hold slots of their own.
#[tokio::test]
async fn local_modes_invocations_hold_slots_of_their_own() {
    let fleet = Fleet::new(ONE).await;
    let handler: QueueHandler = instances(fleet.worker());
    for n in 0..2 {
        fleet.give(&fleet.slow, &format!("s{n}")).await;
    }
    let begun = tokio::spawn(handler(fleet.world.receive_up_to(1).await));
    fleet.receivers.hang_at_least(1).await;
    let event = fleet.world.receive().await;
    assert!(handler(event.clone()).await.batch_item_failures.is_empty());
    assert_eq!((event.records.len(), fleet.receivers.called("/slow/")), (1, 1));
    assert_eq!(fleet.world.queued().delayed, 1);
    fleet.time_out(vec![begun]).await;
}
