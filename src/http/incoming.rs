//! Accepting for the HTTP interface: plain, or TLS with the front end's certificate.
//!
//! Owns [`Incoming`]. With a certificate the first byte tells TLS from plain text, and plain text
//! is answered on loopback only: a token must not cross a network in the open. It must never let
//! a slow handshake hold up others, nor take more than [`CONNECTIONS`] at a time: files and
//! memory belong to the application's clients. Start at [`Incoming::new`].

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::seats::{Seat, Seats};

/// Connections at the same time; one more takes another's place.
const CONNECTIONS: usize = 512;
/// How long a connection may take until it is answered something.
const FIRST: Duration = Duration::from_secs(15);
/// How long it may be silent, in both directions, after that. A stream of events is not.
const SILENT: Duration = Duration::from_secs(60);
/// Time for the first byte and the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The first byte of a TLS record that begins a handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// Bytes of a request that is not answered.
const REQUEST: usize = 16 << 10;
/// What plain text is told where it is not answered.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\n\
    content-length: 39\r\nconnection: close\r\n\r\nthis address speaks TLS: use https:// \n";

/// Accepted connections, ready for HTTP.
pub(super) struct Incoming {
    ready: mpsc::Receiver<(Io, SocketAddr)>,
    address: SocketAddr,
}

/// One connection and its seat.
pub(super) struct Io {
    stream: Stream,
    seat: Seat,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Incoming {
    /// Accepts until `stop`.
    ///
    /// # Errors
    /// When the listener does not know its own address.
    pub(super) fn new(
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        stop: CancellationToken,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (send, ready) = mpsc::channel(16);
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = accept(&listener, tls, &send) => {}
            }
        });
        Ok(Self { ready, address })
    }
}

async fn accept(
    listener: &TcpListener,
    tls: Option<TlsAcceptor>,
    send: &mpsc::Sender<(Io, SocketAddr)>,
) {
    let seats = Seats::new(CONNECTIONS, FIRST, SILENT);
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the HTTP interface cannot accept");
                // Out of files, most likely: others must close some first.
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let (tls, send) = (tls.clone(), send.clone());
        let seat = seats.take(peer.ip());
        tokio::spawn(async move {
            let opened = tokio::select! {
                opened = tokio::time::timeout(HANDSHAKE, open(stream, peer, tls)) => opened,
                () = seat.leave() => return,
            };
            if let Ok(Some(stream)) = opened {
                // Without a receiver the proxy is stopping.
                let _ = send.send((Io { stream, seat }, peer)).await;
            }
        });
    }
}

/// The connection, when something can be said on it.
async fn open(mut stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>) -> Option<Stream> {
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return Some(Stream::Plain(stream)) };
    let mut first = [0];
    if stream.peek(&mut first).await.ok()? == 0 {
        return None;
    }
    if first[0] == TLS_HANDSHAKE {
        return tls.accept(stream).await.ok().map(|s| Stream::Tls(Box::new(s)));
    }
    if peer.ip().to_canonical().is_loopback() {
        return Some(Stream::Plain(stream));
    }
    // What was sent is taken first: closing over it would take the answer back.
    let _ = stream.read(&mut vec![0; REQUEST]).await;
    let _ = stream.write_all(PLAIN).await;
    let _ = stream.shutdown().await;
    None
}

impl axum::serve::Listener for Incoming {
    type Io = Io;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Io, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The proxy is stopping: axum is told by other means.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Io {
    fn reader(self: Pin<&mut Self>) -> Pin<&mut (dyn AsyncRead + Send + Unpin)> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream),
            Stream::Tls(stream) => Pin::new(stream.as_mut()),
        }
    }

    fn writer(self: Pin<&mut Self>) -> Pin<&mut (dyn AsyncWrite + Send + Unpin)> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream),
            Stream::Tls(stream) => Pin::new(stream.as_mut()),
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let io = self.get_mut();
        let read = Pin::new(&mut *io).reader().poll_read(context, buffer);
        match read {
            Poll::Ready(_) => io.seat.heard(),
            // As if the other side had gone.
            Poll::Pending if io.seat.poll_end(context).is_ready() => return Poll::Ready(Ok(())),
            Poll::Pending => {}
        }
        read
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let io = self.get_mut();
        let written = Pin::new(&mut *io).writer().poll_write(context, bytes);
        match written {
            Poll::Ready(_) => io.seat.answered(),
            Poll::Pending if io.seat.poll_end(context).is_ready() => {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            Poll::Pending => {}
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer().poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Identity, Tls};

    fn acceptor() -> TlsAcceptor {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = made.signing_key.serialize_pem();
        let identity = Identity::new(made.cert.pem().as_bytes(), key.as_bytes()).unwrap();
        Tls::new(identity).unwrap().speaking(b"http/1.1")
    }

    #[tokio::test]
    async fn plain_text_from_elsewhere_is_not_answered_beside_tls() {
        for (peer, tls, answered) in [
            ("192.0.2.1:1", true, false),
            ("[::ffff:192.0.2.1]:1", true, false),
            ("127.0.0.1:1", true, true),
            ("[::ffff:127.0.0.1]:1", true, true),
            ("[::1]:1", true, true),
            ("192.0.2.1:1", false, true),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let opened = open(stream, peer.parse().unwrap(), tls.then(acceptor)).await;
            assert_eq!(opened.is_some(), answered, "{peer}");
            if !answered {
                let mut text = String::new();
                client.read_to_string(&mut text).await.unwrap();
                assert!(text.contains("https://"), "{text}");
                let body = text.split("\r\n\r\n").nth(1).unwrap();
                assert!(text.contains(&format!("content-length: {}\r\n", body.len())), "{text}");
            }
        }
    }
}
