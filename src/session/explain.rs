//! EXPLAIN: SQLite's own plan in PostgreSQL's four formats.
//!
//! The nodes are SQLite's; nothing is estimated, nothing runs. Start at
//! [`Session::explain`].

use std::collections::HashMap;
use std::fmt::Write as _;

use tokio::task::block_in_place;

use super::reply::{self, Tag};
use super::{Session, Step};
use crate::error::Result;
use crate::sql::ast::ExplainFormat;
use crate::sql::plan::QueryPlan;
use crate::value::{Cell, CellRef};

/// A step of SQLite's plan and its depth.
struct Node {
    depth: usize,
    detail: String,
}

impl Session {
    /// The plan of a query.
    pub(super) async fn explain(
        &mut self,
        query: &QueryPlan,
        format: ExplainFormat,
        params: &[Cell],
    ) -> Step<Tag> {
        self.set_aside_live()?;
        let sql = format!("EXPLAIN QUERY PLAN {}", query.sqlite);
        let sqlite = self.shared.sqlite.clone();
        let reader;
        let connection = match self.connection() {
            Some(connection) => connection,
            None => {
                reader = sqlite.reader(self.deadline).await?;
                &reader
            }
        };
        let mut nodes = block_in_place(|| -> Result<Vec<Node>> {
            let mut statement = connection.prepare(&sql)?;
            let wanted = statement.parameter_count();
            for (i, cell) in params.iter().enumerate().take(wanted) {
                statement.bind(i + 1, cell.as_ref())?;
            }
            let mut depths = HashMap::new();
            let mut nodes = Vec::new();
            while statement.step()? {
                let number = |i| match statement.column(i) {
                    CellRef::Integer(n) => n,
                    _ => 0,
                };
                let depth = depths.get(&number(1)).map_or(0, |d: &usize| d + 1);
                depths.insert(number(0), depth);
                let CellRef::Text(detail) = statement.column(3) else { continue };
                nodes.push(Node { depth, detail: String::from_utf8_lossy(detail).into_owned() });
            }
            Ok(nodes)
        })?;
        if nodes.is_empty() {
            nodes.push(Node { depth: 0, detail: "CONSTANT ROW".to_owned() });
        }
        let out = self.io.out();
        match format {
            ExplainFormat::Text => {
                for Node { depth, detail } in &nodes {
                    let arrow = if *depth > 0 { "->  " } else { "" };
                    let line = format!("{}{arrow}{detail}", "  ".repeat(*depth));
                    reply::text_row(out, &[Some(&line)]);
                }
            }
            ExplainFormat::Json => reply::text_row(out, &[Some(&json(&nodes))]),
            ExplainFormat::Xml => reply::text_row(out, &[Some(&xml(&nodes))]),
            ExplainFormat::Yaml => reply::text_row(out, &[Some(&yaml(&nodes))]),
        }
        Ok("EXPLAIN".into())
    }
}

/// Several nodes at the top hang under one that says so.
const TOP: &str = "QUERY";

/// The nodes directly under the one at `from` (usize::MAX: at the top).
fn below(nodes: &[Node], from: usize) -> Vec<usize> {
    let (start, depth) = match nodes.get(from) {
        Some(node) => (from + 1, node.depth + 1),
        None => (0, 0),
    };
    let family = nodes[start..].iter().take_while(|n| n.depth >= depth).enumerate();
    family.filter(|(_, n)| n.depth == depth).map(|(i, _)| start + i).collect()
}

fn json(nodes: &[Node]) -> String {
    fn node(nodes: &[Node], at: usize) -> serde_json::Value {
        let mut object = serde_json::Map::new();
        let detail = nodes.get(at).map_or(TOP, |n| n.detail.as_str());
        object.insert("Node Type".to_owned(), detail.into());
        let inner: Vec<_> = below(nodes, at).into_iter().map(|i| node(nodes, i)).collect();
        if !inner.is_empty() {
            object.insert("Plans".to_owned(), inner.into());
        }
        object.into()
    }
    let top = below(nodes, usize::MAX);
    let root = match top.as_slice() {
        [only] => *only,
        _ => usize::MAX,
    };
    let plan = serde_json::json!([{ "Plan": node(nodes, root) }]);
    serde_json::to_string_pretty(&plan).unwrap_or_default()
}

fn xml(nodes: &[Node]) -> String {
    fn node(nodes: &[Node], at: usize, indent: usize, out: &mut String) {
        let pad = " ".repeat(indent);
        let detail = nodes.get(at).map_or(TOP, |n| n.detail.as_str());
        let detail = detail.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(out, "{pad}<Plan>\n{pad}  <Node-Type>{detail}</Node-Type>");
        let inner = below(nodes, at);
        if !inner.is_empty() {
            let _ = writeln!(out, "{pad}  <Plans>");
            inner.into_iter().for_each(|i| node(nodes, i, indent + 4, out));
            let _ = writeln!(out, "{pad}  </Plans>");
        }
        let _ = writeln!(out, "{pad}</Plan>");
    }
    let mut out =
        "<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n  <Query>\n".to_owned();
    let top = below(nodes, usize::MAX);
    node(nodes, if let [only] = top.as_slice() { *only } else { usize::MAX }, 4, &mut out);
    out + "  </Query>\n</explain>"
}

fn yaml(nodes: &[Node]) -> String {
    fn node(nodes: &[Node], at: usize, indent: usize, out: &mut String) {
        let pad = " ".repeat(indent);
        let detail = nodes.get(at).map_or(TOP, |n| n.detail.as_str());
        let detail = detail.replace('\\', "\\\\").replace('"', "\\\"");
        let _ = write!(out, "Node Type: \"{detail}\"");
        let inner = below(nodes, at);
        if !inner.is_empty() {
            let _ = write!(out, "\n{pad}Plans: ");
        }
        for i in inner {
            let _ = write!(out, "\n{pad}  - ");
            node(nodes, i, indent + 4, out);
        }
    }
    let mut out = "- Plan: \n    ".to_owned();
    let top = below(nodes, usize::MAX);
    node(nodes, if let [only] = top.as_slice() { *only } else { usize::MAX }, 4, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_printed() {
        let node = |depth, detail: &str| Node { depth, detail: detail.to_owned() };
        let nodes = [node(0, "SCAN a"), node(0, "SUBQUERY"), node(1, "SEARCH \"b\" (x<?)")];
        let parsed: serde_json::Value = serde_json::from_str(&json(&nodes)).unwrap();
        let plans = &parsed[0]["Plan"]["Plans"];
        assert_eq!(plans[0]["Node Type"], "SCAN a");
        assert_eq!(plans[1]["Plans"][0]["Node Type"], "SEARCH \"b\" (x<?)");
        assert!(xml(&nodes).contains("<Node-Type>SEARCH \"b\" (x&lt;?)</Node-Type>"));
        assert!(yaml(&nodes).contains("- Node Type: \"SCAN a\""));
        assert_eq!(yaml(&[node(0, "SCAN a")]), "- Plan: \n    Node Type: \"SCAN a\"");
    }
}
