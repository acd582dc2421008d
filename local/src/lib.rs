//! Local mode: the whole system on one machine, in one process.

pub mod clock;
pub mod data_dir;
pub mod embedded;
pub mod runner;
pub mod template;
