//! Where a table of the application's own migrations differs from the primary's.
//!
//! Owns the comparison, which assess lists before a copy and the copy tells of. It compares what
//! both catalogs say, never rows. Texts of expressions are written differently on both sides: one
//! counts as there when it is about the same columns. Pure. Start at [`differences`].

use std::sync::Arc;

use crate::backend::postgres::existing::{Existing, Key};
use crate::backend::postgres::project::Projection;
use crate::schema::{Catalog, Column, IndexKey, Relation, RelationKind};
use crate::value::oid;

/// What a difference is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL has something else than a table of this name.
    NoTable,
    /// The control role may not write it.
    Rights,
    /// Row security hides rows from the control role.
    RowSecurity,
    /// Other tables inherit from it.
    Children,
    /// A column that PostgreSQL lacks.
    MissingColumn,
    /// A column of PostgreSQL's own that takes no NULL and has no default.
    Unfilled,
    /// A column of PostgreSQL's own.
    MoreColumn,
    /// A generated column on one side only.
    Generated,
    /// A type whose values cannot be written.
    UnknownType,
    /// A type that takes nothing that is sent to it, not even NULL.
    Unreceived,
    /// NOT NULL on PostgreSQL only.
    NotNull,
    /// The key that rows are told apart by is lacking.
    NoKey,
    /// Another unique constraint or index is lacking.
    NoUnique,
    /// An index is lacking.
    NoIndex,
    /// A foreign key is lacking.
    NoForeignKey,
    /// A check is lacking.
    NoCheck,
    /// A default is lacking.
    NoDefault,
    /// Nothing gives out numbers.
    NoNumbers,
    /// A unique index on PostgreSQL only.
    MoreUnique,
    /// A foreign key on PostgreSQL only.
    MoreForeignKey,
    /// A check on PostgreSQL only.
    MoreCheck,
    /// A trigger on PostgreSQL only.
    Trigger,
    /// A table of PostgreSQL's own refers to it.
    Referred,
    /// Columns in another order.
    Order,
    /// Text that is sorted otherwise.
    Sorted,
}

impl Kind {
    /// Whether the table cannot take the primary's rows.
    pub fn is_in_the_way(self) -> bool {
        matches!(
            self,
            Self::NoTable
                | Self::Rights
                | Self::RowSecurity
                | Self::Children
                | Self::MissingColumn
                | Self::Unfilled
                | Self::Unreceived
                | Self::Generated
        )
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What kind.
    pub kind: Kind,
    /// Column, PostgreSQL's name.
    pub column: Option<String>,
    /// Index, constraint, trigger.
    pub object: Option<String>,
    /// Columns that it is over, where rows can be asked whether they keep to it.
    pub over: Vec<String>,
    /// Where a foreign key leads: key of the table, columns.
    pub leads_to: Option<(String, Vec<String>)>,
    /// One sentence, without values of rows.
    pub message: String,
}

struct Found(Vec<Difference>);

impl Found {
    fn add(&mut self, kind: Kind, message: impl Into<String>) -> &mut Difference {
        let (column, object, over, leads_to) = (None, None, Vec::new(), None);
        let message = message.into();
        self.0.push(Difference { kind, column, object, over, leads_to, message });
        let at = self.0.len() - 1;
        &mut self.0[at]
    }

    fn column(&mut self, kind: Kind, column: &str, message: impl Into<String>) {
        self.add(kind, message).column = Some(column.to_owned());
    }

