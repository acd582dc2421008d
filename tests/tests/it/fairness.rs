//! One tenant's receivers fail or hang, and another's work goes on (SPEC §7, §8, §9.6).

use crate::notifications::{FIVE_MINUTES, event, get, put_type};
use bytes::Bytes;
use chrono::TimeDelta;
use http::{HeaderMap, StatusCode};
use notification_resender::{ResendReport, Resender, ResenderSettings, SOLUTIONS_IN_FLIGHT};
use rules::names::Tenant;
use rules::notification::Status;
use serde_json::json;
use shared::items::notification::NewNotification;
use shared::outbound::{Answer, BodyEnd, Outbound, OutboundRequest, SendError};
use shared::publisher::Publisher;
use shared::telemetry::Metrics;
use shared::tenancy::{Actor, Company, NotificationType, Rolling};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tests::World;
use tokio::sync::Notify;

/// Receivers without a network: whose URL names a text hang until time goes on, or fail; all others answer 200.
#[derive(Clone, Default)]
pub struct Receivers(Arc<Inner>);

#[derive(Default)]
struct Inner {
    hangs: Mutex<Option<&'static str>>,
    fails: Mutex<Option<&'static str>>,
    /// URL and key of each call, in order.
    calls: Mutex<Vec<(String, String)>>,
    hanging: Mutex<usize>,
    changed: Notify,
    let_go: Notify,
}

impl Receivers {
    pub fn outbound(&self) -> Outbound {
        let inner = self.0.clone();
        let carrier = move |request: OutboundRequest| {
            let inner = inner.clone();
            Box::pin(async move { inner.answer(request).await }) as futures::future::BoxFuture<_>
        };
        Outbound::carried(vec!["127.0.0.0/8".parse().unwrap()], Arc::new(carrier))
    }

    pub fn fail(&self, text: &'static str) {
        *self.0.fails.lock().unwrap() = Some(text);
    }

    pub fn hang(&self, text: &'static str) {
        *self.0.hangs.lock().unwrap() = Some(text);
    }

    /// Calls that hang.
    pub fn hanging(&self) -> usize {
        *self.0.hanging.lock().unwrap()
    }

    /// Resolves once so many calls hang.
    pub async fn hang_at_least(&self, count: usize) {
        loop {
            let changed = self.0.changed.notified();
            if self.hanging() >= count {
                return;
            }
            changed.await;
        }
    }

    /// Ends all calls that hang, as time-outs.
    pub fn let_go(&self) {
        *self.0.hanging.lock().unwrap() = 0;
        self.0.let_go.notify_waiters();
    }

    pub fn forget(&self) {
        self.0.calls.lock().unwrap().clear();
    }

    pub fn calls(&self) -> Vec<(String, String)> {
        self.0.calls.lock().unwrap().clone()
    }

    pub fn called(&self, text: &str) -> usize {
        self.calls().iter().filter(|(url, _)| url.contains(text)).count()
    }

