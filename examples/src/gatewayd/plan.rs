//! From the words of the file to the plan of the engine.

use super::clients::ModeConfig;
use super::file::{Connection, File, FileError, LogLevel, Mode, Parts, PolicyAction, Side};
use super::words::{Cipher, EspProposal, Group, Hash, Identity, IkeProposal, Prefix, Remote};
use core::net::IpAddr;
use drive::Schedule;
use gateway::{Config, Exemption, Plan, RouteTemplate};
use ikev1_core::crypto::{CipherAlgorithm, DhGroup, HashAlgorithm};
use ikev1_core::proposal::{AesKey, AuthenticationMethod, EspCipher, Integrity, Lifetime, Phase1Transform, Protection};
use ikev1_core::{
    AddressSource, ClientSettings, ConnectionConfig, DpdMode, Dynamic, Fragmentation, ModeConfigClient,
    ModeConfigServer, Network, Peer, Phase1Mode, PolicyConfig, RemoteIdentity, TrafficSelector, Unity, Xauth,
    XauthClient, XauthServer,
};
use spd::{AddressSelector, ProtocolSelector, Selector};

/// How much later than the initiator of an association its responder renews it, in thousandths of its life.
const RESPONDER_LATER: u32 = 75;

impl File {
    /// Returns the plan that this file describes.
    ///
    /// # Errors
    /// A key file cannot be read, or the engine refuses a value: its field and the reason.
    pub fn plan(&self) -> Result<Plan, FileError> {
        let mut ike = ikev1_core::Config::new()
            .ports(self.daemon.ike_port, self.daemon.nat_t_port)
            .trace(self.daemon.log == LogLevel::Trace)
            .dangerously_log_keys(self.daemon.dangerously_keylog_dir.is_some());
        if let Some(timeout) = self.daemon.half_open {
            ike = ike.half_open_timeout(timeout.0);
        }
        for pool in &self.pool {
            ike = ike.address_pool(&pool.name, pool.first, pool.last);
        }
        for (index, connection) in self.connection.iter().enumerate() {
            ike = ike.connection(connection.plan(&format!("connection[{index}]"))?);
        }
        let mut config = Config::new(ike)
            .replay_window(self.daemon.replay_window)
            .newest_takes_over(self.daemon.newest_takes_over)
            .udp_tunnel_port(self.daemon.udp_tunnel_port)
            .provider(self.daemon.cryptography.provider()?);
        if let Some(mtu) = self.daemon.path_mtu {
            config = config.path_mtu(mtu);
        }
        for (index, connection) in self.connection.iter().enumerate() {
            for (inner, child) in connection.child.iter().enumerate() {
                let field = format!("connection[{index}].child[{inner}].outer");
                config = config.outer(&child.name, child.outer.plan(&field)?);
                if let Some(tunnel) = child.udp_tunnel {
                    config = config.udp_tunnel(&child.name, tunnel.plan());
                }
                if let Some(name) = &child.route_template {
                    let field = format!("connection[{index}].child[{inner}].route_template");
                    let template =
                        RouteTemplate::new(name).map_err(|error| FileError::refused(field, error.to_string()))?;
                    config = config.route_template(&child.name, template);
                }
            }
        }
        for policy in &self.policy {
            let exemption = match policy.action {
                PolicyAction::Bypass => Exemption::Bypass,
                PolicyAction::Discard => Exemption::Discard,
            };
            let selector = Selector {
                local: addresses(policy.local)?.into(),
                remote: addresses(policy.remote)?.into(),
                protocol: policy.protocol.map_or(ProtocolSelector::Any, ProtocolSelector::Number),
                ..Selector::default()
            };
            config = config.exempt(&policy.name, selector, exemption);
        }
        for (index, manual) in self.manual.iter().enumerate() {
            config = config.manual(manual.plan(&format!("manual[{index}]"))?);
            if let Some(tunnel) = manual.udp_tunnel {
                config = config.udp_tunnel(&manual.name, tunnel.plan());
            }
        }
        for (name, debug) in &self.debug {
            config = config.debug(name, debug.plan(&format!("debug.{name}"))?);
        }
        config.build().map_err(|error| FileError::Engine(error.to_string()))
    }
}

