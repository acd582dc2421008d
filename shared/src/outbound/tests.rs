//! Calls to real receivers on loopback that misbehave in every way they can.

use super::*;
use rules::retry_after::RetryAfter;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(super) const LOOPBACK: &str = "127.0.0.1/32";
/// Long enough for loopback on a busy machine.
pub(super) const AMPLE: Duration = Duration::from_secs(20);
/// What a call to a receiver that never answers waits.
pub(super) const SHORT: Duration = Duration::from_millis(150);

pub(super) fn open() -> Outbound {
    Outbound::new(vec![LOOPBACK.parse().unwrap()]).unwrap()
}

pub(super) fn get(url: impl Into<String>, timeout: Duration) -> OutboundRequest {
    OutboundRequest {
        method: Method::GET,
        url: url.into(),
        headers: Vec::new(),
        body: None,
        timeout,
        body_timeout: timeout,
        secrets: Secrets::default(),
        began: Began::default(),
    }
}

/// Starts a receiver that treats each connection as `treat` says; returns its port.
pub(super) async fn receiver<F, T>(treat: T) -> u16
where
    F: Future<Output = io::Result<()>> + Send + 'static,
    T: Fn(TcpStream) -> F + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A receiver may find its caller gone: that is what the tests are about.
            tokio::spawn(treat(stream));
        }
    });
    port
}

/// Starts a receiver that reads a request's head, writes `answer` and hangs up.
pub(super) async fn answering(answer: impl Into<Vec<u8>>) -> u16 {
    let answer: Arc<[u8]> = answer.into().into();
    receiver(move |mut stream| {
        let answer = answer.clone();
        async move {
            read_head(&mut stream).await?;
            stream.write_all(&answer).await?;
            stream.shutdown().await
        }
    })
    .await
}

pub(super) async fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

async fn send_to(port: u16, timeout: Duration) -> OutboundResult {
    open().send(get(format!("http://127.0.0.1:{port}/"), timeout)).await
}

