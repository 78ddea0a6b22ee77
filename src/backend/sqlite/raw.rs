//! The one file with `unsafe` code: prepared statements that are owned and may move
//! between threads, over the connection that rusqlite opened.
//!
//! Owns [`Handle`] and [`Statement`]. SQLite is opened without its own mutexes; every call
//! that touches the connection takes the handle's lock instead, so both types are sound
//! to send and share. It must never hand out a pointer, and never step a statement that
//! is done again without a reset. Start at [`Statement`].
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::{CStr, c_char, c_int};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{ReentrantMutex, ReentrantMutexGuard};
use rusqlite::ffi;

use crate::error::{Error, Result, state};
use crate::value::CellRef;

/// Statements kept prepared for each connection.
const CACHED_STATEMENTS: usize = 256;
/// SQL text kept in one connection's cache, in bytes.
const CACHED_BYTES: usize = 2 << 20;
/// Longer texts (literals of a bulk insert) are not worth keeping.
const CACHED_TEXT: usize = 16 << 10;

/// What SQLite said when a call failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Primary result code.
    pub code: i32,
    /// Extended result code.
    pub extended: i32,
    /// SQLite's message.
    pub message: String,
    /// Byte offset into the SQL text; -1 when unknown.
    pub offset: i32,
}

/// Turns a failure into Crossfade's error.
pub(super) type Describe = Box<dyn Fn(Failure) -> Error + Send + Sync>;

/// A connection behind a lock, with its statement cache.
pub(super) struct Handle {
    inner: ReentrantMutex<Inner>,
    outstanding: AtomicUsize,
    /// Rises when the connection changes hands; older statements refuse to run.
    lease: AtomicU64,
    describe: Describe,
}

/// Field order matters: cached statements are finalised before the connection closes.
struct Inner {
    cache: RefCell<Cache>,
    db: NonNull<ffi::sqlite3>,
    conn: RefCell<rusqlite::Connection>,
}

// SAFETY: a SQLite connection may be used from any thread as long as no two use it at
// once (multi-thread mode); `ReentrantMutex` around `Inner` sees to that. `db` belongs to
// `conn` and lives as long.
unsafe impl Send for Inner {}

/// A prepared statement without an owner; finalised on drop.
struct Prepared(NonNull<ffi::sqlite3_stmt>);

impl Drop for Prepared {
    fn drop(&mut self) {
        // SAFETY: the pointer came from sqlite3_prepare_v3 and is finalised only here.
        // Callers hold the connection's lock, or (cache teardown) are its last owner.
        unsafe { ffi::sqlite3_finalize(self.0.as_ptr()) };
    }
}

#[derive(Default)]
struct Cache {
    entries: HashMap<Arc<str>, (Prepared, u64)>,
    bytes: usize,
    tick: u64,
    /// Rises when the cache is emptied; statements of an older generation are not kept.
    generation: u64,
}

impl Cache {
    fn take(&mut self, sql: &str) -> Option<(Arc<str>, Prepared)> {
        let (key, (prepared, _)) = self.entries.remove_entry(sql)?;
        self.bytes -= key.len();
        Some((key, prepared))
    }

    fn put(&mut self, sql: Arc<str>, prepared: Prepared) {
        self.tick += 1;
        let length = sql.len();
        match self.entries.entry(sql) {
            Entry::Occupied(_) => return,
            Entry::Vacant(place) => place.insert((prepared, self.tick)),
        };
        self.bytes += length;
        while self.entries.len() > CACHED_STATEMENTS || self.bytes > CACHED_BYTES {
            let Some(oldest) =
                self.entries.iter().min_by_key(|(_, (_, tick))| *tick).map(|(k, _)| k.clone())
            else {
                break;
            };
            self.take(&oldest);
        }
    }
}

impl Handle {
    /// Takes over a connection that rusqlite opened with `SQLITE_OPEN_NO_MUTEX`.
    pub(super) fn new(conn: rusqlite::Connection, describe: Describe) -> Result<Self> {
        // SAFETY: the handle is used only while `conn` lives beside it in `Inner`.
        let db = unsafe { conn.handle() };
        let db = NonNull::new(db).ok_or_else(|| Error::internal("sqlite gave no handle"))?;
        let inner = Inner { cache: RefCell::default(), db, conn: RefCell::new(conn) };
        Ok(Self {
            inner: ReentrantMutex::new(inner),
            outstanding: AtomicUsize::new(0),
            lease: AtomicU64::new(0),
            describe,
        })
    }

