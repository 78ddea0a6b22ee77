//! Roots, powers, exponentials and logarithms of numerics.
//!
//! Results carry the scale that PostgreSQL chooses from estimates of the result's size;
//! the digits are computed in binary fixed point with guard bits and rounded once.

use num_bigint::BigInt;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::arith::{MAX_DISPLAY_SCALE, MIN_SIGNIFICANT, divide_rounded, leading_digit};
use super::{Numeric, digit_count, overflow, pow10};
use crate::error::{Error, Result, SqlState, state};

/// Decimal digits computed beyond those asked for.
const GUARD_DIGITS: u64 = 12;
/// |log| beyond which a power surely overflows or is zero.
const MAX_RESULT_LOG: f64 = 6000.0;

fn invalid(code: SqlState, message: &'static str) -> Error {
    Error::client(code, message)
}

/// Bits that hold this many decimal digits.
fn bits_for(digits: u64) -> u64 {
    digits * 3322 / 1000 + 8
}

/// A finite numeric as binary fixed point.
fn to_fixed(n: &BigInt, scale: u32, bits: u64) -> BigInt {
    (n << bits) / pow10(scale)
}

/// Binary fixed point as a numeric of a scale, rounded half away from zero.
fn from_fixed(value: &BigInt, bits: u64, scale: u32) -> Result<Numeric> {
    Numeric::finite(divide_rounded(&(value * pow10(scale)), &(BigInt::one() << bits)), scale)
}

/// 2 * atanh(z) in fixed point, |z| well below 1.
fn twice_atanh(z: &BigInt, bits: u64) -> BigInt {
    let square: BigInt = (z * z) >> bits;
    let (mut power, mut sum, mut k) = (z.clone(), z.clone(), 3u32);
    loop {
        power = (power * &square) >> bits;
        let term = &power / k;
        if term.is_zero() || term == -BigInt::one() {
            return sum * 2;
        }
        sum += term;
        k += 2;
    }
}

/// ln 2 in fixed point.
fn ln2(bits: u64) -> BigInt {
    twice_atanh(&((BigInt::one() << bits) / 3u32), bits)
}

/// Natural logarithm of a positive `n * 10^-scale` in fixed point.
fn ln_fixed(n: &BigInt, scale: u32, bits: u64) -> BigInt {
    let work = bits + 32;
    let denominator = pow10(scale);
    // Bring the ratio between 1/2 and 2, nearer to 1 where that is one step away.
    let mut shift = n.bits() as i64 - denominator.bits() as i64;
    let ratio = |shift: i64| -> BigInt {
        let up = work as i64 - shift;
        if up >= 0 { (n << up as u64) / &denominator } else { n / (&denominator << (-up) as u64) }
    };
    let one = BigInt::one() << work;
    let mut m = ratio(shift);
    if &m * 3 < &one * 2 {
        shift -= 1;
        m = ratio(shift);
    } else if &m * 3 > &one * 4 {
        shift += 1;
        m = ratio(shift);
    }
    let z = ((&m - &one) << work) / (&m + &one);
    (twice_atanh(&z, work) + ln2(work) * shift) >> 32
}

/// Exponential of a fixed-point number in fixed point.
fn exp_fixed(x: &BigInt, bits: u64) -> BigInt {
    const HALVINGS: u64 = 8;
    let work = bits + 64 + HALVINGS * 2;
    let x = x << (work - bits);
    let ln2 = ln2(work);
    let k = (&x / &ln2).to_i64().unwrap_or(0);
    let r: BigInt = (x - &ln2 * k) >> HALVINGS;
    let (mut term, mut sum, mut i) = (BigInt::one() << work, BigInt::one() << work, 1u32);
    loop {
        term = ((term * &r) >> work) / i;
        if term.bits() <= 1 {
            break;
        }
        sum += &term;
        i += 1;
    }
    for _ in 0..HALVINGS {
        sum = (&sum * &sum) >> work;
    }
    let down = (work - bits) as i64 - k;
    if down >= 0 { sum >> down as u64 } else { sum << (-down) as u64 }
}

/// log10 of a positive magnitude, roughly.
fn log10_estimate(n: &BigInt, scale: u32) -> f64 {
    let count = digit_count(n.magnitude());
    let keep = count.min(17);
    let head = (n.abs() / pow10((count - keep) as u32)).to_f64().unwrap_or(1.0);
    head.log10() + (count - keep) as f64 - f64::from(scale)
}

/// PostgreSQL's estimate of the decimal weight of ln(value).
fn ln_weight(n: &BigInt, scale: u32) -> i64 {
    let value = log10_estimate(n, scale);
    let one = pow10(scale);
    if (n * 10) >= (&one * 9) && (n * 10) <= (&one * 11) {
        let (weight, digit) = leading_digit(&(n - one), scale);
        return if digit == 0 { 0 } else { weight * 4 + (digit as f64).log10() as i64 };
    }
    let ln = (value * std::f64::consts::LN_10).abs();
    if ln > 0.0 { ln.log10() as i64 } else { 0 }
}

