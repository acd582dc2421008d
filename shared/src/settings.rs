//! Configuration: environment variables, read once at start into typed structs,
//! refused with every fault named (SPEC §10).

use crate::outbound::{ENDPOINT_VARIABLES, Listener};
use crate::quotas::Quotas;
use crate::tenancy::{AcceptedSecret, SecretHash, Shards};
use chrono::TimeDelta;
use ipnet::IpNet;
use rules::slots::Shares;

/// Reads one variable: the environment in Lambda, a map in local mode and tests.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Partitions of the due index a new type gets, where `PUNCTUAL_DUE_SHARDS` says nothing.
pub const DEFAULT_DUE_SHARDS: u32 = 4;
/// Most partitions of the due index a type may have.
pub const DUE_SHARDS_MAX: u32 = 64;
/// Partitions of the index of finished work for each status of a solution, where `PUNCTUAL_DONE_SHARDS` says nothing.
pub const DEFAULT_DONE_SHARDS: u32 = 16;
/// Days that what is over is kept without a period of its own, where `PUNCTUAL_RETENTION_DAYS` says nothing (SPEC §8).
pub const DEFAULT_RETENTION_DAYS: u32 = 365;
/// Most days of that.
pub const RETENTION_DAYS_MAX: u32 = 36_500;
/// Most partitions of the index of finished work for each status of a solution.
pub const DONE_SHARDS_MAX: u32 = 256;
/// Fewest characters of the admin key and of the processor's secret. Of one that is configured as its hash nothing can
/// be known.
pub const SECRET_MIN_CHARS: usize = 16;

/// What the paths of the API begin with: below a base path of the same name, nobody could tell which one is meant.
const API_PATHS: [&str; 6] = ["api", "console", "docs", "health", "openapi.json", "v1"];

/// Everything that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("configuration is refused:\n  {}", .0.join("\n  "))]
pub struct SettingsError(pub Vec<String>);

