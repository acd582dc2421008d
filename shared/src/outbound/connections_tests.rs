//! How many connections there are, and which of them are used.

use super::guard_tests::scripted;
use super::tests::{AMPLE, LOOPBACK, SHORT, get, read_head, receiver};
use super::tls_tests::{acceptor, trusting};
use super::*;
use crate::clock::tests::SetClock;
use chrono::TimeDelta;
use futures::future::join_all;
use futures::{StreamExt, stream};
use std::collections::HashMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, mpsc};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A client whose names all lead to this machine, with room for so many connections.
fn limited(connections_max: usize) -> (Outbound, Arc<SetClock>) {
    let (lookup, _) = scripted(&[&["127.0.0.1"]]);
    let clock = Arc::new(SetClock::default());
    let tls = tls(Vec::new()).unwrap();
    let parts = Parts { lookup, clock: clock.clone(), connections_max, tls };
    (Outbound::with_parts(vec![LOOPBACK.parse().unwrap()], parts), clock)
}

/// A receiver under many names that keeps connections open; what it saw of each name, and of all.
struct Seen {
    port: u16,
    by_name: Mutex<HashMap<String, usize>>,
    open: AtomicUsize,
    most: AtomicUsize,
    /// Calls wait for a permit of this each, where their path is `/held`.
    held: Semaphore,
    arrived: Semaphore,
}

