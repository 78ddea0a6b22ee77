//! Real clients from other languages, installed by scripts/bootstrap into target/clients.

use std::path::{Path, PathBuf};
use std::process::Command;

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients")
}

/// The Python interpreter that has psycopg, SQLAlchemy, asyncpg and Django.
pub fn python() -> PathBuf {
    let python = clients().join("python/bin/python");
    assert!(python.exists(), "client libraries are missing; run scripts/bootstrap --clients");
    python
}

/// Node.js with `pg` on its path.
pub fn node(script: &Path) -> Command {
    let modules = clients().join("node/node_modules");
    assert!(modules.exists(), "client libraries are missing; run scripts/bootstrap --clients");
    let mut command = Command::new("node");
    command.arg(script).env("NODE_PATH", modules);
    command
}

/// Prometheus' own tool.
pub fn promtool() -> Command {
    let ours = clients().join("promtool");
    let command = Command::new(if ours.exists() { ours } else { "promtool".into() });
    let there = Command::new(command.get_program()).arg("--version").output();
    assert!(there.is_ok(), "promtool is missing; run scripts/bootstrap --clients");
    command
}

/// Runs tests/clients/NAME.py with the URL; panics with its output unless it exits with 0.
pub fn run_python(name: &str, url: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name);
    let output = Command::new(python())
        .arg(&script)
        .arg(url)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python runs");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{name} failed:\n{text}");
    text
}
