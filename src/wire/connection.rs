//! One client's connection after start-up: frames in, one buffer out.
//!
//! Owns [`Connection`]. It must never hold more unread input than one largest message
//! and never write to the socket unless asked. Start at [`Connection::read`].

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::frame::{self, Frame};
use super::frontend::{self, Frontend};
use super::stream::Stream;
use super::{Peer, write};
use crate::error::{Culprit, Error, Result, state};

/// Room kept for reading.
const READ_STEP: usize = 8 << 10;
/// Buffers above this are given back once empty.
const KEEP: usize = 64 << 10;
/// A part of a long message that counts as its beginning.
const BEGUN: usize = 64 << 10;
/// How much input is read ahead while a session waits for something else.
const READ_AHEAD: usize = 256 << 10;

/// A client's connection.
pub struct Connection {
    stream: Stream,
    input: BytesMut,
    output: BytesMut,
    max_message: usize,
    peer: Peer,
    eof: bool,
    carried: Carried,
}

/// Bytes that went through a stream since it was made, TLS's own not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Read.
    pub received: u64,
    /// Written.
    pub sent: u64,
}

/// The parts of a connection, for a relay that handles frames itself.
pub struct Raw<'a> {
    /// The byte stream.
    pub stream: &'a mut Stream,
    /// Bytes read and not consumed yet.
    pub input: &'a mut BytesMut,
    /// Bytes to be written.
    pub output: &'a mut BytesMut,
    /// Counts what is read and written.
    pub carried: &'a mut Carried,
}

impl Connection {
    /// Wraps a stream; `input` holds what was read from it already.
    pub fn new(stream: Stream, input: BytesMut, max_message: usize, peer: Peer) -> Self {
        let output = BytesMut::with_capacity(READ_STEP);
        Self { stream, input, output, max_message, peer, eof: false, carried: Carried::default() }
    }

    /// The next message: from the buffer when a whole one is there, else from the socket.
    /// `None` when the peer is gone. Safe to cancel.
    ///
    /// # Errors
    /// Fatal ones only: an unknown type or a length out of bounds (08P01). The session
    /// answers and closes.
    pub async fn read(&mut self) -> Result<Option<Frontend>> {
        match self.read_frame().await? {
            Some(frame) => frontend::parse(frame).map(Some),
            None => Ok(None),
        }
    }