impl Connection {
    fn plan(&self, field: &str) -> Result<ConnectionConfig, FileError> {
        let mut plan = ConnectionConfig::new(&self.name)
            .local(self.local)
            .peer(match self.remote {
                Remote::Address(address) => Peer::Address(address),
                Remote::Subnet(subnet) => Peer::Subnet { address: subnet.address, prefix: subnet.length },
                Remote::Any => Peer::Any,
            })
            .authentication(self.authentication(field)?)
            .dangerously_allow_weak_algorithms(self.dangerously_allow_weak);
        if self.dangerously_aggressive {
            plan = plan.mode(Phase1Mode::Aggressive).dangerously_allow_aggressive_mode(true);
        }
        if self.dangerously_base {
            plan = plan.mode(Phase1Mode::Base).dangerously_allow_base_mode(true);
        }
        if let Some(identity) = &self.local_id {
            plan = plan.local_identity(identity.plan());
        } else if let Some(subject) = self.subject(field)? {
            plan = plan.local_identity(subject);
        }
        if let Some(identity) = &self.remote_id {
            plan = plan.remote_identity(RemoteIdentity::Exactly(identity.plan()));
        }
        if let Some(proposals) = &self.ike {
            plan = plan.phase1(proposals.iter().map(IkeProposal::plan).collect());
        }
        if let Some(lifetime) = self.ike_lifetime {
            plan = plan.lifetime(lifetime.0);
        }
        if let Some(percent) = self.renew_percent {
            if !(10..=90).contains(&percent) {
                return Err(FileError::refused(format!("{field}.renew_percent"), "must be 10 to 90"));
            }
            plan = plan.soft_per_mille((percent * 10, percent * 10 + RESPONDER_LATER));
        }
        if let Some(first) = self.retransmit {
            plan = plan.resend_schedule(Schedule::Incremental(first.0));
        }
        if let Some(retries) = self.retries {
            plan = plan.resends(retries);
        }
        plan = self.negotiation.plan(plan).force_encapsulation(self.force_udp);
        if let Some(gap) = self.nat_keepalive {
            plan = plan.keepalive(gap.0);
        }
        plan = plan.fragmentation(match self.fragmentation {
            Parts::Yes => Fragmentation::On,
            Parts::No => Fragmentation::Off,
            Parts::Accept => Fragmentation::Accept,
            Parts::Force => Fragmentation::Force,
        });
        if let Some(size) = self.fragment_size {
            plan = plan.fragment_size(size);
        }
        plan = match self.dpd_idle {
            Some(idle) => plan.dpd(DpdMode::Both).dpd_idle(idle.0),
            None => plan.dpd(DpdMode::Receive),
        };
        if let Some(xauth) = &self.xauth {
            plan = plan.xauth(match self.credentials()? {
                Some((user, password)) => Xauth::Client(XauthClient::new().credentials(user, password)),
                None => Xauth::Server(match xauth.attempts {
                    Some(attempts) => XauthServer::new().attempts(attempts),
                    None => XauthServer::new(),
                }),
            });
        }
        if let Some(mode_config) = &self.mode_config {
            plan = plan.mode_config(mode_config.plan(field)?);
        }
        for (index, child) in self.child.iter().enumerate() {
            let field = format!("{field}.child[{index}]");
            let mut policy = PolicyConfig::new(&child.name)
                .local(traffic(child.local, &format!("{field}.local"))?)
                .remote(traffic(child.remote, &format!("{field}.remote"))?);
            if let Some(proposals) = &child.esp {
                policy = policy.suites(proposals.iter().map(EspProposal::plan));
                if let Some(group) = proposals.first().and_then(|first| first.pfs) {
                    policy = policy.pfs(group.plan());
                }
            }
            if let Some(suites) = &child.suites {
                policy = policy.suites(suites.0.clone());
            }
            if let Some(group) = child.pfs {
                policy = policy.pfs(group.plan());
            }
            if child.mode == Mode::Transport {
                policy = policy.mode(ikev1_core::proposal::Mode::Transport);
            }
            if let Some(lifetime) = child.lifetime {
                policy = policy.lifetime(lifetime.0);
            }
            if let Some(side) = child.client {
                policy = policy.dynamic(match side {
                    Side::Local => Dynamic::Local,
                    Side::Remote => Dynamic::Remote,
                });
            }
            plan = plan.policy(policy);
        }
        Ok(plan)
    }
}

