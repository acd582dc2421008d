//! The registered providers: one module and one line each, in order of their codes.

mod mock;
mod yom;

use super::DispatchProvider;

/// Every provider.
#[rustfmt::skip]
pub static PROVIDERS: &[&dyn DispatchProvider] = &[
    &mock::Mock,
    &yom::Yom,
];
