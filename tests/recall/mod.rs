//! Every planted fault is reported, in its class, as one incident.
//!
//! `CROSSFADE_RECALL_EACH` says how often each kind is planted, each time in a table of another
//! form (`make soak`: in every form, more than 200 in all). Start at [`every_fault_is_one_incident_of_its_class`].

use std::time::Duration;

use serde_json::Value;
use tokio_postgres::NoTls;

use crate::common::{Journey, Pg};

mod faults;

use faults::{FAULTS, FORMS, Fault, SETTINGS, formed};

fn each() -> usize {
    let given = std::env::var("CROSSFADE_RECALL_EACH").ok();
    given.and_then(|n| n.parse().ok()).unwrap_or(1)
}

/// A fault with a table of its own.
struct Site {
    fault: &'static Fault,
    table: String,
    /// Its definition.
    tables: String,
}

impl Site {
    fn fill(&self, text: &str) -> String {
        text.replace("{t}", &self.table)
    }

    /// Whether a group is about it: its table, or what belongs to that.
    fn has(&self, group: &Value) -> bool {
        let table = group["table"].as_str().unwrap_or_default();
        table == self.table || table.starts_with(&format!("{}_", self.table))
    }
}

fn sites() -> Vec<Site> {
    let all = (0..each()).flat_map(|round| FAULTS.iter().enumerate().map(move |f| (round, f)));
    all.enumerate()
        .map(|(n, (round, (kind, fault)))| Site {
            fault,
            table: format!("t{n}"),
            // Each kind in another form, and in all of them when it is planted often enough.
            tables: formed(fault.tables, kind + round),
        })
        .collect()
}

fn groups(journey: &Journey) -> Vec<Value> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = journey.get(&format!("/api/v1/divergences{cursor}"));
        found.extend(page["divergences"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("?cursor={next}"),
            None => return found,
        }
    }
}

/// Everything offered has been looked at.
fn settled(journey: &Journey) {
    journey.level();
    let counts = || (journey.status("compared"), journey.status("skipped"));
    let mut before = counts();
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = counts();
        if now == before {
            return;
        }
        before = now;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_one_incident_of_its_class() {
    let pg = Pg::shared();
    let folder = tempfile::tempdir().unwrap();
    let envs = [("CROSSFADE_COMPARE_READS", "all")];
    let journey = Journey::start(&folder.path().join("app.db"), pg, &envs);
    let sites = sites();
    for site in &sites {
        journey.proxy.sql(&site.fill(&site.tables));
    }
    journey.mirror();
    let (client, driver) = tokio_postgres::connect(&journey.proxy.url(), NoTls).await.unwrap();
    tokio::spawn(driver);
    for site in &sites {
        for sql in site.fault.before {
            client.batch_execute(&site.fill(sql)).await.unwrap();
        }
    }
    settled(&journey);
    let all: Vec<String> = sites.iter().map(|s| s.fill(s.fault.plant)).collect();
    pg.cluster.psql(&journey.database, &all.join(";\n")).unwrap();
    for (_, setting) in SETTINGS {
        let sql = format!("ALTER DATABASE {} SET {setting}", journey.database);
        pg.cluster.psql("postgres", &sql).unwrap();
    }
    // Beyond the time for which the last look at triggers and keys is believed.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    for site in &sites {
        for sql in site.fault.then {
            // It may be one that fails.
            let _ = client.simple_query(&site.fill(sql)).await;
            let _ = client.simple_query("ROLLBACK").await;
        }
    }
    tokio::task::block_in_place(|| settled(&journey));
    drop(journey.order(&["verify"]));
    let found = groups(&journey);
    judged(&journey, &sites, &found);
}

/// One root for each fault, of its class; the rest names its cause.
fn judged(journey: &Journey, sites: &[Site], found: &[Value]) {
    let roots: Vec<&Value> =
        found.iter().filter(|g| g["state"] == "open" && g["caused_by"].is_null()).collect();
    let told = |group: &Value| {
        format!("{} {} {} {}", group["id"], group["class"], group["table"], group["columns"])
    };
    let mut wrong = Vec::new();
    let (mut reported, mut named) = (0, 0);
    for site in sites {
        let of: Vec<&&Value> = roots.iter().filter(|g| site.has(g)).collect();
        reported += usize::from(found.iter().any(|g| site.has(g)));
        match of.as_slice() {
            [one] if one["class"] == site.fault.class => named += 1,
            _ => wrong.push(format!(
                "{} ({}, {}): {:?}, all {:?}",
                site.fault.name,
                site.table,
                site.fault.class,
                of.iter().map(|g| told(g)).collect::<Vec<_>>(),
                found.iter().filter(|g| site.has(g)).map(told).collect::<Vec<_>>()
            )),
        }
    }
    for (name, setting) in SETTINGS {
        let word = setting.split(' ').next().unwrap().to_lowercase();
        let of = roots.iter().filter(|g| {
            g["class"] == "schema_drift"
                && g["table"] == "(database)"
                && g["columns"][0].as_str().is_some_and(|line| line.to_lowercase().contains(&word))
        });
        match of.count() {
            1 => named += 1,
            n => wrong.push(format!("{name}: {n} reports")),
        }
    }
    let strange: Vec<String> = roots
        .iter()
        .filter(|g| g["table"] != "(database)" && !sites.iter().any(|s| s.has(g)))
        .map(|g| told(g))
        .collect();
    let planted = sites.len() + SETTINGS.len();
    let explained = found.iter().filter(|g| !g["caused_by"].is_null()).count();
    println!(
        "{planted} planted, {} kinds in tables of {FORMS} forms: {} reported, {named} as one incident of their class; {explained} \
         groups name their cause; {} incidents nobody planted",
        FAULTS.len() + SETTINGS.len(),
        reported + SETTINGS.len(),
        strange.len()
    );
    assert!(wrong.is_empty() && strange.is_empty(), "{wrong:#?}\n{strange:#?}\n{}", {
        let log = journey.proxy.log();
        log.lines().rev().take(20).collect::<Vec<_>>().join("\n")
    });
}

#[test]
fn the_document_names_every_fault() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/consistency.md");
    let document = std::fs::read_to_string(path).unwrap();
    let drift = SETTINGS.iter().map(|(name, _)| (*name, "schema_drift"));
    for (name, class) in FAULTS.iter().map(|f| (f.name, f.class)).chain(drift) {
        let line = format!("| {name} | `{class}` |");
        assert!(document.contains(&line), "docs/consistency.md lacks {line}");
    }
}
