//! DECLARE, FETCH, MOVE, CLOSE.
//!
//! A cursor's rows are read when it is declared and set aside, so that nothing stays open
//! on SQLite: it sees the state of that moment, as PostgreSQL's insensitive cursors do.

use std::sync::Arc;

use super::execute::Request;
use super::portal::{self, Cursor, Progress};
use super::query::Call;
use super::reply::{self, Tag};
use super::spool::Spool;
use super::{OUTPUT_BYTES, Session, Step};
use crate::error::{Error, Result, state};
use crate::sql::ast::{FetchDirection, Select, Statement};
use crate::sql::plan::{Action, Plan};
use crate::value::{Cell, Format};

/// What DECLARE says besides its query.
pub(super) struct Declaration<'a> {
    pub(super) name: &'a str,
    pub(super) hold: bool,
    pub(super) scroll: Option<bool>,
    pub(super) binary: bool,
}

impl Session {
    /// DECLARE name CURSOR FOR query
    pub(super) async fn declare(
        &mut self,
        declaration: Declaration<'_>,
        query: &Select,
        text: &str,
        planned: Option<Arc<Plan>>,
        params: Arc<[Cell]>,
    ) -> Step<Tag> {
        if !declaration.hold {
            self.in_block("DECLARE CURSOR")?;
        }
        if declaration.name.is_empty() {
            let message = "invalid cursor name: must not be empty";
            return Err(Error::client(state::INVALID_CURSOR_NAME, message).into());
        }
        if self.portals.is_taken(declaration.name) {
            return Err(portal::duplicate(declaration.name).into());
        }
        let plan = match planned {
            Some(plan) => plan,
            None => self.plan_statement(Statement::Select(Box::new(query.clone())), text, &[])?,
        };
        let forward_only = declaration.scroll == Some(false);
        let mut cursor =
            Cursor::new(Arc::clone(&plan), declaration.hold, forward_only, declaration.binary);
        let call = Call { plan, params, formats: Arc::from([]) };
        self.query_into(&call, &mut cursor.spool).await?;
        let depth = self.transaction.depth();
        self.portals.declare(declaration.name, cursor, depth)?;
        Ok("DECLARE CURSOR".into())
    }

    /// FETCH or MOVE
    pub(super) async fn fetch(
        &mut self,
        name: &str,
        direction: FetchDirection,
        is_move: bool,
        request: &Request,
    ) -> Step<Tag> {
        if self.portals.has_portal(name) {
            return self.fetch_portal(name, direction, is_move, request).await;
        }
        let cursor = self.portals.cursor_mut(name)?;
        let rows = walk(cursor, direction)?;
        let binary = [Format::Binary];
        let formats = &request.formats[..];
        let formats = if cursor.binary && formats.is_empty() { &binary[..] } else { formats };
        let plan = Arc::clone(&cursor.plan);
        if is_move {
            return Ok(reply::counted("MOVE", rows.count()));
        }
        let mut spool = std::mem::take(&mut cursor.spool);
        let places = rows.iter().map(|row| row - 1);
        let sent = self.send_fetched(&mut spool, &plan, (formats, request.describe), places).await;
        self.portals.cursor_mut(name)?.spool = spool;
        sent?;
        Ok(reply::counted("FETCH", rows.count()))
    }

