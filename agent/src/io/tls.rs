//! TLS for `SSL_GET`: TLS 1.2 and 1.3, without verification of certificates (as keepalived does).

use super::dial::{Trouble, judge};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Shakes hands on a connection. `sni` is the name to send; `None` sends none.
pub(super) async fn secure(
    stream: TcpStream,
    to: IpAddr,
    sni: Option<&str>,
) -> Result<TlsStream<TcpStream>, Trouble> {
    let name = match sni {
        None => ServerName::IpAddress(to.into()),
        Some(name) => ServerName::try_from(name.to_owned())
            .map_err(|_| Trouble::Local(format!("'{name}' cannot be sent as a server name")))?,
    };
    let config = config().map_err(Trouble::Local)?;
    TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|error| describe(&error))
}

/// What went wrong, in TLS's words where it was TLS.
pub(super) fn describe(error: &io::Error) -> Trouble {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::AlertReceived(alert)) => Trouble::Remote(format!("TLS alert {alert:?}")),
        Some(rustls::Error::InvalidMessage(_)) => Trouble::Remote("not TLS".to_owned()),
        Some(error) => Trouble::Remote(format!("TLS: {error}")),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            Trouble::Remote("connection closed during the TLS handshake".to_owned())
        }
        None => judge("shake hands", error),
    }
}

/// One configuration for all checks. An address as a name is never sent (RFC 6066 §3), so one serves for both cases.
fn config() -> Result<Arc<ClientConfig>, String> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
    CONFIG
        .get_or_init(|| {
            let provider = Arc::new(ring::default_provider());
            let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map_err(|error| format!("TLS cannot be set up: {error}"))?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
                .with_no_client_auth();
            // Every check is a visit of its own: a resumed session would not see a broken certificate store.
            config.resumption = rustls::client::Resumption::disabled();
            Ok(Arc::new(config))
        })
        .clone()
}

/// Takes every certificate: a health check asks whether the server works, not who it is.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
