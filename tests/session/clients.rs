//! Real client libraries: create, insert, query, update, transaction, savepoint, rollback.

use std::path::Path;

use crate::common::{Proxy, run_python};

fn have_clients() -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/python");
    // scripts/test installs them; a plain `cargo test` may run without.
    folder.exists() || std::env::var_os("CI").is_some()
}

#[test]
fn psycopg_3() {
    if have_clients() {
        run_python("psycopg3.py", &Proxy::direct().url());
    }
}

#[test]
fn sqlalchemy_core() {
    if have_clients() {
        run_python("sqlalchemy_core.py", &Proxy::direct().url());
    }
}

#[test]
fn asyncpg() {
    if have_clients() {
        run_python("asyncpg_probe.py", &Proxy::direct().url());
    }
}
