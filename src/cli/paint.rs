//! Colours for terminals.
//!
//! Owns the few that are used. It must never paint what is not for a terminal: who makes a
//! [`Paint`] has asked `out::colours`. Start at [`Paint`].

/// Paints, or leaves the text as it is.
pub(super) struct Paint(pub(super) bool);

impl Paint {
    pub(super) fn code(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(super) fn bold(&self, text: &str) -> String {
        self.code("1", text)
    }

    /// Names of things.
    pub(super) fn dim(&self, text: &str) -> String {
        self.code("2", text)
    }

    /// As it should be.
    pub(super) fn good(&self, text: &str) -> String {
        self.code("1;32", text)
    }

    /// Needs somebody.
    pub(super) fn bad(&self, text: &str) -> String {
        self.code("1;31", text)
    }
}
