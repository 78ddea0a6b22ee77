//! The four operations, remainder and rounding, with PostgreSQL's result scales.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{Signed, Zero};

use super::{MAX_SCALE, Numeric, digit_count, pow10};
use crate::error::{Error, Result, state};

/// Least number of significant digits of a quotient or a root.
pub(super) const MIN_SIGNIFICANT: i64 = 16;
/// Largest scale that an inexact operation produces.
pub(super) const MAX_DISPLAY_SCALE: i64 = 1000;
/// Digits before the point beyond which rounding can only give zero.
const MIN_ROUND_SCALE: i32 = -131_073;

/// `a / b` rounded half away from zero.
pub(super) fn divide_rounded(a: &BigInt, b: &BigInt) -> BigInt {
    let (quotient, rest) = a.div_rem(b);
    if rest.magnitude() * 2u32 >= *b.magnitude() {
        let away = if a.is_negative() == b.is_negative() { 1 } else { -1 };
        quotient + away
    } else {
        quotient
    }
}

/// Weight (power of 10000) and value of the first base-10000 digit, as PostgreSQL stores
/// the number: its result scales depend on them. (0, 0) for zero.
pub(super) fn leading_digit(n: &BigInt, scale: u32) -> (i64, i64) {
    let count = digit_count(n.magnitude());
    if count == 0 {
        return (0, 0);
    }
    let exponent = count - 1 - i64::from(scale);
    let lead = exponent.rem_euclid(4) + 1;
    let first = if count > lead {
        n.magnitude() / pow10((count - lead) as u32).magnitude()
    } else {
        n.magnitude() * pow10((lead - count) as u32).magnitude()
    };
    (exponent.div_euclid(4), i64::try_from(first).unwrap_or(0))
}

/// Scale of a quotient: at least 16 significant digits and both operands' scales.
fn quotient_scale(a: &BigInt, sa: u32, b: &BigInt, sb: u32) -> u32 {
    let (weight_a, first_a) = leading_digit(a, sa);
    let (weight_b, first_b) = leading_digit(b, sb);
    let weight = weight_a - weight_b - i64::from(first_a <= first_b);
    (MIN_SIGNIFICANT - weight * 4).max(i64::from(sa)).max(i64::from(sb)).clamp(0, MAX_DISPLAY_SCALE)
        as u32
}

fn align(a: &BigInt, sa: u32, b: &BigInt, sb: u32) -> (BigInt, BigInt, u32) {
    let scale = sa.max(sb);
    let lift = |n: &BigInt, s: u32| if s == scale { n.clone() } else { n * pow10(scale - s) };
    (lift(a, sa), lift(b, sb), scale)
}

fn division_by_zero() -> Error {
    Error::client(state::DIVISION_BY_ZERO, "division by zero")
}

impl Numeric {
    /// Sum; the scale is the larger one.
    pub fn add(&self, other: &Self) -> Result<Self> {
        match (self, other) {
            (Self::Finite(a, sa), Self::Finite(b, sb)) => {
                if sa == sb {
                    return Self::finite(a + b, *sa);
                }
                let (a, b, scale) = align(a, *sa, b, *sb);
                Self::finite(a + b, scale)
            }
            (Self::NaN, _) | (_, Self::NaN) => Ok(Self::NaN),
            (Self::Infinity, Self::NegInfinity) | (Self::NegInfinity, Self::Infinity) => {
                Ok(Self::NaN)
            }
            (Self::Finite(..), special) | (special, _) => Ok(special.clone()),
        }
    }

    /// Difference; the scale is the larger one.
    pub fn sub(&self, other: &Self) -> Result<Self> {
        self.add(&other.neg())
    }

    /// Product; the scale is the sum of the scales.
    pub fn mul(&self, other: &Self) -> Result<Self> {
        match (self, other) {
            (Self::Finite(a, sa), Self::Finite(b, sb)) => {
                let (n, scale) = (a * b, sa + sb);
                if scale > MAX_SCALE {
                    let cut = divide_rounded(&n, &pow10(scale - MAX_SCALE));
                    return Self::finite(cut, MAX_SCALE);
                }
                Self::finite(n, scale)
            }
            (Self::NaN, _) | (_, Self::NaN) => Ok(Self::NaN),
            _ if self.is_zero() || other.is_zero() => Ok(Self::NaN),
            _ => Ok(Self::infinity(self.is_negative() != other.is_negative())),
        }
    }

    fn infinity(negative: bool) -> Self {
        if negative { Self::NegInfinity } else { Self::Infinity }
    }

    /// The answers of a division that involves NaN or an infinity; `None` when both
    /// operands are finite.
    fn divide_special(&self, other: &Self) -> Option<Result<Self>> {
        match (self, other) {
            (Self::Finite(..), Self::Finite(..)) => None,
            (Self::NaN, _) | (_, Self::NaN) => Some(Ok(Self::NaN)),
            (Self::Finite(..), _) => Some(Ok(Self::zero())),
            (_, Self::Finite(..)) if other.is_zero() => Some(Err(division_by_zero())),
            (_, Self::Finite(..)) => {
                Some(Ok(Self::infinity(self.is_negative() != other.is_negative())))
            }
            _ => Some(Ok(Self::NaN)),
        }
    }

