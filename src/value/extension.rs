//! Types, functions and operators of extensions: which extension each one is of.
//!
//! PostgreSQL numbers an extension's objects when it is created, each server otherwise. Here
//! they have fixed numbers, in a range that PostgreSQL 15 leaves free, so that the tables of the
//! type system can hold them. They are there only once the extension has been created: whoever
//! looks for one by name says which extensions there are. Start at [`Extension::of`].

use super::oid;

/// An extension whose objects are known, if not all of them served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// citext
    Citext,
    /// fuzzystrmatch
    Fuzzystrmatch,
    /// hstore
    Hstore,
    /// pg_trgm
    PgTrgm,
    /// pgcrypto
    Pgcrypto,
    /// unaccent
    Unaccent,
}

/// A set of extensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions(u8);

const ALL: [Extension; 6] = [
    Extension::Citext,
    Extension::Fuzzystrmatch,
    Extension::Hstore,
    Extension::PgTrgm,
    Extension::Pgcrypto,
    Extension::Unaccent,
];

/// Types with their arrays.
const TYPES: [(u32, u32); 2] = [(oid::CITEXT, oid::CITEXT_ARRAY), (oid::HSTORE, oid::HSTORE_ARRAY)];

impl Extension {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Citext => "citext",
            Self::Fuzzystrmatch => "fuzzystrmatch",
            Self::Hstore => "hstore",
            Self::PgTrgm => "pg_trgm",
            Self::Pgcrypto => "pgcrypto",
            Self::Unaccent => "unaccent",
        }
    }

    /// OIDs of its types, functions and operators.
    fn oids(self) -> std::ops::Range<u32> {
        match self {
            Self::PgTrgm => 14_000..14_100,
            Self::Unaccent => 14_100..14_200,
            Self::Pgcrypto => 14_200..14_300,
            Self::Fuzzystrmatch => 14_300..14_400,
            Self::Citext => 15_000..15_500,
            Self::Hstore => 15_500..16_000,
        }
    }

    /// The extension that an OID of a type, function or operator is of.
    pub fn of(oid: u32) -> Option<Self> {
        ALL.into_iter().find(|e| e.oids().contains(&oid))
    }
}

impl Extensions {
    /// Those of some names; what is not served counts for nothing.
    pub fn named<'a>(names: impl Iterator<Item = &'a String>) -> Self {
        let mut set = Self::default();
        for name in names {
            if let Some(found) = ALL.into_iter().find(|e| e.name() == name) {
                set.0 |= 1 << found as u8;
            }
        }
        set
    }

    /// All of them.
    pub fn all() -> Self {
        Self(u8::MAX)
    }

    /// Whether an extension is among them.
    pub fn have(self, extension: Extension) -> bool {
        self.0 & (1 << extension as u8) != 0
    }

    /// Whether an object of an OID is there: PostgreSQL's own always are.
    pub fn show(self, oid: u32) -> bool {
        Extension::of(oid).is_none_or(|e| self.have(e))
    }
}

/// Whether a type is one of an extension, or an array of one: it has another OID on each
/// PostgreSQL.
pub fn is_extended(type_oid: u32) -> bool {
    TYPES.iter().any(|(ty, array)| *ty == type_oid || *array == type_oid)
}

/// The element type of an array of an extension's type.
pub fn extended_of_array(type_oid: u32) -> Option<u32> {
    TYPES.iter().find(|(_, array)| *array == type_oid).map(|(ty, _)| *ty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_there_with_their_extension() {
        let names = ["hstore".to_owned(), "ltree".to_owned()];
        let some = Extensions::named(names.iter());
        assert!(some.show(oid::HSTORE) && some.show(oid::TEXT) && !some.show(oid::CITEXT));
        assert!(Extensions::all().show(oid::CITEXT));
        assert_eq!(Extension::of(oid::HSTORE_ARRAY), Some(Extension::Hstore));
        assert_eq!(extended_of_array(oid::CITEXT_ARRAY), Some(oid::CITEXT));
        assert!(is_extended(oid::CITEXT) && !is_extended(oid::TEXT));
    }
}
