//! What endpoints of any resource are made with: JSON read strictly, faults, problems, queries, answers and their description.

pub mod answer;
pub mod base_path;
pub mod body;
pub mod cursor;
pub(crate) mod describe;
pub mod faults;
pub mod headers;
pub(crate) mod idempotency;
pub(crate) mod json;
pub(crate) mod kind;
pub mod kinds;
pub mod listing;
mod members;
pub mod object;
pub(crate) mod openapi;
pub mod problem;
pub mod query;
pub mod request;

pub use answer::Answer;
pub(crate) use body::body;
pub use body::{Body, apart, nested};
pub use cursor::{CURSOR_REFUSED, SECRET, Scope};
pub(crate) use describe::{Described, Doc, doc};
pub use faults::{Fault, Faults, at};
pub(crate) use kind::{Kind, Place, kind};
pub use kinds::{
    any_json, any_text, boolean, checked, checked_item, fixed_uri, integer, json_object, json_of, list_of,
    list_up_to, number, object_id, parsed, text, time,
};
pub use listing::{Items, Listing};
pub use object::Object;
pub use problem::Problem;
pub use query::Query;
pub use request::JsonText;