fn clamp_scale(scale: i64, least: &[u32]) -> u32 {
    let least = least.iter().map(|s| i64::from(*s)).max().unwrap_or(0);
    scale.max(least).clamp(0, MAX_DISPLAY_SCALE) as u32
}

/// Zero with a scale.
fn zero_at(scale: u32) -> Numeric {
    Numeric::Finite(BigInt::zero(), scale)
}

impl Numeric {
    /// Square root; 2201F of a negative number.
    pub fn sqrt(&self) -> Result<Self> {
        self.sqrt_to_scale(None)
    }

    /// Square root with a scale of the caller's choice, at least this value's own.
    ///
    /// # Errors
    /// 2201F for negative values.
    pub fn sqrt_to_scale(&self, scale: Option<u32>) -> Result<Self> {
        let Self::Finite(n, s) = self else {
            return if matches!(self, Self::NegInfinity) {
                Err(invalid(
                    state::INVALID_ARGUMENT_FOR_POWER,
                    "cannot take square root of a negative number",
                ))
            } else {
                Ok(self.clone())
            };
        };
        if n.is_negative() {
            return Err(invalid(
                state::INVALID_ARGUMENT_FOR_POWER,
                "cannot take square root of a negative number",
            ));
        }
        let scale = match scale {
            Some(scale) => scale,
            None => clamp_scale(MIN_SIGNIFICANT - (leading_digit(n, *s).0 * 2 + 1), &[*s]),
        };
        // One digit more than asked for decides the rounding: a root never ends in a tie.
        let root = (n * pow10(2 * (scale + 1) - s)).sqrt();
        Self::finite(divide_rounded(&root, &BigInt::from(10u32)), scale)
    }

    /// e to this power.
    pub fn exp(&self) -> Result<Self> {
        let (n, s) = match self {
            Self::NegInfinity => return Ok(Self::zero()),
            Self::Finite(n, s) => (n, *s),
            _ => return Ok(self.clone()),
        };
        let value = self.to_f64().unwrap_or(if n.is_negative() { -1e9 } else { 1e9 });
        let weight = (value * std::f64::consts::LOG10_E).clamp(-2000.0, 2000.0) as i64;
        let scale = clamp_scale(MIN_SIGNIFICANT - weight, &[s]);
        if value.abs() >= MAX_RESULT_LOG {
            return if value > 0.0 { Err(overflow()) } else { Ok(zero_at(scale)) };
        }
        let digits = u64::from(scale) + weight.max(0) as u64 + GUARD_DIGITS;
        let bits = bits_for(digits);
        from_fixed(&exp_fixed(&to_fixed(n, s, bits), bits), bits, scale)
    }

    /// The positive finite operand of a logarithm, or its answer.
    fn log_operand(&self) -> Result<Option<(&BigInt, u32)>> {
        let refuse = |message| Err(invalid(state::INVALID_ARGUMENT_FOR_LOG, message));
        match self {
            Self::Finite(n, _) if n.is_zero() => refuse("cannot take logarithm of zero"),
            _ if self.is_negative() => refuse("cannot take logarithm of a negative number"),
            Self::Finite(n, s) => Ok(Some((n, *s))),
            _ => Ok(None),
        }
    }

    /// Natural logarithm; 2201E.
    pub fn ln(&self) -> Result<Self> {
        let Some((n, s)) = self.log_operand()? else { return Ok(self.clone()) };
        let scale = clamp_scale(MIN_SIGNIFICANT - ln_weight(n, s), &[s]);
        let bits = bits_for(u64::from(scale) + GUARD_DIGITS);
        from_fixed(&ln_fixed(n, s, bits), bits, scale)
    }

    /// Logarithm to a base; 2201E, and 22012 for base 1.
    pub fn log(&self, base: &Self) -> Result<Self> {
        if self.is_nan() || base.is_nan() {
            return Ok(Self::NaN);
        }
        let (base_parts, parts) = (base.log_operand()?, self.log_operand()?);
        let (Some((b, sb)), Some((n, s))) = (base_parts, parts) else {
            return Ok(match (base, self) {
                (Self::Infinity, Self::Infinity) => Self::NaN,
                (Self::Infinity, _) => Self::zero(),
                _ => Self::Infinity,
            });
        };
        let (weight_b, weight_n) = (ln_weight(b, sb), ln_weight(n, s));
        let scale = clamp_scale(MIN_SIGNIFICANT - (weight_n - weight_b), &[sb, s]);
        let digits = i64::from(scale) + (weight_n - 2 * weight_b).max(-weight_b).max(0);
        let bits = bits_for(digits as u64 + GUARD_DIGITS);
        let ln_base = ln_fixed(b, sb, bits);
        if ln_base.is_zero() {
            return Err(invalid(state::DIVISION_BY_ZERO, "division by zero"));
        }
        from_fixed(&((ln_fixed(n, s, bits) << bits) / ln_base), bits, scale)
    }

