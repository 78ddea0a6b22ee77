//! Server sessions shared between clients, a transaction at a time.
//!
//! Owns which clients may share one, and what has to be made anew when another client takes it.
//! Names of prepared statements stay the client's own: what a server session lacks is prepared,
//! and what another client left there is closed, before the first message passes. A session that
//! holds what others must not see (temporary tables, advisory locks, LISTEN, PREPARE by SQL) keeps
//! its server session to itself. It must never hand out a server session with settings other than
//! the client's, and never more of them than `postgres.pool_size`. Start at [`Pool::take`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::backend::postgres::handover::SetUp;
use crate::backend::postgres::server::{Server, parse_error};
use crate::cutover::gate::Route;
use crate::error::{Culprit, Error, Result, state};
use crate::wire::write;

/// How long a transaction waits for a server session.
const TURN_MAX: Duration = Duration::from_secs(30);
/// A server session that nobody has used for this long is closed.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How long a server session may take to become another client's.
const CHANGE_MAX: Duration = Duration::from_secs(10);

/// Bodies of Parse messages by name.
pub(super) type Statements = Arc<HashMap<Bytes, Bytes>>;

/// A Parse body of a client's as PostgreSQL gets it.
pub(super) type AsSent<'a> = &'a (dyn Fn(&[u8]) -> Bytes + Sync);

/// What clients must have in common to share a server session.
#[derive(Clone, Debug, Default)]
pub(super) struct Likeness {
    /// Start-up parameters: what RESET returns to.
    pub(super) parameters: Vec<(String, String)>,
    /// Settings of the session.
    pub(super) settings: Vec<(String, String)>,
    /// The settings are PostgreSQL's answer: the client has changed them there.
    pub(super) learned: bool,
}

impl Likeness {
    pub(super) fn of(set_up: &SetUp) -> Self {
        let (parameters, settings) = (set_up.parameters.clone(), set_up.settings.clone());
        Self { parameters, settings, learned: false }
    }

    fn shares_with(&self, other: &Self) -> bool {
        self.parameters == other.parameters && self.settings == other.settings
    }
}

struct Idle {
    server: Server,
    like: Arc<Likeness>,
    /// What is prepared there by name. Whether an unnamed statement is, nobody remembers.
    prepared: Statements,
    route: Route,
    since: Instant,
}

/// Leave to have a server session; given back when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
}

/// The server sessions of a proxy whose clients share them.
pub(super) struct Pool {
    size: usize,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    idle: Mutex<Vec<Idle>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({} of {})", self.turns.available_permits(), self.size)
    }
}

/// Counts one that waits, for as long as it does.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// A pool of at most `size` server sessions.
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            turns: Arc::new(Semaphore::new(size)),
            waiting: AtomicUsize::new(0),
            idle: Mutex::default(),
        }
    }

    /// Waits for leave to have a server session, first come first served.
    ///
    /// # Errors
    /// 53300 after [`TURN_MAX`].
    pub(super) async fn turn(&self) -> Result<Turn> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.waiting);
        let permit = Arc::clone(&self.turns).acquire_owned();
        match tokio::time::timeout(TURN_MAX, permit).await {
            Ok(Ok(permit)) => Ok(Turn { _permit: permit }),
            Ok(Err(_)) | Err(_) => {
                let message = "no server session became free in time";
                Err(Error::primary(state::TOO_MANY_CONNECTIONS, message)
                    .detail(format!("All {} of postgres.pool_size are in use.", self.size))
                    .retryable())
            }
        }
    }

    /// Whether another client waits for a server session.
    pub(super) fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// Server sessions that nobody uses.
    pub(super) fn idle(&self) -> usize {
        self.idle.lock().len()
    }

    /// Gives a server session back, idle between two transactions.
    pub(super) fn give(
        &self,
        server: Server,
        like: Arc<Likeness>,
        prepared: Statements,
        route: Route,
    ) {
        let since = Instant::now();
        self.idle.lock().push(Idle { server, like, prepared, route, since });
    }

    /// A server session for the holder of a turn that is like the client's and has what it has
    /// prepared, by name and (if it is needed) without one, and the names that PostgreSQL does not
    /// prepare again. None when one has to be opened: there is room for it then.
    pub(super) async fn take(
        &self,
        like: &Likeness,
        named: &Statements,
        unnamed: Option<&[u8]>,
        as_sent: AsSent<'_>,
        route: Route,
    ) -> Option<(Server, Vec<Bytes>)> {
        while let Some(mut idle) = self.pick(like, route) {
            if !idle.server.is_quiet() {
                continue;
            }
            let changed = change(&mut idle, named, unnamed, as_sent);
            match tokio::time::timeout(CHANGE_MAX, changed).await {
                Ok(Ok(refused)) => return Some((idle.server, refused)),
                Ok(Err(error)) => tracing::debug!(%error, "a pooled server session is lost"),
                Err(_) => tracing::warn!("a pooled server session does not answer"),
            }
        }
        None
    }

    /// The one used last of those that fit. Without any, room is made for a new one; what is old
    /// or of another reign goes.
    fn pick(&self, like: &Likeness, route: Route) -> Option<Idle> {
        let mut all = self.idle.lock();
        all.retain(|idle| idle.route == route && idle.since.elapsed() < IDLE_MAX);
        if let Some(at) = all.iter().rposition(|idle| idle.like.shares_with(like)) {
            return Some(all.remove(at));
        }
        // Turns that are out, this one among them, may all be server sessions.
        let out = self.size - self.turns.available_permits().min(self.size);
        let room = self.size.saturating_sub(out);
        let over = all.len().saturating_sub(room);
        all.drain(..over);
        None
    }
}

