//! The report as one page: no script, no address of anybody else, data as text only.

use std::fmt::Write as _;

use super::{SECTIONS, by_rule, looked, place, seconds, size};
use crate::assess::{Finding, Report, Severity};

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--dim:#777}\
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.6rem}h2{font-size:1.25rem;margin-top:2.5rem}h3{font-size:1rem;margin:1.5rem 0 .3rem}\
table{border-collapse:collapse;width:100%;font-size:.9rem}\
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid var(--line)}\
.grade{display:inline-block;font-size:2.2rem;font-weight:700;border:3px solid;border-radius:.5rem;\
padding:0 .9rem;margin-right:1rem}.A{color:#2a7}.B{color:#c80}.C{color:#c33}\
.dim{color:var(--dim)}code,pre{font:.85rem/1.45 ui-monospace,monospace}\
pre{overflow-x:auto;padding:.8rem;border:1px solid var(--line);border-radius:.4rem}\
.scroll{overflow-x:auto}nav a{margin-right:1rem}";

/// The report as HTML.
pub fn html(report: &Report) -> String {
    let mut out = String::new();
    let title = format!("Crossfade: {}", report.file.path);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{}</title><style>{STYLE}</style></head><body>\n<h1>{}</h1>\n",
        escaped(&title),
        escaped(&report.file.path)
    );
    summary(report, &mut out);
    for (severity, heading) in SECTIONS {
        section(report, severity, heading, &mut out);
    }
    needs(report, &mut out);
    columns(report, &mut out);
    ddl(report, &mut out);
    out.push_str("</body></html>\n");
    out
}

/// Text that cannot be anything but text.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

fn anchor(severity: Severity) -> &'static str {
    match severity {
        Severity::Blocking => "blocking",
        Severity::Rewrite => "rewrite",
        Severity::Decision => "decide",
        Severity::Info => "info",
    }
}

fn summary(report: &Report, out: &mut String) {
    let estimate = &report.estimate;
    let _ = write!(
        out,
        "<p><span class=\"grade {0:?}\">{0:?}</span> {1}.</p>\n<p>{2}. The copy takes {3} to {4} \
         and about {5} of PostgreSQL's disk <span class=\"dim\">({6})</span>.</p>\n<nav>",
        report.grade,
        escaped(report.grade.text()),
        escaped(&looked(report)),
        seconds(estimate.seconds_low),
        seconds(estimate.seconds_high),
        size(estimate.disk_bytes),
        escaped(&estimate.basis)
    );
    for (severity, heading) in SECTIONS {
        let count = report.count(severity);
        if count > 0 {
            let _ = write!(out, "<a href=\"#{}\">{heading} ({count})</a>", anchor(severity));
        }
    }
    out.push_str(
        "<a href=\"#needs\">PostgreSQL</a><a href=\"#columns\">Columns</a>\
         <a href=\"#ddl\">DDL</a></nav>\n",
    );
}

fn section(report: &Report, severity: Severity, heading: &str, out: &mut String) {
    let groups = by_rule(&report.findings, severity);
    if groups.is_empty() {
        return;
    }
    let _ = writeln!(out, "<h2 id=\"{}\">{heading}</h2>", anchor(severity));
    for group in groups {
        let Some(first) = group.first() else { continue };
        let _ = writeln!(
            out,
            "<h3><code>{}</code> {}</h3>\n<p>{}</p>\n<div class=\"scroll\"><table><tr>\
             <th>where</th><th>what</th><th>examples</th><th>in proxy.toml for something else\
             </th></tr>",
            first.id,
            escaped(first.title),
            escaped(first.does)
        );
        for finding in &group {
            row(finding, out);
        }
        out.push_str("</table></div>\n");
    }
}

fn row(finding: &Finding, out: &mut String) {
    let mut what = escaped(&finding.message);
    for class in &finding.classes {
        let mark = if class.fits { "" } else { " (does not fit)" };
        let _ = write!(
            what,
            "<br><span class=\"dim\">{} {}{mark}: {}</span>",
            class.rows,
            escaped(class.class),
            escaped(&class.examples.join(", "))
        );
    }
    let over = finding
        .over
        .as_deref()
        .map_or(String::new(), |o| format!("<code>{}</code>", escaped(o).replace('\n', "<br>")));
    let _ = writeln!(
        out,
        "<tr><td><code>{}</code></td><td>{what}</td><td>{}</td><td>{over}</td></tr>",
        escaped(&place(finding)),
        escaped(&finding.examples.join(", "))
    );
}

fn needs(report: &Report, out: &mut String) {
    out.push_str("<h2 id=\"needs\">What PostgreSQL needs</h2>\n<div class=\"scroll\"><table><tr><th>name</th><th>wanted</th><th>found</th><th>state</th><th>why</th></tr>\n");
    for need in &report.needs {
        let state = match need.ok {
            None => "not asked",
            Some(true) => "ok",
            Some(false) if need.required => "missing",
            Some(false) => "works less well",
        };
        let _ = writeln!(
            out,
            "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{state}</td><td>{}</td></tr>",
            need.name,
            escaped(&need.wanted),
            escaped(need.found.as_deref().unwrap_or("")),
            escaped(need.why)
        );
    }
    out.push_str("</table></div>\n");
}

fn columns(report: &Report, out: &mut String) {
    out.push_str("<h2 id=\"columns\">Columns</h2>\n<div class=\"scroll\"><table><tr><th>table</th><th>column</th><th>declared</th><th>type on PostgreSQL</th><th>stored as</th></tr>\n");
    for column in &report.columns {
        let null = if column.not_null { " NOT NULL" } else { "" };
        let _ = writeln!(
            out,
            "<tr><td><code>{}</code></td><td><code>{}</code></td><td>{}</td><td>{}{null}</td>\
             <td>{}</td></tr>",
            escaped(&column.table),
            escaped(&column.column),
            escaped(&column.declared),
            escaped(&column.type_name),
            column.stored
        );
    }
    out.push_str("</table></div>\n");
}

fn ddl(report: &Report, out: &mut String) {
    out.push_str("<h2 id=\"ddl\">What backfill would run</h2>\n<pre>");
    for statement in &report.ddl {
        let _ = writeln!(out, "{};", escaped(&statement.sql));
    }
    out.push_str("</pre>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_text() {
        assert_eq!(escaped("<b a='\"'>&\u{1}"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;\u{fffd}");
    }
}
