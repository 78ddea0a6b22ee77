//! Portals: statements with their parameters, ready to run or half run; cursors are
//! portals with all their rows set aside.
//!
//! Owns their lifetimes. A portal outlives its transaction only as a cursor WITH HOLD. At
//! most one portal has a statement open on SQLite ("live"); its rows are set aside before
//! anything else runs.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::prepared::Prepared;
use super::query::{Call, Running};
use super::reply::Tag;
use super::spool::Spool;
use super::{Session, Step};
use crate::backend::sqlite::functions::session::Scope;
use crate::error::{Error, Result, state};
use crate::sql::plan::Plan;
use crate::value::{Cell, Format};

/// Where a portal stands.
pub(super) enum Progress {
    /// Nothing has run.
    Ready,
    /// Suspended with its statement open.
    Live(Box<Running>),
    /// Suspended, the rest of the rows set aside; the next row.
    Aside(Box<Spool>, u64),
    /// Ran to its end, with this tag.
    Done(Tag),
    /// Its transaction failed.
    Broken,
}

/// A portal.
pub(super) struct Portal {
    /// What it runs; None for an empty query.
    pub(super) prepared: Arc<Prepared>,
    /// Plan, parameters, formats.
    pub(super) call: Option<Call>,
    pub(super) params: Arc<[Cell]>,
    pub(super) formats: Arc<[Format]>,
    pub(super) progress: Progress,
    /// Number of savepoints when it was made.
    depth: usize,
    /// The Bind's body: by it the portal can be made anew on PostgreSQL.
    bind: Bytes,
}

/// A cursor: DECLARE … CURSOR.
pub(super) struct Cursor {
    /// Plan of its query.
    pub(super) plan: Arc<Plan>,
    /// All its rows.
    pub(super) spool: Spool,
    /// 0 before the first row, n on row n, len + 1 after the last.
    pub(super) position: u64,
    /// WITH HOLD
    pub(super) hold: bool,
    /// NO SCROLL was asked for.
    pub(super) forward_only: bool,
    /// BINARY
    pub(super) binary: bool,
    depth: usize,
    /// The transaction that made it is still open.
    fresh: bool,
}

/// A session's portals and cursors.
#[derive(Default)]
pub(super) struct Portals {
    portals: HashMap<String, Portal>,
    cursors: HashMap<String, Cursor>,
    /// Name of the portal whose statement is open.
    live: Option<String>,
}

impl Portal {
    /// A portal that has not run.
    pub(super) fn new(
        prepared: Arc<Prepared>,
        call: Option<Call>,
        params: Arc<[Cell]>,
        formats: Arc<[Format]>,
        depth: usize,
        bind: Bytes,
    ) -> Self {
        Self { prepared, call, params, formats, progress: Progress::Ready, depth, bind }
    }
}

impl Cursor {
    /// A cursor before its first row.
    pub(super) fn new(plan: Arc<Plan>, hold: bool, forward_only: bool, binary: bool) -> Self {
        Self {
            plan,
            spool: Spool::default(),
            position: 0,
            hold,
            forward_only,
            binary,
            depth: 0,
            fresh: true,
        }
    }
}

/// 34000
fn missing(kind: &str, name: &str) -> Error {
    Error::client(state::INVALID_CURSOR_NAME, format!("{kind} \"{name}\" does not exist"))
}

impl Portals {
    /// Whether a portal has a statement open.
    pub(super) fn has_live(&self) -> bool {
        self.live.is_some()
    }

    /// Whether nothing here keeps the session from moving between two messages: there is no
    /// cursor, and every portal has run to its end.
    pub(super) fn are_done(&self) -> bool {
        let ended = |p: &Portal| matches!(p.progress, Progress::Done(_) | Progress::Broken);
        self.cursors.is_empty() && self.portals.values().all(ended)
    }

    /// Whether something half read keeps the session from moving even before a statement.
    pub(super) fn has_rows_left(&self) -> bool {
        let half = |p: &Portal| matches!(p.progress, Progress::Live(_) | Progress::Aside(..));
        !self.cursors.is_empty() || self.portals.values().any(half)
    }

    /// The Bind messages of portals that have not run.
    pub(super) fn ready(&self) -> Vec<Bytes> {
        let ready = |p: &&Portal| matches!(p.progress, Progress::Ready);
        self.portals.values().filter(ready).map(|p| p.bind.clone()).collect()
    }

    /// Adds a portal; 42P03 when a named one exists.
    pub(super) fn insert(&mut self, name: &str, portal: Portal) -> Result<()> {
        if !name.is_empty() && (self.portals.contains_key(name) || self.cursors.contains_key(name))
        {
            return Err(duplicate(name));
        }
        self.remove(name);
        self.portals.insert(name.to_owned(), portal);
        Ok(())
    }

    /// The portal, or 34000.
    pub(super) fn get(&self, name: &str) -> Result<&Portal> {
        self.portals.get(name).ok_or_else(|| missing("portal", name))
    }

    /// Takes a portal out to run it; [`Portals::put`] brings it back.
    pub(super) fn take(&mut self, name: &str) -> Result<Portal> {
        if self.live.as_deref() == Some(name) {
            self.live = None;
        }
        self.portals.remove(name).ok_or_else(|| missing("portal", name))
    }

    /// Puts a portal back after it ran.
    pub(super) fn put(&mut self, name: &str, portal: Portal) {
        if matches!(portal.progress, Progress::Live(_)) {
            self.live = Some(name.to_owned());
        }
        self.portals.insert(name.to_owned(), portal);
    }

