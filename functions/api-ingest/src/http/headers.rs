//! Headers of every answer that tell browsers and caches what not to do with it (SPEC §11).

use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, X_CONTENT_TYPE_OPTIONS};

/// Answers are data: nothing in them is ever to be run, shown as a page or framed.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";
/// The page at `/docs` runs what comes with it, calls this API and nobody else, and is shown in no frame. Its styles are partly
/// inline.
pub const DOCUMENTATION: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Adds them, where the answer does not say otherwise: it is kept by no cache, is what its content type says, and has
/// no content of its own to run.
pub async fn add(mut response: Response) -> Response {
    const DEFAULTS: [(HeaderName, &str); 3] = [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, NOTHING),
    ];
    for (name, value) in DEFAULTS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
