//! One solution's roll URI hangs, and the logs of others go on (SPEC §8, §9.6).

use crate::fairness::{Receivers, solution};
use chrono::TimeDelta;
use log_roller::{LogRoller, RollEvent};
use rules::names::Tenant;
use shared::tenancy::{Actor, Rolling};
use std::collections::BTreeSet;
use tests::World;

fn roll_event(text: &str) -> RollEvent {
    serde_json::from_str(text).unwrap()
}

/// A solution of which one activity is to be rolled.
async fn rolled(world: &World, company: &str) -> Tenant {
    let tenant = world.tenant(company, 1).await;
    let rolling = Rolling {
        success_uri: Some(format!("http://127.0.0.1:9/{company}/logs")),
        success_period_days: Some("1".parse().unwrap()),
        ..Rolling::default()
    };
    world.ctx.tenancy.put_solution(&Actor::Admin, &tenant, 1, rolling).await.unwrap();
    world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
    world.work(&world.worker()).await;
    tenant
}

/// Roll URIs that hang keep nobody else's logs: those go out in their turns, or first when the round goes on. Who was
/// refused in a round is not called again in it.
#[tokio::test]
async fn roll_uris_that_hang_keep_no_other_solution_s_logs() {
    let world = World::new().await;
    let receivers = Receivers::default();
    let at_once = 16;
    for number in 0..at_once + 4 {
        rolled(&world, &format!("hangs{number:02}")).await;
    }
    rolled(&world, "zeta").await;
    world.clock.advance(TimeDelta::days(1));
    receivers.hang("/hangs");
    let roller = LogRoller::new(world.process(), receivers.outbound());
    let daily = roll_event(include_str!("../../../events/log-roller/schedule.json"));
    let no = |_: &Receivers| {};
    // The first sixteen take all the time that the invocation has.
    let work = roller.handle(daily.clone());
    let report = receivers.drive(&world, &[at_once], TimeDelta::minutes(13), no, work).await.unwrap();
    assert_eq!((report.refused, report.deleted, report.left), (at_once, 0, true), "{report:?}");
    let refused: BTreeSet<String> = receivers.calls().into_iter().map(|(url, _)| url).collect();
    receivers.forget();
    let goes_on = roll_event(include_str!("../../../events/log-roller/continue.json"));
    let work = roller.handle(goes_on.clone());
    let report = receivers.drive(&world, &[4], TimeDelta::seconds(60), no, work).await.unwrap();
    assert_eq!((report.refused, report.deleted, report.left), (4, 1, false), "{report:?}");
    assert_eq!(receivers.called("/zeta/"), 1);
    assert!(receivers.calls().iter().all(|(url, _)| !refused.contains(url)), "{:?}", receivers.calls());
    assert_eq!(roller.handle(goes_on).await.unwrap(), Default::default(), "the round is over");
}

/// One company's solutions with backlogs, all with a URI that hangs, leave another company the second turn.
#[tokio::test]
async fn a_company_s_roll_uris_leave_the_turns_of_others() {
    let world = World::new().await;
    let receivers = Receivers::default();
    for number in 0..20 {
        let tenant = solution(&world, "acme", &format!("hangs{number:02}")).await;
        world.put_type(&tenant, "call", |_| {}).await;
        let rolling = Rolling {
            success_uri: Some(format!("http://127.0.0.1:9/hangs{number:02}/logs")),
            success_period_days: Some("0".parse().unwrap()),
            ..Rolling::default()
        };
        world.ctx.tenancy.put_solution(&Actor::Admin, &tenant, 1, rolling).await.unwrap();
        world.accept(vec![world.activity(&tenant, "a", TimeDelta::zero())]).await;
    }
    world.work(&world.worker()).await;
    rolled(&world, "zeta").await;
    world.clock.advance(TimeDelta::days(1));
    receivers.hang("/hangs");
    let roller = LogRoller::new(world.process(), receivers.outbound());
    let daily = roll_event(include_str!("../../../events/log-roller/schedule.json"));
    let work = roller.handle(daily);
    let mut first = 0;
    let seen = |receivers: &Receivers| first = receivers.called("/zeta/");
    // Eight of one company at a time.
    let report = receivers.drive(&world, &[8, 8, 4], TimeDelta::seconds(60), seen, work).await.unwrap();
    assert_eq!((first, report.deleted, report.refused), (1, 1, 20), "{report:?}");
}
