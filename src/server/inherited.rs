//! Listening sockets that the process was started with (systemd's socket activation): they stay
//! open from one process to the next, so that no client is refused while one replaces another.
//!
//! Owns which of them serve what: the ones named `http` the HTTP interface, all others
//! applications. What they are bound to must never be less guarded than the configuration allows
//! for an address. Start at [`Inherited::take`].

use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

use crate::config::{AuthMethod, Config};
use crate::error::{Culprit, Error, Result, state};
use crate::wire::Listener;

/// What `LISTEN_FDNAMES` calls the sockets of the HTTP interface.
const HTTP: &str = "http";

/// The sockets, by what they serve.
#[derive(Default)]
pub(super) struct Inherited {
    pub(super) clients: Vec<Listener>,
    pub(super) http: Option<tokio::net::TcpListener>,
}

impl Inherited {
    /// Takes what the environment says is there; nothing when it says nothing.
    ///
    /// # Errors
    /// F0000 for a socket that is not one for listening, or that the configuration would refuse to
    /// listen on.
    pub(super) fn take(config: &Config) -> Result<Self> {
        let mut found = Self::default();
        let mut handed = ListenFd::from_env();
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        for at in 0..handed.len() {
            let named = names.next().unwrap_or_default();
            if let Ok(Some(socket)) = handed.take_tcp_listener(at) {
                let address = socket.local_addr().map_err(|e| unusable(at, &e))?;
                let socket = tcp(socket).map_err(|e| unusable(at, &e))?;
                if named == HTTP {
                    guarded_http(config, address)?;
                    found.http = Some(socket);
                } else {
                    guarded(config, address)?;
                    found.clients.push(Listener::Tcp(socket));
                }
                continue;
            }
            let socket = handed.take_unix_listener(at).map_err(|e| unusable(at, &e))?;
            let Some(socket) = socket else { continue };
            if named == HTTP {
                let error = std::io::Error::other("the HTTP interface listens on TCP");
                return Err(unusable(at, &error));
            }
            socket.set_nonblocking(true).map_err(|e| unusable(at, &e))?;
            let socket = tokio::net::UnixListener::from_std(socket);
            found.clients.push(Listener::HandedUnix(socket.map_err(|e| unusable(at, &e))?));
        }
        Ok(found)
    }
}

fn tcp(socket: TcpListener) -> std::io::Result<tokio::net::TcpListener> {
    socket.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(socket)
}

/// As `listen.addr` is: nobody is let in unasked from elsewhere.
fn guarded(config: &Config, address: SocketAddr) -> Result<()> {
    if *config.auth.method == AuthMethod::Trust && !address.ip().is_loopback() {
        return Err(refused(format!(
            "auth.method = trust is refused on {address}, a socket this process was started with"
        )));
    }
    Ok(())
}

/// As `http.addr` is.
fn guarded_http(config: &Config, address: SocketAddr) -> Result<()> {
    if config.http.token_file.is_none() && !address.ip().is_loopback() {
        return Err(refused(format!(
            "HTTP on {address}, a socket this process was started with, needs http.token_file"
        )));
    }
    Ok(())
}

fn unusable(at: usize, error: &std::io::Error) -> Error {
    refused(format!("socket {at} that this process was started with cannot be used: {error}"))
}

fn refused(message: String) -> Error {
    Error::new(Culprit::Client, state::CONFIG_FILE_ERROR, message)
}
