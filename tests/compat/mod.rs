//! Corpora of real SQL, replayed on PostgreSQL and on the proxy on SQLite (`make compat`).
//!
//! The corpora are not part of the repository: `COMPAT_CORPORA` names their folder, or files
//! in it; `COMPAT_OUT` the folder for the report. What SQLite can never carry stands
//! in `exclusions.tsv`, at most one statement in twenty of each corpus. Start at [`replay`].

pub mod compare;
mod context;
mod corpus;
mod infer;
mod replay;
mod report;
pub mod text;

use std::path::{Path, PathBuf};

use crate::common::client::{Address, Client};
use crate::common::{Pg, Proxy};
use corpus::{Corpus, Exclusions};
use replay::Replay;

/// Planner settings of the second PostgreSQL: other plans, so other orders where none is asked for.
const TWIN: &str = "-c timezone=UTC -c enable_hashagg=off -c enable_hashjoin=off -c enable_seqscan=off \
                    -c enable_incremental_sort=off -c enable_nestloop=off";

fn files() -> Vec<PathBuf> {
    let named = std::env::var("COMPAT_CORPORA").unwrap_or_else(|_| {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora").display().to_string()
    });
    let mut found = Vec::new();
    for path in named.split(',').map(PathBuf::from) {
        if path.is_dir() {
            let folder =
                std::fs::read_dir(&path).unwrap().flatten().map(|e| std::fs::DirEntry::path(&e));
            found.extend(folder.filter(|p| p.to_string_lossy().contains(".jsonl")));
        } else {
            found.push(path);
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no corpus in {named}");
    found
}

/// A database with the collation that the proxy tells.
fn database(server: &Pg) -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("compat_utf8_{number}");
    let sql = format!("CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C.UTF-8'");
    server.cluster.psql("postgres", &sql).unwrap();
    name
}

fn one(corpus: &Corpus, exclusions: &Exclusions) -> (Vec<replay::Record>, replay::Agreement) {
    let server = Pg::shared();
    let proxy = Proxy::direct();
    let address = |options: &str| Address {
        port: server.cluster.port(),
        user: "postgres".to_owned(),
        database: database(server),
        options: options.to_owned(),
    };
    let ours = Address {
        port: proxy.port,
        user: "postgres".to_owned(),
        database: "compat".to_owned(),
        options: String::new(),
    };
    let mut replay = Replay::new(
        corpus,
        Client::connect(address("-c timezone=UTC")),
        Client::connect(address(TWIN)),
        Client::connect(ours),
    );
    let records = replay.run(exclusions);
    (records, std::mem::take(&mut replay.agreement))
}

#[test]
#[ignore = "make compat: needs the corpora, takes minutes"]
fn corpora_are_answered_as_postgres_does() {
    let exclusions = Exclusions::read(include_str!("exclusions.tsv"));
    let mut totals = Vec::new();
    let mut all = Vec::new();
    for file in files() {
        let corpus = Corpus::read(&file);
        let start = std::time::Instant::now();
        let (records, mut agreement) = one(&corpus, &exclusions);
        eprintln!("{}: {:?}", corpus.name, start.elapsed());
        let differences = std::mem::take(&mut agreement.differences);
        totals.push(report::Totals::of(&corpus.name, &records, agreement));
        all.push((corpus.name, records, differences));
    }
    let table = report::table(&totals);
    let out = std::env::var_os("COMPAT_OUT")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/compat"), PathBuf::from);
    std::fs::create_dir_all(&out).unwrap();
    let path = out.join("report.txt");
    std::fs::write(&path, format!("{table}\n{}", report::findings(&all))).unwrap();
    println!("{table}\nfindings: {}", path.display());
    for t in &totals {
        assert!(
            t.excluded * 20 <= t.statements,
            "{}: {} of {} excluded, at most one in twenty may be",
            t.corpus,
            t.excluded,
            t.statements
        );
    }
}
