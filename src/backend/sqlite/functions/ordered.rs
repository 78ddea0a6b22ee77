//! Ordered-set aggregates (percentile_cont, percentile_disc, mode) and the regression family.
//!
//! The printer hands the rows over in the order of WITHIN GROUP. Start at [`AGGREGATES`].

use std::collections::VecDeque;

use super::aggregate::{Accumulate, AggregateDef, aggregate};
use super::args::{Args, logical, owned, real};
use super::key::{comparable, compare};
use crate::error::{Error, Result, state};
use crate::schema::Codec;
use crate::value::{Cell, Datum, Interval, Type, array, datetime, oid, storage};

pub(super) const AGGREGATES: &[AggregateDef] = &[
    // fraction, value, type; a fraction's own cell may be an array.
    aggregate("pg_percentile_cont", 3, || Box::new(Percentile { many: false, ..cont() })),
    aggregate("pg_percentile_cont_many", 3, || Box::new(Percentile { many: true, ..cont() })),
    aggregate("pg_percentile_disc", 3, || Box::new(Percentile { many: false, ..disc() })),
    aggregate("pg_percentile_disc_many", 3, || Box::new(Percentile { many: true, ..disc() })),
    aggregate("pg_mode", 2, || Box::new(Mode::default())),
    aggregate("pg_regr_count", 2, || Box::new(Pairs::default())),
    aggregate("pg_regr_sxx", 2, || regression(|s| s.some(s.sxx))),
    aggregate("pg_regr_syy", 2, || regression(|s| s.some(s.syy))),
    aggregate("pg_regr_sxy", 2, || regression(|s| s.some(s.sxy))),
    aggregate("pg_regr_avgx", 2, || regression(|s| s.some(s.sx / s.n))),
    aggregate("pg_regr_avgy", 2, || regression(|s| s.some(s.sy / s.n))),
    aggregate("pg_covar_pop", 2, || regression(|s| s.some(s.sxy / s.n))),
    aggregate("pg_covar_samp", 2, || regression(|s| (s.n >= 2.0).then(|| s.sxy / (s.n - 1.0)))),
    aggregate("pg_corr", 2, || {
        regression(|s| {
            (s.n >= 1.0 && s.sxx != 0.0 && s.syy != 0.0).then(|| s.sxy / (s.sxx * s.syy).sqrt())
        })
    }),
    aggregate("pg_regr_r2", 2, || {
        regression(|s| {
            if s.n < 1.0 || s.sxx == 0.0 {
                None
            } else if s.syy == 0.0 {
                Some(1.0)
            } else {
                Some((s.sxy * s.sxy) / (s.sxx * s.syy))
            }
        })
    }),
    aggregate("pg_regr_slope", 2, || {
        regression(|s| (s.n >= 1.0 && s.sxx != 0.0).then(|| s.sxy / s.sxx))
    }),
    aggregate("pg_regr_intercept", 2, || {
        regression(|s| (s.n >= 1.0 && s.sxx != 0.0).then(|| (s.sy - s.sx * s.sxy / s.sxx) / s.n))
    }),
];

/// Rows in order, and which of them are asked for.
struct Percentile {
    interpolate: bool,
    many: bool,
    fraction: Cell,
    element: u32,
    rows: VecDeque<Cell>,
}

fn cont() -> Percentile {
    Percentile { interpolate: true, ..disc() }
}

fn disc() -> Percentile {
    Percentile {
        interpolate: false,
        many: false,
        fraction: Cell::Null,
        element: 0,
        rows: VecDeque::new(),
    }
}

impl Percentile {
    fn at(&self, fraction: f64) -> Result<Cell> {
        if !(0.0..=1.0).contains(&fraction) {
            let message = format!("percentile value {fraction} is not between 0 and 1");
            return Err(Error::client(state::NUMERIC_VALUE_OUT_OF_RANGE, message));
        }
        let count = self.rows.len();
        if count == 0 {
            return Ok(Cell::Null);
        }
        if !self.interpolate {
            let row = (fraction * count as f64).ceil().max(1.0) as usize;
            return Ok(self.rows.get(row - 1).cloned().unwrap_or(Cell::Null));
        }
        let place = fraction * (count - 1) as f64;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        let (Some(a), Some(b)) = (self.rows.get(low), self.rows.get(high)) else {
            return Ok(Cell::Null);
        };
        if low == high {
            return Ok(a.clone());
        }
        let part = place - low as f64;
        if self.element == oid::INTERVAL {
            let read = |c: &Cell| -> Result<Interval> {
                match storage::decode(Codec::Identity, Type::new(oid::INTERVAL), c.as_ref())? {
                    Datum::Interval(span) => Ok(span),
                    _ => Err(Error::internal("an interval that is none")),
                }
            };
            let (a, b) = (read(a)?, read(b)?);
            let gap = datetime::interval_add(b, datetime::interval_neg(a)?)?;
            let moved = datetime::interval_add(a, datetime::interval_mul(gap, part, false)?)?;
            return logical(&Datum::Interval(moved), oid::INTERVAL);
        }
        let number = |c: &Cell| match c {
            Cell::Real(r) => *r,
            Cell::Integer(i) => *i as f64,
            _ => f64::NAN,
        };
        let (a, b) = (number(a), number(b));
        real(a + part * (b - a))
    }
}

