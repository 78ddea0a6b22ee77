//! The applications in examples/: on SQLite, through the proxy, on PostgreSQL, and back.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Journey, Pg, node, python};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// Runs an example with its database; what it printed.
fn run(mut command: Command, verb: &str, url: &str) -> String {
    let output =
        command.arg(verb).env("DATABASE_URL", url).env("PYTHONDONTWRITEBYTECODE", "1").output();
    let output = output.expect("the example runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{verb} on {url}:\n{text}");
    String::from_utf8(output.stdout).unwrap()
}

fn django(verb: &str, url: &str) -> String {
    let mut command = Command::new(python());
    command.arg(example("django/notes.py"));
    run(command, verb, url)
}

fn sqlalchemy(verb: &str, url: &str) -> String {
    let mut command = Command::new(python());
    command.arg(example("sqlalchemy/ledger.py"));
    run(command, verb, url)
}

/// The same on both sides, without a word of configuration.
#[test]
fn a_ledger_moves_without_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ledger.db");
    let sqlite = format!("sqlite:///{}", file.display());
    sqlalchemy("setup", &sqlite);
    let wanted = sqlalchemy("visit", &sqlite);
    let journey = Journey::start(&file, Pg::shared(), &[]);
    let url = journey.proxy.url();
    assert_eq!(sqlalchemy("visit", &url), wanted, "through the proxy");
    journey.mirror();
    assert_eq!(sqlalchemy("visit", &url), wanted, "while mirroring");
    journey.level();
    journey.done(&["verify"]);
    journey.promote();
    assert_eq!(sqlalchemy("visit", &url), wanted, "on PostgreSQL");
    journey.rollback();
    assert_eq!(sqlalchemy("visit", &url), wanted, "back on SQLite");
    journey.level();
    journey.done(&["verify"]);
    let open = journey.get("/api/v1/divergences?state=open");
    assert_eq!(open["divergences"].as_array().map(Vec::len), Some(0), "{open}");
}

/// Both show the same on both sides, and leave the rows as they found them.
#[test]
fn they_move_without_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.db");
    let sqlite = format!("sqlite:///{}", file.display());
    django("setup", &sqlite);
    let wanted = django("visit", &sqlite);
    let config = example("proxy.toml");
    let config = [("CROSSFADE_CONFIG", config.to_str().unwrap())];
    let journey = Journey::start(&file, Pg::shared(), &config);
    let url = journey.proxy.url();
    let service = |url: &str| run(node(&example("node/notes.js")), "visit", url);
    assert_eq!(django("visit", &url), wanted, "through the proxy");
    let served = service(&url);
    journey.mirror();
    assert_eq!(django("visit", &url), wanted, "while mirroring");
    assert_eq!(service(&url), served, "while mirroring");
    journey.level();
    journey.done(&["verify"]);
    journey.promote();
    assert_eq!(django("visit", &url), wanted, "on PostgreSQL");
    assert_eq!(service(&url), served, "on PostgreSQL");
    journey.rollback();
    assert_eq!(django("visit", &url), wanted, "back on SQLite");
    assert_eq!(service(&url), served, "back on SQLite");
    journey.level();
    journey.done(&["verify"]);
    let open = journey.get("/api/v1/divergences?state=open");
    assert_eq!(open["divergences"].as_array().map(Vec::len), Some(0), "{open}");
}
