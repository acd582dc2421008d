//! Real processes under load, killed with SIGKILL again and again, with a full disk once and a receiver that is well,
//! fails, hangs or is gone; then the auditor of the simulation says whether anything was lost, doubled or untold.
//!
//! Callers repeat what was not answered under the same id. An activity counts as accepted once a 2xx was read.

mod callers;
mod disk;
mod receiver;
mod tables;

use crate::arguments::{Arguments, CampaignArguments};
use crate::report::Report;
use crate::stage::seconds;
use crate::system::{AllInOne, new_data_dir};
use anyhow::{Result, bail};
use callers::{Client, SOLUTION};
use chrono::{DateTime, TimeDelta, Utc};
use receiver::{Mood, Receiver};
use serde_json::{Value, json};
use shared::clock::{Clock, SystemClock};
use std::collections::{BTreeMap, BTreeSet};
use tests::audit::{Evidence, Exchange, audit, story};
use tests::simulation::dice::Dice;
use tokio::sync::watch;
use tokio::task::JoinSet;

const NAME: &str = "campaign";
/// A process lives so long, from its start: at times it dies while it still starts.
const LIFE_MILLIS: (i64, i64) = (50, 3_500);
/// The receiver is in one mood for so long.
const MOOD_MILLIS: (i64, i64) = (200, 1_500);
/// How long things go well before the disk is full, and how long it is so at least.
const FULL: TimeDelta = TimeDelta::seconds(3);
/// By then a full disk has been felt: a caller is answered after all the tries there are.
const FULL_MAX: TimeDelta = TimeDelta::seconds(60);
/// How far clocks differ: one machine has one, but a call is noted a little after it was sent.
const TOLERANCE_MILLIS: i64 = 250;
/// Pause between two looks at what is left.
const LOOK_EVERY: TimeDelta = TimeDelta::milliseconds(500);
/// How many findings are told with their stories.
const STORIES: usize = 3;

/// Fails if the auditor finds anything.
pub async fn run(arguments: &Arguments, campaign: &CampaignArguments, report: &mut Report) -> Result<()> {
    let seed = campaign.seed.unwrap_or_else(|| SystemClock.now().timestamp_millis().unsigned_abs());
    eprintln!(
        "bench: {NAME} with --seed {seed}: the same lives and moods, though no two runs interleave alike"
    );
    let data_dir = new_data_dir(arguments)?;
    let mut receiver = Receiver::start()?;
    let (place, places) = watch::channel(None);
    let client = Client::new(places)?;
    let mut lives = Lives { dice: Dice::new(seed), mood_ends: SystemClock.now() };

    let mut punctual = AllInOne::start_on_small_disk(data_dir.path()).await?;
    place.send_replace(Some(punctual.addresses.clone()));
    client.prepare(&receiver.url()).await?;
    let mut callers = JoinSet::new();
    for number in 0..arguments.callers as u64 {
        let client = client.clone();
        callers.spawn(async move { client.live(number, seed).await });
    }
    let began = SystemClock.now();
    fill_disk(&punctual, &client, &mut lives, &mut receiver, report).await?;
    lives.live(&mut receiver, SystemClock.now() + FULL).await?;
    punctual.kill()?;
    let mut kills = 1;
    while kills < campaign.kills {
        let ends =
            SystemClock.now() + TimeDelta::milliseconds(lives.dice.between(LIFE_MILLIS.0, LIFE_MILLIS.1));
        // Dropped before it is ready, it is killed while it starts.
        let started = tokio::select! {
            started = AllInOne::start(data_dir.path()) => Some(started?),
            () = SystemClock.sleep_until(ends) => None,
        };
        if let Some(punctual) = started {
            place.send_replace(Some(punctual.addresses.clone()));
            lives.live(&mut receiver, ends).await?;
            punctual.kill()?;
        }
        kills += 1;
    }
    receiver.change(Mood::Well).await?;
    punctual = AllInOne::start(data_dir.path()).await?;
    place.send_replace(Some(punctual.addresses.clone()));
    let last_start = SystemClock.now();
    client.end();
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    wait_for_rest(&client, TimeDelta::seconds(arguments.patience.into()), || punctual.check_alive()).await?;
    let rested = SystemClock.now();
    let work = tables::work(&punctual.addresses).await?;
    let evidence = Evidence {
        ended: rested,
        tolerance_ms: TOLERANCE_MILLIS,
        exchanges: client.exchanges(),
        arrivals: receiver.arrivals(),
        work,
        undisturbed: false,
        resending: None,
        hanging_company: None,
    };
    report.add(NAME, "kills", f64::from(kills));
    figures(&evidence, report);
    report.add(NAME, "under_load_s", seconds(last_start - began));
    report.add(NAME, "last_start_to_all_ended_s", seconds(rested - last_start));
    judge(&evidence, report)
}

