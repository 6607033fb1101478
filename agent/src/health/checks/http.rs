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
#[path = "http_tests.rs"]
mod tests;