impl Accumulate for Percentile {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        self.fraction = owned(args.cell(0));
        self.element = args.oid(2)?;
        if !args.is_null(1) {
            self.rows.push_back(owned(args.cell(1)));
        }
        Ok(())
    }

    fn inverse(&mut self, _: &Args<'_>) -> Result<()> {
        Err(Error::internal("an ordered-set aggregate over a window"))
    }

    fn value(&self) -> Result<Cell> {
        match &self.fraction {
            Cell::Null => Ok(Cell::Null),
            Cell::Text(list) if self.many => {
                if self.rows.is_empty() {
                    return Ok(Cell::Null);
                }
                let mut out = Vec::new();
                for fraction in array::decode(oid::FLOAT8, list)? {
                    out.push(match fraction {
                        Cell::Real(f) => self.at(f)?,
                        Cell::Integer(i) => self.at(i as f64)?,
                        _ => Cell::Null,
                    });
                }
                Ok(Cell::Text(array::encode(out.iter().map(Cell::as_ref))?))
            }
            Cell::Real(f) => self.at(*f),
            Cell::Integer(i) => self.at(*i as f64),
            _ => Err(Error::internal("a fraction that is not a number")),
        }
    }
}

/// mode(): the most frequent value, the first of them in order.
#[derive(Default)]
struct Mode {
    /// Runs of equal values: value, key, length.
    runs: Vec<(Cell, Cell, u64)>,
}

impl Accumulate for Mode {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        if args.is_null(0) {
            return Ok(());
        }
        let key = comparable(args.cell(0), args.oid(1)?)?;
        match self.runs.last_mut() {
            Some((_, last, length)) if compare(last, &key).is_eq() => *length += 1,
            _ => self.runs.push((owned(args.cell(0)), key, 1)),
        }
        Ok(())
    }

    fn inverse(&mut self, _: &Args<'_>) -> Result<()> {
        Err(Error::internal("an ordered-set aggregate over a window"))
    }

    fn value(&self) -> Result<Cell> {
        let most = self.runs.iter().map(|r| r.2).max();
        let first = self.runs.iter().find(|r| Some(r.2) == most);
        Ok(first.map_or(Cell::Null, |r| r.0.clone()))
    }
}

/// Sums over pairs (y, x), by the Youngs-Cramer recurrence.
#[derive(Clone, Copy, Default)]
struct Sums {
    n: f64,
    sx: f64,
    sxx: f64,
    sy: f64,
    syy: f64,
    sxy: f64,
    /// Finite values have led to an infinity.
    overflow: bool,
}

impl Sums {
    fn some(self, value: f64) -> Option<f64> {
        (self.n >= 1.0).then_some(value)
    }

    fn add(&mut self, y: f64, x: f64) {
        let before = *self;
        self.n += 1.0;
        self.sx += x;
        self.sy += y;
        if before.n == 0.0 {
            if !x.is_finite() {
                (self.sxx, self.sxy) = (f64::NAN, f64::NAN);
            }
            if !y.is_finite() {
                (self.syy, self.sxy) = (f64::NAN, f64::NAN);
            }
            return;
        }
        let (dx, dy) = (x * self.n - self.sx, y * self.n - self.sy);
        let scale = 1.0 / (self.n * before.n);
        self.sxx += dx * dx * scale;
        self.syy += dy * dy * scale;
        self.sxy += dx * dy * scale;
        let finite_x = !before.sx.is_infinite() && !x.is_infinite();
        let finite_y = !before.sy.is_infinite() && !y.is_infinite();
        self.overflow |= (self.sx.is_infinite() || self.sxx.is_infinite()) && finite_x;
        self.overflow |= (self.sy.is_infinite() || self.syy.is_infinite()) && finite_y;
        self.overflow |= self.sxy.is_infinite() && finite_x && finite_y;
        for sum in [&mut self.sxx, &mut self.syy, &mut self.sxy] {
            if sum.is_infinite() {
                *sum = f64::NAN;
            }
        }
    }
}

/// regr_count()
#[derive(Default)]
struct Pairs(i64);

impl Accumulate for Pairs {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        self.0 += i64::from(!args.is_null(0) && !args.is_null(1));
        Ok(())
    }

    fn inverse(&mut self, args: &Args<'_>) -> Result<()> {
        self.0 -= i64::from(!args.is_null(0) && !args.is_null(1));
        Ok(())
    }

    fn value(&self) -> Result<Cell> {
        Ok(Cell::Integer(self.0))
    }
}

struct Regression {
    pairs: VecDeque<(f64, f64)>,
    result: fn(Sums) -> Option<f64>,
}

fn regression(result: fn(Sums) -> Option<f64>) -> super::aggregate::State {
    Box::new(Regression { pairs: VecDeque::new(), result })
}

impl Accumulate for Regression {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(0) && !args.is_null(1) {
            self.pairs.push_back((args.real(0)?, args.real(1)?));
        }
        Ok(())
    }

    fn inverse(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(0) && !args.is_null(1) {
            self.pairs.pop_front();
        }
        Ok(())
    }

    fn value(&self) -> Result<Cell> {
        let mut sums = Sums::default();
        self.pairs.iter().for_each(|(y, x)| sums.add(*y, *x));
        if sums.overflow {
            return Err(super::float::overflow());
        }
        (self.result)(sums).map_or(Ok(Cell::Null), real)
    }
}
