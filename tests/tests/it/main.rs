//! Scenarios: the real handlers on embedded services, driven by a clock that jumps.

mod crashes;
mod delivery;
mod sweeping;
