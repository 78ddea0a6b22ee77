//! The state file: JSON lines, appended, compacted when opened.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::changed::Scope;
use super::foreign::Mark;
use super::group::{Group, GroupState, Sample, Severity};
use super::parts::Part;
use super::store::TableVerified;
use crate::error::{Culprit, Error, Result, state};

/// Schema version of a line.
const VERSION: u32 = 1;

/// One line of the state file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// A divergence: the group's id and the sample.
    Divergence {
        /// Schema version.
        v: u32,
        /// Group.
        id: String,
        /// Evidence.
        #[serde(flatten)]
        sample: Box<Sample>,
    },
    /// A whole group, written on compaction.
    Group {
        /// Schema version.
        v: u32,
        /// The group.
        #[serde(flatten)]
        group: Box<Group>,
    },
    /// A group changed its state.
    State {
        /// Schema version.
        v: u32,
        /// Group.
        id: String,
        /// New state.
        state: GroupState,
        /// The acceptance, when accepted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        accept: Option<super::Accept>,
    },
    /// A divergence of a group for which there was no room: it is open until the groups are fewer.
    Unnamed {
        /// Schema version.
        v: u32,
        /// Its severity.
        severity: Severity,
    },
    /// A table was verified.
    Verified {
        /// Schema version.
        v: u32,
        /// Table.
        table: String,
        /// What was proven.
        #[serde(flatten)]
        result: TableVerified,
        /// What had changed since the cut, when the table was clean.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        changed: Option<Scope>,
    },
    /// The first rows of a table, by its integer key, were found equal by a pass that goes on.
    VerifiedPart {
        /// Schema version.
        v: u32,
        /// Table.
        table: String,
        /// What was compared.
        #[serde(flatten)]
        part: Part,
    },
    /// Something of a table has changed since it was verified.
    Changed {
        /// Schema version.
        v: u32,
        /// Table.
        table: String,
        /// What, beside what is known already.
        scope: Scope,
    },
    /// What had changed was verified again.
    Checked {
        /// Schema version.
        v: u32,
        /// Table.
        table: String,
        /// What had changed since the cut.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        changed: Option<Scope>,
    },
    /// SQLite follows PostgreSQL from here on; what it follows is noted when that ends well.
    Following {
        /// Schema version.
        v: u32,
        /// It has ended well.
        ended: bool,
    },
    /// Everything verified so far counts no more: a new copy.
    VerifyReset {
        /// Schema version.
        v: u32,
    },
    /// Foreign commits on the SQLite file that no verify of every table has covered.
    Foreign {
        /// Schema version.
        v: u32,
        /// How many.
        open: u64,
        /// How many of them came after the cut of a copy that is kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uncopied: Option<u64>,
    },
    /// A proxy has left the SQLite file, or serves it.
    Left {
        /// Schema version.
        v: u32,
        /// It has ended, in whatever state.
        ended: bool,
        /// The file as it was left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mark: Option<Mark>,
    },
    /// The witness of the switch.
    Witness {
        /// Schema version.
        v: u32,
        /// Highest epoch a decision may have been sent for.
        attempted: u64,
        /// Highest epoch under which a client was served.
        served: u64,
    },
    /// When this file was begun: quiet is counted from here.
    Began {
        /// Schema version.
        v: u32,
        /// RFC 3339.
        at: String,
    },
    /// The key of the hashes of values.
    Salt {
        /// Schema version.
        v: u32,
        /// Random bytes.
        salt: [u8; 16],
    },
    /// A rehearsal or switch, with its longest pause.
    Switch {
        /// Schema version.
        v: u32,
        /// `promote`, `rollback` or `rehearsal`.
        kind: String,
        /// Longest client wait in milliseconds.
        pause_ms: u64,
        /// When, RFC 3339.
        at: String,
    },
}

impl Line {
    /// The version every line carries.
    pub const VERSION: u32 = VERSION;
}

/// The open file.
pub(super) struct StateFile {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    len: u64,
    /// Behind them stands a part of a line that could not be taken away.
    torn: bool,
}

/// Evidence holds values of rows: a file that is made is for its owner only.
fn ours() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true).mode(0o600);
    options
}