    /// Power; 2201F for zero to a negative power and for complex results.
    pub fn power(&self, exponent: &Self) -> Result<Self> {
        let one = Self::from(1i64);
        let (Self::Finite(b, sb), Self::Finite(e, se)) = (self, exponent) else {
            return self.power_special(exponent, &one);
        };
        let integral = exponent.trunc(0) == *exponent;
        if b.is_zero() && e.is_negative() {
            return Err(invalid(
                state::INVALID_ARGUMENT_FOR_POWER,
                "zero raised to a negative power is undefined",
            ));
        }
        if b.is_negative() && !integral {
            return Err(invalid(
                state::INVALID_ARGUMENT_FOR_POWER,
                "a negative number raised to a non-integer power yields a complex result",
            ));
        }
        if integral && let Some(power) = exponent.to_scaled(0).and_then(|e| i32::try_from(e).ok()) {
            return self.power_int(b, *sb, power, *se);
        }
        if b.is_zero() {
            return Ok(zero_at(MIN_SIGNIFICANT as u32));
        }
        let log = log10_estimate(b, *sb) * exponent.to_f64().unwrap_or(f64::MAX);
        let odd = exponent.trunc(0).rem(&Self::from(2i64)).is_ok_and(|r| !r.is_zero());
        let negative = b.is_negative() && odd;
        power_by_logs(&b.abs(), *sb, exponent, log, None, negative)
    }

    fn power_special(&self, exponent: &Self, one: &Self) -> Result<Self> {
        if exponent.is_zero() || self == one {
            return Ok(one.clone());
        }
        if self.is_nan() || exponent.is_nan() {
            return Ok(Self::NaN);
        }
        if matches!(exponent, Self::Finite(..)) {
            // The base is an infinity.
            if matches!(self, Self::Infinity) {
                return Ok(if exponent.is_negative() { Self::zero() } else { Self::Infinity });
            }
            let integral = exponent.trunc(0) == *exponent;
            if !integral {
                return Err(invalid(
                    state::INVALID_ARGUMENT_FOR_POWER,
                    "a negative number raised to a non-integer power yields a complex result",
                ));
            }
            if exponent.is_negative() {
                return Ok(Self::zero());
            }
            let odd = !exponent.rem(&Self::from(2i64))?.is_zero();
            return Ok(if odd { Self::NegInfinity } else { Self::Infinity });
        }
        let grows = self.abs() > *one;
        if self.is_zero() && exponent.is_negative() {
            return Err(invalid(
                state::INVALID_ARGUMENT_FOR_POWER,
                "zero raised to a negative power is undefined",
            ));
        }
        if self.abs() == *one {
            return Ok(one.clone());
        }
        Ok(if grows == exponent.is_negative() { Self::zero() } else { Self::Infinity })
    }

    /// A power with an integer exponent: exact while that is cheap, then rounded.
    fn power_int(&self, b: &BigInt, sb: u32, power: i32, se: u32) -> Result<Self> {
        let log = if b.is_zero() { 0.0 } else { f64::from(power) * log10_estimate(b, sb) };
        if log > 131_072.0 {
            return Err(overflow());
        }
        // Integer powers have 16 digits of fraction, however large or small they are.
        let scale = clamp_scale(MIN_SIGNIFICANT, &[sb, se]);
        if log + 1.0 < -(MAX_DISPLAY_SCALE as f64) {
            return Ok(zero_at(scale));
        }
        let times = power.unsigned_abs();
        if b.bits().saturating_mul(u64::from(times)) > 400_000 {
            let negative = b.is_negative() && times % 2 == 1;
            let exponent = Self::from(i64::from(power));
            return power_by_logs(&b.abs(), sb, &exponent, log, Some(scale), negative);
        }
        let (raised, raised_scale) = (b.pow(times), u64::from(sb) * u64::from(times));
        let shift = u32::try_from(raised_scale).map_err(|_| overflow())?;
        let n = if power < 0 {
            divide_rounded(&(pow10(shift) * pow10(scale)), &raised)
        } else {
            divide_rounded(&(raised * pow10(scale)), &pow10(shift))
        };
        Self::finite(n, scale)
    }
}

/// `base^exponent` as exp(exponent * ln(base)); `log` estimates log10 of the result.
fn power_by_logs(
    b: &BigInt,
    sb: u32,
    exponent: &Numeric,
    log: f64,
    scale: Option<u32>,
    neg: bool,
) -> Result<Numeric> {
    let Numeric::Finite(e, se) = exponent else { return Ok(Numeric::NaN) };
    if scale.is_none() && (log * std::f64::consts::LN_10).abs() > MAX_RESULT_LOG * 1.003 {
        return if log > 0.0 { Err(overflow()) } else { Ok(zero_at(MAX_DISPLAY_SCALE as u32)) };
    }
    let scale = scale.unwrap_or_else(|| clamp_scale(MIN_SIGNIFICANT - log as i64, &[sb, *se]));
    let size = digit_count(e.magnitude()).max(0) as u64;
    let bits = bits_for(u64::from(scale) + log.max(0.0) as u64 + size + GUARD_DIGITS);
    let product = (ln_fixed(b, sb, bits) * e) / pow10(*se);
    let result = from_fixed(&exp_fixed(&product, bits), bits, scale)?;
    Ok(if neg { result.neg() } else { result })
}
