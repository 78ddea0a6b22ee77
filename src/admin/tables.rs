//! The console's tables: names, columns and types, as data.
//!
//! A column that HTTP also shows has the same name there. The tables named as pgbouncer's
//! keep pgbouncer's columns in its order, ours follow on the right; what is not measured is
//! NULL, never zero. Start at [`TABLES`].

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use crate::schema::{Catalog, Column, Relation, RelationKind};
use crate::value::{Type, oid};

/// OID of the first table; user relations of a database begin here, too.
const FIRST_OID: u32 = 16384;

/// A table of the console.
#[derive(Debug)]
pub(super) struct Table {
    /// Name, as in `SHOW name`.
    pub(super) name: &'static str,
    /// One line for SHOW HELP.
    pub(super) about: &'static str,
    /// Names and types of the columns.
    pub(super) columns: &'static [(&'static str, u32)],
}

const INT: u32 = oid::INT8;
const TEXT: u32 = oid::TEXT;
const BOOL: u32 = oid::BOOL;
const FLOAT: u32 = oid::FLOAT8;
const TIME: u32 = oid::TIMESTAMPTZ;

/// Every table, in the order of SHOW HELP.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "status",
        about: "how it stands, one row",
        columns: &[
            ("phase", TEXT),
            ("health", TEXT),
            ("reason", TEXT),
            ("primary", TEXT),
            ("shadow", TEXT),
            ("epoch", INT),
            ("position", INT),
            ("applied", INT),
            ("lag_commits", INT),
            ("lag_ms", INT),
            ("compared", INT),
            ("diverged_open", INT),
            ("skipped", INT),
            ("coverage", FLOAT),
            ("verified", TEXT),
            ("verified_at", TIME),
            ("gates_ok", INT),
            ("gates", INT),
            ("sessions", INT),
            ("journal_bytes", INT),
            ("next", TEXT),
        ],
    },
    Table {
        name: "phase",
        about: "phase, epoch and who is primary",
        columns: &[("phase", TEXT), ("epoch", INT), ("primary", TEXT), ("shadow", TEXT)],
    },
    Table {
        name: "gates",
        about: "the conditions for PROMOTE",
        columns: &[
            ("name", TEXT),
            ("ok", BOOL),
            ("actual", TEXT),
            ("limit", TEXT),
            ("kind", TEXT),
            ("reason", TEXT),
        ],
    },
    Table {
        name: "divergences",
        about: "proven differences between the back ends",
        columns: &[
            ("id", TEXT),
            ("class", TEXT),
            ("severity", TEXT),
            ("state", TEXT),
            ("count", INT),
            ("table", TEXT),
            ("columns", TEXT),
            ("fingerprint", TEXT),
            ("first_at", TIME),
            ("last_at", TIME),
            ("caused_by", TEXT),
            ("message", TEXT),
        ],
    },
    Table {
        name: "statements",
        about: "statement shapes with calls and comparisons",
        columns: &[
            ("fingerprint", TEXT),
            ("statement", TEXT),
            ("kind", TEXT),
            ("calls", INT),
            ("compared", INT),
            ("diverged", INT),
            ("errors", INT),
            ("verdicts", TEXT),
            ("skipped", TEXT),
            ("translatable", BOOL),
            ("refused", TEXT),
            ("primary_p50_ms", FLOAT),
            ("primary_p99_ms", FLOAT),
            ("shadow_p50_ms", FLOAT),
            ("shadow_p99_ms", FLOAT),
        ],
    },
    Table {
        name: "tables",
        about: "the application's tables: copied, verified",
        columns: &[
            ("name", TEXT),
            ("keyed", BOOL),
            ("copied", INT),
            ("verified_at", TIME),
            ("verified_rows", INT),
            ("differing", INT),
        ],
    },
    Table {
        name: "journal",
        about: "committed, applied, waiting",
        columns: &[
            ("position", INT),
            ("applied", INT),
            ("lag_commits", INT),
            ("lag_ms", INT),
            ("bytes", INT),
        ],
    },
    Table {
        name: "sessions",
        about: "client sessions",
        columns: &[
            ("pid", INT),
            ("user", TEXT),
            ("application", TEXT),
            ("client", TEXT),
            ("state", TEXT),
            ("backend", TEXT),
            ("immovable", TEXT),
        ],
    },
    Table {
        name: "tasks",
        about: "orders given since the start, newest first",
        columns: &[
            ("id", TEXT),
            ("kind", TEXT),
            ("state", TEXT),
            ("steps", INT),
            ("last_step", TEXT),
            ("result", TEXT),
            ("error", TEXT),
            ("started_at", TIME),
            ("ended_at", TIME),
        ],
    },
    Table {
        name: "events",
        about: "who did what, newest first",
        columns: &[("at", TIME), ("who", TEXT), ("what", TEXT)],
    },
    Table {
        name: "config",
        about: "settings in force and where they come from",
        columns: &[("name", TEXT), ("value", TEXT), ("source", TEXT)],
    },
    Table {
        name: "version",
        about: "versions",
        columns: &[("version", TEXT), ("server_version", TEXT), ("sqlite_version", TEXT)],
    },
    Table {
        name: "databases",
        about: "the databases a client can name (pgbouncer's columns)",
        columns: &[
            ("name", TEXT),
            ("host", TEXT),
            ("port", INT),
            ("database", TEXT),
            ("force_user", TEXT),
            ("pool_size", INT),
            ("min_pool_size", INT),
            ("reserve_pool", INT),
            ("pool_mode", TEXT),
            ("max_connections", INT),
            ("current_connections", INT),
            ("paused", INT),
            ("disabled", INT),
            ("backend", TEXT),
        ],
    },
    Table {
        name: "pools",
        about: "clients by state (pgbouncer's columns)",
        columns: &[
            ("database", TEXT),
            ("user", TEXT),
            ("cl_active", INT),
            ("cl_waiting", INT),
            ("cl_active_cancel_req", INT),
            ("cl_waiting_cancel_req", INT),
            ("sv_active", INT),
            ("sv_active_cancel", INT),
            ("sv_being_canceled", INT),
            ("sv_idle", INT),
            ("sv_used", INT),
            ("sv_tested", INT),
            ("sv_login", INT),
            ("maxwait", INT),
            ("maxwait_us", INT),
            ("pool_mode", TEXT),
            ("cl_idle", INT),
            ("backend", TEXT),
        ],
    },
    Table {
        name: "stats",
        about: "totals (pgbouncer's columns); /metrics has more",
        columns: &[
            ("database", TEXT),
            ("total_xact_count", INT),
            ("total_query_count", INT),
            ("total_received", INT),
            ("total_sent", INT),
            ("total_xact_time", INT),
            ("total_query_time", INT),
            ("total_wait_time", INT),
            ("avg_xact_count", INT),
            ("avg_query_count", INT),
            ("avg_recv", INT),
            ("avg_sent", INT),
            ("avg_xact_time", INT),
            ("avg_query_time", INT),
            ("avg_wait_time", INT),
            ("commits", INT),
            ("compared", INT),
            ("skipped", INT),
        ],
    },
    Table {
        name: "clients",
        about: "client connections (pgbouncer's columns)",
        columns: &[
            ("type", TEXT),
            ("user", TEXT),
            ("database", TEXT),
            ("state", TEXT),
            ("addr", TEXT),
            ("port", INT),
            ("local_addr", TEXT),
            ("local_port", INT),
            ("connect_time", TIME),
            ("request_time", TIME),
            ("wait", INT),
            ("wait_us", INT),
            ("close_needed", INT),
            ("ptr", TEXT),
            ("link", TEXT),
            ("remote_pid", INT),
            ("tls", TEXT),
            ("application_name", TEXT),
            ("pid", INT),
            ("backend", TEXT),
        ],
    },
    Table {
        name: "servers",
        about: "the back ends (pgbouncer's columns)",
        columns: &[
            ("type", TEXT),
            ("user", TEXT),
            ("database", TEXT),
            ("state", TEXT),
            ("addr", TEXT),
            ("port", INT),
            ("local_addr", TEXT),
            ("local_port", INT),
            ("connect_time", TIME),
            ("request_time", TIME),
            ("wait", INT),
            ("wait_us", INT),
            ("close_needed", INT),
            ("ptr", TEXT),
            ("link", TEXT),
            ("remote_pid", INT),
            ("tls", TEXT),
            ("application_name", TEXT),
            ("backend", TEXT),
            ("role", TEXT),
        ],
    },
    Table { name: "help", about: "this list", columns: &[("command", TEXT), ("about", TEXT)] },
];

