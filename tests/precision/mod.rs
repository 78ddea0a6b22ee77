//! Nothing is cried wolf, and nothing planted is missed: sixteen clients, every read attempted,
//! PostgreSQL slow, held, and stopped.
//!
//! `CROSSFADE_PRECISION_SECONDS` says how long (`make soak`: an hour). Start at
//! [`nothing_is_reported_that_is_not_and_everything_planted_is`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crossfade::demo::cluster::Cluster;
use serde_json::Value;

use crate::common::{Dice, Journey, Pg, Proxy, Relay};

mod growth;
mod load;

use growth::{Growth, JOURNAL_MAX};
use load::{Mixed, TABLES};

/// How long, when somebody says so: then the machine has nothing else to do.
fn soak() -> Option<u64> {
    std::env::var("CROSSFADE_PRECISION_SECONDS").ok().and_then(|n| n.parse().ok())
}

fn seconds() -> u64 {
    soak().unwrap_or(45)
}

/// How often a shape must be compared.
const TIMES: u64 = 20;

/// How many of a hundred cuts must be hit. The clients are as slow as it takes the machine.
const HIT: u64 = 50;

/// Cuts of reads that were hit, and that were missed, or not even tried for.
fn cuts(journey: &Journey) -> (u64, u64) {
    let list = journey.get("/api/v1/statements");
    let reads = counts(list["statements"].as_array().unwrap(), "read");
    let of = |words: &[&str]| words.iter().filter_map(|w| reads.get(*w)).sum::<u64>();
    (of(&["match", "match_normalized", "ambiguous", "volatile"]), of(&["cut_missed", "queue_full"]))
}

/// Troubles of PostgreSQL, one after the other, until the time is over and enough is compared, or
/// six times as long has passed.
fn troubles(
    (pg, relay, dice): (&mut Pg, &Relay, &mut Dice),
    (journey, load): (&Journey, &Mixed),
    time: Duration,
    growth: &mut Growth,
    enough: impl Fn() -> bool,
) {
    let (began, mut before) = (Instant::now(), cuts(journey));
    while began.elapsed() < time || (began.elapsed() < time * 6 && !enough()) {
        dice.sleep(2500, 4000);
        growth.look(journey, pg);
        relay.slow(Duration::from_millis(1 + dice.below(4)));
        dice.sleep(1500, 2500);
        growth.look(journey, pg);
        relay.slow(Duration::ZERO);
        dice.sleep(1500, 2500);
        relay.hold(true);
        dice.sleep(500, 1200);
        growth.look(journey, pg);
        relay.hold(false);
        dice.sleep(2000, 3000);
        growth.look(journey, pg);
        // As many statements as the machine takes, whoever else is on it.
        let now = cuts(journey);
        load.pace(now.0 - before.0, now.1 - before.1);
        before = now;
        pg.cluster.stop(true).unwrap();
        dice.sleep(200, 800);
        pg.cluster.resume().unwrap();
    }
}

/// Counts of all shapes of a kind: verdicts, and reasons for not comparing.
fn counts(shapes: &[Value], kind: &str) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for shape in shapes.iter().filter(|s| s["kind"] == kind) {
        for field in ["verdicts", "skipped"] {
            for (word, n) in shape[field].as_object().unwrap() {
                *all.entry(word.clone()).or_default() += n.as_u64().unwrap();
            }
        }
    }
    all
}

fn groups(journey: &Journey) -> Vec<Value> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = journey.get(&format!("/api/v1/divergences{cursor}"));
        let ids = page["divergences"].as_array().unwrap();
        let whole =
            |g: &Value| journey.get(&format!("/api/v1/divergences/{}", g["id"].as_str().unwrap()));
        found.extend(ids.iter().map(whole));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("?cursor={next}"),
            None => return found,
        }
    }
}

