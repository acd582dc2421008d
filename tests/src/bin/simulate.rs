//! Runs seeds of the simulation: `simulate --seeds 0..200`, `simulate --seed 7 --trace`.

use anyhow::{Context, bail};
use clap::Parser;
use local::embedded::Options;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tests::audit::story;
use tests::simulation::{MUTATION_SEEDS_MAX, Mutation, Report, caught_in, first_caught, run};
use tracing_subscriber::EnvFilter;

/// Lives seeds of the simulated system through, and says what was not kept.
#[derive(Parser)]
struct Arguments {
    /// Which seeds: from..to.
    #[arg(long, default_value = "0..200", value_parser = seeds)]
    seeds: Range<u64>,
    /// One seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Prints everything that happened.
    #[arg(long)]
    trace: bool,
    /// Breaks the system on purpose, in this way.
    #[arg(long)]
    mutation: Option<String>,
    /// Breaks it in every way, one after the other, and says how soon each is caught.
    #[arg(long)]
    mutations: bool,
    /// With --mutations: tries each in the one seed in which it is known to be caught.
    #[arg(long, requires = "mutations")]
    known: bool,
    /// Seeds at a time.
    #[arg(long)]
    jobs: Option<usize>,
    /// Begins no seed after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Goes on after a seed that is not clean.
    #[arg(long)]
    keep_going: bool,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("from..to")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| error.to_string());
    let (from, to) = (number(from)?, number(to)?);
    if from >= to {
        return Err("0 seeds".to_owned());
    }
    Ok(from..to)
}

fn main() -> anyhow::Result<()> {
    // What the functions log is of use for one seed alone.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    let arguments = Arguments::parse();
    let mutation = match &arguments.mutation {
        None => None,
        Some(name) => Some(Mutation::by_name(name).with_context(|| {
            let names: Vec<&str> = Mutation::ALL.iter().map(|(name, ..)| *name).collect();
            format!("mutations are {}", names.join(", "))
        })?),
    };
    let jobs = arguments.jobs.unwrap_or_else(cores);
    anyhow::ensure!(jobs > 0, "0 seeds at a time are none");
    if arguments.mutations {
        return if arguments.known { known_mutations(jobs) } else { mutations(jobs) };
    }
    let seeds = arguments.seed.map_or(arguments.seeds.clone(), |seed| seed..seed + 1);
    let options = Options::in_memory()?;
    let (next, failed, done) = (AtomicU64::new(seeds.start), AtomicUsize::new(0), AtomicUsize::new(0));
    let steps = AtomicUsize::new(0);
    let output = Mutex::new(());
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    if arguments.seconds.is_some_and(|most| began.elapsed().as_secs() >= most) {
                        return;
                    }
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || (failed.load(Ordering::Relaxed) > 0 && !arguments.keep_going) {
                        return;
                    }
                    let report = run(seed, &options, mutation);
                    done.fetch_add(1, Ordering::Relaxed);
                    steps.fetch_add(report.steps, Ordering::Relaxed);
                    let _turn = output.lock().unwrap();
                    if arguments.trace {
                        report.lines.iter().for_each(|line| println!("{line}"));
                        println!("seed {seed}: {:016x}", report.hash);
                    }
                    if !report.is_clean() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        tell(&report, arguments.mutation.as_deref());
                    }
                }
            });
        }
    });
    let (done, failed) = (done.into_inner(), failed.into_inner());
    let asked = usize::try_from(seeds.end - seeds.start)?;
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{done} seeds, {failed} not clean, {} steps a seed, {:.1} seeds/s",
        steps.into_inner() / done.max(1),
        done as f64 / seconds
    );
    if failed > 0 {
        bail!("{failed} seeds are not clean");
    }
    // Whoever asked for seeds and reads that none was unclean takes all of them to have been lived.
    match arguments.seconds {
        Some(_) if done == 0 => bail!("no seed was lived in the time given"),
        Some(_) if done < asked => println!("not all: {done} of {asked} seeds in the time given"),
        None if done < asked => bail!("{done} of {asked} seeds were lived"),
        _ => {}
    }
    Ok(())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Each mutation, and the seed in which it is caught.
fn mutations(jobs: usize) -> anyhow::Result<()> {
    let all = Mutation::ALL.into_iter().map(|(name, mutation, _)| (name, mutation)).collect();
    search(all, jobs, &Options::in_memory()?)
}

/// The first seed that shows each of `mutations`.
fn search(mutations: Vec<(&str, Mutation)>, jobs: usize, options: &Options) -> anyhow::Result<()> {
    let mut unseen = 0;
    for (name, mutation) in mutations {
        match first_caught(mutation, options, jobs) {
            Some((seed, properties)) => println!("{name:<28} seed {seed:>3}  {}", properties.join(", ")),
            None => {
                unseen += 1;
                println!("{name:<28} not within {MUTATION_SEEDS_MAX} seeds");
            }
        }
    }
    anyhow::ensure!(unseen == 0, "{unseen} mutations are not caught");
    Ok(())
}

/// Each mutation in the seed that is known to show it; one that this does not show any more, in all seeds: any change of the
/// calls that are made changes what happens in a seed.
fn known_mutations(jobs: usize) -> anyhow::Result<()> {
    let options = Options::in_memory()?;
    let (next, unseen) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some((name, mutation, seed)) =
                    Mutation::ALL.get(next.fetch_add(1, Ordering::Relaxed)).copied()
                {
                    let properties = caught_in(seed, mutation, &options);
                    if properties.is_empty() {
                        unseen.lock().unwrap_or_else(PoisonError::into_inner).push((name, mutation));
                    } else {
                        println!("{name:<28} seed {seed:>3}  {}", properties.join(", "));
                    }
                }
            });
        }
    });
    search(unseen.into_inner().unwrap_or_else(PoisonError::into_inner), jobs, &options)
}

/// What was found, the story of each subject, and how to see it again.
fn tell(report: &Report, mutation: Option<&str>) {
    println!("seed {} is not clean", report.seed);
    if let Some(failure) = &report.failure {
        println!("  it stopped: {failure}");
    }
    let mut told = Vec::new();
    for finding in &report.findings {
        println!("  {finding}");
        if !told.contains(&&finding.subject) {
            told.push(&finding.subject);
        }
    }
    for subject in told.into_iter().take(2) {
        println!("  the story of {subject}:");
        story(&report.evidence, subject).lines().for_each(|line| println!("    {line}"));
    }
    let mutation = mutation.map(|name| format!(" --mutation {name}")).unwrap_or_default();
    println!("  again: cargo run --bin simulate -- --seed {} --trace{mutation}", report.seed);
}
