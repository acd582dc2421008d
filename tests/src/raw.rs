//! A receiver on loopback that answers byte for byte as it is told, and may break off, hang or hang up.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What follows the bytes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The next request of the same connection.
    KeepOpen,
    Close,
    Reset,
    /// Nothing, on an open connection.
    Hang,
}

/// What the request itself stands for in a text.
pub const REQUEST: &str = "{request}";

/// What the n-th request gets, over all connections; after the last one, the last one again. [`REQUEST`] in it is what came.
type Script = Arc<Vec<(String, Then)>>;

/// The receiver.
pub struct RawReceiver {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl RawReceiver {
    /// Listens on a free port.
    pub async fn start<T: Into<String>>(script: impl IntoIterator<Item = (T, Then)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script: Script = Arc::new(script.into_iter().map(|(text, then)| (text.into(), then)).collect());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let noted = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A receiver may find its caller gone.
                tokio::spawn(serve(stream, script.clone(), noted.clone()));
            }
        });
        Self { address, requests }
    }

    /// Its address as a URL, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far, as they came: heads and bodies.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, script: Script, noted: Arc<Mutex<Vec<String>>>) -> io::Result<()> {
    loop {
        let request = read_request(&mut stream).await?;
        let number = {
            let mut noted = noted.lock().unwrap();
            noted.push(request.clone());
            noted.len() - 1
        };
        let (text, then) = &script[number.min(script.len() - 1)];
        stream.write_all(text.replace(REQUEST, &request).as_bytes()).await?;
        match then {
            Then::KeepOpen => {}
            Then::Close => return stream.shutdown().await,
            Then::Reset => return stream.set_zero_linger(),
            Then::Hang => std::future::pending().await,
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> io::Result<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    request.extend(body);
    Ok(String::from_utf8_lossy(&request).into_owned())
}
