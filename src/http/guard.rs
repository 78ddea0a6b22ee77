//! Who may ask: token, Host and Origin checks.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use subtle::ConstantTimeEq;

use super::App;
use super::api::failure;

/// Wrong tokens in a minute that are answered as such.
const WRONG_MAX: u64 = 20;

/// Refuses requests that another site's page could have caused, and those without the token.
pub(super) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let path = request.uri().path();
    if app.loopback && !host_is_local(headers) {
        let message = "the Host header does not name this machine";
        return failure(StatusCode::FORBIDDEN, "forbidden", message, None);
    }
    if request.method() != Method::GET && !origin_is_ours(headers) {
        let message = "requests from other sites' pages are refused";
        return failure(StatusCode::FORBIDDEN, "forbidden", message, None);
    }
    let open = matches!(path, "/livez" | "/readyz" | "/healthz") || super::page::is_file(path);
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    match access(&app, headers) {
        Access::Order => {}
        Access::Look if looks => {}
        _ if open => {}
        Access::Look => {
            let what = format!("refused: {path}: the token may look, not order");
            app.control.note_once(&who(&request), what);
            let message = "this token may look, not order";
            return failure(StatusCode::FORBIDDEN, "forbidden", message, None);
        }
        Access::None => return refuse(&app, &request),
    }
    next.run(request).await
}

/// What a request may do.
enum Access {
    Order,
    Look,
    None,
}

fn access(app: &App, headers: &HeaderMap) -> Access {
    let tokens = app.tokens.read();
    let Some(token) = &tokens.order else { return Access::Order };
    // Both are compared, whichever fits.
    let orders = carries_token(headers, token);
    let looks = tokens.look.as_ref().is_some_and(|token| carries_token(headers, token));
    match (orders, looks) {
        (true, _) => Access::Order,
        (false, true) => Access::Look,
        (false, false) => Access::None,
    }
}

/// No token, or a wrong one. The right one always passes: nobody can be shut out. Guesses are counted, noted once a minute, and not looked at above
/// a limit.
fn refuse(app: &App, request: &Request) -> Response {
    let hint = Some("Send the header Authorization: Bearer TOKEN.");
    if text(request.headers(), &header::AUTHORIZATION).is_none() {
        return failure(StatusCode::UNAUTHORIZED, "unauthorized", "a token is needed", hint);
    }
    let count = app.wrong.count();
    if count == 1 {
        app.control.note(&who(request), "refused: a wrong token".to_owned());
    }
    if count > WRONG_MAX {
        if count == WRONG_MAX + 1 {
            let what = format!("refused: more than {WRONG_MAX} wrong tokens in a minute");
            app.control.note(&who(request), what);
        }
        let message = "too many wrong tokens; try again in a minute";
        return failure(StatusCode::TOO_MANY_REQUESTS, "too_many", message, None);
    }
    failure(StatusCode::UNAUTHORIZED, "unauthorized", "the token is not the right one", hint)
}

/// Who asks, for the audit log.
fn who(request: &Request) -> String {
    match request.extensions().get::<ConnectInfo<SocketAddr>>() {
        Some(ConnectInfo(peer)) => by(peer),
        None => "http".to_owned(),
    }
}

/// A peer, for the audit log.
pub(super) fn by(peer: &SocketAddr) -> String {
    format!("http:{}", peer.ip())
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

/// The host part of `host:port`, without brackets.
fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or("");
    }
    authority.split(':').next().unwrap_or("")
}

fn host_is_local(headers: &HeaderMap) -> bool {
    let Some(host) = text(headers, &header::HOST).map(host_of) else { return true };
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A page's request carries Origin; it must be the page we served.
fn origin_is_ours(headers: &HeaderMap) -> bool {
    if headers.get("sec-fetch-site").is_some_and(|v| v == "cross-site") {
        return false;
    }
    let Some(origin) = text(headers, &header::ORIGIN) else { return true };
    let authority = origin.split("://").nth(1).unwrap_or("");
    text(headers, &header::HOST).is_some_and(|host| host == authority)
}

fn carries_token(headers: &HeaderMap, token: &str) -> bool {
    text(headers, &header::AUTHORIZATION)
        .and_then(|value| value.strip_prefix("Bearer "))
        .is_some_and(|given| bool::from(given.as_bytes().ct_eq(token.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (host, local) in
            [("localhost:9", true), ("127.0.0.1:9", true), ("[::1]:9", true), ("evil.test", false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            assert_eq!(host_is_local(&headers), local, "{host}");
        }
    }

    #[test]
    fn another_page_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "127.0.0.1:9433".parse().unwrap());
        headers.insert(header::ORIGIN, "http://127.0.0.1:9433".parse().unwrap());
        assert!(origin_is_ours(&headers));
        headers.insert(header::ORIGIN, "http://evil.test".parse().unwrap());
        assert!(!origin_is_ours(&headers));
    }
}
