//! SQL values: PostgreSQL's types, their text and binary wire forms, and the cell
//! by which SQLite holds them.
//!
//! Owns [`Type`], [`Datum`] (a logical PostgreSQL value), [`Cell`] (what SQLite stores or
//! passes between its functions) and [`Codec`] (how a column stores its values). It must never look at a value to find
//! its type, nor do I/O, nor read a clock. Start at [`Datum`].
//!
//! One logical cell form exists for each type; every function registered in SQLite
//! takes and returns it:
//!
//! | type | logical cell |
//! |---|---|
//! | bool | INTEGER 0 or 1 |
//! | int2, int4, int8, oid, reg* | INTEGER |
//! | float4, float8 | REAL (float4 rounded to f32), the TEXT `NaN` |
//! | numeric | TEXT, PostgreSQL's output (scale kept), `NaN`, `Infinity`, `-Infinity` |
//! | text, varchar, name, "char", json, unknown, enum | TEXT |
//! | bpchar | TEXT without trailing blanks; padded on the wire from the typmod |
//! | citext | TEXT |
//! | hstore | TEXT in hstore's canonical output |
//! | jsonb | TEXT in jsonb's canonical output |
//! | bytea | BLOB |
//! | date, time, timestamp | TEXT, ISO, blank between, no trailing zeros of a fraction; years beyond four digits as `value::storage::far` says |
//! | timestamptz | TEXT like timestamp, in UTC, without a zone |
//! | timetz | TEXT, `hh:mm:ss+zz`, the zone as given |
//! | inet, cidr, macaddr | TEXT, canonical output |
//! | bit, varbit | TEXT of zeros and ones |
//! | interval | TEXT, PostgreSQL's `postgres` output style |
//! | uuid | TEXT, lower case with hyphens |
//! | arrays | TEXT, JSON array of the elements' logical cells |
//! | rows | TEXT, JSON array: the OIDs of the fields' types, then their logical cells |
//! | ranges, multiranges | TEXT, canonical output, instants in UTC with `+00` |
//!
//! `infinity` and `-infinity` of dates and timestamps are those words: they sort rightly.

pub mod array;
pub mod binary;
pub mod bits;
pub mod canonical;
mod cell;
mod codec;
mod coerce;
pub mod composite;
pub mod datetime;
mod datum;
pub mod domain;
pub mod enums;
pub mod extension;
pub mod hstore;
pub mod json;
pub mod network;
pub mod numeric;
pub mod range;
pub mod search;
pub mod sort_key;
pub mod storage;
mod style;
pub mod text;
pub mod trigram;
mod types;
pub mod unaccent;
pub mod wire;

pub use cell::{Cell, CellRef};
pub use codec::{Among, Codec};
pub use coerce::coerce;
pub use composite::is_composite;
pub use datum::{Datum, Interval};
pub use enums::is_enum;
pub use range::is_range;
pub use style::{DateOutput, DateStyle, Format, IntervalStyle, Style, numeric_offset, zone};
pub use types::{Type, array_of, element_of, oid, type_name};
