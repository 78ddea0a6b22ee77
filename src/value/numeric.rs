//! `numeric`: arbitrary precision decimals by PostgreSQL's rules.
//!
//! Owns [`Numeric`]. It must never go through a float. Start at [`Numeric`].

use std::cmp::Ordering;
use std::fmt;

use num_bigint::BigInt;

use crate::error::{Error, Result};

/// NaN, an infinity, or `unscaled * 10^-scale`.
#[derive(Clone, Debug)]
pub enum Numeric {
    /// Not a number; equal to itself and greater than everything.
    NaN,
    /// Positive infinity.
    Infinity,
    /// Negative infinity.
    NegInfinity,
    /// `unscaled * 10^-scale`
    Finite(BigInt, u32),
}

impl PartialEq for Numeric {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Numeric {}
impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Numeric {
    fn cmp(&self, _other: &Self) -> Ordering {
        Ordering::Equal
    }
}
impl fmt::Display for Numeric {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}
impl From<i64> for Numeric {
    fn from(value: i64) -> Self {
        Self::Finite(value.into(), 0)
    }
}

impl Numeric {
    /// Reads numeric input text; 22P02 or 22003.
    pub fn parse(_text: &str) -> Result<Self> {
        Err(Error::unsupported("this conversion"))
    }
    /// The shortest decimal that reads back as the same float.
    pub fn from_f64(_value: f64) -> Self {
        Self::NaN
    }
    /// The cast float8 → numeric: 15 significant digits.
    pub fn cast_f64(_value: f64) -> Self {
        Self::NaN
    }
    /// The cast float4 → numeric: 6 significant digits.
    pub fn cast_f32(_value: f32) -> Self {
        Self::NaN
    }
    /// The nearest float; 22003 when out of range.
    pub fn to_f64(&self) -> Result<f64> {
        Err(Error::unsupported("this conversion"))
    }
    /// Rounded half away from zero to bigint; 22003, 0A000 for NaN and the infinities.
    pub fn to_i64(&self) -> Result<i64> {
        Err(Error::unsupported("this conversion"))
    }
    /// Sum.
    pub fn add(&self, _other: &Self) -> Result<Self> {
        Err(Error::unsupported("this conversion"))
    }
    /// Difference.
    pub fn sub(&self, _other: &Self) -> Result<Self> {
        Err(Error::unsupported("this conversion"))
    }
    /// Product.
    pub fn mul(&self, _other: &Self) -> Result<Self> {
        Err(Error::unsupported("this conversion"))
    }
    /// Quotient with PostgreSQL's result scale; 22012.
    pub fn div(&self, _other: &Self) -> Result<Self> {
        Err(Error::unsupported("this conversion"))
    }
    /// Truncated quotient without fraction (`div()`); 22012.
    pub fn div_trunc(&self, _other: &Self) -> Result<Self> {
        Err(Error::unsupported("this conversion"))
    }
    /// Remainder with the dividend's sign; 22012.
    pub fn rem(&self, _other: &Self) -> Result<Self> {
        Err(Error::unsupported("this conversion"))
    }
    /// Negated.
    pub fn neg(&self) -> Self {
        self.clone()
    }
    /// Absolute value.
    pub fn abs(&self) -> Self {
        self.clone()
    }
    /// -1, 0, 1 or NaN.
    pub fn sign(&self) -> Self {
        self.clone()
    }
    /// Rounds half away from zero to a scale, negative ones left of the point.
    pub fn round(&self, _scale: i32) -> Self {
        self.clone()
    }
    /// Cuts to a scale.
    pub fn trunc(&self, _scale: i32) -> Self {
        self.clone()
    }
    /// Smallest integer not below.
    pub fn ceil(&self) -> Self {
        self.clone()
    }
    /// Largest integer not above.
    pub fn floor(&self) -> Self {
        self.clone()
    }
    /// Square root; 2201F when negative.
    pub fn sqrt(&self) -> Result<Self> {
        Err(Error::unsupported("this conversion"))
    }
    /// Power; 2201F.
    pub fn power(&self, _exponent: &Self) -> Result<Self> {
        Err(Error::unsupported("this conversion"))
    }
    /// e to the power.
    pub fn exp(&self) -> Result<Self> {
        Err(Error::unsupported("this conversion"))
    }
    /// Natural logarithm; 2201E.
    pub fn ln(&self) -> Result<Self> {
        Err(Error::unsupported("this conversion"))
    }
    /// Logarithm to a base; 2201E.
    pub fn log(&self, _base: &Self) -> Result<Self> {
        Err(Error::unsupported("this conversion"))
    }
    /// Display scale; `None` for NaN and the infinities.
    pub fn scale(&self) -> Option<u32> {
        None
    }
    /// Least scale that holds the value.
    pub fn min_scale(&self) -> Option<u32> {
        None
    }
    /// Without trailing zeros of the fraction.
    pub fn trim_scale(&self) -> Self {
        self.clone()
    }
    /// Rounds to `numeric(p, s)`; 22003 `numeric field overflow`.
    pub fn with_typmod(&self, _precision: u32, _scale: i32) -> Result<Self> {
        Err(Error::unsupported("this conversion"))
    }
    /// Bytes that memcmp orders as the values; equal exactly for equal values.
    pub fn sort_key(&self) -> Vec<u8> {
        Vec::new()
    }
    /// Whether this is NaN.
    pub fn is_nan(&self) -> bool {
        matches!(self, Self::NaN)
    }
    /// Whether this is zero.
    pub fn is_zero(&self) -> bool {
        false
    }
}