/// Gathers values and faults.
pub struct Reader<'a> {
    lookup: Lookup<'a>,
    faults: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Reads through `lookup`.
    pub fn new(lookup: Lookup<'a>) -> Self {
        Self { lookup, faults: Vec::new() }
    }

    /// A variable that must be there and not empty.
    pub fn required(&mut self, name: &str) -> String {
        match (self.lookup)(name).filter(|value| !value.is_empty()) {
            Some(value) => value,
            None => {
                self.faults.push(format!("{name} is not set"));
                String::new()
            }
        }
    }

    /// A secret, or `sha256:` and its hash in hex, or two of these with a comma between, of which either is accepted; absent
    /// or empty is none. Only hashes are kept.
    pub fn secret(&mut self, name: &str) -> Option<AcceptedSecret> {
        let text = (self.lookup)(name).filter(|value| !value.is_empty())?;
        if let Err(fault) = secret_text(&text) {
            self.faults.push(format!("{name} {fault}"));
        }
        match AcceptedSecret::configured(&text) {
            Ok(hash) => Some(hash),
            Err(fault) => {
                self.faults.push(format!("{name} {fault}"));
                None
            }
        }
    }

    /// The admin key of `PUNCTUAL_ADMIN_KEY`, which must be there.
    pub fn admin_key(&mut self) -> AcceptedSecret {
        self.required("PUNCTUAL_ADMIN_KEY");
        let hash = self.secret("PUNCTUAL_ADMIN_KEY");
        // Without one there is a fault, and so no settings that hold this.
        hash.unwrap_or_else(|| SecretHash::of("").into())
    }

    /// A whole number within `range`, or `default` where the variable is absent or empty.
    pub fn number(&mut self, name: &str, range: std::ops::RangeInclusive<u32>, default: u32) -> u32 {
        let Some(text) = (self.lookup)(name).filter(|value| !value.is_empty()) else {
            return default;
        };
        match text.parse() {
            Ok(value) if range.contains(&value) => value,
            _ => {
                let (from, to) = (range.start(), range.end());
                self.faults.push(format!("{name} must be a whole number from {from} to {to}, not {text:?}"));
                default
            }
        }
    }

    /// Comma-separated CIDRs; absent or empty is none.
    pub fn cidrs(&mut self, name: &str) -> Vec<IpNet> {
        let text = (self.lookup)(name).unwrap_or_default();
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let mut cidrs = Vec::new();
        for part in parts {
            match part.parse() {
                Ok(cidr) => cidrs.push(cidr),
                Err(_) => self.faults.push(format!("{name}: {part:?} is no CIDR such as 10.1.0.0/16")),
            }
        }
        cidrs
    }

    /// `PUNCTUAL_BASE_PATH`: what a custom domain of API Gateway puts before each path; absent or empty is nothing.
    pub fn base_path(&mut self) -> Option<String> {
        const NAME: &str = "PUNCTUAL_BASE_PATH";
        let path = (self.lookup)(NAME).filter(|path| !path.is_empty())?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        let mut segments = path.split('/');
        let first = (segments.next() == Some("")).then(|| segments.next()).flatten().unwrap_or_default();
        let is_path =
            [first].into_iter().chain(segments).all(|part| !part.is_empty() && part.chars().all(is_plain));
        if !is_path {
            self.faults.push(format!("{NAME} must be a path such as /punctual, not {path:?}"));
        } else if API_PATHS.contains(&first) {
            self.faults.push(format!("{NAME} must not begin with /{first}, which is a path of the API"));
        }
        Some(path)
    }

    /// Where outbound calls may go.
    pub fn outbound(&mut self) -> OutboundSettings {
        let allowed_cidrs = self.cidrs("PUNCTUAL_ALLOWED_CIDRS");
        let mut own_listeners = Vec::new();
        for name in ENDPOINT_VARIABLES {
            match (self.lookup)(name).filter(|value| !value.is_empty()).map(|value| value.parse()) {
                Some(Ok(listener)) => own_listeners.push(listener),
                Some(Err(fault)) => self.faults.push(format!("{name} {fault}")),
                None => {}
            }
        }
        OutboundSettings { allowed_cidrs, own_listeners }
    }

    /// How much of a pool a company may have: `names` are the variables with the number of places, and with the percentages
    /// of them for a company at most and while its receivers hold them for long, each with its default. `None` where it may
    /// have all.
    pub fn shares(&mut self, names: [(&str, u32); 3]) -> Option<Shares> {
        let [places, at_most, held] = names;
        let places = self.number(places.0, 1..=10_000, places.1);
        let at_most = self.number(at_most.0, 1..=100, at_most.1);
        let held = self.number(held.0, 1..=100, held.1);
        Shares::of(places, held, at_most)
    }

    /// How much of the `PUNCTUAL_REQUESTS` at a time, `places` where that is not set, a company may have for requests that
    /// call its receivers.
    pub fn request_shares(&mut self, places: u32) -> Option<Shares> {
        self.shares([
            ("PUNCTUAL_REQUESTS", places),
            ("PUNCTUAL_COMPANY_REQUESTS_PERCENT", COMPANY_REQUESTS_PERCENT_DEFAULT),
            ("PUNCTUAL_COMPANY_HELD_REQUESTS_PERCENT", COMPANY_HELD_REQUESTS_PERCENT_DEFAULT),
        ])
    }

    /// Adds a fault of the caller's.
    pub fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    /// `value`, unless there was a fault.
    ///
    /// # Errors
    /// Every fault gathered.
    pub fn finish<T>(self, value: T) -> Result<T, SettingsError> {
        if self.faults.is_empty() { Ok(value) } else { Err(SettingsError(self.faults)) }
    }
}

/// Whether `text` can be a secret of the configuration.
///
/// # Errors
/// It is short enough to be guessed, or has white space around it, which nobody can send in a header.
pub fn secret_text(text: &str) -> Result<(), String> {
    if text.trim() != text {
        return Err("must not begin or end with white space".to_owned());
    }
    if text.chars().count() < SECRET_MIN_CHARS {
        return Err(format!("must have at least {SECRET_MIN_CHARS} characters"));
    }
    Ok(())
}

/// The process's environment, as a [`Lookup`].
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// See `PUNCTUAL_COMPANY_REQUESTS_PERCENT`: template.yaml's default, as the next.
const COMPANY_REQUESTS_PERCENT_DEFAULT: u32 = 50;
/// See `PUNCTUAL_COMPANY_HELD_REQUESTS_PERCENT`.
const COMPANY_HELD_REQUESTS_PERCENT_DEFAULT: u32 = 10;

