//! Escapes of strings, and their characters where an observer wants them. Must not know plain text.

use crate::mcp::scan::fault::ScanFault;
use crate::mcp::scan::observer::Observer;
use crate::mcp::scan::state::{Escape, Scanner, State};

impl Scanner {
    /// Takes one byte of an escape.
    pub(super) fn escape(
        &mut self,
        escape: Escape,
        byte: u8,
        observer: &mut impl Observer,
    ) -> Result<(), ScanFault> {
        match escape {
            Escape::Kind if byte == b'u' => self.state = State::Escape(Escape::Digit { left: 4, unit: 0 }),
            Escape::Kind => {
                let character = match byte {
                    b'"' | b'\\' | b'/' => byte,
                    b'b' => 0x08,
                    b'f' => 0x0c,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    _ => return Err(ScanFault::Syntax),
                };
                self.state = State::String;
                self.unit(u16::from(character), observer);
            }
            Escape::Digit { left, unit } => {
                let digit = char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok());
                let unit = unit << 4 | digit.ok_or(ScanFault::Syntax)?;
                if left > 1 {
                    self.state = State::Escape(Escape::Digit { left: left - 1, unit });
                } else {
                    self.state = State::String;
                    self.unit(unit, observer);
                }
            }
        }
        Ok(())
    }

    /// Reports a UTF-16 code unit, once it is known whether a pair begins with it.
    fn unit(&mut self, unit: u16, observer: &mut impl Observer) {
        if !self.observed {
            return;
        }
        if self.high != 0 && (0xdc00..0xe000).contains(&unit) {
            let high = u32::from(std::mem::take(&mut self.high)) - 0xd800;
            return report(0x1_0000 + (high << 10) + (u32::from(unit) - 0xdc00), observer);
        }
        self.flush_high(observer);
        if (0xd800..0xdc00).contains(&unit) {
            self.high = unit;
        } else {
            report(u32::from(unit), observer);
        }
    }

    /// Reports the high surrogate that has found no low one.
    pub(super) fn flush_high(&mut self, observer: &mut impl Observer) {
        if self.high != 0 {
            report(u32::from(std::mem::take(&mut self.high)), observer);
        }
    }
}

/// Reports a character, or half a surrogate pair as the three bytes that UTF-8's scheme gives its number.
fn report(number: u32, observer: &mut impl Observer) {
    if let Some(character) = char::from_u32(number) {
        return observer.text(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    let [.., high, low] = number.to_be_bytes();
    observer.text(&[0xe0 | high >> 4, 0x80 | (high << 2 & 0x3c) | low >> 6, 0x80 | low & 0x3f]);
}
