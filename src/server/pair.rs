//! Putting a pair of back ends together: journal, mirror, switch, engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::clients::Sessions;
use super::direct::Direct;
use super::engine::Pair;
use super::reload::{Change, Reload};
use super::waits::{self, Waits};
use super::watcher::Watcher;
use crate::backend::postgres::connect::Connector;
use crate::backend::postgres::control::Control;
use crate::backend::sqlite::large;
use crate::backfill::Workers;
use crate::compare::PaceRule;
use crate::config::{
    CompareReads, Config, Endpoint, KeepValues as Keep, MirrorMode, PoolMode, Secret,
    WhenFull as Full,
};
use crate::control::Engine;
use crate::cutover::facts;
use crate::cutover::gate::{Gate, GateState};
use crate::cutover::gates::GateLimits;
use crate::cutover::limits::Limits;
use crate::cutover::reign::Watch;
use crate::cutover::state::Witness;
use crate::cutover::switch::{Parts, Switch};
use crate::divergence::{Accept, KeepValues, Rule, Store};
use crate::error::{Culprit, Error, Result, state};
use crate::journal::Journal;
use crate::mirror::{Limit, Mirror, Settings, WhenFull, WritesSkip};
use crate::session::{Shared, Upstreams};
use crate::telemetry::Live;

/// How long PostgreSQL may take to say its version.
const VERSION_MAX: Duration = Duration::from_secs(2);
/// How often both sides are looked at again while nobody can be served.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The engine for this configuration, the sessions' handles with everything wired in, and the
/// state file where there is a shadow.
///
/// # Errors
/// SQLite's own, F0000 for files that cannot be read.
pub(super) async fn build(
    reload: &Arc<Reload>,
    mut shared: Shared,
    journal: Journal,
    stop: &CancellationToken,
) -> Result<(Arc<Shared>, Arc<dyn Engine>, Option<Arc<Store>>)> {
    let config = &reload.latest();
    let Some(endpoint) = config.control_endpoint.as_ref().or(config.endpoint.as_ref()) else {
        let reader = shared.sqlite.reader(None).await?;
        let (attempted, served) = Store::witness_beside(shared.sqlite.path())?;
        facts::serves_alone(&reader, Witness { attempted, served })?;
        drop(reader);
        let shared = Arc::new(shared);
        let engine = Direct::new(Arc::clone(reload), Arc::clone(&shared), stop.clone());
        return Ok((shared, Arc::new(engine), None));
    };
    no_large_objects(&shared).await?;
    let connector = connector(config, endpoint, Culprit::Shadow)?;
    let keep = usize::try_from(config.divergence.keep.get()).unwrap_or(usize::MAX);
    let keep_values = match *config.divergence.keep_values {
        Keep::Full => KeepValues::Full,
        Keep::Hashed => KeepValues::Hashed,
        Keep::None => KeepValues::None,
    };
    let store = Store::open(shared.sqlite.path(), keep, keep_values)?.with_rules(rules(config));
    let store = Arc::new(store);
    if store.arrive(shared.sqlite.found())? {
        tracing::warn!(
            "the SQLite file is not as the proxy left it: somebody else may have written it"
        );
    }
    let live = Arc::new(Live::default());
    let settings = settings(config);
    let row_limit = settings.row_limit;
    let mirror = Mirror::new(
        shared.sqlite.clone(),
        journal.clone(),
        connector.clone(),
        Arc::clone(&live),
        Arc::clone(&store),
        Arc::clone(&shared.shapes),
        settings,
    );
    shared.gate = Gate::new(GateState::Closed);
    shared.room = journal.room().clone();
    report_version(&mut shared, &connector).await;
    // Sessions log in as the application does; with one URL that is the only role there is.
    let application = config.endpoint.as_ref().unwrap_or(endpoint);
    let watch = Arc::<Watch>::default();
    shared.upstreams = Some(upstreams(config, application, &watch)?);
    let clients = Arc::<Sessions>::default();
    let shapes = Arc::clone(&shared.shapes);
    shared.observer = Arc::new(Watcher::new(mirror.clone(), shapes, row_limit));
    let app_role = config
        .endpoint
        .as_ref()
        .filter(|app| config.control_endpoint.as_ref().is_some_and(|c| c.user != app.user))
        .map(|app| app.user.clone());
    let switch = Switch::new(Parts {
        sqlite: shared.sqlite.clone(),
        journal,
        sequences: Arc::clone(&shared.side.sequences),
        clock: shared.clock.clone(),
        mirror,
        gate: Arc::clone(&shared.gate),
        store: Arc::clone(&store),
        visible: Arc::clone(&shared.visible),
        connector,
        app_role,
        limits: limits(config),
        decided: Arc::new(config.tables.clone()),
        foreign_keys_off: !*config.sqlite.foreign_keys,
        clients: clients.clone(),
        watch,
    });
    let shared = Arc::new(shared);
    clients.begin(&shared);
    switch.recover().await?;
    tokio::spawn(settle(Arc::clone(&switch), stop.clone()));
    tokio::spawn(probe(Arc::clone(&switch), stop.clone()));
    let waits = Arc::<Waits>::default();
    tokio::spawn(waits::watch(Arc::clone(&waits), switch.mirror().clone(), stop.clone()));
    reload.on(takes(&switch, &store));
    let pair = Pair {
        reload: Arc::clone(reload),
        shared: Arc::clone(&shared),
        switch,
        store: Arc::clone(&store),
        live,
        waits,
        stop: stop.clone(),
        copied: parking_lot::Mutex::default(),
    };
    Ok((shared, Arc::new(pair), Some(store)))
}

