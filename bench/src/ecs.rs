//! A client of the ECS API as small as one can be: signature version 1 (HMAC-SHA1 over the parameters).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha1::Sha1;
use ureq::Agent;

/// The version of the ECS API.
pub const ECS: &str = "2014-05-26";
/// The version of the VPC API.
pub const VPC: &str = "2016-04-28";
/// How long any answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// An access key.
#[derive(Clone)]
pub struct Key {
    /// The public half.
    pub id: String,
    /// The other.
    pub secret: String,
}

/// Calls a server, over a connection that stays.
pub struct Client {
    agent: Agent,
    endpoint: String,
    token: String,
    region: String,
    key: Key,
    nonces: Arc<AtomicU64>,
}

impl Client {
    /// A client of a server.
    #[must_use]
    pub fn new(endpoint: String, token: String, region: String, key: Key) -> Self {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        Self { agent: agent(), endpoint, token, region, key, nonces: Arc::new(AtomicU64::new(seed)) }
    }

    /// Another client of the same server with the same key, over a connection of its own.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self {
            agent: agent(),
            endpoint: self.endpoint.clone(),
            token: self.token.clone(),
            region: self.region.clone(),
            key: self.key.clone(),
            nonces: Arc::clone(&self.nonces),
        }
    }

    /// The server's region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Calls an operation.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn call(&self, version: &str, action: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Value> {
        let (status, text) = self.ask(version, action, parameters)?;
        anyhow::ensure!(status == 200, "{action} is refused: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Calls an operation, whatever the server says to it: the status, and the words.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn ask(&self, version: &str, action: &str, parameters: &[(&str, &str)]) -> anyhow::Result<(u16, String)> {
        let timestamp = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let nonce = self.nonces.fetch_add(1, Ordering::Relaxed).to_string();
        let mut all = vec![
            ("AccessKeyId", self.key.id.as_str()),
            ("Action", action),
            ("Format", "JSON"),
            ("RegionId", &self.region),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureNonce", &nonce),
            ("SignatureVersion", "1.0"),
            ("Timestamp", &timestamp),
            ("Version", version),
        ];
        all.extend(parameters);
        let form = signed("POST", &all, &self.key.secret);
        let request = self.agent.post(&self.endpoint).content_type("application/x-www-form-urlencoded");
        let mut response = request.send(form).with_context(|| format!("cannot call {action}"))?;
        Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
    }

    /// Calls an operation that makes something; returns its id.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn make(
        &self,
        version: &str,
        action: &str,
        parameters: &[(&str, &str)],
        field: &str,
    ) -> anyhow::Result<String> {
        let answer = self.call(version, action, parameters)?;
        let id = answer.get(field).and_then(Value::as_str);
        id.map(str::to_owned).with_context(|| format!("{action} answers without `{field}`: {answer}"))
    }

    /// Waits until every host enforces what is committed now.
    ///
    /// # Errors
    /// When it does not happen in time.
    pub fn wait(&self) -> anyhow::Result<()> {
        self.native("GET", "/v1/wait?timeout_s=30").map(drop)
    }

    /// Asks the native API.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn native(&self, method: &str, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.endpoint.trim_end_matches('/'));
        let bearer = format!("Bearer {}", self.token);
        let response = match method {
            "GET" => self.agent.get(&url).header("Authorization", bearer).call(),
            _ => self.agent.post(&url).header("Authorization", bearer).send("{}"),
        };
        let mut response = response.with_context(|| format!("cannot ask {path}"))?;
        let text = response.body_mut().read_to_string()?;
        anyhow::ensure!(response.status().is_success(), "{method} {path} is refused: {text}");
        Ok(serde_json::from_str(&text)?)
    }
}

/// What keeps a connection. Whoever is answered with a refusal wants to see it.
fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into()
}

/// The parameters as a form, with their signature.
fn signed(method: &str, parameters: &[(&str, &str)], secret: &str) -> String {
    let mut sorted = parameters.to_vec();
    sorted.sort_unstable();
    let pairs: Vec<String> =
        sorted.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    let canonical = pairs.join("&");
    let signature = sign(&format!("{method}&%2F&{}", encode(&canonical)), secret);
    format!("{canonical}&Signature={}", encode(&signature))
}

fn sign(text: &str, secret: &str) -> String {
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(format!("{secret}&").as_bytes()) else { return String::new() };
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Everything but letters, digits and `-_.~` as `%XX` (RFC 3986).
pub(crate) fn encode(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the vendor's documentation.
    #[test]
    fn signs_as_the_documentation_does() {
        let parameters = [
            ("Timestamp", "2016-02-23T12:46:24Z"),
            ("Format", "XML"),
            ("AccessKeyId", "testid"),
            ("Action", "DescribeRegions"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureNonce", "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf"),
            ("Version", "2014-05-26"),
            ("SignatureVersion", "1.0"),
        ];
        let form = signed("GET", &parameters, "testsecret");
        assert!(form.ends_with("&Signature=OLeaidS1JvxuMvnyHOwuJ%2BuX5qY%3D"), "{form}");
    }
}
