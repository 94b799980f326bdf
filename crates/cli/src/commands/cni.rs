//! `sekimori cni`: a chained CNI plugin (CNI 1.0). Whatever made the container's interface ran before; this binds the ENI to
//! the host's end of its veth, before the container's first process runs, and hands the result on as it came.
//!
//! Which ENI: `SEKIMORI_ENI` in `CNI_ARGS`, else `eni` in the configuration, else the one of `vpc` that has the container's
//! address.

use std::{collections::BTreeMap, io::Read as _, net::IpAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use sekimori_agent::bound::other_end;
use sekimori_core::{
    address::Mac,
    binding::{Netns, Side},
    feed::BoundState,
};
use sekimori_server::api::{Interface, SetBinding};
use serde::Deserialize;
use serde_json::{Value, json};

use super::eni;
use crate::{
    cli::Common,
    client::Client,
    exit::{Answer, Failure, Outcome},
    output,
};

/// The versions that are spoken.
const VERSIONS: [&str; 2] = ["0.4.0", "1.0.0"];
/// The largest configuration that is read.
const CONFIGURATION_BYTES_MAX: u64 = 1024 * 1024;
/// How long a container's start waits for its interface to be closed.
const PATIENCE: Duration = Duration::from_secs(5);

/// The codes of errors (CNI 1.0, section 5).
const BAD_VERSION: u32 = 1;
const BAD_ENVIRONMENT: u32 = 4;
const UNREADABLE: u32 = 6;
const BAD_CONFIGURATION: u32 = 7;
const TRY_LATER: u32 = 11;
/// Ours: the command could not be carried out.
const REFUSED: u32 = 100;

/// What a runtime is told when something is wrong.
struct Wrong {
    code: u32,
    message: String,
}

type Told<T> = Result<T, Wrong>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Configuration {
    #[serde(default)]
    cni_version: String,
    eni: Option<String>,
    vpc: Option<String>,
    data_dir: Option<PathBuf>,
    prev_result: Option<Value>,
}

/// What earlier plugins have made, as far as it matters here.
#[derive(Deserialize)]
struct Made {
    #[serde(default)]
    interfaces: Vec<MadeInterface>,
    #[serde(default)]
    ips: Vec<MadeAddress>,
}

#[derive(Deserialize)]
struct MadeInterface {
    name: String,
    mac: Option<String>,
    #[serde(default)]
    sandbox: String,
}

#[derive(Deserialize)]
struct MadeAddress {
    address: String,
}

/// Does what the environment says.
pub(crate) fn run(common: &Common) -> Outcome {
    let mut text = Vec::new();
    std::io::stdin().take(CONFIGURATION_BYTES_MAX).read_to_end(&mut text)?;
    match speak(common, &text) {
        Ok(None) => Ok(Answer::Yes),
        Ok(Some(answer)) => {
            output::print(&output::json(&answer)?)?;
            Ok(Answer::Yes)
        }
        Err((version, Wrong { code, message })) => {
            // A runtime reads the error from standard output, and the exit code tells it to.
            output::print(&output::json(&json!({ "cniVersion": version, "code": code, "msg": message }))?)?;
            Err(Failure::Failed(anyhow::anyhow!("{message}")))
        }
    }
}

fn speak(common: &Common, text: &[u8]) -> Result<Option<Value>, (String, Wrong)> {
    let newest = || VERSIONS[VERSIONS.len() - 1].to_owned();
    let unreadable =
        |error: serde_json::Error| wrong(UNREADABLE, format!("the configuration cannot be read: {error}"));
    let conf: Configuration = serde_json::from_slice(text).map_err(|error| (newest(), unreadable(error)))?;
    let version = conf.cni_version.clone();
    let command = variable("CNI_COMMAND").map_err(|wrong| (version.clone(), wrong))?;
    if command == "VERSION" {
        return Ok(Some(json!({ "cniVersion": newest(), "supportedVersions": VERSIONS })));
    }
    if !VERSIONS.contains(&version.as_str()) {
        let message = format!("CNI version `{version}` is not spoken here; use one of {}", VERSIONS.join(", "));
        return Err((newest(), wrong(BAD_VERSION, message)));
    }
    Plugin::new(common, conf).and_then(|plugin| plugin.obey(&command)).map_err(|wrong| (version, wrong))
}

/// One call of the plugin.
struct Plugin {
    client: Client,
    conf: Configuration,
    interface: String,
    /// Who holds what is bound: this container's interface.
    holder: String,
}

impl Plugin {
    fn new(common: &Common, mut conf: Configuration) -> Told<Self> {
        let mut common = common.clone();
        common.connection.data_dir = common.connection.data_dir.or(conf.data_dir.take());
        let client = Client::connect(&common).map_err(failed)?;
        let (container, interface) = (variable("CNI_CONTAINERID")?, variable("CNI_IFNAME")?);
        Ok(Self { client, conf, holder: format!("cni {container} {interface}"), interface })
    }

    fn obey(&self, command: &str) -> Told<Option<Value>> {
        match command {
            "ADD" => self.add().map(Some),
            "DEL" => self.delete().map(|()| None),
            "CHECK" => self.check().map(|()| None),
            other => Err(wrong(BAD_ENVIRONMENT, format!("CNI_COMMAND is `{other}`; use ADD, DEL, CHECK or VERSION"))),
        }
    }

    fn add(&self) -> Told<Value> {
        let result = self.conf.prev_result.clone().ok_or_else(|| {
            let message = "there is no prevResult; chain this plugin behind the one that makes the interface";
            wrong(BAD_CONFIGURATION, message.to_owned())
        })?;
        let made: Made = serde_json::from_value(result.clone())
            .map_err(|error| wrong(BAD_CONFIGURATION, format!("prevResult cannot be read: {error}")))?;
        let eni = self.eni(&made)?;
        let binding = SetBinding {
            host: None,
            netns: None,
            interface: self.host_end()?,
            side: Side::Guest,
            mac: self.mac(&made)?,
            holder: self.holder.clone(),
            is_moved: true,
            force: false,
        };
        let found = eni::order(&self.client, &eni, &binding, PATIENCE).map_err(failed)?;
        if found.state != Some(BoundState::Judged) {
            eni::let_go(&self.client, &eni, Some(&self.holder)).map_err(failed)?;
            let why = found.notes.join("; ");
            let message = format!("`{}` of `{eni}` is not judged at: {why}", binding.interface);
            return Err(wrong(TRY_LATER, message));
        }
        Ok(result)
    }

    /// Lets go of what this container holds. That it holds nothing is no error: a runtime deletes what it could not add.
    fn delete(&self) -> Told<()> {
        for found in self.held()? {
            eni::let_go(&self.client, found.id.as_str(), Some(&self.holder)).map_err(failed)?;
        }
        Ok(())
    }

    fn check(&self) -> Told<()> {
        let held = self.held()?;
        let Some(found) = held.first() else {
            return Err(wrong(REFUSED, format!("`{}` is bound to no ENI", self.interface)));
        };
        if found.state == Some(BoundState::Judged) {
            return Ok(());
        }
        Err(wrong(REFUSED, format!("`{}` is not judged at: {}", found.id, found.notes.join("; "))))
    }

    fn held(&self) -> Told<Vec<Interface>> {
        let is_held = |one: &Interface| one.binding.as_ref().is_some_and(|binding| binding.holder == self.holder);
        Ok(eni::all(&self.client, true).map_err(failed)?.into_iter().filter(is_held).collect())
    }

    fn eni(&self, made: &Made) -> Told<String> {
        if let Some(eni) = arguments().remove("SEKIMORI_ENI").or_else(|| self.conf.eni.clone()) {
            return Ok(eni);
        }
        let vpc = self.conf.vpc.as_deref().ok_or_else(|| {
            let message = "no ENI is named; give SEKIMORI_ENI in CNI_ARGS, or `eni` or `vpc` in the configuration";
            wrong(BAD_CONFIGURATION, message.to_owned())
        })?;
        let own: Vec<IpAddr> =
            made.ips.iter().filter_map(|one| one.address.split('/').next()?.parse().ok()).collect();
        let is_it =
            |one: &Interface| one.vpc.as_str() == vpc && one.addresses.iter().any(|address| own.contains(address));
        let found = eni::all(&self.client, false).map_err(failed)?.into_iter().find(is_it);
        found.map(|one| one.id.to_string()).ok_or_else(|| {
            let message = format!("no ENI of `{vpc}` has one of the addresses {own:?}; make one, or name it");
            wrong(BAD_CONFIGURATION, message)
        })
    }

    /// The host's end of the container's veth.
    fn host_end(&self) -> Told<String> {
        let netns: Netns = variable("CNI_NETNS")?.parse().map_err(|message| wrong(BAD_ENVIRONMENT, message))?;
        let find = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(other_end(&netns, &self.interface))
        };
        let found = find().with_context(|| format!("cannot look into the network namespace `{netns}`"));
        found.map_err(|error| wrong(REFUSED, format!("{error:#}")))?.ok_or_else(|| {
            let message = format!(
                "`{}` has no other end on the host, so nothing can be enforced there; use a plugin that makes a veth",
                self.interface
            );
            wrong(BAD_CONFIGURATION, message)
        })
    }

    /// What the container sends from.
    fn mac(&self, made: &Made) -> Told<Option<Mac>> {
        let mut inside = made.interfaces.iter().filter(|one| one.name == self.interface && !one.sandbox.is_empty());
        let mac = inside.find_map(|one| one.mac.as_deref()).map(str::parse).transpose();
        mac.map_err(|message| wrong(BAD_CONFIGURATION, message))
    }
}

fn arguments() -> BTreeMap<String, String> {
    let text = std::env::var("CNI_ARGS").unwrap_or_default();
    let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn variable(name: &str) -> Told<String> {
    crate::connection::environment(name).ok_or_else(|| wrong(BAD_ENVIRONMENT, format!("{name} is not set")))
}

fn wrong(code: u32, message: String) -> Wrong {
    Wrong { code, message }
}

fn failed(failure: Failure) -> Wrong {
    wrong(REFUSED, failure.to_string())
}
