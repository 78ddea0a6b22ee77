//! Opening connections to PostgreSQL: host, TLS, log-in.
//!
//! Owns [`Connector`]. It must never send a password in clear over a network, and never
//! read past the answer to SSLRequest before TLS starts. Start at [`Connector::new`],
//! then [`Connector::raw`] (frames) or [`Connector::client`] (tokio-postgres).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{Client, NoTls};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsConnector, TlsStream};

use super::server::Server;
use super::tls;
use crate::config::{Endpoint, Host, Secret, SslMode};
use crate::error::{Culprit, Error, Result, SqlState, state};
use crate::wire::stream::{Preceded, Socket, Stream};

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const CANCEL_REQUEST: [u8; 4] = [0x04, 0xd2, 0x16, 0x2e];

/// A tokio-postgres connection's driver; to be polled in a task of its own.
pub type Driver = tokio_postgres::Connection<Stream, NoTlsStream>;

/// Opens connections to one PostgreSQL as one role. Cheap to clone.
#[derive(Clone)]
pub struct Connector(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    tls: Option<TlsConnector>,
    culprit: Culprit,
}

/// One way to try a host.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    host: usize,
    encryption: Encryption,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    Plain,
    /// TLS if the server has it.
    Offered,
    Required,
}

/// The way to end a statement on a server session.
#[derive(Clone)]
pub struct Canceller {
    connector: Connector,
    attempt: Attempt,
    pid: [u8; 4],
    secret: Vec<u8>,
}

impl Connector {
    /// Prepares connections to `endpoint`. `password` is that of the password file, used
    /// when the endpoint brings none; `home` is where libpq's default files lie. Errors
    /// name `culprit`: the side that this PostgreSQL is now.
    ///
    /// # Errors
    /// F0000 when a certificate file cannot be read.
    pub fn new(
        endpoint: &Endpoint,
        password: Option<Secret>,
        home: Option<&Path>,
        culprit: Culprit,
    ) -> Result<Self> {
        let mut endpoint = endpoint.clone();
        endpoint.password = endpoint.password.or(password);
        let tls = match endpoint.sslmode {
            SslMode::Disable => None,
            _ => Some(TlsConnector::from(Arc::new(tls::client_config(&endpoint, home)?))),
        };
        Ok(Self(Arc::new(Inner { endpoint, tls, culprit })))
    }

    /// The endpoint.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// The same connections, with errors that name another side (after a switch).
    #[must_use]
    pub fn as_culprit(&self, culprit: Culprit) -> Self {
        let Inner { endpoint, tls, .. } = &*self.0;
        Self(Arc::new(Inner { endpoint: endpoint.clone(), tls: tls.clone(), culprit }))
    }

    /// Opens a connection that is handled frame by frame. `parameters` are added to the
    /// start-up packet (`replication`, `application_name`, settings).
    ///
    /// # Errors
    /// 08006, retryable, when no host answers; else what PostgreSQL said.
    pub async fn raw(&self, parameters: &[(String, String)]) -> Result<Server> {
        let mut last = None;
        for attempt in self.attempts() {
            let login = async {
                let stream = self.open(attempt).await?;
                Server::start(stream, &self.0.endpoint, parameters, self.0.culprit).await
            };
            match self.within(login).await {
                Ok(server) if self.0.endpoint.read_write && server.is_read_only() => {
                    let text = "the PostgreSQL server is read-only";
                    last = Some(self.error(state::CANNOT_CONNECT_NOW, text).retryable());
                }
                Ok(server) => return Ok(server.reached_by(self, attempt.host)),
                Err(error) if worth_another(&error) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| self.error(state::CONNECTION_FAILURE, "no host to connect to")))
    }

