//! Hears when somebody deletes a table.
//!
//! The kernel tells of all changes of nftables over netlink. The program `nft monitor` would keep a copy of all elements; a socket keeps none.

use std::{convert::Infallible, io, os::unix::net::UnixDatagram as StdDatagram, time::Duration};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, SocketFlags, SocketType, bind,
        netlink::{NETFILTER, SocketAddrNetlink},
        socket_with,
    },
};
use tokio::{net::UnixDatagram, sync::Notify, time::sleep};
use tracing::debug;

/// The group NFNLGRP_NFTABLES, as a bit.
const GROUP: u32 = 1 << 6;
/// The type of a message that tells of a table deleted: NFT_MSG_DELTABLE of NFNL_SUBSYS_NFTABLES.
const TABLE_DELETED: u16 = (10 << 8) | 2;
/// The length of netlink's header: length, type, flags, sequence and port.
const HEADER: usize = 16;
/// More than the kernel puts into one datagram.
const BUFFER: usize = 64 * 1024;
/// How long to wait after an error before listening anew.
const RESTART: Duration = Duration::from_secs(10);

/// Notifies `deleted` of each table that goes in the network namespace of the thread, until the future is dropped. A notification proves
/// nothing: the proxy's own transactions and messages that were lost cause some.
pub(super) async fn watch(deleted: &Notify) {
    loop {
        let Err(error) = listen(deleted).await;
        debug!(%error, "nftables cannot be listened to; the tables are looked at from time to time");
        sleep(RESTART).await;
    }
}

async fn listen(deleted: &Notify) -> io::Result<Infallible> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(NETFILTER))?;
    bind(&socket, &SocketAddrNetlink::new(0, GROUP))?;
    // It is read like any other socket of datagrams.
    let socket = UnixDatagram::from_std(StdDatagram::from(socket))?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let told = match socket.recv(&mut buffer).await {
            Ok(count) => tells_of_deleted(buffer.get(..count).unwrap_or_default()),
            // Messages came faster than they were read: any may have been lost.
            Err(error) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => true,
            Err(error) => return Err(error),
        };
        if told {
            deleted.notify_one();
        }
    }
}

/// Whether one of the messages tells of a table deleted.
fn tells_of_deleted(mut messages: &[u8]) -> bool {
    while let Some((length, rest)) = messages.split_first_chunk::<4>() {
        let Some(kind) = rest.first_chunk::<2>() else { return false };
        if u16::from_ne_bytes(*kind) == TABLE_DELETED {
            return true;
        }
        let length = usize::try_from(u32::from_ne_bytes(*length)).unwrap_or(usize::MAX).max(HEADER);
        messages = messages.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, payload: usize) -> Vec<u8> {
        let length = u32::try_from(HEADER + payload).unwrap();
        let mut message = [length.to_ne_bytes().as_slice(), &kind.to_ne_bytes(), &[0; 10]].concat();
        message.resize((HEADER + payload).next_multiple_of(4), 0);
        message
    }

    #[test]
    fn a_deleted_table_is_found_among_other_messages_and_in_nothing_that_is_cut_off() {
        let (other, deleted) = (message(10 << 8, 5), message(TABLE_DELETED, 8));
        assert!(tells_of_deleted(&[other.clone(), deleted.clone()].concat()));
        assert!(!tells_of_deleted(&[other.clone(), other.clone()].concat()));
        assert!(!tells_of_deleted(&deleted[..5]));
        assert!(!tells_of_deleted(&[0; 64]));
        assert!(!tells_of_deleted(&[u8::MAX; 3]));
    }
}
