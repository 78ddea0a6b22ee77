//! Names for PostgreSQL: folded unless quoted, at most 63 bytes, unique.

use std::collections::BTreeSet;

use super::{FindingKind, Findings};
use crate::name::{bare, beside, unreserved};
use crate::schema::{Catalog, Relation};
use crate::sql::stored;

/// Bytes of a name, as in PostgreSQL.
const NAME_BYTES: usize = 63;

/// Names PostgreSQL keeps for columns every table has.
const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"];

/// PostgreSQL's name for a name of the file: folded when the CREATE text never quotes it.
pub(crate) fn pg_name(name: &str, sql: &str) -> String {
    let mixed = name.chars().any(|c| c.is_ascii_uppercase());
    let quoted = [("\"", "\""), ("[", "]"), ("`", "`"), ("'", "'")]
        .iter()
        .any(|(open, close)| sql.contains(&format!("{open}{name}{close}")));
    let name = if mixed && !quoted { name.to_ascii_lowercase() } else { name.to_owned() };
    // The file may be anybody's: its name must never lead to another schema.
    shortened(&unreserved(&name))
}

/// A name within PostgreSQL's limit; a longer one is cut and gets a hash of the whole.
fn shortened(name: &str) -> String {
    if name.len() <= NAME_BYTES {
        return name.to_owned();
    }
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let suffix = format!("_{:08x}", hash >> 32);
    let end = name.floor_char_boundary(NAME_BYTES - suffix.len());
    format!("{}{suffix}", &name[..end])
}

/// PostgreSQL's name for a column, different from all in `taken`.
pub(super) fn column(
    column: &stored::Column,
    wanted: Option<&str>,
    sql: &str,
    attnum: i16,
    taken: &[String],
    findings: &mut Findings<'_>,
) -> String {
    let mut name = wanted.map_or_else(|| pg_name(&column.name, sql), str::to_owned);
    if name.is_empty() {
        name = format!("column{attnum}");
    }
    while SYSTEM_COLUMNS.contains(&name.as_str()) || taken.contains(&name) {
        name.push('_');
    }
    if !name.eq_ignore_ascii_case(&column.name) {
        let message = format!("PostgreSQL's name for it is {name:?}");
        findings.add(Some(&column.name), FindingKind::Name, message);
    }
    name
}

/// Gives out names that no other object of the schema has.
pub(crate) struct Namer {
    taken: BTreeSet<String>,
}

impl Namer {
    /// Knows the names of a catalog, except those of a relation that is being replaced.
    pub(crate) fn of(catalog: &Catalog, except: Option<&Relation>) -> Self {
        let mut taken = BTreeSet::new();
        for relation in catalog.relations.values() {
            if except.is_some_and(|e| e.oid == relation.oid) {
                continue;
            }
            taken.insert(relation.name.clone());
            let beside = |index: &String| beside(&relation.name, index);
            taken.extend(relation.uniques.iter().map(|u| beside(&u.name)));
            taken.extend(relation.indexes.iter().map(|i| beside(&i.name)));
        }
        taken.extend(catalog.sequences.keys().cloned());
        Self { taken }
    }

    /// The name of a table or view of the file.
    pub(crate) fn relation(
        &mut self,
        name: &str,
        sql: &str,
        findings: &mut Findings<'_>,
    ) -> String {
        let wanted = pg_name(name, sql);
        self.wanted(name, if wanted.is_empty() { "table" } else { &wanted }, findings)
    }

    /// The name of a table of the file, as near to the one wanted as there is.
    pub(crate) fn wanted(
        &mut self,
        name: &str,
        wanted: &str,
        findings: &mut Findings<'_>,
    ) -> String {
        let given = self.unique(wanted);
        if !given.eq_ignore_ascii_case(name) {
            findings.add(None, FindingKind::Name, format!("PostgreSQL's name for it is {given:?}"));
        }
        given
    }

    /// A name as given, made unique.
    pub(crate) fn exactly(&mut self, name: &str) -> String {
        let name = beside(name, &shortened(bare(name)));
        self.unique(&name)
    }

    /// The name of an index in the schema of its table, made unique.
    pub(crate) fn beside(&mut self, table: &str, name: &str) -> String {
        bare(&self.unique(&beside(table, &shortened(name)))).to_owned()
    }

    /// An implicit name, `table_column_suffix`, as PostgreSQL makes it: without the schema.
    pub(crate) fn object(&mut self, table: &str, column: Option<&str>, suffix: &str) -> String {
        let mut pass = 0;
        loop {
            let label = if pass == 0 { suffix.to_owned() } else { format!("{suffix}{pass}") };
            let name = object_name(bare(table), column, &label);
            if self.taken.insert(beside(table, &name)) {
                return name;
            }
            pass += 1;
        }
    }

    /// Whether a name is in use.
    pub(crate) fn is_taken(&self, name: &str) -> bool {
        self.taken.contains(name)
    }

    fn unique(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut pass = 0;
        while !self.taken.insert(name.clone()) {
            pass += 1;
            name = beside(wanted, &shortened(&format!("{}{pass}", bare(wanted))));
        }
        name
    }
}

/// PostgreSQL's makeObjectName: both parts are cut evenly to fit 63 bytes.
pub(crate) fn object_name(table: &str, column: Option<&str>, label: &str) -> String {
    let overhead = 1 + label.len() + usize::from(column.is_some());
    let available = NAME_BYTES.saturating_sub(overhead);
    let (mut first, mut second) = (table.len(), column.map_or(0, str::len));
    while first + second > available {
        if first > second { first -= 1 } else { second -= 1 }
    }
    let first = &table[..table.floor_char_boundary(first)];
    match column {
        Some(column) => {
            let second = &column[..column.floor_char_boundary(second)];
            format!("{first}_{second}_{label}")
        }
        None => format!("{first}_{label}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fold_unless_quoted() {
        assert_eq!(pg_name("Album", "CREATE TABLE Album(Id)"), "album");
        assert_eq!(pg_name("Album", "CREATE TABLE [Album](Id)"), "Album");
        assert_eq!(pg_name("Album", "CREATE TABLE \"Album\"(Id)"), "Album");
        let long = "a".repeat(70);
        assert_eq!(pg_name(&long, "").len(), 63);
        assert_ne!(pg_name(&long, ""), pg_name(&format!("{long}b"), ""));
    }

    #[test]
    fn implicit_names_are_postgresql_s() {
        assert_eq!(object_name("t", Some("a"), "key"), "t_a_key");
        assert_eq!(object_name("t", None, "pkey"), "t_pkey");
        let (table, column) = ("t".repeat(60), "c".repeat(60));
        // As PostgreSQL 15 names it: both parts cut to the same length.
        let name = object_name(&table, Some(&column), "seq");
        assert_eq!(name, format!("{}_{}_seq", "t".repeat(29), "c".repeat(29)));
    }
}
