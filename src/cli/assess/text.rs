//! The report for terminals: aligned, grouped by what it asks, colours only where asked for.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{SECTIONS, by_rule, looked, place, seconds, size};
use crate::assess::{Finding, Report, Severity};
use crate::cli::paint::Paint;
use crate::cli::table;
use crate::count::counted;

/// Findings of one rule that are printed.
const LINES: usize = 12;
/// Columns of a line.
const WIDTH: usize = 100;

fn painted(paint: &Paint, severity: Severity, text: &str) -> String {
    let code = match severity {
        Severity::Blocking => "1;31",
        Severity::Rewrite => "1;35",
        Severity::Decision => "1;33",
        Severity::Info => "1;36",
    };
    paint.code(code, text)
}

/// The report as text.
pub fn text(report: &Report, colours: bool) -> String {
    let paint = Paint(colours);
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(paint.bold(&format!(
        "{}: grade {:?}, {}",
        report.file.path,
        report.grade,
        report.grade.text()
    )));
    line(looked(report));
    let estimate = &report.estimate;
    line(format!(
        "copy: {} to {}; about {} on PostgreSQL ({})",
        seconds(estimate.seconds_low),
        seconds(estimate.seconds_high),
        size(estimate.disk_bytes),
        estimate.basis
    ));
    for (severity, heading) in SECTIONS {
        let groups = by_rule(&report.findings, severity);
        if groups.is_empty() {
            continue;
        }
        let count = groups.iter().map(Vec::len).sum::<usize>();
        line(String::new());
        line(painted(&paint, severity, &format!("{heading} ({count})")));
        for group in groups {
            rule(&group, &paint, &mut line);
        }
    }
    overrides(report, &paint, &mut line);
    needs(report, &paint, &mut line);
    line(String::new());
    line(format!(
        "backfill would run {}: crossfade assess --ddl",
        counted(report.ddl.len(), "statement")
    ));
    out
}

fn rule(group: &[&Finding], paint: &Paint, line: &mut impl FnMut(String)) {
    let Some(first) = group.first() else { return };
    line(format!("{}  {}", paint.bold(first.id), first.title));
    for part in wrapped(first.does, WIDTH - 10) {
        line(format!("        {part}"));
    }
    let shown: Vec<&&Finding> = group.iter().take(LINES).collect();
    let width = shown.iter().map(|f| place(f).chars().count()).max().unwrap_or(0).min(40);
    for finding in shown {
        let place = place(finding);
        let pad = " ".repeat(width.saturating_sub(place.chars().count()));
        let mut message = finding.message.clone();
        if !finding.classes.is_empty()
            && let Some((head, _)) = message.split_once(": ")
        {
            message = head.to_owned();
        }
        if !finding.examples.is_empty() {
            let _ = write!(message, " (e.g. {})", finding.examples.join(", "));
        }
        if finding.sampled && finding.rows.is_some() {
            message.push_str(" [sampled]");
        }
        line(format!("    {place}{pad}  {message}"));
        for class in &finding.classes {
            let mark = if class.fits { "fits" } else { "does not fit" };
            line(format!(
                "        {:>8} {:<24} {mark:<13} e.g. {}",
                class.rows,
                class.class,
                class.examples.join(", ")
            ));
        }
    }
    if group.len() > LINES {
        line(format!("    and {} more (--json lists all)", group.len() - LINES));
    }
}

/// A text in lines of at most so many characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(last) = lines.last_mut() else { break };
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

/// Everything that could be written into proxy.toml, table by table.
fn overrides(report: &Report, paint: &Paint, line: &mut impl FnMut(String)) {
    let asked = |f: &&Finding| matches!(f.severity, Severity::Decision | Severity::Blocking);
    let merged = merge(report.findings.iter().filter(asked));
    if merged.is_empty() {
        return;
    }
    line(String::new());
    line(paint.bold("For something else than the above, in proxy.toml:"));
    for (section, entries) in merged {
        line(format!("    {section}"));
        for entry in entries {
            line(format!("    {entry}"));
        }
    }
}

/// Overrides by section; columns of one table in one line.
fn merge<'a>(findings: impl Iterator<Item = &'a Finding>) -> BTreeMap<String, Vec<String>> {
    let mut sections: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for text in findings.filter_map(|f| f.over.as_deref()) {
        let mut lines = text.lines();
        let section = lines.next().unwrap_or_default().to_owned();
        let entries = sections.entry(section).or_default();
        for entry in lines {
            let columns = |e: &str| {
                e.strip_prefix("columns = { ").and_then(|r| r.strip_suffix(" }")).map(str::to_owned)
            };
            let (Some(new), Some(old)) =
                (columns(entry), entries.iter_mut().find(|e| e.starts_with("columns = ")))
            else {
                if !entries.iter().any(|e| e == entry) {
                    entries.push(entry.to_owned());
                }
                continue;
            };
            let name = new.split(" = ").next().unwrap_or_default().to_owned();
            let known = columns(old).unwrap_or_default();
            let there = known.split(", ").any(|part| part.starts_with(&format!("{name} = ")));
            if !there {
                *old = format!("columns = {{ {known}, {new} }}");
            }
        }
    }
    sections
}

fn needs(report: &Report, paint: &Paint, line: &mut impl FnMut(String)) {
    line(String::new());
    line(paint.bold("What PostgreSQL needs"));
    let rows: Vec<Vec<String>> = report
        .needs
        .iter()
        .map(|need| {
            let state = match need.ok {
                None => "",
                Some(true) => "ok",
                Some(false) if need.required => "MISSING",
                Some(false) => "less well",
            };
            let found = need.found.clone().unwrap_or_default();
            vec![need.name.to_owned(), need.wanted.clone(), found, state.to_owned()]
        })
        .collect();
    for row in table(&["NAME", "WANTED", "FOUND", "STATE"], &rows).lines() {
        line(format!("    {row}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_wrapped() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("", 7), [""]);
    }
}
