//! The acts in their order, and what they share.
//!
//! Owns the processes of the demo: on every way out the clients, the proxy, PostgreSQL and the
//! folder end in this order. Start at [`Journey::play`].

use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::runtime::Runtime;

use super::acts::{begin, prove, switch};
use super::check::{self, Found};
use super::cluster::Cluster;
use super::load::{self, Interval, Load};
use super::proxy::Proxy;
use super::report::{Report, grouped};
use super::shop::Shop;
use super::{Pace, Stop, Trouble};

/// Database and user of the sample application.
const DATABASE: &str = "shop";

/// An act ends with the line it prints, or with trouble.
pub(super) type Outcome = Result<String, Trouble>;

type Act = fn(&mut Journey) -> Outcome;

const SCRIPT: &[(&str, Act)] = &[
    ("sample file", begin::sample),
    ("postgresql", begin::postgresql),
    ("proxy", begin::proxy),
    ("load", begin::load),
    ("backfill", begin::backfill),
    ("mirroring", begin::mirroring),
    ("comparing", begin::comparing),
    ("divergence", prove::divergence),
    ("repair", prove::repair),
    ("kill -9", prove::crash),
    ("verify", prove::verify),
    ("promote", switch::promote),
    ("way back", switch::way_back),
    ("rollback", switch::rollback),
    ("promote again", switch::promote_again),
    ("complete", switch::complete),
    ("both sides", switch::both_sides),
];

/// A folder that goes away with its owner.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's temporary-file cleaner.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Everything the acts share. Fields are dropped from top to bottom.
pub(super) struct Journey {
    pub(super) load: Option<Load>,
    pub(super) proxy: Option<Proxy>,
    pub(super) cluster: Option<Cluster>,
    folder: Option<Folder>,
    pub(super) runtime: Runtime,
    pub(super) pace: Pace,
    pub(super) stop: Stop,
    pub(super) shop: Option<Shop>,
    /// The load without a switch.
    pub(super) calm: Option<Interval>,
    /// The planted divergence's id.
    pub(super) planted: Option<String>,
    report: Report,
}

impl Journey {
    pub(super) fn new(pace: Pace, runtime: Runtime, stop: Stop) -> Self {
        Self {
            load: None,
            proxy: None,
            cluster: None,
            folder: None,
            runtime,
            pace,
            stop,
            shop: None,
            calm: None,
            planted: None,
            report: Report::default(),
        }
    }

    /// Plays every act; the exit code.
    pub(super) fn play(mut self, keep: bool) -> u8 {
        let began = Instant::now();
        let mut broken = false;
        for (name, act) in SCRIPT {
            if broken {
                self.report.not_played(name);
                continue;
            }
            let started = Instant::now();
            let outcome = act(&mut self);
            // An act that failed must not leave the clients at rest.
            self.load.iter().for_each(Load::resume);
            self.report.act(name, started.elapsed(), &outcome);
            match outcome {
                Err(Trouble::Interrupted) => break,
                Err(Trouble::Broken(_)) => broken = true,
                _ => {}
            }
            if matches!(outcome, Err(Trouble::NotHeld(_) | Trouble::Broken(_))) {
                self.show_log();
            }
        }
        let code = self.report.end(began.elapsed());
        if keep && self.stop.check().is_ok() {
            self.wait_for_the_user();
        }
        code
    }

    fn show_log(&self) {
        let Some(proxy) = &self.proxy else { return };
        let log = proxy.log_tail();
        if !log.is_empty() {
            Report::talk(&format!("last lines of the proxy's log:\n{log}"));
        }
    }

    fn wait_for_the_user(&self) {
        if let (Some(proxy), Some(cluster)) = (&self.proxy, &self.cluster) {
            let (ports, pid) = (proxy.ports(), proxy.pid());
            Report::say(&format!(
                "\nstill running under load; Ctrl-C ends everything\n  \
                 proxy       postgres://{DATABASE}@127.0.0.1:{}/{DATABASE}  (pid {pid})\n  \
                 dashboard   http://127.0.0.1:{}/\n  \
                 PostgreSQL  {}",
                ports.listen,
                ports.http,
                cluster.url(DATABASE)
            ));
            if let Ok(file) = self.file() {
                Report::say(&format!("  SQLite      {}", file.display()));
            }
        }
        self.runtime.block_on(self.stop.0.cancelled());
    }

    /// The SQLite file.
    pub(super) fn file(&self) -> Result<PathBuf, Trouble> {
        let folder = self.folder.as_ref().ok_or_else(|| missing("folder"))?;
        Ok(folder.0.join("shop.db"))
    }

    /// Makes the folder; on the first call.
    pub(super) fn make_folder(&mut self) -> Result<(), Trouble> {
        let path = std::env::temp_dir().join(format!("crossfade-demo-{}", std::process::id()));
        fs::create_dir(&path)?;
        self.folder = Some(Folder(path));
        Ok(())
    }

    pub(super) fn load(&self) -> Result<&Load, Trouble> {
        self.load.as_ref().ok_or_else(|| missing("load"))
    }

    pub(super) fn proxy(&self) -> Result<&Proxy, Trouble> {
        self.proxy.as_ref().ok_or_else(|| missing("proxy"))
    }

    pub(super) fn shop(&self) -> Result<Shop, Trouble> {
        self.shop.ok_or_else(|| missing("sample file"))
    }

    /// URL of the application's database on PostgreSQL.
    pub(super) fn postgres_url(&self) -> Result<String, Trouble> {
        Ok(self.cluster.as_ref().ok_or_else(|| missing("PostgreSQL"))?.url(DATABASE))
    }

