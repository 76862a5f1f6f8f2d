use crate::acquire::Limits;
use crate::built_in;
use crate::debug::DebugSettings;
use crate::defaults;
use crate::header::OuterRules;
use crate::manual::{Manual, ManualProblem};
use crate::plan::Plan;
use crate::route::{self, INTERFACE, Routes};
use crate::route_template::{self, RouteTemplate, RouteTemplateProblem};
use crate::udp_tunnel::{self, UdpTunnel, UdpTunnelProblem};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use esp_ah::{BuiltIn, Provider};
use sad::WindowSize;
use spd::{Database, DatabaseError, InterfaceId, Policy, Position, Selector, WhenEmpty};

/// The settings of a gateway in the operator's words; [`build`](Self::build) checks them all.
///
/// The policies are those of the exemptions, in the order given, then one for each phase 2 policy of
/// each connection, in the order of the IKE configuration. The first that matches a packet decides;
/// what none matches is dropped. Before them all, the gateway's own datagrams pass: those of the exchanges, of NAT
/// traversal and of the UDP tunnel, from and to the addresses that connections fix.
#[derive(Debug)]
pub struct Config {
    ike: ikev1_core::Config,
    exemptions: Vec<(String, Selector, Exemption)>,
    waiting: Limits,
    replay_window: u32,
    path_mtu: Option<usize>,
    take_over: bool,
    manual: Vec<Manual>,
    outer: Vec<(String, OuterRules)>,
    debug: Vec<(String, DebugSettings)>,
    carries_fragments: BTreeSet<String>,
    route_templates: BTreeMap<String, RouteTemplate>,
    udp_tunnel_port: u16,
    udp_tunnels: BTreeMap<String, UdpTunnel>,
    provider: Arc<dyn Provider>,
}

/// What becomes of packets that no association protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exemption {
    /// They pass in clear, both ways.
    Bypass,
    /// They are dropped, both ways.
    Discard,
}

/// Why a configuration makes no plan: the field, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The settings of the exchanges are wrong.
    #[error(transparent)]
    Ike(#[from] ikev1_core::ConfigError),
    /// A policy is impossible, or its name is used twice.
    #[error("{policy}: {reason}")]
    Policy {
        /// The policy.
        policy: String,
        /// What is wrong with it.
        reason: DatabaseError,
    },
    /// A limit of the queue of waiting packets is out of range.
    #[error("{field}: must be within {least} to {most}")]
    Waiting {
        /// The field.
        field: &'static str,
        /// The least allowed.
        least: usize,
        /// The most allowed.
        most: usize,
    },
    /// Manual keys are wrong.
    #[error("{name}: {reason}")]
    Manual {
        /// The pair.
        name: String,
        /// What is wrong with it.
        reason: ManualProblem,
    },
    /// Rules for the outer header name no phase 2 policy.
    #[error("outer: there is no policy {0}")]
    Outer(String),
    /// What is to be told names no policy.
    #[error("debug: there is no policy {0}")]
    Debug(String),
    /// No policy that protects something has the name of one that is to carry fragments.
    #[error("carries_fragments: there is no policy {0}")]
    CarriesFragments(String),
    /// The route template of a policy is impossible.
    #[error("{policy}: {problem}")]
    RouteTemplate {
        /// The policy.
        policy: String,
        /// What is wrong, the field first.
        problem: RouteTemplateProblem,
    },
    /// The UDP tunnel of a policy is impossible.
    #[error("{policy}: {problem}")]
    UdpTunnel {
        /// The policy.
        policy: String,
        /// What is wrong, the field first.
        problem: UdpTunnelProblem,
    },
    /// The path MTU is below what every path has.
    #[error("path_mtu: must be at least 576")]
    PathMtu,
    /// The replay window is none of the sizes there are.
    #[error("replay_window: {0} is none of 32, 64, 128, 256, 512, 1024, 2048, 4096")]
    ReplayWindow(u32),
}

impl Config {
    /// Returns the configuration of a gateway over these connections.
    ///
    /// The gateway chooses the inbound SPIs, whatever `ike` says about that.
    pub fn new(ike: ikev1_core::Config) -> Self {
        Self {
            ike,
            exemptions: Vec::new(),
            waiting: defaults::WAITING,
            replay_window: defaults::REPLAY_WINDOW,
            path_mtu: None,
            take_over: false,
            manual: Vec::new(),
            outer: Vec::new(),
            debug: Vec::new(),
            carries_fragments: BTreeSet::new(),
            route_templates: BTreeMap::new(),
            udp_tunnel_port: nat_t::udp_tunnel::DEFAULT_PORT,
            udp_tunnels: BTreeMap::new(),
            provider: Arc::new(BuiltIn),
        }
    }