    /// The next frame, unparsed; see [`Connection::read`].
    ///
    /// # Errors
    /// As [`Connection::read`].
    pub async fn read_frame(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.buffered_frame()? {
                return Ok(Some(frame));
            }
            if self.eof || !self.fill().await {
                return Ok(None);
            }
        }
    }

    /// The next message if it is buffered whole; never waits.
    ///
    /// # Errors
    /// As [`Connection::read`].
    pub fn read_buffered(&mut self) -> Result<Option<Frontend>> {
        match self.buffered_frame()? {
            Some(frame) => frontend::parse(frame).map(Some),
            None => Ok(None),
        }
    }

    #[inline]
    fn buffered_frame(&mut self) -> Result<Option<Frame>> {
        let Some(kind) = self.input.first() else { return Ok(None) };
        let max = frontend::limit(*kind, self.max_message)?;
        frame::take(&mut self.input, max)
    }

    /// Waits until a whole message (or a broken one) is buffered; false when the peer is
    /// gone. Safe to cancel.
    pub async fn wait_message(&mut self) -> bool {
        while !self.has_buffered() {
            if self.eof || !self.fill().await {
                return false;
            }
        }
        true
    }

    /// The type of the next message, if its first byte is here.
    pub fn next_kind(&self) -> Option<u8> {
        self.input.first().copied()
    }

    /// Whether the next message ends the unnamed statement that is there, or makes it anew.
    pub fn replaces_unnamed(&self) -> bool {
        match self.next_kind() {
            Some(b'Q') => true,
            Some(b'P') => self.input.get(5) == Some(&0),
            _ => false,
        }
    }

    /// Whether a whole message (or a broken one) is buffered: more work without reading.
    pub fn has_buffered(&self) -> bool {
        let Some(kind) = self.input.first() else { return false };
        match frontend::limit(*kind, self.max_message).and_then(|max| frame::scan(&self.input, max))
        {
            Ok(Some((_, total))) => self.input.len() >= total,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// Whether a message has begun that is worth a place where it can be answered: it is here whole,
    /// or so much of it that it is more than a client's first byte.
    pub fn has_begun(&self) -> bool {
        self.input.len() >= BEGUN || self.has_buffered()
    }

    /// Reads what the socket has. Returns false at the end of the stream or on failure.
    pub async fn fill(&mut self) -> bool {
        if self.input.is_empty() && self.input.capacity() > KEEP {
            self.input = BytesMut::with_capacity(READ_STEP);
        }
        // Grows with what has arrived, never with what a header promises.
        let room = READ_STEP.max(self.input.len().min(1 << 20));
        self.input.reserve(room);
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) => self.eof = true,
            Ok(n) => {
                self.carried.received += n as u64;
                return true;
            }
            Err(error) => {
                tracing::debug!(%error, "reading from the client failed");
                self.eof = true;
            }
        }
        false
    }

    /// The output buffer; encoders of [`write`] append to it.
    #[inline]
    pub fn out(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Appends an ErrorResponse.
    pub fn error(&mut self, error: &Error) {
        write::error(&mut self.output, error);
    }

    /// Sends everything in the output buffer, in one write call if the socket takes it.
    ///
    /// # Errors
    /// 08006, fatal, when the peer is gone.
    pub async fn flush(&mut self) -> Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let large = self.output.capacity() > KEEP * 4;
        let result = self.send().await;
        if large || result.is_err() {
            self.output = BytesMut::with_capacity(READ_STEP);
        }
        result.map_err(|error| gone(&error))
    }

    /// What was written is taken off at once, so that a cancelled flush can be resumed.
    async fn send(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => {
                    self.output.advance(n);
                    self.carried.sent += n as u64;
                }
            }
        }
        self.stream.flush().await
    }

    /// Resolves when the peer is gone. Meanwhile input is read ahead into the buffer, up
    /// to a bound; [`Connection::read`] delivers it later. Safe to cancel.
    ///
    /// A client that ends its sending side counts as gone, as in PostgreSQL's
    /// `client_connection_check_interval`.
    pub async fn closed(&mut self) {
        while !self.eof {
            if self.input.len() < READ_AHEAD {
                self.fill().await;
            } else if self.stream.socket().peer_closed().await {
                return;
            } else {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// Whether the end of the stream has been seen.
    pub fn is_closed(&self) -> bool {
        self.eof
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.stream.is_tls()
    }

    /// Bytes read from the client and written to it.
    pub fn carried(&self) -> Carried {
        self.carried
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The largest message accepted, in bytes.
    pub fn max_message(&self) -> usize {
        self.max_message
    }

    /// Stream and buffers for the relay. Frames must be consumed whole.
    pub fn raw(&mut self) -> Raw<'_> {
        Raw {
            stream: &mut self.stream,
            input: &mut self.input,
            output: &mut self.output,
            carried: &mut self.carried,
        }
    }

    /// Sends what is pending and ends the connection so that the peer can read a last
    /// error: a close with unread input would reset the connection and lose it.
    pub async fn finish(mut self) {
        let last = async {
            self.flush().await.ok()?;
            self.stream.shutdown().await.ok()?;
            let mut scratch = BytesMut::with_capacity(READ_STEP);
            let mut budget = 1_usize << 20;
            while budget > 0 && !self.eof {
                scratch.clear();
                match self.stream.read_buf(&mut scratch).await {
                    Ok(0) | Err(_) => break,
                    Ok(n) => budget = budget.saturating_sub(n),
                }
            }
            Some(())
        };
        let _ = tokio::time::timeout(Duration::from_millis(500), last).await;
    }

    /// Sends `error` and ends the connection.
    pub async fn fail(mut self, error: &Error) {
        self.error(error);
        self.finish().await;
    }

    // --- Start-up: messages before the session runs -------------------------------------

    /// Reads until `length` bytes are buffered. False when the peer is gone.
    pub(super) async fn fill_to(&mut self, length: usize) -> bool {
        while self.input.len() < length {
            if !self.fill().await {
                return false;
            }
        }
        true
    }

    /// The packet without a type byte that opens a connection, its length taken off.
    pub(super) async fn read_untyped(&mut self) -> Result<Option<Bytes>> {
        if !self.fill_to(4).await {
            return Ok(None);
        }
        let length = match *self.input {
            [a, b, c, d, ..] => i32::from_be_bytes([a, b, c, d]),
            _ => 0,
        };
        let length = usize::try_from(length).ok();
        let Some(length) = length.filter(|n| (8..=frame::MAX_STARTUP).contains(n)) else {
            // Whatever this is, it may not understand an answer; PostgreSQL gives none either.
            tracing::debug!("invalid length of startup packet");
            return Ok(None);
        };
        if !self.fill_to(length).await {
            return Ok(None);
        }
        Ok(Some(self.input.split_to(length).freeze().slice(4..)))
    }

    /// A password or SASL message (`p`).
    pub(super) async fn read_auth(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.input.first() {
                None | Some(b'p') => {}
                Some(kind) => {
                    let message = format!("expected password response, got message type {kind}");
                    return Err(Error::client(state::PROTOCOL_VIOLATION, message).fatal());
                }
            }
            if let Some(frame) = frame::take(&mut self.input, frame::MAX_AUTH)? {
                return Ok(Some(frame.body));
            }
            if !self.fill().await {
                return Ok(None);
            }
        }
    }

    pub(super) fn input(&self) -> &BytesMut {
        &self.input
    }

    pub(super) fn into_parts(self) -> (Stream, BytesMut) {
        (self.stream, self.input)
    }
}

fn gone(error: &io::Error) -> Error {
    tracing::debug!(%error, "writing to the client failed");
    Error::new(Culprit::Client, state::CONNECTION_FAILURE, "connection to client lost").fatal()
}
