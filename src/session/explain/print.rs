//! A plan as text, JSON, XML and YAML, as PostgreSQL prints its own.
//!
//! It must never add a number that was not measured. Start at [`text`] and [`facts`].

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Told;
use super::plan::Node;

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

/// One line for each row of the answer.
pub(super) fn text(told: &Told) -> Vec<String> {
    let after = match told.measured {
        None => String::new(),
        Some(found) if told.timeless => format!(" (actual rows={} loops=1)", found.rows),
        Some(found) => {
            let total = milliseconds(found.execution);
            format!(" (actual time={total:.3}..{total:.3} rows={} loops=1)", found.rows)
        }
    };
    let mut lines = Vec::new();
    text_of(&told.root, 0, &after, &mut lines);
    if let (Some(found), true) = (told.measured, told.summary) {
        lines.push(format!("Planning Time: {:.3} ms", milliseconds(found.planning)));
        lines.push(format!("Execution Time: {:.3} ms", milliseconds(found.execution)));
    }
    lines
}

fn text_of(node: &Node, depth: usize, after: &str, lines: &mut Vec<String>) {
    let mut indent = " ".repeat((6 * depth).saturating_sub(4));
    if let Some(name) = &node.subplan {
        lines.push(format!("{indent}{name}"));
        indent.push_str("  ");
    }
    let arrow = if depth > 0 { "->  " } else { "" };
    lines.push(format!("{indent}{arrow}{}{after}", node.title()));
    if let Some(condition) = &node.condition {
        lines.push(format!("{}Index Cond: {condition}", " ".repeat(2 + 6 * depth)));
    }
    node.inner.iter().for_each(|inner| text_of(inner, depth + 1, "", lines));
}

/// The properties of a node, in PostgreSQL's order, without those under it.
fn facts(node: &Node, told: Option<&Told>) -> Vec<(&'static str, Value)> {
    let mut facts: Vec<(&'static str, Value)> = vec![("Node Type", node.kind.as_str().into())];
    let mut add = |name: &'static str, value: Option<&str>| {
        facts.extend(value.map(|v| (name, v.into())));
    };
    add("Operation", node.operation);
    add("Parent Relationship", node.relationship);
    add("Subplan Name", node.subplan.as_deref());
    facts.push(("Parallel Aware", false.into()));
    facts.push(("Async Capable", false.into()));
    if node.kind == "Nested Loop" {
        facts.push(("Join Type", "Inner".into()));
    }
    if node.index.is_some() {
        facts.push(("Scan Direction", "Forward".into()));
    }
    let mut add = |name: &'static str, value: &Option<String>| {
        facts.extend(value.as_deref().map(|v| (name, v.into())));
    };
    add("Index Name", &node.index);
    add("Relation Name", &node.relation);
    add("Alias", &node.alias);
    if let Some(found) = told.and_then(|t| t.measured) {
        let timeless = told.is_some_and(|t| t.timeless);
        if !timeless {
            let total = milliseconds(found.execution);
            facts.push(("Actual Startup Time", json!(total)));
            facts.push(("Actual Total Time", json!(total)));
        }
        facts.push(("Actual Rows", found.rows.into()));
        facts.push(("Actual Loops", 1.into()));
    }
    if let Some(condition) = &node.condition {
        facts.push(("Index Cond", condition.as_str().into()));
    }
    facts
}

/// What stands beside the plan.
fn times(told: &Told) -> Vec<(&'static str, Value)> {
    let (Some(found), true) = (told.measured, told.summary) else { return Vec::new() };
    vec![
        ("Planning Time", json!(milliseconds(found.planning))),
        ("Execution Time", json!(milliseconds(found.execution))),
    ]
}

pub(super) fn json(told: &Told) -> String {
    let mut whole = Map::new();
    whole.insert("Plan".to_owned(), json_of(&told.root, Some(told)));
    for (name, value) in times(told) {
        whole.insert(name.to_owned(), value);
    }
    if told.measured.is_some() {
        whole.insert("Triggers".to_owned(), Value::Array(Vec::new()));
    }
    serde_json::to_string_pretty(&Value::Array(vec![whole.into()])).unwrap_or_default()
}

fn json_of(node: &Node, told: Option<&Told>) -> Value {
    let mut object = Map::new();
    for (name, value) in facts(node, told) {
        object.insert(name.to_owned(), value);
    }
    let inner: Vec<Value> = node.inner.iter().map(|inner| json_of(inner, None)).collect();
    if !inner.is_empty() {
        object.insert("Plans".to_owned(), inner.into());
    }
    object.into()
}

/// A value without JSON's quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn element(out: &mut String, indent: usize, name: &str, value: &Value) {
    let value = plain(value).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let name = name.replace(' ', "-");
    let _ = writeln!(out, "{}<{name}>{value}</{name}>", " ".repeat(indent));
}

