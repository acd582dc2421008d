//! Calls over TLS, and over HTTP/2 where the receiver speaks it.

use super::guard_tests::scripted;
use super::tests::{AMPLE, LOOPBACK, get, receiver};
use super::*;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// TLS of a receiver that is called `tls.example` and speaks HTTP/2, and its certificate.
pub(super) fn acceptor() -> (TlsAcceptor, CertificateDer<'static>) {
    let CertifiedKey { cert, key_pair } = generate_simple_self_signed(["tls.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(key_pair.serialize_der()).unwrap();
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (TlsAcceptor::from(Arc::new(config)), cert.der().clone())
}

/// Starts an HTTP/2 receiver for `tls.example`, whose first connection takes so many calls, and refuses those after or is
/// closed by them; returns its port, its certificate and a count of connections.
async fn secure_receiver(
    calls_max: usize,
    refuses: bool,
) -> (u16, CertificateDer<'static>, Arc<AtomicUsize>) {
    let (acceptor, certificate) = acceptor();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let port = receiver(move |stream| {
        let (acceptor, counted) = (acceptor.clone(), counted.clone());
        async move {
            let stream = acceptor.accept(stream).await?;
            let is_first = counted.fetch_add(1, Ordering::Relaxed) == 0;
            let mut calls = h2::server::handshake(stream).await.map_err(io::Error::other)?;
            for number in 0.. {
                let Some(call) = calls.accept().await else { break };
                let (_, mut respond) = call.map_err(io::Error::other)?;
                if is_first && number >= calls_max {
                    if refuses {
                        respond.send_reset(h2::Reason::REFUSED_STREAM);
                        continue;
                    }
                    return Ok(());
                }
                let answer = http::Response::builder().status(204).body(()).unwrap();
                respond.send_response(answer, true).map_err(io::Error::other)?;
            }
            Ok(())
        }
    })
    .await;
    (port, certificate, connections)
}

pub(super) fn trusting(certificate: Option<CertificateDer<'static>>) -> Outbound {
    let (lookup, _) = scripted(&[&["127.0.0.1"]]);
    let tls = tls(certificate.into_iter().collect()).unwrap();
    let parts = Parts { lookup, clock: Arc::new(SystemClock), connections_max: 1_000, tls };
    Outbound::with_parts(vec![LOOPBACK.parse().unwrap()], parts)
}

#[tokio::test]
async fn calls_over_http2_share_one_connection() {
    let (port, certificate, connections) = secure_receiver(usize::MAX, false).await;
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
    let (port, certificate, connections) = secure_receiver(usize::MAX, false).await;
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
async fn a_call_that_an_http2_connection_does_not_take_goes_out_on_another() {
    for (calls_max, refuses, expect) in [(1, false, [1, 2]), (1, true, [1, 2]), (0, true, [2, 3])] {
        let (port, certificate, connections) = secure_receiver(calls_max, refuses).await;
        let trusting = trusting(Some(certificate));
        for expect in expect {
            let answer = trusting.send(get(format!("https://tls.example:{port}/"), AMPLE)).await;
            assert_eq!(answer.unwrap().status, 204);
            assert_eq!(connections.load(Ordering::Relaxed), expect);
        }
    }
}
