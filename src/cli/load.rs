//! Reading the configuration for `run` and `check`: file, environment, flags.

use std::collections::BTreeMap;
use std::path::Path;

use super::RunArgs;
use crate::config::{Config, Inputs, KEYS};
use crate::error::{Error, Result, state};

/// The file read when none is named and it is there.
const DEFAULT_FILE: &str = "proxy.toml";

/// Loads the configuration: flags over environment over file over defaults.
///
/// # Errors
/// F0000 with everything that is wrong.
pub fn load(args: &RunArgs) -> Result<Config> {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect();
    let named = args.config.as_deref();
    let implied = Path::new(DEFAULT_FILE);
    // A file in the current folder must not mix with a start that names its file by flag.
    let path = named.or_else(|| (args.sqlite.is_none() && implied.exists()).then_some(implied));
    let text = path
        .map(|path| {
            std::fs::read_to_string(path).map(|text| (path.display().to_string(), text)).map_err(
                |error| {
                    Error::client(
                        state::CONFIG_FILE_ERROR,
                        format!("cannot read {}: {error}", path.display()),
                    )
                },
            )
        })
        .transpose()?;
    let flags = flags(args)?;
    Config::load(&Inputs {
        file: text.as_ref().map(|(name, text)| (name.as_str(), text.as_str())),
        environment: &environment,
        flags: &flags,
    })
}

fn flags(args: &RunArgs) -> Result<Vec<(&'static str, String)>> {
    let named = [
        ("sqlite.path", &args.sqlite),
        ("sqlite.backup", &args.backup),
        ("postgres.url", &args.postgres),
        ("listen.addr", &args.listen),
        ("http.addr", &args.http),
        ("auth.method", &args.auth),
        ("log.level", &args.log_level),
    ];
    let mut flags: Vec<(&'static str, String)> =
        named.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect();
    for text in &args.set {
        let problem = |what: String| Error::client(state::CONFIG_FILE_ERROR, what);
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| problem(format!("--set {text}: expected SECTION.KEY=VALUE")))?;
        let known = KEYS
            .iter()
            .find(|k| key.split_once('.') == Some((k.section, k.name)))
            .ok_or_else(|| problem(format!("--set {key}: there is no such key")))?;
        // Keys are few and live as long as the process.
        let name: &'static str = Box::leak(format!("{}.{}", known.section, known.name).into());
        flags.push((name, value.to_owned()));
    }
    Ok(flags)
}
