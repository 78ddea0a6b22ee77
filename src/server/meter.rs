//! Counts what sessions do.

use std::sync::Arc;

use metrics::{Counter, Histogram, counter, histogram};

use crate::backend::postgres::tally::{self, Tally};
use crate::compare::{self, Seen, Statements};
use crate::error::{Error, state};
use crate::session::observer::{Finished, Observer};
use crate::sql::ast::Statement;
use crate::sql::plan::{Action, Plan, QueryKind};
use crate::telemetry::names;

/// Handles to the metrics of one kind of statement.
struct Kind {
    ok: Counter,
    error: Counter,
    duration: Histogram,
}

impl Kind {
    fn new(backend: &'static str, kind: &'static str) -> Self {
        let outcome = |outcome: &'static str| counter!(names::QUERIES, "backend" => backend, "kind" => kind, "outcome" => outcome);
        Self {
            ok: outcome("ok"),
            error: outcome("error"),
            duration: histogram!(names::QUERY_DURATION, "backend" => backend, "kind" => kind),
        }
    }
}

/// The observer of phase direct: metrics and statement shapes.
pub(super) struct Meter {
    shapes: Arc<Statements>,
    read: Kind,
    write: Kind,
    ddl: Kind,
    transaction: Kind,
    session: Kind,
    copy: Kind,
    wait: Histogram,
    /// What PostgreSQL answers, by the kinds of [`tally::KINDS`].
    postgres: [Kind; tally::KINDS.len()],
}

impl Meter {
    /// Handles are made once: the hot path looks nothing up.
    pub(super) fn new(shapes: Arc<Statements>) -> Self {
        Self {
            shapes,
            read: Kind::new("sqlite", "read"),
            write: Kind::new("sqlite", "write"),
            ddl: Kind::new("sqlite", "ddl"),
            transaction: Kind::new("sqlite", "transaction"),
            session: Kind::new("sqlite", "session"),
            copy: Kind::new("sqlite", "copy"),
            wait: histogram!(names::WRITER_WAIT),
            postgres: tally::KINDS.map(|kind| Kind::new("postgres", kind)),
        }
    }

    /// Statements that PostgreSQL answered.
    pub(super) fn relayed(&self, tally: &Tally, took: std::time::Duration) {
        // A counter is shared by all cores: what has nothing to add leaves it alone.
        for (count, kind) in tally.ended.iter().zip(&self.postgres).filter(|(count, _)| **count > 0)
        {
            kind.ok.increment(u64::from(*count));
            for _ in 0..*count {
                kind.duration.record(took);
            }
        }
        if let (true, Some(unknown)) = (tally.failures > 0, self.postgres.last()) {
            unknown.error.increment(u64::from(tally.failures));
        }
    }

    fn kind(&self, plan: &Plan) -> &Kind {
        match &plan.action {
            Action::Query(query) if query.kind == QueryKind::Write => &self.write,
            Action::Query(_) | Action::Explain(..) => &self.read,
            Action::Ddl(_) => &self.ddl,
            Action::Copy(_) => &self.copy,
            Action::Session(statement) if matches!(**statement, Statement::Transaction(_)) => {
                &self.transaction
            }
            Action::Session(_) | Action::Empty => &self.session,
        }
    }
}

/// The kind of a statement's shape; None for what has none (BEGIN, SET).
fn shape_kind(plan: &Plan) -> Option<compare::Kind> {
    match &plan.action {
        Action::Query(query) if query.system => Some(compare::Kind::System),
        Action::Query(query) if query.kind == QueryKind::Write => Some(compare::Kind::Write),
        Action::Query(_) => Some(compare::Kind::Read),
        Action::Ddl(_) => Some(compare::Kind::Ddl),
        Action::Copy(_) => Some(compare::Kind::Copy),
        Action::Session(_) | Action::Explain(..) | Action::Empty => None,
    }
}

impl Meter {
    /// A statement ended, while PostgreSQL followed or not.
    pub(super) fn count(&self, finished: Finished<'_>, following: bool) {
        let kind = self.kind(finished.plan);
        if finished.error.is_some() { &kind.error } else { &kind.ok }.increment(1);
        kind.duration.record(finished.took);
        if let Some(kind) = shape_kind(finished.plan) {
            let state = finished.error.map(Error::sqlstate);
            let error = finished.error.zip(state.as_ref());
            self.shapes.seen(Seen {
                fingerprint: &finished.plan.fingerprint,
                kind,
                took: finished.took,
                error: error.map(|(e, state)| (state.as_str(), e.message())),
                following,
            });
        }
    }
}

impl Observer for Meter {
    fn finished(&self, finished: Finished<'_>) {
        self.count(finished, false);
    }

    fn refused(&self, text: &str, error: &Error) {
        if error.sqlstate() == state::FEATURE_NOT_SUPPORTED {
            self.shapes.refused(&crate::sql::fingerprint::fingerprint(text), error.message());
        }
    }

    fn waited(&self, took: std::time::Duration) {
        self.wait.record(took);
    }
}
