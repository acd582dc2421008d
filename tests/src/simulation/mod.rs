//! The deterministic simulation: all functions, everything that goes wrong, and one seed that decides it all.
//!
//! The real handlers run on the embedded services. Every call that they make, to a service or to a receiver, waits at a
//! [`gate`] until the scheduler ([`world`]) says what becomes of it. The scheduler goes on only when nothing else can
//! ([`quiet`]), and picks by lot: which call is served, fails, or is the last of its process; whether a process stands still;
//! which message comes, comes twice, or never. Time ([`time`]) stands while anything can happen.
//!
//! So a seed is a whole life of the system, the same in every run and on every machine, and the [auditor](crate::audit)
//! says at its end what was not kept.

mod burst;
mod callers;
mod capacity;
mod contested;
mod crowd;
pub mod dice;
mod extras;
mod faults;
mod gate;
mod index_lag;
mod instances;
mod mutation;
mod plan;
mod process;
mod queue;
mod quiet;
mod reborn;
mod receivers;
mod services;
mod story;
mod swallowed;
mod time;
mod trace;
mod world;

pub use mutation::Mutation;

use crate::audit::{Evidence, Finding, audit};
use local::embedded::Options;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use world::World;

/// What came of a seed.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What was not kept.
    pub findings: Vec<Finding>,
    /// The world came to a stop before its end.
    pub failure: Option<String>,
    /// What the auditor was fed.
    pub evidence: Evidence,
    /// Everything that happened.
    pub lines: Vec<String>,
    /// A hash of that.
    pub hash: u64,
    /// Steps of the scheduler, and processes that died.
    pub steps: usize,
    pub crashes: usize,
}

impl Report {
    /// Nothing was found.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.failure.is_none()
    }
}

/// By how much processes' clocks and calls under way may make things look wrong.
const TOLERANCE_MS: i64 = 5_000;

/// Lives a seed through and has it audited.
pub fn run(seed: u64, options: &Options, mutation: Option<Mutation>) -> Report {
    let quiet = quiet::Quiet::default();
    let parks = quiet.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .on_thread_park(move || parks.parks())
        .build()
        .expect("a runtime");
    let options = options.clone();
    // A task rather than the runtime's own future, since it is woken by the thread's parking.
    let lived = runtime.block_on(async move {
        tokio::spawn(async move {
            let mut world = World::new(seed, quiet, options, mutation).await;
            world.live().await;
            let work = world.dump().await;
            (world, work)
        })
        .await
    });
    let (mut world, work) = lived.expect("the scheduler does not panic");
    let evidence = Evidence {
        ended: world.time.now(),
        tolerance_ms: TOLERANCE_MS,
        exchanges: std::mem::take(&mut world.exchanges),
        arrivals: std::mem::take(&mut world.arrivals),
        work,
        undisturbed: world.disturbances == 0,
        resending: world.crowd.is_some().then(crowd::resending),
        hanging_company: world.crowd.map(|(company, _)| company.to_owned()),
    };
    Report {
        seed,
        findings: audit(&evidence),
        failure: world.failure.take(),
        evidence,
        lines: world.trace.lines().to_vec(),
        hash: world.trace.hash(),
        steps: world.steps,
        crashes: world.crashes,
    }
}

/// In so many seeds a mutation has to be caught.
pub const MUTATION_SEEDS_MAX: u64 = 200;

/// What is not kept in a seed of a broken build; nothing, if it is not seen there.
pub fn caught_in(seed: u64, mutation: Mutation, options: &Options) -> Vec<&'static str> {
    let Report { findings, failure, .. } = run(seed, options, Some(mutation));
    let mut properties: Vec<_> = findings.iter().map(|finding| finding.property).collect();
    properties.extend(failure.map(|_| "run"));
    properties.sort_unstable();
    properties.dedup();
    properties
}

/// The first seed in which the auditor sees a mutation, and the properties that it says are not kept; `jobs` seeds are
/// lived at a time.
pub fn first_caught(mutation: Mutation, options: &Options, jobs: usize) -> Option<(u64, Vec<&'static str>)> {
    let next = AtomicU64::new(0);
    let found: Mutex<BTreeMap<u64, Vec<&'static str>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= MUTATION_SEEDS_MAX || !found.lock().unwrap().is_empty() {
                        return;
                    }
                    let properties = caught_in(seed, mutation, options);
                    if !properties.is_empty() {
                        found.lock().unwrap().insert(seed, properties);
                    }
                }
            });
        }
    });
    found.into_inner().unwrap().pop_first()
}