    /// Gives the main database a name for use in SQL; `main` stays valid.
    pub(super) fn name_main(&self, name: &'static CStr) -> Result<()> {
        let inner = self.inner.lock();
        // SAFETY: the option takes one `const char*` that must outlive the connection;
        // the text is static.
        let code = unsafe {
            ffi::sqlite3_db_config(
                inner.db.as_ptr(),
                ffi::SQLITE_DBCONFIG_MAINDBNAME,
                name.as_ptr().cast::<c_char>(),
            )
        };
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(self.error(&inner)) }
    }

    /// Runs a closure with rusqlite's connection, under the lock.
    pub(super) fn with<R>(&self, f: impl FnOnce(&rusqlite::Connection) -> R) -> R {
        let inner = self.inner.lock();
        let conn = inner.conn.borrow();
        f(&conn)
    }

    /// Like [`Handle::with`], for the calls that need `&mut` (hooks).
    pub(super) fn with_mut<R>(
        &self,
        f: impl FnOnce(&mut rusqlite::Connection) -> Result<R>,
    ) -> Result<R> {
        let inner = self.inner.lock();
        let mut conn = inner
            .conn
            .try_borrow_mut()
            .map_err(|_| Error::internal("sqlite connection is in use by its own callback"))?;
        f(&mut conn)
    }

    /// Forgets every cached statement; those now checked out are not kept either.
    pub(super) fn flush_cache(&self) {
        let inner = self.inner.lock();
        let mut cache = inner.cache.borrow_mut();
        let generation = cache.generation + 1;
        *cache = Cache { generation, ..Cache::default() };
    }

    /// Ends the lease: statements still in somebody's hands refuse to run from now on.
    pub(super) fn end_lease(&self) {
        self.lease.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether a statement in somebody's hands is on a row: it holds a snapshot.
    pub(super) fn has_open_rows(&self) -> bool {
        if self.outstanding.load(Ordering::Acquire) == 0 {
            return false;
        }
        let inner = self.inner.lock();
        let mut stmt = ptr::null_mut();
        loop {
            // SAFETY: valid handle, lock held; the walk starts at null and each statement
            // it gives is alive, since finalising needs the lock.
            unsafe {
                stmt = ffi::sqlite3_next_stmt(inner.db.as_ptr(), stmt);
                if stmt.is_null() {
                    return false;
                }
                if ffi::sqlite3_stmt_busy(stmt) != 0 {
                    return true;
                }
            }
        }
    }

    /// `sqlite3_changes64`.
    pub(super) fn changes(&self) -> u64 {
        let inner = self.inner.lock();
        // SAFETY: valid handle, lock held.
        let n = unsafe { ffi::sqlite3_changes64(inner.db.as_ptr()) };
        u64::try_from(n).unwrap_or(0)
    }

    /// `sqlite3_total_changes64`.
    pub(super) fn total_changes(&self) -> u64 {
        let inner = self.inner.lock();
        // SAFETY: valid handle, lock held.
        let n = unsafe { ffi::sqlite3_total_changes64(inner.db.as_ptr()) };
        u64::try_from(n).unwrap_or(0)
    }

    /// `sqlite3_last_insert_rowid`.
    pub(super) fn last_insert_rowid(&self) -> i64 {
        let inner = self.inner.lock();
        // SAFETY: valid handle, lock held.
        unsafe { ffi::sqlite3_last_insert_rowid(inner.db.as_ptr()) }
    }

    /// Whether a transaction is open.
    pub(super) fn in_transaction(&self) -> bool {
        let inner = self.inner.lock();
        // SAFETY: valid handle, lock held.
        unsafe { ffi::sqlite3_get_autocommit(inner.db.as_ptr()) == 0 }
    }

    /// Whether SQLite knows of rows that break a foreign key and are to be checked later;
    /// true when it does not say.
    pub(super) fn has_broken_keys(&self) -> bool {
        let inner = self.inner.lock();
        let (mut now, mut highest) = (0, 0);
        // SAFETY: valid handle, lock held; both numbers outlive the call.
        let code = unsafe {
            ffi::sqlite3_db_status(
                inner.db.as_ptr(),
                ffi::SQLITE_DBSTATUS_DEFERRED_FKS,
                &raw mut now,
                &raw mut highest,
                0,
            )
        };
        code != ffi::SQLITE_OK || now != 0
    }

    /// Prepares the first statement of a text, from the cache if it is there; the rest of
    /// the text after it. None when there was only white space or comments.
    pub(super) fn prepare<'s>(
        self: &Arc<Self>,
        sql: &'s str,
    ) -> Result<(Option<Statement>, &'s str)> {
        let inner = self.inner.lock();
        let generation = inner.cache.borrow().generation;
        let cached = inner.cache.borrow_mut().take(sql);
        if let Some((key, prepared)) = cached {
            return Ok((Some(self.statement(key, prepared, generation, true)), ""));
        }
        let keep = sql.len() <= CACHED_TEXT;
        let flags = if keep { ffi::SQLITE_PREPARE_PERSISTENT } else { 0 };
        let length = c_int::try_from(sql.len()).map_err(|_| {
            Error::client(state::PROGRAM_LIMIT_EXCEEDED, "statement text is too long")
        })?;
        let mut stmt = ptr::null_mut();
        let mut tail = ptr::null();
        // SAFETY: the text is `length` bytes long and lives during the call; `stmt` and
        // `tail` are valid places. SQLite stops at a NUL byte or at the length.
        let code = unsafe {
            ffi::sqlite3_prepare_v3(
                inner.db.as_ptr(),
                sql.as_ptr().cast::<c_char>(),
                length,
                flags,
                &mut stmt,
                &mut tail,
            )
        };
        if code != ffi::SQLITE_OK {
            return Err(self.error(&inner));
        }
        let used = (tail as usize).wrapping_sub(sql.as_ptr() as usize);
        let rest = sql.get(used..).unwrap_or("");
        if rest.starts_with('\0') {
            let message = "invalid byte sequence for encoding \"UTF8\": 0x00";
            drop(NonNull::new(stmt).map(Prepared));
            return Err(Error::client(state::CHARACTER_NOT_IN_REPERTOIRE, message));
        }
        let Some(stmt) = NonNull::new(stmt) else { return Ok((None, rest)) };
        let keep = keep && rest.is_empty();
        let prepared = Prepared(stmt);
        Ok((Some(self.statement(Arc::from(sql), prepared, generation, keep)), rest))
    }

    fn statement(
        self: &Arc<Self>,
        sql: Arc<str>,
        prepared: Prepared,
        generation: u64,
        keep: bool,
    ) -> Statement {
        self.outstanding.fetch_add(1, Ordering::AcqRel);
        Statement {
            stmt: Some(prepared),
            handle: self.clone(),
            sql,
            generation,
            lease: self.lease.load(Ordering::Acquire),
            keep,
            state: State::Ready,
            width: 0,
        }
    }

    fn error(&self, inner: &ReentrantMutexGuard<'_, Inner>) -> Error {
        let db = inner.db.as_ptr();
        // SAFETY: valid handle, lock held; the message is copied before anything else
        // touches the connection.
        let failure = unsafe {
            let extended = ffi::sqlite3_extended_errcode(db);
            let message = ffi::sqlite3_errmsg(db);
            let message = if message.is_null() {
                String::new()
            } else {
                CStr::from_ptr(message).to_string_lossy().into_owned()
            };
            let offset = ffi::sqlite3_error_offset(db);
            Failure { code: extended & 0xff, extended, message, offset }
        };
        (self.describe)(failure)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Row,
    Done,
}

