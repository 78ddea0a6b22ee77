//! Builds everything from the configuration; owns start and stop.
//!
//! Start order: the SQLite file, its catalog, the session's handles, listeners, the HTTP
//! interface; then the addresses are printed. Stop: no new clients, sessions end after
//! their transaction, then the rest is told to go. Start at [`run`].

mod admission;
mod assess;
mod check;
mod clean;
mod clients;
mod direct;
mod engine;
mod front;
mod gauges;
mod hooks;
mod inherited;
mod listen;
mod meter;
mod pair;
mod pooler;
mod reload;
mod sessions;
mod start;
mod texts;
mod translate;
mod waits;
mod watcher;

pub use assess::assess;
pub use check::check;
pub use clean::clean;
pub use reload::Reread;
pub use translate::translate;

use inherited::Inherited;
use reload::Reload;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, LogFormat};
use crate::control::{Command, Control};
use crate::error::{Error, Result, state};
use crate::session::Shared;
use crate::telemetry::log::{self, SetLevel};
use crate::wire::Server;
use crate::wire::cancel::Signal;

/// How long sessions may go on after a signal to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How long they may take to go when told to.
const LEAVE: Duration = Duration::from_secs(2);

/// Serves until a signal; the exit code of `crossfade run`. RELOAD asks `reread` for the
/// configuration as it is by then.
pub fn run(config: Config, reread: Reread) -> ExitCode {
    #[cfg(feature = "failpoints")]
    if let Ok(name) = std::env::var("CROSSFADE_FAULT")
        && !crate::sql::fault::set(&name)
    {
        tracing::error!("there is no fault {name}");
        return ExitCode::FAILURE;
    }
    let form = match *config.log.format {
        LogFormat::Text => log::Form::Text,
        LogFormat::Json => log::Form::Json,
    };
    let set_level = log::start(&config.log.level, form);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let sessions = usize::try_from(config.listen.max_sessions.get()).unwrap_or(1000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Statements run in place: each may turn a blocking thread into a worker.
        .max_blocking_threads(sessions + 512)
        .thread_name("crossfade")
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(serve(config, reread, set_level)),
        Err(error) => Err(Error::internal(format!("cannot start the runtime: {error}"))),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&error);
            ExitCode::from(match error.sqlstate() {
                state::CONFIG_FILE_ERROR => 2,
                state::INTERNAL_ERROR => 70,
                _ => 3,
            })
        }
    }
}

/// An error at start, for people.
fn complain(error: &Error) {
    let fields = error.fields();
    let mut err = std::io::stderr().lock();
    // With stderr gone there is nobody to tell.
    let _ = writeln!(err, "error: {}", fields.message);
    for line in fields.detail.iter().flat_map(|d| d.lines()) {
        let _ = writeln!(err, "  {line}");
    }
    if let Some(hint) = &fields.hint {
        let _ = writeln!(err, "hint: {hint}");
    }
}

async fn serve(config: Config, reread: Reread, set_level: SetLevel) -> Result<u8> {
    let stop = CancellationToken::new();
    let mut terminate = listen_to(SignalKind::terminate())?;
    let mut interrupt = listen_to(SignalKind::interrupt())?;
    let mut hangup = listen_to(SignalKind::hangup())?;
    let config = Arc::new(config);
    let inherited = Inherited::take(&config)?;
    let reload = Reload::new(&config, reread);
    reload.on(move |config| {
        let (level, set_level) = (config.log.level.value.clone(), Arc::clone(&set_level));
        Ok(Box::new(move || set_level(&level)))
    });
    let metrics = listen::recorder();
    gauges::limits(&config);
    reload.on(|config| {
        let config = config.clone();
        Ok(Box::new(move || gauges::limits(&config)))
    });
    let scratch = front::scratch(&config)?;
    let (shared, journal) = start::open(&config, scratch.as_ref(), &stop).await?;
    let (shared, engine, store) = match &scratch {
        Some(_) => {
            let (shared, engine) = front::build(&reload, shared, &stop).await?;
            (shared, engine, None)
        }
        None => pair::build(&reload, shared, journal, &stop).await?,
    };
    let control = Control::new(engine);
    let server = listen::front(&config, &shared, &stop)?;
    let listeners = match inherited.clients {
        none if none.is_empty() => listen::bind(&config).await?,
        handed => handed,
    };
    control.listens_on(listeners.iter().map(ToString::to_string).collect());
    let console = listen::console(&config, &control, &shared);
    listen::reloads(&reload, &server, &console);
    let http = match inherited.http {
        Some(handed) => Some(handed),
        None => listen::bind_http(&config).await?,
    };
    let both = (&*config, &*reload);
    let http = http.map(|socket| listen::http(socket, both, &server, &control, metrics, &stop));
    let http = http.transpose()?;
    hooks::start(&config, &control, store.as_ref(), http, &stop)?;
    let mut lines = Vec::new();
    for listener in listeners {
        lines.push(format!("listening on {listener}"));
        let (shared, console) = (Arc::clone(&shared), Arc::clone(&console));
        let server = Arc::clone(&server);
        tokio::spawn(crate::wire::serve(listener, server, move |io, startup| {
            listen::client(io, startup, Arc::clone(&shared), Arc::clone(&console))
        }));
    }
    if let Some(address) = http {
        lines.push(format!("http listening on {address}"));
    }
    announce(&lines);
    let reloading = Arc::clone(&control);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            reloading.execute(Command::Reload, "SIGHUP").await;
        }
    });
    let code = tokio::select! {
        _ = terminate.recv() => 0,
        _ = interrupt.recv() => 130,
        () = stop.cancelled() => 0,
    };
    tracing::info!("stopping: no new clients; sessions end after their transaction");
    stop.cancel();
    drain(&server, &shared, &mut terminate, &mut interrupt).await;
    if server.sessions() == 0 {
        if let Err(error) = start::settle(&shared).await {
            tracing::warn!(%error, "sequence counters were not written; some values are skipped");
        }
        if let Some(store) = store {
            start::leave(&shared, &store).await;
        }
    }
    Ok(code)
}

fn listen_to(kind: SignalKind) -> Result<tokio::signal::unix::Signal> {
    signal(kind).map_err(|e| Error::internal(format!("cannot listen to signals: {e}")))
}

/// The lines programs wait for, on stdout.
fn announce(lines: &[String]) {
    let mut out = std::io::stdout().lock();
    for line in lines {
        // A closed stdout is no reason to stop serving.
        let _ = writeln!(out, "{line}");
    }
    let _ = out.flush();
}

/// Waits for the sessions; a second signal shortens the wait.
async fn drain(
    server: &Server,
    shared: &Shared,
    terminate: &mut tokio::signal::unix::Signal,
    interrupt: &mut tokio::signal::unix::Signal,
) {
    tokio::select! {
        () = server.drained() => return,
        () = tokio::time::sleep(DRAIN) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    shared.registry.signal_all(Signal::Terminate);
    if tokio::time::timeout(LEAVE, server.drained()).await.is_err() {
        tracing::warn!("some sessions did not end in time; their transactions are rolled back");
    }
}
