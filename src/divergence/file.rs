//! The state file: JSON lines, appended, compacted when opened.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::changed::Scope;
use super::group::{Group, GroupState, Sample};
use super::store::TableVerified;

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
    /// Everything verified so far counts no more (a new copy, a foreign writer).
    VerifyReset {
        /// Schema version.
        v: u32,
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
}

impl StateFile {
    /// Reads every line (a torn last line is dropped: its writer died before it counted), then
    /// opens for appending.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<Line>)> {
        let mut lines = Vec::new();
        if path.exists() {
            for line in BufReader::new(File::open(path)?).lines() {
                let Ok(line) = line else { break };
                if let Ok(parsed) = serde_json::from_str(&line) {
                    lines.push(parsed);
                }
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok((Self { path: path.to_owned(), file }, lines))
    }

    /// Appends a line; `durable` waits for the disk.
    pub(super) fn append(&mut self, line: &Line, durable: bool) -> io::Result<()> {
        let mut text = serde_json::to_vec(line).map_err(io::Error::other)?;
        text.push(b'\n');
        self.file.write_all(&text)?;
        if durable { self.file.sync_data() } else { Ok(()) }
    }

    /// Replaces the whole file by these lines, atomically.
    pub(super) fn rewrite(&mut self, lines: &[Line]) -> io::Result<()> {
        let fresh = self.path.with_extension("jsonl.new");
        let mut file = File::create(&fresh)?;
        for line in lines {
            serde_json::to_writer(&mut file, line).map_err(io::Error::other)?;
            file.write_all(b"\n")?;
        }
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        Ok(())
    }
}