    /// Adds a policy for packets that no association protects.
    #[must_use]
    pub fn exempt(mut self, name: &str, selector: Selector, exemption: Exemption) -> Self {
        self.exemptions.push((name.into(), selector, exemption));
        self
    }

    /// Adds a pair of bundles with manual keys. Its policy comes before those of the connections.
    #[must_use]
    pub fn manual(mut self, manual: Manual) -> Self {
        self.manual.push(manual);
        self
    }

    /// Sets how the header around what a phase 2 policy tunnels is made: DF, DSCP, ECN, TTL.
    #[must_use]
    pub fn outer(mut self, policy: &str, rules: OuterRules) -> Self {
        self.outer.push((policy.into(), rules));
        self
    }

    /// Sets what is told of the packets of a policy from the start. [`Command::Debug`](crate::Command::Debug) changes it
    /// later.
    #[must_use]
    pub fn debug(mut self, policy: &str, settings: DebugSettings) -> Self {
        self.debug.push((policy.into(), settings));
        self
    }

    /// Lets the ESP of a policy, negotiated or with manual keys, travel in UDP on port 2746 as routers did before NAT
    /// traversal, which must be off in its connection: `UDPTUNNEL`.
    #[must_use]
    pub fn udp_tunnel(mut self, policy: &str, tunnel: UdpTunnel) -> Self {
        self.udp_tunnels.insert(policy.into(), tunnel);
        self
    }

    /// Lets the pairs of a policy for some ports carry later fragments, which do not show theirs, of packets whose first
    /// fragment has them: what the first showed decides. The policy at the peer must say the same, RFC 4301 §7.3.
    #[must_use]
    pub fn carries_fragments(mut self, policy: &str) -> Self {
        self.carries_fragments.insert(policy.into());
        self
    }

    /// Lets the gateway say when a route to what the tunnels of a policy reach is wanted, and when no longer:
    /// `IPROUTETEMPLATE`, for a connection whose peers come from a subnet or from anywhere.
    #[must_use]
    pub fn route_template(mut self, policy: &str, template: RouteTemplate) -> Self {
        self.route_templates.insert(policy.into(), template);
        self
    }

    /// Sets the port on this side for policies with the UDP tunnel on, 2746 if nothing is said; 0 closes it.
    #[must_use]
    pub fn udp_tunnel_port(mut self, port: u16) -> Self {
        self.udp_tunnel_port = port;
        self
    }

    /// Sets who does the cryptography of ESP and AH, instead of `esp-ah` itself. What the provider does not make is
    /// built in.
    #[must_use]
    pub fn provider(mut self, provider: Arc<dyn Provider>) -> Self {
        self.provider = provider;
        self
    }

    /// Sets the MTU of the paths to peers. What is longer once sealed, and must not be fragmented, is answered
    /// with an ICMP message instead of sent; without it, only what routers report counts.
    #[must_use]
    pub fn path_mtu(mut self, octets: usize) -> Self {
        self.path_mtu = Some(octets);
        self
    }

    /// Sets whether a peer takes over the traffic that another one carries under the same policy, as where two
    /// gateways stand in for each other.
    ///
    /// Without it, the pair of the second is refused while the first is there, unless both have proven to be the
    /// same.
    #[must_use]
    pub fn newest_takes_over(mut self, newest: bool) -> Self {
        self.take_over = newest;
        self
    }

    /// Sets how many packets may wait for associations, and how long a failed negotiation rests.
    #[must_use]
    pub fn waiting(mut self, limits: Limits) -> Self {
        self.waiting = limits;
        self
    }

    /// Sets how far packets may come out of order: 32, 64, 128, 256, 512, 1024, 2048 or 4096.
    #[must_use]
    pub fn replay_window(mut self, packets: u32) -> Self {
        self.replay_window = packets;
        self
    }

