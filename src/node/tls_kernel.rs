//! Kernel TLS: once a handshake is done, the kernel seals what is sent and opens what is received, where `tls-kernel` wants it.
//!
//!     keys of a handshake -> the socket -> plain bytes both ways; alerts and changes of keys come and go as records of their kind
//!
//! Promises  a nonce serves once; keys that have sealed half of what they may are changed (TLS 1.3); what the kernel cannot do is
//!           found out with sockets of no client's before one depends on it.
//! Not here  the handshake, and TLS without the kernel: `node/tls.rs`. When a connection is handed over: `node/sending.rs`.
//! Source    Linux, Documentation/networking/tls.rst; crate nix for the sockets' options; RFC 5246 and 8446 for the records.
//! Tests     tests/server/tls_kernel.rs.

use std::io::{IoSlice, IoSliceMut};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{TcpTlsRx, TcpTlsTx, TcpUlp, TlsCryptoInfo};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, TlsGetRecordType, recvmsg, setsockopt};
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{ConnectionTrafficSecrets, ExtractedSecrets, ProtocolVersion, SupportedCipherSuite};
use socket2::{MsgHdr, SockRef};

/// The longest plain text of a record.
const RECORD_BYTES_MAX: usize = 16_384;
const RECORD_ALERT: u8 = 21;
const RECORD_HANDSHAKE: u8 = 22;
/// A warning: close_notify.
const CLOSE_NOTIFY: [u8; 2] = [1, 0];
/// A handshake message of type 24, 1 byte long: a change of keys, none in return.
const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];
/// The same, with one in return.
const KEY_UPDATE_REQUESTED: [u8; 5] = [24, 0, 0, 1, 1];
/// To the kernel: what kind of record the bytes are.
const SET_RECORD_TYPE: libc::c_int = 1;

/// What the kernel can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ability {
    has_aes_128: bool,
    has_aes_256: bool,
    has_chacha20: bool,
    /// Keys of a connection in use can be changed (Linux 6.14): TLS 1.3 needs it.
    changes_keys: bool,
}

impl Ability {
    /// Looks, with sockets of its own.
    ///
    /// Errors: why there is no kernel TLS at all.
    pub fn look() -> Result<Self, String> {
        let of = |key_bytes: usize, is_chacha20: bool| -> Result<(bool, bool), String> {
            let pair = pair().map_err(|error| format!("no socket to look with: {error}"))?;
            take_up(pair.1.as_fd()).map_err(|errno| match errno {
                Errno::ENOENT => "this kernel has none: CONFIG_TLS, module tls".to_string(),
                other => other.desc().to_string(),
            })?;
            let keys = zero_keys(key_bytes, is_chacha20);
            let is_there = setsockopt(&pair.1, TcpTlsTx, &keys).is_ok();
            let changes = is_there && setsockopt(&pair.1, TcpTlsTx, &keys).is_ok();
            Ok((is_there, changes))
        };
        let (has_aes_128, changes_keys) = of(16, false)?;
        Ok(Self {
            has_aes_128,
            has_aes_256: of(32, false)?.0,
            has_chacha20: of(32, true)?.0,
            changes_keys,
        })
    }

    /// Whether connections of a version with a cipher can be handed over.
    pub fn serves(&self, version: ProtocolVersion, suite: SupportedCipherSuite) -> bool {
        let name = format!("{:?}", suite.suite());
        let has_cipher = match () {
            () if name.contains("AES_128_GCM") => self.has_aes_128,
            () if name.contains("AES_256_GCM") => self.has_aes_256,
            () if name.contains("CHACHA20_POLY1305") => self.has_chacha20,
            () => false,
        };
        has_cipher && (version == ProtocolVersion::TLSv1_2 || self.changes_keys)
    }
}

/// What came that is no data.
#[derive(Debug, PartialEq, Eq)]
pub enum Control {
    /// Nothing that concerns the client: receiving goes on.
    GoesOn,
    /// Data after all.
    Data(Vec<u8>),
    /// The client sends nothing more.
    Ended,
    /// The connection cannot go on, and why.
    Failed(String),
}

/// A connection whose keys the kernel has.
pub struct KernelKeys {
    keys: KernelConnection<ServerConnectionData>,
    /// Records that its keys may still seal, before half of what is safe is used up.
    left_count: u64,
    limit_count: u64,
    /// The client has asked for a change, or it is due.
    owes_change: bool,
}

