//! Tests of reading, merging and checking.

use super::*;

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn load(file: &str, variables: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Config> {
    let environment = environment(variables);
    let flags: Vec<_> = flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
    let file = (!file.is_empty()).then_some(("proxy.toml", file));
    Config::load(&Inputs { file, environment: &environment, flags: &flags })
}

fn problem(file: &str, variables: &[(&str, &str)]) -> String {
    load(file, variables, &[]).unwrap_err().to_string()
}

#[test]
fn every_default_is_valid() {
    let config = load("", &[], &[]).unwrap();
    assert!(config.entries().iter().all(|e| e.source == Source::Default));
    assert_eq!(config.entries().len(), KEYS.len());
    for (entry, key) in config.entries().iter().zip(KEYS) {
        assert_eq!((entry.section, entry.name), (key.section, key.name));
    }
    assert!(config.endpoint.is_none());
    assert_eq!(config.postgres.version.number(), 150_000);
}

#[test]
fn flags_beat_environment_beats_file_beats_defaults() {
    let file = "[sqlite]\npath = \"file.db\"\nreaders = 3\ncache_bytes = \"32MB\"\n";
    let variables = [("CROSSFADE_SQLITE_READERS", "4"), ("CROSSFADE_SQLITE_PATH", "env.db")];
    let config = load(file, &variables, &[("sqlite.path", "flag.db")]).unwrap();
    assert_eq!(config.sqlite.path.value.as_deref(), Some(Path::new("flag.db")));
    assert_eq!(config.sqlite.path.source, Source::Flag);
    assert_eq!(*config.sqlite.readers, 4);
    let variable = "CROSSFADE_SQLITE_READERS".to_owned();
    assert_eq!(config.sqlite.readers.source, Source::Environment(variable));
    assert_eq!(config.sqlite.cache_bytes.get(), 32 << 20);
    assert_eq!(config.sqlite.cache_bytes.source, Source::File(4));
    assert_eq!(config.sqlite.busy_timeout_ms.source, Source::Default);
}

#[test]
fn unknown_keys_are_errors_with_a_suggestion() {
    let cases = [
        ("[compare]\nraeds = \"all\"\n", "did you mean \"reads\""),
        ("[comapre]\nreads = \"all\"\n", "did you mean \"compare\""),
        ("\n\n[compare]\nreads = \"al\"\n", "did you mean \"all\""),
        ("reads = 1\n", "outside of a section"),
        ("[listen]\nfoo = 1\n", "unknown key \"foo\" in [listen]"),
        ("[listen\n", "proxy.toml:1"),
        ("[sqlite]\nreaders = [1]\n", "sqlite.readers expects a whole number"),
        ("[compare]\nsample_ratio = 1.5\n", "from 0 to 1"),
        ("[divergence]\n[[divergence.accept]]\nclass = \"order\"\n", "needs a reason"),
        ("[[divergence.accept]]\nreason = \"x\"\n", "needs a class"),
        ("[[divergence.accept]]\nclass = \"order\"\nexpires = \"soon\"\n", "expires is a date"),
        ("[tables.t]\ncolums = {}\n", "did you mean \"columns\""),
        ("[tables.t]\npartition_by = \"at\"\n", "tables.t: partition_by expects RANGE"),
        ("[tables.t]\nindexes = [\"a\"]\n", "an index is written as"),
        ("[tables.t]\nname = \"\"\n", "at most 63 bytes"),
    ];
    for (file, expected) in cases {
        let text = problem(file, &[]);
        assert!(text.contains(expected), "{file}: {text}");
    }
    let text = problem("", &[("CROSSFADE_COMPARE_RAEDS", "all")]);
    assert!(text.contains("did you mean \"CROSSFADE_COMPARE_READS\""), "{text}");
    let config = load("", &[("CROSSFADE_PORT_5432_TCP_ADDR", "10.0.0.1")], &[]).unwrap();
    assert!(config.warnings.iter().any(|w| w.contains("CROSSFADE_PORT")));
}

#[test]
fn lists_rules_and_tables_are_read() {
    let file = "
        [listen]
        addr = [\"127.0.0.1:7000\", \"/run/crossfade\", \"[::1]:7000\"]
        [[divergence.accept]]
        class = \"order\"
        reason = \"no order promised\"
        owner = \"ops\"
        expires = \"2030-01-31\"
        [tables.\"my orders\"]
        columns = { price = \"numeric(12,2)\" }
        partition_by = \"RANGE (at) EVERY day\"
        indexes = [\"(at)\", \"USING brin (at)\"]
        name = \"orders\"
        column_names = { \"a b\" = \"ab\" }
        refuse = [\"price\"]
    ";
    let config = load(file, &[], &[]).unwrap();
    assert_eq!(config.listen.addr.0.len(), 3);
    let socket = config.listen.addr.0[1].socket_file(config.listen.addr.port());
    assert_eq!(socket, Some(PathBuf::from("/run/crossfade/.s.PGSQL.7000")));
    assert_eq!(config.accept[0].class.as_deref(), Some("order"));
    assert_eq!(config.accept[0].expires.as_deref(), Some("2030-01-31"));
    let orders = &config.tables["my orders"];
    assert_eq!(orders.columns["price"].text, "numeric(12,2)");
    assert_eq!(orders.partition_by.as_ref().unwrap().every, Some(super::Every::Day));
    assert_eq!((orders.indexes.len(), orders.name.as_deref()), (2, Some("orders")));
    assert_eq!((orders.column_names["a b"].as_str(), orders.refuse.len()), ("ab", 1));
}

#[test]
fn what_is_not_there_yet_is_refused() {
    let mode = problem("[postgres]\npool_mode = \"statement\"", &[]);
    assert!(mode.contains("session or transaction"), "{mode}");
    let schema = problem("", &[("CROSSFADE_POSTGRES_SCHEMA", "app")]);
    assert!(schema.contains("CROSSFADE_POSTGRES_SCHEMA"), "{schema}");
    assert!(problem("[cutover]\nwatch_ms = 5", &[]).contains("watch_ms"));
}

#[test]
fn trust_is_refused_off_loopback() {
    for addr in ["0.0.0.0:6433", "*:6433", "[::]:6433", "192.168.1.5:1", "db.example:1"] {
        let variables = [("CROSSFADE_LISTEN_ADDR", addr), ("CROSSFADE_AUTH_METHOD", "trust")];
        assert!(problem("", &variables).contains("trust is refused"), "{addr}");
        load("", &variables[..1], &[]).unwrap();
    }
    for addr in
        ["127.0.0.1:0", "localhost:1", "[::1]:1", "/tmp", "127.8.8.8:5", "[::ffff:127.0.0.1]:5"]
    {
        let variables = [("CROSSFADE_LISTEN_ADDR", addr), ("CROSSFADE_AUTH_METHOD", "trust")];
        load("", &variables, &[]).unwrap();
    }
    let text = problem("", &[("CROSSFADE_HTTP_ADDR", "0.0.0.0:9433")]);
    assert!(text.contains("token_file"), "{text}");
}

#[test]
fn other_programs_variables_attach_the_back_ends() {
    let config = load("", &[("DATABASE_URL", "sqlite:///app.db")], &[]).unwrap();
    assert_eq!(config.sqlite_path(|_| false).unwrap(), PathBuf::from("app.db"));
    assert_eq!(
        config.sqlite_path(|p| p == Path::new("/app.db")).unwrap(),
        PathBuf::from("/app.db")
    );
    let variables = [
        ("POSTGRES_HOST", "db"),
        ("POSTGRES_PORT", "6000"),
        ("POSTGRES_USER", "u"),
        ("POSTGRES_PASSWORD", "p"),
        ("POSTGRES_DB", "d"),
    ];
    let endpoint = load("", &variables, &[]).unwrap().endpoint.unwrap();
    assert_eq!(endpoint.hosts, [(Host::Tcp("db".into()), 6000)]);
    assert_eq!((endpoint.user.as_str(), endpoint.database.as_str()), ("u", "d"));
    let variables =
        [("PGHOST", "db"), ("PGUSER", "u"), ("PGPASSWORD", "p"), ("PGSSLMODE", "require")];
    let endpoint = load("", &variables, &[]).unwrap().endpoint.unwrap();
    assert_eq!((endpoint.user.as_str(), endpoint.sslmode), ("u", SslMode::Require));
    assert!(load("", &variables[1..], &[]).unwrap().endpoint.is_none());
    let file = "[postgres]\nurl = \"postgres://file/x\"\n";
    let config = load(file, &variables, &[]).unwrap();
    assert_eq!(config.endpoint.unwrap().hosts[0].0, Host::Tcp("file".into()));
    let config = load(file, &[("DATABASE_URL", "postgres://env/x")], &[]).unwrap();
    assert_eq!(config.endpoint.unwrap().hosts[0].0, Host::Tcp("env".into()));
    // What leads here is the application's: the file goes on to name the server.
    let here = [("DATABASE_URL", "postgres://app@127.0.0.1:6433/app")];
    let config = load(file, &here, &[]).unwrap();
    assert_eq!(config.endpoint.unwrap().hosts[0].0, Host::Tcp("file".into()));
    let config = load("", &[("DATABASE_URL", "mysql://x/y")], &[]).unwrap();
    assert!(config.warnings.iter().any(|w| w.contains("DATABASE_URL is ignored")));
}

#[test]
fn the_proxy_does_not_shadow_itself() {
    for url in
        ["postgres://u@127.0.0.1:6433/x", "postgres://localhost:6433/x", "postgres://[::1]:6433/x"]
    {
        let text = problem("", &[("CROSSFADE_POSTGRES_URL", url)]);
        assert!(text.contains("points to this proxy"), "{url}: {text}");
        // What `crossfade env` has set for the application.
        let config = load("", &[("DATABASE_URL", url)], &[]).unwrap();
        assert!(config.endpoint.is_none());
        let told = |w: &String| w.contains("DATABASE_URL leads to this proxy");
        assert!(config.warnings.iter().any(told), "{url}: {:?}", config.warnings);
    }
    load("", &[("DATABASE_URL", "postgres://localhost:5432/x")], &[]).unwrap();
    load("", &[("DATABASE_URL", "postgres://db:6433/x")], &[]).unwrap();
    let config = load("", &[("PGHOST", "localhost"), ("PGPORT", "6433")], &[]).unwrap();
    assert!(config.endpoint.is_none());
    assert!(config.warnings.iter().any(|w| w.contains("PGHOST")));
}

#[test]
fn secrets_are_never_shown() {
    let variables = [("DATABASE_URL", "postgres://u:topsecret@db/x"), ("PGPASSWORD", "topsecret")];
    let config = load("", &variables, &[]).unwrap();
    assert_eq!(config.endpoint.as_ref().unwrap().password.as_ref().unwrap().reveal(), "topsecret");
    assert!(!format!("{config:?}").contains("topsecret"));
    assert!(config.entries().iter().all(|e| !e.value.contains("topsecret")));
    let text = problem("", &[("DATABASE_URL", "postgres://u:topsecret@db:x/x")]);
    assert!(!text.contains("topsecret"), "{text}");
}

/// The sample at the top level: every key of the code is in it, nothing else is, and what
/// is switched on is the default, but for the file's name and the login of a first try.
#[test]
fn proxy_toml_is_complete_and_runs() {
    let text = include_str!("../../proxy.toml");
    let config = load(text, &[], &[]).unwrap();
    assert_eq!(config.sqlite.path.value.as_deref(), Some(Path::new("app.db")));
    for entry in config.entries() {
        if !matches!((entry.section, entry.name), ("sqlite", "path") | ("auth", "method")) {
            assert_eq!(entry.value, show_default(entry.section, entry.name), "{}", entry.name);
        }
    }
    let mut section = "";
    let mut seen = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name;
        }
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some((key, _)) = line.split_once(" = ")
            && KEYS.iter().any(|k| k.section == section && k.name == key)
        {
            seen.push((section.to_owned(), key.to_owned()));
        }
    }
    for key in KEYS {
        let place = (key.section.to_owned(), key.name.to_owned());
        assert!(seen.contains(&place), "proxy.toml lacks {}.{}", key.section, key.name);
    }
}

fn show_default(section: &str, name: &str) -> String {
    let config = load("", &[], &[]).unwrap();
    let entry = config.entries().into_iter().find(|e| e.section == section && e.name == name);
    entry.unwrap().value
}

#[test]
fn the_documentation_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, document()).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text == document(), "run UPDATE_DOCS=1 cargo test --lib config");
}

#[test]
fn a_webhooks_path_is_not_shown() {
    let file = "[hooks]\nurl = \"https://me:pass@hooks.example/services/t0ken?key=abc\"\n";
    let config = load(file, &[], &[]).unwrap();
    let entries = config.entries();
    let entry = entries.iter().find(|e| (e.section, e.name) == ("hooks", "url")).unwrap();
    assert_eq!(entry.value, "https://hooks.example/…");
    assert!(problem("[hooks]\nurl = \"ftp://host/t0ken\"\n", &[]).contains("https://"));
}
