//! SPEC §2: every endpoint of §3 with every error that any endpoint has.

use crate::api::{ADMIN, Answer, Api, S};
use crate::api_endpoints::{Endpoint, endpoints, filled};
use axum::body::Body;
use futures::stream;
use http::Request;
use serde_json::json;
use std::collections::BTreeSet;

fn said(endpoint: &Endpoint, answer: Answer, status: u16) -> Answer {
    assert_eq!(answer.status, status, "{} {}: {}", endpoint.method, endpoint.template, answer.text);
    answer.problem(status)
}

#[tokio::test]
async fn without_a_key_or_with_an_unknown_one_401() {
    let api = Api::seeded().await;
    let key = api.key("acme").await;
    for endpoint in endpoints() {
        let bare = || Request::builder().method(endpoint.method.as_str()).uri(endpoint.path());
        // Whoever is not known learns nothing of the body: it is not even read.
        let malformed = || Body::from("{");
        let unknown = format!("{}x", &key[..key.len() - 1]);
        for request in [
            bare().body(malformed()),
            bare().header("x-api-key", "nonsense").body(malformed()),
            bare().header("x-api-key", "pk~acme~some~secret").body(malformed()),
            bare().header("authorization", format!("Bearer {unknown}")).body(malformed()),
            bare().header("authorization", format!("Basic {ADMIN}")).body(malformed()),
            bare()
                .header("authorization", format!("Bearer {ADMIN}"))
                .header("x-api-key", &key)
                .body(malformed()),
        ] {
            said(&endpoint, api.send(request.unwrap()).await, 401);
        }
    }
}

#[tokio::test]
async fn a_company_key_outside_its_company_403_whether_or_not_the_thing_exists() {
    let api = Api::seeded().await;
    api.put("/v1/companies/other", json!({})).await.expect(201);
    let key = api.key("other").await;
    for endpoint in endpoints() {
        for company in ["acme", "nowhere", "-no-name-", "configuration"] {
            let path = endpoint.path().replace("/acme", &format!("/{company}"));
            said(&endpoint, api.call_as(&key, &endpoint.method, &path, endpoint.body.clone()).await, 403);
        }
        if endpoint.admin_only {
            let path = endpoint.path().replace("/acme", "/other");
            said(&endpoint, api.call_as(&key, &endpoint.method, &path, endpoint.body.clone()).await, 403);
        }
    }
}

#[tokio::test]
async fn below_what_does_not_exist_404() {
    let api = Api::new().await;
    for endpoint in endpoints() {
        if matches!(
            (endpoint.method.as_str(), endpoint.template.as_str()),
            ("PUT", "/v1/companies/{company}" | "/api/reminder/configuration/{agentId}/{configurationId}")
                | ("GET", "/v1/companies")
        ) {
            continue;
        }
        said(&endpoint, api.call(&endpoint.method, &endpoint.path(), endpoint.body.clone()).await, 404);
    }
    for path in
        ["/", "/v1", "/v1/companies/", "/v2/companies", "/v1/companies/acme/", "/v1/companies/acme/nothing"]
    {
        api.get(path).await.problem(404);
    }
}

#[tokio::test]
async fn names_that_are_none_400() {
    let api = Api::seeded().await;
    for endpoint in endpoints() {
        for (parameter, bad) in [
            ("company", "-a"),
            ("solution", "a%20b"),
            ("type", "a:b"),
            ("name", "a@b"),
            ("id", "%2Fetc"),
            ("agentId", "-a"),
            ("configurationId", "a%20b"),
            ("reminderId", "%2Fetc"),
        ] {
            let braced = format!("{{{parameter}}}");
            if !endpoint.template.contains(&braced) {
                continue;
            }
            let path = filled(&endpoint.template.replace(&braced, bad));
            let answer = said(&endpoint, api.call(&endpoint.method, &path, endpoint.body.clone()).await, 400);
            assert!(
                answer.faults()[0].starts_with(&format!("path:{parameter} must match")),
                "{}",
                answer.text
            );
        }
    }
    let reserved = api.put("/v1/companies/configuration", json!({})).await.problem(400);
    assert_eq!(reserved.faults(), ["path:company \"configuration\" is reserved"]);
    api.get("/v1/companies/%ff").await.problem(400);
}

