//! Files that real libraries made on SQLite, read and written by the same models through
//! PostgreSQL's protocol: from the file, and from PostgreSQL after the copy.

use std::path::Path;
use std::process::Command;

use crate::common::{Pg, Proxy, python};

/// Runs tests/clients/NAME with arguments.
fn script(name: &str, arguments: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name);
    let output = Command::new(python())
        .arg(path)
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name} {arguments:?}:\n{text}");
}

fn file_of(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let path = file.to_str().unwrap();
    script(name, &["make", path]);
    let database = Pg::shared().database("orm");
    let url = Pg::shared().cluster.url(&database);
    let proxy = Proxy::on_file(&file, &["--postgres", &url]);
    // Every field as the library itself reads it from the file.
    script(name, &["read", path, &proxy.url()]);
    script(name, &["write", &proxy.url()]);
    // What PostgreSQL's side of it wrote, SQLite's side reads.
    script(name, &["written", path]);
    let (code, out, err) = proxy.cli(&["backfill"]);
    assert_eq!(code, 0, "{out}{err}\n{}", proxy.log());
    assert!(out.contains(" 0 in quarantine"), "{out}");
    let (code, out, err) = proxy.cli(&["verify"]);
    assert_eq!(code, 0, "{out}{err}\n{}", proxy.log());
    // The same from PostgreSQL itself.
    script(name, &["read", path, &url]);
}

#[test]
fn django() {
    file_of("django_file.py");
}

#[test]
fn sqlalchemy() {
    file_of("sqlalchemy_file.py");
}
