//! The World: the real handlers on embedded services, with a clock that jumps.
//!
//! Nothing here waits for the wall. Whoever sleeps on the [`JumpingClock`] moves
//! it to the instant waited for and goes on. Only calls to receivers take real
//! time, because they are real calls on loopback.

pub mod audit;
pub mod clock;
pub mod model;
pub mod provider;
pub mod raw;
pub mod receiver;
pub mod recurring;
pub mod reminders;
pub mod simulation;
pub mod steps;
pub mod stored;
pub mod world;

pub use clock::JumpingClock;
pub use raw::{RawReceiver, Then};
pub use receiver::{Arrival, Receiver, Reply};
pub use steps::Steps;
pub use world::World;
