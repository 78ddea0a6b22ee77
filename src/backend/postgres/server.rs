//! A raw session on PostgreSQL: log-in as a client, then frames.
//!
//! Owns [`Server`] and the reading of ErrorResponse. It must never decode what it only
//! passes on, and never answer a demand for a password in clear over a network. Start at
//! [`Server::read_frame`].

use std::collections::BTreeMap;
use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::FutureExt;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connect::{Canceller, Connector};
use crate::config::{Endpoint, Host};
use crate::error::{Culprit, Error, Object, Result, SqlState, state};
use crate::wire::frame::{self, Frame};
use crate::wire::stream::{Socket, Stream};
use crate::wire::{Carried, Raw, write};

/// Room kept for reading.
const READ_STEP: usize = 8 << 10;
/// Buffers above this are given back once empty.
const KEEP: usize = 64 << 10;
/// Bytes of notifications kept for the client while we ask something: some seconds' worth.
const NOTIFICATIONS_MAX: usize = 8 << 20;
/// Largest message taken from a server: PostgreSQL's own limit.
const MAX_MESSAGE: usize = 0x3fff_ffff;

/// A session on PostgreSQL, logged in.
pub struct Server {
    stream: Stream,
    input: BytesMut,
    output: BytesMut,
    carried: Carried,
    parameters: BTreeMap<String, String>,
    pid: [u8; 4],
    secret: Vec<u8>,
    status: u8,
    /// NotificationResponse frames that came while we asked something: they are the client's.
    notifications: BytesMut,
    culprit: Culprit,
    origin: Option<(Connector, usize)>,
}

impl Server {
    /// Sends the start-up packet, authenticates and reads up to the first ReadyForQuery.
    pub(super) async fn start(
        stream: Stream,
        endpoint: &Endpoint,
        parameters: &[(String, String)],
        culprit: Culprit,
    ) -> Result<Self> {
        let mut server = Self {
            stream,
            input: BytesMut::with_capacity(READ_STEP),
            output: BytesMut::with_capacity(READ_STEP),
            carried: Carried::default(),
            parameters: BTreeMap::new(),
            pid: [0; 4],
            secret: Vec::new(),
            status: b'I',
            notifications: BytesMut::new(),
            culprit,
            origin: None,
        };
        server.write_startup(endpoint, parameters);
        server.flush().await?;
        server.authenticate(endpoint).await?;
        server.until_ready().await?;
        Ok(server)
    }

    pub(super) fn reached_by(mut self, connector: &Connector, host: usize) -> Self {
        self.origin = Some((connector.clone(), host));
        self
    }

    fn write_startup(&mut self, endpoint: &Endpoint, parameters: &[(String, String)]) {
        let out = &mut self.output;
        let start = out.len();
        out.put_u32(0);
        out.put_u32(3 << 16);
        let mut pairs = vec![
            ("user", endpoint.user.as_str()),
            ("database", endpoint.database.as_str()),
            ("client_encoding", "UTF8"),
        ];
        if let Some(options) = &endpoint.options {
            pairs.push(("options", options));
        }
        if let Some(name) = &endpoint.application_name {
            pairs.push(("application_name", name));
        }
        // The caller's own win over the endpoint's.
        pairs.retain(|(name, _)| !parameters.iter().any(|(given, _)| given == name));
        let given = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in pairs.into_iter().chain(given) {
            for text in [name, value] {
                out.extend(text.bytes().filter(|b| *b != 0));
                out.put_u8(0);
            }
        }
        out.put_u8(0);
        let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
        if let Some(slot) = out.get_mut(start..start + 4) {
            slot.copy_from_slice(&length.to_be_bytes());
        }
    }

    fn error(&self, code: SqlState, text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        Error::new(self.culprit, code, text)
    }

    fn protocol(&self, text: &'static str) -> Error {
        self.error(state::PROTOCOL_VIOLATION, text)
    }

    async fn expect_frame(&mut self) -> Result<Frame> {
        match self.read_frame().await? {
            Some(frame) if frame.kind == b'E' => Err(parse_error(&frame.body, self.culprit)),
            Some(frame) => Ok(frame),
            None => Err(self.gone(&io::ErrorKind::UnexpectedEof.into())),
        }
    }

