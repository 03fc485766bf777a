//! The progress of a command, for whoever watches.

use std::io::{self, IsTerminal, Write};

use crate::cli::At;

/// A line on the terminal that is drawn over.
pub(super) struct Line {
    shown: bool,
    wanted: bool,
}

// === impl Line ===

impl Line {
    /// Shown to people alone.
    pub(super) fn new(at: &At) -> Self {
        Self { shown: false, wanted: !at.json && io::stderr().is_terminal() }
    }

    /// Draws it anew.
    pub(super) fn show(&mut self, text: &str) {
        if self.wanted {
            self.shown = true;
            // With standard error gone there is nobody to show progress to.
            drop(write!(io::stderr(), "\r\x1b[K{text}"));
        }
    }

    /// Takes it away.
    pub(super) fn end(&mut self) {
        if self.shown {
            drop(write!(io::stderr(), "\r\x1b[K"));
        }
    }
}