impl ModeConfig {
    fn plan(&self, field: &str) -> Result<ikev1_core::ModeConfig, FileError> {
        let Some(pool) = &self.pool else {
            return Ok(ikev1_core::ModeConfig::Client(ModeConfigClient::new().push(self.push)));
        };
        let split = self.split_include.iter().map(|prefix| {
            Network::new(prefix.address, prefix.length)
                .ok_or_else(|| FileError::refused(format!("{field}.mode_config.split_include"), "no such network"))
        });
        let unity = Unity {
            banner: self.banner.clone(),
            default_domain: self.default_domain.clone(),
            split_include: split.collect::<Result<_, _>>()?,
            ..Unity::default()
        };
        let settings =
            ClientSettings { dns: self.dns.clone(), nbns: self.nbns.clone(), unity, ..ClientSettings::default() };
        let server =
            ModeConfigServer::new().push(self.push).addresses(AddressSource::Pool(pool.clone())).settings(settings);
        Ok(ikev1_core::ModeConfig::Server(server))
    }
}

fn addresses(prefix: Prefix) -> Result<AddressSelector, FileError> {
    AddressSelector::prefix(prefix.address, prefix.length)
        .map_err(|error| FileError::refused("policy", format!("{prefix}: {error}")))
}

pub(super) fn traffic(prefix: Prefix, field: &str) -> Result<TrafficSelector, FileError> {
    let width = if matches!(prefix.address, IpAddr::V4(_)) { 32 } else { 128 };
    if prefix.length == width {
        return Ok(TrafficSelector::host(prefix.address));
    }
    TrafficSelector::subnet(prefix.address, prefix.length).map_err(|error| FileError::refused(field, error.to_string()))
}

impl Identity {
    pub(crate) fn plan(&self) -> ikev1_core::Identity {
        match self {
            Self::Address(address) => ikev1_core::Identity::Address(*address),
            Self::Fqdn(name) => ikev1_core::Identity::Fqdn(name.clone()),
            Self::UserFqdn(name) => ikev1_core::Identity::UserFqdn(name.clone()),
            Self::DistinguishedName(name) => name.clone(),
            Self::KeyId(octets) => ikev1_core::Identity::KeyId(octets.clone()),
        }
    }
}

impl IkeProposal {
    pub(crate) fn plan(&self) -> Phase1Transform {
        Phase1Transform {
            cipher: match self.cipher {
                Cipher::Aes128 => CipherAlgorithm::Aes128,
                Cipher::Aes192 => CipherAlgorithm::Aes192,
                Cipher::Aes256 => CipherAlgorithm::Aes256,
                Cipher::TripleDes => CipherAlgorithm::TripleDes,
                // The parser lets `null` into ESP proposals only.
                Cipher::Des | Cipher::Null => CipherAlgorithm::Des,
            },
            hash: match self.hash {
                Hash::Md5 => HashAlgorithm::Md5,
                Hash::Sha1 => HashAlgorithm::Sha1,
                Hash::Sha256 => HashAlgorithm::Sha2_256,
                Hash::Sha384 => HashAlgorithm::Sha2_384,
                Hash::Sha512 => HashAlgorithm::Sha2_512,
            },
            group: self.group.plan(),
            authentication: AuthenticationMethod::PreSharedKey,
            lifetime: Lifetime::default(),
        }
    }
}

impl EspProposal {
    pub(crate) fn plan(&self) -> Protection {
        Protection::Esp {
            cipher: match self.cipher {
                Cipher::Aes128 => EspCipher::AesCbc(AesKey::Bits128),
                Cipher::Aes192 => EspCipher::AesCbc(AesKey::Bits192),
                Cipher::Aes256 => EspCipher::AesCbc(AesKey::Bits256),
                Cipher::TripleDes => EspCipher::TripleDes,
                Cipher::Des => EspCipher::Des,
                Cipher::Null => EspCipher::Null,
            },
            integrity: Some(match self.hash {
                Hash::Md5 => Integrity::HmacMd5,
                Hash::Sha1 => Integrity::HmacSha1,
                Hash::Sha256 => Integrity::HmacSha2_256,
                Hash::Sha384 => Integrity::HmacSha2_384,
                Hash::Sha512 => Integrity::HmacSha2_512,
            }),
        }
    }
}