/// A prepared statement. Owned: it keeps its connection alive, and goes back to the
/// connection's cache on drop (reset, bindings cleared).
pub struct Statement {
    /// Always there until drop.
    stmt: Option<Prepared>,
    handle: Arc<Handle>,
    sql: Arc<str>,
    generation: u64,
    lease: u64,
    keep: bool,
    state: State,
    /// Columns of the current row.
    width: usize,
}

// SAFETY: the statement is used only under its connection's lock, from any thread.
unsafe impl Send for Statement {}
// SAFETY: through `&Statement` only `column*` and the counters can be reached. They take
// the lock, and reading a column a second time never moves it: a conversion (UTF-16 to
// UTF-8, zero-filled BLOB) happens at most once, before the first reference is made.
unsafe impl Sync for Statement {}

impl Statement {
    fn ptr(&self) -> *mut ffi::sqlite3_stmt {
        self.stmt.as_ref().map_or(ptr::null_mut(), |p| p.0.as_ptr())
    }

    /// The text it was prepared from.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// Binds parameter `index` (1-based, `?index` in the text). TEXT and BLOB are copied.
    ///
    /// Errors: no such parameter (42P02), value too long (54000).
    pub fn bind(&mut self, index: usize, value: CellRef<'_>) -> Result<()> {
        let inner = self.handle.inner.lock();
        let (stmt, i) = (self.ptr(), c_int::try_from(index).unwrap_or(c_int::MAX));
        // SAFETY: live statement, lock held; slices are valid during the call and copied
        // by SQLite (SQLITE_TRANSIENT). A Rust slice pointer is never null, so an empty
        // BLOB stays a BLOB.
        let code = unsafe {
            match value {
                CellRef::Null => ffi::sqlite3_bind_null(stmt, i),
                CellRef::Integer(v) => ffi::sqlite3_bind_int64(stmt, i, v),
                CellRef::Real(v) => ffi::sqlite3_bind_double(stmt, i, v),
                CellRef::Text(t) => ffi::sqlite3_bind_text64(
                    stmt,
                    i,
                    t.as_ptr().cast::<c_char>(),
                    t.len() as u64,
                    ffi::SQLITE_TRANSIENT(),
                    ffi::SQLITE_UTF8 as u8,
                ),
                CellRef::Blob(b) => ffi::sqlite3_bind_blob64(
                    stmt,
                    i,
                    b.as_ptr().cast(),
                    b.len() as u64,
                    ffi::SQLITE_TRANSIENT(),
                ),
            }
        };
        match code {
            ffi::SQLITE_OK => Ok(()),
            ffi::SQLITE_RANGE => Err(Error::client(
                state::UNDEFINED_PARAMETER,
                format!("there is no parameter ${index}"),
            )),
            _ => Err(self.handle.error(&inner)),
        }
    }