#[tokio::test]
async fn a_call_carries_what_it_was_given_and_nothing_of_the_environment() {
    let (heads, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let port = receiver(move |mut stream| {
        let heads = heads.clone();
        async move {
            let head = read_head(&mut stream).await?;
            let mut body = [0; 7];
            stream.read_exact(&mut body).await?;
            heads.send((head, String::from_utf8_lossy(&body).into_owned())).ok();
            let answer = b"HTTP/1.1 201 Created\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\ndone";
            stream.write_all(answer).await
        }
    })
    .await;
    let answer = open()
        .send(OutboundRequest {
            method: Method::PUT,
            headers: vec![
                (HeaderName::from_static("x-twice"), HeaderValue::from_static("1")),
                (HeaderName::from_static("x-twice"), HeaderValue::from_static("2")),
            ],
            body: Some(Bytes::from_static(b"{\"a\":1}")),
            ..get(format!("http://127.0.0.1:{port}/a%2Fb?q=1"), AMPLE)
        })
        .await
        .unwrap();
    assert_eq!((answer.status, answer.is_success(), &answer.body()[..]), (201, true, &b"done"[..]));
    assert_eq!(answer.excerpt().as_deref(), Some("done"));
    let (head, body) = seen.recv().await.unwrap();
    let mut lines: Vec<_> = head.trim_end().split("\r\n").collect();
    lines[1..].sort_unstable();
    let (agent, host) = (format!("user-agent: {USER_AGENT}"), format!("host: 127.0.0.1:{port}"));
    let expect = [
        "PUT /a%2Fb?q=1 HTTP/1.1",
        "accept: */*",
        "content-length: 7",
        &host,
        &agent,
        "x-twice: 1",
        "x-twice: 2",
    ];
    assert_eq!(lines, expect);
    assert_eq!(body, "{\"a\":1}");
}

#[tokio::test]
async fn any_status_is_an_answer_and_redirects_are_not_followed() {
    for (head, status, retry_after) in [
        ("500 Oops\r\nretry-after: 7", 500, None),
        ("503 Later\r\nretry-after: 7", 503, Some(7)),
        ("429 Slow\r\nretry-after: 999999", 429, Some(86_400)),
        ("429 Slow\r\nretry-after: soon", 429, None),
        (
            "503 Later\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\nretry-after: Thu, 01 Jan 1970 00:02:00 GMT",
            503,
            Some(120),
        ),
        ("302 Found\r\nlocation: http://127.0.0.1:1/", 302, None),
        ("307 Again\r\nlocation: /other", 307, None),
        ("204 Empty", 204, None),
    ] {
        let port = answering(format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n")).await;
        let answer = send_to(port, AMPLE).await.unwrap();
        let expect = retry_after.map(|seconds| RetryAfter::Wait(chrono::TimeDelta::seconds(seconds)));
        assert_eq!((answer.status, answer.retry_after), (status, expect), "{head}");
    }
}

#[tokio::test]
async fn calls_one_after_the_other_share_a_connection() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let port = receiver(move |mut stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            loop {
                read_head(&mut stream).await?;
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
            }
        }
    })
    .await;
    let shared = open();
    for _ in 0..20 {
        let answer = shared.clone().send(get(format!("http://127.0.0.1:{port}/"), AMPLE)).await;
        assert_eq!(answer.unwrap().status, 200);
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn long_and_endless_answers_are_cut_not_failed() {
    let five_megabytes = 5 * 1024 * 1024;
    let mut long = format!("HTTP/1.1 200 OK\r\ncontent-length: {five_megabytes}\r\n\r\n").into_bytes();
    long.resize(long.len() + five_megabytes, b'x');
    let endless = receiver(|mut stream| async move {
        read_head(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
        loop {
            stream.write_all(b"5\r\nxxxxx\r\n").await?;
        }
    });
    for port in [answering(long).await, endless.await] {
        let answer = send_to(port, AMPLE).await.unwrap();
        assert_eq!((answer.status, answer.body().len()), (200, ANSWER_MAX_BYTES));
    }
}

#[tokio::test]
async fn the_timeout_holds_at_every_stage() {
    let silent = receiver(|stream| async move {
        let _kept_open = stream;
        std::future::pending().await
    });
    let head_in_drops = receiver(|mut stream| async move {
        read_head(&mut stream).await?;
        let mut drip = tokio::time::interval(SHORT / 10);
        for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n".iter().cycle() {
            drip.tick().await;
            stream.write_u8(*byte).await?;
        }
        Ok(())
    });
    let never_final = receiver(|mut stream| async move {
        read_head(&mut stream).await?;
        let mut drip = tokio::time::interval(SHORT / 10);
        loop {
            drip.tick().await;
            stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n").await?;
        }
    });
    for port in [silent.await, head_in_drops.await, never_final.await] {
        assert_eq!(send_to(port, SHORT).await, Err(SendError::Timeout(SHORT)));
    }
    let never = Outbound::with_lookup(Vec::new(), Arc::new(|_| Box::pin(std::future::pending()))).unwrap();
    assert_eq!(never.send(get("http://slow.example/", SHORT)).await, Err(SendError::Timeout(SHORT)));
    assert_eq!(SendError::Timeout(SHORT).to_string(), "timed out after 150 ms");
    assert_eq!(SendError::Timeout(Duration::from_secs(30)).to_string(), "timed out after 30 s");
}

#[tokio::test]
async fn receivers_that_break_the_protocol() {
    let resetting = receiver(|mut stream| async move {
        read_head(&mut stream).await?;
        // Closing with data unread, or with linger 0, is a reset.
        stream.set_zero_linger()
    });
    let vanishing = receiver(|mut stream| async move { read_head(&mut stream).await.map(drop) });
    let cut = "connection closed before the answer was complete";
    for (port, expect) in [
        (resetting.await, "connection reset"),
        (vanishing.await, cut),
        (answering("HTTP/1.1 200 OK\r\ncontent-le").await, cut),
        (answering("SSH-2.0-OpenSSH_9.6\r\n").await, "answer is not HTTP"),
        (answering("HTTP/1.1 twohundred OK\r\n\r\n").await, "answer is not HTTP"),
        (
            answering(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(1 << 20))).await,
            "answer with headers that are too large",
        ),
    ] {
        assert_eq!(send_to(port, AMPLE).await, Err(SendError::Protocol(expect.to_owned())));
    }
}