impl StateFile {
    /// Reads every line (a torn last line is dropped: its writer died before it counted), then
    /// opens for appending.
    ///
    /// # Errors
    /// XX001 for a line that nobody wrote so: what it said may be what keeps data safe.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Line>)> {
        let text = read(path)?;
        let lines = lines(path, &text)?;
        let file = ours().create(true).open(path).map_err(io_error)?;
        let torn = text.last().is_some_and(|byte| *byte != b'\n');
        Ok((Self { path: path.to_owned(), file, len: text.len() as u64, torn }, lines))
    }

    /// The same for somebody who only reads.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn read(path: &Path) -> Result<Vec<Line>> {
        lines(path, &read(path)?)
    }

    /// Appends a line; `durable` waits for the disk. A line that was not written whole is taken
    /// away again: the next one must not become a part of it.
    pub(super) fn append(&mut self, line: &Line, durable: bool) -> io::Result<()> {
        self.append_by(line, durable, File::write_all)
    }

    fn append_by(
        &mut self,
        line: &Line,
        durable: bool,
        write: impl FnOnce(&mut File, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        // A part that could not be taken away counts as a hole.
        let mut text = if self.torn { b"\0\n".to_vec() } else { Vec::new() };
        serde_json::to_writer(&mut text, line).map_err(io::Error::other)?;
        text.push(b'\n');
        if let Err(error) = write(&mut self.file, &text) {
            self.torn |= self.file.set_len(self.len).is_err();
            return Err(error);
        }
        self.len += text.len() as u64;
        self.torn = false;
        if durable { self.file.sync_data() } else { Ok(()) }
    }

    /// Replaces the whole file by these lines, atomically.
    pub(super) fn rewrite(&mut self, lines: &[Line]) -> io::Result<()> {
        let fresh = self.path.with_extension("jsonl.new");
        // Of an earlier attempt.
        let _ = fs::remove_file(&fresh);
        let mut file = ours().create_new(true).open(&fresh)?;
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line).map_err(io::Error::other)?;
            text.push(b'\n');
        }
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        (self.file, self.len, self.torn) = (file, text.len() as u64, false);
        // Without it a power cut may bring the old file back.
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(io_error),
    }
}

/// The lines of a state file. A last one without an end is dropped, and so is one with a hole of
/// zeros: a power cut leaves those where nothing was synced after them. A line of a type that is
/// not known is another version's.
fn lines(path: &Path, text: &[u8]) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let mut rest = text;
    let mut number = 0;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line;
        (line, rest) = (&rest[..end], &rest[end + 1..]);
        number += 1;
        if line.is_empty() || line.contains(&0) {
            continue;
        }
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(line) else {
            return Err(damaged(path, number));
        };
        match serde_json::from_value(value) {
            Ok(line) => lines.push(line),
            Err(error) => tracing::warn!(line = number, %error, "the state file has more to say"),
        }
    }
    Ok(lines)
}

fn damaged(path: &Path, line: usize) -> Error {
    let message = format!("line {line} of the state file {} cannot be read", path.display());
    Error::new(Culprit::Proxy, state::DATA_CORRUPTED, message).hint(
        "It tells which switches this installation has seen. Bring it back from a copy; or, when \
         you know that neither back end was restored from a backup, take the line away and \
         verify again.",
    )
}

/// The state file's own failure.
pub(super) fn io_error(error: io::Error) -> Error {
    let message = format!("could not use the state file: {error}");
    Error::new(Culprit::Proxy, state::IO_ERROR, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(attempted: u64) -> Line {
        Line::Witness { v: VERSION, attempted, served: 1 }
    }

    /// A disk that is full in the middle of a line.
    fn half(file: &mut File, text: &[u8]) -> io::Result<()> {
        file.write_all(&text[..text.len() / 2])?;
        Err(io::ErrorKind::StorageFull.into())
    }

    #[test]
    fn a_line_that_was_not_written_whole_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let (mut file, _) = StateFile::open(&path).unwrap();
        file.append(&witness(1), true).unwrap();
        file.append_by(&witness(2), true, half).unwrap_err();
        file.append(&witness(3), true).unwrap();
        assert_eq!(StateFile::open(&path).unwrap().1, [witness(1), witness(3)]);
        // Nor one that could not be taken away, when it is the last.
        half(&mut file.file, b"{\"type\":\"witness\"}\n").unwrap_err();
        let (mut file, lines) = StateFile::open(&path).unwrap();
        assert_eq!(lines, [witness(1), witness(3)]);
        file.rewrite(&lines).unwrap();
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path).unwrap());
        assert_eq!(mode & 0o777, 0o600, "evidence is for the owner of the file");
        file.append(&witness(4), true).unwrap();
        let lines = StateFile::open(&path).unwrap().1;
        assert_eq!(lines, [witness(1), witness(3), witness(4)]);
    }

    #[test]
    fn a_damaged_line_is_told_and_what_a_power_cut_leaves_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let good = serde_json::to_string(&witness(1)).unwrap();
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            StateFile::open(&path).map(|(_, lines)| lines.len())
        };
        assert_eq!(read(&format!("{good}\n{good}\n{{\"ty")).unwrap(), 2);
        assert_eq!(read(&format!("{good}\n{{\"ty\0\0\0\"}}\n{good}\n")).unwrap(), 2);
        assert_eq!(read(&format!("{{\"type\":\"later\",\"v\":2}}\n{good}\n")).unwrap(), 1);
        for damaged in [format!("{{\"type{good}\n{good}\n"), format!("{good}\n}}\n{good}\n")] {
            let error = read(&damaged).unwrap_err();
            assert_eq!(error.sqlstate(), state::DATA_CORRUPTED);
        }
        let bytes = [good.as_bytes(), b"\n\"\xff\"\n", good.as_bytes(), b"\n"].concat();
        fs::write(&path, bytes).unwrap();
        assert!(StateFile::open(&path).err().unwrap().message().contains("line 2"));
    }
}
