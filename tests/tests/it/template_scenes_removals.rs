//! The log roller's scenes of removing what was deleted and erased.

use crate::template_scenes::Stage;
use chrono::TimeDelta;
use log_roller::{LogRoller, RollEvent};
use shared::items::activity::NewActivity;
use shared::table::keys;
use shared::tenancy::{Actor, ErasureSubject};
use tests::recurring::spec;

/// What deletions and erasures have left to the roller, with something of each kind in flight.
pub async fn play(stage: &Stage) {
    let world = &stage.world;
    let invoke = async || {
        let event: RollEvent =
            serde_json::from_str(include_str!("../../../events/log-roller/continue.json")).unwrap();
        LogRoller::new(stage.process("log-roller"), stage.http.clone()).handle(event).await.unwrap()
    };
    let tenant = world.reminders("erased").await;
    world.put_type(&tenant, "call", |kind| kind.object_id_ref = vec!["id".parse().unwrap()]).await;
    world.put_rule(&tenant, "subject", spec("0 0 1 1 *")).await;
    let subject = keys::object_partition(&tenant, &"call".parse().unwrap(), "subject");
    let mut activities = Vec::new();
    for id in ["waits", "under-way"] {
        let activity = world.activity(&tenant, id, TimeDelta::zero());
        activities.push(NewActivity { objects: vec![subject.clone()], ..activity });
    }
    world.accept(activities).await;
    world.claim(&tenant, "under-way", TimeDelta::hours(1)).await;
    world.remind(world.reminder(&tenant, "r1", "11977776666", &[60])).await;
    for subject in [
        ErasureSubject::Object("subject".to_owned()),
        ErasureSubject::Recipient { country_code: "55".to_owned(), phone_number: "11977776666".to_owned() },
    ] {
        // As if the API had died right after it wrote this down.
        world.ctx.tenancy.begin_erasure(&Actor::Admin, &tenant, subject).await.unwrap();
    }
    assert_eq!(invoke().await.deletions_left, 1, "one activity is in flight");
    world.clock.advance(TimeDelta::hours(2));
    invoke().await;
    // The solutions that the API's scenes deleted.
    world.clock.advance(TimeDelta::hours(2));
    invoke().await;
    assert_eq!(invoke().await.deletions_left, 0);
}
