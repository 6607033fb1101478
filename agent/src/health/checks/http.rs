//! `HTTP_GET` and `SSL_GET`: one request, one answer, nothing followed, nothing unpacked.
//!
//! The answer is read to its end: the end of the stream, or as many bytes as `Content-Length` says. Every part of it
//! is bounded, whatever the server sends.

use super::pattern::Pattern;
use crate::model::{HttpGet, HttpVersion, StatusRange, Url, Within};
use crate::wire::dialog::{Dialog, Step};
use md5::{Digest, Md5};

const STATUS_LINE_MAX: usize = 1024;
const HEAD_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 256;
const BODY_MAX: u64 = 16 << 20;
/// A match may be this long: what is kept of the body while looking for one.
const WINDOW: usize = 64 * 1024;

/// The conversation of one url.
#[derive(Debug)]
pub struct HttpDialog {
    tls: bool,
    request: Vec<u8>,
    status: Vec<StatusRange>,
    digest: Option<([u8; 16], Md5)>,
    search: Option<Search>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Up to the empty line.
    Head(Vec<u8>),
    Body {
        length: Option<u64>,
        received: u64,
    },
}

/// A regular expression on its way through the body.
#[derive(Debug)]
struct Search {
    pattern: Pattern,
    /// Whether a match is wanted or forbidden.
    wanted: bool,
    within: Within,
    found: bool,
    window: Vec<u8>,
    /// Where in the answer, headers included, the window begins.
    base: usize,
}

impl HttpDialog {
    /// A dialog for one url of a check. `pattern` is the url's own, compiled.
    pub fn new(check: &HttpGet, url: &Url, pattern: Option<Pattern>) -> Self {
        let search = match (pattern, &url.regex) {
            (Some(pattern), Some((_, wanted))) => Some(Search {
                pattern,
                wanted: *wanted,
                within: url.regex_within,
                found: false,
                window: Vec::new(),
                base: 0,
            }),
            (None, _) | (_, None) => None,
        };
        Self {
            tls: check.tls,
            request: request(check.version, url),
            status: url.status.clone(),
            digest: url.digest.map(|want| (want, Md5::new())),
            search,
            stage: Stage::Head(Vec::new()),
        }
    }

    fn on_head(&mut self, head: &[u8]) -> Result<Option<u64>, String> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let mut parser = httparse::ParserConfig::default();
        parser
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_multiple_spaces_in_response_status_delimiters(true)
            .ignore_invalid_headers_in_responses(true);
        match parser.parse_response(&mut response, head) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => {
                return Err(format!("answer too large: more than {HEADERS_MAX} headers"));
            }
            Ok(httparse::Status::Partial) | Err(_) => return Err(not_http(head)),
        }
        let status = response.code.ok_or_else(|| not_http(head))?;
        if !self
            .status
            .iter()
            .any(|range| (range.low..=range.high).contains(&status))
        {
            return Err(format!("status {status}, want {}", ranges(&self.status)));
        }
        // Where the length does not read, the end of the stream ends the body (as in keepalived).
        Ok(response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("content-length"))
            .and_then(|header| std::str::from_utf8(header.value).ok())
            .and_then(|text| text.trim().parse().ok()))
    }

    fn on_body(&mut self, bytes: &[u8]) -> Step {
        let Stage::Body { length, received } = &mut self.stage else {
            return Step::More;
        };
        let room = length.map_or(u64::MAX, |length| length - *received);
        let take = usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()));
        let bytes = &bytes[..take];
        *received += take as u64;
        if *received > BODY_MAX {
            return Step::Fail(format!("answer too large: more than {} MiB", BODY_MAX >> 20));
        }
        let complete = *length == Some(*received);
        if let Some((_, digest)) = &mut self.digest {
            digest.update(bytes);
        }
        if let Some(search) = &mut self.search {
            search.on_bytes(bytes);
        }
        if complete { self.verdict() } else { Step::More }
    }

    fn verdict(&mut self) -> Step {
        if let Some((want, digest)) = &self.digest {
            let got: [u8; 16] = digest.clone().finalize().into();
            if got != *want {
                return Step::Fail(format!("MD5 digest {}, want {}", hex(&got), hex(want)));
            }
        }
        if let Some(search) = &mut self.search
            && search.finish() != search.wanted
        {
            return Step::Fail(
                if search.wanted {
                    "regex does not match"
                } else {
                    "regex matches and must not"
                }
                .to_owned(),
            );
        }
        Step::Pass
    }
}