    /// Lets `work` go on; whenever `count` calls hang, or all that work has left, `wait` passes and they end.
    pub async fn drive<T>(
        &self,
        world: &World,
        counts: &[usize],
        wait: TimeDelta,
        mut seen: impl FnMut(&Self),
        work: impl Future<Output = T>,
    ) -> T {
        let driver = async {
            for count in counts {
                self.hang_at_least(*count).await;
                seen(self);
                world.clock.advance(wait);
                self.let_go();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            done = work => done,
            () = driver => unreachable!("it waits for the work"),
        }
    }
}

impl Inner {
    async fn answer(&self, request: OutboundRequest) -> Result<Answer, SendError> {
        let key = request.headers.iter().find(|(name, _)| name == "idempotency-key");
        let key = key.map_or("", |(_, value)| value.to_str().unwrap()).to_owned();
        self.calls.lock().unwrap().push((request.url.clone(), key));
        let is =
            |text: &Mutex<Option<&str>>| text.lock().unwrap().is_some_and(|text| request.url.contains(text));
        if is(&self.hangs) {
            let let_go = self.let_go.notified();
            *self.hanging.lock().unwrap() += 1;
            self.changed.notify_one();
            let_go.await;
            return Err(SendError::Timeout(request.timeout));
        }
        let status = if is(&self.fails) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        Ok(Answer::new(status, &HeaderMap::new(), Bytes::new(), BodyEnd::Complete))
    }
}

pub async fn solution(world: &World, company: &str, solution: &str) -> Tenant {
    let tenant = Tenant { company: company.parse().unwrap(), solution: solution.parse().unwrap() };
    let tenancy = &world.ctx.tenancy;
    if tenancy.cached::<Company>(&tenant.company).await.unwrap().is_none() {
        tenancy.put_company(&Actor::Admin, Company::new(tenant.company.clone(), 1)).await.unwrap();
    }
    tenancy.put_solution(&Actor::Admin, &tenant, 1, Rolling::default()).await.unwrap();
    tenant
}

/// A type whose receiver's URL is `/{company}/{solution}/note`.
async fn note_type(world: &World, tenant: &Tenant) {
    let uri = format!("http://127.0.0.1:9/{tenant}/note");
    let wanted = NotificationType::new("note".parse().unwrap(), uri, 9);
    world.ctx.tenancy.put_notification_type(&Actor::Admin, tenant, wanted).await.unwrap();
}

/// Saves notifications whose first send fails.
async fn pending(world: &World, receivers: &Receivers, tenant: &Tenant, count: usize) {
    pending_apart(world, receivers, tenant, count, TimeDelta::zero()).await;
}

async fn pending_apart(
    world: &World,
    receivers: &Receivers,
    tenant: &Tenant,
    count: usize,
    apart: TimeDelta,
) {
    receivers.fail("/note");
    let publisher = Publisher::new(world.process(), receivers.outbound(), 600);
    let of = world.ctx.tenancy.notification_type(tenant, &"note".parse().unwrap()).await.unwrap().unwrap();
    for n in 0..count {
        let new = NewNotification {
            tenant: tenant.clone(),
            id: format!("n{n:03}").parse().unwrap(),
            payload: "{}".to_owned(),
            body_hash: format!("{n}"),
            parents: Vec::new(),
        };
        publisher.publish(new, &of, false).await.unwrap();
        world.clock.advance(apart);
    }
    receivers.fail("nobody");
    receivers.forget();
}

pub fn resender(world: &World, receivers: &Receivers) -> Resender {
    let settings = ResenderSettings::read(&|_| None).unwrap();
    Resender::new(world.process(), receivers.outbound(), Metrics::off(), settings)
}

async fn cycle(world: &World, receivers: &Receivers) -> ResendReport {
    resender(world, receivers).handle(event()).await.unwrap()
}

async fn status(world: &World, tenant: &Tenant, id: &str) -> Status {
    get(world, tenant, id).await.notification.state.status
}

/// The 400 are older, and stay due for hours; the one goes out in the first cycle, as does one of a sister solution.
#[tokio::test]
async fn four_hundred_failing_notifications_delay_no_other() {
    let world = World::new().await;
    let receivers = Receivers::default();
    let many = solution(&world, "acme", "main").await;
    let sister = solution(&world, "acme", "sister").await;
    let other = solution(&world, "beta", "main").await;
    for tenant in [&many, &sister, &other] {
        note_type(&world, tenant).await;
    }
    pending(&world, &receivers, &many, 400).await;
    pending(&world, &receivers, &sister, 1).await;
    pending(&world, &receivers, &other, 1).await;
    world.clock.advance(TimeDelta::minutes(10));
    receivers.fail("/acme/main/");
    let report = cycle(&world, &receivers).await;
    assert_eq!((report.read, report.published, report.failed, report.left), (22, 2, 20, true), "{report:?}");
    for tenant in [&other, &sister] {
        assert_eq!(status(&world, tenant, "n000").await, Status::Published);
    }
    let oldest: BTreeSet<String> = (0..20).map(|n| format!("n{n:03}:0")).collect();
    let tried = receivers.calls().into_iter().filter(|(url, _)| url.contains("/acme/main/"));
    assert_eq!(tried.map(|(_, key)| key).collect::<BTreeSet<_>>(), oldest, "the oldest of the solution");
}

/// Far more receivers hang than are called at a time. Another company's twenty go out while they are waited for.
#[tokio::test]
async fn receivers_that_hang_delay_no_other() {
    let world = World::new().await;
    let receivers = Receivers::default();
    let hanging = SOLUTIONS_IN_FLIGHT + 20;
    for number in 0..hanging {
        let tenant = solution(&world, "acme", &format!("hangs{number:03}")).await;
        note_type(&world, &tenant).await;
        pending(&world, &receivers, &tenant, 2).await;
    }
    let sister = solution(&world, "acme", "sister").await;
    let other = solution(&world, "zeta", "main").await;
    for tenant in [&sister, &other] {
        note_type(&world, tenant).await;
        pending(&world, &receivers, tenant, 20).await;
    }
    world.clock.advance(TimeDelta::minutes(10));
    receivers.hang("/hangs");
    let mut sent = Vec::new();
    // Half of the places are one company's.
    let counts = [SOLUTIONS_IN_FLIGHT / 2; 3];
    let seen = |receivers: &Receivers| sent.push((receivers.called("/zeta/"), receivers.called("/sister/")));
    let work = cycle(&world, &receivers);
    let ends = std::pin::pin!(work);
    // After those rounds each has had its turn; the second ones of the hanging are left to time.
    let stopped = receivers.drive(&world, &counts, TimeDelta::seconds(10), seen, async {
        tokio::select! {
            report = ends => Some(report),
            () = async {
                while receivers.called("/hangs") < hanging + 1 || receivers.called("/zeta/") < 20 {
                    tokio::task::yield_now().await;
                }
            } => None,
        }
    });
    assert_eq!(stopped.await, None, "the cycle waits for the second ones");
    assert!(sent[0].0 >= 1, "the other company's goes out before any time passes: {sent:?}");
    assert!(receivers.called("/sister/") >= 1, "and its sister's in its turn");
    let urls: BTreeSet<String> = receivers.calls().into_iter().map(|(url, _)| url).collect();
    assert_eq!(urls.len(), hanging + 2, "each has had a turn");
    for n in 0..19 {
        assert_eq!(status(&world, &other, &format!("n{n:03}")).await, Status::Published, "{n}");
    }
}

/// A cycle that has no time for all goes on in the next one with those that had no turn.
#[tokio::test]
async fn who_had_no_turn_comes_first_in_the_next_cycle() {
    let world = World::new().await;
    let receivers = Receivers::default();
    let count = SOLUTIONS_IN_FLIGHT + 9;
    for number in 0..count {
        let tenant = solution(&world, "acme", &format!("s{number:03}")).await;
        note_type(&world, &tenant).await;
        pending(&world, &receivers, &tenant, 2).await;
    }
    world.clock.advance(TimeDelta::minutes(10));
    receivers.hang("/note");
    let no = |_: &Receivers| {};
    let work = cycle(&world, &receivers);
    let report = receivers.drive(&world, &[SOLUTIONS_IN_FLIGHT], TimeDelta::minutes(5), no, work).await;
    assert_eq!((report.failed, report.waiting, report.left), (SOLUTIONS_IN_FLIGHT, 9, true), "{report:?}");
    let called: BTreeSet<String> = receivers.calls().into_iter().map(|(url, _)| url).collect();
    receivers.forget();
    world.clock.advance(FIVE_MINUTES);
    let work = cycle(&world, &receivers);
    let report = receivers.drive(&world, &[SOLUTIONS_IN_FLIGHT], TimeDelta::minutes(5), no, work).await;
    assert_eq!(report.waiting, 9, "other ones by now: {report:?}");
    // All of a page of turns begin at once, so their order tells nothing; that they are in it does.
    assert_eq!(receivers.calls().iter().filter(|(url, _)| !called.contains(url)).count(), 9, "one turn each");
}

/// A sender that dies costs one attempt of each solution it was sending for, and none of those that waited.
#[tokio::test]
async fn a_crash_costs_each_solution_one_attempt_at_most() {
    let world = World::new().await;
    let receivers = Receivers::default();
    let mut tenants = Vec::new();
    for number in 0..4 {
        let tenant = solution(&world, "acme", &format!("s{number}")).await;
        note_type(&world, &tenant).await;
        pending(&world, &receivers, &tenant, 3).await;
        tenants.push(tenant);
    }
    world.clock.advance(TimeDelta::minutes(10));
    receivers.hang("/note");
    let killed = tokio::select! {
        _ = cycle(&world, &receivers) => false,
        () = async { while receivers.called("/note") < 4 { tokio::task::yield_now().await } } => true,
    };
    assert!(killed);
    receivers.hang("nobody");
    world.clock.advance(FIVE_MINUTES);
    assert_eq!(cycle(&world, &receivers).await.published, 8, "those that waited");
    for tenant in &tenants {
        let mut outcomes = Vec::new();
        for n in 0..3 {
            let view = get(&world, tenant, &format!("n{n:03}")).await;
            outcomes.extend(view.history.into_iter().map(|entry| entry.outcome));
        }
        assert_eq!(outcomes.iter().filter(|outcome| *outcome == "CRASHED").count(), 1, "{outcomes:?}");
    }
}

/// Levels hold: with three times the level a company has three times the turns.
#[tokio::test]
async fn notifications_take_turns_by_qos() {
    let world = World::new().await;
    let receivers = Receivers::default();
    for (company, level) in [("gold", 3), ("plain", 1)] {
        for number in 0..SOLUTIONS_IN_FLIGHT {
            let tenant = solution(&world, company, &format!("s{number:03}")).await;
            note_type(&world, &tenant).await;
            pending(&world, &receivers, &tenant, 1).await;
        }
        let company = Company::new(company.parse().unwrap(), level);
        world.ctx.tenancy.put_company(&Actor::Admin, company).await.unwrap();
    }
    world.clock.advance(TimeDelta::minutes(10));
    receivers.hang("/note");
    let mut first = 0;
    let seen = |receivers: &Receivers| first = receivers.called("/gold/");
    let counts = [SOLUTIONS_IN_FLIGHT; 2];
    receivers.drive(&world, &counts, TimeDelta::seconds(10), seen, cycle(&world, &receivers)).await;
    // The second look sees what both rounds have called: 24 and 8, then what is left.
    assert!(first >= 24, "{first}");
}

/// The shards and types of a solution are one queue.
#[tokio::test]
async fn a_solution_s_partitions_are_merged_oldest_first_up_to_the_solution_s_limit() {
    let world = World::new().await;
    let receivers = Receivers::default();
    let tenant = solution(&world, "acme", "main").await;
    put_type(&world, &tenant, "unused", 3, json!({})).await;
    note_type(&world, &tenant).await;
    pending_apart(&world, &receivers, &tenant, 30, TimeDelta::seconds(1)).await;
    world.clock.advance(TimeDelta::minutes(10));
    let report = cycle(&world, &receivers).await;
    assert_eq!((report.read, report.published, report.left), (20, 20, true));
    let keys: Vec<String> = receivers.calls().into_iter().map(|(_, key)| key).collect();
    assert_eq!(keys, (0..20).map(|n| format!("n{n:03}:0")).collect::<Vec<_>>(), "one after the other");
    let report = cycle(&world, &receivers).await;
    assert_eq!((report.read, report.published, report.left), (10, 10, false));
}
