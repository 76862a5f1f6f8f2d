//! A network address translator, by the words of RFC 4787.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use drive::{Instant, Transmit};
use std::collections::BTreeMap;

/// What the far end has to do with a mapping or a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dependence {
    /// Nothing: one mapping for all, or anybody may answer.
    EndpointIndependent,
    /// Its address counts.
    AddressDependent,
    /// Its address and port count.
    AddressAndPortDependent,
}

/// Which outside port a new mapping gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortChoice {
    /// The inside port while it is free, else the next of the range.
    Preserve,
    /// The next of the range, so that ports always change.
    Sequential,
}

/// The behaviour of a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatConfig {
    /// The address that everything behind it appears to come from.
    pub outside: IpAddr,
    /// When two packets of one inside end share a mapping, RFC 4787 §4.1.
    pub mapping: Dependence,
    /// Who may send inward through a mapping, RFC 4787 §5.
    pub filtering: Dependence,
    /// Which outside port a mapping gets, RFC 4787 §4.2.
    pub port_choice: PortChoice,
    /// The first and last outside port of its range.
    pub ports: (u16, u16),
    /// How long an unused mapping lives, RFC 4787 §4.3.
    pub idle: Duration,
    /// Whether packets from outside keep a mapping alive; packets from inside always do.
    pub inbound_refreshes: bool,
    /// Whether payloads directly over IP (ESP, L2TPv3) pass, one inside host per far address.
    pub ip_protocols: bool,
    /// The most mappings it holds; a packet that needs one more is dropped.
    pub capacity: usize,
}

impl NatConfig {
    /// Returns the common home router: mapping independent of the far end, filtering by its address and
    /// port, ports changed, two minutes, UDP only.
    pub const fn new(outside: IpAddr) -> Self {
        Self {
            outside,
            mapping: Dependence::EndpointIndependent,
            filtering: Dependence::AddressAndPortDependent,
            port_choice: PortChoice::Sequential,
            ports: (20_000, 30_000),
            idle: Duration::from_secs(120),
            inbound_refreshes: true,
            ip_protocols: false,
            capacity: 10_000,
        }
    }

    /// Returns the same NAT with a mapping per far address and port: the kind called symmetric.
    pub const fn symmetric(outside: IpAddr) -> Self {
        let mut config = Self::new(outside);
        config.mapping = Dependence::AddressAndPortDependent;
        config
    }
}

/// Why a NAT dropped a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum NatDrop {
    /// From outside, and no mapping has that port.
    NoMapping,
    /// From outside, by an end that the filter does not know.
    Filtered,
    /// The NAT does not pass this IP protocol.
    Protocol,
    /// No mapping or port is left.
    Full,
}

/// What one mapping is looked up by from inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct InsideKey {
    protocol: u8,
    inside: SocketAddr,
    /// The part of the far end that counts; the unspecified address and port 0 for what does not.
    far: SocketAddr,
}

/// What one mapping is looked up by from outside. Without ports, the far address tells hosts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct OutsideKey {
    protocol: u8,
    port: u16,
    far: Option<IpAddr>,
}

#[derive(Clone, Debug)]
struct Mapping {
    key: InsideKey,
    used: Instant,
    contacted: BTreeMap<SocketAddr, Instant>,
}

/// A NAT at work.
#[derive(Clone, Debug)]
pub struct Nat {
    config: NatConfig,
    by_inside: BTreeMap<InsideKey, OutsideKey>,
    by_outside: BTreeMap<OutsideKey, Mapping>,
    next_port: u16,
}

impl Nat {
    /// Returns a NAT without mappings.
    pub fn new(config: NatConfig) -> Self {
        Self { config, by_inside: BTreeMap::new(), by_outside: BTreeMap::new(), next_port: config.ports.0 }
    }

    /// Returns its behaviour.
    pub const fn config(&self) -> &NatConfig {
        &self.config
    }

    /// Returns the number of mappings, those that fell idle since the last packet included.
    pub fn mappings(&self) -> usize {
        self.by_outside.len()
    }

    /// Returns the outside end that `inside` has toward `far` now.
    pub fn outside_of(&self, now: Instant, protocol: u8, inside: SocketAddr, far: SocketAddr) -> Option<SocketAddr> {
        let outside = self.by_inside.get(&self.inside_key(protocol, inside, far))?;
        let mapping = self.by_outside.get(outside)?;
        self.alive(mapping, now).then(|| SocketAddr::new(self.config.outside, outside.port))
    }

