//! Order and equality of numerics, and keys that keep it.

use std::cmp::Ordering;

use num_bigint::Sign;
use num_traits::Zero;

use super::{Numeric, pow10};

impl Numeric {
    /// Bytes that memcmp orders as the values; equal exactly for equal values.
    ///
    /// One byte for the class, then for finite values other than zero the decimal exponent
    /// and the significant digits in pairs, all inverted for negative values.
    pub fn sort_key(&self) -> Vec<u8> {
        let (n, scale) = match self {
            Self::NegInfinity => return vec![1],
            Self::Infinity => return vec![5],
            Self::NaN => return vec![6],
            Self::Finite(n, s) => (n, *s),
        };
        if n.is_zero() {
            return vec![3];
        }
        let text = n.magnitude().to_string();
        let exponent = text.len() as i64 - i64::from(scale);
        let digits = text.trim_end_matches('0').as_bytes();
        let mut key = Vec::with_capacity(6 + digits.len() / 2 + 1);
        key.push(4);
        key.extend_from_slice(&((exponent + (1 << 31)) as u32).to_be_bytes());
        for pair in digits.chunks(2) {
            let low = pair.get(1).map_or(0, |d| d - b'0');
            key.push(1 + (pair[0] - b'0') * 10 + low);
        }
        key.push(0);
        if n.sign() == Sign::Minus {
            key[0] = 2;
            key[1..].iter_mut().for_each(|b| *b = !*b);
        }
        key
    }

    /// Rank of the class in the order of values.
    fn class(&self) -> u8 {
        match self {
            Self::NegInfinity => 0,
            Self::Finite(..) => 1,
            Self::Infinity => 2,
            Self::NaN => 3,
        }
    }
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
    fn cmp(&self, other: &Self) -> Ordering {
        let (Self::Finite(a, sa), Self::Finite(b, sb)) = (self, other) else {
            return self.class().cmp(&other.class());
        };
        match sa.cmp(sb) {
            Ordering::Equal => a.cmp(b),
            // Aligning is needed only between values of one sign.
            _ if a.sign() != b.sign() => a.sign().cmp(&b.sign()),
            Ordering::Less => (a * pow10(sb - sa)).cmp(b),
            Ordering::Greater => a.cmp(&(b * pow10(sa - sb))),
        }
    }
}
