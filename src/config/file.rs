//! Reading proxy.toml into texts by key, with the line of each.
//!
//! Owns the walk over the TOML document. It must never accept a key it does not know.
//! Start at [`read`].

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::keys::{KEYS, SECTIONS};
use super::tables::{self, Partitions};
use super::{Accept, Override, Table, did_you_mean};

/// What the file says.
#[derive(Default)]
pub(super) struct File {
    /// Text and line by (section, key).
    pub(super) values: BTreeMap<(String, String), (String, usize)>,
    pub(super) accept: Vec<Accept>,
    pub(super) tables: BTreeMap<String, Table>,
    pub(super) problems: Vec<String>,
}

struct Walk<'a> {
    name: &'a str,
    text: &'a str,
    file: File,
}

/// Reads the text of a configuration file called `name`.
pub(super) fn read(name: &str, text: &str) -> File {
    let mut walk = Walk { name, text, file: File::default() };
    match DeTable::parse(text) {
        Ok(document) => walk.document(document.get_ref()),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            walk.problem(at, error.message());
        }
    }
    walk.file
}

impl Walk<'_> {
    fn line(&self, offset: usize) -> usize {
        self.text.get(..offset).unwrap_or_default().matches('\n').count() + 1
    }

    fn problem(&mut self, offset: usize, message: impl std::fmt::Display) {
        let line = self.line(offset);
        self.file.problems.push(format!("{}:{line}: {message}", self.name));
    }

    fn document(&mut self, document: &DeTable<'_>) {
        for (key, value) in document {
            let (section, at) = (key.get_ref().as_ref(), key.span().start);
            let DeValue::Table(table) = value.get_ref() else {
                let near = did_you_mean(section, KEYS.iter().map(|k| k.name));
                self.problem(at, format!("unknown key \"{section}\" outside of a section{near}"));
                continue;
            };
            match section {
                "tables" => self.tables(table),
                _ if SECTIONS.iter().any(|(name, _)| *name == section) => {
                    self.section(section, table);
                }
                _ => {
                    let names = SECTIONS.iter().map(|(name, _)| *name).chain(["tables"]);
                    let near = did_you_mean(section, names);
                    self.problem(at, format!("unknown section [{section}]{near}"));
                }
            }
        }
    }

    fn section(&mut self, section: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            if (section, name) == ("divergence", "accept") {
                self.accepts(value);
                continue;
            }
            let known = KEYS.iter().find(|k| k.section == section && k.name == name);
            let Some(known) = known else {
                let names = KEYS.iter().filter(|k| k.section == section).map(|k| k.name);
                let near = did_you_mean(name, names);
                self.problem(at, format!("unknown key \"{name}\" in [{section}]{near}"));
                continue;
            };
            match self.scalar(value, known.list) {
                Some(text) => {
                    let line = self.line(at);
                    let place = (section.to_owned(), name.to_owned());
                    self.file.values.insert(place, (text, line));
                }
                None => self.problem(at, format!("{section}.{name} expects {}", known.kind)),
            }
        }
    }

    /// A scalar as text; an array of strings joined by commas where allowed.
    fn scalar(&self, value: &Spanned<DeValue<'_>>, list: bool) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.clone().into_owned()),
            DeValue::Boolean(flag) => Some(flag.to_string()),
            DeValue::Integer(_) | DeValue::Float(_) => {
                self.text.get(value.span()).map(str::to_owned)
            }
            DeValue::Array(items) if list => {
                let items = items.iter().map(|item| self.scalar(item, false));
                Some(items.collect::<Option<Vec<_>>>()?.join(","))
            }
            _ => None,
        }
    }

    fn accepts(&mut self, value: &Spanned<DeValue<'_>>) {
        let at = value.span().start;
        let DeValue::Array(items) = value.get_ref() else {
            return self.problem(at, "write accept rules as [[divergence.accept]]");
        };
        for item in items {
            let at = item.span().start;
            let DeValue::Table(table) = item.get_ref() else {
                self.problem(at, "write accept rules as [[divergence.accept]]");
                continue;
            };
            let mut rule = Accept::default();
            for (key, value) in table {
                let (name, at) = (key.get_ref().as_ref(), key.span().start);
                let slot = match name {
                    "class" => &mut rule.class,
                    "fingerprint" => &mut rule.fingerprint,
                    "table" => &mut rule.table,
                    "column" => &mut rule.column,
                    "reason" => &mut rule.reason,
                    "owner" => &mut rule.owner,
                    "expires" => &mut rule.expires,
                    _ => {
                        let known = [
                            "class",
                            "fingerprint",
                            "table",
                            "column",
                            "reason",
                            "owner",
                            "expires",
                        ];
                        let near = did_you_mean(name, known.into_iter());
                        let text = format!("unknown key \"{name}\" in [[divergence.accept]]{near}");
                        self.problem(at, text);
                        continue;
                    }
                };
                *slot = self.scalar(value, false);
                if slot.is_none() {
                    self.problem(at, format!("divergence.accept.{name} expects text"));
                }
            }
            let moment = |at: &String| {
                at.parse::<jiff::Timestamp>().is_ok() || at.parse::<jiff::civil::Date>().is_ok()
            };
            if !rule.expires.as_ref().is_none_or(moment) {
                self.problem(at, "expires is a date or a time, as in 2030-01-31");
            } else if rule.reason.is_none() {
                self.problem(at, "an accept rule needs a reason");
            } else if rule.is_unbounded() {
                self.problem(at, "an accept rule needs a class, fingerprint, table or column");
            } else {
                self.file.accept.push(rule);
            }
        }
    }

    fn tables(&mut self, given: &DeTable<'_>) {
        for (key, value) in given {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            let DeValue::Table(table) = value.get_ref() else {
                self.problem(at, format!("write overrides of a table as [tables.{name}]"));
                continue;
            };
            let mut entry = Table::default();
            for (key, value) in table {
                let at = key.span().start;
                if let Err(why) = self.decision(name, key.get_ref(), value.get_ref(), &mut entry) {
                    self.problem(at, why);
                }
            }
            if let Some((column, form)) = entry.contradiction() {
                let text =
                    format!("tables.{name}: column {column} is coerced and stored as {form}");
                self.problem(at, text);
            }
            self.file.tables.insert(name.to_owned(), entry);
        }
    }

    /// One key of `[tables.NAME]`.
    fn decision(
        &mut self,
        table: &str,
        field: &str,
        value: &DeValue<'_>,
        entry: &mut Table,
    ) -> Result<(), String> {
        match (field, value) {
            ("columns", DeValue::Table(columns)) => self.columns(table, columns, entry),
            ("partition_by", DeValue::String(text)) => {
                let read = Partitions::parse(text).map_err(|why| format!("tables.{table}: {why}"));
                entry.partition_by = Some(read?);
            }
            ("name", DeValue::String(text)) if is_name(text) => entry.name = Some(text.to_string()),
            ("column_names", DeValue::Table(names)) => {
                for (column, new) in names {
                    let DeValue::String(new) = new.get_ref() else {
                        return Err("column_names expects { old = \"new\" }".to_owned());
                    };
                    if !is_name(new) {
                        return Err(format!("{new:?} is not a name of at most 63 bytes"));
                    }
                    let column = column.get_ref().as_ref().to_owned();
                    entry.column_names.insert(column, new.to_string());
                }
            }
            ("indexes", DeValue::Array(list)) => {
                for text in texts(list).ok_or("indexes expects a list of texts")? {
                    entry.indexes.push(tables::index(&text)?);
                }
            }
            ("refuse", DeValue::Array(list)) => {
                entry.refuse = texts(list).ok_or("refuse expects a list of columns")?;
            }
            ("coerce", DeValue::Array(list)) => {
                entry.coerce = texts(list).ok_or("coerce expects a list of columns")?;
            }
            ("empty_is_null", DeValue::Array(list)) => {
                entry.empty_is_null =
                    texts(list).ok_or("empty_is_null expects a list of columns")?;
            }
            ("columns", _) => return Err("columns expects { name = \"type\" }".to_owned()),
            ("partition_by", _) => return Err("partition_by expects text".to_owned()),
            ("name", _) => return Err("name expects a name of at most 63 bytes".to_owned()),
            ("column_names", _) => {
                return Err("column_names expects { old = \"new\" }".to_owned());
            }
            ("indexes" | "refuse" | "coerce" | "empty_is_null", _) => {
                return Err(format!("{field} expects a list"));
            }
            _ => {
                let near = did_you_mean(field, DECISIONS.into_iter());
                return Err(format!("unknown key \"{field}\" in [tables.{table}]{near}"));
            }
        }
        Ok(())
    }

    fn columns(&mut self, table: &str, columns: &DeTable<'_>, entry: &mut Table) {
        for (column, ty) in columns {
            let column = column.get_ref().as_ref().to_owned();
            let at = ty.span().start;
            match ty.get_ref() {
                DeValue::String(text) => match Override::parse(text) {
                    Ok(ty) => drop(entry.columns.insert(column, ty)),
                    Err(why) => self.problem(at, format!("tables.{table}.columns.{column}: {why}")),
                },
                _ => self.problem(at, "a column's type is text"),
            }
        }
    }
}

/// The keys of `[tables.NAME]`.
const DECISIONS: [&str; 8] = [
    "columns",
    "partition_by",
    "indexes",
    "name",
    "column_names",
    "refuse",
    "coerce",
    "empty_is_null",
];

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 63 && !text.contains('\0')
}

/// The texts of a list; None when something else is in it.
fn texts(list: &DeArray<'_>) -> Option<Vec<String>> {
    let text = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        _ => None,
    };
    list.iter().map(text).collect()
}
