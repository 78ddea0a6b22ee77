//! The rules of the house, as tests: layer order, module docs, file length, unfinished marks.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules from the ground up. A module may use only those in earlier rows, and those to its
/// left in its own row.
const LAYERS: &[&[&str]] = &[
    &["name", "count", "error", "value", "schema", "sql", "config"],
    &["failpoint", "clock", "telemetry"],
    &["wire", "backend", "journal"],
    &["compare", "divergence", "mirror", "backfill", "assess", "verify", "cutover", "session"],
    &["control", "admin", "http", "cli"],
    &["server", "demo"],
];

/// Lines a file may have; a file that needs more has two subjects.
const LINES_MAX: usize = 800;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        if root().join(folder).is_dir() {
            rust_files(&root().join(folder), &mut files);
        }
    }
    assert!(files.len() > 20, "the sources were found");
    files
        .into_iter()
        .map(|f| {
            let text = fs::read_to_string(&f).unwrap();
            (f.strip_prefix(root()).unwrap().to_str().unwrap().to_owned(), text)
        })
        .collect()
}

fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().flat_map(|row| row.iter()).position(|m| *m == module)
}

/// The top-level module a source file belongs to.
fn module_of(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("src/")?;
    let name = rest.split('/').next()?.trim_end_matches(".rs");
    (name != "lib" && name != "main").then_some(name)
}

fn report(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_file_says_what_it_owns() {
    let problems: Vec<_> = sources()
        .iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| format!("{path}: does not open with //!"))
        .collect();
    report(&problems);
}

#[test]
fn files_stay_small() {
    let problems: Vec<_> = sources()
        .iter()
        .filter(|(_, text)| text.lines().count() > LINES_MAX)
        .map(|(path, text)| format!("{path}: {} lines, at most {LINES_MAX}", text.lines().count()))
        .collect();
    report(&problems);
}

#[test]
fn layers_look_down() {
    let mut problems = Vec::new();
    for (path, text) in sources() {
        let Some(module) = module_of(&path) else { continue };
        let Some(own) = rank(module) else {
            problems.push(format!("{path}: module {module} has no place in tests/tidy.rs LAYERS"));
            continue;
        };
        // Unit tests may look anywhere.
        let code = text.split("#[cfg(test)]").next().unwrap_or("");
        for (number, line) in code.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for used in line.match_indices("crate::").map(|(at, m)| &line[at + m.len()..]) {
                let name: String =
                    used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if rank(&name).is_some_and(|r| r > own) {
                    problems.push(format!("{path}:{}: {module} looks up to {name}", number + 1));
                }
            }
        }
    }
    report(&problems);
}

#[test]
fn no_unfinished_marks() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X "), "unimplemented!("];
    let mut problems = Vec::new();
    for (path, text) in sources().iter().filter(|(p, _)| p.starts_with("src/")) {
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|m| line.contains(m)) {
                problems.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    report(&problems);
}

#[test]
fn only_the_sqlite_back_end_opens_sqlite() {
    let mut problems = Vec::new();
    for (path, text) in sources().iter().filter(|(p, _)| p.starts_with("src/")) {
        let allowed = path.starts_with("src/backend/sqlite/")
            || path.starts_with("src/demo/")
            || path.starts_with("src/divergence/")
            || path.starts_with("src/admin/");
        let code = text.split("#[cfg(test)]").next().unwrap_or("");
        if !allowed && code.contains("Connection::open") && code.contains("rusqlite") {
            problems.push(format!("{path}: opens SQLite"));
        }
    }
    report(&problems);
}

#[test]
fn unsafe_code_stays_in_its_room() {
    // SQLite's statements, its virtual tables, and PostgreSQL's parser: each a foreign interface.
    let allowed =
        ["src/backend/sqlite/raw.rs", "src/backend/sqlite/system/table.rs", "src/sql/pg/raw.rs"];
    let mut problems = Vec::new();
    for (path, text) in sources().iter().filter(|(p, _)| p.starts_with("src/")) {
        let used = text.lines().any(|l| {
            let l = l.trim_start();
            !l.starts_with("//") && (l.contains("unsafe {") || l.contains("unsafe impl"))
        });
        if used && !allowed.contains(&path.as_str()) {
            problems.push(format!("{path}: unsafe code outside {allowed:?}"));
        }
    }
    report(&problems);
}

#[test]
fn lib_is_the_map() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mut listed = BTreeMap::new();
    for (number, line) in lib.lines().enumerate() {
        if let Some(name) = line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod ")) {
            listed.insert(name.trim_end_matches(';').to_owned(), number);
        }
    }
    let mut problems = Vec::new();
    for module in listed.keys() {
        if !lib.contains(&format!("[`{module}`]")) {
            problems.push(format!("src/lib.rs: {module} is not in the map at the top"));
        }
        if rank(module).is_none() {
            problems.push(format!("tests/tidy.rs: {module} has no layer"));
        }
    }
    report(&problems);
}
