//! The anchor that is always there: a linear scan, sixteen rules at a time, in the form a compiler vectorises.

use super::rules::{Probe, Rule, mask};

const LANES: usize = 16;

#[derive(Clone)]
#[repr(align(64))]
struct Lanes {
    local: [u32; LANES],
    local_mask: [u32; LANES],
    remote: [u32; LANES],
    remote_mask: [u32; LANES],
    local_port: [u32; LANES],
    local_width: [u32; LANES],
    remote_port: [u32; LANES],
    remote_width: [u32; LANES],
    protocol: [u32; LANES],
    protocol_mask: [u32; LANES],
}

/// A list of rules, sixteen to a block.
pub struct Scan {
    blocks: Vec<Lanes>,
}

impl Scan {
    pub fn new(rules: &[Rule]) -> Self {
        let blocks = rules.chunks(LANES).map(|rules| {
            // What no packet has, for the lanes without a rule.
            let mut lanes = Lanes {
                local: [1; LANES],
                local_mask: [0; LANES],
                remote: [0; LANES],
                remote_mask: [0; LANES],
                local_port: [0; LANES],
                local_width: [0; LANES],
                remote_port: [0; LANES],
                remote_width: [0; LANES],
                protocol: [256; LANES],
                protocol_mask: [u32::MAX; LANES],
            };
            for (lane, rule) in rules.iter().enumerate() {
                lanes.local[lane] = rule.local;
                lanes.local_mask[lane] = mask(rule.local_length);
                lanes.remote[lane] = rule.remote;
                lanes.remote_mask[lane] = mask(rule.remote_length);
                lanes.local_port[lane] = rule.local_port.0.into();
                lanes.local_width[lane] = (rule.local_port.1 - rule.local_port.0).into();
                lanes.remote_port[lane] = rule.remote_port.0.into();
                lanes.remote_width[lane] = (rule.remote_port.1 - rule.remote_port.0).into();
                lanes.protocol[lane] = rule.protocol.unwrap_or(0).into();
                lanes.protocol_mask[lane] = if rule.protocol.is_some() { u32::MAX } else { 0 };
            }
            lanes
        });
        Self { blocks: blocks.collect() }
    }

    /// Returns the first rule that matches.
    pub fn find(&self, probe: &Probe) -> Option<usize> {
        let (local_port, remote_port) = (u32::from(probe.local_port), u32::from(probe.remote_port));
        let protocol = u32::from(probe.protocol);
        for (number, block) in self.blocks.iter().enumerate() {
            let mut hits = [0u32; LANES];
            for (lane, hit) in hits.iter_mut().enumerate() {
                let differs = ((probe.local ^ block.local[lane]) & block.local_mask[lane])
                    | ((probe.remote ^ block.remote[lane]) & block.remote_mask[lane])
                    | ((protocol ^ block.protocol[lane]) & block.protocol_mask[lane]);
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
}
