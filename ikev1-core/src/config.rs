use crate::defaults;
use crate::error::{ConfigError, ConfigProblem};
use crate::fragment::{self, FragmentLimits};
use crate::machine::pool_of;
use crate::plan::{ConnectionPlan, Plan, PoolPlan, SpiSource};
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::RangeInclusive;
use core::time::Duration;

mod authentication;
mod connection;
mod mode_config;
mod policy;
mod xauth;

pub use connection::ConnectionConfig;
pub use mode_config::{AddressSource, ModeConfig, ModeConfigClient, ModeConfigServer};
pub use policy::PolicyConfig;
pub use xauth::{Xauth, XauthClient, XauthServer};

/// The settings of an endpoint in the operator's words; [`build`](Self::build) checks them all.
///
/// What is not said stands in [`defaults`].
#[derive(Debug)]
pub struct Config {
    connections: Vec<ConnectionConfig>,
    ike_port: u16,
    nat_t_port: u16,
    spi_source: SpiSource,
    trace: bool,
    key_log: bool,
    half_open_timeout: Duration,
    max_half_open: usize,
    max_half_open_per_address: usize,
    max_ike_sas: usize,
    pools: Vec<PoolPlan>,
    fragment_limits: FragmentLimits,
    max_unproven_dh: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections: Vec::new(),
            ike_port: defaults::IKE_PORT,
            nat_t_port: defaults::NAT_T_PORT,
            spi_source: SpiSource::Endpoint,
            trace: false,
            key_log: false,
            half_open_timeout: defaults::HALF_OPEN_TIMEOUT,
            max_half_open: defaults::MAX_HALF_OPEN,
            max_half_open_per_address: defaults::MAX_HALF_OPEN_PER_ADDRESS,
            max_ike_sas: defaults::MAX_IKE_SAS,
            pools: Vec::new(),
            fragment_limits: FragmentLimits::default(),
            max_unproven_dh: defaults::MAX_UNPROVEN_DH,
        }
    }
}

/// The connections in one plan, at most.
const MAX_CONNECTIONS: u64 = 65_536;
/// The pools in one plan, at most.
const MAX_POOLS: u64 = 1_024;
/// The policies in one connection, at most.
const MAX_POLICIES: u64 = 1_024;
/// The transforms in one offer, at most: the transform number is one octet.
const MAX_TRANSFORMS: u64 = 255;
/// Lives, in seconds: what a 32-bit attribute holds; routers have 300 or 600 to 31449600.
const LIFETIME: RangeInclusive<u64> = 2..=31_449_600;

impl Config {
    /// Returns a configuration without connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a connection.
    #[must_use]
    pub fn connection(mut self, connection: ConnectionConfig) -> Self {
        self.connections.push(connection);
        self
    }

    /// Sets the UDP ports on this machine: of ISAKMP, and of NAT-T.
    #[must_use]
    pub fn ports(mut self, ike: u16, nat_t: u16) -> Self {
        (self.ike_port, self.nat_t_port) = (ike, nat_t);
        self
    }

    /// Sets who chooses inbound SPIs; without it the endpoint draws them.
    #[must_use]
    pub fn spi_source(mut self, source: SpiSource) -> Self {
        self.spi_source = source;
        self
    }

    /// Asks for an event per message.
    #[must_use]
    pub fn trace(mut self, trace: bool) -> Self {
        self.trace = trace;
        self
    }

    /// Asks for key log lines: whoever has them reads the traffic.
    #[must_use]
    pub fn dangerously_log_keys(mut self, log: bool) -> Self {
        self.key_log = log;
        self
    }

    /// Sets how long a responder keeps an ISAKMP SA whose initiator proves nothing.
    #[must_use]
    pub fn half_open_timeout(mut self, timeout: Duration) -> Self {
        self.half_open_timeout = timeout;
        self
    }

    /// Sets the most half-open ISAKMP SAs as responder: in all, and for one address.
    #[must_use]
    pub fn max_half_open(mut self, total: usize, per_address: usize) -> Self {
        (self.max_half_open, self.max_half_open_per_address) = (total, per_address);
        self
    }

