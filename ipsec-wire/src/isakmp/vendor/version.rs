use super::{Recognised, Tail};
use core::fmt;

/// The name and what its version octets say; octets that say nothing known stand in hexadecimal.
impl fmt::Display for Recognised<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.known.name)?;
        let tail = self.tail;
        if tail.is_empty() {
            return Ok(());
        }
        match self.known.tail {
            Tail::MajorMinor => match tail {
                [major, minor] => write!(f, " {major}.{minor}"),
                _ => hex(tail, f),
            },
            Tail::Nibbles => match tail {
                [major, rest] => write!(f, " {major}.{}.{}", rest >> 4, rest & 0x0f),
                _ => hex(tail, f),
            },
            Tail::Text => text(tail, f),
            Tail::Capability => capability(tail, f),
            Tail::WindowsVersion => first_word(tail, windows, f),
            Tail::KeyModule => first_word(tail, key_module, f),
            Tail::AuthIpGroup => first_word(tail, auth_ip_group, f),
            Tail::CheckPoint => check_point(tail, f),
            Tail::NetScreen => net_screen(tail, f),
            Tail::SafeNet => safe_net(tail, f),
            // What Cisco scrambled says nothing.
            Tail::Scrambled => Ok(()),
            Tail::None | Tail::Version => hex(tail, f),
        }
    }
}

fn hex(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(" ")?;
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

/// Writes characters without the spaces and zeros at their ends.
fn text(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let end = octets.iter().rposition(|octet| *octet != 0).map_or(0, |last| last.saturating_add(1));
    let shown = octets.get(..end).unwrap_or(octets).trim_ascii();
    if shown.is_empty() { Ok(()) } else { write!(f, " {}", shown.escape_ascii()) }
}

fn word(octets: &[u8], index: usize) -> Option<u32> {
    octets.as_chunks().0.get(index).map(|word| u32::from_be_bytes(*word))
}

/// Writes what the first word means, and the rest in hexadecimal.
fn first_word(tail: &[u8], name: fn(u32) -> Option<&'static str>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some((first, rest)) = tail.split_first_chunk() else { return hex(tail, f) };
    let version = u32::from_be_bytes(*first);
    match name(version) {
        Some(name) => write!(f, " {name}")?,
        None => write!(f, " version {version}")?,
    }
    if rest.is_empty() { Ok(()) } else { hex(rest, f) }
}

/// Returns the release of Windows that a version word names.
fn windows(version: u32) -> Option<&'static str> {
    Some(match version {
        2 => "2000",
        3 => "XP SP1",
        4 => "2003 or XP SP2",
        5 => "Vista",
        6 => "2008",
        7 => "7",
        8 => "2008 R2",
        9 => "8 or later",
        16 => "2012",
        _ => return None,
    })
}

fn key_module(module: u32) -> Option<&'static str> {
    Some(match module {
        0 => "IKE",
        1 => "AuthIP",
        2 => "IKEv2",
        _ => return None,
    })
}

fn auth_ip_group(group: u32) -> Option<&'static str> {
    Some(match group {
        0 => "none",
        1 => "1",
        2 => "2",
        3 => "14",
        4 => "19",
        5 => "20",
        6 => "21",
        _ => return None,
    })
}

fn capability(tail: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    hex(tail, f)?;
    let bits = word(tail, 0).unwrap_or(0);
    match (bits >> 31 == 1, (bits >> 30) & 1 == 1) {
        (true, true) => f.write_str(" (main and aggressive mode, base mode)"),
        (true, false) => f.write_str(" (main and aggressive mode)"),
        (false, true) => f.write_str(" (base mode)"),
        (false, false) => Ok(()),
    }
}

fn check_point(tail: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (Some(product), Some(version)) = (word(tail, 0), word(tail, 1)) else { return hex(tail, f) };
    let name = match version {
        2 => "4.1",
        3 => "4.1 SP1",
        4002 => "4.1 SP2 to SP6",
        5000 => "NG",
        5001 => "NG FP1",
        5002 => "NG FP2",
        5003 => "NG FP3",
        5004 => "NG AI R54",
        5005 => "NG AI R55",
        _ => return write!(f, " product {product} version {version}"),
    };
    match product {
        1 => write!(f, " VPN-1 {name}"),
        _ => write!(f, " product {product} {name}"),
    }
}

fn net_screen(tail: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match *tail {
        [_, _, _, _, 0, 0, major, minor] => {
            write!(f, " model {} version {major}.{minor}", word(tail, 0).unwrap_or(0))
        }
        _ => hex(tail, f),
    }
}

fn safe_net(tail: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let said = tail.get(8..).and_then(<[u8]>::split_first);
    match said.and_then(|(length, rest)| rest.get(..usize::from(*length))) {
        Some(version) => text(version, f),
        None => hex(tail, f),
    }
}
