//! Health checks: what all have in common, and each checker's own words.

use super::{Entry, add};
use crate::config::findings::Cx;
use crate::config::keyword::Does::{Block, Idle, Old, Refused, Set};
use crate::config::keyword::Live::InPlace;
use crate::config::keyword::Takes::{
    self, Command, Flag, Int, Ip, Name, Nothing, OneOf, OptName, OptWords, Quoted, Seconds, Secret, Weight,
    WholeSeconds, Words,
};
use crate::config::keyword::{Args, Keyword, Table, first_counts, read_block, row, shown};
use crate::config::lexer::Span;
use crate::config::tree::Statement;
use crate::config::value::{self, ScriptWords};
use crate::model::{HttpVersion, StatusRange, Within};
use std::net::IpAddr;
use std::time::Duration;

/// Settings that a check takes from its server, and a server from its service.
#[derive(Clone, Debug, Default)]
pub(crate) struct CheckWords {
    pub delay_loop: Option<Duration>,
    pub retry: Option<u32>,
    pub delay_before_retry: Option<Duration>,
    pub warmup: Option<Duration>,
    pub connect_timeout: Option<Duration>,
    pub alpha: Option<bool>,
    pub virtualhost: Option<String>,
}

/// Which checker a block is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Checker {
    #[default]
    Tcp,
    Http,
    Ssl,
    Misc,
    Ping,
    Smtp,
    Dns,
    Udp,
    Bfd,
    File,
}

/// A check as written.
#[derive(Debug, Default)]
pub(crate) struct RawCheck {
    pub checker: Checker,
    pub at: Span,
    pub words: CheckWords,
    pub connect_ip: Option<IpAddr>,
    pub connect_port: Option<u16>,
    pub bind_to: Option<(IpAddr, Span)>,
    pub bind_port: Option<u16>,
    pub bind_if: Option<String>,
    pub mark: u32,
    pub log_all_failures: Option<bool>,
    pub misc_path: Option<(ScriptWords, Span)>,
    pub misc_timeout: Option<Duration>,
    pub misc_dynamic: bool,
    pub user: Option<(Option<String>, Option<String>)>,
    pub version: HttpVersion,
    pub enable_sni: bool,
    pub sni_name: Option<String>,
    pub fast_recovery: bool,
    pub urls: Vec<RawUrl>,
    /// The session of a `BFD_CHECK`.
    pub session: Option<(String, Span)>,
    pub file: Option<(String, Span)>,
    pub file_weight: Option<(i32, bool)>,
    /// Only `SMTP_CHECK`, `DNS_CHECK` and `UDP_CHECK` have any of this.
    pub talk: Option<Box<Talk>>,
}

/// What mail, name and UDP servers are asked, as written.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    pub helo: Option<String>,
    /// `host` blocks: each is a check of its own.
    pub hosts: Vec<RawCheck>,
    pub record: Option<&'static str>,
    pub name: Option<String>,
    pub payload: Vec<u8>,
    pub reply: Option<Vec<(u8, u8)>>,
    pub reply_min: Option<usize>,
    pub reply_max: Option<usize>,
}

impl RawCheck {
    fn talk(&mut self) -> &mut Talk {
        self.talk.get_or_insert_default()
    }
}

/// A `url` as written.
#[derive(Debug, Default)]
pub(crate) struct RawUrl {
    pub at: Span,
    pub path: Option<String>,
    pub digest: Option<[u8; 16]>,
    pub status: Vec<StatusRange>,
    pub virtualhost: Option<String>,
    pub regex: Option<(String, Span)>,
    pub regex_no_match: bool,
    pub regex_flags: String,
    pub regex_within: Within,
}

const ANY_SECONDS: Takes = Seconds(0, 4_294_967_295_000_000);

