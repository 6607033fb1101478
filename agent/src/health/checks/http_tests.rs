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

/// F137, F139.
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
