//! Enum types: labels in their order, and the OIDs by which every part knows one; with them
//! the composite types and domains that clients have made.
//!
//! An enum's value is its label, and so is its cell; order is that of the declaration. OIDs
//! lie in a range of their own, even for the type and the next odd one for its array, so
//! that what a type is can be told from its OID alone. They are made once, from the name
//! and a serial number of the file, and kept in the file. Start at [`Enums`].

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use serde::{Deserialize, Serialize};

use super::Datum;
use super::composite::{self, CompositeType, composite_of_array};
use super::domain::{self, Domain};
use crate::error::{Error, Result, state};
use crate::name;

/// OIDs of enum types and their arrays; PostgreSQL's own are far below.
const OIDS: std::ops::Range<u32> = 0x4000_0000..0x5000_0000;

/// Stands for an enum type that only PostgreSQL has. No type that is made here gets it.
pub const FOREIGN: u32 = 0x4fff_fffe;

/// Names kept for messages; one process serves one file.
const NAMES_MAX: usize = 100_000;

/// Whether an OID is that of an enum type.
pub fn is_enum(type_oid: u32) -> bool {
    OIDS.contains(&type_oid) && type_oid.is_multiple_of(2)
}

/// The enum type under an array of one.
pub fn enum_of_array(type_oid: u32) -> Option<u32> {
    (OIDS.contains(&type_oid) && !type_oid.is_multiple_of(2)).then(|| type_oid - 1)
}

/// The array type over an enum type.
pub fn array_of_enum(type_oid: u32) -> Option<u32> {
    is_enum(type_oid).then_some(type_oid + 1)
}

/// A label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// OID in pg_enum.
    pub oid: u32,
    /// The text.
    pub text: String,
    /// pg_enum.enumsortorder
    pub order: f32,
    /// Added in a transaction that has not committed: not to be used yet.
    #[serde(skip)]
    pub fresh: bool,
}

/// An enum type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnumType {
    /// OID in pg_type.
    pub oid: u32,
    /// Name.
    pub name: String,
    /// Labels in order.
    pub labels: Vec<Label>,
    /// Made in a transaction that has not committed.
    #[serde(skip)]
    pub fresh: bool,
    /// Of the session's temporary schema: only that session knows it.
    #[serde(skip)]
    pub temporary: bool,
}

impl EnumType {
    /// Position of a label in the order.
    pub fn position(&self, label: &str) -> Option<usize> {
        self.labels.iter().position(|l| l.text == label)
    }
}

/// The types that clients have made: enums, composite types and domains.
#[derive(Clone, Debug, Default)]
pub struct Enums {
    composites: BTreeMap<u32, Arc<CompositeType>>,
    domains: BTreeMap<u32, Arc<Domain>>,
    by_name: BTreeMap<String, Arc<EnumType>>,
    by_oid: BTreeMap<u32, Arc<EnumType>>,
    trusting: bool,
}

impl Enums {
    /// For values that PostgreSQL has judged already: every label passes.
    pub fn trusting() -> Self {
        Self { trusting: true, ..Self::default() }
    }

    /// The same types, for values that PostgreSQL has judged already.
    #[must_use]
    pub fn judged(&self) -> Self {
        Self { trusting: true, ..self.clone() }
    }

    /// A type by name.
    pub fn named(&self, name: &str) -> Option<&Arc<EnumType>> {
        self.by_name.get(name)
    }

    /// A type by OID.
    pub fn get(&self, type_oid: u32) -> Option<&Arc<EnumType>> {
        self.by_oid.get(&type_oid)
    }

