//! The HTTP interface: JSON API, metrics, probes, and the page.
//!
//! Owns routes and JSON shapes of the public contract. It must never reach the engine except
//! through `control`, and never bind off loopback without a token. Start at [`serve`].

mod api;
mod guard;
mod page;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::control::Control;

/// What the handlers share.
#[derive(Clone)]
pub struct App {
    /// The door.
    pub control: Arc<Control>,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    /// Needed in `Authorization: Bearer …` when set.
    pub token: Option<Arc<str>>,
    /// The address is loopback: the Host header must name it too.
    pub loopback: bool,
}

/// Serves until the token is cancelled.
///
/// # Errors
/// Only from the listener itself.
pub async fn serve(
    listener: TcpListener,
    app: App,
    stop: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(app)).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn router(app: App) -> Router {
    Router::new()
        .merge(api::routes())
        .route("/", get(page::index))
        .route("/metrics", get(api::metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(api::readyz))
        .route("/healthz", get(api::healthz))
        .fallback(api::not_found)
        .layer(middleware::from_fn_with_state(app.clone(), guard::check))
        .with_state(app)
}
