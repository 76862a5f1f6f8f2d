//! What is told of single packets: `[debug.NAME]` in the file and `debug` on the control socket.

use super::file::FileError;
use gateway::{DebugFlags, DebugSettings, DebugTarget, PolicyStatus, defaults};
use serde::{Deserialize, Deserializer};

/// What is told of the packets of a policy, a child or a pair with manual keys. The lines show clear packets.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debug {
    /// Which selectors packets are held against.
    #[serde(default)]
    pub filter: Flags,
    /// Packets before and after they are processed.
    #[serde(default)]
    pub packet: Flags,
    /// The steps that packets take.
    #[serde(default)]
    pub trace: Flags,
    /// How many octets of a packet are shown.
    pub length: Option<usize>,
    /// A number that is shown with the settings.
    pub device: Option<u32>,
}

/// `off`, `all`, or words of the filters that a line has to pass, such as `in fail raddress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub DebugFlags);

impl<'de> Deserialize<'de> for Flags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let flags = String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(flags))
    }
}

impl Debug {
    /// Returns the settings for the engine.
    ///
    /// # Errors
    /// The length is beyond what is shown.
    pub fn plan(&self, field: &str) -> Result<DebugSettings, FileError> {
        let packet_length = self.length.unwrap_or(defaults::DEBUG_LENGTH);
        if packet_length > defaults::MAX_DEBUG_LENGTH {
            let reason = format!("must be at most {}", defaults::MAX_DEBUG_LENGTH);
            return Err(FileError::refused(format!("{field}.length"), reason));
        }
        Ok(DebugSettings {
            device: self.device.unwrap_or(defaults::DEBUG_DEVICE),
            filter: self.filter.0,
            packet: self.packet.0,
            trace: self.trace.0,
            packet_length,
        })
    }
}

/// A change of what is told, as the control socket takes it: `NAME off`, `NAME all`, or `NAME filter|packet|trace FLAGS`;
/// the name `*` is that of every policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    name: String,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Everything(DebugSettings),
    Filter(DebugFlags),
    Packet(DebugFlags),
    Trace(DebugFlags),
}

impl Change {
    /// Reads the words behind `debug`; `None` if they are no change.
    pub fn read<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Self> {
        let name = words.next()?.to_owned();
        let kind = words.next()?;
        let flags = words.collect::<Vec<_>>().join(" ");
        let what = match (kind, flags.as_str()) {
            ("off", "") => What::Everything(DebugSettings::OFF),
            ("all", "") => What::Everything(DebugSettings::ALL),
            ("filter", flags) => What::Filter(flags.parse().ok()?),
            ("packet", flags) => What::Packet(flags.parse().ok()?),
            ("trace", flags) => What::Trace(flags.parse().ok()?),
            _ => return None,
        };
        Some(Self { name, what })
    }

    /// Returns whose packets are meant, and what is told of them now in place of before.
    pub fn settings(&self, policies: &[PolicyStatus]) -> (DebugTarget, DebugSettings) {
        let before = policies.iter().find(|policy| policy.name == self.name);
        let before = before.map(|policy| policy.debug).unwrap_or_default();
        let settings = match self.what {
            What::Everything(DebugSettings { filter, packet, trace, .. }) => {
                DebugSettings { filter, packet, trace, ..before }
            }
            What::Filter(filter) => DebugSettings { filter, ..before },
            What::Packet(packet) => DebugSettings { packet, ..before },
            What::Trace(trace) => DebugSettings { trace, ..before },
        };
        let of = if self.name == "*" { DebugTarget::AllPolicies } else { DebugTarget::Policy(self.name.clone()) };
        (of, settings)
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::File;
    use super::super::log::Log;
    use super::*;
    use drive::Instant;
    use gateway::{Action, Command, Gateway};

    const SAMPLE: &str = include_str!("../../gatewayd.toml");

    /// The sample with its table of debugging in force, and with one word in place of another.
    fn sample(from: &str, to: &str) -> String {
        let (before, table) = SAMPLE.split_once("# [debug.net]").unwrap();
        let text = format!("{before}[debug.net]{}", table.replace("\n# ", "\n"));
        assert!(text.contains(from), "{text}");
        text.replacen(from, to, 1)
    }

    #[test]
    fn the_lines_that_the_file_asks_for_are_printed() {
        let file = File::parse(sample("", "").as_bytes()).unwrap();
        let plan = file.plan().unwrap();
        let log = Log::new(file.daemon.log, &plan);
        let mut engine = Gateway::new(plan, Box::new(rand_core::UnwrapErr(getrandom::SysRng)));
        let mut packet = vec![0x45, 0, 0, 28, 0, 1, 0, 0, 64, 1, 0, 0, 10, 10, 1, 1, 10, 10, 2, 1];
        packet.extend_from_slice(&[8, 0, 0, 0, 0, 0, 0, 0]);
        let send = |engine: &mut Gateway| -> Vec<String> {
            let _ = engine.handle_packet(Instant::ZERO, &packet);
            let actions = core::iter::from_fn(|| engine.poll_action());
            let text = |action| if let Action::Event(event) = action { Some(log.text(&event).1) } else { None };
            actions.filter_map(text).filter(|text| text.starts_with("IPSEC")).collect()
        };
        let lines = send(&mut engine);
        assert!(lines.contains(&"IPSEC: filt: pass: laddr: pol net".to_owned()), "{lines:#?}");
        assert!(lines.iter().any(|line| line.starts_with("IPSEC net: OUT: acquire: initiatorAddress 192.0.2.1, ")));
        // The control socket changes it while the daemon runs.
        let change = Change::read("net filter fail".split(' ')).unwrap();
        let (of, settings) = change.settings(&engine.snapshot(Instant::ZERO).policies);
        engine.handle_command(Instant::ZERO, Command::Debug { of, settings }).unwrap();
        let lines = send(&mut engine);
        assert!(!lines.is_empty() && lines.iter().all(|line| line.starts_with("IPSEC net: ")), "{lines:#?}");
        let (of, settings) = Change::read("* off".split(' ')).unwrap().settings(&[]);
        engine.handle_command(Instant::ZERO, Command::Debug { of, settings }).unwrap();
        assert_eq!(send(&mut engine), [""; 0]);
    }

    #[test]
    fn what_makes_no_sense_names_its_field() {
        let error =
            File::parse(sample("filter = \"all\"", "filter = \"everything\"").as_bytes()).unwrap_err().to_string();
        assert!(error.contains("debug.net") && error.contains("laddress"), "{error}");
        let plan = |text: String| File::parse(text.as_bytes()).unwrap().plan().map(|_| ()).unwrap_err().to_string();
        assert!(plan(sample("length = 72", "length = 4096")).starts_with("debug.net.length: must be at most 2048"));
        assert!(plan(sample("[debug.net]", "[debug.nett]")).contains("no policy nett"));
    }

    #[test]
    fn a_change_is_read_and_anything_else_is_none() {
        let read = |text: &str| Change::read(text.split(' '));
        for good in ["net off", "* all", "net filter in fail", "net packet out,ipheader", "net trace off"] {
            assert!(read(good).is_some(), "{good}");
        }
        for bad in ["net", "net on", "net off now", "net filter", "net filter sideways", "net all in"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
