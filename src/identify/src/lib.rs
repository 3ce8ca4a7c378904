//! Who is at the other end of a socket.
#![forbid(unsafe_code)]
