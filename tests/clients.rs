//! Real clients in other languages, on SQLite through the real binary.

use std::path::Path;

use crate::common::{Proxy, node, run_python};

#[test]
fn psycopg() {
    run_python("psycopg_core.py", &Proxy::direct().url());
}

#[test]
fn sqlalchemy_core() {
    run_python("sqlalchemy_core.py", &Proxy::direct().url());
}

#[test]
fn asyncpg() {
    run_python("asyncpg_core.py", &Proxy::direct().url());
}

#[test]
fn node_postgres() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/pg_core.js");
    let output = node(&script).arg(Proxy::direct().url()).output().expect("node runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}
