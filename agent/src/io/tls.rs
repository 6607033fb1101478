//! TLS for `SSL_GET`: TLS 1.2 and 1.3, without verification of certificates (as keepalived does).

use super::dial::{Trouble, judge};
use crate::model::ClientCertificate;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What a client says of itself and of whom it wants.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hello<'a> {
    /// The name to send; `None` sends none.
    pub sni: Option<&'a str>,
    /// Shown if it is asked for.
    pub client: Option<&'a ClientCertificate>,
}

/// Shakes hands on a connection.
pub(super) async fn secure(
    stream: TcpStream,
    to: IpAddr,
    hello: Hello<'_>,
) -> Result<TlsStream<TcpStream>, Trouble> {
    let name = match hello.sni {
        None => ServerName::IpAddress(to.into()),
        Some(name) => ServerName::try_from(name.to_owned())
            .map_err(|_| Trouble::Local(format!("'{name}' cannot be sent as a server name")))?,
    };
    let config = match hello.client {
        None => config(),
        Some(client) => config_showing(client),
    };
    let config = config.map_err(Trouble::Local)?;
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
        .get_or_init(|| Ok(finish(builder()?.with_no_client_auth())))
        .clone()
}

type Builder = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;

fn builder() -> Result<Builder, String> {
    let provider = Arc::new(ring::default_provider());
    Ok(ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))))
}

fn finish(mut config: ClientConfig) -> Arc<ClientConfig> {
    // Every check is a visit of its own: a resumed session would not see a broken certificate store.
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

/// Which content of the two files a configuration was made of.
type Stamp = [Option<(SystemTime, u64)>; 2];

/// One that shows a certificate. It is made again when a file is another one: certificates are renewed.
fn config_showing(client: &ClientCertificate) -> Result<Arc<ClientConfig>, String> {
    type Made = BTreeMap<ClientCertificate, (Stamp, Arc<ClientConfig>)>;
    static MADE: Mutex<Made> = Mutex::new(BTreeMap::new());
    let stamp = [&client.chain, &client.key].map(|path| {
        let it = std::fs::metadata(path).ok()?;
        Some((it.modified().ok()?, it.len()))
    });
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((of, config)) = made.get(client)
        && *of == stamp
    {
        return Ok(config.clone());
    }
    let trouble = |path: &Path, e: &dyn std::fmt::Display| format!("{} cannot be used: {e}", path.display());
    let chain: Vec<_> = CertificateDer::pem_file_iter(&client.chain)
        .and_then(Iterator::collect)
        .map_err(|e| trouble(&client.chain, &e))?;
    let key = PrivateKeyDer::from_pem_file(&client.key).map_err(|e| trouble(&client.key, &e))?;
    let config = builder()?
        .with_client_auth_cert(chain, key)
        .map_err(|e| trouble(&client.key, &e))?;
    let config = finish(config);
    made.insert(client.clone(), (stamp, config.clone()));
    Ok(config)
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
