//! A planted difference is found and repaired; a crash loses nothing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::demo::journey::{Journey, Outcome};
use crate::demo::report::{grouped, short};
use crate::demo::{Trouble, check, load as clients};

/// What is written behind the proxy's back.
const FORGED: &str = "changed behind everybody's back";

fn read_note(journey: &Journey, customer: i64) -> Result<String, Trouble> {
    let config = journey.direct()?;
    journey.run(async {
        let client = clients::connect(&config).await?;
        let sql = format!("SELECT notes FROM customers WHERE id = {customer}");
        let rows = check::rows(&client, &sql).await?;
        let note = rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten();
        note.ok_or_else(|| Trouble::NotHeld(format!("customer {customer} has no note")))
    })
}

/// An UPDATE past the proxy is reported with table, key, column and both values.
pub(in crate::demo) fn divergence(journey: &mut Journey) -> Outcome {
    journey.need_phase("mirroring")?;
    let customer = journey.shop()?.size.customers;
    let genuine = read_note(journey, customer)?;
    let config = journey.direct()?;
    journey.run(async {
        let client = clients::connect(&config).await?;
        let sql = "UPDATE customers SET notes = $1 WHERE id = $2";
        let changed = client.execute(sql, &[&FORGED, &customer]).await;
        match changed {
            Ok(1) => Ok(()),
            Ok(n) => Err(Trouble::NotHeld(format!("planting changed {n} rows"))),
            Err(error) => Err(Trouble::NotHeld(clients::describe(&error))),
        }
    })?;
    let began = Instant::now();
    let task = journey.proxy()?.order("verify", &json!({}), &journey.stop)?;
    let task = match task.state() {
        "failed" if task.code() != "0A000" => task,
        "done" => {
            return Err(Trouble::NotHeld("verify called different rows the same".into()));
        }
        _ => task.done("verify")?,
    };
    let took = began.elapsed();
    let (id, sample) = find(journey, customer, &genuine)?;
    let replay = journey.proxy()?.get(&format!("/api/v1/divergences/{id}"))?;
    if replay["replay"].as_str().is_none_or(str::is_empty) {
        return Err(Trouble::NotHeld(format!("{id} has no replay script")));
    }
    journey.planted = Some(id.clone());
    Ok(format!(
        "verify found it in {} ({}): {id} {sample}",
        short(took.as_secs_f64() * 1000.0),
        if task.code().is_empty() { "failed" } else { task.code() }
    ))
}

/// The divergence that names table, key, column and both values.
fn find(journey: &Journey, customer: i64, genuine: &str) -> Result<(String, String), Trouble> {
    let proxy = journey.proxy()?;
    let list = proxy.get("/api/v1/divergences")?;
    for group in list["divergences"].as_array().into_iter().flatten() {
        if group["state"] != "open" || group["table"] != "customers" {
            continue;
        }
        let Some(id) = group["id"].as_str() else { continue };
        let detail = proxy.get(&format!("/api/v1/divergences/{id}"))?;
        let samples = detail["samples"].as_array().into_iter().flatten();
        if samples.into_iter().any(|sample| proves(sample, customer, genuine)) {
            let class = detail["class"].as_str().unwrap_or("");
            let text = format!(
                "{class}, customers id {customer}, notes: primary \"{genuine}\", shadow \"{FORGED}\""
            );
            return Ok((id.to_owned(), text));
        }
    }
    let open = journey.open_divergences()?.unwrap_or_else(|| "none is open".into());
    Err(Trouble::NotHeld(format!(
        "no divergence names customers, id {customer}, notes and both values; {open}"
    )))
}

fn proves(sample: &Value, customer: i64, genuine: &str) -> bool {
    let columns = sample["columns"].as_array().map_or(&[][..], Vec::as_slice);
    let Some(at) = columns.iter().position(|column| column == "notes") else { return false };
    let wanted = customer.to_string();
    // Pairs, or an object: both name the column and the value.
    let keyed = match &sample["key"] {
        Value::Array(pairs) => pairs.iter().any(|p| p[0] == "id" && p[1] == wanted.as_str()),
        Value::Object(fields) => fields.get("id").is_some_and(|v| *v == wanted.as_str()),
        _ => false,
    };
    keyed && sample["primary"][at] == genuine && sample["shadow"][at] == FORGED
}