    /// Opens a tokio-postgres connection. The driver must be spawned by the caller.
    ///
    /// # Errors
    /// As [`Connector::raw`].
    pub async fn client(&self, application_name: &str) -> Result<(Client, Driver)> {
        let endpoint = &self.0.endpoint;
        let mut config = tokio_postgres::Config::new();
        config
            .user(&endpoint.user)
            .dbname(&endpoint.database)
            .application_name(application_name)
            .ssl_mode(tokio_postgres::config::SslMode::Disable);
        if let Some(password) = &endpoint.password {
            config.password(password.reveal());
        }
        if let Some(options) = &endpoint.options {
            config.options(options);
        }
        let mut last = None;
        for attempt in self.attempts() {
            let login = async {
                let stream = self.open(attempt).await?;
                config.connect_raw(stream, NoTls).await.map_err(|e| self.error_of(&e))
            };
            match self.within(login).await {
                Ok(connected) => return Ok(connected),
                Err(error) if worth_another(&error) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| self.error(state::CONNECTION_FAILURE, "no host to connect to")))
    }

    /// Turns an error of tokio-postgres into ours.
    pub fn error_of(&self, error: &tokio_postgres::Error) -> Error {
        from_tokio(error, self.0.culprit)
    }

    fn attempts(&self) -> impl Iterator<Item = Attempt> + use<> {
        use Encryption::{Offered, Plain, Required};
        let mode = self.0.endpoint.sslmode;
        let hosts = self.0.endpoint.hosts.clone();
        hosts.into_iter().enumerate().flat_map(move |(host, (name, _))| {
            let ways: &[Encryption] = match (mode, name) {
                (SslMode::Disable, _) | (_, Host::Unix(_)) => &[Plain],
                (SslMode::Allow, _) => &[Plain, Required],
                (SslMode::Prefer, _) => &[Offered, Plain],
                _ => &[Required],
            };
            ways.iter().map(move |encryption| Attempt { host, encryption: *encryption })
        })
    }

    async fn within<T>(&self, login: impl Future<Output = Result<T>>) -> Result<T> {
        let seconds = match self.0.endpoint.connect_timeout_s {
            0 => return login.await,
            n => n,
        };
        match tokio::time::timeout(Duration::from_secs(seconds.into()), login).await {
            Ok(result) => result,
            Err(_) => Err(self
                .error(state::CONNECTION_FAILURE, "connecting to PostgreSQL took too long")
                .retryable()),
        }
    }

    /// The byte stream to a host, encrypted as wanted; not logged in yet.
    async fn open(&self, attempt: Attempt) -> Result<Stream> {
        let endpoint = &self.0.endpoint;
        let (host, port) = endpoint
            .hosts
            .get(attempt.host)
            .ok_or_else(|| self.error(state::CONNECTION_FAILURE, "no host to connect to"))?;
        let failed = |e: std::io::Error| {
            let text = format!("could not connect to PostgreSQL at {host} port {port}");
            self.error(state::CONNECTION_FAILURE, text).detail(e.to_string()).retryable()
        };
        let name = match host {
            Host::Unix(folder) => {
                let path = folder.join(format!(".s.PGSQL.{port}"));
                return UnixStream::connect(path)
                    .await
                    .map(|s| Stream::Plain(Socket::Unix(s)))
                    .map_err(failed);
            }
            Host::Tcp(name) => name,
        };
        let mut socket =
            Socket::Tcp(TcpStream::connect((name.as_str(), *port)).await.map_err(failed)?);
        socket.tune().map_err(failed)?;
        let Some(tls) = self.0.tls.as_ref().filter(|_| attempt.encryption != Encryption::Plain)
        else {
            return Ok(Stream::Plain(socket));
        };
        if !endpoint.ssl_direct {
            socket.write_all(&SSL_REQUEST).await.map_err(failed)?;
            // One byte and not more: what follows belongs to the handshake.
            match socket.read_u8().await.map_err(failed)? {
                b'S' => {}
                b'N' if attempt.encryption == Encryption::Offered => {
                    return Ok(Stream::Plain(socket));
                }
                b'N' => {
                    let text = "the PostgreSQL server does not support TLS, but it is required";
                    return Err(self.error(state::CONNECTION_FAILURE, text));
                }
                _ => {
                    let text = "the PostgreSQL server gave a wrong answer to SSLRequest";
                    return Err(self.error(state::PROTOCOL_VIOLATION, text));
                }
            }
        }
        let name = ServerName::try_from(name.clone())
            .map_err(|_| self.error(state::CONNECTION_FAILURE, "the host name is not valid"))?;
        let stream =
            tls.connect(name, Preceded::new(BytesMut::new(), socket)).await.map_err(|e| {
                let text = format!("TLS with PostgreSQL at {host} port {port} failed");
                self.error(state::CONNECTION_FAILURE, text).detail(e.to_string())
            })?;
        Ok(Stream::Tls(Box::new(TlsStream::Client(stream))))
    }