    /// Sets the most ISAKMP SAs.
    #[must_use]
    pub fn max_ike_sas(mut self, most: usize) -> Self {
        self.max_ike_sas = most;
        self
    }

    /// Adds a pool of addresses for clients, both ends of the range included. Connections name it; two
    /// that name the same never lend the same address.
    #[must_use]
    pub fn address_pool(mut self, name: &str, first: IpAddr, last: IpAddr) -> Self {
        self.pools.push(PoolPlan { name: name.to_string(), first, last });
        self
    }

    /// Sets how much is kept of messages that come in parts.
    #[must_use]
    pub fn fragment_limits(mut self, limits: FragmentLimits) -> Self {
        self.fragment_limits = limits;
        self
    }

    /// Sets the most Diffie-Hellman exchanges in a second that peers may cause before they have proven
    /// who they are; two seconds' worth may come at once, half of it for peers named by their address.
    #[must_use]
    pub fn max_unproven_dh(mut self, per_second: u32) -> Self {
        self.max_unproven_dh = per_second;
        self
    }

    /// Checks everything and returns the plan.
    ///
    /// # Errors
    /// The first field that is wrong, and why.
    pub fn build(self) -> Result<Plan, ConfigError> {
        within("connections", self.connections.len() as u64, 0..=MAX_CONNECTIONS)?;
        within("ike_port", self.ike_port.into(), 1..=65_535)?;
        within("nat_t_port", self.nat_t_port.into(), 1..=65_535)?;
        within("half_open_timeout", self.half_open_timeout.as_secs(), 1..=86_400)?;
        if self.ike_port == self.nat_t_port {
            return Err(wrong("nat_t_port", ConfigProblem::Conflict("the NAT-T port is the ISAKMP port")));
        }
        check_pools(&self.pools)?;
        check_fragment_limits(&self.fragment_limits)?;
        within("max_unproven_dh", self.max_unproven_dh.into(), 1..=1_000_000)?;
        let mut connections: Vec<Arc<ConnectionPlan>> = Vec::new();
        for connection in self.connections {
            if connections.iter().any(|other| other.name == connection.name) {
                return Err(wrong(&connection.name, ConfigProblem::Duplicate));
            }
            let connection = connection.build()?;
            if let Some(pool) = pool_of(&connection)
                && !self.pools.iter().any(|known| known.name == *pool)
            {
                let field = alloc::format!("{}.mode_config.addresses", connection.name);
                return Err(wrong(&field, ConfigProblem::Conflict("no pool has that name")));
            }
            connections.push(Arc::new(connection));
        }
        Ok(Plan {
            connections,
            ike_port: self.ike_port,
            nat_t_port: self.nat_t_port,
            spi_source: self.spi_source,
            trace: self.trace,
            key_log: self.key_log,
            half_open_timeout: self.half_open_timeout,
            max_half_open: self.max_half_open,
            max_half_open_per_address: self.max_half_open_per_address,
            max_ike_sas: self.max_ike_sas,
            pools: self.pools,
            fragment_limits: self.fragment_limits,
            max_unproven_dh: self.max_unproven_dh,
        })
    }
}

