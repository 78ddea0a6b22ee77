//! Aggregates: the frame they share, and sums, averages, extremes and truth values.
//!
//! Each can run over a window: `inverse` takes back the row that was added first.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{RefUnwindSafe, UnwindSafe};

use rusqlite::functions::{Aggregate, Context, WindowAggregate};
use rusqlite::types::Value;

use super::args::{Args, number, owned, real};
use super::{collect, error, ordered, statistics, value};
use crate::error::{Error, Result, state};
use crate::value::numeric::Numeric;
use crate::value::{Cell, Interval, oid};

/// The running state of one aggregate.
pub(super) trait Accumulate {
    /// Adds a row.
    fn step(&mut self, args: &Args<'_>) -> Result<()>;
    /// Takes the earliest row back.
    fn inverse(&mut self, args: &Args<'_>) -> Result<()>;
    /// The result so far.
    fn value(&self) -> Result<Cell>;
}

/// A running state as rusqlite may hold it.
pub(super) type State = Box<dyn Accumulate + Send + UnwindSafe + RefUnwindSafe>;

/// An aggregate function.
pub(super) struct AggregateDef {
    /// Name in SQLite.
    pub(super) name: &'static str,
    /// Number of arguments; -1 for any.
    pub(super) arity: i32,
    /// A fresh state.
    pub(super) make: fn() -> State,
}

/// An aggregate function.
pub(super) const fn aggregate(name: &'static str, arity: i32, make: fn() -> State) -> AggregateDef {
    AggregateDef { name, arity, make }
}

/// Every aggregate function.
pub(super) fn all() -> impl Iterator<Item = &'static AggregateDef> {
    AGGREGATES
        .iter()
        .chain(collect::AGGREGATES)
        .chain(ordered::AGGREGATES)
        .chain(statistics::AGGREGATES)
        .chain(super::ranges::AGGREGATES)
}

/// rusqlite's view of an aggregate.
pub(super) struct Window(pub(super) fn() -> State);

impl Aggregate<State, Value> for Window {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<State> {
        Ok((self.0)())
    }

    fn step(&self, context: &mut Context<'_>, state: &mut State) -> rusqlite::Result<()> {
        state.step(&Args(context)).map_err(error::carry)
    }

    fn finalize(&self, _: &mut Context<'_>, state: Option<State>) -> rusqlite::Result<Value> {
        let state = state.unwrap_or_else(|| (self.0)());
        state.value().map(value).map_err(error::carry)
    }
}

impl WindowAggregate<State, Value> for Window {
    fn value(&self, state: Option<&mut State>) -> rusqlite::Result<Value> {
        let cell = match state {
            Some(state) => state.value(),
            None => (self.0)().value(),
        };
        cell.map(value).map_err(error::carry)
    }

    fn inverse(&self, context: &mut Context<'_>, state: &mut State) -> rusqlite::Result<()> {
        state.inverse(&Args(context)).map_err(error::carry)
    }
}

const AGGREGATES: &[AggregateDef] = &[
    aggregate("pg_sum_numeric", 1, || {
        Box::new(NumericSum { average: false, ..Default::default() })
    }),
    aggregate("pg_avg_numeric", 1, || Box::new(NumericSum { average: true, ..Default::default() })),
    aggregate("pg_sum_int8", 1, || Box::new(IntSum { average: false, ..Default::default() })),
    aggregate("pg_avg_int", 1, || Box::new(IntSum { average: true, ..Default::default() })),
    aggregate("pg_sum_float", 1, || Box::new(FloatSum::default())),
    aggregate("pg_sum_float4", 1, || Box::new(Float4Sum::default())),
    aggregate("pg_sum_interval", 1, || {
        Box::new(IntervalSum { average: false, ..Default::default() })
    }),
    aggregate("pg_avg_interval", 1, || {
        Box::new(IntervalSum { average: true, ..Default::default() })
    }),
    aggregate("pg_min_by", 2, || Box::new(Extreme { greatest: false, ..Default::default() })),
    aggregate("pg_max_by", 2, || Box::new(Extreme { greatest: true, ..Default::default() })),
    aggregate("pg_single", 1, || Box::new(Single::default())),
    aggregate("pg_bit_and", 1, || Box::new(Bits { fold: |a, b| a & b, ..Default::default() })),
    aggregate("pg_bit_or", 1, || Box::new(Bits { fold: |a, b| a | b, ..Default::default() })),
    aggregate("pg_bit_xor", 1, || Box::new(Bits { fold: |a, b| a ^ b, ..Default::default() })),
];

/// sum and avg of numeric. The result shows the largest scale among its rows.
#[derive(Default)]
struct NumericSum {
    average: bool,
    total: Option<Numeric>,
    scales: BTreeMap<u32, u64>,
    /// NaN, Infinity, -Infinity seen.
    special: [u64; 3],
    rows: u64,
}

impl NumericSum {
    fn special(n: &Numeric) -> usize {
        if n.is_nan() {
            0
        } else if *n > Numeric::from(0_i64) {
            1
        } else {
            2
        }
    }
}

impl Accumulate for NumericSum {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        if args.is_null(0) {
            return Ok(());
        }
        let n = args.numeric(0)?;
        self.rows += 1;
        match n.scale() {
            None => self.special[Self::special(&n)] += 1,
            Some(scale) => {
                *self.scales.entry(scale).or_default() += 1;
                self.total = Some(match self.total.take() {
                    Some(total) => total.add(&n)?,
                    None => n,
                });
            }
        }
        Ok(())
    }

