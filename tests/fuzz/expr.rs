//! Expressions of a wanted type, from the columns in scope.
//!
//! Start at [`Gen::expr`].

use crossfade::value::oid;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::schema::Schema;
use super::signatures::{Signature, Signatures};
use super::tree::{Node, type_text};
use super::values::{self, TYPES, constant};

/// A relation in scope.
#[derive(Clone, Debug)]
pub struct Relation {
    pub alias: String,
    pub columns: Vec<(String, u32)>,
    /// Columns that tell its rows apart; empty where nothing does.
    pub key: Vec<String>,
}

/// The generator.
pub struct Gen<'a> {
    pub rng: StdRng,
    pub schema: &'a Schema,
    /// Relations in scope, inner ones last.
    pub scopes: Vec<Vec<Relation>>,
    /// CTEs in scope.
    pub ctes: Vec<Relation>,
    /// Nothing whose evaluation depends on the plan: errors must then be the same too.
    pub strict: bool,
    pub names: u32,
    /// Window functions may stand here.
    pub windows: bool,
    /// The write returns `o0` and `o1`, for a WITH around it.
    pub returns: bool,
}

impl<'a> Gen<'a> {
    pub fn new(schema: &'a Schema, seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            schema,
            scopes: Vec::new(),
            ctes: Vec::new(),
            strict: false,
            names: 0,
            windows: false,
            returns: false,
        }
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.rng.random_range(0..n.max(1))
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    pub fn any_type(&mut self) -> u32 {
        TYPES[self.below(TYPES.len())]
    }

    pub fn name(&mut self, letter: char) -> String {
        self.names += 1;
        format!("{letter}{}", self.names)
    }

    /// A column of the type, from any scope.
    pub fn column(&mut self, ty: u32) -> Option<Node> {
        let found: Vec<String> = self
            .scopes
            .iter()
            .flatten()
            .flat_map(|r| {
                r.columns
                    .iter()
                    .filter(|(_, t)| *t == ty)
                    .map(|(name, _)| format!("{}.\"{name}\"", r.alias))
            })
            .collect();
        if found.is_empty() {
            return None;
        }
        let at = self.below(found.len());
        Some(Node::new(ty).text(found[at].clone()))
    }

    fn leaf(&mut self, ty: u32) -> Node {
        if self.chance(70)
            && let Some(column) = self.column(ty)
        {
            return column;
        }
        constant(&mut self.rng, ty)
    }

    /// An expression of a type.
    pub fn expr(&mut self, ty: u32, depth: u32) -> Node {
        if depth == 0 {
            return self.leaf(ty);
        }
        let d = depth - 1;
        if ty == oid::BOOL && self.chance(60) {
            return self.condition(d);
        }
        if self.chance(14)
            && let Some(node) = self.special(ty, d)
        {
            return node;
        }
        match self.below(if self.strict { 12 } else { 20 }) {
            0..=2 => self.leaf(ty),
            3..=6 => self.operator(ty, d),
            7..=10 => self.function(ty, d),
            11 => self.cast(ty, d),
            12 => self.case(ty, d),
            13 => {
                let items = (0..2 + self.below(2)).map(|_| self.expr(ty, d)).collect();
                Node::new(ty).text("COALESCE(").list(items, ", ", 1).text(")")
            }
            14 if values::ordered(ty) => {
                let items = (0..2 + self.below(2)).map(|_| self.expr(ty, d)).collect();
                let name = if self.chance(50) { "GREATEST(" } else { "LEAST(" };
                Node::new(ty).text(name).list(items, ", ", 1).text(")")
            }
            15 if values::ordered(ty) => Node::new(ty)
                .text("NULLIF(")
                .node(self.expr(ty, d))
                .text(", ")
                .node(self.expr(ty, d))
                .text(")"),
            16 | 17 => self.scalar_subquery(ty, d),
            18 if matches!(ty, oid::INT4_ARRAY | oid::TEXT_ARRAY) => self.array(ty, d),
            18 if ty == oid::TEXT => {
                Node::new(ty).text("(").node(self.expr(ty, d)).text(" COLLATE \"C\")")
            }
            18 if matches!(ty, oid::INT4 | oid::TEXT) => {
                let array = if ty == oid::INT4 { oid::INT4_ARRAY } else { oid::TEXT_ARRAY };
                Node::new(ty)
                    .text("(")
                    .node(self.expr(array, d))
                    .text(")[")
                    .node(self.expr(oid::INT4, 0))
                    .text("]")
            }
            19 if self.windows => self.window(ty, d),
            _ => self.operator(ty, d),
        }
    }

