//! Reads environment variables, naming everything that is wrong with them.

use crate::outbound::{ENDPOINT_VARIABLES, OutboundSettings};
use crate::secret_hash::{AcceptedSecret, SecretHash};
use ipnet::IpNet;
use rules::slots::Shares;

/// Reads one variable: the environment in Lambda, a map in local mode and tests.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

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