impl KernelKeys {
    /// Gives the kernel a connection's keys; [`take_up`] has been called.
    ///
    /// Errors: the connection cannot go on.
    pub fn install(
        socket: BorrowedFd<'_>,
        secrets: &ExtractedSecrets,
        keys: KernelConnection<ServerConnectionData>,
    ) -> Result<Self, String> {
        let version = keys.protocol_version();
        let (sequence, ours) = &secrets.tx;
        set(socket, TcpTlsTx, info(version, ours, *sequence, true))?;
        let (sequence, theirs) = &secrets.rx;
        set(socket, TcpTlsRx, info(version, theirs, *sequence, false))?;
        let limit_count = match keys.negotiated_cipher_suite() {
            SupportedCipherSuite::Tls13(suite) => suite.common.confidentiality_limit / 2,
            _ => u64::MAX,
        };
        Ok(Self {
            keys,
            left_count: limit_count,
            limit_count,
            owes_change: false,
        })
    }

    /// Takes note of what is about to be sent, all that was sent before being with the kernel; changes the keys where that is due.
    ///
    /// Errors: the connection cannot go on.
    pub fn before_send(
        &mut self,
        socket: BorrowedFd<'_>,
        bytes_count: usize,
    ) -> Result<(), String> {
        // Each part that the socket takes may end a record early: as many again.
        let records_count = 2 * (bytes_count / RECORD_BYTES_MAX + 1) as u64;
        self.left_count = self.left_count.saturating_sub(records_count);
        if self.left_count > 0 && !self.owes_change {
            return Ok(());
        }
        match send_record(socket, RECORD_HANDSHAKE, &KEY_UPDATE) {
            Ok(()) => {}
            // The other half lasts until the socket has room.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
        let (sequence, secrets) =
            (self.keys.update_tx_secret()).map_err(|error| error.to_string())?;
        let version = self.keys.protocol_version();
        set(socket, TcpTlsTx, info(version, &secrets, sequence, true))?;
        self.left_count = self.limit_count;
        self.owes_change = false;
        Ok(())
    }

    /// Takes in what a receive found that is no data.
    pub fn take_control(&mut self, socket: BorrowedFd<'_>) -> Control {
        let mut bytes = vec![0; RECORD_BYTES_MAX];
        let (kind, length) = {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let mut space = nix::cmsg_space!(u8);
            let flags = MsgFlags::MSG_DONTWAIT;
            let descriptor = socket.as_raw_fd();
            match recvmsg::<()>(descriptor, &mut parts, Some(&mut space), flags) {
                Ok(message) => {
                    let kind = message.cmsgs().ok().and_then(|all| {
                        let mut kinds = all.filter_map(|one| match one {
                            ControlMessageOwned::TlsGetRecordType(kind) => Some(kind),
                            _ => None,
                        });
                        kinds.next()
                    });
                    (kind, message.bytes)
                }
                Err(Errno::EAGAIN | Errno::EINTR) => return Control::GoesOn,
                Err(errno) => return Control::Failed(errno.desc().to_string()),
            }
        };
        bytes.truncate(length);
        match kind {
            Some(TlsGetRecordType::ApplicationData) => Control::Data(bytes),
            Some(TlsGetRecordType::Alert) => match bytes.get(1) {
                Some(0) => Control::Ended,
                what => Control::Failed(format!("alert {what:?}")),
            },
            Some(TlsGetRecordType::Handshake) if bytes == KEY_UPDATE => self.follow(socket),
            Some(TlsGetRecordType::Handshake) if bytes == KEY_UPDATE_REQUESTED => {
                self.owes_change = true;
                self.follow(socket)
            }
            None if bytes.is_empty() => Control::Ended,
            other => Control::Failed(format!("a record that has no place here: {other:?}")),
        }
    }

    /// Reads on with the keys that the client changed to.
    fn follow(&mut self, socket: BorrowedFd<'_>) -> Control {
        let version = self.keys.protocol_version();
        let changed = self
            .keys
            .update_rx_secret()
            .map_err(|error| error.to_string());
        let changed = changed.and_then(|(sequence, secrets)| {
            set(socket, TcpTlsRx, info(version, &secrets, sequence, false))
        });
        match changed {
            Ok(()) => Control::GoesOn,
            Err(reason) => Control::Failed(reason),
        }
    }

    /// Tells the client that nothing follows, where the socket takes it at once.
    pub fn say_end(&self, socket: BorrowedFd<'_>) {
        let _ = send_record(socket, RECORD_ALERT, &CLOSE_NOTIFY);
    }
}

/// Has a socket take keys: until it has them it is as it was.
///
/// Errors: ENOENT for a kernel without TLS.
pub fn take_up(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    setsockopt(&socket, TcpUlp::default(), b"tls")
}

fn set<O: nix::sys::socket::SetSockOpt<Val = TlsCryptoInfo>>(
    socket: BorrowedFd<'_>,
    option: O,
    info: Option<TlsCryptoInfo>,
) -> Result<(), String> {
    let info = info.ok_or("keys of an unknown kind")?;
    setsockopt(&socket, option, &info).map_err(|errno| errno.desc().to_string())
}

/// Keys as the kernel takes them.
///
/// - `seals`: they are those of what is sent.
fn info(
    version: ProtocolVersion,
    secrets: &ConnectionTrafficSecrets,
    sequence: u64,
    seals: bool,
) -> Option<TlsCryptoInfo> {
    let is_13 = version == ProtocolVersion::TLSv1_3;
    let version = match is_13 {
        true => libc::TLS_1_3_VERSION,
        false => libc::TLS_1_2_VERSION,
    };
    let about = |cipher_type| libc::tls_crypto_info {
        version,
        cipher_type,
    };
    let rec_seq = sequence.to_be_bytes();
    match secrets {
        // Both lengths come under either name.
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv } => {
            let (salt, nonce) = iv.as_ref().split_at_checked(4)?;
            let salt = salt.try_into().ok()?;
            let mut nonce: [u8; 8] = nonce.try_into().ok()?;
            if !is_13 && seals {
                // The kernel counts a record's nonce up from here, rustls has taken this one with the numbers of the handshake's
                // records in its last bits: with another first bit none comes twice.
                nonce[0] ^= 0x80;
            }
            let key = key.as_ref();
            if let Ok(key) = <[u8; 16]>::try_from(key) {
                return Some(TlsCryptoInfo::Aes128Gcm(
                    libc::tls12_crypto_info_aes_gcm_128 {
                        info: about(libc::TLS_CIPHER_AES_GCM_128),
                        iv: nonce,
                        key,
                        salt,
                        rec_seq,
                    },
                ));
            }
            Some(TlsCryptoInfo::Aes256Gcm(
                libc::tls12_crypto_info_aes_gcm_256 {
                    info: about(libc::TLS_CIPHER_AES_GCM_256),
                    iv: nonce,
                    key: key.try_into().ok()?,
                    salt,
                    rec_seq,
                },
            ))
        }
        ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => Some(
            TlsCryptoInfo::Chacha20Poly1305(libc::tls12_crypto_info_chacha20_poly1305 {
                info: about(libc::TLS_CIPHER_CHACHA20_POLY1305),
                iv: iv.as_ref().try_into().ok()?,
                key: key.as_ref().try_into().ok()?,
                salt: [],
                rec_seq,
            }),
        ),
        _ => None,
    }
}

