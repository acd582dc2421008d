//! Calls over TLS, and over HTTP/2 where the receiver speaks it.

use super::guard_tests::scripted;
use super::tests::{AMPLE, LOOPBACK, get, receiver};
use super::*;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Starts an HTTP/2 receiver for `tls.example`, of which each connection takes so many calls and is closed by the one after;
/// returns its port, its certificate and a count of connections.
async fn secure_receiver(calls_max: usize) -> (u16, reqwest::Certificate, Arc<AtomicUsize>) {
    let CertifiedKey { cert, key_pair } = generate_simple_self_signed(["tls.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(key_pair.serialize_der()).unwrap();
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let port = receiver(move |stream| {
        let (acceptor, counted) = (acceptor.clone(), counted.clone());
        async move {
            let stream = acceptor.accept(stream).await?;
            counted.fetch_add(1, Ordering::Relaxed);
            let mut calls = h2::server::handshake(stream).await.map_err(io::Error::other)?;
            for number in 0.. {
                let Some(call) = calls.accept().await else { break };
                let (_, mut respond) = call.map_err(io::Error::other)?;
                if number == calls_max {
                    return Ok(());
                }
                let answer = http::Response::builder().status(204).body(()).unwrap();
                respond.send_response(answer, true).map_err(io::Error::other)?;
            }
            Ok(())
        }
    })
    .await;
    (port, reqwest::Certificate::from_der(cert.der()).unwrap(), connections)
}

fn trusting(certificate: Option<reqwest::Certificate>) -> Outbound {
    let allowed: Arc<[IpNet]> = vec![LOOPBACK.parse().unwrap()].into();
    let (lookup, _) = scripted(&[&["127.0.0.1"]]);
    let by_guard = allowed.clone();
    let guarded_ports = GuardedPorts::new(Vec::new(), lookup.clone());
    let build = move || client(&by_guard, lookup.clone(), None).tls_certs_merge(certificate.clone());
    let clients = Arc::new(Clients::new(build).unwrap());
    Outbound { way: Way::Network(clients), allowed, guarded_ports }
}

#[tokio::test]
async fn calls_over_http2_share_one_connection() {
    let (port, certificate, connections) = secure_receiver(usize::MAX).await;
    let trusting = trusting(Some(certificate));
    let call = || trusting.send(get(format!("https://tls.example:{port}/"), AMPLE));
    assert_eq!(call().await.unwrap().status, 204);
    for answer in futures::future::join_all((0..50).map(|_| call())).await {
        assert_eq!(answer.unwrap().status, 204);
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn certificates_are_checked() {
    let (port, certificate, connections) = secure_receiver(usize::MAX).await;
    for (outbound, host, expect) in [
        (trusting(None), "tls.example", "UnknownIssuer"),
        (trusting(Some(certificate)), "other.example", "not valid for name"),
    ] {
        let error = outbound.send(get(format!("https://{host}:{port}/"), AMPLE)).await.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("no secure connection: ") && text.contains(expect), "{text}");
    }
    assert_eq!(connections.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_reused_http2_connection_that_is_closed_without_a_response_is_replaced() {
    let (port, certificate, connections) = secure_receiver(1).await;
    let trusting = trusting(Some(certificate));
    for expect in [1, 2] {
        let answer = trusting.send(get(format!("https://tls.example:{port}/"), AMPLE)).await;
        assert_eq!(answer.unwrap().status, 204);
        assert_eq!(connections.load(Ordering::Relaxed), expect);
    }
}