    /// Every enum type, by OID.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<EnumType>> {
        self.by_oid.values()
    }

    /// A composite type by OID.
    pub fn composite(&self, type_oid: u32) -> Option<&Arc<CompositeType>> {
        self.composites.get(&type_oid)
    }

    /// A composite type by name; a session's own hides another.
    pub fn composite_named(&self, name: &str) -> Option<&Arc<CompositeType>> {
        let named = self.composites.values().filter(|ty| ty.name == name);
        named.max_by_key(|ty| ty.temporary)
    }

    /// Every composite type, by OID.
    pub fn composites(&self) -> impl Iterator<Item = &Arc<CompositeType>> {
        self.composites.values()
    }

    /// Adds a composite type.
    pub fn insert_composite(&mut self, ty: CompositeType) {
        self.composites.insert(ty.oid, Arc::new(ty));
    }

    /// Removes a composite type.
    pub fn remove_composite(&mut self, type_oid: u32) {
        self.composites.remove(&type_oid);
    }

    /// A domain by OID.
    pub fn domain(&self, type_oid: u32) -> Option<&Arc<Domain>> {
        self.domains.get(&type_oid)
    }

    /// A domain by name; a session's own hides another.
    pub fn domain_named(&self, name: &str) -> Option<&Arc<Domain>> {
        let named = self.domains.values().filter(|domain| domain.name == name);
        named.max_by_key(|domain| domain.temporary)
    }

    /// Every domain, by OID.
    pub fn domains(&self) -> impl Iterator<Item = &Arc<Domain>> {
        self.domains.values()
    }

    /// Adds a domain.
    pub fn insert_domain(&mut self, domain: Domain) {
        self.domains.insert(domain.oid, Arc::new(domain));
    }

    /// Removes a domain.
    pub fn remove_domain(&mut self, type_oid: u32) {
        self.domains.remove(&type_oid);
    }

    /// An OID that no domain here has.
    pub fn new_domain_oid(&self, name: &str, serial: u32) -> u32 {
        let hash = hash(name, serial);
        (0..u32::MAX)
            .map(|step| domain::candidate(hash, step))
            .find(|found| !self.domains.contains_key(found))
            .unwrap_or_else(|| domain::candidate(hash, 0))
    }

    /// An OID that no composite type here has.
    pub fn new_composite_oid(&self, name: &str, serial: u32) -> u32 {
        let hash = hash(name, serial);
        (0..u32::MAX)
            .map(|step| composite::candidate(hash, step))
            .find(|found| !self.composites.contains_key(found))
            .unwrap_or_else(|| composite::candidate(hash, 0))
    }

    /// Whether an open transaction made any type or label.
    pub fn any_fresh(&self) -> bool {
        self.by_oid.values().any(|ty| ty.fresh || ty.labels.iter().any(|l| l.fresh))
    }

    /// Adds a type, or replaces the one of its OID.
    pub fn insert(&mut self, ty: EnumType) {
        self.remove(ty.oid);
        let ty = Arc::new(ty);
        // A session's own type hides another of its name.
        if ty.temporary || !self.by_name.get(&ty.name).is_some_and(|known| known.temporary) {
            self.by_name.insert(ty.name.clone(), Arc::clone(&ty));
        }
        self.by_oid.insert(ty.oid, ty);
    }

    /// Removes a type.
    pub fn remove(&mut self, type_oid: u32) {
        let Some(former) = self.by_oid.remove(&type_oid) else { return };
        if self.by_name.get(&former.name).is_some_and(|named| named.oid == type_oid) {
            self.by_name.remove(&former.name);
            if let Some(hidden) = self.by_oid.values().find(|ty| ty.name == former.name) {
                self.by_name.insert(former.name.clone(), Arc::clone(hidden));
            }
        }
    }

    /// Whether any type is of a session's temporary schema.
    pub fn any_temporary(&self) -> bool {
        self.by_oid.values().any(|ty| ty.temporary)
            || self.composites.values().any(|c| c.temporary)
            || self.domains.values().any(|d| d.temporary)
    }

    /// The types of a session's temporary schema alone.
    pub fn only_temporary(&self) -> Self {
        let mut own = Self::default();
        for ty in self.by_oid.values().filter(|ty| ty.temporary) {
            own.insert(EnumType::clone(ty));
        }
        own.composites = self.composites.clone();
        own.composites.retain(|_, ty| ty.temporary);
        own.domains = self.domains.clone();
        own.domains.retain(|_, domain| domain.temporary);
        own
    }

    /// All types but those of a session's temporary schema.
    pub fn without_temporary(&self) -> Self {
        let mut kept = self.clone();
        let own: Vec<u32> = self.by_oid.values().filter(|t| t.temporary).map(|t| t.oid).collect();
        own.into_iter().for_each(|type_oid| kept.remove(type_oid));
        kept.composites.retain(|_, ty| !ty.temporary);
        kept.domains.retain(|_, domain| !domain.temporary);
        kept
    }

    /// These types, and another's too.
    pub fn joined(&self, own: &Self) -> Self {
        let mut all = self.clone();
        own.by_oid.values().for_each(|ty| all.insert(EnumType::clone(ty)));
        all.composites.extend(own.composites.iter().map(|(oid, ty)| (*oid, Arc::clone(ty))));
        all.domains.extend(own.domains.iter().map(|(oid, ty)| (*oid, Arc::clone(ty))));
        all
    }

    /// An OID that no type here has.
    pub fn new_oid(&self, name: &str, serial: u32) -> u32 {
        let hash = hash(name, serial);
        let span = (OIDS.end - OIDS.start) / 2;
        (0..span)
            .map(|step| OIDS.start + (hash.wrapping_add(step) % span) * 2)
            .find(|found| *found != FOREIGN && !self.by_oid.contains_key(found))
            .unwrap_or(OIDS.start)
    }

    /// Checks that a text is a label of the type: 22P02.
    pub fn check(&self, type_oid: u32, label: &str) -> Result<()> {
        if self.trusting {
            return Ok(());
        }
        let Some(ty) = self.get(type_oid) else {
            return Err(Error::internal("an enum type that this session does not know"));
        };
        if let Some(position) = ty.position(label) {
            if !ty.labels[position].fresh {
                return Ok(());
            }
            let name = printed_name(type_oid).unwrap_or_else(|| ty.name.clone());
            let message = format!("unsafe use of new value \"{label}\" of enum type {name}");
            return Err(Error::client(state::UNSAFE_NEW_ENUM_VALUE_USAGE, message)
                .hint("New enum values must be committed before they can be used."));
        }
        let name = printed_name(type_oid).unwrap_or_else(|| ty.name.clone());
        let message = format!("invalid input value for enum {name}: \"{label}\"");
        Err(Error::client(state::INVALID_TEXT_REPRESENTATION, message))
    }

    /// Checks the labels of a value of an enum type or an array of one.
    pub fn check_value(&self, type_oid: u32, datum: &Datum) -> Result<()> {
        match datum {
            Datum::Record(fields) => self.check_row(type_oid, fields),
            Datum::Text(label) if is_enum(type_oid) => self.check(type_oid, label),
            Datum::Array(element, items) if is_enum(*element) || composite::is_made(*element) => {
                items.iter().try_for_each(|item| self.check_value(*element, item))
            }
            _ => Ok(()),
        }
    }

    /// Checks that a row has the fields of its type.
    fn check_row(&self, type_oid: u32, fields: &[(u32, Datum)]) -> Result<()> {
        let wrong = |message: String| Error::client(state::DATATYPE_MISMATCH, message);
        let Some(ty) = self.composite(type_oid) else {
            return Err(Error::unsupported("input of a row without a type of its own"));
        };
        if ty.fields.len() != fields.len() {
            let message =
                format!("wrong number of columns: {}, expected {}", fields.len(), ty.fields.len());
            return Err(wrong(message));
        }
        for (position, (field, (given, value))) in ty.fields.iter().zip(fields).enumerate() {
            if field.ty != *given {
                let message = format!(
                    "binary data has type {given} instead of expected {} in record column {}",
                    field.ty,
                    position + 1
                );
                return Err(wrong(message));
            }
            self.check_value(field.ty, value)?;
        }
        Ok(())
    }
}