impl Group {
    pub(crate) fn plan(self) -> DhGroup {
        match self {
            Self::Modp768 => DhGroup::Modp768,
            Self::Modp1024 => DhGroup::Modp1024,
            Self::Modp1536 => DhGroup::Modp1536,
            Self::Modp2048 => DhGroup::Modp2048,
            Self::Modp3072 => DhGroup::Modp3072,
            Self::Modp4096 => DhGroup::Modp4096,
            Self::Modp6144 => DhGroup::Modp6144,
            Self::Modp8192 => DhGroup::Modp8192,
            Self::Ecp256 => DhGroup::Ecp256,
            Self::Ecp384 => DhGroup::Ecp384,
            Self::Ecp521 => DhGroup::Ecp521,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../gatewayd.toml");

    fn plan(text: &str) -> Result<Plan, FileError> {
        File::parse(text.as_bytes()).unwrap().plan()
    }

    #[test]
    fn the_sample_makes_a_plan() {
        let plan = plan(SAMPLE).unwrap();
        assert!(plan.ike().connection_named("office").is_some());
        assert!(plan.child_named("net").is_some());
    }

    #[test]
    fn weak_algorithms_are_refused_without_the_dangerous_key() {
        for weak in ["des-sha1-modp2048", "aes128-md5-modp2048", "aes128-sha1-modp1024"] {
            let text = SAMPLE.replacen("aes256-sha256-modp2048", weak, 1);
            let error = plan(&text).unwrap_err().to_string();
            assert!(error.contains("office") && error.contains("phase1"), "{error}");
            let allowed = text.replacen("# dangerously_allow_weak", "dangerously_allow_weak", 1);
            assert!(plan(&allowed).is_ok());
        }
    }

    #[test]
    fn a_peer_that_wants_it_otherwise_gets_it() {
        let with = |fields: &str| SAMPLE.replacen("dpd_idle = \"30s\"", &format!("negotiation = {{ {fields} }}"), 1);
        assert!(!plan(SAMPLE).unwrap().ike().esp_on_ike_port());
        assert!(plan(&with("nat_t = \"every\"")).unwrap().ike().esp_on_ike_port());
        let all = "commit_bit = true, pfs_identities = true, certificates = \"never\", initial_contact = false, \
                   ignore_initial_contact = true, heartbeats = \"both\", heartbeat_period = \"20s\"";
        assert!(plan(&with(all)).is_ok());
        let text = with("nat_t = \"off\"").replacen("# force_udp = true", "force_udp = true", 1);
        assert!(plan(&text).unwrap_err().to_string().contains("force_encapsulation"));
        let error = plan(&with("heartbeats = \"send\", heartbeat_period = \"2h\"")).unwrap_err().to_string();
        assert!(error.contains("heartbeat_period"), "{error}");
        for wrong in ["nat_t = \"02\"", "certificates = true", "commit = true"] {
            assert!(File::parse(with(wrong).as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_udp_tunnel_of_a_child_opens_its_port_and_wants_nat_traversal_off() {
        assert_eq!(plan(SAMPLE).unwrap().udp_tunnel_port(), None);
        let on = SAMPLE.replacen("# udp_tunnel = ", "udp_tunnel = ", 1);
        let error = plan(&on).unwrap_err().to_string();
        assert!(error.contains("net: nat_traversal"), "{error}");
        let off = on.replacen("dpd_idle = \"30s\"", "negotiation = { nat_t = \"off\" }", 1);
        assert_eq!(plan(&off).unwrap().udp_tunnel_port(), Some(2746));
        let other = off.replacen("udp_tunnel_port = 2746", "udp_tunnel_port = 4500", 1);
        assert!(plan(&other).unwrap_err().to_string().contains("udp_tunnel_port"));
        let ah = off.replacen("esp = [\"aes256-sha256\", \"aes128-sha1\"]", "suites = \"ah-sha1\"", 1);
        assert!(plan(&ah).unwrap_err().to_string().contains("AH"));
        assert!(File::parse(on.replacen("heartbeat = true", "beat = true", 1).as_bytes()).is_err());
    }

    #[test]
    fn a_route_template_has_a_name_and_wants_peers_that_are_not_known() {
        let on = SAMPLE.replacen("# route_template = ", "route_template = ", 1);
        let error = plan(&on).unwrap_err().to_string();
        assert!(error.contains("net: route_template"), "{error}");
        let any = on.replacen("remote = \"192.0.2.2\"  ", "remote = \"any\"  ", 1);
        let any =
            any.replacen("# remote_id = ", "remote_id = ", 1).replacen("start = \"traffic\"", "start = \"never\"", 1);
        plan(&any).unwrap();
        let error = plan(&any.replacen("\"branches\"", "\"\"", 1)).unwrap_err().to_string();
        assert!(error.starts_with("connection[0].child[0].route_template"), "{error}");
    }

    #[test]
    fn values_out_of_range_name_their_field() {
        let error = plan(&SAMPLE.replacen("renew_percent = 85", "renew_percent = 99", 1)).unwrap_err().to_string();
        assert!(error.starts_with("connection[0].renew_percent"), "{error}");
        let error = plan(&SAMPLE.replacen("replay_window = 64", "replay_window = 65", 1)).unwrap_err().to_string();
        assert!(error.contains("replay_window"), "{error}");
    }
}
