//! The wire layer on real sockets: a server made of `crossfade::wire` alone, and clients
//! that send bytes written by hand.

mod frames;
mod hostile;
mod login;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crossfade::clock::Clock;
use crossfade::error::{Error, state};
use crossfade::value::{Format, Type, oid};
use crossfade::wire::auth::{Auth, Method, Users};
use crossfade::wire::cancel::Registry;
use crossfade::wire::{
    Connection, Frontend, Identity, Listener, Options, Server, Startup, Status, Tls, serve, write,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the mini server saw.
#[derive(Default)]
pub struct Seen {
    pub vanished: AtomicBool,
    pub cancelled: AtomicBool,
    pub queries: AtomicUsize,
    pub ended: AtomicUsize,
}

pub struct Mini {
    pub address: SocketAddr,
    pub server: Arc<Server>,
    pub seen: Arc<Seen>,
}

impl Drop for Mini {
    fn drop(&mut self) {
        self.server.options().shutdown.cancel();
    }
}

pub fn auth(method: Method) -> Arc<Auth> {
    let clock = Clock::system();
    let mut users = Users::default();
    users.set_password("ada", "corréct horse", &clock);
    Arc::new(Auth::new(method, users, &clock))
}

/// Starts a server that answers each simple query with its own text.
pub fn mini(method: Method, change: impl FnOnce(&mut Options)) -> Mini {
    let listener = Listener::tcp(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.address().unwrap();
    let (server, seen) = start(listener, method, change);
    Mini { address, server, seen }
}

pub fn start(
    listener: Listener,
    method: Method,
    change: impl FnOnce(&mut Options),
) -> (Arc<Server>, Arc<Seen>) {
    let mut options = Options::new(auth(method), Registry::new(Clock::system()));
    change(&mut options);
    let server = Server::new(options);
    let seen = Arc::new(Seen::default());
    let (cancels, log) = (Arc::clone(&server.options().cancels), Arc::clone(&seen));
    let handler = move |connection, startup| {
        let (cancels, seen) = (Arc::clone(&cancels), Arc::clone(&log));
        async move {
            session(connection, startup, cancels, &seen).await;
            seen.ended.fetch_add(1, Ordering::SeqCst);
        }
    };
    tokio::spawn(serve(listener, Arc::clone(&server), handler));
    (server, seen)
}

async fn session(
    mut connection: Connection,
    startup: Startup,
    cancels: Arc<Registry>,
    seen: &Arc<Seen>,
) {
    let notify = Arc::new(tokio::sync::Notify::new());
    let (log, wake) = (Arc::clone(seen), Arc::clone(&notify));
    let key = cancels.register(
        startup.protocol,
        Arc::new(move |_| {
            log.cancelled.store(true, Ordering::SeqCst);
            wake.notify_one();
            None
        }),
    );
    for (name, value) in [("server_version", "15.0"), ("client_encoding", "UTF8")] {
        write::parameter_status(connection.out(), name, value);
    }
    for (name, value) in &startup.parameters {
        write::parameter_status(connection.out(), &format!("asked.{name}"), value);
    }
    write::backend_key(connection.out(), &key);
    write::ready(connection.out(), Status::Idle);
    if connection.flush().await.is_err() {
        return;
    }
    loop {
        let message = match connection.read().await {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(error) => return connection.fail(&error).await,
        };
        match message {
            Frontend::Query(text) => {
                seen.queries.fetch_add(1, Ordering::SeqCst);
                if text.contains("wait") {
                    tokio::select! {
                        () = notify.notified() => connection
                            .error(&Error::client(state::QUERY_CANCELED, "cancelled")),
                        () = connection.closed() => {
                            seen.vanished.store(true, Ordering::SeqCst);
                            return;
                        }
                    }
                } else {
                    let field = write::Field {
                        name: "text",
                        table: 0,
                        column: 0,
                        ty: Type::new(oid::TEXT),
                        format: Format::Text,
                    };
                    write::row_description(connection.out(), [field].into_iter());
                    let answer =
                        if startup.tls { format!("tls {}", &*text) } else { text.to_string() };
                    write::data_row(connection.out(), [Some(answer.as_bytes())].into_iter());
                    write::command_complete(connection.out(), "SELECT 1");
                }
                write::ready(connection.out(), Status::Idle);
            }
            Frontend::Malformed { error, kind } => {
                connection.error(&error);
                if kind == b'Q' {
                    write::ready(connection.out(), Status::Idle);
                }
            }
            Frontend::Bind(bind) => {
                let shown = format!("{:?}", bind.value(0));
                write::bind_complete(connection.out());
                write::parameter_status(connection.out(), "bound", &shown);
            }
            Frontend::Sync => write::ready(connection.out(), Status::Idle),
            Frontend::Terminate => return,
            _ => {}
        }
        if !connection.has_buffered() && connection.flush().await.is_err() {
            return;
        }
    }
}

/// A client that writes bytes by hand.
pub struct Client<S = TcpStream>(pub S);

pub fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    out.extend_from_slice(body);
    out
}

pub fn query(text: &str) -> Vec<u8> {
    frame(b'Q', format!("{text}\0").as_bytes())
}

pub fn startup(version: u32, pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in pairs {
        body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    body.push(0);
    untyped(&body)
}

pub fn untyped(body: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(body.len() + 4).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(body);
    out
}

pub const V3: u32 = 3 << 16;
pub const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();
pub const GSS_REQUEST: [u8; 4] = 80_877_104_u32.to_be_bytes();

/// A message from the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Message(pub u8, pub Vec<u8>);

impl Message {
    pub fn field(&self, tag: u8) -> String {
        let found = self.1.split(|b| *b == 0).find(|f| f.first() == Some(&tag));
        found.map(|f| String::from_utf8_lossy(&f[1..]).into_owned()).unwrap_or_default()
    }
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Connected and through a trust start-up; the messages up to ReadyForQuery too.
    pub async fn ready(address: SocketAddr) -> (Self, Vec<Message>) {
        let mut client = Self::connect(address).await;
        client.send(&startup(V3, &[("user", "ada")])).await;
        let messages = client.until(b'Z').await;
        (client, messages)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub async fn send(&mut self, bytes: &[u8]) {
        // The server may have closed already; what it said is what counts.
        let _ = self.0.write_all(bytes).await;
        let _ = self.0.flush().await;
    }

    pub async fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_secs(10), self.0.read(&mut byte));
        (read.await.expect("an answer in time").ok()? == 1).then_some(byte[0])
    }

    /// The next message; `None` at the end of the stream.
    pub async fn message(&mut self) -> Option<Message> {
        let kind = self.byte().await?;
        let mut length = [0; 4];
        self.0.read_exact(&mut length).await.ok()?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        self.0.read_exact(&mut body).await.ok()?;
        Some(Message(kind, body))
    }

    pub async fn until(&mut self, kind: u8) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.message().await {
            let last = message.0 == kind;
            messages.push(message);
            if last {
                return messages;
            }
        }
        panic!("the stream ended before {}: {messages:?}", kind as char);
    }

    /// The fatal error with which the server ends the connection.
    pub async fn refused(&mut self) -> Message {
        let error = self.message().await.expect("an error before the close");
        assert_eq!(error.0, b'E', "{error:?}");
        assert_eq!(error.field(b'V'), "FATAL", "{error:?}");
        assert_eq!(self.message().await, None, "closed after a fatal error");
        error
    }

    pub async fn ask(&mut self, text: &str) -> String {
        self.send(&query(text)).await;
        let messages = self.until(b'Z').await;
        let row = messages.iter().find(|m| m.0 == b'D').expect("a row");
        String::from_utf8(row.1[6..].to_vec()).unwrap()
    }
}

/// A certificate for `localhost`, signed by itself, and its key, in PEM.
pub fn certificate() -> (String, String) {
    signed_by_itself(rcgen::IsCa::NoCa)
}

/// The same, marked as a CA: what `openssl req -x509` makes.
pub fn ca_certificate() -> (String, String) {
    signed_by_itself(rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained))
}

fn signed_by_itself(is_ca: rcgen::IsCa) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = is_ca;
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

pub fn tls(pem: &(String, String)) -> Tls {
    Tls::new(Identity::new(pem.0.as_bytes(), pem.1.as_bytes()).unwrap()).unwrap()
}