pub(super) fn xml(told: &Told) -> String {
    let mut out =
        "<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n  <Query>\n".to_owned();
    xml_of(&told.root, Some(told), 4, &mut out);
    for (name, value) in times(told) {
        element(&mut out, 4, name, &value);
    }
    out + "  </Query>\n</explain>"
}

fn xml_of(node: &Node, told: Option<&Told>, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    let _ = writeln!(out, "{pad}<Plan>");
    for (name, value) in facts(node, told) {
        element(out, indent + 2, name, &value);
    }
    if !node.inner.is_empty() {
        let _ = writeln!(out, "{pad}  <Plans>");
        node.inner.iter().for_each(|inner| xml_of(inner, None, indent + 4, out));
        let _ = writeln!(out, "{pad}  </Plans>");
    }
    let _ = writeln!(out, "{pad}</Plan>");
}

pub(super) fn yaml(told: &Told) -> String {
    let mut out = "- Plan: \n    ".to_owned();
    yaml_of(&told.root, Some(told), 4, &mut out);
    for (name, value) in times(told) {
        let _ = write!(out, "\n  {name}: {value}");
    }
    out
}

fn yaml_of(node: &Node, told: Option<&Told>, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    for (at, (name, value)) in facts(node, told).into_iter().enumerate() {
        let start = if at == 0 { String::new() } else { format!("\n{pad}") };
        // JSON's strings are YAML's.
        let _ = write!(out, "{start}{name}: {value}");
    }
    if !node.inner.is_empty() {
        let _ = write!(out, "\n{pad}Plans: ");
    }
    for inner in &node.inner {
        let _ = write!(out, "\n{pad}  - ");
        yaml_of(inner, None, indent + 4, out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Line, tree};
    use super::*;

    fn told(lines: &[(usize, &str)], tables: &[&str]) -> Told {
        let lines: Vec<Line> = lines
            .iter()
            .map(|(depth, detail)| Line { depth: *depth, detail: (*detail).to_owned() })
            .collect();
        let root = tree(&lines, tables, None);
        Told { root, measured: None, timeless: false, summary: false }
    }

    #[test]
    fn plans_are_printed() {
        let told = told(
            &[
                (0, "SCAN a"),
                (0, "SEARCH b_2 USING INDEX b_x (x=?)"),
                (0, "CORRELATED SCALAR SUBQUERY 1"),
                (1, "SCAN c USING COVERING INDEX c_y"),
                (0, "USE TEMP B-TREE FOR ORDER BY"),
            ],
            &["a", "b", "c"],
        );
        let lines = [
            "Sort",
            "  SubPlan 1",
            "    ->  Index Only Scan using c_y on c",
            "  ->  Nested Loop",
            "        ->  Seq Scan on a",
            "        ->  Index Scan using b_x on b b_2",
            "              Index Cond: (x=?)",
        ];
        assert_eq!(text(&told).join("\n"), lines.join("\n"));
        let parsed: Value = serde_json::from_str(&json(&told)).unwrap();
        let join = &parsed[0]["Plan"]["Plans"][1];
        assert_eq!(join["Node Type"], "Nested Loop");
        assert_eq!(join["Plans"][1]["Relation Name"], "b");
        assert!(xml(&told).contains("<Relation-Name>c</Relation-Name>"));
        assert!(yaml(&told).contains("- Node Type: \"Seq Scan\""));
    }

    #[test]
    fn set_operations_are_told_apart() {
        let of = |over: &str, second: &str| {
            let lines = [(0, over), (1, "LEFT"), (2, "SCAN a"), (1, second), (2, "SCAN b")];
            text(&told(&lines, &["a", "b"])).remove(0)
        };
        assert_eq!(of("MERGE (UNION)", "RIGHT"), "Unique");
        assert_eq!(of("MERGE (UNION ALL)", "RIGHT"), "Append");
        assert_eq!(of("MERGE (EXCEPT)", "RIGHT"), "SetOp");
        assert_eq!(of("COMPOUND QUERY", "UNION ALL"), "Append");
        assert_eq!(of("COMPOUND QUERY", "INTERSECT USING TEMP B-TREE"), "SetOp");
    }

    #[test]
    fn queries_within_queries_keep_their_places() {
        let told = told(
            &[
                (0, "CO-ROUTINE s"),
                (1, "COMPOUND QUERY"),
                (2, "LEFT-MOST SUBQUERY"),
                (3, "SCAN a"),
                (2, "UNION USING TEMP B-TREE"),
                (3, "SCAN CONSTANT ROW"),
                (0, "SCAN s"),
            ],
            &["a"],
        );
        let lines = [
            "Subquery Scan on s",
            "  ->  Unique",
            "        ->  Append",
            "              ->  Seq Scan on a",
            "              ->  Result",
        ];
        assert_eq!(text(&told).join("\n"), lines.join("\n"));
    }
}