async fn many_names() -> Arc<Seen> {
    Arc::new_cyclic(|weak: &std::sync::Weak<Seen>| {
        let weak = weak.clone();
        let (send, mut connections) = mpsc::unbounded_channel();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                send.send(stream).unwrap();
            }
        });
        tokio::spawn(async move {
            while let (Some(stream), Some(seen)) = (connections.recv().await, weak.upgrade()) {
                tokio::spawn(async move {
                    let open = seen.open.fetch_add(1, Ordering::SeqCst) + 1;
                    seen.most.fetch_max(open, Ordering::SeqCst);
                    let _ = seen.serve(stream).await;
                    seen.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        let (open, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (held, arrived) = (Semaphore::new(0), Semaphore::new(0));
        Seen { port, by_name: Mutex::default(), open, most, held, arrived }
    })
}

impl Seen {
    async fn serve(&self, mut stream: tokio::net::TcpStream) -> io::Result<()> {
        let mut is_new = true;
        loop {
            let head = read_head(&mut stream).await?;
            let name = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
            if std::mem::take(&mut is_new) {
                let name = name.split('.').next().unwrap_or_default().to_owned();
                *self.by_name.lock().unwrap().entry(name).or_default() += 1;
            }
            if head.starts_with("GET /held ") {
                self.arrived.add_permits(1);
                self.held.acquire().await.unwrap().forget();
            }
            stream.write_all(OK).await?;
        }
    }

    fn call(&self, name: &str, path: &str) -> OutboundRequest {
        get(format!("http://{name}.example:{}/{path}", self.port), AMPLE)
    }

    /// Connections that were made for `name`.
    fn made(&self, name: &str) -> usize {
        self.by_name.lock().unwrap().get(name).copied().unwrap_or_default()
    }
}

#[tokio::test]
async fn connections_to_two_thousand_receivers_are_bounded_in_all() {
    const MOST: usize = 200;
    const AT_A_TIME: usize = 50;
    let (seen, (outbound, _)) = (many_names().await, limited(MOST));
    let calls = (0..2_000).map(|number| outbound.send(seen.call(&format!("r{number}"), "")));
    let answers: Vec<_> = stream::iter(calls).buffered(AT_A_TIME).collect().await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200)));
    // A receiver sees the end of a connection a little later than the client.
    assert!(seen.most.load(Ordering::SeqCst) <= MOST + AT_A_TIME, "{:?}", seen.most);
    let few = async {
        while seen.open.load(Ordering::SeqCst) > MOST {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(AMPLE, few).await.expect("no more are open than may be");
    // The one that was called last has its connection still, the first has it no more.
    for (name, made) in [("r1999", 1), ("r0", 2)] {
        outbound.send(seen.call(name, "")).await.unwrap();
        assert_eq!(seen.made(name), made, "{name}");
    }
}

#[tokio::test]
async fn unused_connections_make_room_those_first_that_were_not_used_for_longest() {
    let (seen, (outbound, _)) = (many_names().await, limited(3));
    for name in ["a", "b", "c", "a", "d"] {
        assert_eq!(outbound.send(seen.call(name, "")).await.unwrap().status, 200, "{name}");
    }
    for (name, made) in [("a", 1), ("c", 1), ("d", 1), ("b", 2)] {
        outbound.send(seen.call(name, "")).await.unwrap();
        assert_eq!(seen.made(name), made, "{name}");
    }
}

#[tokio::test]
async fn connections_in_use_are_not_closed_for_others() {
    let (seen, (outbound, _)) = (many_names().await, limited(2));
    let held = |name: &'static str| {
        let (outbound, request) = (outbound.clone(), seen.call(name, "held"));
        tokio::spawn(async move { outbound.send(request).await })
    };
    let (first, second) = (held("a"), held("b"));
    seen.arrived.acquire_many(2).await.unwrap().forget();
    let third = held("c");
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(seen.arrived.available_permits(), 0, "there is no room for it yet");
    seen.held.add_permits(3);
    for call in [first, second, third] {
        assert_eq!(call.await.unwrap().unwrap().status, 200);
    }
}

#[tokio::test]
async fn connections_that_outlived_a_freeze_are_not_used() {
    let (connections, dead) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, swallowing) = (connections.clone(), dead.clone());
    let port = receiver(move |mut stream| {
        let (number, swallowing) = (counted.fetch_add(1, Ordering::SeqCst), swallowing.clone());
        async move {
            loop {
                read_head(&mut stream).await?;
                if number < swallowing.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                stream.write_all(OK).await?;
            }
        }
    })
    .await;
    let (outbound, clock) = limited(100);
    let call = async || outbound.send(get(format!("http://127.0.0.1:{port}/"), SHORT * 20)).await;
    for (pause, made) in [(0, 1), (3, 1)] {
        clock.advance(TimeDelta::seconds(pause));
        assert_eq!(call().await.map(|answer| answer.status), Ok(200));
        assert_eq!(connections.load(Ordering::SeqCst), made, "after {pause} s");
    }
    // Nobody tells the process that its connections are gone, and the monotonic clock stands still.
    dead.store(1, Ordering::SeqCst);
    clock.advance(TimeDelta::minutes(10));
    assert_eq!(call().await.map(|answer| answer.status), Ok(200));
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

/// Starts an HTTP/2 receiver whose connections take so many calls at a time. A call is told of when it has arrived, with the
/// number of its connection, and answered when its sender says so.
async fn at_a_time(
    streams: u32,
) -> (u16, rustls::pki_types::CertificateDer<'static>, mpsc::UnboundedReceiver<(usize, Arc<Semaphore>)>) {
    let (acceptor, certificate) = acceptor();
    let (arrived, arrivals) = mpsc::unbounded_channel();
    let connections = AtomicUsize::new(0);
    let port = receiver(move |stream| {
        let (acceptor, arrived) = (acceptor.clone(), arrived.clone());
        let number = connections.fetch_add(1, Ordering::SeqCst);
        async move {
            let stream = acceptor.accept(stream).await?;
            let mut limits = h2::server::Builder::new();
            let handshake = limits.max_concurrent_streams(streams).handshake::<_, Bytes>(stream);
            let mut calls = handshake.await.map_err(io::Error::other)?;
            while let Some(call) = calls.accept().await {
                let (_, mut respond) = call.map_err(io::Error::other)?;
                let answer = Arc::new(Semaphore::new(0));
                arrived.send((number, answer.clone())).map_err(io::Error::other)?;
                tokio::spawn(async move {
                    let _ = answer.acquire().await;
                    let _ = respond.send_response(http::Response::new(()), true);
                });
            }
            Ok(())
        }
    })
    .await;
    (port, certificate, arrivals)
}

#[tokio::test]
async fn calls_beyond_what_an_http2_connection_takes_use_others() {
    let (port, certificate, mut arrivals) = at_a_time(100).await;
    let outbound = trusting(Some(certificate));
    let calls = join_all((0..250).map(|_| outbound.send(get(format!("https://tls.example:{port}/"), AMPLE))));
    // None is answered before all have arrived.
    let receive = async {
        let mut all = Vec::new();
        while all.len() < 250 {
            all.extend(arrivals.recv().await);
        }
        let mut by_connection: HashMap<usize, usize> = HashMap::new();
        all.iter().for_each(|(number, _)| *by_connection.entry(*number).or_default() += 1);
        all.iter().for_each(|(_, answer)| answer.add_permits(1));
        by_connection
    };
    let (answers, by_connection) = tokio::time::timeout(AMPLE, async { tokio::join!(calls, receive) })
        .await
        .expect("none waits for another to be answered");
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200)));
    let mut sizes: Vec<usize> = by_connection.into_values().collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [50, 100, 100]);
}

