//! What listens for Punctual itself is reached by no call, by whatever name, though loopback is allowed.

use super::guard_tests::scripted;
use super::tests::{AMPLE, answering, get};
use super::*;
use crate::settings::OutboundSettings;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";

fn settings(own_listeners: Vec<Listener>) -> OutboundSettings {
    let allowed = ["0.0.0.0/0", "::/0"].map(|cidr| cidr.parse().unwrap());
    OutboundSettings { allowed_cidrs: allowed.to_vec(), own_listeners }
}

#[track_caller]
fn assert_refused(result: OutboundResult, url: &str) {
    let Err(SendError::Refused(text)) = result else { panic!("{url}: {result:?}") };
    assert!(text.ends_with("is refused: it is a listener of Punctual itself"), "{url}: {text}");
}

#[tokio::test]
async fn no_name_of_this_machine_leads_to_a_listener() {
    let port = answering(NO_CONTENT).await;
    let own = Listener::Bound(SocketAddr::from(([127, 0, 0, 1], port)));
    let outbound = Outbound::new(settings(vec![own])).unwrap();
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "0x7f.1",
        "127.0.0.2",
        "localhost",
        "LOCALHOST",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
    ] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{port}/local/clock");
            assert_refused(outbound.send(get(&url, AMPLE)).await, &url);
        }
    }
    let error = outbound.send(get(format!("http://127.0.0.1:{port}/"), AMPLE)).await.unwrap_err();
    let expect = format!("address 127.0.0.1:{port} is refused: it is a listener of Punctual itself");
    assert_eq!(error.to_string(), expect);
    assert_eq!(error.outcome(), "ADDRESS_REFUSED");
    // Another port of this machine is a receiver's.
    let receiver = answering(NO_CONTENT).await;
    let answer = outbound.send(get(format!("http://localhost:{receiver}/"), AMPLE)).await.unwrap();
    assert_eq!(answer.status, 204);
}

#[tokio::test]
async fn what_a_name_resolves_to_is_judged_with_the_port_at_every_connection() {
    let port = answering(NO_CONTENT).await;
    let own = || vec![Listener::Bound(SocketAddr::from(([127, 0, 0, 1], port)))];
    let url = format!("http://rebinding.example:{port}/");
    // Of several addresses one is enough; and the first answer holds for one connection alone.
    for answers in [&[&["127.0.0.1"][..]][..], &[&["203.0.113.9", "127.0.0.1"]], &[&["::ffff:7f00:1"]]] {
        let (lookup, _) = scripted(answers);
        let outbound = Outbound::with_lookup(settings(own()), lookup).unwrap();
        assert_refused(outbound.send(get(&url, AMPLE)).await, &url);
    }
    let elsewhere = answering(NO_CONTENT).await;
    let (lookup, lookups) = scripted(&[&["127.0.0.1"]]);
    let outbound = Outbound::with_lookup(settings(own()), lookup).unwrap();
    let harmless = format!("http://rebinding.example:{elsewhere}/");
    assert_eq!(outbound.send(get(&harmless, AMPLE)).await.unwrap().status, 204);
    assert_refused(outbound.send(get(&url, AMPLE)).await, &url);
    assert_eq!(lookups.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn another_host_may_have_a_receiver_at_the_same_port() {
    let port = answering(NO_CONTENT).await;
    let own = Listener::Bound(SocketAddr::from(([192, 0, 2, 77], port)));
    let (lookup, _) = scripted(&[&["127.0.0.1"]]);
    let outbound = Outbound::with_lookup(settings(vec![own]), lookup).unwrap();
    for host in ["receiver.example", "127.0.0.1"] {
        let url = format!("http://{host}:{port}/");
        assert_eq!(outbound.send(get(&url, AMPLE)).await.unwrap().status, 204, "{url}");
    }
}

#[tokio::test]
async fn services_of_other_processes_are_known_by_their_endpoint() {
    let port = answering(NO_CONTENT).await;
    for (endpoint, answers, hosts) in [
        // Known by an address: they may listen on all of the machine's addresses.
        (format!("http://127.0.0.1:{port}"), &["127.0.0.1"][..], &["127.0.0.1", "localhost", "0.0.0.0"][..]),
        (format!("127.0.0.1:{port}/.rt/delivery-worker"), &["127.0.0.1"], &["127.0.0.3", "any.example"]),
        // Known by a name: by that name, and by the address that it has now.
        (format!("http://services:{port}"), &["192.0.2.9"], &["services", "SERVICES.", "192.0.2.9", "other"]),
    ] {
        let (lookup, _) = scripted(&[answers]);
        let outbound = Outbound::with_lookup(settings(vec![endpoint.parse().unwrap()]), lookup).unwrap();
        for host in hosts {
            let url = format!("http://{host}:{port}/");
            assert_refused(outbound.send(get(&url, AMPLE)).await, &url);
        }
    }
}

/// A listener on all addresses is reached by each of the machine's own.
#[tokio::test]
async fn a_listener_on_every_address_is_not_reached_by_an_interfaces_address() {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let own = Listener::Bound(listener.local_addr().unwrap());
    let port = listener.local_addr().unwrap().port();
    let outbound = Outbound::new(settings(vec![own])).unwrap();
    // The address from which this machine would send elsewhere; nothing is sent.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let mut hosts = vec!["127.0.0.1".to_owned(), "127.9.9.9".to_owned()];
    if socket.connect("192.0.2.1:9").is_ok() {
        hosts.push(socket.local_addr().unwrap().ip().to_string());
    }
    for host in hosts {
        let url = format!("http://{host}:{port}/");
        assert_refused(outbound.send(get(&url, AMPLE)).await, &url);
    }
}