    /// Checks everything and returns the plan.
    ///
    /// # Errors
    /// The first field that is wrong, and why.
    pub fn build(self) -> Result<Plan, ConfigError> {
        for (field, value) in [("waiting.per_policy", self.waiting.per_policy), ("waiting.total", self.waiting.total)] {
            if value == 0 || value > defaults::MAX_WAITING {
                return Err(ConfigError::Waiting { field, least: 1, most: defaults::MAX_WAITING });
            }
        }
        if self.path_mtu.is_some_and(|mtu| mtu < esp_ah::mode::MIN_MTU_V4) {
            return Err(ConfigError::PathMtu);
        }
        let replay_window = window(self.replay_window).ok_or(ConfigError::ReplayWindow(self.replay_window))?;
        let ike = self.ike.spi_source(ikev1_core::SpiSource::Caller).build()?;
        let mut policies = Database::new();
        add_interface(&mut policies, INTERFACE, WhenEmpty::Discard)?;
        for (name, selector, exemption) in self.exemptions {
            let action = match exemption {
                Exemption::Bypass => spd::Action::Bypass,
                Exemption::Discard => spd::Action::Discard,
            };
            add(&mut policies, INTERFACE, &name, selector, action, false)?;
        }
        let mut carrying = self.carries_fragments;
        let mut tunnels = udp_tunnel::Settings::new(self.udp_tunnel_port, self.udp_tunnels, &ike);
        let mut route_templates = self.route_templates;
        let mut routes = Routes::default();
        let mut manual = Vec::new();
        let mut spis = BTreeSet::new();
        for mut pair in self.manual {
            let name = pair.name.clone();
            let (tunnel, path) = tunnels.manual(&name, pair.ends(), pair.udp.is_some())?.unzip();
            pair.udp = pair.udp.or(path);
            let selector = pair.selector();
            let action = spd::Action::Protect(routes.next());
            let template = routes.next();
            let id = add(&mut policies, INTERFACE, &name, selector, action, carrying.remove(&name))?;
            routes.add(None, id, &name, pair.outer, tunnel, None);
            let wrong = |reason| ConfigError::Manual { name: name.clone(), reason };
            let plan = pair.plan(template, id, &*self.provider).map_err(wrong)?;
            for spi in plan.spis() {
                if !spis.insert(spi) {
                    return Err(wrong(ManualProblem::DuplicateSpi(spi.0)));
                }
            }
            manual.push(plan);
        }
        let mut outer: BTreeMap<String, OuterRules> = self.outer.into_iter().collect();
        for (connection, of) in ike.connections() {
            for (policy, protected) in of.policies() {
                let selector = route::selector(protected.local(), protected.remote());
                let action = spd::Action::Protect(routes.next());
                let name = protected.name();
                let id = add(&mut policies, INTERFACE, name, selector, action, carrying.remove(name))?;
                let rules = outer.remove(protected.name()).unwrap_or_default();
                let tunnel = tunnels.negotiated(of, protected)?;
                let route_template = route_template::take(&mut route_templates, of, name)?;
                routes.add(Some((connection, policy)), id, name, rules, tunnel, route_template);
            }
        }
        if let Some((name, _)) = outer.pop_first() {
            return Err(ConfigError::Outer(name));
        }
        let mut debug = BTreeMap::new();
        for (name, settings) in self.debug {
            let policy = policies.by_name(route::INTERFACE, &name).ok_or(ConfigError::Debug(name))?;
            debug.insert(policy, settings);
        }
        if let Some(name) = carrying.pop_first() {
            return Err(ConfigError::CarriesFragments(name));
        }
        route_template::finish(route_templates)?;
        let tunnel = tunnels.finish()?;
        built_in::add(&mut policies, &ike, tunnel.open.then_some(tunnel.port))?;
        // What a long list has begun to move is moved before the first packet asks.
        while policies.settle(INTERFACE) {}
        Ok(Plan {
            ike,
            policies,
            routes,
            waiting: self.waiting,
            replay_window,
            path_mtu: self.path_mtu,
            take_over: self.take_over,
            manual,
            debug,
            tunnel,
            provider: self.provider,
        })
    }
}

const fn window(packets: u32) -> Option<WindowSize> {
    Some(match packets {
        32 => WindowSize::Packets32,
        64 => WindowSize::Packets64,
        128 => WindowSize::Packets128,
        256 => WindowSize::Packets256,
        512 => WindowSize::Packets512,
        1_024 => WindowSize::Packets1024,
        2_048 => WindowSize::Packets2048,
        4_096 => WindowSize::Packets4096,
        _ => return None,
    })
}

pub(crate) fn add_interface(
    policies: &mut Database,
    interface: InterfaceId,
    empty: WhenEmpty,
) -> Result<(), ConfigError> {
    policies.add_interface(interface, empty).map_err(|reason| ConfigError::Policy { policy: String::new(), reason })
}

pub(crate) fn add(
    policies: &mut Database,
    interface: InterfaceId,
    name: &str,
    selector: Selector,
    action: spd::Action,
    carries_fragments: bool,
) -> Result<spd::PolicyId, ConfigError> {
    Policy::new(name, selector, action)
        .map_err(DatabaseError::from)
        .and_then(|policy| policies.insert(interface, Position::Last, policy.with_carries_fragments(carries_fragments)))
        .map_err(|reason| ConfigError::Policy { policy: name.into(), reason })
}