/// What is left to chance, the same for a seed: how long processes live, and how the receiver is.
struct Lives {
    dice: Dice,
    mood_ends: DateTime<Utc>,
}

impl Lives {
    /// Lets time pass until `end`, with the receiver in one mood after the other.
    async fn live(&mut self, receiver: &mut Receiver, end: DateTime<Utc>) -> Result<()> {
        loop {
            let next = self.mood_ends.min(end);
            SystemClock.sleep_until(next).await;
            if next == end {
                return Ok(());
            }
            receiver.change(self.dice.pick(&Mood::ALL)).await?;
            let lasts = TimeDelta::milliseconds(self.dice.between(MOOD_MILLIS.0, MOOD_MILLIS.1));
            self.mood_ends = SystemClock.now() + lasts;
        }
    }
}

/// Has the disk full for a while, and sees the same process accept again when it no longer is.
async fn fill_disk(
    punctual: &AllInOne,
    client: &Client,
    lives: &mut Lives,
    receiver: &mut Receiver,
    report: &mut Report,
) -> Result<()> {
    lives.live(receiver, SystemClock.now() + FULL).await?;
    disk::fill(punctual.id())?;
    let full_at = SystemClock.now();
    let refused = loop {
        lives.live(receiver, SystemClock.now() + FULL).await?;
        let mut during = client.exchanges();
        during.retain(|exchange| exchange.asked >= full_at && exchange.method == "POST");
        if let Some(one) = during.iter().find(|exchange| exchange.status == Some(201)) {
            bail!("accepted while nothing could be written: {} {}", one.path, one.answer);
        }
        let refused = during.iter().filter(|exchange| !exchange.is_done()).count();
        if refused > 0 {
            break refused;
        }
        if SystemClock.now() > full_at + FULL_MAX {
            bail!("the disk was not full: nothing was refused");
        }
    };
    disk::free(punctual.id())?;
    report.add(NAME, "refused_while_disk_full", refused as f64);
    client.insist("PUT", SOLUTION, json!({})).await?;
    Ok(())
}

/// Waits until nothing is left to do.
async fn wait_for_rest(
    client: &Client,
    patience: TimeDelta,
    mut alive: impl FnMut() -> Result<()>,
) -> Result<()> {
    let deadline = SystemClock.now() + patience;
    loop {
        alive()?;
        let (_, stats) = client.insist("GET", &format!("{SOLUTION}/stats"), Value::Null).await?;
        let ready = stats["byStatus"]["READY"].as_u64();
        if ready == Some(0) {
            return Ok(());
        }
        let now = SystemClock.now();
        if now > deadline {
            bail!("{ready:?} are still READY after {} s: {stats}", patience.num_seconds());
        }
        SystemClock.sleep_until(now + LOOK_EVERY).await;
    }
}

/// What there was to be audited.
fn figures(evidence: &Evidence, report: &mut Report) {
    let count = |what: &dyn Fn(&Exchange) -> bool| evidence.exchanges.iter().filter(|one| what(one)).count();
    let (mut accepted, mut taken) = (BTreeSet::new(), BTreeMap::<&str, usize>::new());
    for exchange in evidence.exchanges.iter().filter(|one| one.method == "POST" && one.is_done()) {
        let asked = exchange.body["activities"]
            .as_array()
            .map_or(std::slice::from_ref(&exchange.body), Vec::as_slice);
        accepted.extend(asked.iter().filter_map(|body| body["id"].as_str()));
    }
    for arrival in evidence.arrivals.iter().filter(|arrival| arrival.is_taken()) {
        *taken.entry(arrival.key()).or_default() += 1;
    }
    let repeated: usize = taken.values().map(|count| count - 1).sum();
    report.add(NAME, "requests", evidence.exchanges.len() as f64);
    report.add(NAME, "requests_cut", count(&|one| one.status.is_none()) as f64);
    report.add(NAME, "accepted", accepted.len() as f64);
    report.add(NAME, "arrivals", evidence.arrivals.len() as f64);
    report.add(NAME, "arrivals_taken", taken.values().sum::<usize>() as f64);
    report.add(NAME, "duplicates_taken", repeated as f64);
}

/// Has the auditor look at it.
fn judge(evidence: &Evidence, report: &mut Report) -> Result<()> {
    let findings = audit(evidence);
    report.add(NAME, "findings", findings.len() as f64);
    let Some(first) = findings.first() else { return Ok(()) };
    for finding in findings.iter().take(STORIES) {
        eprintln!("{finding}\n{}", story(evidence, &finding.subject));
    }
    bail!("{} findings, such as: {first}", findings.len())
}
