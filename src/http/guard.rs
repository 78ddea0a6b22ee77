//! Who may ask: token, Host and Origin checks.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use subtle::ConstantTimeEq;

use super::App;
use super::api::failure;

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
    let open = matches!(path, "/livez" | "/readyz" | "/healthz");
    if let Some(token) = &app.token
        && !open
        && !carries_token(headers, token)
    {
        let hint = Some("Send the header Authorization: Bearer TOKEN.");
        return failure(StatusCode::UNAUTHORIZED, "unauthorized", "a token is needed", hint);
    }
    next.run(request).await
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
