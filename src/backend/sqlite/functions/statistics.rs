//! Variance, standard deviation and the mean of floats: exact over integers and numeric, by the
//! Youngs-Cramer recurrence over floats, as PostgreSQL computes them. It must never give an infinity
//! that finite values have led to: that is 22003, also of a mean.

use std::collections::VecDeque;

use super::aggregate::{Accumulate, AggregateDef, aggregate};
use super::args::{Args, number, real};
use crate::error::Result;
use crate::value::Cell;
use crate::value::numeric::Numeric;

macro_rules! family {
    ($($name:literal $sample:literal $root:literal $float:literal $result:ident),* $(,)?) => {
        pub(super) const AGGREGATES: &[AggregateDef] = &[
            $(
                aggregate($name, 1, || Box::new(Exact {
                    sample: $sample,
                    root: $root,
                    items: VecDeque::new(),
                })),
                aggregate($float, 1, || Box::new(Float::new(|s| s.$result()))),
            )*
            aggregate("pg_avg_float", 1, || Box::new(Float::new(|s| s.mean()))),
        ];
    };
}

family! {
    "pg_var_samp_numeric" true false "pg_var_samp_float" sample,
    "pg_var_pop_numeric" false false "pg_var_pop_float" population,
    "pg_stddev_samp_numeric" true true "pg_stddev_samp_float" sample_root,
    "pg_stddev_pop_numeric" false true "pg_stddev_pop_float" population_root,
}

/// Over integers and numeric.
struct Exact {
    sample: bool,
    root: bool,
    items: VecDeque<Numeric>,
}

impl Accumulate for Exact {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(0) {
            self.items.push_back(args.numeric(0)?);
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
        let count = self.items.len() as i64;
        if count == 0 || (self.sample && count == 1) {
            return Ok(Cell::Null);
        }
        if self.items.iter().any(|n| n.scale().is_none()) {
            return Ok(Cell::Text("NaN".to_owned()));
        }
        let n = Numeric::from(count);
        let (mut sum, mut squares) = (Numeric::from(0_i64), Numeric::from(0_i64));
        for x in &self.items {
            sum = sum.add(x)?;
            squares = squares.add(&x.mul(x)?)?;
        }
        // (N·Σx² - (Σx)²) / (N·(N-1)) or / N²
        let above = n.mul(&squares)?.sub(&sum.mul(&sum)?)?;
        if above <= Numeric::from(0_i64) {
            return Ok(Cell::Text("0".to_owned()));
        }
        let below = if self.sample { n.mul(&Numeric::from(count - 1))? } else { n.mul(&n)? };
        let variance = above.div(&below)?;
        // The root is taken to the quotient's own scale.
        number(&if self.root { variance.sqrt_to_scale(variance.scale())? } else { variance })
    }
}

/// Count, sum and squared deviations of floats.
#[derive(Clone, Copy, Default)]
struct Moments {
    n: f64,
    sum: f64,
    squares: f64,
    /// Finite values have led to an infinity.
    overflow: bool,
}

impl Moments {
    fn add(&mut self, x: f64) {
        let before = *self;
        self.n += 1.0;
        self.sum += x;
        if before.n == 0.0 {
            if !x.is_finite() {
                self.squares = f64::NAN;
            }
            return;
        }
        let gap = x * self.n - self.sum;
        self.squares += gap * gap / (self.n * before.n);
        if self.sum.is_infinite() || self.squares.is_infinite() {
            self.overflow |= !before.sum.is_infinite() && !x.is_infinite();
            self.squares = f64::NAN;
        }
    }

    fn mean(self) -> Option<f64> {
        (self.n > 0.0).then(|| self.sum / self.n)
    }

    fn population(self) -> Option<f64> {
        (self.n > 0.0).then(|| self.squares / self.n)
    }

    fn sample(self) -> Option<f64> {
        (self.n > 1.0).then(|| self.squares / (self.n - 1.0))
    }

    fn population_root(self) -> Option<f64> {
        self.population().map(f64::sqrt)
    }

    fn sample_root(self) -> Option<f64> {
        self.sample().map(f64::sqrt)
    }
}

/// Over float4 and float8.
struct Float {
    result: fn(Moments) -> Option<f64>,
    items: VecDeque<f64>,
    moments: Moments,
}

impl Float {
    fn new(result: fn(Moments) -> Option<f64>) -> Self {
        Self { result, items: VecDeque::new(), moments: Moments::default() }
    }
}

impl Accumulate for Float {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(0) {
            let x = args.real(0)?;
            self.items.push_back(x);
            self.moments.add(x);
        }
        Ok(())
    }

    fn inverse(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(0) {
            // Taking a float back is not exact: add the rest up again.
            self.items.pop_front();
            self.moments = Moments::default();
            self.items.iter().for_each(|x| self.moments.add(*x));
        }
        Ok(())
    }

    fn value(&self) -> Result<Cell> {
        if self.moments.overflow {
            return Err(super::float::overflow());
        }
        (self.result)(self.moments).map_or(Ok(Cell::Null), real)
    }
}
