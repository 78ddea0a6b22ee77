//! Listeners: the front end for applications, the console, the HTTP interface.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Console};
use crate::clock::{Clock, PerMinute};
use crate::config::{Address, AuthMethod, Config};
use crate::control::Control;
use crate::error::{Culprit, Error, Result, state};
use crate::http::{self, Tokens};
use crate::session::{self, Shared};
use crate::telemetry::names;
use crate::wire::auth::{Auth, Method, Users};
use crate::wire::{Connection, Identity, Listener, Options, Server, Startup, Tls};

use super::reload::Reload;

/// The database name that reaches the console.
const CONSOLE: &str = admin::DATABASE;

/// What console sessions share.
pub(super) fn console(config: &Config, control: &Arc<Control>, shared: &Shared) -> Arc<Console> {
    Arc::new(Console {
        control: Arc::clone(control),
        registry: Arc::clone(&shared.registry),
        clock: shared.clock.clone(),
        also: config.listen.console.0.clone(),
        version: shared.version.clone(),
        admins: parking_lot::RwLock::new(config.auth.admin_users.0.clone()),
        stopping: shared.stopping.clone(),
        open: 0.into(),
        averages: admin::Averages::default(),
    })
}

/// Serves one authenticated client: the console, or a session. A panic ends the session
/// alone.
pub(super) async fn client(
    io: Connection,
    startup: Startup,
    shared: Arc<Shared>,
    console: Arc<Console>,
) {
    let named = startup.database.as_str();
    let also = console.also.iter().any(|name| name == named);
    let to_console = (named == CONSOLE || also) && shared.database.as_deref() != Some(named);
    let served = async {
        if to_console {
            admin::serve(io, startup, console).await;
        } else {
            session::serve(io, startup, shared).await;
        }
    };
    if std::panic::AssertUnwindSafe(served).catch_unwind().await.is_err() {
        metrics::counter!(names::SESSION_PANICS).increment(1);
        tracing::error!("a session ended by a fault of Crossfade");
    }
}

fn file_error(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::new(
        Culprit::Client,
        state::CONFIG_FILE_ERROR,
        format!("cannot read {what} {}: {error}", path.display()),
    )
}

/// Who may log in.
fn users(config: &Config, clock: &Clock) -> Result<Users> {
    let Some(path) = config.auth.users_file.as_deref() else { return Ok(Users::default()) };
    let text =
        std::fs::read_to_string(path).map_err(|e| file_error("auth.users_file", path, &e))?;
    Users::parse(&text, clock)
}

/// What clients are shown for TLS.
fn identity(config: &Config) -> Result<Option<Identity>> {
    let listen = &config.listen;
    let (Some(certificate), Some(key)) = (listen.tls_cert.as_deref(), listen.tls_key.as_deref())
    else {
        return Ok(None);
    };
    let read = |what, path: &Path| std::fs::read(path).map_err(|e| file_error(what, path, &e));
    Identity::new(&read("listen.tls_cert", certificate)?, &read("listen.tls_key", key)?).map(Some)
}

/// What the front end takes of a configuration that is read again.
pub(super) fn reloads(reload: &Reload, server: &Arc<Server>, console: &Arc<Console>) {
    let (front, clock) = (Arc::clone(server), console.clock.clone());
    reload.on(move |config| {
        if front.options().auth.method() != Method::Trust && config.auth.users_file.is_none() {
            let message = "auth.users_file is not set, and clients log in by it until a restart";
            return Err(unusable(message.to_owned()));
        }
        let (users, identity) = (users(config, &clock)?, identity(config)?);
        if identity.is_some() != front.options().tls.is_some() {
            return Err(unusable("TLS is switched on or off by a restart only".to_owned()));
        }
        let front = Arc::clone(&front);
        Ok(Box::new(move || {
            front.options().auth.set_users(users);
            if let (Some(tls), Some(identity)) = (&front.options().tls, identity) {
                tls.show(identity);
            }
        }))
    });
    let console = Arc::clone(console);
    reload.on(move |config| {
        let (console, admins) = (Arc::clone(&console), config.auth.admin_users.0.clone());
        Ok(Box::new(move || *console.admins.write() = admins))
    });
}

/// TLS, authentication and limits of the front end.
pub(super) fn front(
    config: &Config,
    shared: &Shared,
    stop: &CancellationToken,
) -> Result<Arc<Server>> {
    let clock = &shared.clock;
    let method = match *config.auth.method {
        AuthMethod::ScramSha256 => Method::Scram,
        AuthMethod::Md5 => Method::Md5,
        AuthMethod::Password => Method::Password,
        AuthMethod::Trust => Method::Trust,
    };
    let auth = Arc::new(Auth::new(method, users(config, clock)?, clock));
    let mut options = Options::new(auth, Arc::clone(&shared.registry));
    options.tls = identity(config)?.map(Tls::new).transpose()?;
    options.max_sessions = usize::try_from(config.listen.max_sessions.get()).unwrap_or(1000);
    options.startup_timeout =
        Duration::from_millis(u64::from(config.listen.startup_timeout_ms.get()));
    options.max_message =
        usize::try_from(config.listen.max_message_bytes.get()).unwrap_or(options.max_message);
    options.shutdown = stop.clone();
    Ok(Server::new(options))
}

