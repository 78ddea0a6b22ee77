//! Phases of a migration, in their order.

use crate::telemetry::names;

/// Where the migration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// A PostgreSQL-speaking SQLite server; nothing is captured.
    Direct,
    /// Backfill copies; the journal grows.
    Copying,
    /// The applier works off what was committed during the copy.
    CatchingUp,
    /// The shadow follows.
    Mirroring,
    /// A promote or rollback is under way.
    Switching,
    /// PostgreSQL is primary, SQLite follows.
    Promoted,
    /// PostgreSQL alone.
    Complete,
}

impl Phase {
    /// Every phase in order.
    pub const ALL: [Self; 7] = [
        Self::Direct,
        Self::Copying,
        Self::CatchingUp,
        Self::Mirroring,
        Self::Switching,
        Self::Promoted,
        Self::Complete,
    ];

    /// The word shown everywhere.
    pub fn as_str(self) -> &'static str {
        names::PHASES[self as usize]
    }

    /// The phase of a stored word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == word)
    }

    /// Whether commits on SQLite are captured into the journal.
    pub fn captures(self) -> bool {
        matches!(self, Self::Copying | Self::CatchingUp | Self::Mirroring | Self::Switching)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_contract() {
        for phase in Phase::ALL {
            assert_eq!(Phase::parse(phase.as_str()), Some(phase));
        }
        assert_eq!(Phase::CatchingUp.as_str(), "catching-up");
    }
}