/// Keys to try a cipher of TLS 1.3 with.
fn zero_keys(key_bytes: usize, is_chacha20: bool) -> TlsCryptoInfo {
    let about = |cipher_type| libc::tls_crypto_info {
        version: libc::TLS_1_3_VERSION,
        cipher_type,
    };
    match (is_chacha20, key_bytes) {
        (true, _) => TlsCryptoInfo::Chacha20Poly1305(libc::tls12_crypto_info_chacha20_poly1305 {
            info: about(libc::TLS_CIPHER_CHACHA20_POLY1305),
            iv: [0; 12],
            key: [0; 32],
            salt: [],
            rec_seq: [0; 8],
        }),
        (false, 16) => TlsCryptoInfo::Aes128Gcm(libc::tls12_crypto_info_aes_gcm_128 {
            info: about(libc::TLS_CIPHER_AES_GCM_128),
            iv: [0; 8],
            key: [0; 16],
            salt: [0; 4],
            rec_seq: [0; 8],
        }),
        (false, _) => TlsCryptoInfo::Aes256Gcm(libc::tls12_crypto_info_aes_gcm_256 {
            info: about(libc::TLS_CIPHER_AES_GCM_256),
            iv: [0; 8],
            key: [0; 32],
            salt: [0; 4],
            rec_seq: [0; 8],
        }),
    }
}

/// Sends a record that is no data, if the socket takes it at once.
fn send_record(socket: BorrowedFd<'_>, kind: u8, bytes: &[u8]) -> std::io::Result<()> {
    // A control message's header, its byte of data and what aligns the next one.
    const HEADER_BYTES: usize = size_of::<libc::cmsghdr>();
    const WORD_BYTES: usize = size_of::<usize>();
    let mut control = [0; HEADER_BYTES + WORD_BYTES];
    control[..WORD_BYTES].copy_from_slice(&(HEADER_BYTES + 1).to_ne_bytes());
    control[WORD_BYTES..WORD_BYTES + 4].copy_from_slice(&libc::SOL_TLS.to_ne_bytes());
    control[WORD_BYTES + 4..HEADER_BYTES].copy_from_slice(&SET_RECORD_TYPE.to_ne_bytes());
    control[HEADER_BYTES] = kind;
    let parts = [IoSlice::new(bytes)];
    let message = MsgHdr::new().with_buffers(&parts).with_control(&control);
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    match SockRef::from(&socket).sendmsg(&message, flags)? {
        count if count == bytes.len() => Ok(()),
        _ => Err(std::io::Error::other("a record was sent in part")),
    }
}

/// Two ends of a connection of nobody's.
fn pair() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let one = TcpStream::connect(listener.local_addr()?)?;
    let (other, _) = listener.accept()?;
    Ok((one, other))
}