#[tokio::test]
async fn bodies_that_are_none_400_413_415() {
    let api = Api::seeded().await;
    for endpoint in endpoints() {
        let Some(good) = &endpoint.body else { continue };
        let path = endpoint.path();
        let request = || {
            let builder =
                Request::builder().method(endpoint.method.as_str()).uri(&path).header("x-api-key", ADMIN);
            builder.header("content-type", "application/json")
        };
        let deep = format!("{{\"parameter\": {}{}}}", "[".repeat(5_000), "]".repeat(5_000));
        for malformed in ["{", "[]", "7", "null", "\"x\"", "{} {}", "{'a': 1}", "\u{feff}{}", &deep] {
            said(&endpoint, api.send(request().body(malformed.to_owned().into()).unwrap()).await, 400);
        }
        said(&endpoint, api.send(request().body(Body::from(&b"{\"\xff\": 1}"[..])).unwrap()).await, 400);

        let mut unknown = good.clone();
        unknown["unknown"] = json!(1);
        unknown["x/y"] = json!(null);
        let answer = said(&endpoint, api.call(&endpoint.method, &path, Some(unknown)).await, 400);
        for pointer in ["/unknown is no field of this", "/x~1y is no field of this"] {
            assert!(answer.faults().iter().any(|fault| fault == pointer), "{path}: {}", answer.text);
        }

        let twice = format!("{{\"a\": 1, \"a\": 1, {}", &good.to_string()[1..]).replace(", }", "}");
        let answer = said(&endpoint, api.send(request().body(twice.into()).unwrap()).await, 400);
        assert!(answer.faults().contains(&"/a is given twice".to_owned()), "{path}: {}", answer.text);

        let large = format!("{{\"unknown\": \"{}\"}}", "x".repeat(256 * 1024));
        let announced = request().header("content-length", large.len()).body(Body::empty()).unwrap();
        said(&endpoint, api.send(announced).await, 413);
        let chunks = large.as_bytes().chunks(10_000).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()));
        let chunked = Body::from_stream(stream::iter(chunks.collect::<Vec<_>>()));
        said(&endpoint, api.send(request().body(chunked).unwrap()).await, 413);

        for media_type in
            [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("text/json")]
        {
            let mut other = request().body(Body::from(good.to_string())).unwrap();
            match media_type {
                Some(media_type) => {
                    drop(other.headers_mut().insert("content-type", media_type.parse().unwrap()))
                }
                None => drop(other.headers_mut().remove("content-type")),
            }
            said(&endpoint, api.send(other).await, 415);
        }
    }
}

#[tokio::test]
async fn other_methods_405_with_those_allowed() {
    let api = Api::seeded().await;
    let endpoints = endpoints();
    for endpoint in &endpoints {
        let same = endpoints.iter().filter(|other| other.template == endpoint.template);
        let mut methods: BTreeSet<&str> = same.map(|other| other.method.as_str()).collect();
        if methods.contains("GET") {
            methods.insert("HEAD");
        }
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            if methods.contains(method) {
                continue;
            }
            let answer = api.call(method, &endpoint.path(), None).await;
            let allowed: BTreeSet<&str> = answer.header("allow").split(',').collect();
            assert_eq!(allowed, methods, "{method} {}", endpoint.template);
            match method {
                "OPTIONS" => drop(answer.expect(204)),
                "HEAD" => drop(answer.expect(405)),
                _ => drop(answer.problem(405)),
            }
        }
    }
    let head = api.call("HEAD", "/v1/companies/acme", None).await.expect(200);
    assert_eq!(head.text, "");
}

#[tokio::test]
async fn queries_are_read_as_strictly_as_bodies() {
    let api = Api::seeded().await;
    let lists = ["/v1/companies", "/v1/companies/acme/api-keys", "/v1/companies/acme/solutions"];
    let below = ["activity-types", "activities", "audit-log"].map(|list| format!("{S}/{list}"));
    for list in lists.iter().map(|list| list.to_string()).chain(below) {
        for (query, expect) in [
            ("limit=0", "query:limit must be a whole number from 1 to 100"),
            ("limit=101", "query:limit must be a whole number from 1 to 100"),
            ("limit=many", "query:limit must be a whole number from 1 to 100"),
            ("limit=1&limit=2", "query:limit is given twice"),
            ("page=2", "query:page is no parameter of this"),
            ("cursor=nonsense", "query:cursor must be a nextCursor that this list gave for the same query"),
            ("cursor=", "query:cursor must be a nextCursor that this list gave for the same query"),
        ] {
            let answer = api.get(&format!("{list}?{query}")).await.problem(400);
            assert_eq!(answer.faults(), [expect], "{list}?{query}");
        }
        api.get(&format!("{list}?limit=100")).await.expect(200);
    }
    let all = api.get(&format!("{S}/activities?limit=x&status=DONE&from=now&nope=1")).await.problem(400);
    assert_eq!(all.faults().len(), 4, "{}", all.text);
}

