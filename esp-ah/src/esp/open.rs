use super::{PADDING, associated};
use crate::cipher::{OpenCipher, cbc};
use crate::integrity::{Icv, Message, icvs, same};
use crate::keys::OpenKey;
use crate::packet::Packet;
use crate::provider::{Aead, ProviderFailed};
use crate::suite::IntegrityAlgorithm;
use arrayvec::ArrayVec;
use cipher::BlockCipherDecrypt;
use cipher::array::Array;
use ipsec_wire::esp::{EspPacket, HEADER_LEN, TRAILER_LEN};

/// Packets verified together: their hashes do not wait for each other.
const TOGETHER: usize = 64;

/// Why a packet was not opened.
///
/// For our own counters and logs: to the sender every refusal looks the same, which is silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The packet is shorter than header, IV, one block and ICV.
    #[error("shorter than header, IV, trailer and ICV")]
    TooShort,
    /// The ciphertext is no multiple of the block, or of four octets.
    #[error("ciphertext is no multiple of the block")]
    Unaligned,
    /// The ICV is wrong: forged, damaged, another key, or a wrong guess of the sequence number's upper half.
    #[error("wrong ICV")]
    Icv,
    /// The caller rejected the packet after its ICV was checked: a replay.
    #[error("rejected by the caller")]
    Rejected,
    /// The padding is longer than the payload.
    #[error("pad length beyond the payload")]
    PadLength,
    /// The padding octets are not 1, 2, 3 and so on.
    #[error("padding octets out of order")]
    PadOctets,
    /// The provider of the cryptography could not say.
    #[error(transparent)]
    Provider(#[from] ProviderFailed),
    /// The provider of the integrity algorithm could not say.
    #[error("no ICV to compare: {0}")]
    Integrity(#[source] ProviderFailed),
    /// The job was not run to its end.
    #[error("the job was not run")]
    NotRun,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    /// Its lengths are right; its ICV stands apart from its cipher and is to be checked.
    Measured,
    Verified,
    Opened(u8),
    Failed(OpenError),
}

/// What was inside an ESP packet.
#[derive(Debug)]
pub struct Opened<'b> {
    /// The payload, with filler after it if the sender put some there.
    pub packet: Packet<'b>,
    /// What the payload is: 4 or 41 for a tunnel, a transport otherwise, 59 for a dummy to be dropped.
    pub next_header: u8,
}

/// One ESP packet to open: what to open it with, and what became of it.
#[derive(Debug)]
pub struct OpenJob<'k, 'b> {
    key: &'k OpenKey,
    packet: Packet<'b>,
    sequence_high: u32,
    keep: bool,
    stage: Stage,
}

impl<'k, 'b> OpenJob<'k, 'b> {
    /// Makes the job of opening `packet`, which starts with the SPI.
    ///
    /// `sequence` is the whole number: its upper half matters with 64-bit sequence numbers only, its lower
    /// half is read from the packet.
    pub const fn new(key: &'k OpenKey, packet: Packet<'b>, sequence: u64) -> Self {
        Self { key, packet, sequence_high: (sequence >> 32) as u32, keep: false, stage: Stage::Waiting }
    }

    /// Sets whether the packet stays as it came if its ICV is wrong, to be tried again with another upper half of its
    /// sequence number.
    ///
    /// A key of this crate leaves it so anyway. A key that a [`Provider`](crate::Provider) made may lose it, unless it
    /// is told not to, which takes more time and is possible with 64-bit sequence numbers only.
    #[must_use]
    pub const fn kept_if_refused(mut self, keep: bool) -> Self {
        self.keep = keep;
        self
    }