    async fn authenticate(&mut self, endpoint: &Endpoint) -> Result<()> {
        let mut scram: Option<ScramSha256> = None;
        loop {
            let frame = self.expect_frame().await?;
            match frame.kind {
                b'R' => {}
                b'N' => continue,
                b'v' => return Err(self.protocol("the server does not speak protocol 3.0")),
                _ => return Err(self.protocol("unexpected message during authentication")),
            }
            let mut body = frame.body;
            if body.len() < 4 {
                return Err(self.protocol("authentication message too short"));
            }
            let refused = |this: &Self, e: &io::Error| {
                this.error(state::INVALID_PASSWORD, "SCRAM with PostgreSQL failed")
                    .detail(e.to_string())
            };
            match body.get_i32() {
                0 if scram.is_some() => {
                    return Err(self.protocol("the server ended SCRAM without its proof"));
                }
                0 => return Ok(()),
                3 => {
                    if !self.is_private() {
                        let text = "the server asks for the password in clear";
                        return Err(self
                            .error(state::INVALID_AUTHORIZATION, text)
                            .hint("Set sslmode=require, or use scram-sha-256 on the server."));
                    }
                    let password = self.password(endpoint)?.to_owned();
                    self.password_message(&[password.as_bytes(), b"\0"]);
                }
                5 => {
                    let salt = body.get(..4).and_then(|s| s.try_into().ok());
                    let salt = salt.ok_or_else(|| self.protocol("MD5 salt missing"))?;
                    let password = self.password(endpoint)?;
                    let hash = md5_hash(endpoint.user.as_bytes(), password.as_bytes(), salt);
                    self.password_message(&[hash.as_bytes(), b"\0"]);
                }
                10 => {
                    let offered = body.split(|b| *b == 0).any(|m| m == SCRAM_SHA_256.as_bytes());
                    if !offered {
                        return Err(self.protocol("the server offers no known SASL mechanism"));
                    }
                    let password = self.password(endpoint)?;
                    let first =
                        ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
                    let length = u32::try_from(first.message().len()).unwrap_or(0).to_be_bytes();
                    let mechanism = SCRAM_SHA_256.as_bytes();
                    self.password_message(&[mechanism, b"\0", &length, first.message()]);
                    scram = Some(first);
                }
                11 => {
                    let Some(exchange) = scram.as_mut() else {
                        return Err(self.protocol("SCRAM message out of order"));
                    };
                    exchange.update(&body).map_err(|e| refused(self, &e))?;
                    let reply = exchange.message().to_vec();
                    self.password_message(&[&reply]);
                }
                12 => {
                    let Some(mut exchange) = scram.take() else {
                        return Err(self.protocol("SCRAM message out of order"));
                    };
                    exchange.finish(&body).map_err(|e| refused(self, &e))?;
                }
                other => {
                    let text = format!("the server asks for authentication of kind {other}");
                    return Err(self.error(state::FEATURE_NOT_SUPPORTED, text));
                }
            }
            self.flush().await?;
        }
    }

    /// Whether nobody on a network can listen.
    fn is_private(&self) -> bool {
        match (&self.stream, self.stream.socket()) {
            (Stream::Tls(_), _) | (_, Socket::Unix(_)) => true,
            (_, Socket::Tcp(tcp)) => tcp.peer_addr().is_ok_and(|a| a.ip().is_loopback()),
        }
    }