/// PostgreSQL as sessions reach it.
///
/// # Errors
/// F0000 for files that cannot be read.
pub(super) fn upstreams(
    config: &Config,
    application: &Endpoint,
    watch: &Arc<Watch>,
) -> Result<Arc<Upstreams>> {
    let sessions = connector(config, application, Culprit::Primary)?;
    Ok(Arc::new(Upstreams::new(&sessions, Arc::clone(watch), shared_by(config))))
}

/// How many server sessions clients share; None: each has its own.
pub(super) fn shared_by(config: &Config) -> Option<usize> {
    match *config.postgres.pool_mode {
        PoolMode::Session => None,
        PoolMode::Transaction => usize::try_from(config.postgres.pool_size.get()).ok(),
    }
}

/// Reports PostgreSQL's own version from the start, so that a client sees no other one after the
/// switch. Not that of another major one: SQLite's side behaves as the one that is configured.
pub(super) async fn report_version(shared: &mut Shared, connector: &Connector) {
    let asked = async { Control::connect(connector).await?.rows("SHOW server_version").await };
    let Ok(Ok(rows)) = tokio::time::timeout(VERSION_MAX, asked).await else { return };
    let Some(found) = rows.first().map(|row| row.get::<_, String>(0)) else { return };
    let major = |version: &str| version.split('.').next().map(str::to_owned);
    if major(&found) == major(&shared.version) {
        shared.version = found;
    } else {
        let reported = &shared.version;
        tracing::warn!(found, reported, "set postgres.version to the version of your PostgreSQL");
    }
}

/// Large objects stand in no journal: a shadow would never see them.
async fn no_large_objects(shared: &Shared) -> Result<()> {
    let reader = shared.sqlite.reader(None).await?;
    if !tokio::task::block_in_place(|| large::any(&reader))? {
        return Ok(());
    }
    let message = "the SQLite file holds large objects, which cannot be carried to PostgreSQL";
    Err(Error::new(Culprit::Proxy, state::OBJECT_NOT_IN_PREREQUISITE_STATE, message).hint(
        "Start without PostgreSQL, copy them into columns of type bytea, and remove them with \
         lo_unlink.",
    ))
}

/// Looks again while nobody can be served for sure: after a start, after a switch that lost
/// PostgreSQL on the way, and when a session doubts where it is.
async fn settle(switch: Arc<Switch>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = switch.doubted() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
        switch.note_foreign_writes();
        if let Err(error) = switch.follow_mirror().await {
            tracing::error!(%error, "the end of mirroring could not be noted; trying again");
        }
        if let Err(error) = switch.look_again().await {
            tracing::error!(%error, "recovery failed; looking again");
        }
    }
}

/// Finds out whether the way back works when nobody knows, and what PostgreSQL numbers rows by, so
/// that their gates tell the truth.
async fn probe(switch: Arc<Switch>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
        switch.probe_if_unknown().await;
        if let Err(error) = switch.look_at_sequences(false).await {
            tracing::debug!(%error, "sequences of PostgreSQL cannot be looked at");
        }
    }
}

/// Prepares connections to PostgreSQL.
pub(super) fn connector(
    config: &Config,
    endpoint: &Endpoint,
    culprit: Culprit,
) -> Result<Connector> {
    let password = match config.postgres.password_file.as_deref() {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Error::client(
                    state::CONFIG_FILE_ERROR,
                    format!("cannot read postgres.password_file {}: {error}", path.display()),
                )
            })?;
            Some(Secret::new(text.trim_end_matches(['\r', '\n'])))
        }
    };
    let home = std::env::var_os("HOME").map(PathBuf::from);
    Connector::new(endpoint, password, home.as_deref(), culprit)
}

