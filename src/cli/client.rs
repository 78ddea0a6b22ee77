//! The HTTP client of the verbs.

use std::io::{BufRead as _, BufReader};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::exit;

/// A failed call: exit code, message, hint.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: u8,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// The body of an error answer.
    pub(super) body: Option<Value>,
}

pub(super) type Result<T> = std::result::Result<T, Failure>;

/// The running proxy.
pub(super) struct Client {
    base: String,
    token: Option<String>,
    agent: ureq::Agent,
}

impl Client {
    /// The proxy at `url`, or at the default address.
    pub(super) fn new(url: Option<&str>) -> Self {
        let base = url.unwrap_or("http://127.0.0.1:9433").trim_end_matches('/').to_owned();
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(60)))
            .http_status_as_error(false)
            .build()
            .into();
        Self { base, token: std::env::var("CROSSFADE_TOKEN").ok(), agent }
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
        let body: Value = answer.body_mut().read_json().map_err(|error| Failure {
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
