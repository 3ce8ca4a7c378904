//! What stands in a backup before the data: what is read is written again and read as the same, whatever follows it.

use backup::Head;

/// The head at the beginning of `bytes`, and where it ends.
pub fn heads(bytes: &[u8]) {
    let mut source = bytes;
    let Ok(head) = Head::read(&mut source) else { return };
    let mut again = Vec::new();
    head.write(&mut again).unwrap();
    again.extend_from_slice(source);
    let mut again = &again[..];
    assert_eq!(Head::read(&mut again).unwrap(), head);
    assert_eq!(again, source);
}
