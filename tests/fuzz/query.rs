//! Queries: FROM with joins, grouping, windows, set operations, CTEs, subqueries.
//!
//! What PostgreSQL leaves open is avoided: a LIMIT sorts by everything, an ordered aggregate by
//! its own text, DISTINCT and GROUP BY use types whose equal values look equal. Start at
//! [`Gen::query`].

use crossfade::value::oid;

use super::expr::{Gen, Relation};
use super::signatures::Signatures;
use super::tree::Node;
use super::values::{self, canonical};

impl Gen<'_> {
    /// A query that yields these types, under names of its own when asked for.
    pub fn query(&mut self, types: &[u32], depth: u32, named: bool) -> Node {
        if !self.strict && depth > 0 && self.chance(12) && types.iter().all(|t| canonical(*t)) {
            return self.set_operation(types, depth - 1, named);
        }
        self.select(types, depth, named)
    }

    fn set_operation(&mut self, types: &[u32], depth: u32, named: bool) -> Node {
        let op = ["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"]
            [self.below(6)];
        let left = self.query(types, depth, named);
        let right = self.query(types, depth, named);
        Node::plain().text("(").node(left).text(format!(") {op} (")).node(right).text(")")
    }

    fn canonical_type(&mut self) -> u32 {
        loop {
            let ty = self.any_type();
            if canonical(ty) {
                return ty;
            }
        }
    }

    fn targets(
        &mut self,
        types: &[u32],
        named: bool,
        mut item: impl FnMut(&mut Self, u32) -> Node,
    ) -> Vec<Node> {
        types
            .iter()
            .enumerate()
            .map(|(i, ty)| {
                let node = item(self, *ty);
                if named { Node::plain().node(node).text(format!(" AS \"o{i}\"")) } else { node }
            })
            .collect()
    }

    fn select(&mut self, types: &[u32], depth: u32, named: bool) -> Node {
        let d = depth.min(3);
        if self.chance(if depth > 0 { 8 } else { 15 }) {
            let targets = self.targets(types, named, |g, ty| g.expr(ty, d));
            return Node::plain().text("SELECT ").list(targets, ", ", types.len());
        }
        let from = self.from(depth);
        if !self.strict
            && self.chance(8)
            && let Some(keys) = self.keys()
        {
            // DISTINCT ON: the first row of each group, by keys that leave no choice.
            let ty = self.canonical_type();
            let on = self.expr(ty, 0).simple();
            let targets = self.targets(types, named, |g, ty| g.expr(ty, d));
            self.scopes.pop();
            return Node::plain()
                .text(format!("SELECT DISTINCT ON ({on}) "))
                .list(targets, ", ", types.len())
                .text(" FROM ")
                .node(from)
                .text(format!(" ORDER BY {on}, {keys}"));
        }
        let grouped = !self.strict && self.chance(25);
        let distinct =
            !self.strict && !grouped && self.chance(12) && types.iter().all(|t| canonical(*t));
        let mut node = Node::plain().text("SELECT ");
        if distinct {
            node = node.optional(Node::plain().text("DISTINCT "));
        }
        if grouped {
            node = self.grouped(node, types, d, named, from);
        } else {
            let may = !self.strict && !distinct && self.chance(30);
            let windows = std::mem::replace(&mut self.windows, may);
            let targets = self.targets(types, named, |g, ty| g.expr(ty, d));
            self.windows = windows;
            node = node.list(targets, ", ", types.len()).text(" FROM ").node(from);
            if !self.strict && self.chance(50) {
                let filter = self.condition(d);
                node = node.optional(Node::plain().text(" WHERE ").node(filter));
            }
        }
        self.scopes.pop();
        // Sorted by everything, a cut is determined as far as equal values look equal.
        if !self.strict && types.iter().all(|t| canonical(*t)) && self.chance(35) {
            let keys = (1..=types.len())
                .map(|i| {
                    let order =
                        ["", " DESC", " NULLS FIRST", " DESC NULLS LAST", " ASC"][self.below(5)];
                    Node::plain().text(format!("{i}{order}"))
                })
                .collect();
            let mut tail = Node::plain().text(" ORDER BY ").list(keys, ", ", types.len());
            if self.chance(60) {
                tail = tail.optional(Node::plain().text(format!(" LIMIT {}", self.below(5))));
            }
            if self.chance(30) {
                tail = tail.optional(Node::plain().text(format!(" OFFSET {}", self.below(3))));
            }
            node = node.optional(tail);
        }
        node
    }

    /// GROUP BY columns of the scope; aggregates over the rest.
    fn grouped(&mut self, node: Node, types: &[u32], d: u32, named: bool, from: Node) -> Node {
        let scope = self.scopes.last().cloned().unwrap_or_default();
        let mut keys: Vec<(String, u32)> = scope
            .iter()
            .flat_map(|r| r.columns.iter().map(|(n, t)| (format!("{}.\"{n}\"", r.alias), *t)))
            .filter(|(_, t)| canonical(*t))
            .collect();
        let wanted = self.below(3);
        while keys.len() > wanted {
            let at = self.below(keys.len());
            keys.remove(at);
        }
        let grouping = keys.clone();
        let targets = self.targets(types, named, |g, ty| {
            let fitting: Vec<&(String, u32)> = grouping.iter().filter(|(_, t)| *t == ty).collect();
            if !fitting.is_empty() && g.chance(60) {
                let at = g.below(fitting.len());
                return Node::new(ty).text(fitting[at].0.clone());
            }
            g.aggregate(ty, d).unwrap_or_else(|| values::constant(&mut g.rng, ty))
        });
        let mut node = node.list(targets, ", ", types.len()).text(" FROM ").node(from);
        if self.chance(40) {
            let filter = self.condition(d);
            node = node.optional(Node::plain().text(" WHERE ").node(filter));
        }
        if grouping.is_empty() {
            // Without a target that aggregates, this would be no aggregation.
            return node.text(" HAVING count(*) >= 0");
        }
        let names: Vec<String> = grouping.iter().map(|(k, _)| k.clone()).collect();
        node = match self.grouping(&names) {
            Some(sets) => node.text(format!(" GROUP BY {sets}")),
            None => node.text(format!(" GROUP BY {}", names.join(", "))),
        };
        if self.chance(30) {
            let count = self.below(3);
            node = node.optional(Node::plain().text(format!(" HAVING count(*) > {count}")));
        }
        node
    }

    /// An aggregate call of a type.
    fn aggregate(&mut self, ty: u32, d: u32) -> Option<Node> {
        let list = Signatures::get().aggregates.get(&ty)?;
        let at = self.below(list.len());
        let s = list.get(at)?;
        if matches!(s.name, "min" | "max") && !s.args.iter().all(|t| canonical(*t)) {
            return None;
        }
        let d = d.min(1);
        let args: Vec<Node> = s.args.iter().map(|t| self.expr(*t, d)).collect();
        let collects = s.name.contains("agg");
        let mut node = Node::new(ty).text(format!("{}(", s.name));
        if args.is_empty() {
            node = node.text("*");
        } else if !collects && args.len() == 1 && canonical(s.args[0]) && self.chance(20) {
            node = node.text("DISTINCT ").list(args, ", ", 1);
        } else if collects {
            let texts = args
                .iter()
                .map(|a| Node::plain().text("(").node(a.clone()).text(")::text"))
                .collect::<Vec<_>>();
            // The same expressions twice: they may not be made smaller apart from each other.
            let texts: Vec<Node> =
                texts.into_iter().map(|t| Node::plain().text(t.simple())).collect();
            let fixed: Vec<Node> = args.iter().map(|a| Node::plain().text(a.simple())).collect();
            node = node.list(fixed, ", ", s.args.len()).text(" ORDER BY ").list(
                texts,
                ", ",
                s.args.len(),
            );
        } else {
            node = node.list(args, ", ", s.args.len());
        }
        node = node.text(")");
        if self.chance(20) {
            let filter = self.condition(d);
            node = node.optional(Node::plain().text(" FILTER (WHERE ").node(filter).text(")"));
        }
        Some(node)
    }

    /// A window function over a total order; another expression where the scope has none.
    pub fn window(&mut self, ty: u32, d: u32) -> Node {
        let scope = self.scopes.last().cloned().unwrap_or_default();
        if scope.is_empty() || scope.iter().any(|r| r.key.is_empty()) {
            return self.expr(ty, 0);
        }
        let windows = std::mem::replace(&mut self.windows, false);
        let order: Vec<String> = scope
            .iter()
            .flat_map(|r| r.key.iter().map(|k| format!("{}.\"{k}\"", r.alias)))
            .collect();
        let call = match self.below(6) {
            0 if ty == oid::INT8 => {
                Node::new(ty).text(["row_number()", "rank()", "dense_rank()"][self.below(3)])
            }
            0 if ty == oid::FLOAT8 => {
                Node::new(ty).text(["percent_rank()", "cume_dist()"][self.below(2)])
            }
            0 if ty == oid::INT4 => Node::new(ty).text("ntile(3)"),
            0..=2 => {
                let name = ["lag(", "lead(", "first_value(", "last_value("][self.below(4)];
                Node::new(ty).text(name).node(self.expr(ty, d.min(1))).text(")")
            }
            3 => Node::new(ty).text("nth_value(").node(self.expr(ty, d.min(1))).text(", 2)"),
            _ => match self.aggregate(ty, 0) {
                // An aggregate's own ORDER BY or DISTINCT is not for windows.
                Some(call)
                    if !call.simple().contains("ORDER BY")
                        && !call.simple().contains("DISTINCT") =>
                {
                    call
                }
                _ => Node::new(ty).text("lag(").node(self.expr(ty, 0)).text(")"),
            },
        };
        self.windows = windows;
        let mut over = Node::plain().text(" OVER (");
        if self.chance(40) {
            let columns: Vec<String> = scope
                .iter()
                .flat_map(|r| r.columns.iter().map(|(n, t)| (format!("{}.\"{n}\"", r.alias), *t)))
                .filter(|(_, t)| canonical(*t))
                .map(|(n, _)| n)
                .collect();
            if !columns.is_empty() {
                let at = self.below(columns.len());
                over = over.optional(Node::plain().text(format!("PARTITION BY {} ", columns[at])));
            }
        }
        let desc = if self.chance(30) { " DESC" } else { "" };
        over = over.text(format!("ORDER BY {}{desc}", order.join(", ")));
        if self.chance(35) {
            let frames = [
                " ROWS BETWEEN 1 PRECEDING AND CURRENT ROW",
                " ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
                " ROWS BETWEEN CURRENT ROW AND 2 FOLLOWING",
                " GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW",
                " RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
            ];
            over = over.optional(Node::plain().text(frames[self.below(5)]));
        }
        Node::new(ty).node(call).node(over.text(")"))
    }

    /// One value from a subquery that has one row.
    pub fn scalar_subquery(&mut self, ty: u32, d: u32) -> Node {
        let windows = std::mem::replace(&mut self.windows, false);
        let from = self.from(d);
        let node = match self.aggregate(ty, 1) {
            Some(call) if self.chance(50) => {
                let mut node = Node::plain().text("(SELECT ").node(call).text(" FROM ").node(from);
                if self.chance(60) {
                    let filter = self.condition(d.min(1));
                    node = node.optional(Node::plain().text(" WHERE ").node(filter));
                }
                node
            }
            _ => {
                let keys: Vec<String> = self
                    .scopes
                    .last()
                    .into_iter()
                    .flatten()
                    .flat_map(|r| r.key.iter().map(|k| format!("{}.\"{k}\"", r.alias)))
                    .collect();
                let whole = self.scopes.last().is_some_and(|s| s.iter().all(|r| !r.key.is_empty()));
                if whole {
                    Node::plain()
                        .text("(SELECT ")
                        .node(self.expr(ty, d.min(1)))
                        .text(" FROM ")
                        .node(from)
                        .text(format!(" ORDER BY {} LIMIT 1", keys.join(", ")))
                } else {
                    Node::plain().text("(SELECT ").node(values::constant(&mut self.rng, ty))
                }
            }
        };
        self.scopes.pop();
        self.windows = windows;
        Node::new(ty).node(node.text(")"))
    }

    /// All rows of FROM in the order of their keys; None where they have none.
    pub fn keyed_rows(&mut self, ty: u32, d: u32) -> Option<Node> {
        let windows = std::mem::replace(&mut self.windows, false);
        let from = self.from(0);
        let keys = self.keys();
        let node = keys.map(|keys| {
            let item = self.expr(ty, d.min(1));
            let order = format!(" ORDER BY {keys}");
            Node::plain().text("SELECT ").node(item).text(" FROM ").node(from).text(order)
        });
        self.scopes.pop();
        self.windows = windows;
        node
    }

    /// Keys of all relations of the innermost scope; None where one has none.
    fn keys(&self) -> Option<String> {
        let scope = self.scopes.last()?;
        let whole = scope.iter().all(|r| !r.key.is_empty());
        let keys: Vec<String> = scope
            .iter()
            .flat_map(|r| r.key.iter().map(|k| format!("{}.\"{k}\"", r.alias)))
            .collect();
        whole.then(|| keys.join(", "))
    }

    pub fn in_subquery(&mut self, ty: u32, d: u32) -> Node {
        let windows = std::mem::replace(&mut self.windows, false);
        let left = self.expr(ty, d.min(1));
        let query = self.select(&[ty], d.min(1), false);
        self.windows = windows;
        let how = ["IN (", "NOT IN (", "= ANY (", "<> ALL (", "> ALL (", "<= ANY ("][self.below(6)];
        Node::new(oid::BOOL).text("(").node(left).text(format!(" {how}")).node(query).text("))")
    }

    pub fn exists(&mut self, d: u32) -> Node {
        let windows = std::mem::replace(&mut self.windows, false);
        let query = self.select(&[oid::INT4], d.min(1), false);
        self.windows = windows;
        Node::new(oid::BOOL).text("(EXISTS (").node(query).text("))")
    }

    /// FROM's items; pushes their scope.
    pub fn from(&mut self, depth: u32) -> Node {
        let (mut node, first) = self.item(depth, false);
        let mut scope = vec![first];
        let joins = if self.strict { 0 } else { [0, 0, 0, 1, 1, 2][self.below(6)] };
        for _ in 0..joins {
            let kind = self.below(6);
            // LATERAL sees what stands to its left.
            self.scopes.push(scope.clone());
            let lateral = kind <= 1 && self.chance(25);
            let outer =
                if lateral { Vec::new() } else { vec![self.scopes.pop().unwrap_or_default()] };
            let (right, relation) = self.item(depth, lateral);
            if outer.is_empty() {
                self.scopes.pop();
            }
            scope.push(relation);
            self.scopes.push(scope.clone());
            let text =
                ["CROSS JOIN", "LEFT JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"][kind];
            let mut join = Node::plain().text(format!(" {text} ")).node(right);
            let using = if kind > 0 { self.using(&scope) } else { None };
            if let Some(using) = using {
                join = join.text(using);
            } else if kind > 0 {
                let on = self.join_condition(&scope, kind == 5, depth);
                join = join.text(" ON ").node(on);
            }
            self.scopes.pop();
            node = node.node(join);
        }
        self.scopes.push(scope);
        node
    }

    fn join_condition(&mut self, scope: &[Relation], simple: bool, depth: u32) -> Node {
        let (left, right) = scope.split_at(scope.len() - 1);
        let mut pairs = Vec::new();
        for l in left {
            for (a, t) in &l.columns {
                for (b, u) in &right[0].columns {
                    if t == u && values::ordered(*t) {
                        pairs.push(format!("({}.\"{a}\" = {}.\"{b}\")", l.alias, right[0].alias));
                    }
                }
            }
        }
        if !pairs.is_empty() && (simple || self.chance(70)) {
            let at = self.below(pairs.len());
            return Node::new(oid::BOOL).text(pairs[at].clone());
        }
        if simple {
            return Node::new(oid::BOOL).text("true");
        }
        self.condition(depth.min(1))
    }

    fn item(&mut self, depth: u32, lateral: bool) -> (Node, Relation) {
        let alias = self.name('r');
        if lateral || (depth > 0 && !self.strict && self.chance(18)) {
            let types: Vec<u32> = (0..1 + self.below(3)).map(|_| self.any_type()).collect();
            let hidden = if lateral { Vec::new() } else { std::mem::take(&mut self.scopes) };
            let query = self.query(&types, depth.saturating_sub(1), true);
            if !lateral {
                self.scopes = hidden;
            }
            let word = if lateral { "LATERAL (" } else { "(" };
            let columns = types.iter().enumerate().map(|(i, t)| (format!("o{i}"), *t)).collect();
            let node = Node::plain().text(word).node(query).text(format!(") AS {alias}"));
            return (node, Relation { alias, columns, key: Vec::new() });
        }
        if !self.strict
            && self.chance(12)
            && let Some(found) = self.wide_item(&alias)
        {
            return found;
        }
        match self.below(if self.strict { 20 } else { 26 }) {
            20 => {
                let node = Node::plain()
                    .text(format!("generate_series(1, {}) AS {alias}(v)", self.below(4)));
                let key = vec!["v".to_owned()];
                (node, Relation { alias, columns: vec![("v".to_owned(), oid::INT4)], key })
            }
            21 => {
                let array = values::constant(&mut self.rng, oid::TEXT_ARRAY);
                let node =
                    Node::plain().text("unnest(").node(array).text(format!(") AS {alias}(v)"));
                (
                    node,
                    Relation { alias, columns: vec![("v".to_owned(), oid::TEXT)], key: Vec::new() },
                )
            }
            22 | 23 => {
                let types: Vec<u32> = (0..1 + self.below(2)).map(|_| self.any_type()).collect();
                let rows = (0..1 + self.below(3))
                    .map(|_| {
                        let row: Vec<Node> =
                            types.iter().map(|t| values::constant(&mut self.rng, *t)).collect();
                        Node::plain().text("(").list(row, ", ", types.len()).text(")")
                    })
                    .collect();
                let names: Vec<String> = (0..types.len()).map(|i| format!("o{i}")).collect();
                let node = Node::plain()
                    .text("(VALUES ")
                    .list(rows, ", ", 1)
                    .text(format!(") AS {alias}({})", names.join(", ")));
                let columns = names.into_iter().zip(types).collect();
                (node, Relation { alias, columns, key: Vec::new() })
            }
            24 | 25 if !self.ctes.is_empty() => {
                let at = self.below(self.ctes.len());
                let cte = self.ctes[at].clone();
                let node = Node::plain().text(format!("{} AS {alias}", cte.alias));
                (node, Relation { alias, ..cte })
            }
            _ => {
                let at = self.below(self.schema.tables.len());
                let table = &self.schema.tables[at];
                let columns = table.columns.iter().map(|c| (c.name.clone(), c.ty)).collect();
                let node = Node::plain().text(format!("{} AS {alias}", table.name));
                (node, Relation { alias, columns, key: vec!["id".to_owned()] })
            }
        }
    }

    /// A whole query with CTEs.
    pub fn statement(&mut self) -> Node {
        let mut node = Node::plain();
        if !self.strict && self.chance(4) {
            let (text, relation) = self.recursive();
            self.ctes.push(relation);
            node = node.text("WITH RECURSIVE ").node(text).text(" ");
        } else if !self.strict && self.chance(20) {
            let mut items = Vec::new();
            for _ in 0..1 + self.below(2) {
                let types: Vec<u32> = (0..1 + self.below(3)).map(|_| self.any_type()).collect();
                let alias = self.name('w');
                let query = self.query(&types, 1, true);
                let how = ["", "", "MATERIALIZED ", "NOT MATERIALIZED "][self.below(4)];
                items.push(Node::plain().text(format!("{alias} AS {how}(")).node(query).text(")"));
                let columns =
                    types.iter().enumerate().map(|(i, t)| (format!("o{i}"), *t)).collect();
                self.ctes.push(Relation { alias, columns, key: Vec::new() });
            }
            let least = items.len();
            node = node.text("WITH ").list(items, ", ", least).text(" ");
        }
        let types: Vec<u32> = (0..1 + self.below(4)).map(|_| self.any_type()).collect();
        let depth = 1 + u32::try_from(self.below(2)).unwrap_or(0);
        node.node(self.query(&types, depth, false))
    }
}
