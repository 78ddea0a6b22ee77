//! Domains: a type's values under constraints of their own.
//!
//! A value of a domain is one of its base type, and so is its cell; everything but names and
//! constraints knows the base type only. Start at [`Domain`].

use serde::{Deserialize, Serialize};

use super::Type;

/// OIDs of domains, and odd ones, which no type has yet, of their arrays.
const OIDS: std::ops::Range<u32> = 0x6000_0000..0x7000_0000;

/// Whether the type is a domain.
pub fn is_domain(type_oid: u32) -> bool {
    OIDS.contains(&type_oid)
}

/// The OID of the n-th try for a new domain of a name.
pub fn candidate(hash: u32, step: u32) -> u32 {
    let span = (OIDS.end - OIDS.start) / 2;
    OIDS.start + (hash.wrapping_add(step) % span) * 2
}

/// A CHECK of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Name.
    pub name: String,
    /// OID in pg_constraint.
    pub oid: u32,
    /// The condition on `VALUE`, in PostgreSQL's dialect.
    pub expression: String,
}

/// A domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// OID in pg_type.
    pub oid: u32,
    /// Name.
    pub name: String,
    /// OID of the type its values have.
    pub base: u32,
    /// Modifier of that type.
    pub typmod: i32,
    /// NOT NULL
    pub not_null: bool,
    /// DEFAULT, in PostgreSQL's dialect.
    pub default: Option<String>,
    /// CHECKs: those of the domain it is over, then its own by name.
    pub rules: Vec<Rule>,
    /// The domain it is over.
    #[serde(default)]
    pub over: Option<u32>,
    /// How many of the CHECKs are that domain's.
    #[serde(default)]
    pub inherited: usize,
    /// Of the session's temporary schema: only that session knows it.
    #[serde(skip)]
    pub temporary: bool,
}

impl Domain {
    /// The type its values have.
    pub fn base_type(&self) -> Type {
        Type::with_typmod(self.base, self.typmod)
    }

    /// Its own CHECKs.
    pub fn own_rules(&self) -> &[Rule] {
        self.rules.get(self.inherited..).unwrap_or_default()
    }

    /// Whether a column that is given no value may hold NULL.
    pub fn constrained(&self) -> bool {
        self.not_null || self.default.is_some() || !self.rules.is_empty()
    }
}
