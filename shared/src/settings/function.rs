//! What every function is configured with.

use super::quotas::Quotas;
use super::reader::{Lookup, Reader, SettingsError};
use crate::shards::{DEFAULT_DONE_SHARDS, DEFAULT_DUE_SHARDS, DONE_SHARDS_MAX, DUE_SHARDS_MAX, Shards};
use chrono::TimeDelta;

/// Days that what is over is kept without a period of its own, where `PUNCTUAL_RETENTION_DAYS` says nothing (SPEC §8).
pub const DEFAULT_RETENTION_DAYS: u32 = 365;
/// Most days of that.
pub const RETENTION_DAYS_MAX: u32 = 36_500;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret_hash::SecretHash;
    use crate::settings::OutboundSettings;

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
        // `printf %s a-key-of-16-chars | sha256sum`, a command of docs/deploy.md.
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