#[tokio::test]
async fn sloppy_heads_are_read_as_others_read_them() {
    let many: String = (0..120).map(|number| format!("x-{number}: 1\r\n")).collect();
    let very_many: String = (0..HEADERS_MAX - 2).map(|number| format!("x-{number}: 1\r\n")).collect();
    let large = format!("x: {}\r\n", "x".repeat(100_000));
    for sloppy in [
        many.as_str(),
        &very_many,
        &large,
        "X-A : 1\r\n",
        "X-A\t: 1\r\n",
        "X-A: 1\r\n folded\r\n\tand folded\r\n",
        "PHP Warning: x\r\n",
        "PHP Warning:  Undefined variable $x in /srv/x.php on line 1\r\n",
        "no colon\r\n",
        ": no name\r\n",
        "X-\u{e9}: 1\r\n",
        "X-A: \x01\r\n",
        "X-A:\r\n",
        "x: 1\n",
    ] {
        let text = format!("HTTP/1.1 503 Later\r\n{sloppy}retry-after: 77\r\ncontent-length: 4\r\n\r\ndone");
        let answer = send_to(answering(text).await, AMPLE).await;
        let answer = answer.unwrap_or_else(|error| panic!("{error}: {}", &sloppy[..sloppy.len().min(80)]));
        let wait = Some(RetryAfter::Wait(chrono::TimeDelta::seconds(77)));
        assert_eq!(
            (answer.status, answer.retry_after, &answer.body()[..]),
            (503, wait, &b"done"[..]),
            "{sloppy}"
        );
    }
    let more: String = (0..=HEADERS_MAX).map(|number| format!("x-{number}: 1\r\n")).collect();
    let too_many = send_to(answering(format!("HTTP/1.1 200 OK\r\n{more}\r\n")).await, AMPLE).await;
    assert_eq!(too_many, Err(SendError::Protocol("answer with headers that are too large".to_owned())));
}

#[tokio::test]
async fn what_a_receiver_repeats_of_its_call_is_kept_without_secrets() {
    let port = receiver(|mut stream| async move {
        let head = read_head(&mut stream).await?;
        let answer = format!("HTTP/1.1 500 Oops\r\ncontent-type: text/plain\r\n\r\n{head}");
        stream.write_all(answer.as_bytes()).await
    })
    .await;
    let mut secrets = Secrets::default();
    secrets.add("open-sesame");
    let answer = open()
        .send(OutboundRequest {
            headers: vec![
                (http::header::AUTHORIZATION, HeaderValue::from_static("Bearer hush-1")),
                (HeaderName::from_static("x-api-key"), HeaderValue::from_static("hush-2")),
                (HeaderName::from_static("x-tenant"), HeaderValue::from_static("open-sesame")),
                (HeaderName::from_static("x-plain"), HeaderValue::from_static("plain")),
            ],
            secrets,
            ..get(format!("http://127.0.0.1:{port}/?token=hush-3&q=1"), AMPLE)
        })
        .await
        .unwrap();
    let kept = answer.excerpt().unwrap();
    assert!(!kept.contains("hush") && !kept.contains("sesame"), "{kept}");
    assert!(kept.contains("x-plain: plain") && kept.contains("q=1"), "{kept}");
    assert_eq!(answer.redact("id-of-hush-2"), "id-of-[redacted]");
}

#[tokio::test]
async fn receivers_that_are_not_there() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let refused = Err(SendError::Connect("connection refused".to_owned()));
    assert_eq!(send_to(gone, AMPLE).await, refused);

    let unresolved = Err(SendError::Connect("host nope.invalid could not be resolved".to_owned()));
    assert_eq!(open().send(get("http://nope.invalid/", AMPLE)).await, unresolved);

    let plain = receiver(|mut stream| async move {
        stream.read_u8().await?;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await
    })
    .await;
    let error = open().send(get(format!("https://127.0.0.1:{plain}/"), AMPLE)).await.unwrap_err();
    assert!(error.to_string().starts_with("no secure connection: "), "{error}");
}

#[test]
fn debug_shows_no_secrets() {
    let request = OutboundRequest {
        headers: vec![(HeaderName::from_static("authorization"), HeaderValue::from_static("hush"))],
        body: Some(Bytes::from_static(b"hush")),
        ..get("https://api.example.com/hush?key=hush", AMPLE)
    };
    let shown = format!("{request:?}");
    assert!(!shown.contains("hush") && shown.contains("https://api.example.com"), "{shown}");
}
