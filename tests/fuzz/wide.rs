//! What SQL writes in words of its own: EXTRACT, AT TIME ZONE, CASE with an operand, members of
//! documents and slices of arrays, USING, grouping sets, functions in FROM, recursion, and
//! writes inside of WITH.
//!
//! As everywhere in the fuzzer, what PostgreSQL leaves open is avoided. Start at
//! [`Gen::special`].

use crossfade::value::oid;

use super::expr::{Gen, Relation};
use super::schema::Table;
use super::tree::{Node, type_text};
use super::values;

const FIELDS: &[&str] =
    &["year", "month", "day", "hour", "minute", "second", "dow", "doy", "isoyear", "week", "epoch"];

impl Gen<'_> {
    fn text_of(&mut self, choices: &[&str]) -> String {
        let at = self.below(choices.len());
        choices[at].to_owned()
    }

    fn small(&mut self) -> Node {
        let n = self.below(4).to_string();
        Node::literal(oid::INT4, &n, Some(n.clone()))
    }

    /// An expression of a type in a form of its own; None where the type has none.
    pub fn special(&mut self, ty: u32, d: u32) -> Option<Node> {
        let node = Node::new(ty);
        if !self.strict && self.chance(15) {
            return Some(self.simple_case(ty, d));
        }
        Some(match ty {
            oid::BOOL => self.special_condition(d),
            oid::TEXT => self.special_text(d),
            oid::INT4 => match self.below(4) {
                0 => node
                    .text("POSITION(")
                    .node(self.expr(oid::TEXT, d))
                    .text(" IN ")
                    .node(self.expr(oid::TEXT, d))
                    .text(")"),
                1 => node.text("cardinality(").node(self.expr(oid::TEXT_ARRAY, d)).text(")"),
                2 => node.text("(- ").node(self.expr(ty, d)).text(")"),
                _ => {
                    let field = self.text_of(&["year", "month", "day", "dow", "doy", "week"]);
                    let inner = self.expr(oid::DATE, d);
                    node.text(format!("(EXTRACT({field} FROM ")).node(inner).text(")::int4)")
                }
            },
            oid::NUMERIC => {
                let field = self.text_of(FIELDS);
                let ty = [oid::TIMESTAMP, oid::TIMESTAMPTZ][self.below(2)];
                node.text(format!("EXTRACT({field} FROM ")).node(self.expr(ty, d)).text(")")
            }
            oid::INTERVAL => {
                let ty = [oid::TIMESTAMP, oid::TIMESTAMPTZ][self.below(2)];
                node.text("(").node(self.expr(ty, d)).text(" - ").node(self.expr(ty, d)).text(")")
            }
            oid::TIMESTAMP | oid::TIMESTAMPTZ => {
                let zone =
                    self.text_of(&["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]);
                let from = if ty == oid::TIMESTAMP { oid::TIMESTAMPTZ } else { oid::TIMESTAMP };
                node.text("(").node(self.expr(from, d)).text(format!(" AT TIME ZONE '{zone}')"))
            }
            oid::JSON | oid::JSONB => self.special_json(ty, d),
            oid::INT4_ARRAY | oid::TEXT_ARRAY => match self.below(3) {
                0 => node
                    .text("(")
                    .node(self.expr(ty, d))
                    .text(")[")
                    .node(self.small())
                    .text(":")
                    .node(self.small())
                    .text("]"),
                1 => {
                    let element = if ty == oid::INT4_ARRAY { oid::INT4 } else { oid::TEXT };
                    let item = self.expr(element, d);
                    node.text("(").node(self.expr(ty, d)).text(" || ").node(item).text(")")
                }
                _ => node.text("(").node(self.expr(ty, d)).text(")[:2]"),
            },
            _ => return None,
        })
    }

    /// CASE x WHEN y THEN …
    fn simple_case(&mut self, ty: u32, d: u32) -> Node {
        let subject = self.ordered_type();
        let branches = (0..1 + self.below(2))
            .map(|_| {
                Node::plain()
                    .text(" WHEN ")
                    .node(self.expr(subject, 0))
                    .text(" THEN ")
                    .node(self.expr(ty, d))
            })
            .collect();
        let node = Node::new(ty).text("(CASE ").node(self.expr(subject, d));
        let otherwise = Node::plain().text(" ELSE ").node(self.expr(ty, d));
        node.list(branches, "", 1).optional(otherwise).text(" END)")
    }

    fn special_condition(&mut self, d: u32) -> Node {
        let node = Node::new(oid::BOOL).text("(");
        match self.below(8) {
            0 => {
                let op = self.text_of(&["~", "~*", "!~", "!~*"]);
                let pattern =
                    self.text_of(&["^a", "b$", "[a-c]", "\\d", "a|é", ".*", "x{2,}", "(ab)+"]);
                node.node(self.expr(oid::TEXT, d))
                    .text(format!(" {op} "))
                    .node(Node::literal(oid::TEXT, &pattern, None))
                    .text(")")
            }
            1 => {
                let how = self.text_of(&["LIKE ANY", "LIKE ALL", "ILIKE ANY", "NOT LIKE ALL"]);
                node.node(self.expr(oid::TEXT, d))
                    .text(format!(" {how} (ARRAY['a%', '%b%', '_', NULL]::text[]))"))
            }
            2 => {
                let op = self.text_of(&["? 'a'", "? 'b'", "?| '{a,c}'", "?& '{a,b}'"]);
                node.node(self.expr(oid::JSONB, d)).text(format!(" {op})"))
            }
            3 => {
                let op = self.text_of(&["@>", "<@"]);
                node.node(self.expr(oid::JSONB, d))
                    .text(format!(" {op} "))
                    .node(self.expr(oid::JSONB, 0))
                    .text(")")
            }
            4 => {
                let ty = [oid::INT4_ARRAY, oid::TEXT_ARRAY][self.below(2)];
                let op = self.text_of(&["@>", "<@", "&&"]);
                node.node(self.expr(ty, d)).text(format!(" {op} ")).node(self.expr(ty, 0)).text(")")
            }
            5 => {
                let ty = [oid::TIMESTAMP, oid::TIME, oid::TIMESTAMPTZ][self.below(3)];
                let pair = |g: &mut Self| {
                    Node::plain().text("(").node(g.expr(ty, 0)).text(", ").node(g.expr(ty, 0))
                };
                let (left, right) = (pair(self), pair(self));
                node.node(left).text(") OVERLAPS ").node(right).text("))")
            }
            6 => {
                let (a, b) = (self.any_type(), self.any_type());
                let how = self.text_of(&["IS NULL", "IS NOT NULL"]);
                let (a, b) = (self.expr(a, 0), self.expr(b, 0));
                node.text("(").node(a).text(", ").node(b).text(format!(") {how})"))
            }
            _ => {
                let (a, b) = (self.ordered_type(), self.ordered_type());
                let row = |g: &mut Self| {
                    let (x, y) = (g.expr(a, 0), g.expr(b, 0));
                    Node::plain().text("(").node(x).text(", ").node(y).text(")")
                };
                let left = row(self);
                let rows = (0..1 + self.below(2)).map(|_| row(self)).collect();
                node.node(left).text(" IN (").list(rows, ", ", 1).text("))")
            }
        }
    }

    fn special_text(&mut self, d: u32) -> Node {
        let node = Node::new(oid::TEXT);
        match self.below(7) {
            0 => node
                .text("SUBSTRING(")
                .node(self.expr(oid::TEXT, d))
                .text(" FROM ")
                .node(self.small())
                .text(" FOR ")
                .node(self.small())
                .text(")"),
            1 => {
                let side = self.text_of(&["BOTH", "LEADING", "TRAILING"]);
                node.text(format!("TRIM({side} 'ab' FROM ")).node(self.expr(oid::TEXT, d)).text(")")
            }
            2 => node
                .text("OVERLAY(")
                .node(self.expr(oid::TEXT, d))
                .text(" PLACING ")
                .node(self.expr(oid::TEXT, 0))
                .text(" FROM 1 FOR ")
                .node(self.small())
                .text(")"),
            3 => {
                let ty = [oid::JSON, oid::JSONB][self.below(2)];
                let step = self.text_of(&["->> 'a'", "->> 0", "#>> '{a,b}'", "->> 'c'", "->> -1"]);
                node.text("(").node(self.expr(ty, d)).text(format!(" {step})"))
            }
            4 => {
                let ty = self.any_type();
                node.text("(").node(self.expr(ty, d)).text(")::text")
            }
            5 => {
                // One operand of `||` may be of any type.
                let ty = self.any_type();
                let ty = if matches!(ty, oid::INT4_ARRAY | oid::TEXT_ARRAY | oid::JSONB) {
                    oid::INT4
                } else {
                    ty
                };
                node.text("(")
                    .node(self.expr(oid::TEXT, d))
                    .text(" || ")
                    .node(self.expr(ty, d))
                    .text(")")
            }
            _ => {
                let format =
                    self.text_of(&["YYYY-MM-DD", "HH24:MI:SS.US", "Dy DD Mon YYYY", "Q WW"]);
                node.text("to_char(")
                    .node(self.expr(oid::TIMESTAMP, d))
                    .text(format!(", '{format}')"))
            }
        }
    }

    fn special_json(&mut self, ty: u32, d: u32) -> Node {
        let node = Node::new(ty);
        let prefix = if ty == oid::JSON { "json" } else { "jsonb" };
        match self.below(7) {
            0 | 1 => {
                let step = self.text_of(&["-> 'a'", "-> 0", "#> '{a,b}'", "-> -1", "#> '{1}'"]);
                node.text("(").node(self.expr(ty, d)).text(format!(" {step})"))
            }
            2 => {
                let (a, b) = (self.any_type(), self.any_type());
                let (a, b) = (self.expr(a, d), self.expr(b, 0));
                node.text(format!("{prefix}_build_object('k', "))
                    .node(a)
                    .text(", 'a', ")
                    .node(b)
                    .text(")")
            }
            3 => {
                let items = (0..self.below(3))
                    .map(|_| {
                        let ty = self.any_type();
                        self.expr(ty, d)
                    })
                    .collect();
                node.text(format!("{prefix}_build_array(")).list(items, ", ", 0).text(")")
            }
            4 => {
                let inner = self.any_type();
                node.text(format!("to_{prefix}(")).node(self.expr(inner, d)).text(")")
            }
            5 if ty == oid::JSONB => {
                let path = self.text_of(&["{a}", "{a,b}", "{0}", "{z}", "{-1}"]);
                let create = self.text_of(&["true", "false"]);
                node.text("jsonb_set(")
                    .node(self.expr(ty, d))
                    .text(format!(", '{path}', "))
                    .node(self.expr(ty, 0))
                    .text(format!(", {create})"))
            }
            _ => {
                let rows: Vec<String> =
                    self.scopes.last().into_iter().flatten().map(|r| r.alias.clone()).collect();
                if rows.is_empty() {
                    return node.text(format!("to_{prefix}(1)"));
                }
                let alias = rows[self.below(rows.len())].clone();
                node.text(format!("to_{prefix}({alias})"))
            }
        }
    }

    /// A function in FROM, or a view.
    pub fn wide_item(&mut self, alias: &str) -> Option<(Node, Relation)> {
        let made = |text: String, columns: &[(&str, u32)], key: &[&str]| {
            let columns = columns.iter().map(|(n, t)| ((*n).to_owned(), *t)).collect();
            let key = key.iter().map(|k| (*k).to_owned()).collect();
            Some((Node::plain().text(text), Relation { alias: alias.to_owned(), columns, key }))
        };
        match self.below(7) {
            0 => {
                let step = self.text_of(&["1 day", "12 hours", "1 mon", "-1 day"]);
                made(
                    format!(
                        "generate_series('2024-01-30'::timestamp, '2024-02-02', '{step}') \
                         AS {alias}(v)"
                    ),
                    &[("v", oid::TIMESTAMP)],
                    &["v"],
                )
            }
            1 => {
                let json = self.text_of(&["{\"a\": 1, \"b\": \"x\"}", "{}", "{\"a\": null}"]);
                made(
                    format!("jsonb_each('{json}') AS {alias}(k, v)"),
                    &[("k", oid::TEXT), ("v", oid::JSONB)],
                    &["k"],
                )
            }
            2 => {
                let json = self.text_of(&["[1, \"a\", null]", "[]", "[{\"a\": 1}, [2]]"]);
                made(
                    format!("jsonb_array_elements('{json}') WITH ORDINALITY AS {alias}(v, n)"),
                    &[("v", oid::JSONB), ("n", oid::INT8)],
                    &["n"],
                )
            }
            3 => made(
                format!(
                    "unnest('{{1,2,NULL}}'::int4[], '{{a,b}}'::text[]) WITH ORDINALITY \
                     AS {alias}(x, y, n)"
                ),
                &[("x", oid::INT4), ("y", oid::TEXT), ("n", oid::INT8)],
                &["n"],
            ),
            4 => {
                let json = self.text_of(&["{\"a\": 1, \"b\": \"x\"}", "{\"c\": [1]}"]);
                made(
                    format!("json_each_text('{json}') AS {alias}(k, v)"),
                    &[("k", oid::TEXT), ("v", oid::TEXT)],
                    &["k"],
                )
            }
            _ => {
                let views = &self.schema.views;
                if views.is_empty() {
                    return None;
                }
                let at = self.below(self.schema.views.len());
                let view = self.schema.views[at].clone();
                let node = Node::plain().text(format!("{} AS {alias}", view.name));
                let columns = view.columns.iter().map(|c| (c.name.clone(), c.ty)).collect();
                Some((
                    node,
                    Relation { alias: alias.to_owned(), columns, key: vec!["id".to_owned()] },
                ))
            }
        }
    }

    /// USING, where exactly one relation to the left has a column of the right one's.
    pub fn using(&mut self, scope: &[Relation]) -> Option<String> {
        let (right, left) = scope.split_last()?;
        let fits = |(name, ty): &&(String, u32)| {
            let named = |r: &&Relation| r.columns.iter().any(|(n, _)| n == name);
            let owners: Vec<&Relation> = left.iter().filter(named).collect();
            owners.len() == 1
                && owners[0].columns.iter().any(|(n, t)| n == name && t == ty)
                && values::ordered(*ty)
        };
        let names: Vec<String> =
            right.columns.iter().filter(fits).map(|(name, _)| name.clone()).collect();
        if names.is_empty() || !self.chance(30) {
            return None;
        }
        Some(format!(" USING (\"{}\")", names[self.below(names.len())]))
    }

    /// GROUP BY's list, at times with more than one grouping.
    pub fn grouping(&mut self, keys: &[String]) -> Option<String> {
        if !self.chance(18) {
            return None;
        }
        let list = keys.join(", ");
        Some(match self.below(3) {
            0 => format!("ROLLUP ({list})"),
            1 => format!("CUBE ({list})"),
            _ => format!("GROUPING SETS (({list}), ({}), ())", keys[0]),
        })
    }

    /// WITH RECURSIVE over numbers.
    pub fn recursive(&mut self) -> (Node, Relation) {
        let alias = self.name('q');
        let union = self.text_of(&["UNION ALL", "UNION"]);
        let most = 2 + self.below(4);
        let text = format!(
            "{alias}(n, s) AS (SELECT 1, 'a'::text {union} SELECT n + 1, s || n::text FROM {alias} \
             WHERE n < {most})"
        );
        let columns = vec![("n".to_owned(), oid::INT4), ("s".to_owned(), oid::TEXT)];
        (Node::plain().text(text), Relation { alias, columns, key: vec!["n".to_owned()] })
    }

    /// A write in WITH, and what is made of its rows.
    pub fn with_write(&mut self, table: &Table, inner: Node) -> Node {
        let alias = self.name('w');
        let node = Node::plain().text(format!("WITH {alias} AS (")).node(inner).text(") ");
        let returned = Relation {
            alias: alias.clone(),
            columns: vec![("o0".to_owned(), oid::INT4), ("o1".to_owned(), oid::TEXT)],
            key: vec!["o0".to_owned()],
        };
        let others: Vec<Table> =
            self.schema.tables.iter().filter(|t| t.name != table.name).cloned().collect();
        let at = self.below(others.len());
        match (self.below(4), others.get(at)) {
            (0, Some(other)) if other.plain_insert() => {
                self.scopes.push(vec![returned]);
                let names: Vec<String> =
                    other.columns.iter().map(|c| format!("\"{}\"", c.name)).collect();
                let items: Vec<Node> = other
                    .columns
                    .iter()
                    .map(|c| match c.name.as_str() {
                        "id" => Node::new(oid::INT4).text(format!("50 + {alias}.o0")),
                        "p" => Node::new(oid::INT4).text("NULL::int4"),
                        _ => self.expr(c.ty, 0),
                    })
                    .collect();
                self.scopes.pop();
                node.text(format!("INSERT INTO {} ({}) SELECT ", other.name, names.join(", ")))
                    .list(items, ", ", other.columns.len())
                    .text(format!(" FROM {alias} RETURNING *"))
            }
            (1, Some(other)) => node.text(format!(
                "DELETE FROM {} AS t USING {alias} WHERE t.\"id\" = {alias}.o0 RETURNING t.\"id\"",
                other.name
            )),
            (2, _) => {
                let ty = self.any_type();
                self.scopes.push(vec![returned]);
                let item = self.expr(ty, 1);
                self.scopes.pop();
                node.text("SELECT ").node(item).text(format!(", {alias}.* FROM {alias}"))
            }
            _ => node.text(format!("SELECT count(*), min(o0), max(o1) FROM {alias}")),
        }
    }

    /// A cast as PostgreSQL writes it.
    pub fn short_cast(&mut self, ty: u32, inner: Node) -> Node {
        Node::new(ty).text("(").node(inner).text(format!(")::{}", type_text(ty)))
    }
}