/// Waits for PostgreSQL to be level: after so much trouble that takes a while.
fn caught_up(journey: &Journey) {
    let deadline = Instant::now() + Duration::from_secs(600);
    while journey.status("lag_commits") != "0" {
        assert!(Instant::now() < deadline, "it does not catch up: {}", journey.proxy.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Shapes of the load, and those of them that were compared less often than wanted.
fn rare(journey: &Journey) -> (usize, usize) {
    let list = journey.get("/api/v1/statements");
    let shapes = list["statements"].as_array().unwrap();
    let of_load = shapes
        .iter()
        .filter(|s| s["calls"].as_u64() > Some(1) && (s["kind"] == "read" || s["kind"] == "write"));
    let all: Vec<u64> = of_load.map(|s| s["compared"].as_u64().unwrap()).collect();
    (all.len(), all.iter().filter(|n| **n < TIMES).count())
}

/// What was compared, held against the promise.
fn covered(journey: &Journey) {
    let list = journey.get("/api/v1/statements");
    let shapes = list["statements"].as_array().unwrap();
    let (times, share) = (TIMES, HIT);
    let mut rare = Vec::new();
    // What filled the tables ran once.
    let of_load = |s: &&Value| s["calls"].as_u64() > Some(1);
    let is_data = |s: &&Value| s["kind"] == "read" || s["kind"] == "write";
    let compared: Vec<&Value> = shapes.iter().filter(is_data).filter(of_load).collect();
    for shape in &compared {
        if shape["compared"].as_u64().unwrap() < times {
            rare.push(format!(
                "{} of {} {} {} {}",
                shape["compared"],
                shape["calls"],
                shape["verdicts"],
                shape["skipped"],
                shape["statement"]
            ));
        }
    }
    let (reads, writes) = (counts(shapes, "read"), counts(shapes, "write"));
    println!("reads {reads:?}\nwrites {writes:?}\nless than {times} times: {rare:#?}");
    let often = compared.len() - rare.len();
    let of = |words: &[&str]| words.iter().filter_map(|w| reads.get(*w)).sum::<u64>();
    let (hit, missed) =
        (of(&["match", "match_normalized", "ambiguous", "volatile"]), of(&["cut_missed"]));
    println!(
        "{often} of {} shapes compared {times} times or more; {hit} of {} cuts hit",
        compared.len(),
        hit + missed
    );
    assert!(often * 100 >= compared.len() * 95, "{rare:#?}");
    assert!(hit * 100 >= (hit + missed) * share, "{hit} cuts hit, {missed} missed");
}

/// Table, what tells the row, and the columns that differ (none where a row is on one side only).
const PLANTED: &[(&str, &str, &str, &str)] = &[
    ("account", "2001", "balance", "UPDATE account SET balance = balance + 0.01 WHERE id = 2001"),
    ("account", "2002", "name", "UPDATE account SET name = 'Cold 2002' WHERE id = 2002"),
    ("account", "2003", "active", "UPDATE account SET active = false WHERE id = 2003"),
    ("account", "2004", "meta", "UPDATE account SET meta = '{\"a\": 3}' WHERE id = 2004"),
    (
        "account",
        "2005",
        "since",
        "UPDATE account SET since = since + '1 microsecond' WHERE id = 2005",
    ),
    ("account", "2006", "", "DELETE FROM account WHERE id = 2006"),
    ("account", "2900", "", "INSERT INTO account (id, name) VALUES (2900, 'nobody')"),
    ("stock", "cold 1", "qty", "UPDATE stock SET qty = 77 WHERE sku = 'cold 1'"),
    (
        "stock",
        "cold 2",
        "weight",
        "UPDATE stock SET weight = weight + 1.2e-16 WHERE sku = 'cold 2'",
    ),
    ("stock", "cold 3", "", "DELETE FROM stock WHERE sku = 'cold 3'"),
    ("stock", "cold 99", "", "INSERT INTO stock VALUES ('cold 99', 'cellar', 1, 1)"),
    ("stock", "attic", "", "UPDATE stock SET place = 'attic' WHERE sku = 'cold 4'"),
    ("entry", "1", "amount", "UPDATE entry SET amount = 3.01 WHERE id = 1"),
    ("entry", "2", "at", "UPDATE entry SET at = at - '1 hour'::interval WHERE id = 2"),
    ("entry", "3", "note", "UPDATE entry SET note = '' WHERE id = 3"),
    ("entry", "4", "account_id", "UPDATE entry SET account_id = 2020 WHERE id = 4"),
    ("entry", "5", "", "DELETE FROM entry WHERE id = 5"),
    ("entry", "-6", "", "INSERT INTO entry (id, account_id, amount) VALUES (-6, 2020, 6)"),
    ("visit", "cellar", "", "DELETE FROM visit WHERE page = 'cellar'"),
    ("visit", "attic", "", "INSERT INTO visit VALUES ('cold', 'attic', '2024-04-05')"),
];

/// Whether a group has a sample of this row that names these columns.
fn names(group: &Value, (table, row, columns, _): (&str, &str, &str, &str)) -> bool {
    let of_row = |sample: &Value| {
        let key = sample["key"].as_array().unwrap().iter().map(|part| &part[1]);
        let values = ["primary", "shadow"].map(|side| sample[side].as_array().unwrap());
        key.chain(values.into_iter().flatten()).any(|value| value == row)
    };
    let class = group["class"].as_str().unwrap();
    let row_only = class == "verify_missing" || class == "verify_extra";
    group["table"] == table
        && group["samples"].as_array().unwrap().iter().any(of_row)
        && match columns {
            "" => row_only,
            _ => class == "verify_value" && group["columns"] == serde_json::json!([columns]),
        }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_reported_that_is_not_and_everything_planted_is() {
    // What the machine's own end would lose stays in its memory: only the server ends here.
    let mut pg = Pg { cluster: Cluster::start_with("fsync = off\n").expect("a PostgreSQL") };
    let folder = tempfile::tempdir().unwrap();
    let database = pg.database("precision");
    let relay = Relay::to(pg.cluster.port());
    let url = relay.url(&database);
    // Every read and every write is attempted, however far behind PostgreSQL is.
    let envs = [
        ("CROSSFADE_COMPARE_READS", "all"),
        ("CROSSFADE_COMPARE_WRITES_LAG_MAX", "100000"),
        ("CROSSFADE_MIRROR_JOURNAL_BYTES_MAX", JOURNAL_MAX),
    ];
    let proxy = Proxy::on_file_with(&folder.path().join("app.db"), &["--postgres", &url], &envs);
    let journey = Journey { proxy, url, database };
    journey.proxy.sql(TABLES);
    journey.mirror();

    let mut dice = Dice::new();
    let think = Duration::from_millis(100);
    let load = Mixed::start(&journey.proxy.url(), 16, think, &mut dice);
    let time = Duration::from_secs(seconds());
    let began = Instant::now();
    let mut growth = Growth::default();
    tokio::task::block_in_place(|| {
        let enough = || rare(&journey).1 * 20 <= rare(&journey).0;
        let on = (&mut pg, &relay, &mut dice);
        troubles(on, (&journey, &load), time, &mut growth, enough);
    });
    let ran = load.stop().await;
    caught_up(&journey);
    println!("{ran} statements of clients in {} s", began.elapsed().as_secs());
    journey.done(&["verify"]);
    let found = groups(&journey);
    assert!(found.is_empty(), "{}", serde_json::to_string_pretty(&found).unwrap());
    covered(&journey);
    growth.judge(&journey, soak().is_some());

    // The same with differences.
    let load = Mixed::start(&journey.proxy.url(), 16, think, &mut dice);
    for (.., sql) in PLANTED {
        pg.cluster.psql(&journey.database, sql).unwrap();
    }
    tokio::task::block_in_place(|| {
        let on = (&mut pg, &relay, &mut dice);
        troubles(on, (&journey, &load), time / 6, &mut growth, || true);
    });
    load.stop().await;
    caught_up(&journey);
    let (code, ..) = journey.order(&["verify"]);
    assert_eq!(code, 1, "verify found nothing");
    let found = groups(&journey);
    let missed: Vec<_> =
        PLANTED.iter().filter(|planted| !found.iter().any(|g| names(g, **planted))).collect();
    println!("{} of {} planted are reported", PLANTED.len() - missed.len(), PLANTED.len());
    assert!(missed.is_empty(), "{missed:#?}\n{}", serde_json::to_string_pretty(&found).unwrap());
}
