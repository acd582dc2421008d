//! What Punctual relies on in DynamoDB, SQS and KMS, as cases that run against any of them.
//!
//! The embedded services have to pass them all, always. With `PUNCTUAL_TEST_ENDPOINT` set they run against the services
//! there as well (`.ci/run` starts moto): a second opinion on whether a case says what AWS does. What that opinion differs
//! in is listed in `differences.rs`. `PUNCTUAL_TEST_SERVICES` names whose list it is, `moto` if unset.
//!
//! A case makes what it needs under names of its own, so cases run side by side and again on the same services.

mod differences;
mod indexes;
mod items;
mod keys;
mod queue;
mod statements;
mod transactions;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use differences::{DIFFERENCES, Difference};
use futures::future::BoxFuture;
use local::clock::LocalClock;
use local::embedded::{Embedded, TEST_ADMIN_KEY, TEST_PROCESSOR_SECRET, remote_clients};
use local::template::{LOCAL_ALLOWED_CIDRS, Template, parameters, provision};
use rules::names::{ActivityId, Tenant};
use shared::clock::{Clock, SharedClock, SystemClock};
use shared::context::Clients;
use shared::entropy::{Entropy, OsEntropy};
use shared::settings::Settings;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tests::world::beginning;

/// Something the code relies on.
struct Case {
    name: &'static str,
    run: fn(Lab) -> BoxFuture<'static, ()>,
}

/// The cases of a module, named as their functions.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(super) const CASES: &[super::Case] =
            &[$(super::Case { name: stringify!($name), run: |lab| Box::pin($name(lab)) }),*];
    };
}
use cases;

/// The services that a case is tried on, and names that no other case has.
pub(crate) struct Lab {
    clients: Clients,
    settings: Settings,
    time: Time,
    /// Begins the keys of the case's items.
    prefix: String,
    /// Where the case's activities are.
    tenant: Tenant,
}

/// How a case lets time pass.
#[derive(Clone)]
enum Time {
    /// The services go by this clock.
    Moved(Arc<LocalClock>),
    /// The services go by the wall's.
    Waited,
}

impl Lab {
    fn new(clients: Clients, settings: Settings, time: Time) -> Self {
        let entropy: &dyn Entropy = &OsEntropy;
        let prefix = entropy.uuid_v7(SystemClock.now()).simple().to_string();
        let tenant = Tenant { company: prefix.parse().unwrap(), solution: "main".parse().unwrap() };
        Self { clients, settings, time, prefix, tenant }
    }

    /// Services of the case's own in this process.
    async fn embedded() -> Self {
        let clock = Arc::new(LocalClock::frozen(beginning()));
        let embedded = Embedded::start_in_memory(clock.clone()).await.unwrap();
        let variables = embedded.settings("delivery-worker");
        Self::new(embedded.clients().clone(), settings(&variables), Time::Moved(clock))
    }

    /// Lets `seconds` go by for the services.
    async fn pass(&self, seconds: i64) {
        match &self.time {
            Time::Moved(clock) => clock.advance_to(clock.now() + TimeDelta::seconds(seconds)),
            Time::Waited => {
                // A little more: the service rounds as it likes.
                let rest = TimeDelta::seconds(seconds) + TimeDelta::milliseconds(100);
                SystemClock.sleep_until(SystemClock.now() + rest).await;
            }
        }
    }

    fn clock(&self) -> SharedClock {
        match &self.time {
            Time::Moved(clock) => clock.clone(),
            Time::Waited => Arc::new(SystemClock),
        }
    }

    /// The key of an item of the case.
    fn key(&self, pk: &str, sk: &str) -> HashMap<String, AttributeValue> {
        HashMap::from([("PK".to_owned(), s(&format!("{}#{pk}", self.prefix))), ("SK".to_owned(), s(sk))])
    }
}

fn settings(variables: &HashMap<String, String>) -> Settings {
    Settings::read(&|name| variables.get(name).cloned()).unwrap()
}

