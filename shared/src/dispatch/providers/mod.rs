//! The registered providers: one module and one line each, in order of their codes.

mod mock;
mod yom;

use super::DispatchProvider;

/// Every provider.
pub static PROVIDERS: [&dyn DispatchProvider; 2] = [&mock::Mock, &yom::Yom];