async fn resolve(host: &str, port: u16) -> Result<SocketAddr> {
    let refused = |why: String| {
        Error::new(
            Culprit::Client,
            state::CONFIG_FILE_ERROR,
            format!("cannot listen on {host}:{port}: {why}"),
        )
    };
    let mut found =
        tokio::net::lookup_host((host, port)).await.map_err(|e| refused(e.to_string()))?;
    found.next().ok_or_else(|| refused("the name has no address".into()))
}

/// Binds every address of the configuration.
pub(super) async fn bind(config: &Config) -> Result<Vec<Listener>> {
    let addresses = &config.listen.addr.0;
    let mut listeners = Vec::new();
    for address in addresses {
        let bound = match address {
            Address::Tcp { host, port } => Listener::tcp(resolve(host, *port).await?),
            Address::Unix(path) => Listener::unix(
                &address.socket_file(config.listen.addr.port()).unwrap_or(path.clone()),
            ),
        };
        listeners.push(bound.map_err(|e| {
            Error::new(
                Culprit::Client,
                state::CONNECTION_FAILURE,
                format!("cannot listen on {address}: {e}"),
            )
        })?);
    }
    Ok(listeners)
}

/// Installs the recorder of metrics; before anything takes a handle to one.
pub(super) fn recorder() -> PrometheusHandle {
    let builder = PrometheusBuilder::new();
    // Without buckets the exporter writes summaries, which cannot be added up.
    let builder = builder.set_buckets(names::BUCKETS).unwrap_or_else(|_| PrometheusBuilder::new());
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    // In one process there is one recorder; a second server (tests) keeps the first.
    let _ = metrics::set_global_recorder(recorder);
    names::describe_and_zero();
    handle
}

/// The token in a file.
fn token(key: &'static str, path: Option<&Path>) -> Result<Option<Arc<str>>> {
    let Some(path) = path else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(|e| file_error(key, path, &e))?;
    match text.trim() {
        "" => Err(unusable(format!("the file of {key} is empty"))),
        text => Ok(Some(Arc::from(text))),
    }
}

/// Both tokens.
fn tokens(config: &Config) -> Result<Tokens> {
    let order = token("http.token_file", config.http.token_file.as_deref())?;
    let look = token("http.read_token_file", config.http.read_token_file.as_deref())?;
    if look.is_some() && look == order {
        let message = "http.read_token_file holds the same token as http.token_file";
        return Err(unusable(message.to_owned()));
    }
    Ok(Tokens { order, look })
}

fn unusable(message: String) -> Error {
    Error::new(Culprit::Client, state::CONFIG_FILE_ERROR, message)
}

/// Binds the address of the HTTP interface; None: there is to be none.
pub(super) async fn bind_http(config: &Config) -> Result<Option<TcpListener>> {
    let Address::Tcp { host, port } = &config.http.addr.value else { return Ok(None) };
    let address = resolve(host, *port).await?;
    TcpListener::bind(address).await.map(Some).map_err(|e| {
        Error::new(
            Culprit::Client,
            state::CONNECTION_FAILURE,
            format!("cannot listen on {address} for HTTP: {e}"),
        )
    })
}

/// Starts the HTTP interface and returns its address.
pub(super) fn http(
    listener: TcpListener,
    (config, reload): (&Config, &Reload),
    server: &Server,
    control: &Arc<Control>,
    metrics: PrometheusHandle,
    stop: &CancellationToken,
) -> Result<SocketAddr> {
    let bound = listener.local_addr().map_err(|e| Error::internal(e.to_string()))?;
    let shared = Arc::new(parking_lot::RwLock::new(tokens(config)?));
    let app = http::App {
        control: Arc::clone(control),
        metrics,
        tokens: Arc::clone(&shared),
        loopback: bound.ip().is_loopback(),
        feed: http::Feed::default(),
        wrong: Arc::new(PerMinute::new(&Clock::system())),
        stop: stop.clone(),
    };
    let loopback = app.loopback;
    reload.on(move |config| {
        let (tokens, shared) = (tokens(config)?, Arc::clone(&shared));
        if tokens.order.is_none() && !loopback {
            return Err(unusable("without http.token_file anybody could promote".to_owned()));
        }
        Ok(Box::new(move || *shared.write() = tokens))
    });
    let (stop, tls) = (stop.clone(), server.options().tls.clone());
    tokio::spawn(async move {
        if let Err(error) = http::serve(listener, tls.as_ref(), app, stop).await {
            tracing::error!(%error, "the HTTP interface ended");
        }
    });
    Ok(bound)
}