    /// Returns the packet: the payload once opened, the ESP packet before.
    pub const fn packet(&self) -> &Packet<'b> {
        &self.packet
    }

    /// Returns the kind of the payload.
    ///
    /// # Errors
    /// Why the packet was not opened.
    pub const fn outcome(&self) -> Result<u8, OpenError> {
        match self.stage {
            Stage::Opened(next_header) => Ok(next_header),
            Stage::Failed(error) => Err(error),
            Stage::Waiting | Stage::Measured | Stage::Verified => Err(OpenError::NotRun),
        }
    }

    /// Returns the payload.
    ///
    /// # Errors
    /// Why the packet was not opened.
    pub fn finish(self) -> Result<Opened<'b>, OpenError> {
        self.outcome().map(|next_header| Opened { packet: self.packet, next_header })
    }

    /// Checks lengths, and the ICV where the cipher makes it.
    fn measure(&mut self) {
        self.stage = match self.try_measure() {
            Ok(stage) => stage,
            Err(error) => Stage::Failed(error),
        };
    }

    fn try_measure(&mut self) -> Result<Stage, OpenError> {
        let key = self.key;
        let frame = key.frame;
        let overhead = frame.header().saturating_add(frame.icv());
        let text_len = self.packet.len().checked_sub(overhead).ok_or(OpenError::TooShort)?;
        if text_len < TRAILER_LEN {
            return Err(OpenError::TooShort);
        }
        if !text_len.is_multiple_of(frame.align()) {
            return Err(OpenError::Unaligned);
        }
        let view = EspPacket::new_checked(self.packet.octets()).map_err(|_| OpenError::TooShort)?;
        let sequence = (u64::from(self.sequence_high) << 32) | u64::from(view.sequence());
        let spi = view.spi();
        let (associated, length) = associated(spi, sequence, frame.extended);
        let associated = associated.get(..length).unwrap_or_default();
        let right = match &key.cipher {
            OpenCipher::Gcm(gcm) => {
                let (iv, text, icv) = self.parts();
                same(icv, &gcm.tag(iv, associated, text))
            }
            OpenCipher::Gmac(gcm) => {
                let (iv, _, icv) = self.parts();
                let icv = Array::<u8, cipher::consts::U16>::try_from(&*icv).unwrap_or_default();
                same(&icv, &super::gmac(gcm, iv, self.packet.octets(), frame, spi, sequence))
            }
            OpenCipher::Ccm(ccm) => {
                let (iv, text, icv) = self.parts();
                Aead::open(&**ccm, iv, associated, text, icv)?
            }
            OpenCipher::ChaCha(chacha) => {
                let (iv, text, icv) = self.parts();
                Aead::open(&**chacha, iv, associated, text, icv)?
            }
            OpenCipher::Provided(provided) => {
                let keep = self.keep;
                let (iv, text, icv) = self.parts();
                provided.open(iv, associated, text, icv, keep)?
            }
            OpenCipher::Null
            | OpenCipher::Des(_)
            | OpenCipher::TripleDes(_)
            | OpenCipher::Aes(_)
            | OpenCipher::Ctr(_) => return Ok(Stage::Measured),
        };
        if right { Ok(Stage::Verified) } else { Err(OpenError::Icv) }
    }

    /// Returns what a separate integrity algorithm covers.
    fn covered(&self) -> Message<'_> {
        let octets = self.packet.octets();
        let covered = octets.get(..octets.len().saturating_sub(self.key.frame.icv()));
        Message::new(covered.unwrap_or_default(), self.key.frame.extended, self.sequence_high)
    }

    /// Compares the ICV with the one computed.
    fn verify(&mut self, computed: Icv) {
        let octets = self.packet.octets();
        let received = octets.get(octets.len().saturating_sub(self.key.frame.icv())..).unwrap_or_default();
        // Only a suite made with the dangerous name has no integrity.
        let unprotected = self.key.suite().integrity() == IntegrityAlgorithm::None;
        self.stage = match computed {
            Ok(computed) if unprotected || same(received, &computed) => Stage::Verified,
            Ok(_) => Stage::Failed(OpenError::Icv),
            Err(failed) => Stage::Failed(OpenError::Integrity(failed)),
        };
    }

    /// Decrypts a verified packet if it is accepted.
    fn go_on(&mut self, accept: impl FnOnce() -> bool) {
        if self.stage != Stage::Verified {
            return;
        }
        let opened = if accept() { self.try_decrypt() } else { Err(OpenError::Rejected) };
        self.stage = match opened {
            Ok(next_header) => Stage::Opened(next_header),
            Err(error) => Stage::Failed(error),
        };
    }

    fn try_decrypt(&mut self) -> Result<u8, OpenError> {
        let frame = self.key.frame;
        match &self.key.cipher {
            OpenCipher::Aes(aes) => self.decrypt_cbc(aes),
            OpenCipher::Des(des) => self.decrypt_cbc(&**des),
            OpenCipher::TripleDes(des) => self.decrypt_cbc(&**des),
            OpenCipher::Ctr(ctr) => {
                let (iv, text, _) = self.parts();
                ctr.apply(iv, text);
            }
            OpenCipher::Gcm(gcm) => {
                let (iv, text, _) = self.parts();
                gcm.apply(iv, text);
            }
            // Nothing to decrypt, or decrypted already, the ICV being inseparable.
            OpenCipher::Null
            | OpenCipher::Gmac(_)
            | OpenCipher::Ccm(_)
            | OpenCipher::ChaCha(_)
            | OpenCipher::Provided(_) => {}
        }
        let end = self.packet.len().saturating_sub(frame.icv());
        let text = self.packet.octets().get(frame.header()..end).unwrap_or_default();
        let (payload, &[pad_length, next_header]) = text.split_last_chunk().ok_or(OpenError::TooShort)?;
        let pad_length = usize::from(pad_length);
        let start = payload.len().checked_sub(pad_length).ok_or(OpenError::PadLength)?;
        if payload.get(start..) != PADDING.get(..pad_length) {
            return Err(OpenError::PadOctets);
        }
        let tail = pad_length.saturating_add(TRAILER_LEN).saturating_add(frame.icv());
        self.packet.trim_front(frame.header()).ok_or(OpenError::TooShort)?;
        self.packet.trim_back(tail).ok_or(OpenError::TooShort)?;
        Ok(next_header)
    }

    fn decrypt_cbc<C: BlockCipherDecrypt>(&mut self, cipher: &C) {
        let frame = self.key.frame;
        let end = self.packet.len().saturating_sub(frame.icv());
        let body = self.packet.octets_mut().get_mut(HEADER_LEN..end).unwrap_or_default();
        let (iv, text) = body.split_at_mut_checked(frame.iv()).unwrap_or_default();
        cbc::decrypt(cipher, &Array::try_from(&*iv).unwrap_or_default(), text);
    }

    /// Returns the IV of a counter mode, the text and the ICV.
    fn parts(&mut self) -> ([u8; 8], &mut [u8], &mut [u8]) {
        let frame = self.key.frame;
        let end = self.packet.len().saturating_sub(frame.icv());
        let (body, icv) = self.packet.octets_mut().split_at_mut_checked(end).unwrap_or_default();
        let body = body.get_mut(HEADER_LEN..).unwrap_or_default();
        let (iv, text) = body.split_at_mut_checked(frame.iv()).unwrap_or_default();
        (iv.first_chunk().copied().unwrap_or_default(), text, icv)
    }
}

