//! The TUN device: clear packets to protect come out of it, opened ones go into it.

use super::file::Tun;
use core::net::IpAddr;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use std::io;
use std::os::fd::AsRawFd as _;
use std::process::Command;
use tun_rs::{DeviceBuilder, SyncDevice};

/// An open TUN device, up, with its address and MTU.
pub struct Device {
    device: SyncDevice,
    name: String,
}

impl Device {
    /// Makes the device and brings it up.
    ///
    /// # Errors
    /// What the system says; usually a missing right.
    pub fn open(tun: &Tun) -> io::Result<Self> {
        let mut builder = DeviceBuilder::new().name(tun.name.clone()).mtu(tun.mtu);
        if let Some(prefix) = tun.address {
            builder = match prefix.address {
                IpAddr::V4(address) => builder.ipv4(address, prefix.length, None),
                IpAddr::V6(address) => builder.ipv6(address, prefix.length),
            };
        }
        let device = builder
            .build_sync()
            .map_err(|error| io::Error::new(error.kind(), format!("TUN device {}: {error}", tun.name)))?;
        device.set_nonblocking(true)?;
        Ok(Self { device, name: tun.name.clone() })
    }

    /// Registers the device for reading.
    ///
    /// # Errors
    /// The system refuses.
    pub fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.device.as_raw_fd()), token, Interest::READABLE)
    }

    /// Puts an address on the device, in place of another, by the program `ip`.
    ///
    /// # Errors
    /// The program is not there, or refuses.
    pub fn change_address(&self, before: Option<IpAddr>, address: IpAddr) -> io::Result<()> {
        if let Some(before) = before {
            // It may be gone already.
            let _ = self.ip("del", before);
        }
        self.ip("replace", address)
    }

    fn ip(&self, action: &str, address: IpAddr) -> io::Result<()> {
        let status = Command::new("ip").args(["address", action, &address.to_string(), "dev", &self.name]).status()?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("ip address {action} {address}: {status}")))
        }
    }

    /// Reads one clear packet.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none, or what the system says.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.device.recv(buffer)
    }

    /// Hands one clear packet to the system.
    ///
    /// # Errors
    /// What the system says.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.device.send(packet).map(drop)
    }
}