/// Makes the server session have what the client has prepared, and nothing else. The names that
/// PostgreSQL refuses now: a table may be gone.
async fn change(
    idle: &mut Idle,
    named: &Statements,
    unnamed: Option<&[u8]>,
    as_sent: AsSent<'_>,
) -> Result<Vec<Bytes>> {
    let Idle { server, prepared: found, .. } = idle;
    let mut sent: Vec<Option<Bytes>> = Vec::new();
    if !Arc::ptr_eq(named, found) {
        let missing =
            |all: &Statements, (name, body): (&Bytes, &Bytes)| all.get(name) != Some(body);
        for (name, _) in found.iter().filter(|one| missing(named, *one)) {
            message(server.out(), b'C', &[b"S", &name[..], b"\0"].concat());
            sent.push(None);
        }
        for (name, body) in named.iter().filter(|one| missing(found, *one)) {
            message(server.out(), b'P', &as_sent(body));
            sent.push(Some(name.clone()));
        }
    }
    if let Some(body) = unnamed {
        message(server.out(), b'P', &as_sent(body));
        sent.push(Some(Bytes::new()));
    }
    if sent.is_empty() { Ok(Vec::new()) } else { answers(server, &sent).await }
}

/// Closes and Parses (by name) were written in this order, each with a Sync of its own, so that one
/// that is refused takes no other along.
async fn answers(server: &mut Server, sent: &[Option<Bytes>]) -> Result<Vec<Bytes>> {
    let mut refused = Vec::new();
    server.flush().await?;
    for each in sent {
        loop {
            let Some(frame) = server.read_frame().await? else {
                let message = "the connection to PostgreSQL was lost";
                return Err(Error::primary(state::CONNECTION_FAILURE, message).retryable());
            };
            server.note(&frame);
            match (frame.kind, each) {
                (b'Z', _) => break,
                (b'E', Some(name)) => {
                    let error = parse_error(&frame.body, Culprit::Primary);
                    // What passes (a lock, a time limit) is no reason to forget a statement.
                    let lasting = matches!(error.sqlstate().class(), "0A" | "22" | "26" | "42");
                    if error.fields().fatal || !lasting {
                        return Err(error);
                    }
                    refused.push(name.clone());
                }
                _ => {}
            }
        }
    }
    Ok(refused)
}

/// A message and its Sync.
fn message(out: &mut BytesMut, kind: u8, body: &[u8]) {
    let mark = write::begin(out, kind);
    out.extend_from_slice(body);
    write::end(out, &mark);
    let mark = write::begin(out, b'S');
    write::end(out, &mark);
}
