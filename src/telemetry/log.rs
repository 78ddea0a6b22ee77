//! The log: stderr only; text on a terminal, JSON otherwise.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use tracing_subscriber::fmt::writer::BoxMakeWriter;

use tracing_subscriber::EnvFilter;

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Form {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Text.
    Text,
    /// JSON lines.
    Json,
}

/// Changes what a running log lets through.
pub type SetLevel = Arc<dyn Fn(&str) + Send + Sync>;

/// Starts the log, and returns how its level is changed. `RUST_LOG` wins over `level`. Later calls
/// have no effect (tests).
pub fn start(level: &str, form: Form) -> SetLevel {
    let filter = filter(level);
    let json = match form {
        Form::Auto => !io::stderr().is_terminal(),
        Form::Text => false,
        Form::Json => true,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer());
    // A second subscriber cannot be installed: the first one stays.
    if json {
        let builder = builder.json().flatten_event(true).with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        Arc::new(move |level| drop(handle.reload(self::filter(level))))
    } else {
        let builder = builder.with_target(false).with_ansi(io::stderr().is_terminal());
        let builder = builder.with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        Arc::new(move |level| drop(handle.reload(self::filter(level))))
    }
}

fn filter(level: &str) -> EnvFilter {
    EnvFilter::try_from_default_env()
        .or_else(|_| EnvFilter::try_new(level))
        .unwrap_or_else(|_| EnvFilter::new("info"))
}

/// A descriptor of our own for stderr: libpg_query points descriptor 2 at a pipe while it
/// parses, so lines written there meanwhile would be lost.
fn writer() -> BoxMakeWriter {
    match io::stderr().as_fd().try_clone_to_owned() {
        Ok(own) => BoxMakeWriter::new(Arc::new(File::from(own))),
        Err(_) => BoxMakeWriter::new(io::stderr),
    }
}
