//! Tests.
#![allow(clippy::unwrap_used)]

use crate::backend::sqlite::ddl::tests::Bench;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scratch() {
    let Ok(from) = std::env::var("SCRATCH_DB") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    std::fs::copy(&from, &path).unwrap();
    let started = std::time::Instant::now();
    let mut b = Bench::open(&path).await;
    eprintln!("{:?}", started.elapsed());
    for f in &b.findings { eprintln!("{f:?}"); }
    let names: Vec<String> = b.catalog.relations.keys().cloned().collect();
    for name in names {
        let r = b.catalog.relations[&name].clone();
        eprintln!("== {} ({}) {:?}", r.name, r.sqlite_name, r.kind);
        for c in &r.columns {
            eprintln!("   {} {} {:?} nn={} def={:?} raw={:?} coll={:?} seq={:?} gen={:?}", c.name, crate::backend::sqlite::system::format_type(c.ty.oid, c.ty.typmod), c.codec, c.not_null, c.default, c.sqlite_default, c.collation, c.sequence, c.generated);
        }
        for u in &r.uniques { eprintln!("   U {u:?}"); }
        for u in &r.indexes { eprintln!("   I {u:?}"); }
        for u in &r.foreign_keys { eprintln!("   F {u:?}"); }
        for u in &r.checks { eprintln!("   C {u:?}"); }
        let q = format!("SELECT * FROM {}", crate::backend::sqlite::system::quote_ident(&name));
        match b.run(&q).await {
            Ok(rows) => eprintln!("   rows {} {}", rows.len(), rows.first().map_or("", |r| &r[..r.floor_char_boundary(150.min(r.len()))])),
            Err(e) => eprintln!("   QUERY FAILED {e}"),
        }
        for t in crate::backend::sqlite::ddl::postgres::create_table(&r, &b.catalog) { eprintln!("   PG {t}"); }
    }
}