    fn object(&mut self, kind: Kind, object: &str, message: impl Into<String>) -> &mut Difference {
        let added = self.add(kind, message);
        added.object = Some(object.to_owned());
        added
    }
}

/// Every difference, those that are in the way first.
pub fn differences(
    catalog: &Catalog,
    relation: &Arc<Relation>,
    there: &Existing,
) -> Vec<Difference> {
    let mut found = Found(Vec::new());
    if there.kind != "table" {
        found.add(Kind::NoTable, format!("it is a {} on PostgreSQL", there.kind));
        return found.0;
    }
    if !there.lacking.is_empty() {
        let message = format!("the control role lacks {}", there.lacking.join(", "));
        found.add(Kind::Rights, message);
    }
    if let Some(message) = not_alone(there) {
        let kind = if there.row_security { Kind::RowSecurity } else { Kind::Children };
        found.add(kind, message);
    }
    columns(relation, there, &mut found);
    keys(relation, there, &mut found);
    foreign_keys(catalog, relation, there, &mut found);
    checks(relation, there, &mut found);
    for trigger in &there.triggers {
        found.object(Kind::Trigger, trigger, "on PostgreSQL only");
    }
    let mapped = |key: &str| catalog.relation(key).is_some_and(|r| r.kind == RelationKind::Table);
    for referrer in there.referrers.iter().filter(|r| !mapped(&r.table)) {
        let message =
            format!("{} refers to it by {}", referrer.shown, referrer.columns[0].join(", "));
        found.object(Kind::Referred, &referrer.name, message);
    }
    if !there.sorted.is_empty() {
        let message = format!("PostgreSQL does not sort {} by bytes", there.sorted.join(", "));
        found.add(Kind::Sorted, message);
    }
    found.0.sort_by_key(|difference| !difference.kind.is_in_the_way());
    found.0
}

/// Why the rows of a table could not be told from others, and what to do: even where Crossfade has
/// made the table.
pub fn not_alone(there: &Existing) -> Option<String> {
    if there.row_security {
        return Some(
            "row security hides rows from the control role: ALTER ROLE … BYPASSRLS, or ALTER TABLE \
             … NO FORCE ROW LEVEL SECURITY where the role owns the table"
                .to_owned(),
        );
    }
    (!there.children.is_empty()).then(|| {
        format!(
            "{} inherit from it, whose rows it would show as its own: ALTER TABLE … NO INHERIT, or \
             drop them",
            there.children.join(", ")
        )
    })
}

fn columns(relation: &Arc<Relation>, there: &Existing, found: &mut Found) {
    for column in &relation.columns {
        let name = column.name.as_str();
        let Some(theirs) = there.column(name) else {
            match column.generated.is_some() {
                true => {
                    found.column(Kind::NoDefault, name, "PostgreSQL's table does not compute it");
                }
                false => found.column(Kind::MissingColumn, name, "PostgreSQL's table has it not"),
            }
            continue;
        };
        if !theirs.received && !theirs.generated {
            let message = format!("type {} has no binary form to be sent in", theirs.type_name);
            found.column(Kind::Unreceived, name, message);
        }
        if theirs.generated != column.generated.is_some() {
            let side = if theirs.generated { "PostgreSQL" } else { "SQLite" };
            found.column(Kind::Generated, name, format!("it is generated on {side} only"));
        }
        if theirs.actual.not_null && !column.not_null {
            found.column(Kind::NotNull, name, "NOT NULL on PostgreSQL only");
        }
        let numbered = column.sequence.is_some() || column.identity.is_some();
        if numbered && !theirs.filled {
            found.column(Kind::NoNumbers, name, "nothing numbers new rows on PostgreSQL");
        } else if has_default(column) && !theirs.filled && !theirs.generated {
            found.column(Kind::NoDefault, name, "PostgreSQL's column has no default");
        }
    }
    let actual: Vec<_> = there.columns.iter().map(|c| c.actual.clone()).collect();
    for target in &Projection::over(relation, &actual).columns {
        if let Some(theirs) = there.column(&target.name).filter(|_| !target.is_known()) {
            let message = format!("values of type {} cannot be written", theirs.type_name);
            found.column(Kind::UnknownType, &target.name, message);
        }
    }
    for extra in &there.columns {
        let name = &extra.actual.name;
        if relation.column(name).is_some() {
            continue;
        }
        match extra.actual.not_null && !extra.filled && !extra.generated {
            true => found.column(Kind::Unfilled, name, "it takes no NULL, and nothing fills it"),
            false => {
                found.column(Kind::MoreColumn, name, "on PostgreSQL only; it keeps its default");
            }
        }
    }
    let ours: Vec<&str> = relation.columns.iter().map(|c| c.name.as_str()).collect();
    let ours: Vec<&str> = ours.into_iter().filter(|n| there.column(n).is_some()).collect();
    let theirs = there.columns.iter().map(|c| c.actual.name.as_str());
    if !theirs.filter(|n| relation.column(n).is_some()).eq(ours) {
        found.add(Kind::Order, "PostgreSQL's table has its columns in another order");
    }
}

fn has_default(column: &Column) -> bool {
    let says = column.default.as_deref().or(column.sqlite_default.as_deref());
    says.is_some_and(|default| !default.trim().eq_ignore_ascii_case("null"))
}

fn same(a: &[&str], b: &[String]) -> bool {
    a.len() == b.len() && a.iter().all(|name| b.iter().any(|other| other == name))
}

fn keys(relation: &Relation, there: &Existing, found: &mut Found) {
    let names = |columns: &[usize]| -> Vec<&str> {
        columns.iter().map(|c| relation.columns[*c].name.as_str()).collect()
    };
    let unique = || there.indexes.iter().filter(|i| i.unique);
    for ours in &relation.uniques {
        let columns = names(&ours.columns);
        if unique().any(|i| i.plain && same(&columns, &i.columns)) {
            continue;
        }
        let needed = relation.key() == Some(&ours.columns);
        let kind = if needed { Kind::NoKey } else { Kind::NoUnique };
        let message = format!("nothing keeps {} unique on PostgreSQL", columns.join(", "));
        found.object(kind, &ours.name, message);
    }
    for index in relation.indexes.iter().filter(|i| !i.absent) {
        let text = index_text(relation, index.keys.as_slice(), index.predicate.as_deref());
        let columns: Vec<&str> = mentioned(relation, &text).collect();
        let plain: Option<Vec<&str>> = index
            .keys
            .iter()
            .map(|key| match key {
                IndexKey::Column(c, _) => Some(relation.columns[*c].name.as_str()),
                IndexKey::Expression(..) => None,
            })
            .collect();
        let alike = |theirs: &Key| {
            theirs.name == index.name
                || plain.as_ref().is_some_and(|names| {
                    theirs.columns.len() >= names.len()
                        && names.iter().zip(&theirs.columns).all(|(a, b)| a == b)
                })
                || (!columns.is_empty() && columns.iter().all(|c| mentions(&theirs.definition, c)))
        };
        let is_there = there.indexes.iter().any(|i| (!index.unique || i.unique) && alike(i));
        match (is_there, index.unique) {
            (true, _) => {}
            (false, true) => {
                let message = format!("nothing keeps {} unique on PostgreSQL", columns.join(", "));
                found.object(Kind::NoUnique, &index.name, message);
            }
            (false, false) => {
                found.object(Kind::NoIndex, &index.name, "PostgreSQL has none like it");
            }
        }
    }
    for theirs in unique() {
        let ours = relation.uniques.iter().any(|u| same(&names(&u.columns), &theirs.columns));
        let by_expression = relation.indexes.iter().any(|i| {
            let text = index_text(relation, &i.keys, i.predicate.as_deref());
            i.unique
                && theirs.columns.iter().all(|c| mentions(&text, c))
                && mentioned(relation, &text).all(|c| mentions(&theirs.definition, c))
        });
        if (ours && theirs.plain) || by_expression {
            continue;
        }
        let message = format!("on PostgreSQL only: {}", theirs.definition);
        let added = found.object(Kind::MoreUnique, &theirs.name, message);
        if theirs.plain {
            added.over.clone_from(&theirs.columns);
        }
    }
}

fn index_text(relation: &Relation, keys: &[IndexKey], predicate: Option<&str>) -> String {
    let mut text = String::new();
    for key in keys {
        match key {
            IndexKey::Column(c, _) => text.push_str(&relation.columns[*c].name),
            IndexKey::Expression(e, _) => text.push_str(e),
        }
        text.push(' ');
    }
    text.push_str(predicate.unwrap_or_default());
    text
}

fn foreign_keys(catalog: &Catalog, relation: &Relation, there: &Existing, found: &mut Found) {
    let mut taken = Vec::new();
    for ours in &relation.foreign_keys {
        let columns: Vec<&str> =
            ours.columns.iter().map(|c| relation.columns[*c].name.as_str()).collect();
        let theirs =
            there.foreign_keys.iter().find(|f| same(&columns, &f.columns) && f.table == ours.table);
        match theirs {
            Some(theirs) => taken.push(theirs.name.as_str()),
            None => {
                let parent = catalog.relation(&ours.table).map_or(&*ours.table, |r| r.bare());
                let message =
                    format!("PostgreSQL has none from {} to {parent}", columns.join(", "));
                found.object(Kind::NoForeignKey, &ours.name, message);
            }
        }
    }
    for theirs in there.foreign_keys.iter().filter(|f| !taken.contains(&f.name.as_str())) {
        let parent = catalog.relation(&theirs.table).map_or(&*theirs.table, |r| r.bare());
        let message = format!("on PostgreSQL only, from {} to {parent}", theirs.columns.join(", "));
        let added = found.object(Kind::MoreForeignKey, &theirs.name, message);
        added.over.clone_from(&theirs.columns);
        added.leads_to = Some((theirs.table.clone(), theirs.referenced.clone()));
    }
}

fn checks(relation: &Relation, there: &Existing, found: &mut Found) {
    let mut told: Vec<&str> = Vec::new();
    for ours in &relation.checks {
        let columns: Vec<&str> = mentioned(relation, &ours.expression).collect();
        let alike = |(name, text): &&(String, String)| {
            *name == ours.name || (!columns.is_empty() && columns.iter().all(|c| mentions(text, c)))
        };
        if let Some((name, _)) = there.checks.iter().find(alike) {
            told.push(name);
            continue;
        }
        let by_type = columns.len() == 1
            && columns.iter().filter_map(|c| there.column(c)).any(|theirs| {
                let ty = theirs.actual.ty;
                theirs.actual.apart.as_ref().is_some_and(|a| a.extension.is_none())
                    || matches!(ty.oid, oid::BOOL | oid::JSON | oid::JSONB | oid::UUID)
                    || ty.length().is_some()
            });
        if !by_type {
            found.object(Kind::NoCheck, &ours.name, "PostgreSQL has none over these columns");
        }
    }
    for (name, text) in &there.checks {
        let columns: Vec<&str> = mentioned(relation, text).collect();
        let ours = relation.checks.iter().any(|ours| {
            !columns.is_empty() && columns.iter().all(|c| mentions(&ours.expression, c))
        });
        if !told.contains(&name.as_str()) && !ours {
            found.object(Kind::MoreCheck, name, format!("on PostgreSQL only: {text}"));
        }
    }
}

/// Columns that a text names.
fn mentioned<'a>(relation: &'a Relation, text: &'a str) -> impl Iterator<Item = &'a str> {
    relation.columns.iter().map(|c| c.name.as_str()).filter(move |name| mentions(text, name))
}

/// Whether a text has a name as a word, in whatever case.
fn mentions(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    let word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(&name).any(|(at, found)| {
        let before = text[..at].chars().next_back().is_some_and(word);
        let after = text[at + found.len()..].chars().next().is_some_and(word);
        !before && !after
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_names() {
        assert!(mentions("CHECK ((price >= (0)::numeric))", "price"));
        assert!(mentions("(\"Price\" > 0)", "price"));
        assert!(!mentions("(price_net > 0)", "price"));
        assert!(!mentions("(unprice > 0)", "price"));
    }
}