/// FNV-1a: the same on every machine.
fn hash(name: &str, serial: u32) -> u32 {
    let bytes = name.bytes().chain(serial.to_be_bytes());
    bytes.fold(0x811c_9dc5, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193))
}

/// The type under an array of a type that clients have made.
fn element(type_oid: u32) -> u32 {
    enum_of_array(type_oid).or_else(|| composite_of_array(type_oid)).unwrap_or(type_oid)
}

/// A type's name as it is, and quoted where it must be.
type Names = (Arc<str>, Arc<str>);

static NAMES: RwLock<BTreeMap<u32, Names>> = RwLock::new(BTreeMap::new());

/// Makes an enum type's name known to messages and `format_type`.
/// OIDs differ between files, so one table serves the process.
pub fn publish_name(type_oid: u32, name: &str, printed: &str) {
    let Ok(mut names) = NAMES.write() else { return };
    if names.len() < NAMES_MAX || names.contains_key(&type_oid) {
        names.insert(type_oid, (name.into(), printed.into()));
    }
}

/// The printed name of an enum type or an array of one.
pub fn printed_name(type_oid: u32) -> Option<String> {
    let element = element(type_oid);
    let names = NAMES.read().ok()?;
    let (_, name) = names.get(&element)?;
    Some(if element == type_oid { name.to_string() } else { format!("{name}[]") })
}

/// The key of the name of a type that clients have made, or of an array's element.
pub fn key_of(type_oid: u32) -> Option<Arc<str>> {
    let names = NAMES.read().ok()?;
    names.get(&element(type_oid)).map(|(key, _)| Arc::clone(key))
}

/// pg_type.typname of an enum type or an array of one.
pub fn catalog_name(type_oid: u32) -> Option<String> {
    let element = element(type_oid);
    let names = NAMES.read().ok()?;
    let name = name::bare(&names.get(&element)?.0);
    Some(if element == type_oid { name.to_string() } else { format!("_{name}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oids_are_told_apart() {
        let enums = Enums::default();
        let oid = enums.new_oid("mood", 16_384);
        assert!(is_enum(oid) && !is_enum(oid + 1));
        assert_eq!(enum_of_array(oid + 1), Some(oid));
        assert_eq!(array_of_enum(oid), Some(oid + 1));
        assert_eq!(enums.new_oid("mood", 16_384), oid);
        assert!(!is_enum(25) && enum_of_array(1009).is_none());
    }

    #[test]
    fn labels_are_checked() {
        let mut enums = Enums::default();
        let label = |text: &str| Label { oid: 1, text: text.into(), order: 1.0, fresh: false };
        enums.insert(EnumType {
            oid: 0x4000_0000,
            name: "mood".into(),
            labels: vec![label("sad"), label("ok")],
            fresh: false,
            temporary: false,
        });
        assert!(enums.check(0x4000_0000, "ok").is_ok());
        let error = enums.check(0x4000_0000, "OK").unwrap_err();
        assert_eq!(error.message(), "invalid input value for enum mood: \"OK\"");
        let list = Datum::Array(0x4000_0000, vec![Datum::Null, Datum::Text("no".into())]);
        assert!(enums.check_value(0x4000_0001, &list).is_err());
    }
}