impl Dialog for HttpDialog {
    fn on_open(&mut self) -> Step {
        if self.tls {
            Step::StartTls
        } else {
            Step::Send(self.request.clone())
        }
    }

    fn on_secure(&mut self) -> Step {
        Step::Send(self.request.clone())
    }

    fn on_bytes(&mut self, bytes: &[u8]) -> Step {
        let Stage::Head(head) = &mut self.stage else {
            return self.on_body(bytes);
        };
        let searched = head.len().saturating_sub(3);
        head.extend_from_slice(bytes);
        let Some(end) = head_end(head, searched) else {
            let line = head.iter().position(|byte| *byte == b'\n');
            return if line.unwrap_or(head.len()) > STATUS_LINE_MAX {
                Step::Fail("not HTTP: the status line has no end".to_owned())
            } else if !may_be_http(head) {
                Step::Fail(not_http(head))
            } else if head.len() > HEAD_MAX {
                Step::Fail(format!("answer too large: headers over {} KiB", HEAD_MAX >> 10))
            } else {
                Step::More
            };
        };
        if end > HEAD_MAX {
            return Step::Fail(format!("answer too large: headers over {} KiB", HEAD_MAX >> 10));
        }
        let head = std::mem::take(head);
        match self.on_head(&head[..end]) {
            Err(why) => Step::Fail(why),
            Ok(length) => {
                self.stage = Stage::Body { length, received: 0 };
                if let Some(search) = &mut self.search {
                    search.base = end;
                }
                self.on_body(&head[end..])
            }
        }
    }

    fn on_end(&mut self) -> Step {
        match &self.stage {
            Stage::Head(head) if head.is_empty() => Step::Fail("no answer: connection closed".to_owned()),
            Stage::Head(head) if !may_be_http(head) => Step::Fail(not_http(head)),
            Stage::Head(_) => Step::Fail("answer ends within its headers".to_owned()),
            // A body shorter than announced is judged by what there is (as in keepalived).
            Stage::Body { .. } => self.verdict(),
        }
    }
}

impl Search {
    fn on_bytes(&mut self, mut bytes: &[u8]) {
        while !self.found && !bytes.is_empty() && !self.is_past() {
            let take = bytes.len().min(2 * WINDOW - self.window.len());
            self.window.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if self.window.len() == 2 * WINDOW {
                self.found = self.matches();
                self.window.drain(..WINDOW);
                self.base += WINDOW;
            }
        }
    }

    fn finish(&mut self) -> bool {
        self.found = self.found || !self.is_past() && self.matches();
        self.found
    }

    /// Whether a match in the window and what follows would begin too late.
    fn is_past(&self) -> bool {
        self.within.to.is_some_and(|to| to < self.base)
    }

    fn matches(&self) -> bool {
        let Within { from, to } = self.within;
        let from = from.saturating_sub(self.base);
        let to = to.map(|to| to.saturating_sub(self.base));
        self.pattern.matches_within(&self.window, from, to)
    }
}

/// Byte for byte what keepalived sends.
fn request(version: HttpVersion, url: &Url) -> Vec<u8> {
    let (minor, close) = match version {
        HttpVersion::V1_0 => (0, ""),
        HttpVersion::V1_0Close => (0, "Connection: close\r\n"),
        HttpVersion::V1_1 => (1, "Connection: close\r\n"),
    };
    let Url { path, host, .. } = url;
    format!("GET {path} HTTP/1.{minor}\r\nUser-Agent: KeepAliveClient\r\n{close}Host: {host}\r\n\r\n")
        .into_bytes()
}

/// Where the body begins, looking only at what may have been completed by the bytes from `from` on.
fn head_end(head: &[u8], from: usize) -> Option<usize> {
    (from..head.len()).find_map(|at| {
        let rest = &head[at..];
        if rest.starts_with(b"\r\n\r\n") {
            Some(at + 4)
        } else if rest.starts_with(b"\n\n") {
            Some(at + 2)
        } else if rest.starts_with(b"\n\r\n") {
            Some(at + 3)
        } else {
            None
        }
    })
}

fn may_be_http(head: &[u8]) -> bool {
    let want = b"HTTP/1.";
    let head = &head[..head.len().min(want.len())];
    want.starts_with(head)
}

