//! INSERT, UPDATE and DELETE with all that can stand in them.
//!
//! An UPDATE … FROM joins by the other table's key, so that one row meets one row. Start at
//! [`Gen::write`].

use crossfade::value::oid;

use super::expr::{Gen, Relation};
use super::schema::Table;
use super::tree::Node;
use super::values;

fn relation(table: &Table, alias: &str) -> Relation {
    Relation {
        alias: alias.to_owned(),
        columns: table.columns.iter().map(|c| (c.name.clone(), c.ty)).collect(),
        key: vec!["id".to_owned()],
    }
}

impl Gen<'_> {
    /// A writing statement and the table it writes.
    pub fn write(&mut self) -> (Node, String) {
        let at = self.below(self.schema.tables.len());
        let table = self.schema.tables[at].clone();
        self.returns = !self.strict && self.chance(12);
        let node = match self.below(10) {
            0..=4 => self.insert(&table),
            5..=7 => self.update(&table),
            _ => self.delete(&table),
        };
        if std::mem::take(&mut self.returns) {
            return (self.with_write(&table, node), table.name);
        }
        (node, table.name)
    }

    fn value(&mut self, ty: u32) -> Node {
        if self.chance(70) { values::constant(&mut self.rng, ty) } else { self.expr(ty, 1) }
    }

    fn insert(&mut self, table: &Table) -> Node {
        let mut columns: Vec<_> = table.columns.clone();
        columns.retain(|c| c.generated.is_none() && (c.name == "id" || self.rng_keep()));
        if table.identity && self.chance(30) {
            columns.retain(|c| c.name != "id");
        }
        let with_key = columns.iter().any(|c| c.name == "id");
        if columns.is_empty() && !self.returns {
            return Node::plain().text(format!("INSERT INTO {} DEFAULT VALUES", table.name));
        }
        let names: Vec<String> = columns.iter().map(|c| format!("\"{}\"", c.name)).collect();
        let mut node =
            Node::plain().text(format!("INSERT INTO {} AS t ({}) ", table.name, names.join(", ")));
        if self.chance(20) && with_key && !self.strict {
            let from = self.from(0);
            let key = self.column(oid::INT4).unwrap_or_else(|| Node::new(oid::INT4).text("1"));
            let items = columns
                .iter()
                .map(|c| {
                    if c.name == "id" {
                        Node::new(oid::INT4).text("10 + (").node(key.clone()).text(")")
                    } else {
                        self.expr(c.ty, 1)
                    }
                })
                .collect();
            node = node.text("SELECT ").list(items, ", ", columns.len()).text(" FROM ").node(from);
            self.scopes.pop();
        } else {
            let rows = if with_key { 1 + self.below(3) } else { 1 };
            let rows = (0..rows)
                .map(|_| {
                    let row: Vec<Node> = columns
                        .iter()
                        .map(|c| match c.name.as_str() {
                            "id" => {
                                let id = self.below(25).to_string();
                                Node::literal(oid::INT4, &id, Some(id.clone()))
                            }
                            "p" => {
                                let id = (1 + self.below(3)).to_string();
                                Node::literal(oid::INT4, &id, Some(id.clone()))
                            }
                            _ if self.chance(8) => Node::plain().text("DEFAULT"),
                            _ => self.value(c.ty),
                        })
                        .collect();
                    Node::plain().text("(").list(row, ", ", columns.len()).text(")")
                })
                .collect();
            node = node.text("VALUES ").list(rows, ", ", 1);
        }
        if with_key && self.chance(45) {
            node = node.node(self.on_conflict(table));
        }
        self.returning(node, table)
    }

    fn rng_keep(&mut self) -> bool {
        self.chance(75)
    }

    fn on_conflict(&mut self, table: &Table) -> Node {
        let unique: Vec<&str> =
            table.columns.iter().filter(|c| c.unique).map(|c| c.name.as_str()).collect();
        if self.chance(25) {
            return Node::plain().text(" ON CONFLICT DO NOTHING");
        }
        let at = self.below(unique.len());
        let target = format!(" ON CONFLICT (\"{}\")", unique[at]);
        if self.chance(30) {
            return Node::plain().text(format!("{target} DO NOTHING"));
        }
        self.scopes.push(vec![relation(table, "t"), relation(table, "excluded")]);
        let node = Node::plain().text(format!("{target} DO UPDATE SET "));
        let sets = self.assignments(table);
        let mut node = node.list(sets, ", ", 1);
        if self.chance(30) {
            let filter = self.condition(1);
            node = node.optional(Node::plain().text(" WHERE ").node(filter));
        }
        self.scopes.pop();
        node
    }

    fn assignments(&mut self, table: &Table) -> Vec<Node> {
        let mut free: Vec<_> =
            table.columns.iter().filter(|c| !c.unique && c.name != "p").cloned().collect();
        free.retain(|c| c.generated.is_none());
        let wanted = 1 + self.below(3);
        while free.len() > wanted {
            let at = self.below(free.len());
            free.remove(at);
        }
        if free.is_empty() {
            return vec![Node::plain().text("\"id\" = t.\"id\"")];
        }
        if free.len() > 1 && !self.strict && self.chance(15) {
            let names: Vec<String> = free.iter().map(|c| format!("\"{}\"", c.name)).collect();
            let items = free.iter().map(|c| self.expr(c.ty, 1)).collect();
            let select = Node::plain().text("SELECT ").list(items, ", ", free.len());
            return vec![
                Node::plain().text(format!("({}) = (", names.join(", "))).node(select).text(")"),
            ];
        }
        free.iter()
            .map(|c| {
                let value =
                    if self.chance(8) { Node::plain().text("DEFAULT") } else { self.expr(c.ty, 1) };
                Node::plain().text(format!("\"{}\" = ", c.name)).node(value)
            })
            .collect()
    }

    fn returning(&mut self, node: Node, table: &Table) -> Node {
        if self.returns {
            return node.text(" RETURNING t.\"id\" AS o0, t.\"id\"::text || 'x' AS o1");
        }
        if !self.chance(45) {
            return node;
        }
        self.scopes.push(vec![relation(table, "t")]);
        let items = (0..1 + self.below(3))
            .map(|_| {
                if self.chance(20) {
                    return Node::plain().text("t.*");
                }
                let ty = self.any_type();
                self.expr(ty, 1)
            })
            .collect();
        self.scopes.pop();
        node.optional(Node::plain().text(" RETURNING ").list(items, ", ", 1))
    }

    /// Another table, joined by its key to a column of `t`.
    fn joined(&mut self, table: &Table) -> Option<(Table, String)> {
        let others: Vec<Table> =
            self.schema.tables.iter().filter(|o| o.name != table.name).cloned().collect();
        let ints: Vec<&str> =
            table.columns.iter().filter(|c| c.ty == oid::INT4).map(|c| c.name.as_str()).collect();
        if others.is_empty() {
            return None;
        }
        let other = others[self.below(others.len())].clone();
        let on = format!("u.\"id\" = t.\"{}\"", ints[self.below(ints.len())]);
        Some((other, on))
    }

    fn update(&mut self, table: &Table) -> Node {
        self.scopes.push(vec![relation(table, "t")]);
        let joined = (!self.strict && self.chance(30)).then(|| self.joined(table)).flatten();
        if let Some((other, _)) = &joined
            && let Some(scope) = self.scopes.last_mut()
        {
            scope.push(relation(other, "u"));
        }
        let sets = self.assignments(table);
        let mut node =
            Node::plain().text(format!("UPDATE {} AS t SET ", table.name)).list(sets, ", ", 1);
        if let Some((other, on)) = joined {
            node = node.text(format!(" FROM {} AS u WHERE {on}", other.name));
            if self.chance(50) {
                let filter = self.condition(1);
                node = node.optional(Node::plain().text(" AND ").node(filter));
            }
        } else if !self.strict && self.chance(75) {
            let filter = self.condition(1);
            node = node.optional(Node::plain().text(" WHERE ").node(filter));
        }
        self.scopes.pop();
        self.returning(node, table)
    }

    fn delete(&mut self, table: &Table) -> Node {
        self.scopes.push(vec![relation(table, "t")]);
        let joined = (!self.strict && self.chance(30)).then(|| self.joined(table)).flatten();
        let mut node = Node::plain().text(format!("DELETE FROM {} AS t", table.name));
        if let Some((other, on)) = joined {
            if let Some(scope) = self.scopes.last_mut() {
                scope.push(relation(&other, "u"));
            }
            node = node.text(format!(" USING {} AS u WHERE {on}", other.name));
            if self.chance(50) {
                let filter = self.condition(1);
                node = node.optional(Node::plain().text(" AND ").node(filter));
            }
        } else {
            let filter = self.condition(1);
            node = node.text(" WHERE ").node(filter);
        }
        self.scopes.pop();
        self.returning(node, table)
    }
}