    /// Parameters the text names: the highest number.
    pub fn parameter_count(&self) -> usize {
        let _inner = self.handle.inner.lock();
        // SAFETY: live statement, lock held.
        let n = unsafe { ffi::sqlite3_bind_parameter_count(self.ptr()) };
        usize::try_from(n).unwrap_or(0)
    }

    /// Runs to the next row: true when there is one. After the last row it stays false
    /// until [`Statement::reset`]. After an error the statement is reset.
    pub fn step(&mut self) -> Result<bool> {
        if self.state == State::Done {
            return Ok(false);
        }
        if self.lease != self.handle.lease.load(Ordering::Acquire) {
            return Err(Error::internal("statement outlived the loan of its connection"));
        }
        let stmt = self.ptr();
        let inner = self.handle.inner.lock();
        // SAFETY: live statement, lock held.
        let code = unsafe { ffi::sqlite3_step(stmt) };
        match code {
            ffi::SQLITE_ROW => {
                // SAFETY: as above. The width may change when a schema change made
                // SQLite prepare the text again.
                let width = unsafe { ffi::sqlite3_data_count(stmt) };
                self.width = usize::try_from(width).unwrap_or(0);
                self.state = State::Row;
                Ok(true)
            }
            ffi::SQLITE_DONE => {
                self.width = 0;
                self.state = State::Done;
                Ok(false)
            }
            _ => {
                let error = self.handle.error(&inner);
                // SAFETY: as above. The result of a reset repeats the step's error.
                unsafe { ffi::sqlite3_reset(stmt) };
                self.width = 0;
                self.state = State::Done;
                Err(error)
            }
        }
    }

