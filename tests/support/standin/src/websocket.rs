//! A WebSocket (RFC 6455) that sends every message back; SHA-1 and Base64 are here because the handshake needs
//! them and nothing else does.

use std::io::{Read, Write};

const MAX_FRAME: u64 = 4 * 1024 * 1024;
const TEXT: u8 = 0x81;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The 101 answer to a client's `Sec-WebSocket-Key`, with the subprotocol taken, if any.
pub fn handshake(key: &str, protocol: Option<&str>) -> String {
    let protocol = protocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{protocol}\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        accept(key)
    )
}

/// Sends a text of the gateway's own.
pub fn say(writer: &mut impl Write, text: &str) -> std::io::Result<()> {
    write_frame(writer, TEXT, text.as_bytes())
}

/// Echoes frames until the peer closes.
pub fn echo(reader: &mut impl Read, writer: &mut impl Write) -> std::io::Result<()> {
    loop {
        let [first, second] = read_array::<2>(reader)?;
        let length = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes(read_array(reader)?)),
            127 => u64::from_be_bytes(read_array(reader)?),
            short => u64::from(short),
        };
        if length > MAX_FRAME {
            return Err(std::io::Error::other("frame above 4 MiB"));
        }
        let mask = if second & 0x80 == 0 { [0; 4] } else { read_array::<4>(reader)? };
        let mut payload = Vec::new();
        reader.by_ref().take(length).read_to_end(&mut payload)?;
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        let opcode = first & 0x0f;
        match opcode {
            PONG => {}
            PING => write_frame(writer, (first & 0xf0) | PONG, &payload)?,
            _ => write_frame(writer, first, &payload)?,
        }
        if opcode == CLOSE {
            return Ok(());
        }
    }
}

fn write_frame(writer: &mut impl Write, first: u8, payload: &[u8]) -> std::io::Result<()> {
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if length < 126 => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        (_, Err(_)) => {
            frame.push(127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    writer.write_all(&frame)
}

fn read_array<const N: usize>(reader: &mut impl Read) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn accept(key: &str) -> String {
    base64(&sha1(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes()))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            (0..3).fold(0_usize, |bits, i| bits << 8 | usize::from(chunk.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let digit = DIGITS.get(bits >> (18 - 6 * i) & 63).copied().unwrap_or(b'=');
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

fn sha1(message: &[u8]) -> [u8; 20] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    let mut hash = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in padded.chunks_exact(64) {
        sha1_block(&mut hash, block);
    }
    let mut out = [0; 20];
    for (slot, byte) in out.iter_mut().zip(hash.iter().flat_map(|word| word.to_be_bytes())) {
        *slot = byte;
    }
    out
}

fn sha1_block(hash: &mut [u32; 5], block: &[u8]) {
    let mut words: Vec<u32> = block
        .chunks_exact(4)
        .map(|four| four.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)))
        .collect();
    for n in words.len()..80 {
        let mixed =
            [3, 8, 14, 16].iter().filter_map(|back| words.get(n - back)).fold(0, |mix, word| mix ^ word);
        words.push(mixed.rotate_left(1));
    }
    let [mut a, mut b, mut c, mut d, mut e] = *hash;
    for (round, word) in words.iter().enumerate() {
        let (f, k) = match round / 20 {
            0 => ((b & c) | (!b & d), 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6),
        };
        let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
        (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
    }
    for (slot, value) in hash.iter_mut().zip([a, b, c, d, e]) {
        *slot = slot.wrapping_add(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_is_the_one_of_the_rfc() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn base64_pads() {
        assert_eq!(
            (base64(b"a"), base64(b"ab"), base64(b"abc")),
            ("YQ==".into(), "YWI=".into(), "YWJj".into())
        );
    }

    #[test]
    fn a_masked_frame_comes_back_unmasked_until_close() {
        let sent = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2, 0x88, 0x80, 0, 0, 0, 0];
        let mut got = Vec::new();
        echo(&mut sent.as_slice(), &mut got).unwrap();
        assert_eq!(got, [0x81, 2, b'h', b'i', 0x88, 0]);
    }

    #[test]
    fn a_long_frame_keeps_its_length() {
        let mut sent = vec![0x82, 126, 0x01, 0x2c];
        sent.extend([7; 300]);
        let mut got = Vec::new();
        assert!(echo(&mut sent.as_slice(), &mut got).is_err(), "the stream ends without a close");
        assert_eq!(got, sent);
    }
}
