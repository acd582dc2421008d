//! Names and ids: parsed once at the edge, impossible to hold wrong afterwards.
//!
//! SPEC §1: names match `[A-Za-z0-9][A-Za-z0-9_.-]{0,63}`, ids a caller gives
//! match `[A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}`. They are path segments and never
//! change. Each type has one door, [`FromStr`].

pub mod ids;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Most characters of a name.
pub const NAME_MAX_CHARS: usize = 64;
/// Most characters of an id.
pub const ID_MAX_CHARS: usize = 128;
/// Company names that paths need for themselves.
pub const RESERVED_COMPANIES: [&str; 2] = ["configuration", "item"];
/// Activity ids that paths need for themselves.
pub const RESERVED_ACTIVITY_IDS: [&str; 2] = ["batch", "bulk"];

/// Why a text is no name or id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text does not match the pattern of its kind.
    #[error("must match {0}")]
    Pattern(&'static str),
    /// The text is a word that paths use.
    #[error("\"{0}\" is reserved")]
    Reserved(String),
}

/// Why a text is none of a few names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnknownName(
    /// Which names there are, as the rest of a sentence.
    pub &'static str,
);

const NAME_PATTERN: &str = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}";
const ID_PATTERN: &str = "[A-Za-z0-9][A-Za-z0-9_.:@-]{0,127}";

fn check(text: &str, id: bool) -> Result<(), NameError> {
    let text = ids::without_incarnation(text).filter(|_| id).unwrap_or(text);
    let (pattern, max, extra) =
        if id { (ID_PATTERN, ID_MAX_CHARS, "_.:@-") } else { (NAME_PATTERN, NAME_MAX_CHARS, "_.-") };
    let first_is_good = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest_is_good = text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c));
    if first_is_good && rest_is_good && text.len() <= max { Ok(()) } else { Err(NameError::Pattern(pattern)) }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, id: $id:expr, reserved: $reserved:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                check(text, $id)?;
                let reserved: &[&str] = $reserved;
                if reserved.contains(&text) {
                    return Err(NameError::Reserved(text.to_owned()));
                }
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name_type!(
    /// A company: the outer half of a tenant.
    CompanyName, id: false, reserved: &RESERVED_COMPANIES
);
name_type!(
    /// A solution of a company: the inner half of a tenant.
    SolutionName, id: false, reserved: &[]
);
name_type!(
    /// The name of an activity type or notification type.
    TypeName, id: false, reserved: &[]
);
name_type!(
    /// The name of a recurring activity: a rule that creates activities.
    RecurringName, id: false, reserved: &[]
);
name_type!(
    /// The id of an activity, reminder or notification, given by the caller or by us.
    ActivityId, id: true, reserved: &RESERVED_ACTIVITY_IDS
);

/// A solution of a company, told apart from those that had the same name before it (SPEC §3: nothing of a deleted
/// solution is shown to whoever makes one of its name again).
///
/// Its text is a part of every key below the solution: the name alone for the first solution of a name, `{name}~{n}`
/// for those made after n deletions. A name has no `~`. What users see is [`SolutionId::name`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SolutionId {
    name: SolutionName,
    incarnation: u32,
}

/// The incarnation that no solution ever has.
const VACANT: u32 = u32::MAX;
/// What stands between a solution's name and its incarnation.
const INCARNATION: char = '~';

impl SolutionId {
    /// The solution that has the name after `incarnation` deletions of others.
    pub fn new(name: SolutionName, incarnation: u32) -> Self {
        Self { name, incarnation }
    }

    /// Stands for a name that no solution has: nothing is stored under it.
    pub fn vacant(name: SolutionName) -> Self {
        Self::new(name, VACANT)
    }

    /// The name, as users know it.
    pub fn name(&self) -> &SolutionName {
        &self.name
    }

    /// How many solutions of this name were deleted before it.
    pub fn incarnation(&self) -> u32 {
        self.incarnation
    }
}

