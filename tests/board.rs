//! Board and alerts name what exists: metrics of the contract, headings of the runbook.

use std::path::Path;
use std::process::{Command, Stdio};

use crossfade::telemetry::names::METRICS;
use serde_json::Value;

use crate::common::{Journey, Pg, promtool};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Words that begin as metrics do.
fn named(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("crossfade_") && *word != "crossfade_token")
        .collect()
}

/// Whether `/metrics` has a sample of this name.
fn exists(name: &str) -> bool {
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
    METRICS.iter().any(|m| m.name == name || Some(m.name) == base)
}

#[test]
fn the_board_is_five_rows_of_metrics_that_exist() {
    let text = read("docker/grafana/dashboards/crossfade.json");
    let board: Value = serde_json::from_str(&text).unwrap();
    let mut rows: Vec<usize> = Vec::new();
    for panel in board["panels"].as_array().unwrap() {
        if panel["type"] == "row" {
            rows.push(0);
        } else {
            *rows.last_mut().unwrap() += 1;
        }
    }
    assert_eq!(rows.len(), 5);
    assert!(rows.iter().all(|panels| (1..=4).contains(panels)), "{rows:?}");
    let names = named(&text);
    assert!(names.len() > 20);
    let unknown: Vec<_> = names.iter().filter(|n| !exists(n)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn alerts_name_metrics_and_headings_that_exist() {
    let text = read("docker/alerts.yml");
    let unknown: Vec<_> = named(&text).into_iter().filter(|n| !exists(n)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let runbook = read("docs/runbook.md");
    let headings: Vec<String> = runbook
        .lines()
        .filter_map(|l| l.strip_prefix("## "))
        .map(|l| l.to_lowercase().replace(' ', "-"))
        .collect();
    let links: Vec<&str> =
        text.lines().filter_map(|l| l.trim().strip_prefix("runbook_url: ")).collect();
    assert_eq!(links.len(), text.matches("- alert: ").count(), "every alert has a link");
    for link in links {
        let heading = link.strip_prefix("docs/runbook.md#").unwrap_or_else(|| panic!("{link}"));
        assert!(headings.iter().any(|h| h == heading), "{link}");
    }
}

/// What a command says, which must be content.
fn content(mut command: Command) -> String {
    let output = command.output().expect("it runs");
    let text =
        [&output.stdout[..], &output.stderr].map(|out| String::from_utf8_lossy(out).into_owned());
    assert!(output.status.success(), "{command:?}:\n{}", text.concat());
    text.concat()
}

/// The numbers of a proxy that has copied, compared, diverged and refused, in Prometheus' eyes.
#[test]
fn prometheus_finds_nothing_wrong_with_the_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("app.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection.execute_batch("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)").unwrap();
    drop(connection);
    let journey = Journey::start(&file, Pg::shared(), &[]);
    journey.mirror();
    journey.proxy.sql("INSERT INTO t VALUES (1, 'x'); UPDATE t SET v = 'y'");
    journey.level();
    Pg::shared().cluster.psql(&journey.database, "UPDATE t SET v = 'z'").unwrap();
    assert_eq!(journey.order(&["verify"]).0, 1);
    let metrics = ureq::get(format!("{}/metrics", journey.proxy.http())).call().unwrap();
    let metrics = metrics.into_body().read_to_string().unwrap();
    let path = folder.path().join("metrics");
    std::fs::write(&path, &metrics).unwrap();
    let mut command = promtool();
    command.args(["check", "metrics"]).stdin(Stdio::from(std::fs::File::open(&path).unwrap()));
    assert_eq!(content(command), "", "not even a remark");
    assert!(metrics.lines().filter(|l| l.starts_with("# HELP ")).count() > 20, "{metrics}");
}

/// Alerts fire on what they are for, and on nothing else.
#[test]
fn prometheus_takes_configuration_and_alerts() {
    let docker = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker");
    let mut command = promtool();
    command.args(["check", "rules"]).arg(docker.join("alerts.yml"));
    let count = read("docker/alerts.yml").matches("- alert: ").count();
    assert!(content(command).contains(&format!("{count} rules found")));
    let tests = read("docker/alerts_test.yml");
    let (quiet, loud) = tests.split_once("everything at once").unwrap();
    for alert in
        read("docker/alerts.yml").lines().filter_map(|l| l.trim().strip_prefix("- alert: "))
    {
        assert!(quiet.contains(&format!("alertname: {alert}}}")), "{alert} is not tested");
        assert!(loud.contains(&format!("alertname=\"{alert}\"")), "{alert} is not tested");
    }
    let mut command = promtool();
    command.args(["test", "rules"]).arg(docker.join("alerts_test.yml"));
    content(command);
    // The paths are those of the container.
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "t").unwrap();
    let text = read("docker/prometheus.yml")
        .replace("/etc/prometheus/alerts.yml", docker.join("alerts.yml").to_str().unwrap())
        .replace("/run/secrets/crossfade_token", token.to_str().unwrap());
    let path = folder.path().join("prometheus.yml");
    std::fs::write(&path, text).unwrap();
    let mut command = promtool();
    command.args(["check", "config"]).arg(&path);
    content(command);
}

/// Where there is an engine's client with Compose, it reads the file as we do.
#[test]
fn compose_takes_its_file() {
    let compose = || {
        let mut command = Command::new("docker");
        command.arg("compose");
        command
    };
    let mut version = compose();
    if !version.arg("version").output().is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: docker compose is not here");
        return;
    }
    let mut command = compose();
    for name in ["APP_PASSWORD", "POSTGRES_PASSWORD", "CROSSFADE_TOKEN", "GRAFANA_PASSWORD"] {
        command.env(name, "x");
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker/compose.yaml");
    command.arg("-f").arg(file).args(["config", "--quiet"]);
    content(command);
}

#[test]
fn what_compose_mounts_is_there() {
    let text = read("docker/compose.yaml");
    let mounts = text.lines().filter_map(|l| l.trim().strip_prefix("- ./")?.split(':').next());
    for mount in mounts.filter(|m| *m != "data") {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker").join(mount);
        assert!(path.exists(), "docker/{mount}");
    }
}
