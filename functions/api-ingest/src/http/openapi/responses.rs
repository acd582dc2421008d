//! The responses that are no success, by the kinds of endpoints that have them.

use std::collections::BTreeMap;
use utoipa::IntoResponses;
use utoipa::openapi::{Ref, RefOr, Response};

macro_rules! problems {
    ($(#[doc = $doc:literal] pub struct $name:ident: $($status:literal),*;)*) => {
        $(#[doc = $doc]
        pub struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                problems(&[$($status),*])
            }
        })*
    };
}

problems! {
    /// The problems that reading may answer.
    pub struct Read: "400", "401", "403", "404", "405", "429", "500";
    /// The problems that changing may answer.
    pub struct Change: "400", "401", "403", "404", "405", "409", "413", "415", "429", "500";
    /// The problems that changing without a body may answer.
    pub struct Delete: "400", "401", "403", "404", "405", "409", "429", "500";
    /// The problems that what is below no name may answer.
    pub struct Whole: "400", "401", "403", "405", "429", "500";
    /// The problems that what only needs a key may answer.
    pub struct Keyed: "401", "405", "429", "500";
    /// The problems that a path without a key may answer.
    pub struct Open: "405", "500";
    /// The problem that calling somebody at once may answer.
    pub struct Unanswered: "502";
}

/// The responses that are no success, by status: the names of their components, and what they mean.
pub const PROBLEMS: [(&str, &str, &str); 11] = [
    ("400", "BadRequest", "Malformed or unacceptable input; every fault is named"),
    ("401", "Unauthorized", "No key, or an unknown one"),
    ("403", "Forbidden", "A valid key outside its company, or not the admin key"),
    ("404", "NotFound", "There is no such thing"),
    ("405", "MethodNotAllowed", "Not this method"),
    ("409", "Conflict", "The state does not allow it"),
    ("413", "ContentTooLarge", "The body has more than 256 KiB"),
    ("415", "UnsupportedMediaType", "The body is no JSON"),
    (
        "429",
        "TooManyRequests",
        "Over a limit; `Retry-After` says when to try again. As after a 500, what was asked may have been done: repeat it with the same id",
    ),
    ("500", "InternalServerError", "Our fault; `instance` names the occurrence"),
    ("502", "BadGateway", "The service to be called did not answer"),
];

fn problems(statuses: &[&str]) -> BTreeMap<String, RefOr<Response>> {
    let wanted = PROBLEMS.iter().filter(|(status, _, _)| statuses.contains(status));
    wanted
        .map(|(status, name, _)| ((*status).to_owned(), RefOr::Ref(Ref::from_response_name(*name))))
        .collect()
}
