//! The bytes a transaction has captured and not yet written to the journal.
//!
//! Owns [`Stream`]: memory up to a bound, then an unlinked temporary file. Offsets count
//! from the start of the transaction, so that marks stay valid when a front part has been
//! written away. It must never hold more than [`MEMORY`] bytes in memory for long. Start
//! at [`Stream::memory`].

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::error::{Error, Result, state};

/// Bytes kept in memory before they go to the spill file.
pub(super) const MEMORY: usize = 4 << 20;
/// Bytes one transaction may spill.
const SPILL: u64 = 64 << 30;

/// Captured bytes. The logical content is: what was taken already (`base` bytes), the
/// spill file, the memory.
#[derive(Default)]
pub(super) struct Stream {
    /// Bytes handed out before what is held now.
    base: u64,
    spill: Option<File>,
    spilled: u64,
    memory: Vec<u8>,
}

impl Stream {
    /// Where new bytes are appended. Call [`Stream::settle`] after each event.
    pub(super) fn memory(&mut self) -> &mut Vec<u8> {
        &mut self.memory
    }

    /// Moves memory to the spill file when it is above its bound.
    pub(super) fn settle(&mut self) -> Result<()> {
        if self.memory.len() <= MEMORY {
            return Ok(());
        }
        if self.spilled + self.memory.len() as u64 > SPILL {
            return Err(Error::primary(
                state::CONFIGURATION_LIMIT_EXCEEDED,
                "transaction changes more rows than the journal's spill file may hold",
            ));
        }
        if self.spill.is_none() {
            self.spill = Some(unlinked().map_err(io)?);
        }
        if let Some(file) = &self.spill {
            file.write_all_at(&self.memory, self.spilled).map_err(io)?;
        }
        self.spilled += self.memory.len() as u64;
        self.memory.clear();
        // One huge row must not keep its memory for the connection's life.
        self.memory.shrink_to(MEMORY);
        Ok(())
    }

    /// Offset of the first byte still held.
    pub(super) fn start(&self) -> u64 {
        self.base
    }

    /// Offset after the last byte.
    pub(super) fn end(&self) -> u64 {
        self.base + self.spilled + self.memory.len() as u64
    }

    /// Bytes held.
    pub(super) fn len(&self) -> u64 {
        self.end() - self.base
    }

    /// Drops everything from `offset` on; false when part of that was handed out already.
    pub(super) fn truncate(&mut self, offset: u64) -> Result<bool> {
        if offset < self.base {
            return Ok(false);
        }
        let keep = offset - self.base;
        if keep >= self.spilled {
            let keep = usize::try_from(keep - self.spilled).unwrap_or(usize::MAX);
            self.memory.truncate(keep);
        } else {
            if let Some(file) = &self.spill {
                file.set_len(keep).map_err(io)?;
            }
            self.spilled = keep;
            self.memory.clear();
        }
        Ok(true)
    }

    /// Copies the bytes from `offset` to the end.
    pub(super) fn copy_from(&self, offset: u64) -> Result<Vec<u8>> {
        let skip = offset.checked_sub(self.base).ok_or_else(gone)?;
        let mut out = Vec::new();
        if skip < self.spilled
            && let Some(file) = &self.spill
        {
            out.resize(usize::try_from(self.spilled - skip).map_err(|_| gone())?, 0);
            file.read_exact_at(&mut out, skip).map_err(io)?;
        }
        let from = usize::try_from(skip.saturating_sub(self.spilled)).map_err(|_| gone())?;
        out.extend_from_slice(self.memory.get(from..).ok_or_else(gone)?);
        Ok(out)
    }

    /// Hands out everything held, in chunks of at most `size` bytes, and forgets it.
    pub(super) fn take(&mut self) -> Taken {
        let spilled = std::mem::take(&mut self.spilled);
        let taken = Taken {
            spill: self.spill.take(),
            spilled,
            left: spilled,
            memory: std::mem::take(&mut self.memory),
            at: 0,
        };
        self.base += taken.left + taken.memory.len() as u64;
        taken
    }

    /// Starts over, for the next transaction or at an earlier offset after ROLLBACK TO.
    pub(super) fn restart(&mut self, base: u64) {
        self.spill = None;
        self.spilled = 0;
        self.base = base;
        self.memory.clear();
        self.memory.shrink_to(MEMORY);
    }
}

/// Bytes handed out by [`Stream::take`].
pub(super) struct Taken {
    spill: Option<File>,
    spilled: u64,
    left: u64,
    memory: Vec<u8>,
    at: usize,
}

impl Taken {
    /// Bytes not yet handed out.
    pub(super) fn len(&self) -> u64 {
        self.left + (self.memory.len() - self.at) as u64
    }

    /// The next chunk; empty at the end.
    pub(super) fn next(&mut self, size: usize) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        if self.left > 0
            && let Some(file) = &self.spill
        {
            let n = self.left.min(size as u64);
            out.resize(usize::try_from(n).map_err(|_| gone())?, 0);
            file.read_exact_at(&mut out, self.spilled - self.left).map_err(io)?;
            self.left -= n;
        }
        let n = (size - out.len()).min(self.memory.len() - self.at);
        out.extend_from_slice(&self.memory[self.at..self.at + n]);
        self.at += n;
        Ok(out)
    }
}

/// A temporary file that has no name and ends with the process.
fn unlinked() -> std::io::Result<File> {
    let dir = std::env::temp_dir();
    for attempt in 0..64 {
        let name = format!("crossfade-spill-{}-{:x}", std::process::id(), rand::random::<u64>());
        let path = dir.join(name);
        match File::options().read(true).write(true).create_new(true).open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && attempt < 63 => {}
            Err(e) => return Err(e),
        }
    }
    Err(std::io::ErrorKind::AlreadyExists.into())
}

#[expect(clippy::needless_pass_by_value, reason = "used as map_err(io)")]
fn io(error: std::io::Error) -> Error {
    Error::primary(state::IO_ERROR, "could not use the capture's spill file")
        .detail(format!("{error}."))
}

fn gone() -> Error {
    Error::internal("captured bytes were asked for after they had been written")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Append(usize),
        Truncate(usize),
        Take,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1..3 * MEMORY / 2).prop_map(Step::Append),
            (0..10_000usize).prop_map(Step::Truncate),
            Just(Step::Take),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
        #[test]
        fn behaves_like_a_vector(steps in proptest::collection::vec(step(), 1..8)) {
            let mut stream = Stream::default();
            let (mut all, mut taken) = (Vec::new(), 0);
            for (i, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Append(n) => {
                        let bytes = vec![i as u8; n];
                        all.extend_from_slice(&bytes);
                        stream.memory().extend_from_slice(&bytes);
                        stream.settle().unwrap();
                    }
                    Step::Truncate(part) => {
                        let to = taken + (all.len() - taken) * part / 10_000;
                        prop_assert!(stream.truncate(to as u64).unwrap());
                        all.truncate(to);
                    }
                    Step::Take => {
                        let mut chunks = stream.take();
                        let mut got = Vec::new();
                        loop {
                            let chunk = chunks.next(1 << 20).unwrap();
                            if chunk.is_empty() { break }
                            got.extend_from_slice(&chunk);
                        }
                        prop_assert!(got == all[taken..]);
                        taken = all.len();
                    }
                }
                prop_assert_eq!(stream.end(), all.len() as u64);
                prop_assert!(stream.copy_from(taken as u64).unwrap() == all[taken..]);
            }
            prop_assert_eq!(stream.start(), taken as u64);
            if taken > 0 { prop_assert!(!stream.truncate(taken as u64 - 1).unwrap()); }
        }
    }
}