#[rustfmt::skip]
const CONNECT_ROWS: &[Keyword<RawCheck>] = &[
    row("connect_ip", Ip, "address of the server", InPlace, "Address to check.",
        Set(|it, a, _| it.connect_ip = Some(a.ip()))),
    row("connect_port", Int(1, 65_535), "port of the server", InPlace, "Port to check.",
        Set(|it, a, _| it.connect_port = Some(a.small()))),
    row("bindto", Ip, "chosen by the kernel", InPlace, "Source address.",
        Set(|it, a, _| it.bind_to = Some((a.ip(), a.span())))),
    row("bind_port", Int(1, 65_535), "chosen by the kernel", InPlace, "Source port.",
        Set(|it, a, _| it.bind_port = Some(a.small()))),
    row("bind_if", Name("IFNAME"), "none", InPlace, "Interface the check leaves by.",
        Set(|it, a, _| it.bind_if = Some(a.text().to_owned()))),
    row("connect_timeout", Seconds(1, 4_294_000_000), "that of the server, else 5", InPlace, "Time to connect, and for \
        each answer.", Set(|it, a, _| it.words.connect_timeout = Some(a.span_of_time()))),
    row("fwmark", Int(0, 4_294_967_295), "0", InPlace, "Mark of the packets sent.",
        Set(|it, a, _| it.mark = a.small())),
];

#[rustfmt::skip]
const TIMING_ROWS: &[Keyword<RawCheck>] = &[
    row("retry", Int(0, 4_294_967_295), "that of the server, else 1 (MISC_CHECK 0)", InPlace, "Further tries before a \
        server that is up is called down.", Set(|it, a, _| it.words.retry = Some(a.small()))),
    row("delay_before_retry", ANY_SECONDS, "that of the server, else 1 (HTTP_GET, SSL_GET 3)", InPlace, "Pause before \
        a further try.", Set(|it, a, _| it.words.delay_before_retry = Some(a.span_of_time()))),
    row("warmup", ANY_SECONDS, "that of the server, else delay_loop", InPlace, "The first check comes within this span, \
        at random.", Set(|it, a, _| it.words.warmup = Some(a.span_of_time()))),
    row("delay_loop", Seconds(1, 4_294_967_295_000_000), "that of the server, else 60", InPlace, "Time between two \
        checks.", Set(|it, a, _| it.words.delay_loop = Some(a.span_of_time()))),
    row("alpha", Flag, "that of the server", InPlace, "Down until the first success.",
        Set(|it, a, _| it.words.alpha = Some(a.flag()))),
    row("log_all_failures", Flag, "checker_log_all_failures", InPlace, "Every failure is an event, not only the one that \
        takes the server down.", Set(|it, a, _| it.log_all_failures = Some(a.flag()))),
];

