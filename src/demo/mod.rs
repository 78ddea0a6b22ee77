//! The journey on one machine: a sample application, its load, and a throw-away PostgreSQL.
//!
//! Owns `crossfade demo`: acts that play the way from SQLite to PostgreSQL against the real
//! binary, through its public contract only, and check each step by other means than
//! Crossfade's own. Owns nothing that production code needs. Start at [`run`], then
//! [`journey`](self::journey).

mod acts;
mod check;
pub mod cluster;
mod journey;
mod load;
mod proxy;
mod report;
mod shop;
#[cfg(test)]
mod tests;
mod values;

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::{DemoArgs, exit};
use journey::Journey;
use report::Report;
use shop::Size;

/// How often a condition is looked at again.
const POLL: Duration = Duration::from_millis(30);

/// Why an act did not go as it should.
#[derive(Debug)]
enum Trouble {
    /// A check failed; the journey goes on.
    NotHeld(String),
    /// What the act needs is not there.
    Skipped(String),
    /// Nothing after this makes sense.
    Broken(String),
    /// Ctrl-C or SIGTERM.
    Interrupted,
}

impl Trouble {
    /// The same with further lines of explanation.
    fn with(self, more: &str) -> Self {
        match self {
            Self::NotHeld(text) => Self::NotHeld(format!("{text}\n{more}")),
            Self::Broken(text) => Self::Broken(format!("{text}\n{more}")),
            other => other,
        }
    }

    /// The same, for an act that everything after it needs.
    fn fatal(self) -> Self {
        match self {
            Self::NotHeld(text) | Self::Skipped(text) => Self::Broken(text),
            other => other,
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Self::NotHeld(format!("the SQLite file: {error}"))
    }
}

/// How much of everything.
#[derive(Clone, Copy)]
struct Pace {
    size: Size,
    clients: usize,
    /// Pause of a client between two transactions.
    think: Duration,
    /// How long the load is watched where nothing else ends an act.
    watch: Duration,
    /// Comparisons to wait for.
    comparisons: u64,
    /// Crashes.
    kills: u32,
}

impl Pace {
    fn of(fast: bool) -> Self {
        if fast {
            return Self {
                size: Size { customers: 400, products: 200, orders: 900 },
                clients: 8,
                think: Duration::from_millis(40),
                watch: Duration::from_millis(1_500),
                comparisons: 1_000,
                kills: 1,
            };
        }
        Self {
            size: Size { customers: 2_000, products: 500, orders: 6_000 },
            clients: 8,
            think: Duration::from_millis(20),
            watch: Duration::from_secs(5),
            comparisons: 10_000,
            kills: 3,
        }
    }
}

/// Ends every wait when the user wants to.
#[derive(Clone)]
struct Stop(CancellationToken);

impl Stop {
    /// Fails once the user has asked for the end.
    fn check(&self) -> Result<(), Trouble> {
        if self.0.is_cancelled() { Err(Trouble::Interrupted) } else { Ok(()) }
    }

    /// Waits that long.
    fn pause(&self, time: Duration) -> Result<(), Trouble> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.check()?;
            // Not a wait for an event: the demo lets time pass.
            std::thread::park_timeout(POLL.min(until - Instant::now()));
        }
        self.check()
    }

    /// Polls until the condition holds. A failing look counts as "not yet", and is told when
    /// the time is over.
    fn until(
        &self,
        what: &str,
        limit: Duration,
        mut condition: impl FnMut() -> Result<bool, Trouble>,
    ) -> Result<Duration, Trouble> {
        let began = Instant::now();
        loop {
            let why = match condition() {
                Ok(true) => return Ok(began.elapsed()),
                Ok(false) => String::new(),
                Err(Trouble::NotHeld(why)) => format!(": {why}"),
                Err(other) => return Err(other),
            };
            if began.elapsed() > limit {
                let seconds = limit.as_secs();
                return Err(Trouble::NotHeld(format!("{what}: not within {seconds} s{why}")));
            }
            self.pause(POLL)?;
        }
    }

    /// Runs async work to its end, or until the user asks for the end.
    fn run<T>(
        &self,
        runtime: &Runtime,
        work: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.0.cancelled() => Err(Trouble::Interrupted),
                result = work => result,
            }
        })
    }
}

/// Plays the journey; the exit code.
pub fn run(args: &DemoArgs) -> u8 {
    match prepare() {
        Ok((runtime, stop)) if args.cluster_only => serve_cluster(&runtime, &stop),
        Ok((runtime, stop)) => Journey::new(Pace::of(args.fast), runtime, stop).play(args.keep),
        Err(error) => {
            Report::talk(&format!("error: cannot start the demo: {error}"));
            exit::BUG
        }
    }
}

/// A runtime for the clients, and a watch on Ctrl-C and SIGTERM.
fn prepare() -> io::Result<(Runtime, Stop)> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let token = CancellationToken::new();
    let ended = token.clone();
    let inside = runtime.enter();
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    runtime.spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        ended.cancel();
    });
    drop(inside);
    Ok((runtime, Stop(token)))
}

/// Only the throw-away PostgreSQL, for `scripts/bench`: prints its URL, ends on a signal.
fn serve_cluster(runtime: &Runtime, stop: &Stop) -> u8 {
    match cluster::Cluster::start() {
        Ok(cluster) => {
            Report::say(&cluster.url("postgres"));
            runtime.block_on(stop.0.cancelled());
            exit::DONE
        }
        Err(error) => {
            Report::talk(&format!("error: {error}"));
            exit::UNREACHABLE
        }
    }
}
