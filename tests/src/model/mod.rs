//! The protocol of claim, call, settle and recovery as a model that is checked exhaustively (SPEC §9).
//!
//! One activity, its message, two workers, the sweeper and a caller take every order of steps there is. Each worker, the
//! sweeper and the caller may die once, at any point; one message may be doubled and one lost, and the answer to one
//! settle. What is decided is decided by `rules::activity` itself; a write's condition and effect are told in
//! [`item`], and a test holds them against the statements of `shared/src/engine/statements.rs`.
//!
//! Time is an order alone: an instant lies in the past or is still to come, and at any point all that is to come may
//! have come. So a worker may be slower than its lease anywhere, and whatever hangs on the length of a lead, a lease
//! or a span of the recovery pass is no matter of this model: `rules::due` has tests of those, and the simulation runs them.
//!
//! [`parents`] is a model of its own, of deletions and of what is created meanwhile below what they delete. There
//! durations are what the protocol rests on, so its time goes in seconds.

pub mod explore;
pub mod item;
pub mod parents;
pub mod properties;
pub mod steps;
pub mod system;
