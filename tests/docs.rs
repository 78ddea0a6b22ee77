//! The documents say what the code says: generated, or checked name by name.
//!
//! `UPDATE_DOCS=1 cargo test --test it docs` writes the generated ones anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory as _};
use crossfade::cli::Cli;
use crossfade::telemetry::names::{CLASSES, GATES, Kind, METRICS, SKIP_REASONS, VERDICTS};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Compares a generated document with the file, or writes it.
fn generated(path: &str, text: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(root().join(path), text).unwrap();
    }
    let hint = "run: UPDATE_DOCS=1 cargo test --test it docs";
    assert!(read(path) == text, "{path} is not what the code says; {hint}");
}

fn flag(arg: &Arg) -> String {
    let values: Vec<&str> =
        arg.get_value_names().unwrap_or(&[]).iter().map(clap::builder::Str::as_str).collect();
    let value = values.join(" ");
    let takes = arg.get_action().takes_values();
    match arg.get_long() {
        Some(long) if takes => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
        None => value,
    }
}

fn flags(command: &Command) -> String {
    let mut out = String::new();
    for arg in command.get_arguments() {
        if arg.is_hide_set() || ["help", "version"].contains(&arg.get_id().as_str()) {
            continue;
        }
        if out.is_empty() {
            out.push_str("\n| flag | meaning |\n|---|---|\n");
        }
        let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        if let Some(env) = arg.get_env().and_then(|e| e.to_str()) {
            let _ = write!(help, " (environment: `{env}`)");
        }
        let _ =
            writeln!(out, "| `{}` | {} |", flag(arg).replace('|', "\\|"), help.replace('|', "\\|"));
    }
    out
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

const CLI_HEAD: &str = "# Command line

Made from the code by `UPDATE_DOCS=1 cargo test --test it docs`; a test keeps it so.

Data goes to stdout, talk to stderr. Verbs other than `run`, `check`, `assess`, `translate`, `demo`,
`completions`, `init`, `man` and `version` ask the running proxy over its HTTP interface: `--admin-url`,
else `CROSSFADE_ADMIN_URL`, else the address in proxy.toml, else `http://127.0.0.1:9433`. The token of
an interface that wants one is taken from `CROSSFADE_TOKEN`, else from the file that proxy.toml names;
`https` trusts `CROSSFADE_ADMIN_CA` ([security.md](security.md)).

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | ran, and the answer is no: divergences are open, verify found differences, assess found something in the way, a gate would refuse |
| 2 | usage or configuration |
| 3 | the proxy or a back end cannot be reached |
| 4 | refused by a gate; nothing was changed |
| 5 | a switch was attempted and undone |
| 70 | a fault of Crossfade |
| 130 | interrupted |

What `--json` prints is a contract: [cli-json.md](cli-json.md). `promote`, `rollback` and `complete`
ask before they act, and need `--yes` without a terminal. Ctrl-C ends the verb, never the order: that
runs on in the proxy, and the verb says so. Colours are for terminals; `NO_COLOR` switches them off.

`crossfade completions SHELL` prints a completion script, `crossfade man FOLDER` writes the manual
pages. psql is taken from `CROSSFADE_PG_BIN`, else from the path.
";

#[test]
fn cli_md_is_the_command_line() {
    let mut text = CLI_HEAD.to_owned();
    for verb in Cli::command().get_subcommands() {
        if verb.get_name() == "help" || verb.is_hide_set() {
            continue;
        }
        let _ =
            write!(text, "\n## crossfade {}\n\n{}.\n{}", verb.get_name(), about(verb), flags(verb));
        for action in verb.get_subcommands().filter(|c| c.get_name() != "help") {
            let name = format!("{} {}", verb.get_name(), action.get_name());
            let _ = write!(text, "\n### crossfade {name}\n\n{}.\n{}", about(action), flags(action));
        }
    }
    generated("docs/cli.md", &text);
}

const ASSESS_HEAD: &str = "# What `crossfade assess` finds

Made from the code by `UPDATE_DOCS=1 cargo test --test it docs`; a test keeps it so.

`crossfade assess app.db` reads a SQLite file, never writes to it, and says what stands between it
and PostgreSQL. The application or a proxy may have it open: without a write-ahead log no lock is
held for longer than a few thousand rows take to read. It looks at 500,000 rows of a table at most
(`--rows`), spread over the whole table, and for 60 seconds at most (`--time-limit`); a finding
that does not rest on every row says so.

The grade: **A** nothing to decide, **B** some decisions, **C** something must be written by hand
or is in the way. The exit code is 1 when something is in the way of the copy.

`--json` prints a report of `version` 1 whose fields are only ever added: `grade`, `blocking`,
`file`, `looked`, `findings`, `tables`, `columns`, `estimate`, `postgres_asked`, `needs`, `ddl`,
`next`. A finding has `id`, `title`, `severity` (`blocking`, `rewrite`, `decision`, `info`),
`table`, `column`, `object`, `message`, `does`, `override`, `classes` (`class`, `rows`, `examples`,
`fits`), `rows`, `examples`, `sampled`. Examples are keys of rows, never their values.

`--ddl` prints what the copy runs, whole: tables with their partitions, keys, indexes, constraints,
views, triggers. `psql -f` of it on an empty database makes the schema of the copy (name the server
with `--postgres`: where it does not sort by bytes, columns of text get a collation that does). What
is `NOT VALID` after a copy, because rows break it, is valid there.

What PostgreSQL cannot have of the file's own declarations is a finding, a line `missing` in the
table that closes a copy, and, where PostgreSQL would hold rows to less or do less by itself, an
open divergence `schema_drift`: it holds the gate `divergences` until somebody writes the object
there under its own name, or accepts that there is none (`crossfade divergences accept d1 --reason
'…'`).

What Crossfade does about a finding is in the table. For something else, write the finding's
`override` into proxy.toml ([configuration](configuration.md#tablesname)); the proxy, the copy and
`assess --config proxy.toml` follow it alike.
";

#[test]
fn assess_md_is_every_rule() {
    let mut text = ASSESS_HEAD.to_owned();
    for (group, rules) in crossfade::assess::rules::GROUPS {
        let head = "| id | what | asks | what Crossfade does |\n|---|---|---|---|\n";
        let _ = write!(text, "\n## {group}\n\n{head}");
        for rule in *rules {
            let asks = format!("{:?}", rule.severity).to_lowercase();
            let _ = writeln!(text, "| {} | {} | {asks} | {} |", rule.id, rule.title, rule.does);
        }
    }
    generated("docs/assess.md", &text);
    // A rule that no list names would be found and nowhere explained.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/assess/rules");
    for file in std::fs::read_dir(folder).unwrap() {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for id in source.split("id: \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(text.contains(&format!("| {id} |")), "{id} is in no list");
        }
    }
}

const METRICS_HEAD: &str = "# Metrics

Made from the code by `UPDATE_DOCS=1 cargo test --test it docs`; a test keeps it so.

`GET /metrics` answers in Prometheus' text format. Units are base units (seconds, bytes); only
counters end in `_total`. Labels are bounded: never a row, never SQL text. Every bounded label set
starts at 0, so rates and alerts work from the first scrape. NaN means unknown; it is never
written as 0.

| metric | kind | meaning | labels |
|---|---|---|---|
";

const METRICS_TAIL: &str = "
## Alerts and a board

`docker/alerts.yml` holds alerts for Prometheus, each with a link to a heading of the
[runbook](runbook.md); `docker/grafana/dashboards/crossfade.json` is a board of five rows: *Can we
switch?*, *Users*, *Mirror*, *Comparison*, *Back ends*. `docker/compose.yaml` starts both. A test
holds every name in them against this list.
";

#[test]
fn metrics_md_is_every_metric() {
    let mut text = METRICS_HEAD.to_owned();
    for metric in METRICS {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|(name, values)| match *name {
                "version" => "`version`".to_owned(),
                _ if values.is_empty() => format!("`{name}` (open)"),
                _ => {
                    let values: Vec<String> = values.iter().map(|v| format!("`{v}`")).collect();
                    format!("`{name}`: {}", values.join(" "))
                }
            })
            .collect();
        let _ = writeln!(
            text,
            "| `{}` | {kind} | {} | {} |",
            metric.name,
            metric.help,
            labels.join("; ")
        );
    }
    text.push_str(METRICS_TAIL);
    generated("docs/metrics.md", &text);
}

/// The paths in `.route("…", …)` of a source file.
fn routes(source: &str) -> Vec<String> {
    source
        .split(".route(")
        .skip(1)
        .filter_map(|rest| rest.split('"').nth(1).map(str::to_owned))
        .collect()
}

#[test]
fn http_api_md_names_every_route() {
    let document = read("docs/http-api.md");
    let mut found = routes(&read("src/http/mod.rs"));
    found.extend(routes(&read("src/http/api.rs")));
    assert!(found.len() > 10, "the routes were found");
    // One route for all orders; each is looked for by name.
    found.retain(|route| route != "/api/v1/{verb}");
    for verb in [
        "backfill", "verify", "repair", "pause", "resume", "promote", "rollback", "complete",
        "reload",
    ] {
        let command = crossfade::control::Command::from_verb(verb, Default::default());
        assert!(command.is_some(), "{verb} is a verb");
        found.push(format!("/api/v1/{verb}"));
    }
    let missing: Vec<_> = found.iter().filter(|r| !document.contains(&format!("`{r}"))).collect();
    assert!(missing.is_empty(), "docs/http-api.md does not name {missing:?}");
}

#[test]
fn words_of_the_contract_are_explained() {
    let document = read("docs/consistency.md");
    for word in CLASSES.iter().chain(VERDICTS).chain(SKIP_REASONS) {
        assert!(document.contains(&format!("`{word}`")), "docs/consistency.md: {word}");
    }
    let runbook = read("docs/runbook.md");
    for gate in GATES {
        assert!(runbook.contains(&format!("`{gate}`")), "docs/runbook.md: gate {gate}");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut files: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
            .map(|f| root().join(f))
            .into();
    for folder in ["docs", "docs/decisions", "examples"] {
        files.extend(fs::read_dir(root().join(folder)).unwrap().map(|e| e.unwrap().path()));
    }
    let mut problems = Vec::new();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(file).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => file.clone(),
                _ => file.parent().unwrap().join(path),
            };
            let Ok(content) = fs::read_to_string(&target)
                .or_else(|e| if target.is_dir() { Ok(String::new()) } else { Err(e) })
            else {
                problems.push(format!("{}: {link}", file.display()));
                continue;
            };
            let anchors = content.lines().filter(|l| l.starts_with('#')).map(anchor_of);
            if !anchor.is_empty() && !anchors.into_iter().any(|a| a == anchor) {
                problems.push(format!("{}: no heading for {link}", file.display()));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// Files move; the map moves with them.
#[test]
fn files_that_the_map_names_are_there() {
    let map = read("ARCHITECTURE.md");
    let named =
        map.split('`').filter(|word| word.starts_with("src/") || word.starts_with("tests/"));
    let named: Vec<&str> = named.collect();
    assert!(named.len() > 30, "the map names files");
    let missing: Vec<_> = named.iter().filter(|path| !root().join(path).exists()).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names {missing:?}");
}

/// A heading's anchor, as the usual renderers make it.
fn anchor_of(heading: &str) -> String {
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// One page each, and each on the list with its own title.
#[test]
fn decisions_are_listed_and_short() {
    let list = read("docs/decisions/README.md");
    let mut names: Vec<String> = fs::read_dir(root().join("docs/decisions"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    names.sort();
    for (at, name) in names.iter().enumerate() {
        let text = read(&format!("docs/decisions/{name}"));
        let number = format!("{:04}", at + 1);
        let title = text.lines().next().unwrap().strip_prefix(&format!("# {number}: "));
        let title = title.unwrap_or_else(|| panic!("{name}: the first line is # {number}: title"));
        assert!(list.contains(&format!("| [{number}]({name}) | {title} |")), "{name}: not listed");
        assert!(text.lines().count() <= 50, "{name} is more than a page");
        for part in ["**Decided.**", "**Why.**", "**What it costs.**", "**Think again**"] {
            assert!(text.contains(part), "{name}: {part}");
        }
    }
    assert_eq!(list.matches("](0").count(), names.len(), "the list names what is there");
}

#[test]
fn the_readme_is_short() {
    assert!(read("README.md").lines().count() < 250);
}

#[test]
fn every_pitfall_names_tests_that_exist() {
    let text = std::fs::read_to_string("docs/consistency.md").unwrap();
    let section = text.split("## The pitfalls of shadowing").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<&str> =
        section.lines().filter(|l| l.starts_with("| ") && !l.starts_with("| #")).collect();
    assert_eq!(rows.len(), 48);
    let mut sources = String::new();
    let mut folders = vec![std::path::PathBuf::from("src"), std::path::PathBuf::from("tests")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                sources.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    for row in rows {
        let words: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        let tests =
            words.iter().filter(|w| w.contains('_') && !w.contains(' ') && **w != "way_back");
        let mut named = 0;
        for test in tests {
            assert!(sources.contains(&format!("fn {test}(")), "{row}: there is no {test}");
            named += 1;
        }
        assert!(named > 0, "{row}");
    }
}

/// The names of all tests of this repository.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root().join("src"), root().join("tests")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(path).unwrap();
                let marked = |mark| text.split(mark).skip(1);
                for rest in marked("#[test]").chain(marked("#[tokio::test")) {
                    let name = rest.split("fn ").nth(1).and_then(|r| r.split('(').next());
                    found.extend(name.map(str::to_owned));
                }
            }
        }
    }
    found
}

#[test]
fn what_clients_rely_on_names_tests_that_exist() {
    let text = read("docs/compatibility.md");
    let section = text.split("## What clients rely on").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<&str> = section.lines().filter(|l| l.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 25, "{} behaviours", rows.len());
    let tests = tests();
    for row in rows {
        let held = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let named: Vec<&str> = held.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "nothing holds {row}");
        let missing: Vec<_> = named.iter().filter(|name| !tests.contains(**name)).collect();
        assert!(missing.is_empty(), "{row}: there is no test {missing:?}");
    }
}