    fn password<'a>(&self, endpoint: &'a Endpoint) -> Result<&'a str> {
        endpoint.password.as_ref().map(crate::config::Secret::reveal).ok_or_else(|| {
            self.error(state::INVALID_PASSWORD, "PostgreSQL asks for a password and none is set")
                .hint("Set it in the URL, in PGPASSWORD or in postgres.password_file.")
        })
    }

    fn password_message(&mut self, parts: &[&[u8]]) {
        let mark = write::begin(&mut self.output, b'p');
        for part in parts {
            self.output.put_slice(part);
        }
        write::end(&mut self.output, &mark);
    }

    async fn until_ready(&mut self) -> Result<()> {
        loop {
            let frame = self.expect_frame().await?;
            match frame.kind {
                b'K' => {
                    let mut body = frame.body;
                    if body.len() < 8 {
                        return Err(self.protocol("BackendKeyData too short"));
                    }
                    body.copy_to_slice(&mut self.pid);
                    self.secret = body.to_vec();
                }
                b'Z' => {
                    self.note(&frame);
                    return Ok(());
                }
                _ => self.note(&frame),
            }
        }
    }

    /// Keeps what a session must know of a frame: ParameterStatus, ReadyForQuery, and what its
    /// client is still to be told.
    pub fn note(&mut self, frame: &Frame) {
        match frame.kind {
            b'S' => {
                let mut parts = frame.body.split(|b| *b == 0);
                if let (Some(name), Some(value)) = (parts.next(), parts.next()) {
                    self.parameters.insert(lossy(name), lossy(value));
                }
            }
            b'Z' => self.status = frame.body.first().copied().unwrap_or(b'I'),
            b'A' if self.notifications.len() < NOTIFICATIONS_MAX => {
                let mark = write::begin(&mut self.notifications, b'A');
                self.notifications.extend_from_slice(&frame.body);
                write::end(&mut self.notifications, &mark);
            }
            b'A' => tracing::warn!("notifications were lost while a session was asked"),
            _ => {}
        }
    }

    /// The next frame from the server; `None` when it is gone. Safe to cancel.
    ///
    /// # Errors
    /// 08P01 when the frame's length is out of bounds.
    pub async fn read_frame(&mut self) -> Result<Option<Frame>> {
        loop {
            if let Some(frame) = frame::take(&mut self.input, MAX_MESSAGE)? {
                return Ok(Some(frame));
            }
            if !self.fill().await {
                return Ok(None);
            }
        }
    }

    /// Reads what the socket has. Returns false at the end of the stream or on failure.
    pub async fn fill(&mut self) -> bool {
        if self.input.is_empty() && self.input.capacity() > KEEP {
            self.input = BytesMut::with_capacity(READ_STEP);
        }
        self.input.reserve(READ_STEP.max(self.input.len().min(1 << 20)));
        match self.stream.read_buf(&mut self.input).await {
            Ok(n) => n > 0,
            Err(error) => {
                tracing::debug!(%error, "reading from PostgreSQL failed");
                false
            }
        }
    }

    /// Whether an idle session is still there and has said nothing.
    pub fn is_quiet(&mut self) -> bool {
        self.input.is_empty() && self.fill().now_or_never().is_none()
    }

    /// The output buffer; frontend messages are appended to it.
    pub fn out(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Sends everything in the output buffer.
    ///
    /// # Errors
    /// 08006 when the server is gone.
    pub async fn flush(&mut self) -> Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output).await {
                Ok(0) => return Err(self.gone(&io::ErrorKind::WriteZero.into())),
                Ok(n) => self.output.advance(n),
                Err(error) => return Err(self.gone(&error)),
            }
        }
        self.stream.flush().await.map_err(|e| self.gone(&e))
    }

    fn gone(&self, error: &io::Error) -> Error {
        self.error(state::CONNECTION_FAILURE, "the connection to PostgreSQL was lost")
            .detail(error.to_string())
            .retryable()
    }

    /// Runs statements of ours by simple query and waits for the end; rows are dropped.
    ///
    /// # Errors
    /// The first error of the server.
    pub async fn batch(&mut self, sql: &str) -> Result<()> {
        self.rows(sql).await.map(drop)
    }

    /// Runs statements of ours by simple query and returns the rows in text form.
    ///
    /// # Errors
    /// The first error of the server.
    pub async fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let mark = write::begin(&mut self.output, b'Q');
        self.output.extend(sql.bytes().filter(|b| *b != 0));
        self.output.put_u8(0);
        write::end(&mut self.output, &mark);
        self.flush().await?;
        self.collect().await
    }

    /// Rows up to ReadyForQuery.
    async fn collect(&mut self) -> Result<Vec<Vec<Option<String>>>> {
        let (mut rows, mut failed) = (Vec::new(), None);
        loop {
            let Some(frame) = self.read_frame().await? else {
                return Err(
                    failed.unwrap_or_else(|| self.gone(&io::ErrorKind::UnexpectedEof.into()))
                );
            };
            self.note(&frame);
            match frame.kind {
                b'D' => {
                    let row = parse_row(&frame.body);
                    rows.push(row.ok_or_else(|| self.protocol("DataRow is malformed"))?);
                }
                b'E' if failed.is_none() => {
                    failed = Some(parse_error(&frame.body, self.culprit));
                }
                b'Z' => return failed.map_or(Ok(rows), Err),
                _ => {}
            }
        }
    }

    /// Runs a query of ours by the extended protocol under a name of its own and returns its
    /// rows in text form. Neither the unnamed statement nor the unnamed portal's transaction is
    /// touched: to be used on a client's session between two transactions.
    ///
    /// # Errors
    /// The first error of the server.
    pub async fn ask(&mut self, name: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let out = &mut self.output;
        let text = |out: &mut BytesMut, text: &str| {
            out.extend(text.bytes().filter(|b| *b != 0));
            out.put_u8(0);
        };
        let mark = write::begin(out, b'P');
        text(out, name);
        text(out, sql);
        out.put_u16(0);
        write::end(out, &mark);
        let mark = write::begin(out, b'B');
        // A portal of our own; no parameters, everything in text form.
        text(out, name);
        text(out, name);
        out.put_bytes(0, 6);
        write::end(out, &mark);
        let mark = write::begin(out, b'E');
        text(out, name);
        out.put_u32(0);
        write::end(out, &mark);
        let mark = write::begin(out, b'C');
        out.put_u8(b'S');
        text(out, name);
        write::end(out, &mark);
        let mark = write::begin(out, b'S');
        write::end(out, &mark);
        self.flush().await?;
        self.collect().await
    }

    /// Passes on the notifications that came while we asked something.
    pub fn pass_notifications(&mut self, client: &mut BytesMut) {
        client.extend_from_slice(&self.notifications.split());
    }

    /// The ParameterStatus values last told.
    pub fn parameters(&self) -> &BTreeMap<String, String> {
        &self.parameters
    }

    /// The transaction status last told: `I`, `T` or `E`.
    pub fn status(&self) -> u8 {
        self.status
    }

    /// The server's process number.
    pub fn pid(&self) -> i32 {
        i32::from_be_bytes(self.pid)
    }

    /// Whether the server said that it takes no writes (PostgreSQL 14 and later say).
    pub fn is_read_only(&self) -> bool {
        ["in_hot_standby", "default_transaction_read_only"]
            .iter()
            .any(|name| self.parameters.get(*name).is_some_and(|v| v == "on"))
    }

    /// The way to end a statement of this session.
    pub fn canceller(&self) -> Option<Canceller> {
        let (connector, host) = self.origin.as_ref()?;
        Some(connector.canceller(*host, self.stream.is_tls(), self.pid, &self.secret))
    }

    /// Stream and buffers, for the relay.
    pub fn raw(&mut self) -> Raw<'_> {
        Raw {
            stream: &mut self.stream,
            input: &mut self.input,
            output: &mut self.output,
            carried: &mut self.carried,
        }
    }

    /// Says good-bye and closes.
    pub async fn close(mut self) {
        self.output.put_slice(b"X\0\0\0\x04");
        if self.flush().await.is_ok() {
            let _ = self.stream.shutdown().await;
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = self.origin.as_ref().and_then(|(c, i)| c.endpoint().hosts.get(*i));
        let host: Option<&Host> = host.map(|(h, _)| h);
        f.debug_struct("Server").field("pid", &self.pid()).field("host", &host).finish()
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn parse_row(body: &Bytes) -> Option<Vec<Option<String>>> {
    let mut body = body.clone();
    let count = body.try_get_u16().ok()?;
    let mut row = Vec::with_capacity((count as usize).min(body.len() / 4));
    for _ in 0..count {
        match body.try_get_i32().ok()? {
            -1 => row.push(None),
            length => {
                let length = usize::try_from(length).ok().filter(|n| *n <= body.len())?;
                row.push(Some(lossy(&body.split_to(length))));
            }
        }
    }
    Some(row)
}

/// Reads the fields of an ErrorResponse or NoticeResponse. Unknown fields are left out.
pub fn parse_error(body: &[u8], culprit: Culprit) -> Error {
    let mut fields: BTreeMap<u8, String> = BTreeMap::new();
    for field in body.split(|b| *b == 0) {
        if let [tag, text @ ..] = field {
            fields.insert(*tag, lossy(text));
        }
    }
    let mut take = |tag: u8| fields.remove(&tag);
    let code = SqlState::from_code(&take(b'C').unwrap_or_default());
    let message = take(b'M').unwrap_or_else(|| "an error without a message".to_owned());
    let mut error = Error::new(culprit, code, message);
    if let Some(detail) = take(b'D') {
        error = error.detail(detail);
    }
    if let Some(hint) = take(b'H') {
        error = error.hint(hint);
    }
    if let Some(context) = take(b'W') {
        error = error.context(context);
    }
    if let Some(position) = take(b'P').and_then(|p| p.parse().ok()) {
        error = error.at(position);
    }
    error = error.object(Object {
        schema: take(b's'),
        table: take(b't'),
        column: take(b'c'),
        data_type: take(b'd'),
        constraint: take(b'n'),
    });
    if take(b'V').or_else(|| take(b'S')).is_some_and(|s| s == "FATAL" || s == "PANIC") {
        error = error.fatal();
    }
    if matches!(code.class(), "40" | "08" | "57") { error.retryable() } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_way_through_the_wire() {
        let sent = Error::client(state::UNIQUE_VIOLATION, "duplicate key")
            .detail("Key (a)=(1) already exists.")
            .context("COPY t, line 3")
            .at(9)
            .object(Object { table: Some("t".into()), ..Object::default() });
        let mut out = BytesMut::new();
        write::error(&mut out, &sent);
        let read = parse_error(&out[5..], Culprit::Client);
        assert_eq!(format!("{read:?}"), format!("{sent:?}"));
        assert_eq!(parse_error(b"", Culprit::Shadow).sqlstate(), state::INTERNAL_ERROR);
    }

    #[test]
    fn rows_are_checked() {
        let row = Bytes::from_static(b"\0\x02\0\0\0\x01a\xff\xff\xff\xff");
        assert_eq!(parse_row(&row), Some(vec![Some("a".to_owned()), None]));
        for broken in [&b""[..], b"\0\x01", b"\0\x01\0\0\0\x05ab", b"\0\x01\xff\xff\xff\xfe"] {
            assert_eq!(parse_row(&Bytes::copy_from_slice(broken)), None);
        }
    }
}