#[tokio::test]
async fn health_and_documents_need_no_key() {
    let api = Api::new().await;
    let get = |path: &str| Request::builder().uri(path).body(Body::empty()).unwrap();
    let health = api.send(get("/health")).await.expect(200);
    assert_eq!(health.json, json!({"status": "ok"}));
    let document = api.send(get("/openapi.json")).await.expect(200);
    assert_eq!(document.header("content-type"), "application/json");
    let redirect = api.send(get("/docs")).await;
    assert!(redirect.status == 200 || redirect.header("location") == "/docs/", "{redirect:?}");
    let page = api.send(get("/docs/")).await.expect(200);
    assert!(page.text.contains("swagger-ui"), "{}", page.text);
    assert!(!page.text.contains("https://"), "the page works offline: {}", page.text);
    let script = api.send(get("/docs/swagger-initializer.js")).await.expect(200);
    assert!(script.text.contains("/openapi.json"), "{}", script.text);
}

/// The page, and all that it loads, comes from the service itself.
#[tokio::test]
async fn the_page_of_the_documentation_needs_nothing_from_elsewhere() {
    let api = Api::new().await;
    let get = async |path: &str| {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        api.send(request).await.expect(200)
    };
    let page = get("/docs/").await.text;
    let assets = page
        .split(['"', '\''])
        .filter(|text| [".css", ".js", ".png"].iter().any(|end| text.ends_with(end)) && !text.contains(' '));
    let assets: Vec<&str> = assets.map(|asset| asset.trim_start_matches("./")).collect();
    assert!(assets.len() >= 6, "{assets:?}");
    for asset in assets {
        assert!(!asset.contains(':') && !asset.starts_with('/'), "{asset}");
        get(&format!("/docs/{asset}")).await;
    }
    let style = get("/docs/swagger-ui.css").await.text;
    assert!(!style.contains("@import") && !style.contains("url(http"), "the style loads from elsewhere");
    let settings = get("/docs/swagger-initializer.js").await.text;
    assert!(settings.contains("\"../openapi.json\"") && !settings.contains("http"), "{settings}");
    // Unless it is told otherwise, the page asks swagger.io for a badge, but on localhost.
    assert!(settings.contains("\"validatorUrl\": \"none\""), "{settings}");
}

/// Whatever the method, what is no success is a problem; where the method allows no body, its head still says so.
#[tokio::test]
async fn problems_of_every_method_are_problems() {
    let api = Api::seeded().await;
    let unknown = ["/nothing", "/v1/companies/acme/nothing", "/docs/nothing", "/docs/nothing/at/all"];
    for path in unknown {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            let answer = api.call(method, path, None).await;
            match (path.starts_with("/docs/"), method) {
                (true, "OPTIONS") => drop(answer.expect(204)),
                (true, "GET") | (false, _) => drop(answer.problem(404)),
                (true, _) => drop(answer.problem(405)),
            }
        }
    }
    let large = || Body::from(" ".repeat(300 * 1024));
    let request = |method: &str, path: &str, key: &str| {
        let request = Request::builder().method(method).uri(path).header("x-api-key", key);
        request.header("content-type", "application/json").body(large()).unwrap()
    };
    for (method, path, key, status) in [
        ("HEAD", "/nothing", ADMIN, 404),
        ("HEAD", "/docs/nothing", ADMIN, 404),
        ("HEAD", "/v1/companies/nowhere", ADMIN, 404),
        ("HEAD", "/v1/companies/acme", "unknown", 401),
        ("HEAD", "/v1/companies/-a", ADMIN, 400),
        ("HEAD", "/v1/companies?limit=0", ADMIN, 400),
        ("HEAD", "/v1/companies/acme/solutions/main/activities/batch", ADMIN, 405),
        ("OPTIONS", "/nothing", ADMIN, 404),
        ("PUT", "/v1/companies/acme", ADMIN, 413),
        ("PATCH", "/v1/companies/acme", ADMIN, 405),
    ] {
        let answer = api.send(request(method, path, key)).await.expect(status);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{method} {path}");
        if method == "HEAD" {
            assert_eq!(answer.text, "", "{path}");
        } else {
            answer.problem(status);
        }
    }
}

#[tokio::test]
async fn no_answer_is_kept_sniffed_or_framed() {
    let api = Api::seeded().await;
    for path in ["/health", "/openapi.json", S, "/v1/companies/none", "/nowhere", "/docs/", "/docs/index.css"]
    {
        let answer = api.get(path).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert_eq!(policy.contains("script-src 'self'"), path.starts_with("/docs"), "{path}: {policy}");
    }
    // What the sender's function answers, and refuses.
    for path in ["/api/reminder/item/pending/send", "/api/reminder/item/send"] {
        for method in ["POST", "GET"] {
            let answer = api.call(method, path, None).await;
            assert_eq!(answer.header("cache-control"), "no-store", "{method} {path}");
        }
    }
}