macro_rules! setters {
    ($($(#[$meta:meta])* $setter:ident($field:ident: $type:ty);)*) => {
        $($(#[$meta])*
        #[must_use]
        pub fn $setter(mut self, $field: $type) -> Self {
            self.$field = $field.into();
            self
        })*
    };
}

pub(crate) use setters;

fn wrong(field: &str, problem: ConfigProblem) -> ConfigError {
    ConfigError { field: field.to_string(), problem }
}

fn within(field: &str, value: u64, range: RangeInclusive<u64>) -> Result<(), ConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(wrong(field, ConfigProblem::OutOfRange { value, least: *range.start(), most: *range.end() }))
}

/// Pools have a name each, and ranges that are in order and do not overlap.
fn check_pools(pools: &[PoolPlan]) -> Result<(), ConfigError> {
    within("address_pools", pools.len() as u64, 0..=MAX_POOLS)?;
    for (index, pool) in pools.iter().enumerate() {
        check_name(&pool.name)?;
        if pool.first.is_ipv4() != pool.last.is_ipv4() {
            return Err(wrong(&pool.name, ConfigProblem::Family));
        }
        if pool.first > pool.last {
            return Err(wrong(&pool.name, ConfigProblem::Conflict("the range ends before it begins")));
        }
        for other in pools.iter().take(index) {
            if other.name == pool.name {
                return Err(wrong(&pool.name, ConfigProblem::Duplicate));
            }
            if other.first <= pool.last && pool.first <= other.last {
                return Err(wrong(&pool.name, ConfigProblem::Conflict("it overlaps another pool")));
            }
        }
    }
    Ok(())
}

fn check_fragment_limits(limits: &FragmentLimits) -> Result<(), ConfigError> {
    within("fragment_limits.parts", limits.parts.into(), 2..=255)?;
    within("fragment_limits.octets", limits.octets as u64, 576..=defaults::MAX_DATAGRAM as u64)?;
    within("fragment_limits.messages_per_sa", limits.messages_per_sa as u64, 1..=16)?;
    let one = limits.octets.saturating_add(usize::from(limits.parts).saturating_mul(fragment::SLOT));
    within("fragment_limits.total_octets", limits.total_octets as u64, one as u64..=1 << 32)?;
    within("fragment_limits.age", limits.age.as_secs(), 1..=600)
}

/// Names are 1 to 24 printable characters, as routers have them.
fn check_name(name: &str) -> Result<(), ConfigError> {
    let fits = (1..=24).contains(&name.chars().count()) && name.chars().all(|c| !c.is_control());
    if fits { Ok(()) } else { Err(wrong(name, ConfigProblem::Name)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::PreSharedKey;
    use crate::crypto::{CipherAlgorithm, DhGroup};
    use crate::plan::Peer;
    use crate::proposal::{EspCipher, Integrity, Phase1Transform, Protection};
    use crate::selector::TrafficSelector;
    use alloc::string::String;
    use alloc::{format, vec};

    fn net(third: u8) -> TrafficSelector {
        TrafficSelector::subnet([10, 10, third, 0].into(), 24).unwrap()
    }

    fn policy() -> PolicyConfig {
        PolicyConfig::new("lan").local(net(1)).remote(net(2))
    }

    fn connection() -> ConnectionConfig {
        let address: core::net::IpAddr = [192, 0, 2, 2].into();
        ConnectionConfig::new("site-b").peer(Peer::Address(address)).pre_shared_key(PreSharedKey::copied(b"k"))
    }

    fn refusal(connection: ConnectionConfig) -> String {
        Config::new().connection(connection).build().unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_safe_and_complete() {
        let plan = Config::new().connection(connection().policy(policy())).build().unwrap();
        let id = plan.connection_named("site-b").unwrap();
        let site = plan.connection(id).unwrap();
        assert!(site.phase1.iter().all(|transform| !transform.is_weak()));
        let policy = site.policy(site.policy_named("lan").unwrap()).unwrap();
        assert!(policy.suites.iter().all(|suite| !suite.is_weak()));
        assert_eq!((plan.ike_port(), plan.nat_t_port()), (500, 4500));
        assert!(site.nat_t.is_on() && !site.trust_unprotected_errors);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(refusal(ConnectionConfig::new("site-b")), "site-b.authentication: must be given");
        assert_eq!(refusal(connection().policy(PolicyConfig::new("lan"))), "site-b.lan.local: must be given");
        let half = PolicyConfig::new("lan").local(net(1));
        assert_eq!(refusal(connection().policy(half)), "site-b.lan.remote: must be given");
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        let second = Duration::from_secs(1);
        assert_eq!(refusal(connection().lifetime(second)), "site-b.lifetime: 1 is not within 2 to 31449600");
        assert_eq!(refusal(connection().resends(1_025)), "site-b.resends: 1025 is not within 0 to 1024");
        assert_eq!(refusal(connection().delete_delay(second * 31)), "site-b.delete_delay: 31 is not within 0 to 30");
        assert_eq!(refusal(connection().dpd_idle(Duration::ZERO)), "site-b.dpd_idle: 0 is not within 1 to 86400");
        assert_eq!(
            refusal(connection().soft_per_mille((875, 1_000))),
            "site-b.soft_per_mille: 1000 is not within 100 to 999"
        );
        assert_eq!(refusal(connection().phase1(Vec::new())), "site-b.phase1: 0 is not within 1 to 255");
        let too_many = policy().lifetime(second * 40_000_000);
        assert_eq!(refusal(connection().policy(too_many)), "site-b.lan.lifetime: 40000000 is not within 2 to 31449600");
    }

    #[test]
    fn weak_algorithms_need_the_dangerous_word() {
        let mut weak = crate::defaults::phase1_offer();
        weak.push(Phase1Transform { cipher: CipherAlgorithm::Des, group: DhGroup::Modp768, ..*weak.first().unwrap() });
        let text = refusal(connection().phase1(weak.clone()));
        assert!(text.starts_with("site-b.phase1: DES-CBC") && text.contains("dangerously_"), "{text}");
        let allowed = connection().phase1(weak).dangerously_allow_weak_algorithms(true);
        assert!(Config::new().connection(allowed).build().is_ok());
        let md5 = vec![Protection::Esp { cipher: EspCipher::TripleDes, integrity: Some(Integrity::HmacMd5) }];
        assert!(refusal(connection().policy(policy().suites(md5))).starts_with("site-b.lan.suites: "));
        assert!(refusal(connection().policy(policy().pfs(DhGroup::Modp1024))).starts_with("site-b.lan.pfs: "));
    }

    #[test]
    fn esp_that_does_nothing_is_refused_even_when_weak_is_allowed() {
        let nothing = vec![Protection::Esp { cipher: EspCipher::Null, integrity: None }];
        let text = refusal(connection().dangerously_allow_weak_algorithms(true).policy(policy().suites(nothing)));
        assert_eq!(text, "site-b.lan.suites: its parts cannot stand together");
    }

    #[test]
    fn families_names_and_ports_must_agree() {
        let v6: core::net::IpAddr = core::net::Ipv6Addr::LOCALHOST.into();
        assert_eq!(refusal(connection().local(v6)), "site-b.local: address families differ");
        let mixed = PolicyConfig::new("lan").local(net(1)).remote(TrafficSelector::host(v6));
        assert_eq!(refusal(connection().policy(mixed)), "site-b.lan.remote: address families differ");
        assert_eq!(refusal(connection().policy(policy()).policy(policy())), "site-b.lan: used twice");
        let twice = Config::new().connection(connection()).connection(connection()).build();
        assert_eq!(twice.unwrap_err().to_string(), "site-b: used twice");
        let long = "a name of more than 24 characters";
        assert_eq!(refusal(ConnectionConfig::new(long)), format!("{long}: a name has 1 to 24 printable characters"));
        let same = Config::new().ports(500, 500).build().unwrap_err();
        assert_eq!(same.to_string(), "nat_t_port: the NAT-T port is the ISAKMP port");
    }

    #[test]
    fn a_schedule_that_shrinks_is_refused() {
        let zero = drive::Schedule::Constant(Duration::ZERO);
        let text = refusal(connection().resend_schedule(zero));
        assert_eq!(text, "site-b.resend_schedule: gaps must be above zero and must not shrink");
    }

    #[test]
    fn no_debug_output_shows_the_key() {
        let secret = connection().pre_shared_key(PreSharedKey::copied(b"hogehoge"));
        let plan = Config::new().connection(secret).build().unwrap();
        assert!(!format!("{plan:?}").contains("hogehoge"));
    }
}
