//! Whether a program is for this machine, from the first bytes of its file (elf(5)).

use thiserror::Error;

/// Why a program cannot run here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ElfError {
    /// Not an ELF file.
    #[error("it is not a Linux program (no ELF header)")]
    NotElf,
    /// For another processor.
    #[error("it is built for {found}, this package runs on x86-64")]
    Machine {
        /// Name of the processor, or its number.
        found: String,
    },
}

/// `e_machine` of x86-64.
const EM_X86_64: u16 = 62;

/// Checks the first 20 bytes of a program.
pub fn check_machine(header: &[u8]) -> Result<(), ElfError> {
    let (Some(magic), Some(class), Some(order), Some(machine)) =
        (header.get(..4), header.get(4), header.get(5), header.get(18..20))
    else {
        return Err(ElfError::NotElf);
    };
    if magic != b"\x7fELF" {
        return Err(ElfError::NotElf);
    }
    let machine = match (order, machine) {
        (1, &[low, high]) => u16::from_le_bytes([low, high]),
        (2, &[high, low]) => u16::from_be_bytes([high, low]),
        _ => return Err(ElfError::NotElf),
    };
    let found = match (machine, class) {
        (EM_X86_64, 2) => return Ok(()),
        (EM_X86_64, _) => "x32".to_owned(),
        (3, _) => "i386".to_owned(),
        (40, _) => "32-bit ARM".to_owned(),
        (183, _) => "aarch64".to_owned(),
        (243, _) => "RISC-V".to_owned(),
        (22, _) => "s390x".to_owned(),
        (21, _) => "ppc64".to_owned(),
        (number, _) => format!("processor number {number}"),
    };
    Err(ElfError::Machine { found })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(class: u8, machine: u16) -> Vec<u8> {
        let mut bytes = vec![0x7f, b'E', b'L', b'F', class, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0];
        bytes.extend(machine.to_le_bytes());
        bytes
    }

    #[test]
    fn this_very_program_is_for_this_machine() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(check_machine(&own[..20]), Ok(()));
    }

    #[test]
    fn the_wrong_architecture_is_named() {
        let message = check_machine(&header(2, 183)).unwrap_err().to_string();
        assert_eq!(message, "it is built for aarch64, this package runs on x86-64");
        assert!(check_machine(&header(1, 62)).unwrap_err().to_string().contains("x32"));
        assert_eq!(check_machine(b"#!/bin/sh\n# a script....."), Err(ElfError::NotElf));
        assert_eq!(check_machine(b"\x7fELF"), Err(ElfError::NotElf));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            if bytes.len() < 20 {
                prop_assert!(check_machine(&bytes).is_err());
            } else {
                drop(check_machine(&bytes));
            }
        }
    }
}
