//! moto, another server of the EC2 API: everything in memory, nothing enforced. As PyPI has it: one process, threads of werkzeug.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;

use crate::{
    ec2::Client,
    ecs::Key,
    server::{resident_mib_of, wait_until},
    stop::Stop,
};

/// A moto server that is ended when this goes.
pub struct Moto {
    child: Child,
    endpoint: String,
}

impl Moto {
    /// Starts one, and waits until it answers.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(program: &Path, stop: &Stop) -> anyhow::Result<Self> {
        let shown = program.display();
        anyhow::ensure!(program.exists(), "there is no `{shown}`; `make bench` installs it");
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p"]).arg(port.to_string());
        // Images that nobody asks for would take time and memory.
        command.env("MOTO_EC2_LOAD_DEFAULT_AMIS", "false");
        // A line for every request goes nowhere, which costs it least.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("cannot run `{shown}`"))?;
        let mut moto = Self { child, endpoint: format!("http://127.0.0.1:{port}") };
        let url = format!("{}/moto-api/data.json", moto.endpoint);
        wait_until(&mut moto.child, &url, stop).with_context(|| format!("`{shown}` does not serve"))?;
        Ok(moto)
    }

    /// A client; every key is good.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.endpoint, Key { id: "moto".to_owned(), secret: "moto".to_owned() })
    }

    /// The memory that it holds, in MiB.
    ///
    /// # Errors
    /// When the process cannot be read.
    pub fn resident_mib(&self) -> anyhow::Result<f64> {
        resident_mib_of(self.child.id())
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It has nothing to end in order.
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("cannot end moto: {error}");
        }
    }
}
