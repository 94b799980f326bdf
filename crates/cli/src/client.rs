//! Requests to the native API of a server. Blocking: a command asks one thing and ends.
//!
//! No proxy of the environment is used: the operator's token goes to the server that was named and nowhere else.

use std::{fs, io::Read, path::Path, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use sekimori_server::{
    api::{ErrorBody, ErrorCode},
    offline::{Offline, OfflineError},
};
use serde::{Serialize, de::DeserializeOwned};
use ureq::{
    Agent,
    http::{self, Response},
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

use crate::{account_files, cli::Common, connection, connection::Target, exit::Failure};

/// What is asked where no server is.
const FILES: &str = "files of an account";
/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How long it may take to be let in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take, beyond the time that the request itself asks the server to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What can be asked.
pub(crate) enum Client {
    /// A server.
    Server {
        /// What speaks to it.
        agent: Agent,
        /// Where it is, and what lets us in.
        target: Target,
    },
    /// Files that describe an account.
    Files(Box<Offline>),
}

impl Client {
    /// The server that the options and the environment mean, or the files that are to be asked in its stead.
    ///
    /// # Errors
    /// When none is named, its certificate cannot be read, or the files describe no account.
    pub(crate) fn connect(common: &Common) -> Result<Self, Failure> {
        if !common.connection.account_files.is_empty() {
            return Ok(Self::Files(Box::new(account_files::open(&common.connection.account_files)?)));
        }
        let target = connection::resolve(&common.connection, connection::environment)?;
        Ok(Self::Server { agent: agent(&target)?, target })
    }

    /// Whether it is a server, which knows what its hosts have seen.
    pub(crate) fn is_server(&self) -> bool {
        match self {
            Self::Server { .. } => true,
            Self::Files(_) => false,
        }
    }

    /// That something can be changed.
    ///
    /// # Errors
    /// When the answers come from files.
    pub(crate) fn can_change(&self) -> anyhow::Result<()> {
        if self.is_server() { Ok(()) } else { bail!(OfflineError::Change) }
    }

    /// Where the server is: a URL.
    pub(crate) fn endpoint(&self) -> &str {
        match self {
            Self::Server { target, .. } => &target.endpoint,
            Self::Files(_) => FILES,
        }
    }

    /// Asks for something.
    ///
    /// # Errors
    /// The server's own words, or what is between it and us.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<T> {
        self.get_patiently(path, query, Duration::ZERO)
    }

    /// Asks for something that takes the server a while.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) fn get_patiently<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        wait: Duration,
    ) -> anyhow::Result<T> {
        self.send("GET", path, query, None::<&()>, wait)
    }

    /// Asks for something that has no end: what is read comes as it happens.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) fn follow(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<impl Read + use<>> {
        let Self::Server { agent, target } = self else {
            bail!(OfflineError::Unseen);
        };
        let request = agent.get(url(target, path)).config().timeout_global(None).build();
        let request = request.header("authorization", bearer(target)).query_pairs(query.iter().copied());
        let answer = request.call();
        let is_taken = answer.as_ref().is_ok_and(|response| response.status().is_success());
        match answer {
            Ok(response) if is_taken => Ok(response.into_body().into_reader()),
            other => {
                let refused = received(&target.endpoint, other)
                    .and_then(|(status, body)| understood::<serde::de::IgnoredAny>(&target.endpoint, status, &body));
                Err(refused.err().unwrap_or_else(|| anyhow!("no answer")))
            }
        }
    }

    /// Changes something.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.send("PUT", path, &[], Some(body), Duration::ZERO)
    }

    /// Takes something away.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) fn delete<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<T> {
        self.send("DELETE", path, query, None::<&()>, Duration::ZERO)
    }

    /// Makes something.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.post_patiently(path, body, Duration::ZERO)
    }

    /// As [`Client::post`], for what takes the server a while.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) fn post_patiently<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        wait: Duration,
    ) -> anyhow::Result<T> {
        self.send("POST", path, &[], Some(body), wait)
    }

    /// As [`Client::get`], by whichever method.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(crate) fn send<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&impl Serialize>,
        wait: Duration,
    ) -> anyhow::Result<T> {
        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        match self {
            Self::Files(files) => {
                let (status, body) = files.ask(method, &with_query(path, query), body)?;
                understood(FILES, status, &body)
            }
            Self::Server { agent, target } => {
                let request = http::Request::builder()
                    .method(method)
                    .uri(with_query(&url(target, path), query))
                    .header("authorization", bearer(target))
                    .header("content-type", "application/json");
                let request =
                    agent.configure_request(request.body(body)?).timeout_global(Some(ANSWER_TIMEOUT + wait));
                let (status, body) = received(&target.endpoint, agent.run(request.build()))?;
                understood(&target.endpoint, status, &body)
            }
        }
    }
}