    /// Forgets every mapping; new ones get other ports, as after a reboot.
    pub fn rebind(&mut self) {
        self.by_inside.clear();
        self.by_outside.clear();
    }

    /// Forgets every mapping and moves to another outside address, as on a new lease.
    pub fn rebind_to(&mut self, outside: IpAddr) {
        self.rebind();
        self.config.outside = outside;
    }

    /// Translates a packet on its way out: its source becomes the outside end.
    ///
    /// # Errors
    /// The packet is dropped; its source is unchanged.
    pub fn outbound(&mut self, now: Instant, packet: &mut Transmit) -> Result<(), NatDrop> {
        let path = packet.path;
        if !path.is_udp() && !self.config.ip_protocols {
            return Err(NatDrop::Protocol);
        }
        let key = self.inside_key(path.protocol, path.local, path.remote);
        let live = self.by_inside.get(&key).copied().filter(|outside| self.is_alive(outside, now));
        let outside = match live {
            Some(outside) => outside,
            None => self.create(now, key, path.remote)?,
        };
        if let Some(mapping) = self.by_outside.get_mut(&outside) {
            mapping.used = now;
            mapping.contacted.insert(path.remote, now);
        }
        packet.path.local = SocketAddr::new(self.config.outside, outside.port);
        Ok(())
    }

    /// Translates a packet on its way in: its destination becomes the inside end.
    ///
    /// # Errors
    /// The packet is dropped; its destination is unchanged.
    pub fn inbound(&mut self, now: Instant, packet: &mut Transmit) -> Result<(), NatDrop> {
        let path = packet.path;
        let far = path.local;
        let key = self.outside_key(path.protocol, path.remote.port(), far);
        if !self.is_alive(&key, now) {
            self.forget(&key);
            return Err(NatDrop::NoMapping);
        }
        let Some(mapping) = self.by_outside.get_mut(&key) else { return Err(NatDrop::NoMapping) };
        let known = match self.config.filtering {
            Dependence::EndpointIndependent => true,
            Dependence::AddressDependent => mapping.contacted.keys().any(|end| end.ip() == far.ip()),
            Dependence::AddressAndPortDependent => mapping.contacted.contains_key(&far),
        };
        if !known {
            return Err(NatDrop::Filtered);
        }
        if self.config.inbound_refreshes {
            mapping.used = now;
        }
        packet.path.remote = mapping.key.inside;
        Ok(())
    }

    fn inside_key(&self, protocol: u8, inside: SocketAddr, far: SocketAddr) -> InsideKey {
        let nobody: IpAddr = match far {
            SocketAddr::V4(_) => [0u8; 4].into(),
            SocketAddr::V6(_) => [0u8; 16].into(),
        };
        let far = match self.config.mapping {
            // Without ports the far address is all there is to find the way back by.
            _ if protocol != drive::Path::UDP => far,
            Dependence::EndpointIndependent => SocketAddr::new(nobody, 0),
            Dependence::AddressDependent => SocketAddr::new(far.ip(), 0),
            Dependence::AddressAndPortDependent => far,
        };
        InsideKey { protocol, inside, far }
    }

    fn outside_key(&self, protocol: u8, port: u16, far: SocketAddr) -> OutsideKey {
        let far = (protocol != drive::Path::UDP).then(|| far.ip());
        OutsideKey { protocol, port, far }
    }

    fn alive(&self, mapping: &Mapping, now: Instant) -> bool {
        now < mapping.used + self.config.idle
    }

    fn is_alive(&self, key: &OutsideKey, now: Instant) -> bool {
        self.by_outside.get(key).is_some_and(|mapping| self.alive(mapping, now))
    }

    fn forget(&mut self, key: &OutsideKey) {
        if let Some(mapping) = self.by_outside.remove(key) {
            self.by_inside.remove(&mapping.key);
        }
    }