fn id(text: &str) -> ActivityId {
    text.parse().unwrap()
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// The code of a refusal; `accepted` if there was none.
fn refusal<T>(sent: Result<T, impl ProvideErrorMetadata>) -> String {
    match sent {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.code().unwrap_or("no code").to_owned(),
    }
}

fn all() -> impl Iterator<Item = &'static Case> {
    let modules =
        [items::CASES, statements::CASES, transactions::CASES, indexes::CASES, queue::CASES, keys::CASES];
    modules.into_iter().flatten()
}

/// What a case says of the services; `None` if they are as it expects.
async fn complaint(case: &'static Case, lab: Lab) -> Option<String> {
    // A task, so that an assertion that fails is the case's alone.
    let failed = tokio::spawn((case.run)(lab)).await.err()?.into_panic();
    let text = failed.downcast_ref::<String>().cloned();
    Some(text.unwrap_or_else(|| (*failed.downcast_ref::<&str>().unwrap_or(&"no message")).to_owned()))
}

#[tokio::test]
async fn the_embedded_services_are_as_the_code_expects() {
    let mut complaints = Vec::new();
    for case in all() {
        complaints.extend(complaint(case, Lab::embedded().await).await.map(|text| (case.name, text)));
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[tokio::test]
async fn other_services_differ_only_as_listed() {
    let Ok(url) = std::env::var("PUNCTUAL_TEST_ENDPOINT") else { return };
    let services = std::env::var("PUNCTUAL_TEST_SERVICES").unwrap_or_else(|_| "moto".to_owned());
    let clients = remote_clients(&url).await;
    let parameters = parameters(TEST_ADMIN_KEY, TEST_PROCESSOR_SECRET, LOCAL_ALLOWED_CIDRS);
    let template = Template::project().unwrap();
    let provisioned = provision(&template, &parameters, &clients).await.unwrap();
    let settings = settings(&provisioned.environment("delivery-worker"));

    // One after the other: moto copies its tables to undo a canceled transaction, and with it what others wrote.
    let mut judged = Vec::new();
    for case in all() {
        let lab = Lab::new(clients.clone(), settings.clone(), Time::Waited);
        judged.push((case.name, complaint(case, lab).await));
    }
    let faults = unlisted(&judged, DIFFERENCES.iter().filter(|listed| listed.services == services));
    assert!(faults.is_empty(), "against {services} at {url}: {faults:#?}");
}

/// Where the list and what was seen disagree, either way.
fn unlisted<'a>(
    judged: &[(&str, Option<String>)],
    listed: impl Iterator<Item = &'a Difference>,
) -> Vec<String> {
    let of_case = |difference: &'a Difference| difference.cases.iter().map(move |case| (*case, difference));
    let listed: HashMap<&str, &Difference> = listed.flat_map(of_case).collect();
    let judge = |(name, complaint): &(&str, Option<String>)| match (complaint, listed.get(name)) {
        (Some(text), Some(difference)) if text.contains(difference.seen) => None,
        (Some(text), Some(difference)) => {
            Some(format!("{name} differs otherwise than by {:?}: {text}", difference.seen))
        }
        (Some(text), None) => Some(format!("{name}: {text}")),
        (None, Some(difference)) => {
            Some(format!("{name} no longer differs; strike it out: {}", difference.why))
        }
        (None, None) => None,
    };
    judged.iter().filter_map(judge).collect()
}

#[test]
fn the_list_of_differences_names_cases_and_hides_no_other_fault() {
    let names: Vec<&str> = all().map(|case| case.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "two cases of one name");
    for Difference { cases, why, seen, .. } in DIFFERENCES {
        assert!(!why.is_empty() && !seen.is_empty(), "{cases:?} has no reason or no sign");
        for case in *cases {
            assert!(names.contains(case), "{case} is no case");
        }
    }
    let listed = [Difference { services: "x", cases: &["a"], seen: "sign", why: "because" }];
    let faults = |seen: Option<&str>, case| unlisted(&[(case, seen.map(str::to_owned))], listed.iter());
    assert!(faults(Some("the sign of it"), "a").is_empty());
    assert_eq!(faults(None, "a"), ["a no longer differs; strike it out: because"]);
    assert_eq!(faults(Some("another"), "a"), ["a differs otherwise than by \"sign\": another"]);
    assert_eq!(faults(Some("sign"), "b"), ["b: sign"]);
    assert!(faults(None, "b").is_empty());
}
