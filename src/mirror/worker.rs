//! A worker of the mirror's own: what it computes keeps no client waiting.
//!
//! Owns a runtime of two threads for the applier and its connection: what one prepares, PostgreSQL is
//! sent meanwhile. Reads are compared among the sessions, which costs clients less. Applying comes in bursts of milliseconds, and between
//! threads the operating system shares the cores. It must never run what a client waits for. Start at
//! [`Worker::spawn`].

use std::future::Future;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// Ends with its owner; what still runs then is let go.
pub(super) struct Worker(Option<Runtime>);

impl Worker {
    /// Starts it. Without it (no more threads are to be had) the work is done among the sessions'.
    pub(super) fn start() -> Self {
        let built = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("mirror")
            .enable_all()
            .build();
        if let Err(error) = &built {
            tracing::warn!(%error, "the mirror has no thread of its own");
        }
        Self(built.ok())
    }

    /// Runs a task there.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        match &self.0 {
            Some(runtime) => runtime.spawn(task),
            None => tokio::spawn(task),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // It may be dropped where nothing may block.
            runtime.shutdown_background();
        }
    }
}
