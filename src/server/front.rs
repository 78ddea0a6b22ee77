//! Putting a front together: a proxy without a SQLite file, for a PostgreSQL that another proxy has
//! promoted.
//!
//! Owns the scratch database that stands where the file would be: it holds no table, and goes with
//! the process. Start at [`build`].

use std::sync::Arc;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::direct::Direct;
use super::pair;
use super::reload::Reload;
use crate::config::Config;
use crate::control::Engine;
use crate::cutover::front::Front;
use crate::cutover::gate::{Gate, GateState};
use crate::cutover::reign::Watch;
use crate::error::{Culprit, Error, Result};
use crate::session::Shared;

/// A folder for the scratch database, where the configuration asks for a front.
///
/// # Errors
/// XX000 when none can be made.
pub(super) fn scratch(config: &Config) -> Result<Option<TempDir>> {
    if !*config.listen.front {
        return Ok(None);
    }
    let made = tempfile::Builder::new().prefix("crossfade-front-").tempdir();
    made.map(Some).map_err(|e| Error::internal(format!("cannot make a temporary folder: {e}")))
}

/// The engine of a front, and the sessions' handles with everything wired in.
///
/// # Errors
/// F0000 for files that cannot be read.
pub(super) async fn build(
    reload: &Arc<Reload>,
    mut shared: Shared,
    stop: &CancellationToken,
) -> Result<(Arc<Shared>, Arc<dyn Engine>)> {
    let config = reload.latest();
    let (Some(application), Some(control)) =
        (config.endpoint.as_ref(), config.control_endpoint.as_ref().or(config.endpoint.as_ref()))
    else {
        return Err(Error::internal("a front without PostgreSQL"));
    };
    let connector = pair::connector(&config, control, Culprit::Primary)?;
    pair::report_version(&mut shared, &connector).await;
    shared.gate = Gate::new(GateState::Closed);
    let watch = Arc::<Watch>::default();
    shared.upstreams = Some(pair::upstreams(&config, application, &watch)?);
    shared.is_front = true;
    let front = Front::new(connector, Arc::clone(&shared.gate), watch);
    front.look().await;
    tokio::spawn(Arc::clone(&front).follow(stop.clone()));
    let shared = Arc::new(shared);
    let engine = Direct::new(Arc::clone(reload), Arc::clone(&shared), stop.clone());
    Ok((shared, Arc::new(engine.in_front_of(front))))
}