#[tokio::test]
async fn a_call_begins_with_its_first_byte() {
    let (port, certificate, mut arrivals) = at_a_time(1).await;
    let (lookup, _) = scripted(&[&["127.0.0.1"]]);
    let clock = Arc::new(SetClock::default());
    let parts =
        Parts { lookup, clock: clock.clone(), connections_max: 10, tls: tls(vec![certificate]).unwrap() };
    let outbound = Outbound::with_parts(vec![LOOPBACK.parse().unwrap()], parts);
    let call = |timeout| {
        let request = OutboundRequest {
            method: Method::POST,
            body: Some(Bytes::from_static(b"{}")),
            ..get(format!("https://tls.example:{port}/"), timeout)
        };
        let (began, outbound) = (request.began.clone(), outbound.clone());
        (began, tokio::spawn(async move { outbound.send(request).await }))
    };
    let (_, first) = call(AMPLE);
    let (_, answer) = arrivals.recv().await.unwrap();
    answer.add_permits(1);
    first.await.unwrap().unwrap();
    let (began, holding) = call(AMPLE);
    let (_, answer) = arrivals.recv().await.unwrap();
    assert_eq!(began.after(), Some(TimeDelta::zero()));
    let waiting: Vec<_> = (0..3).map(|_| call(AMPLE)).collect();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(waiting.iter().all(|(began, _)| began.after().is_none()), "they wait for their turn");
    clock.advance(TimeDelta::seconds(3));
    answer.add_permits(1);
    holding.await.unwrap().unwrap();
    for (index, (began, call)) in waiting.into_iter().enumerate() {
        let (_, answer) = arrivals.recv().await.unwrap();
        answer.add_permits(1);
        assert_eq!(call.await.unwrap().map(|answer| answer.status), Ok(200));
        assert_eq!(began.after(), Some(TimeDelta::seconds(3)), "{index}");
    }
}

#[tokio::test]
async fn a_time_limit_counts_from_the_first_byte() {
    let (port, certificate, mut arrivals) = at_a_time(1).await;
    let outbound = trusting(Some(certificate));
    let call = |timeout| {
        let (outbound, request) = (outbound.clone(), get(format!("https://tls.example:{port}/"), timeout));
        async move { outbound.send(request).await }
    };
    // By its answer it has said how many calls it takes at a time.
    let first = tokio::spawn(call(AMPLE));
    arrivals.recv().await.unwrap().1.add_permits(1);
    first.await.unwrap().unwrap();
    let holding = tokio::spawn(call(AMPLE));
    let (_, answer) = arrivals.recv().await.unwrap();
    let began = std::time::Instant::now();
    // It waits for its turn as long as it may, and then for as long as its limit is.
    assert_eq!(call(SHORT).await, Err(SendError::Timeout(SHORT)));
    assert!(began.elapsed() >= SHORT * 2);
    answer.add_permits(1);
    holding.await.unwrap().unwrap();
    assert_eq!(longest(SHORT), SHORT * 2);
    assert_eq!(longest(Duration::from_secs(30)), Duration::from_secs(35));
}
