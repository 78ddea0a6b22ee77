//! The HTTP interface: JSON API, metrics, probes, and the page.
//!
//! Owns routes and JSON shapes of the public contract. It must never reach the engine except
//! through `control`, and never bind off loopback without a token. Start at [`serve`].

mod api;
mod feed;
mod guard;
mod incoming;
mod page;
mod readings;
mod seats;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use metrics_exporter_prometheus::PrometheusHandle;
use parking_lot::RwLock;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::PerMinute;
use crate::control::Control;
use crate::wire::Tls;
pub use feed::Feed;
use incoming::Incoming;

/// Who may ask.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// Needed for everything when set.
    pub order: Option<Arc<str>>,
    /// With this one may look, and not order.
    pub look: Option<Arc<str>>,
}

/// What the handlers share.
#[derive(Clone)]
pub struct App {
    /// The door.
    pub control: Arc<Control>,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    /// What `Authorization: Bearer …` must carry.
    pub tokens: Arc<RwLock<Tokens>>,
    /// The address is loopback: the Host header must name it too.
    pub loopback: bool,
    /// What the page shows as it happens.
    pub feed: Feed,
    /// Wrong tokens of the last minute.
    pub wrong: Arc<PerMinute>,
    /// The end of the proxy ends streams, too.
    pub stop: CancellationToken,
}

/// Serves until the token is cancelled.
///
/// # Errors
/// Only from the listener itself.
pub async fn serve(
    listener: TcpListener,
    tls: Option<&Tls>,
    app: App,
    stop: CancellationToken,
) -> std::io::Result<()> {
    tokio::spawn(feed::sample(app.clone()));
    let tls = tls.map(|tls| tls.speaking(b"http/1.1"));
    let incoming = Incoming::new(listener, tls, stop.clone())?;
    let service = router(app).into_make_service_with_connect_info::<SocketAddr>();
    // What axum tells a peer's address by.
    let incoming = incoming.tap_io(|_| {});
    axum::serve(incoming, service).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn router(app: App) -> Router {
    Router::new()
        .merge(api::routes())
        .merge(page::routes())
        .route("/api/v1/stream", get(feed::stream))
        .route("/api/v1/history", get(feed::history))
        .route("/metrics", get(api::metrics))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(api::readyz))
        .route("/healthz", get(api::healthz))
        .fallback(api::not_found)
        .layer(middleware::from_fn_with_state(app.clone(), guard::check))
        .with_state(app)
}