/// Orders, for SHOW HELP.
pub(super) const ORDERS: &[(&str, &str)] = &[
    ("PAUSE", "hold new statements"),
    ("RESUME", "let them go on"),
    ("BACKFILL [table, …]", "copy tables into PostgreSQL while traffic runs, then mirror"),
    ("VERIFY [table, …]", "prove that both sides hold the same rows"),
    ("REPAIR [id | table, …] [DRY RUN]", "write the primary's rows where the shadow differs"),
    ("PROMOTE [DRY RUN] [OVERRIDE gate, …]", "make PostgreSQL primary"),
    ("PROMOTE REHEARSE", "promote and roll back at once, and say how long clients waited"),
    ("ROLLBACK TO SQLITE [DRY RUN]", "make SQLite primary again"),
    ("COMPLETE [DRY RUN]", "end the way back: PostgreSQL alone"),
    ("RELOAD", "read the reloadable configuration again"),
    ("SHUTDOWN", "end the proxy after the current statements"),
];

/// Columns of an order's answer: one row for each step, the last one for the result.
pub(super) const STEPS: &[(&str, u32)] =
    &[("task", TEXT), ("step", INT), ("text", TEXT), ("ms", FLOAT), ("detail", TEXT)];

/// A table by name.
pub(super) fn find(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|t| t.name == name)
}

/// The catalog that the console's queries are planned against.
pub(super) fn catalog() -> &'static Arc<Catalog> {
    static CATALOG: LazyLock<Arc<Catalog>> = LazyLock::new(|| {
        let relations: BTreeMap<_, _> = TABLES
            .iter()
            .zip(FIRST_OID..)
            .map(|(table, oid)| (table.name.to_owned(), Arc::new(relation(table, oid))))
            .collect();
        Arc::new(Catalog { version: 1, relations, ..Catalog::system_only() })
    });
    &CATALOG
}

fn relation(table: &Table, oid: u32) -> Relation {
    let column = |(attnum, (name, ty)): (i16, &(&'static str, u32))| {
        Column::new(attnum, *name, Type::new(*ty))
    };
    Relation {
        columns: (1..).zip(table.columns).map(column).collect(),
        ..Relation::new(oid, table.name, RelationKind::Table)
    }
}
