//! Turning answers into text: aligned columns, no colour as the only signal.

use super::paint::Paint;
use crate::control::{Gate, GateKind, Status, Task};
use crate::count::counted;
use crate::divergence::{Group, GroupState};

/// Columns padded to their widest cell.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    lines(header, rows, &Paint(false), |_| false)
}

/// The same; lines that need somebody stand out.
fn lines(
    header: &[&str],
    rows: &[Vec<String>],
    paint: &Paint,
    stands_out: impl Fn(usize) -> bool,
) -> String {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|r| r.get(column))
            .chain(std::iter::once(&header[column].to_owned()))
            .map(|c| c.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut out = paint.dim(&line(header.to_vec()));
    out.push('\n');
    for (number, row) in rows.iter().enumerate() {
        let text = line(row.iter().map(String::as_str).collect());
        out.push_str(&if stands_out(number) { paint.bad(&text) } else { text });
        out.push('\n');
    }
    out
}

fn or_unknown<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |v| v.to_string())
}

/// The status, one screen.
pub(super) fn status(s: &Status, colours: bool) -> String {
    let paint = Paint(colours);
    let mut out = String::new();
    let mut line = |name: &str, text: String| {
        let name = paint.dim(&format!("{name:<10}"));
        out.push_str(&format!("{name} {text}\n"));
    };
    let shadow = s.shadow.as_deref().unwrap_or("none");
    line(
        "phase",
        format!(
            "{} primary {}   shadow {shadow}   epoch {}",
            paint.bold(&format!("{:<14}", s.phase)),
            s.primary,
            s.epoch
        ),
    );
    let lag = match (&s.shadow, s.lag_commits) {
        (None, _) => "none to follow".to_owned(),
        (Some(_), None) => "unknown".to_owned(),
        (Some(_), Some(commits)) => {
            format!("{} ({} ms)", counted(commits, "commit"), or_unknown(s.lag_ms))
        }
    };
    let reason = s.reason.as_deref().map(|r| format!(" ({r})")).unwrap_or_default();
    let health = match s.health.as_str() {
        "ok" => paint.good(&s.health),
        other => paint.bad(other),
    };
    let lag = if s.way_back.is_some() { String::new() } else { format!("   lag {lag}") };
    line("health", format!("{health}{reason}{lag}   sessions {}", s.sessions));
    line(
        "position",
        match (&s.shadow, &s.way_back) {
            // Nobody applies: the position is where SQLite's own reign ended.
            (None, _) | (_, Some(_)) => {
                format!("{}   journal {} bytes", s.position, s.journal_bytes)
            }
            _ => format!(
                "{}   applied {}   journal {} bytes",
                s.position,
                or_unknown(s.applied),
                s.journal_bytes
            ),
        },
    );
    line(
        "compared",
        format!(
            "{}   open divergences {}   not compared {}",
            s.compared, s.diverged_open, s.skipped
        ),
    );
    let coverage = s.coverage.map(|c| format!("{:.1} %", c * 100.0));
    let at = s.verified.at.as_deref().map(|at| format!(" since {at}")).unwrap_or_default();
    line("verified", format!("{}{at}   coverage {}", s.verified.state, or_unknown(coverage)));
    match &s.way_back {
        // Nothing is to be promoted any more.
        Some(way_back) => line("way back", way_back.clone()),
        None if s.gates == 0 => line("gates", "none: no PostgreSQL is attached".to_owned()),
        None => line("gates", format!("{} of {} ok", s.gates_ok, s.gates)),
    }
    for session in &s.immovable {
        line("cannot move", session.clone());
    }
    for next in &s.next {
        line("next:", next.clone());
    }
    out
}

/// The gates, failing first.
pub(super) fn gates(gates: &[Gate], colours: bool) -> String {
    let mut sorted: Vec<&Gate> = gates.iter().collect();
    sorted.sort_by_key(|g| (g.ok, g.kind == GateKind::Warning));
    let rows: Vec<Vec<String>> = sorted
        .iter()
        .map(|g| {
            let (state, kind) = match g.kind {
                GateKind::Warning => (if g.ok { "ok" } else { "warning" }, "warning"),
                GateKind::Required => (if g.ok { "ok" } else { "NOT MET" }, "required"),
                GateKind::Override => (if g.ok { "ok" } else { "NOT MET" }, "override"),
            };
            let [name, found, limit, why] =
                [&g.name, &g.actual, &g.limit, &g.reason].map(Clone::clone);
            vec![name, state.into(), kind.into(), found, limit, why]
        })
        .collect();
    let header = ["GATE", "STATE", "KIND", "FOUND", "LIMIT", "WHY"];
    let refuses = |at: usize| sorted.get(at).is_some_and(|g| g.refuses(&[]));
    lines(&header, &rows, &Paint(colours), refuses)
}

