//! The session's settings as the registered functions see them.
//!
//! Functions run inside `step`, on the thread that steps. The session enters a [`Scope`]
//! around the steps of one statement; without one the defaults hold (UTC, ISO). A scope
//! cannot be kept across an await: it is not `Send`. Start at [`Scope::enter`].

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use crate::backend::sqlite::ddl::Temporary;
use crate::backend::sqlite::draws::Draws;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::schema::Catalog;
use crate::value::Style;

/// What a running function may ask about its session.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// How text is read and written.
    pub style: Style,
    /// The search path: what it does not find is shown with its schema. None is `public`.
    pub path: Option<Arc<Vec<String>>>,
    /// Which statement runs, counted over all sessions; 0 is none in particular.
    pub turn: u64,
    /// The catalog of a transaction that has changed it: names in errors come from it.
    pub catalog: Option<Arc<Catalog>>,
    /// The session's temporary tables, for the same.
    pub temporary: Arc<Temporary>,
    /// The sequences, while a statement runs that moves them row by row.
    pub draws: Option<Arc<Draws>>,
    /// What clock_timestamp() of each row reads.
    pub clock: Option<Watch>,
    /// What set_config() of each row asks for; done when the statement has ended.
    pub requests: Option<Arc<Requests>>,
    /// Reaches other sessions.
    pub signals: Option<Signals>,
    /// What ends a nap.
    pub alarm: Option<Alarm>,
    /// When the statement's time is over.
    pub deadline: Option<Instant>,
}

/// An object's name as a message tells it: with its schema where the running session's search
/// path does not find it.
pub fn told(key: &str) -> String {
    let (schema, name) = crate::name::split(key);
    let listed = match &current().path {
        Some(path) => path.iter().any(|s| s == schema),
        None => false,
    };
    if schema == crate::name::PUBLIC || listed {
        return name.to_owned();
    }
    crate::backend::sqlite::system::qualified_ident(key)
}

/// A number for the next statement.
pub fn next_turn() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// Notes that the running statement fires a table's triggers for an event; whether it has done
/// so before, or for another event. There is one writer, so one statement that fires any.
pub(super) fn again(fired: (i64, i64, i64)) -> bool {
    static SEEN: Mutex<(u64, Vec<(i64, i64, i64)>)> = Mutex::new((0, Vec::new()));
    let turn = current().turn;
    let mut seen = SEEN.lock();
    if seen.0 != turn {
        *seen = (turn, Vec::new());
    }
    let before = seen.1.iter().any(|s| s.0 == fired.0 && (s.1 != fired.1 || s.2 == fired.2));
    // As many as there are groups of triggers, at most.
    if !before {
        seen.1.push(fired);
    }
    turn != 0 && before
}

/// A setting that set_config() changes: name, value, only for the transaction.
pub type Request = (String, Option<String>, bool);

/// Settings asked for by a running statement.
pub struct Requests {
    /// Judges a name and value; what set_config() answers.
    pub check: fn(&str, Option<&str>) -> Result<String>,
    asked: Mutex<Vec<Request>>,
}

impl Requests {
    /// Settings asked for at most by one statement.
    const MOST: usize = 1000;

    /// No requests yet, judged by `check`.
    pub fn new(check: fn(&str, Option<&str>) -> Result<String>) -> Self {
        Self { check, asked: Mutex::default() }
    }

    /// Notes one; its answer.
    pub fn ask(&self, name: &str, value: Option<&str>, local: bool) -> Result<String> {
        let answer = (self.check)(name, value)?;
        let mut asked = self.asked.lock();
        if asked.len() >= Self::MOST {
            return Err(Error::unsupported("set_config() of so many rows"));
        }
        asked.push((name.to_owned(), value.map(str::to_owned), local));
        Ok(answer)
    }

    /// Takes what has been asked for.
    pub fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.asked.lock())
    }
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Requests")
    }
}

/// A clock that a session lends to the functions of its statement.
#[derive(Clone)]
pub struct Watch(pub Clock);

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

/// Why a statement that naps has to end at once, if it has.
#[derive(Clone)]
pub struct Alarm(pub Arc<dyn Fn() -> Option<Error> + Send + Sync>);

impl std::fmt::Debug for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Alarm")
    }
}

/// Cancels what a session runs (false) or ends it (true), by its process number; whether
/// there is such a session.
#[derive(Clone)]
pub struct Signals(pub Arc<dyn Fn(i32, bool) -> bool + Send + Sync>);

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signals")
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Session>>> = const { RefCell::new(None) };
    static DEFAULT: Arc<Session> = Arc::new(Session::default());
}

/// Holds a session's settings in place on this thread; the former ones return on drop.
#[must_use]
pub struct Scope {
    former: Option<Arc<Session>>,
    not_send: PhantomData<*const ()>,
}

impl Scope {
    /// Makes `session` the current one of this thread.
    pub fn enter(session: Arc<Session>) -> Self {
        Self { former: CURRENT.replace(Some(session)), not_send: PhantomData }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        CURRENT.set(self.former.take());
    }
}

/// The current session's settings.
pub fn current() -> Arc<Session> {
    CURRENT.with_borrow(Clone::clone).unwrap_or_else(|| DEFAULT.with(Arc::clone))
}