/// Something that may hold a job: the job itself, or a slot of the caller's array.
pub trait OpenSlot<'k, 'b> {
    /// Returns the job, if there is one.
    fn job(&mut self) -> Option<&mut OpenJob<'k, 'b>>;
}

impl<'k, 'b> OpenSlot<'k, 'b> for OpenJob<'k, 'b> {
    fn job(&mut self) -> Option<&mut Self> {
        Some(self)
    }
}

impl<'k, 'b> OpenSlot<'k, 'b> for Option<OpenJob<'k, 'b>> {
    fn job(&mut self) -> Option<&mut OpenJob<'k, 'b>> {
        self.as_mut()
    }
}

/// Opens every packet, in this order for each: lengths and ICV, `accept`, decryption, padding.
///
/// `accept` is given the place of a packet whose ICV is right, and says whether the packet is to be opened; the
/// packets come to it in their order. This is where the replay window moves: two copies of one packet in a batch
/// are both right, and the window tells them apart. A packet that is not accepted is
/// [`OpenError::Rejected`].
pub fn open_batch_if<'k, 'b, S: OpenSlot<'k, 'b>>(slots: &mut [S], mut accept: impl FnMut(usize) -> bool) {
    if let [slot] = slots {
        // Without company, and without the room for it.
        if let Some(job) = slot.job().filter(|job| job.stage == Stage::Waiting) {
            job.measure();
            if job.stage == Stage::Measured {
                let computed = job.key.integrity.icv(&job.covered());
                job.verify(computed);
            }
            job.go_on(|| accept(0));
        }
        return;
    }
    for (group, slots) in slots.chunks_mut(TOGETHER).enumerate() {
        // Filled where it stands: moved, it would be copied with all its room.
        let mut jobs = ArrayVec::<(usize, &mut OpenJob<'k, 'b>), TOGETHER>::new();
        jobs.extend(slots.iter_mut().enumerate().filter_map(|(at, slot)| {
            let job = slot.job().filter(|job| job.stage == Stage::Waiting)?;
            job.measure();
            Some((group.saturating_mul(TOGETHER).saturating_add(at), job))
        }));
        let measured = jobs.iter().filter(|(_, job)| job.stage == Stage::Measured);
        let computed = icvs::<TOGETHER>(measured.map(|(_, job)| (&job.key.integrity, job.covered())));
        let measured = jobs.iter_mut().filter(|(_, job)| job.stage == Stage::Measured);
        for ((_, job), computed) in measured.zip(computed) {
            job.verify(computed);
        }
        for (index, job) in jobs {
            job.go_on(|| accept(index));
        }
    }
}

/// Verifies and decrypts, for callers without a replay window between the two.
pub fn open_batch<'k, 'b, S: OpenSlot<'k, 'b>>(slots: &mut [S]) {
    open_batch_if(slots, |_| true);
}
