//! What a statement pays before SQLite sees it: a text seen before, a text whose shape was
//! seen before, and a new one.
//!
//!   cargo bench --bench plan
//!
//! Prints nanoseconds for each and their ratio to planning anew, measured in the same run.
//! It asserts nothing about time, only that both caches were hit.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossfade::schema::{Catalog, Column, Relation, RelationKind};
use crossfade::session::plans::{For, Plans};
use crossfade::sql::Mode;
use crossfade::sql::shape::Skeleton;
use crossfade::value::{Type, oid};

/// Time spent on each figure.
const TIME: Duration = Duration::from_millis(500);

/// Statements of pgbench, and one of an ORM; `{}` is where the literal varies.
const TEXTS: [(&str, &str); 4] = [
    ("pgbench select", "SELECT abalance FROM pgbench_accounts WHERE aid = {};"),
    ("pgbench update", "UPDATE pgbench_accounts SET abalance = abalance + 17 WHERE aid = {};"),
    (
        "pgbench insert",
        "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (3, 1, {}, 17, CURRENT_TIMESTAMP);",
    ),
    (
        "ORM select",
        "SELECT a.aid, a.bid, a.abalance, a.filler FROM pgbench_accounts a JOIN pgbench_branches b \
         ON b.bid = a.bid WHERE (a.aid = {} AND b.bbalance > 0 AND a.filler <> 'x') ORDER BY a.aid ASC LIMIT 21",
    ),
];

fn table(oid: u32, name: &str, columns: &[(&str, u32)]) -> Arc<Relation> {
    let columns =
        (1_i16..).zip(columns).map(|(n, (name, ty))| Column::new(n, *name, Type::new(*ty)));
    let columns = columns.collect();
    let primary_key = Some(vec![0]);
    Arc::new(Relation { columns, primary_key, ..Relation::new(oid, name, RelationKind::Table) })
}

fn catalog() -> Catalog {
    let int = oid::INT4;
    let tables = [
        table(
            16384,
            "pgbench_accounts",
            &[("aid", int), ("bid", int), ("abalance", int), ("filler", oid::TEXT)],
        ),
        table(16385, "pgbench_branches", &[("bid", int), ("bbalance", int)]),
        table(
            16386,
            "pgbench_history",
            &[("tid", int), ("bid", int), ("aid", int), ("delta", int), ("mtime", oid::TIMESTAMP)],
        ),
    ];
    let mut catalog = Catalog::system_only();
    catalog.relations = tables.into_iter().map(|t| (t.name.clone(), t)).collect();
    catalog
}

/// Nanoseconds of one call, the median of many short runs.
fn nanoseconds(mut call: impl FnMut(usize)) -> f64 {
    const CALLS: usize = 64;
    let mut runs = Vec::new();
    let began = Instant::now();
    let mut number = 0;
    while began.elapsed() < TIME {
        let run = Instant::now();
        for _ in 0..CALLS {
            call(number);
            number += 1;
        }
        #[allow(clippy::cast_precision_loss)]
        runs.push(run.elapsed().as_nanos() as f64 / CALLS as f64);
    }
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

fn main() {
    let catalog = catalog();
    let temporary = BTreeMap::new();
    let path = vec!["public".to_owned()];
    let wanted = For {
        catalog: &catalog,
        temporary: &temporary,
        search_path: &path,
        types: &[],
        mode: Mode::Auto,
    };
    println!("{:<16} {:>12} {:>12} {:>12}", "statement", "same text", "same shape", "new");
    for (name, text) in TEXTS {
        let texts: Vec<String> = (0..1024).map(|i| text.replace("{}", &i.to_string())).collect();
        let plans = Plans::new(64 << 20);
        let of = |i: usize| texts[i % texts.len()].as_str();

        let first = Plans::parsed(of(0)).unwrap();
        plans.keep(of(0), &first);
        first.statements[0].plan(wanted).unwrap();
        let same = nanoseconds(|_| {
            let found = plans.found(black_box(of(0))).unwrap();
            black_box(found.statements[0].plan(wanted).unwrap());
        });

        let skeleton = Skeleton::of(of(0)).unwrap();
        let made = plans.shapes.make(&skeleton, &first.statements[0].parsed, wanted).unwrap();
        assert!(made.is_some(), "{name} has a shape");
        let shape = nanoseconds(|i| {
            let skeleton = Skeleton::of(black_box(of(i))).unwrap();
            black_box(plans.shapes.find(&skeleton, wanted).unwrap());
        });

        let new = nanoseconds(|i| {
            let parsed = Plans::parsed(black_box(of(i))).unwrap();
            black_box(parsed.statements[0].plan(wanted).unwrap());
        });
        let cell = |ns: f64| format!("{ns:.0} ns");
        println!("{name:<16} {:>12} {:>12} {:>12}", cell(same), cell(shape), cell(new));
        println!("{:<16} {:>12.4} {:>12.4} {:>12}", "  ratio to new", same / new, shape / new, 1);
    }
}
