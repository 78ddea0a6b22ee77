//! `[tables.NAME]`: what a person decides about one table.
//!
//! Owns [`Table`] and the reading of a column's type. Start at [`Override::parse`].

use std::collections::BTreeMap;

use crate::schema::{Catalog, Codec, Relation, RelationKind};
use crate::sql::{Context, analyze};
use crate::value::{Type, oid};

/// Words between a type and how it is stored.
const STORED_AS: &str = " stored as ";

/// Overrides for one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Type and storage by column, for tables that exist in the file already.
    pub columns: BTreeMap<String, Override>,
    /// Partitioning on PostgreSQL, as in `RANGE (created_at)`.
    pub partition_by: Option<String>,
}

/// A column's type, and how the file stores it when that is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// As written: `timestamptz stored as unix-seconds`.
    pub text: String,
    /// PostgreSQL's type.
    pub ty: Type,
    /// How SQLite stores it; None: found from the data.
    pub codec: Option<Codec>,
}

impl Override {
    /// Reads `TYPE` or `TYPE stored as FORM`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, form) = match text.split_once(STORED_AS) {
            Some((name, form)) => (name.trim(), Some(form.trim())),
            None => (text.trim(), None),
        };
        let ty = type_of(name).ok_or_else(|| format!("{name:?} is not a type"))?;
        let codec = match form {
            None => None,
            Some(form) => Some(
                Codec::from_word(form)
                    .filter(|codec| codec.stores(ty))
                    .ok_or_else(|| format!("{name} is stored as {}", forms(ty)))?,
            ),
        };
        Ok(Self { text: text.to_owned(), ty, codec })
    }

    /// Type and storage as they are written in the configuration.
    pub fn write(type_name: &str, codec: Codec) -> String {
        match codec {
            Codec::Identity => type_name.to_owned(),
            codec => format!("{type_name}{STORED_AS}{}", codec.word()),
        }
    }
}

/// The forms a type can be stored in, for a message.
fn forms(ty: Type) -> String {
    let words: Vec<&str> =
        Codec::forms(ty.oid).iter().filter(|c| c.stores(ty)).map(|c| c.word()).collect();
    words.join(" or ")
}

/// PostgreSQL's type of a name with its modifier.
fn type_of(name: &str) -> Option<Type> {
    let plain = |c: char| c.is_alphanumeric() || " _(),\"[]".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return None;
    }
    let catalog = Catalog::system_only();
    let path = ["public".to_owned()];
    let context = Context {
        catalog: &catalog,
        temporary: &BTreeMap::new(),
        search_path: &path,
        param_types: &[],
    };
    let relation = Relation::new(0, "t", RelationKind::Table);
    let expression = analyze::expression(&format!("NULL::{name}"), &relation, &context).ok()?;
    (expression.ty.oid != oid::UNKNOWN).then_some(expression.ty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_forms() {
        let read = |text: &str| Override::parse(text).map(|o| (o.ty.oid, o.codec));
        assert_eq!(read("numeric(12,2)"), Ok((oid::NUMERIC, None)));
        assert_eq!(read("double precision"), Ok((oid::FLOAT8, None)));
        assert_eq!(
            read("timestamptz stored as unix-seconds"),
            Ok((oid::TIMESTAMPTZ, Some(Codec::UnixSeconds)))
        );
        assert_eq!(Override::parse("numeric(12,2)").unwrap().ty.precision_scale(), Some((12, 2)));
        assert_eq!(read("uuid stored as hex"), Ok((oid::UUID, Some(Codec::UuidHex))));
        assert!(read("nonsense").is_err());
        assert!(read("int) + (1").is_err());
        assert_eq!(
            read("uuid stored as unix-seconds"),
            Err("uuid is stored as plain or bytes or hex".to_owned())
        );
    }

    #[test]
    fn every_form_has_a_word_of_its_own() {
        for oid in [oid::BOOL, oid::NUMERIC, oid::TEXT, oid::TIMESTAMPTZ, oid::INTERVAL, oid::UUID]
        {
            for codec in Codec::forms(oid) {
                assert_eq!(Codec::from_word(codec.word()), Some(*codec));
            }
        }
    }
}
