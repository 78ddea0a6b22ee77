//! SQLite's plan as the nodes that tools for PostgreSQL's plans know.
//!
//! Owns which node a line of `EXPLAIN QUERY PLAN` is, and which hangs under which. What SQLite
//! does not tell (costs, numbers of rows) is left out, never made up; a line that has no
//! counterpart is a node by its own words. Start at [`tree`].

/// A line of SQLite's plan and its depth.
pub(super) struct Line {
    pub(super) depth: usize,
    pub(super) detail: String,
}

/// A node of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Node {
    /// `Seq Scan`, `Nested Loop` …
    pub(super) kind: String,
    /// What ModifyTable does.
    pub(super) operation: Option<&'static str>,
    /// What it is to the node above.
    pub(super) relationship: Option<&'static str>,
    /// `InitPlan 1`, `SubPlan 2`
    pub(super) subplan: Option<String>,
    pub(super) relation: Option<String>,
    pub(super) alias: Option<String>,
    pub(super) index: Option<String>,
    pub(super) condition: Option<String>,
    pub(super) inner: Vec<Node>,
}

impl Node {
    fn named(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), ..Self::default() }
    }

    fn over(kind: impl Into<String>, mut inner: Node) -> Self {
        inner.relationship = Some("Outer");
        Self { inner: vec![inner], ..Self::named(kind) }
    }

    /// The node as the text form names it.
    pub(super) fn title(&self) -> String {
        let mut title = match (self.operation, self.kind.as_str()) {
            (Some(operation), _) => operation.to_owned(),
            (None, kind) => kind.to_owned(),
        };
        if let Some(index) = &self.index {
            title.push_str(&format!(" using {index}"));
        }
        if let Some(relation) = &self.relation {
            title.push_str(&format!(" on {relation}"));
            if let Some(alias) = self.alias.as_ref().filter(|a| *a != relation) {
                title.push_str(&format!(" {alias}"));
            }
        } else if let Some(alias) = &self.alias {
            title.push_str(&format!(" on {alias}"));
        }
        title
    }
}

