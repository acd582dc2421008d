//! No address that is refused is reached, whatever names it and whenever it changes.

use super::tests::{AMPLE, LOOPBACK, answering, get, open};
use super::*;
use futures::future::BoxFuture;
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test]
async fn addresses_are_refused_in_every_notation() {
    let closed = Outbound::new(Vec::new()).unwrap();
    for (url, expect) in [
        ("http://127.0.0.1/", "address 127.0.0.1 is refused: loopback"),
        ("http://127.0.0.1./", "address 127.0.0.1 is refused: loopback"),
        ("http://127.1/", "address 127.0.0.1 is refused: loopback"),
        ("http://2130706433/", "address 127.0.0.1 is refused: loopback"),
        ("http://0x7f.1/", "address 127.0.0.1 is refused: loopback"),
        ("http://0x7f000001/", "address 127.0.0.1 is refused: loopback"),
        ("http://0177.0.0.1/", "address 127.0.0.1 is refused: loopback"),
        ("http://%31%32%37.0.0.1/", "address 127.0.0.1 is refused: loopback"),
        ("http://１２７。0。0。1/", "address 127.0.0.1 is refused: loopback"),
        ("http://0/", "address 0.0.0.0 is refused: unspecified"),
        ("http://[::]/", "address :: is refused: unspecified"),
        ("http://[::1]/", "address ::1 is refused: loopback"),
        ("http://[::ffff:127.0.0.1]/", "address ::ffff:127.0.0.1 is refused: loopback"),
        ("http://[::ffff:7f00:1]/", "address ::ffff:127.0.0.1 is refused: loopback"),
        ("http://[64:ff9b::a9fe:a9fe]/", "address 64:ff9b::a9fe:a9fe is refused: link-local"),
        ("https://169.254.169.254/latest/meta-data", "address 169.254.169.254 is refused: link-local"),
        ("http://10.0.0.1:8080/", "address 10.0.0.1 is refused: private"),
        ("http://localhost/", "host localhost is refused: loopback"),
    ] {
        assert_eq!(closed.send(get(url, AMPLE)).await, Err(SendError::Refused(expect.to_owned())), "{url}");
    }
    for url in
        ["http://u:p@127.0.0.1/", "http://8.8.8.8@127.0.0.1/", "file:///etc/passwd", "gopher://h/", "x", ""]
    {
        let error = open().send(get(url, AMPLE)).await.unwrap_err();
        assert!(matches!(error, SendError::BadUrl(_)), "{url}: {error}");
    }
}

/// A lookup that gives the next of its answers each time, the last one for ever.
pub(super) fn scripted(answers: &[&[&str]]) -> (Lookup, Arc<AtomicUsize>) {
    let parse = |ips: &&[&str]| ips.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
    let answers: Mutex<VecDeque<_>> = Mutex::new(answers.iter().map(parse).collect());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let lookup = move |_host: String| -> BoxFuture<'static, _> {
        counted.fetch_add(1, Ordering::Relaxed);
        let mut answers = answers.lock().unwrap();
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(async move { Ok(next.unwrap_or_default()) })
    };
    (Arc::new(lookup), count)
}

#[tokio::test]
async fn the_address_that_was_judged_is_the_one_connected_to() {
    let port = answering("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    let (lookup, lookups) = scripted(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let guarded = Outbound::with_lookup(vec![LOOPBACK.parse().unwrap()], lookup).unwrap();
    let url = format!("http://rebinding.example:{port}/");
    // One lookup a connection: there is no second one whose answer could differ from the judged one.
    assert_eq!(guarded.send(get(&url, AMPLE)).await.unwrap().status, 204);
    assert_eq!(lookups.load(Ordering::Relaxed), 1);
    let refused = Err(SendError::Refused("host rebinding.example is refused: loopback".to_owned()));
    assert_eq!(guarded.send(get(&url, AMPLE)).await, refused);
    assert_eq!(lookups.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_host_with_one_refused_address_is_refused() {
    for addresses in [&["127.0.0.1", "10.0.0.1"][..], &["8.8.8.8", "::ffff:10.0.0.1"], &["fd00:ec2::254"]] {
        let (lookup, _) = scripted(&[addresses]);
        let guarded = Outbound::with_lookup(vec![LOOPBACK.parse().unwrap()], lookup).unwrap();
        let refused = Err(SendError::Refused("host mixed.example is refused: private".to_owned()));
        assert_eq!(guarded.send(get("http://mixed.example/", AMPLE)).await, refused, "{addresses:?}");
    }
}

#[tokio::test]
async fn calls_that_start_together_share_a_lookup_and_all_arrive() {
    const CALLS: usize = 300;
    let port = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let (answer_now, held) = tokio::sync::watch::channel(false);
    let lookup: Lookup = Arc::new(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        let mut held = held.clone();
        Box::pin(async move {
            held.wait_for(|answer_now| *answer_now).await.map_err(io::Error::other)?;
            Ok(vec![IpAddr::from([127, 0, 0, 1])])
        })
    });
    let guarded = Outbound::with_lookup(vec![LOOPBACK.parse().unwrap()], lookup).unwrap();
    let started = Arc::new(AtomicUsize::new(0));
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let (guarded, started) = (guarded.clone(), started.clone());
            tokio::spawn(async move {
                started.fetch_add(1, Ordering::Relaxed);
                guarded.send(get(format!("http://many.example:{port}/"), AMPLE)).await
            })
        })
        .collect();
    while started.load(Ordering::Relaxed) < CALLS {
        tokio::task::yield_now().await;
    }
    answer_now.send(true).unwrap();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status, 200);
    }
    assert_eq!(count.load(Ordering::Relaxed), 1);
}
