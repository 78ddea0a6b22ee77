//! Moves bytes between one client and one server session, in both directions at once.
//!
//! Owns [`exchange`]. It must never wait for one side while the other could go on, and never let
//! unsent bytes grow without bound. Start there; [`super::relay`] decides which bytes may pass.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::wire::Raw;

/// Unsent bytes for one side above which the other is not read.
const HIGH: usize = 256 << 10;
/// Room for reading.
const READ_STEP: usize = 8 << 10;
/// Empty buffers above this are given back.
const KEEP: usize = 64 << 10;

/// What [`exchange`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// Bytes went in some direction.
    Bytes,
    /// The client is gone.
    ClientGone,
    /// The server is gone.
    ServerGone,
}

/// Sends and reads in both directions until something has moved. Reads from a side only
/// while little waits for the other; with `hold` (nothing new begins) only a little from the
/// client, unless what has begun needs the rest of a message. Safe to cancel.
pub async fn exchange(client: Raw<'_>, server: Raw<'_>, hold: bool) -> Moved {
    for (input, output) in [(&mut *client.input, &mut *client.output)]
        .into_iter()
        .chain([(&mut *server.input, &mut *server.output)])
    {
        for buffer in [input, output] {
            if buffer.is_empty() && buffer.capacity() > KEEP {
                *buffer = BytesMut::new();
            }
        }
    }
    poll_fn(|cx| {
        let mut moved = false;
        match send(cx, server.stream, server.output) {
            Poll::Ready(Ok(n)) => moved |= n > 0,
            // What the server said last is still to be read.
            Poll::Ready(Err(_)) => {
                server.output.clear();
                moved = true;
            }
            Poll::Pending => {}
        }
        match send(cx, client.stream, client.output) {
            Poll::Ready(Ok(n)) => {
                client.carried.sent += n as u64;
                moved |= n > 0;
            }
            Poll::Ready(Err(_)) => return Poll::Ready(Moved::ClientGone),
            Poll::Pending => {}
        }
        if server.output.len() < HIGH && (!hold || client.input.len() < HIGH) {
            match receive(cx, client.stream, client.input) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    client.carried.received += n as u64;
                    moved = true;
                }
                Poll::Ready(_) => return Poll::Ready(Moved::ClientGone),
                Poll::Pending => {}
            }
        }
        if client.output.len() < HIGH {
            match receive(cx, server.stream, server.input) {
                Poll::Ready(Ok(n)) if n > 0 => moved = true,
                Poll::Ready(_) => return Poll::Ready(Moved::ServerGone),
                Poll::Pending => {}
            }
        }
        if moved { Poll::Ready(Moved::Bytes) } else { Poll::Pending }
    })
    .await
}

/// Writes what is there in one call if the socket takes it; bytes written.
fn send(
    cx: &mut Context<'_>,
    stream: &mut (impl AsyncWrite + Unpin),
    output: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    let mut sent = 0;
    while !output.is_empty() {
        let n = match pin!(stream.write(output)).poll(cx) {
            Poll::Ready(n) => n?,
            Poll::Pending if sent > 0 => return Poll::Ready(Ok(sent)),
            Poll::Pending => return Poll::Pending,
        };
        if n == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        output.advance(n);
        sent += n;
    }
    // TLS keeps a record until it is flushed; a plain socket does nothing here.
    match pin!(stream.flush()).poll(cx) {
        Poll::Ready(flushed) => Poll::Ready(flushed.map(|()| sent)),
        Poll::Pending if sent > 0 => Poll::Ready(Ok(sent)),
        Poll::Pending => Poll::Pending,
    }
}

/// Reads what is there; bytes read, 0 at the end of the stream.
fn receive(
    cx: &mut Context<'_>,
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
    input: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    // Grows with what has arrived, never with what a header promises.
    input.reserve(READ_STEP.max(input.len().min(1 << 20)));
    pin!(stream.read_buf(input)).poll(cx)
}
