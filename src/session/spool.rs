//! Rows set aside: in memory up to a limit, then in an unlinked file.
//!
//! Owns the rows of cursors and of suspended portals. It must never hold more than its
//! limit in memory, and never leave a file behind. Start at [`Spool`].

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result, state};
use crate::value::CellRef;

/// Bytes of rows a spool keeps in memory before it spills.
pub(crate) const MEMORY_BYTES_MAX: usize = 4 << 20;
/// Every so many rows their offset is remembered.
const STRIDE: u64 = 64;

/// An append-only list of rows of cells with access by number.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    /// The tail that is not in the file yet.
    tail: Vec<u8>,
    file: Option<File>,
    /// Bytes in the file; the tail starts here.
    file_bytes: u64,
    /// Offset of each `STRIDE`th row.
    marks: Vec<u64>,
    rows: u64,
    /// Row and offset of the next row a sequential reader wants.
    next: (u64, u64),
    scratch: Vec<u8>,
}

impl Spool {
    /// Number of rows.
    pub(crate) fn len(&self) -> u64 {
        self.rows
    }

    /// Appends a row.
    pub(crate) fn push<'a>(&mut self, cells: impl Iterator<Item = CellRef<'a>>) -> Result<()> {
        if self.rows.is_multiple_of(STRIDE) {
            self.marks.push(self.file_bytes + self.tail.len() as u64);
        }
        let start = self.tail.len();
        self.tail.extend([0; 4]);
        for cell in cells {
            put(&mut self.tail, cell);
        }
        let length = u32::try_from(self.tail.len() - start - 4)
            .map_err(|_| Error::client(state::PROGRAM_LIMIT_EXCEEDED, "row is too large"))?;
        self.tail[start..start + 4].copy_from_slice(&length.to_le_bytes());
        self.rows += 1;
        if self.tail.len() >= MEMORY_BYTES_MAX {
            self.spill()?;
        }
        Ok(())
    }

    /// Calls `with` with the cells of a row (0-based); None when there is no such row.
    pub(crate) fn row<T>(
        &mut self,
        row: u64,
        with: impl FnOnce(&[CellRef<'_>]) -> Result<T>,
    ) -> Result<Option<T>> {
        if row >= self.rows {
            return Ok(None);
        }
        let (mut at, mut offset) = self.next;
        if at != row {
            let mark = usize::try_from(row / STRIDE).unwrap_or(usize::MAX);
            at = row / STRIDE * STRIDE;
            offset = self.marks.get(mark).copied().unwrap_or(0);
            while at < row {
                offset += 4 + u64::from(self.length(offset)?);
                at += 1;
            }
        }
        let length = self.length(offset)?;
        self.next = (row + 1, offset + 4 + u64::from(length));
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(length as usize, 0);
        let outcome = self.read(offset + 4, &mut scratch).and_then(|()| {
            let mut cells = Vec::new();
            let mut rest = scratch.as_slice();
            while let Some((cell, tail)) = take(rest) {
                cells.push(cell);
                rest = tail;
            }
            with(&cells).map(Some)
        });
        self.scratch = scratch;
        outcome
    }

    fn length(&self, offset: u64) -> Result<u32> {
        let mut bytes = [0; 4];
        self.read(offset, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        match &self.file {
            Some(file) if offset < self.file_bytes => {
                file.read_exact_at(into, offset).map_err(|e| io("read", &e))
            }
            _ => {
                let start = usize::try_from(offset - self.file_bytes).unwrap_or(usize::MAX);
                let from = self.tail.get(start..start.saturating_add(into.len()));
                into.copy_from_slice(from.ok_or_else(|| Error::internal("row out of bounds"))?);
                Ok(())
            }
        }
    }

    fn spill(&mut self) -> Result<()> {
        if self.file.is_none() {
            self.file = Some(unlinked_file()?);
        }
        let file = self.file.as_ref().expect("invariant: opened above");
        file.write_all_at(&self.tail, self.file_bytes).map_err(|e| io("write", &e))?;
        self.file_bytes += self.tail.len() as u64;
        self.tail.clear();
        Ok(())
    }
}

fn io(what: &str, error: &std::io::Error) -> Error {
    let code = if error.kind() == std::io::ErrorKind::StorageFull {
        state::DISK_FULL
    } else {
        state::IO_ERROR
    };
    Error::primary(code, format!("could not {what} temporary file: {}", error.kind()))
}

fn unlinked_file() -> Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!("crossfade-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(|e| io("create", &e))?;
    std::fs::remove_file(&path).map_err(|e| io("unlink", &e))?;
    Ok(file)
}

fn put(out: &mut Vec<u8>, cell: CellRef<'_>) {
    let mut bytes = |tag: u8, bytes: &[u8]| {
        out.push(tag);
        // SQLite's own limit on a value is below 2^31 bytes.
        out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(bytes);
    };
    match cell {
        CellRef::Text(t) => bytes(3, t),
        CellRef::Blob(b) => bytes(4, b),
        CellRef::Null => out.push(0),
        CellRef::Integer(i) => {
            out.push(1);
            out.extend(i.to_le_bytes());
        }
        CellRef::Real(r) => {
            out.push(2);
            out.extend(r.to_le_bytes());
        }
    }
}

fn take(bytes: &[u8]) -> Option<(CellRef<'_>, &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    Some(match tag {
        0 => (CellRef::Null, rest),
        1 => {
            let (value, rest) = rest.split_first_chunk::<8>()?;
            (CellRef::Integer(i64::from_le_bytes(*value)), rest)
        }
        2 => {
            let (value, rest) = rest.split_first_chunk::<8>()?;
            (CellRef::Real(f64::from_le_bytes(*value)), rest)
        }
        _ => {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            (if *tag == 3 { CellRef::Text(value) } else { CellRef::Blob(value) }, rest)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_in_any_order_from_memory_and_file() {
        let mut spool = Spool::default();
        let filler = vec![b'x'; 1000];
        for i in 0..20_000_i64 {
            let row =
                [CellRef::Integer(i), CellRef::Null, CellRef::Text(&filler), CellRef::Real(0.5)];
            spool.push(row.into_iter()).expect("push");
        }
        assert!(spool.file.is_some() && spool.tail.len() < MEMORY_BYTES_MAX);
        for row in [0, 1, 19_999, 64, 63, 10_000, 10_001, 128] {
            let first = spool
                .row(row, |cells| {
                    assert_eq!(cells.len(), 4);
                    assert_eq!(cells[2], CellRef::Text(&filler));
                    Ok(cells[0] == CellRef::Integer(i64::try_from(row).expect("small")))
                })
                .expect("row");
            assert_eq!(first, Some(true), "row {row}");
        }
        assert!(spool.row(20_000, |_| Ok(())).expect("row").is_none());
    }
}