fn not_http(head: &[u8]) -> String {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let shown: String = line
        .iter()
        .take(40)
        .flat_map(|byte| byte.escape_ascii())
        .map(char::from)
        .collect();
    format!("not HTTP: {shown}")
}

fn ranges(status: &[StatusRange]) -> String {
    let words: Vec<String> = status
        .iter()
        .map(|range| match range {
            StatusRange { low, high } if low == high => low.to_string(),
            StatusRange { low, high } => format!("{low}-{high}"),
        })
        .collect();
    words.join(",")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TcpCheck;
    use proptest::prelude::*;
    use std::time::Duration;

    fn url() -> Url {
        Url {
            path: "/up?x=1".to_owned(),
            host: "[2001:db8::1]:80".to_owned(),
            status: vec![
                StatusRange { low: 200, high: 299 },
                StatusRange { low: 404, high: 404 },
            ],
            digest: None,
            regex: None,
            regex_within: Within::default(),
        }
    }

    fn dialog(version: HttpVersion, url: &Url) -> HttpDialog {
        let check = HttpGet {
            connect: TcpCheck {
                to: "[2001:db8::1]:80".parse().expect("an address"),
                from: None,
                device: None,
                mark: 0,
                timeout: Duration::from_secs(5),
            },
            tls: false,
            client: None,
            sni: None,
            version,
            urls: vec![url.clone()],
            fast_recovery: false,
        };
        let pattern = url
            .regex
            .as_ref()
            .map(|(text, _)| Pattern::new(text).expect("a pattern"));
        HttpDialog::new(&check, url, pattern)
    }

    /// Feeds an answer in pieces of `size` and closes.
    fn answer(url: &Url, bytes: &[u8], size: usize) -> Step {
        let mut dialog = dialog(HttpVersion::V1_0, url);
        dialog.on_open();
        for piece in bytes.chunks(size) {
            match dialog.on_bytes(piece) {
                Step::More => {}
                step => return step,
            }
        }
        dialog.on_end()
    }

    fn fails_with(step: &Step, words: &str) -> bool {
        matches!(step, Step::Fail(why) if why.contains(words))
    }

    #[test]
    fn the_request_is_keepaliveds_byte_for_byte() {
        let cases = [
            (
                HttpVersion::V1_0,
                "GET /up?x=1 HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: [2001:db8::1]:80\r\n\r\n",
            ),
            (
                HttpVersion::V1_0Close,
                "GET /up?x=1 HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: [2001:db8::1]:80\r\n\r\n",
            ),
            (
                HttpVersion::V1_1,
                "GET /up?x=1 HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: [2001:db8::1]:80\r\n\r\n",
            ),
        ];
        for (version, want) in cases {
            assert_eq!(
                dialog(version, &url()).on_open(),
                Step::Send(want.as_bytes().to_vec())
            );
        }
    }

    #[test]
    fn the_status_decides() {
        let cases: &[(&str, Result<(), &str>)] = &[
            ("HTTP/1.1 200 OK\r\n\r\nhello", Ok(())),
            ("HTTP/1.0 299\r\n\r\n", Ok(())),
            ("HTTP/1.1 404 Not Found\r\nServer: x\r\n\r\n", Ok(())),
            ("HTTP/1.1 200 OK\nServer: x\n\nhello", Ok(())),
            ("HTTP/1.1 503 Busy\r\n\r\n", Err("status 503, want 200-299,404")),
            ("HTTP/1.1 302 Found\r\nLocation: /up\r\n\r\n", Err("status 302")),
            ("HTTP/1.1 99999999999 OK\r\n\r\n", Err("not HTTP")),
            ("HTTP/1.1 20 OK\r\n\r\n", Err("not HTTP")),
            ("HTTP/1.1 -200 OK\r\n\r\n", Err("not HTTP")),
            ("HTTP/1.1 2OO OK\r\n\r\n", Err("not HTTP")),
            ("200", Err("not HTTP")),
            ("<html>hello</html>\n", Err("not HTTP")),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Err("not HTTP")),
            ("HTTP/2.0 200 OK\r\n\r\n", Err("not HTTP")),
            ("", Err("no answer")),
            ("HTTP/1.1 200 OK\r\nServer: x\r\n", Err("ends within its headers")),
        ];
        for (text, want) in cases {
            for size in [1, 3, 4096] {
                let got = answer(&url(), text.as_bytes(), size);
                match want {
                    Ok(()) => assert_eq!(got, Step::Pass, "{text:?} by {size}"),
                    Err(words) => assert!(fails_with(&got, words), "{text:?} by {size}: {got:?}"),
                }
            }
        }
    }

    #[test]
    fn the_body_ends_where_its_length_says_or_with_the_stream() {
        let digest = |text: &str| Url {
            digest: Some(Md5::digest(text).into()),
            ..url()
        };
        let cases = [
            ("HTTP/1.1 200 OK\r\n\r\nhello", "hello", true),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, world",
                "hello",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello",
                "hello",
                true,
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
                "hello",
                true,
            ),
            ("HTTP/1.1 200 OK\r\n\r\nhellO", "hello", false),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                "hello",
                false,
            ),
        ];
        for (text, body, want) in cases {
            for size in [1, 7, 4096] {
                let got = answer(&digest(body), text.as_bytes(), size);
                assert_eq!(got == Step::Pass, want, "{text:?} by {size}: {got:?}");
            }
        }
    }

    #[test]
    fn a_complete_answer_needs_no_end_of_the_stream() {
        let mut dialog = dialog(HttpVersion::V1_1, &url());
        dialog.on_open();
        assert_eq!(
            dialog.on_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            Step::Pass
        );
    }

    #[test]
    fn a_pattern_is_found_wherever_it_lies() {
        let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        for at in [0, 10, WINDOW - 3, 2 * WINDOW - 3, 5 * WINDOW + 1] {
            let body = [vec![b'.'; at], b"all is well".to_vec(), vec![b'.'; 3 * WINDOW]].concat();
            let text = [head.clone(), body].concat();
            for (wanted, want) in [(true, true), (false, false)] {
                let url = Url {
                    regex: Some(("all\\s+is well".to_owned(), wanted)),
                    ..url()
                };
                assert_eq!(
                    answer(&url, &text, 1000) == Step::Pass,
                    want,
                    "at {at}, wanted {wanted}"
                );
            }
        }
    }

    #[test]
    fn a_match_that_begins_outside_of_its_place_does_not_count() {
        let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        for at in [10, WINDOW - 3, 2 * WINDOW - 3, 5 * WINDOW + 1] {
            let body = [vec![b'.'; at], b"well".to_vec(), vec![b'.'; 3 * WINDOW]].concat();
            let text = [head.clone(), body].concat();
            let cases = [
                // Headers count as well (as in keepalived).
                (19 + at, Some(19 + at), true),
                (20 + at, None, false),
                (0, Some(18 + at), false),
                (18 + at, Some(20 + at), true),
                (0, Some(0), false),
            ];
            for (from, to, want) in cases {
                let url = Url {
                    regex: Some(("well".to_owned(), true)),
                    regex_within: Within { from, to },
                    ..url()
                };
                assert_eq!(
                    answer(&url, &text, 1000) == Step::Pass,
                    want,
                    "at {at}: {from} {to:?}"
                );
            }
        }
    }

    #[test]
    fn an_answer_without_end_is_too_large() {
        let status = "HTTP/1.1 200 OK\r\n";
        let cases = [
            ("HTTP/1.1 200 ".to_owned() + &"x".repeat(2000), "no end"),
            (
                status.to_owned() + "X: " + &"y".repeat(1 << 20),
                "headers over 64 KiB",
            ),
            (
                status.to_owned() + &"X: y\r\n".repeat(300) + "\r\n",
                "more than 256 headers",
            ),
            (
                status.to_owned() + &"X: y\r\n".repeat(100_000),
                "headers over 64 KiB",
            ),
            (
                status.to_owned() + "\r\n" + &"z".repeat(17 << 20),
                "more than 16 MiB",
            ),
        ];
        for (text, words) in cases {
            let got = answer(&url(), text.as_bytes(), 4096);
            assert!(fails_with(&got, words), "{words}: {got:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic_and_pieces_make_no_difference(
            tail in prop::collection::vec(any::<u8>(), 0..200),
            start in 0usize..60,
            size in 1usize..20,
        ) {
            let good = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX: y\r\n\r\nhello, world";
            let text = [&good[..start.min(good.len())], &tail[..]].concat();
            let url = Url { regex: Some(("o".to_owned(), true)), ..url() };
            let whole = answer(&url, &text, 4096);
            let pieces = answer(&url, &text, size);
            prop_assert_eq!(whole == Step::Pass, pieces == Step::Pass);
        }
    }
}
