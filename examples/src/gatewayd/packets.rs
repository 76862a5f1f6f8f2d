//! The way of packets: from the device through the engine to the sockets, and back.

use super::datagrams::{Arrived, Inbox};
use super::run::{Daemon, SOCKETS, TUN, is_transient};
use super::sockets::Received;
use super::tun::CUTS;
use drive::{Datagram, Instant, Verdict};
use gateway::{InPacket, Inbound, OutPacket, Outbound, Packet};
use mio::Token;
use std::io;

/// Packets that are sealed or opened in one call.
const BATCH: usize = CUTS;
/// Batches read from one source before the others get their turn.
const ROUNDS: usize = 4;
/// Octets before a clear packet: ESP header and IV go there.
const HEADROOM: usize = 128;
/// Octets after a clear packet: padding and ICV go there.
const TAILROOM: usize = 128;
/// Octets before a received datagram: the IP header of what comes out of transport mode goes there.
const _: () = assert!(HEADROOM >= gateway::ROOM);
/// The longest datagram or packet.
const LONGEST: usize = 65_535;
/// Returns the buffers that a batch lies in.
pub(super) fn buffers() -> Vec<Vec<u8>> {
    (0..BATCH).map(|_| vec![0; HEADROOM + LONGEST + TAILROOM]).collect()
}

impl Daemon {
    pub(super) fn read_device(&mut self) -> io::Result<()> {
        let mut buffers = core::mem::take(&mut self.buffers);
        let mut dry = false;
        let mut lengths = [0; BATCH];
        for _ in 0..ROUNDS {
            let read = match self.device.receive(&mut buffers, &mut lengths, HEADROOM) {
                Ok(read) => read,
                Err(error) if is_transient(&error) => {
                    dry = error.kind() == io::ErrorKind::WouldBlock;
                    break;
                }
                // The device is gone, says the system; else one read could not be cut, and more may follow.
                Err(error) if error.raw_os_error().is_some() => return Err(error),
                Err(error) => {
                    self.complain(&error, "TUN device");
                    continue;
                }
            };
            self.seal(&mut buffers, lengths.get(..read).unwrap_or_default());
        }
        if !dry {
            self.ready.insert(TUN);
        }
        self.buffers = buffers;
        Ok(())
    }

    fn seal(&mut self, buffers: &mut [Vec<u8>], lengths: &[usize]) {
        let now = self.clock.now();
        let mut batch: Vec<OutPacket<'_>> = buffers
            .iter_mut()
            .zip(lengths)
            .filter_map(|(buffer, length)| Packet::new(buffer, HEADROOM..HEADROOM + length))
            .map(OutPacket::new)
            .collect();
        self.engine.seal_batch(now, &mut batch);
        let mut run: Vec<&[u8]> = Vec::with_capacity(batch.len());
        let mut towards = None;
        for sealed in &batch {
            let Outbound::Send(path) = sealed.outcome else { continue };
            if let Some((path, header)) = towards.replace((path, sealed.header)).filter(|old| Some(*old) != towards) {
                self.send(now, path, header, &run);
                run.clear();
            }
            run.push(sealed.packet.octets());
        }
        if let Some((path, header)) = towards {
            self.send(now, path, header, &run);
        }
        self.perform();
    }

    pub(super) fn read_socket(&mut self, index: usize) {
        let mut inbox = core::mem::take(&mut self.inbox);
        let mut more = true;
        for _ in 0..ROUNDS {
            match self.sockets.receive(index, &mut inbox) {
                Ok(rest) => more = rest,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => more = false,
                // It concerns one datagram, and more may follow.
                Err(error) => self.complain(&error, "socket"),
            }
            self.take_in(index, &inbox);
            if !more {
                break;
            }
        }
        if more {
            self.ready.insert(Token(SOCKETS + index));
        }
        self.inbox = inbox;
    }

    fn take_in(&mut self, index: usize, inbox: &Inbox) {
        let now = self.clock.now();
        let mut buffers = core::mem::take(&mut self.buffers);
        let mut arrived = inbox.datagrams().peekable();
        while arrived.peek().is_some() {
            let mut batch: Vec<InPacket<'_>> = Vec::with_capacity(BATCH);
            for (buffer, arrived) in buffers.iter_mut().zip(&mut arrived) {
                batch.extend(self.place(now, index, &arrived, buffer));
            }
            self.unseal(now, &mut batch);
        }
        drop(arrived);
        self.buffers = buffers;
    }

    /// Puts what is for the associations or the exchanges into a buffer with room around it.
    fn place<'b>(
        &mut self,
        now: Instant,
        index: usize,
        arrived: &Arrived<'_>,
        buffer: &'b mut [u8],
    ) -> Option<InPacket<'b>> {
        match self.sockets.read(index, arrived)? {
            Received::Datagram { path, payload, traffic_class } => {
                let range = HEADROOM..HEADROOM + payload.len();
                buffer.get_mut(range.clone())?.copy_from_slice(payload);
                let packet = InPacket::new(path, Packet::new(buffer, range)?);
                Some(InPacket { traffic_class, ..packet })
            }
            Received::Report { v6, message } => {
                // Most are not about us; those that are become news.
                let _ = self.engine.handle_icmp(now, v6, message);
                None
            }
        }
    }

    fn unseal(&mut self, now: Instant, batch: &mut [InPacket<'_>]) {
        self.engine.open_batch(now, batch);
        for opened in batch {
            match opened.outcome {
                Inbound::Deliver { .. } => self.device.put(opened.packet.octets()),
                Inbound::Control => {
                    let datagram = Datagram { path: opened.path, payload: opened.packet.octets() };
                    if let Verdict::Ignored(reason) = self.engine.handle_datagram(now, datagram) {
                        self.log.dropped(now, opened.path, &reason);
                    }
                    self.perform();
                }
                Inbound::Dropped(reason) => self.log.dropped(now, opened.path, &reason),
                Inbound::Unprocessed => {}
            }
        }
        self.perform();
    }
}
