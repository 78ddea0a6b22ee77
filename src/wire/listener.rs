//! Accepting connections: addresses, limits, start-up time, shutdown.
//!
//! Owns [`Listener`], [`Server`] and [`serve`]. It must never accept without a permit in
//! hand, so that a flood waits in the kernel's queue. Start at [`serve`].

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::auth::Auth;
use super::cancel::Registry;
use super::connection::Connection;
use super::frame;
use super::startup::{self, Opened, Startup};
use super::stream::Socket;
use super::tls::Tls;
use crate::error::{Error, state};

/// Connections above the session limit that may be in start-up at the same time: cancel
/// requests and refusals must get through when all seats are taken.
const SPARE: usize = 64;

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A process on this machine, over a Unix socket.
    Unix,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("[local]"),
        }
    }
}

/// How the front end treats its clients.
pub struct Options {
    /// Certificate and key; without them SSLRequest is answered `N`.
    pub tls: Option<Tls>,
    /// The check before a session.
    pub auth: Arc<Auth>,
    /// Sessions at the same time; more are refused with 53300.
    pub max_sessions: usize,
    /// Time for everything before the session: TLS, start-up packet, authentication.
    pub startup_timeout: Duration,
    /// Largest message accepted, in bytes.
    pub max_message: usize,
    /// Where CancelRequests are delivered.
    pub cancels: Arc<Registry>,
    /// Ends [`serve`] when cancelled; running sessions are not touched.
    pub shutdown: CancellationToken,
}

impl Options {
    /// Options with the defaults: no TLS, 1,000 sessions, 60 s for start-up, 256 MiB.
    pub fn new(auth: Arc<Auth>, cancels: Arc<Registry>) -> Self {
        Self {
            tls: None,
            auth,
            max_sessions: 1000,
            startup_timeout: Duration::from_secs(60),
            max_message: frame::MAX_MESSAGE,
            cancels,
            shutdown: CancellationToken::new(),
        }
    }
}

/// Options together with the counters shared by all listeners.
pub struct Server {
    options: Options,
    connections: Arc<Semaphore>,
    sessions: Arc<Semaphore>,
}

impl Server {
    /// Shares `options` between listeners.
    pub fn new(options: Options) -> Arc<Self> {
        let limit = options.max_sessions.clamp(1, Semaphore::MAX_PERMITS - SPARE);
        Arc::new(Self {
            options,
            connections: Arc::new(Semaphore::new(limit + SPARE)),
            sessions: Arc::new(Semaphore::new(limit)),
        })
    }

    /// The options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Sessions now open.
    pub fn sessions(&self) -> usize {
        let limit = self.options.max_sessions.clamp(1, Semaphore::MAX_PERMITS - SPARE);
        limit.saturating_sub(self.sessions.available_permits())
    }

    /// Waits until no session is open.
    pub async fn drained(&self) {
        let limit = self.options.max_sessions.clamp(1, Semaphore::MAX_PERMITS - SPARE);
        let all = u32::try_from(limit).unwrap_or(u32::MAX);
        let _ = self.sessions.acquire_many(all).await;
    }
}

/// A bound socket that accepts clients.
pub enum Listener {
    /// TCP
    Tcp(TcpListener),
    /// Unix domain socket; the file is removed on drop.
    Unix(UnixListener, PathBuf),
    /// Unix domain socket that was handed over; its file belongs to who made it.
    HandedUnix(UnixListener),
}

