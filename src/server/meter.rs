//! Counts what sessions do.

use metrics::{Counter, Histogram, counter, histogram};

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
    fn new(kind: &'static str) -> Self {
        let outcome = |outcome: &'static str| counter!(names::QUERIES, "backend" => "sqlite", "kind" => kind, "outcome" => outcome);
        Self {
            ok: outcome("ok"),
            error: outcome("error"),
            duration: histogram!(names::QUERY_DURATION, "backend" => "sqlite", "kind" => kind),
        }
    }
}

/// The observer of phase direct: metrics only.
pub(super) struct Meter {
    read: Kind,
    write: Kind,
    ddl: Kind,
    transaction: Kind,
    session: Kind,
    copy: Kind,
    wait: Histogram,
}

impl Meter {
    /// Handles are made once: the hot path looks nothing up.
    pub(super) fn new() -> Self {
        Self {
            read: Kind::new("read"),
            write: Kind::new("write"),
            ddl: Kind::new("ddl"),
            transaction: Kind::new("transaction"),
            session: Kind::new("session"),
            copy: Kind::new("copy"),
            wait: histogram!(names::WRITER_WAIT),
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

impl Observer for Meter {
    fn finished(&self, finished: Finished<'_>) {
        let kind = self.kind(finished.plan);
        if finished.error.is_some() { &kind.error } else { &kind.ok }.increment(1);
        kind.duration.record(finished.took);
    }

    fn waited(&self, took: std::time::Duration) {
        self.wait.record(took);
    }
}
