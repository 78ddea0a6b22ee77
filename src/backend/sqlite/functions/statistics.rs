//! Variance and standard deviation: exact over integers and numeric, by the
//! Youngs-Cramer recurrence over floats, as PostgreSQL computes them.

use std::collections::VecDeque;

use super::aggregate::{Accumulate, AggregateDef, aggregate};
use super::args::{Args, number, real};
use crate::error::Result;
use crate::value::Cell;
use crate::value::numeric::Numeric;

macro_rules! family {
    ($($name:literal $kind:ident $sample:literal $root:literal),* $(,)?) => {
        pub(super) const AGGREGATES: &[AggregateDef] = &[ $(
            aggregate($name, 1, || Box::new($kind {
                sample: $sample,
                root: $root,
                items: VecDeque::new(),
            })),
        )* ];
    };
}

family! {
    "pg_var_samp_numeric" Exact true false, "pg_var_pop_numeric" Exact false false,
    "pg_stddev_samp_numeric" Exact true true, "pg_stddev_pop_numeric" Exact false true,
    "pg_var_samp_float" Float true false, "pg_var_pop_float" Float false false,
    "pg_stddev_samp_float" Float true true, "pg_stddev_pop_float" Float false true,
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

/// Over float4 and float8.
struct Float {
    sample: bool,
    root: bool,
    items: VecDeque<f64>,
}

impl Accumulate for Float {
    fn step(&mut self, args: &Args<'_>) -> Result<()> {
        if !args.is_null(0) {
            self.items.push_back(args.real(0)?);
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
        let (mut n, mut sum, mut squares) = (0.0_f64, 0.0_f64, 0.0_f64);
        for x in &self.items {
            n += 1.0;
            sum += x;
            if n > 1.0 {
                let gap = x * n - sum;
                squares += gap * gap / (n * (n - 1.0));
            }
        }
        if n == 0.0 || (self.sample && n == 1.0) {
            return Ok(Cell::Null);
        }
        let variance = squares / if self.sample { n - 1.0 } else { n };
        real(if self.root { variance.sqrt() } else { variance })
    }
}