    /// Quotient with PostgreSQL's result scale; 22012.
    pub fn div(&self, other: &Self) -> Result<Self> {
        let (Self::Finite(a, sa), Self::Finite(b, sb)) = (self, other) else {
            return self.divide_special(other).unwrap_or_else(|| Err(division_by_zero()));
        };
        if b.is_zero() {
            return Err(division_by_zero());
        }
        let scale = quotient_scale(a, *sa, b, *sb);
        let quotient = self.div_to_scale(other, scale);
        let Self::Finite(n, scale) = quotient else { return Ok(quotient) };
        Self::finite(n, scale)
    }

    /// Quotient of finite operands rounded to a scale; the divisor must not be zero.
    pub(super) fn div_to_scale(&self, other: &Self, scale: u32) -> Self {
        let (Self::Finite(a, sa), Self::Finite(b, sb)) = (self, other) else { return Self::NaN };
        let shift = i64::from(scale) + i64::from(*sb) - i64::from(*sa);
        let power = pow10(shift.unsigned_abs() as u32);
        let n = if shift >= 0 {
            divide_rounded(&(a * power), b)
        } else {
            divide_rounded(a, &(b * power))
        };
        Self::Finite(n, scale)
    }

    /// Truncated quotient without fraction, the function `div`; 22012.
    pub fn div_trunc(&self, other: &Self) -> Result<Self> {
        let (Self::Finite(a, sa), Self::Finite(b, sb)) = (self, other) else {
            return self.divide_special(other).unwrap_or_else(|| Err(division_by_zero()));
        };
        if b.is_zero() {
            return Err(division_by_zero());
        }
        let (a, b, _) = align(a, *sa, b, *sb);
        Self::finite(a / b, 0)
    }

    /// Remainder with the dividend's sign; 22012.
    pub fn rem(&self, other: &Self) -> Result<Self> {
        match (self, other) {
            (Self::Finite(a, sa), Self::Finite(b, sb)) => {
                if b.is_zero() {
                    return Err(division_by_zero());
                }
                let (a, b, scale) = align(a, *sa, b, *sb);
                Self::finite(a % b, scale)
            }
            (Self::NaN, _) | (_, Self::NaN) => Ok(Self::NaN),
            (Self::Finite(..), _) => Ok(self.clone()),
            _ if other.is_zero() => Err(division_by_zero()),
            _ => Ok(Self::NaN),
        }
    }

    /// Negated.
    #[must_use]
    pub fn neg(&self) -> Self {
        match self {
            Self::NaN => Self::NaN,
            Self::Infinity => Self::NegInfinity,
            Self::NegInfinity => Self::Infinity,
            Self::Finite(n, s) => Self::Finite(-n, *s),
        }
    }

    /// Absolute value.
    #[must_use]
    pub fn abs(&self) -> Self {
        if self.is_negative() { self.neg() } else { self.clone() }
    }

    /// -1, 0, 1 or NaN.
    #[must_use]
    pub fn sign(&self) -> Self {
        match self {
            Self::NaN => Self::NaN,
            Self::Infinity => Self::from(1i64),
            Self::NegInfinity => Self::from(-1i64),
            Self::Finite(n, _) => Self::Finite(n.signum(), 0),
        }
    }

    /// Rounds half away from zero to a scale, negative ones left of the point.
    #[must_use]
    pub fn round(&self, scale: i32) -> Self {
        self.rescale(scale, divide_rounded)
    }

    /// Cuts to a scale, negative ones left of the point.
    #[must_use]
    pub fn trunc(&self, scale: i32) -> Self {
        self.rescale(scale, |a, b| a / b)
    }

    /// Smallest integer not below.
    #[must_use]
    pub fn ceil(&self) -> Self {
        self.rescale(0, Integer::div_ceil)
    }

    /// Largest integer not above.
    #[must_use]
    pub fn floor(&self) -> Self {
        self.rescale(0, Integer::div_floor)
    }

    fn rescale(&self, scale: i32, divide: impl Fn(&BigInt, &BigInt) -> BigInt) -> Self {
        let Self::Finite(n, have) = self else { return self.clone() };
        let scale = scale.clamp(MIN_ROUND_SCALE, MAX_SCALE as i32);
        let cut = i64::from(*have) - i64::from(scale);
        if cut <= 0 {
            return Self::Finite(n * pow10(cut.unsigned_abs() as u32), scale as u32);
        }
        if scale < 0 && cut > digit_count(n.magnitude()) + 1 {
            return Self::zero();
        }
        let kept = divide(n, &pow10(cut as u32));
        if scale < 0 {
            Self::Finite(kept * pow10(scale.unsigned_abs()), 0)
        } else {
            Self::Finite(kept, scale as u32)
        }
    }
}
