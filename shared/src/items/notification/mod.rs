//! Notifications in the work table: saved first, then claimed, sent and settled (SPEC §7, §9.2).

mod codec;
mod find;
mod steps;

pub use codec::Notification;
pub use find::{NotificationCounts, NotificationFilter, NotificationView};
pub use steps::{Deleted, NewNotification, Saved, Stepped};