/// What every function needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `PUNCTUAL_CONFIG_TABLE`: the table of companies, solutions, keys and types.
    pub config_table: String,
    /// `PUNCTUAL_WORK_TABLE`: the table of activities.
    pub work_table: String,
    /// `PUNCTUAL_QUEUE_URL`: the queue of what is due within the horizon.
    pub queue_url: String,
    /// `PUNCTUAL_KMS_KEY_ID`: the key that wraps data keys.
    pub kms_key_id: String,
    /// `PUNCTUAL_DUE_SHARDS`: partitions of the due index a new type gets.
    pub due_shards: u32,
    /// `PUNCTUAL_DONE_SHARDS`: partitions of the index of finished work for each status of a solution.
    pub done_shards: u32,
    /// `PUNCTUAL_RETENTION_DAYS`: how long what is over and has no period of its own is kept; 0, for ever.
    pub retention_days: u32,
    /// How many of each a company may have.
    pub quotas: Quotas,
}

impl Settings {
    /// Over how many shards of the indexes what is new is spread.
    pub fn shards(&self) -> Shards {
        Shards { due: self.due_shards, done: self.done_shards }
    }

    /// How long what is over and has no period of its own is kept; `None` for ever.
    pub fn retention(&self) -> Option<TimeDelta> {
        (self.retention_days > 0).then(|| TimeDelta::days(self.retention_days.into()))
    }

    /// Reads the variables above.
    ///
    /// # Errors
    /// [`SettingsError`] naming every fault.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(lookup);
        let settings = Self {
            config_table: reader.required("PUNCTUAL_CONFIG_TABLE"),
            work_table: reader.required("PUNCTUAL_WORK_TABLE"),
            queue_url: reader.required("PUNCTUAL_QUEUE_URL"),
            kms_key_id: reader.required("PUNCTUAL_KMS_KEY_ID"),
            due_shards: reader.number("PUNCTUAL_DUE_SHARDS", 1..=DUE_SHARDS_MAX, DEFAULT_DUE_SHARDS),
            done_shards: reader.number("PUNCTUAL_DONE_SHARDS", 1..=DONE_SHARDS_MAX, DEFAULT_DONE_SHARDS),
            retention_days: reader.number(
                "PUNCTUAL_RETENTION_DAYS",
                0..=RETENTION_DAYS_MAX,
                DEFAULT_RETENTION_DAYS,
            ),
            quotas: Quotas::read(&mut reader),
        };
        reader.finish(settings)
    }
}

/// Where the calls of a function may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutboundSettings {
    /// `PUNCTUAL_ALLOWED_CIDRS`: private addresses that calls may reach.
    pub allowed_cidrs: Vec<IpNet>,
    /// What listens for Punctual itself, which no call reaches: the services that [`ENDPOINT_VARIABLES`] name, and what
    /// local mode adds of its own.
    pub own_listeners: Vec<Listener>,
}

impl From<Vec<IpNet>> for OutboundSettings {
    fn from(allowed_cidrs: Vec<IpNet>) -> Self {
        Self { allowed_cidrs, own_listeners: Vec::new() }
    }
}

