//! A hash of 128 bits for comparing rows: quick, the same on every machine, and not secret.
//!
//! Owns [`Wide`]. It tells rows apart that differ by accident; it must never stand where somebody
//! may choose the rows so that they collide. Start at [`Wide::finish128`].

use std::hash::Hasher;

/// Odd numbers without a pattern.
const FIRST: u64 = 0xa076_1d64_78bd_642f;
const SECOND: u64 = 0xe703_7ed1_a0b4_28db;

/// Two lanes of 64 bits, each folded into by a multiplication of 128 bits.
#[derive(Clone, Copy, Debug)]
pub struct Wide {
    first: u64,
    second: u64,
    length: u64,
}

impl Default for Wide {
    fn default() -> Self {
        Self { first: 0x8ebc_6af0_9c88_c6e3, second: 0x5899_65cc_7537_4cc3, length: 0 }
    }
}

/// Both halves of the product, one over the other.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

impl Wide {
    #[inline]
    fn mix(&mut self, word: u64) {
        // The lanes differ in what they add up, so that what one loses the other keeps.
        self.first = fold(self.first ^ word, FIRST).wrapping_add(word);
        self.second = fold(self.second.rotate_left(29) ^ word, SECOND).wrapping_sub(word);
    }

    /// All 128 bits.
    pub fn finish128(&self) -> u128 {
        let mut end = *self;
        end.mix(self.length ^ FIRST);
        end.mix(self.second ^ SECOND);
        let (a, b) = (fold(end.first, SECOND), fold(end.second, FIRST));
        u128::from(a ^ end.second) << 64 | u128::from(b.wrapping_add(end.first))
    }
}

impl Hasher for Wide {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let mut eight = [0; 8];
            eight.copy_from_slice(word);
            self.mix(u64::from_le_bytes(eight));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            let mut eight = [0; 8];
            eight[..rest.len()].copy_from_slice(rest);
            // Seven bytes at most: the last says how many.
            eight[7] = rest.len() as u8;
            self.mix(u64::from_le_bytes(eight));
        }
    }

    fn finish(&self) -> u64 {
        let all = self.finish128();
        (all >> 64) as u64 ^ all as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn of(bytes: &[u8]) -> u128 {
        let mut wide = Wide::default();
        wide.write(bytes);
        wide.finish128()
    }

    #[test]
    fn one_bit_changes_about_half_of_all() {
        let bytes: Vec<u8> = (0..64_u8).map(|i| i.wrapping_mul(37)).collect();
        let whole = of(&bytes);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let apart = (of(&changed) ^ whole).count_ones();
            assert!((32..96).contains(&apart), "bit {bit}: {apart} bits");
        }
    }

    #[test]
    fn what_is_alike_is_told_apart() {
        let mut seen = HashSet::new();
        let mut low = HashSet::new();
        for i in 0..200_000_u64 {
            let hash = of(&i.to_le_bytes());
            assert!(seen.insert(hash));
            low.insert(hash as u32);
        }
        // By chance about five of them fall together in 32 bits.
        assert!(low.len() > 199_900, "{}", low.len());
        // Zeroes of every length, and the same bytes cut otherwise.
        for length in (0..100).filter(|length| *length != 8) {
            assert!(seen.insert(of(&vec![0; length])), "{length}");
        }
        let mut parts = Wide::default();
        parts.write(b"ab");
        parts.write(b"c");
        let mut other = Wide::default();
        other.write(b"a");
        other.write(b"bc");
        assert_ne!(parts.finish128(), other.finish128());
    }

    #[test]
    fn it_stays_what_it_is() {
        assert_eq!(of(b""), of(b""));
        assert_ne!(of(b""), of(b"\0"));
    }
}
