//! TAP devices: Ethernet frames of the machine.

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use std::io;
use std::os::fd::AsRawFd as _;
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

/// An open TAP device, up.
pub struct Tap {
    device: SyncDevice,
}

impl Tap {
    /// Makes the device and brings it up.
    ///
    /// # Errors
    /// What the system says; usually a missing right.
    pub fn open(name: &str, mtu: u16) -> io::Result<Self> {
        let builder = DeviceBuilder::new().name(name).layer(Layer::L2).mtu(mtu);
        let named = |error: io::Error| io::Error::new(error.kind(), format!("TAP device {name}: {error}"));
        let device = builder.build_sync().map_err(named)?;
        device.set_nonblocking(true)?;
        Ok(Self { device })
    }

    /// Registers the device for reading.
    ///
    /// # Errors
    /// The system refuses.
    pub fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.device.as_raw_fd()), token, Interest::READABLE)
    }

    /// Reads one frame.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none, or what the system says.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.device.recv(buffer)
    }

    /// Hands one frame to the machine.
    ///
    /// # Errors
    /// What the system says.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.device.send(frame).map(drop)
    }
}
