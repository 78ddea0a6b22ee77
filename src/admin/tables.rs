//! The console's tables: names, columns and types, as data.
//!
//! A column that HTTP also shows has the same name there. Tables of pgbouncer's names are kept
//! in `pooler`, CONFIG and VERSION have the shape that its exporters want. Start at [`all`].

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::pooler;
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

pub(super) const INT: u32 = oid::INT8;
pub(super) const TEXT: u32 = oid::TEXT;
const BOOL: u32 = oid::BOOL;
const FLOAT: u32 = oid::FLOAT8;
pub(super) const TIME: u32 = oid::TIMESTAMPTZ;

/// The tables that are not pgbouncer's.
const OWN: &[Table] = &[
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
            ("database", TEXT),
            ("application", TEXT),
            ("client", TEXT),
            ("state", TEXT),
            ("backend", TEXT),
            ("waiting_ms", INT),
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
        columns: &[("key", TEXT), ("value", TEXT), ("source", TEXT), ("changeable", TEXT)],
    },
    Table {
        name: "version",
        about: "version; those of the back ends stand in servers",
        columns: &[("version", TEXT)],
    },
    Table { name: "help", about: "this list", columns: &[("command", TEXT), ("about", TEXT)] },
];

/// Orders, for SHOW HELP.
pub(super) const ORDERS: &[(&str, &str)] = &[
    ("PAUSE", "hold new statements"),
    ("RESUME", "let them go on"),
    ("BACKFILL [RESUME] [table, …]", "copy tables into PostgreSQL while traffic runs, then mirror"),
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

/// Every table, in the order of SHOW HELP.
pub(super) fn all() -> impl Iterator<Item = &'static Table> {
    OWN.iter().chain(pooler::TABLES)
}

/// A table by name.
pub(super) fn find(name: &str) -> Option<&'static Table> {
    all().find(|t| t.name == name)
}

/// The catalog that the console's queries are planned against.
pub(super) fn catalog() -> &'static Arc<Catalog> {
    static CATALOG: LazyLock<Arc<Catalog>> = LazyLock::new(|| {
        let relations: BTreeMap<_, _> = all()
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
