//! The dashboard's files: static, embedded, nothing from outside.
//!
//! Owns the policy under which the page runs: only its own scripts and styles, no inline code,
//! no markup made from text. The files hold no data, so they need no token. Start at [`routes`].

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::App;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Path, content type, text.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("ui/index.html")),
    ("/ui/style.css", "text/css; charset=utf-8", include_str!("ui/style.css")),
    ("/ui/icon.svg", "image/svg+xml", include_str!("ui/icon.svg")),
    ("/ui/app.js", SCRIPT, include_str!("ui/app.js")),
    ("/ui/api.js", SCRIPT, include_str!("ui/api.js")),
    ("/ui/dom.js", SCRIPT, include_str!("ui/dom.js")),
    ("/ui/charts.js", SCRIPT, include_str!("ui/charts.js")),
    ("/ui/orders.js", SCRIPT, include_str!("ui/orders.js")),
    ("/ui/overview.js", SCRIPT, include_str!("ui/overview.js")),
    ("/ui/divergences.js", SCRIPT, include_str!("ui/divergences.js")),
    ("/ui/statements.js", SCRIPT, include_str!("ui/statements.js")),
    ("/ui/lists.js", SCRIPT, include_str!("ui/lists.js")),
];
const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

pub(super) fn routes() -> Router<App> {
    FILES.iter().fold(Router::new(), |router, (path, kind, text)| {
        router.route(path, get(move || async move { file(kind, text) }))
    })
}

/// Whether a path is one of the page's files.
pub(super) fn is_file(path: &str) -> bool {
    FILES.iter().any(|(p, ..)| *p == path)
}

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The policy would refuse these at run time; a browser is not needed to see them.
    #[test]
    fn nothing_from_outside_and_no_markup_from_text() {
        for (path, _, text) in FILES {
            for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]
            {
                assert!(!text.contains(word), "{path}: {word}");
            }
            let namespace = "http://www.w3.org/2000/svg";
            let outside = text.replace(namespace, "");
            assert!(!outside.contains("http://") && !outside.contains("https://"), "{path}");
            assert!(!text.contains("style=\"") && !text.contains("onclick="), "{path}");
        }
    }

    #[test]
    fn every_import_is_a_file() {
        for (path, _, text) in FILES {
            for line in text.lines().filter(|l| l.starts_with("import ")) {
                let name = line.split("\"./").nth(1).and_then(|r| r.split('"').next());
                let name = name.unwrap_or_else(|| panic!("{path}: {line}"));
                assert!(is_file(&format!("/ui/{name}")), "{path}: {name}");
            }
        }
    }
}
