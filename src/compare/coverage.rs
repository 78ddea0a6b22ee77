//! Coverage: which statement shapes have been compared, weighted by calls.

use std::collections::HashMap;

/// Shapes kept; beyond that new ones count as not compared.
const SHAPES_MAX: usize = 20_000;

/// Calls and comparisons by statement shape.
#[derive(Debug, Default)]
pub struct Coverage {
    shapes: HashMap<u64, Shape>,
    overflow_calls: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    calls: u64,
    compared: u64,
    write: bool,
    untranslatable: bool,
    excused: bool,
}

impl Coverage {
    /// A write that ran; whether its effect was compared.
    pub fn write(&mut self, fingerprint: u64, compared: bool) {
        self.count(fingerprint, true, compared);
    }

    /// A read that ran.
    pub fn read(&mut self, fingerprint: u64) {
        self.count(fingerprint, false, false);
    }

    /// A read that was compared (its run was counted before).
    pub fn read_compared(&mut self, fingerprint: u64) {
        if let Some(shape) = self.shapes.get_mut(&fingerprint) {
            shape.compared += 1;
        }
    }

    /// A statement that has no form for PostgreSQL.
    pub fn refused(&mut self, fingerprint: u64) {
        if let Some(shape) = self.shapes.get_mut(&fingerprint) {
            shape.untranslatable = true;
        }
    }

    /// A write on a table without key: proven by verify as a multiset instead.
    pub fn excuse(&mut self, fingerprint: u64) {
        if let Some(shape) = self.shapes.get_mut(&fingerprint) {
            shape.excused = true;
        }
    }

    /// Shapes that have no form for PostgreSQL.
    pub fn untranslatable(&self) -> usize {
        self.shapes.values().filter(|s| s.untranslatable).count()
    }

    fn count(&mut self, fingerprint: u64, write: bool, compared: bool) {
        if self.shapes.len() >= SHAPES_MAX && !self.shapes.contains_key(&fingerprint) {
            self.overflow_calls += 1;
            return;
        }
        let shape = self.shapes.entry(fingerprint).or_default();
        shape.calls += 1;
        shape.write |= write;
        shape.compared += u64::from(compared);
    }

    /// Share of calls whose shape has been compared at least once; None before any call.
    #[allow(clippy::cast_precision_loss)]
    pub fn ratio(&self) -> Option<f64> {
        let calls: u64 = self.shapes.values().map(|s| s.calls).sum::<u64>() + self.overflow_calls;
        let covered: u64 =
            self.shapes.values().filter(|s| s.compared > 0 || s.excused).map(|s| s.calls).sum();
        (calls > 0).then(|| covered as f64 / calls as f64)
    }

    /// Write shapes that were never compared.
    pub fn uncovered_writes(&self) -> usize {
        self.shapes.values().filter(|s| s.write && s.compared == 0 && !s.excused).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weighted_by_calls() {
        let mut coverage = Coverage::default();
        assert_eq!(coverage.ratio(), None);
        for _ in 0..3 {
            coverage.read(1);
        }
        coverage.write(2, false);
        assert_eq!(coverage.ratio(), Some(0.0));
        coverage.read_compared(1);
        assert_eq!(coverage.ratio(), Some(0.75));
        assert_eq!(coverage.uncovered_writes(), 1);
    }
}
