//! What template.yaml and Cargo.toml tell the functions, and what the functions read.

use crate::template::file;
use api_ingest::ApiSettings;
use delivery_worker::WorkerSettings;
use local::embedded::Embedded;
use notification_resender::ResenderSettings;
use reminder_sender::SenderSettings;
use shared::outbound::ENDPOINT_VARIABLES;
use shared::settings::{Lookup, OutboundSettings, Settings, SettingsError};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tests::JumpingClock;
use tests::world::beginning;

type Read = fn(Lookup<'_>) -> Result<(), SettingsError>;

/// What each function's `main` reads beside [`Settings`].
const OWN: &[(&str, &str, Read)] = &[
    ("api-ingest", "ApiSettings::read(&environment)?", |lookup| ApiSettings::read(lookup).map(drop)),
    ("dispatch-sweep", "", |_| Ok(())),
    ("delivery-worker", "WorkerSettings::read(&environment)?", |l| WorkerSettings::read(l).map(drop)),
    ("reminder-sender", "SenderSettings::read(&environment)?", |l| SenderSettings::read(l).map(drop)),
    ("recurring-expander", "", |_| Ok(())),
    ("notification-resender", "ResenderSettings::read(&environment)?", |l| {
        ResenderSettings::read(l).map(drop)
    }),
    ("log-roller", "OutboundSettings::read(&environment)?", |l| OutboundSettings::read(l).map(drop)),
];
/// Read by the logging library, at start.
const BY_OTHERS: [&str; 1] = ["RUST_LOG"];

/// The names a function reads from `variables`, which must do.
fn names_read(function: &str, variables: &BTreeMap<String, String>) -> BTreeSet<String> {
    let (_, _, own) = OWN.iter().find(|(name, ..)| *name == function).unwrap();
    let read = RefCell::new(BTreeSet::new());
    let lookup = |name: &str| {
        read.borrow_mut().insert(name.to_owned());
        variables.get(name).cloned()
    };
    Settings::read(&lookup).unwrap_or_else(|error| panic!("{function}: {error}"));
    own(&lookup).unwrap_or_else(|error| panic!("{function}: {error}"));
    read.into_inner()
}

#[test]
fn each_main_reads_the_struct_that_this_test_reads() {
    for (function, call, _) in OWN {
        let main = file(&format!("functions/{function}/src/main.rs"));
        assert!(main.contains("Context::from_env()"), "{function} reads the common settings by it");
        assert!(main.contains(call), "{function}");
        let reads = main.matches("environment").count();
        // Its import and its one use, or nothing.
        assert_eq!(reads, if call.is_empty() { 0 } else { 2 }, "{function} reads what no struct has");
    }
}

#[tokio::test]
async fn the_template_sets_what_is_read_and_nothing_else() {
    let embedded = Embedded::start_in_memory(Arc::new(JumpingClock::at(beginning()))).await.unwrap();
    let functions: BTreeSet<&str> = OWN.iter().map(|(name, ..)| *name).collect();
    let described: BTreeSet<&str> =
        embedded.provisioned().functions.iter().map(|function| function.name.as_str()).collect();
    assert_eq!(functions, described);
    for function in functions {
        let variables: BTreeMap<String, String> = embedded.settings(function).into_iter().collect();
        let mut read = names_read(function, &variables);
        read.extend(BY_OTHERS.map(str::to_owned));
        // Lambda sets the first; the others are for services elsewhere than AWS.
        read.retain(|name| !ENDPOINT_VARIABLES.contains(&name.as_str()));
        assert_eq!(variables.keys().cloned().collect::<BTreeSet<_>>(), read, "{function}");
        for secret in ["PUNCTUAL_ADMIN_KEY", "PUNCTUAL_PROCESSOR_SECRET"] {
            // Whoever may look at a function's configuration must not find a key there.
            let value = variables.get(secret);
            assert!(value.is_none_or(|value| value.starts_with("sha256:")), "{function}: {secret}");
        }
    }
}

/// `cargo lambda watch` tells all functions the same, from Cargo.toml.
#[test]
fn the_manifest_sets_what_a_function_on_ones_own_machine_needs() {
    let manifest = file("Cargo.toml");
    let (_, section) = manifest.split_once("[workspace.metadata.lambda.env]\n").unwrap();
    let section = section.split("\n[").next().unwrap();
    let line = |line: &str| {
        let (name, value) = line.split_once(" = ")?;
        (!name.starts_with('#')).then(|| (name.to_owned(), value.trim_matches('"').to_owned()))
    };
    let variables: BTreeMap<String, String> = section.lines().filter_map(line).collect();
    let mut read: BTreeSet<String> = OWN.iter().flat_map(|(name, ..)| names_read(name, &variables)).collect();
    read.extend(["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"].map(str::to_owned));
    let unread: Vec<_> = variables.keys().filter(|name| !read.contains(*name)).collect();
    assert!(unread.is_empty(), "nobody reads {unread:?}");
}
