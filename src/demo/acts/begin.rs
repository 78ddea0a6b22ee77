//! From a file alone to a mirrored, compared pair.

use std::time::Duration;

use serde_json::{Value, json};

use crate::demo::cluster::Cluster;
use crate::demo::journey::{Journey, Outcome};
use crate::demo::load::Load;
use crate::demo::proxy::Proxy;
use crate::demo::report::{grouped, short};
use crate::demo::shop::{self, TABLES};
use crate::demo::{Trouble, check, load as clients};

/// A file as a legacy application left it.
pub(in crate::demo) fn sample(journey: &mut Journey) -> Outcome {
    journey.make_folder()?;
    let file = journey.file()?;
    let shop = shop::build(&file, journey.pace.size)?;
    let kilobytes = std::fs::metadata(&file)?.len() / 1024;
    journey.shop = Some(shop);
    Ok(format!(
        "{} rows in {} tables, {} kB: decimals, dates, booleans, unicode, NULLs",
        grouped(shop.rows),
        TABLES.len(),
        grouped(kilobytes)
    ))
}

/// A throw-away PostgreSQL with an empty database.
pub(in crate::demo) fn postgresql(journey: &mut Journey) -> Outcome {
    let cluster = Cluster::start()?;
    cluster.create_database("shop")?;
    let (version, port) = (cluster.psql("shop", "SHOW server_version")?, cluster.port());
    journey.cluster = Some(cluster);
    journey.stop.check()?;
    Ok(format!("PostgreSQL {version} on port {port}, empty database \"shop\", wal_level logical"))
}

/// The proxy answers from the file.
pub(in crate::demo) fn proxy(journey: &mut Journey) -> Outcome {
    let (file, url) = (journey.file()?, journey.postgres_url()?);
    journey.proxy = Some(Proxy::start(&file, &url, &journey.stop)?);
    let (status, ports) = (journey.proxy()?.status()?, journey.proxy()?.ports());
    let config = journey.through_proxy()?;
    let shop = journey.shop()?;
    let found = journey.run(async {
        let client = clients::connect(&config).await?;
        check::sums(&client).await
    });
    // A proxy that cannot serve the file at all has nothing to show afterwards.
    let found = found.map_err(Trouble::fatal)?;
    let problems = found.problems(&shop);
    if !problems.is_empty() {
        return Err(Trouble::Broken(format!("through the proxy: {}", problems.join(", "))));
    }
    Ok(format!(
        "speaks PostgreSQL on port {}, phase {}; dashboard http://127.0.0.1:{}/",
        ports.listen,
        status["phase"].as_str().unwrap_or("unknown"),
        ports.http
    ))
}

/// The application's clients.
pub(in crate::demo) fn load(journey: &mut Journey) -> Outcome {
    let (config, shop, pace) = (journey.through_proxy()?, journey.shop()?, journey.pace);
    journey.load = Some(Load::start(&journey.runtime, config, shop, pace.clients, pace.think));
    journey.stop.pause(pace.watch)?;
    let interval = journey.load()?.interval();
    if interval.commits == 0 {
        let why = interval.trouble().unwrap_or_else(|| "no commit at all".into());
        return Err(Trouble::Broken(why));
    }
    Journey::undisturbed(&interval)?;
    Ok(format!(
        "{} clients, {:.0} commits/s, p99 {} a statement, 0 failed",
        pace.clients,
        interval.rate(),
        short(interval.p99_ms())
    ))
}

/// Every table is copied while the clients write.
pub(in crate::demo) fn backfill(journey: &mut Journey) -> Outcome {
    let load = journey.load()?;
    load.interval();
    let task = journey.proxy()?.order("backfill", &json!({}), &journey.stop)?;
    // Without a copy there is nothing to mirror, compare or switch to.
    let task = task.done("backfill").map_err(Trouble::fatal)?;
    let interval = load.interval();
    Journey::undisturbed(&interval)?;
    let result = if task.result().is_empty() { "done" } else { task.result() };
    Ok(format!(
        "{result} ({}, under {:.0} commits/s, longest wait {})",
        short(task.ms()),
        interval.rate(),
        short(interval.longest_ms())
    ))
}

/// The shadow follows; at rest both sides hold the same rows.
pub(in crate::demo) fn mirroring(journey: &mut Journey) -> Outcome {
    let (stop, load) = (&journey.stop, journey.load()?);
    journey.await_phase("mirroring", Duration::from_secs(60)).map_err(Trouble::fatal)?;
    load.interval();
    let mut worst: Option<(u64, u64)> = None;
    for _ in 0..10 {
        stop.pause(journey.pace.watch / 10)?;
        let status = journey.proxy()?.status()?;
        // Unknown is not zero: it does not count as a measurement.
        if let (Some(commits), Some(ms)) =
            (number(&status["lag_commits"]), number(&status["lag_ms"]))
        {
            worst = worst.max(Some((commits, ms)));
        }
    }
    let (commits, ms) =
        worst.ok_or_else(|| Trouble::NotHeld("the lag was never known while mirroring".into()))?;
    Journey::undisturbed(&load.interval())?;
    let rows = journey.check_level()?;
    Ok(format!(
        "lag at most {} commits ({ms} ms) under load; at rest {} rows the same on both sides",
        grouped(commits),
        grouped(rows)
    ))
}

/// The same statements on both sides: many comparisons, no divergence.
pub(in crate::demo) fn comparing(journey: &mut Journey) -> Outcome {
    let (proxy, load) = (journey.proxy()?, journey.load()?);
    let before = number(&proxy.status()?["compared"]).unwrap_or(0);
    let wanted = journey.pace.comparisons;
    load.resume();
    load.interval();
    journey.stop.pause(journey.pace.watch)?;
    let mut status = Value::Null;
    journey.stop.until(
        &format!("{} comparisons", grouped(wanted)),
        Duration::from_secs(60),
        || {
            status = proxy.status()?;
            Ok(number(&status["compared"]).unwrap_or(0) >= before + wanted)
        },
    )?;
    let interval = load.interval();
    let text = format!(
        "{} compared, {} diverged, {} not comparable; without a switch: p99 {}, longest wait {}",
        grouped(number(&status["compared"]).unwrap_or(0)),
        status["diverged_open"],
        grouped(number(&status["skipped"]).unwrap_or(0)),
        short(interval.p99_ms()),
        short(interval.longest_ms())
    );
    Journey::undisturbed(&interval)?;
    journey.calm = Some(interval);
    match journey.open_divergences()? {
        Some(open) => Err(Trouble::NotHeld(format!("an identical workload diverged, {open}"))),
        None => Ok(text),
    }
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64()
}
