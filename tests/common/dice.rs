//! Reproducible numbers for tests.

use std::time::Duration;

/// xorshift64*.
pub struct Dice(u64);

impl Dice {
    /// Seeded by `CROSSFADE_TEST_SEED`, else by the clock; prints its seed.
    pub fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let given = std::env::var("CROSSFADE_TEST_SEED").ok().and_then(|s| s.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(now.subsec_nanos()) | 1);
        println!("CROSSFADE_TEST_SEED={seed}");
        Self(seed)
    }

    /// Another one, whose numbers are its own.
    pub fn split(&mut self) -> Self {
        Self(self.below(u64::from(u32::MAX)) | 1)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    pub fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }

    pub fn sleep(&mut self, from: u64, to: u64) {
        std::thread::sleep(Duration::from_millis(from + self.below(to - from)));
    }
}
