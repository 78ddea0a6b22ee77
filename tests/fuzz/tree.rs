//! SQL as a tree of text with typed nodes, so that any statement can be made smaller and stay one.
//!
//! A node of a type may be replaced by a smaller one of the same type; an optional part may go;
//! a list may lose items. Start at [`Node`], then [`smaller`].

use crossfade::sql::types::tables;

/// A piece of SQL; `ty` is its PostgreSQL type where it is an expression.
#[derive(Clone, Debug, Default)]
pub struct Node {
    pub ty: Option<u32>,
    pub parts: Vec<Part>,
}

/// What a node is made of.
#[derive(Clone, Debug)]
pub enum Part {
    Text(String),
    Node(Node),
    /// May be left out.
    Optional(Node),
    /// Items, what stands between them, and how many there must be.
    List(Vec<Node>, &'static str, usize),
    /// A constant: its text, its type, and how it looks without a cast, if that has its type.
    Literal {
        text: String,
        ty: u32,
        bare: Option<String>,
    },
    Null(u32),
}

impl Node {
    pub fn new(ty: u32) -> Self {
        Self { ty: Some(ty), parts: Vec::new() }
    }

    pub fn plain() -> Self {
        Self::default()
    }

    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Text(text.into()));
        self
    }

    pub fn node(mut self, node: Self) -> Self {
        self.parts.push(Part::Node(node));
        self
    }

    pub fn optional(mut self, node: Self) -> Self {
        self.parts.push(Part::Optional(node));
        self
    }

    pub fn list(mut self, items: Vec<Self>, between: &'static str, least: usize) -> Self {
        self.parts.push(Part::List(items, between, least));
        self
    }

    pub fn literal(ty: u32, text: &str, bare: Option<String>) -> Self {
        let part = Part::Literal { text: text.to_owned(), ty, bare };
        Self { ty: Some(ty), parts: vec![part] }
    }

    pub fn null(ty: u32) -> Self {
        Self { ty: Some(ty), parts: vec![Part::Null(ty)] }
    }

    fn size(&self) -> usize {
        1 + self.parts.iter().map(Part::size).sum::<usize>()
    }

    /// The statement with its constants written out.
    pub fn simple(&self) -> String {
        let mut out = Rendered { sql: String::new(), params: None };
        out.node(self);
        out.sql
    }

    /// The statement with its constants as parameters.
    pub fn extended(&self) -> (String, Vec<Option<String>>) {
        let mut out = Rendered { sql: String::new(), params: Some(Vec::new()) };
        out.node(self);
        (out.sql, out.params.unwrap_or_default())
    }
}

impl Part {
    fn size(&self) -> usize {
        match self {
            Self::Node(n) | Self::Optional(n) => n.size(),
            Self::List(items, ..) => items.iter().map(Node::size).sum(),
            _ => 1,
        }
    }
}

struct Rendered {
    sql: String,
    params: Option<Vec<Option<String>>>,
}

/// A type as casts write it.
pub fn type_text(ty: u32) -> String {
    let info = tables().ty(ty).expect("a known type");
    if info.element != 0 && info.category == b'A' {
        format!("{}[]", type_text(info.element))
    } else {
        info.name.to_owned()
    }
}

impl Rendered {
    fn node(&mut self, node: &Node) {
        for part in &node.parts {
            match part {
                Part::Text(text) => self.sql.push_str(text),
                Part::Node(n) | Part::Optional(n) => self.node(n),
                Part::List(items, between, _) => {
                    for (i, item) in items.iter().enumerate() {
                        if i > 0 {
                            self.sql.push_str(between);
                        }
                        self.node(item);
                    }
                }
                Part::Null(ty) => self.sql += &format!("NULL::{}", type_text(*ty)),
                Part::Literal { text, ty, bare } => match (&mut self.params, bare) {
                    (Some(params), _) if params.len() < 60 => {
                        params.push(Some(text.clone()));
                        self.sql += &format!("${}::{}", params.len(), type_text(*ty));
                    }
                    (_, Some(bare)) => self.sql.push_str(bare),
                    _ => {
                        let quoted = text.replace('\'', "''");
                        self.sql += &format!("'{quoted}'::{}", type_text(*ty));
                    }
                },
            }
        }
    }
}

/// Statements one step smaller, largest steps first.
pub fn smaller(node: &Node) -> Vec<Node> {
    let mut found = Vec::new();
    steps(node, &mut |n| found.push(n));
    found.sort_by_key(Node::size);
    found
}

fn steps(node: &Node, emit: &mut dyn FnMut(Node)) {
    if let Some(ty) = node.ty
        && node.size() > 2
    {
        let mut inner = Vec::new();
        descendants(node, ty, &mut inner);
        inner.into_iter().for_each(&mut *emit);
        emit(Node::null(ty));
    }
    for (i, part) in node.parts.iter().enumerate() {
        let put = |part: Option<Part>| {
            let mut copy = node.clone();
            match part {
                Some(part) => copy.parts[i] = part,
                None => drop(copy.parts.remove(i)),
            }
            copy
        };
        match part {
            Part::Optional(inner) => {
                emit(put(None));
                steps(inner, &mut |n| emit(put(Some(Part::Optional(n)))));
            }
            Part::Node(inner) => steps(inner, &mut |n| emit(put(Some(Part::Node(n))))),
            Part::List(items, between, least) => {
                for (at, item) in items.iter().enumerate() {
                    if items.len() > *least {
                        let mut fewer = items.clone();
                        fewer.remove(at);
                        emit(put(Some(Part::List(fewer, between, *least))));
                    }
                    steps(item, &mut |n| {
                        let mut changed = items.clone();
                        changed[at] = n;
                        emit(put(Some(Part::List(changed, between, *least))));
                    });
                }
            }
            _ => {}
        }
    }
}

fn descendants(node: &Node, ty: u32, found: &mut Vec<Node>) {
    let mut visit = |n: &Node| {
        if n.ty == Some(ty) {
            found.push(n.clone());
        }
        descendants(n, ty, found);
    };
    for part in &node.parts {
        match part {
            Part::Node(n) | Part::Optional(n) => visit(n),
            Part::List(items, ..) => items.iter().for_each(&mut visit),
            _ => {}
        }
    }
}

#[test]
fn statements_get_smaller() {
    use crossfade::value::oid;
    let one = || Node::literal(oid::INT4, "1", Some("1".to_owned()));
    let sum = Node::new(oid::INT4).text("(").node(one()).text(" + ").node(one()).text(")");
    let statement = Node::plain().text("SELECT ").list(vec![sum, one()], ", ", 1);
    assert_eq!(statement.simple(), "SELECT (1 + 1), 1");
    assert_eq!(statement.extended().0, "SELECT ($1::int4 + $2::int4), $3::int4");
    let texts: Vec<String> = smaller(&statement).iter().map(Node::simple).collect();
    assert!(texts.contains(&"SELECT 1, 1".to_owned()) && texts.contains(&"SELECT 1".to_owned()));
}
