//! Connections that are closed in the moment of their reuse.

use super::tests::{AMPLE, SHORT, get, open, read_head, receiver};
use super::*;
use futures::future::join_all;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a receiver does with a request, whose body is two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Answer,
    Reset,
    Close,
    Nonsense,
    Hang,
}
use Does::{Answer as Good, Close, Hang, Nonsense, Reset};

/// A receiver, and what it saw.
struct Seen {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

/// Starts a receiver which does, with the requests of its first connection, one after the other what the first list says, and
/// so on; connections beyond the lists are as the last.
async fn scripted(lists: &[&[Does]]) -> Seen {
    let lists: Vec<Vec<Does>> = lists.iter().map(|list| list.to_vec()).collect();
    let (heads, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let (noted, counted) = (heads.clone(), connections.clone());
    let port = receiver(move |mut stream| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        let (noted, list) = (noted.clone(), lists[number.min(lists.len() - 1)].clone());
        async move {
            for does in list {
                let head = read_head(&mut stream).await?;
                stream.read_exact(&mut [0; 2]).await?;
                noted.lock().unwrap().push(head);
                match does {
                    Good => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?,
                    Reset => return stream.set_zero_linger(),
                    Close => return Ok(()),
                    Nonsense => stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await?,
                    Hang => std::future::pending().await,
                }
            }
            Ok(())
        }
    })
    .await;
    Seen { port, heads, connections }
}

impl Seen {
    fn call(&self, key: &'static str, timeout: Duration) -> OutboundRequest {
        OutboundRequest {
            method: Method::POST,
            headers: vec![(HeaderName::from_static("idempotency-key"), HeaderValue::from_static(key))],
            body: Some(Bytes::from_static(b"{}")),
            ..get(format!("http://127.0.0.1:{}/", self.port), timeout)
        }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_call_lost_with_a_reused_connection_goes_out_once_more() {
    for lists in [&[&[Good, Reset][..], &[Good]][..], &[&[Good, Close], &[Good]]] {
        let (receiver, outbound) = (scripted(lists).await, open());
        for key in ["first:0", "second:0"] {
            let answer = outbound.send(receiver.call(key, AMPLE)).await;
            assert_eq!(answer.map(|answer| answer.status), Ok(200), "{key}, {lists:?}");
        }
        let heads = receiver.heads();
        assert_eq!((heads.len(), receiver.connections()), (3, 2), "{lists:?}");
        assert!(heads[0].contains("first:0") && heads[1].contains("second:0"));
        assert_eq!(heads[1], heads[2], "the same request, byte for byte");
    }
}

#[tokio::test]
async fn it_goes_out_on_a_connection_of_its_own() {
    // Three connections wait in the pool, and each of them is lost in the moment of its reuse.
    let receiver = scripted(&[&[Good, Reset], &[Good, Reset], &[Good, Reset], &[Good]]).await;
    let outbound = open();
    let warm = join_all((0..3).map(|_| outbound.send(receiver.call("warm:0", AMPLE)))).await;
    assert!(warm.iter().all(Result::is_ok) && receiver.connections() == 3);
    let answer = outbound.send(receiver.call("a:0", AMPLE)).await;
    assert_eq!(answer.map(|answer| answer.status), Ok(200));
    assert_eq!((receiver.heads().len(), receiver.connections()), (5, 4));
}

#[tokio::test]
async fn what_is_no_lost_connection_is_an_ordinary_failure() {
    let reset = || Err(SendError::Protocol("connection reset".to_owned()));
    for (lists, timeout, expect, requests) in [
        // Not used before.
        (&[&[Reset][..], &[Good]][..], AMPLE, vec![reset()], 1),
        // Not more than once.
        (&[&[Good, Reset], &[Reset]], AMPLE, vec![Ok(200), reset()], 3),
        // Something came.
        (
            &[&[Good, Nonsense], &[Good]],
            AMPLE,
            vec![Ok(200), Err(SendError::Protocol("answer is not HTTP".to_owned()))],
            2,
        ),
        // Its time limit holds, before and after.
        (&[&[Good, Hang], &[Good]], SHORT, vec![Ok(200), Err(SendError::Timeout(SHORT))], 2),
        (&[&[Good, Reset], &[Hang]], SHORT, vec![Ok(200), Err(SendError::Timeout(SHORT))], 3),
    ] {
        let (receiver, outbound) = (scripted(lists).await, open());
        for expect in expect {
            let answer = outbound.send(receiver.call("a:0", timeout)).await;
            assert_eq!(answer.map(|answer| answer.status), expect, "{lists:?}");
        }
        assert_eq!(receiver.heads().len(), requests, "{lists:?}");
    }
}
