//! Hundreds of rounds at random: several pairs at once, and none of what was done is done again.
//!
//! `CROSSFADE_SOAK_ROUNDS` says how many rounds, `CROSSFADE_SOAK_PAIRS` how many pairs run at once.
//! Rounds go in stretches, each with a pair of its own that is proven equal at its end; each finished
//! stretch is a line in `target/soak-NAME`. Started again it goes on behind them; the last one
//! removes the file. Start at [`run`].

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Mutex;

use crate::common::Dice;

/// Rounds with one pair.
const STRETCH: u64 = 25;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|n| n.parse().ok())
}

/// Rounds, when somebody says so.
pub fn wanted() -> Option<u64> {
    number("CROSSFADE_SOAK_ROUNDS")
}

/// What happened how often.
#[derive(Clone, Default)]
pub struct Outcomes(BTreeMap<String, u64>);

impl Outcomes {
    pub fn add(&mut self, what: &str, n: u64) {
        *self.0.entry(what.to_owned()).or_default() += n;
    }

    fn rounds(&self) -> u64 {
        self.0.get("rounds").copied().unwrap_or(0)
    }

    fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, n)| self.add(what, *n));
    }

    /// As one line of the file.
    fn read(line: &str) -> Self {
        let mut all = Self::default();
        for part in line.split("; ") {
            if let Some((what, n)) = part.rsplit_once(": ") {
                all.add(what, n.parse().unwrap_or(0));
            }
        }
        all
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(|(what, n)| format!("{what}: {n}")).collect();
        f.write_str(&parts.join("; "))
    }
}

/// What is done, with the name of the soak behind it.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/soak-");

struct Shared {
    dice: Dice,
    left: u64,
    all: Outcomes,
}

/// Rounds, as many as are still to be done, in stretches.
pub fn run(
    name: &str,
    rounds: u64,
    dice: &mut Dice,
    run_stretch: impl Fn(u64, &mut Dice) -> Outcomes + Sync,
) {
    let path = PathBuf::from(format!("{FILE}{name}"));
    let mut all = Outcomes::default();
    for line in std::fs::read_to_string(&path).unwrap_or_default().lines() {
        all.merge(&Outcomes::read(line));
    }
    if all.rounds() > 0 {
        println!("{} has {} rounds that are done", path.display(), all.rounds());
    }
    let left = rounds.saturating_sub(all.rounds());
    let shared = Mutex::new(Shared { dice: dice.split(), left, all });
    std::thread::scope(|scope| {
        let pair = || {
            while let Some((stretch, mut dice)) = next(&shared) {
                let outcomes = run_stretch(stretch, &mut dice);
                let mut shared = shared.lock().unwrap();
                shared.all.merge(&outcomes);
                let mut file =
                    std::fs::File::options().create(true).append(true).open(&path).unwrap();
                writeln!(file, "{outcomes}").unwrap();
                println!("so far {}", shared.all);
            }
        };
        for _ in 0..number("CROSSFADE_SOAK_PAIRS").unwrap_or(1).clamp(1, 16) {
            scope.spawn(pair);
        }
    });
    println!("{}", shared.into_inner().unwrap().all);
    // A failure has not come here: the next start goes on behind what is done.
    std::fs::remove_file(&path).unwrap_or_default();
}

fn next(shared: &Mutex<Shared>) -> Option<(u64, Dice)> {
    let mut shared = shared.lock().unwrap();
    let stretch = shared.left.min(STRETCH);
    shared.left -= stretch;
    (stretch > 0).then(|| (stretch, shared.dice.split()))
}

#[test]
fn what_a_stretch_did_is_read_back() {
    let mut outcomes = Outcomes::default();
    outcomes.add("rounds", 25);
    outcomes.add("COMMIT cut", 3);
    let read = Outcomes::read(&outcomes.to_string());
    assert_eq!((read.rounds(), read.to_string()), (25, outcomes.to_string()));
}
