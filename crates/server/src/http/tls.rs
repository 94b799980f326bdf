//! TLS for the port: the operator's certificate, or one that the server makes for itself.
//!
//! A generated certificate is signed by an authority that exists for this one signature: its key is thrown
//! away at once, so nothing else can ever be signed with it. It is made again when the server listens on an
//! address that the old one does not name.

use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

use crate::{TlsConfig, files};

/// What goes wrong with certificates.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file cannot be read.
    #[error("`{}` cannot be read as PEM: {source}; give a certificate chain and its private key", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// The failure.
        source: rustls::pki_types::pem::Error,
    },
    /// There is no certificate in the file.
    #[error("`{}` holds no certificate; give a PEM file with the certificate chain", .0.display())]
    Empty(PathBuf),
    /// Certificate and key do not belong together, or cannot be used.
    #[error("certificate `{}` and its key cannot be used: {source}; give a matching pair", file.display())]
    Unusable {
        /// The certificate's file.
        file: PathBuf,
        /// The failure.
        source: rustls::Error,
    },
    /// No certificate could be made.
    #[error("no certificate could be made: {0}; give one with --tls-cert and --tls-key")]
    Generate(#[from] rcgen::Error),
    /// A file cannot be written.
    #[error("cannot use `{}`: {source}; check its owner and permissions", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The failure.
        source: io::Error,
    },
}

/// A way to speak TLS.
pub(crate) struct Tls {
    /// Accepts handshakes.
    pub(crate) acceptor: TlsAcceptor,
    /// The certificate that clients should trust, if the server made its own.
    pub(crate) ca_pem: Option<String>,
}

/// Prepares TLS as configured; `None` is plain HTTP.
pub(crate) fn prepare(config: &TlsConfig, dir: &Path, listen: SocketAddr) -> Result<Option<Tls>, TlsError> {
    match config {
        TlsConfig::Off => Ok(None),
        TlsConfig::Files { cert, key } => Ok(Some(Tls { acceptor: acceptor(cert, key)?, ca_pem: None })),
        TlsConfig::Generated => generated(dir, listen).map(Some),
    }
}

fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let wrong = |file: &Path| {
        let file = file.to_owned();
        move |source| TlsError::Pem { file, source }
    };
    let chain = CertificateDer::pem_file_iter(cert).map_err(wrong(cert))?;
    let chain: Vec<CertificateDer<'static>> = chain.collect::<Result<_, _>>().map_err(wrong(cert))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(cert.to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(wrong(key))?;
    let unusable = |source| TlsError::Unusable { file: cert.to_owned(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config =
        versions.map_err(unusable)?.with_no_client_auth().with_single_cert(chain, key).map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The files of a generated certificate.
struct Generated {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
    /// What the certificate names, one a line. Written last: without it the rest counts as not there.
    names: PathBuf,
}

fn generated(dir: &Path, listen: SocketAddr) -> Result<Tls, TlsError> {
    let files = Generated {
        ca: dir.join("tls-ca.pem"),
        cert: dir.join("tls-cert.pem"),
        key: dir.join("tls-key.pem"),
        names: dir.join("tls-names"),
    };
    let names = names_for(listen);
    let known = fs::read_to_string(&files.names).unwrap_or_default();
    let known: BTreeSet<&str> = known.lines().collect();
    if names.iter().any(|name| !known.contains(name.as_str())) {
        generate(&files, names)?;
        tracing::info!(%listen, "a TLS certificate was made");
    }
    let ca_pem = fs::read_to_string(&files.ca);
    let ca_pem = ca_pem.map_err(|source| TlsError::File { file: files.ca.clone(), source })?;
    Ok(Tls { acceptor: acceptor(&files.cert, &files.key)?, ca_pem: Some(ca_pem) })
}

/// The names by which a client may reach the server: this machine's, when it listens everywhere.
fn names_for(listen: SocketAddr) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    if !listen.ip().is_unspecified() {
        names.insert(listen.ip().to_string());
        return names;
    }
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten().filter_map(|interface| interface.address);
    let addresses = interfaces.filter_map(|address| {
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    names.extend(addresses.map(|address| address.to_string()));
    names.extend(fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()));
    names
}

fn generate(files: &Generated, names: BTreeSet<String>) -> Result<(), TlsError> {
    let write = |file: &Path, text: &str| {
        files::write_durably(file, text.as_bytes()).map_err(|source| TlsError::File { file: file.to_owned(), source })
    };
    if let Err(source) = fs::remove_file(&files.names)
        && source.kind() != io::ErrorKind::NotFound
    {
        return Err(TlsError::File { file: files.names.clone(), source });
    }
    let issuer = CertifiedIssuer::self_signed(authority()?, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let listed = names.iter().fold(String::new(), |text, name| text + name + "\n");
    let cert = leaf(names)?.signed_by(&key, &issuer)?;
    write(&files.ca, &issuer.pem())?;
    write(&files.cert, &cert.pem())?;
    write(&files.key, &key.serialize_pem())?;
    write(&files.names, &listed)
}

fn authority() -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "Sekimori generated authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn leaf(names: BTreeSet<String>) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(names.into_iter().collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, "Sekimori");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_generated_certificate_is_kept_until_it_no_longer_fits() {
        let dir = tempfile::tempdir().unwrap();
        let make = |address| prepare(&TlsConfig::Generated, dir.path(), listen(address)).unwrap().unwrap().ca_pem;
        let first = make("127.0.0.1:0");
        assert!(first.as_ref().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
        assert_eq!(make("127.0.0.1:443"), first);
        let other = make("192.0.2.1:443");
        assert_ne!(other, first);
        assert_eq!(make("192.0.2.1:1"), other);
    }

    #[test]
    fn listening_everywhere_names_this_machine() {
        let names = names_for(listen("0.0.0.0:443"));
        assert!(names.contains("localhost") && names.contains("127.0.0.1"));
        assert!(!names.contains("0.0.0.0"));
    }

    #[test]
    fn files_that_are_no_certificate_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let files = TlsConfig::Files { cert: cert.clone(), key: key.clone() };
        let refused = || match prepare(&files, dir.path(), listen("127.0.0.1:0")) {
            Ok(_) => panic!("must be refused"),
            Err(error) => error.to_string(),
        };
        assert!(refused().contains("cert.pem"), "{}", refused());
        fs::write(&cert, "nothing").unwrap();
        assert!(refused().contains("holds no certificate"), "{}", refused());
        generate_pair(&cert);
        fs::write(&key, "nothing").unwrap();
        assert!(refused().contains("key.pem"), "{}", refused());
        fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        assert!(refused().contains("matching pair"), "{}", refused());
    }

    fn generate_pair(cert: &Path) {
        let key = KeyPair::generate().unwrap();
        let made = leaf(["localhost".to_owned()].into()).unwrap().self_signed(&key).unwrap();
        fs::write(cert, made.pem()).unwrap();
    }
}
