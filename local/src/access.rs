//! Who may use what local mode opens without a key: the test clock, and the AWS port (SPEC §12).
//!
//! They trust whoever reaches them, so they answer only a program on this machine, and none that a stranger makes
//! act: no page in a browser, neither from another site nor under a name that its owner points here (DNS
//! rebinding), and no call that Punctual itself makes for a tenant.

use crate::embedded::Answer;
use api_ingest::http::problem::PROBLEM_JSON;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, HeaderName, ORIGIN, USER_AGENT};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// On every call that Punctual signs; the others have its `User-Agent`.
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// The part of each port that is local mode's own; its errors are problems (RFC 9457).
const LOCAL_PATH: &str = "/local/";

/// Under which names a listener is reached.
#[derive(Debug, Clone)]
pub struct Access {
    /// What it is bound to.
    pub bound: SocketAddr,
    /// Names that the user allows beside loopback and the bound address.
    pub allowed_hosts: Arc<[String]>,
}

impl Access {
    /// `router`, answering only whom it may.
    pub fn guard(self, router: Router) -> Router {
        router.layer(from_fn_with_state(Arc::new(self), check))
    }

    /// Why a request is refused; `None` if it is answered.
    fn refusal(&self, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let texts = |name: &HeaderName| -> Vec<String> {
            let values = headers.get_all(name).iter();
            values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
        };
        let is_ours = texts(&USER_AGENT).iter().any(|agent| agent == shared::outbound::USER_AGENT);
        if is_ours || headers.contains_key(WEBHOOK_SIGNATURE) {
            return Some("a call that Punctual makes for a tenant is not answered here".to_owned());
        }
        let mut hosts = texts(&HOST);
        hosts.extend(uri.authority().map(Authority::to_string));
        if hosts.is_empty() {
            return Some("the header Host is missing".to_owned());
        }
        if let Some(host) = hosts.iter().find(|host| !self.is_own(host)) {
            let name = host_of(host).unwrap_or_else(|| host.clone());
            return Some(format!(
                "Host {host:?} is neither loopback nor the address that is listened on; if it is this machine, start \
                 punctual with --allowed-host {name}"
            ));
        }
        let is_same = |origin: &str| {
            let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            authority.is_some_and(|authority| hosts.iter().all(|host| host.eq_ignore_ascii_case(authority)))
        };
        if let Some(origin) = texts(&ORIGIN).into_iter().find(|origin| !is_same(origin)) {
            return Some(format!("a page of Origin {origin:?} is not answered here"));
        }
        let is_foreign = |site: &String| !matches!(site.as_str(), "same-origin" | "none");
        let foreign = texts(&SEC_FETCH_SITE).into_iter().find(is_foreign);
        foreign.map(|site| format!("a page of another origin (Sec-Fetch-Site {site:?}) is not answered here"))
    }

    /// Whether the value of a `Host` header names this machine in a way that nobody else can point here. No browser
    /// takes an address for a name, so where every address is listened on, each is as good as the others.
    fn is_own(&self, host: &str) -> bool {
        let Some(name) = host_of(host) else { return false };
        if let Ok(ip) = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            let (ip, bound) = (rules::address::plain(ip), rules::address::plain(self.bound.ip()));
            return ip.is_loopback() || ip == bound || bound.is_unspecified();
        }
        name == "localhost"
            || name.ends_with(".localhost")
            || self.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(&name))
    }
}

/// The host of a `Host` header, in lower case, without its port and the dot of the root.
fn host_of(host: &str) -> Option<String> {
    let authority: Authority = host.parse().ok().filter(|_| !host.contains('@'))?;
    let name = authority.host();
    Some(name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()).filter(|name| !name.is_empty())
}

async fn check(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let Some(refusal) = access.refusal(request.uri(), request.headers()) else {
        return next.run(request).await;
    };
    tracing::warn!(path = request.uri().path(), refusal, "request refused");
    if request.uri().path().starts_with(LOCAL_PATH) {
        return problem(StatusCode::FORBIDDEN, &refusal);
    }
    Answer::fault(StatusCode::FORBIDDEN.as_u16(), "AccessDeniedException", &refusal).into_response()
}

