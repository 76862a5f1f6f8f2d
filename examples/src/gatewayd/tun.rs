//! The TUN device: clear packets to protect come out of it, opened ones go into it.

use super::file::Tun;
use core::net::IpAddr;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use std::io;
use std::os::fd::AsRawFd as _;
use std::process::Command;
use tun_rs::{DeviceBuilder, GROTable, IDEAL_BATCH_SIZE, SyncDevice, VIRTIO_NET_HDR_LEN};

/// Packets that one read may give at most.
pub const CUTS: usize = IDEAL_BATCH_SIZE;
/// The longest packet.
const LONGEST: usize = 65_535;

/// An open TUN device, up, with its address and MTU.
///
/// Where the system can, it hands over TCP in pieces of up to 64 KiB, which are cut here, and takes it so: a call
/// for each packet would cost more than its protection.
pub struct Device {
    device: SyncDevice,
    name: String,
    /// What was read, before it is cut.
    uncut: Vec<u8>,
    gathering: GROTable,
    /// Packets to hand over, each behind room for the header of the device; kept for the room they have.
    outgoing: Vec<Vec<u8>>,
    /// How many of them are waiting.
    waiting: usize,
}

impl Device {
    /// Makes the device and brings it up.
    ///
    /// # Errors
    /// What the system says; usually a missing right.
    pub fn open(tun: &Tun) -> io::Result<Self> {
        let build = |offload: bool| {
            let mut builder = DeviceBuilder::new().name(tun.name.clone()).mtu(tun.mtu).offload(offload);
            if let Some(prefix) = tun.address {
                builder = match prefix.address {
                    IpAddr::V4(address) => builder.ipv4(address, prefix.length, None),
                    IpAddr::V6(address) => builder.ipv6(address, prefix.length),
                };
            }
            builder.build_sync()
        };
        let device = build(true)
            .or_else(|_| build(false))
            .map_err(|error| io::Error::new(error.kind(), format!("TUN device {}: {error}", tun.name)))?;
        device.set_nonblocking(true)?;
        Ok(Self {
            device,
            name: tun.name.clone(),
            uncut: vec![0; VIRTIO_NET_HDR_LEN + LONGEST],
            gathering: GROTable::default(),
            outgoing: Vec::new(),
            waiting: 0,
        })
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

    /// Reads clear packets, each into a buffer from `offset` on, and returns how many; their lengths are in
    /// `lengths`. There must be [`CUTS`] buffers.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none, or what the system says.
    pub fn receive(&mut self, buffers: &mut [Vec<u8>], lengths: &mut [usize], offset: usize) -> io::Result<usize> {
        self.device.recv_multiple(&mut self.uncut, buffers, lengths, offset)
    }

    /// Notes a clear packet to be handed to the system by [`flush`](Self::flush).
    pub fn put(&mut self, packet: &[u8]) {
        if self.waiting == self.outgoing.len() {
            self.outgoing.push(Vec::new());
        }
        let Some(buffer) = self.outgoing.get_mut(self.waiting) else { return };
        buffer.clear();
        buffer.resize(VIRTIO_NET_HDR_LEN, 0);
        buffer.extend_from_slice(packet);
        self.waiting += 1;
    }

    /// Hands the packets that were noted to the system, in as few calls as it takes.
    ///
    /// # Errors
    /// What the system says; the packets are gone either way.
    pub fn flush(&mut self) -> io::Result<()> {
        let waiting = core::mem::take(&mut self.waiting);
        let packets = self.outgoing.get_mut(..waiting).unwrap_or_default();
        if packets.is_empty() {
            return Ok(());
        }
        self.device.send_multiple(&mut self.gathering, packets, VIRTIO_NET_HDR_LEN).map(drop)
    }
}
