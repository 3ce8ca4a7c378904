//! One netlink socket: many requests in one datagram, one answer to each.

use std::io;

use netlink_packet_core::{Emitable, ErrorBuffer, NetlinkBuffer, NetlinkHeader};
use netlink_sys::{Socket, SocketAddr};

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLMSG_ERROR: u16 = 2;
const HEADER_BYTES: usize = 16;
/// Larger than any answer to a request that is not a dump.
const RECEIVE_BYTES: usize = 64 * 1024;

/// One message to the kernel.
#[derive(Debug)]
pub struct Request {
    /// Message type.
    pub kind: u16,
    /// Flags besides request and acknowledgement.
    pub flags: u16,
    /// Whether the kernel answers it; the marks around an nftables batch are not answered.
    pub answered: bool,
    /// Family header and attributes.
    pub body: Vec<u8>,
}

/// The kernel's answer to one request.
#[derive(Debug)]
pub enum Answer {
    /// Done; for a question, the messages that were sent back.
    Done(Vec<Vec<u8>>),
    /// Refused with this errno.
    Refused(i32),
}

impl Answer {
    /// This answer as a result.
    pub fn into_result(self) -> io::Result<Vec<Vec<u8>>> {
        match self {
            Self::Done(messages) => Ok(messages),
            Self::Refused(errno) => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// A socket bound to the network namespace in which it was opened.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    /// Opens a socket of `protocol` in the calling thread's namespace.
    pub fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Without it each refusal carries the whole request back.
        socket.set_cap_ack(true)?;
        Ok(Self { socket, sequence: 1 })
    }

    /// The socket itself, to listen on.
    pub fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// Sends `requests` as one datagram. The kernel carries them out in order, and goes on after one that it refuses.
    pub fn exchange(&mut self, requests: &[Request]) -> io::Result<Vec<Answer>> {
        let first = self.sequence;
        let datagram = self.datagram(requests)?;
        self.socket.send(&datagram, 0)?;
        let mut data: Vec<Vec<Vec<u8>>> = requests.iter().map(|_| Vec::new()).collect();
        let mut answers: Vec<Option<Answer>> = requests.iter().map(|_| None).collect();
        let mut missing = requests.iter().filter(|request| request.answered).count();
        while missing > 0 {
            for (sequence, content) in self.receive()? {
                let Some(index) = sequence.checked_sub(first).and_then(|i| usize::try_from(i).ok()) else {
                    continue; // an answer to an earlier exchange that was given up
                };
                match content {
                    Content::Data(body) => {
                        data.get_mut(index).into_iter().for_each(|all| all.push(body.clone()))
                    }
                    Content::Status(errno) => {
                        let messages = data.get_mut(index).map(std::mem::take).unwrap_or_default();
                        let answer = if errno == 0 { Answer::Done(messages) } else { Answer::Refused(errno) };
                        if !requests.get(index).is_some_and(|request| request.answered) {
                            // The batch as a whole was refused.
                            return Err(io::Error::from_raw_os_error(errno));
                        }
                        if answers.get_mut(index).and_then(|slot| slot.replace(answer)).is_none() {
                            missing -= 1;
                        }
                    }
                }
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    fn datagram(&mut self, requests: &[Request]) -> io::Result<Vec<u8>> {
        let mut datagram = Vec::with_capacity(4096);
        for request in requests {
            let mut header = NetlinkHeader::default();
            header.length = u32::try_from(HEADER_BYTES + request.body.len()).map_err(io::Error::other)?;
            header.message_type = request.kind;
            header.flags = request.flags | NLM_F_REQUEST | if request.answered { NLM_F_ACK } else { 0 };
            header.sequence_number = self.sequence;
            self.sequence = self.sequence.wrapping_add(1);
            let mut bytes = [0; HEADER_BYTES];
            header.emit(&mut bytes);
            datagram.extend_from_slice(&bytes);
            datagram.extend_from_slice(&request.body);
            datagram.resize(datagram.len().next_multiple_of(4), 0);
        }
        Ok(datagram)
    }

    fn receive(&mut self) -> io::Result<Vec<(u32, Content)>> {
        let mut buffer: Vec<u8> = Vec::with_capacity(RECEIVE_BYTES);
        self.socket.recv_from(&mut buffer, 0)?;
        Ok(messages(&buffer))
    }
}

/// What a message holds.
#[derive(Debug)]
enum Content {
    Data(Vec<u8>),
    /// An errno, 0 for an acknowledgement.
    Status(i32),
}

/// The messages of one datagram from the kernel.
fn messages(datagram: &[u8]) -> Vec<(u32, Content)> {
    let mut found = Vec::new();
    let mut rest = datagram;
    while let Ok(message) = NetlinkBuffer::new_checked(rest) {
        let content = if message.message_type() == NLMSG_ERROR {
            let code = ErrorBuffer::new_checked(message.payload()).ok().and_then(|error| error.code());
            Content::Status(code.map_or(0, |code| code.get().wrapping_neg()))
        } else {
            Content::Data(message.payload().to_vec())
        };
        found.push((message.sequence_number(), content));
        let length = usize::try_from(message.length()).unwrap_or(usize::MAX).checked_next_multiple_of(4);
        rest = length.and_then(|length| rest.get(length..)).unwrap_or_default();
    }
    found
}

/// The types of the messages in one datagram from the kernel.
pub fn kinds(datagram: &[u8]) -> Vec<u16> {
    let mut found = Vec::new();
    let mut rest = datagram;
    while let Ok(message) = NetlinkBuffer::new_checked(rest) {
        found.push(message.message_type());
        let length = usize::try_from(message.length()).unwrap_or(usize::MAX).checked_next_multiple_of(4);
        rest = length.and_then(|length| rest.get(length..)).unwrap_or_default();
    }
    found
}
