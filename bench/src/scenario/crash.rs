//! SIGKILL in the middle of deliveries, a restart on the same data directory, and the search for losses.

use crate::api::{Activity, Api, TenantPath};
use crate::arguments::{Arguments, CrashArguments};
use crate::load::Load;
use crate::receiver::Receiver;
use crate::report::Report;
use crate::stage::seconds;
use crate::system::{AllInOne, new_data_dir};
use anyhow::{Result, bail};
use chrono::{DateTime, TimeDelta, Utc};
use futures::stream::{self, StreamExt, TryStreamExt};
use shared::clock::{Clock, SystemClock};

const NAME: &str = "crash";
/// The receiver answers late, so that calls are in hand when the kill comes.
const ANSWER_AFTER_MILLIS: i64 = 25;
/// The first is due then: all are accepted by then, so that each one missing is a loss.
const AHEAD_SECONDS: i64 = 5;
/// Due over some seconds, the kill finds some settled, some in hand, some claimed ahead of time, and some in the queue.
const STEP_MILLIS: u32 = 10;
/// Short, so that the leases of what was in hand run out soon.
const TIMEOUT_SECONDS: u32 = 5;
/// Pause between two rounds of checking.
const CHECK_EVERY_MILLIS: i64 = 500;
/// Concurrent reads when checking.
const READERS: usize = 16;
/// How many faulty activities a message names.
const FAULTS_NAMED: usize = 5;

/// What the API says of everything that was given.
#[derive(Debug, Default)]
struct Audit {
    repeated: usize,
    faults: Vec<String>,
}

/// Fails if one activity is lost, or is not recorded as delivered with each of its attempts.
pub async fn run(arguments: &Arguments, crash: &CrashArguments, report: &mut Report) -> Result<()> {
    let data_dir = new_data_dir(arguments)?;
    let patience = TimeDelta::seconds(arguments.patience.into());
    let receiver = Receiver::start(TimeDelta::milliseconds(ANSWER_AFTER_MILLIS)).await?;

    let mut punctual = AllInOne::start(data_dir.path()).await?;
    let api = Api::new(&punctual.addresses)?;
    let uri = format!("{}/{NAME}", receiver.url);
    let tenant = api.make_tenant(NAME, 1, &uri, TIMEOUT_SECONDS).await?;
    let due = SystemClock.now() + TimeDelta::seconds(AHEAD_SECONDS);
    let load = Load { prefix: NAME, count: crash.activities, due: Some(due), step_ms: STEP_MILLIS };
    load.give(&api, &tenant, arguments.callers).await?;
    let half = load.count / 2;
    if !receiver.wait_count(NAME, half, patience, || punctual.check_alive()).await? {
        bail!("only {} of {half} arrived before the kill", receiver.count(NAME));
    }
    punctual.kill()?;
    report.add(NAME, "arrived_before_kill", receiver.count(NAME) as f64);

    let mut punctual = AllInOne::start(data_dir.path()).await?;
    let api = Api::new(&punctual.addresses)?;
    let restarted = SystemClock.now();
    receiver.wait_for(NAME, &load.keys(), patience, || punctual.check_alive()).await?;
    report.add(NAME, "delivered", receiver.count(NAME) as f64);
    report.add(NAME, "restart_to_all_arrived_s", seconds(SystemClock.now() - restarted));
    let audit = audit_until_settled(&api, &tenant, &load, restarted + patience).await?;
    report.add(NAME, "restart_to_all_recorded_s", seconds(SystemClock.now() - restarted));
    report.add(NAME, "duplicates", receiver.duplicates(NAME) as f64);
    report.add(NAME, "more_than_one_attempt", audit.repeated as f64);
    report.add(NAME, "not_recorded", audit.faults.len() as f64);
    if audit.faults.is_empty() {
        return Ok(());
    }
    let named: Vec<&str> = audit.faults.iter().take(FAULTS_NAMED).map(String::as_str).collect();
    bail!("{} of {} are not recorded: {} ...", audit.faults.len(), load.count, named.join("; "))
}

/// Audits until nothing is found, or `deadline`: what was in hand at the kill is sent again when its lease runs out.
async fn audit_until_settled(
    api: &Api,
    tenant: &TenantPath,
    load: &Load,
    deadline: DateTime<Utc>,
) -> Result<Audit> {
    loop {
        let audit = audit(api, tenant, load).await?;
        let now = SystemClock.now();
        if audit.faults.is_empty() || now > deadline {
            return Ok(audit);
        }
        SystemClock.sleep_until(now + TimeDelta::milliseconds(CHECK_EVERY_MILLIS)).await;
    }
}

async fn audit(api: &Api, tenant: &TenantPath, load: &Load) -> Result<Audit> {
    let read = |index: usize| async move {
        let id = load.id(index);
        let activity = api.activity(tenant, &id).await?;
        anyhow::Ok((id, activity))
    };
    let found = stream::iter(0..load.count).map(read).buffer_unordered(READERS);
    found
        .try_fold(Audit::default(), |mut audit, (id, activity)| async move {
            audit.repeated += usize::from(activity.attempts > 1);
            audit.faults.extend(fault(&activity).map(|fault| format!("{id} {fault}")));
            Ok(audit)
        })
        .await
}

/// What is wrong with the record of a delivered activity, if anything.
fn fault(activity: &Activity) -> Option<String> {
    let Activity { status, attempts, history } = activity;
    if status != "DISPATCHED" {
        return Some(format!("is {status}"));
    }
    if history.len() != *attempts as usize {
        return Some(format!("has {attempts} attempts and {} history entries", history.len()));
    }
    let succeeded = |status: &u16| (200..300).contains(status);
    let last = history.last().and_then(|entry| entry.http_status);
    last.as_ref().is_none_or(|status| !succeeded(status)).then(|| format!("ends with HTTP status {last:?}"))
}

#[cfg(test)]
mod tests {
    use super::fault;
    use crate::api::{Activity, HistoryEntry};

    fn check(status: &str, attempts: u32, history: &[Option<u16>], expect: Option<&str>) {
        let history = history.iter().map(|http_status| HistoryEntry { http_status: *http_status }).collect();
        let activity = Activity { status: status.to_owned(), attempts, history };
        assert_eq!(fault(&activity).as_deref(), expect, "{activity:?}");
    }

    #[test]
    fn each_attempt_must_be_recorded_and_the_last_a_success() {
        check("DISPATCHED", 1, &[Some(204)], None);
        check("DISPATCHED", 2, &[None, Some(200)], None);
        check("READY", 1, &[], Some("is READY"));
        check("DISPATCHED", 2, &[Some(204)], Some("has 2 attempts and 1 history entries"));
        check("DISPATCHED", 1, &[Some(500)], Some("ends with HTTP status Some(500)"));
        check("DISPATCHED", 1, &[None], Some("ends with HTTP status None"));
    }
}
