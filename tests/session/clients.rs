//! Client libraries in depth: what `tests/clients.rs` leaves out (types in both formats,
//! pipelines, server-side cursors, COPY, cancel, pools).

use crate::common::{Proxy, run_python};

#[test]
fn psycopg_3() {
    run_python("psycopg3.py", &Proxy::direct().url());
}

#[test]
fn asyncpg() {
    run_python("asyncpg_probe.py", &Proxy::direct().url());
}
