//! A domain of one's own with a base path: API Gateway hands requests on with it before their paths.

use axum::Router;
use axum::middleware::map_response;
use axum::response::Response;
use http::HeaderValue;
use http::header::LOCATION;

/// `router`, and the same below `base_path`, where `Location` leads there too.
pub fn mounted(router: Router, base_path: Option<&str>) -> Router {
    let Some(base_path) = base_path else { return router };
    let base: String = base_path.to_owned();
    let below = router.clone().layer(map_response(move |mut response: Response| {
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        if let Some(location) = location.filter(|location| location.starts_with('/'))
            && let Ok(location) = HeaderValue::from_str(&format!("{base}{location}"))
        {
            response.headers_mut().insert(LOCATION, location);
        }
        async move { response }
    }));
    Router::new().nest(base_path, below).fallback_service(router)
}
