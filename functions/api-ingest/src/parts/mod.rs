//! Parts of bodies and views that several resources have.

pub mod attempt;
pub mod call_headers;
pub mod limits;
pub mod parameter;
pub mod recipient;
pub mod reschedule_rules;
