//! Bodies that break off, hang or never end: the head has said what came of the call.

use super::tests::{AMPLE, SHORT, get, open, read_head, receiver};
use super::*;
use chrono::TimeDelta;
use futures::future::join_all;
use rules::retry_after::RetryAfter;
use tokio::io::AsyncWriteExt;

/// What follows the bytes that a receiver sends.
#[derive(Debug, Clone, Copy)]
enum Then {
    Close,
    Reset,
    Hang,
    /// The same again and again, one every so often.
    Repeat(&'static str),
}

/// Starts a receiver that reads a request's head, writes `text`, and goes on as `then` says.
async fn breaking(text: String, then: Then) -> u16 {
    receiver(move |mut stream| {
        let text = text.clone();
        async move {
            read_head(&mut stream).await?;
            stream.write_all(text.as_bytes()).await?;
            match then {
                Then::Close => stream.shutdown().await,
                Then::Reset => stream.set_zero_linger(),
                Then::Hang => std::future::pending().await,
                Then::Repeat(more) => {
                    let mut drip = tokio::time::interval(SHORT / 50);
                    loop {
                        drip.tick().await;
                        stream.write_all(more.as_bytes()).await?;
                    }
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn the_head_decides_whatever_becomes_of_the_body() {
    let wait = |seconds| Some(RetryAfter::Wait(TimeDelta::seconds(seconds)));
    let heads = [
        ("200 OK", 200, None),
        ("201 Created", 201, None),
        ("404 Not Found", 404, None),
        ("503 Busy\r\nretry-after: 3600", 503, wait(3_600)),
        ("429 Slow\r\nretry-after: 120", 429, wait(120)),
    ];
    let bodies = [
        ("content-length: 100\r\n\r\ndone", Then::Close, Some("connection closed")),
        ("content-length: 100\r\n\r\ndone", Then::Reset, Some("connection reset")),
        ("content-length: 100\r\n\r\ndone", Then::Hang, Some("it was not complete in time")),
        ("content-length: 9999\r\n\r\ndone", Then::Repeat("."), Some("it was not complete in time")),
        ("transfer-encoding: chunked\r\n\r\n4\r\ndone\r\n", Then::Close, Some("connection closed")),
        ("transfer-encoding: chunked\r\n\r\n4\r\ndone\r\n", Then::Reset, Some("connection reset")),
        ("transfer-encoding: chunked\r\n\r\n64\r\ndone", Then::Close, Some("connection closed")),
        ("transfer-encoding: chunked\r\n\r\n4\r\ndone\r\nzz\r\n", Then::Close, Some("")),
        ("transfer-encoding: chunked\r\n\r\n4\r\ndone\r\nffffffffffffffffff\r\n", Then::Close, Some("")),
        ("transfer-encoding: chunked\r\n\r\n4\r\ndone\r\n", Then::Repeat("1\r\n.\r\n"), Some("it was not")),
        ("content-type: text/event-stream\r\n\r\ndone", Then::Repeat("data: 1\n\n"), Some("it was not")),
        ("connection: close\r\n\r\ndone", Then::Close, None),
        ("content-length: 4\r\n\r\ndone", Then::Hang, None),
    ];
    let cases = heads.iter().flat_map(|head| bodies.iter().map(move |body| (head, body)));
    join_all(cases.map(|((head, status, retry_after), (body, then, broken))| async move {
        let what = format!("{head} {body} {then:?}");
        let port = breaking(format!("HTTP/1.1 {head}\r\n{body}"), *then).await;
        let request =
            OutboundRequest { body_timeout: SHORT, ..get(format!("http://127.0.0.1:{port}/"), AMPLE) };
        let answer = open().send(request).await.unwrap_or_else(|error| panic!("{error}: {what}"));
        assert_eq!((answer.status, answer.retry_after), (*status, *retry_after), "{what}");
        assert_eq!(answer.is_success(), *status < 300, "{what}");
        assert!(answer.excerpt().is_some_and(|text| text.starts_with("done")), "{what}: {answer:?}");
        let reason = answer.broken_off();
        assert_eq!(reason.is_some(), broken.is_some(), "{what}: {reason:?}");
        assert!(reason.unwrap_or_default().starts_with(broken.unwrap_or_default()), "{what}: {reason:?}");
    }))
    .await;
}

#[tokio::test]
async fn the_calls_time_limit_holds_for_the_body_too() {
    for then in [Then::Hang, Then::Repeat("."), Then::Repeat("data: 1\n\n")] {
        let port = breaking("HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\ndone".to_owned(), then).await;
        let request =
            OutboundRequest { body_timeout: AMPLE, ..get(format!("http://127.0.0.1:{port}/"), SHORT) };
        let answer = tokio::time::timeout(AMPLE / 2, open().send(request)).await.unwrap().unwrap();
        assert!(answer.is_success() && answer.body().starts_with(b"done"), "{then:?}");
        assert_eq!(answer.broken_off(), Some("it was not complete in time"), "{then:?}");
    }
}

#[tokio::test]
async fn a_secret_that_the_body_breaks_off_in_is_not_kept() {
    let text = "HTTP/1.1 500 Oops\r\ncontent-length: 99\r\n\r\nno such key: open-ses";
    let mut secrets = Secrets::default();
    secrets.add("open-sesame");
    let port = breaking(text.to_owned(), Then::Close).await;
    let request = OutboundRequest { secrets, ..get(format!("http://127.0.0.1:{port}/"), AMPLE) };
    let answer = open().send(request).await.unwrap();
    assert_eq!(answer.excerpt().as_deref(), Some("no such key: [redacted]"));
}
