//! A client of the EC2 API as small as one can be: a form, with signature version 4 (HMAC-SHA256) in a header.

use anyhow::Context as _;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use ureq::Agent;

use crate::ecs::{Key, encode};

/// The version of the EC2 API.
const VERSION: &str = "2016-11-15";
const REGION: &str = "us-east-1";
const FORM: &str = "application/x-www-form-urlencoded";
const SIGNED_HEADERS: &str = "content-type;host;x-amz-date";
/// Bytes of an answer: that of 10,000 groups has about ten million.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Calls a server, over a connection that stays if the server lets it.
pub struct Client {
    agent: Agent,
    endpoint: String,
    key: Key,
}

impl Client {
    /// A client of a server, whose address has no path.
    #[must_use]
    pub fn new(endpoint: &str, key: Key) -> Self {
        let config = Agent::config_builder().http_status_as_error(false).build();
        Self { agent: config.into(), endpoint: endpoint.trim_end_matches('/').to_owned(), key }
    }

    /// Another client of the same server with the same key, over a connection of its own.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self::new(&self.endpoint, self.key.clone())
    }

    /// Calls an operation; returns the XML of the answer.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn call(&self, action: &str, parameters: &[(&str, &str)]) -> anyhow::Result<String> {
        let (status, text) = self.ask(action, parameters)?;
        anyhow::ensure!((200..300).contains(&status), "{action} is refused: {text}");
        Ok(text)
    }

    /// Calls an operation; returns the status and the XML of the answer, which may be a refusal.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn ask(&self, action: &str, parameters: &[(&str, &str)]) -> anyhow::Result<(u16, String)> {
        let all = [("Action", action), ("Version", VERSION)].into_iter().chain(parameters.iter().copied());
        let pairs: Vec<String> = all.map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let form = pairs.join("&");
        let date = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let host = self.endpoint.split_once("://").map_or("", |(_, host)| host);
        let request = self.agent.post(format!("{}/", self.endpoint)).content_type(FORM);
        let request = request.header("X-Amz-Date", &date);
        let request = request.header("Authorization", authorization(&self.key, host, &date, &form));
        let mut response = request.send(form).with_context(|| format!("cannot call {action}"))?;
        let text = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string()?;
        Ok((response.status().as_u16(), text))
    }

    /// Calls an operation that makes something; returns its id, the first text of a field.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn make(&self, action: &str, parameters: &[(&str, &str)], field: &str) -> anyhow::Result<String> {
        let answer = self.call(action, parameters)?;
        let id = first(&answer, field).map(str::to_owned);
        id.with_context(|| format!("{action} answers without `{field}`: {answer}"))
    }
}

/// The text of the first element of a name.
#[must_use]
pub fn first<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

/// The header that signs a form.
fn authorization(key: &Key, host: &str, date: &str, form: &str) -> String {
    let day = date.get(..8).unwrap_or_default();
    let scope = format!("{day}/{REGION}/ec2/aws4_request");
    let headers = format!("content-type:{FORM}\nhost:{host}\nx-amz-date:{date}\n");
    let request = format!("POST\n/\n\n{headers}\n{SIGNED_HEADERS}\n{}", hex(&Sha256::digest(form)));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(request)));
    let steps = [day, REGION, "ec2", "aws4_request", &text];
    let signature = steps.into_iter().fold(format!("AWS4{}", key.secret).into_bytes(), |key, text| sign(&key, text));
    let (id, signature) = (&key.id, hex(&signature));
    format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={SIGNED_HEADERS}, Signature={signature}")
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of every length.
    let mac = Hmac::<Sha256>::new_from_slice(key);
    mac.map_or(Vec::new(), |mac| mac.chain_update(text).finalize().into_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `botocore.auth.SigV4Auth` makes of the same request.
    #[test]
    fn signs_as_botocore_does() {
        let key = Key { id: "AKIDEXAMPLE".to_owned(), secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned() };
        let form = "Action=DescribeVpcs&Version=2016-11-15&Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-%2A";
        let header = authorization(&key, "127.0.0.1:8443", "20261127T010203Z", form);
        assert!(
            header.ends_with("Signature=d2ffc5a4dcefc8d022cc4205f0d300bd3ed6486b48facc6a8e5cf7cf9cb01ce3"),
            "{header}"
        );
    }

    #[test]
    fn the_first_element_is_found() {
        let xml = "<a><groupId>sg-1</groupId><groupId>sg-2</groupId></a>";
        assert_eq!((first(xml, "groupId"), first(xml, "vpcId")), (Some("sg-1"), None));
    }
}