    /// Column `i` (0-based) of the current row; NULL when there is no row or no such
    /// column.
    pub fn column(&self, i: usize) -> CellRef<'_> {
        let _inner = self.handle.inner.lock();
        self.cell(i)
    }

    /// The columns of the current row, one after the other, under one lock: until `each` says no.
    /// Whether it never did.
    pub fn columns(&self, mut each: impl FnMut(usize, CellRef<'_>) -> bool) -> bool {
        let _inner = self.handle.inner.lock();
        (0..self.width).all(|i| each(i, self.cell(i)))
    }

    /// A column, with the lock held.
    fn cell(&self, i: usize) -> CellRef<'_> {
        if i >= self.width {
            return CellRef::Null;
        }
        let (stmt, i) = (self.ptr(), c_int::try_from(i).unwrap_or(c_int::MAX));
        // SAFETY: the callers hold the lock. The statement is on a row (width > 0) and the column exists. The
        // pointers stay valid until it is stepped, reset or finalised, each of which
        // needs `&mut self` or ownership, so not while the result is borrowed.
        unsafe {
            match ffi::sqlite3_column_type(stmt, i) {
                ffi::SQLITE_INTEGER => CellRef::Integer(ffi::sqlite3_column_int64(stmt, i)),
                ffi::SQLITE_FLOAT => CellRef::Real(ffi::sqlite3_column_double(stmt, i)),
                ffi::SQLITE_TEXT => {
                    let text = ffi::sqlite3_column_text(stmt, i);
                    CellRef::Text(bytes(text, ffi::sqlite3_column_bytes(stmt, i)))
                }
                ffi::SQLITE_BLOB => {
                    let blob = ffi::sqlite3_column_blob(stmt, i).cast::<u8>();
                    CellRef::Blob(bytes(blob, ffi::sqlite3_column_bytes(stmt, i)))
                }
                _ => CellRef::Null,
            }
        }
    }

    /// Result columns; 0 for statements that return no rows.
    pub fn column_count(&self) -> usize {
        let _inner = self.handle.inner.lock();
        // SAFETY: live statement, lock held.
        let n = unsafe { ffi::sqlite3_column_count(self.ptr()) };
        usize::try_from(n).unwrap_or(0)
    }

    /// Name of a result column.
    pub fn column_name(&self, i: usize) -> String {
        let _inner = self.handle.inner.lock();
        let i = c_int::try_from(i).unwrap_or(c_int::MAX);
        // SAFETY: live statement, lock held; the name is copied at once. Out of range
        // gives null.
        unsafe {
            let name = ffi::sqlite3_column_name(self.ptr(), i);
            if name.is_null() {
                return String::new();
            }
            CStr::from_ptr(name).to_string_lossy().into_owned()
        }
    }

    /// Whether it changes nothing in any database file.
    pub fn readonly(&self) -> bool {
        let _inner = self.handle.inner.lock();
        // SAFETY: live statement, lock held.
        unsafe { ffi::sqlite3_stmt_readonly(self.ptr()) != 0 }
    }

    /// Makes it ready to run again; bindings stay.
    pub fn reset(&mut self) {
        let _inner = self.handle.inner.lock();
        // SAFETY: live statement, lock held. The result repeats an error told before.
        unsafe { ffi::sqlite3_reset(self.ptr()) };
        self.width = 0;
        self.state = State::Ready;
    }
}

/// A slice over a column's memory.
///
/// # Safety
/// `data` must be valid for `length` bytes for `'a`, or null.
unsafe fn bytes<'a>(data: *const u8, length: c_int) -> &'a [u8] {
    match usize::try_from(length) {
        Ok(n) if n > 0 && !data.is_null() => {
            // SAFETY: the caller's promise.
            unsafe { slice::from_raw_parts(data, n) }
        }
        _ => &[],
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        let inner = self.handle.inner.lock();
        if let Some(prepared) = self.stmt.take() {
            // SAFETY: live statement, lock held.
            unsafe {
                ffi::sqlite3_reset(prepared.0.as_ptr());
                ffi::sqlite3_clear_bindings(prepared.0.as_ptr());
            }
            let mut cache = inner.cache.borrow_mut();
            if self.keep && cache.generation == self.generation {
                cache.put(self.sql.clone(), prepared);
            }
        }
        self.handle.outstanding.fetch_sub(1, Ordering::AcqRel);
    }
}