    fn create(&mut self, now: Instant, key: InsideKey, far: SocketAddr) -> Result<OutsideKey, NatDrop> {
        if let Some(expired) = self.by_inside.get(&key).copied() {
            self.forget(&expired);
        }
        if self.by_outside.len() >= self.config.capacity {
            let idle: Vec<_> =
                self.by_outside.iter().filter(|(_, m)| !self.alive(m, now)).map(|(key, _)| *key).collect();
            idle.iter().for_each(|key| self.forget(key));
        }
        if self.by_outside.len() >= self.config.capacity {
            return Err(NatDrop::Full);
        }
        let port = self.free_port(now, key, far).ok_or(NatDrop::Full)?;
        let outside = self.outside_key(key.protocol, port, far);
        self.forget(&outside);
        self.by_inside.insert(key, outside);
        self.by_outside.insert(outside, Mapping { key, used: now, contacted: BTreeMap::new() });
        Ok(outside)
    }

    fn free_port(&mut self, now: Instant, key: InsideKey, far: SocketAddr) -> Option<u16> {
        let free = |nat: &Self, port| !nat.is_alive(&nat.outside_key(key.protocol, port, far), now);
        if key.protocol != drive::Path::UDP {
            return free(self, 0).then_some(0);
        }
        if self.config.port_choice == PortChoice::Preserve && free(self, key.inside.port()) {
            return Some(key.inside.port());
        }
        let (first, last) = self.config.ports;
        for _ in first..=last {
            let port = self.next_port;
            self.next_port = if port >= last { first } else { port.saturating_add(1) };
            if free(self, port) {
                return Some(port);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use drive::Path;

    const INSIDE: ([u8; 4], u16) = ([10, 1, 0, 10], 500);
    const FAR: ([u8; 4], u16) = ([192, 0, 2, 2], 500);
    const FAR_OTHER_PORT: ([u8; 4], u16) = ([192, 0, 2, 2], 4500);
    const OTHER: ([u8; 4], u16) = ([192, 0, 2, 3], 500);

    fn config() -> NatConfig {
        NatConfig::new([192, 0, 2, 254].into())
    }

    fn out(nat: &mut Nat, now: u64, from: ([u8; 4], u16), to: ([u8; 4], u16)) -> Result<SocketAddr, NatDrop> {
        let mut packet = Transmit { path: Path::new(from.into(), to.into()), payload: Bytes::new() };
        nat.outbound(Instant::from_secs(now), &mut packet).map(|()| packet.path.local)
    }

    fn back(nat: &mut Nat, now: u64, from: ([u8; 4], u16), to: SocketAddr) -> Result<SocketAddr, NatDrop> {
        let mut packet = Transmit { path: Path::new(from.into(), to), payload: Bytes::new() };
        nat.inbound(Instant::from_secs(now), &mut packet).map(|()| packet.path.remote)
    }

    #[test]
    fn a_mapping_changes_address_and_port_and_answers_find_the_way_back() {
        let mut nat = Nat::new(config());
        let outside = out(&mut nat, 0, INSIDE, FAR).unwrap();
        assert_eq!(outside, ([192, 0, 2, 254], 20_000).into());
        assert_eq!(back(&mut nat, 1, FAR, outside), Ok(INSIDE.into()));
        assert_eq!(nat.outside_of(Instant::ZERO, Path::UDP, INSIDE.into(), FAR.into()), Some(outside));
    }

    #[test]
    fn mapping_kinds_share_as_rfc_4787_says() {
        for (mapping, same_for_port, same_for_address) in [
            (Dependence::EndpointIndependent, true, true),
            (Dependence::AddressDependent, true, false),
            (Dependence::AddressAndPortDependent, false, false),
        ] {
            let mut nat = Nat::new(NatConfig { mapping, ..config() });
            let first = out(&mut nat, 0, INSIDE, FAR).unwrap();
            assert_eq!(out(&mut nat, 0, INSIDE, FAR), Ok(first));
            assert_eq!(out(&mut nat, 0, INSIDE, FAR_OTHER_PORT) == Ok(first), same_for_port, "{mapping:?}");
            assert_eq!(out(&mut nat, 0, INSIDE, OTHER) == Ok(first), same_for_address, "{mapping:?}");
        }
    }

    #[test]
    fn filtering_kinds_let_in_whom_rfc_4787_says() {
        for (filtering, port_in, address_in) in [
            (Dependence::EndpointIndependent, true, true),
            (Dependence::AddressDependent, true, false),
            (Dependence::AddressAndPortDependent, false, false),
        ] {
            let mut nat = Nat::new(NatConfig { filtering, ..config() });
            let outside = out(&mut nat, 0, INSIDE, FAR).unwrap();
            assert!(back(&mut nat, 0, FAR, outside).is_ok());
            let expected = |passes: bool| if passes { Ok(INSIDE.into()) } else { Err(NatDrop::Filtered) };
            assert_eq!(back(&mut nat, 0, FAR_OTHER_PORT, outside), expected(port_in), "{filtering:?}");
            assert_eq!(back(&mut nat, 0, OTHER, outside), expected(address_in), "{filtering:?}");
        }
    }

    #[test]
    fn an_idle_mapping_expires_and_the_next_gets_another_port() {
        let mut nat = Nat::new(config());
        let first = out(&mut nat, 0, INSIDE, FAR).unwrap();
        assert!(back(&mut nat, 119, FAR, first).is_ok());
        assert!(back(&mut nat, 238, FAR, first).is_ok(), "packets from outside refresh here");
        assert_eq!(back(&mut nat, 358, FAR, first), Err(NatDrop::NoMapping));
        assert_eq!(nat.mappings(), 0);
        assert_ne!(out(&mut nat, 359, INSIDE, FAR).unwrap(), first);
    }

    #[test]
    fn packets_from_outside_refresh_only_where_the_nat_says_so() {
        let mut nat = Nat::new(NatConfig { inbound_refreshes: false, ..config() });
        let first = out(&mut nat, 0, INSIDE, FAR).unwrap();
        assert!(back(&mut nat, 119, FAR, first).is_ok());
        assert_eq!(back(&mut nat, 120, FAR, first), Err(NatDrop::NoMapping));
    }

    #[test]
    fn rebinding_moves_the_outside_end() {
        let mut nat = Nat::new(config());
        let first = out(&mut nat, 0, INSIDE, FAR).unwrap();
        nat.rebind();
        assert_eq!(back(&mut nat, 0, FAR, first), Err(NatDrop::NoMapping));
        let second = out(&mut nat, 0, INSIDE, FAR).unwrap();
        assert_ne!(second.port(), first.port());
        nat.rebind_to([192, 0, 2, 253].into());
        assert_eq!(out(&mut nat, 0, INSIDE, FAR).unwrap().ip(), IpAddr::from([192, 0, 2, 253]));
    }

    #[test]
    fn two_inside_hosts_get_two_ports_even_where_ports_are_preserved() {
        let mut nat = Nat::new(NatConfig { port_choice: PortChoice::Preserve, ..config() });
        let first = out(&mut nat, 0, INSIDE, FAR).unwrap();
        let second = out(&mut nat, 0, ([10, 1, 0, 11], 500), FAR).unwrap();
        assert_eq!(first.port(), 500);
        assert_ne!(second.port(), 500);
        assert_eq!(back(&mut nat, 0, FAR, second), Ok(([10, 1, 0, 11], 500).into()));
    }

    #[test]
    fn payloads_over_ip_pass_only_where_allowed_and_for_one_host_per_far_address() {
        let esp =
            |from: [u8; 4]| Transmit { path: Path::ip(50, from.into(), IpAddr::from(FAR.0)), payload: Bytes::new() };
        let mut strict = Nat::new(config());
        assert_eq!(strict.outbound(Instant::ZERO, &mut esp(INSIDE.0)), Err(NatDrop::Protocol));
        let mut nat = Nat::new(NatConfig { ip_protocols: true, ..config() });
        let mut first = esp(INSIDE.0);
        assert_eq!(nat.outbound(Instant::ZERO, &mut first), Ok(()));
        assert_eq!(first.path.local.ip(), config().outside);
        assert_eq!(nat.outbound(Instant::ZERO, &mut esp([10, 1, 0, 11])), Err(NatDrop::Full));
        let mut answer = Transmit { path: first.path.reversed(), payload: Bytes::new() };
        assert_eq!(nat.inbound(Instant::ZERO, &mut answer), Ok(()));
        assert_eq!(answer.path.remote.ip(), IpAddr::from(INSIDE.0));
    }

    #[test]
    fn a_full_table_drops_and_makes_room_when_mappings_fall_idle() {
        let mut nat = Nat::new(NatConfig { capacity: 1, ..config() });
        assert!(out(&mut nat, 0, INSIDE, FAR).is_ok());
        assert_eq!(out(&mut nat, 0, ([10, 1, 0, 11], 500), FAR), Err(NatDrop::Full));
        assert!(out(&mut nat, 120, ([10, 1, 0, 11], 500), FAR).is_ok());
        assert_eq!(nat.mappings(), 1);
    }
}