fn url(target: &Target, path: &str) -> String {
    format!("{}{path}", target.endpoint)
}

fn bearer(target: &Target) -> String {
    format!("Bearer {}", target.token)
}

fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    let pairs = query.iter().map(|(name, value)| format!("{}={}", path_part(name), path_part(value)));
    let pairs = pairs.collect::<Vec<_>>().join("&");
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{pairs}") }
}

/// What was answered: status and body.
fn received(endpoint: &str, answer: Result<Response<ureq::Body>, ureq::Error>) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut response = answer.map_err(|error| unreachable(endpoint, &error))?;
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
    let body = body.with_context(|| format!("the answer of `{endpoint}` broke off; ask again"))?;
    Ok((response.status().as_u16(), body))
}

fn understood<T: DeserializeOwned>(endpoint: &str, status: u16, body: &[u8]) -> anyhow::Result<T> {
    if !(200..300).contains(&status) {
        return Err(refused(endpoint, status, body));
    }
    serde_json::from_slice(body).with_context(|| {
        format!(
            "the answer of `{endpoint}` is not ours; is it a sekimori server of release {}?",
            env!("CARGO_PKG_VERSION")
        )
    })
}

/// A name as a part of a path.
#[must_use]
pub(crate) fn path_part(name: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    name.bytes().map(byte).collect()
}

fn agent(target: &Target) -> anyhow::Result<Agent> {
    let mut tls = TlsConfig::builder();
    if let Some(ca) = &target.ca {
        tls = tls.root_certs(RootCerts::new_with_certs(&certificates(ca)?));
    }
    let config = Agent::config_builder()
        .proxy(None)
        .tls_config(tls.build())
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_global(Some(ANSWER_TIMEOUT));
    Ok(config.build().new_agent())
}

fn certificates(path: &Path) -> anyhow::Result<Vec<Certificate<'static>>> {
    let pem = fs::read(path).with_context(|| format!("cannot read the certificate `{}`", path.display()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        let item = item.with_context(|| format!("`{}` is not PEM; give a file of certificates", path.display()))?;
        if let PemItem::Certificate(certificate) = item {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        bail!("`{}` holds no certificate; give the one that the server was started with", path.display());
    }
    Ok(certificates)
}

fn unreachable(endpoint: &str, error: &ureq::Error) -> anyhow::Error {
    anyhow!("cannot ask `{endpoint}`: {error}; is `sekimori up` running, and is this its endpoint and certificate?")
}

fn refused(endpoint: &str, status: u16, body: &[u8]) -> anyhow::Error {
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(ErrorBody { error }) if error.code == ErrorCode::Unauthorized => {
            anyhow!("`{endpoint}` does not accept the token; use the one in its credentials.env (--data-dir DIR)")
        }
        Ok(ErrorBody { error }) => anyhow!(error.message),
        Err(_) => anyhow!("`{endpoint}` answered {status} without a reason; is it a sekimori server?"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_the_path() {
        assert_eq!(path_part("eni-0a_b.c~"), "eni-0a_b.c~");
        assert_eq!(path_part("../a?b é"), "..%2Fa%3Fb%20%C3%A9");
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let body = br#"{"error":{"code":"not-found","message":"no interface `x`; list them"}}"#;
        assert_eq!(refused("http://h", 404, body).to_string(), "no interface `x`; list them");
        let body = br#"{"error":{"code":"unauthorized","message":"secret detail"}}"#;
        assert!(refused("http://h", 401, body).to_string().contains("credentials.env"));
        assert!(refused("http://h", 502, b"<html>").to_string().contains("answered 502"));
    }

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        assert!(certificates(&path).unwrap_err().to_string().contains("ca.pem"));
        fs::write(&path, "nothing").unwrap();
        assert!(certificates(&path).unwrap_err().to_string().contains("holds no certificate"));
    }
}
