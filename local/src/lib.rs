//! Local mode: the whole system on one machine, in one process.
//!
//! [`embedded`] is the AWS that there is here, filled by [`template`] with what
//! template.yaml describes; [`runner`] starts the functions as it says; [`system`]
//! puts them together and [`cli`] is how a user does.

mod access;
pub mod cli;
pub mod clock;
mod clock_api;
pub mod data_dir;
mod demo;
pub mod embedded;
pub mod gateway;
pub mod keys;
pub mod runner;
pub mod server;
mod stop;
pub mod system;
#[cfg(test)]
mod system_access_tests;
#[cfg(test)]
mod system_tests;
pub mod template;
pub mod terminal;
