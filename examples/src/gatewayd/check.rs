//! What fields of the configuration file say against each other.

use super::file::{Connection, Daemon, File, FileError, PolicyAction, Start};
use super::words::{Prefix, Remote};
use std::collections::BTreeSet;

impl File {
    /// Checks each field against the others.
    pub(super) fn check(&self) -> Result<(), FileError> {
        if self.daemon.listen.is_empty() {
            return Err(FileError::refused("daemon.listen", "name at least one address of this machine"));
        }
        for (index, address) in self.daemon.listen.iter().enumerate() {
            let field = || format!("daemon.listen[{index}]");
            if address.is_unspecified() || address.is_multicast() {
                let reason = "name one address of this machine, so that answers leave from where questions came to";
                return Err(FileError::refused(field(), reason));
            }
            if self.daemon.listen.iter().take(index).any(|earlier| earlier == address) {
                return Err(FileError::refused(field(), "is listed twice"));
            }
        }
        if self.daemon.ike_port == 0 || self.daemon.nat_t_port == 0 {
            return Err(FileError::refused("daemon.ike_port", "ports are from 1 to 65535"));
        }
        if self.daemon.ike_port == self.daemon.nat_t_port {
            return Err(FileError::refused("daemon.nat_t_port", "must differ from daemon.ike_port"));
        }
        if self.tun.name.is_empty() || self.tun.name.len() > 15 || self.tun.name.contains(['/', ' ']) {
            return Err(FileError::refused("tun.name", "device names have 1 to 15 characters, no space and no slash"));
        }
        if self.tun.mtu < 576 {
            return Err(FileError::refused("tun.mtu", "must be 576 or more"));
        }
        for (index, policy) in self.policy.iter().enumerate() {
            prefixes(&format!("policy[{index}]"), policy.local, policy.remote)?;
            if policy.action == PolicyAction::Bypass {
                let reason = "nothing passes a TUN device by: keep such traffic off it by routes";
                return Err(FileError::refused(format!("policy[{index}].action"), reason));
            }
        }
        for (index, connection) in self.connection.iter().enumerate() {
            connection.check(&format!("connection[{index}]"), &self.daemon)?;
            if self.connection.iter().take(index).any(|earlier| earlier.name == connection.name) {
                return Err(FileError::refused(format!("connection[{index}].name"), "is used twice"));
            }
        }
        let mut names = BTreeSet::new();
        for (index, policy) in self.policy.iter().enumerate() {
            if !names.insert(&policy.name) {
                return Err(FileError::refused(format!("policy[{index}].name"), "is used twice"));
            }
        }
        for (index, connection) in self.connection.iter().enumerate() {
            for (inner, child) in connection.child.iter().enumerate() {
                if !names.insert(&child.name) {
                    let field = format!("connection[{index}].child[{inner}].name");
                    return Err(FileError::refused(field, "is used twice: names of children and policies are unique"));
                }
            }
        }
        Ok(())
    }
}

impl Connection {
    fn check(&self, field: &str, daemon: &Daemon) -> Result<(), FileError> {
        let refused = |name: &str, reason: &str| Err(FileError::refused(format!("{field}.{name}"), reason));
        if self.name.is_empty() {
            return refused("name", "must not be empty");
        }
        if !daemon.listen.contains(&self.local) {
            return refused("local", "is not one of daemon.listen");
        }
        match self.remote {
            Remote::Address(address) if address.is_ipv4() != self.local.is_ipv4() => {
                return refused("remote", "is of another address family than local");
            }
            Remote::Subnet(subnet) if subnet.address.is_ipv4() != self.local.is_ipv4() => {
                return refused("remote", "is of another address family than local");
            }
            Remote::Any | Remote::Subnet(_) if self.start != Start::Never => {
                return refused("start", "must be \"never\" when remote is no single address: there is nobody to call");
            }
            Remote::Any if self.remote_id.is_none() => {
                return refused("remote_id", "is required when remote is \"any\"");
            }
            Remote::Address(_) | Remote::Subnet(_) | Remote::Any => {}
        }
        if self.hybrid {
            let peer = usize::from(self.ca_file.is_some()) + usize::from(self.remote_key_file.is_some());
            if self.psk.is_some() || self.psk_file.is_some() {
                return refused("hybrid", "is authentication without a pre-shared key");
            }
            return match (self.key_file.is_some(), peer) {
                (true, 0) | (false, 1) => self.check_proposals(field),
                _ => refused("hybrid", "give key_file on the gateway, ca_file or remote_key_file on the user's end"),
            };
        }
        if let Some(set) = self.key_file.as_ref().map(|_| (&self.ca_file, &self.remote_key_file)) {
            if self.psk.is_some() || self.psk_file.is_some() {
                return refused("key_file", "give a private key or a pre-shared key, not both");
            }
            return match set {
                (Some(_), None) | (None, Some(_)) => self.check_proposals(field),
                _ => refused("ca_file", "give ca_file or remote_key_file"),
            };
        }
        for (name, file) in
            [("cert_file", &self.cert_file), ("ca_file", &self.ca_file), ("remote_key_file", &self.remote_key_file)]
        {
            if file.is_some() {
                return refused(name, "has no meaning without key_file");
            }
        }
        match (&self.psk, &self.psk_file) {
            (None, None) => return refused("psk", "give psk, psk_file or key_file"),
            (Some(_), Some(_)) => return refused("psk_file", "give psk or psk_file, not both"),
            (Some(psk), None) if psk.0.is_empty() => return refused("psk", "must not be empty"),
            (Some(_), None) | (None, Some(_)) => {}
        }
        self.check_proposals(field)
    }

