//! The anchor that is always there: a linear scan, sixteen rules at a time, in the form a compiler vectorises.

use super::rules::{Probe, Rule};
use super::{address, prefix_length};
use std::array;
use std::net::IpAddr;

const LANES: usize = 16;

/// A list of rules for addresses of so many words, sixteen to a block.
#[derive(Clone)]
#[repr(align(64))]
pub struct Lanes<const WORDS: usize> {
    local: [[u32; LANES]; WORDS],
    local_mask: [[u32; LANES]; WORDS],
    remote: [[u32; LANES]; WORDS],
    remote_mask: [[u32; LANES]; WORDS],
    local_port: [u32; LANES],
    local_width: [u32; LANES],
    remote_port: [u32; LANES],
    remote_width: [u32; LANES],
    protocol: [u32; LANES],
    protocol_mask: [u32; LANES],
}

/// A list of rules of one family.
pub enum Scan {
    V4(Vec<Lanes<1>>),
    V6(Vec<Lanes<4>>),
}

impl Scan {
    pub fn new(rules: &[Rule], v6: bool) -> Self {
        if v6 { Self::V6(Lanes::of(rules, v6)) } else { Self::V4(Lanes::of(rules, v6)) }
    }

    /// Returns the first rule that matches.
    pub fn find(&self, probe: &Probe) -> Option<usize> {
        match self {
            Self::V4(blocks) => find(blocks, probe, [probe.local], [probe.remote]),
            Self::V6(blocks) => {
                find(blocks, probe, words(address(probe.local, true)), words(address(probe.remote, true)))
            }
        }
    }
}

impl<const WORDS: usize> Lanes<WORDS> {
    /// What no packet has.
    const NOTHING: Self = Self {
        local: [[0; LANES]; WORDS],
        local_mask: [[0; LANES]; WORDS],
        remote: [[0; LANES]; WORDS],
        remote_mask: [[0; LANES]; WORDS],
        local_port: [0; LANES],
        local_width: [0; LANES],
        remote_port: [0; LANES],
        remote_width: [0; LANES],
        protocol: [256; LANES],
        protocol_mask: [u32::MAX; LANES],
    };

    fn of(rules: &[Rule], v6: bool) -> Vec<Self> {
        let block = |rules: &[Rule]| {
            let mut lanes = Self::NOTHING;
            for (lane, rule) in rules.iter().enumerate() {
                let set = |words: &mut [[u32; LANES]; WORDS], value: [u32; WORDS]| {
                    for (word, value) in words.iter_mut().zip(value) {
                        word[lane] = value;
                    }
                };
                set(&mut lanes.local, words(address(rule.local, v6)));
                set(&mut lanes.local_mask, mask_words(prefix_length(rule.local_length, v6)));
                set(&mut lanes.remote, words(address(rule.remote, v6)));
                set(&mut lanes.remote_mask, mask_words(prefix_length(rule.remote_length, v6)));
                lanes.local_port[lane] = rule.local_port.0.into();
                lanes.local_width[lane] = (rule.local_port.1 - rule.local_port.0).into();
                lanes.remote_port[lane] = rule.remote_port.0.into();
                lanes.remote_width[lane] = (rule.remote_port.1 - rule.remote_port.0).into();
                lanes.protocol[lane] = rule.protocol.unwrap_or(0).into();
                lanes.protocol_mask[lane] = if rule.protocol.is_some() { u32::MAX } else { 0 };
            }
            lanes
        };
        rules.chunks(LANES).map(block).collect()
    }
}

fn find<const WORDS: usize>(
    blocks: &[Lanes<WORDS>],
    probe: &Probe,
    local: [u32; WORDS],
    remote: [u32; WORDS],
) -> Option<usize> {
    let (local_port, remote_port) = (u32::from(probe.local_port), u32::from(probe.remote_port));
    let protocol = u32::from(probe.protocol);
    for (number, block) in blocks.iter().enumerate() {
        let mut hits = [0u32; LANES];
        for (lane, hit) in hits.iter_mut().enumerate() {
            let mut differs = (protocol ^ block.protocol[lane]) & block.protocol_mask[lane];
            for word in 0..WORDS {
                differs |= (local[word] ^ block.local[word][lane]) & block.local_mask[word][lane];
                differs |= (remote[word] ^ block.remote[word][lane]) & block.remote_mask[word][lane];
            }
            let ports = (local_port.wrapping_sub(block.local_port[lane]) <= block.local_width[lane])
                & (remote_port.wrapping_sub(block.remote_port[lane]) <= block.remote_width[lane]);
            *hit = u32::from((differs == 0) & ports);
        }
        if let Some(lane) = hits.iter().position(|hit| *hit != 0) {
            return Some(number * LANES + lane);
        }
    }
    None
}

fn words<const WORDS: usize>(address: IpAddr) -> [u32; WORDS] {
    first_words(match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    })
}

fn mask_words<const WORDS: usize>(length: u8) -> [u32; WORDS] {
    first_words(u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0))
}

fn first_words<const WORDS: usize>(bits: u128) -> [u32; WORDS] {
    array::from_fn(|word| (bits >> (96 - 32 * word)) as u32)
}