impl OutboundSettings {
    /// Reads the variables above.
    ///
    /// # Errors
    /// [`SettingsError`] naming every fault.
    pub fn read(lookup: Lookup<'_>) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(lookup);
        let settings = reader.outbound();
        reader.finish(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named() {
        let lookup = |name: &str| match name {
            "PUNCTUAL_WORK_TABLE" => Some("work".to_owned()),
            "PUNCTUAL_DUE_SHARDS" => Some("many".to_owned()),
            _ => None,
        };
        let SettingsError(faults) = Settings::read(&lookup).unwrap_err();
        assert_eq!(
            faults,
            [
                "PUNCTUAL_CONFIG_TABLE is not set",
                "PUNCTUAL_QUEUE_URL is not set",
                "PUNCTUAL_KMS_KEY_ID is not set",
                "PUNCTUAL_DUE_SHARDS must be a whole number from 1 to 64, not \"many\"",
            ]
        );
    }

    #[test]
    fn a_secret_is_configured_as_itself_or_as_its_hash() {
        let secret = |text: &str| {
            let lookup = |_: &str| Some(text.to_owned());
            let mut reader = Reader::new(&lookup);
            let accepted = reader.secret("X");
            reader.finish(accepted).map(|accepted| accepted.unwrap()).map_err(|error| error.to_string())
        };
        // `printf %s a-key-of-16-chars | sha256sum`, which docs/deploy.md tells to run.
        const HASH: &str = "24300a2b32db899ed3aac780af046abacaa44d9315d8cd74791185dd392b9163";
        const PREVIOUS: &str = "the-one-before-it";
        let previous = SecretHash::of(PREVIOUS).hex();
        let two = format!("sha256:{HASH},sha256:{previous}");
        for (configured, opens, shut) in [
            ("a-key-of-16-chars", "a-key-of-16-chars", PREVIOUS),
            (&format!("sha256:{HASH}"), "a-key-of-16-chars", PREVIOUS),
            (&two, "a-key-of-16-chars", HASH),
            (&two, PREVIOUS, &two),
            ("a-key,with-a-comma", "a-key,with-a-comma", "a-key"),
        ] {
            let accepted = secret(configured).unwrap();
            assert!(accepted.opens(opens) && !accepted.opens(shut), "{configured}");
        }
        let without_its_mark = format!("sha256:{HASH},{previous}");
        let with_a_secret = format!("sha256:{HASH},{PREVIOUS}");
        let with_nothing = format!("sha256:{HASH},");
        let three = format!("{two},sha256:{HASH}");
        let of_nothing = format!("sha256:{}", SecretHash::of("").hex());
        let no_hex = format!("sha256:{}", HASH.replace('0', "x"));
        for bad in [
            "short",
            "15-characters-x",
            " 16 with a space",
            "                    ",
            "sha256:0011223344556677",
            &no_hex,
            &of_nothing,
            &without_its_mark,
            &with_a_secret,
            &with_nothing,
            &three,
        ] {
            assert!(secret(bad).unwrap_err().contains("X must "), "{bad}");
        }
    }

    #[test]
    fn a_base_path_is_plain_and_none_of_the_apis_own() {
        let read = |text: &str| {
            let lookup = |_: &str| Some(text.to_owned());
            let mut reader = Reader::new(&lookup);
            let path = reader.base_path();
            reader.finish(path).map_err(|error| error.to_string())
        };
        assert_eq!(read(""), Ok(None));
        for good in ["/punctual", "/a/b-c", "/v2"] {
            assert_eq!(read(good), Ok(Some(good.to_owned())));
        }
        for bad in ["punctual", "/", "//", "/a/", "/a//b", "/{a}", "/a b", "/v1", "/api/x"] {
            assert!(read(bad).unwrap_err().contains("PUNCTUAL_BASE_PATH must"), "{bad}");
        }
    }

    #[test]
    fn cidrs_are_read_and_refused_by_name() {
        let lookup = |_: &str| Some("127.0.0.0/8, ::1/128,nonsense".to_owned());
        let mut reader = Reader::new(&lookup);
        assert_eq!(reader.cidrs("X").len(), 2);
        assert!(reader.finish(()).unwrap_err().to_string().contains("nonsense"));
    }

    #[test]
    fn the_services_that_the_environment_names_are_listeners_of_our_own() {
        let lookup = |name: &str| match name {
            "AWS_LAMBDA_RUNTIME_API" => Some("127.0.0.1:9000/.rt/delivery-worker".to_owned()),
            "AWS_ENDPOINT_URL" => Some("http://services:4566".to_owned()),
            "AWS_ENDPOINT_URL_SQS" => Some("https://[::1]/queues".to_owned()),
            _ => None,
        };
        let listeners = OutboundSettings::read(&lookup).unwrap().own_listeners;
        let expect = ["127.0.0.1:9000", "http://services:4566", "[::1]:443"];
        assert_eq!(listeners, expect.map(|text| text.parse().unwrap()));
        let bad = |name: &str| (name == "AWS_ENDPOINT_URL").then(|| "http://:x".to_owned());
        let fault = OutboundSettings::read(&bad).unwrap_err().to_string();
        assert!(fault.contains("AWS_ENDPOINT_URL is no address of a service"), "{fault}");
    }
}