    fn check_proposals(&self, field: &str) -> Result<(), FileError> {
        let refused = |name: &str, reason: &str| Err(FileError::refused(format!("{field}.{name}"), reason));
        if self.ike.as_ref().is_some_and(Vec::is_empty) {
            return refused("ike", "must name at least one proposal");
        }
        if let Some(xauth) = &self.xauth {
            let passwords = [xauth.password.is_some(), xauth.password_file.is_some()];
            match (&xauth.users_file, &xauth.user, passwords) {
                (Some(_), None, [false, false]) | (None, Some(_), [true, false] | [false, true]) => {}
                _ => return refused("xauth", "give users_file, or user and either password or password_file"),
            }
        }
        if self.child.is_empty() {
            return refused("child", "must name at least one network pair to protect");
        }
        for (index, child) in self.child.iter().enumerate() {
            let field = format!("{field}.child[{index}]");
            prefixes(&field, child.local, child.remote)?;
            if child.name.is_empty() {
                return Err(FileError::refused(format!("{field}.name"), "must not be empty"));
            }
            if child.esp.is_some() && (child.suites.is_some() || child.pfs.is_some()) {
                return Err(FileError::refused(format!("{field}.esp"), "give esp, or suites and pfs, not both"));
            }
            let Some(esp) = &child.esp else { continue };
            let Some(first) = esp.first() else {
                return Err(FileError::refused(format!("{field}.esp"), "must name at least one proposal"));
            };
            if let Some(other) = esp.iter().position(|proposal| proposal.pfs != first.pfs) {
                let reason = "one quick mode carries one group: all proposals must name the same, or none";
                return Err(FileError::refused(format!("{field}.esp[{other}]"), reason));
            }
        }
        Ok(())
    }
}

fn prefixes(field: &str, local: Prefix, remote: Prefix) -> Result<(), FileError> {
    for (name, prefix) in [("local", local), ("remote", remote)] {
        prefix.network().map_err(|error| FileError::refused(format!("{field}.{name}"), error.to_string()))?;
    }
    if local.address.is_ipv4() != remote.address.is_ipv4() {
        return Err(FileError::refused(format!("{field}.remote"), "is of another address family than local"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../gatewayd.toml");

    fn refusal(from: &str, to: &str) -> String {
        assert!(SAMPLE.contains(from), "the sample no longer contains {from}");
        File::parse(SAMPLE.replacen(from, to, 1).as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn contradictions_name_the_field_to_change() {
        let error = refusal("listen = [\"192.0.2.1\"]", "listen = [\"192.0.2.9\"]");
        assert!(error.starts_with("connection[0].local: is not one of daemon.listen"), "{error}");
        let error = refusal("remote = \"192.0.2.2\"", "remote = \"any\"");
        assert!(error.starts_with("connection[0].start: "), "{error}");
        let error = refusal("\nlocal = \"10.10.1.0/24\"", "\nlocal = \"10.10.1.1/24\"");
        assert!(error.starts_with("connection[0].child[0].local: "), "{error}");
    }

    #[test]
    fn a_policy_may_discard_but_not_bypass() {
        let policy = |action: &str| {
            let lines = ["[[policy]]", "name = \"x\"", "local = \"10.0.0.0/8\"", "remote = \"10.0.0.0/8\"", action];
            File::parse(format!("{SAMPLE}\n{}\n", lines.join("\n")).as_bytes())
        };
        assert!(policy("action = \"discard\"").is_ok());
        let error = policy("action = \"bypass\"").unwrap_err().to_string();
        assert!(error.starts_with("policy[0].action: ") && error.contains("routes"), "{error}");
    }
}
