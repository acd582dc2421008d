//! Results of activities, as providers report them (SPEC §4).

use crate::activity::Status;
use crate::names::UnknownName;
use std::fmt;
use std::str::FromStr;

/// What a provider reports of an activity.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::Display, strum::EnumString,
)]
#[allow(missing_docs, reason = "the names say it")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE", parse_err_ty = crate::names::UnknownName, parse_err_fn = refused_result_status)]
pub enum ResultStatus {
    Completed,
    Transferred,
    NotExecuted,
    Canceled,
    Pending,
}

impl ResultStatus {
    /// Every status, in the order of SPEC §4.
    pub const ALL: [ResultStatus; 5] = [
        ResultStatus::Completed,
        ResultStatus::Transferred,
        ResultStatus::NotExecuted,
        ResultStatus::Canceled,
        ResultStatus::Pending,
    ];

    /// The name as SPEC §4 writes it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// How it ends the activity; `None` where it changes nothing.
    pub fn ends_as(self) -> Option<Status> {
        match self {
            ResultStatus::Completed | ResultStatus::Transferred => Some(Status::Completed),
            ResultStatus::NotExecuted => Some(Status::Failed),
            ResultStatus::Canceled => Some(Status::Canceled),
            ResultStatus::Pending => None,
        }
    }
}

fn refused_result_status(_: &str) -> crate::names::UnknownName {
    crate::names::UnknownName("must be COMPLETED, TRANSFERRED, NOT_EXECUTED, CANCELED or PENDING")
}

/// The result that ended an activity, or will once its claim is settled.
///
/// Written `{status}#{id}`: which result it was tells a repetition of the same one from a second one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What was reported.
    reported: ResultStatus,
    /// How that ends the activity.
    ends_as: Status,
    /// The result's id.
    id: String,
}

impl Verdict {
    /// The verdict of a result; `None` for one that changes nothing.
    pub fn of(reported: ResultStatus, id: &str) -> Option<Self> {
        Some(Self { reported, ends_as: reported.ends_as()?, id: id.to_owned() })
    }

    /// How it ends the activity.
    pub fn ends_as(&self) -> Status {
        self.ends_as
    }

    /// The result's id.
    pub fn result_id(&self) -> &str {
        &self.id
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.reported, self.id)
    }
}

impl FromStr for Verdict {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "must be a final result's status, # and its id";
        let (reported, id) = text.split_once('#').ok_or(EXPECTED)?;
        Verdict::of(reported.parse().map_err(|UnknownName(names)| names)?, id).ok_or(EXPECTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_ends_an_activity_as_the_seed_says() {
        for (text, expect) in [
            ("COMPLETED", Some(Status::Completed)),
            ("TRANSFERRED", Some(Status::Completed)),
            ("NOT_EXECUTED", Some(Status::Failed)),
            ("CANCELED", Some(Status::Canceled)),
            ("PENDING", None),
        ] {
            let status: ResultStatus = text.parse().unwrap();
            assert_eq!((status.as_str(), status.ends_as()), (text, expect));
            let verdict = Verdict::of(status, "r:1");
            assert_eq!(verdict.as_ref().map(Verdict::ends_as), expect);
            if let Some(verdict) = verdict {
                assert_eq!(verdict.to_string().parse(), Ok(verdict));
            }
        }
        assert!("completed".parse::<ResultStatus>().is_err());
        for bad in ["", "COMPLETED", "PENDING#1", "DONE#1"] {
            assert!(bad.parse::<Verdict>().is_err(), "{bad}");
        }
    }
}
