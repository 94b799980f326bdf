//! How a command ends: what it prints about a failure, and its exit code. The only place that knows the codes.

use std::{fmt, io, process::ExitCode};

use anstream::{eprint, eprintln};

/// The command line cannot be understood (`EX_USAGE` of sysexits).
const USAGE: u8 = 64;

/// What became of a command that could be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Done, or yes.
    Yes,
    /// Done, and the answer is no.
    No,
}

/// Why a command was not carried out.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line asks for something that makes no sense.
    Usage(String),
    /// It did not work.
    Failed(anyhow::Error),
    /// Somebody else has what is needed, and will give it back: trying again makes sense.
    Busy(anyhow::Error),
    /// Nobody reads the output any more, which is not an error of ours.
    ReaderGone,
}

/// The outcome of a command.
pub(crate) type Outcome = Result<Answer, Failure>;

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Failed(_) => 1,
            Self::Busy(_) => BUSY,
            Self::ReaderGone => 0,
        }
    }
}

/// What a server says to the process that started it when it should be started again (`EX_TEMPFAIL`).
pub(crate) const BUSY: u8 = 75;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) => write!(f, "{message}; see `sekimori help`"),
            // The alternate form is the whole chain of causes in one line.
            Self::Failed(error) | Self::Busy(error) => write!(f, "{error:#}"),
            Self::ReaderGone => f.write_str("nobody reads the output"),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::ReaderGone } else { Self::Failed(error.into()) }
    }
}

/// Tells a failure, and returns the exit code of an outcome.
pub(crate) fn report(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(2),
        Err(failure) => {
            if failure.code() != 0 {
                eprintln!("sekimori: {failure}");
            }
            ExitCode::from(failure.code())
        }
    }
}

/// Shows help, the version, or what is wrong with the command line.
pub(crate) fn report_usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Whoever asked for help and does not read it needs none.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let message = error.render().to_string();
    match message.strip_prefix("error: ") {
        Some(message) => eprint!("sekimori: {message}"),
        // Without any command the message is the help.
        None => eprint!("{message}"),
    }
    ExitCode::from(USAGE)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_failure_is_one_line_with_its_causes() {
        let failure = Failure::from(anyhow!("no route").context("cannot reach `x`"));
        assert_eq!((failure.to_string().as_str(), failure.code()), ("cannot reach `x`: no route", 1));
        assert_eq!(Failure::usage("`x` is not a service").code(), 64);
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).code(), 0);
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::NotFound)).code(), 1);
    }
}