#[rustfmt::skip]
const MISC_ROWS: &[Keyword<RawCheck>] = &[
    row("misc_path", Command, "required", InPlace, "The command; exit code 0 is success. Quote it when it has \
        arguments.", Set(|it, a, _| it.misc_path = Some((a.script(), a.span())))),
    row("misc_timeout", WholeSeconds(0, 4_294_967), "delay_loop", InPlace, "A run that takes longer is ended and has \
        failed; 0 stands for delay_loop.", Set(|it, a, _| it.misc_timeout = Some(a.span_of_time()))),
    row("misc_dynamic", Nothing, "off", InPlace, "Exit codes 2 to 255 are good and set the weight to code − 2.",
        Set(|it, _, _| it.misc_dynamic = true)),
    row("user", Words("USER [GROUP]"), "script_user", InPlace, "Whom it runs as.",
        Set(|it, a, _| {
            let word = |at: usize| a.words.get(at).map(|word: &crate::config::lexer::Word<'_>| word.text.to_owned());
            it.user = Some((word(0), word(1)));
        })),
];

#[rustfmt::skip]
const HTTP_ROWS: &[Keyword<RawCheck>] = &[
    row("nb_get_retry", Int(0, 4_294_967_295), "1", InPlace, "Old name of retry.",
        Old("retry", |it, a, _| it.words.retry = Some(a.small()))),
    row("virtualhost", Name("NAME"), "that of the server", InPlace, "Host asked for.",
        Set(|it, a, _| it.words.virtualhost = Some(a.text().to_owned()))),
    row("http_protocol", OneOf(&["1.0", "1.0C", "1.1", "1.0c"]), "1.0", InPlace, "Version of the request; 1.0C and 1.1 \
        ask to close the connection.", Set(|it, a, _| it.version = match a.text() {
            "1.1" => HttpVersion::V1_1,
            "1.0" => HttpVersion::V1_0,
            _ => HttpVersion::V1_0Close,
        })),
    row("enable_sni", Flag, "off", InPlace, "Sends the virtualhost in the TLS handshake.",
        Set(|it, a, _| it.enable_sni = a.flag())),
    row("sni_name", OptName("NAME"), "virtualhost", InPlace, "Name sent in the TLS handshake.",
        Set(|it, a, _| {
            it.enable_sni = true;
            it.sni_name = (!a.text().is_empty()).then(|| a.text().to_owned());
        })),
    row("fast_recovery", Flag, "off", InPlace, "After a failure all urls are tried at once.",
        Set(|it, a, _| it.fast_recovery = a.flag())),
];

#[rustfmt::skip]
const HTTP_URL: &[Keyword<RawCheck>] = &[
    row("url", Takes::Block(""), "required", InPlace, "One page; all must be good.", Block(|it, st, cx| url(it, &HTTP_GET_URL, st, cx))),
];

#[rustfmt::skip]
const SSL_ROWS: &[Keyword<RawCheck>] = &[
    row("tls_compliant", Flag, "off", InPlace, "Ends the connection with a TLS notice.",
        Idle("the notice is always sent")),
    row("url", Takes::Block(""), "required", InPlace, "One page; all must be good.", Block(|it, st, cx| url(it, &SSL_GET_URL, st, cx))),
];

#[rustfmt::skip]
const URL_ROWS: &[Keyword<RawUrl>] = &[
    row("path", Quoted("PATH"), "required", InPlace, "What is asked for.", Set(|it, a, _| it.path = Some(a.quoted()))),
    row("digest", Name("HEX"), "none", InPlace, "MD5 of the body, 32 hexadecimal digits.", Set(digest)),
    row("status_code", Words("CODE|A-B …"), "200-299", InPlace, "Status codes that are good.", Set(status_code)),
    row("virtualhost", Name("NAME"), "that of the check", InPlace, "Host asked for.",
        Set(|it, a, _| it.virtualhost = Some(a.text().to_owned()))),
    row("regex", Quoted("PATTERN"), "none", InPlace, "Pattern the body must match.",
        Set(|it, a, _| it.regex = Some((a.quoted(), a.span())))),
    row("regex_no_match", Nothing, "off", InPlace, "The body must not match.",
        Set(|it, _, _| it.regex_no_match = true)),
    row("regex_options", OptWords("OPTION …"), "none", InPlace, "Options of the pattern: caseless, multiline, dotall, \
        extended, ungreedy.", Set(regex_options)),
    row("regex_min_offset", Int(0, 4_294_967_295), "0", InPlace, "Where the search begins, in bytes from the \
        beginning of the answer: the headers count, though only the body is searched.",
        Set(|it, a, _| it.regex_within.from = a.small())),
    row("regex_max_offset", Int(0, 4_294_967_295), "the end", InPlace, "Where a match may begin at the latest, \
        counted in the same way.",
        Set(|it, a, _| it.regex_within.to = Some(a.small()))),
    row("regex_stack", OptWords("START MAX"), "", InPlace, "Memory of the matcher.",
        Idle("matching needs no stack and has a limit of its own")),
];

#[rustfmt::skip]
const URL_TLS_ROWS: &[Keyword<RawUrl>] = &[
    row("tls_compliant", Flag, "that of the check", InPlace, "Ends the connection with a TLS notice.",
        Idle("the notice is always sent")),
];

macro_rules! table {
    ($name:ident, $block:literal, $($part:ident),+) => {
        pub(crate) const $name: Table<RawCheck> =
            Table { block: concat!("virtual_server/real_server/", $block), parts: &[$($part),+] };
    };
}
table!(TCP_CHECK, "TCP_CHECK", CONNECT_ROWS, TIMING_ROWS);
table!(PING_CHECK, "PING_CHECK", CONNECT_ROWS, TIMING_ROWS);
table!(
    HTTP_GET,
    "HTTP_GET",
    CONNECT_ROWS,
    TIMING_ROWS,
    HTTP_ROWS,
    HTTP_URL
);
table!(SSL_GET, "SSL_GET", CONNECT_ROWS, TIMING_ROWS, HTTP_ROWS, SSL_ROWS);
table!(MISC_CHECK, "MISC_CHECK", MISC_ROWS, TIMING_ROWS);
table!(DNS_CHECK, "DNS_CHECK", CONNECT_ROWS, TIMING_ROWS, DNS_ROWS);
table!(UDP_CHECK, "UDP_CHECK", CONNECT_ROWS, TIMING_ROWS, UDP_ROWS);
table!(SMTP_CHECK, "SMTP_CHECK", CONNECT_ROWS, TIMING_ROWS, SMTP_ROWS);
table!(FILE_CHECK, "FILE_CHECK", FILE_ROWS);
table!(SMTP_HOST, "SMTP_CHECK/host", CONNECT_ROWS, TIMING_ROWS);

pub(crate) const HTTP_GET_URL: Table<RawUrl> = Table {
    block: "virtual_server/real_server/HTTP_GET/url",
    parts: &[URL_ROWS],
};
pub(crate) const SSL_GET_URL: Table<RawUrl> = Table {
    block: "virtual_server/real_server/SSL_GET/url",
    parts: &[URL_ROWS, URL_TLS_ROWS],
};

#[rustfmt::skip]
const DNS_ROWS: &[Keyword<RawCheck>] = &[
    row("type", Name("A|NS|CNAME|SOA|MX|TXT|AAAA|RRSIG|DNSKEY"), "SOA", InPlace, "Record asked for.", Set(record)),
    first_counts(row("name", Name("NAME"), ".", InPlace, "Name asked for. Any answer without an error is good.",
        Set(|it, a, _| it.talk().name = Some(a.text().to_owned())))),
];

#[rustfmt::skip]
const UDP_ROWS: &[Keyword<RawCheck>] = &[
    row("payload", OptWords("HEX"), "empty", InPlace, "What is sent: hexadecimal digits.", Set(|it, a, cx| {
        if let Some(bytes) = nibbles(a, false, cx) {
            it.talk().payload = bytes.into_iter().map(|(value, _)| value).collect();
        }
    })),
    row("require_reply", OptWords("HEX"), "no reply is needed", InPlace, "A reply must come, and begin with these \
        digits; x stands for any.", Set(|it, a, cx| it.talk().reply = Some(nibbles(a, true, cx).unwrap_or_default()))),
    row("min_reply_length", Int(0, 65_535), "0", InPlace, "Shortest reply, in bytes.",
        Set(|it, a, _| it.talk().reply_min = Some(a.small()))),
    row("max_reply_length", Int(0, 65_535), "255", InPlace, "Longest reply, in bytes.",
        Set(|it, a, _| it.talk().reply_max = Some(a.small()))),
];

#[rustfmt::skip]
const SMTP_ROWS: &[Keyword<RawCheck>] = &[
    row("helo_name", Name("NAME"), "smtpchecker.keepalived.org", InPlace, "Name told to the server.",
        Set(|it, a, _| it.talk().helo = Some(a.text().to_owned()))),
    row("host", Takes::Block(""), "none", InPlace, "Old form: one check for each.", Block(|it, st, cx| {
        let mut host = RawCheck { checker: Checker::Smtp, at: st.keyword().span, ..RawCheck::default() };
        read_block(&SMTP_HOST, &mut host, st, cx);
        it.talk().hosts.push(host);
    })),
];

#[rustfmt::skip]
const FILE_ROWS: &[Keyword<RawCheck>] = &[
    row("track_file", Name("NAME"), "required", InPlace, "The track_file whose number, times the weight, is added to \
        the weight of the server.", Set(|it, a, _| it.file = Some((a.text().to_owned(), a.span())))),
    row("weight", Weight(-2_147_483_647, 2_147_483_647), "that of the file", InPlace, "Multiplier. A result of \
        -2147483648 or less takes the server down. Weight 0: any number but 0 does.",
        Set(|it, a, _| it.file_weight = Some(a.weight()))),
];

#[rustfmt::skip]
pub(crate) const BFD_CHECK: Table<RawCheck> = Table { block: "virtual_server/real_server/BFD_CHECK", parts: &[&[
    row("name", Name("NAME"), "required", InPlace, "The bfd_instance. It must stand above the virtual_server.",
        Set(|it, a, _| it.session = Some((a.text().to_owned(), a.span())))),
    row("alpha", Flag, "that of the server", InPlace, "Down until the session is up.",
        Set(|it, a, _| it.words.alpha = Some(a.flag()))),
]] };

#[rustfmt::skip]
pub(crate) const SSL: Table<SslWords> = Table { block: "SSL", parts: &[&[
    row("password", Secret, "none", InPlace, "Pass phrase of the key.",
        Refused("a pass phrase that lies beside its key protects nothing, and such a key is not read: take it off with \
            'openssl pkey -in KEY -out NEW-KEY' and let nobody but root read the file")),
    row("ca", Quoted("FILE"), "none", InPlace, "Certificate authority.",
        Idle("certificates of servers are not verified, as in keepalived")),
    row("certificate", Quoted("FILE"), "none", InPlace, "Client certificate in PEM; what signed it may follow.",
        Set(|it, a, _| it.certificate = Some((a.quoted(), a.span())))),
    row("key", Quoted("FILE"), "none", InPlace, "Client key in PEM.",
        Set(|it, a, _| it.key = Some((a.quoted(), a.span())))),
]] };

/// `SSL` as written.
#[derive(Debug, Default)]
pub(crate) struct SslWords {
    pub certificate: Option<(String, Span)>,
    pub key: Option<(String, Span)>,
}

fn check(
    checker: Checker,
    table: &'static Table<RawCheck>,
    checks: &mut Vec<RawCheck>,
    statement: &Statement<'_>,
    cx: &mut Cx<'_>,
) {
    let mut it = RawCheck {
        checker,
        at: statement.keyword().span,
        ..RawCheck::default()
    };
    // `TCP_CHECK` alone is complete: every setting has a default.
    if statement.block.is_some()
        || matches!(
            checker,
            Checker::Http | Checker::Ssl | Checker::Misc | Checker::Bfd
        )
    {
        read_block(table, &mut it, statement, cx);
    }
    // Most servers have one: a list that grows would keep room for four, for each of many servers.
    checks.reserve_exact(1);
    checks.push(it);
}

pub(super) fn tcp(checks: &mut Vec<RawCheck>, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    check(Checker::Tcp, &TCP_CHECK, checks, statement, cx);
}

pub(super) fn http(checks: &mut Vec<RawCheck>, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    check(Checker::Http, &HTTP_GET, checks, statement, cx);
}

pub(super) fn ssl(checks: &mut Vec<RawCheck>, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    check(Checker::Ssl, &SSL_GET, checks, statement, cx);
}

pub(super) fn misc(checks: &mut Vec<RawCheck>, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    check(Checker::Misc, &MISC_CHECK, checks, statement, cx);
}

pub(super) fn ping(checks: &mut Vec<RawCheck>, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    check(Checker::Ping, &PING_CHECK, checks, statement, cx);
}

pub(super) fn dns(checks: &mut Vec<RawCheck>, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    check(Checker::Dns, &DNS_CHECK, checks, statement, cx);
}

pub(super) fn udp(checks: &mut Vec<RawCheck>, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    check(Checker::Udp, &UDP_CHECK, checks, statement, cx);
}

/// The block is a check, or each `host` in it is one, with what the block says for all of them.
pub(super) fn smtp(checks: &mut Vec<RawCheck>, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    check(Checker::Smtp, &SMTP_CHECK, checks, statement, cx);
    let Some(whole) = checks.last_mut() else { return };
    let hosts = std::mem::take(&mut whole.talk().hosts);
    if hosts.is_empty() {
        return;
    }
    let Some(whole) = checks.pop() else { return };
    checks.extend(hosts.into_iter().map(|mut host| {
        host.words = crate::config::rules::inherit(&host.words, &whole.words);
        host.connect_ip = host.connect_ip.or(whole.connect_ip);
        host.connect_port = host.connect_port.or(whole.connect_port);
        host.talk().helo = whole.talk.as_ref().and_then(|talk| talk.helo.clone());
        host
    }));
}

const RECORDS: [&str; 9] = ["A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY"];

fn record(it: &mut RawCheck, a: &Args<'_, '_>, cx: &mut Cx<'_>) {
    let known = RECORDS
        .into_iter()
        .find(|name| name.eq_ignore_ascii_case(a.text()));
    if known.is_none() {
        let text = format!("'{}' is no type of record that is asked for", shown(a.text()));
        let write = format!("write one of {}", RECORDS.join(" "));
        cx.error("S-27", a.span(), text, &["SOA is asked for", &write]);
    }
    it.talk().record = known;
}

/// Hexadecimal digits in words of any length, as bytes with the bits that count. `wild`: x stands for any digit.
fn nibbles(a: &Args<'_, '_>, wild: bool, cx: &mut Cx<'_>) -> Option<Vec<(u8, u8)>> {
    let digits: String = a.words.iter().map(|word| word.text).collect();
    let digit = |c: char| match c.to_digit(16) {
        Some(value) => Some((u8::try_from(value).unwrap_or(0), 0xf)),
        None if wild && c.eq_ignore_ascii_case(&'x') => Some((0, 0)),
        None => None,
    };
    let read: Option<Vec<(u8, u8)>> = digits.chars().map(digit).collect();
    match read {
        Some(read) if read.len() % 2 == 0 => Some(
            read.chunks(2)
                .map(|pair| (pair[0].0 << 4 | pair[1].0, pair[0].1 << 4 | pair[1].1))
                .collect(),
        ),
        Some(_) | None => {
            let text = format!("'{}' is not an even number of hexadecimal digits", shown(&digits));
            cx.error(
                "S-28",
                a.span(),
                text,
                &["it is left out", "write for example: 0a1b 2c"],
            );
            None
        }
    }
}

pub(super) fn file(checks: &mut Vec<RawCheck>, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    check(Checker::File, &FILE_CHECK, checks, statement, cx);
}

pub(super) fn bfd(checks: &mut Vec<RawCheck>, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    check(Checker::Bfd, &BFD_CHECK, checks, statement, cx);
}

fn url(it: &mut RawCheck, table: &'static Table<RawUrl>, statement: &Statement<'_>, cx: &mut Cx<'_>) {
    let mut url = RawUrl {
        at: statement.keyword().span,
        ..RawUrl::default()
    };
    read_block(table, &mut url, statement, cx);
    it.urls.push(url);
}

fn digest(it: &mut RawUrl, a: &Args<'_, '_>, cx: &mut Cx<'_>) {
    let text = a.text();
    let mut digest = [0; 16];
    let fits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !fits {
        cx.error(
            "S-16",
            a.span(),
            "the digest is not 32 hexadecimal digits",
            &[
                "the body is not compared, as in keepalived",
                "print it with: curl -s URL | md5sum",
            ],
        );
        return;
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).unwrap_or("00");
        *byte = u8::from_str_radix(pair, 16).unwrap_or(0);
    }
    it.digest = Some(digest);
}

