//! The command line: where to listen, and which misbehaviour to show.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Shown when the command line is not understood.
pub const USAGE: &str = "usage: standin-gateway --port N [--bind ADDR]... [--state DIR] [--ready-after MS | --never-ready] \
[--html-everywhere] [--ignore-term] [--crash-after MS] [--exit CODE]   (without --port: $PORT)";

/// What the command line asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// TCP port, 0 for any free one.
    pub port: u16,
    /// Addresses to listen on; 0.0.0.0 if none was given.
    pub bind: Vec<IpAddr>,
    /// `/startupz` and `/readyz` answer 503 until this long after the start.
    pub ready_after: Duration,
    /// `/startupz` and `/readyz` answer 503 for ever.
    pub never_ready: bool,
    /// Every path answers 200 with HTML, as a gateway does whose health paths do not exist.
    pub html_everywhere: bool,
    /// SIGTERM and SIGINT are swallowed.
    pub ignore_term: bool,
    /// SIGABRT to itself this long after the start.
    pub crash_after: Option<Duration>,
    /// Exit with this code before listening.
    pub exit: Option<u8>,
    /// Folder in which the number of starts is kept.
    pub state: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments after the program's name; `port` is the environment's PORT.
    pub fn parse(mut args: impl Iterator<Item = String>, port: Option<String>) -> Result<Self, String> {
        let mut wanted_port = port.map(|text| number("PORT", &text)).transpose()?;
        let mut options = Self {
            port: 0,
            bind: Vec::new(),
            ready_after: Duration::ZERO,
            never_ready: false,
            html_everywhere: false,
            ignore_term: false,
            crash_after: None,
            exit: None,
            state: None,
        };
        while let Some(flag) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{flag} needs a value; {USAGE}"));
            match flag.as_str() {
                "--port" => wanted_port = Some(number(&flag, &value()?)?),
                "--bind" => options.bind.push(number(&flag, &value()?)?),
                "--ready-after" => options.ready_after = Duration::from_millis(number(&flag, &value()?)?),
                "--crash-after" => {
                    options.crash_after = Some(Duration::from_millis(number(&flag, &value()?)?))
                }
                "--exit" => options.exit = Some(number(&flag, &value()?)?),
                "--state" => options.state = Some(PathBuf::from(value()?)),
                "--never-ready" => options.never_ready = true,
                "--html-everywhere" => options.html_everywhere = true,
                "--ignore-term" => options.ignore_term = true,
                other => return Err(format!("unknown argument {other}; {USAGE}")),
            }
        }
        if options.bind.is_empty() {
            options.bind.push(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        }
        match (wanted_port, options.exit) {
            (Some(port), _) => options.port = port,
            (None, Some(_)) => {}
            (None, None) => return Err(format!("no port given; {USAGE}")),
        }
        Ok(options)
    }
}

fn number<T: FromStr>(flag: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{flag} does not take {text:?}; {USAGE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned), None)
    }

    #[test]
    fn every_option_is_read() {
        let options = parse(
            "--port 8080 --bind 127.0.0.1 --bind ::1 --ready-after 20 --never-ready --ignore-term --crash-after 5 \
             --html-everywhere --state /s",
        )
        .unwrap();
        assert_eq!(options.port, 8080);
        assert_eq!(options.bind.len(), 2);
        assert_eq!(options.ready_after, Duration::from_millis(20));
        assert_eq!(options.crash_after, Some(Duration::from_millis(5)));
        assert!(options.never_ready && options.ignore_term && options.html_everywhere);
        assert_eq!(options.state, Some(PathBuf::from("/s")));
    }

    #[test]
    fn a_port_is_needed_but_for_exit() {
        assert!(parse("").is_err());
        assert_eq!(parse("--exit 78").unwrap().exit, Some(78));
        assert_eq!(Options::parse(std::iter::empty(), Some("99".into())).unwrap().port, 99);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in
            ["--port x", "--port", "--port 70000", "--port 1 --bind host", "--port 1 --what", "--exit 256"]
        {
            assert!(parse(line).unwrap_err().contains("usage"), "{line}");
        }
    }
}
