//! A whole server on a free port, and a client that signs by hand.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sekimori_core::limits::LimitMode;
use sekimori_server::{ServerConfig, TlsConfig, api::Bootstrap, bootstrap, control_socket_in, run};
use sha1::Sha1;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration on loopback with a free port.
pub(crate) fn config(dir: &Path) -> ServerConfig {
    ServerConfig {
        dir: dir.to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: TlsConfig::Off,
        insecure: false,
        limits: LimitMode::Cloud,
        feed_socket: dir.join("feed.sock"),
        agent_uid: nix::unistd::getuid().as_raw(),
        bypass: None,
        region: "cn-hangzhou".to_owned(),
    }
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) told: Bootstrap,
    stop: oneshot::Sender<()>,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Server {
    pub(crate) async fn start(dir: &Path) -> Self {
        Self::start_with(config(dir)).await
    }

    pub(crate) async fn start_with(config: ServerConfig) -> Self {
        let socket = control_socket_in(&config.dir);
        let (stop, stopped) = oneshot::channel::<()>();
        let mut running = tokio::spawn(run(config, stopped));
        let told = async {
            loop {
                match bootstrap::fetch(&socket).await {
                    Ok(told) => return told,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        tokio::select! {
            told = timeout(PATIENCE, told) => Self { told: told.expect("the server starts"), stop, running },
            ended = &mut running => panic!("the server ended: {ended:?}"),
        }
    }

    /// Tells the server to stop, without waiting.
    pub(crate) fn tell_to_stop(self) -> JoinHandle<anyhow::Result<()>> {
        self.stop.send(()).unwrap();
        self.running
    }

    pub(crate) async fn stop(self) {
        timeout(PATIENCE, self.tell_to_stop()).await.expect("the server stops").unwrap().unwrap();
    }

    /// A signed call of an ECS or VPC operation.
    pub(crate) async fn call(&self, action: &str, params: &[(&str, &str)]) -> Answer {
        self.get(&self.sign(action, params)).await
    }

    /// The path and query of a signed call.
    pub(crate) fn sign(&self, action: &str, params: &[(&str, &str)]) -> String {
        static NONCES: AtomicU64 = AtomicU64::new(0);
        let nonce = format!("{}-{}", std::process::id(), NONCES.fetch_add(1, Ordering::Relaxed));
        let key = (self.told.ecs.access_key_id.as_str(), self.told.ecs.access_key_secret.as_str());
        sign(key, &nonce, 0, (action, params))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")).await
    }

    pub(crate) async fn send(&self, request: &str) -> Answer {
        let stream = TcpStream::connect(self.told.listen).await.unwrap();
        timeout(PATIENCE, exchange(stream, request)).await.expect("the server answers")
    }

    /// A request of the native API.
    pub(crate) async fn native(&self, path: &str) -> Answer {
        let token = &self.told.token;
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        ))
        .await
    }
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// A text field of a successful answer.
    pub(crate) fn field(&self, name: &str) -> String {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()[name].as_str().unwrap_or_else(|| panic!("no {name}: {}", self.body)).to_owned()
    }

    /// Status and code of an error.
    pub(crate) fn error(&self) -> (u16, String) {
        (self.status, self.json()["Code"].as_str().unwrap_or_default().to_owned())
    }
}

pub(crate) async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Answer {
    // A server may refuse before it has read everything, so neither error is one of the test.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    answer(&bytes)
}

pub(crate) fn answer(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// Signs a call with RPC version 1: HMAC-SHA1 over the sorted, percent-encoded parameters.
pub(crate) fn sign(key: (&str, &str), nonce: &str, skew_s: i64, call: (&str, &[(&str, &str)])) -> String {
    let (action, params) = call;
    let vpc_actions =
        ["CreateVpc", "DescribeVpcs", "DeleteVpc", "CreateVSwitch", "DescribeVSwitches", "DeleteVSwitch"];
    let version = if vpc_actions.contains(&action) { "2016-04-28" } else { "2014-05-26" };
    let timestamp = timestamp(skew_s);
    let mut all: BTreeMap<&str, &str> = BTreeMap::from([
        ("AccessKeyId", key.0),
        ("Action", action),
        ("Format", "JSON"),
        ("RegionId", "cn-hangzhou"),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureNonce", nonce),
        ("SignatureVersion", "1.0"),
        ("Timestamp", &timestamp),
        ("Version", version),
    ]);
    all.extend(params.iter().copied());
    let pairs: Vec<String> = all.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    let canonical = pairs.join("&");
    let to_sign = format!("GET&%2F&{}", encode(&canonical));
    let mut mac = Hmac::<Sha1>::new_from_slice(format!("{}&", key.1).as_bytes()).unwrap();
    mac.update(to_sign.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    format!("/?{canonical}&Signature={}", encode(&signature))
}

fn encode(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// `2026-11-22T05:12:14Z`, this many seconds from now.
fn timestamp(skew_s: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let now = i64::try_from(now).unwrap() + skew_s;
    let (days, seconds) = (now.div_euclid(86_400), now.rem_euclid(86_400));
    // Days to a date of the Gregorian calendar (Howard Hinnant's civil_from_days).
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A connection to a server, for requests that are not whole.
pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}
