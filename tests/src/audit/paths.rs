//! The API's paths.

use super::evidence::Exchange;

/// A path below a solution.
pub struct Path<'a> {
    /// `company/solution`.
    pub tenant: String,
    /// What follows.
    pub rest: Vec<&'a str>,
}

/// Reads the path of a request below a solution.
pub fn tenant_path(exchange: &Exchange) -> Option<Path<'_>> {
    let path = exchange.path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["v1", "companies", company, "solutions", solution, rest @ ..] => {
            Some(Path { tenant: format!("{company}/{solution}"), rest: rest.to_vec() })
        }
        _ => None,
    }
}
