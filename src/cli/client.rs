//! The HTTP client of the verbs.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_rustls::rustls::crypto::ring;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::{RunArgs, exit};
use crate::config::{Address, Config};

/// A failed call: exit code, message, hint.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(super) code: u8,
    pub(crate) message: String,
    pub(super) hint: Option<String>,
    /// The body of an error answer.
    pub(super) body: Option<Value>,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// The proxy that the configuration names.
struct Local {
    url: String,
    token: Option<String>,
    certificate: Option<PathBuf>,
}

impl Default for Local {
    fn default() -> Self {
        Self { url: "http://127.0.0.1:9433".to_owned(), token: None, certificate: None }
    }
}

impl Local {
    /// From proxy.toml or the environment; the default where they say nothing. A configuration
    /// that is not valid is no reason to ask, or to order from, whoever is at the default.
    fn find() -> Result<Self> {
        let flags = RunArgs {
            config: std::env::var_os("CROSSFADE_CONFIG").map(PathBuf::from),
            ..RunArgs::default()
        };
        let config = super::load(&flags).map_err(|error| {
            let fields = error.fields();
            let detail = fields.detail.as_ref().map(|d| format!(":\n{d}")).unwrap_or_default();
            unknown(format!("{}{detail}", fields.message))
        })?;
        let Address::Tcp { host, port } = &config.http.addr.value else {
            return Ok(Self::default());
        };
        if *port == 0 {
            let message = format!("http.addr = {} does not say where", config.http.addr.value);
            return Err(unknown(message));
        }
        let token = match (std::env::var_os("CROSSFADE_TOKEN"), config.http.token_file.as_deref()) {
            (None, Some(path)) => Some(std::fs::read_to_string(path).map_err(|error| Failure {
                hint: Some("Give the token in CROSSFADE_TOKEN.".to_owned()),
                ..unknown(format!("cannot read http.token_file {}: {error}", path.display()))
            })?),
            _ => None,
        };
        Ok(Self {
            url: address_of(&config, host, *port),
            token: token.map(|t| t.trim().to_owned()),
            certificate: config.listen.tls_cert.value.clone(),
        })
    }
}

/// Where the interface that listens on `host` answers somebody on this machine.
pub(crate) fn address_of(config: &Config, host: &str, port: u16) -> String {
    let everywhere = matches!(host, "0.0.0.0" | "::");
    let host = if everywhere { "127.0.0.1" } else { host };
    // Plain text is answered on loopback only.
    let plain = config.listen.tls_cert.is_none() || everywhere || config.http.addr.is_local();
    let scheme = if plain { "http" } else { "https" };
    let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!("{scheme}://{shown}:{port}")
}

fn unknown(message: String) -> Failure {
    Failure {
        code: exit::USAGE,
        message,
        hint: Some("Name the HTTP address of the proxy with --admin-url.".to_owned()),
        body: None,
    }
}

/// Where systems keep the certificates they trust.
const TRUSTED: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Trust in `CROSSFADE_ADMIN_CA`, else in the proxy's own certificate, else in the system's.
pub(crate) fn tls(own: Option<&Path>) -> Result<TlsConfig> {
    let named = std::env::var_os("CROSSFADE_ADMIN_CA").map(PathBuf::from);
    let path = named.or_else(|| own.map(Path::to_owned)).unwrap_or_else(|| TRUSTED.into());
    let failed = |why: String| Failure {
        code: exit::USAGE,
        message: format!("cannot read certificates from {}: {why}", path.display()),
        hint: Some("Name the proxy's certificate in CROSSFADE_ADMIN_CA.".to_owned()),
        body: None,
    };
    let pem = std::fs::read(&path).map_err(|e| failed(e.to_string()))?;
    let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(failed("it holds none".to_owned()));
    }
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&certificates))
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build())
}

/// The running proxy.
pub(super) struct Client {
    base: String,
    token: Option<String>,
    agent: ureq::Agent,
}

impl Client {
    /// The proxy at `url`, or the one that the configuration of this folder names.
    pub(super) fn new(url: Option<&str>) -> Result<Self> {
        let local = if url.is_none() { Local::find()? } else { Local::default() };
        let base = url.unwrap_or(&local.url).trim_end_matches('/').to_owned();
        let mut config = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(60)))
            .http_status_as_error(false);
        if base.starts_with("https://") {
            config = config.tls_config(tls(local.certificate.as_deref())?);
        }
        let token = std::env::var("CROSSFADE_TOKEN").ok().or(local.token);
        Ok(Self { base, token, agent: config.build().into() })
    }

    /// The host of its address, without brackets.
    pub(super) fn host(&self) -> String {
        let authority = self.base.split("://").nth(1).unwrap_or("").split('/').next().unwrap_or("");
        match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or("").to_owned(),
            None => authority.split(':').next().unwrap_or("").to_owned(),
        }
    }

    /// Another client of the same proxy, for another thread.
    pub(super) fn again(&self) -> Self {
        Self { base: self.base.clone(), token: self.token.clone(), agent: self.agent.clone() }
    }

    /// The lines of an answer that does not end.
    pub(super) fn lines(
        &self,
        path: &str,
    ) -> Result<impl Iterator<Item = std::io::Result<String>>> {
        let request = self.agent.get(format!("{}{path}", self.base));
        let mut request = request.config().timeout_global(None).build();
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let answer = request.call().map_err(|error| self.unreachable(&error))?;
        if !answer.status().is_success() {
            return Err(self.read::<Value>(Ok(answer)).err().unwrap_or_else(|| Failure {
                code: exit::BUG,
                message: "an answer was both good and bad".to_owned(),
                hint: None,
                body: None,
            }));
        }
        Ok(BufReader::new(answer.into_body().into_reader()).lines())
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure {
            code: exit::UNREACHABLE,
            message: format!("no answer from the proxy at {}: {error}", self.base),
            hint: Some("Is `crossfade run` up? Name its HTTP address with --admin-url.".into()),
            body: None,
        }
    }

    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        self.read(request.call())
    }

    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        self.read(request.send_json(body))
    }

    fn read<T: DeserializeOwned>(
        &self,
        answer: std::result::Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<T> {
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        // What the proxy sends is bounded where it is kept.
        let reader = answer.body_mut().with_config().limit(u64::MAX);
        let body: Value = reader.read_json().map_err(|error| Failure {
            code: exit::BUG,
            message: format!("the answer of {} is not JSON: {error}", self.base),
            hint: None,
            body: None,
        })?;
        if !status.is_success() {
            let text = |name: &str| body["error"][name].as_str().map(str::to_owned);
            return Err(Failure {
                code: if status.as_u16() == 409 { exit::REFUSED } else { exit::USAGE },
                message: text("message").unwrap_or_else(|| format!("HTTP {status}")),
                hint: text("hint"),
                body: Some(body),
            });
        }
        serde_json::from_value(body).map_err(|error| Failure {
            code: exit::BUG,
            message: format!("unexpected answer: {error}"),
            hint: None,
            body: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_answer_of_any_size_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let body = serde_json::json!({ "text": "x".repeat(12 << 20) }).to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            // A client that gives up is seen by what it says.
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(body.as_bytes());
        });
        let client = Client { base, token: None, agent: ureq::Agent::new_with_defaults() };
        let value: Value = client.get("/").unwrap();
        assert_eq!(value["text"].as_str().map(str::len), Some(12 << 20));
        server.join().unwrap();
    }
}
