//! A differential fuzzer: random schemas, data, queries and writes over the supported grammar,
//! run on PostgreSQL and on the proxy on SQLite (`make fuzz N=200000 SEED=1`;
//! with FUZZ_ADOPTED=1 on files that other programs have written).
//!
//! Whatever is neither equal nor refused with 0A000 is a find: it is made smaller, printed with
//! what is needed to see it again, and belongs into `tests/sql` once it is mended. Start at
//! [`run`]; `query` and `write` make statements, `tree` makes them smaller.

mod adopted;
mod alter;
mod coverage;
mod expr;
mod query;
mod run;
mod schema;
mod signatures;
mod tree;
mod values;
mod wide;
mod write;

use run::{Limits, fuzz};

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn a_few_random_statements_differ_nowhere() {
    let report = fuzz(&Limits { statements: 300, seed: 1, finds: 5, adopted: false });
    assert!(report.finds.is_empty(), "{}", report.text());
}

#[test]
fn a_few_random_statements_on_existing_files_differ_nowhere() {
    let report = fuzz(&Limits { statements: 600, seed: 1, finds: 5, adopted: true });
    assert!(report.finds.is_empty(), "{}", report.text());
}

#[test]
#[ignore = "make fuzz: a proxy for each fault"]
fn every_seeded_fault_is_found() {
    let mut missed = Vec::new();
    for fault in crossfade::sql::fault::ALL {
        let limits =
            Limits { statements: 6000, seed: number("FUZZ_SEED", 1), finds: 1, adopted: false };
        let report = run::fuzz_with(&limits, &[("CROSSFADE_FAULT", fault)]);
        println!("{fault}: {}", report.text());
        if report.finds.is_empty() {
            missed.push(*fault);
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
#[ignore = "make fuzz: runs as long as it is told to"]
fn many_random_statements_differ_nowhere() {
    let limits = Limits {
        statements: number("FUZZ_N", 20_000),
        seed: number("FUZZ_SEED", 1),
        finds: usize::try_from(number("FUZZ_FINDS", 20)).unwrap(),
        adopted: std::env::var_os("FUZZ_ADOPTED").is_some(),
    };
    let report = fuzz(&limits);
    println!("{}", report.text());
    assert!(report.finds.is_empty(), "{} finds", report.finds.len());
}
