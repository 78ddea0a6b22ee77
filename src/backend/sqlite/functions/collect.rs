//! Aggregates that keep their rows: array_agg, string_agg over DISTINCT, json_agg and kin.

use std::collections::VecDeque;

use super::aggregate::{Accumulate, AggregateDef, aggregate};
use super::args::{Args, owned};
use super::json_build::{jsonb, quoted, to_json};
use super::key::compare;
use crate::error::{Error, Result, state};
use crate::value::{Cell, array, element_of, oid};

pub(super) const AGGREGATES: &[AggregateDef] = &[
    aggregate("pg_array_agg", 1, || Box::new(ArrayAgg::default())),
    // (descending, key, value)
    aggregate("pg_array_agg_distinct", 3, || Box::new(Distinct::default())),
    // (descending, key, value, separator)
    aggregate("pg_string_agg_distinct", 4, || {
        Box::new(Distinct { text: true, ..Default::default() })
    }),
    aggregate("pg_bytea_agg", 2, || Box::new(ByteaAgg::default())),
    aggregate("pg_json_agg", 2, || Box::new(JsonAgg::default())),
    aggregate("pg_jsonb_agg", 2, || Box::new(JsonAgg { binary: true, ..Default::default() })),
    // (name, its type, value, its type)
    aggregate("pg_json_object_agg", 4, || Box::new(ObjectAgg::default())),
    aggregate("pg_jsonb_object_agg", 4, || {
        Box::new(ObjectAgg { binary: true, ..Default::default() })
    }),
];

#[derive(Default)]
struct ArrayAgg(VecDeque<Cell>);

impl Accumulate for ArrayAgg {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        self.0.push_back(owned(args.cell(0)));
        Ok(())
    }

    fn inverse(&mut self, _: &Args<'_>) -> Result<()> {
        self.0.pop_front();
        Ok(())
    }

    fn value(&self) -> Result<Cell> {
        if self.0.is_empty() {
            return Ok(Cell::Null);
        }
        Ok(Cell::Text(array::encode(self.0.iter().map(Cell::as_ref))?))
    }
}

/// Sorted by key without duplicates, NULL last when ascending.
#[derive(Default)]
struct Distinct {
    text: bool,
    descending: bool,
    rows: VecDeque<(Cell, Cell, Cell)>,
}

impl Accumulate for Distinct {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        self.descending = args.bool(0)?;
        if self.text && args.is_null(2) {
            return Ok(());
        }
        self.rows.push_back((owned(args.cell(1)), owned(args.cell(2)), owned(args.cell(3))));
        Ok(())
    }

    fn inverse(&mut self, _: &Args<'_>) -> Result<()> {
        self.rows.pop_front();
        Ok(())
    }

    fn value(&self) -> Result<Cell> {
        if self.rows.is_empty() {
            return Ok(Cell::Null);
        }
        let mut sorted: Vec<_> = self.rows.iter().collect();
        sorted.sort_by(|a, b| {
            let order = match (a.0.is_null(), b.0.is_null()) {
                (false, false) => compare(&a.0, &b.0).then_with(|| compare(&a.2, &b.2)),
                (x, y) => x.cmp(&y),
            };
            if self.descending { order.reverse() } else { order }
        });
        sorted.dedup_by(|a, b| compare(&a.0, &b.0).is_eq() && (!self.text || a.2 == b.2));
        if !self.text {
            return Ok(Cell::Text(array::encode(sorted.iter().map(|r| r.1.as_ref()))?));
        }
        let mut out = String::new();
        for (i, (_, value, separator)) in sorted.into_iter().enumerate() {
            if let (true, Cell::Text(separator)) = (i > 0, separator) {
                out.push_str(separator);
            }
            if let Cell::Text(value) = value {
                out.push_str(value);
            }
        }
        Ok(Cell::Text(out))
    }
}

/// string_agg(bytea, bytea)
#[derive(Default)]
struct ByteaAgg(VecDeque<(Vec<u8>, Vec<u8>)>);

impl Accumulate for ByteaAgg {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(0) {
            let separator = if args.is_null(1) { Vec::new() } else { args.bytes(1)?.to_vec() };
            self.0.push_back((args.bytes(0)?.to_vec(), separator));
        }
        Ok(())
    }

    fn inverse(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(0) {
            self.0.pop_front();
        }
        Ok(())
    }

    fn value(&self) -> Result<Cell> {
        if self.0.is_empty() {
            return Ok(Cell::Null);
        }
        let mut out = Vec::new();
        for (i, (value, separator)) in self.0.iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(separator);
            }
            out.extend_from_slice(value);
        }
        Ok(Cell::Blob(out))
    }
}

#[derive(Default)]
struct JsonAgg {
    binary: bool,
    /// Rows and arrays stand on lines of their own.
    lines: bool,
    items: VecDeque<String>,
}

impl Accumulate for JsonAgg {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        let ty = args.oid(1)?;
        self.lines = ty == oid::RECORD || element_of(ty).is_some();
        self.items.push_back(to_json(args.cell(0), ty)?);
        Ok(())
    }

    fn inverse(&mut self, _: &Args<'_>) -> Result<()> {
        self.items.pop_front();
        Ok(())
    }

    fn value(&self) -> Result<Cell> {
        if self.items.is_empty() {
            return Ok(Cell::Null);
        }
        let items: Vec<&str> = self.items.iter().map(String::as_str).collect();
        let json = format!("[{}]", items.join(if self.lines { ", \n " } else { ", " }));
        if self.binary { jsonb(&json) } else { Ok(Cell::Text(json)) }
    }
}

#[derive(Default)]
struct ObjectAgg {
    binary: bool,
    items: VecDeque<(String, String)>,
}

impl Accumulate for ObjectAgg {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        if args.is_null(0) {
            return Err(Error::client(
                state::NULL_VALUE_NOT_ALLOWED,
                "field name must not be null",
            ));
        }
        let name = to_json(args.cell(0), args.oid(1)?)?;
        let name = if name.starts_with('"') { name } else { quoted(&name) };
        self.items.push_back((name, to_json(args.cell(2), args.oid(3)?)?));
        Ok(())
    }

    fn inverse(&mut self, _: &Args<'_>) -> Result<()> {
        self.items.pop_front();
        Ok(())
    }

    fn value(&self) -> Result<Cell> {
        if self.items.is_empty() {
            return Ok(Cell::Null);
        }
        let items: Vec<String> = self.items.iter().map(|(k, v)| format!("{k} : {v}")).collect();
        let json = format!("{{ {} }}", items.join(", "));
        if self.binary { jsonb(&json) } else { Ok(Cell::Text(json)) }
    }
}