    /// Removes a portal or cursor; whether there was one.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        if self.live.as_deref() == Some(name) {
            self.live = None;
        }
        self.portals.remove(name).is_some() | self.cursors.remove(name).is_some()
    }

    /// Adds a cursor; 42P03 when the name is taken.
    pub(super) fn declare(&mut self, name: &str, mut cursor: Cursor, depth: usize) -> Result<()> {
        if self.cursors.contains_key(name) || self.portals.contains_key(name) {
            return Err(duplicate(name));
        }
        cursor.depth = depth;
        self.cursors.insert(name.to_owned(), cursor);
        Ok(())
    }

    /// Whether the name is taken.
    pub(super) fn is_taken(&self, name: &str) -> bool {
        self.cursors.contains_key(name) || self.portals.contains_key(name)
    }

    /// Whether a portal has this name, so that FETCH and MOVE know it as a cursor too.
    pub(super) fn has_portal(&self, name: &str) -> bool {
        !name.is_empty() && self.portals.contains_key(name)
    }

    /// All cursors.
    pub(super) fn cursors(&self) -> impl Iterator<Item = (&str, &Cursor)> {
        self.cursors.iter().map(|(name, cursor)| (name.as_str(), cursor))
    }

    /// The cursor, or 34000.
    pub(super) fn cursor(&self, name: &str) -> Result<&Cursor> {
        self.cursors.get(name).ok_or_else(|| missing("cursor", name))
    }

    /// The cursor, or 34000.
    pub(super) fn cursor_mut(&mut self, name: &str) -> Result<&mut Cursor> {
        self.cursors.get_mut(name).ok_or_else(|| missing("cursor", name))
    }

    /// CLOSE ALL
    pub(super) fn close_cursors(&mut self) {
        self.cursors.clear();
    }

    /// Everything goes.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// COMMIT: only cursors WITH HOLD stay.
    pub(super) fn end_transaction(&mut self) {
        self.live = None;
        self.portals.clear();
        self.cursors.retain(|_, c| c.hold);
        for cursor in self.cursors.values_mut() {
            cursor.fresh = false;
            cursor.depth = 0;
        }
    }

    /// ROLLBACK: cursors made by the transaction go, WITH HOLD or not.
    pub(super) fn abort_transaction(&mut self) {
        self.live = None;
        self.portals.clear();
        self.cursors.retain(|_, c| c.hold && !c.fresh);
    }

    /// An error in a block: nothing stays open on SQLite.
    pub(super) fn abort_running(&mut self) {
        self.live = None;
        for portal in self.portals.values_mut() {
            if matches!(portal.progress, Progress::Live(_)) {
                portal.progress = Progress::Broken;
            }
        }
    }

    /// RELEASE: what was made after the savepoint belongs to the level above.
    pub(super) fn released(&mut self, depth: usize) {
        self.portals.values_mut().for_each(|p| p.depth = p.depth.min(depth));
        self.cursors.values_mut().for_each(|c| c.depth = c.depth.min(depth));
    }

    /// ROLLBACK TO: what was made at this depth and deeper goes.
    pub(super) fn rolled_back(&mut self, depth: usize) {
        self.portals.retain(|_, p| p.depth < depth);
        self.cursors.retain(|_, c| c.depth < depth || !c.fresh);
        if self.live.as_ref().is_some_and(|name| !self.portals.contains_key(name)) {
            self.live = None;
        }
    }
}

/// 42P03
pub(super) fn duplicate(name: &str) -> Error {
    Error::client(state::DUPLICATE_CURSOR, format!("cursor \"{name}\" already exists"))
}

impl Session {
    /// Sets the live portal's rows aside, so that its connection is free.
    pub(super) fn set_aside_live(&mut self) -> Step<()> {
        let Some(name) = self.portals.live.take() else { return Ok(()) };
        let Some(portal) = self.portals.portals.get_mut(&name) else { return Ok(()) };
        let progress = std::mem::replace(&mut portal.progress, Progress::Broken);
        let Progress::Live(mut running) = progress else { return Ok(()) };
        let mut spool = Spool::default();
        let scope = self.scope_of(&running);
        let outcome = {
            let _scope = Scope::enter(scope);
            running.spool(&mut spool)
        };
        if let Some(draws) = &running.draws {
            self.sequences = draws.values();
        }
        outcome?;
        self.settle_draws(running.draws.as_deref())?;
        if let Some(portal) = self.portals.portals.get_mut(&name) {
            portal.progress = Progress::Aside(Box::new(spool), 0);
        }
        Ok(())
    }

    /// Takes a portal out with all its rows set aside, and says which row comes next.
    pub(super) async fn portal_rows(&mut self, name: &str) -> Step<(Portal, Box<Spool>, u64)> {
        self.set_aside_live()?;
        let mut portal = self.portals.take(name)?;
        let progress = std::mem::replace(&mut portal.progress, Progress::Broken);
        let call = portal.call.as_ref().filter(|call| !call.plan.columns.is_empty());
        match (progress, call) {
            (Progress::Aside(spool, next), _) => Ok((portal, spool, next)),
            (Progress::Done(_), Some(_)) => Ok((portal, Box::default(), 0)),
            (Progress::Ready, Some(call)) => {
                let mut spool = Box::<Spool>::default();
                if let Err(stop) = self.query_into(call, &mut spool).await {
                    portal.progress = Progress::Ready;
                    self.portals.put(name, portal);
                    return Err(stop);
                }
                Ok((portal, spool, 0))
            }
            (progress, _) => {
                portal.progress = progress;
                self.portals.put(name, portal);
                let message = format!("portal \"{name}\" cannot be run");
                Err(Error::client(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message).into())
            }
        }
    }
}
