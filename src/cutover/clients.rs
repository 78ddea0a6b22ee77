//! The clients as a switch sees them: who keeps it waiting, and how they are ended.
//!
//! Owns the words between switch and sessions; the assembly puts sessions behind it. Start at
//! [`Clients`].

/// A session that a switch waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waited {
    /// Process number told to the client.
    pub pid: i32,
    /// Who, for people.
    pub who: String,
    /// What it holds.
    pub what: &'static str,
    /// The session itself holds it: no end of a transaction lets go.
    pub for_ever: bool,
    /// It may go on with it after the primary has changed.
    pub stays: bool,
    /// A statement of it runs now.
    pub active: bool,
    /// A number that stays the same as long as the session does nothing else.
    pub mark: u64,
}

impl Waited {
    /// For people.
    pub fn shown(&self) -> String {
        format!("{} holds {}", self.who, self.what)
    }
}

/// How a session is made to let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its running statement is cancelled (57014).
    Statement,
    /// It ends (57P01).
    Session,
}

/// The sessions of this proxy.
pub trait Clients: Send + Sync {
    /// Those that hold what cannot move.
    fn waited(&self) -> Vec<Waited>;
    /// Those that are in a transaction, as far as the primary could not be changed back from
    /// PostgreSQL before it ends.
    fn sitting(&self) -> Vec<Waited>;
    /// How many there are.
    fn count(&self) -> usize;
    /// Makes one let go.
    fn end(&self, pid: i32, how: End);
}
