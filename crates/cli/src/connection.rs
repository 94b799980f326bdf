//! Which server is asked, and with which token: from options, the environment, or a data directory.
//!
//! A data directory that is named on the command line beats the environment; one that the environment names
//! counts only if it names no server. So a token is never sent to a server that it was not meant for.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    cli::ConnectionArgs,
    credentials::{self, Credentials},
    exit::Failure,
};

/// The variable that names a data directory.
pub(crate) const DATA_DIR: &str = "SEKIMORI_DATA_DIR";

/// A server, and what it takes to be let in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// `http://host:port`, without a slash at the end.
    pub(crate) endpoint: String,
    /// The operator's token.
    pub(crate) token: String,
    /// The certificate to trust instead of the public ones.
    pub(crate) ca: Option<PathBuf>,
}

/// Finds the server that is meant.
///
/// # Errors
/// Says what is missing and where it can be given.
pub(crate) fn resolve(args: &ConnectionArgs, env: impl Fn(&str) -> Option<String>) -> Result<Target, Failure> {
    let is_named_by_env = env(credentials::ENDPOINT).is_some() || env(credentials::TOKEN).is_some();
    let is_named = is_named_by_env || args.endpoint.is_some() || args.token_file.is_some();
    let file = match &args.data_dir {
        Some(dir) => Some(read(dir)?),
        None if is_named => None,
        None => env(DATA_DIR).map(|dir| read(Path::new(&dir))).transpose()?,
    };
    let look_up = |name: &str| match &file {
        Some(file) => file.get(name).map(str::to_owned),
        None => env(name),
    };
    let token = match &args.token_file {
        Some(path) => Some(read_token(path)?),
        None => look_up(credentials::TOKEN),
    };
    let endpoint = args.endpoint.clone().or_else(|| look_up(credentials::ENDPOINT));
    let ca = args.ca_file.clone().or_else(|| look_up(credentials::CA).map(PathBuf::from));
    Ok(Target {
        endpoint: check(&endpoint.ok_or_else(|| missing("server", "--endpoint URL", credentials::ENDPOINT))?)?,
        token: token.ok_or_else(|| missing("token", "--token-file FILE", credentials::TOKEN))?,
        ca,
    })
}

/// The data directory that is meant, for the commands that work on one.
///
/// # Errors
/// Says how to name one.
pub(crate) fn data_dir(args: &ConnectionArgs, env: impl Fn(&str) -> Option<String>) -> Result<PathBuf, Failure> {
    let dir = args.data_dir.clone().or_else(|| env(DATA_DIR).map(PathBuf::from));
    dir.ok_or_else(|| Failure::usage(format!("no data directory is named; give --data-dir DIR, or set {DATA_DIR}")))
}

/// The environment of this process.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn missing(what: &str, option: &str, variable: &str) -> Failure {
    Failure::usage(format!("no {what} is named; give --data-dir DIR or {option}, or set {variable}"))
}

fn check(endpoint: &str) -> Result<String, Failure> {
    let rest = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
    match rest.map(|rest| rest.trim_end_matches('/')) {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']) => {
            Ok(endpoint.trim_end_matches('/').to_owned())
        }
        Some(_) | None => Err(Failure::usage(format!(
            "`{endpoint}` is not an endpoint; write http://HOST:PORT or https://HOST:PORT"
        ))),
    }
}

fn read(dir: &Path) -> Result<Credentials, Failure> {
    let path = dir.join(credentials::FILE);
    let text = fs::read_to_string(&path).map_err(|error| {
        anyhow::anyhow!("cannot read `{}`: {error}; is `sekimori up` running there, and is it yours?", path.display())
    })?;
    Ok(Credentials::parse(&text).map_err(|error| anyhow::anyhow!("`{}`: {error}", path.display()))?)
}

fn read_token(path: &Path) -> Result<String, Failure> {
    let token = fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("cannot read the token in `{}`: {error}", path.display()))?;
    let token = token.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(anyhow::anyhow!("`{}` holds no token; write it there alone, on one line", path.display()).into());
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "SEKIMORI_ENDPOINT=http://127.0.0.1:1\nSEKIMORI_TOKEN=of-file\nSEKIMORI_CA=/ca.pem\n";

    fn dir() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(credentials::FILE), FILE).unwrap();
        dir
    }

    fn found(args: &ConnectionArgs, env: &[(&str, &str)]) -> Result<(String, String), String> {
        let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let target = resolve(args, env).map_err(|failure| failure.to_string())?;
        Ok((target.endpoint, target.token))
    }

    fn pair(endpoint: &str, token: &str) -> Result<(String, String), String> {
        Ok((endpoint.to_owned(), token.to_owned()))
    }

    #[test]
    fn a_directory_on_the_command_line_beats_the_environment() {
        let dir = dir();
        let args = ConnectionArgs { data_dir: Some(dir.path().into()), ..ConnectionArgs::default() };
        let env = [(credentials::ENDPOINT, "http://other:2"), (credentials::TOKEN, "of-env")];
        assert_eq!(found(&args, &env), pair("http://127.0.0.1:1", "of-file"));
        assert_eq!(found(&ConnectionArgs::default(), &env), pair("http://other:2", "of-env"));
    }

    #[test]
    fn a_directory_in_the_environment_never_lends_its_token_to_another_server() {
        let dir = dir();
        let path = dir.path().to_str().unwrap();
        assert_eq!(found(&ConnectionArgs::default(), &[(DATA_DIR, path)]), pair("http://127.0.0.1:1", "of-file"));
        let refused =
            found(&ConnectionArgs::default(), &[(DATA_DIR, path), (credentials::ENDPOINT, "http://other:2")]);
        assert!(refused.unwrap_err().contains("no token is named"));
        let args = ConnectionArgs { endpoint: Some("http://other:2".to_owned()), ..ConnectionArgs::default() };
        assert!(found(&args, &[(DATA_DIR, path)]).unwrap_err().contains("no token is named"));
    }

    #[test]
    fn an_option_beats_everything() {
        let dir = dir();
        let token = dir.path().join("token");
        fs::write(&token, "of-option\n").unwrap();
        let args = ConnectionArgs {
            endpoint: Some("https://other:2/".to_owned()),
            token_file: Some(token),
            data_dir: Some(dir.path().into()),
            ..ConnectionArgs::default()
        };
        assert_eq!(found(&args, &[]), pair("https://other:2", "of-option"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        assert!(found(&ConnectionArgs::default(), &[]).unwrap_err().contains("--endpoint"));
        let args = ConnectionArgs { endpoint: Some("127.0.0.1:1".to_owned()), ..ConnectionArgs::default() };
        let refused = found(&args, &[(credentials::TOKEN, "t")]).unwrap_err();
        assert!(refused.contains("`127.0.0.1:1` is not an endpoint"), "{refused}");
        let args = ConnectionArgs { data_dir: Some("/nowhere".into()), ..ConnectionArgs::default() };
        assert!(found(&args, &[]).unwrap_err().contains("`/nowhere/credentials.env`"));
    }
}
