//! The dashboard in a real browser, and who may order what over HTTP.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::common::{Journey, Pg, Proxy, node};

const HOSTILE: &str = "<script>window.pwned=1</script><img src=x onerror=window.pwned=2>";

fn shop(file: &Path) {
    let connection = rusqlite::Connection::open(file).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE customers(id INTEGER PRIMARY KEY, name TEXT NOT NULL, notes TEXT);
             CREATE TABLE visits(id INTEGER PRIMARY KEY, customer INTEGER, page TEXT);
             CREATE TABLE archive(id INTEGER PRIMARY KEY, page TEXT);
             INSERT INTO archive VALUES (1, 'a'), (2, 'b'), (3, 'c');",
        )
        .unwrap();
    for id in 1..=40 {
        let notes = if id == 40 { HOSTILE } else { "as it was" };
        connection
            .execute("INSERT INTO customers VALUES (?1, 'Ada', ?2)", rusqlite::params![id, notes])
            .unwrap();
    }
}

/// A client that goes on until told to stop.
fn traffic(url: &str, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<u64> {
    // A name that a page must show as it is.
    let name = "%3Cscript%3Ewindow.pwned%3D4%3C%2Fscript%3E";
    let (url, stop) = (format!("{url}?application_name={name}"), Arc::clone(stop));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let (client, connection) =
                tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            let mut visits = 0;
            while !stop.load(Ordering::Relaxed) {
                let text = "SELECT id, notes AS \"<script>window.pwned=3</script>\" FROM customers \
                            WHERE id = $1 AND notes <> '<script>'";
                client.query(text, &[&7_i64]).await.unwrap();
                let text = "INSERT INTO visits(customer, page) VALUES ($1, $2)";
                client.execute(text, &[&7_i64, &HOSTILE]).await.unwrap();
                visits += 1;
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            visits
        })
    })
}

#[test]
fn everything_is_done_from_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    shop(&file);
    let journey = Journey::start(&file, Pg::shared(), &[]);
    let stop = Arc::new(AtomicBool::new(false));
    let client = traffic(&journey.proxy.url(), &stop);
    journey.done(&["backfill"]);
    journey.await_status("phase", "mirroring");
    let planted = "UPDATE customers SET notes = '<b>other</b>' WHERE id = 40; \
                   UPDATE customers SET name = 'Eve' WHERE id = 39; \
                   DELETE FROM customers WHERE id = 38";
    Pg::shared().cluster.psql(&journey.database, planted).unwrap();
    let (code, ..) = journey.order(&["verify"]);
    assert_eq!(code, 1, "verify finds the planted rows");
    refuses_bad_acceptances(&journey);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/dashboard.js");
    let mut command = node(&script);
    command.arg(journey.proxy.http()).arg(&journey.url);
    command.args(std::env::var_os("CROSSFADE_SCREENSHOTS"));
    let output = command.output().expect("node runs");
    stop.store(true, Ordering::Relaxed);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{}", journey.proxy.log());
    let visits = client.join().expect("no statement of the application failed");
    journey.level();
    let count = journey.proxy.sql("SELECT count(*) FROM visits");
    assert_eq!(count, visits.to_string(), "every acknowledged visit is there");
}

/// A misspelt date must not mean for ever, nor an acceptance stand in nobody's name.
fn refuses_bad_acceptances(journey: &Journey) {
    let why = |more: &[&str]| {
        let all = [&["divergences", "accept", "d2", "--reason"], more].concat();
        let (code, _, stderr) = journey.proxy.cli(&all);
        assert_eq!(code, 2, "{more:?}: {stderr}");
        stderr
    };
    assert!(why(&["known", "--expires", "soon"]).contains("expires is a date or a time"));
    assert!(why(&["known", "--expires", "2020-01-31"]).contains("expires is over already"));
    assert!(why(&[" "]).contains("reason is empty"));
    assert!(why(&["known", "--owner", ""]).contains("owner is empty"));
}

/// The status of a request with these headers.
fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> u16 {
    let mut builder = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    agent.run(builder.body("").unwrap()).unwrap().status().as_u16()
}

#[test]
fn only_the_token_opens_the_interface() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret-of-the-test\n").unwrap();
    let setting = format!("http.token_file={}", token.display());
    let mut proxy = Proxy::on_new_file(&["--set", &setting]);
    let pause = format!("{}/api/v1/pause", proxy.http());
    let right = ("authorization", "Bearer s3cret-of-the-test");
    // The page itself holds nothing; what it shows is asked for with the token.
    assert_eq!(request("GET", &format!("{}/", proxy.http()), &[]), 200);
    for path in ["api/v1/status", "api/v1/stream", "api/v1/config", "metrics"] {
        assert_eq!(request("GET", &format!("{}/{path}", proxy.http()), &[]), 401, "{path}");
    }
    assert_eq!(request("POST", &pause, &[]), 401);
    assert_eq!(request("POST", &pause, &[right, ("origin", "http://evil.test")]), 403);
    assert_eq!(request("POST", &pause, &[right, ("host", "evil.test")]), 403);
    assert_eq!(request("POST", &pause, &[right, ("sec-fetch-site", "cross-site")]), 403);
    let wrong = [("authorization", "Bearer guess")];
    let answers: Vec<u16> = (0..200).map(|_| request("POST", &pause, &wrong)).collect();
    assert_eq!(answers[0], 401);
    assert!(answers.contains(&429), "guesses are not looked at for ever");
    // Neither the right token nor clients suffer from it.
    assert_eq!(request("GET", &format!("{}/api/v1/status", proxy.http()), &[right]), 200);
    assert_eq!(proxy.sql("SELECT 1"), "1", "nothing was paused");
    let events = ureq::get(format!("{}/api/v1/events", proxy.http()))
        .header(right.0, right.1)
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    assert!(events.contains("wrong token"), "{events}");
    assert!(events.matches("wrong token").count() <= 6, "one note a minute, not one a guess");
    let log = proxy.log();
    proxy.kill();
    assert!(!events.contains("s3cret") && !log.contains("s3cret"), "the token is told nowhere");
}

#[test]
fn numbers_come_in_the_form_prometheus_wants() {
    let proxy = Proxy::direct();
    proxy.sql("SELECT 1");
    let text = ureq::get(format!("{}/metrics", proxy.http()))
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    for name in ["crossfade_query_duration_seconds", "crossfade_writer_wait_seconds"] {
        assert!(!text.contains(&format!("# TYPE {name} summary")), "{name}");
    }
    for sample in [
        "crossfade_query_duration_seconds_bucket{backend=\"sqlite\",kind=\"read\",le=\"0.001\"}",
        "crossfade_config_limit{name=\"mirror.journal_bytes_max\"} 1",
        "crossfade_sessions{state=\"idle\"}",
        "crossfade_build_info{version=",
    ] {
        assert!(text.contains(sample), "{sample}\n{text}");
    }
}