/// The primary's row is written to the shadow; verify is clean, the divergence is fixed.
pub(in crate::demo) fn repair(journey: &mut Journey) -> Outcome {
    let Some(id) = journey.planted.clone() else {
        return Err(Trouble::Skipped("there is no divergence to repair".into()));
    };
    let (proxy, stop) = (journey.proxy()?, &journey.stop);
    let tables = json!({"tables": ["customers"]});
    let repaired = proxy.order("repair", &tables, stop)?.done("repair")?;
    let verified = proxy.order("verify", &json!({}), stop)?.done("verify after repair")?;
    let customer = journey.shop()?.size.customers;
    let note = read_note(journey, customer)?;
    if note == FORGED {
        return Err(Trouble::NotHeld("the forged value is still on PostgreSQL".into()));
    }
    let group = proxy.get(&format!("/api/v1/divergences/{id}"))?;
    if group["state"] != "fixed" {
        return Err(Trouble::NotHeld(format!("{id} is {}, not fixed", group["state"])));
    }
    if let Some(open) = journey.open_divergences()? {
        return Err(Trouble::NotHeld(open));
    }
    Ok(format!("{}; {}; {id} is fixed, 0 open", words(repaired.result()), words(verified.result())))
}

fn words(result: &str) -> &str {
    if result.is_empty() { "done" } else { result }
}

/// kill -9 under load: what was acknowledged is there exactly once, on both sides.
pub(in crate::demo) fn crash(journey: &mut Journey) -> Outcome {
    journey.need_phase("mirroring")?;
    let mut ready = Duration::ZERO;
    journey.load()?.interval();
    for round in 0..journey.pace.kills {
        // Somewhere in the middle of things.
        journey.stop.pause(Duration::from_millis(u64::from(400 + 130 * round)))?;
        let proxy = journey.proxy.as_mut().ok_or_else(|| Trouble::Broken("no proxy".into()))?;
        proxy.kill()?;
        journey.stop.pause(Duration::from_millis(200))?;
        let began = Instant::now();
        proxy.restart(&journey.stop)?;
        ready = ready.max(began.elapsed());
        serving_again(journey)?;
    }
    journey.stop.pause(Duration::from_millis(500))?;
    journey.await_phase("mirroring", Duration::from_secs(60))?;
    let rows = journey.check_level()?;
    let load = journey.load()?;
    let interval = load.interval();
    load.resume();
    if interval.wrong > 0 {
        return Err(Trouble::NotHeld(interval.trouble().unwrap_or_default()));
    }
    let (times, commits) = (journey.pace.kills, grouped(load.acknowledged()));
    Ok(format!(
        "{times} time{}, ready again within {}; {commits} acknowledged commits, each there \
         exactly once on both sides ({} rows the same)",
        if times == 1 { "" } else { "s" },
        short(ready.as_secs_f64() * 1000.0),
        grouped(rows)
    ))
}

/// Waits until the clients commit again.
fn serving_again(journey: &Journey) -> Result<(), Trouble> {
    let load = journey.load()?;
    let before = load.acknowledged();
    journey
        .stop
        .until("commits after the restart", Duration::from_secs(30), || {
            Ok(load.acknowledged() > before + 20)
        })
        .map(drop)
}

/// Every table is proven equal at a cut, under load.
pub(in crate::demo) fn verify(journey: &mut Journey) -> Outcome {
    let load = journey.load()?;
    load.resume();
    load.interval();
    let task = journey.proxy()?.order("verify", &json!({}), &journey.stop)?.done("verify")?;
    let interval = load.interval();
    Journey::undisturbed(&interval)?;
    let status = journey.proxy()?.status()?;
    if status["verified"]["state"] != "fresh" {
        let found = &status["verified"];
        return Err(Trouble::NotHeld(format!("after a clean verify status says {found}")));
    }
    Ok(format!(
        "{} ({}, under {:.0} commits/s)",
        words(task.result()),
        short(task.ms()),
        interval.rate()
    ))
}