fn status_code(it: &mut RawUrl, a: &Args<'_, '_>, cx: &mut Cx<'_>) {
    for word in a.words {
        let text = word.text.trim_end_matches(';');
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let code = |text: &str| value::number(text).filter(|code| (100..=599).contains(code));
        match (code(low), code(high)) {
            (Some(low), Some(high)) if low <= high => it.status.push(StatusRange {
                low: u16::try_from(low).unwrap_or(200),
                high: u16::try_from(high).unwrap_or(299),
            }),
            _ => {
                let text = format!(
                    "status_code '{}' is not a code or a range in 100–599",
                    shown(word.text)
                );
                cx.error(
                    "L-05",
                    word.span,
                    text,
                    &["it is left out", "write for example: status_code 200-299 304"],
                );
            }
        }
    }
}

fn regex_options(it: &mut RawUrl, a: &Args<'_, '_>, cx: &mut Cx<'_>) {
    for word in a.words {
        match word.text {
            "caseless" => it.regex_flags.push('i'),
            "multiline" => it.regex_flags.push('m'),
            "dotall" => it.regex_flags.push('s'),
            "extended" => it.regex_flags.push('x'),
            "ungreedy" => it.regex_flags.push('U'),
            "utf" | "ucp" | "no_utf_check" | "no_auto_capture" | "no_start_optimize" | "no_auto_possess" => {}
            other => {
                let text = format!("regex option '{}' does not act", shown(other));
                cx.warn(
                    "L-13",
                    word.span,
                    text,
                    &["known are caseless, multiline, dotall, extended and ungreedy; Unicode is always on"],
                );
            }
        }
    }
}

pub(super) fn add_all(entries: &mut Vec<Entry>) {
    for table in [&TCP_CHECK, &PING_CHECK, &HTTP_GET, &SSL_GET, &MISC_CHECK] {
        add(entries, table);
    }
    for table in [&DNS_CHECK, &UDP_CHECK, &SMTP_CHECK, &SMTP_HOST] {
        add(entries, table);
    }
    add(entries, &HTTP_GET_URL);
    add(entries, &SSL_GET_URL);
    add(entries, &FILE_CHECK);
    add(entries, &SSL);
    add(entries, &BFD_CHECK);
}