/// The tree of a plan. `tables` are those that the statement reads; `writes` is what it does to
/// which table.
pub(super) fn tree(lines: &[Line], tables: &[&str], writes: Option<(&'static str, &str)>) -> Node {
    let mut subplans = 0;
    let read = gathered(lines, tables, &mut subplans);
    let Some((operation, table)) = writes else { return read };
    let mut inner = read;
    inner.relationship = Some("Outer");
    Node {
        operation: Some(operation),
        relation: Some(table.to_owned()),
        alias: Some(table.to_owned()),
        inner: vec![inner],
        ..Node::named("ModifyTable")
    }
}

/// The lines directly below a depth, each with those under it.
fn families(lines: &[Line]) -> Vec<(&Line, &[Line])> {
    let Some(depth) = lines.first().map(|l| l.depth) else { return Vec::new() };
    let starts: Vec<usize> = (0..lines.len()).filter(|i| lines[*i].depth <= depth).collect();
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    starts.iter().zip(ends).map(|(start, end)| (&lines[*start], &lines[start + 1..end])).collect()
}

/// One query's lines as one node.
fn gathered(lines: &[Line], tables: &[&str], subplans: &mut usize) -> Node {
    let (mut loops, mut above) = (Vec::new(), Vec::new());
    let (mut made, mut beside): (Vec<(String, Node)>, Vec<Node>) = (Vec::new(), Vec::new());
    for (line, below) in families(lines) {
        let detail = line.detail.as_str();
        let words = |start: &str| detail.strip_prefix(start).map(str::trim);
        if let Some(rest) = words("SCAN ").or_else(|| words("SEARCH ")) {
            let name = rest.split(' ').next().unwrap_or_default();
            match made.iter().position(|(known, _)| known == name || known == unnumbered(name)) {
                Some(at) => {
                    let (alias, inner) = made.remove(at);
                    let scan = Node { alias: Some(alias), ..Node::over("Subquery Scan", inner) };
                    loops.push(scan);
                }
                None => loops.push(scan(detail, rest, tables)),
            }
        } else if detail.starts_with("USE TEMP B-TREE FOR") {
            above.push(if detail.contains("DISTINCT") { "Unique" } else { "Sort" });
        } else if let Some(name) = words("CO-ROUTINE ").or_else(|| words("MATERIALIZE ")) {
            made.push((name.to_owned(), gathered(below, tables, subplans)));
        } else if detail.contains("SUBQUERY") && !detail.starts_with("COMPOUND") {
            *subplans += 1;
            let correlated = detail.starts_with("CORRELATED");
            let kind = if correlated { "SubPlan" } else { "InitPlan" };
            let name = format!("{kind} {subplans}");
            let inner = gathered(below, tables, subplans);
            beside.push(Node {
                relationship: Some(if correlated { "SubPlan" } else { "InitPlan" }),
                subplan: Some(name),
                ..inner
            });
        } else if detail == "MULTI-INDEX OR" {
            loops.push(any_index(below, tables));
        } else if detail == "COMPOUND QUERY" || detail.starts_with("MERGE (") {
            loops.push(compound(detail, below, tables, subplans));
        } else {
            let inner = gathered(below, tables, subplans);
            loops.push(match below.is_empty() {
                true => Node::named(detail),
                false => Node::over(detail, inner),
            });
        }
    }
    let mut loops = loops.into_iter();
    let mut node = loops.next().unwrap_or_else(|| Node::named("Result"));
    for mut next in loops {
        node.relationship = Some("Outer");
        next.relationship = Some("Inner");
        node = Node { inner: vec![node, next], ..Node::named("Nested Loop") };
    }
    for kind in above {
        node = Node::over(kind, node);
    }
    // Subqueries come first, as in PostgreSQL.
    beside.append(&mut node.inner);
    node.inner = beside;
    node
}

/// UNION and its kin: the line says so, or those under it.
fn compound(line: &str, lines: &[Line], tables: &[&str], subplans: &mut usize) -> Node {
    let mut words = vec![line];
    let mut members = Vec::new();
    for (line, below) in families(lines) {
        words.push(&line.detail);
        let mut member = gathered(below, tables, subplans);
        member.relationship = Some("Member");
        members.push(member);
    }
    let any = |word: &str| words.iter().any(|w| w.contains(word));
    let append = Node { inner: members, ..Node::named("Append") };
    if any("EXCEPT") || any("INTERSECT") {
        return Node::over("SetOp", append);
    }
    let all = words.iter().filter(|w| w.contains("UNION")).all(|w| w.contains("UNION ALL"));
    if all { append } else { Node::over("Unique", append) }
}

/// OR over several indexes of one table.
fn any_index(lines: &[Line], tables: &[&str]) -> Node {
    let mut parts = Vec::new();
    for (_, below) in families(lines) {
        for line in below {
            let Some(rest) = line.detail.strip_prefix("SEARCH ") else { continue };
            let part = scan(&line.detail, rest, tables);
            parts.push(Node {
                kind: "Bitmap Index Scan".to_owned(),
                relationship: Some("Member"),
                ..part
            });
        }
    }
    let (relation, alias) =
        parts.first().map_or((None, None), |p| (p.relation.clone(), p.alias.clone()));
    for part in &mut parts {
        (part.relation, part.alias) = (None, None);
    }
    let any = Node { inner: parts, ..Node::named("BitmapOr") };
    Node { relation, alias, ..Node::over("Bitmap Heap Scan", any) }
}

/// SCAN or SEARCH of a table.
fn scan(detail: &str, rest: &str, tables: &[&str]) -> Node {
    if rest == "CONSTANT ROW" {
        return Node::named("Result");
    }
    let (name, how) = rest.split_once(' ').unwrap_or((rest, ""));
    let condition = how.rfind('(').filter(|_| how.ends_with(')')).map(|at| how[at..].to_owned());
    let word = |after: &str| {
        let rest = how.split_once(after)?.1;
        rest.split([' ', '(']).find(|w| !w.is_empty()).map(str::to_owned)
    };
    let covering = how.contains("COVERING INDEX ");
    let key = how.contains("INTEGER PRIMARY KEY") || how.contains("USING PRIMARY KEY");
    let (kind, index) = if how.contains("VIRTUAL TABLE") {
        ("Seq Scan", None)
    } else if key {
        ("Index Scan", Some(format!("{}_pkey", relation_of(name, tables))))
    } else if how.contains("AUTOMATIC") {
        ("Index Scan", Some("automatic".to_owned()))
    } else if covering {
        ("Index Only Scan", word("COVERING INDEX "))
    } else if how.contains("USING INDEX ") {
        ("Index Scan", word("USING INDEX "))
    } else {
        ("Seq Scan", None)
    };
    // SQLite's own name for the index of a key.
    let index = index.map(|index| match index.starts_with("sqlite_autoindex_") {
        true => format!("{}_pkey", relation_of(name, tables)),
        false => index,
    });
    let condition = condition.filter(|_| detail.starts_with("SEARCH"));
    Node {
        relation: Some(relation_of(name, tables)),
        alias: Some(name.to_owned()),
        index,
        condition,
        ..Node::named(kind)
    }
}

/// The table that a name in SQLite's text means: our printer numbers names that are used twice.
fn relation_of(name: &str, tables: &[&str]) -> String {
    let bare = unnumbered(name);
    let known = tables.iter().find(|t| **t == name).or(tables.iter().find(|t| **t == bare));
    match (known, tables) {
        (Some(table), _) | (None, [table]) => (*table).to_owned(),
        _ => name.to_owned(),
    }
}

/// A name without the number that our printer gives to its second use.
fn unnumbered(name: &str) -> &str {
    let parts = name.rsplit_once('_').filter(|(_, n)| n.bytes().all(|b| b.is_ascii_digit()));
    parts.map_or(name, |(bare, _)| bare)
}