    fn inverse(&mut self, args: &Args<'_>) -> Result<()> {
        if args.is_null(0) {
            return Ok(());
        }
        let n = args.numeric(0)?;
        self.rows -= 1;
        match n.scale() {
            None => self.special[Self::special(&n)] -= 1,
            Some(scale) => {
                if let Some(count) = self.scales.get_mut(&scale) {
                    *count -= 1;
                    if *count == 0 {
                        self.scales.remove(&scale);
                    }
                }
                self.total = match self.total.take() {
                    Some(total) => Some(total.sub(&n)?),
                    None => None,
                };
            }
        }
        Ok(())
    }

    fn value(&self) -> Result<Cell> {
        if self.rows == 0 {
            return Ok(Cell::Null);
        }
        let word = match self.special {
            [nan, up, down] if nan > 0 || (up > 0 && down > 0) => Some("NaN"),
            [_, up, _] if up > 0 => Some("Infinity"),
            [_, _, down] if down > 0 => Some("-Infinity"),
            _ => None,
        };
        if let Some(word) = word {
            return Ok(Cell::Text(word.to_owned()));
        }
        let scale = self.scales.keys().next_back().copied().unwrap_or(0);
        let total = self.total.clone().unwrap_or_else(|| Numeric::from(0_i64)).round(scale as i32);
        if self.average {
            number(&total.div(&Numeric::from(self.rows as i64))?)
        } else {
            number(&total)
        }
    }
}

/// sum(int8) and avg of integers, both numeric.
#[derive(Default)]
struct IntSum {
    average: bool,
    total: i128,
    rows: i64,
}

impl Accumulate for IntSum {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(0) {
            self.total += i128::from(args.int(0)?);
            self.rows += 1;
        }
        Ok(())
    }

    fn inverse(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(0) {
            self.total -= i128::from(args.int(0)?);
            self.rows -= 1;
        }
        Ok(())
    }

    fn value(&self) -> Result<Cell> {
        if self.rows == 0 {
            return Ok(Cell::Null);
        }
        if !self.average {
            return Ok(Cell::Text(self.total.to_string()));
        }
        let total = Numeric::parse(&self.total.to_string())?;
        number(&total.div(&Numeric::from(self.rows))?)
    }
}

/// sum and avg of float8 in the order of the rows, without compensation, as PostgreSQL adds.
#[derive(Default)]
struct FloatSum {
    items: VecDeque<f64>,
    total: f64,
    overflow: bool,
}

impl FloatSum {
    fn add(&mut self, first: bool, x: f64) {
        // The first is the sum so far: zero has a sign.
        let total = if first { x } else { self.total + x };
        self.overflow |= total.is_infinite() && !x.is_infinite() && !self.total.is_infinite();
        self.total = total;
    }
}

impl Accumulate for FloatSum {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(0) {
            let x = args.real(0)?;
            self.add(self.items.is_empty(), x);
            self.items.push_back(x);
        }
        Ok(())
    }

    fn inverse(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(0) {
            // Taking a float back is not exact: add the rest up again.
            self.items.pop_front();
            let items = std::mem::take(&mut self.items);
            *self = Self::default();
            items.iter().enumerate().for_each(|(at, x)| self.add(at == 0, *x));
            self.items = items;
        }
        Ok(())
    }

    fn value(&self) -> Result<Cell> {
        match self.items.is_empty() {
            true => Ok(Cell::Null),
            false if self.overflow => Err(super::float::overflow()),
            false => real(self.total),
        }
    }
}

