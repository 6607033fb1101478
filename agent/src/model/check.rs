//! Health checks of real servers.

use super::file::Multiplier;
use super::notify::Script;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// One check of one server, with every default already taken from the blocks above.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    pub kind: CheckKind,
    pub delay_loop: Duration,
    /// Further tries before an up server is called down.
    pub retry: u32,
    pub delay_before_retry: Duration,
    /// The first check comes within this span, at random.
    pub warmup: Duration,
    /// `alpha`: down until the first success.
    pub alpha: bool,
    /// `log_all_failures`.
    pub log_all_failures: bool,
}

/// The checkers there are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CheckKind {
    Tcp(TcpCheck),
    Http(HttpGet),
    Misc(MiscCheck),
    Ping(PingCheck),
    Smtp(SmtpCheck),
    Dns(DnsCheck),
    Udp(UdpCheck),
    /// `BFD_CHECK`: it is good while the session of this name is up. Nothing is run for it.
    Bfd(String),
    File(FileCheck),
}

impl CheckKind {
    /// The keyword.
    pub fn keyword(&self) -> &'static str {
        match self {
            Self::Tcp(_) => "TCP_CHECK",
            Self::Http(HttpGet { tls: false, .. }) => "HTTP_GET",
            Self::Http(HttpGet { tls: true, .. }) => "SSL_GET",
            Self::Misc(_) => "MISC_CHECK",
            Self::Ping(_) => "PING_CHECK",
            Self::Smtp(_) => "SMTP_CHECK",
            Self::Dns(_) => "DNS_CHECK",
            Self::Udp(_) => "UDP_CHECK",
            Self::Bfd(_) => "BFD_CHECK",
            Self::File(_) => "FILE_CHECK",
        }
    }
}

/// Where a check connects to and from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TcpCheck {
    pub to: SocketAddr,
    /// `bindto` and `bind_port`.
    pub from: Option<SocketAddr>,
    /// `bind_if`.
    pub device: Option<String>,
    /// `fwmark`; 0: none.
    pub mark: u32,
    pub timeout: Duration,
}

/// `HTTP_GET` or `SSL_GET`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpGet {
    /// Its `timeout` bounds connecting, and again each whole answer.
    pub connect: TcpCheck,
    pub tls: bool,
    /// What is shown to a server that asks for a certificate.
    pub client: Option<Arc<ClientCertificate>>,
    /// `enable_sni`/`sni_name`: the name sent in the handshake.
    pub sni: Option<String>,
    /// The minor HTTP version, and whether `Connection: close` is sent (`1.0C` and `1.1`).
    pub version: HttpVersion,
    /// In order; at least one.
    pub urls: Vec<Url>,
    /// `fast_recovery`: after a failure all urls are tried at once.
    pub fast_recovery: bool,
}

/// `SSL`: PEM files, read when a check needs them and again when they are others.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ClientCertificate {
    /// The certificate, and perhaps those between it and its root.
    pub chain: PathBuf,
    pub key: PathBuf,
}

/// `http_protocol`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum HttpVersion {
    #[default]
    V1_0,
    V1_0Close,
    V1_1,
}

/// One `url` block.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Url {
    pub path: String,
    /// The `Host` header.
    pub host: String,
    /// Accepted status codes; 200–299 by default.
    pub status: Vec<StatusRange>,
    /// MD5 of the body.
    pub digest: Option<[u8; 16]>,
    /// `regex`, with `true` for "must match", `false` for `regex_no_match`.
    pub regex: Option<(String, bool)>,
    pub regex_within: Within,
}

/// `regex_min_offset` and `regex_max_offset`: where in the answer a match may begin, in bytes. Only the body is searched,
/// but the headers before it count (as keepalived 2.2.7 counts).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Within {
    /// Nothing before it is searched.
    pub from: usize,
    /// The last place; `None`: anywhere.
    pub to: Option<usize>,
}

/// Status codes from `low` to `high`, both included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StatusRange {
    pub low: u16,
    pub high: u16,
}

/// `MISC_CHECK`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MiscCheck {
    pub script: Script,
    pub timeout: Duration,
    /// `misc_dynamic`: exit codes 2–255 are good and set the weight to code − 2.
    pub dynamic: bool,
    /// It can never be run: why.
    pub broken: Option<String>,
}

/// `PING_CHECK`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PingCheck {
    pub to: IpAddr,
    pub from: Option<IpAddr>,
    pub device: Option<String>,
    pub mark: u32,
    pub timeout: Duration,
}

/// `SMTP_CHECK`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SmtpCheck {
    pub connect: TcpCheck,
    /// `helo_name`.
    pub helo: String,
}

/// `DNS_CHECK`: one question over UDP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DnsCheck {
    pub connect: TcpCheck,
    /// The type of record, in capitals: `SOA`.
    pub kind: String,
    pub name: String,
}

/// `FILE_CHECK`: the number of a `track_file` adds to the weight. Nothing is run for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileCheck {
    /// The name of the `track_file`.
    pub file: String,
    pub multiplier: Multiplier,
}

/// `UDP_CHECK`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UdpCheck {
    pub connect: TcpCheck,
    pub payload: Vec<u8>,
    /// `None`: no reply is needed, only no refusal.
    pub reply: Option<UdpReply>,
}

/// What has to come back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UdpReply {
    /// Its first bytes: values, and the bits of each that count.
    pub pattern: Vec<(u8, u8)>,
    pub length_min: usize,
    pub length_max: usize,
}