    /// Sends rows that are set aside, by their places.
    async fn send_fetched(
        &mut self,
        spool: &mut Spool,
        plan: &Plan,
        (formats, describe): (&[Format], bool),
        places: impl Iterator<Item = u64>,
    ) -> Step<()> {
        if describe {
            reply::describe_columns(self.io.out(), &plan.columns, formats);
        }
        let codecs = match &plan.action {
            Action::Query(query) => query.codecs.as_slice(),
            _ => &[],
        };
        let derived = Arc::clone(self.settings.derived());
        for place in places {
            let out = self.io.out();
            spool.row(place, |cells| {
                reply::data_row(out, &plan.columns, codecs, formats, &derived.style, |i| cells[i])
            })?;
            if self.io.out().len() >= OUTPUT_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// FETCH or MOVE of a portal of the protocol, which goes forward only.
    async fn fetch_portal(
        &mut self,
        name: &str,
        direction: FetchDirection,
        is_move: bool,
        request: &Request,
    ) -> Step<Tag> {
        let FetchDirection::Relative(wanted @ 1..) = direction else {
            return Err(forward_only().into());
        };
        let (mut portal, mut spool, first) = self.portal_rows(name).await?;
        let Some(plan) = portal.call.as_ref().map(|call| Arc::clone(&call.plan)) else {
            return Err(Error::internal("a portal with rows has no plan").into());
        };
        let last = spool.len().min(first.saturating_add(wanted.unsigned_abs()));
        if !is_move {
            let how = (&request.formats[..], request.describe);
            self.send_fetched(&mut spool, &plan, how, first..last).await?;
        }
        portal.progress = Progress::Aside(spool, last);
        self.portals.put(name, portal);
        Ok(reply::counted(if is_move { "MOVE" } else { "FETCH" }, last - first))
    }
}

/// 55000
fn forward_only() -> Error {
    let message = "cursor can only scan forward";
    Error::client(state::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .hint("Declare it with SCROLL option to enable backward scan.")
}

/// Rows to send: first and last (1-based), in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rows {
    first: u64,
    last: u64,
    backward: bool,
}

impl Rows {
    const NONE: Self = Self { first: 1, last: 0, backward: false };

    fn one(row: u64) -> Self {
        Self { first: row, last: row, backward: false }
    }

    fn count(self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }

    fn iter(self) -> impl Iterator<Item = u64> {
        let Self { first, last, backward } = self;
        (0..self.count()).map(move |i| if backward { last - i } else { first + i })
    }
}

/// Moves the cursor and says which rows were passed.
fn walk(cursor: &mut Cursor, direction: FetchDirection) -> Result<Rows> {
    let length = cursor.spool.len();
    let (rows, position) = target(cursor.position, length, direction);
    let backward = rows.backward
        || position < cursor.position
        // Fetching the current row anew counts as going back, too.
        || (rows.count() == 1 && rows.first == cursor.position);
    if backward && cursor.forward_only {
        return Err(forward_only());
    }
    cursor.position = position;
    Ok(rows)
}

fn target(at: u64, length: u64, direction: FetchDirection) -> (Rows, u64) {
    let end = length + 1;
    // A row number that may lie outside; clamped to before the first and after the last.
    let absolute = |n: i128| -> (Rows, u64) {
        match u64::try_from(n) {
            Ok(n) if (1..=length).contains(&n) => (Rows::one(n), n),
            Ok(0) | Err(_) => (Rows::NONE, 0),
            Ok(_) => (Rows::NONE, end),
        }
    };
    match direction {
        FetchDirection::Relative(0) => (absolute(i128::from(at)).0, at),
        FetchDirection::Relative(n) if n > 0 => {
            let last = at.saturating_add(n.unsigned_abs());
            if last > length {
                let rows = Rows { first: at + 1, last: length, backward: false };
                (if at >= length { Rows::NONE } else { rows }, end)
            } else {
                (Rows { first: at + 1, last, backward: false }, last)
            }
        }
        FetchDirection::Relative(n) => {
            let wanted = n.unsigned_abs();
            if at <= 1 {
                return (Rows::NONE, 0);
            }
            let last = at - 1;
            let first = last.saturating_sub(wanted - 1);
            if first == 0 {
                (Rows { first: 1, last, backward: true }, 0)
            } else {
                (Rows { first, last, backward: true }, first)
            }
        }
        FetchDirection::Absolute(n) if n < 0 => absolute(i128::from(end) + i128::from(n)),
        FetchDirection::Absolute(n) => absolute(i128::from(n)),
        FetchDirection::Offset(n) => absolute(i128::from(at) + i128::from(n)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_move_as_postgresqls_do() {
        use FetchDirection::{Absolute, Offset, Relative};
        let cases: &[(u64, FetchDirection, &[u64], u64)] = &[
            (0, Relative(1), &[1], 1),
            (0, Relative(2), &[1, 2], 2),
            (2, Relative(5), &[3], 4),
            (4, Relative(1), &[], 4),
            (0, Relative(i64::MAX), &[1, 2, 3], 4),
            (4, Relative(-1), &[3], 3),
            (4, Relative(-2), &[3, 2], 2),
            (3, Relative(-5), &[2, 1], 0),
            (1, Relative(-1), &[], 0),
            (2, Relative(0), &[2], 2),
            (0, Relative(0), &[], 0),
            (0, Absolute(-1), &[3], 3),
            (0, Absolute(2), &[2], 2),
            (2, Absolute(0), &[], 0),
            (0, Absolute(9), &[], 4),
            (3, Offset(-2), &[1], 1),
            (3, Offset(7), &[], 4),
        ];
        for (at, direction, expected, position) in cases {
            let (rows, now) = target(*at, 3, *direction);
            assert_eq!(rows.iter().collect::<Vec<_>>(), *expected, "{at} {direction:?}");
            assert_eq!(now, *position, "{at} {direction:?}");
        }
    }
}