/// sum(float4) is float4: rounded at every step.
#[derive(Default)]
struct Float4Sum {
    items: VecDeque<f32>,
}

impl Accumulate for Float4Sum {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(0) {
            self.items.push_back(args.real(0)? as f32);
        }
        Ok(())
    }

    fn inverse(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(0) {
            self.items.pop_front();
        }
        Ok(())
    }

    fn value(&self) -> Result<Cell> {
        let mut items = self.items.iter().copied();
        let Some(mut total) = items.next() else { return Ok(Cell::Null) };
        for x in items {
            let finite = !total.is_infinite() && !x.is_infinite();
            total += x;
            if finite && total.is_infinite() {
                return Err(super::float::overflow());
            }
        }
        real(f64::from(total))
    }
}

#[derive(Default)]
struct IntervalSum {
    average: bool,
    total: Interval,
    rows: i64,
}

impl Accumulate for IntervalSum {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(0) {
            self.total = super::datetime::sum(self.total, args.interval(0)?)?;
            self.rows += 1;
        }
        Ok(())
    }

    fn inverse(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(0) {
            let back = super::datetime::negated(args.interval(0)?)?;
            self.total = super::datetime::sum(self.total, back)?;
            self.rows -= 1;
        }
        Ok(())
    }

    fn value(&self) -> Result<Cell> {
        if self.rows == 0 {
            return Ok(Cell::Null);
        }
        let rows = self.rows as f64;
        let span = if self.average {
            super::datetime::scaled(self.total, |x| x / rows)?
        } else {
            self.total
        };
        super::args::logical(&crate::value::Datum::Interval(span), oid::INTERVAL)
    }
}

/// min and max by a key: the first argument is the key, the second the result.
#[derive(Default)]
struct Extreme {
    greatest: bool,
    best: Option<(Cell, Cell)>,
    items: VecDeque<(Cell, Cell)>,
    stale: bool,
}

impl Extreme {
    fn better(&self, key: &Cell, than: &Cell) -> bool {
        let order = super::key::compare(key, than);
        if self.greatest { order.is_gt() } else { order.is_lt() }
    }
}

impl Accumulate for Extreme {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        if args.is_null(1) {
            return Ok(());
        }
        let item = (owned(args.cell(0)), owned(args.cell(1)));
        if self.best.as_ref().is_none_or(|(best, _)| self.better(&item.0, best)) {
            self.best = Some(item.clone());
        }
        self.items.push_back(item);
        Ok(())
    }

    fn inverse(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(1) {
            self.items.pop_front();
            self.best = None;
            for item in &self.items {
                if self.best.as_ref().is_none_or(|(best, _)| self.better(&item.0, best)) {
                    self.best = Some(item.clone());
                }
            }
            self.stale = true;
        }
        Ok(())
    }

    fn value(&self) -> Result<Cell> {
        Ok(self.best.as_ref().map_or(Cell::Null, |(_, value)| value.clone()))
    }
}

/// The value of a scalar subquery; a second row is 21000.
#[derive(Default)]
struct Single(Option<Cell>);

impl Accumulate for Single {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        if self.0.is_some() {
            return Err(Error::client(
                state::CARDINALITY_VIOLATION,
                "more than one row returned by a subquery used as an expression",
            ));
        }
        self.0 = Some(owned(args.cell(0)));
        Ok(())
    }

    fn inverse(&mut self, _: &Args<'_>) -> Result<()> {
        self.0 = None;
        Ok(())
    }

    fn value(&self) -> Result<Cell> {
        Ok(self.0.clone().unwrap_or_default())
    }
}

struct Bits {
    fold: fn(i64, i64) -> i64,
    items: VecDeque<i64>,
}

impl Default for Bits {
    fn default() -> Self {
        Self { fold: |a, _| a, items: VecDeque::new() }
    }
}

impl Accumulate for Bits {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(0) {
            self.items.push_back(args.int(0)?);
        }
        Ok(())
    }

    fn inverse(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(0) {
            self.items.pop_front();
        }
        Ok(())
    }

    fn value(&self) -> Result<Cell> {
        let folded = self.items.iter().copied().reduce(self.fold);
        Ok(folded.map_or(Cell::Null, Cell::Integer))
    }
}
