//! The console: virtual database `crossfade` over the PostgreSQL protocol.
//!
//! Owns the SHOW tables and the orders given over a client's connection. It must never reach
//! the engine except through `control`. Start at [`serve`].

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::control::Control;
use crate::error::Error;
use crate::wire::cancel::Registry;
use crate::wire::{Connection, Startup};

/// What console sessions share.
pub struct Console {
    /// The door.
    pub control: Arc<Control>,
    /// Cancel keys.
    pub registry: Arc<Registry>,
    /// Time and randomness.
    pub clock: Clock,
    /// PostgreSQL version that is reported.
    pub version: String,
    /// Cancelled when the server stops.
    pub stopping: CancellationToken,
}

/// Serves one authenticated client of the console until it leaves.
pub async fn serve(io: Connection, _startup: Startup, _console: Arc<Console>) {
    let error = Error::unsupported("the console over the PostgreSQL protocol")
        .hint("Use the command line or the HTTP interface.")
        .fatal();
    io.fail(&error).await;
}
