//! Several proxies in front of one promoted PostgreSQL: the one with the file decides, the others
//! follow, and none serves what is not primary.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Journey, Pg, Proxy, Raw, eventually};

fn phase(front: &Proxy) -> String {
    let (_, stdout, stderr) = front.cli(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&stdout).expect(&stderr);
    status["phase"].as_str().unwrap().to_owned()
}

#[test]
fn fronts_follow_the_proxy_that_decides() {
    let pg = Pg::shared();
    let folder = tempfile::tempdir().unwrap();
    let mut journey = Journey::start(&folder.path().join("app.db"), pg, &[]);
    journey.proxy.sql("CREATE TABLE t (id integer PRIMARY KEY, body text)");
    journey.mirror();
    let front = Proxy::front(folder.path(), &journey.url, &[]);

    // SQLite is primary: nobody is served.
    let (code, _, stderr) = front.psql_with(&["-v", "VERBOSITY=verbose"], "SELECT 1");
    assert!(code != 0 && stderr.contains("57P03"), "{stderr}");
    let (_, stdout, _) = front.cli(&["status", "--json"]);
    assert!(
        stdout.contains("SQLite is primary") && stdout.contains("\"primary\": \"sqlite\""),
        "{stdout}"
    );
    assert_eq!(front.cli(&["promote", "--yes"]).0, 4, "a front decides nothing");

    journey.promote();
    eventually("the front serves", || front.psql("SELECT 1").0 == 0);
    let mut session = Raw::proxy(&front);
    assert_eq!(session.query("INSERT INTO t VALUES (1, 'front')"), ["C INSERT 0 1", "Z I"]);
    session.run("P kept|SELECT body FROM t WHERE id = $1|23\nS");
    journey.proxy.sql("INSERT INTO t VALUES (2, 'file')");
    assert!(session.run("B |kept|2\nE\nS").contains("\nD file"));
    assert_eq!(phase(&front), "promoted");
    assert_eq!(front.sql("SELECT count(*) FROM t"), "2");

    // One front replaces another; the proxy with the file goes and comes.
    let pooled = [("CROSSFADE_POSTGRES_POOL_MODE", "transaction")];
    let second = Proxy::front(folder.path(), &journey.url, &pooled);
    eventually("the second one serves", || second.psql("SELECT 1").0 == 0);
    journey.proxy.kill();
    assert_eq!(second.sql("INSERT INTO t VALUES (3, 'alone') RETURNING id"), "3");
    assert_eq!(session.query("INSERT INTO t VALUES (4, 'alone')"), ["C INSERT 0 1", "Z I"]);
    let mut sharing = Raw::proxy(&second);
    assert!(sharing.run("P kept|SELECT count(*) FROM t|\nB |kept\nE\nS").contains("\nD 4"));
    journey.restart_with(&[]);
    journey.await_status("phase", "promoted");
    journey.await_way_back();

    // A rollback under writes through the front: what it acknowledged is on SQLite.
    let stop = AtomicBool::new(false);
    let acknowledged = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut acknowledged = Vec::new();
            let mut client = Raw::proxy(&front);
            for id in 1000.. {
                client.start(&format!("INSERT INTO t VALUES ({id}, 'load')"));
                // Closed, or told why it is about to be.
                let Some((b'C', _)) = client.receive() else { break };
                acknowledged.push(id);
                if client.receive().is_none() || stop.load(Ordering::Relaxed) {
                    break;
                }
            }
            acknowledged
        });
        std::thread::sleep(std::time::Duration::from_millis(300));
        journey.rollback();
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    assert!(!acknowledged.is_empty());
    let there = journey.proxy.sql("SELECT count(*) FROM t WHERE id >= 1000");
    assert_eq!(there, acknowledged.len().to_string());
    session.start("INSERT INTO t VALUES (5, 'late')");
    let told = session.until_closed();
    assert!(told.iter().any(|m| m.contains("57P01")), "{told:?}");
    let told = sharing.until_closed();
    assert!(told.iter().any(|m| m.contains("57P01")), "{told:?}");
    drop(second);
    assert_eq!(journey.proxy.sql("SELECT count(*) FROM t WHERE id < 1000"), "4");
    eventually("the front is shut", || front.psql("SELECT 1").2.contains("SQLite is primary"));

    // And forth again, for good: only the record of the switch stays, and the front goes on.
    journey.promote();
    eventually("the front serves again", || front.psql("SELECT 1").0 == 0);
    let mut session = Raw::proxy(&front);
    session.query("SELECT 1");
    let told = journey.done(&["complete", "--yes"]).to_string();
    assert!(told.contains("the record of the switch stays"), "{told}");
    let records = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class \
                   WHERE relnamespace = 'crossfade'::regnamespace AND relkind = 'r'";
    assert_eq!(pg.cluster.psql(&journey.database, records).unwrap(), "epochs state");
    eventually("the front has seen it", || phase(&front) == "complete");
    assert_eq!(session.query("INSERT INTO t VALUES (6, 'done')"), ["C INSERT 0 1", "Z I"]);
    assert_eq!(front.sql("SELECT body FROM t WHERE id = 6"), "done");
    // So does the proxy with the file, also when it is started again.
    journey.restart_with(&[]);
    assert_eq!(journey.proxy.sql("SELECT body FROM t WHERE id = 6"), "done");
    assert_eq!(journey.status("phase"), "complete");
    let late = Proxy::front(folder.path(), &journey.url, &[]);
    assert_eq!(late.sql("SELECT body FROM t WHERE id = 6"), "done");
}

#[test]
fn a_front_is_configured_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_crossfade"))
            .args(["run", "--auth", "trust", "--set", "listen.front=true"])
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, told) = run(&[]);
    assert!(code == Some(2) && told.contains("listen.front needs postgres.url"), "{told}");
    let (code, told) = run(&["--postgres", "postgres://u@127.0.0.1:1/x", "--sqlite", "a.db"]);
    assert!(code == Some(2) && told.contains("exclude each other"), "{told}");
}