    /// How the application reaches the proxy.
    pub(super) fn through_proxy(&self) -> Result<tokio_postgres::Config, Trouble> {
        let mut config = tokio_postgres::Config::new();
        config
            .host("127.0.0.1")
            .port(self.proxy()?.ports().listen)
            .user(DATABASE)
            .dbname(DATABASE)
            .connect_timeout(Duration::from_secs(10));
        Ok(config)
    }

    /// How to reach PostgreSQL behind the proxy's back.
    pub(super) fn direct(&self) -> Result<tokio_postgres::Config, Trouble> {
        let url = self.postgres_url()?;
        url.parse().map_err(|error| Trouble::Broken(format!("{url}: {error}")))
    }

    pub(super) fn run<T>(
        &self,
        work: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        self.stop.run(&self.runtime, work)
    }

    /// Waits until the proxy is in a phase.
    pub(super) fn await_phase(&self, phase: &str, limit: Duration) -> Result<Value, Trouble> {
        let mut status = Value::Null;
        let reached = self.stop.until(&format!("phase {phase}"), limit, || {
            status = self.proxy()?.status()?;
            Ok(status["phase"] == phase)
        });
        let found = status["phase"].as_str().unwrap_or("unknown").to_owned();
        reached.map_err(|trouble| trouble.with(&format!("the phase is {found}")))?;
        Ok(status)
    }

    /// Skips an act that makes sense in one phase only.
    pub(super) fn need_phase(&self, phase: &str) -> Result<(), Trouble> {
        let status = self.proxy()?.status()?;
        if status["phase"] == phase {
            return Ok(());
        }
        let found = status["phase"].as_str().unwrap_or("unknown");
        Err(Trouble::Skipped(format!("needs phase {phase}, the phase is {found}")))
    }

    /// Brings the clients to rest.
    pub(super) fn hold(&self) -> Result<(), Trouble> {
        self.run(self.load()?.hold())
    }

    /// Waits until the shadow holds what the primary holds; with the clients at rest.
    pub(super) fn await_applied(&self) -> Result<Duration, Trouble> {
        self.stop.until("the shadow has applied every commit", Duration::from_secs(30), || {
            let status = self.proxy()?.status()?;
            Ok(status["lag_commits"] == 0 && status["applied"] == status["position"])
        })
    }

    /// Sums and ledger over the PostgreSQL protocol; what is wrong is trouble.
    pub(super) fn check_side(
        &self,
        name: &str,
        config: &tokio_postgres::Config,
        exact: bool,
    ) -> Result<Found, Trouble> {
        let (found, keys) = self.run(async {
            let client = load::connect(config).await?;
            Ok((check::sums(&client).await?, check::ledger(&client).await?))
        })?;
        self.judge(name, &found, &keys, exact)?;
        Ok(found)
    }

    /// Sums and ledger of the SQLite file, read with SQLite alone.
    pub(super) fn check_file(&self, exact: bool) -> Result<Found, Trouble> {
        let file = self.file()?;
        let (found, keys) = (check::file(&file)?, check::file_ledger(&file)?);
        if exact {
            self.judge("the SQLite file", &found, &keys, true)?;
        } else {
            self.judge_sums("the SQLite file", &found)?;
        }
        Ok(found)
    }

    fn judge(
        &self,
        name: &str,
        found: &Found,
        keys: &BTreeSet<(i64, i64)>,
        exact: bool,
    ) -> Result<(), Trouble> {
        self.judge_sums(name, found)?;
        self.load()?.check_ledger(keys, exact).map(drop).map_err(|trouble| match trouble {
            Trouble::NotHeld(text) => Trouble::NotHeld(format!("{name}: {text}")),
            other => other,
        })
    }

    fn judge_sums(&self, name: &str, found: &Found) -> Result<(), Trouble> {
        let problems = found.problems(&self.shop()?);
        if problems.is_empty() {
            return Ok(());
        }
        Err(Trouble::NotHeld(format!("{name}: {}", problems.join(", "))))
    }

    /// Clients at rest, shadow level: both sides hold the same rows, sums and ledger. The
    /// number of rows. The clients stay at rest.
    pub(super) fn check_level(&self) -> Result<u64, Trouble> {
        self.hold()?;
        self.await_applied()?;
        let (proxy, direct) = (self.through_proxy()?, self.direct()?);
        self.check_side("through the proxy", &proxy, true)?;
        self.check_side("PostgreSQL", &direct, true)?;
        self.run(async {
            let (proxy, direct) = (load::connect(&proxy).await?, load::connect(&direct).await?);
            check::same_rows(&proxy, &direct).await
        })
    }

    /// Trouble if a client met an error, a reconnect or a wrong answer.
    pub(super) fn undisturbed(interval: &Interval) -> Result<(), Trouble> {
        interval.trouble().map_or(Ok(()), |text| Err(Trouble::NotHeld(text)))
    }

    /// Open divergences in one line; None when there is none.
    pub(super) fn open_divergences(&self) -> Result<Option<String>, Trouble> {
        let list = self.proxy()?.get("/api/v1/divergences")?;
        let open: Vec<String> = list["divergences"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|group| group["state"] == "open")
            .map(|group| {
                let text = |field: &str| group[field].as_str().unwrap_or("").to_owned();
                let shape: String = text("fingerprint").chars().take(120).collect();
                format!("{} {} {} {shape}", text("id"), text("class"), text("table"))
            })
            .collect();
        let count = u64::try_from(open.len()).unwrap_or(u64::MAX);
        Ok(open.first().map(|first| format!("{} open: {first}", grouped(count))))
    }
}

/// What an act needs and an earlier one did not make.
fn missing(what: &str) -> Trouble {
    Trouble::Broken(format!("there is no {what}"))
}