/// An error of what local mode has beside the API.
pub fn problem(status: StatusCode, detail: &str) -> Response {
    let problem = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    (status, [(CONTENT_TYPE, PROBLEM_JSON)], problem.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1:4566";

    #[track_caller]
    fn check(bound: &str, headers: &[(&'static str, &str)], expect: Option<&str>) {
        let allowed_hosts = Arc::new(["services".to_owned()]);
        let access = Access { bound: bound.parse().unwrap(), allowed_hosts };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let refusal = access.refusal(&Uri::from_static("/local/clock"), &map);
        match expect {
            None => assert_eq!(refusal, None, "{headers:?}"),
            Some(part) => {
                assert!(refusal.as_ref().is_some_and(|text| text.contains(part)), "{headers:?}: {refusal:?}")
            }
        }
    }

    #[test]
    fn the_host_is_loopback_or_the_bound_address() {
        for host in [
            "127.0.0.1:4566",
            "127.0.0.1",
            "127.8.9.10:1",
            "localhost:4566",
            "LocalHost",
            "localhost.:4566",
            "dynamodb.localhost:4566",
            "[::1]:4566",
            "[::1]",
            "[::ffff:127.0.0.1]:4566",
            "services:4566",
        ] {
            check(LOOPBACK, &[("host", host)], None);
        }
        for host in [
            "evil.example",
            "evil.example:4566",
            "localhost.evil.example",
            "evil-localhost",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "localhost, evil.example",
            "192.168.1.5:4566",
            "0.0.0.0:4566",
            "2130706433",
            "[::2]",
            "",
            ":4566",
            "services.evil.example",
        ] {
            check(LOOPBACK, &[("host", host)], Some("Host"));
        }
        check(LOOPBACK, &[], Some("Host is missing"));
        check(LOOPBACK, &[("host", "localhost"), ("host", "evil.example")], Some("evil.example"));
        check("192.168.1.5:80", &[("host", "192.168.1.5")], None);
        check("192.168.1.5:80", &[("host", "192.168.1.6")], Some("Host"));
        check("[fd00::5]:80", &[("host", "[fd00::5]:80")], None);
        // Behind a forwarded port, any of the machine's addresses; never a name.
        check("0.0.0.0:80", &[("host", "203.0.113.7:8080")], None);
        check("[::]:80", &[("host", "203.0.113.7")], None);
        check("0.0.0.0:80", &[("host", "evil.example")], Some("--allowed-host evil.example"));
    }

    #[test]
    fn the_target_of_a_request_to_a_proxy_is_a_host_as_well() {
        let access = Access { bound: LOOPBACK.parse().unwrap(), allowed_hosts: Arc::default() };
        let mut headers = HeaderMap::new();
        headers.insert("host", "localhost".parse().unwrap());
        let refusal = access.refusal(&Uri::from_static("http://evil.example/local/clock"), &headers);
        assert!(refusal.unwrap().contains("evil.example"));
        assert_eq!(access.refusal(&Uri::from_static("http://localhost/local/clock"), &headers), None);
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let host = ("host", "localhost:4566");
        for (headers, expect) in [
            (&[("origin", "http://localhost:4566")][..], None),
            (&[("origin", "http://LOCALHOST:4566"), ("sec-fetch-site", "same-origin")], None),
            (&[("sec-fetch-site", "none")], None),
            (&[("origin", "https://evil.example")], Some("Origin")),
            (&[("origin", "http://localhost:3000")], Some("Origin")),
            (&[("origin", "http://localhost")], Some("Origin")),
            (&[("origin", "http://127.0.0.1:4566")], Some("Origin")),
            (&[("origin", "null")], Some("Origin")),
            (&[("origin", "")], Some("Origin")),
            (&[("origin", "file://")], Some("Origin")),
            (&[("origin", "http://localhost:4566"), ("origin", "https://evil.example")], Some("evil")),
            (&[("sec-fetch-site", "cross-site")], Some("Sec-Fetch-Site")),
            // Another port of this machine: another program's page.
            (&[("sec-fetch-site", "same-site")], Some("Sec-Fetch-Site")),
            (
                &[("origin", "http://localhost:4566"), ("sec-fetch-site", "cross-site")],
                Some("Sec-Fetch-Site"),
            ),
        ] {
            check(LOOPBACK, &[&[host], headers].concat(), expect);
        }
    }

    #[test]
    fn punctuals_own_calls_are_refused_and_programs_are_not() {
        let host = ("host", "localhost:4566");
        for (headers, expect) in [
            (&[("webhook-signature", "v1,x"), ("user-agent", "curl/8")][..], Some("Punctual")),
            (&[("user-agent", shared::outbound::USER_AGENT)], Some("Punctual")),
            (&[("user-agent", "curl/8.5.0")], None),
            (&[("user-agent", "aws-sdk-rust/1.3.9 os/linux lang/rust/1.94")], None),
            (&[("user-agent", "aws-cli/2.17.0 md/Botocore#2.0.0")], None),
        ] {
            check(LOOPBACK, &[&[host], headers].concat(), expect);
        }
    }
}
