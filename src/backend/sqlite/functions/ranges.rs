//! Ranges and multiranges: making them, their parts, comparing and combining them.
//!
//! What is computed is in `value::range`; the types' OIDs are arguments. Start at
//! [`FUNCTIONS`].

use super::aggregate::{Accumulate, AggregateDef, aggregate};
use super::args::{Args, boolean, logical};
use super::{Def, lenient, strict};
use crate::error::{Error, Result, state};
use crate::value::range::{self, Range, ops};
use crate::value::{Cell, Datum, array};

pub(super) const FUNCTIONS: &[Def] = &[
    // pg_range_make(lower, upper, flags, type)
    lenient("pg_range_make", 4, make),
    // pg_multirange(type, range …)
    strict("pg_multirange", -1, |a| {
        let of = range::range_of(a.oid(0)?).unwrap_or(0);
        let mut all = Vec::with_capacity(a.len());
        for i in 1..a.len() {
            all.extend_from_slice(ops::members(&a.datum(i, of)?));
        }
        many(of, all)
    }),
    // pg_range_end(value, type, upper)
    strict("pg_range_end", 3, |a| {
        let (datum, type_oid) = (a.datum(0, a.oid(1)?)?, a.oid(1)?);
        let of = range::range_of(type_oid).unwrap_or(type_oid);
        let subtype = range::subtype_of(of).unwrap_or(0);
        let members = ops::members(&datum);
        let bound = if a.bool(2)? {
            members.last().and_then(|r| r.upper.as_ref())
        } else {
            members.first().and_then(|r| r.lower.as_ref())
        };
        bound.map_or(Ok(Cell::Null), |value| logical(value, subtype))
    }),
    // pg_range_fact(value, type, which)
    strict("pg_range_fact", 3, |a| {
        let datum = a.datum(0, a.oid(1)?)?;
        let members = ops::members(&datum);
        let (first, last) = (members.first(), members.last());
        boolean(match a.int(2)? {
            0 => members.is_empty(),
            1 => first.is_some_and(|r| r.lower_in),
            2 => last.is_some_and(|r| r.upper_in),
            3 => first.is_some_and(|r| r.lower.is_none()),
            _ => last.is_some_and(|r| r.upper.is_none()),
        })
    }),
    // pg_range_test(operator, left, its type, right, its type)
    strict("pg_range_test", 5, |a| {
        let (left, right) = (a.datum(1, a.oid(2)?)?, a.datum(3, a.oid(4)?)?);
        match ops::test(a.text(0)?, &left, &right)? {
            Some(found) => boolean(found),
            None => Err(Error::internal("an operator that is none of ranges")),
        }
    }),
    // pg_range_combine(operator, left, right, their type)
    strict("pg_range_combine", 4, |a| {
        let ty = a.oid(3)?;
        let made = ops::combine(a.text(0)?, a.datum(1, ty)?, a.datum(2, ty)?)?;
        logical(&made, ty)
    }),
    // pg_range_merge(left, right, their type)
    strict("pg_range_merge", 3, |a| {
        let ty = a.oid(2)?;
        match (a.datum(0, ty)?, a.datum(1, ty)?) {
            (Datum::Range(_, left), Datum::Range(_, right)) => one(ty, ops::merge(&left, &right)?),
            _ => Err(Error::internal("ranges of another type")),
        }
    }),
    // pg_range_span(multirange, its type): from its first end to its last.
    strict("pg_range_span", 2, |a| {
        let ty = a.oid(1)?;
        let datum = a.datum(0, ty)?;
        let members = ops::members(&datum);
        let span = match (members.first(), members.last()) {
            (Some(first), Some(last)) => ops::merge(first, last)?,
            _ => Range::nothing(),
        };
        one(range::range_of(ty).unwrap_or(0), span)
    }),
    // pg_multirange_members(multirange, its type): their cells as an array.
    strict("pg_multirange_members", 2, |a| {
        let ty = a.oid(1)?;
        let of = range::range_of(ty).unwrap_or(0);
        let datum = a.datum(0, ty)?;
        let cells = ops::members(&datum).iter().map(|member| one(of, member.clone()));
        let cells = cells.collect::<Result<Vec<_>>>()?;
        Ok(Cell::Text(array::encode(cells.iter().map(Cell::as_ref))?))
    }),
];

fn one(type_oid: u32, range: Range) -> Result<Cell> {
    logical(&Datum::Range(type_oid, Box::new(range)), type_oid)
}

fn many(of: u32, ranges: Vec<Range>) -> Result<Cell> {
    logical(&Datum::Multirange(of, range::union_all(ranges)?), of)
}

fn make(a: &Args<'_>) -> Result<Cell> {
    if a.is_null(2) {
        let message = "range constructor flags argument must not be null";
        return Err(Error::client(state::DATA_EXCEPTION, message));
    }
    let ins = match a.text(2)? {
        "[]" => (true, true),
        "[)" => (true, false),
        "(]" => (false, true),
        "()" => (false, false),
        _ => {
            let hint = "Valid values are \"[]\", \"[)\", \"(]\", and \"()\".";
            let message = "invalid range bound flags";
            return Err(Error::client(state::SYNTAX_ERROR, message).hint(hint));
        }
    };
    let ty = a.oid(3)?;
    let subtype = range::subtype_of(ty).unwrap_or(0);
    one(ty, range::make(ty, a.datum(0, subtype)?, a.datum(1, subtype)?, ins)?)
}

pub(super) const AGGREGATES: &[AggregateDef] = &[
    // (value, its type)
    aggregate("pg_range_agg", 2, || Box::new(Union::default())),
    aggregate("pg_range_intersect_agg", 2, || Box::new(Common::default())),
];

/// range_agg: what any of the rows holds. NULL rows count as rows that hold nothing.
#[derive(Default)]
struct Union {
    of: u32,
    rows: std::collections::VecDeque<Vec<Range>>,
}

impl Accumulate for Union {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        let ty = args.oid(1)?;
        self.of = range::range_of(ty).unwrap_or(ty);
        self.rows.push_back(ops::members(&args.datum(0, ty)?).to_vec());
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
        many(self.of, self.rows.iter().flatten().cloned().collect())
    }
}

/// range_intersect_agg: what all rows hold that are not NULL.
#[derive(Default)]
struct Common {
    ty: u32,
    rows: std::collections::VecDeque<Datum>,
}

impl Accumulate for Common {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        self.ty = args.oid(1)?;
        self.rows.push_back(args.datum(0, self.ty)?);
        Ok(())
    }

    fn inverse(&mut self, _: &Args<'_>) -> Result<()> {
        self.rows.pop_front();
        Ok(())
    }

    fn value(&self) -> Result<Cell> {
        let mut rows = self.rows.iter().filter(|row| !row.is_null()).cloned();
        let Some(first) = rows.next() else { return Ok(Cell::Null) };
        let all = rows.try_fold(first, |all, row| ops::combine("*", all, row))?;
        logical(&all, self.ty)
    }
}
