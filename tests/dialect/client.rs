//! A real driver that still sends SQL written for SQLite.

use super::make_file;
use crate::common::{Proxy, run_python};

#[test]
fn psycopg_sends_what_was_written_for_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    make_file(&file);
    let proxy = Proxy::on_file(&file, &[]);
    run_python("leftover_sqlite.py", &proxy.url());
}
