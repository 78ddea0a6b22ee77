//! Reading proxy.toml into texts by key, with the line of each.
//!
//! Owns the walk over the TOML document. It must never accept a key it does not know.
//! Start at [`read`].

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, SECTIONS};
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

    fn tables(&mut self, tables: &DeTable<'_>) {
        for (key, value) in tables {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            let DeValue::Table(table) = value.get_ref() else {
                self.problem(at, format!("write overrides of a table as [tables.{name}]"));
                continue;
            };
            let mut entry = Table::default();
            for (key, value) in table {
                let (field, at) = (key.get_ref().as_ref(), key.span().start);
                match (field, value.get_ref()) {
                    ("columns", DeValue::Table(columns)) => {
                        for (column, ty) in columns {
                            let column = column.get_ref().as_ref().to_owned();
                            match ty.get_ref() {
                                DeValue::String(text) => match Override::parse(text) {
                                    Ok(ty) => drop(entry.columns.insert(column, ty)),
                                    Err(why) => self.problem(
                                        ty.span().start,
                                        format!("tables.{name}.columns.{column}: {why}"),
                                    ),
                                },
                                _ => self.problem(ty.span().start, "a column's type is text"),
                            }
                        }
                    }
                    ("partition_by", DeValue::String(text)) => {
                        entry.partition_by = Some(text.clone().into_owned());
                    }
                    ("columns", _) => self.problem(at, "columns expects { name = \"type\" }"),
                    ("partition_by", _) => self.problem(at, "partition_by expects text"),
                    _ => {
                        let near = did_you_mean(field, ["columns", "partition_by"].into_iter());
                        self.problem(
                            at,
                            format!("unknown key \"{field}\" in [tables.{name}]{near}"),
                        );
                    }
                }
            }
            self.file.tables.insert(name.to_owned(), entry);
        }
    }
}