    fn pick(&mut self, list: Option<&'static Vec<Signature>>) -> Option<&'static Signature> {
        let list = list?;
        let at = self.below(list.len());
        list.get(at)
    }

    fn operator(&mut self, ty: u32, d: u32) -> Node {
        let Some(s) = self.pick(Signatures::get().operators.get(&ty)) else {
            return self.function(ty, d);
        };
        let mut node = Node::new(ty).text("(");
        if s.args.len() == 2 {
            node = node.node(self.expr(s.args[0], d)).text(format!(" {} ", s.name));
        } else {
            node = node.text(format!("{} ", s.name));
        }
        node.node(self.expr(s.args[s.args.len() - 1], d)).text(")")
    }

    fn function(&mut self, ty: u32, d: u32) -> Node {
        let Some(s) = self.pick(Signatures::get().functions.get(&ty)) else {
            return self.leaf(ty);
        };
        let args =
            s.args.iter().enumerate().map(|(i, t)| self.argument(s.name, i, *t, d)).collect();
        Node::new(ty).text(format!("{}(", s.name)).list(args, ", ", s.args.len()).text(")")
    }

    /// An argument; where any value would mostly be refused, one that means something.
    fn argument(&mut self, function: &str, at: usize, ty: u32, d: u32) -> Node {
        let words: &[&str] = match (function, at) {
            ("date_trunc" | "date_part", 0) => {
                &["year", "month", "day", "hour", "minute", "second", "week", "quarter", "decade"]
            }
            ("date_trunc", 2) | ("timezone", 0) => &["UTC", "Europe/Berlin", "America/New_York"],
            ("encode" | "decode", 1) => &["hex", "base64", "escape"],
            ("to_char", 1) => &["YYYY-MM-DD HH24:MI:SS", "FM999.00", "Mon DD", "9990", "DY, Q"],
            ("to_date" | "to_timestamp", 1) => &["YYYY-MM-DD", "YYYY-MM-DD HH24:MI", "YYYYMMDD"],
            ("to_number", 1) => &["999.9", "9999"],
            ("format", 0) => &["%s", "<%s>", "%L-%I", "%%"],
            (
                "regexp_replace"
                | "regexp_match"
                | "regexp_count"
                | "regexp_like"
                | "regexp_split_to_array"
                | "regexp_substr"
                | "substring",
                1,
            ) if ty == oid::TEXT => &["a", "[a-c]+", "^.", "(b)|c", "\\d+", "x*$", "."],
            ("regexp_replace", 3)
            | ("regexp_match" | "regexp_like" | "regexp_split_to_array", 2) => &["g", "i", ""],
            ("repeat" | "lpad" | "rpad" | "left" | "right" | "round" | "trunc", 1)
                if ty == oid::INT4 =>
            {
                return Node::literal(ty, ["0", "1", "2", "5", "-1", "3"][self.below(6)], None);
            }
            ("factorial" | "chr", 0) => {
                return Node::literal(ty, ["3", "65", "97", "12", "1", "233"][self.below(6)], None);
            }
            ("power" | "pow" | "exp", _) => {
                return Node::literal(ty, ["2", "0.5", "-1", "3", "1.5", "0"][self.below(6)], None);
            }
            _ => return self.expr(ty, d),
        };
        let at = self.below(words.len());
        if ty == oid::TEXT { Node::literal(ty, words[at], None) } else { self.expr(ty, d) }
    }

    fn cast(&mut self, ty: u32, d: u32) -> Node {
        let sources = Signatures::get().casts.get(&ty).map_or(&[][..], Vec::as_slice);
        if sources.is_empty() {
            return self.leaf(ty);
        }
        let from = sources[self.below(sources.len())];
        let target = match ty {
            oid::VARCHAR if self.chance(50) => "varchar(3)".to_owned(),
            oid::NUMERIC if self.chance(50) => "numeric(12,3)".to_owned(),
            oid::BPCHAR => "char(6)".to_owned(),
            _ => type_text(ty),
        };
        let inner = self.expr(from, d);
        if target == type_text(ty) && self.chance(40) {
            return self.short_cast(ty, inner);
        }
        Node::new(ty).text("CAST(").node(inner).text(format!(" AS {target})"))
    }

    fn case(&mut self, ty: u32, d: u32) -> Node {
        let branches = (0..1 + self.below(2))
            .map(|_| {
                Node::plain()
                    .text(" WHEN ")
                    .node(self.expr(oid::BOOL, d))
                    .text(" THEN ")
                    .node(self.expr(ty, d))
            })
            .collect();
        let otherwise = Node::plain().text(" ELSE ").node(self.expr(ty, d));
        Node::new(ty).text("(CASE").list(branches, "", 1).optional(otherwise).text(" END)")
    }

    fn array(&mut self, ty: u32, d: u32) -> Node {
        let element = if ty == oid::INT4_ARRAY { oid::INT4 } else { oid::TEXT };
        if self.chance(40)
            && let Some(query) = self.keyed_rows(element, d)
        {
            return Node::new(ty).text("ARRAY(").node(query).text(")");
        }
        let items = (0..1 + self.below(3)).map(|_| self.expr(element, d)).collect();
        Node::new(ty).text("ARRAY[").list(items, ", ", 1).text("]")
    }

    /// A type that this one is compared with by way of a cast.
    fn relative(&mut self, ty: u32) -> u32 {
        const KIN: [&[u32]; 3] = [
            &[oid::INT2, oid::INT4, oid::INT8, oid::NUMERIC, oid::FLOAT4, oid::FLOAT8],
            &[oid::TEXT, oid::VARCHAR, oid::BPCHAR],
            &[oid::DATE, oid::TIMESTAMP, oid::TIMESTAMPTZ],
        ];
        match KIN.iter().find(|k| k.contains(&ty)) {
            Some(kin) => kin[self.below(kin.len())],
            None => ty,
        }
    }

    /// A type with an order.
    pub fn ordered_type(&mut self) -> u32 {
        loop {
            let ty = self.any_type();
            if values::ordered(ty) {
                return ty;
            }
        }
    }

    /// A condition.
    pub fn condition(&mut self, d: u32) -> Node {
        let ty = self.ordered_type();
        let node = Node::new(oid::BOOL);
        let not = if self.chance(40) { "NOT " } else { "" };
        match self.below(if self.strict { 6 } else { 17 }) {
            0 if self.chance(50) => {
                let (a, b) = (self.relative(ty), self.relative(ty));
                let op = ["=", "<>", "<", ">="][self.below(4)];
                node.text("(")
                    .node(self.expr(a, d))
                    .text(format!(" {op} "))
                    .node(self.expr(b, d))
                    .text(")")
            }
            0..=2 => {
                let op = ["=", "<>", "<", "<=", ">", ">="][self.below(6)];
                node.text("(")
                    .node(self.expr(ty, d))
                    .text(format!(" {op} "))
                    .node(self.expr(ty, d))
                    .text(")")
            }
            3 => node.text("(").node(self.expr(ty, d)).text(format!(" IS {not}NULL)")),
            4 => node
                .text("(")
                .node(self.expr(ty, d))
                .text(format!(" IS {not}DISTINCT FROM "))
                .node(self.expr(ty, d))
                .text(")"),
            5 => {
                let what = ["TRUE", "FALSE", "UNKNOWN"][self.below(3)];
                node.text("(").node(self.expr(oid::BOOL, d)).text(format!(" IS {not}{what})"))
            }
            6..=8 => {
                let joint = if self.chance(50) { " AND " } else { " OR " };
                let items =
                    (0..2 + self.below(2)).map(|_| self.condition(d.saturating_sub(1))).collect();
                node.text("(").list(items, joint, 1).text(")")
            }
            9 => node.text("(NOT ").node(self.condition(d.saturating_sub(1))).text(")"),
            10 => {
                let items = (0..1 + self.below(3)).map(|_| self.expr(ty, 0)).collect();
                node.text("(")
                    .node(self.expr(ty, d))
                    .text(format!(" {not}IN ("))
                    .list(items, ", ", 1)
                    .text("))")
            }
            11 => {
                let symmetric = if self.chance(20) { "SYMMETRIC " } else { "" };
                node.text("(")
                    .node(self.expr(ty, d))
                    .text(format!(" {not}BETWEEN {symmetric}"))
                    .node(self.expr(ty, 0))
                    .text(" AND ")
                    .node(self.expr(ty, 0))
                    .text(")")
            }
            12 => {
                let patterns = ["a%", "%b%", "_", "%", "A_C", "\\%%", "", "%é"];
                let pattern = Node::literal(oid::TEXT, patterns[self.below(8)], None);
                let like = ["LIKE", "ILIKE", "NOT LIKE", "NOT ILIKE"][self.below(4)];
                node.text("(")
                    .node(self.expr(oid::TEXT, d))
                    .text(format!(" {like} "))
                    .node(pattern)
                    .text(")")
            }
            13 => self.quantified(d),
            16 => {
                let other = self.ordered_type();
                let op = ["=", "<>", "<", "<=", ">", ">="][self.below(6)];
                let mut row = || {
                    Node::plain()
                        .text("(")
                        .node(self.expr(ty, 0))
                        .text(", ")
                        .node(self.expr(other, 0))
                        .text(")")
                };
                let (left, right) = (row(), row());
                node.text("(").node(left).text(format!(" {op} ")).node(right).text(")")
            }
            14 => self.in_subquery(ty, d),
            _ => self.exists(d),
        }
    }

    fn quantified(&mut self, d: u32) -> Node {
        let (element, array) = if self.chance(50) {
            (oid::INT4, oid::INT4_ARRAY)
        } else {
            (oid::TEXT, oid::TEXT_ARRAY)
        };
        let op = ["=", "<>", "<", ">="][self.below(4)];
        let how = if self.chance(60) { "ANY" } else { "ALL" };
        Node::new(oid::BOOL)
            .text("(")
            .node(self.expr(element, d))
            .text(format!(" {op} {how} ("))
            .node(self.expr(array, d))
            .text("))")
    }
}
