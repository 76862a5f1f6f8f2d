//! Keys on disk, in the two tables that Wireshark reads.

use gateway::KeyLogLine;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The files `ikev1_decryption_table` and `esp_sa`, readable by their owner only.
///
/// Put the directory in place of Wireshark's configuration, or name the files there.
#[derive(Debug)]
pub struct KeyLog {
    isakmp: File,
    esp: File,
}

impl KeyLog {
    /// Opens both files in `directory`, and adds to what they hold.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let open = |name: &str| {
            let path = directory.join(name);
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
            file.map_err(|error| io::Error::new(error.kind(), format!("key log {}: {error}", path.display())))
        };
        Ok(Self { isakmp: open("ikev1_decryption_table")?, esp: open("esp_sa")? })
    }

    /// Adds one line to the table it belongs to.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&mut self, line: &KeyLogLine) -> io::Result<()> {
        match line {
            KeyLogLine::Isakmp(line) => writeln!(self.isakmp, "{line}"),
            KeyLogLine::Esp(line) => writeln!(self.esp, "{line}"),
        }
    }
}
