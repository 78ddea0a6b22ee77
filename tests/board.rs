//! Board and alerts name what exists: metrics of the contract, headings of the runbook.

use std::path::Path;

use crossfade::telemetry::names::METRICS;
use serde_json::Value;

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

#[test]
fn what_compose_mounts_is_there() {
    let text = read("docker/compose.yaml");
    let mounts = text.lines().filter_map(|l| l.trim().strip_prefix("- ./")?.split(':').next());
    for mount in mounts.filter(|m| *m != "data") {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker").join(mount);
        assert!(path.exists(), "docker/{mount}");
    }
}
