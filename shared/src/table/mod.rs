//! Names in the work table: attributes, indexes and keys.

pub mod attr;
pub mod keys;