    fn error(&self, code: SqlState, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        Error::new(self.0.culprit, code, message)
    }

    pub(super) fn canceller(
        &self,
        host: usize,
        tls: bool,
        pid: [u8; 4],
        secret: &[u8],
    ) -> Canceller {
        let encryption = if tls { Encryption::Required } else { Encryption::Plain };
        let attempt = Attempt { host, encryption };
        Canceller { connector: self.clone(), attempt, pid, secret: secret.to_vec() }
    }
}

impl Canceller {
    /// Asks the server to end the running statement. Returns when the server has closed
    /// the request's connection: the signal has been sent by then.
    ///
    /// # Errors
    /// 08006 when the server cannot be reached.
    pub async fn cancel(&self) -> Result<()> {
        let connector = &self.connector;
        let request = async {
            let mut stream = connector.open(self.attempt).await?;
            let length = u32::try_from(self.secret.len()).unwrap_or(4) + 12;
            let mut packet = length.to_be_bytes().to_vec();
            packet.extend_from_slice(&CANCEL_REQUEST);
            packet.extend_from_slice(&self.pid);
            packet.extend_from_slice(&self.secret);
            let sent = async {
                stream.write_all(&packet).await?;
                stream.flush().await?;
                let mut rest = [0; 16];
                // A close without notice is how servers answer.
                while matches!(stream.read(&mut rest).await, Ok(n) if n > 0) {}
                std::io::Result::Ok(())
            };
            sent.await.map_err(|e| {
                let text = "the cancel request could not be sent";
                connector.error(state::CONNECTION_FAILURE, text).detail(e.to_string())
            })
        };
        connector.within(request).await
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Connector").field(&self.0.endpoint).finish()
    }
}

/// Whether another host or another use of TLS may succeed: the server was not reached, is
/// starting or stopping, or its access rules want the other use of TLS.
fn worth_another(error: &Error) -> bool {
    let code = error.sqlstate();
    code.class() == "08"
        || code.class() == "57"
        || code == state::INVALID_AUTHORIZATION
        || code == state::TOO_MANY_CONNECTIONS
}

/// Turns an error of tokio-postgres into ours, with all fields of a server's error.
pub fn from_tokio(error: &tokio_postgres::Error, culprit: Culprit) -> Error {
    let Some(db) = error.as_db_error() else {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        let text = if error.is_closed() {
            "the connection to PostgreSQL was closed"
        } else {
            "the connection to PostgreSQL failed"
        };
        return Error::new(culprit, state::CONNECTION_FAILURE, text)
            .detail(cause.unwrap_or_else(|| error.to_string()))
            .retryable();
    };
    let mut found =
        Error::new(culprit, SqlState::from_code(db.code().code()), db.message().to_owned());
    if let Some(detail) = db.detail() {
        found = found.detail(detail);
    }
    if let Some(hint) = db.hint() {
        found = found.hint(hint);
    }
    if let Some(context) = db.where_() {
        found = found.context(context);
    }
    if let Some(tokio_postgres::error::ErrorPosition::Original(position)) = db.position() {
        found = found.at(*position);
    }
    let own = |text: Option<&str>| text.map(str::to_owned);
    found = found.object(crate::error::Object {
        schema: own(db.schema()),
        table: own(db.table()),
        column: own(db.column()),
        data_type: own(db.datatype()),
        constraint: own(db.constraint()),
    });
    if db.severity() == "FATAL" || db.severity() == "PANIC" {
        found = found.fatal();
    }
    if matches!(found.sqlstate().class(), "40" | "08" | "57") {
        found = found.retryable();
    }
    found
}