/// One line for each step.
pub(super) fn steps(task: &Task, from: usize) -> String {
    let mut out = String::new();
    for step in task.steps.iter().skip(from) {
        let time = if step.ms >= 1000.0 {
            format!("{:.1} s", step.ms / 1000.0)
        } else {
            format!("{:.1} ms", step.ms)
        };
        let text = format!("{:>3}  {:<51} {time:>10}   {}", step.number, step.text, step.detail);
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

/// Divergence groups.
pub(super) fn divergences(groups: &[Group], colours: bool) -> String {
    let rows: Vec<Vec<String>> = groups
        .iter()
        .map(|g| {
            let state = serde_json::to_value(g.state).unwrap_or_default();
            let statement: String = if g.fingerprint.is_empty() {
                format!("(verify) {}", g.columns.join(", "))
            } else {
                g.fingerprint.chars().take(60).collect()
            };
            vec![
                g.id.clone(),
                g.class.clone(),
                g.table.clone().unwrap_or_default(),
                g.count.to_string(),
                g.last_at.chars().take(19).collect(),
                state.as_str().unwrap_or("").to_owned(),
                statement,
            ]
        })
        .collect();
    let header = ["ID", "CLASS", "TABLE", "COUNT", "LAST", "STATE", "STATEMENT"];
    let open = |at: usize| groups.get(at).is_some_and(|g| g.state == GroupState::Open);
    lines(&header, &rows, &Paint(colours), open)
}

/// One group with its samples.
pub(super) fn divergence(group: &Group, colours: bool) -> String {
    let show = |v: &Option<String>| v.clone().unwrap_or_else(|| "NULL".to_owned());
    let mut out = divergences(std::slice::from_ref(group), colours);
    for (number, sample) in group.samples.iter().enumerate() {
        let key: Vec<String> =
            sample.key.iter().map(|(c, v)| format!("{c} = {}", show(v))).collect();
        out.push_str(&format!(
            "\nsample {}  at {}  position {}  {}\n  key      {}\n",
            number + 1,
            sample.at,
            sample.position_primary,
            sample.message,
            key.join(", ")
        ));
        for (at, column) in sample.columns.iter().enumerate() {
            let value =
                |side: &[Option<String>]| side.get(at).map_or_else(|| "(no row)".into(), show);
            out.push_str(&format!(
                "  {column:<8} primary {}   shadow {}\n",
                value(&sample.primary),
                value(&sample.shadow)
            ));
        }
        for one in sample.shortened.iter().filter(|one| one.bytes > 0) {
            let apart = one.differs_at.map(|at| format!("; the sides differ from byte {at} on"));
            out.push_str(&format!(
                "  {} {} is longer than is kept: {} bytes{}\n",
                one.field,
                one.index + 1,
                one.bytes,
                apart.unwrap_or_default()
            ));
        }
        for (side, code) in
            [("primary", &sample.primary_sqlstate), ("shadow", &sample.shadow_sqlstate)]
        {
            if let Some(code) = code {
                out.push_str(&format!("  {side} failed with {code}\n"));
            }
        }
        for (side, sql) in [("sqlite", &sample.sqlite_sql), ("postgres", &sample.postgres_sql)] {
            if let Some(sql) = sql {
                out.push_str(&format!("  {side}: {sql}\n"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align() {
        let rows = vec![vec!["long name".to_owned(), "1".to_owned()]];
        assert_eq!(table(&["A", "B"], &rows), "A          B\nlong name  1\n");
    }

    #[test]
    fn colours_are_never_the_only_signal() {
        let gate = |name: &str, ok| Gate {
            name: name.to_owned(),
            ok,
            actual: "1".to_owned(),
            limit: "0".to_owned(),
            kind: GateKind::Required,
            reason: "why".to_owned(),
        };
        let list = [gate("lag", true), gate("verified", false)];
        let (plain, painted) = (gates(&list, false), gates(&list, true));
        assert!(!plain.contains('\x1b') && painted.contains("\x1b[1;31mverified  NOT MET"));
        let stripped = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
        assert_eq!(stripped.replace_all(&painted, ""), plain);
    }
}