impl fmt::Display for SolutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.incarnation {
            0 => write!(f, "{}", self.name),
            n => write!(f, "{}{INCARNATION}{n}", self.name),
        }
    }
}

impl fmt::Debug for SolutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl FromStr for SolutionId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let Some((name, number)) = text.split_once(INCARNATION) else {
            return Ok(Self::new(text.parse()?, 0));
        };
        let id = Self::new(name.parse()?, number.parse().unwrap_or_default());
        // One spelling alone, so that no two keys are of the same solution.
        if id.to_string() == text { Ok(id) } else { Err(NameError::Pattern("{name}~{n}")) }
    }
}

impl serde::Serialize for SolutionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for SolutionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A company and one of its solutions. The seeds' *tenant* and *account*.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Tenant {
    /// The company.
    pub company: CompanyName,
    /// The solution within it.
    pub solution: SolutionId,
}

impl FromStr for Tenant {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let (company, solution) = text.split_once('/').ok_or(NameError::Pattern("{company}/{solution}"))?;
        Ok(Self { company: company.parse()?, solution: solution.parse()? })
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.company, self.solution)
    }
}

/// What makes an activity's call (SPEC §1): an activity type, or (§4) a channel.
///
/// Written `A:{type}` or `C:{channel}` in keys and queue messages.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An activity type of the solution (SPEC §3).
    Type(TypeName),
    /// A channel of the solution (SPEC §4).
    Channel(Channel),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Type(name) => write!(f, "A:{name}"),
            Kind::Channel(channel) => write!(f, "C:{channel}"),
        }
    }
}

impl FromStr for Kind {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once(':') {
            Some(("A", name)) => Ok(Kind::Type(name.parse()?)),
            Some(("C", channel)) => Ok(Kind::Channel(channel.parse()?)),
            _ => Err(NameError::Pattern("A:{type} or C:{channel}")),
        }
    }
}

/// The channels of activity injection (SPEC §4).
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    strum::IntoStaticStr,
    strum::Display,
    strum::EnumString,
)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names say it")]
#[strum(serialize_all = "UPPERCASE", parse_err_ty = NameError, parse_err_fn = refused_channel)]
pub enum Channel {
    Salesman,
    Callcenter,
    Whatsapp,
    Email,
    Sms,
    Push,
}

impl Channel {
    /// Every channel, in the order of SPEC §4.
    pub const ALL: [Channel; 6] = [
        Channel::Salesman,
        Channel::Callcenter,
        Channel::Whatsapp,
        Channel::Email,
        Channel::Sms,
        Channel::Push,
    ];

    /// The name as SPEC §4 writes it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

fn refused_channel(_: &str) -> NameError {
    NameError::Pattern("SALESMAN, CALLCENTER, WHATSAPP, EMAIL, SMS or PUSH")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_follow_their_patterns() {
        for good in ["a", "A9", "a_b.c-d", &"x".repeat(64)] {
            assert!(good.parse::<SolutionName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", ".a", "_a", "a b", "a/b", "ä", "a:b", "a@b", &"x".repeat(65)] {
            assert!(bad.parse::<SolutionName>().is_err(), "{bad}");
        }
        for good in ["a", "a:b@c", "rule@1700000000", &"x".repeat(128)] {
            assert!(good.parse::<ActivityId>().is_ok(), "{good}");
        }
        for bad in ["", ":a", "a/b", "a#b", "batch", "bulk", &"x".repeat(129)] {
            assert!(bad.parse::<ActivityId>().is_err(), "{bad}");
        }
        assert!("configuration".parse::<CompanyName>().is_err());
        assert!("item".parse::<CompanyName>().is_err());
        assert!("item".parse::<SolutionName>().is_ok());
    }

    #[test]
    fn kinds_round_trip() {
        for text in ["A:play", "C:EMAIL"] {
            assert_eq!(text.parse::<Kind>().unwrap().to_string(), text);
        }
        assert!("C:FAX".parse::<Kind>().is_err());
        assert!("play".parse::<Kind>().is_err());
    }
}