impl Listener {
    /// Binds a TCP address; port 0 picks a free one.
    ///
    /// # Errors
    /// Those of the system, for example when the port is taken.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(1024).map(Self::Tcp)
    }

    /// Binds a Unix socket. A socket file left behind by a dead process is replaced; one
    /// that answers is not.
    ///
    /// # Errors
    /// `AddrInUse` when a live process listens there; otherwise those of the system.
    pub fn unix(path: &Path) -> io::Result<Self> {
        let stale = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
        if stale {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            std::fs::remove_file(path)?;
        }
        Ok(Self::Unix(UnixListener::bind(path)?, path.to_owned()))
    }

    /// The bound TCP address.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) | Self::HandedUnix(_) => None,
        }
    }

    async fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                Ok((Socket::Tcp(stream), Peer::Tcp(address)))
            }
            Self::Unix(listener, _) | Self::HandedUnix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Socket::Unix(stream), Peer::Unix))
            }
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => address.fmt(f),
                Err(_) => f.write_str("closed"),
            },
            Self::Unix(_, path) => path.display().fmt(f),
            Self::HandedUnix(listener) => {
                let path = listener.local_addr().ok();
                let path = path.as_ref().and_then(|a| a.as_pathname());
                path.unwrap_or(Path::new("a Unix socket")).display().fmt(f)
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Accepts clients until shutdown. Each one that authenticates is given to `handler` in a
/// task of its own; AuthenticationOk waits in its output buffer, and the handler goes on
/// with ParameterStatus, BackendKeyData and ReadyForQuery.
pub async fn serve<H, F>(listener: Listener, server: Arc<Server>, handler: H)
where
    H: Fn(Connection, Startup) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let handler = Arc::new(handler);
    let shutdown = server.options.shutdown.clone();
    loop {
        let accepted = async {
            // Never closed: the error cannot happen.
            let permit = Arc::clone(&server.connections).acquire_owned().await.ok()?;
            Some((permit, listener.accept().await))
        };
        let (permit, accepted) = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            next = accepted => match next {
                Some(next) => next,
                None => return,
            },
        };
        match accepted {
            Ok((socket, peer)) => {
                let task = one(Arc::clone(&server), Arc::clone(&handler), socket, peer, permit);
                tokio::spawn(task);
            }
            Err(error) => {
                // Out of file descriptors, mostly: waiting lets sessions end.
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn one<H, F>(
    server: Arc<Server>,
    handler: Arc<H>,
    socket: Socket,
    peer: Peer,
    permit: OwnedSemaphorePermit,
) where
    H: Fn(Connection, Startup) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let _permit = permit;
    if let Err(error) = socket.tune() {
        tracing::debug!(%error, %peer, "connection lost at once");
        return;
    }
    let limit = server.options.startup_timeout;
    let opened = tokio::time::timeout(limit, open(&server, socket, peer.clone())).await;
    let Ok(opened) = opened else {
        tracing::info!(%peer, "start-up took too long");
        return;
    };
    if let Some((connection, startup, seat)) = opened {
        handler(connection, startup).await;
        drop(seat);
    }
}

async fn open(
    server: &Server,
    socket: Socket,
    peer: Peer,
) -> Option<(Connection, Startup, OwnedSemaphorePermit)> {
    let options = &server.options;
    let opened = startup::negotiate(
        socket,
        peer,
        options.tls.as_ref(),
        &options.cancels,
        options.max_message,
    )
    .await;
    let (mut connection, startup) = match opened {
        Opened::Session(session) => *session,
        Opened::Done => return None,
        Opened::Refused(refused) => {
            let (connection, error) = *refused;
            connection.fail(&error).await;
            return None;
        }
    };
    if options.shutdown.is_cancelled() {
        let message = "the database system is shutting down";
        connection.fail(&Error::client(state::CANNOT_CONNECT_NOW, message).fatal()).await;
        return None;
    }
    let Ok(seat) = Arc::clone(&server.sessions).try_acquire_owned() else {
        let message = "sorry, too many clients already";
        connection.fail(&Error::client(state::TOO_MANY_CONNECTIONS, message).fatal()).await;
        return None;
    };
    let tls = options.tls.as_ref().filter(|_| startup.tls);
    match options.auth.run(&mut connection, &startup.user, tls).await {
        Ok(true) => Some((connection, startup, seat)),
        Ok(false) => None,
        Err(error) => {
            connection.fail(&error.fatal()).await;
            None
        }
    }
}
