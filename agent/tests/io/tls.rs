//! TLS: certificates of servers and of our own, names, and servers that do not speak it.

use crate::bench::{LONG, check, http, request, server, url, why};
use lbagent::health::CheckOutcome;
use lbagent::model::{CheckKind, ClientCertificate, HttpGet, Url};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A TLS server with a certificate it signed itself; it sends the name it was asked for back.
fn tls_server(max: &'static rustls::SupportedProtocolVersion) -> SocketAddr {
    let signed = rcgen::generate_simple_self_signed(vec!["wrong.example".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(signed.key_pair.serialize_der());
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[max])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![signed.cert.der().clone()], key.into())
            .unwrap();
    server(move |mut stream| {
        let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut tls = rustls::Stream::new(&mut connection, &mut stream);
        request(&mut tls);
        let name = tls.conn.server_name().unwrap_or("none").to_owned();
        // And then the end, without a close_notify.
        tls.write_all(format!("HTTP/1.1 200 OK\r\n\r\nname={name}").as_bytes())
            .unwrap();
    })
}

#[test]
fn tls_takes_any_certificate_and_sends_a_name_only_when_told() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (sni, want) in [
            (None, "name=none"),
            (Some("www.example.org"), "name=www.example.org"),
        ] {
            let url = Url {
                regex: Some((format!("^{want}$"), true)),
                ..url()
            };
            let outcome = check(CheckKind::Http(HttpGet {
                tls: true,
                sni: sni.map(str::to_owned),
                ..http(tls_server(version), LONG, url)
            }));
            assert_eq!(why(&outcome), "pass", "{version:?} {sni:?}");
        }
    }
}

/// A file as `openssl` would write it.
fn pem(kind: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text: Vec<String> = der
        .chunks(3)
        .map(|chunk| {
            let bytes = [chunk[0], *chunk.get(1).unwrap_or(&0), *chunk.get(2).unwrap_or(&0)];
            let bits = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
            let digit = |at: usize| char::from(DIGITS[(bits >> (18 - 6 * at)) as usize & 63]);
            (0..4)
                .map(|at| if at <= chunk.len() { digit(at) } else { '=' })
                .collect()
        })
        .collect();
    let lines: Vec<String> = text.chunks(16).map(<[String]>::concat).collect();
    format!(
        "-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n",
        lines.join("\n")
    )
}

#[test]
fn a_client_certificate_is_shown_to_who_asks_and_a_missing_one_is_no_verdict() {
    let folder = std::env::temp_dir().join(format!("lbagent-{}-certificate", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let signed = rcgen::generate_simple_self_signed(vec!["lb1.example".to_owned()]).unwrap();
    let client = ClientCertificate {
        chain: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let server_that_asks = || {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(signed.cert.der().clone()).unwrap();
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let own = rcgen::generate_simple_self_signed(vec!["any.example".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(own.key_pair.serialize_der());
        let config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![own.cert.der().clone()], key.into())
            .unwrap();
        server(move |mut stream| {
            let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
            let mut tls = rustls::Stream::new(&mut connection, &mut stream);
            request(&mut tls);
            let _ = tls.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        })
    };
    let outcome = |client: Option<ClientCertificate>| {
        check(CheckKind::Http(HttpGet {
            tls: true,
            client: client.map(Arc::new),
            ..http(server_that_asks(), LONG, url())
        }))
    };
    let missing = outcome(Some(client.clone()));
    assert!(
        matches!(&missing, CheckOutcome::Inconclusive { why } if why.contains("cert.pem")),
        "{missing:?}"
    );
    std::fs::write(&client.chain, pem("CERTIFICATE", signed.cert.der())).unwrap();
    std::fs::write(&client.key, pem("PRIVATE KEY", &signed.key_pair.serialize_der())).unwrap();
    let shown = outcome(Some(client.clone()));
    assert!(matches!(shown, CheckOutcome::Pass { .. }), "{shown:?}");
    let none = outcome(None);
    assert!(matches!(none, CheckOutcome::Fail { .. }), "{none:?}");
    // A key that does not fit the certificate: it was read again, and is told.
    let other = rcgen::KeyPair::generate().unwrap();
    std::fs::write(&client.key, pem("PRIVATE KEY", &other.serialize_der()) + "\n").unwrap();
    let wrong = outcome(Some(client));
    assert!(
        matches!(&wrong, CheckOutcome::Inconclusive { why } if why.contains("key.pem")),
        "{wrong:?}"
    );
    let _ = std::fs::remove_dir_all(&folder);
}

/// F142: garbage, an alert, a stall in the handshake.
#[test]
fn what_is_not_tls_fails_within_the_time() {
    type Serve = fn(TcpStream);
    let cases: &[(Serve, &str)] = &[
        (
            |mut s| {
                let _ = s.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                let _ = s.read(&mut [0; 4096]);
            },
            "not TLS",
        ),
        (
            |mut s| {
                // handshake_failure
                let _ = s.read(&mut [0; 4096]);
                let _ = s.write_all(&[21, 3, 3, 0, 2, 2, 40]);
                let _ = s.read(&mut [0; 4096]);
            },
            "TLS alert HandshakeFailure",
        ),
        (
            |mut s| {
                let _ = s.read(&mut [0; 4096]);
            },
            "connection closed during the TLS handshake",
        ),
        (
            |mut s| while s.read(&mut [0; 4096]).unwrap_or(0) > 0 {},
            "timed out after 2s waiting for the answer",
        ),
    ];
    for (serve, want) in cases {
        let outcome = check(CheckKind::Http(HttpGet {
            tls: true,
            ..http(server(*serve), Duration::from_secs(2), url())
        }));
        assert_eq!(why(&outcome), *want);
        assert!(matches!(outcome, CheckOutcome::Fail { .. }), "{want}");
    }
}