/// What a pair takes of a configuration that is read again.
fn takes(
    switch: &Arc<Switch>,
    store: &Arc<Store>,
) -> impl Fn(&Config) -> Result<Change> + Send + Sync + use<> {
    let (switch, store) = (Arc::clone(switch), Arc::clone(store));
    move |config| {
        let (switch, store) = (Arc::clone(&switch), Arc::clone(&store));
        let (rules, limits, ratio) = (rules(config), limits(config), read_ratio(config));
        let per_second = *config.mirror.rows_per_second;
        Ok(Box::new(move || {
            store.set_rules(rules);
            switch.set_limits(limits);
            switch.mirror().reads().sample(ratio);
            switch.mirror().limit().set(per_second);
        }))
    }
}

/// Share of the reads that are compared.
fn read_ratio(config: &Config) -> f64 {
    match *config.compare.reads {
        CompareReads::Off => 0.0,
        CompareReads::All => 1.0,
        CompareReads::Sampled => config.compare.sample_ratio.get(),
    }
}

/// Accept rules as the store takes them.
fn rules(config: &Config) -> Vec<Rule> {
    let rule = |a: &crate::config::Accept| Rule {
        class: a.class.clone(),
        fingerprint: a.fingerprint.clone(),
        table: a.table.clone(),
        column: a.column.clone(),
        accept: Accept {
            owner: a.owner.clone().unwrap_or_else(|| "configuration".to_owned()),
            reason: a.reason.clone().unwrap_or_default(),
            expires: a.expires.clone(),
        },
    };
    config.accept.iter().map(rule).collect()
}

fn settings(config: &Config) -> Settings {
    let small = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    Settings {
        batch_commits_max: small(config.mirror.batch_commits_max.get()),
        compare_writes: *config.compare.writes && *config.mirror.mode != MirrorMode::Off,
        write_ratio: config.compare.writes_ratio.get(),
        writes_skip: WritesSkip::of(&config.compare.writes_skip.0),
        lane_b_lag_max: u64::from(*config.compare.writes_lag_max),
        read_ratio: read_ratio(config),
        journal_bytes_max: config.mirror.journal_bytes_max.get(),
        when_full: match (*config.mirror.when_full, *config.mirror.full_wait_ms) {
            (Full::Degrade, _) => WhenFull::Degrade,
            (Full::Backpressure, 0) => WhenFull::Backpressure(None),
            (Full::Backpressure, ms) => {
                WhenFull::Backpressure(Some(Duration::from_millis(u64::from(ms))))
            }
        },
        row_limit: small(config.compare.row_limit.get()),
        float_ulps: *config.compare.float_ulps,
        pace: PaceRule {
            ratio: *config.compare.slow_ratio,
            floor: Duration::from_millis(u64::from(*config.compare.slow_floor_ms)),
            window: config.compare.slow_window.get(),
        },
        limit: Limit::new(*config.mirror.rows_per_second),
        timeout: Duration::from_millis(u64::from(config.compare.timeout_ms.get())),
        ..Settings::default()
    }
}

fn limits(config: &Config) -> Limits {
    let c = &config.cutover;
    Limits {
        precheck: Duration::from_millis(u64::from(c.precheck_ms.get())),
        drain_cancel: *c.drain_cancel,
        final_check: Duration::from_millis(u64::from(c.final_check_ms.get())),
        pause_budget: Duration::from_millis(u64::from(c.pause_budget_ms.get())),
        quiet: Duration::from_millis(u64::from(*config.mirror.quiet_ms)),
        workers: match usize::try_from(*config.mirror.copy_workers).unwrap_or_default() {
            0 => Workers::of_machine(),
            count => Workers { count, ..Workers::of_machine() },
        },
        slow: Duration::from_millis(u64::from(c.slow_ms.get())),
        drain: Duration::from_millis(u64::from(c.drain_ms.get())),
        catch_up: Duration::from_millis(u64::from(c.catch_up_ms.get())),
        decide: Duration::from_millis(u64::from(c.decide_ms.get())),
        fence: Duration::from_millis(u64::from(c.fence_ms.get())),
        route: Duration::from_millis(u64::from(c.route_ms.get())),
        way_back: *config.postgres.way_back,
        kept_bytes: config.postgres.way_back_bytes_max.get(),
        shared_by: shared_by(config),
    }
}

pub(super) fn gate_limits(config: &Config) -> GateLimits {
    let c = &config.cutover;
    GateLimits {
        verified_hours: c.verified_hours.get(),
        lag_ms: u64::from(*c.lag_ms),
        quiet_hours: *c.quiet_hours,
        coverage_ratio: c.coverage_ratio.get(),
        rehearsal_days: *c.rehearsal_days,
        pause_budget_ms: u64::from(c.pause_budget_ms.get()),
    }
}
