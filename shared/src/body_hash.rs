//! The hash of a request's body, by which the same request is recognised (SPEC §2).

use std::fmt;

/// Between the hash of an activity's body and the executions that it asks for, which are compared apart: without any, they
/// are its type's, which may change.
const ATTEMPTS: char = '.';

/// The hash of a body that makes something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BodyHash {
    /// Of what it means: a member that spells a default out is as good as absent.
    meaning: String,
    /// Of every member that it has: what was made before defaults were left out has this one.
    written: String,
    attempts: Option<u32>,
    default_attempts: Option<u32>,
}

impl BodyHash {
    /// By a body's meaning, and by every member that it has.
    pub fn new(meaning: String, written: String) -> Self {
        Self { meaning, written, attempts: None, default_attempts: None }
    }

    /// Of an activity's body that asks for so many executions, if it says so; its meaning is without them.
    pub fn with_attempts(self, attempts: Option<u32>) -> Self {
        Self { attempts, ..self }
    }

    /// Of an activity's body whose type has so many executions now.
    pub fn with_default_attempts(self, default_attempts: u32) -> Self {
        Self { default_attempts: Some(default_attempts), ..self }
    }

    /// Whether what was made with the hash `made` was made by the same request.
    pub fn is_of(&self, made: &str) -> bool {
        made == self.to_string() || made == self.written
    }

    /// The same of an activity that has `made_attempts` executions.
    pub fn is_of_activity(&self, made: &str, made_attempts: u32) -> bool {
        if self.is_of(made) {
            return true;
        }
        let (meaning, attempts) = match made.rsplit_once(ATTEMPTS) {
            Some((meaning, attempts)) => (meaning, attempts.parse::<u32>().ok()),
            None => (made, None),
        };
        let is_same = match (attempts, self.attempts) {
            (None, Some(asked)) => asked.max(1) == made_attempts,
            (Some(asked), None) => self.default_attempts.map(|default| default.max(1)) == Some(asked.max(1)),
            _ => false,
        };
        is_same && meaning == self.meaning
    }
}

/// As it is stored.
impl fmt::Display for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.meaning)?;
        self.attempts.map_or(Ok(()), |attempts| write!(f, "{ATTEMPTS}{attempts}"))
    }
}

/// One that was stored, or of something that has no defaults.
impl<T: Into<String>> From<T> for BodyHash {
    fn from(hash: T) -> Self {
        let hash = hash.into();
        Self::new(hash.clone(), hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executions_of_an_activity_are_compared_as_they_are_in_effect() {
        let asked = |attempts, default| {
            BodyHash::new("m".into(), "w".into()).with_attempts(attempts).with_default_attempts(default)
        };
        for (made, made_attempts, hash, expect) in [
            ("m", 3, asked(None, 3), true),
            ("m", 3, asked(None, 5), true),
            ("m", 3, asked(Some(3), 3), true),
            ("m", 3, asked(Some(3), 5), true),
            ("m", 3, asked(Some(5), 5), false),
            ("m", 1, asked(Some(0), 5), true),
            ("m.3", 3, asked(None, 3), true),
            ("m.3", 3, asked(None, 5), false),
            ("m.3", 7, asked(Some(3), 5), true),
            ("m.3", 3, asked(Some(4), 3), false),
            ("w", 9, asked(Some(4), 3), true),
            ("x", 3, asked(None, 3), false),
            ("x.3", 3, asked(None, 3), false),
        ] {
            assert_eq!(hash.is_of_activity(made, made_attempts), expect, "{made} {made_attempts} {hash:?}");
        }
        assert_eq!(asked(Some(3), 3).to_string(), "m.3");
        assert_eq!(BodyHash::default().to_string(), "");
    }
}
